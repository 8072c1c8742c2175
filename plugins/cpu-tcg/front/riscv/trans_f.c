/* SPDX-License-Identifier: MIT */
/*
 * F and D (Unprivileged ISA, "F" and "D" Extension) and Zfh. Single-precision values live NaN-boxed in the
 * 64-bit registers: arithmetic unboxes its operands and boxes its result, moves and stores take the bits as
 * they are. Half precision, which programs hardly compute in, is a helper's matter but for moves.
 *
 * Easy to break: each handler first asks fp_ready(), which refuses the instruction when mstatus.FS is off,
 * and in a context that has FS not yet dirty marks it so and starts the instruction again in the new
 * context. So most blocks carry no code for FS at all. Marking is imprecise in the allowed way: an
 * instruction that then faults, or only reads, may have marked it.
 */
#include "trans.h"

static bool fp_readable(struct rv_trans *t, const struct rv_insn *i)
{
	if (t->flags & RV_FLAG_FS_ON)
		return true;
	rv_illegal(t, i);
	return false;
}

static bool fp_ready(struct rv_trans *t, const struct rv_insn *i)
{
	if (!fp_readable(t, i))
		return false;
	if (t->flags & RV_FLAG_FS_DIRTY)
		return true;
	ir_call(t->b, IR_NONE, RVH_FS_DIRTY, IR_NONE, IR_NONE, IR_NONE);
	ir_exit_ctx(t->b, t->pc);
	t->done = true;
	return false;
}

/* The rounding mode for the IR; false: reserved, the instruction is illegal. */
static bool rounding(struct rv_trans *t, const struct rv_insn *i, uint32_t *rm)
{
	*rm = i->rm;
	if (i->rm == 7 && (t->flags & RV_FLAG_FRM_RMM))
		*rm = IR_RM_RMM;
	else if (i->rm == 7 && !(t->flags & RV_FLAG_FRM_BAD))
		*rm = IR_RM_DYN;
	else if (i->rm > 4) {
		rv_illegal(t, i);
		return false;
	}
	return true;
}

static bool fp_rounded(struct rv_trans *t, const struct rv_insn *i, uint32_t *rm)
{
	/* a reserved mode is illegal before FS is touched */
	return fp_readable(t, i) && rounding(t, i, rm) && fp_ready(t, i);
}

static ir_val f_single(struct rv_trans *t, uint32_t reg)
{
	return ir_op1(t->b, IR_funbox, IR_NONE, RV_GLOBAL_F(reg));
}

static void f_box(struct rv_trans *t, uint32_t reg, ir_val value)
{
	ir_op1(t->b, IR_fbox, RV_GLOBAL_F(reg), value);
}

static ir_val x_dst(struct rv_trans *t, uint32_t reg)
{
	/* even for x0 the flags of the operation are wanted */
	return rv_dst_or_temp(t, reg);
}

/* Base and displacement, as for integer loads. */
static ir_val f_address(struct rv_trans *t, const struct rv_insn *i, int64_t *disp)
{
	*disp = i->imm;
	if (!rv_is_known(t, i->rs1))
		return RV_GLOBAL_X(i->rs1);
	*disp = 0;
	return ir_movi(t->b, IR_NONE, (int64_t)((i->rs1 ? t->value[i->rs1] : 0) + (uint64_t)i->imm));
}

static uint8_t f_mem(const struct rv_insn *i, uint32_t size)
{
	return (uint8_t)(size | (i->rs1 == 2 ? IRM_STACK : 0));
}

void rv_t_fload_s(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	int64_t disp;

	(void)arg;
	if (!fp_ready(t, i))
		return;
	ir_val base = f_address(t, i, &disp);
	f_box(t, i->rd, ir_ld(t->b, IR_NONE, base, disp, f_mem(i, IRM_32)));
}

void rv_t_fload_d(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	int64_t disp;

	(void)arg;
	if (!fp_ready(t, i))
		return;
	ir_val base = f_address(t, i, &disp);
	ir_ld(t->b, RV_GLOBAL_F(i->rd), base, disp, f_mem(i, IRM_64));
}

void rv_t_fstore(struct rv_trans *t, const struct rv_insn *i, uint32_t size)
{
	int64_t disp;

	if (!fp_readable(t, i))
		return;
	ir_val base = f_address(t, i, &disp);
	ir_st(t->b, base, disp, RV_GLOBAL_F(i->rs2), f_mem(i, size));
}

void rv_t_farith_s(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	uint32_t rm;

	if (!fp_rounded(t, i, &rm))
		return;
	ir_val a = f_single(t, i->rs1), b = f_single(t, i->rs2);
	f_box(t, i->rd, ir_fp2(t->b, op, IR_NONE, a, b, rm));
}

void rv_t_farith_d(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	uint32_t rm;

	if (fp_rounded(t, i, &rm))
		ir_fp2(t->b, op, RV_GLOBAL_F(i->rd), RV_GLOBAL_F(i->rs1), RV_GLOBAL_F(i->rs2), rm);
}

void rv_t_fsqrt_s(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	uint32_t rm;

	(void)arg;
	if (fp_rounded(t, i, &rm))
		f_box(t, i->rd, ir_fp1(t->b, IR_fsqrt_s, IR_NONE, f_single(t, i->rs1), rm));
}

void rv_t_fsqrt_d(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	uint32_t rm;

	(void)arg;
	if (fp_rounded(t, i, &rm))
		ir_fp1(t->b, IR_fsqrt_d, RV_GLOBAL_F(i->rd), RV_GLOBAL_F(i->rs1), rm);
}

void rv_t_fma_s(struct rv_trans *t, const struct rv_insn *i, uint32_t signs)
{
	uint32_t rm;

	if (!fp_rounded(t, i, &rm))
		return;
	ir_val a = f_single(t, i->rs1), b = f_single(t, i->rs2), c = f_single(t, i->rs3);
	f_box(t, i->rd, ir_fma(t->b, IR_fma_s, IR_NONE, a, b, c, rm, signs));
}

void rv_t_fma_d(struct rv_trans *t, const struct rv_insn *i, uint32_t signs)
{
	uint32_t rm;

	if (fp_rounded(t, i, &rm))
		ir_fma(t->b, IR_fma_d, RV_GLOBAL_F(i->rd), RV_GLOBAL_F(i->rs1), RV_GLOBAL_F(i->rs2),
		       RV_GLOBAL_F(i->rs3), rm, signs);
}

/*
 * Sign injection as integer ops: kind 0 = the sign of b, 1 = its inverse, 2 = xor of both. With b = a
 * these are move, negate and absolute value.
 */
static ir_val sign_inject(struct rv_trans *t, ir_val d, ir_val a, ir_val b, uint32_t kind, uint64_t sign)
{
	int64_t others = (int64_t)(sign - 1);

	if (kind == 2) {
		ir_val s = ir_op2i(t->b, IR_and, IR_NONE, b, (int64_t)sign);
		return ir_op2(t->b, IR_xor, d, a, s);
	}
	if (kind == 1)
		b = ir_op2i(t->b, IR_xor, IR_NONE, b, (int64_t)sign);
	ir_val s = ir_op2i(t->b, IR_and, IR_NONE, b, (int64_t)sign);
	ir_val m = ir_op2i(t->b, IR_and, IR_NONE, a, others);
	return ir_op2(t->b, IR_or, d, m, s);
}

static ir_val sign_inject_self(struct rv_trans *t, ir_val d, ir_val a, uint32_t kind, uint64_t sign)
{
	switch (kind) {
	case 0:  return ir_op1(t->b, IR_mov, d, a);
	case 1:  return ir_op2i(t->b, IR_xor, d, a, (int64_t)sign);
	default: return ir_op2i(t->b, IR_and, d, a, (int64_t)(sign - 1));
	}
}

void rv_t_fsgnj_s(struct rv_trans *t, const struct rv_insn *i, uint32_t kind)
{
	uint64_t sign = UINT64_C(1) << 31;

	if (!fp_ready(t, i))
		return;
	ir_val a = f_single(t, i->rs1);
	if (i->rs1 == i->rs2)
		a = kind == 0 ? a : sign_inject_self(t, IR_NONE, a, kind, sign);
	else
		a = sign_inject(t, IR_NONE, a, f_single(t, i->rs2), kind, sign);
	f_box(t, i->rd, a);
}

void rv_t_fsgnj_d(struct rv_trans *t, const struct rv_insn *i, uint32_t kind)
{
	uint64_t sign = UINT64_C(1) << 63;

	if (!fp_ready(t, i))
		return;
	if (i->rs1 == i->rs2)
		sign_inject_self(t, RV_GLOBAL_F(i->rd), RV_GLOBAL_F(i->rs1), kind, sign);
	else
		sign_inject(t, RV_GLOBAL_F(i->rd), RV_GLOBAL_F(i->rs1), RV_GLOBAL_F(i->rs2), kind, sign);
}

void rv_t_fminmax_s(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	if (!fp_ready(t, i))
		return;
	ir_val a = f_single(t, i->rs1), b = f_single(t, i->rs2);
	f_box(t, i->rd, ir_op2(t->b, op, IR_NONE, a, b));
}

void rv_t_fminmax_d(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	if (fp_ready(t, i))
		ir_op2(t->b, op, RV_GLOBAL_F(i->rd), RV_GLOBAL_F(i->rs1), RV_GLOBAL_F(i->rs2));
}

void rv_t_fcompare_s(struct rv_trans *t, const struct rv_insn *i, uint32_t cmp)
{
	if (!fp_ready(t, i))
		return;
	ir_val a = f_single(t, i->rs1), b = f_single(t, i->rs2);
	ir_fcmp(t->b, IR_fcmp_s, x_dst(t, i->rd), cmp, a, b);
}

void rv_t_fcompare_d(struct rv_trans *t, const struct rv_insn *i, uint32_t cmp)
{
	if (fp_ready(t, i))
		ir_fcmp(t->b, IR_fcmp_d, x_dst(t, i->rd), cmp, RV_GLOBAL_F(i->rs1), RV_GLOBAL_F(i->rs2));
}

void rv_t_fclass(struct rv_trans *t, const struct rv_insn *i, uint32_t helper)
{
	if (!fp_readable(t, i) || !i->rd)
		return;
	ir_val a = helper == RVH_FCLASS_S ? f_single(t, i->rs1) : RV_GLOBAL_F(i->rs1);
	ir_call(t->b, rv_dst(t, i->rd), helper, a, IR_NONE, IR_NONE);
}

void rv_t_fcvt_i_s(struct rv_trans *t, const struct rv_insn *i, uint32_t kind)
{
	uint32_t rm;

	if (!fp_rounded(t, i, &rm))
		return;
	ir_val a = f_single(t, i->rs1);
	ir_fcvt(t->b, IR_fcvt_i_s, x_dst(t, i->rd), a, rm, kind);
}

void rv_t_fcvt_i_d(struct rv_trans *t, const struct rv_insn *i, uint32_t kind)
{
	uint32_t rm;

	if (fp_rounded(t, i, &rm))
		ir_fcvt(t->b, IR_fcvt_i_d, x_dst(t, i->rd), RV_GLOBAL_F(i->rs1), rm, kind);
}

void rv_t_fcvt_s_i(struct rv_trans *t, const struct rv_insn *i, uint32_t kind)
{
	uint32_t rm;

	if (fp_rounded(t, i, &rm))
		f_box(t, i->rd, ir_fcvt(t->b, IR_fcvt_s_i, IR_NONE, rv_src(t, i->rs1), rm, kind));
}

void rv_t_fcvt_d_i(struct rv_trans *t, const struct rv_insn *i, uint32_t kind)
{
	uint32_t rm;

	if (fp_rounded(t, i, &rm))
		ir_fcvt(t->b, IR_fcvt_d_i, RV_GLOBAL_F(i->rd), rv_src(t, i->rs1), rm, kind);
}

void rv_t_fcvt_s_d(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	uint32_t rm;

	(void)arg;
	if (fp_rounded(t, i, &rm))
		f_box(t, i->rd, ir_fp1(t->b, IR_fcvt_s_d, IR_NONE, RV_GLOBAL_F(i->rs1), rm));
}

void rv_t_fcvt_d_s(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	uint32_t rm;

	(void)arg;
	if (fp_rounded(t, i, &rm))
		ir_fp1(t->b, IR_fcvt_d_s, RV_GLOBAL_F(i->rd), f_single(t, i->rs1), rm);
}

void rv_t_fmv_x_w(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	if (fp_readable(t, i) && i->rd)
		ir_op1(t->b, IR_ext32s, rv_dst(t, i->rd), RV_GLOBAL_F(i->rs1));
}

void rv_t_fmv_x_d(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	if (fp_readable(t, i) && i->rd)
		ir_op1(t->b, IR_mov, rv_dst(t, i->rd), RV_GLOBAL_F(i->rs1));
}

void rv_t_fmv_w_x(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	if (fp_ready(t, i))
		f_box(t, i->rd, rv_src(t, i->rs1));
}

void rv_t_fmv_d_x(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	if (!fp_ready(t, i))
		return;
	if (i->rs1)
		ir_op1(t->b, IR_mov, RV_GLOBAL_F(i->rd), RV_GLOBAL_X(i->rs1));
	else
		ir_movi(t->b, RV_GLOBAL_F(i->rd), 0);
}

/* --- half precision --- */

static void h_box(struct rv_trans *t, uint32_t reg, ir_val value)
{
	ir_val low = ir_op1(t->b, IR_ext16u, IR_NONE, value);
	ir_op2i(t->b, IR_or, RV_GLOBAL_F(reg), low, -65536);
}

void rv_t_fload_h(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	int64_t disp;

	(void)arg;
	if (!fp_ready(t, i))
		return;
	ir_val base = f_address(t, i, &disp);
	ir_val value = ir_ld(t->b, IR_NONE, base, disp, f_mem(i, IRM_16));
	ir_op2i(t->b, IR_or, RV_GLOBAL_F(i->rd), value, -65536);
}

void rv_t_fmv_x_h(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	if (fp_readable(t, i) && i->rd)
		ir_op1(t->b, IR_ext16s, rv_dst(t, i->rd), RV_GLOBAL_F(i->rs1));
}

void rv_t_fmv_h_x(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	if (fp_ready(t, i))
		h_box(t, i->rd, rv_src(t, i->rs1));
}

/* The helper reads its operands from the registers that the word names. */
void rv_t_half(struct rv_trans *t, const struct rv_insn *i, uint32_t kind)
{
	uint32_t rm = IR_RM_RNE;

	if ((kind & RV_HALF_D) && !(t->exts & RV_BIT(D))) {
		rv_illegal(t, i);
		return;
	}
	if (kind & RV_HALF_EXACT ? !fp_ready(t, i) : !fp_rounded(t, i, &rm))
		return;
	ir_val word = ir_movi(t->b, IR_NONE, i->raw), op = ir_movi(t->b, IR_NONE, i->op);
	ir_val mode = ir_movi(t->b, IR_NONE, rm);
	ir_call(t->b, kind & RV_HALF_F ? RV_GLOBAL_F(i->rd) : x_dst(t, i->rd), RVH_HALF, word, op, mode);
}
