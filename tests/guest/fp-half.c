/* SPDX-License-Identifier: MIT */
/*
 * In the guest: every instruction of Zfh against the integer arithmetic of fp/softfp.c: results and flags in five
 * rounding modes, dynamic and static, with flags set before and not. Takes the place of fp.c for half precision, with
 * the same arguments and the same last marker.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "fp/softfp.h"

#ifndef FP_COUNT
#define FP_COUNT 1000
#endif

#define MODES 5
#define DYNAMIC 5       /* the instruction takes the mode from fcsr */
#define BOX_H 0xffffffffffff0000u
#define BOX_S 0xffffffff00000000u

static uint64_t checked, wrong;
static uint64_t random_state = 1;

static uint64_t random64(void)
{
	random_state += 0x9e3779b97f4a7c15u;
	uint64_t z = random_state;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* What a half, and a single, in a register count as. */
static uint32_t h(uint64_t x)
{
	return (x & BOX_H) == BOX_H ? (uint16_t)x : 0x7e00;
}

static uint32_t s(uint64_t x)
{
	return (x & BOX_S) == BOX_S ? (uint32_t)x : 0x7fc00000;
}

/* --- the instructions: operands and result are images of 64-bit registers --- */

typedef uint64_t insn_fn(uint64_t a, uint64_t b, uint64_t c);
typedef uint64_t want_fn(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f);

#define LOAD ".option push\n\t.option arch, +zfh\n\tfmv.d.x ft0, %1\n\tfmv.d.x ft1, %2\n\tfmv.d.x ft2, %3\n\t"
#define BODY(text) { \
	uint64_t r; \
	__asm__ volatile(LOAD text "\n\t.option pop" : "=r"(r) : "r"(a), "r"(b), "r"(c) \
			 : "ft0", "ft1", "ft2", "ft3", "memory"); \
	return r; \
}
#define INSN(name, text) static uint64_t name(uint64_t a, uint64_t b, uint64_t c) BODY(text)
#define BACK "\n\tfmv.x.d %0, ft3"

/* with each mode of its own, with that of fcsr, and what it gives */
#define INSN_MODES(name, text, back, result) \
	INSN(name##_rne, text ", rne" back) INSN(name##_rtz, text ", rtz" back) INSN(name##_rdn, text ", rdn" back) \
	INSN(name##_rup, text ", rup" back) INSN(name##_rmm, text ", rmm" back) INSN(name##_dyn, text back) \
	static insn_fn *const name[] = { name##_rne, name##_rtz, name##_rdn, name##_rup, name##_rmm, name##_dyn }; \
	WANT(name, result)
#define INSN_PLAIN(name, text, back, result) \
	INSN(name##_any, text back) \
	static insn_fn *const name[] = { name##_any, NULL }; \
	WANT(name, result)
#define WANT(name, result) \
	static uint64_t want_##name(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f) \
	{ \
		(void)a, (void)b, (void)c, (void)rm, (void)f; \
		return result; \
	}

INSN_MODES(add, "fadd.h ft3, ft0, ft1", BACK, BOX_H | sf_add_h(h(a), h(b), rm, f))
INSN_MODES(sub, "fsub.h ft3, ft0, ft1", BACK, BOX_H | sf_sub_h(h(a), h(b), rm, f))
INSN_MODES(mul, "fmul.h ft3, ft0, ft1", BACK, BOX_H | sf_mul_h(h(a), h(b), rm, f))
INSN_MODES(divide, "fdiv.h ft3, ft0, ft1", BACK, BOX_H | sf_div_h(h(a), h(b), rm, f))
INSN_MODES(root, "fsqrt.h ft3, ft0", BACK, BOX_H | sf_sqrt_h(h(a), rm, f))
INSN_MODES(madd, "fmadd.h ft3, ft0, ft1, ft2", BACK, BOX_H | sf_fma_h(h(a), h(b), h(c), 0, rm, f))
INSN_MODES(nmsub, "fnmsub.h ft3, ft0, ft1, ft2", BACK, BOX_H | sf_fma_h(h(a), h(b), h(c), 1, rm, f))
INSN_MODES(msub, "fmsub.h ft3, ft0, ft1, ft2", BACK, BOX_H | sf_fma_h(h(a), h(b), h(c), 2, rm, f))
INSN_MODES(nmadd, "fnmadd.h ft3, ft0, ft1, ft2", BACK, BOX_H | sf_fma_h(h(a), h(b), h(c), 3, rm, f))
INSN_PLAIN(min, "fmin.h ft3, ft0, ft1", BACK, BOX_H | sf_min_h(h(a), h(b), f))
INSN_PLAIN(max, "fmax.h ft3, ft0, ft1", BACK, BOX_H | sf_max_h(h(a), h(b), f))
INSN_PLAIN(sgnj, "fsgnj.h ft3, ft0, ft1", BACK, BOX_H | (h(a) & 0x7fff) | (h(b) & 0x8000))
INSN_PLAIN(sgnjn, "fsgnjn.h ft3, ft0, ft1", BACK, BOX_H | (h(a) & 0x7fff) | (~h(b) & 0x8000))
INSN_PLAIN(sgnjx, "fsgnjx.h ft3, ft0, ft1", BACK, BOX_H | (h(a) ^ (h(b) & 0x8000)))
INSN_PLAIN(eq, "feq.h %0, ft0, ft1", "", sf_cmp_h(h(a), h(b), 0, f))
INSN_PLAIN(lt, "flt.h %0, ft0, ft1", "", sf_cmp_h(h(a), h(b), 1, f))
INSN_PLAIN(le, "fle.h %0, ft0, ft1", "", sf_cmp_h(h(a), h(b), 2, f))
INSN_PLAIN(class, "fclass.h %0, ft0", "", sf_class_h(h(a)))
INSN_MODES(to_i32, "fcvt.w.h %0, ft0", "", sf_to_int_h(h(a), 0, rm, f))
INSN_MODES(to_u32, "fcvt.wu.h %0, ft0", "", sf_to_int_h(h(a), 1, rm, f))
INSN_MODES(to_i64, "fcvt.l.h %0, ft0", "", sf_to_int_h(h(a), 2, rm, f))
INSN_MODES(to_u64, "fcvt.lu.h %0, ft0", "", sf_to_int_h(h(a), 3, rm, f))
INSN_MODES(of_i32, "fcvt.h.w ft3, %1", BACK, BOX_H | sf_from_int_h(a, 0, rm, f))
INSN_MODES(of_u32, "fcvt.h.wu ft3, %1", BACK, BOX_H | sf_from_int_h(a, 1, rm, f))
INSN_MODES(of_i64, "fcvt.h.l ft3, %1", BACK, BOX_H | sf_from_int_h(a, 2, rm, f))
INSN_MODES(of_u64, "fcvt.h.lu ft3, %1", BACK, BOX_H | sf_from_int_h(a, 3, rm, f))
INSN_PLAIN(to_s, "fcvt.s.h ft3, ft0", BACK, BOX_S | sf_h_to_s(h(a), f))
INSN_PLAIN(to_d, "fcvt.d.h ft3, ft0", BACK, sf_h_to_d(h(a), f))
INSN_MODES(of_s, "fcvt.h.s ft3, ft0", BACK, BOX_H | sf_s_to_h(s(a), rm, f))
INSN_MODES(of_d, "fcvt.h.d ft3, ft0", BACK, BOX_H | sf_d_to_h(a, rm, f))
INSN_PLAIN(bits, "fmv.x.h %0, ft0", "", (uint64_t)(int64_t)(int16_t)a)
INSN_PLAIN(of_bits, "fmv.h.x ft3, %1", BACK, BOX_H | (a & 0xffff))

enum operand { HALF, SINGLE, DOUBLE, INTEGER };
#define ROW(name, operand, modes) { #name, name, want_##name, operand, modes }
static const struct insn {
	const char *name;
	insn_fn *const *run;            /* six, or one when no mode is taken */
	want_fn *want;
	enum operand operand;
	bool modes;
} insns[] = {
	ROW(add, HALF, true), ROW(sub, HALF, true), ROW(mul, HALF, true), ROW(divide, HALF, true), ROW(root, HALF, true),
	ROW(madd, HALF, true), ROW(nmsub, HALF, true), ROW(msub, HALF, true), ROW(nmadd, HALF, true),
	ROW(min, HALF, false), ROW(max, HALF, false), ROW(sgnj, HALF, false), ROW(sgnjn, HALF, false),
	ROW(sgnjx, HALF, false), ROW(eq, HALF, false), ROW(lt, HALF, false), ROW(le, HALF, false),
	ROW(class, HALF, false), ROW(to_i32, HALF, true), ROW(to_u32, HALF, true), ROW(to_i64, HALF, true),
	ROW(to_u64, HALF, true), ROW(of_i32, INTEGER, true), ROW(of_u32, INTEGER, true), ROW(of_i64, INTEGER, true),
	ROW(of_u64, INTEGER, true), ROW(to_s, HALF, false), ROW(to_d, HALF, false), ROW(of_s, SINGLE, true),
	ROW(of_d, DOUBLE, true), ROW(bits, HALF, false), ROW(of_bits, INTEGER, false),
};

/* --- running --- */

/* `mode` is that of the instruction, `rm` what stands in fcsr. */
static void check_mode(const struct insn *in, const uint64_t *x, uint32_t mode, uint32_t rm)
{
	uint32_t before = checked & 7 ? 0 : (uint32_t)random64() & 31, flags, want_flags = before;
	uint64_t got, want;

	__asm__ volatile("fscsr %0" :: "r"(rm << 5 | before) : "memory");
	got = in->run[in->modes ? mode : 0](x[0], x[1], x[2]);
	__asm__ volatile("frflags %0" : "=r"(flags) :: "memory");
	want = in->want(x[0], x[1], x[2], mode == DYNAMIC ? rm : mode, &want_flags);
	checked++;
	if ((got != want || flags != want_flags) && wrong++ < 20)
		printf("%s mode %u frm %u: %#" PRIx64 " %#" PRIx64 " %#" PRIx64 " gives %#" PRIx64 " flags %#x, want %#"
		       PRIx64 " flags %#x\n", in->name, mode, rm, x[0], x[1], x[2], got, flags, want, want_flags);
}

static void check_insn(const struct insn *in, const uint64_t *x)
{
	for (uint32_t rm = 0; rm < MODES; rm++) {
		check_mode(in, x, DYNAMIC, rm);
		if (in->modes)
			check_mode(in, x, rm, (rm + 3) % MODES);
	}
}

static const uint16_t halves[] = {
	0, 1, 2, 0x3ff, 0x400, 0x401, 0x7ff, 0x800, 0x1000, 0x2400, 0x37ff, 0x3800, 0x3bff, 0x3c00, 0x3c01, 0x3e00, 0x4100,
	0x63ff, 0x6400, 0x77ff, 0x7800, 0x7bff, 0x7c00, 0x7c01, 0x7e00, 0x7fff,
};
#define HALVES (2 * sizeof(halves) / sizeof(*halves))

static uint64_t boundary(size_t i)
{
	return BOX_H | halves[i / 2] | (uint32_t)(i & 1) << 15;
}

/* A half, or a wider number near one: the half and a few bits behind it, so that ties are met. */
static uint64_t random_operand(enum operand operand)
{
	uint64_t r = random64(), tail = random64() << (r >> 40 & 63), half;
	uint32_t none = 0;

	half = r & 7 ? BOX_H | (r >> 8 & 0xffff) : boundary(r / 8 % HALVES);
	if (operand == INTEGER)
		return (int64_t)tail >> (r >> 8 & 63);
	if (operand == SINGLE)
		return (r & 0x700 ? BOX_S : 0) | (sf_h_to_s(h(half), &none) ^ (tail >> 51));
	if (operand == DOUBLE)
		return sf_h_to_d(h(half), &none) ^ tail >> 22;
	return r & 0x1f0000000000 ? half : half & tail;         /* now and then one that is not boxed */
}

static void check_boundaries(const struct insn *in)
{
	for (size_t i = 0; i < HALVES && in->operand == HALF; i++) {
		for (size_t j = 0; j < HALVES; j++) {
			uint64_t x[3] = { boundary(i), boundary(j), boundary((i * 7 + j * 3) % HALVES) };

			check_insn(in, x);
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 0) : FP_COUNT;

	random_state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	for (size_t i = 0; i < sizeof(insns) / sizeof(*insns); i++) {
		enum operand kind = insns[i].operand;
		uint64_t before = wrong;

		check_boundaries(&insns[i]);
		for (uint64_t n = 0; n < count; n++) {
			uint64_t x[3] = { random_operand(kind), random_operand(kind), random_operand(kind) };

			check_insn(&insns[i], x);
		}
		printf("MORTISE-TEST: half-%s %s\n", insns[i].name, wrong == before ? "ok" : "FAIL");
		fflush(stdout);
	}
	printf("%" PRIu64 " results, %" PRIu64 " wrong\nMORTISE-TEST: fp %s\n", checked, wrong, wrong ? "FAIL" : "ok");
	return wrong != 0;
}
