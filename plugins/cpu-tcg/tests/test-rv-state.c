/* SPDX-License-Identifier: MIT */
/* Floating-point state, rounding and NaN boxes; registers and pins by name and number; reset. */
#include <check.h>
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

/* --- floating point --- */

START_TEST(fp_state)
{
	rv_fake_enter(f, RV_M);
	set(CSR_MSTATUS, 0);
	ck_assert_int_eq(rv_fake_insn(f, 0x02c5f553), TCG_EXIT_EXCEPTION);      /* fadd.d, FS off */
	ck_assert_uint_eq(f->env->exception, RV_ILLEGAL);
	set(CSR_MSTATUS, UINT64_C(2) << MSTATUS_FS_SHIFT);                      /* clean */
	f->s->f[11] = 0x3ff0000000000000;
	f->s->f[12] = 0x4000000000000000;
	rv_fake_insn(f, 0x02c5f553);
	ck_assert_uint_eq(f->env->pc, FAKE_RAM);                                /* marked, and once more */
	ck_assert_uint_eq(get(CSR_MSTATUS) & MSTATUS_FS, MSTATUS_FS);
	rv_fake_insn(f, 0x02c5f553);
	ck_assert_uint_eq(f->env->pc, FAKE_RAM + 4);
	ck_assert_uint_eq(f->s->f[10], 0x4008000000000000);
	/* a store only reads */
	set(CSR_MSTATUS, UINT64_C(2) << MSTATUS_FS_SHIFT);
	f->env->pc = FAKE_RAM;
	f->s->x[5] = FAKE_RAM + 0x800;
	rv_fake_insn(f, 0x00a2b027);                                            /* fsd fa0,0(t0) */
	ck_assert_uint_eq(rv_fake_get(f, FAKE_RAM + 0x800, 8), 0x4008000000000000);
	ck_assert_uint_eq(get(CSR_MSTATUS) & MSTATUS_FS, UINT64_C(2) << MSTATUS_FS_SHIFT);
}
END_TEST

START_TEST(fp_rounding)
{
	static const uint64_t sums[8] = {       /* 1 + 2^-53, by mode */
		0x3ff0000000000000, 0x3ff0000000000000, 0x3ff0000000000000, 0x3ff0000000000001, 0x3ff0000000000001,
	};

	rv_fake_enter(f, RV_M);
	set(CSR_MSTATUS, MSTATUS_FS);
	f->s->f[11] = 0x3ff0000000000000;
	f->s->f[12] = 0x3ca0000000000000;
	for (uint32_t rm = 0; rm < 8; rm++)
		for (int dynamic = 0; dynamic < 2; dynamic++) {
			set(CSR_FRM, dynamic ? rm : 0);
			set(CSR_FFLAGS, 0);
			if (rm == 7 && !dynamic)
				continue;
			f->env->pc = FAKE_RAM;
			enum tcg_exit exit = rv_fake_insn(f, 0x02c58553 | (dynamic ? 7 : rm) << 12);
			ck_assert_msg((exit == TCG_EXIT_EXCEPTION) == (rm > 4), "rm %u", rm);
			if (rm > 4)
				continue;
			ck_assert_uint_eq(f->s->f[10], sums[rm]);
			ck_assert_uint_eq(get(CSR_FFLAGS), 1);
		}
}
END_TEST

START_TEST(nan_boxes)
{
	rv_fake_enter(f, RV_M);
	set(CSR_MSTATUS, MSTATUS_FS);
	f->s->f[11] = 0x3f800000;                                               /* not boxed: a NaN */
	f->s->f[12] = 0xffffffff3f800000;
	rv_fake_insn(f, 0x00c5f553);                                            /* fadd.s fa0,fa1,fa2 */
	ck_assert_uint_eq(f->s->f[10], 0xffffffff7fc00000);
	rv_fake_insn(f, 0x00c67553);                                            /* fadd.s fa0,fa2,fa2 */
	ck_assert_uint_eq(f->s->f[10], 0xffffffff40000000);
	rv_fake_insn(f, 0x20b58553);                                            /* fmv.s fa0,fa1 */
	ck_assert_uint_eq(f->s->f[10], 0xffffffff7fc00000);
	rv_fake_insn(f, 0x20c61553);                                            /* fneg.s fa0,fa2 */
	ck_assert_uint_eq(f->s->f[10], 0xffffffffbf800000);
	rv_fake_insn(f, 0x20a62553);                                            /* fsgnjx.s fa0,fa2,fa0 */
	ck_assert_uint_eq(f->s->f[10], 0xffffffffbf800000);
	/* fmv.x.w a0,fa1: bits as they are */
	rv_fake_insn(f, 0xe0058553);
	ck_assert_uint_eq(f->s->x[10], 0x3f800000);
	f->s->x[10] = 0x80000001;
	rv_fake_insn(f, 0xf0050553);                                            /* fmv.w.x fa0,a0 */
	ck_assert_uint_eq(f->s->f[10], 0xffffffff80000001);
	rv_fake_insn(f, 0xe0051553);                                            /* fclass.s a0,fa0: -subnormal */
	ck_assert_uint_eq(f->s->x[10], 4);
	rv_fake_insn(f, 0xe0059553);                                            /* fclass.s of the unboxed: qNaN */
	ck_assert_uint_eq(f->s->x[10], 512);
	f->s->x[5] = FAKE_RAM + 0x800;
	rv_fake_insn(f, 0x00b2a027);                                            /* fsw fa1: low half as it is */
	rv_fake_insn(f, 0x0002a507);                                            /* flw fa0 */
	ck_assert_uint_eq(f->s->f[10], 0xffffffff3f800000);
}
END_TEST

/* --- registers by number --- */

START_TEST(registers)
{
	uint32_t count = front_riscv.reg_count(f->config), floats = 0, csrs = 0;
	char seen[8192] = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		struct mt_reg_desc d = { .size = sizeof(d) };
		uint64_t value;
		ck_assert_int_eq(front_riscv.reg_describe(f->config, i, &d), 0);
		ck_assert_msg(!seen[d.number]++, "%s twice", d.name);
		ck_assert(d.name[0] && d.group[0] && d.width_bytes == 8);
		ck_assert_msg(front_riscv.reg_read(f->env, d.number, &value) == 0, "%s", d.name);
		int rc = front_riscv.reg_write(f->env, d.number, value);
		ck_assert_msg((rc < 0) == !!(d.flags & MT_REG_READONLY), "%s", d.name);
		floats += !strcmp(d.group, "float");
		csrs += !strcmp(d.group, "csr");
		if (!strcmp(d.name, "pmpaddr15"))
			ck_assert_uint_eq(d.number, 65 + 0x3bf);
		if (!strcmp(d.name, "mhpmcounter31"))
			ck_assert_uint_eq(d.number, 65 + 0xb1f);
	}
	ck_assert(floats == 32 && csrs > 100 && seen[65 + 0x3bf] && seen[65 + 0xb1f]);
	struct mt_reg_desc d = { .size = sizeof(d) };
	ck_assert_int_lt(front_riscv.reg_describe(f->config, count, &d), 0);
	ck_assert_int_eq(front_riscv.reg_describe(f->config, 10, &d), 0);
	ck_assert_str_eq(d.name, "a0");
	ck_assert_int_eq(front_riscv.reg_write(f->env, 10, 5), 0);
	ck_assert_uint_eq(f->s->x[10], 5);
	uint64_t value;
	ck_assert_int_lt(front_riscv.reg_read(f->env, 5000, &value), 0);
	ck_assert_int_eq(front_riscv.pin_find("meip"), RV_MEI);
	ck_assert_int_eq(front_riscv.pin_find("ssip"), RV_SSI);
	ck_assert_int_lt(front_riscv.pin_find("nmi"), 0);
}
END_TEST

/* Reset gives the same state again, but the pins are their owners'. */
START_TEST(reset)
{
	rv_pin_set(f->env, RV_SEI, 1);
	rv_fake_enter(f, RV_U);
	memset(f->s->x + 1, 0x55, 31 * 8);
	set(CSR_SATP, UINT64_C(8) << 60);
	front_riscv.reset(f->env, 0);
	ck_assert_uint_eq(f->s->priv, RV_M);
	ck_assert_uint_eq(f->s->x[31], 0);
	ck_assert_uint_eq(get(CSR_SATP), 0);
	ck_assert_uint_eq(get(CSR_MSTATUS), MSTATUS_UXL | MSTATUS_SXL);
	ck_assert_uint_eq(get(CSR_MIP), RV_IRQ_BIT(RV_SEI));
	ck_assert_uint_eq(get(CSR_PMPCFG0 + 2), 0);
	ck_assert_uint_eq(f->env->reservation, UINT64_MAX);
	ck_assert_uint_eq(get(CSR_MENVCFG), MENVCFG_ADUE);
	ck_assert_uint_eq(f->env->mmu, RV_MMU_M);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		fp_state, fp_rounding, nan_boxes, registers, reset,
	};
	Suite *suite = suite_create("rv-state");
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
