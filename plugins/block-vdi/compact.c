/* SPDX-License-Identifier: MIT */
/*
 * Closing the gaps that discards leave between the numbers of blocks: others give out the number `allocated`, and
 * take any gap for damage. A block is copied, durably, before the map points to the copy, and the map is durable before
 * the count and the file become smaller. Runs alone, with nothing mapped.
 */
#include "vdi.h"

#include <stdlib.h>
#include <string.h>
#include <util/minmax.h>

#define PIECE_BYTES (1u << 20)
#define BATCH       64u                  /* moves between two flushes */

int vdi_write_header(struct vdi *v, const struct vdi_io *io)
{
	uint8_t header[VDI_HEADER_BYTES];
	int rc;

	vdi_encode_header(v, header);
	rc = io->sink.write(io->sink.arg, 0, header, sizeof(header));
	return rc < 0 ? rc : io->flush(io->sink.arg);
}

/* One block, the bytes before it included, in pieces. Both numbers are in range. */
int vdi_block_copy(struct vdi *v, const struct vdi_io *io, uint32_t from, uint32_t to)
{
	uint64_t total = vdi_total_bytes(v), from_at = vdi_space(v, from).offset, to_at = vdi_space(v, to).offset;
	uint32_t piece_bytes = (uint32_t)mt_min_u64(total, PIECE_BYTES);
	uint8_t *piece = malloc(piece_bytes);
	int rc = piece ? 0 : MT_ENOMEM;

	for (uint64_t at = 0; rc == 0 && at < total; at += piece_bytes) {
		uint64_t n = mt_min_u64(piece_bytes, total - at), end = io->source.len_bytes;
		uint64_t there = from_at + at < end ? mt_min_u64(n, end - from_at - at) : 0;

		memset(piece, 0, n);           /* what lies beyond the end of the file reads as zero */
		rc = mt_source_read(&io->source, from_at + at, piece, there);
		if (rc == 0)
			rc = io->sink.write(io->sink.arg, to_at + at, piece, n);
	}
	free(piece);
	return rc;
}

/* Which entry has a number: VDI_FREE, none. Numbers in range that two entries share were refused when opening. */
static uint32_t *owners_find(const struct vdi *v, uint32_t *end)
{
	uint32_t *owners;

	*end = 0;
	for (uint32_t i = 0; i < v->blocks; i++) {
		if (v->map[i] < v->numbers)
			*end = mt_max_u32(*end, v->map[i] + 1);
	}
	owners = malloc(4ull * *end + 4);
	if (!owners)
		return NULL;
	memset(owners, 0xff, 4ull * *end + 4);
	for (uint32_t i = 0; i < v->blocks; i++) {
		if (v->map[i] < v->numbers)
			owners[v->map[i]] = i;
	}
	return owners;
}

struct move {
	uint32_t index, from, to;
};

/* The copies are durable before the entries that point to them are written. */
static int moves_do(struct vdi *v, const struct vdi_io *io, const struct move *moves, uint32_t count)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = vdi_block_copy(v, io, moves[i].from, moves[i].to);
	if (rc == 0)
		rc = io->flush(io->sink.arg);
	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		v->map[moves[i].index] = moves[i].to;
		rc = io->sink.write(io->sink.arg, v->map_offset + 4ull * moves[i].index, &v->map[moves[i].index], 4);
	}
	return rc;
}

static int gaps_close(struct vdi *v, const struct vdi_io *io, uint32_t *owners, uint32_t *end)
{
	struct move moves[BATCH];
	uint32_t gap = 0, count = 0;
	int rc = 0;

	while (rc == 0) {
		while (gap < *end && owners[gap] != VDI_FREE)
			gap++;
		while (*end > gap && owners[*end - 1] == VDI_FREE)
			--*end;
		if (gap >= *end)
			break;
		moves[count++] = (struct move){ owners[*end - 1], *end - 1, gap };
		owners[gap++] = owners[--*end];
		if (count == BATCH) {
			rc = moves_do(v, io, moves, count);
			count = 0;
		}
	}
	return rc < 0 ? rc : moves_do(v, io, moves, count);
}

static int cut(struct vdi *v, const struct vdi_io *io, uint32_t allocated)
{
	uint64_t end = v->data_offset + allocated * vdi_total_bytes(v);
	int rc = io->flush(io->sink.arg);

	v->allocated = v->handed = allocated;
	v->spare_count = 0;
	if (rc == 0)
		rc = vdi_write_header(v, io);
	if (rc == 0 && end < io->source.len_bytes && io->sink.resize) {
		rc = io->sink.resize(io->sink.arg, end);
		v->file_bytes = rc < 0 ? v->file_bytes : end;
	}
	return rc;
}

int vdi_compact(struct vdi *v, const struct vdi_io *io)
{
	uint32_t end, *owners = owners_find(v, &end);
	int rc = owners ? gaps_close(v, io, owners, &end) : MT_ENOMEM;

	free(owners);
	return rc < 0 ? rc : cut(v, io, end);
}

int vdi_empty(struct vdi *v, const struct vdi_io *io)
{
	int rc;

	memset(v->map, 0xff, 4ull * v->blocks);
	rc = io->sink.write(io->sink.arg, v->map_offset, v->map, 4ull * v->blocks);
	return rc < 0 ? rc : cut(v, io, 0);
}
