/* SPDX-License-Identifier: MIT */
/*
 * Registers with rules or effects of their own: legalisation (WARL), views of other registers, counters, and
 * what follows from a write: a new context, flushed translations, an interrupt that is now to be taken.
 * Privilege has been checked by csr.c. On the vCPU's thread (or main, while it does not run). Section names
 * are those of the Privileged ISA.
 */
#include "csr.h"
#include "pmp.h"

#define SSTATUS_BITS (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR)
#define PMP_ADDR_BITS ((UINT64_C(1) << 54) - 1)         /* bits 55..2 of an address */
#define MSTATUS_BITS (SSTATUS_BITS | MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_TVM | \
		      MSTATUS_TW | MSTATUS_TSR)

/* --- Zero and constants --- */

uint64_t rv_read_zero(struct tcg_env *env, uint32_t number)
{
	(void)env;
	(void)number;
	return 0;
}

void rv_write_zero(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)env;
	(void)number;
	(void)value;
}

uint64_t rv_read_id(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_state(env)->hart;
}

void rv_write_id(struct tcg_env *env, uint32_t number, uint64_t value)
{
	rv_write_zero(env, number, value);
}

uint64_t rv_read_misa(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_state(env)->config->misa;
}

/* WARL, with one legal value */
void rv_write_misa(struct tcg_env *env, uint32_t number, uint64_t value)
{
	rv_write_zero(env, number, value);
}

/* --- Floating point --- */

static void fp_dirty(struct tcg_env *env)
{
	rv_state(env)->mstatus |= MSTATUS_FS;
	rv_update_context(env);
}

uint64_t rv_read_fflags(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return env->fflags & 31;
}

void rv_write_fflags(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	env->fflags = value & 31;
	fp_dirty(env);
}

uint64_t rv_read_frm(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return env->frm & 7;
}

void rv_write_frm(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	env->frm = value & 7;
	fp_dirty(env);
}

uint64_t rv_read_fcsr(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return (env->frm & 7) << 5 | (env->fflags & 31);
}

void rv_write_fcsr(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	env->frm = value >> 5 & 7;
	env->fflags = value & 31;
	fp_dirty(env);
}

/* --- Counters: cycle and instret both show guest time in ns ("Hardware Performance Monitor") --- */

static uint64_t now_ns(struct tcg_env *env)
{
	const struct tcg_services *services = &rv_state(env)->config->services;

	return services->clock->now_ns(services->inst, MT_CLOCK_GUEST);
}

static struct rv_counter *counter_of(struct tcg_env *env, uint32_t number)
{
	struct rv_state *s = rv_state(env);

	return (number & 31) == 0 ? &s->cycle : &s->instret;
}

static uint64_t counter_value(struct tcg_env *env, const struct rv_counter *c)
{
	return c->stopped ? c->value : c->value + now_ns(env);
}

uint64_t rv_read_counter(struct tcg_env *env, uint32_t number)
{
	return counter_value(env, counter_of(env, number));
}

void rv_write_counter(struct tcg_env *env, uint32_t number, uint64_t value)
{
	struct rv_counter *c = counter_of(env, number);

	c->value = c->stopped ? value : value - now_ns(env);
}

/* Sscounterenw is met by all bits alike, though the hpm counters are read-only zero. */
static uint64_t counters(struct tcg_env *env)
{
	return COUNTER_CY | COUNTER_TM | COUNTER_IR | (rv_has(rv_state(env), RV_EXT_ZIHPM) ? COUNTER_HPM : 0);
}

void rv_write_mcounteren(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	rv_state(env)->mcounteren = value & counters(env);
}

void rv_write_scounteren(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	rv_state(env)->scounteren = value & counters(env);
}

static void counter_inhibit(struct tcg_env *env, struct rv_counter *c, bool stop)
{
	uint64_t value = counter_value(env, c);

	c->stopped = stop;
	c->value = stop ? value : value - now_ns(env);
}

uint64_t rv_read_mcountinhibit(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_state(env)->mcountinhibit;
}

void rv_write_mcountinhibit(struct tcg_env *env, uint32_t number, uint64_t value)
{
	struct rv_state *s = rv_state(env);

	(void)number;
	s->mcountinhibit = value & (COUNTER_CY | COUNTER_IR);
	counter_inhibit(env, &s->cycle, value & COUNTER_CY);
	counter_inhibit(env, &s->instret, value & COUNTER_IR);
}

uint64_t rv_read_time(struct tcg_env *env, uint32_t number)
{
	const struct tcg_services *services = &rv_state(env)->config->services;

	(void)number;
	return services->clock->ticks(services->inst);
}

void rv_write_time(struct tcg_env *env, uint32_t number, uint64_t value)
{
	rv_write_zero(env, number, value);
}

/* --- Status --- */

static uint64_t status_view(const struct rv_state *s)
{
	return s->mstatus | ((s->mstatus & MSTATUS_FS) == MSTATUS_FS ? MSTATUS_SD : 0);
}

static void status_write(struct tcg_env *env, uint64_t value, uint64_t bits)
{
	struct rv_state *s = rv_state(env);
	uint64_t old = s->mstatus;

	if ((value & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT == 2)    /* a reserved mode: the field keeps its value */
		bits &= ~MSTATUS_MPP;
	if (!rv_has(s, RV_EXT_F))
		bits &= ~MSTATUS_FS;
	s->mstatus = (old & ~bits) | (value & bits);
	/* cached translations hold what MXR made readable */
	if ((old ^ s->mstatus) & MSTATUS_MXR)
		tcg_flush_all(env);
	rv_update_context(env);
	rv_poll_if_pending(env);
}

uint64_t rv_read_mstatus(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return status_view(rv_state(env));
}

void rv_write_mstatus(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	status_write(env, value, MSTATUS_BITS);
}

uint64_t rv_read_sstatus(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return status_view(rv_state(env)) & (SSTATUS_BITS | MSTATUS_UXL | MSTATUS_SD);
}

void rv_write_sstatus(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	status_write(env, value, SSTATUS_BITS);
}

/* --- Interrupts ("Machine Interrupt Registers", "Supervisor Interrupt Registers") --- */

uint64_t rv_read_mie(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_state(env)->mie;
}

static void mie_write(struct tcg_env *env, uint64_t value, uint64_t bits)
{
	struct rv_state *s = rv_state(env);

	s->mie = (s->mie & ~bits) | (value & bits);
	rv_poll_if_pending(env);
}

void rv_write_mie(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	mie_write(env, value, RV_IRQS_M | RV_IRQS_S);
}

uint64_t rv_read_sie(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_sie(rv_state(env));
}

void rv_write_mideleg(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	rv_state(env)->mideleg = value & RV_IRQS_S;
	rv_poll_if_pending(env);
}

void rv_write_sie(struct tcg_env *env, uint32_t number, uint64_t value)
{
	struct rv_state *s = rv_state(env);
	uint64_t own = s->mvien & ~s->mideleg;

	(void)number;
	s->sie_own = (s->sie_own & ~own) | (value & own);
	mie_write(env, value, s->mideleg);
}

uint64_t rv_read_mip(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_mip(env);
}

static void mip_write(struct tcg_env *env, uint64_t value, uint64_t bits)
{
	struct rv_state *s = rv_state(env);

	s->mip = (s->mip & ~bits) | (value & bits);
	rv_poll_if_pending(env);
}

void rv_write_mip(struct tcg_env *env, uint32_t number, uint64_t value)
{
	/* STIP is the comparison with stimecmp, and read-only, while menvcfg.STCE is set */
	uint64_t bits = RV_IRQS_S & ~(rv_state(env)->menvcfg & MENVCFG_STCE ? RV_IRQ_BIT(RV_STI) : 0);

	(void)number;
	/* SEIP is the controller's signal alone, and read-only, while mvien says so */
	bits &= ~(rv_state(env)->mvien & RV_IRQ_BIT(RV_SEI));
	mip_write(env, value, bits);
}

uint64_t rv_read_sip(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_sip(env, rv_mip(env));
}

void rv_write_sip(struct tcg_env *env, uint32_t number, uint64_t value)
{
	struct rv_state *s = rv_state(env);
	uint64_t own = s->mvien & ~s->mideleg & RV_IRQ_BIT(RV_SSI);

	(void)number;
	s->mvip_own = (s->mvip_own & ~own) | (value & own);
	mip_write(env, value, s->mideleg & RV_IRQ_BIT(RV_SSI));
}

/* --- Trap handling --- */

static uint64_t tvec_legal(uint64_t old, uint64_t value)
{
	/* modes 2 and 3 are reserved: the mode keeps its value */
	return value & 2 ? (value & ~UINT64_C(3)) | (old & 3) : value;
}

void rv_write_mtvec(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	rv_state(env)->mtvec = tvec_legal(rv_state(env)->mtvec, value);
}

void rv_write_stvec(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	rv_state(env)->stvec = tvec_legal(rv_state(env)->stvec, value);
}

/* Bit 0 is always 0, bit 1 too where instructions are 4-byte aligned. */
static uint64_t epc_mask(const struct rv_state *s)
{
	return rv_has(s, RV_EXT_C) ? ~UINT64_C(1) : ~UINT64_C(3);
}

uint64_t rv_read_mepc(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_state(env)->mepc;
}

void rv_write_mepc(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	rv_state(env)->mepc = value & epc_mask(rv_state(env));
}

uint64_t rv_read_sepc(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_state(env)->sepc;
}

void rv_write_sepc(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	rv_state(env)->sepc = value & epc_mask(rv_state(env));
}

/* --- Address translation and protection --- */

uint64_t rv_read_satp(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_state(env)->satp;
}

void rv_write_satp(struct tcg_env *env, uint32_t number, uint64_t value)
{
	struct rv_state *s = rv_state(env);
	uint32_t mode = SATP_MODE(value), old_mode = SATP_MODE(s->satp);

	(void)number;
	/* "if satp is written with an unsupported MODE, the entire write has no effect" */
	if (mode != SATP_BARE && (mode < SATP_SV39 || mode > s->config->satp_mode))
		return;
	s->satp = value;
	if (mode != old_mode)
		tcg_flush_all(env);
	rv_update_context(env);
}

uint64_t rv_read_pmpcfg(struct tcg_env *env, uint32_t number)
{
	const struct rv_pmp *p = &rv_state(env)->pmp;
	uint64_t value = 0;

	for (uint32_t i = 0; i < 8; i++)
		value |= (uint64_t)p->cfg[(number - CSR_PMPCFG0) * 4 + i] << (8 * i);
	return value;
}

/* Whether anything changed. R = 0 with W = 1 is reserved: W is not taken. A locked entry keeps its value. */
static bool pmp_write_cfg(struct rv_pmp *p, uint32_t entry, uint8_t cfg)
{
	uint8_t legal = cfg & (PMP_R | PMP_W | PMP_X | PMP_A | PMP_L);

	if (!(legal & PMP_R))
		legal &= (uint8_t)~PMP_W;
	if ((p->cfg[entry] & PMP_L) || p->cfg[entry] == legal)
		return false;
	p->cfg[entry] = legal;
	return true;
}

static void pmp_changed(struct tcg_env *env)
{
	rv_pmp_update(&rv_state(env)->pmp);
	tcg_flush_all(env);
}

void rv_write_pmpcfg(struct tcg_env *env, uint32_t number, uint64_t value)
{
	bool changed = false;

	for (uint32_t i = 0; i < 8; i++)
		changed |= pmp_write_cfg(&rv_state(env)->pmp, (number - CSR_PMPCFG0) * 4 + i,
					 (uint8_t)(value >> (8 * i)));
	if (changed)
		pmp_changed(env);
}

uint64_t rv_read_pmpaddr(struct tcg_env *env, uint32_t number)
{
	return rv_state(env)->pmp.addr[number - CSR_PMPADDR0];
}

/* The lock of an entry covers its address, and that of the entry below when it is the bottom of its range. */
static bool pmp_addr_locked(const struct rv_pmp *p, uint32_t entry)
{
	uint8_t above = entry + 1 < RV_PMP_ENTRIES ? p->cfg[entry + 1] : 0;

	return (p->cfg[entry] & PMP_L) || ((above & PMP_L) && (above & PMP_A) == PMP_A_TOR);
}

void rv_write_pmpaddr(struct tcg_env *env, uint32_t number, uint64_t value)
{
	struct rv_pmp *p = &rv_state(env)->pmp;
	uint32_t entry = number - CSR_PMPADDR0;

	value &= PMP_ADDR_BITS;
	if (pmp_addr_locked(p, entry) || p->addr[entry] == value)
		return;
	p->addr[entry] = value;
	pmp_changed(env);
}

/* --- Environment and timer --- */

uint64_t rv_read_menvcfg(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_state(env)->menvcfg;
}

/* The fields that menvcfg and senvcfg have both. CBIE = 2 is reserved: the field keeps its value. */
static uint64_t envcfg_bits(const struct rv_state *s, uint64_t value)
{
	bool cbie_legal = (value & MENVCFG_CBIE) >> MENVCFG_CBIE_SHIFT != 2;

	return MENVCFG_FIOM | (rv_has(s, RV_EXT_ZICBOZ) ? MENVCFG_CBZE : 0) |
	       (rv_has(s, RV_EXT_ZICBOM) ? MENVCFG_CBCFE | (cbie_legal ? MENVCFG_CBIE : 0) : 0);
}

void rv_write_senvcfg(struct tcg_env *env, uint32_t number, uint64_t value)
{
	struct rv_state *s = rv_state(env);
	uint64_t bits = envcfg_bits(s, value);

	(void)number;
	s->senvcfg = (s->senvcfg & ~bits) | (value & bits);
	rv_update_context(env);
}

void rv_write_menvcfg(struct tcg_env *env, uint32_t number, uint64_t value)
{
	struct rv_state *s = rv_state(env);
	uint64_t bits = envcfg_bits(s, value) | (rv_has(s, RV_EXT_SSTC) ? MENVCFG_STCE : 0) |
			(rv_has(s, RV_EXT_SVADU) ? MENVCFG_ADUE : 0) |
			(rv_has(s, RV_EXT_SVPBMT) ? MENVCFG_PBMTE : 0);
	uint64_t old = s->menvcfg;

	(void)number;
	s->menvcfg = (old & ~bits) | (value & bits);
	rv_update_context(env);
	/* with Sstc on, STIP is not the software's: what it had written is gone */
	if ((old ^ s->menvcfg) & MENVCFG_STCE) {
		s->mip &= ~RV_IRQ_BIT(RV_STI);
		tcg_poll_request(env);
	}
}

uint64_t rv_read_stimecmp(struct tcg_env *env, uint32_t number)
{
	(void)number;
	return rv_state(env)->stimecmp;
}

void rv_write_stimecmp(struct tcg_env *env, uint32_t number, uint64_t value)
{
	(void)number;
	rv_state(env)->stimecmp = value;
	/* the engine asks for the next wake-up after a poll */
	tcg_poll_request(env);
}
