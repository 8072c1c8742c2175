/* SPDX-License-Identifier: MIT */
/*
 * Far code of FP ops: NaN results, saturated conversions, equal and unordered operands of minimum and
 * maximum.
 */
#include "host/x86_64/lower.h"

static void load_const(struct x86_lower *l, uint8_t xmm, enum x86_const k)
{
	x86_xop(l, OP_MOVSD, xmm, x86_const(l, k));
}

static void canonical_nan(struct x86_lower *l, const struct x86_far *f)
{
	load_const(l, f->reg, f->dbl ? K_NAN_D : f->flag ? K_NAN_S_BOXED : K_NAN_S);
}

static void raise_invalid(struct x86_lower *l)
{
	x86_xop(l, OP_UCOMI(1), 1, x86_const(l, K_SNAN_D));
}

static void fma_nan(struct x86_lower *l, const struct x86_far *f)
{
	x86_to_gpr(l, RAX, f->a);
	x86_to_gpr(l, RCX, f->b);
	x86_call(&l->e, l->s->stubs.fma_check[f->dbl]);
	canonical_nan(l, f);
}

/* The flags are those of the comparison: parity when unordered. */
static void minmax(struct x86_lower *l, const struct x86_far *f)
{
	uint32_t unordered = x86_jcc(&l->e, CC_P, 0), take_a, take_nan;

	/* equal, perhaps zeros of both signs: the minimum is negative if either is */
	x86_xop3(l, f->reg2 ? OP_ANDPS : OP_ORPS, f->reg, f->a.reg, x86_reg(f->b.reg));
	x86_jmp(&l->e, f->back);
	x86_bind(&l->e, unordered, x86_at(&l->e));
	x86_xop(l, OP_UCOMI(f->dbl), f->a.reg, x86_reg(f->a.reg));
	take_a = x86_jcc(&l->e, CC_NP, 0);
	x86_xop(l, OP_UCOMI(f->dbl), f->b.reg, x86_reg(f->b.reg));
	take_nan = x86_jcc(&l->e, CC_P, 0);
	x86_mov_xmm(l, f->reg, f->b.reg);
	x86_jmp(&l->e, f->back);
	x86_bind(&l->e, take_nan, x86_at(&l->e));
	canonical_nan(l, f);
	x86_jmp(&l->e, f->back);
	x86_bind(&l->e, take_a, x86_at(&l->e));
	x86_mov_xmm(l, f->reg, f->a.reg);
}

/* Compares the operand with zero; uses xmm1. Returns the site of a branch taken when it is negative. */
static uint32_t branch_negative(struct x86_lower *l, const struct x86_far *f)
{
	uint32_t nan, negative;

	x86_xop3(l, OP_XORPS, 1, 1, x86_reg(1));
	x86_xop(l, OP_UCOMI(f->dbl), f->a.reg, x86_reg(1));
	nan = x86_jcc(&l->e, CC_P, 0);
	negative = x86_jcc(&l->e, CC_B, 0);
	x86_bind(&l->e, nan, x86_at(&l->e));
	return negative;
}

/* The smallest integer is right for what is negative; the others saturate upwards. */
static void to_int(struct x86_lower *l, const struct x86_far *f)
{
	uint32_t negative = branch_negative(l, f);

	x86_mov_imm(&l->e, f->reg, f->flag ? INT64_MAX : INT32_MAX);
	x86_bind(&l->e, negative, x86_at(&l->e));
}

static void to_unsigned(struct x86_lower *l, const struct x86_far *f)
{
	uint32_t negative;

	raise_invalid(l);
	x86_op(&l->e, OP_XOR, RAX, x86_reg(RAX));
	negative = branch_negative(l, f);
	x86_op(&l->e, OP_GRP3 | X86_W, EXT_NOT, x86_reg(RAX));
	x86_bind(&l->e, negative, x86_at(&l->e));
}

/* xmm1 = the rounded value, at least 2^63: half of it, doubled. */
static void to_u64_big(struct x86_lower *l, const struct x86_far *f)
{
	uint32_t in_range;

	x86_xop3(l, OP_FP(FP_MUL, f->dbl), 1, 1, x86_const(l, f->dbl ? K_HALF_D : K_HALF_S));
	x86_xop(l, OP_FP(FP_CVTTSI, f->dbl) | X86_W, RAX, x86_reg(1));
	x86_alu_imm(&l->e, OP_CMP | X86_W, x86_reg(RAX), 1);
	in_range = x86_jcc(&l->e, CC_NO, 0);
	x86_op_i32(&l->e, X86_OP(0xc7, 0, 0) | X86_W, 0, x86_reg(RAX), -1);
	x86_jmp(&l->e, f->back);
	x86_bind(&l->e, in_range, x86_at(&l->e));
	x86_op(&l->e, OP_ADD | X86_W, RAX, x86_reg(RAX));
}

/* rax, at least 2^63: halved with the lost bit kept as a sticky one, converted and doubled. */
static void from_u64(struct x86_lower *l, const struct x86_far *f)
{
	x86_mov_rr(&l->e, RCX, RAX);
	x86_shift_imm(&l->e, X86_W, EXT_SHR, x86_reg(RCX), 1);
	x86_alu_imm(&l->e, OP_AND, x86_reg(RAX), 1);
	x86_op(&l->e, OP_OR | X86_W, RAX, x86_reg(RCX));
	x86_xop3(l, OP_XORPS, f->reg, f->reg, x86_reg(f->reg));
	x86_xop3(l, OP_FP(FP_CVTSI, f->dbl) | X86_W, f->reg, f->reg, x86_reg(RAX));
	x86_xop3(l, OP_FP(FP_ADD, f->dbl), f->reg, f->reg, x86_reg(f->reg));
}

/* The flags as they were read before; the comparison is false. */
static void quiet(struct x86_lower *l, const struct x86_far *f)
{
	x86_to_gpr(l, RDX, f->a);
	x86_alu_imm(&l->e, OP_AND, x86_reg(RDX), 31);
	x86_op(&l->e, OP_MOV_ST, RDX, x86_mem(R_ENV, ENV_DISP(fflags)));
	x86_call(&l->e, l->s->stubs.fp_clear);
	x86_op(&l->e, OP_XOR, f->reg, x86_reg(f->reg));
}

void x86_far_fp(struct x86_lower *l, const struct x86_far *f)
{
	switch (f->kind) {
	case FAR_NAN:
		canonical_nan(l, f);
		break;
	case FAR_QUIET:
		quiet(l, f);
		break;
	case FAR_FMA_NAN:
		fma_nan(l, f);
		break;
	case FAR_UNBOX:
		load_const(l, f->reg, K_NAN_S_BOXED);
		break;
	case FAR_MINMAX:
		minmax(l, f);
		break;
	case FAR_TO_INT:
		to_int(l, f);
		break;
	case FAR_TO_UNSIGNED:
		to_unsigned(l, f);
		break;
	case FAR_TO_U64_BIG:
		to_u64_big(l, f);
		break;
	case FAR_FROM_U64:
		from_u64(l, f);
		break;
	}
}
