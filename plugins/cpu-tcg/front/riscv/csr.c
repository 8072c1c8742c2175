/* SPDX-License-Identifier: MIT */
/*
 * The control and status registers: one table, and the checks that every access passes (Privileged ISA,
 * "Control and Status Registers (CSRs)"). Bits 9..8 of a number are the least privilege, bits 11..10 = 3
 * read-only. A number that is not in the table, or whose extension is off, is an illegal instruction. What
 * a register does beyond holding bits is in csr_fn.c. The table is sorted when it is first used and
 * constant afterwards.
 */
#include "csr.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* 0..8, 12, 13, 15: neither ecall from S (9) nor from M (11) */
#define EXCEPTIONS_DELEGABLE UINT64_C(0xb1ff)
#define ISELECT_BITS UINT64_C(0x1ff)

static bool counter_allowed(struct tcg_env *env, uint32_t number, bool write)
{
	struct rv_state *s = rv_state(env);
	uint64_t bit = UINT64_C(1) << (number & 31);

	(void)write;
	if (s->priv < RV_M && !(s->mcounteren & bit))
		return false;
	return s->priv > RV_U || (s->scounteren & bit);
}

static bool fp_allowed(struct tcg_env *env, uint32_t number, bool write)
{
	(void)number;
	(void)write;
	return (rv_state(env)->mstatus & MSTATUS_FS) != 0;
}

static bool satp_allowed(struct tcg_env *env, uint32_t number, bool write)
{
	struct rv_state *s = rv_state(env);

	(void)number;
	(void)write;
	return s->priv == RV_M || !(s->mstatus & MSTATUS_TVM);
}

/* Sstc, "Supervisor Timer Register": below M both menvcfg.STCE and mcounteren.TM must be set. */
static bool stimecmp_allowed(struct tcg_env *env, uint32_t number, bool write)
{
	struct rv_state *s = rv_state(env);

	(void)number;
	(void)write;
	return s->priv == RV_M || ((s->menvcfg & MENVCFG_STCE) && (s->mcounteren & COUNTER_TM));
}

#define FIELD(num, nam, fl, ex, field, m) \
	{ .number = num, .name = nam, .flags = fl, .ext = RV_EXT_##ex, .offset = offsetof(struct rv_state, field), \
	  .mask = m, }
#define FIELD_WRITE(num, nam, fl, ex, field, fn) \
	{ .number = num, .name = nam, .flags = fl, .ext = RV_EXT_##ex, .offset = offsetof(struct rv_state, field), \
	  .write = rv_write_##fn, }
#define FN(num, nam, fl, ex, fn, gate) \
	{ .number = num, .name = nam, .flags = fl, .ext = RV_EXT_##ex, .read = rv_read_##fn, \
	 .write = rv_write_##fn, \
	  .allowed = gate, }
#define ROW(num, n, nam, fl, ex, fn, gate) \
	{ .number = num, .count = n, .name = nam, .flags = fl, .ext = RV_EXT_##ex, .read = rv_read_##fn, \
	  .write = rv_write_##fn, .allowed = gate, }

#define ACCESS(num, nam, ex, fn, gate) \
	{ .number = num, .name = nam, .ext = RV_EXT_##ex, .access = rv_access_##fn, .allowed = gate, }

static struct rv_csr csrs[] = {
	/* unprivileged */
	FN(CSR_FFLAGS, "fflags", RV_CSR_PLAIN | RV_CSR_FP, F, fflags, fp_allowed),
	FN(CSR_FRM, "frm", RV_CSR_FP, F, frm, fp_allowed),
	FN(CSR_FCSR, "fcsr", RV_CSR_FP, F, fcsr, fp_allowed),
	FN(CSR_CYCLE, "cycle", 0, ZICNTR, counter, counter_allowed),
	FN(CSR_TIME, "time", 0, ZICNTR, time, counter_allowed),
	FN(CSR_INSTRET, "instret", 0, ZICNTR, counter, counter_allowed),
	ROW(CSR_HPMCOUNTER3, 29, "hpmcounter", 0, ZIHPM, zero, counter_allowed),
	/* supervisor */
	FN(CSR_SSTATUS, "sstatus", 0, I, sstatus, NULL),
	FN(CSR_SIE, "sie", 0, I, sie, NULL),
	FIELD_WRITE(CSR_STVEC, "stvec", RV_CSR_PLAIN, I, stvec, stvec),
	FIELD_WRITE(CSR_SCOUNTEREN, "scounteren", RV_CSR_PLAIN, I, scounteren, scounteren),
	FIELD_WRITE(CSR_SENVCFG, "senvcfg", 0, I, senvcfg, senvcfg),
	FIELD(CSR_SSCRATCH, "sscratch", RV_CSR_PLAIN, I, sscratch, UINT64_MAX),
	FN(CSR_SEPC, "sepc", RV_CSR_PLAIN, I, sepc, NULL),
	FIELD(CSR_SCAUSE, "scause", RV_CSR_PLAIN, I, scause, UINT64_MAX),
	FIELD(CSR_STVAL, "stval", RV_CSR_PLAIN, I, stval, UINT64_MAX),
	FN(CSR_SIP, "sip", 0, I, sip, NULL),
	FIELD(CSR_SISELECT, "siselect", RV_CSR_PLAIN, SSAIA, siselect, ISELECT_BITS),
	ACCESS(CSR_SIREG, "sireg", SSAIA, ireg, rv_imsic_allowed),
	ACCESS(CSR_STOPEI, "stopei", SSAIA, topei, rv_imsic_allowed),
	FN(CSR_STOPI, "stopi", 0, SSAIA, stopi, NULL),
	FN(CSR_STIMECMP, "stimecmp", 0, SSTC, stimecmp, stimecmp_allowed),
	FN(CSR_SATP, "satp", 0, I, satp, satp_allowed),
	/* machine */
	FN(CSR_MSTATUS, "mstatus", 0, I, mstatus, NULL),
	FN(CSR_MISA, "misa", RV_CSR_PLAIN, I, misa, NULL),
	FIELD(CSR_MEDELEG, "medeleg", RV_CSR_PLAIN, I, medeleg, EXCEPTIONS_DELEGABLE),
	FIELD_WRITE(CSR_MIDELEG, "mideleg", 0, I, mideleg, mideleg),
	FN(CSR_MIE, "mie", 0, I, mie, NULL),
	FIELD_WRITE(CSR_MTVEC, "mtvec", RV_CSR_PLAIN, I, mtvec, mtvec),
	FIELD_WRITE(CSR_MCOUNTEREN, "mcounteren", RV_CSR_PLAIN, I, mcounteren, mcounteren),
	FN(CSR_MENVCFG, "menvcfg", 0, I, menvcfg, NULL),
	FN(CSR_MCOUNTINHIBIT, "mcountinhibit", RV_CSR_PLAIN, I, mcountinhibit, NULL),
	ROW(CSR_MHPMEVENT3, 29, "mhpmevent", RV_CSR_PLAIN, I, zero, NULL),
	FIELD(CSR_MSCRATCH, "mscratch", RV_CSR_PLAIN, I, mscratch, UINT64_MAX),
	FN(CSR_MEPC, "mepc", RV_CSR_PLAIN, I, mepc, NULL),
	FIELD(CSR_MCAUSE, "mcause", RV_CSR_PLAIN, I, mcause, UINT64_MAX),
	FIELD(CSR_MTVAL, "mtval", RV_CSR_PLAIN, I, mtval, UINT64_MAX),
	FN(CSR_MIP, "mip", 0, I, mip, NULL),
	FN(CSR_MVIEN, "mvien", 0, SMAIA, mvien, NULL),
	FN(CSR_MVIP, "mvip", 0, SMAIA, mvip, NULL),
	FIELD(CSR_MISELECT, "miselect", RV_CSR_PLAIN, SMAIA, miselect, ISELECT_BITS),
	ACCESS(CSR_MIREG, "mireg", SMAIA, ireg, NULL),
	ACCESS(CSR_MTOPEI, "mtopei", SMAIA, topei, NULL),
	FN(CSR_MTOPI, "mtopi", 0, SMAIA, mtopi, NULL),
	FN(CSR_PMPCFG0, "pmpcfg0", 0, I, pmpcfg, NULL),
	FN(CSR_PMPCFG0 + 2, "pmpcfg2", 0, I, pmpcfg, NULL),
	ROW(CSR_PMPADDR0, RV_PMP_ENTRIES, "pmpaddr", 0, I, pmpaddr, NULL),
	FN(CSR_MCYCLE, "mcycle", RV_CSR_PLAIN, I, counter, NULL),
	FN(CSR_MINSTRET, "minstret", RV_CSR_PLAIN, I, counter, NULL),
	ROW(CSR_MHPMCOUNTER3, 29, "mhpmcounter", RV_CSR_PLAIN, I, zero, NULL),
	FN(CSR_MVENDORID, "mvendorid", 0, I, zero, NULL),
	FN(CSR_MARCHID, "marchid", 0, I, zero, NULL),
	FN(CSR_MIMPID, "mimpid", 0, I, zero, NULL),
	FN(CSR_MHARTID, "mhartid", 0, I, id, NULL),
	FN(CSR_MCONFIGPTR, "mconfigptr", 0, I, zero, NULL),
};
#define CSRS (sizeof(csrs) / sizeof(csrs[0]))

static int by_number(const void *a, const void *b)
{
	return (int)((const struct rv_csr *)a)->number - (int)((const struct rv_csr *)b)->number;
}

static void sort(void)
{
	qsort(csrs, CSRS, sizeof(csrs[0]), by_number);
}

void rv_csr_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, sort);
}

uint32_t rv_csr_table(const struct rv_csr **table)
{
	rv_csr_init();
	*table = csrs;
	return CSRS;
}

const struct rv_csr *rv_csr_find(uint32_t number)
{
	size_t low = 0, high = CSRS;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct rv_csr *c = &csrs[middle];
		uint32_t last = c->number + (c->count ? c->count - 1u : 0u);
		if (number < c->number)
			high = middle;
		else if (number > last)
			low = middle + 1;
		else
			return c;
	}
	return NULL;
}

static uint64_t *field(struct tcg_env *env, const struct rv_csr *c)
{
	return (uint64_t *)((char *)rv_state(env) + c->offset);
}

static uint64_t csr_read(struct tcg_env *env, const struct rv_csr *c, uint32_t number)
{
	return c->read ? c->read(env, number) : *field(env, c);
}

static void csr_write(struct tcg_env *env, const struct rv_csr *c, uint32_t number, uint64_t value)
{
	if (c->write)
		c->write(env, number, value);
	else
		*field(env, c) = (*field(env, c) & ~c->mask) | (value & c->mask);
}

/*
 * The value that a set or clear works on. Of mip, sip and mvip it is the software-writable bits alone: the level
 * of an interrupt line must not stick ("Machine Interrupt Registers", on SEIP).
 */
static uint64_t csr_base(struct tcg_env *env, uint32_t number, uint64_t old)
{
	bool pending = number == CSR_MIP || number == CSR_SIP || number == CSR_MVIP;

	return pending ? rv_soft_pending(rv_state(env), number) : old;
}

/* The same of a register that a device serves. */
static bool csr_access(struct tcg_env *env, const struct rv_csr *c, uint32_t number, enum rv_csr_op op, bool write,
		       uint64_t operand, uint64_t *old)
{
	struct rv_csr_write w = { .number = number, .write = write, .bits = op == RV_CSR_CLEAR ? 0 : operand };

	if (op != RV_CSR_WRITE)
		w.keep = ~operand;
	return c->access(env, &w, old);
}

bool rv_csr_access(struct tcg_env *env, uint32_t number, enum rv_csr_op op, bool write, uint64_t operand,
		   uint64_t *old)
{
	const struct rv_csr *c = rv_csr_find(number);
	struct rv_state *s = rv_state(env);

	if (!c || !rv_has(s, c->ext) || s->priv < (number >> 8 & 3) || (write && number >> 10 == 3))
		return false;
	if (c->allowed && !c->allowed(env, number, write))
		return false;
	if (c->access)
		return csr_access(env, c, number, op, write, operand, old);
	*old = csr_read(env, c, number);
	if (!write)
		return true;
	if (op == RV_CSR_SET)
		operand = csr_base(env, number, *old) | operand;
	else if (op == RV_CSR_CLEAR)
		operand = csr_base(env, number, *old) & ~operand;
	csr_write(env, c, number, operand);
	return true;
}

bool rv_csr_peek(struct tcg_env *env, uint32_t number, uint64_t *value)
{
	const struct rv_csr *c = rv_csr_find(number);

	if (!c || !rv_has(rv_state(env), c->ext))
		return false;
	if (c->access) {
		if (!csr_access(env, c, number, RV_CSR_WRITE, false, 0, value))
			*value = 0;
		return true;
	}
	*value = csr_read(env, c, number);
	return true;
}

bool rv_csr_poke(struct tcg_env *env, uint32_t number, uint64_t value)
{
	const struct rv_csr *c = rv_csr_find(number);

	/* what a device serves is its state, not the hart's */
	if (!c || !rv_has(rv_state(env), c->ext) || number >> 10 == 3 || c->access)
		return false;
	csr_write(env, c, number, value);
	return true;
}
