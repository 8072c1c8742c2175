/* SPDX-License-Identifier: MIT */
/*
 * Counting references of whole trees of tables up or down, and telling the flags of the active tables what came of
 * it. A table that one L1 table has twice is refused: a hostile image would make this go on for ever. Exclusive.
 */
#include "qcow2.h"

#include <stdlib.h>
#include <util/endian.h>

#define FLUSH_TABLES 256u                /* so that what is dirty does not fill memory */

/* References of one entry. */
static int change_entry(struct qcow2 *q, uint64_t entry, int by)
{
	uint64_t offset = entry & ENTRY_OFFSET, len = q->cluster_bytes;

	if (entry & ENTRY_COMPRESSED)
		table_encoded(q, entry, &offset, &len);
	return offset ? refcount_change(q, offset, len, by) : 0;
}

static int change_slice(struct qcow2 *q, uint64_t offset, int by)
{
	struct mt_block_page *page;
	int rc = qcow2_page(q, q->l2_cache, offset, 0, &page);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; rc == 0 && i < q->slice_entries; i++)
		rc = change_entry(q, table_entry(q, page->data, i), by);
	q->cache->put(q->l2_cache, page);
	return rc;
}

static int change_table(struct qcow2 *q, uint64_t table, int by)
{
	int rc = table % q->cluster_bytes ? MT_EIO : 0;

	for (uint64_t at = 0; rc == 0 && at < q->cluster_bytes; at += q->slice_bytes)
		rc = change_slice(q, table + at, by);
	return rc < 0 ? rc : refcount_change(q, table, q->cluster_bytes, by);
}

int walk_change(struct qcow2 *q, const uint64_t *l1, uint32_t size, int by)
{
	struct meta seen = { 0 };
	uint32_t tables = 0;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < size; i++) {
		uint64_t table = l1[i] & ENTRY_OFFSET;

		if (!table)
			continue;
		rc = meta_add(&seen, table / q->cluster_bytes, 1, META_L2);
		if (rc == 0 && meta_at(&seen, table / q->cluster_bytes) == META_MIXED)
			rc = MT_EIO;
		if (rc == 0)
			rc = change_table(q, table, by);
		if (rc == 0 && ++tables % FLUSH_TABLES == 0)
			rc = q->cache->flush(q->inst);
	}
	meta_fini(&seen);
	return rc;
}

/* Flags */

static int copied_slice(struct qcow2 *q, struct mt_block_page *page)
{
	for (uint32_t i = 0; i < q->slice_entries; i++) {
		uint64_t entry = table_entry(q, page->data, i), count, now;
		int rc;

		if (entry & ENTRY_COMPRESSED || !(entry & ENTRY_OFFSET))
			continue;
		rc = refcount_get(q, (entry & ENTRY_OFFSET) / q->cluster_bytes, &count);
		if (rc < 0)
			return rc;
		now = (entry & ~ENTRY_COPIED) | (count == 1 ? ENTRY_COPIED : 0);
		if (now != entry)
			table_set(q, page, i, now, table_bitmap(q, page->data, i), 0);
	}
	return 0;
}

static int copied_table(struct qcow2 *q, uint64_t table)
{
	struct mt_block_page *page;
	int rc = 0;

	for (uint64_t at = 0; rc == 0 && at < q->cluster_bytes; at += q->slice_bytes) {
		rc = qcow2_page(q, q->l2_cache, table + at, 0, &page);
		if (rc < 0)
			break;
		rc = copied_slice(q, page);
		q->cache->put(q->l2_cache, page);
	}
	return rc;
}

static int copied_l1(struct qcow2 *q, uint32_t i, uint64_t count)
{
	uint64_t now = (q->l1[i] & ~ENTRY_COPIED) | (count == 1 ? ENTRY_COPIED : 0), at = q->h.l1_offset + 8ull * i;
	struct mt_block_page *page;
	int rc;

	if (now == q->l1[i])
		return 0;
	rc = qcow2_page(q, q->l1_cache, at / q->slice_bytes * q->slice_bytes, 0, &page);
	if (rc < 0)
		return rc;
	q->l1[i] = now;
	mt_put_be64(page->data + at % q->slice_bytes, now);
	q->cache->dirty(q->l1_cache, page, (uint32_t)(at % q->slice_bytes), 8, 0);
	q->cache->put(q->l1_cache, page);
	return 0;
}

int walk_copied(struct qcow2 *q)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < q->h.l1_size; i++) {
		uint64_t table = q->l1[i] & ENTRY_OFFSET, count;

		if (!table || table % q->cluster_bytes)
			continue;
		rc = refcount_get(q, table / q->cluster_bytes, &count);
		if (rc == 0)
			rc = copied_table(q, table);
		if (rc == 0)
			rc = copied_l1(q, i, count);
		if (rc == 0 && i % FLUSH_TABLES == FLUSH_TABLES - 1)
			rc = q->cache->flush(q->inst);
	}
	return rc;
}
