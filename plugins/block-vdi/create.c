/* SPDX-License-Identifier: MIT */
/* Fresh images: the header sector and a map; the data of a static image are a hole of the file. Any thread. */
#include "vdi.h"

#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#include "layout.h"

/* As VirtualBox does it, so that no write of a block straddles the host's pages. */
#define ALIGN_BYTES (1u << 20)
#define MAP_CHUNK   16384u               /* entries written at a time */

static const char banner[64] = "<<< Oracle VM VirtualBox Disk Image >>>\n";

struct plan {
	uint32_t block_bytes, blocks;
	uint64_t map_offset, data_offset, full_bytes;
};

static int plan_make(const struct vdi_options *o, struct plan *p)
{
	uint64_t blocks;

	p->block_bytes = o->block_bytes ? o->block_bytes : VDI_BLOCK_DEFAULT;
	if (p->block_bytes < 4096 || p->block_bytes > VDI_BLOCK_MAX || p->block_bytes & (p->block_bytes - 1))
		return MT_EINVAL;
	if (o->disk_bytes % 512 || o->type < VDI_DYNAMIC || o->type > VDI_DIFF || o->type == VDI_UNDO)
		return MT_EINVAL;
	blocks = o->disk_bytes / p->block_bytes + (o->disk_bytes % p->block_bytes != 0);
	if (blocks > VDI_BLOCKS_MAX)
		return MT_ERANGE;
	p->blocks = (uint32_t)blocks;
	p->map_offset = ALIGN_BYTES;
	p->data_offset = (p->map_offset + 4 * blocks + ALIGN_BYTES - 1) & ~(uint64_t)(ALIGN_BYTES - 1);
	p->full_bytes = p->data_offset + blocks * p->block_bytes;
	return 0;
}

int vdi_measure(const struct vdi_options *options, uint64_t *required, uint64_t *full)
{
	struct plan p;
	int rc = plan_make(options, &p);

	if (rc == 0) {
		*required = options->type == VDI_STATIC ? p.full_bytes : p.data_offset;
		*full = p.full_bytes;
	}
	return rc;
}

uint64_t vdi_data_begin(const struct vdi_options *options)
{
	struct plan p;

	return plan_make(options, &p) < 0 ? 0 : p.data_offset;
}

/* VirtualBox gives geometries up to what ATA can say. */
static void put_geometry(uint8_t *h, uint64_t disk_bytes)
{
	mt_put_le32(h + AT_CYLINDERS, (uint32_t)mt_min_u64(disk_bytes / (16 * 63 * 512), 16383));
	mt_put_le32(h + AT_HEADS, 16);
	mt_put_le32(h + AT_SECTORS, 63);
	mt_put_le32(h + AT_SECTOR_BYTES, 512);
	mt_put_le32(h + AT_LCHS + 12, 512);    /* cylinders, heads and sectors 0: the firmware chooses */
}

static void put_header(uint8_t *h, const struct vdi_options *o, const struct plan *p)
{
	memset(h, 0, VDI_HEADER_BYTES);
	memcpy(h, banner, sizeof(banner));
	mt_put_le32(h + AT_SIGNATURE, VDI_SIGNATURE);
	mt_put_le32(h + AT_VERSION, VDI_VERSION_1_1);
	mt_put_le32(h + AT_HEADER_BYTES, HEADER_BYTES);
	mt_put_le32(h + AT_TYPE, o->type);
	mt_put_le32(h + AT_MAP_OFFSET, (uint32_t)p->map_offset);
	mt_put_le32(h + AT_DATA_OFFSET, (uint32_t)p->data_offset);
	put_geometry(h, o->disk_bytes);
	mt_put_le64(h + AT_DISK_BYTES, o->disk_bytes);
	mt_put_le32(h + AT_BLOCK_BYTES, p->block_bytes);
	mt_put_le32(h + AT_BLOCKS, p->blocks);
	mt_put_le32(h + AT_ALLOCATED, o->type == VDI_STATIC ? p->blocks : 0);
	memcpy(h + AT_UUID, o->uuid, 16);
	memcpy(h + AT_MODIFY_UUID, o->modify_uuid, 16);
	if (o->type == VDI_DIFF) {
		memcpy(h + AT_PARENT_UUID, o->parent_uuid, 16);
		memcpy(h + AT_PARENT_MODIFY_UUID, o->parent_modify_uuid, 16);
	}
}

static int write_map(const struct vdi_options *o, const struct plan *p, const struct mt_sink *sink)
{
	uint32_t *chunk = malloc(MAP_CHUNK * sizeof(*chunk));
	int rc = chunk ? 0 : MT_ENOMEM;

	for (uint32_t at = 0; rc == 0 && at < p->blocks; at += MAP_CHUNK) {
		uint32_t n = mt_min_u32(MAP_CHUNK, p->blocks - at);

		for (uint32_t i = 0; i < n; i++)
			chunk[i] = o->type == VDI_STATIC ? at + i : VDI_FREE;
		rc = sink->write(sink->arg, p->map_offset + 4ull * at, chunk, 4ull * n);
	}
	free(chunk);
	return rc;
}

int vdi_create(const struct vdi_options *options, const struct mt_sink *sink, struct mt_error *err)
{
	uint8_t header[VDI_HEADER_BYTES];
	struct plan p;
	int rc = plan_make(options, &p);

	if (rc < 0)
		return mt_error_set(err, rc, rc == MT_ERANGE ? "size" : NULL,
				    rc == MT_ERANGE ? "the disk is too large for blocks of this size" :
				    "size, block size or type do not suit a VDI image");
	put_header(header, options, &p);
	rc = sink->resize(sink->arg, options->type == VDI_STATIC ? p.full_bytes : p.data_offset);
	if (rc == 0)
		rc = write_map(options, &p, sink);
	if (rc == 0)
		rc = sink->write(sink->arg, 0, header, sizeof(header));   /* last: no half image looks whole */
	return rc < 0 ? mt_error_set(err, rc, "file", "cannot write the fresh image") : 0;
}
