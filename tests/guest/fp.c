/* SPDX-License-Identifier: MIT */
/*
 * In the guest: every scalar FP instruction against the integer arithmetic of fp/softfp.c, which another test holds
 * against MPFR: results and flags in five rounding modes, dynamic and static, with flags set before and not.
 * Prints one marker a group. fp [COUNT [SEED]]: COUNT random operand sets beside the boundary pairs.
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
#define BOX 0xffffffff00000000u

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

static void set_csr(uint32_t rm, uint32_t flags)
{
	__asm__ volatile("fscsr %0" :: "r"(rm << 5 | flags) : "memory");
}

static uint32_t get_flags(void)
{
	uint32_t flags;
	__asm__ volatile("frflags %0" : "=r"(flags) :: "memory");
	return flags;
}

/* --- the instructions: operands and result are images of 64-bit registers --- */

typedef uint64_t (*insn_fn)(uint64_t a, uint64_t b, uint64_t c);

#define LOAD "fmv.d.x ft0, %1\n\tfmv.d.x ft1, %2\n\tfmv.d.x ft2, %3\n\t"
#define BODY(text) { \
	uint64_t r; \
	__asm__ volatile(LOAD text : "=r"(r) : "r"(a), "r"(b), "r"(c) : "ft0", "ft1", "ft2", "ft3", "memory"); \
	return r; \
}
#define INSN(name, text) static uint64_t name(uint64_t a, uint64_t b, uint64_t c) BODY(text)

/* the instruction with each mode of its own, and with that of fcsr; `to` names the destination, `back` moves it */
#define INSN_MODES(name, insn, to, operands, back) \
	INSN(name##_rne, insn " " to ", " operands ", rne" back) INSN(name##_rtz, insn " " to ", " operands ", rtz" back) \
	INSN(name##_rdn, insn " " to ", " operands ", rdn" back) INSN(name##_rup, insn " " to ", " operands ", rup" back) \
	INSN(name##_rmm, insn " " to ", " operands ", rmm" back) INSN(name##_dyn, insn " " to ", " operands back) \
	static const insn_fn name[] = { name##_rne, name##_rtz, name##_rdn, name##_rup, name##_rmm, name##_dyn };
/* the same without a mode */
#define INSN_PLAIN(name, insn, to, operands, back) \
	INSN(name##_any, insn " " to ", " operands back) \
	static const insn_fn name[] = { name##_any, NULL };

#define BACK "\n\tfmv.x.d %0, ft3"
#define TO_F(name, insn, operands) INSN_MODES(name, insn, "ft3", operands, BACK)
#define TO_X(name, insn, operands) INSN_MODES(name, insn, "%0", operands, "")
#define F_PLAIN(name, insn, operands) INSN_PLAIN(name, insn, "ft3", operands, BACK)
#define X_PLAIN(name, insn, operands) INSN_PLAIN(name, insn, "%0", operands, "")

TO_F(add_s, "fadd.s", "ft0, ft1")
TO_F(sub_s, "fsub.s", "ft0, ft1")
TO_F(mul_s, "fmul.s", "ft0, ft1")
TO_F(div_s, "fdiv.s", "ft0, ft1")
TO_F(sqrt_s, "fsqrt.s", "ft0")
TO_F(madd_s, "fmadd.s", "ft0, ft1, ft2")
TO_F(msub_s, "fmsub.s", "ft0, ft1, ft2")
TO_F(nmsub_s, "fnmsub.s", "ft0, ft1, ft2")
TO_F(nmadd_s, "fnmadd.s", "ft0, ft1, ft2")
F_PLAIN(min_s, "fmin.s", "ft0, ft1")
F_PLAIN(max_s, "fmax.s", "ft0, ft1")
F_PLAIN(sgnj_s, "fsgnj.s", "ft0, ft1")
F_PLAIN(sgnjn_s, "fsgnjn.s", "ft0, ft1")
F_PLAIN(sgnjx_s, "fsgnjx.s", "ft0, ft1")
X_PLAIN(feq_s, "feq.s", "ft0, ft1")
X_PLAIN(flt_s, "flt.s", "ft0, ft1")
X_PLAIN(fle_s, "fle.s", "ft0, ft1")
X_PLAIN(fclass_s, "fclass.s", "ft0")
TO_X(s_to_i32, "fcvt.w.s", "ft0")
TO_F(i32_to_s, "fcvt.s.w", "%1")
TO_X(s_to_u32, "fcvt.wu.s", "ft0")
TO_F(u32_to_s, "fcvt.s.wu", "%1")
TO_X(s_to_i64, "fcvt.l.s", "ft0")
TO_F(i64_to_s, "fcvt.s.l", "%1")
TO_X(s_to_u64, "fcvt.lu.s", "ft0")
TO_F(u64_to_s, "fcvt.s.lu", "%1")
TO_F(add_d, "fadd.d", "ft0, ft1")
TO_F(sub_d, "fsub.d", "ft0, ft1")
TO_F(mul_d, "fmul.d", "ft0, ft1")
TO_F(div_d, "fdiv.d", "ft0, ft1")
TO_F(sqrt_d, "fsqrt.d", "ft0")
TO_F(madd_d, "fmadd.d", "ft0, ft1, ft2")
TO_F(msub_d, "fmsub.d", "ft0, ft1, ft2")
TO_F(nmsub_d, "fnmsub.d", "ft0, ft1, ft2")
TO_F(nmadd_d, "fnmadd.d", "ft0, ft1, ft2")
F_PLAIN(min_d, "fmin.d", "ft0, ft1")
F_PLAIN(max_d, "fmax.d", "ft0, ft1")
F_PLAIN(sgnj_d, "fsgnj.d", "ft0, ft1")
F_PLAIN(sgnjn_d, "fsgnjn.d", "ft0, ft1")
F_PLAIN(sgnjx_d, "fsgnjx.d", "ft0, ft1")
X_PLAIN(feq_d, "feq.d", "ft0, ft1")
X_PLAIN(flt_d, "flt.d", "ft0, ft1")
X_PLAIN(fle_d, "fle.d", "ft0, ft1")
X_PLAIN(fclass_d, "fclass.d", "ft0")
TO_X(d_to_i32, "fcvt.w.d", "ft0")
F_PLAIN(i32_to_d, "fcvt.d.w", "%1")
TO_X(d_to_u32, "fcvt.wu.d", "ft0")
F_PLAIN(u32_to_d, "fcvt.d.wu", "%1")
TO_X(d_to_i64, "fcvt.l.d", "ft0")
TO_F(i64_to_d, "fcvt.d.l", "%1")
TO_X(d_to_u64, "fcvt.lu.d", "ft0")
TO_F(u64_to_d, "fcvt.d.lu", "%1")
TO_F(d_to_s, "fcvt.s.d", "ft0")
F_PLAIN(s_to_d, "fcvt.d.s", "ft0")

/* --- what they should give --- */

/* A single that is not boxed counts as the canonical NaN. */
static uint64_t unbox(uint64_t image)
{
	return image >> 32 == UINT32_MAX ? image & UINT32_MAX : 0x7fc00000u;
}

static uint64_t want_add_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_add_s((uint32_t)a, (uint32_t)b, rm, f);
}

static uint64_t want_sub_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_sub_s((uint32_t)a, (uint32_t)b, rm, f);
}

static uint64_t want_mul_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_mul_s((uint32_t)a, (uint32_t)b, rm, f);
}

static uint64_t want_div_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_div_s((uint32_t)a, (uint32_t)b, rm, f);
}

static uint64_t want_sqrt_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_sqrt_s((uint32_t)a, rm, f);
}

static uint64_t want_madd_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_fma_s((uint32_t)a, (uint32_t)b, (uint32_t)c, 0, rm, f);
}

static uint64_t want_msub_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_fma_s((uint32_t)a, (uint32_t)b, (uint32_t)c, 2, rm, f);
}

static uint64_t want_nmsub_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_fma_s((uint32_t)a, (uint32_t)b, (uint32_t)c, 1, rm, f);
}

static uint64_t want_nmadd_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_fma_s((uint32_t)a, (uint32_t)b, (uint32_t)c, 3, rm, f);
}

static uint64_t want_min_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_min_s((uint32_t)a, (uint32_t)b, f);
}

static uint64_t want_max_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_max_s((uint32_t)a, (uint32_t)b, f);
}

static uint64_t want_sgnj_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | ((a & ~(1u << 31) & UINT32_MAX) | (b & (1u << 31)));
}

static uint64_t want_sgnjn_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | ((a & ~(1u << 31) & UINT32_MAX) | (~b & (1u << 31)));
}

static uint64_t want_sgnjx_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | ((a & ~(1u << 31) & UINT32_MAX) | ((a ^ b) & (1u << 31)));
}

static uint64_t want_feq_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_cmp_s((uint32_t)a, (uint32_t)b, 0, f);
}

static uint64_t want_flt_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_cmp_s((uint32_t)a, (uint32_t)b, 1, f);
}

static uint64_t want_fle_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_cmp_s((uint32_t)a, (uint32_t)b, 2, f);
}

static uint64_t want_fclass_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_class_s((uint32_t)a);
}

static uint64_t want_s_to_i32(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_to_int_s((uint32_t)a, 0, rm, f);
}

static uint64_t want_i32_to_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_from_int_s(a, 0, rm, f);
}

static uint64_t want_s_to_u32(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_to_int_s((uint32_t)a, 1, rm, f);
}

static uint64_t want_u32_to_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_from_int_s(a, 1, rm, f);
}

static uint64_t want_s_to_i64(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_to_int_s((uint32_t)a, 2, rm, f);
}

static uint64_t want_i64_to_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_from_int_s(a, 2, rm, f);
}

static uint64_t want_s_to_u64(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_to_int_s((uint32_t)a, 3, rm, f);
}

static uint64_t want_u64_to_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_from_int_s(a, 3, rm, f);
}

static uint64_t want_add_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_add_d(a, b, rm, f);
}

static uint64_t want_sub_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_sub_d(a, b, rm, f);
}

static uint64_t want_mul_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_mul_d(a, b, rm, f);
}

static uint64_t want_div_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_div_d(a, b, rm, f);
}

static uint64_t want_sqrt_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_sqrt_d(a, rm, f);
}

static uint64_t want_madd_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_fma_d(a, b, c, 0, rm, f);
}

static uint64_t want_msub_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_fma_d(a, b, c, 2, rm, f);
}

static uint64_t want_nmsub_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_fma_d(a, b, c, 1, rm, f);
}

static uint64_t want_nmadd_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_fma_d(a, b, c, 3, rm, f);
}

static uint64_t want_min_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_min_d(a, b, f);
}

static uint64_t want_max_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_max_d(a, b, f);
}

static uint64_t want_sgnj_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return (a & ~((uint64_t)1 << 63)) | (b & ((uint64_t)1 << 63));
}

static uint64_t want_sgnjn_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return (a & ~((uint64_t)1 << 63)) | (~b & ((uint64_t)1 << 63));
}

static uint64_t want_sgnjx_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return (a & ~((uint64_t)1 << 63)) | ((a ^ b) & ((uint64_t)1 << 63));
}

static uint64_t want_feq_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_cmp_d(a, b, 0, f);
}

static uint64_t want_flt_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_cmp_d(a, b, 1, f);
}

static uint64_t want_fle_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_cmp_d(a, b, 2, f);
}

static uint64_t want_fclass_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_class_d(a);
}

static uint64_t want_d_to_i32(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_to_int_d(a, 0, rm, f);
}

static uint64_t want_i32_to_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_from_int_d(a, 0, rm, f);
}

static uint64_t want_d_to_u32(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_to_int_d(a, 1, rm, f);
}

static uint64_t want_u32_to_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_from_int_d(a, 1, rm, f);
}

static uint64_t want_d_to_i64(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_to_int_d(a, 2, rm, f);
}

static uint64_t want_i64_to_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_from_int_d(a, 2, rm, f);
}

static uint64_t want_d_to_u64(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_to_int_d(a, 3, rm, f);
}

static uint64_t want_u64_to_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_from_int_d(a, 3, rm, f);
}

static uint64_t want_d_to_s(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return BOX | sf_d_to_s(a, rm, f);
}

static uint64_t want_s_to_d(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *f)
{
	a = unbox(a), b = unbox(b), c = unbox(c);
	(void)a, (void)b, (void)c, (void)rm, (void)f;
	return sf_s_to_d((uint32_t)a, f);
}

static const struct insn {
	const char *name;
	const insn_fn *run;      /* six, or one when no mode is taken */
	uint64_t (*want)(uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *flags);
	bool single, modes;
} insns[] = {
	{ "add_s", add_s, want_add_s, true, true },
	{ "sub_s", sub_s, want_sub_s, true, true },
	{ "mul_s", mul_s, want_mul_s, true, true },
	{ "div_s", div_s, want_div_s, true, true },
	{ "sqrt_s", sqrt_s, want_sqrt_s, true, true },
	{ "madd_s", madd_s, want_madd_s, true, true },
	{ "msub_s", msub_s, want_msub_s, true, true },
	{ "nmsub_s", nmsub_s, want_nmsub_s, true, true },
	{ "nmadd_s", nmadd_s, want_nmadd_s, true, true },
	{ "min_s", min_s, want_min_s, true, false },
	{ "max_s", max_s, want_max_s, true, false },
	{ "sgnj_s", sgnj_s, want_sgnj_s, true, false },
	{ "sgnjn_s", sgnjn_s, want_sgnjn_s, true, false },
	{ "sgnjx_s", sgnjx_s, want_sgnjx_s, true, false },
	{ "feq_s", feq_s, want_feq_s, true, false },
	{ "flt_s", flt_s, want_flt_s, true, false },
	{ "fle_s", fle_s, want_fle_s, true, false },
	{ "fclass_s", fclass_s, want_fclass_s, true, false },
	{ "s_to_i32", s_to_i32, want_s_to_i32, true, true },
	{ "i32_to_s", i32_to_s, want_i32_to_s, false, true },
	{ "s_to_u32", s_to_u32, want_s_to_u32, true, true },
	{ "u32_to_s", u32_to_s, want_u32_to_s, false, true },
	{ "s_to_i64", s_to_i64, want_s_to_i64, true, true },
	{ "i64_to_s", i64_to_s, want_i64_to_s, false, true },
	{ "s_to_u64", s_to_u64, want_s_to_u64, true, true },
	{ "u64_to_s", u64_to_s, want_u64_to_s, false, true },
	{ "add_d", add_d, want_add_d, false, true },
	{ "sub_d", sub_d, want_sub_d, false, true },
	{ "mul_d", mul_d, want_mul_d, false, true },
	{ "div_d", div_d, want_div_d, false, true },
	{ "sqrt_d", sqrt_d, want_sqrt_d, false, true },
	{ "madd_d", madd_d, want_madd_d, false, true },
	{ "msub_d", msub_d, want_msub_d, false, true },
	{ "nmsub_d", nmsub_d, want_nmsub_d, false, true },
	{ "nmadd_d", nmadd_d, want_nmadd_d, false, true },
	{ "min_d", min_d, want_min_d, false, false },
	{ "max_d", max_d, want_max_d, false, false },
	{ "sgnj_d", sgnj_d, want_sgnj_d, false, false },
	{ "sgnjn_d", sgnjn_d, want_sgnjn_d, false, false },
	{ "sgnjx_d", sgnjx_d, want_sgnjx_d, false, false },
	{ "feq_d", feq_d, want_feq_d, false, false },
	{ "flt_d", flt_d, want_flt_d, false, false },
	{ "fle_d", fle_d, want_fle_d, false, false },
	{ "fclass_d", fclass_d, want_fclass_d, false, false },
	{ "d_to_i32", d_to_i32, want_d_to_i32, false, true },
	{ "i32_to_d", i32_to_d, want_i32_to_d, false, false },
	{ "d_to_u32", d_to_u32, want_d_to_u32, false, true },
	{ "u32_to_d", u32_to_d, want_u32_to_d, false, false },
	{ "d_to_i64", d_to_i64, want_d_to_i64, false, true },
	{ "i64_to_d", i64_to_d, want_i64_to_d, false, true },
	{ "d_to_u64", d_to_u64, want_d_to_u64, false, true },
	{ "u64_to_d", u64_to_d, want_u64_to_d, false, true },
	{ "d_to_s", d_to_s, want_d_to_s, false, true },
	{ "s_to_d", s_to_d, want_s_to_d, true, false },
};

/* --- running --- */

static void report(const struct insn *in, const uint64_t *x, uint32_t mode, uint32_t rm, uint64_t got,
		   uint32_t got_flags, uint64_t want, uint32_t want_flags)
{
	if (wrong++ >= 20)
		return;
	printf("%s mode %u frm %u: %#" PRIx64 " %#" PRIx64 " %#" PRIx64 " gives %#" PRIx64 " flags %#x, want %#" PRIx64
	       " flags %#x\n", in->name, mode, rm, x[0], x[1], x[2], got, got_flags, want, want_flags);
}

/* `mode` is that of the instruction, `rm` what stands in fcsr. */
static void check_mode(const struct insn *in, const uint64_t *x, uint32_t mode, uint32_t rm)
{
	uint32_t before = checked & 7 ? 0 : (uint32_t)random64() & 31, want_flags = before;

	set_csr(rm, before);
	uint64_t got = in->run[in->modes ? mode : 0](x[0], x[1], x[2]);
	uint32_t got_flags = get_flags();
	uint64_t want = in->want(x[0], x[1], x[2], mode == DYNAMIC ? rm : mode, &want_flags);
	checked++;
	if (got != want || got_flags != want_flags)
		report(in, x, mode, rm, got, got_flags, want, want_flags);
}

static void check_insn(const struct insn *in, const uint64_t *x)
{
	for (uint32_t rm = 0; rm < MODES; rm++) {
		check_mode(in, x, DYNAMIC, rm);
		if (in->modes)
			check_mode(in, x, rm, (rm + 3) % MODES);
	}
}

static const uint32_t singles[] = {
	0, 1, 0x7fffff, 0x800000, 0x800001, 0xffffff, 0x1000000, 0x33800000, 0x34000000, 0x3effffff, 0x3f000000,
	0x3f7fffff, 0x3f800000, 0x3f800001, 0x3fc00000, 0x40200000, 0x4b7fffff, 0x4b800000, 0x4effffff, 0x4f000000,
	0x4f800000, 0x5effffff, 0x5f000000, 0x5f800000, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fc00000, 0x7fffffff,
};
static const uint64_t doubles[] = {
	0, 1, 0xfffffffffffff, 0x10000000000000, 0x10000000000001, 0x1fffffffffffff, 0x3690000000000000,
	0x36a0000000000000, 0x380fffffffffffff, 0x3810000000000000, 0x3ca0000000000000, 0x3cb0000000000000,
	0x3fdfffffffffffff, 0x3fe0000000000000, 0x3fefffffffffffff, 0x3ff0000000000000, 0x3ff0000000000001,
	0x3ff8000000000000, 0x4004000000000000, 0x41dfffffffc00000, 0x41dfffffffe00000, 0x41e0000000000000,
	0x41efffffffe00000, 0x41effffffff00000, 0x41f0000000000000, 0x4330000000000000, 0x43dfffffffffffff,
	0x43e0000000000000, 0x43f0000000000000, 0x47efffffe0000000, 0x47efffffefffffff, 0x47f0000000000000,
	0x7fefffffffffffff, 0x7ff0000000000000, 0x7ff0000000000001, 0x7ff8000000000000, 0x7fffffffffffffff,
};
#define SINGLES (2 * sizeof(singles) / sizeof(*singles))
#define DOUBLES (2 * sizeof(doubles) / sizeof(*doubles))

static uint64_t boundary(bool single, size_t i)
{
	if (single)
		return BOX | singles[i / 2] | (uint32_t)(i & 1) << 31;
	return doubles[i / 2] | (uint64_t)(i & 1) << 63;
}

/* Exponents near one meet, fractions of few bits make ties; now and then a single that is not boxed. */
static uint64_t random_operand(bool single)
{
	uint64_t r = random64(), fraction = random64();

	if (!(r & 7))
		return boundary(single, r / 8 % (single ? SINGLES : DOUBLES));
	if (r & 8)
		fraction <<= r >> 32 & 63;
	if (single) {
		uint32_t exponent = (uint32_t)(r & 16 ? 97 + (r >> 8) % 60 : r >> 8 & 255);
		uint64_t bits = (r & 32 ? 1u << 31 : 0) | exponent << 23 | (fraction >> 41 & 0x7fffff);
		return (r >> 20 & 31) ? BOX | bits : (fraction & BOX) | bits;
	}
	uint64_t exponent = r & 16 ? 963 + (r >> 8) % 120 : r >> 8 & 2047;
	return (r & 32 ? (uint64_t)1 << 63 : 0) | exponent << 52 | fraction >> 12;
}

static void check_boundaries(const struct insn *in)
{
	size_t n = in->single ? SINGLES : DOUBLES;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			uint64_t x[3] = { boundary(in->single, i), boundary(in->single, j),
					  boundary(in->single, (i * 7 + j * 3) % n) };
			check_insn(in, x);
		}
}

static void check_random(const struct insn *in, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t x[3] = { random_operand(in->single), random_operand(in->single), random_operand(in->single) };
		check_insn(in, x);
	}
}

/* frm with a value that no mode has makes the dynamic form illegal; frm is not asked by forms that need none. */
static void check_fcsr(void)
{
	uint32_t value;

	__asm__ volatile("fscsr %1\n\tfrcsr %0" : "=r"(value) : "r"(0xffffff5f));
	wrong += value != 0x5f;
	__asm__ volatile("fsrm %1\n\tfrcsr %0" : "=r"(value) : "r"(0x9));
	wrong += value != 0x3f;
	__asm__ volatile("fsflags %1\n\tfrcsr %0" : "=r"(value) : "r"(0x42));
	wrong += value != 0x22;
	checked += 3;
	printf("MORTISE-TEST: fcsr %s\n", wrong ? "FAIL" : "ok");
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 0) : FP_COUNT;

	random_state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	check_fcsr();
	for (size_t i = 0; i < sizeof(insns) / sizeof(*insns); i++) {
		uint64_t before = wrong;
		check_boundaries(&insns[i]);
		check_random(&insns[i], count);
		printf("MORTISE-TEST: %s %s\n", insns[i].name, wrong == before ? "ok" : "FAIL");
		fflush(stdout);
	}
	printf("%" PRIu64 " results, %" PRIu64 " wrong\nMORTISE-TEST: fp %s\n", checked, wrong, wrong ? "FAIL" : "ok");
	return wrong != 0;
}
