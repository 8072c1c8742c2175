/* SPDX-License-Identifier: MIT */
/*
 * The engine's parts without a guest: block table, links, eviction, pages with code (and the race between one who
 * translates and one who writes), points of a debugger, contexts. The host is a fake that remembers links.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

#define PAGES 16u
#define CODE_BYTES (1u << 20)

static struct mt_ram ram;
static uint64_t dirty[1];
static struct tcg *t;
static uint32_t linked, unlinked;

static void fake_link(struct tcg_host_state *state, struct tcg_link *link, const uint8_t *to, ptrdiff_t delta)
{
	(void)state, (void)link, (void)delta;
	linked += to != NULL;
	unlinked += to == NULL;
}

static uint32_t fake_privilege(const struct tcg_env *env)
{
	(void)env;
	return 0;
}

static const struct tcg_host fake_host = { .name = "fake", .link = fake_link };
static const struct tcg_front fake_front = { .arch = "fake", .privilege = fake_privilege };

static void add_vcpu(uint32_t index)
{
	struct tcg_vcpu *v = calloc(1, sizeof(*v));
	v->tcg = t;
	v->index = index;
	v->watch_key = KEY_NONE;
	v->env = calloc(1, ENV_GUEST_OFFSET + 64);
	v->env->vcpu = v;
	tlb_init(v);
	cache_flush_jumps(v);
	t->vcpus[index] = v;
}

static void setup(void)
{
	linked = unlinked = 0;
	dirty[0] = 0;
	ram = (struct mt_ram){ .size = sizeof(ram), .fd = -1, .len_bytes = PAGES * TCG_PAGE_SIZE };
	ram.hva = aligned_alloc(TCG_PAGE_SIZE, ram.len_bytes);
	memset(ram.hva, 0, ram.len_bytes);
	ram.dirty[MT_DIRTY_CODE] = dirty;
	t = calloc(1, sizeof(*t));
	t->host = &fake_host;
	t->front = &fake_front;
	t->vcpu_count = 2;
	t->vcpus = calloc(2, sizeof(struct tcg_vcpu *));
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->gate, NULL);
	pthread_cond_init(&t->gate_changed, NULL);
	t->buckets = calloc(BLOCK_BUCKETS, sizeof(*t->buckets));
	t->code_bytes = CODE_BYTES;
	t->code_rw = aligned_alloc(64, CODE_BYTES);
	t->code_rx = t->code_rw;
	t->segment_bytes = CODE_BYTES / SEGMENTS;
	add_vcpu(0);
	add_vcpu(1);
	ck_assert_ptr_nonnull(pages_ram(t, &ram));
}

static void teardown(void)
{
	for (uint32_t i = 0; i < 2; i++) {
		free(t->vcpus[i]->back);
		free(t->vcpus[i]->env);
		free(t->vcpus[i]);
	}
	free(t->vcpus);
	free(t->buckets);
	free(t->code_rw);
	for (uint32_t i = 0; i < PAGES; i++)
		free(t->rams[0].pages[i]);
	free(t);
	free(ram.hva);
}

/* A block of code at a RAM offset, as translate.c makes it. NULL: the segment is full. */
static struct tcg_block *block(uint64_t offset, uint64_t pc, uint32_t bytes, uint64_t second)
{
	struct tcg_code_space space;
	bool full;
	struct tcg_block *b = cache_space(t, &space, &full);
	if (full)
		return NULL;
	b->phys = pages_key(t, &ram, offset);
	b->pc = pc;
	b->guest_bytes = bytes;
	b->phys_page[0] = KEY_PAGE(b->phys);
	b->phys_page[1] = second == KEY_NONE ? KEY_NONE : pages_key(t, &ram, second);
	b->code = space.rx;
	b->code_bytes = 1024;
	for (unsigned i = 0; i < BLOCK_LINKS; i++)
		b->links[i].from = b;
	t->segment_used = (size_t)(space.rw - t->code_rw) - t->segment * t->segment_bytes + 1024;
	b->segment_next = t->segment_blocks[t->segment];
	t->segment_blocks[t->segment] = b;
	cache_insert(t, b);
	pages_add_lines(t, b);
	return b;
}

static struct tcg_block *find(const struct tcg_block *b)
{
	return cache_find(t, b->phys, b->pc, b->flags);
}

/* --- cache --- */

START_TEST(blocks_are_found_by_place_pc_and_flags)
{
	struct tcg_block *b = block(0x100, 0x40000100, 8, KEY_NONE);
	ck_assert_ptr_eq(find(b), b);
	ck_assert_ptr_null(cache_find(t, b->phys + 2, b->pc, 0));
	ck_assert_ptr_null(cache_find(t, b->phys, b->pc + 0x1000, 0));
	ck_assert_ptr_null(cache_find(t, b->phys, b->pc, 1));
	cache_kill(t, b);
	ck_assert_ptr_null(find(b));
	ck_assert_uint_eq(t->vcpus[0]->jump_flush, 1);
	ck_assert_uint_eq(t->vcpus[1]->jump_flush, 1);
	cache_kill(t, b);       /* twice is once */
}
END_TEST

START_TEST(links_are_undone_from_both_ends)
{
	struct tcg_block *a = block(0x100, 0x1100, 8, KEY_NONE), *b = block(0x200, 0x1200, 8, KEY_NONE);
	struct tcg_block *c = block(0x300, 0x1300, 8, KEY_NONE);
	a->links[0].target_pc = c->links[1].target_pc = b->pc;
	b->links[0].target_pc = c->pc;
	cache_link(t, &a->links[0], b);
	cache_link(t, &c->links[1], b);
	cache_link(t, &b->links[0], c);
	ck_assert_uint_eq(linked, 3);
	cache_link(t, &a->links[0], b);
	ck_assert_uint_eq(linked, 3);
	cache_kill(t, b);
	ck_assert_uint_eq(unlinked, 3);
	ck_assert_ptr_null(a->links[0].to);
	ck_assert_ptr_null(c->links[1].to);
	ck_assert_ptr_null(c->in);
	/* a block that is gone, but still runs, is linked to nothing and from nowhere */
	cache_link(t, &a->links[0], b);
	cache_link(t, &b->links[0], c);
	ck_assert_uint_eq(linked, 3);
}
END_TEST

START_TEST(links_stay_in_the_page)
{
	struct tcg_block *a = block(0x100, 0x1100, 8, KEY_NONE), *far_one = block(0x2200, 0x3200, 8, KEY_NONE);
	struct tcg_block *other = block(0x200, 0x1200, 8, KEY_NONE), *tail = block(0xffe, 0x1ffe, 4, 0x1000);
	struct tcg_block *checked = block(0x300, 0x1300, 8, KEY_NONE);
	a->links[0].target_pc = far_one->pc;
	cache_link(t, &a->links[0], far_one);
	a->links[0].target_pc = other->pc + 2;
	cache_link(t, &a->links[0], other);
	a->links[0].target_pc = tail->pc;
	cache_link(t, &a->links[0], tail);
	checked->checked = 1;
	a->links[0].target_pc = checked->pc;
	cache_link(t, &a->links[0], checked);
	checked->links[0].target_pc = a->pc;
	cache_link(t, &checked->links[0], a);
	a->links[0].target_pc = other->pc;
	other->flags = 1;
	cache_link(t, &a->links[0], other);
	other->flags = 0;
	ck_assert_uint_eq(linked, 0);
	cache_link(t, &a->links[0], other);
	ck_assert_uint_eq(linked, 1);
}
END_TEST

START_TEST(eviction_takes_one_segment)
{
	struct tcg_block *first = block(0x10, 0x10, 4, KEY_NONE), *b = first, *last;
	uint64_t pc = 0x20;
	while ((last = block(pc, pc, 4, KEY_NONE))) {
		b = last;
		pc += 4;
	}
	cache_next_segment(t);
	struct tcg_block *other = block(0x800, 0x800, 4, KEY_NONE);
	ck_assert_ptr_nonnull(other);
	other->links[0].target_pc = b->pc;
	cache_link(t, &other->links[0], b);
	ck_assert_uint_eq(linked, 1);
	for (uint32_t i = 0; i < SEGMENTS - 2; i++)
		cache_next_segment(t);
	ck_assert_ptr_eq(find(first), first);
	ck_assert_ptr_eq(find(b), b);
	cache_next_segment(t);
	ck_assert_ptr_null(cache_find(t, pages_key(t, &ram, 0x10), 0x10, 0));
	ck_assert_ptr_eq(find(other), other);
	ck_assert_ptr_null(other->links[0].to);
	ck_assert_uint_eq(unlinked, 1);
	ck_assert_uint_eq(t->evictions, SEGMENTS);
}
END_TEST

START_TEST(table_agrees_with_a_model)
{
	enum { N = 40 };
	struct tcg_block *b[N];
	bool live[N];
	uint32_t seed = 5;
	for (uint32_t i = 0; i < N; i++) {
		/* few places, many pcs: long chains */
		b[i] = block(i % 3 * 64, 0x100000000ull * i, 4, KEY_NONE);
		live[i] = true;
	}
	for (uint32_t step = 0; step < 4000; step++) {
		seed = seed * 1664525 + 1013904223;
		uint32_t i = (seed >> 16) % N;
		if (live[i])
			cache_kill(t, b[i]);
		else
			cache_insert(t, b[i]);
		live[i] = !live[i];
		for (uint32_t k = 0; k < N; k++)
			ck_assert_ptr_eq(find(b[k]), live[k] ? b[k] : NULL);
	}
}
END_TEST

/* --- pages --- */

static struct code_page *page_of(uint64_t offset)
{
	return pages_get(t, pages_key(t, &ram, offset));
}

static bool code_bit(uint32_t page)
{
	return ram.code_pages[0] >> page & 1;
}

START_TEST(stores_drop_the_lines_that_they_hit)
{
	uint32_t version;
	uint64_t key = pages_key(t, &ram, 0x1000);
	ck_assert(pages_allow_writes(t, key));
	ck_assert(pages_protect(t->vcpus[0], key, &version));
	ck_assert(!pages_allow_writes(t, key));
	ck_assert(code_bit(1));
	struct tcg_block *a = block(0x1000, 0x1000, 64, KEY_NONE), *b = block(0x103e, 0x103e, 8, KEY_NONE);
	struct tcg_block *c = block(0x1ff0, 0x1ff0, 16, KEY_NONE);
	pages_note_store(t, key + 0x80, 8);
	ck_assert_ptr_eq(find(b), b);
	ck_assert_uint_ne(page_of(0x1000)->version, version);
	pages_note_store(t, key + 0x40, 1);
	ck_assert_ptr_eq(find(a), a);
	ck_assert_ptr_null(find(b));
	ck_assert_ptr_eq(find(c), c);
	pages_note_store(t, key + 0x3c, 8);     /* over the end of a line */
	ck_assert_ptr_null(find(a));
	ck_assert(code_bit(1));
	pages_note_store(t, key + 0xff8, 8);
	ck_assert_ptr_null(find(c));
	/* nothing is left: the page is like any other */
	ck_assert(!code_bit(1));
	ck_assert(pages_allow_writes(t, key));
}
END_TEST

START_TEST(both_pages_of_a_straddling_block_count)
{
	uint32_t version;
	for (uint64_t second = 0x2000; second <= 0x3000; second += 0x1000) {
		for (uint32_t part = 0; part < 2; part++) {
			pages_protect(t->vcpus[0], pages_key(t, &ram, 0x2000), &version);
			pages_protect(t->vcpus[0], pages_key(t, &ram, 0x3000), &version);
			/* with second = 0x2000 one page of memory stands for two */
			struct tcg_block *b = block(0x2ffe, 0x5ffe, 4, second);
			pages_note_store(t, pages_key(t, &ram, 0x2800), 8);
			pages_note_store(t, pages_key(t, &ram, second + 64), 8);
			ck_assert_ptr_eq(find(b), b);
			pages_note_store(t, pages_key(t, &ram, part ? second : 0x2ff8), part ? 1 : 8);
			ck_assert_ptr_null(find(b));
		}
	}
}
END_TEST

START_TEST(dma_drops_pages)
{
	uint32_t version;
	pages_protect(t->vcpus[0], pages_key(t, &ram, 0x4000), &version);
	pages_protect(t->vcpus[0], pages_key(t, &ram, 0x5000), &version);
	struct tcg_block *a = block(0x4010, 0x4010, 4, KEY_NONE), *b = block(0x5010, 0x5010, 4, KEY_NONE);
	dirty[0] = 1u << 4;
	pages_consume_dma(t->vcpus[0]);         /* the epoch has not changed: not looked at */
	ck_assert_ptr_eq(find(a), a);
	ram.dirty_epoch[MT_DIRTY_CODE]++;
	pages_consume_dma(t->vcpus[0]);
	ck_assert_ptr_null(find(a));
	ck_assert_ptr_eq(find(b), b);
	ck_assert_uint_eq(dirty[0], 0);
}
END_TEST

START_TEST(a_watched_page_is_written_the_slow_way)
{
	uint64_t key = pages_key(t, &ram, 0x6000);
	struct tcg_vcpu *v = t->vcpus[1];
	ck_assert(pages_allow_writes(t, key));
	tlb_fill(v, 0x6000, 0, 1, (uintptr_t)ram.hva);
	ck_assert_uint_eq(v->env->tlb[0][1][6].tag, 0x6000);
	ck_assert(!pages_watched(t, key));
	pages_watch(t->vcpus[0], key);
	ck_assert(pages_watched(t, key));
	ck_assert(!pages_allow_writes(t, key));
	ck_assert_uint_ne(v->env->tlb[0][1][6].tag, 0x6000);
}
END_TEST

/* --- points of a debugger --- */

START_TEST(a_breakpoint_drops_the_blocks_over_it)
{
	struct tcg_block *a = block(0x100, 0x40000100, 8, KEY_NONE), *b = block(0x108, 0x40000108, 4, KEY_NONE),
			 *c = block(0x104, 0x40000104, 2, KEY_NONE);
	ck_assert_int_eq(debug_class.point_add(t, MT_DEBUG_EXECUTE, 0x40000104, 4), 0);
	ck_assert_ptr_null(find(a));
	ck_assert_ptr_eq(find(b), b);
	ck_assert_ptr_null(find(c));
	ck_assert(debug_break_at(t, 0x40000104) && !debug_break_at(t, 0x40000106));
	/* none is made there */
	t->vcpus[0]->env->pc = 0x40000104;
	ck_assert_ptr_null(translate_block(t->vcpus[0]));
	ck_assert_uint_eq(t->vcpus[0]->env->exit_reason, TCG_EXIT_DEBUG);
	/* twice there, twice to be removed */
	ck_assert_int_eq(debug_class.point_add(t, MT_DEBUG_EXECUTE, 0x40000104, 2), 0);
	ck_assert_int_eq(debug_class.point_remove(t, MT_DEBUG_EXECUTE, 0x40000104, 4), 0);
	ck_assert(debug_break_at(t, 0x40000104));
	ck_assert_int_eq(debug_class.point_remove(t, MT_DEBUG_EXECUTE, 0x40000104, 4), 0);
	ck_assert(!debug_break_at(t, 0x40000104));
	ck_assert_int_eq(debug_class.point_remove(t, MT_DEBUG_EXECUTE, 0x40000104, 4), MT_ENOENT);
}
END_TEST

START_TEST(an_access_to_a_watched_byte_is_refused_once)
{
	struct tcg_vcpu *v = t->vcpus[0];
	tlb_fill(v, 0x6000, 0, 1, (uintptr_t)ram.hva);
	ck_assert_int_eq(debug_class.point_add(t, MT_DEBUG_WRITE, 0x6ffe, 4), 0);
	ck_assert_uint_ne(v->env->tlb[0][1][6].tag, 0x6000);
	/* both pages that it lies on, for stores; loads go on by themselves */
	ck_assert(debug_page_watched(t, 0x6000, MT_DEBUG_WRITE) && debug_page_watched(t, 0x7fff, MT_DEBUG_WRITE));
	ck_assert(!debug_page_watched(t, 0x8000, MT_DEBUG_WRITE) && !debug_page_watched(t, 0x6000, MT_DEBUG_READ));
	ck_assert(!debug_met(v, 0x6ff6, 8, MT_DEBUG_WRITE) && !debug_met(v, 0x7002, 1, MT_DEBUG_WRITE));
	ck_assert(!debug_met(v, 0x6ffe, 4, MT_DEBUG_READ));
	ck_assert(debug_met(v, 0x6ff8, 8, MT_DEBUG_WRITE));
	ck_assert_uint_eq(v->debug.stop.vaddr, 0x6ffe);
	ck_assert_uint_eq(v->env->exit_reason, TCG_EXIT_POLL);
	/* the instruction is then done with the points off, and that is the stop */
	ck_assert(!debug_after(v, TCG_EXIT_POLL));
	ck_assert(debug_masks_irqs(v) && !debug_met(v, 0x6ff8, 8, MT_DEBUG_WRITE));
	v->env->pc = 0x1234;
	ck_assert(debug_after(v, TCG_EXIT_LOOKUP));
	struct mt_debug_stop stop = { .size = sizeof(stop) };
	ck_assert_int_eq(debug_class.stop(v, &stop), 0);
	ck_assert_uint_eq(stop.cause, MT_DEBUG_STOP_WATCH);
	ck_assert_uint_eq(stop.access, MT_DEBUG_WRITE);
	ck_assert_uint_eq(stop.pc, 0x1234);
	/* one whose instruction faults after all was no access */
	ck_assert(debug_met(v, 0x7001, 1, MT_DEBUG_WRITE) && !debug_after(v, TCG_EXIT_POLL));
	ck_assert(!debug_after(v, TCG_EXIT_EXCEPTION) && !v->debug.passing);
}
END_TEST

START_TEST(points_are_bounded_and_checked)
{
	ck_assert_int_eq(debug_class.point_add(t, 0, 0x1000, 4), MT_ENOTSUP);
	ck_assert_int_eq(debug_class.point_add(t, MT_DEBUG_EXECUTE | MT_DEBUG_READ, 0x1000, 4), MT_ENOTSUP);
	ck_assert_int_eq(debug_class.point_add(t, 8, 0x1000, 4), MT_ENOTSUP);
	ck_assert_int_eq(debug_class.point_add(t, MT_DEBUG_READ, 0x1000, 0), MT_ERANGE);
	ck_assert_int_eq(debug_class.point_add(t, MT_DEBUG_READ, UINT64_MAX, 2), MT_ERANGE);
	ck_assert_int_eq(debug_class.point_add(t, MT_DEBUG_READ, UINT64_MAX, 1), 0);
	for (uint32_t i = 1; i < POINTS_MAX; i++)
		ck_assert_int_eq(debug_class.point_add(t, MT_DEBUG_EXECUTE, 4 * i, 0), 0);
	ck_assert_int_eq(debug_class.point_add(t, MT_DEBUG_EXECUTE, 0, 0), MT_EBUSY);
	ck_assert_int_eq(debug_class.set_mode(t->vcpus[0], 4), MT_ENOTSUP);
}
END_TEST

/* --- the race: vCPU 0 translates, vCPU 1 writes --- */

#define RACE_OFFSET 0x7008u
static int over, hold, held;            /* atomic */

static int look(int *flag)
{
	return __atomic_load_n(flag, __ATOMIC_SEQ_CST);
}

static void tell(int *flag, int value)
{
	__atomic_store_n(flag, value, __ATOMIC_SEQ_CST);
}

static void write_once(struct tcg_vcpu *v, uint64_t value)
{
	struct tlb_entry *e = &v->env->tlb[0][1][RACE_OFFSET >> TCG_PAGE_BITS];
	uint64_t *at = (uint64_t *)(void *)(ram.hva + RACE_OFFSET);
	if (e->tag == (RACE_OFFSET & TCG_PAGE_MASK)) {
		__atomic_store_n(at, value, __ATOMIC_RELAXED);
		return;
	}
	uint64_t key = pages_key(t, &ram, RACE_OFFSET);
	if (pages_allow_writes(t, key))
		tlb_fill(v, RACE_OFFSET, 0, 1, (uintptr_t)ram.hva);
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
	pages_note_store(t, key, 8);
}

static void *writer(void *arg)
{
	struct tcg_vcpu *v = arg;
	exec_enter(v);
	for (uint64_t i = 1; !look(&over); i++) {
		write_once(v, i);
		if (__atomic_exchange_n(&v->env->poll, 0, __ATOMIC_SEQ_CST) || look(&hold)) {
			exec_leave(v);
			while (look(&hold) && !look(&over))
				tell(&held, 1);
			tell(&held, 0);
			exec_enter(v);
		}
	}
	exec_leave(v);
	return NULL;
}

START_TEST(what_is_read_is_current_or_its_version_changed)
{
	uint64_t key = pages_key(t, &ram, RACE_OFFSET & TCG_PAGE_MASK);
	const uint64_t *at = (const uint64_t *)(void *)(ram.hva + RACE_OFFSET);
	struct code_page *page = pages_get(t, key);
	pthread_t thread;
	over = hold = held = 0;
	pthread_create(&thread, NULL, writer, t->vcpus[1]);
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t version;
		ck_assert(pages_protect(t->vcpus[0], key, &version));
		uint64_t read = __atomic_load_n(at, __ATOMIC_RELAXED);
		for (volatile uint32_t wait = i % 50; wait; wait--)
			;
		tell(&hold, 1);
		while (!look(&held))
			;
		if (__atomic_load_n(at, __ATOMIC_SEQ_CST) != read)
			ck_assert_uint_ne(__atomic_load_n(&page->version, __ATOMIC_SEQ_CST), version);
		/* a block comes and goes, so that the page is at times without code */
		pthread_mutex_lock(&t->lock);
		struct tcg_block *b = block(RACE_OFFSET, RACE_OFFSET, 4, KEY_NONE);
		if (!b) {
			cache_next_segment(t);
			b = block(RACE_OFFSET, RACE_OFFSET, 4, KEY_NONE);
		}
		pthread_mutex_unlock(&t->lock);
		if (i & 1)
			pages_note_store(t, key | 8, 8);
		tell(&hold, 0);
		while (look(&held))
			;
		ck_assert_ptr_nonnull(b);
	}
	tell(&over, 1);
	pthread_join(thread, NULL);
}
END_TEST

/* --- contexts --- */

START_TEST(contexts_have_keys_of_their_own)
{
	struct tcg_vcpu *v = t->vcpus[0];
	struct tcg_env *env = v->env;
	tcg_set_context(env, 1, 0, 100);
	uint64_t one = env->context;
	tcg_set_context(env, 2, 0, 100);
	uint64_t two = env->context;
	tcg_set_context(env, 1, 0, 200);
	uint64_t three = env->context;
	ck_assert(one != two && two != three && one != three);
	tcg_set_context(env, 1, 0, 100);
	ck_assert_uint_eq(env->context, one);
	tlb_forget_contexts(v);
	ck_assert_uint_ne(env->context, one);
	/* two keys of one slot are equal only when pc and context are, whatever the upper bits of a pc */
	for (uint32_t i = 0; i < 3 * CONTEXT_IDS; i++) {
		tcg_set_context(env, 1, 0, i);
		ck_assert_uint_ne(env->context, 0);
		ck_assert_uint_eq(env->context & ~(uint64_t)(2 * JC_SIZE - 2), 0);
		for (uint32_t k = 0; k < CONTEXTS; k++)
			if (v->contexts[k].id == env->context)
				ck_assert_uint_eq(v->contexts[k].space, i);
	}
	ck_assert_uint_eq(tcg_jc_index(0x1234567812345678), tcg_jc_index(0x12345678 & (2 * JC_SIZE - 2)));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine");
	TCase *engine = tcase_create("engine");
	tcase_add_checked_fixture(engine, setup, teardown);
	tcase_set_timeout(engine, 60);
	tcase_add_test(engine, blocks_are_found_by_place_pc_and_flags);
	tcase_add_test(engine, links_are_undone_from_both_ends);
	tcase_add_test(engine, links_stay_in_the_page);
	tcase_add_test(engine, eviction_takes_one_segment);
	tcase_add_test(engine, table_agrees_with_a_model);
	tcase_add_test(engine, stores_drop_the_lines_that_they_hit);
	tcase_add_test(engine, both_pages_of_a_straddling_block_count);
	tcase_add_test(engine, dma_drops_pages);
	tcase_add_test(engine, a_watched_page_is_written_the_slow_way);
	tcase_add_test(engine, a_breakpoint_drops_the_blocks_over_it);
	tcase_add_test(engine, an_access_to_a_watched_byte_is_refused_once);
	tcase_add_test(engine, points_are_bounded_and_checked);
	tcase_add_test(engine, what_is_read_is_current_or_its_version_changed);
	tcase_add_test(engine, contexts_have_keys_of_their_own);
	suite_add_tcase(suite, engine);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
