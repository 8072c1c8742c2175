/* SPDX-License-Identifier: MIT */
/*
 * Zba, Zbb and Zbs beyond what is a plain two-operand op (Unprivileged ISA, "B" Extension for Bit
 * Manipulation).
 */
#include "trans.h"

void rv_t_unary(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	if (i->rd) {
		ir_val a = rv_src(t, i->rs1);
		ir_op1(t->b, op, rv_dst(t, i->rd), a);
	}
}

void rv_t_shadd(struct rv_trans *t, const struct rv_insn *i, uint32_t shift)
{
	if (!i->rd)
		return;
	ir_val a = rv_src(t, i->rs2), b = rv_src(t, i->rs1);
	ir_addshl(t->b, rv_dst(t, i->rd), a, b, shift);
}

/* sh1add.uw and its kin; with shift 0 add.uw, of which rs2 = x0 is zext.w */
void rv_t_shadd_uw(struct rv_trans *t, const struct rv_insn *i, uint32_t shift)
{
	if (!i->rd)
		return;
	if (!i->rs2 && !shift) {
		ir_val a = rv_src(t, i->rs1);
		ir_op1(t->b, IR_ext32u, rv_dst(t, i->rd), a);
		return;
	}
	ir_val low = ir_op1(t->b, IR_ext32u, IR_NONE, rv_src(t, i->rs1)), a = rv_src(t, i->rs2);
	ir_addshl(t->b, rv_dst(t, i->rd), a, low, shift);
}

void rv_t_slli_uw(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	if (!i->rd)
		return;
	ir_val low = ir_op1(t->b, IR_ext32u, IR_NONE, rv_src(t, i->rs1));
	ir_op2i(t->b, IR_shl, rv_dst(t, i->rd), low, i->imm);
}

/* bset, bclr, binv: op = or, andn, xor with 1 << index */
void rv_t_bit_rr(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	if (!i->rd)
		return;
	ir_val one = ir_movi(t->b, IR_NONE, 1);
	ir_val bit = ir_op2(t->b, IR_shl, IR_NONE, one, rv_src(t, i->rs2)), a = rv_src(t, i->rs1);
	ir_op2(t->b, op, rv_dst(t, i->rd), a, bit);
}

void rv_t_bit_ri(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	int64_t bit = (int64_t)(UINT64_C(1) << i->imm);

	if (!i->rd)
		return;
	ir_val a = rv_src(t, i->rs1);
	if (op == IR_andn)
		ir_op2i(t->b, IR_and, rv_dst(t, i->rd), a, ~bit);
	else
		ir_op2i(t->b, op, rv_dst(t, i->rd), a, bit);
}

void rv_t_bext_rr(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	if (!i->rd)
		return;
	ir_val a = rv_src(t, i->rs1);
	ir_val shifted = ir_op2(t->b, IR_shr, IR_NONE, a, rv_src(t, i->rs2));
	ir_op2i(t->b, IR_and, rv_dst(t, i->rd), shifted, 1);
}

void rv_t_bext_ri(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	if (!i->rd)
		return;
	ir_val shifted = ir_op2i(t->b, IR_shr, IR_NONE, rv_src(t, i->rs1), i->imm);
	ir_op2i(t->b, IR_and, rv_dst(t, i->rd), shifted, 1);
}
