/* SPDX-License-Identifier: MIT */
/*
 * What translated code calls; on the vCPU's thread, with env->pc the pc of the calling instruction. A
 * helper that fails has raised an exception: it returns at once, and what it returns is not looked at.
 */
#include "csr.h"
#include "fp/softfp.h"
#include "trans.h"

static uint64_t illegal(struct tcg_env *env, uint64_t insn)
{
	tcg_raise(env, RV_ILLEGAL, insn);
	return 0;
}

static uint64_t rvh_raise(struct tcg_env *env, uint64_t cause, uint64_t value, uint64_t c)
{
	(void)c;
	tcg_raise(env, cause, value);
	return 0;
}

static uint64_t rvh_csr(struct tcg_env *env, uint64_t insn, uint64_t operand, uint64_t c)
{
	uint32_t word = (uint32_t)insn, kind = (word >> 12 & 3) - 1;    /* 1, 2, 3: write, set, clear */
	bool write = kind == RV_CSR_WRITE || (word >> 15 & 31);
	uint64_t old;

	(void)c;
	if (!rv_csr_access(env, word >> 20, (enum rv_csr_op)kind, write, operand, &old))
		return illegal(env, insn);
	return old;
}

static uint64_t rvh_fs_dirty(struct tcg_env *env, uint64_t a, uint64_t b, uint64_t c)
{
	(void)a, (void)b, (void)c;
	rv_state(env)->mstatus |= MSTATUS_FS;
	rv_update_context(env);
	return 0;
}

static uint64_t rvh_fence_i(struct tcg_env *env, uint64_t a, uint64_t b, uint64_t c)
{
	(void)a, (void)b, (void)c;
	tcg_fence_i(env);
	return 0;
}

/*
 * LR and SC (Unprivileged ISA, "Load-Reserved/Store-Conditional Instructions"). The reservation is the
 * physical address, the value read there, and the version of its line, which AMO, SC and DMA bump after
 * they wrote. SC succeeds when address and width are the same, the version is unchanged, and a
 * compare-and-exchange finds the value. A plain store of another hart that writes the same value again is
 * not seen; with the property strict-lrsc the engine bumps the version for plain stores too. The version
 * is read before the value: a change between the two is then seen as a change.
 */
static bool misaligned(struct tcg_env *env, uint64_t vaddr, uint64_t bytes, enum tcg_access access)
{
	if (!(vaddr & (bytes - 1)))
		return false;
	rv_misaligned(env, vaddr, access);
	return true;
}

static uint64_t rvh_lr(struct tcg_env *env, uint64_t vaddr, uint64_t bytes, uint64_t c)
{
	struct rv_state *s = rv_state(env);
	uint64_t phys;

	(void)c;
	if (misaligned(env, vaddr, bytes, TCG_LOAD))
		return 0;
	void *p = tcg_atomic_ptr(env, vaddr, (uint32_t)bytes, env->mmu, TCG_LOAD, &phys);
	if (!p)
		return 0;
	s->reservation_version = tcg_line_reserve(env, phys);
	s->reservation_bytes = (uint32_t)bytes;
	env->reservation = phys;
	if (bytes == 4)
		env->reservation_value = (uint64_t)(int64_t)__atomic_load_n((int32_t *)p, __ATOMIC_SEQ_CST);
	else
		env->reservation_value = __atomic_load_n((uint64_t *)p, __ATOMIC_SEQ_CST);
	return env->reservation_value;
}

static bool exchange(void *p, uint64_t expected, uint64_t value, uint64_t bytes)
{
	uint32_t expected32 = (uint32_t)expected;

	if (bytes == 4)
		return __atomic_compare_exchange_n((uint32_t *)p, &expected32, (uint32_t)value, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return __atomic_compare_exchange_n((uint64_t *)p, &expected, value, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static uint64_t rvh_sc(struct tcg_env *env, uint64_t vaddr, uint64_t value, uint64_t bytes)
{
	struct rv_state *s = rv_state(env);
	uint64_t phys, reserved = env->reservation;

	if (misaligned(env, vaddr, bytes, TCG_STORE))
		return 0;
	void *p = tcg_atomic_ptr(env, vaddr, (uint32_t)bytes, env->mmu, TCG_STORE, &phys);
	if (!p)
		return 0;
	/* any SC ends the reservation */
	env->reservation = UINT64_MAX;
	if (reserved != phys || s->reservation_bytes != bytes ||
	    tcg_line_version(env, phys) != s->reservation_version ||
	    !exchange(p, env->reservation_value, value, bytes))
		return 1;
	tcg_atomic_stored(env, phys, (uint32_t)bytes);
	return 0;
}

/* amocas.q: rd and rs2 name pairs, of which x0 is all zero, as a destination nothing ("Zacas"). */
static uint64_t rvh_amocas_q(struct tcg_env *env, uint64_t vaddr, uint64_t rd, uint64_t rs2)
{
	struct rv_state *s = rv_state(env);
	const uint64_t expected[2] = { s->x[rd], rd ? s->x[rd + 1] : 0 };
	const uint64_t desired[2] = { s->x[rs2], rs2 ? s->x[rs2 + 1] : 0 };
	uint64_t old[2], where;

	if (misaligned(env, vaddr, 16, TCG_STORE))
		return 0;
	void *p = tcg_atomic_ptr(env, vaddr, 16, env->mmu, TCG_STORE, &where);
	if (!p)
		return 0;
	tcg_cas128(p, expected, desired, old);
	tcg_atomic_stored(env, where, 16);
	if (rd) {
		s->x[rd] = old[0];
		s->x[rd + 1] = old[1];
	}
	return 0;
}

static uint64_t rvh_sret(struct tcg_env *env, uint64_t insn, uint64_t b, uint64_t c)
{
	(void)b, (void)c;
	return rv_sret(env) ? 0 : illegal(env, insn);
}

static uint64_t rvh_mret(struct tcg_env *env, uint64_t insn, uint64_t b, uint64_t c)
{
	(void)b, (void)c;
	return rv_mret(env) ? 0 : illegal(env, insn);
}

/*
 * Privileged ISA, "Wait for Interrupt": with S-mode, illegal in U-mode; in S-mode when mstatus.TW is set. A loop
 * around it that finds the same interrupt pending each time is put to sleep until a pin rises. OpenSBI 1.1 waits so
 * for a hart's start, its software interrupt still pending from cold boot: that takes a host processor for nothing,
 * and a hart that looks often sees itself marked as to be started before the other one has written where
 * (hart_start of HSM, which sends its message last), and boots a second time. A pin that rises after the loop's last
 * look may do so before the WFI: it is counted from the WFI before.
 */
#define WFI_LOOKS 64u

static uint64_t rvh_wfi(struct tcg_env *env, uint64_t insn, uint64_t next, uint64_t c)
{
	struct rv_state *s = rv_state(env);
	uint32_t roused = __atomic_load_n(&env->roused, __ATOMIC_SEQ_CST);
	bool pending;

	(void)c;
	if (s->priv == RV_U || (s->priv == RV_S && (s->mstatus & MSTATUS_TW)))
		return illegal(env, insn);
	pending = rv_wakeup_pending(env);
	s->wfi_awake = !pending ? 0 : roused == s->wfi_roused ? s->wfi_awake + 1 : 1;
	s->wfi_roused = roused;
	if (pending && s->wfi_awake <= WFI_LOOKS)
		return 0;
	env->pc = next;
	env->pauses = pending ? s->wfi_awake - WFI_LOOKS - 1 : 0;
	env->pause_roused = roused;
	tcg_leave(env, pending ? TCG_EXIT_PAUSE : TCG_EXIT_HALT);
	return 0;
}

/*
 * Zawrs: stalls until the reservation is lost or an interrupt is pending. wrs.sto and, where mstatus.TW bounds the
 * wait below M-mode, wrs.nto look for a short while; else the engine puts the thread to sleep.
 */
#define WRS_LOOKS 200u

bool rv_stalled(struct tcg_env *env)
{
	const struct rv_state *s = rv_state(env);
	const void *p = (const void *)(uintptr_t)env->reservation;
	uint64_t value;

	if (env->reservation == UINT64_MAX || rv_wakeup_pending(env) ||
	    tcg_line_version(env, env->reservation) != s->reservation_version)
		return false;
	if (s->reservation_bytes == 4)
		value = (uint64_t)(int64_t)__atomic_load_n((const int32_t *)p, __ATOMIC_ACQUIRE);
	else
		value = __atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE);
	return value == env->reservation_value;
}

static uint64_t rvh_wrs(struct tcg_env *env, uint64_t insn, uint64_t next, uint64_t is_short)
{
	const struct rv_state *s = rv_state(env);
	bool bounded = s->priv < RV_M && (s->mstatus & MSTATUS_TW);

	if (!is_short && !bounded) {
		if (!rv_stalled(env))
			return 0;
		env->pc = next;
		tcg_leave(env, TCG_EXIT_STALL);
		return 0;
	}
	for (uint32_t i = 0; i < WRS_LOOKS; i++) {
		if (!rv_stalled(env) || __atomic_load_n(&env->poll, __ATOMIC_RELAXED))
			return 0;
		tcg_pause();
	}
	return is_short ? 0 : illegal(env, insn);
}

/*
 * Zicbom, "Cache-Block Management Instructions", on what may be accessed: what can be loaded or stored, and any fault
 * is that of a store. All that can be stored can be loaded. The address told is the block's.
 */
static uint64_t rvh_cbo(struct tcg_env *env, uint64_t vaddr, uint64_t b, uint64_t c)
{
	struct tcg_walk w;

	(void)b, (void)c;
	vaddr &= ~(uint64_t)(CACHE_BLOCK_BYTES - 1);
	if (!rv_walk(env, vaddr, TCG_LOAD, env->mmu, CACHE_BLOCK_BYTES, &w))
		env->exception = env->exception == RV_LOAD_PAGE ? RV_STORE_PAGE : RV_STORE_ACCESS;
	else if (!tcg_phys_exists(env, w.phys))
		tcg_raise(env, RV_STORE_ACCESS, vaddr);
	return 0;
}

/*
 * sfence.vma and sinval.vma. Without an address everything goes, also when an address space is named: global
 * mappings and other address spaces are then lost for nothing, but seldom. With an address the page goes from
 * all address spaces.
 */
static uint64_t rvh_sfence_vma(struct tcg_env *env, uint64_t insn, uint64_t vaddr, uint64_t asid)
{
	const struct rv_state *s = rv_state(env);

	(void)asid;
	if (s->priv == RV_U || (s->priv == RV_S && (s->mstatus & MSTATUS_TVM)))
		return illegal(env, insn);
	if (insn >> 15 & 31)
		tcg_flush_page(env, vaddr);
	else
		tcg_flush_all(env);
	return 0;
}

static uint64_t rvh_sinval_fence(struct tcg_env *env, uint64_t insn, uint64_t b, uint64_t c)
{
	(void)b, (void)c;
	return rv_state(env)->priv == RV_U ? illegal(env, insn) : 0;
}

static uint64_t rvh_fclass_s(struct tcg_env *env, uint64_t a, uint64_t b, uint64_t c)
{
	(void)env, (void)b, (void)c;
	return sf_class_s((uint32_t)a);
}

static uint64_t rvh_fclass_d(struct tcg_env *env, uint64_t a, uint64_t b, uint64_t c)
{
	(void)env, (void)b, (void)c;
	return sf_class_d(a);
}

uint64_t rvh_half(struct tcg_env *env, uint64_t insn, uint64_t op, uint64_t mode);

const struct ir_helper rv_helpers[] = {
#define RVH(id, fn, flags) [RVH_##id] = { #fn, fn, flags },
#include "helpers.def"
#undef RVH
};
const uint32_t rv_helper_count = RVH_COUNT;
