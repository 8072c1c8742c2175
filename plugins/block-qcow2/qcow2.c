/* SPDX-License-Identifier: MIT */
/* Opening and closing: the header, both tables that stay in memory, the caches, and what a writer owes the header. */
#include "qcow2.h"

#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#define BLOCK_CACHE (1u << 20)
#define SMALL_CACHE (256u << 10)
#define PAGES_MIN   64u

uint64_t qcow2_clusters(const struct qcow2 *q, uint64_t bytes)
{
	return (bytes >> q->h.cluster_bits) + ((bytes & (q->cluster_bytes - 1)) != 0);
}

uint64_t qcow2_l1_entries(const struct qcow2 *q, uint64_t bytes)
{
	uint64_t clusters = qcow2_clusters(q, bytes), per = 1ull << q->l2_bits;

	return clusters / per + (clusters % per != 0);
}

void qcow2_geometry(struct qcow2 *q)
{
	const struct qcow2_header *h = &q->h;

	q->cluster_bytes = 1ull << h->cluster_bits;
	q->entry_bytes = h->incompatible & INCOMPAT_EXTENDED_L2 ? 16 : 8;
	q->l2_bits = h->cluster_bits - (q->entry_bytes == 16 ? 4 : 3);
	q->slice_bytes = (uint32_t)mt_max_u64(mt_min_u64(q->cluster_bytes, 4096), q->cluster_bytes / QCOW2_SLICES);
	q->slice_entries = q->slice_bytes / q->entry_bytes;
	q->block_bits = h->cluster_bits + 3 - h->refcount_order;
	q->disk_bytes = h->disk_bytes;
}

/* A table of the file: aligned, and inside. The last cluster of a file may be short. */
static int table_fits(const struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
	uint64_t end = qcow2_clusters(q, q->host->child_bytes(q->inst, 0)) * q->cluster_bytes;

	return offset % q->cluster_bytes == 0 && mt_range_inside(offset, bytes, end);
}

static int check_tables(struct qcow2 *q, struct mt_error *err)
{
	const struct qcow2_header *h = &q->h;
	uint64_t refs = (uint64_t)h->reftable_clusters * q->cluster_bytes;

	if (h->l1_size > L1_BYTES_MAX / 8 || !table_fits(q, h->l1_offset, 8ull * h->l1_size))
		return mt_error_set(err, MT_EINVAL, "file", "the L1 table does not lie in the file, or is too long");
	if (h->disk_bytes > INT64_MAX || qcow2_l1_entries(q, h->disk_bytes) > h->l1_size)
		return mt_error_set(err, MT_EINVAL, "file", "the disk is larger than its L1 table can map");
	if (!h->reftable_clusters || refs > REFTABLE_BYTES_MAX || !table_fits(q, h->reftable_offset, refs))
		return mt_error_set(err, MT_EINVAL, "file", "the refcount table does not lie in the file, or is too long");
	return 0;
}

static int load_header(struct qcow2 *q, struct mt_error *err)
{
	uint64_t len = mt_min_u64(q->host->child_bytes(q->inst, 0), 1u << CLUSTER_BITS_MAX), used;
	uint8_t *bytes = malloc(len + 1), head[HDR_V2_BYTES] = { 0 };
	uint32_t bits;
	int rc = bytes ? q->host->child_read(q->inst, 0, 0, head, mt_min_u64(len, sizeof(head))) : MT_ENOMEM;

	bits = mt_get_be32(head + HDR_CLUSTER_BITS);
	used = bits <= CLUSTER_BITS_MAX ? mt_min_u64(len, 1ull << bits) : mt_min_u64(len, sizeof(head));
	if (rc == 0)
		rc = q->host->child_read(q->inst, 0, 0, bytes, used);
	if (rc < 0)
		mt_error_set(err, rc, "file", "the header cannot be read");
	else
		rc = header_parse(&q->h, bytes, used, err);
	free(bytes);
	return rc;
}

static int load_tables(struct qcow2 *q, struct mt_error *err)
{
	int rc;

	q->reftable_entries = q->h.reftable_clusters * q->cluster_bytes / 8;
	q->l1 = table_load(q, q->h.l1_offset, q->h.l1_size, &rc);
	if (rc == 0)
		q->reftable = table_load(q, q->h.reftable_offset, q->reftable_entries, &rc);
	return rc < 0 ? mt_error_set(err, rc, "file", "the tables of the image cannot be read") : 0;
}

/* Caches */

static int cache_make(struct qcow2 *q, struct mt_block_cache **cache, uint32_t page, uint64_t limit, uint32_t rank,
		      struct mt_error *err)
{
	if (*cache)
		return 0;
	*cache = q->cache->create(q->inst, 0, page, mt_max_u64(limit, (uint64_t)PAGES_MIN * page), rank, err);
	return *cache ? 0 : err && err->code ? err->code : MT_ENOMEM;
}

static int make_caches(struct qcow2 *q, struct mt_error *err)
{
	uint64_t l2 = mt_min_u64(qcow2_l1_entries(q, q->disk_bytes) * q->cluster_bytes, QCOW2_L2_CACHE);
	uint32_t blocks = q->h.compatible & COMPAT_LAZY ? RANK_L2 : RANK_BLOCKS;
	int rc = cache_make(q, &q->l2_cache, q->slice_bytes, l2, RANK_L2, err);

	if (rc == 0 && !q->readonly)
		rc = cache_make(q, &q->header_cache, 512, 0, RANK_HEADER, err);
	if (rc == 0 && !q->readonly)
		rc = cache_make(q, &q->l1_cache, q->slice_bytes, SMALL_CACHE, RANK_L1, err);
	if (rc == 0 && !q->readonly)
		rc = cache_make(q, &q->reftable_cache, q->slice_bytes, SMALL_CACHE, RANK_REFTABLE, err);
	/* a check of a read-only image looks at the counts too */
	if (rc == 0)
		rc = cache_make(q, &q->block_cache, q->slice_bytes, BLOCK_CACHE, blocks, err);
	if (rc == 0 && q->header_cache && !q->header_page &&
	    q->cache->get(q->header_cache, 0, MT_BLOCK_PAGE_WAIT, &q->header_page) < 0)
		rc = mt_error_set(err, MT_EIO, "file", "the header cannot be read");
	return rc;
}

/* Where the metadata are, for a writer to keep away from. */

static int meta_of_snapshots(struct qcow2 *q)
{
	int rc = 0;

	if (q->h.snapshot_count)
		rc = meta_add(&q->meta, q->h.snapshot_offset / q->cluster_bytes,
			      qcow2_clusters(q, q->snapshot_table_bytes), META_SNAPSHOT);
	for (uint32_t i = 0; rc == 0 && i < q->h.snapshot_count; i++)
		rc = meta_add(&q->meta, q->snapshots[i].l1_offset / q->cluster_bytes,
			      qcow2_clusters(q, 8ull * q->snapshots[i].l1_size), META_L1);
	return rc;
}

static int meta_find(struct qcow2 *q)
{
	int rc = meta_add(&q->meta, 0, 1, META_HEADER);

	if (rc == 0)
		rc = meta_add(&q->meta, q->h.l1_offset / q->cluster_bytes, qcow2_clusters(q, 8ull * q->h.l1_size), META_L1);
	if (rc == 0)
		rc = meta_add(&q->meta, q->h.reftable_offset / q->cluster_bytes, q->h.reftable_clusters, META_REFTABLE);
	for (uint64_t i = 0; rc == 0 && i < q->reftable_entries; i++) {
		if (q->reftable[i])
			rc = meta_add(&q->meta, q->reftable[i] / q->cluster_bytes, 1, META_BLOCK);
	}
	for (uint64_t i = 0; rc == 0 && i < q->h.l1_size; i++) {
		if (q->l1[i] & ENTRY_OFFSET)
			rc = meta_add(&q->meta, (q->l1[i] & ENTRY_OFFSET) / q->cluster_bytes, 1, META_L2);
	}
	return rc < 0 ? rc : meta_of_snapshots(q);
}

/* What is in use, by the counts: a device has its length from the beginning, a killed writer leaves a longer file. */
static int find_end(struct qcow2 *q, uint64_t *end)
{
	uint64_t per_slice = refcount_slice(q), c = mt_min_u64(*end, q->reftable_entries << q->block_bits);

	for (*end = 0; c; c = (c - 1) / per_slice * per_slice) {
		struct mt_block_page *page;
		int rc = refcount_page(q, c - 1, &page);

		if (rc == MT_ENOENT)
			continue;
		if (rc < 0)
			return rc;
		for (uint64_t i = c; i-- > (c - 1) / per_slice * per_slice && !*end;)
			*end = refcount_in(q, page, i) ? i + 1 : 0;
		q->cache->put(q->block_cache, page);
		if (*end)
			break;
	}
	return 0;
}

static int find_limits(struct qcow2 *q, uint64_t bytes)
{
	uint64_t end = qcow2_clusters(q, bytes);
	int wait = q->wait, rc;

	q->end = q->fresh = end;
	q->limit = q->can_grow ? HOST_OFFSET_MAX : bytes;
	q->ahead = 0;
	q->wait = 1;
	rc = find_end(q, &end);
	q->wait = wait;
	if (q->can_grow && (rc < 0 || end == 0))         /* a check may mend it, and until then it grows */
		return 0;
	if (end < q->end)
		q->ahead = bytes;
	q->end = end;
	return rc;
}

static int start_writing(struct qcow2 *q, struct mt_error *err)
{
	uint64_t bytes = q->host->child_bytes(q->inst, 0);

	meta_fini(&q->meta);
	if (meta_find(q) < 0)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	/* as a writer that was killed leaves it: the close fills it up, be no more clusters taken */
	q->grown |= q->can_grow && bytes % q->cluster_bytes;
	space_reset(q);
	return find_limits(q, bytes) < 0 ? mt_error_set(err, MT_EIO, "file", "the reference counts cannot be read") : 0;
}

static void unload(struct qcow2 *q)
{
	snapshots_fini(q);
	header_fini(&q->h);
	free(q->l1);
	free(q->reftable);
	q->l1 = q->reftable = NULL;
}

static int load(struct qcow2 *q, struct mt_error *err)
{
	int rc = load_header(q, err);

	if (rc < 0)
		return rc;
	qcow2_geometry(q);
	rc = check_tables(q, err);
	if (rc == 0)
		rc = load_tables(q, err);
	return rc < 0 ? rc : snapshots_load(q, err);
}

/*
 * What could not be written stays in memory, so it is tried again. If that fails too the tables of the file are older
 * than ours, which would be lost with them: nothing is written to the disk any more.
 */
static int flush_twice(struct qcow2 *q)
{
	int rc = q->cache->flush(q->inst);

	if (rc < 0)
		rc = q->cache->flush(q->inst);
	q->corrupt |= rc < 0;
	return rc;
}

int qcow2_revert(struct qcow2 *q)
{
	uint8_t header[512];
	int rc = q->host->child_read(q->inst, 0, 0, header, sizeof(header));

	if (rc < 0)
		return rc;
	space_forget(q, 0, INT64_MAX);
	memcpy(q->header_page->data, header, sizeof(header));
	q->held_count = 0;                       /* what was given up is not */
	q->retiring = (struct mt_block_space){ 0 };
	return 0;
}

int qcow2_reload(struct qcow2 *q, struct mt_error *err)
{
	int rc = flush_twice(q);

	if (rc < 0)
		return rc;
	unload(q);
	rc = load(q, NULL);
	if (rc < 0) {                            /* once more: without tables the disk is lost until it is opened again */
		unload(q);
		rc = load(q, err);
	}
	q->corrupt = rc < 0 || q->h.incompatible & INCOMPAT_CORRUPT;
	return rc < 0 || q->readonly ? rc : start_writing(q, err);
}

static int mend(struct qcow2 *q, struct mt_error *err)
{
	struct mt_block_check check = { .size = sizeof(check) };
	int rc;

	q->wait = 1;
	rc = qcow2_check(q, MT_BLOCK_CHECK_ALL | MT_BLOCK_CHECK_LEAKS, &check, NULL, NULL, err);
	q->wait = 0;
	if (rc == 0 && check.corruptions > check.corruptions_fixed)
		rc = mt_error_set(err, MT_EIO, "file", "the image was not closed, and could not be repaired");
	return rc;
}

int qcow2_open(struct qcow2 *q, struct mt_error *err)
{
	int rc = load(q, err);

	if (rc < 0)
		return rc;
	q->corrupt = (q->h.incompatible & INCOMPAT_CORRUPT) != 0;
	q->codec = codec_new(q->h.compression);
	if (!q->codec)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	rc = make_caches(q, err);
	if (rc == 0 && !q->readonly)
		rc = start_writing(q, err);
	if (rc == 0 && !q->readonly && !q->corrupt && q->h.incompatible & INCOMPAT_DIRTY)
		rc = mend(q, err);
	if (rc == 0)
		(void)bitmaps_load(q, &q->bitmaps);        /* a check tells what is wrong with them */
	return rc;
}

int qcow2_corrupt(struct qcow2 *q)
{
	q->corrupt = 1;
	if (q->header_page && q->h.version >= 3 && !(q->h.incompatible & INCOMPAT_CORRUPT)) {
		q->h.incompatible |= INCOMPAT_CORRUPT;
		header_put(&q->h, q->header_page->data);
		q->cache->dirty(q->header_cache, q->header_page, HDR_INCOMPATIBLE, 8, 0);
	}
	return MT_EIO;
}

/* The sector goes around the cache, which has it too: both are the same afterwards. */
static int header_write(struct qcow2 *q)
{
	int rc;

	header_put(&q->h, q->header_page->data);
	rc = q->host->child_write(q->inst, 0, 0, q->header_page->data, 512);
	return rc < 0 ? rc : q->host->child_flush(q->inst, 0);
}

int qcow2_mark(struct qcow2 *q, uint64_t set, uint64_t clear)
{
	int rc;

	if (q->h.version < 3 || !q->header_page)
		return 0;
	rc = q->cache->flush(q->inst);
	q->h.incompatible = (q->h.incompatible | set) & ~clear;
	return rc < 0 ? rc : header_write(q);
}

/* Bits that we do not keep true go before the first write; the extensions that they speak of stay. */
int qcow2_wake(struct qcow2 *q)
{
	uint64_t bits = q->h.autoclear;
	int rc;

	if (q->readonly || q->corrupt || q->awake || !q->header_page)
		return 0;
	rc = bitmaps_disown(q);
	q->h.autoclear &= AUTOCLEAR_BITMAPS;
	if (rc == 0 && q->h.autoclear != bits)
		rc = header_write(q);
	if (rc < 0)
		q->h.autoclear = bits;
	q->awake = rc == 0;
	return rc;
}

/* The last cluster may lie there in part, or in a table only: other readers refuse what ends inside of one. */
static void fill_up(struct qcow2 *q)
{
	uint64_t bytes, end;

	space_cut(q);
	bytes = q->host->child_bytes(q->inst, 0);
	end = qcow2_clusters(q, bytes);
	end = mt_max_u64(end, q->end) * q->cluster_bytes;
	if (end > bytes)
		(void)q->host->child_resize(q->inst, 0, end);
}

/* What tables will point to is in the file. */
void qcow2_flush(struct qcow2 *q)
{
	uint64_t end = q->end * q->cluster_bytes;

	if (q->grown && !q->corrupt && !q->wait && end > q->ahead && q->host->child_bytes(q->inst, 0) < end)
		(void)q->host->child_resize(q->inst, 0, end);
}

int qcow2_rest(struct qcow2 *q)
{
	int rc = 0;

	if (q->readonly || q->corrupt)
		return 0;
	if (q->awake && !q->written)
		rc = bitmaps_restore(q);
	if (q->grown)
		fill_up(q);
	if (rc == 0 && q->lazy_marked)
		rc = qcow2_mark(q, 0, INCOMPAT_DIRTY);
	if (rc == 0)
		q->awake = q->lazy_marked = 0;
	return rc;
}

/* What fails leaves bitmaps in use, or an image that the next writer repairs. */
void qcow2_close(struct qcow2 *q)
{
	(void)qcow2_rest(q);
	if (q->header_page)
		q->cache->put(q->header_cache, q->header_page);
	q->header_page = NULL;
}

void qcow2_fini(struct qcow2 *q)
{
	unload(q);
	bitmaps_fini(&q->bitmaps);
	meta_fini(&q->meta);
	codec_free(q->codec);
	free(q->spare);
	free(q->held);
	free(q->pending);
}
