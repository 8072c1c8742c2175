/* SPDX-License-Identifier: MIT */
/*
 * Half precision (Unprivileged ISA, "Zfh and Zfhmin"): every instruction that computes, by the integer arithmetic of
 * fp/softfp.c, on the vCPU's own thread. Operands are read from the registers, where translated code has put them; a
 * half that is not NaN-boxed counts as the canonical NaN. The result goes back boxed, for the register that the
 * translator names.
 */
#include "decode.h"
#include "fp/softfp.h"
#include "ir/ir.h"
#include "state.h"

uint64_t rvh_half(struct tcg_env *env, uint64_t insn, uint64_t op, uint64_t mode);

#define HALF_NAN 0x7e00u
#define SINGLE_NAN 0x7fc00000u
#define HALF_SIGN 0x8000u

static uint32_t unbox_h(uint64_t value)
{
	return value >> 16 == 0xffffffffffffu ? (uint16_t)value : HALF_NAN;
}

static uint32_t unbox_s(uint64_t value)
{
	return value >> 32 == 0xffffffffu ? (uint32_t)value : SINGLE_NAN;
}

static uint64_t box_h(uint32_t value)
{
	return value | ~UINT64_C(0xffff);
}

static uint64_t box_s(uint32_t value)
{
	return value | ~UINT64_C(0xffffffff);
}

static uint64_t arithmetic(uint64_t op, uint32_t a, uint32_t b, uint32_t rm, uint32_t *flags)
{
	switch (op) {
	case RV_fadd_h:   return box_h(sf_add_h(a, b, rm, flags));
	case RV_fsub_h:   return box_h(sf_sub_h(a, b, rm, flags));
	case RV_fmul_h:   return box_h(sf_mul_h(a, b, rm, flags));
	case RV_fdiv_h:   return box_h(sf_div_h(a, b, rm, flags));
	case RV_fsqrt_h:  return box_h(sf_sqrt_h(a, rm, flags));
	case RV_fmin_h:   return box_h(sf_min_h(a, b, flags));
	case RV_fmax_h:   return box_h(sf_max_h(a, b, flags));
	case RV_fsgnj_h:  return box_h((a & ~HALF_SIGN) | (b & HALF_SIGN));
	case RV_fsgnjn_h: return box_h((a & ~HALF_SIGN) | (~b & HALF_SIGN));
	case RV_fsgnjx_h: return box_h(a ^ (b & HALF_SIGN));
	case RV_feq_h:    return sf_cmp_h(a, b, IR_FCMP_EQ, flags);
	case RV_flt_h:    return sf_cmp_h(a, b, IR_FCMP_LT, flags);
	case RV_fle_h:    return sf_cmp_h(a, b, IR_FCMP_LE, flags);
	default:          return sf_class_h(a);
	}
}

/* From a half; rs2's place in the encoding is the kind of integer. */
static uint64_t from_half(uint64_t op, uint32_t a, uint32_t kind, uint32_t rm, uint32_t *flags)
{
	switch (op) {
	case RV_fcvt_s_h: return box_s(sf_h_to_s(a, flags));
	case RV_fcvt_d_h: return sf_h_to_d(a, flags);
	default:          return sf_to_int_h(a, kind, rm, flags);
	}
}

static uint64_t fused(uint64_t op, uint32_t a, uint32_t b, uint32_t c, uint32_t rm, uint32_t *flags)
{
	uint32_t signs = (op == RV_fnmsub_h || op == RV_fnmadd_h ? IR_FMA_NEG_PRODUCT : 0) |
			 (op == RV_fmsub_h || op == RV_fnmadd_h ? IR_FMA_NEG_ADDEND : 0);

	return box_h(sf_fma_h(a, b, c, signs, rm, flags));
}

uint64_t rvh_half(struct tcg_env *env, uint64_t insn, uint64_t op, uint64_t mode)
{
	const struct rv_state *s = rv_state(env);
	uint32_t rs1 = insn >> 15 & 31, rs2 = insn >> 20 & 31, rs3 = insn >> 27 & 31;
	uint32_t rm = mode == IR_RM_DYN ? env->frm : (uint32_t)mode, *flags = &env->fflags;
	uint32_t a = unbox_h(s->f[rs1]);

	switch (op) {
	case RV_fcvt_h_s: return box_h(sf_s_to_h(unbox_s(s->f[rs1]), rm, flags));
	case RV_fcvt_h_d: return box_h(sf_d_to_h(s->f[rs1], rm, flags));
	case RV_fcvt_h_w: case RV_fcvt_h_wu: case RV_fcvt_h_l: case RV_fcvt_h_lu:
		return box_h(sf_from_int_h(s->x[rs1], rs2, rm, flags));
	case RV_fcvt_s_h: case RV_fcvt_d_h:
	case RV_fcvt_w_h: case RV_fcvt_wu_h: case RV_fcvt_l_h: case RV_fcvt_lu_h:
		return from_half(op, a, rs2, rm, flags);
	case RV_fmadd_h: case RV_fmsub_h: case RV_fnmsub_h: case RV_fnmadd_h:
		return fused(op, a, unbox_h(s->f[rs2]), unbox_h(s->f[rs3]), rm, flags);
	default:
		return arithmetic(op, a, unbox_h(s->f[rs2]), rm, flags);
	}
}
