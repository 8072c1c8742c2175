/* SPDX-License-Identifier: MIT */
/*
 * RV64I, M and Zicond: computation, loads and stores, jumps, branches, fence. (Unprivileged ISA, "RV32I Base Integer
 * Instruction Set", "RV64I", "M" Extension.) Results for x0 are dropped where making them has no effect.
 * Loads for x0 are still made: they may fault or touch a device.
 */
#include "trans.h"

static bool is_mov(uint32_t op, int64_t imm)
{
	return imm == 0 && (op == IR_add || op == IR_or || op == IR_xor);
}

static void mov(struct rv_trans *t, uint32_t rd, uint32_t rs)
{
	if (rd == rs)
		return;
	if (rv_is_known(t, rs))
		rv_set_known(t, rd, rs ? t->value[rs] : 0);
	else
		ir_op1(t->b, IR_mov, rv_dst(t, rd), RV_GLOBAL_X(rs));
}

static uint64_t known_value(const struct rv_trans *t, uint32_t reg)
{
	return reg ? t->value[reg] : 0;
}

void rv_t_alu_rr(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	if (!i->rd)
		return;
	if (is_mov(op, i->rs1) || is_mov(op, i->rs2)) {
		mov(t, i->rd, i->rs1 | i->rs2);
		return;
	}
	ir_val a = rv_src(t, i->rs1), b = rv_src(t, i->rs2);
	ir_op2(t->b, op, rv_dst(t, i->rd), a, b);
}

static uint64_t fold(uint32_t op, uint64_t a, uint64_t imm)
{
	switch (op) {
	case IR_add: return a + imm;
	case IR_and: return a & imm;
	case IR_or:  return a | imm;
	default:     return a ^ imm;
	}
}

void rv_t_alu_ri(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	if (!i->rd)
		return;
	if (rv_is_known(t, i->rs1))
		rv_set_known(t, i->rd, fold(op, known_value(t, i->rs1), (uint64_t)i->imm));
	else if (is_mov(op, i->imm))
		mov(t, i->rd, i->rs1);
	else
		ir_op2i(t->b, op, rv_dst(t, i->rd), RV_GLOBAL_X(i->rs1), i->imm);
}

void rv_t_shift_ri(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	if (!i->rd)
		return;
	if (op == IR_shl && rv_is_known(t, i->rs1))
		rv_set_known(t, i->rd, known_value(t, i->rs1) << i->imm);
	else if (i->imm == 0)
		mov(t, i->rd, i->rs1);
	else
		ir_op2i(t->b, op, rv_dst(t, i->rd), rv_src(t, i->rs1), i->imm);
}

void rv_t_slt_rr(struct rv_trans *t, const struct rv_insn *i, uint32_t cond)
{
	if (!i->rd)
		return;
	if (!i->rs2) {
		ir_setci(t->b, rv_dst(t, i->rd), cond, rv_src(t, i->rs1), 0);
	} else if (!i->rs1) {
		/* 0 < b: b > 0; unsigned, b != 0 (snez) */
		ir_setci(t->b, rv_dst(t, i->rd), cond == IR_LTU ? IR_NE : IR_GT, RV_GLOBAL_X(i->rs2), 0);
	} else {
		ir_setc(t->b, rv_dst(t, i->rd), cond, RV_GLOBAL_X(i->rs1), RV_GLOBAL_X(i->rs2));
	}
}

void rv_t_slt_ri(struct rv_trans *t, const struct rv_insn *i, uint32_t cond)
{
	if (!i->rd)
		return;
	if (cond == IR_LTU && i->imm == 1)      /* seqz */
		ir_setci(t->b, rv_dst(t, i->rd), IR_EQ, rv_src(t, i->rs1), 0);
	else
		ir_setci(t->b, rv_dst(t, i->rd), cond, rv_src(t, i->rs1), i->imm);
}

/* Word operations: the IR's result is zero-extended, the ISA's sign-extended. */
void rv_t_alu32_rr(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	if (!i->rd)
		return;
	ir_val a = rv_src(t, i->rs1), b = rv_src(t, i->rs2);
	ir_val result = ir_op2(t->b, op, IR_NONE, a, b);
	ir_op1(t->b, IR_ext32s, rv_dst(t, i->rd), result);
}

void rv_t_alu32_ri(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	if (!i->rd)
		return;
	if (rv_is_known(t, i->rs1)) {           /* only addiw comes here */
		rv_set_known(t, i->rd, (uint64_t)(int64_t)(int32_t)(known_value(t, i->rs1) + (uint64_t)i->imm));
		return;
	}
	ir_val result = RV_GLOBAL_X(i->rs1);
	if (i->imm)                             /* else sext.w */
		result = ir_op2i(t->b, op, IR_NONE, result, i->imm);
	ir_op1(t->b, IR_ext32s, rv_dst(t, i->rd), result);
}

void rv_t_shift32_ri(struct rv_trans *t, const struct rv_insn *i, uint32_t op)
{
	if (!i->rd)
		return;
	ir_val result = ir_op2i(t->b, op, IR_NONE, rv_src(t, i->rs1), i->imm);
	ir_op1(t->b, IR_ext32s, rv_dst(t, i->rd), result);
}

/* rs1, or 0 where `rs2 cond 0` (Zicond). */
void rv_t_czero(struct rv_trans *t, const struct rv_insn *i, uint32_t cond)
{
	if (!i->rd)
		return;
	if (!i->rs2) {
		mov(t, i->rd, cond == IR_EQ ? 0 : i->rs1);
		return;
	}
	ir_val value = rv_src(t, i->rs1), test = RV_GLOBAL_X(i->rs2), d = rv_dst(t, i->rd);
	if (i->rd == i->rs2 && cond == IR_EQ) {
		/* where it is 0 it stays */
		ir_movci(t->b, d, IR_NE, test, 0, value);
		return;
	}
	ir_val zero = ir_movi(t->b, IR_NONE, 0), result = i->rd == i->rs2 ? IR_NONE : d;
	if (result != value)
		result = ir_op1(t->b, IR_mov, result, value);
	ir_movci(t->b, result, cond, test, 0, zero);
	if (result != d)
		ir_op1(t->b, IR_mov, d, result);
}

void rv_t_lui(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	rv_set_known(t, i->rd, (uint64_t)i->imm);
}

void rv_t_auipc(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	rv_set_known(t, i->rd, t->pc + (uint64_t)i->imm);
}

/* Base and displacement of an access; a known base becomes one constant (auipc and load, lui and load). */
static ir_val address(struct rv_trans *t, const struct rv_insn *i, int64_t *disp)
{
	*disp = i->imm;
	if (!rv_is_known(t, i->rs1))
		return RV_GLOBAL_X(i->rs1);
	*disp = 0;
	return ir_movi(t->b, IR_NONE, (int64_t)(known_value(t, i->rs1) + (uint64_t)i->imm));
}

static uint8_t stack_hint(const struct rv_insn *i)
{
	return i->rs1 == 2 ? IRM_STACK : 0;
}

void rv_t_load(struct rv_trans *t, const struct rv_insn *i, uint32_t mem)
{
	int64_t disp;
	ir_val base = address(t, i, &disp);

	ir_ld(t->b, rv_dst_or_temp(t, i->rd), base, disp, (uint8_t)(mem | stack_hint(i)));
}

void rv_t_store(struct rv_trans *t, const struct rv_insn *i, uint32_t mem)
{
	int64_t disp;
	ir_val base = address(t, i, &disp);

	ir_st(t->b, base, disp, rv_src(t, i->rs2), (uint8_t)(mem | stack_hint(i)));
}

static enum ir_cond swapped(enum ir_cond cond)
{
	switch (cond) {
	case IR_LT:  return IR_GT;
	case IR_GE:  return IR_LE;
	case IR_LTU: return IR_GTU;
	case IR_GEU: return IR_LEU;
	default:     return cond;
	}
}

void rv_t_branch(struct rv_trans *t, const struct rv_insn *i, uint32_t cond)
{
	uint16_t taken = ir_label(t->b);

	if (!i->rs2)
		ir_brci(t->b, cond, rv_src(t, i->rs1), 0, taken);
	else if (!i->rs1)
		ir_brci(t->b, swapped(cond), RV_GLOBAL_X(i->rs2), 0, taken);
	else
		ir_brc(t->b, cond, RV_GLOBAL_X(i->rs1), RV_GLOBAL_X(i->rs2), taken);
	ir_exit_pc(t->b, t->next);
	ir_place(t->b, taken);
	rv_goto(t, t->pc + (uint64_t)i->imm);
	t->done = true;
}

static bool is_link(uint32_t reg)
{
	return reg == 1 || reg == 5;
}

void rv_t_jal(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	uint64_t target = t->pc + (uint64_t)i->imm;

	(void)arg;
	if (!(target & 2) || (t->exts & RV_BIT(C)))
		rv_set_known(t, i->rd, t->next);
	rv_goto(t, target);
	t->done = true;
}

/* Unprivileged ISA, "Unconditional Jumps", table of return-address stack hints. */
static uint32_t jump_kind(const struct rv_insn *i)
{
	if (is_link(i->rd))
		return IR_JUMP_CALL;
	return is_link(i->rs1) ? IR_JUMP_RETURN : IR_JUMP_PLAIN;
}

/* Without C: the target must be a multiple of 4, or the jump itself faults and links nothing. */
static void check_target(struct rv_trans *t, ir_val target)
{
	uint16_t fine = ir_label(t->b);
	ir_val checked = ir_temp(t->b);

	/* a temporary does not live over a label: compute the test alone, the target again behind it */
	ir_op2i(t->b, IR_and, checked, target, 2);
	ir_brci(t->b, IR_EQ, checked, 0, fine);
	ir_call(t->b, IR_NONE, RVH_RAISE, ir_movi(t->b, IR_NONE, RV_INSN_MISALIGNED), target, IR_NONE);
	ir_exit_env(t->b);
	ir_place(t->b, fine);
}

static ir_val jalr_target(struct rv_trans *t, const struct rv_insn *i)
{
	ir_val sum = RV_GLOBAL_X(i->rs1);

	if (i->imm)
		sum = ir_op2i(t->b, IR_add, IR_NONE, sum, i->imm);
	return ir_op2i(t->b, IR_and, IR_NONE, sum, -2);
}

void rv_t_jalr(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	t->done = true;
	if (rv_is_known(t, i->rs1)) {
		uint64_t target = (known_value(t, i->rs1) + (uint64_t)i->imm) & ~UINT64_C(1);
		if (!(target & 2) || (t->exts & RV_BIT(C)))
			rv_set_known(t, i->rd, t->next);
		rv_goto(t, target);
		return;
	}
	if (!(t->exts & RV_BIT(C)))
		check_target(t, jalr_target(t, i));
	/* the target first: rd may be rs1 */
	ir_val target = jalr_target(t, i);
	rv_set_known(t, i->rd, t->next);
	ir_exit_reg(t->b, target, jump_kind(i));
}

/*
 * Predecessor and successor sets: bits 7..4 and 3..0 of imm, each i o r w. Device accesses are ordered as
 * memory accesses are, so i counts as r and o as w (which is also what menvcfg.FIOM asks for).
 */
void rv_t_fence(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	uint32_t pred = (uint32_t)i->imm >> 4 & 15, succ = (uint32_t)i->imm & 15;
	bool pred_r = pred & 10, pred_w = pred & 5, succ_r = succ & 10, succ_w = succ & 5;
	uint16_t order = (uint16_t)((pred_r && succ_r ? IR_ORDER_RR : 0) | (pred_r && succ_w ? IR_ORDER_RW : 0) |
				    (pred_w && succ_r ? IR_ORDER_WR : 0) | (pred_w && succ_w ? IR_ORDER_WW : 0));

	(void)arg;
	if (i->imm >> 8 == 8)                   /* fence.tso */
		order &= (uint16_t)~IR_ORDER_WR;
	if (order)                              /* pause is fence w,0 */
		ir_fence(t->b, order);
}
