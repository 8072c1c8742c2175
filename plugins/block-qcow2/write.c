/* SPDX-License-Identifier: MIT */
/*
 * Writes that need space: new clusters, in place of none, zeros, encoded ones or ones that snapshots share; clusters
 * that are there but read as zero, or have subclusters without data; encoded units. Reserve takes and counts the
 * space and keeps the slice with the entries; commit changes them and gives up what they had.
 */
#include "qcow2.h"

#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/minmax.h>

static struct pending *pending_take(struct qcow2 *q, uint64_t *slot)
{
	struct pending *all;
	uint32_t room = q->pending_room ? q->pending_room * 2 : 32;

	for (uint32_t i = 0; i < q->pending_room; i++) {
		uint32_t at = (q->pending_free + i) % q->pending_room;

		if (q->pending[at].kind == PENDING_FREE) {
			q->pending_free = at + 1;
			*slot = at;
			return &q->pending[at];
		}
	}
	all = realloc(q->pending, room * sizeof(*all));
	if (!all)
		return NULL;
	memset(all + q->pending_room, 0, (room - q->pending_room) * sizeof(*all));
	*slot = q->pending_room;
	q->pending = all;
	q->pending_room = room;
	return &all[*slot];
}

/* Whether an entry's cluster is ours, so that data can be put into it, though it is not all data yet. */
static int is_reusable(uint64_t entry)
{
	return !(entry & ENTRY_COMPRESSED) && entry & ENTRY_COPIED && entry & ENTRY_OFFSET;
}

/* Data that a new cluster has to take over. */
static int has_data(const struct qcow2 *q, uint64_t entry, uint64_t bitmap)
{
	if (entry & ENTRY_COMPRESSED)
		return 1;
	return q->entry_bytes == 16 ? (bitmap & 0xffffffff) != 0 : entry & ENTRY_OFFSET && !(entry & ENTRY_ZERO);
}

static int entry_is_legal(const struct qcow2 *q, uint64_t entry)
{
	return entry & ENTRY_COMPRESSED || !((entry & ENTRY_OFFSET) % q->cluster_bytes);
}

/* How many entries from `index` on want a new cluster. */
static uint32_t run_new(const struct qcow2 *q, const uint8_t *slice, uint32_t index, uint64_t want)
{
	uint32_t n = 0;

	while (n < want && index + n < q->slice_entries) {
		uint64_t entry = table_entry(q, slice, index + n);

		if (is_reusable(entry) || !entry_is_legal(q, entry))
			break;
		n++;
	}
	return n;
}

/*
 * What has to be filled before and behind the data: the rest of the unit of allocation, which is the subcluster
 * where the cluster has no data that a new one would have to take over.
 */
static void fill_find(const struct qcow2 *q, const uint8_t *slice, const struct pending *p,
		      struct mt_block_target *t)
{
	uint64_t end = t->offset + t->len_bytes, last = p->index + p->count - 1;
	uint64_t head = q->cluster_bytes, tail = q->cluster_bytes;

	if (q->entry_bytes == 16) {
		uint64_t sub = q->cluster_bytes / SUBCLUSTERS;
		int reuse = p->kind == PENDING_REUSE;

		if (reuse || !has_data(q, table_entry(q, slice, p->index), table_bitmap(q, slice, p->index)))
			head = sub;
		if (reuse || !has_data(q, table_entry(q, slice, (uint32_t)last), table_bitmap(q, slice, (uint32_t)last)))
			tail = sub;
	}
	t->fill_head_bytes = t->offset & (head - 1);
	t->fill_tail_bytes = (tail - (end & (tail - 1))) & (tail - 1);
}

/* The slice is got; kind, place and count are found. */
static int place_find(struct qcow2 *q, struct pending *p, uint64_t want, int *fresh)
{
	uint64_t entry = table_entry(q, p->page->data, p->index), cluster, count;
	int rc;

	*fresh = 0;
	if (!entry_is_legal(q, entry))
		return qcow2_corrupt(q);
	if (is_reusable(entry)) {
		p->kind = PENDING_REUSE;
		p->count = 1;
		p->host = entry & ENTRY_OFFSET;
		return meta_at(&q->meta, p->host / q->cluster_bytes) == META_NONE ? 0 : qcow2_corrupt(q);
	}
	want = run_new(q, p->page->data, p->index, want);
	rc = space_take(q, want, &cluster, &count, &p->blocks[0], fresh);
	if (rc < 0) {
		p->blocks[0] = NULL;
		return rc;
	}
	p->kind = PENDING_NEW;
	p->count = (uint32_t)count;
	p->host = cluster * q->cluster_bytes;
	return 0;
}

/* A writer changes the header once: with lazy counts it says that they may be wrong. */
static void first_write(struct qcow2 *q)
{
	if (q->lazy_marked || q->wait || !(q->h.compatible & COMPAT_LAZY) || !q->header_page)
		return;
	q->lazy_marked = 1;
	q->h.incompatible |= INCOMPAT_DIRTY;
	header_put(&q->h, q->header_page->data);
	q->cache->dirty(q->header_cache, q->header_page, HDR_INCOMPATIBLE, 8, 0);
}

static int reserve_one(struct qcow2 *q, uint64_t offset, uint64_t end, struct mt_block_target *t)
{
	uint64_t in = offset & (q->cluster_bytes - 1), slot;
	struct pending *p = pending_take(q, &slot), next = { .first = offset >> q->h.cluster_bits };
	int rc = p ? table_slice_own(q, next.first, &next.page, &next.index) : MT_ENOMEM, fresh = 0;

	if (rc < 0)
		return rc;
	rc = place_find(q, &next, qcow2_clusters(q, end - (offset - in)), &fresh);
	if (rc < 0) {
		q->cache->put(q->l2_cache, next.page);
		return rc;
	}
	*t = (struct mt_block_target){
		.offset = offset,
		.len_bytes = mt_min_u64(end - offset, next.count * q->cluster_bytes - in),
		.child_offset = next.host + in,
		.cookie = slot + 1,
		.flags = fresh ? MT_BLOCK_TARGET_ZEROED : 0,
	};
	fill_find(q, next.page->data, &next, t);
	next.from = offset - t->fill_head_bytes;
	next.to = offset + t->len_bytes + t->fill_tail_bytes;
	*p = next;
	return 0;
}

static int reserve_encoded(struct qcow2 *q, const struct mt_block_want *want, struct mt_block_target *t)
{
	struct pending *p, next = { .kind = PENDING_ENCODED, .first = want->offset >> q->h.cluster_bits, .count = 1,
				    .encoded_bytes = want->encoded_bytes };
	uint64_t slot;
	int rc = want->offset & (q->cluster_bytes - 1) || want->encoded_bytes >= q->cluster_bytes ? MT_EINVAL : 0;

	p = pending_take(q, &slot);
	if (rc == 0)
		rc = p ? table_slice_own(q, next.first, &next.page, &next.index) : MT_ENOMEM;
	if (rc < 0)
		return rc;
	rc = space_pack(q, want->encoded_bytes, &next.host, next.blocks);
	if (rc < 0) {
		q->cache->put(q->l2_cache, next.page);
		return rc;
	}
	*t = (struct mt_block_target){ .offset = want->offset, .len_bytes = want->len_bytes, .child_offset = next.host,
				       .cookie = slot + 1 };
	*p = next;
	return 1;
}

int32_t qcow2_reserve(struct qcow2 *q, const struct mt_block_want *want, struct mt_block_target *targets,
		      uint32_t max)
{
	uint64_t offset = want->offset, end;
	uint32_t n = 0;
	int rc = 0;

	if (!max || !want->len_bytes || !mt_add_u64(offset, want->len_bytes, &end))
		return MT_ERANGE;
	q->written = 1;
	first_write(q);
	if (want->encoded_bytes)
		return reserve_encoded(q, want, targets);
	while (n < max && offset < end) {
		rc = reserve_one(q, offset, end, &targets[n]);
		if (rc < 0)
			break;
		offset += targets[n++].len_bytes;
	}
	return n ? (int32_t)n : rc;
}

/* Ends */

/* What an entry refers to is given up. */
static void give_up(struct qcow2 *q, uint64_t entry)
{
	uint64_t offset = entry & ENTRY_OFFSET, len = q->cluster_bytes;

	if (entry & ENTRY_COMPRESSED)
		table_encoded(q, entry, &offset, &len);
	if (offset)
		space_retire(q, offset, len);
}

static uint64_t bits_between(const struct qcow2 *q, uint64_t cluster, uint64_t from, uint64_t to)
{
	uint64_t begin = cluster << q->h.cluster_bits, sub = q->cluster_bytes / SUBCLUSTERS;
	uint64_t first = from > begin ? (from - begin) / sub : 0;
	uint64_t last = mt_min_u64((to - begin + sub - 1) / sub, SUBCLUSTERS);

	return ((1ull << last) - 1) & ~((1ull << first) - 1);
}

static void commit_entry(struct qcow2 *q, const struct pending *p, uint32_t i)
{
	uint64_t old = table_entry(q, p->page->data, p->index + i), bitmap = 0, entry;

	entry = (p->host + i * q->cluster_bytes) | ENTRY_COPIED;
	if (q->entry_bytes == 16) {
		uint64_t bits = bits_between(q, p->first + i, p->from, p->to);

		if (!(old & ENTRY_COMPRESSED))
			bitmap = table_bitmap(q, p->page->data, p->index + i);
		bitmap = (bitmap | bits) & ~(bits << 32);
	}
	/* what is filled with what lies elsewhere would be lost with the entry alone */
	table_set(q, p->page, p->index + i, entry, bitmap, MT_BLOCK_DIRTY_AFTER_DATA);
	if (p->kind == PENDING_NEW)
		give_up(q, old);
}

static void commit_encoded(struct qcow2 *q, const struct pending *p)
{
	uint64_t old = table_entry(q, p->page->data, p->index);
	uint64_t sectors = (p->host + p->encoded_bytes - 1) / 512 - p->host / 512;
	uint64_t entry = p->host | sectors << (62 - (q->h.cluster_bits - 8)) | ENTRY_COMPRESSED;

	table_set(q, p->page, p->index, entry, 0, MT_BLOCK_DIRTY_AFTER_DATA);
	give_up(q, old);
}

static struct pending *pending_of(struct qcow2 *q, uint64_t cookie)
{
	return cookie && cookie <= q->pending_room && q->pending[cookie - 1].kind != PENDING_FREE ?
	       &q->pending[cookie - 1] : NULL;
}

static void pending_end(struct qcow2 *q, struct pending *p)
{
	q->cache->put(q->l2_cache, p->page);
	for (uint32_t i = 0; i < 2; i++) {
		if (p->blocks[i])
			q->cache->put(q->block_cache, p->blocks[i]);
	}
	p->kind = PENDING_FREE;
}

int qcow2_commit(struct qcow2 *q, uint64_t cookie)
{
	struct pending *p = pending_of(q, cookie);

	if (!p)
		return MT_EINVAL;
	if (p->kind == PENDING_ENCODED)
		commit_encoded(q, p);
	for (uint32_t i = 0; p->kind != PENDING_ENCODED && i < p->count; i++)
		commit_entry(q, p, i);
	space_retire_end(q);
	pending_end(q, p);
	return 0;
}

void qcow2_abort(struct qcow2 *q, uint64_t cookie)
{
	struct pending *p = pending_of(q, cookie);
	uint64_t first = p ? p->host / q->cluster_bytes : 0;

	if (!p)
		return;
	for (uint32_t i = 0; p->kind == PENDING_NEW && i < p->count; i++)
		space_drop(q, p->blocks[0], first + i);
	if (p->kind == PENDING_ENCODED && p->blocks[1])
		space_drop(q, p->blocks[1], first++);
	if (p->kind == PENDING_ENCODED)
		space_drop(q, p->blocks[0], first);
	pending_end(q, p);
}
