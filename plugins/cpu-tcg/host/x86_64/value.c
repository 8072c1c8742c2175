/* SPDX-License-Identifier: MIT */
/*
 * Where values are while a block is lowered: globals in their fixed places, temporaries in a register while
 * one is free, else in their frame slot. A temporary that lives over a label is always in its slot, so that
 * all paths to the label agree. The rule that is easy to break: look at all operands of an op before asking
 * for its destination, and expect the destination's register to be an operand's.
 */
#include "host/x86_64/lower.h"

struct x86_rm x86_const(const struct x86_lower *l, uint32_t k)
{
	return x86_rip(l->s->stubs.consts + k * 16u);
}

bool x86_val_is(struct x86_val a, struct x86_val b)
{
	return a.kind == b.kind && a.reg == b.reg && (a.kind != V_MEM || a.disp == b.disp) && a.kind != V_IMM;
}

static struct x86_val slot_of(ir_val v)
{
	return (struct x86_val) { .kind = V_MEM,
				  .reg = RSP,
				  .disp = FRAME_SLOTS + 8 * (int32_t)(v - IR_TEMP_FIRST) };
}

struct x86_val x86_val_of(struct x86_lower *l, ir_val v)
{
	if (IR_IS_TEMP(v)) {
		const struct x86_temp *t = &l->temps[v - IR_TEMP_FIRST];
		return t->at.kind == V_NONE ? slot_of(v) : t->at;
	}
	if (v == IR_NONE)
		return (struct x86_val){ .kind = V_IMM };
	return l->s->at[v];
}

struct x86_val x86_val_b(struct x86_lower *l, const struct ir_op *op)
{
	if (op->b_is_imm)
		return (struct x86_val){ .kind = V_IMM, .imm = op->imm };
	return x86_val_of(l, op->b);
}

void x86_to_gpr(struct x86_lower *l, uint8_t reg, struct x86_val v)
{
	switch (v.kind) {
	case V_GPR:
		x86_mov_rr(&l->e, reg, v.reg);
		break;
	case V_MEM:
		x86_op(&l->e, OP_MOV | X86_W, reg, x86_mem(v.reg, v.disp));
		break;
	case V_XMM:
		if (l->features & X86_AVX)
			x86_vex(&l->e, OP_MOVD_R | (v.low32 ? 0 : X86_W), v.reg, 0, x86_reg(reg));
		else
			x86_op(&l->e, OP_MOVD_R | (v.low32 ? 0 : X86_W), v.reg, x86_reg(reg));
		break;
	default:
		x86_mov_imm(&l->e, reg, v.imm);
	}
}

uint8_t x86_in_gpr(struct x86_lower *l, struct x86_val v, uint8_t scratch)
{
	if (v.kind == V_GPR)
		return v.reg;
	x86_to_gpr(l, scratch, v);
	return scratch;
}

struct x86_rm x86_as_rm(struct x86_lower *l, struct x86_val v, uint8_t scratch)
{
	if (v.kind == V_GPR)
		return x86_reg(v.reg);
	if (v.kind == V_MEM)
		return x86_mem(v.reg, v.disp);
	x86_to_gpr(l, scratch, v);
	return x86_reg(scratch);
}

void x86_mov_xmm(struct x86_lower *l, uint8_t d, uint8_t s)
{
	if (d == s)
		return;
	if (l->features & X86_AVX)
		x86_vex(&l->e, OP_MOVAPS, d, 0, x86_reg(s));
	else
		x86_op(&l->e, OP_MOVAPS, d, x86_reg(s));
}

void x86_xop(struct x86_lower *l, uint32_t op, uint8_t reg, struct x86_rm rm)
{
	if (l->features & X86_AVX)
		x86_vex(&l->e, op, reg, 0, rm);
	else
		x86_op(&l->e, op, reg, rm);
}

/* The bits of v; its upper half is right only when v is not low32. */
void x86_to_xmm(struct x86_lower *l, uint8_t xmm, struct x86_val v)
{
	switch (v.kind) {
	case V_XMM:
		x86_mov_xmm(l, xmm, v.reg);
		break;
	case V_MEM:
		x86_xop(l, OP_MOVSD, xmm, x86_mem(v.reg, v.disp));
		break;
	case V_GPR:
		x86_xop(l, OP_MOVD_X | X86_W, xmm, x86_reg(v.reg));
		break;
	default:
		x86_mov_imm(&l->e, RAX, v.imm);
		x86_xop(l, OP_MOVD_X | X86_W, xmm, x86_reg(RAX));
	}
}

uint8_t x86_in_xmm(struct x86_lower *l, struct x86_val v, uint8_t scratch)
{
	if (v.kind == V_XMM)
		return v.reg;
	x86_to_xmm(l, scratch, v);
	return scratch;
}

struct x86_rm x86_as_xmm_rm(struct x86_lower *l, struct x86_val v, uint8_t scratch)
{
	if (v.kind == V_MEM)
		return x86_mem(v.reg, v.disp);
	return x86_reg(x86_in_xmm(l, v, scratch));
}

static void release(struct x86_lower *l, struct x86_temp *t)
{
	if (t->owned && t->at.kind == V_GPR)
		l->gpr_free |= 1u << t->at.reg;
	else if (t->owned && t->at.kind == V_XMM)
		l->xmm_free |= 1u << t->at.reg;
	t->owned = 0;
}

static void free_if_dead(struct x86_lower *l, ir_val v)
{
	if (!IR_IS_TEMP(v))
		return;
	struct x86_temp *t = &l->temps[v - IR_TEMP_FIRST];
	if (t->last_use <= l->at)
		release(l, t);
}

void x86_free_dead(struct x86_lower *l, const struct ir_op *op)
{
	free_if_dead(l, op->a);
	if (!op->b_is_imm)
		free_if_dead(l, op->b);
	free_if_dead(l, op->c);
}

static uint8_t take(uint32_t *mask)
{
	uint8_t reg = (uint8_t)__builtin_ctz(*mask);

	*mask &= *mask - 1;
	return reg;
}

/* Gives the temporary v a place of the wanted kind where it has none. */
static struct x86_val place(struct x86_lower *l, ir_val v, uint8_t kind)
{
	struct x86_temp *t = &l->temps[v - IR_TEMP_FIRST];
	uint32_t *mask = kind == V_GPR ? &l->gpr_free : &l->xmm_free;

	if (t->owned && t->at.kind == kind) {
		t->at.low32 = t->at.ones = 0;
		return t->at;
	}
	release(l, t);
	if (!t->crossing && *mask) {
		t->at = (struct x86_val){ .kind = kind, .reg = take(mask) };
		t->owned = 1;
	} else {
		t->at = slot_of(v);
	}
	return t->at;
}

uint8_t x86_dst(struct x86_lower *l, const struct ir_op *op, uint8_t scratch)
{
	struct x86_val d;

	x86_free_dead(l, op);
	if (op->d == IR_NONE)
		return scratch;
	d = IR_IS_TEMP(op->d) ? place(l, op->d, V_GPR) : l->s->at[op->d];
	return d.kind == V_GPR ? d.reg : scratch;
}

void x86_finish(struct x86_lower *l, const struct ir_op *op, uint8_t reg)
{
	if (l->sign_extend)
		x86_op(&l->e, OP_MOVSXD | X86_W, reg, x86_reg(reg));
	if (op->d == IR_NONE)
		return;

	struct x86_val d = x86_val_of(l, op->d);
	if (d.kind == V_GPR)
		x86_mov_rr(&l->e, d.reg, reg);
	else if (d.kind == V_MEM)
		x86_op(&l->e, OP_MOV_ST | X86_W, reg, x86_mem(d.reg, d.disp));
	else
		x86_xop(l, OP_MOVD_X | X86_W, d.reg, x86_reg(reg));
	x86_set_boxed(l, op->d, false);
	if (IR_IS_TEMP(op->d))
		free_if_dead(l, op->d);
}

uint8_t x86_dst_xmm(struct x86_lower *l, const struct ir_op *op, uint8_t scratch)
{
	struct x86_val d;

	x86_free_dead(l, op);
	if (op->d == IR_NONE)
		return scratch;
	d = IR_IS_TEMP(op->d) ? place(l, op->d, V_XMM) : l->s->at[op->d];
	return d.kind == V_XMM ? d.reg : scratch;
}

/* d = bits 0-31 of s */
static void clean_upper(struct x86_lower *l, uint8_t d, uint8_t s)
{
	if (l->features & X86_AVX) {            /* vinsertps with a zero mask */
		x86_vex_i8(&l->e, X86_OP(0x21, 3, 1), d, s, x86_reg(s), 0x0e);
	} else {
		x86_op(&l->e, OP_MOVD_R, s, x86_reg(RAX));
		x86_op(&l->e, OP_MOVD_X, d, x86_reg(RAX));
	}
}

struct x86_val x86_fp_val(struct x86_lower *l, ir_val v, bool dbl, uint8_t scratch)
{
	struct x86_val val = x86_val_of(l, v);

	if (!dbl || !val.low32)
		return val;
	clean_upper(l, scratch, val.reg);
	return (struct x86_val){ .kind = V_XMM, .reg = scratch };
}

void x86_finish_xmm(struct x86_lower *l, const struct ir_op *op, uint8_t xmm, bool low32, bool ones)
{
	if (op->d == IR_NONE)
		return;

	struct x86_val d = x86_val_of(l, op->d);
	if (IR_IS_TEMP(op->d) && d.kind == V_XMM) {
		x86_mov_xmm(l, d.reg, xmm);
		l->temps[op->d - IR_TEMP_FIRST].at.low32 = low32;
		l->temps[op->d - IR_TEMP_FIRST].at.ones = ones;
		free_if_dead(l, op->d);
		return;
	}
	if (low32)
		clean_upper(l, xmm, xmm);
	if (d.kind == V_XMM)
		x86_mov_xmm(l, d.reg, xmm);
	else if (d.kind == V_MEM)
		x86_xop(l, OP_MOVSD_ST, xmm, x86_mem(d.reg, d.disp));
	else
		x86_xop(l, OP_MOVD_R | X86_W, xmm, x86_reg(d.reg));
	x86_set_boxed(l, op->d, false);
	if (IR_IS_TEMP(op->d))
		free_if_dead(l, op->d);
}

/* d = imm. A temporary that crosses no label costs nothing until it is used. */
void x86_set_imm(struct x86_lower *l, const struct ir_op *op, int64_t imm)
{
	if (IR_IS_TEMP(op->d) && !l->temps[op->d - IR_TEMP_FIRST].crossing) {
		struct x86_temp *t = &l->temps[op->d - IR_TEMP_FIRST];

		release(l, t);
		t->at = (struct x86_val){ .kind = V_IMM, .imm = imm };
		return;
	}

	uint8_t d = x86_dst(l, op, RAX);
	struct x86_val v = op->d == IR_NONE ? (struct x86_val){ .kind = V_NONE } : x86_val_of(l, op->d);
	if (v.kind == V_MEM && imm == (int32_t)imm) {
		x86_op_i32(&l->e, X86_OP(0xc7, 0, 0) | X86_W, 0, x86_mem(v.reg, v.disp), (int32_t)imm);
		x86_set_boxed(l, op->d, false);
		return;
	}
	x86_mov_imm(&l->e, d, imm);
	x86_finish(l, op, d);
}

void x86_set_boxed(struct x86_lower *l, ir_val v, bool boxed)
{
	if (!IR_IS_GLOBAL(v))
		return;
	if (boxed)
		l->boxed[v >> 6] |= 1ull << (v & 63);
	else
		l->boxed[v >> 6] &= ~(1ull << (v & 63));
}

bool x86_is_boxed(const struct x86_lower *l, ir_val v)
{
	return IR_IS_GLOBAL(v) && (l->boxed[v >> 6] >> (v & 63) & 1);
}

/* Temporaries' xmm registers that hold something. */
uint16_t x86_xmm_live(const struct x86_lower *l)
{
	uint32_t all = ((1u << l->s->config.temp_xmms) - 1u) << X86_TEMP_XMM_FIRST;

	return (uint16_t)(all & ~l->xmm_free);
}

void x86_xmm_temps(struct x86_lower *l, uint16_t mask, bool save)
{
	for (; mask; mask &= mask - 1) {
		uint8_t xmm = (uint8_t)__builtin_ctz(mask);
		x86_xop(l, save ? OP_MOVSD_ST : OP_MOVSD, xmm, x86_mem(RSP, FRAME_XMM + 8 * xmm));
	}
}
