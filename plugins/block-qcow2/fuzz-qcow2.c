/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a hostile qcow2 file is opened, read, written, zeroed, looked over, repaired, resized, and its snapshots
 * and bitmaps are used. The host is a file in memory and a cache of pages that always has everything.
 */
#include <fake/replay.h>
#include <mortise/error.h>
#include <stdlib.h>
#include <util/minmax.h>

#include "qcow2.h"

#define FILE_MAX  (8u << 20)
#define PAGES_MAX 8192u

struct page {
	struct mt_block_page pub;            /* first */
	struct mt_block_cache *cache;
	struct page *next;
	uint32_t gets, dirty;
};

struct mt_block_cache {
	struct mt_inst *inst;
	uint32_t page_bytes;
};

struct mt_inst {
	uint8_t *bytes;
	uint64_t len;
	struct mt_block_cache caches[8];
	uint32_t cache_count, page_count;
	struct page *pages[1024];
	struct mt_block_space spaces[256];
	uint32_t space_count;
};

/* The file */

static int32_t child_read(struct mt_inst *inst, uint32_t child, uint64_t offset, void *buf, uint64_t len_bytes)
{
	uint64_t there = offset < inst->len ? mt_min_u64(len_bytes, inst->len - offset) : 0;

	(void)child;
	memset(buf, 0, len_bytes);
	if (there)
		memcpy(buf, inst->bytes + offset, there);
	return 0;
}

static int32_t child_write(struct mt_inst *inst, uint32_t child, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	(void)child;
	if (offset > FILE_MAX || len_bytes > FILE_MAX - offset)
		return MT_ENOSPC;
	memcpy(inst->bytes + offset, buf, len_bytes);
	inst->len = mt_max_u64(inst->len, offset + len_bytes);
	return 0;
}

static int32_t child_resize(struct mt_inst *inst, uint32_t child, uint64_t len_bytes)
{
	(void)child;
	if (len_bytes > FILE_MAX)
		return MT_ENOSPC;
	if (len_bytes < inst->len)
		memset(inst->bytes + len_bytes, 0, inst->len - len_bytes);
	inst->len = len_bytes;
	return 0;
}

static int32_t child_flush(struct mt_inst *inst, uint32_t child)
{
	(void)inst, (void)child;
	return 0;
}

static uint64_t child_bytes(struct mt_inst *inst, uint32_t child)
{
	(void)child;
	return inst->len;
}

static int32_t child_allocate(struct mt_inst *inst, uint32_t child, uint64_t offset, uint64_t len_bytes, uint32_t mode)
{
	if (mode == MT_BLOCK_PREALLOC_METADATA)
		return 0;
	return offset > FILE_MAX || len_bytes > FILE_MAX - offset ? MT_ENOSPC :
	       child_resize(inst, child, mt_max_u64(inst->len, offset + len_bytes));
}

static int32_t retire(struct mt_inst *inst, const struct mt_block_space *space)
{
	if (inst->space_count == 256)
		return MT_ENOMEM;
	inst->spaces[inst->space_count++] = *space;
	return 0;
}

static void child_discard(struct mt_inst *inst, uint32_t child, uint64_t offset, uint64_t len_bytes)
{
	(void)child;
	if (offset < inst->len)
		memset(inst->bytes + offset, 0xdd, mt_min_u64(len_bytes, inst->len - offset));
}

static const struct mt_block_node node_host = {
	.child_read = child_read, .child_write = child_write, .child_flush = child_flush, .child_resize = child_resize,
	.child_allocate = child_allocate, .child_bytes = child_bytes, .retire = retire, .child_discard = child_discard,
};

/* The cache */

static struct mt_block_cache *cache_create(struct mt_inst *inst, uint32_t child, uint32_t page_bytes,
					   uint64_t limit_bytes, uint32_t rank, struct mt_error *err)
{
	(void)child, (void)err;
	if (inst->cache_count == 8 || limit_bytes < 16ull * page_bytes || rank >= MT_BLOCK_RANKS)
		abort();
	inst->caches[inst->cache_count] = (struct mt_block_cache){ inst, page_bytes };
	return &inst->caches[inst->cache_count++];
}

static struct page **slot_of(struct mt_block_cache *cache, uint64_t offset)
{
	struct page **slot = &cache->inst->pages[offset / cache->page_bytes % 1024];

	while (*slot && ((*slot)->cache != cache || (*slot)->pub.offset != offset))
		slot = &(*slot)->next;
	return slot;
}

static int32_t cache_get(struct mt_block_cache *cache, uint64_t offset, uint32_t flags, struct mt_block_page **out)
{
	struct page **slot = slot_of(cache, offset), *page = *slot;

	if (offset % cache->page_bytes || offset > (uint64_t)INT64_MAX - cache->page_bytes)
		return MT_EIO;
	if (!page) {
		page = cache->inst->page_count < PAGES_MAX ? calloc(1, sizeof(*page)) : NULL;
		if (!page)
			return MT_ENOMEM;
		page->pub = (struct mt_block_page){ calloc(1, cache->page_bytes), offset };
		page->cache = cache;
		page->next = *slot;
		*slot = page;
		cache->inst->page_count++;
		if (!(flags & MT_BLOCK_PAGE_NEW))
			child_read(cache->inst, 0, offset, page->pub.data, cache->page_bytes);
	}
	page->gets++;
	*out = &page->pub;
	return 0;
}

static void cache_hold(struct mt_block_cache *cache, struct mt_block_page *page)
{
	(void)cache;
	((struct page *)page)->gets++;
}

static void cache_put(struct mt_block_cache *cache, struct mt_block_page *page)
{
	(void)cache;
	if (!((struct page *)page)->gets--)
		abort();
}

static void cache_dirty(struct mt_block_cache *cache, struct mt_block_page *page, uint32_t from_byte,
			uint32_t len_bytes, uint32_t flags)
{
	(void)flags;
	if (!((struct page *)page)->gets || from_byte > cache->page_bytes || len_bytes > cache->page_bytes - from_byte)
		abort();
	((struct page *)page)->dirty = 1;
}

static void cache_forget(struct mt_block_cache *cache, uint64_t offset, uint64_t len_bytes)
{
	for (uint32_t i = 0; i < 1024; i++) {
		for (struct page *page = cache->inst->pages[i]; page; page = page->next) {
			if (page->cache != cache || page->pub.offset < offset || len_bytes < cache->page_bytes ||
			    page->pub.offset - offset > len_bytes - cache->page_bytes)
				continue;
			if (!page->gets)
				child_read(cache->inst, 0, page->pub.offset, page->pub.data, cache->page_bytes);
			page->dirty = 0;
		}
	}
}

/* Clean pages are dropped, to be read again. */
static int32_t cache_flush(struct mt_inst *inst)
{
	int32_t rc = 0;

	for (uint32_t i = 0; i < 1024; i++) {
		for (struct page **slot = &inst->pages[i], *page; (page = *slot);) {
			if (page->dirty && child_write(inst, 0, page->pub.offset, page->pub.data, page->cache->page_bytes) < 0)
				rc = MT_ENOSPC;
			page->dirty = 0;
			if (page->gets) {
				slot = &page->next;
				continue;
			}
			*slot = page->next;
			inst->page_count--;
			free(page->pub.data);
			free(page);
		}
	}
	return rc;
}

static const struct mt_block_cache_host cache_host = {
	.create = cache_create, .get = cache_get, .hold = cache_hold, .put = cache_put, .dirty = cache_dirty,
	.forget = cache_forget, .flush = cache_flush,
};

/* Uses */

/* Few decoded units an input are enough: what is slow is the library's. */
static void decode(struct qcow2 *q, const struct mt_block_extent *e)
{
	uint8_t *in = malloc(e->encoded_bytes), *out = malloc(e->unit_bytes);

	if (e->skip_bytes >= e->unit_bytes || e->encoded_bytes > 4u << 20)
		abort();
	if (in && out) {
		child_read(q->inst, 0, e->child_offset, in, e->encoded_bytes);
		(void)codec_decode(q->codec, in, e->encoded_bytes, out, e->unit_bytes);
	}
	free(in);
	free(out);
}

static void use_extents(struct qcow2 *q, uint32_t purpose)
{
	struct mt_block_extent extents[4];
	uint32_t decodes = 0;
	uint64_t at = 0;

	for (uint32_t i = 0; i < 300 && at < q->disk_bytes; i++) {
		int32_t n = qcow2_map(q, at, 1 << 20, purpose, extents, 4);

		if (n < 1) {
			at += q->cluster_bytes;
			continue;
		}
		for (int32_t k = 0; k < n; k++) {
			if (!extents[k].len_bytes || extents[k].len_bytes > q->disk_bytes - at)
				abort();
			if (extents[k].kind == MT_BLOCK_EXT_ENCODED && decodes++ < 2)
				decode(q, &extents[k]);
			at += extents[k].len_bytes;
		}
	}
}

static void hand_back(struct qcow2 *q)
{
	(void)cache_flush(q->inst);
	(void)space_retired(q, q->inst->spaces, q->inst->space_count);
	q->inst->space_count = 0;
}

static void use_writes(struct qcow2 *q)
{
	struct mt_block_target targets[4];

	for (uint64_t i = 0; i < 48; i++) {
		uint64_t at = i * 3 * q->cluster_bytes / 2 & ~511ull;
		struct mt_block_want want = { .offset = at, .len_bytes = 512 << i % 8 };
		int32_t n;

		if (i % 7 == 0)
			want = (struct mt_block_want){ .offset = i << q->h.cluster_bits, .len_bytes = q->cluster_bytes,
						       .encoded_bytes = 100 };
		if (want.offset + want.len_bytes > q->disk_bytes)
			break;
		n = qcow2_reserve(q, &want, targets, 4);
		for (int32_t k = 0; k < n; k++) {
			if (i % 3 == 0)
				qcow2_abort(q, targets[k].cookie);
			else if (qcow2_commit(q, targets[k].cookie) < 0)
				abort();
		}
		if (i % 5 == 0)
			(void)qcow2_unmap(q, i << q->h.cluster_bits, q->cluster_bytes * 3, i & 1 ? MT_BLOCK_ZERO : MT_BLOCK_DISCARD,
					  i & 2 ? MT_BLOCK_MAY_UNMAP : 0);
		if (i % 16 == 15)
			hand_back(q);
	}
	hand_back(q);
}

static void use_snapshots(struct qcow2 *q)
{
	struct mt_block_snapshot what = { .size = sizeof(what), .name = "s" };

	if (q->h.snapshot_count)
		(void)snapshot_apply(q, 0, NULL);
	if (!q->corrupt && q->l1)
		(void)snapshot_create(q, &what, NULL);
	if (!q->corrupt && q->l1 && q->h.snapshot_count)
		(void)snapshot_remove(q, 0, NULL);
}

static void use_bitmaps(struct qcow2 *q)
{
	struct mt_block_bitmap what = { .size = sizeof(what), .granularity_bytes = 4096, .name = "b" };
	static uint8_t bits[4096];

	for (uint32_t i = 0; i < 2 && i < q->bitmaps.count; i++) {
		uint64_t len = bitmap_len(q, bitmaps_at(&q->bitmaps, i)[BITMAP_BITS] & 31);

		if (len <= sizeof(bits) && bitmap_read(q, i, bits, len, NULL) == 0 && !q->readonly)
			(void)bitmap_write(q, i, i ? NULL : bits, len, NULL);
	}
	if (q->readonly || q->corrupt || !q->l1)
		return;
	(void)bitmap_remove(q, 0, NULL);
	if (!q->corrupt && q->l1 && bitmap_add(q, &what, NULL) == 0)
		(void)bitmap_set_flags(q, q->bitmaps.count - 1, MT_BLOCK_BITMAP_ENABLED, NULL);
}

static void use_exclusive(struct qcow2 *q, uint32_t which)
{
	struct mt_block_value width = { "refcount_bits", "32" };
	struct mt_block_check out = { .size = sizeof(out) };

	q->wait = 1;
	if (which & 1 && q->l1)
		(void)qcow2_check(q, MT_BLOCK_CHECK_ALL | MT_BLOCK_CHECK_LEAKS, &out, NULL, NULL, NULL);
	if (which & 2 && q->l1)
		use_snapshots(q);
	if (which & 4 && q->l1 && !q->corrupt)
		(void)qcow2_resize(q, q->h.disk_bytes / 1024 * 512 + 4096, MT_BLOCK_RESIZE_SHRINK, 0, NULL);
	if (which & 8 && q->l1 && !q->corrupt)
		(void)qcow2_amend(q, &width, 1, NULL);
	(void)space_release(q);
	q->wait = 0;
}

static void run(const uint8_t *data, size_t size, int readonly)
{
	struct mt_inst *inst = calloc(1, sizeof(*inst));
	struct qcow2 q = { .inst = inst, .host = &node_host, .cache = &cache_host, .readonly = readonly, .can_grow = 1 };

	inst->bytes = calloc(1, FILE_MAX);
	inst->len = mt_min_u64(size, FILE_MAX);
	memcpy(inst->bytes, data, inst->len);
	if (qcow2_open(&q, NULL) == 0) {
		struct mt_block_check out = { .size = sizeof(out) };

		q.has_backing = q.h.backing != NULL;
		(void)qcow2_wake(&q);
		use_extents(&q, MT_BLOCK_MAP_READ);
		q.wait = 1;
		(void)qcow2_check(&q, 0, &out, NULL, NULL, NULL);
		use_bitmaps(&q);
		q.wait = 0;
		if (readonly && q.h.snapshot_count && snapshot_show(&q, 0, NULL) == 0)
			use_extents(&q, MT_BLOCK_MAP_READ);
		if (!readonly) {
			use_extents(&q, MT_BLOCK_MAP_WRITE);
			use_writes(&q);
			use_exclusive(&q, (uint32_t)(size ? data[size - 1] : 0));
			if (!q.corrupt && q.l1)
				use_writes(&q);
		}
	}
	qcow2_close(&q);
	qcow2_fini(&q);
	(void)cache_flush(inst);
	if (inst->page_count)
		abort();                       /* a page was not put */
	free(inst->bytes);
	free(inst);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	run(data, size, 1);
	run(data, size, 0);
	return 0;
}

FUZZ_REPLAY("plugins/block-qcow2/corpus", 150)
