/* SPDX-License-Identifier: MIT */
/*
 * Atomic accesses that translated code hands over, and the line versions that reservations go by. On the vCPU's own
 * thread; the memory and the versions are shared by all.
 */
#include "engine/engine.h"
#include "ir/alu.h"

static uint32_t amo32(uint32_t old, uint32_t value, uint32_t amo)
{
	switch (amo) {
	case IR_AMO_MIN: return (int32_t)old < (int32_t)value ? old : value;
	case IR_AMO_MAX: return (int32_t)old > (int32_t)value ? old : value;
	case IR_AMO_MINU: return old < value ? old : value;
	default: return old > value ? old : value;
	}
}

static uint64_t amo64(uint64_t old, uint64_t value, uint32_t amo)
{
	switch (amo) {
	case IR_AMO_MIN: return (int64_t)old < (int64_t)value ? old : value;
	case IR_AMO_MAX: return (int64_t)old > (int64_t)value ? old : value;
	case IR_AMO_MINU: return old < value ? old : value;
	default: return old > value ? old : value;
	}
}

static uint32_t do_amo32(uint32_t *p, uint32_t value, uint32_t amo)
{
	switch (amo) {
	case IR_AMO_SWAP: return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST);
	case IR_AMO_ADD: return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);
	case IR_AMO_AND: return __atomic_fetch_and(p, value, __ATOMIC_SEQ_CST);
	case IR_AMO_OR: return __atomic_fetch_or(p, value, __ATOMIC_SEQ_CST);
	case IR_AMO_XOR: return __atomic_fetch_xor(p, value, __ATOMIC_SEQ_CST);
	}
	uint32_t old = __atomic_load_n(p, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(p, &old, amo32(old, value, amo), true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	return old;
}

static uint64_t do_amo64(uint64_t *p, uint64_t value, uint32_t amo)
{
	switch (amo) {
	case IR_AMO_SWAP: return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST);
	case IR_AMO_ADD: return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);
	case IR_AMO_AND: return __atomic_fetch_and(p, value, __ATOMIC_SEQ_CST);
	case IR_AMO_OR: return __atomic_fetch_or(p, value, __ATOMIC_SEQ_CST);
	case IR_AMO_XOR: return __atomic_fetch_xor(p, value, __ATOMIC_SEQ_CST);
	}
	uint64_t old = __atomic_load_n(p, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(p, &old, amo64(old, value, amo), true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	return old;
}

/* Of an access that loads and stores. NULL: env->exit_reason says why. */
static void *both_ptr(struct tcg_env *env, uint64_t vaddr, uint32_t mem, uint64_t *where)
{
	uint32_t width = 1u << IRM_SIZE(mem);
	if (mem_misaligned(env, vaddr, mem | IRM_ALIGN, TCG_STORE) ||
	    debug_met(env->vcpu, vaddr, width, MT_DEBUG_READ | MT_DEBUG_WRITE))
		return NULL;
	return tcg_atomic_ptr(env, vaddr, width, env->mmu, TCG_STORE, where);
}

uint64_t tcg_slow_amo(struct tcg_env *env, uint64_t vaddr, uint64_t value, uint32_t mem_amo, uint32_t *exit)
{
	uint32_t width = 1u << IRM_SIZE(mem_amo);
	uint64_t where, old;
	void *p = both_ptr(env, vaddr, mem_amo, &where);
	if (!p) {
		*exit = env->exit_reason;
		return 0;
	}
	old = width == 4 ? do_amo32(p, (uint32_t)value, mem_amo >> 8) : do_amo64(p, value, mem_amo >> 8);
	tcg_atomic_stored(env, where, width);
	*exit = TCG_EXIT_NONE;
	return alu_extend(old, mem_amo);
}

uint64_t tcg_slow_cas(struct tcg_env *env, uint64_t vaddr, uint64_t expected, uint64_t desired, uint32_t mem,
		      uint32_t *exit)
{
	uint32_t width = 1u << IRM_SIZE(mem);
	uint64_t where;
	void *p = both_ptr(env, vaddr, mem, &where);
	if (!p) {
		*exit = env->exit_reason;
		return 0;
	}
	uint32_t old32 = (uint32_t)expected;
	if (width == 4)
		__atomic_compare_exchange_n((uint32_t *)p, &old32, (uint32_t)desired, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
	else
		__atomic_compare_exchange_n((uint64_t *)p, &expected, desired, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
	tcg_atomic_stored(env, where, width);
	*exit = TCG_EXIT_NONE;
	return alu_extend(width == 4 ? old32 : expected, mem);
}

static uint32_t *line_of(struct tcg_env *env, uint64_t where)
{
	uint64_t line = where >> 6;
	return &env->vcpu->tcg->lines[(line ^ line >> 12) & (LINE_VERSIONS - 1)];
}

uint32_t tcg_line_version(struct tcg_env *env, uint64_t where)
{
	return __atomic_load_n(line_of(env, where), __ATOMIC_SEQ_CST);
}

void tcg_line_bump(struct tcg_env *env, uint64_t where)
{
	__atomic_fetch_add(line_of(env, where), 1, __ATOMIC_SEQ_CST);
}
