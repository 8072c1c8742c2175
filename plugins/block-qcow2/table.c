/* SPDX-License-Identifier: MIT */
/*
 * L1 and L2 tables. A table that a snapshot shares is copied before its first change; the old one is given up, which
 * for the snapshot means one reference less.
 */
#include "qcow2.h"

#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/minmax.h>

/* Entries */

void table_encoded(const struct qcow2 *q, uint64_t entry, uint64_t *offset, uint64_t *len)
{
	uint32_t bits = 62 - (q->h.cluster_bits - 8);
	uint64_t sectors = (entry & ~ENTRY_COMPRESSED & ~ENTRY_COPIED) >> bits;

	*offset = entry & ((1ull << bits) - 1) & (HOST_OFFSET_MAX - 1);
	*len = (sectors + 1) * 512 - *offset % 512;
}

uint64_t table_entry(const struct qcow2 *q, const uint8_t *slice, uint32_t index)
{
	return mt_get_be64(slice + (uint64_t)index * q->entry_bytes);
}

uint64_t table_bitmap(const struct qcow2 *q, const uint8_t *slice, uint32_t index)
{
	return q->entry_bytes == 16 ? mt_get_be64(slice + (uint64_t)index * 16 + 8) : 0;
}

void table_set(struct qcow2 *q, struct mt_block_page *page, uint32_t index, uint64_t entry, uint64_t bitmap,
	       uint32_t flags)
{
	uint8_t *at = page->data + (uint64_t)index * q->entry_bytes;

	mt_put_be64(at, entry);
	if (q->entry_bytes == 16)
		mt_put_be64(at + 8, bitmap);
	q->cache->dirty(q->l2_cache, page, index * q->entry_bytes, q->entry_bytes, flags);
}

/* Slices */

static uint64_t l1_index(const struct qcow2 *q, uint64_t cluster)
{
	return cluster >> q->l2_bits;
}

static uint64_t slice_offset(const struct qcow2 *q, uint64_t cluster)
{
	uint64_t in_table = cluster & ((1ull << q->l2_bits) - 1);

	return in_table / q->slice_entries * q->slice_bytes;
}

static int is_table(const struct qcow2 *q, uint64_t entry)
{
	uint64_t offset = entry & ENTRY_OFFSET;

	return offset % q->cluster_bytes == 0 && !(entry & L1_RESERVED);
}

int table_slice(struct qcow2 *q, uint64_t cluster, struct mt_block_page **page, uint32_t *index)
{
	uint64_t at = l1_index(q, cluster), entry = at < q->h.l1_size ? q->l1[at] : 0;

	*index = (uint32_t)(cluster % q->slice_entries);
	if (!(entry & ENTRY_OFFSET))
		return MT_ENOENT;
	if (!is_table(q, entry))
		return MT_EIO;
	return qcow2_page(q, q->l2_cache, (entry & ENTRY_OFFSET) + slice_offset(q, cluster), 0, page);
}

/* A new table, empty or a copy. */
struct fresh_table {
	struct mt_block_page *l1, *old[QCOW2_SLICES], *new[QCOW2_SLICES], *block;
	uint64_t cluster;
	uint32_t old_count, new_count;
};

static uint64_t l1_entry_offset(const struct qcow2 *q, uint64_t index)
{
	return q->h.l1_offset + 8 * index;
}

static void fresh_put(struct qcow2 *q, struct fresh_table *t)
{
	for (uint32_t i = 0; i < t->old_count; i++)
		q->cache->put(q->l2_cache, t->old[i]);
	for (uint32_t i = 0; i < t->new_count; i++)
		q->cache->put(q->l2_cache, t->new[i]);
	if (t->block)
		q->cache->put(q->block_cache, t->block);
	if (t->l1)
		q->cache->put(q->l1_cache, t->l1);
}

static int fresh_get(struct qcow2 *q, struct fresh_table *t, uint64_t index)
{
	uint64_t at = l1_entry_offset(q, index), old = q->l1[index] & ENTRY_OFFSET, count;
	uint32_t slices = (uint32_t)(q->cluster_bytes / q->slice_bytes);
	int fresh, rc = qcow2_page(q, q->l1_cache, at / q->slice_bytes * q->slice_bytes, 0, &t->l1);

	if (rc < 0)
		t->l1 = NULL;
	for (; rc == 0 && old && t->old_count < slices; t->old_count += rc == 0)
		rc = qcow2_page(q, q->l2_cache, old + t->old_count * q->slice_bytes, 0, &t->old[t->old_count]);
	if (rc == 0)
		rc = space_take(q, 1, &t->cluster, &count, &t->block, &fresh);
	if (rc < 0) {
		t->block = NULL;
		return rc;
	}
	for (; rc == 0 && t->new_count < slices; t->new_count += rc == 0)
		rc = qcow2_page(q, q->l2_cache, t->cluster * q->cluster_bytes + t->new_count * q->slice_bytes,
				MT_BLOCK_PAGE_NEW, &t->new[t->new_count]);
	if (rc == 0)
		rc = meta_add(&q->meta, t->cluster, 1, META_L2);
	if (rc < 0)
		space_drop(q, t->block, t->cluster);
	return rc;
}

/* Nothing that a shared table leads to is ours alone, whatever its flags say. */
static void copy_slice(const struct qcow2 *q, uint8_t *to, const uint8_t *from)
{
	memcpy(to, from, q->slice_bytes);
	for (uint32_t i = 0; i < q->slice_entries; i++)
		to[(uint64_t)i * q->entry_bytes] &= 0x7f;
}

static int table_make(struct qcow2 *q, uint64_t index)
{
	struct fresh_table t = { 0 };
	uint64_t old = q->l1[index] & ENTRY_OFFSET, at = l1_entry_offset(q, index);
	int rc = old && !is_table(q, q->l1[index]) ? qcow2_corrupt(q) : fresh_get(q, &t, index);

	if (rc == 0) {
		for (uint32_t i = 0; i < t.new_count; i++) {
			if (old)
				copy_slice(q, t.new[i]->data, t.old[i]->data);
			else
				memset(t.new[i]->data, 0, q->slice_bytes);
			q->cache->dirty(q->l2_cache, t.new[i], 0, q->slice_bytes, 0);
		}
		q->l1[index] = t.cluster * q->cluster_bytes | ENTRY_COPIED;
		mt_put_be64(t.l1->data + at % q->slice_bytes, q->l1[index]);
		q->cache->dirty(q->l1_cache, t.l1, (uint32_t)(at % q->slice_bytes), 8, 0);
	}
	fresh_put(q, &t);
	if (rc == 0 && old) {
		meta_remove(&q->meta, old / q->cluster_bytes);
		space_retire(q, old, q->cluster_bytes);
		space_retire_end(q);
	}
	return rc;
}

int table_slice_own(struct qcow2 *q, uint64_t cluster, struct mt_block_page **page, uint32_t *index)
{
	uint64_t at = l1_index(q, cluster), entry;
	int rc;

	if (q->corrupt)
		return MT_EIO;
	if (at >= q->h.l1_size)
		return MT_ERANGE;
	if (!(q->l1[at] & ENTRY_COPIED) || !(q->l1[at] & ENTRY_OFFSET)) {
		rc = table_make(q, at);
		if (rc < 0)
			return rc;
	}
	entry = q->l1[at];
	if (!is_table(q, entry) || meta_at(&q->meta, (entry & ENTRY_OFFSET) / q->cluster_bytes) != META_L2)
		return qcow2_corrupt(q);
	return table_slice(q, cluster, page, index);
}

int table_drop(struct qcow2 *q, uint64_t index)
{
	uint64_t at = l1_entry_offset(q, index), table = q->l1[index] & ENTRY_OFFSET;
	struct mt_block_page *page;
	int rc;

	if (!table)
		return 0;
	rc = qcow2_page(q, q->l1_cache, at / q->slice_bytes * q->slice_bytes, 0, &page);
	if (rc < 0)
		return rc;
	q->l1[index] = 0;
	mt_put_be64(page->data + at % q->slice_bytes, 0);
	q->cache->dirty(q->l1_cache, page, (uint32_t)(at % q->slice_bytes), 8, 0);
	q->cache->put(q->l1_cache, page);
	meta_remove(&q->meta, table / q->cluster_bytes);
	space_retire(q, table, q->cluster_bytes);
	return 0;
}

/* Whole L1 tables */

uint64_t *table_load(struct qcow2 *q, uint64_t offset, uint64_t entries, int *rc)
{
	uint64_t *table = malloc(entries * 8 + 8);

	*rc = table ? q->host->child_read(q->inst, 0, offset, table, entries * 8) : MT_ENOMEM;
	if (*rc < 0) {
		free(table);
		return NULL;
	}
	for (uint64_t i = 0; i < entries; i++)
		table[i] = mt_get_be64(&table[i]);
	return table;
}

uint64_t table_l1_bytes(const struct qcow2 *q, uint32_t size)
{
	return qcow2_clusters(q, 8ull * size) * q->cluster_bytes;
}

int table_l1_write(struct qcow2 *q, const uint64_t *l1, uint32_t size, uint64_t *offset)
{
	uint64_t clusters = qcow2_clusters(q, 8ull * size), cluster;
	uint8_t *bytes;
	int rc;

	*offset = 0;
	if (!clusters)
		return 0;
	bytes = calloc(clusters, q->cluster_bytes);
	rc = bytes ? space_take_all(q, clusters, &cluster) : MT_ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < size; i++)
		mt_put_be64(bytes + 8ull * i, l1[i]);
	if (rc == 0) {
		*offset = cluster * q->cluster_bytes;
		rc = q->host->child_write(q->inst, 0, *offset, bytes, clusters * q->cluster_bytes);
	}
	free(bytes);
	return rc;
}

/* The old table is free when the header has the new one for good. */
int table_l1_grow(struct qcow2 *q, uint64_t entries)
{
	uint64_t old = q->h.l1_offset, old_len = table_l1_bytes(q, q->h.l1_size);
	uint64_t *l1, offset;
	int rc = 0;

	if (entries <= q->h.l1_size)
		return 0;
	if (entries > L1_BYTES_MAX / 8)
		return MT_ERANGE;
	l1 = calloc(entries, 8);
	if (!l1)
		return MT_ENOMEM;
	memcpy(l1, q->l1, 8ull * q->h.l1_size);
	if (entries <= old_len / 8) {            /* there is room in its last cluster */
		offset = old;
		rc = q->host->child_write(q->inst, 0, old + 8ull * q->h.l1_size, l1 + q->h.l1_size,
					  8 * (entries - q->h.l1_size));
		q->cache->forget(q->l1_cache, old, old_len);
	} else {
		rc = table_l1_write(q, l1, (uint32_t)entries, &offset);
	}
	if (rc < 0) {
		free(l1);
		return rc;
	}
	free(q->l1);
	q->l1 = l1;
	q->h.l1_size = (uint32_t)entries;
	q->h.l1_offset = offset;
	rc = header_store(q, NULL);
	if (rc == 0 && offset != old) {
		rc = meta_add(&q->meta, offset / q->cluster_bytes, qcow2_clusters(q, 8 * entries), META_L1);
		if (rc == 0 && old_len)
			rc = refcount_change(q, old, old_len, -1);
	}
	return rc;
}
