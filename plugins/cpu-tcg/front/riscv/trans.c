/* SPDX-License-Identifier: MIT */
/*
 * The translation of a block: fetch, decode, one call per instruction. Runs on the vCPU's thread. A block
 * ends at control transfers, at what changes the context, at its instruction bound, and before the page's
 * last parcel when that begins an instruction that crosses into the next page: such an instruction has a
 * block of its own, so that a fault on its second half is always the fault of a block's first instruction.
 */
#include "trans.h"

#define BLOCK_INSNS_MAX 128u

static const struct {
	rv_trans_fn *fn;
	uint32_t arg;
} handlers[RV_OPS] = {
#define RV(id, name, format, match, mask, ext, handler, arg) [RV_##id] = { rv_t_##handler, arg },
#include "rv.def"
#undef RV
};

ir_val rv_src(struct rv_trans *t, uint32_t reg)
{
	return reg ? RV_GLOBAL_X(reg) : ir_movi(t->b, IR_NONE, 0);
}

void rv_set_known(struct rv_trans *t, uint32_t reg, uint64_t value)
{
	if (!reg)
		return;
	ir_movi(t->b, RV_GLOBAL_X(reg), (int64_t)value);
	t->known |= 1u << reg;
	t->value[reg] = value;
}

void rv_raise(struct rv_trans *t, uint64_t cause, uint64_t value)
{
	ir_call(t->b, IR_NONE, RVH_RAISE, ir_movi(t->b, IR_NONE, (int64_t)cause),
		ir_movi(t->b, IR_NONE, (int64_t)value), IR_NONE);
	ir_exit_env(t->b);      /* not reached: the helper leaves */
	t->done = true;
}

void rv_illegal(struct rv_trans *t, const struct rv_insn *i)
{
	rv_raise(t, RV_ILLEGAL, i->raw);
}

void rv_goto(struct rv_trans *t, uint64_t target)
{
	/* without C a target may be misaligned: the exception is the jump's own ("Control Transfer Instructions") */
	if ((target & 2) && !(t->exts & RV_BIT(C))) {
		rv_raise(t, RV_INSN_MISALIGNED, target);
		return;
	}
	if (target <= t->pc)
		ir_poll(t->b, target);
	ir_exit_pc(t->b, target);
}

enum fetched { FETCHED, FETCH_FAULT, FETCH_CROSSES };

static enum fetched fetch(struct tcg_env *env, uint64_t pc, bool first, uint32_t *word)
{
	uint16_t low, high;

	/* Ziccif: an aligned instruction is fetched whole, whoever is writing it */
	if (!(pc & 3)) {
		if (!tcg_fetch32(env, pc, word))
			return FETCH_FAULT;
		*word &= (*word & 3) == 3 ? 0xffffffffu : 0xffffu;
		return FETCHED;
	}
	if (!tcg_fetch16(env, pc, &low))
		return FETCH_FAULT;
	*word = low;
	if ((low & 3) != 3)
		return FETCHED;
	if (!first && ((pc + 2) & TCG_PAGE_MASK) != (pc & TCG_PAGE_MASK))
		return FETCH_CROSSES;
	if (!tcg_fetch16(env, pc + 2, &high))
		return FETCH_FAULT;
	*word |= (uint32_t)high << 16;
	return FETCHED;
}

static void translate_one(struct rv_trans *t, uint32_t word)
{
	struct rv_insn insn;
	uint32_t len_bytes = (word & 3) == 3 ? 4 : 2;

	t->next = t->pc + len_bytes;
	ir_insn(t->b, t->pc, len_bytes);
	if (!rv_decode(word, t->exts, &insn)) {
		rv_raise(t, RV_ILLEGAL, word);
		return;
	}
	handlers[insn.op].fn(t, &insn, handlers[insn.op].arg);
}

bool rv_translate(struct tcg_env *env, struct ir_block *b)
{
	const struct rv_state *s = rv_state(env);
	struct rv_trans t = { .b = b, .exts = s->config->exts, .flags = b->flags, .pc = b->pc, .next = b->pc };
	uint32_t max = b->max_insns && b->max_insns < BLOCK_INSNS_MAX ? b->max_insns : BLOCK_INSNS_MAX;
	uint64_t page = b->pc & TCG_PAGE_MASK;

	for (uint32_t n = 0; !t.done && !b->overflow; n++, t.pc = t.next) {
		uint32_t word;
		enum fetched got = FETCH_CROSSES;
		if (n < max && (n == 0 || ((t.pc & TCG_PAGE_MASK) == page && !tcg_break_at(env, t.pc))))
			got = fetch(env, t.pc, n == 0, &word);
		if (got == FETCH_FAULT && n == 0)
			return false;
		if (got != FETCHED) {
			/* a fault here is taken when control gets here, not now */
			env->exit_reason = TCG_EXIT_NONE;
			ir_exit_pc(b, t.pc);
			break;
		}
		translate_one(&t, word);
	}
	return true;
}
