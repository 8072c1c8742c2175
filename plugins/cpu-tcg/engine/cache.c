/* SPDX-License-Identifier: MIT */
/*
 * The block table, links between blocks, and the memory they lie in. All of it under tcg.lock but cache_find,
 * which may run without: a block's memory is not reused before an exclusive section, and a chain's pointers
 * are changed by single stores, so a reader sees the chain before or after.
 * A killed block can still be executing somewhere; it leaves by its unlinked exits.
 */
#include <string.h>

#include "engine/engine.h"

static uint32_t bucket_of(uint64_t key, uint64_t pc, uint32_t flags)
{
	uint64_t h = (key >> 1) ^ (key >> 17) ^ (pc >> 32) ^ ((uint64_t)flags * 0x9e3779b1u);
	return (uint32_t)(h ^ h >> 15) & (BLOCK_BUCKETS - 1);
}

struct tcg_block *cache_find(struct tcg *t, uint64_t key, uint64_t pc, uint32_t flags)
{
	struct tcg_block *b = __atomic_load_n(&t->buckets[bucket_of(key, pc, flags)], __ATOMIC_ACQUIRE);
	for (; b; b = __atomic_load_n(&b->hash_next, __ATOMIC_ACQUIRE))
		if (b->phys == key && b->pc == pc && b->flags == flags &&
		    __atomic_load_n(&b->state, __ATOMIC_RELAXED) == BLOCK_LIVE)
			return b;
	return NULL;
}

static void page_list_add(struct tcg *t, struct tcg_block *b, unsigned which)
{
	struct code_page *page = pages_get(t, b->phys_page[which]);
	b->page_next[which] = page->blocks;
	page->blocks = b;
}

/* The list runs through page_next[i] of each block, i being the slot in which the block names this page. */
static struct tcg_block **next_slot(struct tcg_block *b, uint64_t page_key)
{
	return &b->page_next[b->phys_page[0] == page_key ? 0 : 1];
}

static void page_list_remove(struct tcg *t, struct tcg_block *b, unsigned which)
{
	struct code_page *page = pages_get(t, b->phys_page[which]);
	struct tcg_block **p = &page->blocks;
	while (*p && *p != b)
		p = next_slot(*p, b->phys_page[which]);
	if (*p)
		*p = b->page_next[which];
}

void cache_insert(struct tcg *t, struct tcg_block *b)
{
	struct tcg_block **bucket = &t->buckets[bucket_of(b->phys, b->pc, b->flags)];
	b->state = BLOCK_LIVE;
	b->hash_next = *bucket;
	page_list_add(t, b, 0);
	if (b->phys_page[1] != KEY_NONE)
		page_list_add(t, b, 1);
	__atomic_store_n(bucket, b, __ATOMIC_RELEASE);
}

static void unlink_out(struct tcg *t, struct tcg_link *link)
{
	if (!link->to)
		return;
	struct tcg_link **p = &link->to->in;
	while (*p && *p != link)
		p = &(*p)->next_in;
	if (*p)
		*p = link->next_in;
	link->to = NULL;
	t->host->link(t->host_state, link, NULL, t->code_rw - t->code_rx);
}

void cache_kill(struct tcg *t, struct tcg_block *b)
{
	if (b->state != BLOCK_LIVE)
		return;
	__atomic_store_n(&b->state, BLOCK_DEAD, __ATOMIC_RELEASE);
	struct tcg_block **p = &t->buckets[bucket_of(b->phys, b->pc, b->flags)];
	while (*p && *p != b)
		p = &(*p)->hash_next;
	if (*p)
		__atomic_store_n(p, b->hash_next, __ATOMIC_RELEASE);
	while (b->in)
		unlink_out(t, b->in);
	for (unsigned i = 0; i < BLOCK_LINKS; i++)
		unlink_out(t, &b->links[i]);
	page_list_remove(t, b, 0);
	if (b->phys_page[1] != KEY_NONE)
		page_list_remove(t, b, 1);
	for (uint32_t i = 0; i < t->vcpu_count; i++)
		if (t->vcpus[i])
			__atomic_store_n(&t->vcpus[i]->jump_flush, 1, __ATOMIC_RELEASE);
}

/*
 * Only within one guest page, and not into a block whose code goes on in a second page: what stands there can
 * be remapped without this block hearing of it.
 */
void cache_link(struct tcg *t, struct tcg_link *link, struct tcg_block *to)
{
	if (link->to || !link->from || link->from->state != BLOCK_LIVE || to->state != BLOCK_LIVE)
		return;
	if (link->from->checked || to->checked)
		return;
	if (link->target_pc != to->pc || link->from->flags != to->flags ||
	    link->from->phys_page[0] != to->phys_page[0])
		return;
	if (to->phys_page[1] != KEY_NONE) {
		if (t->host->refuse)
			t->host->refuse(t->host_state, link, t->code_rw - t->code_rx);
		return;
	}
	link->to = to;
	link->next_in = to->in;
	to->in = link;
	t->host->link(t->host_state, link, to->code, t->code_rw - t->code_rx);
}

void cache_kill_at(struct tcg *t, uint64_t vaddr)
{
	for (uint32_t i = 0; i < SEGMENTS; i++)
		for (struct tcg_block *b = t->segment_blocks[i]; b; b = b->segment_next)
			if (vaddr - b->pc < b->guest_bytes)
				cache_kill(t, b);
}

/* --- memory --- */

#define BLOCK_ROOM ((sizeof(struct tcg_block) + 63) & ~(size_t)63)

static size_t segment_offset(const struct tcg *t)
{
	return t->stub_bytes + t->segment * t->segment_bytes;
}

struct tcg_block *cache_space(struct tcg *t, struct tcg_code_space *space, bool *full)
{
	size_t left = t->segment_bytes - t->segment_used;
	*full = left < BLOCK_ROOM + 4096;
	if (*full)
		return NULL;
	size_t at = segment_offset(t) + t->segment_used;
	struct tcg_block *b = (struct tcg_block *)(void *)(t->code_rw + at);
	memset(b, 0, sizeof(*b));
	space->rw = t->code_rw + at + BLOCK_ROOM;
	space->rx = t->code_rx + at + BLOCK_ROOM;
	space->free_bytes = left - BLOCK_ROOM;
	return b;
}

/* In an exclusive section. The segment that comes next is emptied before it is filled. */
void cache_next_segment(struct tcg *t)
{
	t->segment = (t->segment + 1) % SEGMENTS;
	t->segment_used = 0;
	const uint8_t *first = t->code_rw + segment_offset(t);
	const uint8_t *end = first + t->segment_bytes;
	struct tcg_block *b = t->segment_blocks[t->segment];
	t->segment_blocks[t->segment] = NULL;
	while (b && (const uint8_t *)b >= first && (const uint8_t *)b < end) {
		struct tcg_block *next = b->segment_next;
		cache_kill(t, b);
		b = next;
	}
	for (uint32_t i = 0; i < t->vcpu_count; i++)
		if (t->vcpus[i])
			cache_flush_jumps(t->vcpus[i]);
	t->evictions++;
}

void cache_flush_jumps(struct tcg_vcpu *v)
{
	__atomic_store_n(&v->jump_flush, 0, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < JC_SIZE; i++)
		v->env->jump_cache[i].key = ~(uint64_t)0;
	memset(v->jump_pages, 0, sizeof(v->jump_pages));
}
