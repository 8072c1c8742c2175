/* SPDX-License-Identifier: MIT */
/*
 * A larger and a smaller disk. The map has to lie before the data, so when it outgrows its place, blocks move out of
 * its way to the end of the file: copy them, point the old map at the copies, write the new map where they were, and
 * then switch over with the one header sector. A crash leaves an image that is whole, before or after: each step is
 * durable before the next. When one fails, `v` is no longer what the file has: load it again.
 * Runs alone, with nothing mapped.
 */
#include "vdi.h"

#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/error.h>
#include <util/minmax.h>

struct grow {
	struct vdi *v;
	const struct vdi_io *io;
	uint32_t blocks;                     /* of the new map */
	uint32_t shift;                      /* blocks that move out of the way */
	uint64_t map_offset;                 /* of the new map */
};

/* Moves the blocks numbered below `shift` to the end. The entries change in memory only. */
static int move_blocks(struct grow *g)
{
	struct vdi *v = g->v;
	int rc = 0;

	/* the copies must not have numbers below `shift`, or they would have to move themselves */
	v->allocated = mt_max_u32(v->allocated, g->shift);
	for (uint32_t i = 0; rc == 0 && i < v->blocks; i++) {
		if (v->map[i] >= g->shift)
			continue;
		rc = vdi_block_copy(v, g->io, v->map[i], v->allocated);
		if (rc == 0)
			v->map[i] = v->allocated++;
	}
	return rc < 0 ? rc : g->io->flush(g->io->sink.arg);
}

/* The old map at its old place, pointing at the copies. The count is durable before it. */
static int point_at_copies(struct grow *g)
{
	struct vdi *v = g->v;
	int rc = vdi_write_header(v, g->io);

	if (rc == 0)
		rc = g->io->sink.write(g->io->sink.arg, v->map_offset, v->map, 4ull * v->blocks);
	return rc < 0 ? rc : g->io->flush(g->io->sink.arg);
}

static int write_new_map(struct grow *g)
{
	struct vdi *v = g->v;
	uint32_t *map = realloc(v->map, 4ull * g->blocks + 4);
	int rc;

	if (!map)
		return MT_ENOMEM;
	v->map = map;
	for (uint32_t i = 0; i < v->blocks; i++) {
		if (map[i] < VDI_ZERO)
			map[i] -= g->shift;
	}
	for (uint32_t i = v->blocks; i < g->blocks; i++)
		map[i] = VDI_FREE;
	v->blocks = g->blocks;
	v->allocated -= g->shift;
	v->data_offset += g->shift * vdi_total_bytes(v);
	v->map_offset = g->map_offset;
	v->spare_count = 0;
	v->handed = v->allocated;
	v->numbers = mt_max_u32(v->numbers, v->blocks);
	rc = g->io->sink.write(g->io->sink.arg, v->map_offset, map, 4ull * v->blocks);
	return rc < 0 ? rc : g->io->flush(g->io->sink.arg);
}

/* Where the new map goes: behind the old one if there is room, else where the first blocks are now. */
static int plan(struct grow *g, uint64_t disk_bytes)
{
	struct vdi *v = g->v;
	uint64_t blocks = disk_bytes / v->block_bytes + (disk_bytes % v->block_bytes != 0);
	uint64_t bytes = 4 * blocks, data;

	if (blocks > VDI_BLOCKS_MAX)
		return MT_ERANGE;
	g->blocks = (uint32_t)blocks;
	g->map_offset = v->map_offset;
	if (v->map_offset + bytes <= v->data_offset)
		return 0;
	g->map_offset = v->data_offset;
	g->shift = (uint32_t)((bytes + vdi_total_bytes(v) - 1) / vdi_total_bytes(v));
	data = v->data_offset + g->shift * vdi_total_bytes(v);
	/* both places are 32 bits wide in the header; the moved blocks need numbers */
	return data > UINT32_MAX || (uint64_t)v->allocated + 2 * g->shift > VDI_BLOCKS_MAX ? MT_ERANGE : 0;
}

/* What the last block has beyond the old end of the disk becomes part of the disk: it has to read as zero. */
static int tail_clear(struct grow *g)
{
	const struct vdi *v = g->v;
	uint64_t used = v->disk_bytes % v->block_bytes, index = v->disk_bytes / v->block_bytes;
	uint8_t *zeros;
	int rc;

	if (!used || v->map[index] >= VDI_ZERO)
		return 0;
	zeros = calloc(1, v->block_bytes - used);
	if (!zeros)
		return MT_ENOMEM;
	rc = g->io->sink.write(g->io->sink.arg, v->data_offset + v->map[index] * vdi_total_bytes(v) + v->extra_bytes + used,
			    zeros, v->block_bytes - used);
	free(zeros);
	return rc < 0 ? rc : g->io->flush(g->io->sink.arg);
}

int vdi_grow(struct vdi *v, uint64_t disk_bytes, const struct vdi_io *io, struct mt_error *err)
{
	struct grow g = { .v = v, .io = io };
	int rc = disk_bytes % 512 || disk_bytes < v->disk_bytes ? MT_EINVAL : plan(&g, disk_bytes);

	if (vdi_has_parent(v))
		return mt_error_set(err, MT_ENOTSUP, "file", "a differencing image has the size of its parent");
	if (rc < 0)
		return mt_error_set(err, rc, "size", "a VDI image cannot be given this size");
	rc = tail_clear(&g);
	if (rc == 0 && g.shift)
		rc = move_blocks(&g);
	if (rc == 0 && g.shift)
		rc = point_at_copies(&g);
	if (rc == 0 && g.blocks > v->blocks)
		rc = write_new_map(&g);
	if (rc == 0) {
		v->disk_bytes = disk_bytes;
		rc = vdi_write_header(v, io);
	}
	return rc < 0 ? mt_error_set(err, rc, "file", "growing the image failed") : 0;
}

/* The header first: from then on nothing points to the blocks that fall away. */
int vdi_shrink(struct vdi *v, uint64_t disk_bytes, const struct vdi_io *io, struct mt_error *err)
{
	uint64_t blocks = disk_bytes / v->block_bytes + (disk_bytes % v->block_bytes != 0);
	int rc;

	if (vdi_has_parent(v))
		return mt_error_set(err, MT_ENOTSUP, "file", "a differencing image has the size of its parent");
	if (disk_bytes % 512 || disk_bytes > v->disk_bytes)
		return mt_error_set(err, MT_EINVAL, "size", "a VDI image cannot be given this size");
	v->disk_bytes = disk_bytes;
	v->blocks = (uint32_t)blocks;
	rc = vdi_write_header(v, io);
	if (rc == 0)
		rc = vdi_compact(v, io);
	return rc < 0 ? mt_error_set(err, rc, "file", "shrinking the image failed") : 0;
}
