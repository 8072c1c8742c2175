/* SPDX-License-Identifier: MIT */
/*
 * Saved state of a hart: schema "riscv64-hart", the same for every accelerator of this ISA. On the main thread, while
 * the vCPU does not run. A reservation is not saved: it may be lost at any time, and an SC then fails.
 *
 * What a register may hold is known to the functions that a guest's write goes through. So a load resets the hart,
 * writes every CSR in an order in which none stands in another's way, and then wants to find what was saved.
 */
#include <stdio.h>
#include <string.h>
#include <util/state.h>

#include "csr.h"
#include "pmp.h"

#define RV_PINS (RV_IRQS_M | RV_IRQS_S)

/* CSRs that are one field of the state, in the order of writing; field and number. */
#define RV_SAVED_CSRS(X) \
	X(menvcfg, CSR_MENVCFG) X(mcounteren, CSR_MCOUNTEREN) X(mcountinhibit, CSR_MCOUNTINHIBIT) \
	X(medeleg, CSR_MEDELEG) X(mideleg, CSR_MIDELEG) X(mie, CSR_MIE) X(mip, CSR_MIP) X(mtvec, CSR_MTVEC) \
	X(mepc, CSR_MEPC) X(mcause, CSR_MCAUSE) X(mtval, CSR_MTVAL) X(mscratch, CSR_MSCRATCH) \
	X(stvec, CSR_STVEC) X(sepc, CSR_SEPC) X(scause, CSR_SCAUSE) X(stval, CSR_STVAL) \
	X(sscratch, CSR_SSCRATCH) X(scounteren, CSR_SCOUNTEREN) X(senvcfg, CSR_SENVCFG) X(satp, CSR_SATP) \
	X(stimecmp, CSR_STIMECMP) X(miselect, CSR_MISELECT) X(siselect, CSR_SISELECT) X(mvien, CSR_MVIEN) \
	X(mstatus, CSR_MSTATUS)

#define FIELD(name, number) MT_STATE_VAR(struct rv_state, name, UINT64_MAX),
static const struct mt_state_field fields[] = {
	MT_STATE_ARRAY(struct rv_state, x, UINT64_MAX),
	MT_STATE_ARRAY(struct rv_state, f, UINT64_MAX),
	MT_STATE_VAR(struct rv_state, priv, RV_M),
	MT_STATE_VAR(struct rv_state, pins, RV_PINS),
	MT_STATE_ARRAY(struct rv_state, pmp.cfg, UINT8_MAX),
	MT_STATE_ARRAY(struct rv_state, pmp.addr, UINT64_MAX),
	MT_STATE_VAR(struct rv_state, mvip_own, RV_IRQS_S),
	MT_STATE_VAR(struct rv_state, sie_own, RV_IRQS_S),
	RV_SAVED_CSRS(FIELD)
};
static const struct mt_state_table table = MT_STATE_TABLE(struct rv_state, fields);

#define NUMBER(name, number) { #name, number, offsetof(struct rv_state, name) },
static const struct { const char *name; uint32_t number; size_t offset; } csrs[] = { RV_SAVED_CSRS(NUMBER) };

/* What is not in rv_state, or not as a guest sees it. */
struct hart_record {
	uint64_t pc, mcycle, minstret;
	uint8_t frm, fflags;
};

static const struct mt_state_field record_fields[] = {
	MT_STATE_VAR(struct hart_record, pc, UINT64_MAX),
	MT_STATE_VAR(struct hart_record, mcycle, UINT64_MAX),
	MT_STATE_VAR(struct hart_record, minstret, UINT64_MAX),
	MT_STATE_VAR(struct hart_record, frm, 7),
	MT_STATE_VAR(struct hart_record, fflags, 31),
};
static const struct mt_state_table record_table = MT_STATE_TABLE(struct hart_record, record_fields);

int rv_save(struct tcg_env *env, struct mt_state_out *out, const struct mt_state_writer *w)
{
	const struct rv_state *s = rv_state(env);
	struct hart_record record = { .pc = env->pc, .frm = (uint8_t)(env->frm & 7),
				      .fflags = (uint8_t)(env->fflags & 31) };

	rv_csr_peek(env, CSR_MCYCLE, &record.mcycle);
	rv_csr_peek(env, CSR_MINSTRET, &record.minstret);
	w->put(out, "isa", MT_STATE_STRING, 0, s->config->isa_text, (uint32_t)strlen(s->config->isa_text));
	w->put(out, "hart", MT_STATE_U32, 0, &s->hart, 1);
	mt_state_save(out, w, &record_table, &record);
	mt_state_save(out, w, &table, s);
	return 0;
}

/* Another instruction set, or another hart: its code would not run, or not as that one. */
static int identity_load(const struct rv_state *s, struct mt_state_in *in, const struct mt_state_reader *r)
{
	char isa[RV_ISA_TEXT_BYTES];
	uint32_t hart = 0;
	int code = r->get(in, "isa", MT_STATE_STRING, isa, sizeof(isa));

	if (code == 0)
		code = r->get(in, "hart", MT_STATE_U32, &hart, 1);
	if (code < 0)
		return code;
	if (strcmp(isa, s->config->isa_text))
		return r->refuse(in, "isa", "is another than this vCPU has");
	return hart == s->hart ? 0 : r->refuse(in, "hart", "is another number than this vCPU has");
}

static void csrs_write(struct tcg_env *env, const struct rv_state *saved)
{
	for (uint32_t i = 0; i < RV_PMP_ENTRIES; i++)
		rv_csr_poke(env, CSR_PMPADDR0 + i, saved->pmp.addr[i]);
	for (uint32_t i = 0; i < RV_PMP_ENTRIES; i += 8) {
		uint64_t cfg;

		memcpy(&cfg, &saved->pmp.cfg[i], sizeof(cfg));
		rv_csr_poke(env, CSR_PMPCFG0 + i / 4, cfg);
	}
	for (size_t i = 0; i < sizeof(csrs) / sizeof(csrs[0]); i++) {
		uint64_t value;

		memcpy(&value, (const char *)saved + csrs[i].offset, sizeof(value));
		rv_csr_poke(env, csrs[i].number, value);
	}
}

/* After csrs_write the hart holds what was saved, or it cannot. */
static int csrs_compare(const struct rv_state *s, const struct rv_state *saved, struct mt_state_in *in,
			const struct mt_state_reader *r)
{
	static const char why[] = "has a value that this hart cannot hold";

	for (size_t i = 0; i < sizeof(csrs) / sizeof(csrs[0]); i++)
		if (memcmp((const char *)saved + csrs[i].offset, (const char *)s + csrs[i].offset, 8))
			return r->refuse(in, csrs[i].name, why);
	if (memcmp(saved->pmp.cfg, s->pmp.cfg, sizeof(s->pmp.cfg)))
		return r->refuse(in, "pmp.cfg", why);
	return memcmp(saved->pmp.addr, s->pmp.addr, sizeof(s->pmp.addr)) ? r->refuse(in, "pmp.addr", why) : 0;
}

static int registers_check(const struct rv_state *saved, const struct hart_record *record, struct mt_state_in *in,
			   const struct mt_state_reader *r)
{
	if (saved->x[0])
		return r->refuse(in, "x", "has a register 0 that is not 0");
	if (saved->priv == 2)
		return r->refuse(in, "priv", "is 2, a reserved mode");
	if (saved->pins & ~(uint32_t)RV_PINS)
		return r->refuse(in, "pins", "has pins that a hart does not have");
	if (saved->mvip_own & ~RV_IRQ_BIT(RV_SSI))
		return r->refuse(in, "mvip_own", "has bits that are not its own");
	if (saved->sie_own & ~(RV_IRQ_BIT(RV_SSI) | RV_IRQ_BIT(RV_SEI)))
		return r->refuse(in, "sie_own", "has bits that are not its own");
	return record->pc & 1 ? r->refuse(in, "pc", "is odd") : 0;
}

static void hart_take(struct tcg_env *env, const struct rv_state *saved, const struct hart_record *record)
{
	struct rv_state *s = rv_state(env);

	rv_csr_poke(env, CSR_MCYCLE, record->mcycle);
	rv_csr_poke(env, CSR_MINSTRET, record->minstret);
	memcpy(s->x, saved->x, sizeof(s->x));
	memcpy(s->f, saved->f, sizeof(s->f));
	s->priv = saved->priv;
	s->mvip_own = saved->mvip_own;
	s->sie_own = saved->sie_own;
	__atomic_store_n(&s->pins, saved->pins, __ATOMIC_SEQ_CST);
	env->pc = record->pc;
	env->frm = record->frm;
	env->fflags = record->fflags;
	rv_update_context(env);
}

int rv_load(struct tcg_env *env, struct mt_state_in *in, const struct mt_state_reader *r)
{
	struct rv_state *s = rv_state(env), saved;
	struct hart_record record = { 0 };
	int code = identity_load(s, in, r);

	if (code == 0)
		code = mt_state_load(in, r, &record_table, 1, &record);
	if (code == 0)
		code = mt_state_load(in, r, &table, 1, &saved);
	if (code == 0)
		code = registers_check(&saved, &record, in, r);
	if (code < 0)
		return code;
	rv_reset(env, 0);
	csrs_write(env, &saved);
	code = csrs_compare(s, &saved, in, r);
	if (code == 0)
		hart_take(env, &saved, &record);
	return code;
}
