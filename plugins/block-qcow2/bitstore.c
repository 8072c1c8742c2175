/* SPDX-License-Identifier: MIT */
/*
 * Changing dirty bitmaps. Each operation writes bits, table and directory beside what is there, switches over with the
 * header, and gives up the old then; what fails before leaves all as it was. The directory in the file says that all
 * are in use, that in memory is the true one, which bitmaps_restore writes. Exclusive.
 */
#include "qcow2.h"

#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

/* Giving back */

static int give_back(void *arg, uint64_t offset, uint64_t len)
{
	int rc = len ? refcount_change(arg, offset, len, -1) : 0;

	return rc < 0 ? rc : 1;
}

int bitmaps_free(struct qcow2 *q, const struct bitmaps *b)
{
	return bitmaps_each(q, b, give_back, q);
}

/* The directory */

/* A place for it, written with all marked. */
static int directory_write(struct qcow2 *q, struct bitmaps *b)
{
	uint64_t clusters = qcow2_clusters(q, b->len), cluster = 0;
	uint8_t *bytes = calloc(clusters, q->cluster_bytes);
	int rc = bytes ? space_take_all(q, clusters, &cluster) : MT_ENOMEM;

	if (rc == 0) {
		memcpy(bytes, b->dir, b->len);
		bitmaps_mark(bytes, b->len);
		b->offset = cluster * q->cluster_bytes;
		rc = q->host->child_write(q->inst, 0, b->offset, bytes, clusters * q->cluster_bytes);
	}
	free(bytes);
	return rc;
}

static int extension_set(struct qcow2 *q, const struct bitmaps *b)
{
	uint8_t bytes[EXT_BITMAPS_BYTES] = { 0 };

	mt_put_be32(bytes, b->count);
	mt_put_be64(bytes + 8, b->len);
	mt_put_be64(bytes + 16, b->offset);
	q->h.autoclear = b->count ? q->h.autoclear | AUTOCLEAR_BITMAPS : q->h.autoclear & ~AUTOCLEAR_BITMAPS;
	return header_ext_set(&q->h, EXT_BITMAPS, b->count ? bytes : NULL, sizeof(bytes));
}

/* `next` is the directory from now on, and `gone`, an entry of the old one, loses what it has. */
static int switch_over(struct qcow2 *q, struct bitmaps *next, const uint8_t *gone, struct mt_error *err)
{
	struct bitmaps old = q->bitmaps;
	int rc = next->len > SNAPSHOT_TABLE_MAX ? MT_ERANGE : next->count ? directory_write(q, next) : 0;

	if (rc == 0)
		rc = extension_set(q, next);
	if (rc == 0)
		rc = header_store_tight(q, err);
	if (rc < 0)
		return rc;
	q->bitmaps = *next;
	*next = (struct bitmaps){ 0 };
	if (old.len)
		rc = refcount_change(q, old.offset, old.len, -1);
	if (rc == 0 && gone)
		rc = bitmap_each(q, gone, give_back, q);
	bitmaps_fini(&old);
	return rc < 0 ? rc : q->cache->flush(q->inst);
}

/* A copy of the directory with `more` bytes of room; NULL: no memory. */
static uint8_t *copy(const struct bitmaps *b, uint64_t more)
{
	uint8_t *dir = calloc(1, b->len + more + 1);

	if (dir && b->len)
		memcpy(dir, b->dir, b->len);
	return dir;
}

/* An operation begins, and ends */

static int begin(struct qcow2 *q, struct mt_error *err)
{
	if (q->readonly || q->corrupt)
		return mt_error_set(err, MT_EPERM, "file", "the image can only be read");
	if (q->h.version < 3) {
		mt_error_set(err, MT_ENOTSUP, "file", "version 2 of the format has no bitmaps");
		mt_error_hint(err, "mortise img amend -o compat=1.1 makes it version 3");
		return MT_ENOTSUP;
	}
	if (q->written && q->bitmaps.dir)
		bitmaps_mark(q->bitmaps.dir, q->bitmaps.len);
	return 0;
}

/* What was taken on the way is given back, and what the file has is known: marked, where the header was the new one. */
static int mend(struct qcow2 *q, int rc)
{
	struct bitmaps now = { 0 };

	(void)repair_after(q, rc);
	if (q->l1 && bitmaps_load(q, &now) == 0 && (now.offset != q->bitmaps.offset || now.len != q->bitmaps.len)) {
		bitmaps_fini(&q->bitmaps);
		q->bitmaps = now;
	} else {
		bitmaps_fini(&now);
	}
	return rc;
}

static int end(struct qcow2 *q, int rc, struct bitmaps *next, struct mt_error *err)
{
	bitmaps_fini(next);
	if (rc == 0)
		return 0;
	if (!err || !err->code)
		mt_error_set(err, rc, "bitmap", rc == MT_ENOSPC ? "there is no room for the bitmap" : "the bitmap cannot be "
			     "written");
	return mend(q, rc);
}

/* The operations */

static uint32_t bits_of(uint64_t granularity)
{
	uint32_t bits = 0;

	while (bits < 63 && 1ull << bits < granularity)
		bits++;
	return 1ull << bits == granularity ? bits : 0;
}

static int name_taken(const struct bitmaps *b, const char *name, uint32_t len)
{
	uint32_t n;

	for (uint64_t at = 0; at < b->len; at += bitmap_entry_bytes(b->dir + at)) {
		const char *other = bitmap_name(b->dir + at, &n);

		if (n == len && memcmp(other, name, n) == 0)
			return 1;
	}
	return 0;
}

static int addable(const struct qcow2 *q, const struct mt_block_bitmap *what, uint32_t bits, struct mt_error *err)
{
	uint32_t len = (uint32_t)strnlen(what->name, sizeof(what->name));

	if (!len || len > BITMAP_NAME_MAX)
		return mt_error_set(err, MT_ERANGE, "bitmap", "the name of a bitmap has 1 to %u bytes", BITMAP_NAME_MAX);
	if (name_taken(&q->bitmaps, what->name, len))
		return mt_error_set(err, MT_EINVAL, "bitmap", "there is a bitmap '%.200s' already", what->name);
	if (bits < BITMAP_BITS_MIN || bits > BITMAP_BITS_MAX)
		return mt_error_set(err, MT_ERANGE, "granularity", "the granularity of a bitmap is a power of two from 512 to 2G");
	if (q->bitmaps.count >= BITMAPS_MAX)
		return mt_error_set(err, MT_ERANGE, "file", "there are %u bitmaps already", BITMAPS_MAX);
	if (!q->h.disk_bytes || qcow2_clusters(q, bitmap_len(q, bits)) > L1_BYTES_MAX / 8)
		return mt_error_set(err, MT_ERANGE, "granularity", "a bitmap of that granularity cannot cover a disk of %llu bytes",
				    (unsigned long long)q->h.disk_bytes);
	return 0;
}

static void entry_put(uint8_t *b, const struct mt_block_bitmap *what, uint32_t bits, uint64_t table, uint32_t entries)
{
	mt_put_be64(b, table);
	mt_put_be32(b + BITMAP_TABLE_SIZE, entries);
	mt_put_be32(b + BITMAP_FLAGS, what->flags & MT_BLOCK_BITMAP_ENABLED ? BITMAP_AUTO : 0);
	b[BITMAP_TYPE] = BITMAP_TYPE_DIRTY;
	b[BITMAP_BITS] = (uint8_t)bits;
	mt_put_be16(b + BITMAP_NAME_SIZE, (uint16_t)strlen(what->name));
	memcpy(b + BITMAP_NAME, what->name, strlen(what->name));
}

int bitmap_add(struct qcow2 *q, const struct mt_block_bitmap *what, struct mt_error *err)
{
	uint32_t bits = bits_of(what->granularity_bytes), entries;
	struct bitmaps next = { 0 };
	uint64_t *table, offset, more;
	int rc = begin(q, err);

	if (rc == 0)
		rc = addable(q, what, bits, err);
	if (rc < 0)
		return rc;
	entries = (uint32_t)qcow2_clusters(q, bitmap_len(q, bits));
	more = (BITMAP_NAME + strlen(what->name) + 7) / 8 * 8;
	table = calloc(entries, 8);
	next.dir = copy(&q->bitmaps, more);
	rc = table && next.dir ? table_l1_write(q, table, entries, &offset) : MT_ENOMEM;
	free(table);
	if (rc == 0) {
		entry_put(next.dir + q->bitmaps.len, what, bits, offset, entries);
		next.len = q->bitmaps.len + more;
		next.count = q->bitmaps.count + 1;
		rc = switch_over(q, &next, NULL, err);
	}
	return end(q, rc, &next, err);
}

int bitmap_remove(struct qcow2 *q, uint32_t index, struct mt_error *err)
{
	uint8_t *entry = bitmaps_at(&q->bitmaps, index), *gone;
	struct bitmaps next = { 0 };
	uint64_t at, len;
	int rc = begin(q, err);

	if (rc < 0)
		return rc;
	if (!entry)
		return mt_error_set(err, MT_ERANGE, "bitmap", "there is no bitmap of this number");
	at = (uint64_t)(entry - q->bitmaps.dir);
	len = bitmap_entry_bytes(entry);
	next.dir = copy(&q->bitmaps, 0);
	gone = malloc(len);
	if (!next.dir || !gone) {
		free(gone);
		return end(q, MT_ENOMEM, &next, err);
	}
	memcpy(gone, entry, len);
	memmove(next.dir + at, next.dir + at + len, q->bitmaps.len - at - len);
	next.len = q->bitmaps.len - len;
	next.count = q->bitmaps.count - 1;
	rc = switch_over(q, &next, gone, err);
	free(gone);
	return end(q, rc, &next, err);
}

/* The bitmap with other bits and flags, or the same where `table` or `flags` do not say otherwise. */
static int replace(struct qcow2 *q, uint32_t index, const uint64_t *table, int32_t flags, struct mt_error *err)
{
	const uint8_t *old = bitmaps_at(&q->bitmaps, index);
	struct bitmaps next = { .dir = copy(&q->bitmaps, 0), .len = q->bitmaps.len, .count = q->bitmaps.count };
	uint8_t *entry = next.dir ? bitmaps_at(&next, index) : NULL, *gone = NULL;
	uint64_t offset = mt_get_be64(old), len = bitmap_entry_bytes(old);
	int rc = entry ? 0 : MT_ENOMEM;

	if (rc == 0 && table) {
		gone = malloc(len);
		rc = gone ? table_l1_write(q, table, mt_get_be32(old + BITMAP_TABLE_SIZE), &offset) : MT_ENOMEM;
	}
	if (gone)
		memcpy(gone, old, len);
	if (rc == 0) {
		mt_put_be64(entry, offset);
		if (flags >= 0)
			mt_put_be32(entry + BITMAP_FLAGS, (uint32_t)flags);
		rc = switch_over(q, &next, gone, err);
	}
	free(gone);
	return end(q, rc, &next, err);
}

int bitmap_set_flags(struct qcow2 *q, uint32_t index, uint32_t flags, struct mt_error *err)
{
	const uint8_t *entry = bitmaps_at(&q->bitmaps, index);
	uint32_t now;
	int rc = begin(q, err);

	if (rc == 0)
		rc = bitmap_usable(q, entry, err);
	if (rc < 0)
		return rc;
	now = mt_get_be32(entry + BITMAP_FLAGS) & ~BITMAP_AUTO;
	return replace(q, index, NULL, (int32_t)(now | (flags & MT_BLOCK_BITMAP_ENABLED ? BITMAP_AUTO : 0)), err);
}

static int all_are(const uint8_t *bytes, uint64_t len, uint8_t value)
{
	return len == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* Bits of one table entry. A whole cluster of ones takes no space, as one of zeros. */
static int bits_write(struct qcow2 *q, const uint8_t *in, uint64_t n, uint64_t *entry, uint8_t *buffer)
{
	uint64_t cluster;
	int rc;

	*entry = 0;
	if (all_are(in, n, 0))
		return 0;
	*entry = BITMAP_ALL_ONES;
	if (n == q->cluster_bytes && all_are(in, n, 0xff))
		return 0;
	rc = space_take_all(q, 1, &cluster);
	if (rc < 0)
		return rc;
	memset(buffer, 0, q->cluster_bytes);
	memcpy(buffer, in, n);
	*entry = cluster * q->cluster_bytes;
	return q->host->child_write(q->inst, 0, *entry, buffer, q->cluster_bytes);
}

int bitmap_write(struct qcow2 *q, uint32_t index, const uint8_t *in, uint64_t len, struct mt_error *err)
{
	const uint8_t *entry = bitmaps_at(&q->bitmaps, index);
	struct bitmaps none = { 0 };
	uint64_t *table = NULL;
	uint8_t *buffer = NULL;
	uint32_t entries;
	int rc = begin(q, err);

	if (rc == 0)
		rc = bitmap_usable(q, entry, err);
	if (rc < 0)
		return rc;
	entries = mt_get_be32(entry + BITMAP_TABLE_SIZE);
	if (len != bitmap_len(q, entry[BITMAP_BITS]) || entries != qcow2_clusters(q, len) || entries > L1_BYTES_MAX / 8)
		return mt_error_set(err, MT_EINVAL, "bitmap", "the bitmap is not one of a disk of this size");
	table = calloc(entries + 1ull, 8);
	buffer = malloc(q->cluster_bytes);
	rc = table && buffer ? 0 : MT_ENOMEM;
	for (uint64_t i = 0; in && rc == 0 && i < entries; i++)
		rc = bits_write(q, in + i * q->cluster_bytes, mt_min_u64(len - i * q->cluster_bytes, q->cluster_bytes), &table[i],
				buffer);
	rc = rc < 0 ? end(q, rc, &none, err) : replace(q, index, table, -1, err);
	free(buffer);
	free(table);
	return rc;
}
