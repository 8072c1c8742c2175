/* SPDX-License-Identifier: MIT */
/*
 * The far code of a block: what its ops rarely need, laid behind it so that the hot path is straight. Each
 * piece is entered by one branch and either leaves or goes back behind the instruction that it stands in for.
 */
#include "host/x86_64/lower.h"

struct x86_far *x86_far_new(struct x86_lower *l, enum x86_far_kind kind, uint32_t site)
{
	struct x86_far *f;

	if (l->far_count == X86_FARS) {         /* cannot be: two for each op */
		l->failed = true;
		return &l->fars[0];
	}
	f = &l->fars[l->far_count++];
	*f = (struct x86_far){ .kind = (uint8_t)kind, .site = site, .pc = l->pc };
	return f;
}

static void far_load(struct x86_lower *l, const struct x86_far *f)
{
	if (f->a.reg != RAX || f->imm)
		x86_op(&l->e, OP_LEA | X86_W, RAX, x86_mem(f->a.reg, (int32_t)f->imm));
	x86_mov_imm(&l->e, RCX, (int64_t)f->pc);
	x86_xmm_temps(l, f->xmm_live, true);
	x86_call(&l->e, l->s->stubs.load[l->b->mmu][f->mem & 15u]);
	x86_xmm_temps(l, f->xmm_live, false);
	if (f->flag)
		x86_op(&l->e, OP_XOR, R_ADDEND, x86_reg(R_ADDEND));
	if (f->d.kind == V_XMM)
		x86_to_xmm(l, f->d.reg, (struct x86_val){ .kind = V_GPR, .reg = RAX });
	else
		x86_mov_rr(&l->e, f->d.reg, RAX);
}

static void far_zero(struct x86_lower *l, const struct x86_far *f)
{
	x86_mov_imm(&l->e, RCX, (int64_t)f->pc);
	x86_xmm_temps(l, f->xmm_live, true);
	x86_call(&l->e, l->s->stubs.zero);
	x86_xmm_temps(l, f->xmm_live, false);
}

static void far_store(struct x86_lower *l, const struct x86_far *f)
{
	x86_to_gpr(l, RDX, f->b);
	if (f->a.reg != RAX || f->imm)
		x86_op(&l->e, OP_LEA | X86_W, RAX, x86_mem(f->a.reg, (int32_t)f->imm));
	x86_mov_imm(&l->e, RCX, (int64_t)f->pc);
	x86_xmm_temps(l, f->xmm_live, true);
	x86_call(&l->e, l->s->stubs.store[l->b->mmu][f->mem & 15u]);
	x86_xmm_temps(l, f->xmm_live, false);
	if (f->flag)
		x86_op(&l->e, OP_XOR, R_ADDEND, x86_reg(R_ADDEND));
}

/* rax = dividend, rcx = divisor, 0 or -1: quotient -1 and remainder rax, or quotient -rax and remainder 0. */
static void far_divs(struct x86_lower *l, const struct x86_far *f)
{
	uint32_t w = f->flag ? X86_W : 0, minus_one;

	x86_op(&l->e, OP_XOR, RDX, x86_reg(RDX));
	x86_op(&l->e, OP_TEST | w, RCX, x86_reg(RCX));
	minus_one = x86_jcc(&l->e, CC_NE, 0);
	x86_op(&l->e, OP_MOV | w, RDX, x86_reg(RAX));
	x86_op(&l->e, OP_XOR, RAX, x86_reg(RAX));
	x86_alu_imm(&l->e, OP_SUB | w, x86_reg(RAX), 1);
	x86_jmp(&l->e, f->back);
	x86_bind(&l->e, minus_one, x86_at(&l->e));
	x86_op(&l->e, OP_GRP3 | w, EXT_NEG, x86_reg(RAX));
}

static void far_divu(struct x86_lower *l, const struct x86_far *f)
{
	uint32_t w = f->flag ? X86_W : 0;

	x86_op(&l->e, OP_MOV | w, RDX, x86_reg(RAX));
	x86_op(&l->e, OP_XOR, RAX, x86_reg(RAX));
	x86_alu_imm(&l->e, OP_SUB | w, x86_reg(RAX), 1);
}

static void far_link(struct x86_lower *l, const struct x86_far *f)
{
	uint32_t start = x86_at(&l->e);

	/* always as long, so that x86_refuse finds it: behind the jump is never reached */
	x86_mov_imm(&l->e, RCX, (int64_t)f->pc);
	x86_jmp(&l->e, l->s->stubs.find);
	l->e.p = l->e.start + start + X86_FIND_BYTES;
	f->link->unlink_offset = x86_at(&l->e) - l->code;
	x86_bind(&l->e, f->site, x86_at(&l->e));
	x86_mov_imm(&l->e, RCX, (int64_t)f->pc);
	x86_mov_imm(&l->e, RDX, (int64_t)(intptr_t)f->link);
	x86_jmp(&l->e, l->s->stubs.exit_link);
}

void x86_far_emit(struct x86_lower *l, const struct x86_far *f)
{
	x86_bind(&l->e, f->site, x86_at(&l->e));
	switch (f->kind) {
	case FAR_LOAD:
		far_load(l, f);
		break;
	case FAR_STORE:
		far_store(l, f);
		break;
	case FAR_ZERO:
		far_zero(l, f);
		break;
	case FAR_AMO:
	case FAR_CAS:
		x86_far_atomic(l, f);
		break;
	case FAR_LINE:
		x86_far_line(l);
		break;
	case FAR_DIVS:
		far_divs(l, f);
		break;
	case FAR_DIVU:
		far_divu(l, f);
		break;
	case FAR_CLEAR_FLAGS:
		x86_call(&l->e, l->s->stubs.fp_clear);
		break;
	case FAR_LINK:
		far_link(l, f);
		return;
	case FAR_POLL:
		x86_mov_imm(&l->e, RCX, (int64_t)f->pc);
		x86_jmp(&l->e, l->s->stubs.exit_poll);
		return;
	default:
		x86_far_fp(l, f);
		break;
	}
	x86_jmp(&l->e, f->back);
}
