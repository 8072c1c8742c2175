/* SPDX-License-Identifier: MIT */
/*
 * Zicsr, Zifencei, cache blocks, waiting and the privileged instructions. Nearly all call helpers; those
 * that change what blocks depend on end the block and go on in the new context. Privilege is checked by the
 * helpers, for mstatus.TVM, TW and TSR are not part of a block's context.
 */
#include "csr.h"
#include "trans.h"

static ir_val insn_word(struct rv_trans *t, const struct rv_insn *i)
{
	return ir_movi(t->b, IR_NONE, i->raw);
}

static void end_in_new_context(struct rv_trans *t)
{
	ir_poll(t->b, t->next);
	ir_exit_ctx(t->b, t->next);
	t->done = true;
}

/* A csrrs or csrrc of x0 (or immediate 0) does not write ("Zicsr"). */
static bool writes(const struct rv_insn *i)
{
	bool set_or_clear = (i->raw >> 12 & 3) != 1;

	return !set_or_clear || i->rs1 != 0;
}

static bool ends_block(const struct rv_trans *t, const struct rv_csr *c)
{
	/* a write to an FP register that finds FS clean changes the context */
	if ((c->flags & RV_CSR_FP) && !(t->flags & RV_FLAG_FS_DIRTY))
		return true;
	return !(c->flags & RV_CSR_PLAIN);
}

/*
 * fflags without a helper: compilers save and restore it around quiet comparisons. In contexts where FS is off, or
 * not dirty and to be written, the helper does it all.
 */
static bool flags_csr(struct rv_trans *t, const struct rv_insn *i)
{
	uint32_t kind = i->raw >> 12 & 3, needed = writes(i) ? RV_FLAG_FS_ON | RV_FLAG_FS_DIRTY : RV_FLAG_FS_ON;

	if (i->imm != CSR_FFLAGS || (t->flags & needed) != needed)
		return false;

	ir_val operand = i->raw >> 14 & 1 ? ir_movi(t->b, IR_NONE, i->rs1) : rv_src(t, i->rs1), old = IR_NONE;
	if (i->rd || kind != 1) {
		old = ir_temp(t->b);
		ir_emit(t->b, IR_ldflags)->d = old;
	}
	if (writes(i)) {
		ir_val value = operand;
		if (kind != 1)
			value = ir_op2(t->b, kind == 2 ? IR_or : IR_andn, IR_NONE, old, operand);
		ir_emit(t->b, IR_stflags)->a = value;
	}
	if (i->rd)
		ir_op1(t->b, IR_mov, rv_dst(t, i->rd), old);
	return true;
}

void rv_t_csr(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	const struct rv_csr *c = rv_csr_find((uint32_t)i->imm);
	bool immediate = i->raw >> 14 & 1;

	(void)arg;
	if (!c || !(t->exts >> c->ext & 1)) {
		rv_illegal(t, i);
		return;
	}
	if (flags_csr(t, i))
		return;
	ir_val operand = immediate ? ir_movi(t->b, IR_NONE, i->rs1) : rv_src(t, i->rs1);
	ir_val word = insn_word(t, i);
	ir_call(t->b, i->rd ? rv_dst(t, i->rd) : IR_NONE, c->flags & RV_CSR_FP ? RVH_CSR_FP : RVH_CSR, word, operand,
		IR_NONE);
	if (writes(i) && ends_block(t, c))
		end_in_new_context(t);
}

void rv_t_fence_i(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)i;
	(void)arg;
	ir_call(t->b, IR_NONE, RVH_FENCE_I, IR_NONE, IR_NONE, IR_NONE);
	ir_exit_ctx(t->b, t->next);
	t->done = true;
}

void rv_t_ecall(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)i;
	(void)arg;
	rv_raise(t, RV_ECALL_U + (t->flags & RV_FLAG_PRIV), 0);
}

void rv_t_ebreak(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)i;
	(void)arg;
	rv_raise(t, RV_BREAKPOINT, t->pc);
}

void rv_t_xret(struct rv_trans *t, const struct rv_insn *i, uint32_t helper)
{
	ir_call(t->b, IR_NONE, helper, insn_word(t, i), IR_NONE, IR_NONE);
	ir_exit_env(t->b);
	t->done = true;
}

void rv_t_wfi(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	ir_val word = insn_word(t, i), next = ir_movi(t->b, IR_NONE, (int64_t)t->next);
	ir_call(t->b, IR_NONE, RVH_WFI, word, next, IR_NONE);
	ir_poll(t->b, t->next);
	ir_exit_pc(t->b, t->next);
	t->done = true;
}

/* wrs.nto and, short = 1, wrs.sto */
void rv_t_wrs(struct rv_trans *t, const struct rv_insn *i, uint32_t is_short)
{
	ir_val word = insn_word(t, i), next = ir_movi(t->b, IR_NONE, (int64_t)t->next);
	ir_call(t->b, IR_NONE, RVH_WRS, word, next, ir_movi(t->b, IR_NONE, is_short));
	ir_poll(t->b, t->next);
	ir_exit_pc(t->b, t->next);
	t->done = true;
}

/* cbo.inval, cbo.clean, cbo.flush: there is no cache, so what is left of them is their checks. */
void rv_t_cbo(struct rv_trans *t, const struct rv_insn *i, uint32_t allowed)
{
	if (!(t->flags & allowed))
		rv_illegal(t, i);
	else
		ir_call(t->b, IR_NONE, RVH_CBO, rv_src(t, i->rs1), IR_NONE, IR_NONE);
}

void rv_t_cbo_zero(struct rv_trans *t, const struct rv_insn *i, uint32_t allowed)
{
	if (!(t->flags & allowed))
		rv_illegal(t, i);
	else
		ir_zero(t->b, rv_src(t, i->rs1));
}

void rv_t_sfence_vma(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	ir_val word = insn_word(t, i), vaddr = rv_src(t, i->rs1), asid = rv_src(t, i->rs2);
	ir_call(t->b, IR_NONE, RVH_SFENCE_VMA, word, vaddr, asid);
	ir_exit_ctx(t->b, t->next);
	t->done = true;
}

/* sfence.w.inval and sfence.inval.ir: sinval.vma flushes at once, so they order nothing more. */
void rv_t_sinval_fence(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	ir_call(t->b, IR_NONE, RVH_SINVAL_FENCE, insn_word(t, i), IR_NONE, IR_NONE);
}
