/* SPDX-License-Identifier: MIT */
/*
 * The TLBs of a vCPU and the contexts that cached jumps belong to. The first level is what translated code looks
 * at; it knows one address space and is emptied by the list of what was filled. The second keeps walks of all
 * address spaces. On the vCPU's own thread, but tlb_unwritable, which may run for a vCPU that is out.
 */
#include <string.h>

#include "engine/engine.h"

/* --- the first level --- */

static struct tlb_entry *entry_of(struct tcg_env *env, uint32_t number)
{
	return &env->tlb[0][0][0] + number;
}

static uint32_t entry_number(uint32_t mmu, unsigned kind, uint64_t vaddr)
{
	return (mmu * 2 + kind) << TLB_BITS | (vaddr >> TCG_PAGE_BITS & (TLB_SIZE - 1));
}

static void clear_all(struct tcg_vcpu *v)
{
	for (uint32_t mode = 0; mode < TLB_MODES; mode++) {
		if (v->tlb_used >> mode & 1)
			memset(v->env->tlb[mode], 0, sizeof(v->env->tlb[mode]));
		for (unsigned kind = 0; kind < 2; kind++) {
			v->env->tlb[mode][kind][0].tag = TLB_INVALID;
			/* the last page of all: an access over its end is compared by its last byte, on page 0 */
			v->env->tlb[mode][kind][TLB_SIZE - 1].tag = TLB_INVALID;
		}
	}
	v->tlb_used = 0;
}

static void clear_filled(struct tcg_vcpu *v)
{
	if (v->filled_count > FILLED_MAX)
		clear_all(v);
	else
		for (uint32_t i = 0; i < v->filled_count; i++)
			entry_of(v->env, v->filled[i])->tag = TLB_INVALID;
	v->filled_count = 0;
}

/* The first level, which knows one address space. */
static void flush_front(struct tcg_vcpu *v)
{
	clear_filled(v);
	for (uint32_t i = 0; i < FETCH_SIZE; i++)
		v->fetch_tlb[i].tag = TLB_INVALID;
}

void tlb_init(struct tcg_vcpu *v)
{
	clear_all(v);
	tlb_flush(v);
}

void tlb_flush(struct tcg_vcpu *v)
{
	flush_front(v);
	v->back_epoch++;
	for (uint32_t half = 0; half < 2; half++) {
		v->large_first[half] = UINT64_MAX;
		v->large_last[half] = 0;
	}
}

uint64_t tlb_check_number(const struct tcg_vcpu *v)
{
	return (uint64_t)v->back_epoch << 8 | (v->index + 1);
}

void tlb_unwritable(struct tcg_vcpu *v, const uint8_t *page_hva)
{
	if (v->filled_count > FILLED_MAX) {
		clear_filled(v);
		return;
	}
	for (uint32_t i = 0; i < v->filled_count; i++) {
		struct tlb_entry *e = entry_of(v->env, v->filled[i]);
		bool store = v->filled[i] >> TLB_BITS & 1;
		if (store && e->tag + e->addend == (uintptr_t)page_hva)
			e->tag = TLB_INVALID;
	}
}

void tlb_note_large(struct tcg_vcpu *v, uint64_t vaddr, uint64_t page_bytes)
{
	if (page_bytes <= TCG_PAGE_SIZE)
		return;
	uint32_t half = (uint32_t)(vaddr >> 63);
	uint64_t first = vaddr & ~(page_bytes - 1), last = first + (page_bytes - 1);
	if (first < v->large_first[half])
		v->large_first[half] = first;
	if (last > v->large_last[half])
		v->large_last[half] = last;
}

void tlb_fill(struct tcg_vcpu *v, uint64_t vaddr, uint32_t mmu, unsigned kind, uint64_t addend)
{
	uint32_t number = entry_number(mmu, kind, vaddr);
	struct tlb_entry *e = entry_of(v->env, number);
	bool listed = e->tag != 0 && e->tag != TLB_INVALID;
	if (!listed && v->filled_count < FILLED_MAX)
		v->filled[v->filled_count] = number;
	if (!listed && v->filled_count <= FILLED_MAX)
		v->filled_count++;
	e->addend = addend;
	e->tag = vaddr & TCG_PAGE_MASK;
	v->tlb_used |= 1u << mmu;
}

/* --- the second level --- */

static uint64_t back_tag(uint64_t vaddr, uint32_t mmu, enum tcg_access access)
{
	return (vaddr & TCG_PAGE_MASK) | (uint32_t)access << 2 | mmu;
}

static struct back_entry *back_slot(struct tcg_vcpu *v, uint64_t tag)
{
	uint64_t page = tag >> TCG_PAGE_BITS;
	return &v->back[(page ^ page >> BACK_BITS ^ (tag & 15) * 0x155) & (BACK_SIZE - 1)];
}

const struct back_entry *tlb_back_find(struct tcg_vcpu *v, uint64_t vaddr, uint32_t mmu, enum tcg_access access)
{
	uint64_t tag = back_tag(vaddr, mmu, access);
	const struct back_entry *e = back_slot(v, tag);
	return e->tag == tag && e->space == v->space && e->epoch == v->back_epoch ? e : NULL;
}

void tlb_back_add(struct tcg_vcpu *v, uint64_t vaddr, uint32_t mmu, enum tcg_access access, uint64_t addend)
{
	uint64_t tag = back_tag(vaddr, mmu, access);
	*back_slot(v, tag) = (struct back_entry){ tag, v->space, addend, v->back_epoch };
}

static void back_drop(struct tcg_vcpu *v, uint64_t vaddr)
{
	for (uint32_t mmu = 0; mmu < TLB_MODES; mmu++)
		for (uint32_t access = TCG_LOAD; access <= TCG_FETCH; access++) {
			uint64_t tag = back_tag(vaddr, mmu, access);
			struct back_entry *e = back_slot(v, tag);
			if (e->tag == tag)
				e->epoch = 0;
		}
}

/* --- contexts --- */

static void new_context_id(struct tcg_vcpu *v, struct tcg_context *c)
{
	if (++v->next_context >= CONTEXT_IDS) {
		/* the numbers start over: nothing of before may be found */
		cache_flush_jumps(v);
		for (uint32_t i = 0; i < CONTEXTS; i++)
			v->contexts[i].id = 0;
		v->next_context = 1;
	}
	c->id = v->next_context << 1;
}

static struct tcg_context *context_slot(struct tcg_vcpu *v, uint32_t flags, uint64_t space)
{
	uint64_t h = (space ^ space >> 44) + flags * UINT64_C(0x9e3779b97f4a7c15);
	return &v->contexts[(h ^ h >> 32) & (CONTEXTS - 1)];
}

void tcg_set_context(struct tcg_env *env, uint32_t flags, uint32_t mmu, uint64_t space)
{
	struct tcg_vcpu *v = env->vcpu;
	if (space != v->space) {
		v->space = space;
		flush_front(v);
	}
	env->flags = flags;
	env->mmu = mmu;
	struct tcg_context *c = context_slot(v, flags, space);
	if (!c->id || c->space != space || c->flags != flags) {
		c->space = space;
		c->flags = flags;
		new_context_id(v, c);
	}
	env->context = c->id;
}

void tlb_forget_contexts(struct tcg_vcpu *v)
{
	for (uint32_t i = 0; i < CONTEXTS; i++)
		v->contexts[i].id = 0;
	memset(v->jump_pages, 0, sizeof(v->jump_pages));
	tcg_set_context(v->env, v->env->flags, v->env->mmu, v->space);
}

void tlb_drop_jumps(struct tcg_vcpu *v)
{
	__atomic_store_n(&v->jump_flush, 0, __ATOMIC_RELAXED);
	tlb_forget_contexts(v);
}

void tcg_flush_all(struct tcg_env *env)
{
	tlb_flush(env->vcpu);
	tlb_forget_contexts(env->vcpu);
}

void tcg_flush_page(struct tcg_env *env, uint64_t vaddr)
{
	struct tcg_vcpu *v = env->vcpu;
	uint32_t half = (uint32_t)(vaddr >> 63);
	if (vaddr >= v->large_first[half] && vaddr <= v->large_last[half]) {
		tcg_flush_all(env);
		return;
	}
	uint64_t page = vaddr & TCG_PAGE_MASK;
	uint32_t slot = vaddr >> TCG_PAGE_BITS & (TLB_SIZE - 1);
	for (uint32_t mode = 0; mode < TLB_MODES; mode++)
		for (uint32_t kind = 0; kind < 2; kind++)
			if (env->tlb[mode][kind][slot].tag == page)
				env->tlb[mode][kind][slot].tag = TLB_INVALID;
	back_drop(v, vaddr);
	struct fetch_entry *e = &v->fetch_tlb[vaddr >> TCG_PAGE_BITS & (FETCH_SIZE - 1)];
	if ((e->tag & TCG_PAGE_MASK) == page)
		e->tag = TLB_INVALID;
	if (exec_page_has_jumps(v, vaddr))
		tlb_forget_contexts(v);
}
