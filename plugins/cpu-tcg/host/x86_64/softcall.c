/* SPDX-License-Identifier: MIT */
/*
 * FP ops that the host's instructions do not do: rounding to nearest with ties away, and whatever a processor
 * lacks. Called from translated code with the guest's MXCSR, so it must not do floating point of its own.
 */
#include "fp/softfp.h"
#include "host/x86_64/lower.h"

static uint64_t single(uint32_t opcode, uint32_t aux, uint32_t a, uint32_t b, uint32_t c, uint32_t rm,
		       uint32_t *flags)
{
	switch (opcode) {
	case IR_fadd_s: return sf_add_s(a, b, rm, flags);
	case IR_fsub_s: return sf_sub_s(a, b, rm, flags);
	case IR_fmul_s: return sf_mul_s(a, b, rm, flags);
	case IR_fdiv_s: return sf_div_s(a, b, rm, flags);
	case IR_fsqrt_s: return sf_sqrt_s(a, rm, flags);
	case IR_fma_s: return sf_fma_s(a, b, c, aux, rm, flags);
	case IR_fmin_s: return sf_min_s(a, b, flags);
	case IR_fmax_s: return sf_max_s(a, b, flags);
	case IR_fcmp_s: return sf_cmp_s(a, b, aux, flags);
	case IR_fcvt_i_s: return sf_to_int_s(a, aux, rm, flags);
	default: return sf_s_to_d(a, flags);
	}
}

static uint64_t wide(uint32_t opcode, uint32_t aux, uint64_t a, uint64_t b, uint64_t c, uint32_t rm,
		     uint32_t *flags)
{
	switch (opcode) {
	case IR_fadd_d: return sf_add_d(a, b, rm, flags);
	case IR_fsub_d: return sf_sub_d(a, b, rm, flags);
	case IR_fmul_d: return sf_mul_d(a, b, rm, flags);
	case IR_fdiv_d: return sf_div_d(a, b, rm, flags);
	case IR_fsqrt_d: return sf_sqrt_d(a, rm, flags);
	case IR_fma_d: return sf_fma_d(a, b, c, aux, rm, flags);
	case IR_fmin_d: return sf_min_d(a, b, flags);
	case IR_fmax_d: return sf_max_d(a, b, flags);
	case IR_fcmp_d: return sf_cmp_d(a, b, aux, flags);
	case IR_fcvt_i_d: return sf_to_int_d(a, aux, rm, flags);
	case IR_fcvt_s_i: return sf_from_int_s(a, aux, rm, flags);
	case IR_fcvt_d_i: return sf_from_int_d(a, aux, rm, flags);
	default: return sf_d_to_s(a, rm, flags);
	}
}

static bool takes_singles(uint32_t opcode)
{
	return (opcode >= IR_fadd_s && opcode <= IR_fcmp_s) || opcode == IR_fcvt_i_s || opcode == IR_fcvt_d_s;
}

uint64_t x86_softfp(struct tcg_env *env, uint32_t descriptor, uint64_t a, uint64_t b, uint64_t c)
{
	uint32_t opcode = descriptor & 0xffu, rm = descriptor >> 8 & 0xffu, aux = descriptor >> 16;

	if (rm == IR_RM_DYN)
		rm = env->frm;
	if (takes_singles(opcode))
		return single(opcode, aux, (uint32_t)a, (uint32_t)b, (uint32_t)c, rm, &env->fflags);
	return wide(opcode, aux, a, b, c, rm, &env->fflags);
}
