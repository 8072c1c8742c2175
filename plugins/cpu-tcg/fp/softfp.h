/* SPDX-License-Identifier: MIT */
/*
 * IEEE 754 binary16, binary32 and binary64 arithmetic on integers: the oracle of the hosts' FP code, the interpreter's
 * FP, and what a host calls for what its hardware cannot do (rounding to nearest, ties away).
 * RISC-V rules: result NaNs are canonical (0x7e00, 0x7fc00000,
 * 0x7ff8000000000000), tininess is detected after
 * rounding, conversions saturate, fma(inf, 0, qNaN) raises invalid. Any thread; no state but *flags, into
 * which flags are or-ed in RISC-V's order.
 */
#ifndef TCG_SOFTFP_H
#define TCG_SOFTFP_H

#include <stdint.h>

#define SF_NX 1u
#define SF_UF 2u
#define SF_OF 4u
#define SF_DZ 8u
#define SF_NV 16u

/* Rounding modes as IR_RM_*: 0 nearest even, 1 to zero, 2 down, 3 up, 4 nearest, ties away. */

uint32_t sf_add_s(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags);
uint32_t sf_sub_s(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags);
uint32_t sf_mul_s(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags);
uint32_t sf_div_s(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags);
uint32_t sf_sqrt_s(uint32_t a, uint32_t rm, uint32_t *flags);
/* signs: bit 0 negates the product, bit 1 the addend */
uint32_t sf_fma_s(uint32_t a, uint32_t b, uint32_t c, uint32_t signs, uint32_t rm, uint32_t *flags);
uint32_t sf_min_s(uint32_t a, uint32_t b, uint32_t *flags);
uint32_t sf_max_s(uint32_t a, uint32_t b, uint32_t *flags);
/* cmp as enum ir_fcmp: 0 eq (quiet), 1 lt, 2 le (signalling) */
uint32_t sf_cmp_s(uint32_t a, uint32_t b, uint32_t cmp, uint32_t *flags);
/* fclass result of the RISC-V F extension, bits 0..9 */
uint32_t sf_class_s(uint32_t a);

uint64_t sf_add_d(uint64_t a, uint64_t b, uint32_t rm, uint32_t *flags);
uint64_t sf_sub_d(uint64_t a, uint64_t b, uint32_t rm, uint32_t *flags);
uint64_t sf_mul_d(uint64_t a, uint64_t b, uint32_t rm, uint32_t *flags);
uint64_t sf_div_d(uint64_t a, uint64_t b, uint32_t rm, uint32_t *flags);
uint64_t sf_sqrt_d(uint64_t a, uint32_t rm, uint32_t *flags);
uint64_t sf_fma_d(uint64_t a, uint64_t b, uint64_t c, uint32_t signs, uint32_t rm, uint32_t *flags);
uint64_t sf_min_d(uint64_t a, uint64_t b, uint32_t *flags);
uint64_t sf_max_d(uint64_t a, uint64_t b, uint32_t *flags);
uint32_t sf_cmp_d(uint64_t a, uint64_t b, uint32_t cmp, uint32_t *flags);
uint32_t sf_class_d(uint64_t a);

uint32_t sf_add_h(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags);
uint32_t sf_sub_h(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags);
uint32_t sf_mul_h(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags);
uint32_t sf_div_h(uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags);
uint32_t sf_sqrt_h(uint32_t a, uint32_t rm, uint32_t *flags);
uint32_t sf_fma_h(uint32_t a, uint32_t b, uint32_t c, uint32_t signs, uint32_t rm, uint32_t *flags);
uint32_t sf_min_h(uint32_t a, uint32_t b, uint32_t *flags);
uint32_t sf_max_h(uint32_t a, uint32_t b, uint32_t *flags);
uint32_t sf_cmp_h(uint32_t a, uint32_t b, uint32_t cmp, uint32_t *flags);
uint32_t sf_class_h(uint32_t a);

/* kind as enum ir_cvt: 0 i32, 1 u32, 2 i64, 3 u64; 32-bit results are sign-extended to 64 bits */
uint64_t sf_to_int_s(uint32_t a, uint32_t kind, uint32_t rm, uint32_t *flags);
uint64_t sf_to_int_d(uint64_t a, uint32_t kind, uint32_t rm, uint32_t *flags);
uint32_t sf_from_int_s(uint64_t a, uint32_t kind, uint32_t rm, uint32_t *flags);
uint64_t sf_from_int_d(uint64_t a, uint32_t kind, uint32_t rm, uint32_t *flags);
uint64_t sf_to_int_h(uint32_t a, uint32_t kind, uint32_t rm, uint32_t *flags);
uint32_t sf_from_int_h(uint64_t a, uint32_t kind, uint32_t rm, uint32_t *flags);
uint32_t sf_s_to_h(uint32_t a, uint32_t rm, uint32_t *flags);
uint32_t sf_d_to_h(uint64_t a, uint32_t rm, uint32_t *flags);
uint32_t sf_h_to_s(uint32_t a, uint32_t *flags);
uint64_t sf_h_to_d(uint32_t a, uint32_t *flags);
uint32_t sf_d_to_s(uint64_t a, uint32_t rm, uint32_t *flags);
uint64_t sf_s_to_d(uint32_t a, uint32_t *flags);

#endif
