/* SPDX-License-Identifier: MIT */
/*
 * Virtual Hard Disk, version 2 (VHDX), for reading: fixed, dynamic and differencing, after Microsoft's [MS-VHDX]. The
 * table of blocks is in memory; what the log still has to bring into the file is brought into memory. The bitmaps of
 * differencing disks come in pages from whoever calls. The core knows no bus, thread or kernel. Under one lock.
 */
#ifndef BLOCK_VHDX_VHDX_H
#define BLOCK_VHDX_VHDX_H

#include <mortise/draft/block-format.h>
#include <mortise/error.h>
#include <util/source.h>

#define VHDX_PAGE      4096u
#define VHDX_TABLE_MAX (64u << 20)       /* bytes */
#define VHDX_NAME_MAX  1024u

struct vhdx {
	uint64_t disk_bytes;
	uint32_t block_bytes, sector_bytes, physical_bytes;
	uint32_t chunk_ratio;                /* blocks that one bitmap serves */
	uint32_t blocks;
	int parent;
	int fixed;                           /* made with all blocks; for people */
	int log_replayed;
	uint64_t *table;                     /* blocks, and after each chunk_ratio of them a bitmap's */
	uint32_t table_entries;
	uint8_t data_write_guid[16];
	char parent_name[VHDX_NAME_MAX];     /* "": none */
	char linkage[2][40];                 /* what data_write_guid the parent may have, as mt_uuid_text; "": not said */
};

/* `v` is to be given to vhdx_fini also when it fails. */
int vhdx_load(struct vhdx *v, const struct mt_source *source, struct mt_error *err);
void vhdx_fini(struct vhdx *v);
/*
 * Extents from `offset` on, with pages of VHDX_PAGE bytes; how many. MT_ERANGE beyond the end; MT_EAGAIN; MT_EIO: an
 * entry cannot be right.
 */
int32_t vhdx_map(const struct vhdx *v, const struct mt_source_pages *pages, uint64_t offset, uint64_t len_bytes,
		 struct mt_block_extent *out, uint32_t max);
uint32_t vhdx_probe(const uint8_t *head, uint32_t head_bytes);

/* log.c: what the log has, as pieces over the file, in order */

struct vhdx_piece {
	uint64_t offset, len_bytes;          /* of the file */
	uint8_t *data;                       /* VHDX_PAGE bytes; NULL: zeros */
};

struct vhdx_log {
	struct vhdx_piece *pieces;
	uint32_t count, room;
};

/* `guid`, place and length as the header has them. */
int log_load(struct vhdx_log *log, const struct mt_source *source, const uint8_t guid[16], uint64_t offset,
	     uint64_t len_bytes, struct mt_error *err);
void log_fini(struct vhdx_log *log);
/* Brings what the log has of this range into `buf`. */
void log_apply(const struct vhdx_log *log, uint64_t offset, uint8_t *buf, uint64_t len_bytes);

/* crc.c: CRC-32C, as if the four bytes at `hole` were zero */
uint32_t crc32c_hole(const uint8_t *bytes, uint32_t len, uint32_t hole);

#endif
