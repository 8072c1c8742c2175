/* SPDX-License-Identifier: MIT */
/*
 * The privileged architecture without paging: CSR rules, privilege checks, traps, delegation, interrupts,
 * returns, wfi, fences, and the context that translated code depends on.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rvfake.h"

static struct rv_fake *f;

static void setup(void)
{
	f = rv_fake_new(RV_ISA_DEFAULT);
}

static void teardown(void)
{
	rv_fake_free(f);
}

/* --- helpers --- */

static uint32_t csr_word(uint32_t number, uint32_t funct3, uint32_t rd, uint32_t rs1)
{
	return 0x73 | funct3 << 12 | rd << 7 | rs1 << 15 | number << 20;
}

/* csrrw x7, number, x5; false: illegal. *old gets what was read. */
static bool swap(uint32_t number, uint64_t value, uint64_t *old)
{
	f->env->pc = FAKE_RAM;
	f->s->x[5] = value;
	enum tcg_exit exit = rv_fake_insn(f, csr_word(number, 1, 7, 5));
	*old = f->s->x[7];
	if (exit != TCG_EXIT_EXCEPTION)
		return true;
	ck_assert_uint_eq(f->env->exception, RV_ILLEGAL);
	ck_assert_uint_eq(f->env->exception_value, csr_word(number, 1, 7, 5));
	return false;
}

static bool readable(uint32_t number, uint64_t *value)
{
	f->env->pc = FAKE_RAM;
	enum tcg_exit exit = rv_fake_insn(f, csr_word(number, 2, 7, 0));        /* csrr */
	*value = f->s->x[7];
	return exit != TCG_EXIT_EXCEPTION;
}

static uint64_t get(uint32_t number)
{
	uint64_t value;

	ck_assert_msg(rv_csr_peek(f->env, number, &value), "%03x", number);
	return value;
}

static void set(uint32_t number, uint64_t value)
{
	ck_assert_msg(rv_csr_poke(f->env, number, value), "%03x", number);
}

/* --- CSRs --- */

START_TEST(table_is_sorted_and_apart)
{
	const struct rv_csr *table;
	uint32_t count = rv_csr_table(&table);

	for (uint32_t i = 1; i < count; i++) {
		uint32_t last = table[i - 1].number + (table[i - 1].count ? table[i - 1].count - 1u : 0u);
		ck_assert_msg(last < table[i].number, "%s and %s", table[i - 1].name, table[i].name);
	}
}
END_TEST

/* Written all ones, then all zeros: these bits stick, these are always set. */
START_TEST(warl)
{
	static const struct { uint32_t number; uint64_t ones, zeros; } rules[] = {
		{ CSR_SSCRATCH, UINT64_MAX, 0 }, { CSR_MSCRATCH, UINT64_MAX, 0 }, { CSR_STVAL, UINT64_MAX, 0 },
		{ CSR_MTVAL, UINT64_MAX, 0 }, { CSR_SEPC, ~UINT64_C(1), 0 }, { CSR_MEPC, ~UINT64_C(1), 0 },
		{ CSR_MTVEC, ~UINT64_C(3), 0 }, { CSR_STVEC, ~UINT64_C(3), 0 },
		{ CSR_MISA, 0x800000000014112d, 0x800000000014112d },
		{ CSR_MIE, 0xaaa, 0 }, { CSR_MIDELEG, 0x222, 0 }, { CSR_MEDELEG, 0xb1ff, 0 },
		{ CSR_MCOUNTEREN, 0xffffffff, 0 }, { CSR_SCOUNTEREN, 0xffffffff, 0 }, { CSR_MCOUNTINHIBIT, 5, 0 },
		{ CSR_MENVCFG, UINT64_C(0xe0000000000000f1), 0 }, { CSR_SENVCFG, 0xf1, 0 },
		{ CSR_MHPMCOUNTER3, 0, 0 }, { CSR_MHPMCOUNTER3 + 28, 0, 0 }, { CSR_MHPMEVENT3, 0, 0 },
		{ CSR_FFLAGS, 31, 0 }, { CSR_FRM, 7, 0 }, { CSR_FCSR, 255, 0 },
		{ CSR_STIMECMP, UINT64_MAX, 0 }, { CSR_PMPADDR0, (UINT64_C(1) << 54) - 1, 0 },
		/* mode 15 is not supported: no effect at all */
		{ CSR_SATP, 0, 0 },
		/* SIE MIE SPIE MPIE SPP MPP=3 FS=3 MPRV SUM MXR TVM TW TSR, SD, UXL, SXL */
		{ CSR_MSTATUS, 0x8000000a007e79aa, 0x0000000a00000000 },
		{ CSR_SSTATUS, 0x80000002000c6122, 0x0000000200000000 },
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		uint64_t old;
		f->s->mstatus |= MSTATUS_FS;
		ck_assert(swap(rules[i].number, UINT64_MAX, &old));
		f->s->priv = RV_M;
		ck_assert_msg(get(rules[i].number) == rules[i].ones, "%03x: %lx", rules[i].number, get(rules[i].number));
		f->s->mstatus |= MSTATUS_FS;
		ck_assert(swap(rules[i].number, 0, &old));
		ck_assert_msg(get(rules[i].number) == rules[i].zeros, "%03x: %lx", rules[i].number, get(rules[i].number));
	}
}
END_TEST

START_TEST(warl_fields)
{
	set(CSR_MSTATUS, MSTATUS_MPP);
	set(CSR_MSTATUS, UINT64_C(2) << MSTATUS_MPP_SHIFT);     /* reserved: keeps 3 */
	ck_assert_uint_eq(get(CSR_MSTATUS) & MSTATUS_MPP, MSTATUS_MPP);
	set(CSR_MTVEC, 0x1001);
	set(CSR_MTVEC, 0x2002);
	ck_assert_uint_eq(get(CSR_MTVEC), 0x2001);
	set(CSR_SATP, UINT64_C(9) << 60 | UINT64_C(0xffff) << 44 | 5);
	ck_assert_uint_eq(get(CSR_SATP), UINT64_C(9) << 60 | UINT64_C(0xffff) << 44 | 5);
	/* up to the property `mmu`; other writes do nothing at all */
	static const char *const mmus[] = { "sv39", NULL, "sv57" };
	for (uint32_t i = 0; i < 3; i++) {
		rv_fake_free(f);
		rv_fake_mmu = mmus[i];
		f = rv_fake_new(RV_ISA_DEFAULT);
		for (uint64_t mode = 0; mode < 16; mode++) {
			bool legal = mode == 0 || (mode >= 8 && mode <= 8 + i);
			set(CSR_SATP, UINT64_C(8) << 60 | 5);
			set(CSR_SATP, mode << 60 | 6);
			ck_assert_uint_eq(get(CSR_SATP), legal ? mode << 60 | 6 : UINT64_C(8) << 60 | 5);
		}
	}
	rv_fake_mmu = NULL;
	set(CSR_MENVCFG, 0x10);
	set(CSR_MENVCFG, 0x20);                                 /* CBIE: reserved, keeps 1 */
	ck_assert_uint_eq(get(CSR_MENVCFG), 0x10);
	set(CSR_SENVCFG, 0xf0);
	set(CSR_SENVCFG, 0xa0);
	ck_assert_uint_eq(get(CSR_SENVCFG), 0xb0);
	/* SD follows FS */
	set(CSR_MSTATUS, MSTATUS_FS);
	ck_assert(get(CSR_MSTATUS) & MSTATUS_SD);
	set(CSR_MSTATUS, UINT64_C(2) << MSTATUS_FS_SHIFT);
	ck_assert(!(get(CSR_MSTATUS) & MSTATUS_SD));
	/* sie and sip show and change what is delegated */
	set(CSR_MIE, 0xaaa);
	ck_assert_uint_eq(get(CSR_SIE), 0);
	set(CSR_MIDELEG, 0x22);
	ck_assert_uint_eq(get(CSR_SIE), 0x22);
	set(CSR_SIE, 0);
	ck_assert_uint_eq(get(CSR_MIE), 0xa88);
	set(CSR_MIP, UINT64_MAX);
	ck_assert_uint_eq(get(CSR_MIP), 0x222);
	ck_assert_uint_eq(get(CSR_SIP), 0x22);
	set(CSR_SIP, 0);
	ck_assert_uint_eq(get(CSR_MIP), 0x220);
}
END_TEST

/* Every number from every mode, against what its bits say; writes to read-only ones. */
START_TEST(privilege)
{
	static const uint32_t privs[] = { RV_U, RV_S, RV_M };

	for (int p = 0; p < 3; p++)
		for (uint32_t number = 0; number < 4096; number++) {
			const struct rv_csr *c = rv_csr_find(number);
			uint64_t value;
			rv_fake_enter(f, privs[p]);
			f->s->mcounteren = f->s->scounteren = 0xffffffff;
			f->s->menvcfg |= MENVCFG_STCE;
			f->s->mstatus |= MSTATUS_FS;
			rv_update_context(f->env);
			bool exists = c && rv_has(f->s, c->ext), may = privs[p] >= (number >> 8 & 3);
			f->s->x[7] = 0;
			bool got = readable(number, &value);
			ck_assert_msg(got == (exists && may), "csr %03x in mode %u", number, privs[p]);
			if (number >> 10 == 3 && exists) {
				rv_fake_enter(f, privs[p]);
				ck_assert(!swap(number, 0, &value));
				f->env->pc = FAKE_RAM;          /* csrrs with a register that holds 0 is a write too */
				f->s->x[5] = 0;
				ck_assert_int_eq(rv_fake_insn(f, csr_word(number, 2, 7, 5)), TCG_EXIT_EXCEPTION);
			}
		}
}
END_TEST

START_TEST(gates)
{
	uint64_t v;

	rv_fake_enter(f, RV_S);
	f->s->mcounteren = 0;
	ck_assert(!readable(CSR_TIME, &v));
	f->s->mcounteren = COUNTER_TM;
	f->ticks = 1234;
	ck_assert(readable(CSR_TIME, &v));
	ck_assert_uint_eq(v, 1234);
	ck_assert(!readable(CSR_CYCLE, &v));
	ck_assert(!readable(CSR_STIMECMP, &v));                 /* STCE is off */
	f->s->menvcfg = MENVCFG_STCE;
	ck_assert(readable(CSR_STIMECMP, &v));
	f->s->mcounteren = 0;
	ck_assert(!readable(CSR_STIMECMP, &v));
	f->s->mstatus |= MSTATUS_TVM;
	ck_assert(!readable(CSR_SATP, &v));
	f->s->mstatus &= ~MSTATUS_TVM;
	ck_assert(readable(CSR_SATP, &v));
	f->s->mstatus &= ~MSTATUS_FS;
	rv_update_context(f->env);
	ck_assert(!readable(CSR_FCSR, &v));
	rv_fake_enter(f, RV_U);
	f->s->mcounteren = COUNTER_TM;
	f->s->scounteren = 0;
	ck_assert(!readable(CSR_TIME, &v));
	f->s->scounteren = COUNTER_TM;
	ck_assert(readable(CSR_TIME, &v));
	rv_fake_free(f);
	f = rv_fake_new("rv64ima_zicsr");                       /* without the extensions nothing is there */
	rv_fake_enter(f, RV_M);
	ck_assert(!readable(CSR_TIME, &v));
	ck_assert(!readable(CSR_STIMECMP, &v));
	ck_assert(!readable(CSR_FCSR, &v));
	set(CSR_MSTATUS, MSTATUS_FS);
	ck_assert_uint_eq(get(CSR_MSTATUS) & MSTATUS_FS, 0);
	set(CSR_MENVCFG, UINT64_MAX);
	ck_assert_uint_eq(get(CSR_MENVCFG), MENVCFG_FIOM);
}
END_TEST

START_TEST(set_and_clear)
{
	set(CSR_MSCRATCH, 0xf0);
	f->s->x[5] = 0x1f;
	rv_fake_insn(f, csr_word(CSR_MSCRATCH, 2, 5, 5));       /* csrrs x5, mscratch, x5 */
	ck_assert_uint_eq(f->s->x[5], 0xf0);
	ck_assert_uint_eq(get(CSR_MSCRATCH), 0xff);
	f->s->x[5] = 0x0f;
	rv_fake_insn(f, csr_word(CSR_MSCRATCH, 3, 7, 5));
	ck_assert_uint_eq(f->s->x[7], 0xff);
	ck_assert_uint_eq(get(CSR_MSCRATCH), 0xf0);
	rv_fake_insn(f, csr_word(CSR_MSCRATCH, 5, 7, 31));
	ck_assert_uint_eq(get(CSR_MSCRATCH), 31);
	rv_fake_insn(f, csr_word(CSR_MSCRATCH, 6, 0, 0));       /* csrrsi 0: no write */
	rv_fake_insn(f, csr_word(CSR_MSCRATCH, 7, 0, 3));
	ck_assert_uint_eq(get(CSR_MSCRATCH), 28);
	/* the level of a line does not stick in mip */
	rv_pin_set(f->env, RV_SEI, 1);
	f->s->x[5] = RV_IRQ_BIT(RV_SSI);
	rv_fake_insn(f, csr_word(CSR_MIP, 2, 7, 5));
	ck_assert_uint_eq(f->s->x[7], RV_IRQ_BIT(RV_SEI));
	rv_pin_set(f->env, RV_SEI, 0);
	ck_assert_uint_eq(get(CSR_MIP), RV_IRQ_BIT(RV_SSI));
}
END_TEST

START_TEST(counters)
{
	uint64_t a, b;

	f->ticks = 10;
	ck_assert(readable(CSR_MCYCLE, &a) && readable(CSR_CYCLE, &b));
	ck_assert_uint_eq(a, b);
	f->ticks = 20;
	ck_assert(readable(CSR_MCYCLE, &b));
	ck_assert_uint_gt(b, a);
	set(CSR_MCYCLE, 5);
	ck_assert_uint_eq(get(CSR_MCYCLE), 5);
	set(CSR_MCOUNTINHIBIT, 1);
	f->ticks = 1000;
	ck_assert_uint_eq(get(CSR_MCYCLE), 5);
	set(CSR_MCOUNTINHIBIT, 0);
	ck_assert_uint_eq(get(CSR_MCYCLE), 5);
	f->ticks = 1001;
	ck_assert_uint_gt(get(CSR_MCYCLE), 5);
}
END_TEST

/* --- traps --- */

START_TEST(trap_entry)
{
	static const uint32_t privs[] = { RV_U, RV_S, RV_M };

	for (int p = 0; p < 3; p++)
		for (int delegate = 0; delegate < 2; delegate++)
			for (int on = 0; on < 2; on++) {
				rv_fake_enter(f, privs[p]);
				set(CSR_MTVEC, 0x1001);
				set(CSR_STVEC, 0x2001);
				set(CSR_MEDELEG, delegate ? 1u << RV_BREAKPOINT : 0);
				f->s->mstatus = MSTATUS_UXL | MSTATUS_SXL | (on ? MSTATUS_SIE | MSTATUS_MIE : 0);
				f->s->mepc = f->s->sepc = 0;
				ck_assert_int_eq(rv_fake_insn(f, 0x00100073), TCG_EXIT_EXCEPTION);
				ck_assert_uint_eq(f->env->exception_value, FAKE_RAM);
				front_riscv.take_exception(f->env);
				bool to_s = delegate && privs[p] != RV_M;
				ck_assert_uint_eq(f->s->priv, to_s ? RV_S : RV_M);
				ck_assert_uint_eq(f->env->pc, to_s ? 0x2000 : 0x1000);
				ck_assert_uint_eq(to_s ? f->s->sepc : f->s->mepc, FAKE_RAM);
				ck_assert_uint_eq(get(to_s ? CSR_SCAUSE : CSR_MCAUSE), RV_BREAKPOINT);
				ck_assert_uint_eq(get(to_s ? CSR_STVAL : CSR_MTVAL), FAKE_RAM);
				uint64_t status = get(CSR_MSTATUS);
				if (to_s) {
					ck_assert_uint_eq(!!(status & MSTATUS_SPP), privs[p] == RV_S);
					ck_assert_uint_eq(!!(status & MSTATUS_SPIE), (unsigned)on);
					ck_assert(!(status & MSTATUS_SIE));
				} else {
					ck_assert_uint_eq((status & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT, privs[p]);
					ck_assert_uint_eq(!!(status & MSTATUS_MPIE), (unsigned)on);
					ck_assert(!(status & MSTATUS_MIE));
				}
				ck_assert_uint_eq(f->env->flags & RV_FLAG_PRIV, f->s->priv);
			}
}
END_TEST

START_TEST(ecall_causes)
{
	static const uint32_t privs[] = { RV_U, RV_S, RV_M };
	static const uint32_t cause[] = { 8, 9, 11 };

	for (int p = 0; p < 3; p++) {
		rv_fake_enter(f, privs[p]);
		ck_assert_int_eq(rv_fake_insn(f, 0x00000073), TCG_EXIT_EXCEPTION);
		ck_assert_uint_eq(f->env->exception, cause[p]);
		ck_assert_uint_eq(f->env->exception_value, 0);
	}
}
END_TEST

START_TEST(returns)
{
	rv_fake_enter(f, RV_M);
	f->s->mepc = 0x1234;
	f->s->mstatus = MSTATUS_MPIE | MSTATUS_MPRV | (uint64_t)RV_S << MSTATUS_MPP_SHIFT;
	rv_fake_insn(f, 0x30200073);
	ck_assert_uint_eq(f->env->pc, 0x1234);
	ck_assert_uint_eq(f->s->priv, RV_S);
	ck_assert_uint_eq(f->s->mstatus, MSTATUS_MIE | MSTATUS_MPIE);           /* MPP = U, MPRV = 0 */
	rv_fake_enter(f, RV_M);
	f->s->mstatus = MSTATUS_MIE | MSTATUS_MPRV | MSTATUS_MPP;
	rv_fake_insn(f, 0x30200073);
	ck_assert_uint_eq(f->s->priv, RV_M);
	ck_assert_uint_eq(f->s->mstatus, MSTATUS_MPIE | MSTATUS_MPRV);          /* stays in M: MPRV stays */
	rv_fake_enter(f, RV_S);
	f->s->sepc = 0x5678;
	f->s->mstatus = MSTATUS_SPP | MSTATUS_SPIE;
	rv_fake_insn(f, 0x10200073);
	ck_assert_uint_eq(f->env->pc, 0x5678);
	ck_assert_uint_eq(f->s->priv, RV_S);
	ck_assert_uint_eq(f->s->mstatus, MSTATUS_SIE | MSTATUS_SPIE);
	rv_fake_enter(f, RV_S);
	f->s->mstatus = MSTATUS_TSR;
	ck_assert_int_eq(rv_fake_insn(f, 0x10200073), TCG_EXIT_EXCEPTION);
	ck_assert_int_eq(rv_fake_insn(f, 0x30200073), TCG_EXIT_EXCEPTION);
	rv_fake_enter(f, RV_U);
	ck_assert_int_eq(rv_fake_insn(f, 0x10200073), TCG_EXIT_EXCEPTION);
	ck_assert_uint_eq(f->env->exception, RV_ILLEGAL);
	ck_assert_uint_eq(f->env->exception_value, 0x10200073);
}
END_TEST

/* --- interrupts --- */

static uint64_t model_interrupt(uint64_t mip, uint64_t mie, uint64_t deleg, uint32_t priv,
				uint64_t status, bool *to_m)
{
	/* Privileged ISA: in priority order, first those for M */
	static const int order[] = { 11, 3, 7, 9, 1, 5 };

	for (int level = 0; level < 2; level++)
		for (int i = 0; i < 6; i++) {
			uint64_t bit = UINT64_C(1) << order[i];
			bool delegated = deleg & bit;
			if (!(mip & mie & bit) || delegated != (level == 1))
				continue;
			if (!delegated && (priv < RV_M || (status & MSTATUS_MIE))) {
				*to_m = true;
				return (uint64_t)order[i];
			}
			if (delegated && (priv < RV_S || (priv == RV_S && (status & MSTATUS_SIE)))) {
				*to_m = false;
				return (uint64_t)order[i];
			}
		}
	return 0;
}

START_TEST(interrupts)
{
	uint64_t rng = 4;

	for (int i = 0; i < 20000; i++) {
		uint64_t r = rv_fake_random(&rng);
		static const uint32_t privs[] = { RV_U, RV_S, RV_M, RV_S };
		rv_fake_enter(f, privs[r & 3]);
		f->s->mstatus = r & (MSTATUS_MIE | MSTATUS_SIE);
		set(CSR_MIDELEG, r >> 8);
		f->s->mie = r >> 20 & 0xaaa;
		f->s->mip = 0;
		for (uint32_t pin = 0; pin < 12; pin++)
			rv_pin_set(f->env, pin, 0);
		for (uint32_t pin = 1; pin < 12; pin += 2)
			rv_pin_set(f->env, pin, r >> (40 + pin) & 1);
		f->s->mtvec = 0x1001;
		f->s->stvec = 0x2001;
		bool to_m = false;
		uint64_t mip = get(CSR_MIP), deleg = f->s->mideleg, mie = f->s->mie;
		uint64_t expect = model_interrupt(mip, mie, deleg, f->s->priv, f->s->mstatus, &to_m);
		ck_assert(front_riscv.wakeup_pending(f->env) == ((mip & mie) != 0));
		ck_assert(front_riscv.take_interrupt(f->env) == (expect != 0));
		if (!expect)
			continue;
		ck_assert_uint_eq(f->s->priv, to_m ? RV_M : RV_S);
		ck_assert_uint_eq(f->env->pc, (to_m ? 0x1000 : 0x2000) + 4 * expect);
		ck_assert_uint_eq(get(to_m ? CSR_MCAUSE : CSR_SCAUSE), RV_CAUSE_INTERRUPT | expect);
		ck_assert_uint_eq(to_m ? f->s->mepc : f->s->sepc, FAKE_RAM);
	}
}
END_TEST

/* Whatever makes an interrupt takeable asks for a poll. */
START_TEST(enables_ask_for_polls)
{
	static const struct { uint32_t number; uint64_t value; } writes[] = {
		{ CSR_MSTATUS, MSTATUS_MIE }, { CSR_MIE, 1u << RV_MSI }, { CSR_MIP, 1u << RV_SSI },
	};

	for (int i = 0; i < 3; i++) {
		rv_fake_enter(f, RV_M);
		f->s->mstatus = i == 0 ? 0 : MSTATUS_MIE;
		f->s->mie = i == 1 ? 0 : 1u << RV_MSI | 1u << RV_SSI;
		f->s->mip = 0;
		rv_pin_set(f->env, RV_MSI, i != 2);
		f->env->poll = 0;
		uint64_t old;
		f->s->x[5] = writes[i].value;
		ck_assert(swap(writes[i].number, writes[i].value, &old));
		ck_assert_uint_eq(f->env->poll, 1);
		ck_assert_uint_eq(f->env->pc, FAKE_RAM + 4);
		ck_assert(front_riscv.take_interrupt(f->env));
	}
	rv_fake_enter(f, RV_M);            /* and mret that gives the enable back */
	f->s->mstatus = MSTATUS_MPIE | MSTATUS_MPP;
	rv_pin_set(f->env, RV_MSI, 1);
	f->env->poll = 0;
	ck_assert_int_eq(rv_fake_insn(f, 0x30200073), TCG_EXIT_POLL);
}
END_TEST

START_TEST(supervisor_timer)
{
	rv_fake_enter(f, RV_S);
	f->s->mideleg = 0x222;
	f->s->mie = 1u << RV_STI;
	f->s->mcounteren = COUNTER_TM;
	set(CSR_MENVCFG, MENVCFG_STCE);
	f->ticks = 100;
	f->env->poll = 0;
	set(CSR_STIMECMP, 150);
	ck_assert_uint_eq(f->env->poll, 1);
	ck_assert_uint_eq(front_riscv.next_wakeup_ns(f->env), 15000);
	ck_assert(!front_riscv.wakeup_pending(f->env));
	f->ticks = 150;
	ck_assert(front_riscv.wakeup_pending(f->env));
	ck_assert_uint_eq(front_riscv.next_wakeup_ns(f->env), UINT64_MAX);
	set(CSR_MIP, 0);                                        /* STIP is read-only now */
	ck_assert_uint_eq(get(CSR_MIP), 1u << RV_STI);
	f->s->mstatus |= MSTATUS_SIE;
	ck_assert(front_riscv.take_interrupt(f->env));
	ck_assert_uint_eq(get(CSR_SCAUSE), RV_CAUSE_INTERRUPT | RV_STI);
	set(CSR_STIMECMP, UINT64_MAX);
	ck_assert_uint_eq(get(CSR_MIP), 0);
	ck_assert_uint_eq(front_riscv.next_wakeup_ns(f->env), UINT64_MAX);
}
END_TEST

/* A loop around WFI with an interrupt that is pending and never taken: it is slowed down, until one is taken. */
START_TEST(wait_in_vain)
{
	uint32_t looks = 0;

	rv_fake_enter(f, RV_M);
	f->s->mie = f->s->mip = 1u << RV_SSI;
	f->s->mideleg = 0;
	for (; looks < 1000 && rv_fake_insn(f, 0x10500073) == TCG_EXIT_LOOKUP; looks++)
		f->env->pc = FAKE_RAM;
	ck_assert_uint_ge(looks, 10);
	ck_assert_uint_lt(looks, 1000);
	ck_assert_uint_eq(f->env->pc, FAKE_RAM + 4);
	ck_assert_uint_eq(f->env->pauses, 0);
	f->env->pc = FAKE_RAM;
	ck_assert_int_eq(rv_fake_insn(f, 0x10500073), TCG_EXIT_PAUSE);
	ck_assert_uint_eq(f->env->pauses, 1);
	ck_assert_uint_eq(f->env->pause_roused, f->env->roused);
	/* a pin that rose since the last look: one more, and the pauses begin anew */
	rv_pin_set(f->env, RV_MSI, 1);
	f->env->poll = 0;
	f->env->pc = FAKE_RAM;
	ck_assert_int_eq(rv_fake_insn(f, 0x10500073), TCG_EXIT_LOOKUP);
	for (looks = 0; looks < 1000 && rv_fake_insn(f, 0x10500073) == TCG_EXIT_LOOKUP; looks++)
		f->env->pc = FAKE_RAM;
	ck_assert_uint_ge(looks, 10);
	ck_assert_uint_lt(looks, 1000);
	ck_assert_uint_eq(f->env->pauses, 0);
	ck_assert_uint_eq(f->env->pause_roused, f->env->roused);
	f->s->mstatus |= MSTATUS_MIE;
	ck_assert(front_riscv.take_interrupt(f->env));
	f->env->pc = FAKE_RAM;
	ck_assert_int_eq(rv_fake_insn(f, 0x10500073), TCG_EXIT_LOOKUP);
}
END_TEST

START_TEST(wait_for_interrupt)
{
	rv_fake_enter(f, RV_S);
	ck_assert_int_eq(rv_fake_insn(f, 0x10500073), TCG_EXIT_HALT);
	ck_assert_uint_eq(f->env->pc, FAKE_RAM + 4);
	rv_fake_enter(f, RV_S);            /* pending and enabled, though not to be taken: does not wait */
	f->s->mie = 1u << RV_SSI;
	f->s->mip = 1u << RV_SSI;
	f->env->poll = 0;
	ck_assert_int_eq(rv_fake_insn(f, 0x10500073), TCG_EXIT_LOOKUP);
	f->s->mstatus |= MSTATUS_TW;
	f->env->pc = FAKE_RAM;
	ck_assert_int_eq(rv_fake_insn(f, 0x10500073), TCG_EXIT_EXCEPTION);
	rv_fake_enter(f, RV_M);
	ck_assert_int_eq(rv_fake_insn(f, 0x10500073), TCG_EXIT_LOOKUP);
	rv_fake_enter(f, RV_U);
	ck_assert_int_eq(rv_fake_insn(f, 0x10500073), TCG_EXIT_EXCEPTION);
}
END_TEST

/* --- fences and contexts --- */

START_TEST(fences)
{
	rv_fake_enter(f, RV_S);
	f->s->x[5] = 0x1234;
	uint32_t flushes = f->flushes;
	rv_fake_insn(f, 0x12000073);                            /* sfence.vma */
	ck_assert_uint_eq(f->flushes, flushes + 1);
	f->env->pc = FAKE_RAM;
	rv_fake_insn(f, 0x12028073);                            /* sfence.vma t0 */
	ck_assert_uint_eq(f->page_flushes, 1);
	ck_assert_uint_eq(f->flushed_page, 0x1234);
	f->env->pc = FAKE_RAM;
	rv_fake_insn(f, 0x16028073);                            /* sinval.vma t0 */
	ck_assert_uint_eq(f->page_flushes, 2);
	f->env->pc = FAKE_RAM;
	ck_assert_int_eq(rv_fake_insn(f, 0x18000073), TCG_EXIT_LOOKUP);
	f->env->pc = FAKE_RAM;
	rv_fake_insn(f, 0x0000100f);                            /* fence.i */
	ck_assert_uint_eq(f->fences, 1);
	f->s->mstatus |= MSTATUS_TVM;
	f->env->pc = FAKE_RAM;
	ck_assert_int_eq(rv_fake_insn(f, 0x12000073), TCG_EXIT_EXCEPTION);
	ck_assert_int_eq(rv_fake_insn(f, 0x16000073), TCG_EXIT_EXCEPTION);
	ck_assert_int_eq(rv_fake_insn(f, 0x18100073), TCG_EXIT_LOOKUP);
	rv_fake_enter(f, RV_U);
	ck_assert_int_eq(rv_fake_insn(f, 0x12000073), TCG_EXIT_EXCEPTION);
	ck_assert_int_eq(rv_fake_insn(f, 0x18000073), TCG_EXIT_EXCEPTION);
}
END_TEST

START_TEST(regimes)
{
	rv_fake_enter(f, RV_M);
	ck_assert_uint_eq(f->env->mmu, RV_MMU_M);
	set(CSR_MSTATUS, MSTATUS_MPRV | (uint64_t)RV_S << MSTATUS_MPP_SHIFT);
	ck_assert_uint_eq(f->env->mmu, RV_MMU_S);
	set(CSR_MSTATUS, MSTATUS_MPRV | MSTATUS_SUM | (uint64_t)RV_S << MSTATUS_MPP_SHIFT);
	ck_assert_uint_eq(f->env->mmu, RV_MMU_S_SUM);
	set(CSR_MSTATUS, MSTATUS_MPRV);
	ck_assert_uint_eq(f->env->mmu, RV_MMU_U);
	set(CSR_MSTATUS, MSTATUS_MPRV | MSTATUS_MPP);
	ck_assert_uint_eq(f->env->mmu, RV_MMU_M);
	rv_fake_enter(f, RV_U);
	ck_assert_uint_eq(f->env->mmu, RV_MMU_U);
	rv_fake_enter(f, RV_S);
	ck_assert_uint_eq(f->env->mmu, RV_MMU_S_SUM - !(f->s->mstatus & MSTATUS_SUM));
	uint32_t flushes = f->flushes;
	set(CSR_SSTATUS, MSTATUS_MXR);
	ck_assert_uint_eq(f->flushes, flushes + 1);
	set(CSR_SATP, UINT64_C(8) << 60 | 77);
	ck_assert_uint_eq(f->flushes, flushes + 2);
	ck_assert_uint_eq(f->env->context, UINT64_C(8) << 60 | 77);
	set(CSR_SATP, UINT64_C(8) << 60 | UINT64_C(3) << 44 | 78);
	ck_assert_uint_eq(f->flushes, flushes + 2);             /* another address space: nothing to forget */
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		table_is_sorted_and_apart, warl, warl_fields, privilege, gates, set_and_clear, counters, trap_entry,
		ecall_causes, returns, interrupts, enables_ask_for_polls, supervisor_timer, wait_for_interrupt,
		wait_in_vain, fences, regimes,
	};
	Suite *suite = suite_create("rv-priv");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
