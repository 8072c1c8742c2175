/* SPDX-License-Identifier: MIT */
/*
 * Labels, exits and helpers. A conditional branch over an exit to a page-local pc becomes one conditional
 * jump that the engine links. Exits elsewhere probe the jump cache in line and go to the common stub when it
 * has no answer.
 */
#include <string.h>

#include "host/x86_64/lower.h"

/* Sites that wait for a label are chained through their displacement fields. */
static void await_label(struct x86_lower *l, uint16_t label, uint32_t site)
{
	memcpy(l->e.start + site, &l->label_at[label], 4);
	l->label_at[label] = site;
}

void x86_label(struct x86_lower *l, const struct ir_op *op)
{
	uint32_t site = l->label_at[op->aux];

	while (site) {
		uint32_t next;
		memcpy(&next, l->e.start + site, 4);
		x86_bind(&l->e, site, x86_at(&l->e));
		site = next;
	}
	memset(l->boxed, 0, sizeof(l->boxed));
}

void x86_br(struct x86_lower *l, const struct ir_op *op)
{
	await_label(l, op->aux, x86_jmp(&l->e, 0));
}

bool x86_linkable(const struct x86_lower *l, uint64_t pc)
{
	return l->links < BLOCK_LINKS && ((pc ^ l->b->pc) & TCG_PAGE_MASK) == 0;
}

/*
 * Bytes to put before a jump at here, so that its displacement lies in an aligned 8 bytes: one store patches
 * it.
 */
static uint32_t link_padding(const struct x86_lower *l, uint32_t opcode_bytes)
{
	uintptr_t at = (uintptr_t)l->s->rx + x86_at(&l->e) + opcode_bytes;

	return (at & 7u) > 4 ? 8u - (uint32_t)(at & 7u) : 0;
}

/*
 * Puts padding before the comparison emitted since `start`: between it and its jump it would keep them from
 * fusing.
 */
static void pad_before(struct x86_lower *l, uint32_t start, uint32_t bytes)
{
	uint32_t length = x86_at(&l->e) - start;
	uint8_t *at = l->e.start + start;

	if (!bytes)
		return;
	memmove(at + bytes, at, length);
	l->e.p = at;
	x86_nop(&l->e, bytes);
	l->e.p += length;
}

bool x86_link_jump(struct x86_lower *l, int cc, uint64_t pc)
{
	struct x86_far *f;
	uint32_t site;

	if (!x86_linkable(l, pc))
		return false;
	x86_nop(&l->e, link_padding(l, cc < 0 ? 1 : 2));
	site = cc < 0 ? x86_jmp(&l->e, 0) : x86_jcc(&l->e, (enum x86_cc)cc, 0);
	f = x86_far_new(l, FAR_LINK, site);
	f->pc = pc;
	f->link = &l->block->links[l->links++];
	f->link->target_pc = pc;
	f->link->from = l->block;
	f->link->patch_offset = site - l->code;
	return true;
}

void x86_brc(struct x86_lower *l, const struct ir_op *op)
{
	const struct ir_op *exit = op + 1, *label = op + 2;
	bool over_exit = l->at + 2 < l->b->op_count && exit->opcode == IR_exit_pc &&
			 label->opcode == IR_label && label->aux == op->aux &&
			 x86_linkable(l, (uint64_t)exit->imm);
	uint32_t start = x86_at(&l->e);
	enum x86_cc cc = x86_compare(l, op);

	x86_free_dead(l, op);
	if (over_exit) {
		pad_before(l, start, link_padding(l, 2));
		x86_link_jump(l, (int)cc ^ 1, (uint64_t)exit->imm);
		l->at++;
	} else {
		await_label(l, op->aux, x86_jcc(&l->e, cc, 0));
	}
}

static void compare_poll(struct x86_lower *l)
{
	x86_alu_imm(&l->e, OP_CMP, x86_mem(R_ENV, ENV_DISP(poll)), 0);
}

void x86_poll(struct x86_lower *l, const struct ir_op *op)
{
	compare_poll(l);
	x86_far_new(l, FAR_POLL, x86_jcc(&l->e, CC_NE, 0))->pc = (uint64_t)op->imm;
}

/* rcx = pc. Jumps to what slot (an operand of 16 bytes) holds when its key is right. */
static void probe(struct x86_lower *l, struct x86_rm slot)
{
	x86_op(&l->e, OP_MOV | X86_W, RAX, x86_mem(R_ENV, ENV_DISP(context)));
	x86_op(&l->e, OP_XOR | X86_W, RAX, x86_reg(RCX));
	x86_op(&l->e, OP_CMP | X86_W, RAX, slot);
	x86_jcc(&l->e, CC_NE, l->s->stubs.find_miss);
	slot.disp += 8;
	x86_op(&l->e, OP_GRP5, 4, slot);
}

void x86_exit_pc(struct x86_lower *l, const struct ir_op *op)
{
	uint64_t pc = (uint64_t)op->imm;
	int32_t slot = (int32_t)(tcg_jc_index(pc) * sizeof(struct jc_entry));

	if (x86_link_jump(l, -1, pc))
		return;
	x86_mov_imm(&l->e, RCX, op->imm);
	probe(l, x86_mem(R_ENV, ENV_DISP(jump_cache) + slot));
}

void x86_exit_reg(struct x86_lower *l, const struct ir_op *op)
{
	x86_to_gpr(l, RCX, x86_val_of(l, op->a));
	compare_poll(l);
	x86_jcc(&l->e, CC_NE, l->s->stubs.exit_poll);
	x86_op(&l->e, OP_LEA, RDX, x86_mem_index(REG_NONE, RCX, 3, 0));
	x86_alu_imm(&l->e, OP_AND, x86_reg(RDX), (JC_SIZE - 1) << 4);
	probe(l, x86_mem_index(R_ENV, RDX, 0, ENV_DISP(jump_cache)));
}

void x86_exit_ctx(struct x86_lower *l, const struct ir_op *op)
{
	x86_mov_imm(&l->e, RCX, op->imm);
	x86_jmp(&l->e, l->s->stubs.find);
}

void x86_exit_env(struct x86_lower *l, const struct ir_op *op)
{
	(void)op;
	x86_op(&l->e, OP_MOV | X86_W, RCX, x86_mem(R_ENV, ENV_DISP(pc)));
	compare_poll(l);
	x86_jcc(&l->e, CC_NE, l->s->stubs.exit_poll);
	x86_jmp(&l->e, l->s->stubs.find);
}

/* --- helpers --- */

static void call_c(struct x86_lower *l, ir_helper_fn fn)
{
	intptr_t distance = (intptr_t)fn - (intptr_t)(l->s->rx + x86_at(&l->e) + 5);

	if (distance == (int32_t)distance) {
		x86_call(&l->e, x86_at(&l->e) + 5 + (uint32_t)distance);
	} else {
		x86_mov_imm(&l->e, RAX, (int64_t)(intptr_t)fn);
		x86_op(&l->e, OP_GRP5, 2, x86_reg(RAX));
	}
}

static void call_arguments(struct x86_lower *l, const struct ir_op *op)
{
	if (op->c)
		x86_to_gpr(l, RCX, x86_val_of(l, op->c));
	if (op->b)
		x86_to_gpr(l, RDX, x86_val_of(l, op->b));
	if (op->a)
		x86_to_gpr(l, RAX, x86_val_of(l, op->a));
}

/* Helpers that may exit may come to device code, which expects the MXCSR of run's caller. */
static void call_before(struct x86_lower *l, uint32_t flags)
{
	const struct x86_stubs *stubs = &l->s->stubs;

	x86_call(&l->e,
		 flags & (IRH_READS | IRH_WRITES | IRH_MAY_EXIT) ? stubs->save_all : stubs->save_volatile);
	if (flags & IRH_FP_FLAGS)
		x86_call(&l->e, stubs->fp_out);
	else if (flags & IRH_MAY_EXIT)
		x86_call(&l->e, stubs->csr_out);
	if (flags & IRH_MAY_EXIT) {
		x86_mov_imm(&l->e, RDI, (int64_t)l->pc);
		x86_op(&l->e, OP_MOV_ST | X86_W, RDI, x86_mem(R_ENV, ENV_DISP(pc)));
		x86_op_i32(&l->e, X86_OP(0xc7, 0, 0), 0, x86_mem(R_ENV, ENV_DISP(exit_reason)),
			   TCG_EXIT_NONE);
	}
}

static void call_after(struct x86_lower *l, uint32_t flags)
{
	const struct x86_stubs *stubs = &l->s->stubs;

	if (flags & IRH_FP_FLAGS)
		x86_call(&l->e, stubs->fp_in);
	else if (flags & IRH_MAY_EXIT)
		x86_call(&l->e, stubs->csr_in);
	if (flags & IRH_MAY_EXIT) {
		x86_alu_imm(&l->e, OP_CMP, x86_mem(R_ENV, ENV_DISP(exit_reason)), TCG_EXIT_NONE);
		x86_jcc(&l->e, CC_NE, stubs->leave_reason);
	}
	x86_call(&l->e, flags & IRH_WRITES ? stubs->load_all : stubs->load_volatile);
	if (flags & IRH_WRITES)
		memset(l->boxed, 0, sizeof(l->boxed));
}

void x86_call_helper(struct x86_lower *l, const struct ir_op *op)
{
	const struct ir_helper *h = &l->b->helpers[op->aux];
	uint16_t live;

	call_arguments(l, op);
	x86_free_dead(l, op);
	live = x86_xmm_live(l);
	x86_xmm_temps(l, live, true);
	call_before(l, h->flags);
	if (op->a)
		x86_mov_rr(&l->e, RSI, RAX);
	else
		x86_op(&l->e, OP_XOR, RSI, x86_reg(RSI));
	if (!op->b)
		x86_op(&l->e, OP_XOR, RDX, x86_reg(RDX));
	if (!op->c)
		x86_op(&l->e, OP_XOR, RCX, x86_reg(RCX));
	x86_op(&l->e, OP_LEA | X86_W, RDI, x86_mem(R_ENV, -ENV_BIAS));
	call_c(l, h->fn);
	call_after(l, h->flags);
	x86_xmm_temps(l, live, false);
	if (op->d) {
		x86_dst(l, op, RAX);
		x86_finish(l, op, RAX);
	}
}
