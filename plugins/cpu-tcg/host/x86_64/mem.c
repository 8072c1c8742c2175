/* SPDX-License-Identifier: MIT */
/*
 * Guest memory and the environment. The hot path of an access compares the address, less its offset in the
 * page but with its alignment bits, with the tag of the software TLB; everything else (misses, I/O,
 * misaligned accesses) is far code, which enters the stubs of stubs.c. Misaligned accesses inside a page are
 * served there without a call. Atomics are in atomic.c.
 */
#include "host/x86_64/lower.h"

struct x86_address x86_address_of(struct x86_lower *l, struct x86_val a, int64_t disp)
{
	if (a.kind == V_IMM) {
		x86_mov_imm(&l->e, RAX, (int64_t)((uint64_t)a.imm + (uint64_t)disp));
		return (struct x86_address){ RAX, 0 };
	}
	if (disp != (int32_t)disp) {
		struct x86_rm rm = x86_as_rm(l, a, RCX);
		x86_mov_imm(&l->e, RAX, disp);
		x86_op(&l->e, OP_ADD | X86_W, RAX, rm);
		return (struct x86_address){ RAX, 0 };
	}
	return (struct x86_address){ x86_in_gpr(l, a, RAX), (int32_t)disp };
}

uint32_t x86_check(struct x86_lower *l, struct x86_address at, uint8_t mem, bool store)
{
	uint8_t whole = at.base;
	int32_t mask = (int32_t)TCG_PAGE_MASK | ((1 << IRM_SIZE(mem)) - 1);
	int32_t tlb = ENV_TLB(l->b->mmu, store);
	uint32_t site;

	if (at.disp) {
		x86_op(&l->e, OP_LEA | X86_W, RDX, x86_mem(at.base, at.disp));
		whole = RDX;
	}
	if (l->features & X86_BMI2) {
		x86_vex_i8(&l->e, OP_RORX, RCX, 0, x86_reg(whole), TCG_PAGE_BITS - 4);
	} else {
		x86_op(&l->e, OP_MOV, RCX, x86_reg(whole));
		x86_shift_imm(&l->e, 0, EXT_SHR, x86_reg(RCX), TCG_PAGE_BITS - 4);
	}
	x86_mov_rr(&l->e, RDX, whole);
	x86_alu_imm(&l->e, OP_AND, x86_reg(RCX), (TLB_SIZE - 1) << 4);
	x86_alu_imm(&l->e, OP_AND | X86_W, x86_reg(RDX), mask);
	x86_op(&l->e, OP_CMP | X86_W, RDX, x86_mem_index(R_ENV, RCX, 0, tlb));
	site = x86_jcc(&l->e, CC_NE, 0);
	x86_op(&l->e, OP_MOV | X86_W, RCX, x86_mem_index(R_ENV, RCX, 0, tlb + 8));
	return site;
}

/* --- one check for several accesses --- */

#define GROUP_SPAN 1024         /* bytes: the wider, the more often it lies on two pages */
#define GROUP_REACH 40u         /* ops looked at */

static bool is_access(const struct ir_op *op)
{
	return op->opcode == IR_ld || op->opcode == IR_st;
}

static int64_t access_end(const struct ir_op *op)
{
	return op->imm + (1 << IRM_SIZE(op->field));
}

/* Widens the group by an access; false: it stays outside. */
static bool group_widen(struct x86_group *g, const struct ir_op *op, bool past_branch)
{
	int64_t low = op->imm < g->low ? op->imm : g->low;
	int64_t high = access_end(op) > g->high ? access_end(op) : g->high;
	bool store = op->opcode == IR_st;

	/* a store that may not be reached must not make the loads before it wait for a writable page */
	if (op->a != g->base || (op->field & IRM_ALIGN) || high - low > GROUP_SPAN ||
	    (store && !g->store && past_branch) || op->imm != (int32_t)op->imm)
		return false;
	g->low = low;
	g->high = high;
	g->store |= store;
	return true;
}

static bool group_stops(const struct x86_lower *l, const struct ir_op *op)
{
	if (op->opcode == IR_call)
		return l->b->helpers[op->aux].flags != IRH_PURE;
	return op->opcode == IR_label || op->opcode == IR_zero || op->opcode == IR_amo || op->opcode == IR_cas ||
	       (ir_opinfo[op->opcode].flags & IRF_E);
}

/* Looks ahead from the access op for others off its base; true when there are and r15 is free for them. */
static bool group_find(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_group *g = &l->group;
	uint32_t end = l->at + GROUP_REACH < l->b->op_count ? l->at + GROUP_REACH : l->b->op_count, count = 1;
	bool past_branch = false;

	if (g->on || !(l->gpr_free >> R_ADDEND & 1) || (op->field & IRM_ALIGN) ||
	    op->imm != (int32_t)op->imm || op->d == op->a || !(IR_IS_GLOBAL(op->a)))
		return false;
	*g = (struct x86_group){
		.base = op->a, .low = op->imm, .high = access_end(op), .store = op->opcode == IR_st,
	};
	for (uint32_t i = l->at + 1; i < end; i++) {
		const struct ir_op *o = &l->b->ops[i];
		if (group_stops(l, o))
			break;
		if (is_access(o) && group_widen(g, o, past_branch)) {
			g->last = i;
			count++;
		}
		past_branch |= o->opcode == IR_brc;
		if ((l->s->reads[o->opcode] & WRITE_D) && o->d == g->base)
			break;
	}
	return count > 1;
}

void x86_group_end(struct x86_lower *l)
{
	l->group.on = false;
	l->gpr_free |= 1u << R_ADDEND;
}

/* The check of a whole group: the slot of its first byte's page must hold the page of its last. */
static uint32_t group_check(struct x86_lower *l, uint8_t base)
{
	struct x86_group *g = &l->group;
	int32_t tlb = ENV_TLB(l->b->mmu, g->store);
	uint32_t site;

	x86_op(&l->e, OP_LEA | X86_W, RCX, x86_mem(base, (int32_t)g->low));
	x86_op(&l->e, OP_LEA | X86_W, RDX, x86_mem(base, (int32_t)g->high - 1));
	x86_shift_imm(&l->e, 0, EXT_SHR, x86_reg(RCX), TCG_PAGE_BITS - 4);
	x86_alu_imm(&l->e, OP_AND | X86_W, x86_reg(RDX), (int32_t)TCG_PAGE_MASK);
	x86_alu_imm(&l->e, OP_AND, x86_reg(RCX), (TLB_SIZE - 1) << 4);
	x86_op(&l->e, OP_CMP | X86_W, RDX, x86_mem_index(R_ENV, RCX, 0, tlb));
	site = x86_jcc(&l->e, CC_NE, 0);
	x86_op(&l->e, OP_MOV | X86_W, R_ADDEND, x86_mem_index(R_ENV, RCX, 0, tlb + 8));
	g->on = true;
	l->gpr_free &= ~(1u << R_ADDEND);
	return site;
}

static bool in_group(const struct x86_lower *l, const struct ir_op *op)
{
	const struct x86_group *g = &l->group;

	return g->on && op->a == g->base && !(op->field & IRM_ALIGN) && op->imm >= g->low &&
	       access_end(op) <= g->high && (g->store || op->opcode == IR_ld);
}

/* The check of one access in the cheapest way there is. *addend is the register to index by. */
static uint32_t check_access(struct x86_lower *l, const struct ir_op *op, struct x86_address at, uint8_t *addend)
{
	if (in_group(l, op)) {
		*addend = R_ADDEND;
		x86_op(&l->e, OP_TEST | X86_W, R_ADDEND, x86_reg(R_ADDEND));
		return x86_jcc(&l->e, CC_E, 0);
	}
	if (group_find(l, op)) {
		*addend = R_ADDEND;
		return group_check(l, at.base);
	}
	*addend = RCX;
	return x86_check(l, at, op->field, op->opcode == IR_st);
}

struct x86_far *x86_slow(struct x86_lower *l, enum x86_far_kind kind, uint32_t site, struct x86_address at,
			 uint8_t mem)
{
	struct x86_far *f = x86_far_new(l, kind, site);

	f->a = (struct x86_val){ .kind = V_GPR, .reg = at.base };
	f->imm = at.disp;
	f->mem = mem;
	f->flag = l->group.on;          /* the addend in r15 is to be forgotten */
	f->xmm_live = x86_xmm_live(l);
	return f;
}

static void load_gpr(struct x86_lower *l, uint8_t mem, uint8_t d, struct x86_rm rm)
{
	static const uint32_t code[8] = {
		OP_MOVZX8, OP_MOVZX16, OP_MOV, OP_MOV | X86_W,
		OP_MOVSX8 | X86_W, OP_MOVSX16 | X86_W, OP_MOVSXD | X86_W, OP_MOV | X86_W,
	};

	x86_op(&l->e, code[mem & 7u], d, rm);
}

/* Does the op behind this load box the loaded single? Then both are one. */
static const struct ir_op *boxed_next(struct x86_lower *l, const struct ir_op *op)
{
	const struct ir_op *next = op + 1;

	if (l->at + 1 < l->b->op_count && next->opcode == IR_fbox && next->a == op->d && IR_IS_TEMP(op->d) &&
	    l->temps[op->d - IR_TEMP_FIRST].last_use == l->at + 1 && IR_IS_GLOBAL(next->d) &&
	    (op->field & 7u) == IRM_32 && l->s->at[next->d].kind == V_XMM)
		return next;
	return NULL;
}

static void load_xmm(struct x86_lower *l, const struct ir_op *op, const struct ir_op *box, struct x86_address at)
{
	const struct ir_op *to = box ? box : op;
	uint8_t addend, d;
	uint32_t site = check_access(l, op, at, &addend);
	struct x86_far *f = x86_slow(l, FAR_LOAD, site, at, op->field);

	d = x86_dst_xmm(l, to, 0);

	x86_xop(l, IRM_SIZE(op->field) == IRM_64 ? OP_MOVSD : OP_MOVSS, d,
		x86_mem_index(at.base, addend, 0, at.disp));
	f->d = (struct x86_val){ .kind = V_XMM, .reg = d };
	f->back = x86_at(&l->e);
	if (box) {
		if (l->features & X86_AVX)
			x86_vex(&l->e, OP_ORPS, d, d, x86_const(l, K_BOX));
		else
			x86_op(&l->e, OP_ORPS, d, x86_const(l, K_BOX));
		x86_free_dead(l, op);
		l->at++;
	}
	x86_finish_xmm(l, to, d, false, false);
	x86_set_boxed(l, to->d, box != NULL);
}

void x86_ld(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_address at = x86_address_of(l, x86_val_of(l, op->a), op->imm);
	const struct ir_op *box = boxed_next(l, op);
	bool fits_xmm = IRM_SIZE(op->field) == IRM_64 || (op->field & 7u) == IRM_32;

	if (box || (IR_IS_GLOBAL(op->d) && l->s->at[op->d].kind == V_XMM && fits_xmm)) {
		load_xmm(l, op, box, at);
		return;
	}

	uint8_t addend;
	uint32_t site = check_access(l, op, at, &addend);
	struct x86_far *f = x86_slow(l, FAR_LOAD, site, at, op->field);
	uint8_t d = x86_dst(l, op, RAX);
	load_gpr(l, op->field, d, x86_mem_index(at.base, addend, 0, at.disp));
	f->d = (struct x86_val){ .kind = V_GPR, .reg = d };
	f->back = x86_at(&l->e);
	x86_finish(l, op, d);
}

static void store_gpr(struct x86_lower *l, uint8_t mem, uint8_t reg, struct x86_rm rm)
{
	static const uint32_t code[4] = { OP_MOV8_ST, OP_MOV16_ST, OP_MOV_ST, OP_MOV_ST | X86_W };

	x86_op(&l->e, code[IRM_SIZE(mem)], reg, rm);
}

static void store_imm(struct x86_lower *l, uint8_t mem, int64_t imm, struct x86_rm rm)
{
	if (IRM_SIZE(mem) == IRM_8) {
		x86_op_i8(&l->e, X86_OP(0xc6, 0, 0), 0, rm, (uint8_t)imm);
	} else if (IRM_SIZE(mem) == IRM_16) {
		x86_op_i8(&l->e, X86_OP(0xc7, 0, 1), 0, rm, (uint8_t)imm);
		*l->e.p++ = (uint8_t)(imm >> 8);
	} else {
		x86_op_i32(&l->e, X86_OP(0xc7, 0, 0) | (IRM_SIZE(mem) == IRM_64 ? X86_W : 0), 0, rm,
			   (int32_t)imm);
	}
}

/* Writes v of the size of mem to rm. rdx may be used. */
static void store_value(struct x86_lower *l, uint8_t mem, struct x86_val v, struct x86_rm rm)
{
	uint32_t size = IRM_SIZE(mem);

	if (v.kind == V_IMM && (size != IRM_64 || v.imm == (int32_t)v.imm))
		store_imm(l, mem, v.imm, rm);
	else if (v.kind == V_XMM && (size == IRM_32 || (size == IRM_64 && !v.low32)))
		x86_xop(l, size == IRM_64 ? OP_MOVSD_ST : OP_MOVSS_ST, v.reg, rm);
	else
		store_gpr(l, mem, x86_in_gpr(l, v, RDX), rm);
}

void x86_st(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_address at = x86_address_of(l, x86_val_of(l, op->a), op->imm);
	struct x86_val v = x86_val_of(l, op->b);
	uint8_t addend;
	uint32_t site = check_access(l, op, at, &addend);
	struct x86_far *f = x86_slow(l, FAR_STORE, site, at, op->field);

	store_value(l, op->field, v, x86_mem_index(at.base, addend, 0, at.disp));
	f->b = v;
	f->back = x86_at(&l->e);
	x86_free_dead(l, op);
}

void x86_zero(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_address at = { RAX, 0 };
	uint32_t site;

	x86_to_gpr(l, RAX, x86_val_of(l, op->a));
	x86_alu_imm(&l->e, OP_AND | X86_W, x86_reg(RAX), -(int32_t)IR_ZERO_BYTES);
	site = x86_check(l, at, IRM_64, true);
	struct x86_far *f = x86_slow(l, FAR_ZERO, site, at, IRM_64);
	x86_xop3(l, OP_XORPS, 0, 0, x86_reg(0));
	for (int32_t i = 0; i < (int32_t)IR_ZERO_BYTES; i += 16)
		x86_xop(l, OP_MOVAPS_ST, 0, x86_mem_index(RAX, RCX, 0, i));
	f->back = x86_at(&l->e);
	x86_free_dead(l, op);
}

void x86_ldenv(struct x86_lower *l, const struct ir_op *op)
{
	uint8_t d = x86_dst(l, op, RAX);

	load_gpr(l, op->field, d, x86_mem(R_ENV, (int32_t)op->imm - ENV_BIAS));
	x86_finish(l, op, d);
}

void x86_stenv(struct x86_lower *l, const struct ir_op *op)
{
	store_value(l, op->field, x86_val_of(l, op->a), x86_mem(R_ENV, (int32_t)op->imm - ENV_BIAS));
	x86_free_dead(l, op);
}
