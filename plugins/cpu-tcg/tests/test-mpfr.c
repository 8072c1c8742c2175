/* SPDX-License-Identifier: MIT */
/*
 * The FP arithmetic against an oracle that shares nothing with it: results by MPFR with an unbounded exponent,
 * brought into the format by IEEE 754-2019's rules; flags, NaNs and conversions by the RISC-V F and D chapters.
 * All pairs of boundary operands, then random ones, in the five rounding modes and three widths.
 *   test-mpfr [COUNT [SEED]]    COUNT random operand sets of each kind (60000; under MORTISE_LONG 5 millions)
 */
#include <stdio.h>

#ifndef HAVE_MPFR
int main(void)
{
	puts("built without MPFR (Debian: libmpfr-dev)");
	return 77;
}
#else
#include <inttypes.h>
#include <mpfr.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fp/softfp.h"

enum { RNE, RTZ, RDN, RUP, RMM, MODES };

enum op { ADD, SUB, MUL, DIV, FMA, SQRT, TO_HALF, TO_SINGLE, TO_DOUBLE, FROM_INT };
static const char *const op_names[] = { "add", "sub", "mul", "div", "fma", "sqrt", "to-h", "to-s", "to-d", "from-int" };

struct width {
	const char *name;
	int precision;          /* with the hidden bit */
	int exponent_bits;
	int emin, emax;
	uint64_t nan;           /* canonical, F chapter, "NaN generation and propagation" */
};

static const struct width widths[] = {
	{ "h", 11, 5, -14, 15, 0x7e00u },
	{ "s", 24, 8, -126, 127, 0x7fc00000u },
	{ "d", 53, 11, -1022, 1023, 0x7ff8000000000000u },
};

/* One operation on decoded operands. */
struct calc {
	enum op op;
	const struct width *w;  /* of the result */
	mpfr_srcptr x[3];
};

static mpfr_t value[3], result, scratch;
static uint64_t checked, wrong;

/* --- formats --- */

static uint64_t fraction_mask(const struct width *w)
{
	return ((uint64_t)1 << (w->precision - 1)) - 1;
}

static uint64_t exponent_mask(const struct width *w)
{
	return ((uint64_t)1 << w->exponent_bits) - 1;
}

static uint64_t make(const struct width *w, bool sign, uint64_t exponent, uint64_t fraction)
{
	return (uint64_t)sign << (w->precision - 1 + w->exponent_bits) | exponent << (w->precision - 1) | fraction;
}

static bool sign_of(const struct width *w, uint64_t bits)
{
	return bits >> (w->precision - 1 + w->exponent_bits) & 1;
}

static uint64_t exponent_of(const struct width *w, uint64_t bits)
{
	return bits >> (w->precision - 1) & exponent_mask(w);
}

static bool is_inf(const struct width *w, uint64_t bits)
{
	return exponent_of(w, bits) == exponent_mask(w) && !(bits & fraction_mask(w));
}

static bool is_nan(const struct width *w, uint64_t bits)
{
	return exponent_of(w, bits) == exponent_mask(w) && (bits & fraction_mask(w));
}

static bool is_signaling(const struct width *w, uint64_t bits)
{
	return is_nan(w, bits) && !(bits >> (w->precision - 2) & 1);
}

static bool is_zero(const struct width *w, uint64_t bits)
{
	return !exponent_of(w, bits) && !(bits & fraction_mask(w));
}

static void decode(mpfr_ptr to, const struct width *w, uint64_t bits)
{
	uint64_t e = exponent_of(w, bits), f = bits & fraction_mask(w);
	int sign = sign_of(w, bits) ? -1 : 1;

	if (is_nan(w, bits)) {
		mpfr_set_nan(to);
	} else if (is_inf(w, bits)) {
		mpfr_set_inf(to, sign);
	} else if (is_zero(w, bits)) {
		mpfr_set_zero(to, sign);
	} else {
		if (e)
			f |= fraction_mask(w) + 1;
		mpfr_set_uj_2exp(to, f, (e ? (intmax_t)e - 1 : 0) + w->emin - (w->precision - 1), MPFR_RNDN);
		mpfr_setsign(to, to, sign < 0, MPFR_RNDN);
	}
}

/* A number that the format has. */
static uint64_t encode(const struct width *w, mpfr_srcptr x)
{
	bool sign = mpfr_signbit(x);

	if (mpfr_inf_p(x))
		return make(w, sign, exponent_mask(w), 0);
	if (mpfr_zero_p(x))
		return make(w, sign, 0, 0);
	long e = mpfr_get_exp(x) - 1;
	bool normal = e >= w->emin;
	mpfr_set_prec(scratch, 64);
	mpfr_abs(scratch, x, MPFR_RNDN);
	mpfr_mul_2si(scratch, scratch, (w->precision - 1) - (normal ? e : w->emin), MPFR_RNDN);
	return make(w, sign, normal ? (uint64_t)(e - w->emin + 1) : 0, mpfr_get_uj(scratch, MPFR_RNDN) & fraction_mask(w));
}

/* --- rounding --- */

/* The operation rounded by MPFR to `to`'s precision; not zero: inexact. */
static int compute(mpfr_ptr to, const struct calc *c, mpfr_rnd_t rnd)
{
	switch (c->op) {
	case ADD:  return mpfr_add(to, c->x[0], c->x[1], rnd);
	case SUB:  return mpfr_sub(to, c->x[0], c->x[1], rnd);
	case MUL:  return mpfr_mul(to, c->x[0], c->x[1], rnd);
	case DIV:  return mpfr_div(to, c->x[0], c->x[1], rnd);
	case FMA:  return mpfr_fma(to, c->x[0], c->x[1], c->x[2], rnd);
	case SQRT: return mpfr_sqrt(to, c->x[0], rnd);
	default:   return mpfr_set(to, c->x[0], rnd);
	}
}

/* The same in one of the five modes. Ties away: cut one bit later, then that bit decides alone. */
static bool compute_rounded(mpfr_ptr to, const struct calc *c, int precision, int rm)
{
	static const mpfr_rnd_t modes[] = { MPFR_RNDN, MPFR_RNDZ, MPFR_RNDD, MPFR_RNDU };

	mpfr_set_prec(to, precision);
	if (rm != RMM)
		return compute(to, c, modes[rm]) != 0;
	mpfr_set_prec(scratch, precision + 1);
	bool inexact = compute(scratch, c, MPFR_RNDZ) != 0;
	return (mpfr_set(to, scratch, MPFR_RNDA) != 0) | inexact;
}

/* IEEE 754 7.4 */
static uint64_t overflowed(const struct width *w, bool sign, int rm)
{
	bool infinite = rm == RNE || rm == RMM || (rm == RUP && !sign) || (rm == RDN && sign);

	return make(w, sign, exponent_mask(w), 0) - !infinite;
}

/* Between zero and the smallest number; `exponent` is that of the value cut to one bit. */
static uint64_t least(const struct calc *c, long exponent, bool sign, int rm)
{
	long lowest = c->w->emin - (c->w->precision - 1);
	bool up;

	mpfr_set_prec(scratch, 1);
	bool power_of_two = compute(scratch, c, MPFR_RNDZ) == 0;
	switch (rm) {
	case RNE: up = exponent == lowest - 1 && !power_of_two; break;
	case RMM: up = exponent == lowest - 1; break;
	case RUP: up = !sign; break;
	case RDN: up = sign; break;
	default:  up = false;
	}
	return make(c->w, sign, 0, up);
}

/* Operands without NaN. */
static uint64_t expected_number(const struct calc *c, int rm, uint32_t *flags)
{
	const struct width *w = c->w;
	bool inexact = compute_rounded(result, c, w->precision, rm);

	if (mpfr_nan_p(result)) {
		*flags |= SF_NV;
		return w->nan;
	}
	if (!mpfr_regular_p(result))
		return encode(w, result);
	bool sign = mpfr_signbit(result);
	if (mpfr_get_exp(result) - 1 > w->emax) {
		*flags |= SF_OF | SF_NX;
		return overflowed(w, sign, rm);
	}
	/* tininess after rounding (F chapter): by the result just computed, whose exponent has no bound */
	bool tiny = mpfr_get_exp(result) - 1 < w->emin;
	mpfr_set_prec(scratch, 1);
	compute(scratch, c, MPFR_RNDZ);
	long exponent = mpfr_get_exp(scratch) - 1;
	uint64_t bits;
	if (exponent >= w->emin) {
		bits = encode(w, result);
	} else if (w->precision - (w->emin - exponent) >= 1) {
		inexact = compute_rounded(result, c, (int)(w->precision - (w->emin - exponent)), rm);
		bits = encode(w, result);
	} else {
		inexact = true;
		bits = least(c, exponent, sign, rm);
	}
	*flags |= inexact ? SF_NX | (tiny ? SF_UF : 0) : 0;
	return bits;
}

/* `from` is the operands' width. */
static uint64_t expected(enum op op, const struct width *from, const struct width *to, const uint64_t *x, int count,
			 int rm, uint32_t *flags)
{
	struct calc c = { op, to, { value[0], value[1], value[2] } };
	bool any = false;

	for (int i = 0; i < count; i++) {
		decode(value[i], from, x[i]);
		any |= is_nan(from, x[i]);
		*flags |= is_signaling(from, x[i]) ? SF_NV : 0;
	}
	if (op == FMA && ((is_inf(from, x[0]) && is_zero(from, x[1])) || (is_zero(from, x[0]) && is_inf(from, x[1]))))
		*flags |= SF_NV;
	if (any)
		return to->nan;
	if (op == DIV && is_zero(from, x[1]) && !is_zero(from, x[0]) && !is_inf(from, x[0]))
		*flags |= SF_DZ;
	return expected_number(&c, rm, flags);
}

/* --- running --- */

static void check_result(const char *name, const struct width *w, const uint64_t *x, int count, int rm, uint64_t got,
			 uint32_t got_flags, uint64_t want, uint32_t want_flags)
{
	checked++;
	if (got == want && got_flags == want_flags)
		return;
	if (wrong++ >= 30)
		return;
	printf("%s.%s rm %d:", name, w->name, rm);
	for (int i = 0; i < count; i++)
		printf(" %#" PRIx64, x[i]);
	printf(" gives %#" PRIx64 " flags %#x, want %#" PRIx64 " flags %#x\n", got, got_flags, want, want_flags);
}

enum { HALF, SINGLE, DOUBLE, WIDTHS };
#define CALL(w, name, ...) ((w) == &widths[HALF] ? (uint64_t)sf_##name##_h(__VA_ARGS__) : \
			    (w) == &widths[SINGLE] ? (uint64_t)sf_##name##_s(__VA_ARGS__) : sf_##name##_d(__VA_ARGS__))

static uint64_t convert(enum op op, const struct width *w, uint64_t x, uint32_t rm, uint32_t *flags)
{
	if (op == TO_HALF)
		return w == &widths[SINGLE] ? sf_s_to_h((uint32_t)x, rm, flags) : sf_d_to_h(x, rm, flags);
	if (op == TO_SINGLE)
		return w == &widths[HALF] ? sf_h_to_s((uint32_t)x, flags) : sf_d_to_s(x, rm, flags);
	return w == &widths[HALF] ? sf_h_to_d((uint32_t)x, flags) : sf_s_to_d((uint32_t)x, flags);
}

/* the macro hands 64-bit operands to the 32-bit functions: their upper halves are zero */
static uint64_t run(enum op op, const struct width *w, const uint64_t *x, uint32_t rm, uint32_t *flags)
{
	switch (op) {
	case ADD:       return CALL(w, add, x[0], x[1], rm, flags);
	case SUB:       return CALL(w, sub, x[0], x[1], rm, flags);
	case MUL:       return CALL(w, mul, x[0], x[1], rm, flags);
	case DIV:       return CALL(w, div, x[0], x[1], rm, flags);
	case FMA:       return CALL(w, fma, x[0], x[1], x[2], 0, rm, flags);
	case SQRT:      return CALL(w, sqrt, x[0], rm, flags);
	default:        return convert(op, w, x[0], rm, flags);
	}
}

static void check_op(enum op op, const struct width *w, const uint64_t *x, int count)
{
	const struct width *to = op >= TO_HALF && op <= TO_DOUBLE ? &widths[op - TO_HALF] : w;

	for (int rm = 0; rm < MODES; rm++) {
		uint32_t got_flags = 0, want_flags = 0;
		uint64_t got = run(op, w, x, (uint32_t)rm, &got_flags);
		uint64_t want = expected(op, w, to, x, count, rm, &want_flags);
		check_result(op_names[op], w, x, count, rm, got, got_flags, want, want_flags);
	}
}

/* The three forms with signs are the plain one on negated operands. */
static void check_fma_signs(const struct width *w, const uint64_t *x)
{
	for (uint32_t signs = 1; signs < 4; signs++) {
		uint64_t flip = make(w, true, 0, 0);
		uint64_t y[3] = { x[0] ^ (signs & 1 ? flip : 0), x[1], x[2] ^ (signs & 2 ? flip : 0) };
		uint32_t got_flags = 0, want_flags = 0, rm = signs;
		uint64_t got = CALL(w, fma, x[0], x[1], x[2], signs, rm, &got_flags);
		uint64_t want = expected(FMA, w, w, y, 3, (int)rm, &want_flags);
		check_result("fma-signs", w, x, 3, (int)rm, got, got_flags, want, want_flags);
	}
}

/* F chapter, "Single-Precision Floating-Point Computational Instructions": minimumNumber, maximumNumber */
static uint64_t expected_extreme(const struct width *w, const uint64_t *x, bool largest, uint32_t *flags)
{
	bool nan0 = is_nan(w, x[0]), nan1 = is_nan(w, x[1]);

	if (is_signaling(w, x[0]) || is_signaling(w, x[1]))
		*flags |= SF_NV;
	if (nan0 && nan1)
		return w->nan;
	if (nan0 || nan1)
		return nan0 ? x[1] : x[0];
	if (is_zero(w, x[0]) && is_zero(w, x[1]))
		return sign_of(w, x[0]) != largest ? x[0] : x[1];
	decode(value[0], w, x[0]);
	decode(value[1], w, x[1]);
	return (mpfr_cmp(value[0], value[1]) < 0) != largest ? x[0] : x[1];
}

static void check_order(const struct width *w, const uint64_t *x)
{
	bool nan = is_nan(w, x[0]) || is_nan(w, x[1]);
	bool signaling = is_signaling(w, x[0]) || is_signaling(w, x[1]);

	decode(value[0], w, x[0]);
	decode(value[1], w, x[1]);
	for (uint32_t cmp = 0; cmp < 3; cmp++) {
		uint32_t got_flags = 0, want_flags = nan && (cmp || signaling) ? SF_NV : 0;
		uint64_t got = CALL(w, cmp, x[0], x[1], cmp, &got_flags);
		bool want = cmp == 0 ? mpfr_equal_p(value[0], value[1])
			  : cmp == 1 ? mpfr_less_p(value[0], value[1]) : mpfr_lessequal_p(value[0], value[1]);
		check_result("cmp", w, x, 2, (int)cmp, got, got_flags, want, want_flags);
	}
	for (int largest = 0; largest < 2; largest++) {
		uint32_t got_flags = 0, want_flags = 0;
		uint64_t got = largest ? CALL(w, max, x[0], x[1], &got_flags) : CALL(w, min, x[0], x[1], &got_flags);
		uint64_t want = expected_extreme(w, x, largest, &want_flags);
		check_result(largest ? "max" : "min", w, x, 2, 0, got, got_flags, want, want_flags);
	}
}

static void check_pair(const struct width *w, const uint64_t *x)
{
	for (enum op op = ADD; op <= DIV; op++)
		check_op(op, w, x, 2);
	check_order(w, x);
}

/* --- integers --- */

static const char *const kind_names[] = { "i32", "u32", "i64", "u64" };

/* F chapter, "Domains of float-to-integer conversions": the last column is what is kept when out of range. */
static const struct domain { const char *low, *high; uint64_t low_bits, high_bits; } domains[] = {
	{ "-2147483648", "2147483647", 0xffffffff80000000u, 0x7fffffffu },
	{ "0", "4294967295", 0, UINT64_MAX },
	{ "-9223372036854775808", "9223372036854775807", 0x8000000000000000u, 0x7fffffffffffffffu },
	{ "0", "18446744073709551615", 0, UINT64_MAX },
};

static void round_to_integer(mpfr_ptr to, mpfr_srcptr x, int rm)
{
	switch (rm) {
	case RNE: mpfr_rint(to, x, MPFR_RNDN); break;
	case RTZ: mpfr_trunc(to, x); break;
	case RDN: mpfr_floor(to, x); break;
	case RUP: mpfr_ceil(to, x); break;
	default:  mpfr_round(to, x); break;
	}
}

static uint64_t expected_int(const struct width *w, uint64_t bits, uint32_t kind, int rm, uint32_t *flags)
{
	const struct domain *d = &domains[kind];

	if (is_nan(w, bits)) {
		*flags |= SF_NV;
		return d->high_bits;
	}
	decode(value[0], w, bits);
	mpfr_set_prec(result, 64);
	round_to_integer(result, value[0], rm);
	mpfr_set_str(value[1], d->low, 10, MPFR_RNDN);
	mpfr_set_str(value[2], d->high, 10, MPFR_RNDN);
	if (mpfr_less_p(result, value[1]) || mpfr_greater_p(result, value[2])) {
		*flags |= SF_NV;
		return mpfr_less_p(result, value[1]) ? d->low_bits : d->high_bits;
	}
	*flags |= mpfr_equal_p(result, value[0]) ? 0 : SF_NX;
	uint64_t n = kind & 1 ? mpfr_get_uj(result, MPFR_RNDN) : (uint64_t)mpfr_get_sj(result, MPFR_RNDN);
	return kind == 1 ? (uint64_t)(int64_t)(int32_t)n : n;
}

static void check_to_int(const struct width *w, uint64_t bits)
{
	for (uint32_t kind = 0; kind < 4; kind++)
		for (int rm = 0; rm < MODES; rm++) {
			uint32_t got_flags = 0, want_flags = 0;
			uint64_t got = CALL(w, to_int, bits, kind, (uint32_t)rm, &got_flags);
			uint64_t want = expected_int(w, bits, kind, rm, &want_flags);
			check_result(kind_names[kind], w, &bits, 1, rm, got, got_flags, want, want_flags);
		}
}

static void check_from_int(const struct width *w, uint64_t n)
{
	struct calc c = { FROM_INT, w, { value[0] } };

	for (uint32_t kind = 0; kind < 4; kind++)
		for (int rm = 0; rm < MODES; rm++) {
			uint32_t got_flags = 0, want_flags = 0;
			uint64_t got = CALL(w, from_int, n, kind, (uint32_t)rm, &got_flags);
			switch (kind) {
			case 0:  mpfr_set_sj(value[0], (int32_t)n, MPFR_RNDN); break;
			case 1:  mpfr_set_uj(value[0], (uint32_t)n, MPFR_RNDN); break;
			case 2:  mpfr_set_sj(value[0], (int64_t)n, MPFR_RNDN); break;
			default: mpfr_set_uj(value[0], n, MPFR_RNDN); break;
			}
			uint64_t want = expected_number(&c, rm, &want_flags);
			check_result(op_names[FROM_INT], w, &n, 1, rm, got, got_flags, want, want_flags);
		}
}

static void check_one(const struct width *w, uint64_t bits)
{
	check_op(SQRT, w, &bits, 1);
	for (enum op op = TO_HALF; op <= TO_DOUBLE; op++)
		if (w != &widths[op - TO_HALF])
			check_op(op, w, &bits, 1);
	check_to_int(w, bits);
	check_from_int(w, bits);
	check_from_int(w, bits << 32 | bits >> 11);
}

/* --- operands --- */

#define BOUNDARIES 256
static uint64_t boundary[BOUNDARIES];
static int boundaries;

static void list_boundaries(const struct width *w)
{
	uint64_t top = exponent_mask(w), bias = (uint64_t)w->emax, p = (uint64_t)w->precision, all = fraction_mask(w);
	const uint64_t exponents[] = { 0, 1, 2, p - 1, p, bias - p, bias - p + 1, bias - 2, bias - 1, bias, bias + 1,
				       bias + p - 1, bias + p, bias + 31, bias + 32, bias + 63, bias + 64, top - 1 };
	const uint64_t fractions[] = { 0, 1, all / 2, all / 2 + 1, all - 1, all };
	const uint64_t specials[] = { 0, 1, all / 2 + 1, all / 2, all };

	boundaries = 0;
	for (int sign = 0; sign < 2; sign++) {
		for (size_t e = 0; e < sizeof(exponents) / sizeof(*exponents); e++)
			for (size_t f = 0; f < sizeof(fractions) / sizeof(*fractions); f++)
				boundary[boundaries++] = make(w, sign, exponents[e] & top, fractions[f]);
		for (size_t f = 0; f < sizeof(specials) / sizeof(*specials); f++)
			boundary[boundaries++] = make(w, sign, top, specials[f]);
	}
}

static uint64_t random_state;

static uint64_t random64(void)
{
	random_state += 0x9e3779b97f4a7c15u;
	uint64_t z = random_state;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Fractions of few bits make ties and exact results, exponents near each other make cancellation. */
static uint64_t random_operand(const struct width *w, uint64_t near)
{
	uint64_t r = random64(), fraction = random64() & fraction_mask(w), exponent = r >> 8 & exponent_mask(w);

	if (!(r & 0x70))
		return boundary[random64() % (uint64_t)boundaries];
	if (r & 1)
		fraction &= fraction_mask(w) << (r >> 32) % (uint64_t)w->precision;
	if (r & 2)
		exponent = (exponent_of(w, near) + (r >> 8) % (2 * (uint64_t)w->precision + 5) - (uint64_t)w->precision - 2)
			   & exponent_mask(w);
	if ((r & 0xc) == 0xc)
		exponent = (r >> 8) % 60 < (uint64_t)w->precision ? (r >> 8) % 60 : exponent;
	return make(w, r >> 63, exponent, fraction);
}

/* Every meeting of zeros, infinities, NaNs and ordinary numbers in a fused operation. */
static void check_special_triples(const struct width *w)
{
	enum { N = 16 };
	uint64_t top = exponent_mask(w), all = fraction_mask(w), x[N];
	int n = 0;

	for (int sign = 0; sign < 2; sign++) {
		const uint64_t values[] = { 0, 1, make(w, 0, (uint64_t)w->emax, 0), make(w, 0, top - 1, all),
					    make(w, 0, top, 0), make(w, 0, top, all / 2 + 1), make(w, 0, top, all),
					    make(w, 0, top, 1) };
		for (int i = 0; i < N / 2; i++)
			x[n++] = values[i] | make(w, sign, 0, 0);
	}
	for (int i = 0; i < N * N * N; i++) {
		uint64_t t[3] = { x[i / (N * N)], x[i / N % N], x[i % N] };
		check_op(FMA, w, t, 3);
		check_fma_signs(w, t);
	}
}

static void check_boundaries(const struct width *w)
{
	for (int i = 0; i < boundaries; i++) {
		check_one(w, boundary[i]);
		for (int j = 0; j < boundaries; j++)
			check_pair(w, (uint64_t[]){ boundary[i], boundary[j] });
	}
	check_special_triples(w);
	/* triples of every seventh: all exponents and fractions come by, not all together */
	for (int i = 0; i < boundaries; i += 7)
		for (int j = i % 3; j < boundaries; j += 7)
			for (int k = j % 5; k < boundaries; k += 7)
				check_op(FMA, w, (uint64_t[]){ boundary[i], boundary[j], boundary[k] }, 3);
}

static void check_random(const struct width *w, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t x[3] = { random_operand(w, make(w, false, (uint64_t)w->emax, 0)) };
		x[1] = random_operand(w, x[0]);
		x[2] = random_operand(w, x[1]);
		check_pair(w, x);
		check_one(w, x[0]);
		check_op(FMA, w, x, 3);
		check_fma_signs(w, x);
		/* an addend beside the product, of either sign: what is left are the product's low bits */
		uint32_t none = 0;
		x[2] = CALL(w, mul, x[0], x[1], (uint32_t)(i & 1), &none) ^ make(w, i >> 1 & 1, 0, i >> 2 & 3);
		check_op(FMA, w, x, 3);
	}
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 0) : getenv("MORTISE_LONG") ? 5000000 : 60000;

	random_state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	mpfr_inits2(64, value[0], value[1], value[2], scratch, result, (mpfr_ptr)NULL);
	for (int i = 0; i < WIDTHS; i++) {
		list_boundaries(&widths[i]);
		check_boundaries(&widths[i]);
		check_random(&widths[i], count);
	}
	for (uint32_t bits = 0; bits < 0x10000; bits += getenv("MORTISE_LONG") ? 1 : 13)
		check_one(&widths[HALF], bits);
	mpfr_clears(value[0], value[1], value[2], scratch, result, (mpfr_ptr)NULL);
	mpfr_free_cache();
	printf("%" PRIu64 " results, %" PRIu64 " wrong\n", checked, wrong);
	return wrong != 0;
}
#endif
