/* SPDX-License-Identifier: MIT */
/*
 * A and Zacas: atomic memory operations as IR ops, LR and SC and 16 bytes through helpers (Unprivileged ISA, "A"
 * Extension).
 * Misaligned ones fault. LR/SC pairs are ordered as sequentially consistent, which is stronger than any
 * aq/rl.
 */
#include "trans.h"

/* imm = aq * 2 + rl */
static uint8_t order_bits(const struct rv_insn *i)
{
	return (uint8_t)((i->imm & 2 ? IRM_ACQ : 0) | (i->imm & 1 ? IRM_REL : 0));
}

void rv_t_amo(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	uint8_t mem = (uint8_t)(arg & 255) | order_bits(i) | IRM_SIGN;
	ir_val addr = rv_src(t, i->rs1), value = rv_src(t, i->rs2);

	ir_amo(t->b, rv_dst_or_temp(t, i->rd), arg >> 8, addr, value, mem);
}

/* amocas.w and .d (Zacas) */
void rv_t_amocas(struct rv_trans *t, const struct rv_insn *i, uint32_t mem)
{
	ir_val addr = rv_src(t, i->rs1), expected = rv_src(t, i->rd), desired = rv_src(t, i->rs2);

	ir_cas(t->b, rv_dst_or_temp(t, i->rd), addr, expected, desired, (uint8_t)(mem | order_bits(i) | IRM_SIGN));
}

/* Odd registers are reserved. */
void rv_t_amocas_q(struct rv_trans *t, const struct rv_insn *i, uint32_t arg)
{
	(void)arg;
	if ((i->rd | i->rs2) & 1) {
		rv_illegal(t, i);
		return;
	}
	t->known &= ~(3u << i->rd) | 1u;
	ir_call(t->b, IR_NONE, RVH_AMOCAS_Q, rv_src(t, i->rs1), ir_movi(t->b, IR_NONE, i->rd),
		ir_movi(t->b, IR_NONE, i->rs2));
}

static ir_val bytes_of(struct rv_trans *t, uint32_t mem)
{
	return ir_movi(t->b, IR_NONE, 1 << IRM_SIZE(mem));
}

void rv_t_lr(struct rv_trans *t, const struct rv_insn *i, uint32_t mem)
{
	ir_val addr = rv_src(t, i->rs1), bytes = bytes_of(t, mem);

	ir_call(t->b, rv_dst_or_temp(t, i->rd), RVH_LR, addr, bytes, IR_NONE);
}

void rv_t_sc(struct rv_trans *t, const struct rv_insn *i, uint32_t mem)
{
	ir_val addr = rv_src(t, i->rs1), value = rv_src(t, i->rs2), bytes = bytes_of(t, mem);

	ir_call(t->b, rv_dst_or_temp(t, i->rd), RVH_SC, addr, value, bytes);
}
