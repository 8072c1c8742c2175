/* SPDX-License-Identifier: MIT */
/*
 * Pages that hold code. Translations are keyed by the backing page (RAM object and offset), so every mapping of
 * it is seen. A page that holds code is written the slow way only: its store TLB entries are dropped before its
 * bytes are read (pages_protect), and a slow store drops what it hits, a 64-byte line at a time.
 *
 * The race between a vCPU T that translates a page and a vCPU W that begins to write it: W sets `writers`, then
 * looks at `has_code`; T sets `has_code`, then looks at `writers` (both sequentially consistent), so at least
 * one sees the other. If T sees W, it drops store entries in an exclusive section; a store that W made before
 * is in the bytes that T reads after.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/engine.h"

static struct tcg_ram *ram_add(struct tcg *t, struct mt_ram *ram)
{
	if (t->ram_count >= sizeof(t->rams) / sizeof(t->rams[0]))
		return NULL;
	struct tcg_ram *r = &t->rams[t->ram_count];
	r->page_count = (ram->len_bytes + TCG_PAGE_SIZE - 1) >> TCG_PAGE_BITS;
	/* reserved, not touched: most pages never hold code */
	void *pages = mmap(NULL, r->page_count * sizeof(*r->pages), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void *bits = mmap(NULL, (r->page_count + 63) / 64 * 8, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pages == MAP_FAILED || bits == MAP_FAILED)
		return NULL;
	r->pages = pages;
	r->ram = ram;
	r->dirty_seen = __atomic_load_n(&ram->dirty_epoch[MT_DIRTY_CODE], __ATOMIC_ACQUIRE);
	__atomic_store_n(&ram->code_pages, (uint64_t *)bits, __ATOMIC_RELEASE);
	__atomic_store_n(&t->ram_count, t->ram_count + 1, __ATOMIC_RELEASE);
	return r;
}

struct tcg_ram *pages_ram(struct tcg *t, struct mt_ram *ram)
{
	uint32_t count = __atomic_load_n(&t->ram_count, __ATOMIC_ACQUIRE);
	for (uint32_t i = 0; i < count; i++)
		if (t->rams[i].ram == ram)
			return &t->rams[i];
	pthread_mutex_lock(&t->lock);
	struct tcg_ram *r = NULL;
	for (uint32_t i = 0; i < t->ram_count && !r; i++)
		if (t->rams[i].ram == ram)
			r = &t->rams[i];
	if (!r)
		r = ram_add(t, ram);
	pthread_mutex_unlock(&t->lock);
	return r;
}

uint64_t pages_key(struct tcg *t, struct mt_ram *ram, uint64_t ram_offset)
{
	struct tcg_ram *r = pages_ram(t, ram);
	return r ? (uint64_t)(r - t->rams) << 48 | ram_offset : KEY_NONE;
}

uint64_t pages_key_of(struct tcg *t, const uint8_t *hva)
{
	uint32_t count = __atomic_load_n(&t->ram_count, __ATOMIC_ACQUIRE);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t offset = (uint64_t)(hva - t->rams[i].ram->hva);
		if (offset < t->rams[i].ram->len_bytes)
			return (uint64_t)i << 48 | offset;
	}
	return KEY_NONE;
}

static struct code_page **slot_of(struct tcg *t, uint64_t key, struct tcg_ram **ram)
{
	*ram = &t->rams[key >> 48];
	return &(*ram)->pages[(key & 0xffffffffffff) >> TCG_PAGE_BITS];
}

struct code_page *pages_get(struct tcg *t, uint64_t key)
{
	struct tcg_ram *ram;
	struct code_page **slot = slot_of(t, key, &ram);
	struct code_page *page = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	if (page)
		return page;
	page = calloc(1, sizeof(*page));
	struct code_page *other = NULL;
	if (page && !__atomic_compare_exchange_n(slot, &other, page, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		free(page);
		return other;
	}
	if (page) {
		page->made_before = __atomic_load_n(&t->pages_made, __ATOMIC_RELAXED);
		while (!__atomic_compare_exchange_n(&t->pages_made, &page->made_before, page, true, __ATOMIC_ACQ_REL,
						    __ATOMIC_RELAXED))
			;
	}
	return page;
}

static bool slow_stores(const struct code_page *page)
{
	return __atomic_load_n(&page->has_code, __ATOMIC_SEQ_CST) || __atomic_load_n(&page->watched, __ATOMIC_SEQ_CST);
}

bool pages_allow_writes(struct tcg *t, uint64_t key)
{
	struct code_page *page = pages_get(t, key);
	/* no writer is announced where it is clear already that there will be none: it would have to be revoked */
	if (!page || slow_stores(page))
		return false;
	if (!__atomic_load_n(&page->writers, __ATOMIC_RELAXED))
		__atomic_store_n(&page->writers, 1, __ATOMIC_SEQ_CST);
	return !slow_stores(page);
}

static void mark_code(struct tcg *t, uint64_t key, bool on)
{
	struct tcg_ram *ram;
	slot_of(t, key, &ram);
	uint64_t n = (key & 0xffffffffffff) >> TCG_PAGE_BITS;
	uint64_t bit = (uint64_t)1 << (n % 64);
	if (on)
		__atomic_fetch_or(&ram->ram->code_pages[n / 64], bit, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&ram->ram->code_pages[n / 64], ~bit, __ATOMIC_SEQ_CST);
}

static const uint8_t *page_hva(const struct tcg *t, uint64_t key)
{
	return t->rams[key >> 48].ram->hva + (key & 0xffffffffffff & TCG_PAGE_MASK);
}

/* Takes direct write access to the page from every vCPU. */
static void revoke_writes(struct tcg_vcpu *v, struct code_page *page, uint64_t key)
{
	struct tcg *t = v->tcg;
	exec_exclusive_begin(v);
	for (uint32_t i = 0; i < t->vcpu_count; i++)
		if (t->vcpus[i])
			tlb_unwritable(t->vcpus[i], page_hva(t, KEY_PAGE(key)));
	__atomic_store_n(&page->writers, 0, __ATOMIC_SEQ_CST);
	exec_exclusive_end(v);
}

void pages_watch(struct tcg_vcpu *v, uint64_t key)
{
	struct code_page *page = pages_get(v->tcg, key);
	if (!page)
		return;
	__atomic_store_n(&page->watched, 1, __ATOMIC_SEQ_CST);
	revoke_writes(v, page, key);
}

bool pages_watched(struct tcg *t, uint64_t key)
{
	struct tcg_ram *ram;
	const struct code_page *page = __atomic_load_n(slot_of(t, key, &ram), __ATOMIC_ACQUIRE);
	return page && __atomic_load_n(&page->watched, __ATOMIC_SEQ_CST);
}

bool pages_protect(struct tcg_vcpu *v, uint64_t key, uint32_t *version)
{
	struct tcg *t = v->tcg;
	struct code_page *page = pages_get(t, key);
	if (!page)
		return false;
	/* has_code and version under one lock: whoever clears has_code later changes the version too */
	pthread_mutex_lock(&t->lock);
	if (!page->has_code) {
		__atomic_store_n(&page->has_code, 1, __ATOMIC_SEQ_CST);
		mark_code(t, key, true);
	}
	*version = __atomic_load_n(&page->version, __ATOMIC_ACQUIRE);
	uint32_t writers = __atomic_load_n(&page->writers, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&t->lock);
	if (writers)
		revoke_writes(v, page, key);
	return true;
}

static uint64_t lines_of(uint32_t first, uint32_t last)
{
	uint32_t a = first / 64, b = last / 64;
	return (b == 63 ? ~(uint64_t)0 : ((uint64_t)1 << (b + 1)) - 1) & ~(((uint64_t)1 << a) - 1);
}

/* The lines of page `page_key` that a block's code covers. */
static uint64_t block_lines(const struct tcg_block *b, uint64_t page_key)
{
	uint32_t first = (uint32_t)(b->phys & (TCG_PAGE_SIZE - 1));
	uint32_t end = first + b->guest_bytes;
	uint64_t lines = 0;
	if (b->phys_page[0] == page_key)
		lines |= lines_of(first, end > TCG_PAGE_SIZE ? TCG_PAGE_SIZE - 1 : end - 1);
	/* two virtual pages may be one page of memory: then both parts count */
	if (b->phys_page[1] == page_key)
		lines |= lines_of(0, end - TCG_PAGE_SIZE - 1);
	return lines;
}

static struct tcg_block *page_next(struct tcg_block *b, uint64_t page_key)
{
	return b->page_next[b->phys_page[0] == page_key ? 0 : 1];
}

static void recount_lines(struct tcg *t, struct code_page *page, uint64_t page_key)
{
	uint64_t lines = 0;
	for (struct tcg_block *b = page->blocks; b; b = page_next(b, page_key))
		lines |= block_lines(b, page_key);
	__atomic_store_n(&page->lines, lines, __ATOMIC_SEQ_CST);
	if (!page->blocks) {
		__atomic_store_n(&page->has_code, 0, __ATOMIC_SEQ_CST);
		mark_code(t, page_key, false);
		__atomic_fetch_add(&page->version, 1, __ATOMIC_SEQ_CST);
	}
}

/* Under tcg.lock. */
static void drop_lines(struct tcg *t, struct code_page *page, uint64_t page_key, uint64_t lines)
{
	for (struct tcg_block *b = page->blocks, *next; b; b = next) {
		next = page_next(b, page_key);
		if (block_lines(b, page_key) & lines)
			cache_kill(t, b);
	}
	recount_lines(t, page, page_key);
}

void pages_add_lines(struct tcg *t, const struct tcg_block *b)
{
	for (unsigned i = 0; i < 2 && b->phys_page[i] != KEY_NONE; i++) {
		struct code_page *page = pages_get(t, b->phys_page[i]);
		uint64_t lines = page->lines | block_lines(b, b->phys_page[i]);
		__atomic_store_n(&page->lines, lines, __ATOMIC_SEQ_CST);
	}
}

void pages_note_store(struct tcg *t, uint64_t key, uint32_t width)
{
	struct tcg_ram *ram;
	/* the store before the look: a translator sets has_code before it reads the bytes */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	struct code_page *page = __atomic_load_n(slot_of(t, key, &ram), __ATOMIC_ACQUIRE);
	if (!page || !__atomic_load_n(&page->has_code, __ATOMIC_SEQ_CST))
		return;
	__atomic_fetch_add(&page->version, 1, __ATOMIC_SEQ_CST);
	uint32_t first = (uint32_t)(key & (TCG_PAGE_SIZE - 1));
	uint64_t lines = lines_of(first, first + width - 1);
	if (!(__atomic_load_n(&page->lines, __ATOMIC_SEQ_CST) & lines))
		return;
	pthread_mutex_lock(&t->lock);
	drop_lines(t, page, KEY_PAGE(key), lines);
	pthread_mutex_unlock(&t->lock);
}

/* Takes the dirty bits of one word and drops the pages behind them. Under tcg.lock. */
static void consume_word(struct tcg *t, struct tcg_ram *r, uint64_t word)
{
	uint64_t bits = __atomic_exchange_n(&r->ram->dirty[MT_DIRTY_CODE][word], 0, __ATOMIC_ACQ_REL);
	for (; bits; bits &= bits - 1) {
		uint64_t n = word * 64 + (uint64_t)__builtin_ctzll(bits);
		if (n >= r->page_count)
			return;
		struct code_page *page = __atomic_load_n(&r->pages[n], __ATOMIC_ACQUIRE);
		if (!page)
			continue;
		uint64_t key = (uint64_t)(r - t->rams) << 48 | n << TCG_PAGE_BITS;
		__atomic_fetch_add(&page->version, 1, __ATOMIC_SEQ_CST);
		drop_lines(t, page, key, ~(uint64_t)0);
	}
}

/*
 * The lock is held over a scan: a second vCPU that finds no bits must not go on before the one that took them has
 * dropped what they stand for.
 */
void pages_consume_dma(struct tcg_vcpu *v)
{
	struct tcg *t = v->tcg;
	uint32_t count = __atomic_load_n(&t->ram_count, __ATOMIC_ACQUIRE);
	for (uint32_t i = 0; i < count; i++) {
		struct tcg_ram *r = &t->rams[i];
		uint64_t epoch = __atomic_load_n(&r->ram->dirty_epoch[MT_DIRTY_CODE], __ATOMIC_ACQUIRE);
		if (epoch == __atomic_load_n(&r->dirty_seen, __ATOMIC_RELAXED) || !r->ram->dirty[MT_DIRTY_CODE])
			continue;
		pthread_mutex_lock(&t->lock);
		for (uint64_t w = 0; w < (r->page_count + 63) / 64; w++)
			if (__atomic_load_n(&r->ram->dirty[MT_DIRTY_CODE][w], __ATOMIC_RELAXED))
				consume_word(t, r, w);
		/* after the scan: a second vCPU must not believe the bits consumed while they are not */
		__atomic_store_n(&r->dirty_seen, epoch, __ATOMIC_RELEASE);
		pthread_mutex_unlock(&t->lock);
	}
}
