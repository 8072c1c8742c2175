/* SPDX-License-Identifier: MIT */
/* Extensions whose instructions have rules of their own: who may execute them, what they touch, their faults. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "rvfake.h"

#define RS1 5u
#define DATA (FAKE_RAM + 0x8000)

static struct rv_fake *f;

static void setup(void)
{
	f = rv_fake_new(RV_ISA_DEFAULT);
}

static void teardown(void)
{
	rv_fake_free(f);
}

static enum tcg_exit run_at(uint8_t op, uint64_t addr)
{
	f->env->pc = FAKE_RAM;
	f->s->x[RS1] = addr;
	return rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = op, .rs1 = RS1 }));
}

static void set(uint32_t csr, uint64_t value)
{
	ck_assert(rv_csr_poke(f->env, csr, value));
}

static bool illegal(uint8_t op)
{
	enum tcg_exit exit = run_at(op, DATA);

	ck_assert(exit == TCG_EXIT_LOOKUP || (exit == TCG_EXIT_EXCEPTION && f->env->exception == RV_ILLEGAL));
	return exit == TCG_EXIT_EXCEPTION;
}

/* --- cache blocks --- */

/* Every mode with every setting of the fields of menvcfg and senvcfg. */
START_TEST(cbo_permission)
{
	static const struct { uint8_t op; uint64_t field; } ops[] = {
		{ RV_cbo_inval, 0x30 }, { RV_cbo_clean, 0x40 }, { RV_cbo_flush, 0x40 }, { RV_cbo_zero, 0x80 },
	};
	static const uint32_t privs[] = { RV_U, RV_S, RV_M };

	for (size_t i = 0; i < 4; i++)
		for (uint64_t m = 0; m < 256; m += 16)
			for (uint64_t s = 0; s < 256; s += 16)
				for (int p = 0; p < 3; p++) {
					rv_fake_enter(f, privs[p]);
					/* not by way of the reserved 2, which would keep what was before */
					set(CSR_MENVCFG, 0);
					set(CSR_SENVCFG, 0);
					set(CSR_MENVCFG, m);
					set(CSR_SENVCFG, s);
					uint64_t menvcfg = (m & 0x30) == 0x20 ? m & ~UINT64_C(0x30) : m;
					uint64_t senvcfg = (s & 0x30) == 0x20 ? s & ~UINT64_C(0x30) : s;
					bool may = privs[p] == RV_M || ((menvcfg & ops[i].field) &&
									(privs[p] == RV_S || (senvcfg & ops[i].field)));
					ck_assert_msg(illegal(ops[i].op) == !may, "%s in %u, %lx %lx",
						      rv_entries[ops[i].op].name, privs[p], m, s);
				}
}
END_TEST

START_TEST(cbo_zero_block)
{
	for (uint64_t offset = 0; offset < 64; offset += 7) {
		for (uint64_t i = 0; i < 192; i += 8)
			rv_fake_put(f, DATA + i, UINT64_MAX, 8);
		ck_assert_int_eq(run_at(RV_cbo_zero, DATA + 64 + offset), TCG_EXIT_LOOKUP);
		for (uint64_t i = 0; i < 192; i += 8)
			ck_assert_uint_eq(rv_fake_get(f, DATA + i, 8), i >= 64 && i < 128 ? 0 : UINT64_MAX);
	}
}
END_TEST

/* An identity map of RAM for S, with a leaf of these bits for one page. */
static void map(uint64_t leaf)
{
	uint64_t root = FAKE_RAM + 0x10000, middle = root + 0x1000, last = root + 0x2000;

	rv_fake_put(f, root + 2 * 8, middle >> 2 | 1, 8);
	rv_fake_put(f, middle, last >> 2 | 1, 8);
	for (uint64_t i = 0; i < 256; i++)
		rv_fake_put(f, last + i * 8, (FAKE_RAM + i * 4096) >> 2 | 0xcf, 8);
	rv_fake_put(f, last + 8 * 8, DATA >> 2 | leaf, 8);
	rv_fake_enter(f, RV_S);
	set(CSR_MENVCFG, 0xf0 | MENVCFG_ADUE);
	set(CSR_SATP, UINT64_C(8) << 60 | root >> 12);
}

static void faults(uint8_t op, uint32_t cause)
{
	ck_assert_int_eq(run_at(op, DATA + 0x7f), cause ? TCG_EXIT_EXCEPTION : TCG_EXIT_LOOKUP);
	if (!cause)
		return;
	ck_assert_uint_eq(f->env->exception, cause);
	ck_assert_uint_eq(f->env->exception_value, DATA + 0x40);
}

/* Management needs what a load or a store needs, zeroing what a store needs; all faults are a store's. */
START_TEST(cbo_access)
{
	static const struct { uint32_t leaf, manage, zero; } leaves[] = {
		{ 0xcf, 0, 0 }, { 0xc3, 0, RV_STORE_PAGE }, { 0xc9, RV_STORE_PAGE, RV_STORE_PAGE },
		{ 0xdf, RV_STORE_PAGE, RV_STORE_PAGE }, { 0, RV_STORE_PAGE, RV_STORE_PAGE },
	};

	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		map(leaves[i].leaf);
		faults(RV_cbo_inval, leaves[i].manage);
		faults(RV_cbo_clean, leaves[i].manage);
		faults(RV_cbo_flush, leaves[i].manage);
		faults(RV_cbo_zero, leaves[i].zero);
	}
	map(0x07);                              /* R and W, neither A nor D yet */
	faults(RV_cbo_flush, 0);
	ck_assert_uint_eq(rv_fake_get(f, FAKE_RAM + 0x12000 + 64, 1), 0x47);
	faults(RV_cbo_zero, 0);
	ck_assert_uint_eq(rv_fake_get(f, FAKE_RAM + 0x12000 + 64, 1), 0xc7);
}
END_TEST

/* Physical protection, and addresses at which nothing answers. */
START_TEST(cbo_protection)
{
	rv_fake_enter(f, RV_S);
	set(CSR_MENVCFG, 0xf0);
	set(CSR_PMPADDR0, (DATA + 64) >> 2 | 7);        /* 64 bytes */
	set(CSR_PMPCFG0, PMP_A_NAPOT);
	faults(RV_cbo_clean, RV_STORE_ACCESS);
	faults(RV_cbo_zero, RV_STORE_ACCESS);
	set(CSR_PMPCFG0, PMP_A_NAPOT | PMP_R);
	faults(RV_cbo_clean, 0);
	faults(RV_cbo_zero, RV_STORE_ACCESS);
	set(CSR_PMPCFG0, PMP_A_NAPOT | PMP_R | PMP_W);
	faults(RV_cbo_zero, 0);
	for (uint8_t op = RV_cbo_inval; op <= RV_cbo_zero; op++) {
		ck_assert_int_eq(run_at(op, 0x1010), TCG_EXIT_EXCEPTION);
		ck_assert_uint_eq(f->env->exception, RV_STORE_ACCESS);
		ck_assert_uint_eq(f->env->exception_value, 0x1000);
	}
}
END_TEST

/* --- waiting on a reservation --- */

static enum tcg_exit wait_after_lr(uint8_t op, uint32_t priv, uint64_t mstatus)
{
	rv_fake_enter(f, priv);
	f->s->mstatus = (f->s->mstatus & ~MSTATUS_TW) | mstatus;
	f->env->poll = 0;
	ck_assert_int_eq(run_at(RV_lr_w, DATA), TCG_EXIT_LOOKUP);
	return run_at(op, DATA);
}

START_TEST(wait_on_reservation)
{
	static const uint32_t privs[] = { RV_U, RV_S, RV_M };

	for (int p = 0; p < 3; p++) {
		rv_fake_enter(f, privs[p]);
		f->env->reservation = UINT64_MAX;
		ck_assert_int_eq(run_at(RV_wrs_nto, DATA), TCG_EXIT_LOOKUP);     /* none: goes on */
		ck_assert_int_eq(wait_after_lr(RV_wrs_nto, privs[p], 0), TCG_EXIT_STALL);
		ck_assert_uint_eq(f->env->pc, FAKE_RAM + 4);
		ck_assert(rv_stalled(f->env));
		/* the short one ends by itself, whatever TW says */
		ck_assert_int_eq(wait_after_lr(RV_wrs_sto, privs[p], MSTATUS_TW), TCG_EXIT_LOOKUP);
		/* with TW the other one is illegal below M when it would wait for long */
		enum tcg_exit bounded = wait_after_lr(RV_wrs_nto, privs[p], MSTATUS_TW);
		ck_assert_int_eq(bounded, privs[p] == RV_M ? TCG_EXIT_STALL : TCG_EXIT_EXCEPTION);
		if (privs[p] != RV_M)
			ck_assert_uint_eq(f->env->exception, RV_ILLEGAL);
		f->env->reservation = UINT64_MAX;
		ck_assert_int_eq(run_at(RV_wrs_nto, DATA), TCG_EXIT_LOOKUP);
	}
}
END_TEST

/* What ends a wait: another value, the line's version, an interrupt that is enabled in mie. */
START_TEST(wait_ends)
{
	ck_assert_int_eq(wait_after_lr(RV_wrs_nto, RV_M, 0), TCG_EXIT_STALL);
	rv_fake_put(f, DATA, 1, 4);
	ck_assert(!rv_stalled(f->env));
	ck_assert_int_eq(wait_after_lr(RV_wrs_nto, RV_M, 0), TCG_EXIT_STALL);
	rv_fake_put(f, DATA + 4, 1, 4);                 /* beside the word that was reserved */
	ck_assert(rv_stalled(f->env));
	f->line_version++;
	ck_assert(!rv_stalled(f->env));
	ck_assert_int_eq(wait_after_lr(RV_wrs_nto, RV_M, 0), TCG_EXIT_STALL);
	rv_pin_set(f->env, RV_SEI, 1);
	ck_assert(rv_stalled(f->env));
	f->s->mie = RV_IRQ_BIT(RV_SEI);                 /* mstatus.MIE stays off */
	ck_assert(!rv_stalled(f->env));
	ck_assert_int_eq(wait_after_lr(RV_wrs_nto, RV_M, 0), TCG_EXIT_LOOKUP);
}
END_TEST

/* --- compare and swap --- */

#define RD 6u
#define RS2 8u

static enum tcg_exit cas(uint8_t op, uint32_t rd, uint32_t rs2, uint64_t addr)
{
	f->env->pc = FAKE_RAM;
	f->s->x[RS1] = addr;
	return rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = op, .rd = (uint8_t)rd, .rs1 = RS1,
							    .rs2 = (uint8_t)rs2, .imm = 3 }));
}

START_TEST(compare_and_swap)
{
	rv_fake_put(f, DATA, 0x1122334485667788, 8);
	f->s->x[RD] = 0xffff85667788;                   /* its low half counts */
	f->s->x[RS2] = 0x99aabbccddeeff00;
	ck_assert_int_eq(cas(RV_amocas_w, RD, RS2, DATA), TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(f->s->x[RD], 0xffffffff85667788);
	ck_assert_uint_eq(rv_fake_get(f, DATA, 8), 0x11223344ddeeff00);
	cas(RV_amocas_w, RD, RS2, DATA);                /* another value is there: no store */
	ck_assert_uint_eq(f->s->x[RD], 0xffffffffddeeff00);
	f->s->x[RD] = 0x11223344ddeeff01;
	cas(RV_amocas_d, RD, RS2, DATA);
	ck_assert_uint_eq(rv_fake_get(f, DATA, 8), 0x11223344ddeeff00);
	ck_assert_uint_eq(f->s->x[RD], 0x11223344ddeeff00);
	cas(RV_amocas_d, RD, RS2, DATA);
	ck_assert_uint_eq(rv_fake_get(f, DATA, 8), 0x99aabbccddeeff00);
	f->s->x[RS1] = DATA;                            /* x0 expects 0 */
	cas(RV_amocas_d, 0, RS2, DATA + 8);
	ck_assert_uint_eq(rv_fake_get(f, DATA + 8, 8), 0x99aabbccddeeff00);
	for (uint8_t op = RV_amocas_w; op <= RV_amocas_q; op++) {
		uint64_t off = op == RV_amocas_w ? 2 : op == RV_amocas_d ? 4 : 8;
		ck_assert_int_eq(cas(op, RD, RS2, DATA + off), TCG_EXIT_EXCEPTION);
		ck_assert_uint_eq(f->env->exception, RV_STORE_MISALIGNED);
		ck_assert_uint_eq(f->env->exception_value, DATA + off);
	}
}
END_TEST

static void pair_is(uint64_t low, uint64_t high)
{
	ck_assert_uint_eq(rv_fake_get(f, DATA, 8), low);
	ck_assert_uint_eq(rv_fake_get(f, DATA + 8, 8), high);
}

START_TEST(compare_and_swap_pairs)
{
	rv_fake_put(f, DATA, 1, 8);
	rv_fake_put(f, DATA + 8, 2, 8);
	f->s->x[RD] = 1;
	f->s->x[RD + 1] = 3;
	f->s->x[RS2] = 4;
	f->s->x[RS2 + 1] = 5;
	ck_assert_int_eq(cas(RV_amocas_q, RD, RS2, DATA), TCG_EXIT_LOOKUP);     /* the upper half is another */
	pair_is(1, 2);
	ck_assert_uint_eq(f->s->x[RD], 1);
	ck_assert_uint_eq(f->s->x[RD + 1], 2);
	uint32_t version = f->line_version;
	cas(RV_amocas_q, RD, RS2, DATA);
	pair_is(4, 5);
	ck_assert_uint_ne(f->line_version, version);
	f->s->x[RD] = 4;
	f->s->x[RD + 1] = 5;
	f->s->x[1] = 77;
	cas(RV_amocas_q, RD, 0, DATA);                  /* x0's pair is zero, not x0 and x1 */
	pair_is(0, 0);
	cas(RV_amocas_q, 0, RS2, DATA);
	pair_is(4, 5);
	ck_assert_uint_eq(f->s->x[1], 77);
	ck_assert_int_eq(cas(RV_amocas_q, RD + 1, RS2, DATA), TCG_EXIT_EXCEPTION);
	ck_assert_uint_eq(f->env->exception, RV_ILLEGAL);
	ck_assert_int_eq(cas(RV_amocas_q, RD, RS2 + 1, DATA), TCG_EXIT_EXCEPTION);
	ck_assert_uint_eq(f->env->exception, RV_ILLEGAL);
}
END_TEST

/* --- hints --- */

START_TEST(hints_do_nothing)
{
	/* prefetch.i .r .w of an address that would fault, pause, ntl.p1 .pall .s1 .all, c.ntl.p1 .all */
	static const uint32_t words[] = {
		0x0002e013, 0x0012e013, 0x0032e013, 0xfe12e013, 0x0100000f, 0x00200033, 0x00300033, 0x00400033,
		0x00500033, 0x900a, 0x9016,
	};

	rv_fake_enter(f, RV_U);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		f->env->pc = FAKE_RAM;
		f->s->x[RS1] = 8;
		ck_assert_int_eq(rv_fake_insn(f, words[i]), TCG_EXIT_LOOKUP);
		ck_assert_uint_eq(f->env->pc, FAKE_RAM + ((words[i] & 3) == 3 ? 4 : 2));
		ck_assert_uint_eq(f->s->x[RS1], 8);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rv-ext");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, cbo_permission);
	tcase_add_test(tc, cbo_zero_block);
	tcase_add_test(tc, cbo_access);
	tcase_add_test(tc, cbo_protection);
	tcase_add_test(tc, wait_on_reservation);
	tcase_add_test(tc, wait_ends);
	tcase_add_test(tc, compare_and_swap);
	tcase_add_test(tc, compare_and_swap_pairs);
	tcase_add_test(tc, hints_do_nothing);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
