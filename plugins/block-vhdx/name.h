/* SPDX-License-Identifier: MIT */
/* The name of a differencing disk's parent, out of its parent locator ([MS-VHDX] 2.6.2.6). Pure. */
#ifndef BLOCK_VHDX_NAME_H
#define BLOCK_VHDX_NAME_H

#include <stdint.h>

/* `relative_path` if there is one, else `absolute_win32_path`; with slashes and in UTF-8. 0 or MT_EINVAL. */
int name_find(const uint8_t *locator, uint32_t bytes, char *out, uint32_t room);

#endif
