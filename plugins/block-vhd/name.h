/* SPDX-License-Identifier: MIT */
/* The name of a differencing disk's parent, out of the header of a dynamic disk. Pure but for the source's reads. */
#ifndef BLOCK_VHD_NAME_H
#define BLOCK_VHD_NAME_H

#include <mortise/error.h>
#include <util/source.h>

/* The relative name if there is one, else the plain one; with slashes and in UTF-8. */
int name_find(const uint8_t *header, const struct mt_source *source, char *out, uint32_t room, struct mt_error *err);

#endif
