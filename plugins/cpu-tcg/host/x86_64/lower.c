/* SPDX-License-Identifier: MIT */
/*
 * Lowers a block: one pass backwards for the last uses of temporaries, one forwards that emits an op after
 * the other, then the far code. Runs on a vCPU's thread under the engine's lock: the state is shared by the
 * code space. Every op has its room before it is emitted, so nothing below checks for the end of the buffer.
 */
#include <string.h>

#include "host/x86_64/lower.h"

#define OP_ROOM 512u            /* more than any op emits in line */
#define FAR_ROOM 320u           /* and out of line */

static x86_lower_fn *const lower_of[IR_OPCODES] = {
	[IR_movi] = x86_movi, [IR_mov] = x86_mov,
	[IR_add] = x86_alu, [IR_sub] = x86_alu, [IR_and] = x86_alu, [IR_or] = x86_alu, [IR_xor] = x86_alu,
	[IR_add32] = x86_alu, [IR_sub32] = x86_alu,
	[IR_andn] = x86_andn, [IR_orn] = x86_orn, [IR_xnor] = x86_xnor,
	[IR_shl] = x86_shift, [IR_shr] = x86_shift, [IR_sar] = x86_shift, [IR_rotl] = x86_shift,
	[IR_rotr] = x86_shift, [IR_shl32] = x86_shift, [IR_shr32] = x86_shift, [IR_sar32] = x86_shift,
	[IR_rotl32] = x86_shift, [IR_rotr32] = x86_shift,
	[IR_addshl] = x86_addshl, [IR_mul] = x86_mul, [IR_mul32] = x86_mul,
	[IR_mulhs] = x86_mulh, [IR_mulhu] = x86_mulh, [IR_mulhsu] = x86_mulhsu,
	[IR_divs] = x86_div, [IR_divu] = x86_div, [IR_rems] = x86_div, [IR_remu] = x86_div,
	[IR_divs32] = x86_div, [IR_divu32] = x86_div, [IR_rems32] = x86_div, [IR_remu32] = x86_div,
	[IR_ext8s] = x86_ext, [IR_ext16s] = x86_ext, [IR_ext32s] = x86_ext, [IR_ext8u] = x86_ext,
	[IR_ext16u] = x86_ext, [IR_ext32u] = x86_ext,
	[IR_clz] = x86_count, [IR_ctz] = x86_count, [IR_clz32] = x86_count, [IR_ctz32] = x86_count,
	[IR_popcnt] = x86_popcnt, [IR_popcnt32] = x86_popcnt,
	[IR_bswap] = x86_bswap, [IR_orcb] = x86_orcb,
	[IR_mins] = x86_minmax, [IR_maxs] = x86_minmax, [IR_minu] = x86_minmax, [IR_maxu] = x86_minmax,
	[IR_setc] = x86_setc, [IR_movc] = x86_movc,
	[IR_ldenv] = x86_ldenv, [IR_stenv] = x86_stenv, [IR_ld] = x86_ld, [IR_st] = x86_st,
	[IR_zero] = x86_zero, [IR_amo] = x86_amo, [IR_cas] = x86_cas, [IR_fence] = x86_fence,
	[IR_ldflags] = x86_ldflags, [IR_stflags] = x86_stflags,
	[IR_label] = x86_label, [IR_br] = x86_br, [IR_brc] = x86_brc, [IR_poll] = x86_poll,
	[IR_exit_pc] = x86_exit_pc, [IR_exit_reg] = x86_exit_reg, [IR_exit_ctx] = x86_exit_ctx,
	[IR_exit_env] = x86_exit_env, [IR_call] = x86_call_helper,
	[IR_fadd_s] = x86_fp_arith, [IR_fsub_s] = x86_fp_arith, [IR_fmul_s] = x86_fp_arith,
	[IR_fdiv_s] = x86_fp_arith, [IR_fsqrt_s] = x86_fp_sqrt, [IR_fma_s] = x86_fp_fma,
	[IR_fmin_s] = x86_fp_minmax, [IR_fmax_s] = x86_fp_minmax, [IR_fcmp_s] = x86_fp_cmp,
	[IR_fadd_d] = x86_fp_arith, [IR_fsub_d] = x86_fp_arith, [IR_fmul_d] = x86_fp_arith,
	[IR_fdiv_d] = x86_fp_arith, [IR_fsqrt_d] = x86_fp_sqrt, [IR_fma_d] = x86_fp_fma,
	[IR_fmin_d] = x86_fp_minmax, [IR_fmax_d] = x86_fp_minmax, [IR_fcmp_d] = x86_fp_cmp,
	[IR_fcvt_i_s] = x86_fp_to_int, [IR_fcvt_i_d] = x86_fp_to_int,
	[IR_fcvt_s_i] = x86_fp_from_int, [IR_fcvt_d_i] = x86_fp_from_int,
	[IR_fcvt_s_d] = x86_fp_widen, [IR_fcvt_d_s] = x86_fp_widen,
	[IR_fbox] = x86_fbox, [IR_funbox] = x86_funbox,
};

/* --- liveness --- */

static void note_use(struct x86_lower *l, ir_val v, uint32_t at, uint16_t segment)
{
	if (!IR_IS_TEMP(v))
		return;
	struct x86_temp *t = &l->temps[v - IR_TEMP_FIRST];
	if (t->last_use == UINT32_MAX) {
		t->last_use = at;
		t->segment = segment;
	} else if (t->segment != segment) {
		t->crossing = 1;
	}
}

static bool is_dead(const struct x86_lower *l, const struct ir_op *op)
{
	return (ir_opinfo[op->opcode].flags & IRF_C) && IR_IS_TEMP(op->d) &&
	       l->temps[op->d - IR_TEMP_FIRST].last_use == UINT32_MAX;
}

static void find_last_uses(struct x86_lower *l)
{
	const struct ir_block *b = l->b;
	uint16_t segment = 0;

	for (uint32_t i = 0; i < b->temp_count; i++)
		l->temps[i] = (struct x86_temp){ .last_use = UINT32_MAX };
	for (uint32_t i = b->op_count; i-- > 0;) {
		const struct ir_op *op = &b->ops[i];
		uint8_t reads = l->s->reads[op->opcode];

		l->dead[i] = is_dead(l, op);
		if (l->dead[i])
			continue;
		if (op->opcode == IR_label)
			segment++;
		if (reads & (READ_D | WRITE_D))
			note_use(l, op->d, i, segment);
		if (reads & READ_A)
			note_use(l, op->a, i, segment);
		if ((reads & READ_B) && !op->b_is_imm)
			note_use(l, op->b, i, segment);
		if (reads & READ_C)
			note_use(l, op->c, i, segment);
	}
}

/* --- fusion of an op with the one behind it, whose only operand it makes --- */

static bool feeds_next(const struct x86_lower *l, uint32_t i, uint8_t opcode)
{
	const struct ir_op *op = &l->b->ops[i], *next = op + 1;

	return i + 1 < l->b->op_count && next->opcode == opcode && next->a == op->d && IR_IS_TEMP(op->d) &&
	       l->temps[op->d - IR_TEMP_FIRST].last_use == i + 1 && !l->dead[i + 1];
}

static bool makes_32(uint8_t opcode)
{
	return (opcode >= IR_add32 && opcode <= IR_rotr32) || opcode == IR_mul32 ||
	       (opcode >= IR_divs32 && opcode <= IR_remu32);
}

static bool makes_single(uint8_t opcode)
{
	return (opcode >= IR_fadd_s && opcode <= IR_fmax_s) || opcode == IR_fcvt_s_i || opcode == IR_fcvt_s_d;
}

static void lower_op(struct x86_lower *l, uint32_t i)
{
	struct ir_op op = l->b->ops[i];

	if (makes_32(op.opcode) && feeds_next(l, i, IR_ext32s))
		l->sign_extend = true;
	else if (makes_single(op.opcode) && feeds_next(l, i, IR_fbox))
		l->box = true;
	if (l->sign_extend || l->box) {
		op.d = l->b->ops[i + 1].d;
		l->at++;
		lower_of[op.opcode](l, &op);
		l->sign_extend = l->box = false;
	} else {
		lower_of[op.opcode](l, &l->b->ops[i]);
	}
}

static void lower_ops(struct x86_lower *l, const uint8_t *end)
{
	const struct ir_block *b = l->b;

	for (l->at = 0; l->at < b->op_count && !l->failed; l->at++) {
		uint32_t i = l->at;
		uint8_t opcode = b->ops[i].opcode;

		if (l->group.on && i > l->group.last)
			x86_group_end(l);
		if ((size_t)(end - l->e.p) < OP_ROOM) {
			l->failed = true;
		} else if (opcode == IR_insn) {
			l->pc = (uint64_t)b->ops[i].imm;
		} else if (!l->dead[i] && lower_of[opcode]) {
			lower_op(l, i);
		}
	}
}

static void lower_far(struct x86_lower *l, const uint8_t *end)
{
	for (uint32_t i = 0; i < l->far_count && !l->failed; i++) {
		if ((size_t)(end - l->e.p) < FAR_ROOM)
			l->failed = true;
		else
			x86_far_emit(l, &l->fars[i]);
	}
}

size_t x86_lower(struct tcg_host_state *s, const struct ir_block *b, struct tcg_block *block,
		 const struct tcg_code_space *space)
{
	struct x86_lower *l = &s->lower;
	const uint8_t *end = space->rw + space->free_bytes;
	uint8_t *start = space->rw - (space->rx - s->rx);
	uint32_t hot_insns, hot_bytes;

	l->e = (struct x86_enc){ .p = space->rw, .start = start };
	l->s = s;
	l->b = b;
	l->block = block;
	l->features = s->config.features;
	l->code = x86_at(&l->e);
	l->pc = b->pc;
	l->links = l->far_count = 0;
	l->group.on = false;
	l->flags_kept = UINT32_MAX;
	l->sign_extend = l->box = l->failed = false;
	l->gpr_free = s->config.temp_gprs ? 1u << R15 : 0;
	l->xmm_free = ((1u << s->config.temp_xmms) - 1u) << X86_TEMP_XMM_FIRST;
	memset(l->boxed, 0, sizeof(l->boxed));
	memset(l->label_at, 0, b->label_count * sizeof(l->label_at[0]));
	memset(block->links, 0, sizeof(block->links));
	find_last_uses(l);
	lower_ops(l, end);
	hot_insns = l->e.count;
	hot_bytes = x86_at(&l->e) - l->code;
	lower_far(l, end);
	if (l->failed)
		return 0;
	block->code = space->rx;
	block->code_bytes = (uint32_t)(l->e.p - space->rw);
	s->stats.blocks++;
	s->stats.guest_insns += b->insn_count;
	s->stats.host_insns += hot_insns;
	s->stats.hot_bytes += hot_bytes;
	s->stats.far_bytes += block->code_bytes - hot_bytes;
	return ((size_t)block->code_bytes + 15u) & ~(size_t)15u;
}
