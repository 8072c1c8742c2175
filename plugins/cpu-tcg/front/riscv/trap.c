/* SPDX-License-Identifier: MIT */
/*
 * Traps and interrupts: entry, return, what is pending, the pins. All on the vCPU's thread but rv_pin_set,
 * which any thread calls: it changes the atomic word `pins` and asks for a poll; the vCPU reads the word
 * with acquire, so what a device did before raising its line is visible to the handler. Section names:
 * Privileged ISA.
 */
#include <string.h>

#include "csr.h"

uint64_t rv_mip(struct tcg_env *env)
{
	struct rv_state *s = rv_state(env);
	/* AIA, "Interrupt filtering": with mvien.SEI the software-writable SEIP is a bit of mvip alone */
	uint64_t soft = s->mip & ~(s->mvien & RV_IRQ_BIT(RV_SEI));
	uint64_t mip = soft | __atomic_load_n(&s->pins, __ATOMIC_ACQUIRE);

	/* Sstc: STIP is time >= stimecmp */
	if (s->menvcfg & MENVCFG_STCE) {
		const struct tcg_services *services = &s->config->services;
		mip &= ~RV_IRQ_BIT(RV_STI);
		if (s->stimecmp != UINT64_MAX && services->clock->ticks(services->inst) >= s->stimecmp)
			mip |= RV_IRQ_BIT(RV_STI);
	}
	return mip;
}

/*
 * AIA, "Interrupt filtering and virtual interrupts for supervisor level": a bit that is not delegated by mideleg
 * but enabled in mvien shows mvip, of which bit 9 is the software-writable SEIP.
 */
uint64_t rv_sip(struct tcg_env *env, uint64_t mip)
{
	const struct rv_state *s = rv_state(env);
	uint64_t mvip = (s->mvip_own & RV_IRQ_BIT(RV_SSI)) | (s->mip & RV_IRQ_BIT(RV_SEI));

	return (mip & s->mideleg) | (mvip & s->mvien & ~s->mideleg);
}

uint64_t rv_sie(const struct rv_state *s)
{
	return (s->mie & s->mideleg) | (s->sie_own & s->mvien & ~s->mideleg);
}

/* Pending interrupts that would be taken now ("Machine Interrupt Registers": modes and global enables). */
static uint64_t takeable(struct tcg_env *env, bool *to_m)
{
	struct rv_state *s = rv_state(env);
	uint64_t mip = rv_mip(env);
	bool m_on = s->priv < RV_M || (s->mstatus & MSTATUS_MIE);
	bool s_on = s->priv < RV_S || (s->priv == RV_S && (s->mstatus & MSTATUS_SIE));
	uint64_t for_m = m_on ? mip & s->mie & ~s->mideleg : 0;

	*to_m = for_m != 0;
	return for_m ? for_m : s_on ? rv_sip(env, mip) & rv_sie(s) : 0;
}

void rv_poll_if_pending(struct tcg_env *env)
{
	bool to_m;

	if ((rv_state(env)->mie | rv_state(env)->mvien) && takeable(env, &to_m))
		tcg_poll_request(env);
}

static uint64_t first_by_priority(uint64_t pending)
{
	/* "Multiple simultaneous interrupts ... are handled in the following decreasing priority order" */
	static const uint8_t order[] = { RV_MEI, RV_MSI, RV_MTI, RV_SEI, RV_SSI, RV_STI };

	for (size_t i = 0; i < sizeof(order); i++)
		if (pending >> order[i] & 1)
			return order[i];
	return 0;
}

uint64_t rv_top_m(struct tcg_env *env)
{
	const struct rv_state *s = rv_state(env);

	return first_by_priority(rv_mip(env) & s->mie & ~s->mideleg);
}

uint64_t rv_top_s(struct tcg_env *env)
{
	return first_by_priority(rv_sip(env, rv_mip(env)) & rv_sie(rv_state(env)));
}

static uint64_t vector(uint64_t tvec, uint64_t cause)
{
	uint64_t base = tvec & ~UINT64_C(3);

	/* vectored: interrupts only */
	return (tvec & 1) && (cause & RV_CAUSE_INTERRUPT) ? base + 4 * (cause & 63) : base;
}

static void trap_to_s(struct tcg_env *env, uint64_t cause, uint64_t value)
{
	struct rv_state *s = rv_state(env);
	uint64_t status = s->mstatus & ~(MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SIE);

	s->mstatus = status | (s->mstatus & MSTATUS_SIE ? MSTATUS_SPIE : 0) | (s->priv == RV_S ? MSTATUS_SPP : 0);
	s->scause = cause;
	s->stval = value;
	s->sepc = env->pc;
	s->priv = RV_S;
	env->pc = vector(s->stvec, cause);
}

static void trap_to_m(struct tcg_env *env, uint64_t cause, uint64_t value)
{
	struct rv_state *s = rv_state(env);
	uint64_t status = s->mstatus & ~(MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MIE);

	s->mstatus = status | (s->mstatus & MSTATUS_MIE ? MSTATUS_MPIE : 0) |
		     (uint64_t)s->priv << MSTATUS_MPP_SHIFT;
	s->mcause = cause;
	s->mtval = value;
	s->mepc = env->pc;
	s->priv = RV_M;
	env->pc = vector(s->mtvec, cause);
}

static void enter(struct tcg_env *env, uint64_t cause, uint64_t value, bool to_s)
{
	if (to_s)
		trap_to_s(env, cause, value);
	else
		trap_to_m(env, cause, value);
	rv_state(env)->wfi_awake = 0;
	rv_update_context(env);
}

void rv_take_exception(struct tcg_env *env)
{
	const struct rv_state *s = rv_state(env);

	/* a trap never goes to a less privileged mode */
	enter(env, env->exception, env->exception_value, s->priv < RV_M && (s->medeleg >> (env->exception & 63) & 1));
}

bool rv_take_interrupt(struct tcg_env *env)
{
	bool to_m;
	uint64_t pending = takeable(env, &to_m);

	if (!pending)
		return false;
	enter(env, RV_CAUSE_INTERRUPT | first_by_priority(pending), 0, !to_m);
	return true;
}

bool rv_wakeup_pending(struct tcg_env *env)
{
	const struct rv_state *s = rv_state(env);
	uint64_t mip = rv_mip(env);

	/* AIA, "WFI": what is pending for either level */
	return (mip & s->mie) || (rv_sip(env, mip) & rv_sie(s));
}

uint64_t rv_next_wakeup_ns(struct tcg_env *env)
{
	struct rv_state *s = rv_state(env);
	const struct tcg_services *services = &s->config->services;

	/* one that is pending already is a level: it needs no timer */
	if (!(s->menvcfg & MENVCFG_STCE) || (rv_mip(env) & RV_IRQ_BIT(RV_STI)))
		return UINT64_MAX;
	return services->clock->ticks_to_ns(services->inst, s->stimecmp);
}

/* --- Returns ("Trap-Return Instructions") --- */

static void lower(struct rv_state *s, uint32_t priv)
{
	s->priv = priv;
	if (priv != RV_M)
		s->mstatus &= ~MSTATUS_MPRV;
}

bool rv_mret(struct tcg_env *env)
{
	struct rv_state *s = rv_state(env);
	uint32_t mpp = (uint32_t)(s->mstatus >> MSTATUS_MPP_SHIFT) & 3;

	if (s->priv != RV_M)
		return false;
	env->pc = s->mepc;
	s->mstatus &= ~(MSTATUS_MIE | MSTATUS_MPP);
	s->mstatus |= (s->mstatus & MSTATUS_MPIE ? MSTATUS_MIE : 0) | MSTATUS_MPIE;
	lower(s, mpp);
	rv_update_context(env);
	rv_poll_if_pending(env);
	return true;
}

bool rv_sret(struct tcg_env *env)
{
	struct rv_state *s = rv_state(env);
	uint32_t spp = s->mstatus & MSTATUS_SPP ? RV_S : RV_U;

	if (s->priv == RV_U || (s->priv == RV_S && (s->mstatus & MSTATUS_TSR)))
		return false;
	env->pc = s->sepc;
	s->mstatus &= ~(MSTATUS_SIE | MSTATUS_SPP);
	s->mstatus |= (s->mstatus & MSTATUS_SPIE ? MSTATUS_SIE : 0) | MSTATUS_SPIE;
	lower(s, spp);
	rv_update_context(env);
	rv_poll_if_pending(env);
	return true;
}

/* --- Faults of the engine's making --- */

void rv_bus_fault(struct tcg_env *env, uint64_t vaddr, enum tcg_access access)
{
	static const uint8_t cause[] = { [TCG_LOAD] = RV_LOAD_ACCESS, [TCG_STORE] = RV_STORE_ACCESS,
					 [TCG_FETCH] = RV_INSN_ACCESS };

	tcg_raise(env, cause[access], vaddr);
}

void rv_misaligned(struct tcg_env *env, uint64_t vaddr, enum tcg_access access)
{
	static const uint8_t cause[] = { [TCG_LOAD] = RV_LOAD_MISALIGNED, [TCG_STORE] = RV_STORE_MISALIGNED,
					 [TCG_FETCH] = RV_INSN_MISALIGNED };

	tcg_raise(env, cause[access], vaddr);
}

/* --- Pins --- */

int32_t rv_pin_find(const char *name)
{
	static const struct { const char *name; int32_t pin; } pins[] = {
		{ "ssip", RV_SSI }, { "msip", RV_MSI }, { "stip", RV_STI }, { "mtip", RV_MTI }, { "seip", RV_SEI },
		{ "meip", RV_MEI },
	};

	for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++)
		if (!strcmp(name, pins[i].name))
			return pins[i].pin;
	return MT_ENOENT;
}

void rv_pin_set(struct tcg_env *env, uint32_t pin, uint32_t level)
{
	struct rv_state *s = rv_state(env);

	if (pin > RV_MEI)
		return;
	if (!level) {
		__atomic_and_fetch(&s->pins, ~(1u << pin), __ATOMIC_RELEASE);
		return;
	}
	__atomic_or_fetch(&s->pins, 1u << pin, __ATOMIC_RELEASE);
	tcg_rouse(env);
}
