/* SPDX-License-Identifier: MIT */
/*
 * Atomics and fences. Where the page is in the TLB for stores it holds no code and no watched line, and the access is
 * one locked instruction, or a loop about one. Behind it the line's version is looked at: odd means that somebody may
 * have reserved the line, and it is counted up out of line. The lock keeps that look behind the access.
 */
#include "host/x86_64/lower.h"

static void lock(struct x86_lower *l)
{
	static const uint8_t prefix = 0xf0;

	x86_bytes(&l->e, &prefix, 1);
}

static uint32_t width(const struct ir_op *op)
{
	return IRM_SIZE(op->field) == IRM_64 ? X86_W : 0;
}

/* rcx = host address, lost as rdx is. */
static void tell_line(struct x86_lower *l)
{
	uint32_t site;

	x86_op(&l->e, OP_MOV, RDX, x86_reg(RCX));
	x86_shift_imm(&l->e, 0, EXT_SHR, x86_reg(RCX), 6);
	x86_shift_imm(&l->e, 0, EXT_SHR, x86_reg(RDX), 6 + LINE_BITS);
	x86_op(&l->e, OP_XOR, RCX, x86_reg(RDX));
	x86_alu_imm(&l->e, OP_AND, x86_reg(RCX), LINE_VERSIONS - 1);
	x86_op(&l->e, OP_MOV | X86_W, RDX, x86_mem(R_ENV, ENV_DISP(lines)));
	x86_op_i8(&l->e, X86_OP(0xf6, 0, 0), 0, x86_mem_index(RDX, RCX, 2, 0), 1);
	site = x86_jcc(&l->e, CC_NE, 0);
	x86_far_new(l, FAR_LINE, site)->back = x86_at(&l->e);
}

static bool wanted(const struct x86_lower *l, const struct ir_op *op)
{
	return IR_IS_GLOBAL(op->d) || (IR_IS_TEMP(op->d) && l->temps[op->d - IR_TEMP_FIRST].last_use > l->at);
}

static void extend(struct x86_lower *l, uint8_t mem)
{
	if (IRM_SIZE(mem) == IRM_32)
		x86_op(&l->e, mem & IRM_SIGN ? OP_MOVSXD | X86_W : OP_MOV, RAX, x86_reg(RAX));
}

/* The old value is in rax. */
static void finish(struct x86_lower *l, const struct ir_op *op, struct x86_far *f)
{
	tell_line(l);
	if (!wanted(l, op)) {
		f->back = x86_at(&l->e);
		x86_free_dead(l, op);
		return;
	}
	extend(l, op->field);
	f->back = x86_at(&l->e);
	x86_dst(l, op, RAX);
	x86_finish(l, op, RAX);
}

/* rdx = rax op b; at rcx. */
static void next_value(struct x86_lower *l, const struct ir_op *op, struct x86_rm b)
{
	static const uint32_t logic[] = { [IR_AMO_AND] = OP_AND, [IR_AMO_OR] = OP_OR, [IR_AMO_XOR] = OP_XOR };
	static const uint8_t keep[] = {
		[IR_AMO_MIN] = CC_L, [IR_AMO_MAX] = CC_G, [IR_AMO_MINU] = CC_B, [IR_AMO_MAXU] = CC_A,
	};
	uint32_t w = width(op);

	if (op->aux <= IR_AMO_XOR) {
		x86_op(&l->e, OP_MOV | w, RDX, x86_reg(RAX));
		x86_op(&l->e, logic[op->aux] | w, RDX, b);
	} else {
		x86_op(&l->e, OP_MOV | w, RDX, b);
		x86_op(&l->e, OP_CMP | w, RAX, x86_reg(RDX));
		x86_op(&l->e, OP_CMOV(keep[op->aux]) | w, RDX, x86_reg(RAX));
	}
}

static void exchange_loop(struct x86_lower *l, const struct ir_op *op, struct x86_val b)
{
	struct x86_rm rm = x86_mem(RSP, FRAME_ARG);
	uint32_t w = width(op), again;

	if (b.kind == V_GPR || b.kind == V_MEM) {
		rm = x86_as_rm(l, b, RDX);
	} else {
		x86_to_gpr(l, RDX, b);
		x86_op(&l->e, OP_MOV_ST | X86_W, RDX, rm);
	}
	x86_op(&l->e, OP_MOV | w, RAX, x86_mem(RCX, 0));
	again = x86_at(&l->e);
	next_value(l, op, rm);
	lock(l);
	x86_op(&l->e, OP_CMPXCHG | w, RDX, x86_mem(RCX, 0));
	x86_jcc(&l->e, CC_NE, again);
}

/* An instruction that does it all, when there is one. */
static bool one_insn(struct x86_lower *l, const struct ir_op *op, struct x86_val b)
{
	static const uint32_t blind[] = {
		[IR_AMO_ADD] = OP_ADD, [IR_AMO_AND] = OP_AND, [IR_AMO_OR] = OP_OR, [IR_AMO_XOR] = OP_XOR,
	};
	bool old = wanted(l, op);

	if (op->aux > IR_AMO_XOR || (old && op->aux > IR_AMO_ADD))
		return false;
	if (op->aux == IR_AMO_SWAP || old) {
		x86_to_gpr(l, RAX, b);
		if (op->aux == IR_AMO_ADD)
			lock(l);
		x86_op(&l->e, (op->aux == IR_AMO_ADD ? OP_XADD : OP_XCHG) | width(op), RAX, x86_mem(RCX, 0));
	} else {
		uint8_t reg = x86_in_gpr(l, b, RAX);
		lock(l);
		x86_op(&l->e, (blind[op->aux] - OP_TO_RM) | width(op), reg, x86_mem(RCX, 0));
	}
	return true;
}

/* The check of an access; rcx = the host address. */
static struct x86_far *begin(struct x86_lower *l, const struct ir_op *op, enum x86_far_kind kind)
{
	struct x86_address at = x86_address_of(l, x86_val_of(l, op->a), 0);
	uint32_t site = x86_check(l, at, op->field, true);
	struct x86_far *f = x86_slow(l, kind, site, at, op->field);

	x86_op(&l->e, OP_ADD | X86_W, RCX, x86_reg(at.base));
	return f;
}

void x86_amo(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val b = x86_val_of(l, op->b);
	struct x86_far *f = begin(l, op, FAR_AMO);

	f->b = b;
	f->reg = (uint8_t)op->aux;
	if (!one_insn(l, op, b))
		exchange_loop(l, op, b);
	finish(l, op, f);
}

void x86_cas(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val b = x86_val_of(l, op->b), c = x86_val_of(l, op->c);
	struct x86_far *f = begin(l, op, FAR_CAS);

	f->b = b;
	f->d = c;
	x86_to_gpr(l, RAX, b);
	uint8_t desired = x86_in_gpr(l, c, RDX);
	lock(l);
	x86_op(&l->e, OP_CMPXCHG | width(op), desired, x86_mem(RCX, 0));
	finish(l, op, f);
}

/* The slow paths: a page that is not in the TLB, holds code, or is watched; misaligned addresses. */
void x86_far_atomic(struct x86_lower *l, const struct x86_far *f)
{
	bool cas = f->kind == FAR_CAS;

	x86_mov_rr(&l->e, RAX, f->a.reg);
	x86_mov_imm(&l->e, RCX, (int64_t)f->pc);
	x86_op(&l->e, OP_MOV_ST | X86_W, RCX, x86_mem(R_ENV, ENV_DISP(pc)));
	x86_op_i32(&l->e, X86_OP(0xc7, 0, 0), 0, x86_mem(RSP, FRAME_TMP),
		   (int32_t)(f->mem | (cas ? 0 : (uint32_t)f->reg << 8)));
	x86_to_gpr(l, RDX, cas ? f->d : f->b);
	if (cas)
		x86_to_gpr(l, RCX, f->b);
	x86_xmm_temps(l, f->xmm_live, true);
	x86_call(&l->e, cas ? l->s->stubs.cas : l->s->stubs.amo);
	x86_xmm_temps(l, f->xmm_live, false);
	extend(l, f->mem);
}

/* rdx, rcx: as tell_line left them */
void x86_far_line(struct x86_lower *l)
{
	lock(l);
	x86_alu_imm(&l->e, OP_ADD, x86_mem_index(RDX, RCX, 2, 0), 1);
}

/* Only a store before a load is reordered here. A locked op on the stack is cheaper than mfence. */
void x86_fence(struct x86_lower *l, const struct ir_op *op)
{
	if (!(op->aux & IR_ORDER_WR))
		return;
	lock(l);
	x86_alu_imm(&l->e, OP_OR, x86_mem(RSP, FRAME_TMP), 0);
}
