/* SPDX-License-Identifier: MIT */
/*
 * Dirty bitmaps (specification, "Bitmaps extension"): what there are, and what they say. They are not kept up to date
 * by writes: while the image is open for writing each is marked as in use, which says that it must not be trusted,
 * and a close without a write takes the marks back. bitstore.c changes them. Exclusive, but for bitmaps_at.
 */
#include "qcow2.h"

#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

uint64_t bitmap_entry_bytes(const uint8_t *entry)
{
	return (BITMAP_NAME + (uint64_t)mt_get_be32(entry + BITMAP_EXTRA) + mt_get_be16(entry + BITMAP_NAME_SIZE) + 7) /
	       8 * 8;
}

const char *bitmap_name(const uint8_t *entry, uint32_t *len)
{
	*len = mt_get_be16(entry + BITMAP_NAME_SIZE);
	return (const char *)entry + BITMAP_NAME + mt_get_be32(entry + BITMAP_EXTRA);
}

static int is_whole(const struct bitmaps *b, uint32_t count)
{
	uint64_t at = 0;

	for (; count && b->len - at >= BITMAP_NAME && b->len - at >= bitmap_entry_bytes(b->dir + at); count--)
		at += bitmap_entry_bytes(b->dir + at);
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
	rc = !b->len || b->len > SNAPSHOT_TABLE_MAX || b->offset % q->cluster_bytes ||
	     !mt_range_inside(b->offset, b->len, q->host->child_bytes(q->inst, 0)) ? MT_EINVAL : 0;
	b->dir = rc == 0 ? malloc(b->len) : NULL;
	if (rc == 0)
		rc = b->dir ? q->host->child_read(q->inst, 0, b->offset, b->dir, b->len) : MT_ENOMEM;
	if (rc == 0 && !is_whole(b, mt_get_be32(e->data)))
		rc = MT_EINVAL;
	if (rc == 0)
		b->count = mt_get_be32(e->data);
	else
		bitmaps_fini(b);
	return rc;
}

void bitmaps_fini(struct bitmaps *b)
{
	free(b->dir);
	b->dir = NULL;
	b->len = 0;
	b->count = 0;
}

uint8_t *bitmaps_at(const struct bitmaps *b, uint32_t index)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < index && i < b->count; i++)
		at += bitmap_entry_bytes(b->dir + at);
	return index < b->count ? b->dir + at : NULL;
}

/* A table that cannot be one, or cannot be read, is passed over. */
int bitmap_each(struct qcow2 *q, const uint8_t *entry, bitmap_extent_fn *fn, void *arg)
{
	uint64_t offset = mt_get_be64(entry), *table;
	uint32_t entries = mt_get_be32(entry + BITMAP_TABLE_SIZE);
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
	for (uint64_t at = 0; rc == 0 && at < b->len; at += bitmap_entry_bytes(b->dir + at))
		rc = bitmap_each(q, b->dir + at, fn, arg);
	return rc;
}

/* In use */

int bitmap_in_use(const struct qcow2 *q, const uint8_t *entry)
{
	uint32_t flags = mt_get_be32(entry + BITMAP_FLAGS);

	return flags & BITMAP_IN_USE || (q->written && flags & BITMAP_AUTO);
}

static void mark(uint8_t *dir, uint64_t len, uint32_t of)
{
	for (uint64_t at = 0; at < len; at += bitmap_entry_bytes(dir + at)) {
		uint32_t flags = mt_get_be32(dir + at + BITMAP_FLAGS);

		if (flags & of || !of)
			mt_put_be32(dir + at + BITMAP_FLAGS, flags | BITMAP_IN_USE);
	}
}

void bitmaps_mark(uint8_t *dir, uint64_t len)
{
	mark(dir, len, BITMAP_AUTO);
}

int bitmaps_outdate(struct qcow2 *q)
{
	struct bitmaps *b = &q->bitmaps;
	int rc;

	if (!b->dir)
		return 0;
	mark(b->dir, b->len, 0);
	rc = q->host->child_write(q->inst, 0, b->offset, b->dir, b->len);
	return rc < 0 ? rc : q->host->child_flush(q->inst, 0);
}

int bitmaps_disown(struct qcow2 *q)
{
	struct bitmaps *b = &q->bitmaps;
	uint8_t *marked;
	int rc;

	bitmaps_fini(b);
	rc = bitmaps_load(q, b);

	if (rc == MT_EINVAL) {
		q->h.autoclear &= ~AUTOCLEAR_BITMAPS;
		return 0;
	}
	if (rc < 0 || !b->dir)
		return rc;
	marked = malloc(b->len);
	if (!marked)
		return MT_ENOMEM;
	memcpy(marked, b->dir, b->len);
	bitmaps_mark(marked, b->len);
	if (memcmp(marked, b->dir, b->len) != 0)
		rc = q->host->child_write(q->inst, 0, b->offset, marked, b->len);
	if (rc == 0)
		rc = q->host->child_flush(q->inst, 0);
	free(marked);
	return rc;
}

int bitmaps_restore(struct qcow2 *q)
{
	const struct bitmaps *b = &q->bitmaps;
	int rc = b->dir ? q->cache->flush(q->inst) : 0;

	if (rc == 0 && b->dir)
		rc = q->host->child_write(q->inst, 0, b->offset, b->dir, b->len);
	return rc < 0 || !b->dir ? rc : q->host->child_flush(q->inst, 0);
}

/* What they say */

uint64_t bitmap_len(const struct qcow2 *q, uint32_t bits)
{
	uint64_t n = (q->h.disk_bytes >> bits) + ((q->h.disk_bytes & ((1ull << bits) - 1)) != 0);

	return n / 8 + (n % 8 != 0);
}

static int read_cluster(struct qcow2 *q, uint64_t word, uint8_t *out, uint64_t len)
{
	uint64_t offset = word & ENTRY_OFFSET;

	if (!offset)
		memset(out, word & BITMAP_ALL_ONES ? 0xff : 0, len);
	return offset ? q->host->child_read(q->inst, 0, offset, out, len) : 0;
}

static int read_table(struct qcow2 *q, const uint64_t *table, uint8_t *out, uint64_t len)
{
	int rc = 0;

	for (uint64_t n; rc == 0 && len; table++, out += n, len -= n) {
		n = mt_min_u64(len, q->cluster_bytes);
		if (*table & BITMAP_RESERVED || (*table & ENTRY_OFFSET) % q->cluster_bytes)
			return MT_EINVAL;
		rc = read_cluster(q, *table, out, n);
	}
	return rc;
}

int bitmap_read(struct qcow2 *q, uint32_t index, uint8_t *out, uint64_t len, struct mt_error *err)
{
	const uint8_t *entry = bitmaps_at(&q->bitmaps, index);
	uint64_t *table;
	int rc = bitmap_usable(q, entry, err);

	if (rc < 0)
		return rc;
	if (len != bitmap_len(q, entry[BITMAP_BITS]) ||
	    mt_get_be32(entry + BITMAP_TABLE_SIZE) != qcow2_clusters(q, len) || mt_get_be64(entry) % q->cluster_bytes)
		return mt_error_set(err, MT_EINVAL, "bitmap", "the bitmap is not one of a disk of this size");
	table = table_load(q, mt_get_be64(entry), qcow2_clusters(q, len), &rc);
	if (rc == 0)
		rc = read_table(q, table, out, len);
	free(table);
	return rc < 0 ? mt_error_set(err, rc, "bitmap", "the bitmap cannot be read") : 0;
}

int bitmap_usable(const struct qcow2 *q, const uint8_t *entry, struct mt_error *err)
{
	uint32_t flags;

	if (!entry)
		return mt_error_set(err, MT_ERANGE, "bitmap", "there is no bitmap of this number");
	flags = mt_get_be32(entry + BITMAP_FLAGS);
	if (bitmap_in_use(q, entry))
		return mt_error_set(err, MT_EINVAL, "bitmap", "the bitmap is marked as in use: what was written since is not in "
				    "it, and it can only be removed");
	if (flags & ~BITMAP_FLAGS_KNOWN || entry[BITMAP_TYPE] != BITMAP_TYPE_DIRTY ||
	    entry[BITMAP_BITS] < BITMAP_BITS_MIN || entry[BITMAP_BITS] > BITMAP_BITS_MAX)
		return mt_error_set(err, MT_ENOTSUP, "bitmap", "the bitmap is of a kind that is not known here");
	if (mt_get_be32(entry + BITMAP_EXTRA) && !(flags & BITMAP_EXTRA_COMPATIBLE))
		return mt_error_set(err, MT_ENOTSUP, "bitmap", "the bitmap has extra data that are not known here");
	return 0;
}
