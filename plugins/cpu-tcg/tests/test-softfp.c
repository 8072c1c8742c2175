/* SPDX-License-Identifier: MIT */
/*
 * Fixed vectors of the FP arithmetic, written down from IEEE 754-2019 and the RISC-V F and D chapters, each for
 * one rule: what is right here is readable without an oracle (test-mpfr has that).
 */
#include <check.h>
#include <stdlib.h>

#include "fp/softfp.h"

enum { RNE, RTZ, RDN, RUP, RMM };

#define ONE_S 0x3f800000u
#define INF_S 0x7f800000u
#define QNAN_S 0x7fc00000u
#define SNAN_S 0x7f800001u
#define ODD_NAN_S 0xffc12345u
#define MAX_S 0x7f7fffffu
#define MIN_NORMAL_S 0x00800000u
#define MINUS_S 0x80000000u
#define ONE_D 0x3ff0000000000000u
#define QNAN_D 0x7ff8000000000000u
#define INF_D 0x7ff0000000000000u

#define WANT(call, bits, flag_bits) do { \
	flags = 0; \
	ck_assert_uint_eq(call, bits); \
	ck_assert_uint_eq(flags, flag_bits); \
} while (0)

START_TEST(results_that_are_nan_are_canonical)
{
	uint32_t flags;

	WANT(sf_add_s(ODD_NAN_S, ONE_S, RNE, &flags), QNAN_S, 0);
	WANT(sf_add_s(ONE_S, SNAN_S, RNE, &flags), QNAN_S, SF_NV);
	WANT(sf_sub_s(INF_S, INF_S, RNE, &flags), QNAN_S, SF_NV);
	WANT(sf_mul_s(INF_S, MINUS_S, RNE, &flags), QNAN_S, SF_NV);
	WANT(sf_div_s(0, MINUS_S, RNE, &flags), QNAN_S, SF_NV);
	WANT(sf_div_s(INF_S, INF_S, RNE, &flags), QNAN_S, SF_NV);
	WANT(sf_sqrt_s(ONE_S | MINUS_S, RNE, &flags), QNAN_S, SF_NV);
	WANT(sf_sqrt_s(MINUS_S, RNE, &flags), MINUS_S, 0);
	WANT(sf_d_to_s(0xfff8000000000001u, RNE, &flags), QNAN_S, 0);
	WANT(sf_s_to_d(SNAN_S, &flags), QNAN_D, SF_NV);
	WANT(sf_fma_d(INF_D, 0, QNAN_D, 0, RNE, &flags), QNAN_D, SF_NV);
	WANT(sf_fma_d(INF_D, ONE_D, INF_D, 2, RNE, &flags), QNAN_D, SF_NV);
}
END_TEST

START_TEST(flags_are_added_to_those_there)
{
	uint32_t flags = SF_DZ;

	sf_add_s(MAX_S, MAX_S, RNE, &flags);
	ck_assert_uint_eq(flags, SF_DZ | SF_OF | SF_NX);
}
END_TEST

START_TEST(overflow_follows_the_mode)
{
	uint32_t flags;
	const uint32_t both = SF_OF | SF_NX;

	WANT(sf_mul_s(MAX_S, MAX_S, RNE, &flags), INF_S, both);
	WANT(sf_mul_s(MAX_S, MAX_S, RTZ, &flags), MAX_S, both);
	WANT(sf_mul_s(MAX_S, MAX_S, RDN, &flags), MAX_S, both);
	WANT(sf_mul_s(MAX_S, MAX_S, RUP, &flags), INF_S, both);
	WANT(sf_mul_s(MAX_S, MAX_S, RMM, &flags), INF_S, both);
	WANT(sf_mul_s(MAX_S | MINUS_S, MAX_S, RDN, &flags), INF_S | MINUS_S, both);
	WANT(sf_mul_s(MAX_S | MINUS_S, MAX_S, RUP, &flags), MAX_S | MINUS_S, both);
	/* an exact infinity is none */
	WANT(sf_div_s(ONE_S, MINUS_S, RNE, &flags), INF_S | MINUS_S, SF_DZ);
	WANT(sf_div_s(INF_S, 0, RNE, &flags), INF_S, 0);
}
END_TEST

START_TEST(tininess_is_judged_after_rounding)
{
	uint32_t flags;

	/* 2^-126 - 2^-150 has 24 significant bits: tiny, though it becomes the least normal number */
	WANT(sf_mul_s(0x00ffffffu, 0x3f000000u, RNE, &flags), MIN_NORMAL_S, SF_NX | SF_UF);
	WANT(sf_fma_s(MIN_NORMAL_S, ONE_S, 0x80000001u, 0, RNE, &flags), 0x007fffffu, 0);
	/* 2^-126 - 2^-151: 25 significant bits of ones round up to 2^-126 as if the exponent were unbounded */
	WANT(sf_fma_s(0x31800000u, 0x82000000u, MIN_NORMAL_S, 0, RNE, &flags), MIN_NORMAL_S, SF_NX);
	/* the same cut off is tiny */
	WANT(sf_fma_s(0x31800000u, 0x82000000u, MIN_NORMAL_S, 0, RTZ, &flags), 0x007fffffu, SF_NX | SF_UF);
	/* exact subnormal numbers raise nothing */
	WANT(sf_mul_s(MIN_NORMAL_S, 0x3f000000u, RNE, &flags), 0x00400000u, 0);
	/* half of the least number: a tie */
	WANT(sf_mul_s(1, 0x3f000000u, RNE, &flags), 0, SF_NX | SF_UF);
	WANT(sf_mul_s(1, 0x3f000000u, RMM, &flags), 1, SF_NX | SF_UF);
	WANT(sf_mul_s(1, 0x3f000000u, RUP, &flags), 1, SF_NX | SF_UF);
	WANT(sf_mul_s(1 | MINUS_S, 0x3f000000u, RDN, &flags), 1 | MINUS_S, SF_NX | SF_UF);
}
END_TEST

START_TEST(exact_zero_sums_are_negative_only_downward)
{
	uint32_t flags;

	for (uint32_t rm = RNE; rm <= RMM; rm++) {
		WANT(sf_sub_d(ONE_D, ONE_D, rm, &flags), rm == RDN ? 1ull << 63 : 0, 0);
		WANT(sf_add_d(0, 1ull << 63, rm, &flags), rm == RDN ? 1ull << 63 : 0, 0);
		WANT(sf_add_d(1ull << 63, 1ull << 63, rm, &flags), 1ull << 63, 0);
	}
}
END_TEST

START_TEST(min_and_max_take_the_number)
{
	uint32_t flags;

	WANT(sf_min_s(0, MINUS_S, &flags), MINUS_S, 0);
	WANT(sf_max_s(MINUS_S, 0, &flags), 0, 0);
	WANT(sf_min_s(ODD_NAN_S, ONE_S, &flags), ONE_S, 0);
	WANT(sf_max_s(ONE_S, SNAN_S, &flags), ONE_S, SF_NV);
	WANT(sf_max_s(ODD_NAN_S, QNAN_S, &flags), QNAN_S, 0);
	WANT(sf_max_s(ODD_NAN_S, SNAN_S, &flags), QNAN_S, SF_NV);
	WANT(sf_min_d(INF_D | 1ull << 63, QNAN_D, &flags), INF_D | 1ull << 63, 0);
}
END_TEST

START_TEST(equal_is_quiet_and_less_signals)
{
	uint32_t flags;

	WANT(sf_cmp_s(QNAN_S, ONE_S, 0, &flags), 0, 0);
	WANT(sf_cmp_s(SNAN_S, ONE_S, 0, &flags), 0, SF_NV);
	WANT(sf_cmp_s(QNAN_S, ONE_S, 1, &flags), 0, SF_NV);
	WANT(sf_cmp_d(QNAN_D, QNAN_D, 2, &flags), 0, SF_NV);
	WANT(sf_cmp_s(0, MINUS_S, 0, &flags), 1, 0);
	WANT(sf_cmp_s(MINUS_S, 0, 1, &flags), 0, 0);
	WANT(sf_cmp_s(INF_S, INF_S, 2, &flags), 1, 0);
}
END_TEST

static const struct { uint32_t s; uint64_t d; uint32_t bit; } classes[] = {
	{ 0xff800000u, 0xfff0000000000000u, 0 }, { 0xbf800000u, 0xbff0000000000000u, 1 },
	{ 0x807fffffu, 0x800fffffffffffffu, 2 }, { 0x80000000u, 0x8000000000000000u, 3 },
	{ 0x00000000u, 0x0000000000000000u, 4 }, { 0x00000001u, 0x0000000000000001u, 5 },
	{ 0x00800000u, 0x0010000000000000u, 6 }, { 0x7f800000u, 0x7ff0000000000000u, 7 },
	{ 0xff800001u, 0xfff0000000000001u, 8 }, { 0xffc00000u, 0xfff8000000000000u, 9 },
};

START_TEST(each_class_has_its_bit)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++) {
		ck_assert_uint_eq(sf_class_s(classes[i].s), 1u << classes[i].bit);
		ck_assert_uint_eq(sf_class_d(classes[i].d), 1u << classes[i].bit);
	}
}
END_TEST

/* F chapter, "Domains of float-to-integer conversions and behavior for invalid inputs" */
static const struct { uint64_t in, out[4]; } saturations[] = {
	{ INF_D, { INT32_MAX, UINT64_MAX, INT64_MAX, UINT64_MAX } },
	{ QNAN_D, { INT32_MAX, UINT64_MAX, INT64_MAX, UINT64_MAX } },
	{ 0xfff8000000000001u, { INT32_MAX, UINT64_MAX, INT64_MAX, UINT64_MAX } },
	{ INF_D | 1ull << 63, { (uint64_t)INT32_MIN, 0, (uint64_t)INT64_MIN, 0 } },
	{ 0x7fefffffffffffffu, { INT32_MAX, UINT64_MAX, INT64_MAX, UINT64_MAX } },
	{ 0xffefffffffffffffu, { (uint64_t)INT32_MIN, 0, (uint64_t)INT64_MIN, 0 } },
};

START_TEST(conversions_saturate)
{
	uint32_t flags;

	for (size_t i = 0; i < sizeof(saturations) / sizeof(*saturations); i++)
		for (uint32_t kind = 0; kind < 4; kind++)
			WANT(sf_to_int_d(saturations[i].in, kind, RTZ, &flags), saturations[i].out[kind], SF_NV);
	/* -1 to an unsigned type is out of range, -0.5 is not; an invalid conversion is not inexact as well */
	WANT(sf_to_int_s(0xbf800000u, 3, RTZ, &flags), 0, SF_NV);
	WANT(sf_to_int_s(0xbf000000u, 3, RTZ, &flags), 0, SF_NX);
	WANT(sf_to_int_s(0xbf000000u, 3, RDN, &flags), 0, SF_NV);
	WANT(sf_to_int_d(0x41dfffffffffffffu, 0, RUP, &flags), INT32_MAX, SF_NV);
	WANT(sf_to_int_d(0x41dfffffffffffffu, 0, RTZ, &flags), INT32_MAX, SF_NX);
	WANT(sf_to_int_d(0x41efffffffe00000u, 1, RTZ, &flags), UINT64_MAX, 0);
	WANT(sf_to_int_d(0xc1e0000000000000u, 0, RTZ, &flags), (uint64_t)INT32_MIN, 0);
	WANT(sf_to_int_s(0x3f000000u, 2, RNE, &flags), 0, SF_NX);
	WANT(sf_to_int_s(0x3f000000u, 2, RMM, &flags), 1, SF_NX);
	WANT(sf_from_int_s(UINT64_MAX, 3, RTZ, &flags), 0x5f7fffffu, SF_NX);
	WANT(sf_from_int_s(UINT64_MAX, 1, RNE, &flags), 0x4f800000u, SF_NX);
	WANT(sf_from_int_d(UINT64_MAX, 0, RNE, &flags), 0xbff0000000000000u, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("softfp");
	TCase *tc = tcase_create("rules");

	tcase_add_test(tc, results_that_are_nan_are_canonical);
	tcase_add_test(tc, flags_are_added_to_those_there);
	tcase_add_test(tc, overflow_follows_the_mode);
	tcase_add_test(tc, tininess_is_judged_after_rounding);
	tcase_add_test(tc, exact_zero_sums_are_negative_only_downward);
	tcase_add_test(tc, min_and_max_take_the_number);
	tcase_add_test(tc, equal_is_quiet_and_less_signals);
	tcase_add_test(tc, each_class_has_its_bit);
	tcase_add_test(tc, conversions_saturate);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
