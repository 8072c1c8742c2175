/* SPDX-License-Identifier: MIT */
/*
 * Free clusters. Those that were given back, or were found by looking through the reference counts (a slice with each
 * allocation, so that nobody waits for it), come first; else the file grows. What is taken is counted at once.
 */
#include "qcow2.h"

#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/minmax.h>

#define SPARE_MAX 65536u                 /* runs that are remembered; others are found again after the next opening */
#define AHEAD_MIN (1u << 20)             /* of bytes by which the file is made longer: a quarter, within these */
#define AHEAD_MAX (64u << 20)
#define SKIP_MAX  4096u                  /* clusters behind the end that are in use, in one call */

static void spare_add(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
	struct run *last = q->spare_count ? &q->spare[q->spare_count - 1] : NULL;

	if (last && last->cluster + last->count == cluster) {
		last->count += count;
		return;
	}
	if (last && cluster + count == last->cluster) {
		last->cluster = cluster;
		last->count += count;
		return;
	}
	if (q->spare_count == q->spare_room) {
		uint32_t room = q->spare_room ? q->spare_room * 2 : 64;
		struct run *spare = room > SPARE_MAX ? NULL : realloc(q->spare, room * sizeof(*spare));

		if (!spare)
			return;
		q->spare = spare;
		q->spare_room = room;
	}
	q->spare[q->spare_count++] = (struct run){ cluster, count };
}

void space_forget(struct qcow2 *q, uint64_t offset, uint64_t len)
{
	if (q->l2_cache)
		q->cache->forget(q->l2_cache, offset, len);
	if (q->block_cache)
		q->cache->forget(q->block_cache, offset, len);
	if (q->reftable_cache)
		q->cache->forget(q->reftable_cache, offset, len);
	if (q->l1_cache)
		q->cache->forget(q->l1_cache, offset, len);
}

/* What lies at or behind scan_at is found there again. */
void space_free(struct qcow2 *q, uint64_t cluster)
{
	space_forget(q, cluster * q->cluster_bytes, q->cluster_bytes);
	meta_remove(&q->meta, cluster);
	if (q->packed / q->cluster_bytes == cluster)
		q->packed = 0;
	if (cluster < q->scan_at)
		spare_add(q, cluster, 1);
}

void space_drop(struct qcow2 *q, struct mt_block_page *page, uint64_t cluster)
{
	uint64_t count = refcount_in(q, page, cluster);

	if (!count)
		return;
	refcount_put(q, page, cluster, count - 1);
	if (count == 1)
		space_free(q, cluster);
}

void space_reset(struct qcow2 *q)
{
	q->spare_count = 0;
	q->scan_at = 0;
	q->packed = 0;
}

/* Taking */

/* Looks through a slice of counts for free clusters. 0: nothing more to look at, or it is not in memory yet. */
static int scan(struct qcow2 *q)
{
	uint64_t per_slice = refcount_slice(q), from = q->scan_at, to, c, start;
	struct mt_block_page *page;
	int rc;

	if (from >= q->end)
		return 0;
	to = mt_min_u64((from / per_slice + 1) * per_slice, q->end);
	rc = refcount_page(q, from, &page);
	if (rc == MT_ENOENT) {                   /* no block, so that all are free, and taking one makes the block */
		q->scan_at = mt_min_u64(((from >> q->block_bits) + 1) << q->block_bits, q->end);
		spare_add(q, from, q->scan_at - from);
		return 1;
	}
	if (rc < 0)
		return 0;
	for (c = from; c < to;) {
		for (start = c; c < to && refcount_in(q, page, c) == 0; c++)
			;
		if (c > start)
			spare_add(q, start, c - start);
		c += c == start;
	}
	q->scan_at = to;
	q->cache->put(q->block_cache, page);
	return 1;
}

/* Counts clusters of one slice that were looked up as free. MT_EIO: one of them has metadata, so its count lied. */
static int take(struct qcow2 *q, struct mt_block_page *page, uint64_t cluster, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (meta_at(&q->meta, cluster + i) != META_NONE)
			return qcow2_corrupt(q);
	}
	for (uint64_t i = 0; i < count; i++)
		refcount_put(q, page, cluster + i, 1);
	return 0;
}

static uint64_t slice_left(const struct qcow2 *q, uint64_t cluster)
{
	return refcount_slice(q) - cluster % refcount_slice(q);
}

/* From the last run. MT_ENOENT: there is none. */
static int take_spare(struct qcow2 *q, uint64_t want, uint64_t *cluster, uint64_t *count, struct mt_block_page **page)
{
	struct run *run = q->spare_count ? &q->spare[q->spare_count - 1] : NULL;
	uint64_t n = 0, first;
	int rc;

	if (!run)
		return MT_ENOENT;
	first = run->cluster;
	rc = refcount_page_make(q, first, page);
	if (rc < 0)
		return rc;
	want = mt_min_u64(mt_min_u64(want, run->count), slice_left(q, first));
	while (n < want && refcount_in(q, *page, first + n) == 0)
		n++;
	rc = n ? take(q, *page, first, n) : MT_EAGAIN;
	if (rc == 0 || n == 0) {
		run->cluster += n ? n : 1;         /* it became the block, or somebody else's */
		run->count -= n ? n : 1;
		q->spare_count -= !run->count;
	}
	if (rc < 0)
		q->cache->put(q->block_cache, *page);
	*cluster = first;
	*count = n;
	return rc;
}

/*
 * The file system lets writes that make a file longer go one at a time, which costs more than they do. So it is made
 * longer before them, without space for that; space_cut takes back what was too much.
 */
static void lengthen(struct qcow2 *q)
{
	uint64_t end = q->end * q->cluster_bytes, more = mt_max_u64(mt_min_u64(end / 4, AHEAD_MAX), AHEAD_MIN);
	uint64_t ahead = end + qcow2_clusters(q, more) * q->cluster_bytes;

	if (!q->slow_end || q->wait || end <= q->ahead)
		return;
	if (q->host->child_resize(q->inst, 0, ahead) == 0)
		q->ahead = ahead;
	else
		q->slow_end = 0;
}

void space_cut(struct qcow2 *q)
{
	uint64_t end = mt_max_u64(q->end, q->fresh) * q->cluster_bytes;       /* what was there at first, stays */

	if (q->ahead && q->host->child_bytes(q->inst, 0) > end)
		(void)q->host->child_resize(q->inst, 0, end);
	q->ahead = q->end < q->fresh ? end : 0;
}

static int take_end(struct qcow2 *q, uint64_t want, uint64_t *cluster, uint64_t *count, struct mt_block_page **page)
{
	for (uint32_t i = 0; i < SKIP_MAX; i++) {
		uint64_t n = 0, limit, first = q->end;
		int rc = first >= q->limit / q->cluster_bytes ? MT_ENOSPC : refcount_page_make(q, first, page);

		if (rc < 0)
			return rc;
		limit = q->end == first ? mt_min_u64(want, slice_left(q, first)) : 0;      /* else blocks took the place */
		limit = mt_min_u64(limit, q->limit / q->cluster_bytes - first);
		while (n < limit && refcount_in(q, *page, first + n) == 0)
			n++;
		rc = n ? take(q, *page, first, n) : 0;
		*cluster = first;
		*count = n;
		if (rc == 0 && limit)
			q->end += n ? n : 1;
		q->grown |= q->can_grow && rc == 0 && n > 0;
		if (rc == 0 && n) {
			lengthen(q);
			return 0;
		}
		q->cache->put(q->block_cache, *page);
		if (rc < 0)
			return rc;
	}
	return MT_EAGAIN;
}

int space_take(struct qcow2 *q, uint64_t want, uint64_t *cluster, uint64_t *count, struct mt_block_page **page,
	       int *fresh)
{
	int rc, all_scanned;

	*fresh = 0;
	if (q->corrupt)
		return MT_EIO;
	if (!q->spare_count)
		(void)scan(q);
	while (q->spare_count) {
		uint32_t runs = q->spare_count;
		uint64_t left = q->spare[runs - 1].count;

		rc = take_spare(q, want, cluster, count, page);
		if (rc != MT_EAGAIN || (runs == q->spare_count && left == q->spare[runs - 1].count))
			return rc;
	}
	all_scanned = q->scan_at == q->end;
	do
		rc = take_end(q, want, cluster, count, page);
	while (rc == MT_EAGAIN && q->wait);
	if (all_scanned)                         /* what was added is in use */
		q->scan_at = q->end;
	*fresh = rc == 0 && q->can_grow && *cluster >= q->fresh;
	return rc;
}

int space_take_all(struct qcow2 *q, uint64_t count, uint64_t *cluster)
{
	uint64_t got = 0, at, n;
	int rc = 0;

	while (got < count) {
		struct mt_block_page *page;

		rc = take_end(q, count - got, &at, &n, &page);
		if (rc == MT_EAGAIN)
			continue;
		if (rc < 0)
			break;
		q->cache->put(q->block_cache, page);
		if (got && *cluster + got != at) {   /* a block of refcounts lies between: begin anew behind it */
			rc = refcount_change(q, *cluster * q->cluster_bytes, got * q->cluster_bytes, -1);
			if (rc < 0)
				return rc;
			got = 0;
		}
		if (!got)
			*cluster = at;
		got += n;
	}
	if (rc < 0 && got)
		(void)refcount_change(q, *cluster * q->cluster_bytes, got * q->cluster_bytes, -1);
	return rc;
}

/* Encoded units */

static uint64_t encoded_max(const struct qcow2 *q)
{
	uint32_t bits = 62 - (q->h.cluster_bits - 8);

	return bits >= 56 ? HOST_OFFSET_MAX : 1ull << bits;
}

/* Another unit in a cluster that has some: one reference more. MT_ENOSPC: it has as many as can be counted. */
static int pack_share(struct qcow2 *q, uint64_t cluster, struct mt_block_page **page)
{
	uint64_t count;
	int rc = refcount_page(q, cluster, page);

	if (rc < 0)
		return rc == MT_ENOENT ? MT_ENOSPC : rc;
	count = refcount_in(q, *page, cluster);
	if (count && count < refcount_max(q->h.refcount_order)) {
		refcount_put(q, *page, cluster, count + 1);
		return 0;
	}
	q->cache->put(q->block_cache, *page);
	return MT_ENOSPC;
}

static void pack_end(struct qcow2 *q, uint64_t end)
{
	q->packed = end % q->cluster_bytes ? end : 0;
}

int space_pack(struct qcow2 *q, uint32_t bytes, uint64_t *offset, struct mt_block_page *pages[2])
{
	uint64_t room = q->packed ? q->cluster_bytes - q->packed % q->cluster_bytes : 0, cluster, count;
	int rc, fresh;

	pages[0] = pages[1] = NULL;
	*offset = q->packed;
	if (room >= bytes) {
		rc = pack_share(q, q->packed / q->cluster_bytes, &pages[0]);
		if (rc == 0)
			pack_end(q, *offset + bytes);
		if (rc != MT_ENOSPC)
			return rc;
		room = 0;
	}
	rc = space_take(q, 1, &cluster, &count, &pages[0], &fresh);
	if (rc < 0)
		return rc;
	*offset = cluster * q->cluster_bytes;
	if (room && q->packed + room == *offset) {       /* it begins in the last one's room */
		rc = pack_share(q, cluster - 1, &pages[1]);
		if (rc == 0)
			*offset -= room;
		else
			pages[1] = NULL;
	}
	if (*offset + bytes > encoded_max(q)) {
		space_drop(q, pages[0], cluster);
		q->cache->put(q->block_cache, pages[0]);
		if (pages[1]) {
			space_drop(q, pages[1], cluster - 1);
			q->cache->put(q->block_cache, pages[1]);
		}
		return MT_ENOSPC;
	}
	pack_end(q, *offset + bytes);
	return 0;
}

/* Giving up */

static int hold_back(struct qcow2 *q)
{
	if (q->held_count == q->held_room) {
		uint32_t room = q->held_room ? q->held_room * 2 : 64;
		struct mt_block_space *held = realloc(q->held, room * sizeof(*held));

		if (!held)
			return MT_ENOMEM;
		q->held = held;
		q->held_room = room;
	}
	q->held[q->held_count++] = q->retiring;
	return 0;
}

/* In an exclusive operation no I/O is under way: the space waits for space_release only. Without memory it leaks. */
void space_retire_end(struct qcow2 *q)
{
	q->retiring.cookie = q->epoch;
	if (q->retiring.len_bytes)
		(void)(q->wait ? hold_back(q) : q->host->retire(q->inst, &q->retiring));
	q->retiring = (struct mt_block_space){ 0 };
}

int space_release(struct qcow2 *q)
{
	int rc = q->held_count ? q->cache->flush(q->inst) : 0;

	if (rc == 0 && q->held_count)
		(void)space_retired(q, q->held, q->held_count);
	q->held_count = 0;
	return rc;
}

/* Neighbours become one item, but for the limits of slices: an item is dealt with in one go. */
static void retire_piece(struct qcow2 *q, uint64_t offset, uint64_t len)
{
	struct mt_block_space *now = &q->retiring;
	uint64_t slice = refcount_slice(q) * q->cluster_bytes;

	if (now->len_bytes && (now->offset + now->len_bytes != offset || offset % q->cluster_bytes ||
			       offset % slice == 0))
		space_retire_end(q);
	if (!now->len_bytes)
		now->offset = offset;
	now->len_bytes += len;
}

void space_retire(struct qcow2 *q, uint64_t offset, uint64_t len)
{
	uint64_t slice = refcount_slice(q) * q->cluster_bytes;

	while (len) {
		uint64_t n = mt_min_u64(len, slice - offset % slice);

		retire_piece(q, offset, n);
		offset += n;
		len -= n;
	}
}

/* One item lies in one slice. MT_EAGAIN: nothing is done. */
static int retired_one(struct qcow2 *q, const struct mt_block_space *item)
{
	uint64_t first = item->offset / q->cluster_bytes;
	uint64_t last = (item->offset + item->len_bytes - 1) / q->cluster_bytes, free_from = 0, free_count = 0;
	struct mt_block_page *page;
	int rc = item->cookie == q->epoch ? refcount_page(q, first, &page) : MT_ENOENT;

	if (rc < 0)
		return rc == MT_EAGAIN ? rc : 0;
	for (uint64_t c = first; c <= last; c++) {
		uint64_t count = refcount_in(q, page, c);

		space_drop(q, page, c);
		if (count != 1)
			continue;
		if (free_count && free_from + free_count != c) {
			q->host->child_discard(q->inst, 0, free_from * q->cluster_bytes, free_count * q->cluster_bytes);
			free_count = 0;
		}
		free_from = free_count ? free_from : c;
		free_count++;
	}
	if (free_count)
		q->host->child_discard(q->inst, 0, free_from * q->cluster_bytes, free_count * q->cluster_bytes);
	q->cache->put(q->block_cache, page);
	return 0;
}

int32_t space_retired(struct qcow2 *q, const struct mt_block_space *items, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (retired_one(q, &items[i]) == MT_EAGAIN)
			return i ? (int32_t)i : MT_EAGAIN;
	}
	return (int32_t)count;
}
