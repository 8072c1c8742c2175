/* SPDX-License-Identifier: MIT */
/*
 * The soft MMU behind the inline fast path: finds where an access goes, and serves what cannot be cached (device
 * registers, pages that hold code, accesses across pages). On the vCPU's own thread.
 */
#include <string.h>

#include "engine/engine.h"
#include "ir/alu.h"

/* --- view and ranges --- */

const struct mt_flat_range *mem_range(struct tcg_vcpu *v, uint64_t phys)
{
	const struct mt_flat_range *r = v->last_range;
	if (r && phys - r->gpa < r->len_bytes)
		return r;
	uint32_t low = 0, high = v->view->count;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		r = (const void *)((const uint8_t *)v->view->ranges + (size_t)mid * v->view->stride);
		if (phys < r->gpa)
			high = mid;
		else if (phys - r->gpa >= r->len_bytes)
			low = mid + 1;
		else
			return v->last_range = r;
	}
	return NULL;
}

void mem_set_view(struct tcg_vcpu *v, const struct mt_flat_view *view)
{
	bool same = v->view && v->view_generation == view->generation;
	v->view = view;
	v->last_range = NULL;
	if (same)
		return;
	v->view_generation = view->generation;
	/* it names a place in the memory of before, which may be gone */
	v->env->reservation = ~(uint64_t)0;
	tlb_flush(v);
	tlb_forget_contexts(v);
}

/* The whole 4 KiB page of phys is RAM or ROM of this range. */
static bool whole_page(const struct mt_flat_range *r, uint64_t phys)
{
	uint64_t first = (phys & TCG_PAGE_MASK) - r->gpa;
	return r->kind != MT_FLAT_IO && (phys & TCG_PAGE_MASK) >= r->gpa && first + TCG_PAGE_SIZE <= r->len_bytes &&
	       ((uintptr_t)(r->hva + first) & (TCG_PAGE_SIZE - 1)) == 0;
}

static uint64_t range_key(struct tcg_vcpu *v, const struct mt_flat_range *r, uint64_t phys)
{
	return pages_key(v->tcg, r->ram, r->ram_offset + (phys - r->gpa));
}

/* --- one access inside a page --- */

/* Where an access goes: RAM by hva, or a region. */
struct place {
	const struct mt_flat_range *range;      /* NULL when hva was known without */
	uint8_t *hva;           /* RAM or ROM */
	uint64_t phys;          /* when there is a range */
	bool writable;          /* by hva */
};

/* Lets translated code go there by itself from now on, if stores need not be seen. */
static void offer(struct tcg_vcpu *v, uint64_t vaddr, enum tcg_access access, uint32_t mmu, uint64_t addend)
{
	/* what is open to stores is open to loads */
	if (debug_page_watched(v->tcg, vaddr, access == TCG_LOAD ? MT_DEBUG_READ : MT_DEBUG_READ | MT_DEBUG_WRITE))
		return;
	if (access == TCG_LOAD)
		tlb_fill(v, vaddr, mmu, 0, addend);
	else if (pages_allow_writes(v->tcg, pages_key_of(v->tcg, (uint8_t *)(uintptr_t)(vaddr + addend))))
		tlb_fill(v, vaddr, mmu, 1, addend);
}

static bool locate_known(struct tcg_vcpu *v, uint64_t vaddr, enum tcg_access access, uint32_t mmu, struct place *p)
{
	const struct back_entry *e = tlb_back_find(v, vaddr, mmu, access);
	if (!e)
		return false;
	*p = (struct place){ .hva = (uint8_t *)(uintptr_t)(vaddr + e->addend), .writable = access == TCG_STORE };
	offer(v, vaddr, access, mmu, e->addend);
	return true;
}

static bool locate(struct tcg_vcpu *v, uint64_t vaddr, enum tcg_access access, uint32_t mmu, uint32_t width,
		   struct place *p)
{
	struct tcg_walk w;
	struct tcg_env *env = v->env;
	if (debug_met(v, vaddr, width, access == TCG_LOAD ? MT_DEBUG_READ : MT_DEBUG_WRITE))
		return false;
	if (locate_known(v, vaddr, access, mmu, p))
		return true;
	if (!v->tcg->front->walk(env, vaddr, access, mmu, width, &w))
		goto fault;
	p->range = mem_range(v, w.phys);
	if (!p->range || p->range->len_bytes - (w.phys - p->range->gpa) < width) {
		v->tcg->front->bus_fault(env, vaddr, access);
		goto fault;
	}
	p->phys = w.phys;
	bool memory = p->range->kind != MT_FLAT_IO;
	p->hva = memory ? p->range->hva + (w.phys - p->range->gpa) : NULL;
	p->writable = p->range->kind == MT_FLAT_RAM;
	if (!memory || w.partial || !whole_page(p->range, w.phys) || (access == TCG_STORE && !p->writable))
		return true;
	tlb_note_large(v, vaddr, w.page_bytes);
	/* the engine must know the memory before it is written or executed */
	if (pages_ram(v->tcg, p->range->ram)) {
		tlb_back_add(v, vaddr, mmu, access, (uintptr_t)p->hva - vaddr);
		offer(v, vaddr, access, mmu, (uintptr_t)p->hva - vaddr);
	}
	return true;
fault:
	env->exit_reason = TCG_EXIT_EXCEPTION;
	return false;
}

void tcg_leave_request(struct tcg_env *env)
{
	env->vcpu->leave = 1;
	tcg_poll_request(env);
}

static bool bus_result(struct tcg_vcpu *v, uint32_t result, uint64_t vaddr, enum tcg_access access)
{
	if (result & MT_BUS_LEAVE)
		tcg_leave_request(v->env);
	if ((result & MT_BUS_RESULT) == MT_BUS_OK)
		return true;
	v->tcg->front->bus_fault(v->env, vaddr, access);
	v->env->exit_reason = TCG_EXIT_EXCEPTION;
	return false;
}

static uint64_t hva_load(const uint8_t *hva, uint32_t width)
{
	uint64_t value = 0;
	if ((uintptr_t)hva & (width - 1)) {
		memcpy(&value, hva, width);
		return value;
	}
	switch (width) {
	case 1:  return __atomic_load_n(hva, __ATOMIC_ACQUIRE);
	case 2:  return __atomic_load_n((const uint16_t *)(const void *)hva, __ATOMIC_ACQUIRE);
	case 4:  return __atomic_load_n((const uint32_t *)(const void *)hva, __ATOMIC_ACQUIRE);
	case 8:  return __atomic_load_n((const uint64_t *)(const void *)hva, __ATOMIC_ACQUIRE);
	}
	memcpy(&value, hva, width);
	return value;
}

static void hva_store(uint8_t *hva, uint64_t value, uint32_t width)
{
	if ((uintptr_t)hva & (width - 1)) {
		memcpy(hva, &value, width);
		return;
	}
	switch (width) {
	case 1: __atomic_store_n(hva, (uint8_t)value, __ATOMIC_RELEASE); return;
	case 2: __atomic_store_n((uint16_t *)(void *)hva, (uint16_t)value, __ATOMIC_RELEASE); return;
	case 4: __atomic_store_n((uint32_t *)(void *)hva, (uint32_t)value, __ATOMIC_RELEASE); return;
	case 8: __atomic_store_n((uint64_t *)(void *)hva, value, __ATOMIC_RELEASE); return;
	}
	memcpy(hva, &value, width);
}

static bool place_load(struct tcg_vcpu *v, const struct place *p, uint64_t vaddr, uint32_t width, uint64_t *value)
{
	if (p->hva) {
		*value = hva_load(p->hva, width);
		return true;
	}
	const struct tcg_services *s = &v->tcg->services;
	uint32_t privilege = v->tcg->front->privilege(v->env);
	return bus_result(v, s->vcpu->read(v->handle, p->range, p->phys, width, privilege, value), vaddr, TCG_LOAD);
}

static bool place_store(struct tcg_vcpu *v, const struct place *p, uint64_t vaddr, uint32_t width, uint64_t value)
{
	if (p->hva && p->writable) {
		uint64_t key = pages_key_of(v->tcg, p->hva);
		hva_store(p->hva, value, width);
		if (key == KEY_NONE)
			return true;    /* never executed, never cached: nothing is known of it */
		pages_note_store(v->tcg, key, width);
		if (v->tcg->strict_lrsc && pages_watched(v->tcg, key))
			tcg_line_bump(v->env, (uintptr_t)p->hva);
		return true;
	}
	if (p->hva && !p->range->region)
		return true;    /* a write to ROM is dropped */
	const struct tcg_services *s = &v->tcg->services;
	uint32_t privilege = v->tcg->front->privilege(v->env);
	return bus_result(v, s->vcpu->write(v->handle, p->range, p->phys, width, privilege, value), vaddr, TCG_STORE);
}

/* Bytes of the access that lie in the page of vaddr, when it goes on in the next; else 0. */
static uint32_t page_split(uint64_t vaddr, uint32_t width)
{
	uint32_t room = TCG_PAGE_SIZE - (uint32_t)(vaddr & (TCG_PAGE_SIZE - 1));
	return room < width ? room : 0;
}

/* Registers take powers of two only: an odd part goes by bytes. */
static bool part_load(struct tcg_vcpu *v, struct place *p, uint64_t vaddr, uint32_t width, uint64_t *value)
{
	if (p->hva)
		return place_load(v, p, vaddr, width, value);
	*value = 0;
	for (uint32_t i = 0; i < width; i++, p->phys++) {
		uint64_t byte;
		if (!place_load(v, p, vaddr + i, 1, &byte))
			return false;
		*value |= (byte & 0xff) << (8 * i);
	}
	return true;
}

static bool part_store(struct tcg_vcpu *v, struct place *p, uint64_t vaddr, uint32_t width, uint64_t value)
{
	if (p->hva)
		return place_store(v, p, vaddr, width, value);
	for (uint32_t i = 0; i < width; i++, p->phys++)
		if (!place_store(v, p, vaddr + i, 1, value >> (8 * i) & 0xff))
			return false;
	return true;
}

bool tcg_load(struct tcg_env *env, uint64_t vaddr, uint32_t width, uint32_t mmu, uint64_t *value)
{
	struct tcg_vcpu *v = env->vcpu;
	struct place low, high;
	uint32_t part = page_split(vaddr, width);
	if (!part)
		return locate(v, vaddr, TCG_LOAD, mmu, width, &low) && place_load(v, &low, vaddr, width, value);
	uint64_t upper = 0;
	if (!locate(v, vaddr, TCG_LOAD, mmu, part, &low) ||
	    !locate(v, vaddr + part, TCG_LOAD, mmu, width - part, &high) ||
	    !part_load(v, &low, vaddr, part, value) || !part_load(v, &high, vaddr + part, width - part, &upper))
		return false;
	*value |= upper << (8 * part);
	return true;
}

bool tcg_store(struct tcg_env *env, uint64_t vaddr, uint32_t width, uint32_t mmu, uint64_t value)
{
	struct tcg_vcpu *v = env->vcpu;
	struct place low, high;
	uint32_t part = page_split(vaddr, width);
	if (!part)
		return locate(v, vaddr, TCG_STORE, mmu, width, &low) && place_store(v, &low, vaddr, width, value);
	/* both pages are looked at before either is written */
	return locate(v, vaddr, TCG_STORE, mmu, part, &low) &&
	       locate(v, vaddr + part, TCG_STORE, mmu, width - part, &high) &&
	       part_store(v, &low, vaddr, part, value) &&
	       part_store(v, &high, vaddr + part, width - part, value >> (8 * part));
}

/* --- slow paths of translated code --- */

bool mem_misaligned(struct tcg_env *env, uint64_t vaddr, uint32_t mem, enum tcg_access access)
{
	if (!(mem & IRM_ALIGN) || !(vaddr & ((1u << IRM_SIZE(mem)) - 1)))
		return false;
	env->vcpu->tcg->front->misaligned(env, vaddr, access);
	env->exit_reason = TCG_EXIT_EXCEPTION;
	return true;
}

/*
 * The map of memory may have changed: by an access of this block, which goes on to its end, or by another vCPU, whose
 * word that it did may be what this block has just read. Either way this vCPU is wanted out of `run`; the instruction
 * is done again with the new map.
 */
static bool map_is_old(const struct tcg_vcpu *v)
{
	return v->leave || __atomic_load_n(&v->kick, __ATOMIC_SEQ_CST);
}

/* The regime is the current one: a block runs in the context that it was made for. */
uint64_t tcg_slow_load(struct tcg_env *env, uint64_t vaddr, uint32_t mem, uint32_t *exit)
{
	uint64_t value = 0;
	if (map_is_old(env->vcpu)) {
		*exit = TCG_EXIT_POLL;
		return 0;
	}
	if (mem_misaligned(env, vaddr, mem, TCG_LOAD) || !tcg_load(env, vaddr, 1u << IRM_SIZE(mem), env->mmu, &value))
		*exit = env->exit_reason;
	else
		*exit = env->vcpu->leave ? TCG_EXIT_LEAVE : TCG_EXIT_NONE;
	return alu_extend(value, mem);
}

uint32_t tcg_slow_store(struct tcg_env *env, uint64_t vaddr, uint64_t value, uint32_t mem)
{
	if (map_is_old(env->vcpu))
		return TCG_EXIT_POLL;
	if (mem_misaligned(env, vaddr, mem, TCG_STORE) || !tcg_store(env, vaddr, 1u << IRM_SIZE(mem), env->mmu, value))
		return env->exit_reason;
	return env->vcpu->leave ? TCG_EXIT_LEAVE : TCG_EXIT_NONE;
}

void *tcg_atomic_ptr(struct tcg_env *env, uint64_t vaddr, uint32_t width, uint32_t mmu, enum tcg_access access,
		     uint64_t *where)
{
	struct tcg_vcpu *v = env->vcpu;
	struct place p;
	const struct tlb_entry *e = &env->tlb[mmu][access == TCG_STORE][vaddr >> TCG_PAGE_BITS & (TLB_SIZE - 1)];
	if (e->tag == (vaddr & TCG_PAGE_MASK) && !(access == TCG_LOAD && v->tcg->strict_lrsc)) {
		*where = vaddr + e->addend;
		return (void *)(uintptr_t)*where;
	}
	if (!locate(v, vaddr, access, mmu, width, &p))
		return NULL;
	if (!p.hva || (access == TCG_STORE && !p.writable)) {
		v->tcg->front->bus_fault(env, vaddr, access);
		env->exit_reason = TCG_EXIT_EXCEPTION;
		return NULL;
	}
	*where = (uintptr_t)p.hva;
	uint64_t key = pages_key_of(v->tcg, p.hva);
	if (access == TCG_LOAD && v->tcg->strict_lrsc && key != KEY_NONE && !pages_watched(v->tcg, key)) {
		/* the page is watched first, outside the block, and the instruction done again */
		v->watch_key = key;
		tcg_poll_request(env);
		env->exit_reason = TCG_EXIT_POLL;
		return NULL;
	}
	return p.hva;
}

void tcg_atomic_noted(struct tcg_env *env, uint64_t where, uint32_t width)
{
	struct tcg *t = env->vcpu->tcg;
	uint64_t key = pages_key_of(t, (const uint8_t *)(uintptr_t)where);
	if (key != KEY_NONE)
		pages_note_store(t, key, width);
}

uint32_t tcg_slow_zero(struct tcg_env *env, uint64_t vaddr)
{
	uint64_t where, first = vaddr & ~(uint64_t)(IR_ZERO_BYTES - 1);
	void *p = tcg_atomic_ptr(env, first, IR_ZERO_BYTES, env->mmu, TCG_STORE, &where);
	if (!p)
		return env->exit_reason;
	memset(p, 0, IR_ZERO_BYTES);
	tcg_atomic_stored(env, where, IR_ZERO_BYTES);
	return TCG_EXIT_NONE;
}

void tcg_atomic_stored(struct tcg_env *env, uint64_t where, uint32_t width)
{
	tcg_line_bump(env, where);
	tcg_atomic_noted(env, where, width);
}

/* --- page walks --- */

bool tcg_phys_read(struct tcg_env *env, uint64_t phys, uint32_t width, uint64_t *value)
{
	const struct mt_flat_range *r = mem_range(env->vcpu, phys);
	if (!r || r->kind == MT_FLAT_IO || r->len_bytes - (phys - r->gpa) < width)
		return false;
	*value = hva_load(r->hva + (phys - r->gpa), width);
	return true;
}

bool tcg_phys_exists(struct tcg_env *env, uint64_t phys)
{
	return mem_range(env->vcpu, phys) != NULL;
}

bool tcg_phys_cas64(struct tcg_env *env, uint64_t phys, uint64_t expected, uint64_t desired, bool *bus_error)
{
	struct tcg_vcpu *v = env->vcpu;
	const struct mt_flat_range *r = mem_range(v, phys);
	*bus_error = !r || r->kind != MT_FLAT_RAM || r->len_bytes - (phys - r->gpa) < 8 || (phys & 7);
	if (*bus_error)
		return false;
	uint64_t *p = (uint64_t *)(void *)(r->hva + (phys - r->gpa));
	if (!__atomic_compare_exchange_n(p, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return false;
	pages_note_store(v->tcg, range_key(v, r, phys), 8);
	return true;
}

/* --- code --- */

const struct fetch_entry *mem_fetch(struct tcg_vcpu *v, uint64_t pc)
{
	struct tcg_env *env = v->env;
	/* not env->mmu: that is the regime of data, which can be of another privilege */
	uint32_t regime = v->tcg->front->privilege(env) & (TLB_MODES - 1);
	uint64_t tag = (pc & TCG_PAGE_MASK) | regime;
	struct fetch_entry *e = &v->fetch_tlb[pc >> TCG_PAGE_BITS & (FETCH_SIZE - 1)];
	if (e->tag == tag)
		return e;
	const struct back_entry *known = tlb_back_find(v, pc, regime, TCG_FETCH);
	if (known) {
		const uint8_t *page = (const uint8_t *)(uintptr_t)((pc & TCG_PAGE_MASK) + known->addend);
		*e = (struct fetch_entry){ tag, pages_key_of(v->tcg, page), page, false };
		return e;
	}
	struct tcg_walk w;
	if (!v->tcg->front->walk(env, pc, TCG_FETCH, env->mmu, 2, &w)) {
		env->exit_reason = TCG_EXIT_EXCEPTION;
		return NULL;
	}
	const struct mt_flat_range *r = mem_range(v, w.phys);
	uint64_t key = r && whole_page(r, w.phys) ? range_key(v, r, w.phys & TCG_PAGE_MASK) : KEY_NONE;
	if (key == KEY_NONE) {
		v->tcg->front->bus_fault(env, pc, TCG_FETCH);
		env->exit_reason = TCG_EXIT_EXCEPTION;
		return NULL;
	}
	static __thread struct fetch_entry once;
	if (w.partial)
		e = &once;      /* protection ends inside the page: ask again each time */
	const uint8_t *page = r->hva + ((w.phys & TCG_PAGE_MASK) - r->gpa);
	*e = (struct fetch_entry){ tag, key, page, w.partial };
	tlb_note_large(v, pc, w.page_bytes);
	if (!w.partial)
		tlb_back_add(v, pc, regime, TCG_FETCH, (uintptr_t)page - (pc & TCG_PAGE_MASK));
	return e;
}

/* --- the rest of what front ends call --- */

void tcg_fence_i(struct tcg_env *env)
{
	struct tcg_vcpu *v = env->vcpu;
	pages_consume_dma(v);
	if (__atomic_load_n(&v->jump_flush, __ATOMIC_ACQUIRE))
		tlb_drop_jumps(v);
}

void tcg_raise(struct tcg_env *env, uint64_t exception, uint64_t value)
{
	env->exception = exception;
	env->exception_value = value;
	env->exit_reason = TCG_EXIT_EXCEPTION;
}

void tcg_leave(struct tcg_env *env, enum tcg_exit reason)
{
	env->exit_reason = reason;
}
