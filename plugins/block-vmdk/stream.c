/* SPDX-License-Identifier: MIT */
/*
 * Filling an empty stream ("streamOptimized"): compressed grains, each behind its marker, in the order of the disk and
 * each of them once; then the grain tables, the directory, the footer and the end, as VMware's "Virtual Disk Format
 * 5.0" has them. Until then the tables are in memory. Easy to break: what is written behind an end takes its place, so
 * that the file has none before the next one is written. Under the owner's lock.
 */
#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/minmax.h>

#include "vmdk.h"

#define MARK_TABLE     1u
#define MARK_DIRECTORY 2u
#define MARK_FOOTER    3u

#define AT_DIRECTORY 56                  /* of the header */
#define CHUNK        (64u * VMDK_SECTOR)

int stream_open(struct vmdk_sparse *s, const uint8_t *header, uint64_t begin_bytes)
{
	s->stream = calloc(1, sizeof(*s->stream));
	if (!s->stream)
		return MT_ENOMEM;
	memcpy(s->stream->header, header, VMDK_SECTOR);
	s->stream->ended = 1;
	s->end_bytes = begin_bytes;
	return 0;
}

void stream_fini(struct vmdk_sparse *s)
{
	for (uint32_t i = 0; s->stream && s->stream->tables && i < s->directory_entries; i++)
		free(s->stream->tables[i]);
	if (s->stream)
		free(s->stream->tables);
	free(s->stream);
	s->stream = NULL;
}

uint32_t stream_entry(const struct vmdk_sparse *s, uint64_t grain)
{
	const uint32_t *table = s->stream && s->stream->tables ? s->stream->tables[grain / s->table_entries] : NULL;

	return table ? table[grain % s->table_entries] : 0;
}

static int table_make(struct vmdk_sparse *s, uint64_t grain)
{
	struct vmdk_stream *st = s->stream;
	uint32_t **table;

	if (!st->tables)
		st->tables = calloc(s->directory_entries, sizeof(*st->tables));
	if (!st->tables)
		return MT_ENOMEM;
	table = &st->tables[grain / s->table_entries];
	if (!*table)
		*table = calloc(s->table_entries, sizeof(**table));
	return *table ? 0 : MT_ENOMEM;
}

int32_t stream_reserve(struct vmdk *v, const struct mt_block_want *want, struct mt_block_target *target)
{
	struct vmdk_extent *x = &v->extents[0];
	struct vmdk_sparse *s = &x->sparse;
	uint64_t grain = want->offset / s->grain_bytes;
	int64_t slot;

	if (s->stream->torn)
		return MT_EIO;
	if (want->offset >= x->len_bytes || grain < s->stream->next_grain)
		return MT_EPERM;
	if (want->offset % s->grain_bytes || !want->encoded_bytes || want->encoded_bytes % VMDK_SECTOR)
		return MT_ENOTSUP;
	if ((s->end_bytes + want->encoded_bytes) / VMDK_SECTOR > UINT32_MAX)
		return MT_ENOSPC;
	if (table_make(s, grain) < 0 || (slot = vmdk_slot_take(v)) < 0)
		return MT_ENOMEM;
	v->pending[slot] = (struct vmdk_pending){ .extent = x, .grain = grain,
						  .sector = (uint32_t)(s->end_bytes / VMDK_SECTOR),
						  .encoded_bytes = want->encoded_bytes };
	*target = (struct mt_block_target){ .offset = want->offset, .len_bytes = want->len_bytes,
					    .child_offset = s->end_bytes, .cookie = (uint64_t)slot, .child = x->child };
	s->end_bytes += want->encoded_bytes;
	s->stream->next_grain = grain + 1;
	return 1;
}

void stream_commit(const struct vmdk_pending *p)
{
	struct vmdk_sparse *s = &p->extent->sparse;

	s->stream->tables[p->grain / s->table_entries][p->grain % s->table_entries] = p->sector;
	s->stream->changed = 1;
}

/* Only the last grain can be taken back: a gap would end the stream for whoever reads it in order. */
void stream_abort(const struct vmdk_pending *p)
{
	struct vmdk_sparse *s = &p->extent->sparse;
	uint64_t at = (uint64_t)p->sector * VMDK_SECTOR;

	if (at + p->encoded_bytes != s->end_bytes) {
		s->stream->torn = 1;
		return;
	}
	s->end_bytes = at;
	s->stream->next_grain = p->grain;
}

/* The end */

struct writing {
	const struct mt_sink *sink;
	uint64_t at;                         /* of what is in `chunk` */
	uint32_t used;
	uint8_t chunk[CHUNK];
};

static uint64_t sector_now(const struct writing *w)
{
	return (w->at + w->used) / VMDK_SECTOR;
}

static int write_out(struct writing *w)
{
	int rc = w->used ? w->sink->write(w->sink->arg, w->at, w->chunk, w->used) : 0;

	w->at += w->used;
	w->used = 0;
	return rc;
}

/* The next sector of zeros, to be filled; NULL: what was before it cannot be written. */
static uint8_t *sector_add(struct writing *w, int *rc)
{
	if (w->used == CHUNK)
		*rc = write_out(w);
	if (*rc < 0)
		return NULL;
	w->used += VMDK_SECTOR;
	return memset(w->chunk + w->used - VMDK_SECTOR, 0, VMDK_SECTOR);
}

static int put_marker(struct writing *w, uint64_t sectors, uint32_t type)
{
	int rc = 0;
	uint8_t *sector = sector_add(w, &rc);

	if (sector) {
		mt_put_le64(sector, sectors);
		mt_put_le32(sector + 12, type);
	}
	return rc;
}

static int put_entries(struct writing *w, const uint32_t *entries, uint64_t count)
{
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i < count; i += VMDK_SECTOR / 4) {
		uint8_t *sector = sector_add(w, &rc);

		for (uint64_t k = 0; sector && k < VMDK_SECTOR / 4 && i + k < count; k++)
			mt_put_le32(sector + 4 * k, entries[i + k]);
	}
	return rc;
}

static int put_tables(struct writing *w, const struct vmdk_sparse *s, uint32_t *directory)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && s->stream->tables && i < s->directory_entries; i++) {
		if (!s->stream->tables[i])
			continue;
		rc = put_marker(w, s->table_entries / (VMDK_SECTOR / 4), MARK_TABLE);
		if (rc == 0 && sector_now(w) + s->table_entries > UINT32_MAX)
			rc = MT_ENOSPC;
		directory[i] = (uint32_t)sector_now(w);
		if (rc == 0)
			rc = put_entries(w, s->stream->tables[i], s->table_entries);
	}
	return rc;
}

static int put_footer(struct writing *w, const struct vmdk_sparse *s, uint64_t directory_sector)
{
	int rc = put_marker(w, 1, MARK_FOOTER);
	uint8_t *sector = rc == 0 ? sector_add(w, &rc) : NULL;

	if (sector) {
		memcpy(sector, s->stream->header, VMDK_SECTOR);
		mt_put_le64(sector + AT_DIRECTORY, directory_sector);
		(void)sector_add(w, &rc);      /* a marker of nothing: the end */
	}
	return rc;
}

int stream_end(struct vmdk_sparse *s, const struct mt_sink *sink)
{
	uint32_t *directory = calloc(s->directory_entries, sizeof(*directory));
	struct writing *w = calloc(1, sizeof(*w));
	uint64_t sectors = (4ull * s->directory_entries + VMDK_SECTOR - 1) / VMDK_SECTOR, at = 0;
	int rc = directory && w ? 0 : MT_ENOMEM;

	if (s->stream->torn)
		rc = MT_EIO;
	if (rc == 0) {
		w->sink = sink;
		w->at = s->end_bytes;
		rc = put_tables(w, s, directory);
	}
	if (rc == 0)
		rc = put_marker(w, sectors, MARK_DIRECTORY);
	if (rc == 0) {
		at = sector_now(w);
		rc = put_entries(w, directory, s->directory_entries);
	}
	if (rc == 0)
		rc = put_footer(w, s, at);
	if (rc == 0)
		rc = write_out(w);
	if (rc == 0)
		rc = sink->resize(sink->arg, w->at);
	if (rc == 0) {
		s->stream->ended = 1;
		s->stream->changed = 0;
	}
	free(w);
	free(directory);
	return rc;
}
