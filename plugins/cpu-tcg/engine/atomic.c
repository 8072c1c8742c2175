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

uint64_t tcg_amo_at(struct tcg_env *env, void *p, uint64_t value, uint32_t mem_amo)
{
	uint64_t old = IRM_SIZE(mem_amo) == IRM_32 ? do_amo32(p, (uint32_t)value, mem_amo >> 8)
						   : do_amo64(p, value, mem_amo >> 8);
	tcg_line_bump(env, (uintptr_t)p);
	return old;
}

uint64_t tcg_cas_at(struct tcg_env *env, void *p, uint64_t expected, uint64_t desired, uint32_t mem)
{
	uint32_t old32 = (uint32_t)expected;
	if (IRM_SIZE(mem) == IRM_32) {
		__atomic_compare_exchange_n((uint32_t *)p, &old32, (uint32_t)desired, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
		expected = old32;
	} else {
		__atomic_compare_exchange_n((uint64_t *)p, &expected, desired, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
	}
	tcg_line_bump(env, (uintptr_t)p);
	return expected;
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
	uint64_t where;
	void *p = both_ptr(env, vaddr, mem_amo, &where);
	if (!p) {
		*exit = env->exit_reason;
		return 0;
	}
	uint64_t old = tcg_amo_at(env, p, value, mem_amo);
	tcg_atomic_noted(env, where, width);
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
	uint64_t old = tcg_cas_at(env, p, expected, desired, mem);
	tcg_atomic_noted(env, where, width);
	*exit = TCG_EXIT_NONE;
	return alu_extend(old, mem);
}

/* Every x86-64 processor since 2005 has the instruction, though compilers must be told so. */
#ifdef __x86_64__
__attribute__((target("cx16")))
#endif
void tcg_cas128(void *p, const uint64_t expected[2], const uint64_t desired[2], uint64_t old[2])
{
	unsigned __int128 was = (unsigned __int128)expected[1] << 64 | expected[0];
	unsigned __int128 want = (unsigned __int128)desired[1] << 64 | desired[0];
	was = __sync_val_compare_and_swap((unsigned __int128 *)p, was, want);
	old[0] = (uint64_t)was;
	old[1] = (uint64_t)(was >> 64);
}

static uint32_t *line_of(struct tcg_env *env, uint64_t where)
{
	return &env->lines[tcg_line_index(where)];
}

uint32_t tcg_line_reserve(struct tcg_env *env, uint64_t where)
{
	uint32_t *line = line_of(env, where), version = __atomic_load_n(line, __ATOMIC_SEQ_CST);
	/* who wrote before saw it even, but then its write is seen by the load that follows */
	return version & 1 ? version : __atomic_fetch_or(line, 1, __ATOMIC_SEQ_CST) | 1;
}

uint32_t tcg_line_version(struct tcg_env *env, uint64_t where)
{
	return __atomic_load_n(line_of(env, where), __ATOMIC_SEQ_CST);
}

/* By 2: the line stays reserved, so that a hart that goes on reserving it finds it so. */
void tcg_line_bump(struct tcg_env *env, uint64_t where)
{
	__atomic_fetch_add(line_of(env, where), 2, __ATOMIC_SEQ_CST);
}
