/* SPDX-License-Identifier: MIT */
/*
 * Virtual Hard Disk, version 1 ("conectix"), for reading: fixed, dynamic and differencing. A footer says what the
 * disk is; a table, in memory, where its blocks are; each block begins with a bitmap of its sectors, which comes in
 * pages from whoever calls. After Microsoft's "Virtual Hard Disk Image Format Specification" 1.0; numbers are
 * big-endian. The core knows no bus, thread or kernel. Under one lock.
 */
#ifndef BLOCK_VHD_VHD_H
#define BLOCK_VHD_VHD_H

#include <mortise/draft/block-format.h>
#include <mortise/error.h>
#include <util/source.h>

#define VHD_PAGE        512u
#define VHD_ENTRIES_MAX (16u << 20)      /* 64 MiB of table */
#define VHD_NAME_MAX    1024u

#define VHD_FIXED   2u
#define VHD_DYNAMIC 3u
#define VHD_DIFF    4u

struct vhd {
	uint32_t type;
	uint64_t disk_bytes;
	uint32_t block_bytes, bitmap_bytes, entries;
	uint32_t *table;                     /* sectors; as in the file, big-endian */
	uint8_t uuid[16], parent_uuid[16];
	char creator[5];
	char parent_name[VHD_NAME_MAX];      /* relative to the image where it has such a name; "": none */
};

/* `v` is to be given to vhd_fini also when it fails. */
int vhd_load(struct vhd *v, const struct mt_source *source, struct mt_error *err);
void vhd_fini(struct vhd *v);
/* Extents from `offset` on, with pages of VHD_PAGE bytes; how many. MT_ERANGE beyond the end; MT_EAGAIN. */
int32_t vhd_map(const struct vhd *v, const struct mt_source_pages *pages, uint64_t offset, uint64_t len_bytes,
		struct mt_block_extent *out, uint32_t max);
/* Whether `sector` is a footer. */
int vhd_is_footer(const uint8_t *sector);

#endif
