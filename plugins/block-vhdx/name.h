/* SPDX-License-Identifier: MIT */
/* What a differencing disk says of its parent, out of its parent locator ([MS-VHDX] 2.6.2.6). Pure. */
#ifndef BLOCK_VHDX_NAME_H
#define BLOCK_VHDX_NAME_H

#include <stdint.h>

/* `relative_path` if there is one, else `absolute_win32_path`; with slashes and in UTF-8. 0 or MT_EINVAL. */
int name_find(const uint8_t *locator, uint32_t bytes, char *out, uint32_t room);
/* `parent_linkage` and `parent_linkage2`, as mt_uuid_text has them; "" where there is none. 0 or MT_EINVAL. */
int name_linkage(const uint8_t *locator, uint32_t bytes, char out[2][40]);

#endif
