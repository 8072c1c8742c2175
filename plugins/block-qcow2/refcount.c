/* SPDX-License-Identifier: MIT */
/*
 * Reference counts: a table, in memory, of blocks of a cluster each, that come in slices. A block is made where its
 * first cluster is taken, in that cluster, so that it counts itself. A longer table is written behind everything,
 * and the header switches to it.
 */
#include "qcow2.h"

#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/minmax.h>

uint64_t refcount_max(uint32_t order)
{
	return order == 6 ? UINT64_MAX : (1ull << (1u << order)) - 1;
}

uint64_t refcount_read(const uint8_t *slice, uint32_t order, uint32_t index)
{
	switch (order) {
	case 3:
		return slice[index];
	case 4:
		return mt_get_be16(slice + 2 * index);
	case 5:
		return mt_get_be32(slice + 4 * index);
	case 6:
		return mt_get_be64(slice + 8 * index);
	default:
		return slice[index >> (3 - order)] >> ((index << order) & 7) & refcount_max(order);
	}
}

void refcount_write(uint8_t *slice, uint32_t order, uint32_t index, uint64_t value)
{
	uint8_t *at = slice + ((uint64_t)index << order >> 3);
	uint32_t shift = (index << order) & 7;

	switch (order) {
	case 3:
		*at = (uint8_t)value;
		break;
	case 4:
		mt_put_be16(at, (uint16_t)value);
		break;
	case 5:
		mt_put_be32(at, (uint32_t)value);
		break;
	case 6:
		mt_put_be64(at, value);
		break;
	default:
		*at = (uint8_t)((*at & ~(refcount_max(order) << shift)) | value << shift);
	}
}

uint64_t refcount_slice(const struct qcow2 *q)
{
	return ((uint64_t)q->slice_bytes * 8) >> q->h.refcount_order;
}

static uint32_t index_of(const struct qcow2 *q, uint64_t cluster)
{
	return (uint32_t)(cluster & (refcount_slice(q) - 1));
}

/* Where the slice is in its block. */
static uint64_t slice_offset(const struct qcow2 *q, uint64_t cluster)
{
	uint64_t in_block = cluster & ((1ull << q->block_bits) - 1);

	return in_block / refcount_slice(q) * q->slice_bytes;
}

static int is_block(const struct qcow2 *q, uint64_t offset)
{
	return offset % q->cluster_bytes == 0 && offset < HOST_OFFSET_MAX &&
	       (!q->meta.room || meta_at(&q->meta, offset / q->cluster_bytes) == META_BLOCK);
}

int refcount_page(struct qcow2 *q, uint64_t cluster, struct mt_block_page **page)
{
	uint64_t index = cluster >> q->block_bits;
	uint64_t offset = index < q->reftable_entries ? q->reftable[index] & REFTABLE_OFFSET : 0;

	if (!offset)
		return MT_ENOENT;
	if (!is_block(q, offset))
		return MT_EIO;
	return qcow2_page(q, q->block_cache, offset + slice_offset(q, cluster), 0, page);
}

uint64_t refcount_in(const struct qcow2 *q, const struct mt_block_page *page, uint64_t cluster)
{
	return refcount_read(page->data, q->h.refcount_order, index_of(q, cluster));
}

void refcount_put(struct qcow2 *q, struct mt_block_page *page, uint64_t cluster, uint64_t count)
{
	uint32_t order = q->h.refcount_order, index = index_of(q, cluster);

	refcount_write(page->data, order, index, count);
	q->cache->dirty(q->block_cache, page, (uint32_t)((uint64_t)index << order >> 3), order < 3 ? 1 : 1u << (order - 3),
			0);
}

int refcount_get(struct qcow2 *q, uint64_t cluster, uint64_t *count)
{
	struct mt_block_page *page;
	int rc = refcount_page(q, cluster, &page);

	*count = 0;
	if (rc < 0)
		return rc == MT_ENOENT ? 0 : rc;
	*count = refcount_in(q, page, cluster);
	q->cache->put(q->block_cache, page);
	return 0;
}

int refcount_change(struct qcow2 *q, uint64_t offset, uint64_t len, int by)
{
	uint64_t first = offset / q->cluster_bytes, last = (offset + len - 1) / q->cluster_bytes, count;

	for (uint64_t c = first; len && c <= last; c++) {
		struct mt_block_page *page;
		int rc = refcount_page(q, c, &page);

		if (rc < 0)
			return rc == MT_ENOENT ? MT_EIO : rc;
		count = refcount_in(q, page, c);
		if (count == 0)
			rc = MT_EIO;               /* in use, and not counted: the image is damaged */
		else if (by >= 0 && count >= refcount_max(q->h.refcount_order))
			rc = MT_ERANGE;
		else if (by < 0)
			space_drop(q, page, c);
		else if (by)
			refcount_put(q, page, c, count + 1);
		q->cache->put(q->block_cache, page);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Pages of a new block or table, all or none. */
struct pages {
	struct mt_block_page **list;
	uint64_t count;
	struct mt_block_cache *cache;
};

static void pages_put(struct qcow2 *q, struct pages *p)
{
	for (uint64_t i = 0; i < p->count; i++)
		q->cache->put(p->cache, p->list[i]);
	free(p->list);
}

static int pages_new(struct qcow2 *q, struct pages *p, struct mt_block_cache *cache, uint64_t offset, uint64_t len)
{
	*p = (struct pages){ calloc(len / q->slice_bytes, sizeof(struct mt_block_page *)), 0, cache };
	if (!p->list)
		return MT_ENOMEM;
	for (; p->count < len / q->slice_bytes; p->count++) {
		int rc = qcow2_page(q, cache, offset + p->count * q->slice_bytes, MT_BLOCK_PAGE_NEW, &p->list[p->count]);

		if (rc < 0) {
			pages_put(q, p);
			return rc;
		}
		memset(p->list[p->count]->data, 0, q->slice_bytes);
	}
	return 0;
}

static void pages_dirty(struct qcow2 *q, const struct pages *p)
{
	for (uint64_t i = 0; i < p->count; i++)
		q->cache->dirty(p->cache, p->list[i], 0, q->slice_bytes, 0);
}

/* Counts of blocks numbered from `first_block` on, whose pages are `p`. */
static void pages_count(struct qcow2 *q, struct pages *p, uint64_t first_block, uint64_t cluster)
{
	uint64_t at = cluster - (first_block << q->block_bits);

	refcount_write(p->list[at / refcount_slice(q)]->data, q->h.refcount_order, index_of(q, cluster), 1);
}

/* A block for the range of `cluster`, which is free as all of the range is, and becomes that block. */
static int block_make(struct qcow2 *q, uint64_t cluster)
{
	uint64_t index = cluster >> q->block_bits, entry = q->h.reftable_offset + 8 * index;
	uint64_t offset = cluster * q->cluster_bytes, slice = q->slice_bytes;
	struct mt_block_page *table;
	struct pages p;
	int rc = offset >= HOST_OFFSET_MAX ? MT_ENOSPC : qcow2_page(q, q->reftable_cache, entry / slice * slice, 0, &table);

	if (rc < 0)
		return rc;
	rc = pages_new(q, &p, q->block_cache, offset, q->cluster_bytes);
	if (rc == 0 && meta_add(&q->meta, cluster, 1, META_BLOCK) < 0) {
		pages_put(q, &p);
		rc = MT_ENOMEM;
	}
	if (rc == 0) {
		pages_count(q, &p, index, cluster);
		pages_dirty(q, &p);
		pages_put(q, &p);
		q->reftable[index] = offset;
		mt_put_be64(table->data + entry % slice, offset);
		q->cache->dirty(q->reftable_cache, table, (uint32_t)(entry % slice), 8, 0);
		q->end = mt_max_u64(q->end, cluster + 1);
	}
	q->cache->put(q->reftable_cache, table);
	return rc;
}

/* A longer table: `blocks` new blocks from cluster `start` on, then the table in `clusters`. */
struct longer {
	uint64_t start, first_block, blocks, clusters, entries;
};

static int plan(const struct qcow2 *q, struct longer *l)
{
	uint64_t per_cluster = q->cluster_bytes / 8, need;

	l->start = q->end;
	l->first_block = l->start >> q->block_bits;
	l->blocks = 1;
	l->clusters = (q->reftable_entries * 3 / 2) / per_cluster + 1;
	for (;;) {
		uint64_t last = (l->start + l->blocks + l->clusters - 1) >> q->block_bits;

		need = last + 1 - l->first_block;
		l->entries = l->clusters * per_cluster;
		if (need <= l->blocks && last < l->entries)
			break;
		if (last >= l->entries)
			l->clusters = (last + 1) / per_cluster + 1;
		l->blocks = mt_max_u64(l->blocks, need);
		if (l->clusters * q->cluster_bytes > REFTABLE_BYTES_MAX)
			return MT_ENOSPC;
	}
	return l->start + l->blocks + l->clusters > q->limit / q->cluster_bytes ? MT_ENOSPC : 0;
}

static int longer_meta(struct qcow2 *q, const struct longer *l)
{
	int rc = meta_add(&q->meta, l->start, l->blocks, META_BLOCK);

	return rc < 0 ? rc : meta_add(&q->meta, l->start + l->blocks, l->clusters, META_REFTABLE);
}

/* Everything is got: the change itself. */
static void longer_use(struct qcow2 *q, const struct longer *l, uint64_t *table, struct pages *blocks, struct pages *p)
{
	uint64_t old = q->h.reftable_offset, old_len = q->h.reftable_clusters * q->cluster_bytes;

	memcpy(table, q->reftable, q->reftable_entries * 8);
	for (uint64_t i = 0; i < l->blocks; i++)
		table[l->first_block + i] = (l->start + i) * q->cluster_bytes;
	for (uint64_t i = 0; i < l->entries; i++)
		mt_put_be64(p->list[i * 8 / q->slice_bytes]->data + i * 8 % q->slice_bytes, table[i]);
	for (uint64_t c = l->start; c < l->start + l->blocks + l->clusters; c++)
		pages_count(q, blocks, l->first_block, c);
	pages_dirty(q, blocks);
	pages_dirty(q, p);
	free(q->reftable);
	q->reftable = table;
	q->reftable_entries = l->entries;
	q->end = l->start + l->blocks + l->clusters;
	q->h.reftable_offset = (l->start + l->blocks) * q->cluster_bytes;
	q->h.reftable_clusters = (uint32_t)l->clusters;
	header_put(&q->h, q->header_page->data);
	q->cache->dirty(q->header_cache, q->header_page, HDR_REFTABLE_OFFSET, 12, 0);
	q->cache->forget(q->reftable_cache, old, old_len);
	space_retire(q, old, old_len);
	space_retire_end(q);
}

static int table_grow(struct qcow2 *q)
{
	struct pages blocks, table_pages;
	struct longer l;
	uint64_t *table;
	int rc = plan(q, &l);

	if (rc < 0)
		return rc;
	table = calloc(l.entries, 8);
	rc = table ? pages_new(q, &blocks, q->block_cache, l.start * q->cluster_bytes, l.blocks * q->cluster_bytes) :
	     MT_ENOMEM;
	if (rc < 0) {
		free(table);
		return rc;
	}
	rc = pages_new(q, &table_pages, q->reftable_cache, (l.start + l.blocks) * q->cluster_bytes,
		       l.clusters * q->cluster_bytes);
	if (rc == 0) {
		rc = longer_meta(q, &l);
		if (rc == 0)
			longer_use(q, &l, table, &blocks, &table_pages);
		pages_put(q, &table_pages);
	}
	if (rc < 0)
		free(table);
	pages_put(q, &blocks);
	return rc;
}

int refcount_page_make(struct qcow2 *q, uint64_t cluster, struct mt_block_page **page)
{
	int rc = refcount_page(q, cluster, page);

	if (rc != MT_ENOENT)
		return rc;
	if (cluster >> q->block_bits >= q->reftable_entries) {
		q->end = mt_max_u64(q->end, cluster);
		rc = table_grow(q);
	} else {
		rc = block_make(q, cluster);
	}
	return rc < 0 ? rc : refcount_page(q, cluster, page);
}
