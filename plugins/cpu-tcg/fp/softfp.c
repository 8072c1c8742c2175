/* SPDX-License-Identifier: MIT */
/*
 * Binary16, binary32 and binary64 on integers, one implementation for all: values are unpacked into sign, exponent and
 * a 64-bit significand whose top bit is set, operations work on 128 bits with a sticky lowest bit, and one
 * function rounds and packs. IEEE 754-2019; NaN and conversion rules of the RISC-V F and D extensions.
 */
#include "fp/softfp.h"

#include <stdbool.h>

typedef unsigned __int128 u128;

struct format {
	int fraction_bits;      /* stored */
	int exponent_bits;
	uint64_t nan;           /* canonical */
};

static const struct format half = { 10, 5, 0x7e00u };
static const struct format single = { 23, 8, 0x7fc00000u };
static const struct format real64 = { 52, 11, 0x7ff8000000000000u };

enum kind { ZERO, FINITE, INFINITE, NAN_QUIET, NAN_SIGNAL };

/* FINITE: sig * 2^(exp - 63), top bit of sig set. */
struct number {
	enum kind kind;
	bool sign;
	int exp;
	uint64_t sig;
};

static int bias_of(const struct format *f)
{
	return (1 << (f->exponent_bits - 1)) - 1;
}

static uint64_t pack(const struct format *f, bool sign, uint64_t biased, uint64_t fraction)
{
	return (uint64_t)sign << (f->fraction_bits + f->exponent_bits) | biased << f->fraction_bits | fraction;
}

static uint64_t infinity(const struct format *f, bool sign)
{
	return pack(f, sign, (1u << f->exponent_bits) - 1, 0);
}

static struct number unpack(const struct format *f, uint64_t bits)
{
	uint64_t fraction = bits & (((uint64_t)1 << f->fraction_bits) - 1);
	uint32_t biased = (uint32_t)(bits >> f->fraction_bits) & ((1u << f->exponent_bits) - 1);
	struct number n = { FINITE, bits >> (f->fraction_bits + f->exponent_bits) & 1, 0, 0 };
	if (biased == (1u << f->exponent_bits) - 1) {
		n.kind = !fraction ? INFINITE : fraction >> (f->fraction_bits - 1) ? NAN_QUIET : NAN_SIGNAL;
	} else if (biased) {
		n.exp = (int)biased - bias_of(f);
		n.sig = (fraction | (uint64_t)1 << f->fraction_bits) << (63 - f->fraction_bits);
	} else if (fraction) {
		int shift = __builtin_clzll(fraction);
		n.exp = 1 - bias_of(f) + (63 - f->fraction_bits) - shift;
		n.sig = fraction << shift;
	} else {
		n.kind = ZERO;
	}
	return n;
}

static bool is_nan(struct number n)
{
	return n.kind >= NAN_QUIET;
}

/* Result of an operation with a NaN among its operands. */
static uint64_t nan_result(const struct format *f, struct number a, struct number b, uint32_t *flags)
{
	if (a.kind == NAN_SIGNAL || b.kind == NAN_SIGNAL)
		*flags |= SF_NV;
	return f->nan;
}

static uint64_t invalid(const struct format *f, uint32_t *flags)
{
	*flags |= SF_NV;
	return f->nan;
}

/* --- rounding --- */

static u128 shift_jam(u128 v, int n)
{
	if (n <= 0)
		return v;
	if (n > 127)
		return v != 0;
	return v >> n | ((v & (((u128)1 << n) - 1)) != 0);
}

/* Is the magnitude rounded up, whose lowest kept bit is `odd` and whose rest compares so with a half? */
static bool round_up(uint32_t rm, bool sign, bool odd, bool above_or_half, bool exactly_half, bool inexact)
{
	switch (rm) {
	case 0:  return above_or_half && (!exactly_half || odd);
	case 1:  return false;
	case 2:  return inexact && sign;
	case 3:  return inexact && !sign;
	default: return above_or_half;
	}
}

/* Drops the low `extra` bits (1..128), rounding; the kept value may carry one bit further up. */
static u128 round_bits(u128 sig, int extra, uint32_t rm, bool sign, bool *inexact)
{
	u128 kept = extra > 127 ? 0 : sig >> extra;
	u128 rest = extra > 127 ? sig : sig & (((u128)1 << extra) - 1);
	u128 half = (u128)1 << (extra - 1);
	*inexact = rest != 0;
	return kept + round_up(rm, sign, kept & 1, rest >= half, rest == half, rest != 0);
}

static uint64_t overflow(const struct format *f, bool sign, uint32_t rm, uint32_t *flags)
{
	*flags |= SF_OF | SF_NX;
	bool to_infinity = rm == 0 || rm == 4 || (rm == 2 && sign) || (rm == 3 && !sign);
	return infinity(f, sign) - !to_infinity;
}

/* Rounds sig * 2^(exp - 127) with the top bit of sig set. */
static uint64_t round_normal(const struct format *f, bool sign, int exp, u128 sig, uint32_t rm, uint32_t *flags)
{
	int precision = f->fraction_bits + 1;
	int emin = 1 - bias_of(f);
	bool inexact;
	u128 kept = round_bits(sig, 128 - precision, rm, sign, &inexact);
	/* tininess is judged by the result rounded as if the exponent were unbounded */
	bool tiny = exp < emin - 1 || (exp == emin - 1 && !(kept >> precision));
	if (exp >= emin) {
		if (kept >> precision) {
			kept >>= 1;
			exp++;
		}
		if (exp > bias_of(f))
			return overflow(f, sign, rm, flags);
		*flags |= inexact ? SF_NX : 0;
		uint64_t fraction = (uint64_t)kept & (((uint64_t)1 << f->fraction_bits) - 1);
		return pack(f, sign, (uint64_t)(exp + bias_of(f)), fraction);
	}
	int extra = 128 - precision + (emin - exp);
	kept = round_bits(extra > 128 ? (u128)1 : sig, extra > 128 ? 128 : extra, rm, sign, &inexact);
	if (inexact)
		*flags |= SF_NX | (tiny ? SF_UF : 0);
	/* a carry into the exponent field makes the smallest normal number by itself */
	return pack(f, sign, 0, 0) + (uint64_t)kept;
}

/* sig != 0, top bit anywhere; exp is the exponent of bit 127. */
static uint64_t round_pack(const struct format *f, bool sign, int exp, u128 sig, uint32_t rm, uint32_t *flags)
{
	uint64_t high = (uint64_t)(sig >> 64);
	int shift = high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)sig);
	return round_normal(f, sign, exp - shift, sig << shift, rm, flags);
}

/* --- add, multiply, fused --- */

/* A sum of two finite magnitudes: each sig * 2^(exp - 125), below 2^126. */
static uint64_t sum(const struct format *f, bool sign_a, int exp_a, u128 a, bool sign_b, int exp_b, u128 b,
		    uint32_t rm, uint32_t *flags)
{
	int exp = exp_a > exp_b ? exp_a : exp_b;
	a = shift_jam(a, exp - exp_a);
	b = shift_jam(b, exp - exp_b);
	if (sign_a == sign_b)
		return round_pack(f, sign_a, exp + 2, a + b, rm, flags);
	if (a == b)
		return pack(f, rm == 2, 0, 0);
	return a > b ? round_pack(f, sign_a, exp + 2, a - b, rm, flags)
		     : round_pack(f, sign_b, exp + 2, b - a, rm, flags);
}

static uint64_t repack(const struct format *f, struct number n)
{
	uint32_t none = 0;
	if (n.kind == ZERO)
		return pack(f, n.sign, 0, 0);
	return round_pack(f, n.sign, n.exp, (u128)n.sig << 64, 0, &none);
}

static uint64_t add(const struct format *f, struct number a, struct number b, uint32_t rm, uint32_t *flags)
{
	if (is_nan(a) || is_nan(b))
		return nan_result(f, a, b, flags);
	if (a.kind == INFINITE && b.kind == INFINITE && a.sign != b.sign)
		return invalid(f, flags);
	if (a.kind == INFINITE || b.kind == INFINITE)
		return infinity(f, a.kind == INFINITE ? a.sign : b.sign);
	if (a.kind == ZERO && b.kind == ZERO)
		return pack(f, a.sign == b.sign ? a.sign : rm == 2, 0, 0);
	if (a.kind == ZERO || b.kind == ZERO)
		return repack(f, a.kind == ZERO ? b : a);
	return sum(f, a.sign, a.exp, (u128)a.sig << 62, b.sign, b.exp, (u128)b.sig << 62, rm, flags);
}

static uint64_t mul(const struct format *f, struct number a, struct number b, uint32_t rm, uint32_t *flags)
{
	bool sign = a.sign != b.sign;
	if (is_nan(a) || is_nan(b))
		return nan_result(f, a, b, flags);
	if ((a.kind == INFINITE && b.kind == ZERO) || (a.kind == ZERO && b.kind == INFINITE))
		return invalid(f, flags);
	if (a.kind == INFINITE || b.kind == INFINITE)
		return infinity(f, sign);
	if (a.kind == ZERO || b.kind == ZERO)
		return pack(f, sign, 0, 0);
	return round_pack(f, sign, a.exp + b.exp + 1, (u128)a.sig * b.sig, rm, flags);
}

static uint64_t fma_finite(const struct format *f, bool sign, struct number a, struct number b, struct number c,
			   uint32_t rm, uint32_t *flags)
{
	if (a.kind == ZERO || b.kind == ZERO) {
		if (c.kind == ZERO)
			return pack(f, sign == c.sign ? sign : rm == 2, 0, 0);
		return repack(f, c);
	}
	/* exact: at most 106 bits of the 128 are in use, so that nothing is lost by moving down two */
	u128 product = (u128)a.sig * b.sig;
	if (c.kind == ZERO)
		return round_pack(f, sign, a.exp + b.exp + 1, product, rm, flags);
	return sum(f, sign, a.exp + b.exp + 1, product >> 2, c.sign, c.exp, (u128)c.sig << 62, rm, flags);
}

static uint64_t fma_any(const struct format *f, struct number a, struct number b, struct number c, uint32_t signs,
			uint32_t rm, uint32_t *flags)
{
	bool sign = (a.sign != b.sign) != (signs & 1);
	c.sign = c.sign != (signs >> 1 & 1);
	bool inf_zero = (a.kind == INFINITE && b.kind == ZERO) || (a.kind == ZERO && b.kind == INFINITE);
	if (inf_zero)
		*flags |= SF_NV;
	if (is_nan(a) || is_nan(b) || is_nan(c)) {
		nan_result(f, a, b, flags);
		return nan_result(f, c, c, flags);
	}
	if (inf_zero)
		return f->nan;
	bool product_inf = a.kind == INFINITE || b.kind == INFINITE;
	if (product_inf && c.kind == INFINITE && c.sign != sign)
		return invalid(f, flags);
	if (product_inf)
		return infinity(f, sign);
	if (c.kind == INFINITE)
		return infinity(f, c.sign);
	return fma_finite(f, sign, a, b, c, rm, flags);
}

/* --- divide, square root --- */

static uint64_t div(const struct format *f, struct number a, struct number b, uint32_t rm, uint32_t *flags)
{
	bool sign = a.sign != b.sign;
	if (is_nan(a) || is_nan(b))
		return nan_result(f, a, b, flags);
	if (a.kind == b.kind && (a.kind == INFINITE || a.kind == ZERO))
		return invalid(f, flags);
	if (a.kind == INFINITE)
		return infinity(f, sign);
	if (b.kind == INFINITE || a.kind == ZERO)
		return pack(f, sign, 0, 0);
	if (b.kind == ZERO) {
		*flags |= SF_DZ;
		return infinity(f, sign);
	}
	u128 numerator = (u128)a.sig << 63;
	u128 quotient = numerator / b.sig;
	bool rest = numerator % b.sig != 0;
	/* the quotient's bit 63 stands for 2^(exp a - exp b); one sticky bit below it */
	return round_pack(f, sign, a.exp - b.exp + 63, quotient << 1 | rest, rm, flags);
}

static uint64_t isqrt(u128 v, bool *rest)
{
	u128 root = 0, bit = (u128)1 << 126;
	while (bit > v)
		bit >>= 2;
	for (; bit; bit >>= 2) {
		if (v >= root + bit) {
			v -= root + bit;
			root = (root >> 1) + bit;
		} else {
			root >>= 1;
		}
	}
	*rest = v != 0;
	return (uint64_t)root;
}

static uint64_t root(const struct format *f, struct number a, uint32_t rm, uint32_t *flags)
{
	if (is_nan(a))
		return nan_result(f, a, a, flags);
	if (a.kind == ZERO)
		return pack(f, a.sign, 0, 0);
	if (a.sign)
		return invalid(f, flags);
	if (a.kind == INFINITE)
		return infinity(f, false);
	/* sig * 2^(exp - 63), shifted so that the exponent becomes even and the root has its top bit at 63 */
	int odd = a.exp & 1;
	bool rest;
	uint64_t r = isqrt((u128)a.sig << (63 + odd), &rest);
	return round_pack(f, false, (a.exp - odd) / 2 + 63, (u128)r << 1 | rest, rm, flags);
}

/* --- comparing --- */

/* -1, 0, 1; no NaN */
static int order(struct number a, struct number b)
{
	if (a.kind == ZERO && b.kind == ZERO)
		return 0;
	if (a.sign != b.sign)
		return a.sign ? -1 : 1;
	int r;
	if (a.kind != b.kind)
		r = a.kind < b.kind ? -1 : 1;
	else if (a.kind != FINITE)
		r = 0;
	else if (a.exp != b.exp)
		r = a.exp < b.exp ? -1 : 1;
	else
		r = a.sig < b.sig ? -1 : a.sig > b.sig;
	return a.sign ? -r : r;
}

static uint32_t compare(struct number a, struct number b, uint32_t cmp, uint32_t *flags)
{
	if (is_nan(a) || is_nan(b)) {
		if (cmp != 0 || a.kind == NAN_SIGNAL || b.kind == NAN_SIGNAL)
			*flags |= SF_NV;
		return 0;
	}
	int r = order(a, b);
	return cmp == 0 ? r == 0 : cmp == 1 ? r < 0 : r <= 0;
}

static uint64_t extreme(const struct format *f, uint64_t x, uint64_t y, bool largest, uint32_t *flags)
{
	struct number a = unpack(f, x), b = unpack(f, y);
	if (a.kind == NAN_SIGNAL || b.kind == NAN_SIGNAL)
		*flags |= SF_NV;
	if (is_nan(a) && is_nan(b))
		return f->nan;
	if (is_nan(a) || is_nan(b))
		return is_nan(a) ? y : x;
	int r = order(a, b);
	bool first = r == 0 ? a.sign != largest : (r < 0) != largest;
	return first ? x : y;
}

static uint32_t classify(const struct format *f, uint64_t bits)
{
	struct number n = unpack(f, bits);
	switch (n.kind) {
	case NAN_SIGNAL: return 1u << 8;
	case NAN_QUIET:  return 1u << 9;
	case INFINITE:   return n.sign ? 1u << 0 : 1u << 7;
	case ZERO:       return n.sign ? 1u << 3 : 1u << 4;
	default:         break;
	}
	if (n.exp < 1 - bias_of(f))
		return n.sign ? 1u << 2 : 1u << 5;
	return n.sign ? 1u << 1 : 1u << 6;
}

/* --- conversions --- */

static uint64_t saturate(uint32_t kind, bool low, uint32_t *flags)
{
	*flags |= SF_NV;
	switch (kind) {
	case 0:  return low ? (uint64_t)(int64_t)INT32_MIN : INT32_MAX;
	case 1:  return low ? 0 : UINT64_MAX;           /* 2^32 - 1, sign-extended */
	case 2:  return low ? (uint64_t)INT64_MIN : INT64_MAX;
	default: return low ? 0 : UINT64_MAX;
	}
}

static bool in_range(uint32_t kind, bool sign, u128 magnitude)
{
	switch (kind) {
	case 0:  return magnitude <= (u128)INT32_MAX + sign;
	case 1:  return magnitude <= (sign ? 0 : UINT32_MAX);
	case 2:  return magnitude <= (u128)INT64_MAX + sign;
	default: return magnitude <= (sign ? 0 : UINT64_MAX);
	}
}

static uint64_t to_int(struct number n, uint32_t kind, uint32_t rm, uint32_t *flags)
{
	if (is_nan(n) || n.kind == INFINITE)
		return saturate(kind, n.kind == INFINITE && n.sign, flags);
	if (n.kind == ZERO)
		return 0;
	if (n.exp > 64)
		return saturate(kind, n.sign, flags);
	/* value = (sig << 63) * 2^(exp - 126): drop 126 - exp bits */
	bool inexact = false;
	int extra = 126 - n.exp;
	u128 magnitude = extra > 128 ? round_bits(1, 128, rm, n.sign, &inexact)
				     : round_bits((u128)n.sig << 63, extra, rm, n.sign, &inexact);
	if (!in_range(kind, n.sign, magnitude))
		return saturate(kind, n.sign, flags);
	*flags |= inexact ? SF_NX : 0;
	uint64_t value = n.sign ? -(uint64_t)magnitude : (uint64_t)magnitude;
	return kind <= 1 ? (uint64_t)(int64_t)(int32_t)value : value;
}

static uint64_t from_int(const struct format *f, uint64_t a, uint32_t kind, uint32_t rm, uint32_t *flags)
{
	if (kind == 0)
		a = (uint64_t)(int64_t)(int32_t)a;
	if (kind == 1)
		a = (uint32_t)a;
	bool sign = (kind == 0 || kind == 2) && (int64_t)a < 0;
	uint64_t magnitude = sign ? -a : a;
	if (!magnitude)
		return 0;
	return round_pack(f, sign, 63, (u128)magnitude << 64, rm, flags);
}

static uint64_t convert(const struct format *to, struct number n, uint32_t rm, uint32_t *flags)
{
	if (is_nan(n))
		return nan_result(to, n, n, flags);
	if (n.kind == INFINITE)
		return infinity(to, n.sign);
	if (n.kind == ZERO)
		return pack(to, n.sign, 0, 0);
	return round_pack(to, n.sign, n.exp, (u128)n.sig << 64, rm, flags);
}

/* --- the interface --- */

static struct number minus(struct number n)
{
	n.sign = !n.sign;
	return n;
}

#define H(x) unpack(&half, x)
#define S(x) unpack(&single, x)
#define D(x) unpack(&real64, x)

uint32_t sf_add_s(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)add(&single, S(a), S(b), rm, flags);
}

uint32_t sf_sub_s(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)add(&single, S(a), minus(S(b)), rm, flags);
}

uint32_t sf_mul_s(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)mul(&single, S(a), S(b), rm, flags);
}

uint32_t sf_div_s(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)div(&single, S(a), S(b), rm, flags);
}

uint32_t sf_sqrt_s(uint32_t a, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)root(&single, S(a), rm, flags);
}

uint32_t sf_fma_s(uint32_t a, uint32_t b, uint32_t c, uint32_t signs, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)fma_any(&single, S(a), S(b), S(c), signs, rm, flags);
}

uint32_t sf_min_s(uint32_t a, uint32_t b, uint32_t *flags)
{
	return (uint32_t)extreme(&single, a, b, false, flags);
}

uint32_t sf_max_s(uint32_t a, uint32_t b, uint32_t *flags)
{
	return (uint32_t)extreme(&single, a, b, true, flags);
}

uint32_t sf_cmp_s(uint32_t a, uint32_t b, uint32_t cmp, uint32_t *flags)
{
	return compare(S(a), S(b), cmp, flags);
}

uint32_t sf_class_s(uint32_t a)
{
	return classify(&single, a);
}

uint64_t sf_add_d(uint64_t a, uint64_t b, uint32_t rm, uint32_t *flags)
{
	return add(&real64, D(a), D(b), rm, flags);
}

uint64_t sf_sub_d(uint64_t a, uint64_t b, uint32_t rm, uint32_t *flags)
{
	return add(&real64, D(a), minus(D(b)), rm, flags);
}

uint64_t sf_mul_d(uint64_t a, uint64_t b, uint32_t rm, uint32_t *flags)
{
	return mul(&real64, D(a), D(b), rm, flags);
}

uint64_t sf_div_d(uint64_t a, uint64_t b, uint32_t rm, uint32_t *flags)
{
	return div(&real64, D(a), D(b), rm, flags);
}

uint64_t sf_sqrt_d(uint64_t a, uint32_t rm, uint32_t *flags)
{
	return root(&real64, D(a), rm, flags);
}

uint64_t sf_fma_d(uint64_t a, uint64_t b, uint64_t c, uint32_t signs, uint32_t rm, uint32_t *flags)
{
	return fma_any(&real64, D(a), D(b), D(c), signs, rm, flags);
}

uint64_t sf_min_d(uint64_t a, uint64_t b, uint32_t *flags)
{
	return extreme(&real64, a, b, false, flags);
}

uint64_t sf_max_d(uint64_t a, uint64_t b, uint32_t *flags)
{
	return extreme(&real64, a, b, true, flags);
}

uint32_t sf_cmp_d(uint64_t a, uint64_t b, uint32_t cmp, uint32_t *flags)
{
	return compare(D(a), D(b), cmp, flags);
}

uint32_t sf_class_d(uint64_t a)
{
	return classify(&real64, a);
}

uint64_t sf_to_int_s(uint32_t a, uint32_t kind, uint32_t rm, uint32_t *flags)
{
	return to_int(S(a), kind, rm, flags);
}

uint64_t sf_to_int_d(uint64_t a, uint32_t kind, uint32_t rm, uint32_t *flags)
{
	return to_int(D(a), kind, rm, flags);
}

uint32_t sf_from_int_s(uint64_t a, uint32_t kind, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)from_int(&single, a, kind, rm, flags);
}

uint64_t sf_from_int_d(uint64_t a, uint32_t kind, uint32_t rm, uint32_t *flags)
{
	return from_int(&real64, a, kind, rm, flags);
}

uint32_t sf_d_to_s(uint64_t a, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)convert(&single, D(a), rm, flags);
}

uint64_t sf_s_to_d(uint32_t a, uint32_t *flags)
{
	return convert(&real64, S(a), 0, flags);
}

uint32_t sf_add_h(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)add(&half, H(a), H(b), rm, flags);
}

uint32_t sf_sub_h(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)add(&half, H(a), minus(H(b)), rm, flags);
}

uint32_t sf_mul_h(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)mul(&half, H(a), H(b), rm, flags);
}

uint32_t sf_div_h(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)div(&half, H(a), H(b), rm, flags);
}

uint32_t sf_sqrt_h(uint32_t a, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)root(&half, H(a), rm, flags);
}

uint32_t sf_fma_h(uint32_t a, uint32_t b, uint32_t c, uint32_t signs, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)fma_any(&half, H(a), H(b), H(c), signs, rm, flags);
}

uint32_t sf_min_h(uint32_t a, uint32_t b, uint32_t *flags)
{
	return (uint32_t)extreme(&half, a, b, false, flags);
}

uint32_t sf_max_h(uint32_t a, uint32_t b, uint32_t *flags)
{
	return (uint32_t)extreme(&half, a, b, true, flags);
}

uint32_t sf_cmp_h(uint32_t a, uint32_t b, uint32_t cmp, uint32_t *flags)
{
	return compare(H(a), H(b), cmp, flags);
}

uint32_t sf_class_h(uint32_t a)
{
	return classify(&half, a);
}

uint64_t sf_to_int_h(uint32_t a, uint32_t kind, uint32_t rm, uint32_t *flags)
{
	return to_int(H(a), kind, rm, flags);
}

uint32_t sf_from_int_h(uint64_t a, uint32_t kind, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)from_int(&half, a, kind, rm, flags);
}

uint32_t sf_s_to_h(uint32_t a, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)convert(&half, S(a), rm, flags);
}

uint32_t sf_d_to_h(uint64_t a, uint32_t rm, uint32_t *flags)
{
	return (uint32_t)convert(&half, D(a), rm, flags);
}

uint32_t sf_h_to_s(uint32_t a, uint32_t *flags)
{
	return (uint32_t)convert(&single, H(a), 0, flags);
}

uint64_t sf_h_to_d(uint32_t a, uint32_t *flags)
{
	return convert(&real64, H(a), 0, flags);
}
