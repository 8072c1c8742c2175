/* SPDX-License-Identifier: MIT */
/*
 * The write-back cache of metadata: <mortise/draft/block-cache.h>. Under the node's instance lock, which covers the
 * pages' contents too; reads run on workers, writes on copies (flush.c), both without the lock.
 * Easy to break: a page with a copy on its way to the file (`writing`) must stay, or it would be read again stale.
 */
#include <string.h>
#include <util/error.h>

#include "kernel/block/node.h"

#define PAGES_MIN 16u
#define SECTOR_BYTES 512u
#define DIRTY_SOON (4u << 20)            /* of a node: a pass begins */
#define DIRTY_MOST (32u << 20)           /* of a node: who wants a page waits for the pass */

enum page_state { PAGE_LOADING, PAGE_READY, PAGE_FAILED };

struct page {
	struct mt_block_page pub;
	struct mt_block_cache *cache;
	enum page_state state;
	int32_t error;
	uint32_t refs, writing;
	uint32_t dirty_from, dirty_to;
	bool after_data, forgotten;
	GList lru;                       /* in cache->lru while nobody holds it */
};

struct mt_block_cache {
	struct bnode *node;
	struct file *file;
	uint32_t page_bytes, rank, child;
	uint64_t limit_pages;
	GHashTable *pages;               /* offset -> struct page */
	GQueue lru;                      /* unheld pages, least recently used first */
	GHashTable *dirty;               /* pages, as a set */
};

/* Pages */

static void page_free(struct page *page)
{
	g_free(page->pub.data);
	g_free(page);
}

static void page_remove(struct page *page)
{
	g_hash_table_remove(page->cache->pages, &page->pub.offset);
}

static bool page_idle(const struct page *page)
{
	return page->refs == 0 && page->writing == 0 && page->dirty_to == 0 && page->state != PAGE_LOADING;
}

static void clean(struct page *page)
{
	if (page->dirty_to == 0)
		return;
	page->cache->node->dirty_bytes -= page->dirty_to - page->dirty_from;
	page->dirty_from = page->dirty_to = 0;
	page->after_data = false;
	g_hash_table_remove(page->cache->dirty, page);
}

/* Nobody holds it any more: to be kept as long as there is room, or gone. */
static void page_let_go(struct page *page)
{
	struct mt_block_cache *cache = page->cache;

	if (page->forgotten)
		clean(page);
	if (!page_idle(page))
		return;
	if (page->forgotten || page->state == PAGE_FAILED)
		page_remove(page);
	else
		g_queue_push_tail_link(&cache->lru, &page->lru);
	/* not this one: who waits for it has not seen it yet, and would wait for ever where all others are dirty */
	while (g_hash_table_size(cache->pages) > cache->limit_pages && cache->lru.head && cache->lru.head->data != page) {
		struct page *old = cache->lru.head->data;

		g_queue_unlink(&cache->lru, &old->lru);
		page_remove(old);
	}
	if (g_hash_table_size(cache->pages) > cache->limit_pages + 1)
		node_flush_soon(cache->node);
}

static void page_hold(struct page *page)
{
	if (page_idle(page) && !page->forgotten && page->state == PAGE_READY)
		g_queue_unlink(&page->cache->lru, &page->lru);
	page->refs++;
}

static struct page *page_new(struct mt_block_cache *cache, uint64_t offset)
{
	struct page *page = g_try_new0(struct page, 1);

	if (!page)
		return NULL;
	page->pub.data = g_try_malloc0(cache->page_bytes);
	if (!page->pub.data) {
		g_free(page);
		return NULL;
	}
	page->pub.offset = offset;
	page->cache = cache;
	page->lru.data = page;
	g_hash_table_insert(cache->pages, &page->pub.offset, page);
	return page;
}

/* Reading */

static void load_job(void *arg)
{
	struct page *page = arg;
	struct mt_block_cache *cache = page->cache;
	int32_t rc = file_read(cache->file, page->pub.offset, page->pub.data, cache->page_bytes);

	node_enter(cache->node);
	page->state = rc ? PAGE_FAILED : PAGE_READY;
	page->error = rc;
	page->refs--;
	if (rc == 0)
		page_let_go(page);       /* a failed one stays until somebody has heard of it */
	node_leave(cache->node);
	node_ready(cache->node);
}

static int32_t load(struct page *page, uint32_t flags)
{
	struct mt_block_cache *cache = page->cache;

	/* what the host has in memory is had sooner than a worker is woken */
	if (flags & MT_BLOCK_PAGE_NEW || file_read_now(cache->file, page->pub.offset, page->pub.data, cache->page_bytes)) {
		page->state = PAGE_READY;
		return 0;
	}
	if (flags & MT_BLOCK_PAGE_WAIT || !cache->node->workers) {
		page->error = file_read(cache->file, page->pub.offset, page->pub.data, cache->page_bytes);
		page->state = page->error ? PAGE_FAILED : PAGE_READY;
		return page->error;
	}
	page->state = PAGE_LOADING;
	page->refs++;
	node_job(cache->node, load_job, page);
	return MT_EAGAIN;
}

/* Somebody else's read is under way: done here once more, into the same memory would race; so it is waited for. */
static void wait_loaded(struct page *page)
{
	struct bnode *node = page->cache->node;

	while (page->state == PAGE_LOADING) {
		uint64_t ready = node_ready_count(node);

		node_leave(node);
		node_sleep_ready(node, ready);
		node_enter(node);
	}
}

static int32_t failed(struct page *page)
{
	int32_t rc = page->error;

	if (page->refs == 0)
		page_remove(page);
	return rc;
}

static bool is_legal(const struct mt_block_cache *cache, uint64_t offset)
{
	return offset % cache->page_bytes == 0 && offset <= (uint64_t)INT64_MAX - cache->page_bytes;
}

static int32_t get(struct mt_block_cache *cache, uint64_t offset, uint32_t flags, struct mt_block_page **out)
{
	struct page *page;
	int32_t rc;

	if (!is_legal(cache, offset))
		return MT_EIO;
	page = g_hash_table_lookup(cache->pages, &offset);
	if (page && page->state == PAGE_LOADING && flags & MT_BLOCK_PAGE_WAIT) {
		page->refs++;
		wait_loaded(page);
		page->refs--;
	}
	if (page && page->state == PAGE_LOADING)
		return MT_EAGAIN;
	if (page && page->state == PAGE_FAILED)
		return failed(page);
	if (!page) {
		if (cache->node->dirty_bytes > DIRTY_MOST && cache->node->workers && !(flags & MT_BLOCK_PAGE_WAIT)) {
			node_flush_soon(cache->node);
			return MT_EAGAIN;
		}
		page = page_new(cache, offset);
		if (!page)
			return MT_ENOMEM;
		rc = load(page, flags);
		if (rc == MT_EAGAIN)
			return rc;
		if (rc < 0)
			return failed(page);
		page->refs++;            /* new: in no list yet */
	} else {
		if (page->forgotten && flags & MT_BLOCK_PAGE_NEW)
			memset(page->pub.data, 0, cache->page_bytes);
		page_hold(page);
		page->forgotten = false;
	}
	*out = &page->pub;
	return 0;
}

static void hold(struct mt_block_cache *cache, struct mt_block_page *page)
{
	(void)cache;
	((struct page *)page)->refs++;
}

static void put(struct mt_block_cache *cache, struct mt_block_page *pub)
{
	struct page *page = (struct page *)pub;

	(void)cache;
	if (--page->refs == 0)
		page_let_go(page);
}

static void dirty_add(struct page *page, uint32_t from, uint32_t to)
{
	struct bnode *node = page->cache->node;

	if (page->dirty_to == 0) {
		page->dirty_from = from;
		g_hash_table_add(page->cache->dirty, page);
	} else {
		node->dirty_bytes -= page->dirty_to - page->dirty_from;
		page->dirty_from = MIN(page->dirty_from, from);
		to = MAX(page->dirty_to, to);
	}
	page->dirty_to = to;
	node->dirty_bytes += page->dirty_to - page->dirty_from;
}

static void dirty(struct mt_block_cache *cache, struct mt_block_page *pub, uint32_t from_byte, uint32_t len_bytes,
		  uint32_t flags)
{
	struct page *page = (struct page *)pub;

	if (len_bytes == 0 || from_byte >= cache->page_bytes)
		return;
	dirty_add(page, from_byte, from_byte + MIN(len_bytes, cache->page_bytes - from_byte));
	if (flags & MT_BLOCK_DIRTY_AFTER_DATA)
		page->after_data = true;
	if (cache->node->dirty_bytes > DIRTY_SOON)
		node_flush_soon(cache->node);
}

static void forget_page(struct page *page)
{
	bool listed = page_idle(page) && page->state == PAGE_READY && !page->forgotten;

	if (listed)
		g_queue_unlink(&page->cache->lru, &page->lru);
	page->forgotten = true;
	if (page->refs == 0)
		page_let_go(page);
}

/* A range of more pages than there are: by them. One that goes may take others with it, so they are known by place. */
static void forget_those(struct mt_block_cache *cache, uint64_t offset, uint64_t len_bytes)
{
	GArray *places = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	GHashTableIter iter;
	void *key;

	g_hash_table_iter_init(&iter, cache->pages);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		g_array_append_val(places, *(uint64_t *)key);
	for (guint i = 0; i < places->len; i++) {
		uint64_t at = g_array_index(places, uint64_t, i);
		struct page *page = g_hash_table_lookup(cache->pages, &at);

		if (page && at >= offset && at - offset <= len_bytes - cache->page_bytes)
			forget_page(page);
	}
	g_array_unref(places);
}

static void forget(struct mt_block_cache *cache, uint64_t offset, uint64_t len_bytes)
{
	if (len_bytes / cache->page_bytes > g_hash_table_size(cache->pages)) {
		forget_those(cache, offset, len_bytes);
		return;
	}
	for (uint64_t at = offset; len_bytes - (at - offset) >= cache->page_bytes; at += cache->page_bytes) {
		struct page *page = g_hash_table_lookup(cache->pages, &at);

		if (page)
			forget_page(page);
	}
}

/* Writing, by copies */

struct copy {
	struct page *page;
	uint8_t *data;
	uint32_t from, to, rank;
	bool after_data;
	int32_t rc;
};

struct bcopies {
	GArray *list;                    /* of struct copy */
};

static int copy_order(gconstpointer a, gconstpointer b)
{
	const struct copy *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->page->pub.offset < y->page->pub.offset ? -1 : x->page->pub.offset > y->page->pub.offset;
}

static bool copy_add(struct bcopies *copies, struct page *page)
{
	struct copy copy = { page, NULL, page->dirty_from, page->dirty_to, page->cache->rank, page->after_data, MT_EIO };

	if (page->cache->file->through) {        /* filters may want whole sectors, and the page has them */
		copy.from = copy.from / SECTOR_BYTES * SECTOR_BYTES;
		copy.to = (copy.to + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
	}
	copy.data = g_try_malloc(copy.to - copy.from);
	if (!copy.data)
		return false;
	memcpy(copy.data, page->pub.data + copy.from, copy.to - copy.from);
	page->writing++;
	g_array_append_val(copies->list, copy);
	return true;
}

/* Copies end: with an error their pages are dirty again. */
static void copies_end(struct bcopies *copies)
{
	for (guint i = 0; i < copies->list->len; i++) {
		struct copy *copy = &g_array_index(copies->list, struct copy, i);

		copy->page->writing--;
		if (copy->rc < 0 && !copy->page->forgotten) {
			dirty_add(copy->page, copy->from, copy->to);
			copy->page->after_data |= copy->after_data;
		}
		if (copy->page->refs == 0)
			page_let_go(copy->page);
		g_free(copy->data);
	}
	g_array_unref(copies->list);
	g_free(copies);
}

struct bcopies *cache_snapshot(struct bnode *node, int32_t *rc)
{
	struct bcopies *copies = g_new0(struct bcopies, 1);
	bool fine = true;

	copies->list = g_array_new(FALSE, FALSE, sizeof(struct copy));
	for (guint i = 0; i < node->caches->len && fine; i++) {
		struct mt_block_cache *cache = g_ptr_array_index(node->caches, i);
		GHashTableIter iter;
		void *page;

		g_hash_table_iter_init(&iter, cache->dirty);
		while (fine && g_hash_table_iter_next(&iter, &page, NULL))
			fine = copy_add(copies, page);
	}
	for (guint i = 0; i < copies->list->len; i++)
		clean(g_array_index(copies->list, struct copy, i).page);
	if (fine && copies->list->len) {
		g_array_sort(copies->list, copy_order);
		return copies;
	}
	*rc = fine ? 0 : MT_ENOMEM;
	copies_end(copies);
	return NULL;
}

/* A sync stands between ranks, and before pages that must not come before data. */
static int32_t write_in_order(struct bnode *node, struct bcopies *copies)
{
	bool synced = false, written = false;
	uint32_t rank = 0;
	int32_t rc = 0;

	for (guint i = 0; i < copies->list->len && rc == 0; i++) {
		struct copy *copy = &g_array_index(copies->list, struct copy, i);

		if ((copy->rank > rank && written) || (copy->after_data && !synced)) {
			rc = node_sync_files(node);
			synced = true;
			written = false;
		}
		rank = copy->rank;
		if (rc == 0)
			rc = file_write(copy->page->cache->file, copy->page->pub.offset + copy->from, copy->data,
					copy->to - copy->from);
		written = true;
		copy->rc = rc;
	}
	return rc;
}

int32_t cache_write(struct bnode *node, struct bcopies *copies)
{
	int32_t rc = write_in_order(node, copies);

	node_enter(node);
	copies_end(copies);
	node_leave(node);
	return rc;
}

/* Life */

struct mt_block_cache *cache_create(struct bnode *node, uint32_t child, uint32_t page_bytes, uint64_t limit_bytes,
				    uint32_t rank, struct mt_error *err)
{
	struct mt_block_cache *cache;

	if (child >= node->child_count || !node->children[child].file || rank >= MT_BLOCK_RANKS || page_bytes < 512 ||
	    page_bytes > 2u << 20 || page_bytes & (page_bytes - 1)) {
		mt_error_set(err, MT_EINVAL, NULL, "a cache of pages of %u bytes over child %u cannot be", page_bytes,
			     child);
		return NULL;
	}
	cache = g_new0(struct mt_block_cache, 1);
	cache->node = node;
	cache->file = node->children[child].file;
	cache->child = child;
	cache->page_bytes = page_bytes;
	cache->rank = rank;
	cache->limit_pages = MAX(limit_bytes / page_bytes, PAGES_MIN);
	cache->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)page_free);
	cache->dirty = g_hash_table_new(NULL, NULL);
	g_ptr_array_add(node->caches, cache);
	return cache;
}

void cache_destroy_all(struct bnode *node)
{
	for (guint i = 0; i < node->caches->len; i++) {
		struct mt_block_cache *cache = g_ptr_array_index(node->caches, i);

		g_hash_table_unref(cache->dirty);
		g_hash_table_unref(cache->pages);
		g_free(cache);
	}
	g_ptr_array_set_size(node->caches, 0);
}

static struct mt_block_cache *create(struct mt_inst *inst, uint32_t child, uint32_t page_bytes, uint64_t limit_bytes,
				     uint32_t rank, struct mt_error *err)
{
	return cache_create(node_of_inst(inst), child, page_bytes, limit_bytes, rank, err);
}

static int32_t flush(struct mt_inst *inst)
{
	return node_flush(node_of_inst(inst));
}

const struct mt_block_cache_host block_cache_host = {
	.create = create,
	.get = get,
	.hold = hold,
	.put = put,
	.dirty = dirty,
	.forget = forget,
	.flush = flush,
};
