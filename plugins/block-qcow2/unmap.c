/* SPDX-License-Identifier: MIT */
/*
 * Zeroes and discards of whole clusters, as a change of entries. A version 2 image has no entry that reads as zero
 * over a backing file: there the kernel has to write zeros.
 */
#include "qcow2.h"

#include <util/minmax.h>

#define CLUSTERS_MAX 4096u               /* that one call deals with */

struct unmapping {
	struct qcow2 *q;
	int zero;                            /* has to read as zero; else anything goes */
	int keep;                            /* space is kept where it is ours */
};

/* The entry in place of the old one. 0; 1: there is nothing to change; MT_ENOTSUP. */
static int entry_find(const struct unmapping *u, uint64_t old, uint64_t old_bitmap, uint64_t *entry, uint64_t *bitmap)
{
	const struct qcow2 *q = u->q;
	int ours = !(old & ENTRY_COMPRESSED) && old & ENTRY_COPIED && old & ENTRY_OFFSET;
	int extended = q->entry_bytes == 16;

	*bitmap = 0;
	*entry = 0;
	if (old & ENTRY_COMPRESSED)
		old_bitmap = 0;
	if (!old && !old_bitmap && (!q->has_backing || !u->zero))
		return 1;
	if (!q->has_backing && !(u->keep && ours))
		return 0;                      /* unallocated reads as zero */
	if (q->h.version < 3)
		return MT_ENOTSUP;
	if (u->keep && ours)
		*entry = (old & ENTRY_OFFSET) | ENTRY_COPIED;
	if (extended)
		*bitmap = 0xffffffffull << 32;
	else
		*entry |= ENTRY_ZERO;
	return *entry == old && *bitmap == old_bitmap;
}

static void give_up(struct qcow2 *q, uint64_t old, uint64_t entry)
{
	uint64_t offset = old & ENTRY_OFFSET, len = q->cluster_bytes;

	if (old & ENTRY_COMPRESSED)
		table_encoded(q, old, &offset, &len);
	if (offset && offset != (entry & ENTRY_OFFSET))
		space_retire(q, offset, len);
}

/* Entries of one slice. How many, or an error when it was none. */
static int64_t unmap_slice(const struct unmapping *u, uint64_t cluster, uint64_t count)
{
	struct qcow2 *q = u->q;
	struct mt_block_page *page;
	uint32_t index, n = 0;
	int rc = table_slice(q, cluster, &page, &index);

	if (rc == MT_ENOENT && (!q->has_backing || !u->zero))       /* no table: it reads as zero, or nobody asks */
		return (int64_t)mt_min_u64(count, (1ull << q->l2_bits) - (cluster & ((1ull << q->l2_bits) - 1)));
	if (rc == 0)
		q->cache->put(q->l2_cache, page);
	if (rc == 0 || rc == MT_ENOENT)
		rc = table_slice_own(q, cluster, &page, &index);
	if (rc < 0)
		return rc;
	for (; n < count && index < q->slice_entries; n++, index++) {
		uint64_t old = table_entry(q, page->data, index), entry, bitmap;

		if (!(old & ENTRY_COMPRESSED) && (old & ENTRY_OFFSET) % q->cluster_bytes) {
			rc = qcow2_corrupt(q);
			break;
		}
		rc = entry_find(u, old, table_bitmap(q, page->data, index), &entry, &bitmap);
		if (rc < 0)
			break;
		if (rc == 0) {
			table_set(q, page, index, entry, bitmap, 0);
			give_up(q, old, entry);
		}
	}
	q->cache->put(q->l2_cache, page);
	return n ? (int64_t)n : rc;
}

static int64_t unmap_clusters(const struct unmapping *u, uint64_t first, uint64_t count)
{
	uint64_t done = 0;
	int64_t n = 0;

	for (uint32_t i = 0; i < CLUSTERS_MAX / 64 && done < count; i++) {
		n = unmap_slice(u, first + done, count - done);
		if (n < 0)
			break;
		done += (uint64_t)n;
	}
	space_retire_end(u->q);
	return done ? (int64_t)done : n;
}

int64_t qcow2_unmap(struct qcow2 *q, uint64_t offset, uint64_t len_bytes, uint32_t op, uint32_t flags)
{
	struct unmapping u = { .q = q, .zero = op == MT_BLOCK_ZERO || q->h.version >= 3,
			       .keep = op == MT_BLOCK_ZERO && !(flags & MT_BLOCK_MAY_UNMAP) };
	int64_t n;

	if (q->corrupt)
		return MT_EIO;
	if (flags & MT_BLOCK_ALLOCATE || offset & (q->cluster_bytes - 1))
		return MT_ENOTSUP;
	q->written = 1;
	n = unmap_clusters(&u, offset >> q->h.cluster_bits, qcow2_clusters(q, len_bytes));
	return n < 0 ? n : (int64_t)mt_min_u64((uint64_t)n << q->h.cluster_bits, len_bytes);
}

/* Not even a zero is left: what is beyond the disk's end, or in a layer that is emptied. */
int unmap_drop(struct qcow2 *q, uint64_t first, uint64_t count)
{
	struct unmapping u = { .q = q };
	int backing = q->has_backing;
	int64_t n = 0;

	q->has_backing = 0;
	while (count && n >= 0) {
		n = unmap_clusters(&u, first, count);
		if (n > 0) {
			first += (uint64_t)n;
			count -= (uint64_t)n;
		}
	}
	q->has_backing = backing;
	return n < 0 ? (int)n : 0;
}
