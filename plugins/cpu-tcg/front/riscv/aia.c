/* SPDX-License-Identifier: MIT */
/*
 * Smaia and Ssaia, RISC-V Advanced Interrupt Architecture 1.0: top interrupts, virtual interrupts of
 * supervisor level, the windows miselect and siselect, and what an IMSIC serves by handlers that it has
 * bound. All bytes of the iprio arrays are read-only zeros, so that priorities are the default order and
 * mtopi and stopi show priority 1 ("Machine top interrupt CSR"). Accesses on the vCPU's thread, binding on
 * main while it does not run.
 */
#include <util/error.h>

#include "csr.h"

#define SELECT_IPRIO_FIRST 0x30u
#define SELECT_IPRIO_LAST  0x3fu
#define SELECT_IMSIC_FIRST 0x70u
#define SELECT_IMSIC_LAST  0xffu
#define INDIRECT(csr, select) ((uint64_t)(csr) << 32 | (select))
#define VIRTUAL_BITS (RV_IRQ_BIT(RV_SSI) | RV_IRQ_BIT(RV_SEI))   /* of mvien that can be set */

/* --- Top interrupts --- */

static uint64_t topi(uint64_t irq)
{
	return irq ? irq << 16 | 1 : 0;
}

uint64_t rv_read_mtopi(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return topi(rv_top_m(env));
}

void rv_write_mtopi(struct tcg_env *env, uint32_t number, uint64_t value)
{
	rv_write_zero(env, number, value);
}

uint64_t rv_read_stopi(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return topi(rv_top_s(env));
}

void rv_write_stopi(struct tcg_env *env, uint32_t number, uint64_t value)
{
	rv_write_zero(env, number, value);
}

/* --- "Interrupt filtering and virtual interrupts for supervisor level" --- */

uint64_t rv_read_mvien(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_state(env)->mvien;
}

void rv_write_mvien(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	rv_state(env)->mvien = value & VIRTUAL_BITS;
	rv_poll_if_pending(env);
}

/*
 * Bits 1 and 5 are those of mip unless mvien separates bit 1, or Sstc makes STIP read-only. Bit 9 is one bit.
 */
static uint64_t mvip_aliases(const struct rv_state *s)
{
	uint64_t timer = s->menvcfg & MENVCFG_STCE ? 0 : RV_IRQ_BIT(RV_STI);

	return RV_IRQ_BIT(RV_SEI) | timer | (RV_IRQ_BIT(RV_SSI) & ~s->mvien);
}

uint64_t rv_soft_pending(const struct rv_state *s, uint32_t number)
{
	uint64_t aliases = mvip_aliases(s);

	if (number == CSR_MVIP)
		return (s->mip & aliases) | (s->mvip_own & ~aliases & RV_IRQ_BIT(RV_SSI));
	if (number == CSR_SIP)
		return (s->mip & s->mideleg) | (s->mvip_own & s->mvien & ~s->mideleg);
	return s->mip;
}

uint64_t rv_read_mvip(struct tcg_env *env, uint32_t number)
{
	const struct rv_state *s = rv_state(env);
	uint64_t ssip = mvip_aliases(s) & RV_IRQ_BIT(RV_SSI);

	/* SSIP of mip has a pin beside the software's bit */
	return rv_soft_pending(s, number) | (rv_mip(env) & ssip);
}

void rv_write_mvip(struct tcg_env *env, uint32_t number, uint64_t value)
{
	struct rv_state *s = rv_state(env);
	uint64_t aliases = mvip_aliases(s), own = ~aliases & RV_IRQ_BIT(RV_SSI);

	(void)number;
	s->mip = (s->mip & ~aliases) | (value & aliases);
	s->mvip_own = (s->mvip_own & ~own) | (value & own);
	rv_poll_if_pending(env);
}

/* --- What a device serves --- */

static bool owned_access(struct tcg_env *env, enum rv_owned which, uint64_t number, const struct rv_csr_write *w,
			 uint64_t *old)
{
	const struct rv_state *s = rv_state(env);
	const struct mt_sysreg_range *r = &s->config->owned[s->hart].range[which];
	struct mt_sysreg_access access = { .number = number, .vcpu = s->hart, .privilege = s->priv };
	uint32_t result;

	if (!r->ops || number < r->first || number > r->last)
		return false;
	if (w->write)
		result = r->ops->modify(r->arg, &access, w->keep, w->bits, old);
	else
		result = r->ops->read(r->arg, &access, old);
	if (result & MT_SYSREG_LEAVE)
		tcg_leave_request(env);
	return (result & MT_SYSREG_RESULT) == MT_SYSREG_OK;
}

static bool selects_imsic(uint64_t select)
{
	return select >= SELECT_IMSIC_FIRST && select <= SELECT_IMSIC_LAST;
}

bool rv_access_ireg(struct tcg_env *env, const struct rv_csr_write *w, uint64_t *old)
{
	const struct rv_state *s = rv_state(env);
	bool m = w->number == CSR_MIREG;
	uint64_t select = m ? s->miselect : s->siselect;

	if (selects_imsic(select))
		return owned_access(env, m ? RV_OWNED_MIREG : RV_OWNED_SIREG, INDIRECT(w->number, select), w, old);
	*old = 0;
	/* odd registers of the iprio array do not exist in 64-bit harts */
	return select >= SELECT_IPRIO_FIRST && select <= SELECT_IPRIO_LAST && !(select & 1);
}

bool rv_access_topei(struct tcg_env *env, const struct rv_csr_write *w, uint64_t *old)
{
	return owned_access(env, w->number == CSR_MTOPEI ? RV_OWNED_MTOPEI : RV_OWNED_STOPEI, w->number, w, old);
}

/* "The value of bit 9 of mvien has some additional consequences": machine level keeps the file to itself. */
bool rv_imsic_allowed(struct tcg_env *env, uint32_t number, bool write)
{
	const struct rv_state *s = rv_state(env);

	(void)write;
	if (s->priv == RV_M || !(s->mvien & RV_IRQ_BIT(RV_SEI)))
		return true;
	return number != CSR_STOPEI && !selects_imsic(s->siselect);
}

/* --- Binding --- */

static const struct {
	uint64_t first, last;
	enum rv_ext ext;
} places[RV_OWNED] = {
	[RV_OWNED_MTOPEI] = { CSR_MTOPEI, CSR_MTOPEI, RV_EXT_SMAIA },
	[RV_OWNED_MIREG] = { INDIRECT(CSR_MIREG, SELECT_IMSIC_FIRST), INDIRECT(CSR_MIREG, SELECT_IMSIC_LAST), RV_EXT_SMAIA },
	[RV_OWNED_STOPEI] = { CSR_STOPEI, CSR_STOPEI, RV_EXT_SSAIA },
	[RV_OWNED_SIREG] = { INDIRECT(CSR_SIREG, SELECT_IMSIC_FIRST), INDIRECT(CSR_SIREG, SELECT_IMSIC_LAST), RV_EXT_SSAIA },
};

static int place_find(const struct mt_sysreg_range *range)
{
	for (int i = 0; i < RV_OWNED; i++)
		if (range->first >= places[i].first && range->last <= places[i].last)
			return i;
	return -1;
}

int rv_sysreg_bind(struct tcg_env *env, const struct mt_sysreg_range *range, struct mt_error *err)
{
	struct rv_state *s = rv_state(env);
	int place = place_find(range);

	if (place < 0)
		return mt_error_set(err, MT_ENOTSUP, NULL,
				    "a hart has no registers for devices at 0x%llx to 0x%llx",
				    (unsigned long long)range->first, (unsigned long long)range->last);
	if (!rv_has(s, places[place].ext)) {
		mt_error_set(err, MT_ENOTSUP, NULL, "the harts have no '%s'", rv_isa_name(places[place].ext));
		return mt_error_hint(err, "append _smaia_ssaia to 'isa' in [cpu]");
	}
	if (s->config->owned[s->hart].range[place].ops)
		return mt_error_set(err, MT_EBUSY, NULL, "another device serves these registers of hart %u", s->hart);
	s->config->owned[s->hart].range[place] = *range;
	return 0;
}

void rv_sysreg_unbind(struct tcg_env *env, const struct mt_sysreg_range *range)
{
	struct rv_state *s = rv_state(env);
	int place = place_find(range);

	if (place >= 0)
		s->config->owned[s->hart].range[place] = (struct mt_sysreg_range){ 0 };
}
