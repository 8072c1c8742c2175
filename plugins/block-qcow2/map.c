/* SPDX-License-Identifier: MIT */
/* From guest offsets to extents: answered out of the slices of L2 tables that the cache has, neighbours joined. */
#include "qcow2.h"

#include <util/endian.h>
#include <util/minmax.h>

#define SLICES_MAX 64u                   /* looked at in one call: then the caller asks again */

struct walk {
	struct qcow2 *q;
	struct mt_block_extent *out;
	uint32_t count, max;
	uint64_t offset, end;                /* so far, and where it may stop */
	uint64_t limit;                      /* where it has to stop */
	int write;
};

/* Adds to the list, or to its last member where that goes on; 0: the list is full. */
static int put(struct walk *w, struct mt_block_extent *e)
{
	struct mt_block_extent *last = w->count ? &w->out[w->count - 1] : NULL;
	int goes_on = last && last->kind == e->kind && last->kind != MT_BLOCK_EXT_ENCODED && last->flags == e->flags &&
		      (e->kind != MT_BLOCK_EXT_DATA || last->child_offset + last->len_bytes == e->child_offset);

	e->len_bytes = mt_min_u64(e->len_bytes, w->limit - w->offset);
	if (goes_on)
		last->len_bytes += e->len_bytes;
	else if (w->count < w->max)
		w->out[w->count++] = *e;
	else
		return 0;
	w->offset += e->len_bytes;
	return w->offset < w->end;
}

static int put_absent(struct walk *w, uint64_t len)
{
	struct mt_block_extent e = { .len_bytes = len };

	e.kind = w->q->has_backing ? MT_BLOCK_EXT_BACKING : MT_BLOCK_EXT_ZERO;
	return put(w, &e);
}

static int put_encoded(struct walk *w, uint64_t entry)
{
	const struct qcow2 *q = w->q;
	uint64_t skip = w->offset & (q->cluster_bytes - 1), len;
	struct mt_block_extent e = {
		.len_bytes = q->cluster_bytes - skip, .kind = MT_BLOCK_EXT_ENCODED, .flags = MT_BLOCK_EXT_ALLOCATED,
		.unit_bytes = (uint32_t)q->cluster_bytes, .skip_bytes = (uint32_t)skip,
	};

	table_encoded(q, entry, &e.child_offset, &len);
	e.encoded_bytes = (uint32_t)len;
	return put(w, &e);
}

static uint32_t extent_flags(const struct walk *w, uint64_t entry, int owned)
{
	uint32_t flags = MT_BLOCK_EXT_ALLOCATED;

	if (w->write && owned && entry & ENTRY_COPIED)
		flags |= MT_BLOCK_EXT_WRITABLE;
	return flags;
}

/* Subclusters of one entry, from `offset` on. */
static int put_subclusters(struct walk *w, uint64_t entry, uint64_t bitmap, int owned)
{
	const struct qcow2 *q = w->q;
	uint64_t sub = q->cluster_bytes / SUBCLUSTERS, host = entry & ENTRY_OFFSET;
	int more = 1;

	for (uint64_t in = w->offset & (q->cluster_bytes - 1); more && in < q->cluster_bytes;
	     in = (in / sub + 1) * sub) {
		uint32_t i = (uint32_t)(in / sub);
		struct mt_block_extent e = { .len_bytes = (i + 1) * sub - in };

		if (bitmap >> (32 + i) & 1) {
			e.kind = MT_BLOCK_EXT_ZERO;
			e.flags = host ? MT_BLOCK_EXT_ALLOCATED : 0;
			more = put(w, &e);
		} else if (bitmap >> i & 1) {
			e.kind = MT_BLOCK_EXT_DATA;
			e.child_offset = host + in;
			e.flags = extent_flags(w, entry, owned);
			more = put(w, &e);
		} else {
			more = put_absent(w, e.len_bytes);
		}
	}
	return more;
}

static int put_cluster(struct walk *w, uint64_t entry, int owned)
{
	const struct qcow2 *q = w->q;
	uint64_t skip = w->offset & (q->cluster_bytes - 1), host = entry & ENTRY_OFFSET;
	struct mt_block_extent e = { .len_bytes = q->cluster_bytes - skip };

	if (entry & ENTRY_ZERO) {
		e.kind = MT_BLOCK_EXT_ZERO;
		e.flags = host ? MT_BLOCK_EXT_ALLOCATED : 0;
		return put(w, &e);
	}
	if (!host)
		return put_absent(w, e.len_bytes);
	e.kind = MT_BLOCK_EXT_DATA;
	e.child_offset = host + skip;
	e.flags = extent_flags(w, entry, owned);
	return put(w, &e);
}

/* 0, or MT_EIO: the entry cannot be right. */
static int entry_check(struct walk *w, uint64_t entry, uint64_t bitmap)
{
	struct qcow2 *q = w->q;
	uint64_t host = entry & ENTRY_OFFSET;

	if (entry & ENTRY_COMPRESSED)
		return 0;
	if (host % q->cluster_bytes || entry & L2_RESERVED || bitmap & bitmap >> 32 & 0xffffffff)
		return MT_EIO;
	if (entry & ENTRY_ZERO && (q->entry_bytes == 16 || q->h.version < 3))
		return MT_EIO;
	if (!host && bitmap & 0xffffffff)
		return MT_EIO;
	if (w->write && entry & ENTRY_COPIED && host && meta_at(&q->meta, host / q->cluster_bytes) != META_NONE)
		return qcow2_corrupt(q);       /* a write in place would hit metadata */
	return 0;
}

/* The entries of one slice; *more 0: the list is full or the end is reached. */
static int walk_slice(struct walk *w, int *more)
{
	struct qcow2 *q = w->q;
	uint64_t cluster = w->offset >> q->h.cluster_bits, in_table = cluster & ((1ull << q->l2_bits) - 1);
	int owned = cluster >> q->l2_bits < q->h.l1_size && q->l1[cluster >> q->l2_bits] & ENTRY_COPIED;
	struct mt_block_page *page;
	uint32_t index;
	int rc = table_slice(q, cluster, &page, &index);

	if (rc == MT_ENOENT) {
		uint64_t skip = w->offset & (q->cluster_bytes - 1);

		*more = put_absent(w, (((1ull << q->l2_bits) - in_table) << q->h.cluster_bits) - skip);
		return 0;
	}
	if (rc < 0)
		return rc;
	for (; rc == 0 && *more && index < q->slice_entries; index++) {
		uint64_t entry = table_entry(q, page->data, index), bitmap = table_bitmap(q, page->data, index);

		rc = entry_check(w, entry, entry & ENTRY_COMPRESSED ? 0 : bitmap);
		if (rc < 0)
			break;
		if (entry & ENTRY_COMPRESSED)
			*more = put_encoded(w, entry);
		else if (q->entry_bytes == 16)
			*more = put_subclusters(w, entry, bitmap, owned);
		else
			*more = put_cluster(w, entry, owned);
	}
	q->cache->put(q->l2_cache, page);
	return rc;
}

int32_t map_range(struct qcow2 *q, uint64_t offset, uint64_t len_bytes, uint64_t limit, uint32_t purpose,
		  struct mt_block_extent *out, uint32_t max)
{
	struct walk w = { .q = q, .out = out, .max = max, .offset = offset, .limit = limit,
			  .write = purpose == MT_BLOCK_MAP_WRITE };
	int more = 1, rc = 0;

	if (offset >= limit || !max)
		return MT_ERANGE;
	if (!q->l1 || (w.write && q->corrupt))   /* no table: the image could not be loaded again */
		return MT_EIO;
	w.end = offset + mt_min_u64(len_bytes ? len_bytes : 1, limit - offset);
	for (uint32_t i = 0; i < SLICES_MAX && rc == 0 && more; i++)
		rc = walk_slice(&w, &more);
	return w.count ? (int32_t)w.count : rc < 0 ? rc : MT_EIO;
}

int32_t qcow2_map(struct qcow2 *q, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		  struct mt_block_extent *out, uint32_t max)
{
	q->written |= purpose == MT_BLOCK_MAP_WRITE;
	return map_range(q, offset, len_bytes, q->disk_bytes, purpose, out, max);
}
