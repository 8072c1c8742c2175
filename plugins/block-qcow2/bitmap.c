/* SPDX-License-Identifier: MIT */
/*
 * Dirty bitmaps of other programs (specification, "Bitmaps extension"). They are not kept up to date here: before the
 * first write each is marked as in use, which says that it must not be trusted, and its clusters stay accounted for.
 * Exclusive.
 */
#include "qcow2.h"

#include <stdlib.h>
#include <util/checked.h>
#include <util/endian.h>

#define ENTRY_BYTES 24u                  /* of the directory, before extra data and name */
#define FLAG_IN_USE 1u

static uint64_t entry_bytes(const uint8_t *entry)
{
	return (ENTRY_BYTES + (uint64_t)mt_get_be32(entry + 20) + mt_get_be16(entry + 18) + 7) / 8 * 8;
}

static int is_whole(const struct bitmaps *b, uint32_t count)
{
	uint64_t at = 0;

	for (; count && b->len - at >= ENTRY_BYTES && b->len - at >= entry_bytes(b->dir + at); count--)
		at += entry_bytes(b->dir + at);
	return count == 0 && at == b->len;
}

int bitmaps_load(struct qcow2 *q, struct bitmaps *b)
{
	const struct qcow2_ext *e = header_ext(&q->h, EXT_BITMAPS);
	int rc;

	*b = (struct bitmaps){ 0 };
	if (!(q->h.autoclear & AUTOCLEAR_BITMAPS) || !e || e->len < EXT_BITMAPS_BYTES)
		return 0;
	b->len = mt_get_be64(e->data + 8);
	b->offset = mt_get_be64(e->data + 16);
	if (!b->len || b->len > SNAPSHOT_TABLE_MAX || b->offset % q->cluster_bytes ||
	    !mt_range_inside(b->offset, b->len, q->host->child_bytes(q->inst, 0)))
		return MT_EINVAL;
	b->dir = malloc(b->len);
	rc = b->dir ? q->host->child_read(q->inst, 0, b->offset, b->dir, b->len) : MT_ENOMEM;
	if (rc == 0 && !is_whole(b, mt_get_be32(e->data)))
		rc = MT_EINVAL;
	if (rc < 0)
		bitmaps_fini(b);
	return rc;
}

void bitmaps_fini(struct bitmaps *b)
{
	free(b->dir);
	b->dir = NULL;
	b->len = 0;
}

/* A table that cannot be one, or cannot be read, is passed over. */
static int table_each(struct qcow2 *q, const uint8_t *entry, bitmap_extent_fn *fn, void *arg)
{
	uint64_t offset = mt_get_be64(entry), *table;
	uint32_t entries = mt_get_be32(entry + 8);
	int rc, go;

	if (entries > L1_BYTES_MAX / 8 || offset % q->cluster_bytes)
		return 0;
	go = fn(arg, offset, 8ull * entries);
	if (go <= 0)
		return go;
	table = table_load(q, offset, entries, &rc);
	for (uint32_t i = 0; rc == 0 && i < entries; i++) {
		if (table[i] & ENTRY_OFFSET && fn(arg, table[i] & ENTRY_OFFSET, q->cluster_bytes) < 0)
			rc = MT_EIO;
	}
	free(table);
	return rc == MT_ENOMEM ? rc : 0;
}

int bitmaps_each(struct qcow2 *q, const struct bitmaps *b, bitmap_extent_fn *fn, void *arg)
{
	int rc = b->dir ? fn(arg, b->offset, b->len) : 0;

	if (rc <= 0)
		return rc;
	rc = 0;
	for (uint64_t at = 0; rc == 0 && at < b->len; at += entry_bytes(b->dir + at))
		rc = table_each(q, b->dir + at, fn, arg);
	return rc;
}

int bitmaps_disown(struct qcow2 *q)
{
	struct bitmaps b;
	int rc = bitmaps_load(q, &b), changed = 0;

	if (rc == MT_EINVAL) {
		q->h.autoclear &= ~AUTOCLEAR_BITMAPS;
		return 0;
	}
	for (uint64_t at = 0; at < b.len; at += entry_bytes(b.dir + at)) {
		uint32_t flags = mt_get_be32(b.dir + at + 12);

		changed |= !(flags & FLAG_IN_USE);
		mt_put_be32(b.dir + at + 12, flags | FLAG_IN_USE);
	}
	if (rc == 0 && changed)
		rc = q->host->child_write(q->inst, 0, b.offset, b.dir, b.len);
	if (rc == 0 && changed)
		rc = q->host->child_flush(q->inst, 0);
	bitmaps_fini(&b);
	return rc;
}

static int give_back(void *arg, uint64_t offset, uint64_t len)
{
	int rc = len ? refcount_change(arg, offset, len, -1) : 0;

	return rc < 0 ? rc : 1;
}

int bitmaps_free(struct qcow2 *q, const struct bitmaps *b)
{
	return bitmaps_each(q, b, give_back, q);
}
