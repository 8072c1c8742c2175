/* SPDX-License-Identifier: MIT */
/*
 * Half precision through the decoder, the translator and the registers: results and flags of the arithmetic that
 * test-mpfr holds against its oracle, NaN boxing, rounding modes static and dynamic, who may execute it.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "fp/softfp.h"
#include "rvfake.h"

#define FD 3u
#define FA 4u
#define FB 5u
#define FC 6u
#define RX 7u
#define DATA (FAKE_RAM + 0x8000)
#define BOXED(v) (~UINT64_C(0xffff) | (v))

static struct rv_fake *f;

static void setup(void)
{
	f = rv_fake_new(RV_ISA_DEFAULT);
	f->s->mstatus |= MSTATUS_FS;
	rv_update_context(f->env);
}

static void teardown(void)
{
	rv_fake_free(f);
}

static const uint16_t edges[] = {
	0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x83ff, 0x3bff, 0x3c00, 0xbc00, 0x3c01, 0x4000, 0x7bff, 0xfbff, 0x7c00, 0xfc00,
	0x7e00, 0x7d00, 0xfe01, 0xfc01, 0x1400, 0x5640, 0x77ff, 0x7800, 0xf801,
};
#define EDGES (sizeof(edges) / sizeof(edges[0]))

static uint32_t half(uint64_t image)
{
	return image >> 16 == 0xffffffffffff ? (uint16_t)image : 0x7e00;
}

static uint32_t single(uint64_t image)
{
	return image >> 32 == 0xffffffff ? (uint32_t)image : 0x7fc00000;
}

/* What the destination should hold; `in` and x are images of the source registers. */
static uint64_t model(uint32_t op, const uint64_t *in, uint64_t x, uint32_t rm, uint32_t *fl)
{
	uint32_t a = half(in[0]), b = half(in[1]), c = half(in[2]);

	switch (op) {
	case RV_fadd_h:   return BOXED(sf_add_h(a, b, rm, fl));
	case RV_fsub_h:   return BOXED(sf_sub_h(a, b, rm, fl));
	case RV_fmul_h:   return BOXED(sf_mul_h(a, b, rm, fl));
	case RV_fdiv_h:   return BOXED(sf_div_h(a, b, rm, fl));
	case RV_fsqrt_h:  return BOXED(sf_sqrt_h(a, rm, fl));
	case RV_fmadd_h:  return BOXED(sf_fma_h(a, b, c, 0, rm, fl));
	case RV_fmsub_h:  return BOXED(sf_fma_h(a, b, c, 2, rm, fl));
	case RV_fnmsub_h: return BOXED(sf_fma_h(a, b, c, 1, rm, fl));
	case RV_fnmadd_h: return BOXED(sf_fma_h(a, b, c, 3, rm, fl));
	case RV_fmin_h:   return BOXED(sf_min_h(a, b, fl));
	case RV_fmax_h:   return BOXED(sf_max_h(a, b, fl));
	case RV_fsgnj_h:  return BOXED((a & 0x7fff) | (b & 0x8000));
	case RV_fsgnjn_h: return BOXED((a & 0x7fff) | (~b & 0x8000));
	case RV_fsgnjx_h: return BOXED(a ^ (b & 0x8000));
	case RV_feq_h:    return sf_cmp_h(a, b, 0, fl);
	case RV_flt_h:    return sf_cmp_h(a, b, 1, fl);
	case RV_fle_h:    return sf_cmp_h(a, b, 2, fl);
	case RV_fclass_h: return sf_class_h(a);
	case RV_fcvt_s_h: return ~UINT64_C(0xffffffff) | sf_h_to_s(a, fl);
	case RV_fcvt_h_s: return BOXED(sf_s_to_h(single(in[0]), rm, fl));
	case RV_fcvt_d_h: return sf_h_to_d(a, fl);
	case RV_fcvt_h_d: return BOXED(sf_d_to_h(in[0], rm, fl));
	case RV_fcvt_w_h: case RV_fcvt_wu_h: case RV_fcvt_l_h: case RV_fcvt_lu_h:
		return sf_to_int_h(a, rv_entries[op].match >> 20 & 3, rm, fl);
	case RV_fcvt_h_w: case RV_fcvt_h_wu: case RV_fcvt_h_l: case RV_fcvt_h_lu:
		return BOXED(sf_from_int_h(x, rv_entries[op].match >> 20 & 3, rm, fl));
	}
	ck_abort_msg("no model of %s", rv_entries[op].name);
	return 0;
}

static bool computes(uint32_t op)
{
	return (rv_entries[op].ext == RV_EXT_ZFH || rv_entries[op].ext == RV_EXT_ZFHMIN) && op != RV_flh &&
	       op != RV_fsh && op != RV_fmv_x_h && op != RV_fmv_h_x;
}

static bool to_integer(uint32_t op)
{
	uint32_t format = rv_entries[op].format;

	return format == RV_FORMAT_FTOI || format == RV_FORMAT_FCMP || format == RV_FORMAT_FX;
}

static bool has_mode(uint32_t op)
{
	return !(rv_entries[op].mask >> 12 & 7);
}

/* One instruction with a rounding mode, 7: that of frm. */
static void check_one(uint32_t op, const uint64_t *in, uint64_t x, uint32_t rm, uint32_t frm)
{
	bool integer = to_integer(op);
	uint32_t flags = 0, mode = rm == 7 ? frm : rm;
	struct rv_insn insn = { .op = (uint8_t)op, .rd = integer ? RX : FD, .rs1 = FA, .rs2 = FB, .rs3 = FC,
				.rm = has_mode(op) ? (uint8_t)rm : 0 };

	f->env->pc = FAKE_RAM;
	f->s->f[FA] = in[0];
	f->s->f[FB] = in[1];
	f->s->f[FC] = in[2];
	f->s->x[FA] = x;
	f->env->frm = frm;
	f->env->fflags = 0;
	rv_update_context(f->env);
	uint64_t want = model(op, in, x, mode, &flags);
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&insn)), TCG_EXIT_LOOKUP);
	uint64_t got = integer ? f->s->x[RX] : f->s->f[FD];
	ck_assert_msg(got == want && f->env->fflags == flags, "%s %lx %lx %lx x %lx rm %u frm %u: %lx flags %x, not %lx %x",
		      rv_entries[op].name, in[0], in[1], in[2], x, rm, frm, got, f->env->fflags, want, flags);
}

static uint64_t operand(uint32_t op, uint64_t *rng)
{
	uint64_t r = rv_fake_random(rng);

	if (op == RV_fcvt_h_d)  /* near what a half can hold */
		return (r & 0x800fffffffffffff) | (uint64_t)(995 + r % 50) << 52;
	if (op == RV_fcvt_h_s)
		return ~UINT64_C(0xffffffff) | (r & 0x807fffff) | (100 + r % 45) << 23;
	return r % 16 ? BOXED(r >> 20 & 0xffff) : r;
}

START_TEST(arithmetic)
{
	uint64_t rng = 1;

	for (uint32_t op = 0; op < RV_OPS; op++) {
		if (!computes(op))
			continue;
		for (size_t i = 0; i < EDGES; i++)
			for (size_t j = 0; j < EDGES; j++) {
				const uint64_t in[3] = { BOXED(edges[i]), BOXED(edges[j]), BOXED(edges[(i * 3 + j) % EDGES]) };
				check_one(op, in, (uint64_t)edges[i] * edges[j], (i + j) % 5, 0);
			}
		for (uint32_t n = 0; n < 300; n++) {
			const uint64_t in[3] = { operand(op, &rng), operand(op, &rng), operand(op, &rng) };
			uint64_t x = rv_fake_random(&rng);
			check_one(op, in, x >> (x & 63), n % 2 ? 7 : n / 2 % 5, n / 10 % 5);
		}
	}
}
END_TEST

START_TEST(moves)
{
	f->s->x[RX] = DATA;
	rv_fake_put(f, DATA, 0x123489abcdef5678, 8);
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_flh, .rd = FD, .rs1 = RX, .imm = 4 })),
			 TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(f->s->f[FD], 0xffffffffffff89ab);
	f->s->f[FD] = 0x1111222233334444;               /* stored and moved as it is, boxed or not */
	rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_fsh, .rs1 = RX, .rs2 = FD, .imm = 2 }));
	ck_assert_uint_eq(rv_fake_get(f, DATA, 8), 0x123489ab44445678);
	f->s->f[FD] = 0x8001;
	rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_fmv_x_h, .rd = RX, .rs1 = FD }));
	ck_assert_uint_eq(f->s->x[RX], 0xffffffffffff8001);
	f->s->x[RX] = 0x12345678;
	rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_fmv_h_x, .rd = FD, .rs1 = RX }));
	ck_assert_uint_eq(f->s->f[FD], 0xffffffffffff5678);
}
END_TEST

static bool illegal(uint32_t op, uint32_t rm)
{
	struct rv_insn insn = { .op = (uint8_t)op, .rd = FD, .rs1 = FA, .rs2 = FB, .rs3 = FC, .rm = (uint8_t)rm };

	f->env->pc = FAKE_RAM;
	f->s->x[FA] = DATA;
	enum tcg_exit exit = rv_fake_insn(f, rv_encode(&insn));
	return exit == TCG_EXIT_EXCEPTION && f->env->exception == RV_ILLEGAL;
}

START_TEST(refusals)
{
	for (uint32_t op = 0; op < RV_OPS; op++) {
		if (rv_entries[op].ext != RV_EXT_ZFH && rv_entries[op].ext != RV_EXT_ZFHMIN)
			continue;
		ck_assert(!illegal(op, 0));
		if (computes(op) && has_mode(op)) {
			ck_assert(illegal(op, 5) && illegal(op, 6));
			f->env->frm = 5;
			rv_update_context(f->env);
			ck_assert(illegal(op, 7));
			f->env->frm = 0;
		}
		f->s->mstatus &= ~MSTATUS_FS;
		rv_update_context(f->env);
		ck_assert_msg(illegal(op, 0), "%s", rv_entries[op].name);
		f->s->mstatus |= MSTATUS_FS;
		rv_update_context(f->env);
	}
	rv_fake_free(f);
	f = rv_fake_new("rv64if_zicsr_zfhmin");         /* without D, and without arithmetic */
	f->s->mstatus |= MSTATUS_FS;
	rv_update_context(f->env);
	ck_assert(illegal(RV_fcvt_d_h, 0) && illegal(RV_fcvt_h_d, 0) && illegal(RV_fadd_h, 0));
	ck_assert(!illegal(RV_fcvt_s_h, 0) && !illegal(RV_fcvt_h_s, 0) && !illegal(RV_flh, 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rv-half");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, arithmetic);
	tcase_add_test(tc, moves);
	tcase_add_test(tc, refusals);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
