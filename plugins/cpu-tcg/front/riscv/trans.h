/* SPDX-License-Identifier: MIT */
/*
 * What the translators of single instructions (trans_*.c) share. They run on the vCPU's thread during
 * `translate`, see the block's context only through t->flags, and write guest registers by their globals;
 * x0 is never written, and read as the constant 0.
 */
#ifndef RV_TRANS_H
#define RV_TRANS_H

#include "decode.h"
#include "ir/ir.h"
#include "state.h"

enum rv_helper {
#define RVH(id, fn, flags) RVH_##id,
#include "helpers.def"
#undef RVH
	RVH_COUNT
};

#define RV_GLOBAL_X(n) IR_GLOBAL(n)
#define RV_GLOBAL_F(n) IR_GLOBAL(32u + (n))
#define RV_GLOBALS 64u

/* arg of an AMO line: which, and the size */
#define AMO_ARG(amo, mem) ((uint32_t)(amo) << 8 | (mem))

/* arg of a half-precision line: the result is an F register; it is exact, without a rounding mode; it needs D */
#define RV_HALF_F     1u
#define RV_HALF_EXACT 2u
#define RV_HALF_D     4u

struct rv_trans {
	struct ir_block *b;
	uint64_t exts;
	uint32_t flags;         /* RV_FLAG_* of the block */
	uint64_t pc, next;      /* of this instruction and the one behind it */
	bool done;              /* the block has its end */
	/* registers whose value is known here: lui, auipc and what adds to them */
	uint32_t known;
	uint64_t value[32];
};

typedef void rv_trans_fn(struct rv_trans *t, const struct rv_insn *i, uint32_t arg);

#define RV(id, name, format, match, mask, ext, handler, arg) rv_trans_fn rv_t_##handler;
#include "rv.def"
#undef RV

/* A value to read: the register, or a temporary 0 for x0. */
ir_val rv_src(struct rv_trans *t, uint32_t reg);
/* Where to write a result: not for x0 (test that first). */
static inline ir_val rv_dst(struct rv_trans *t, uint32_t reg)
{
	t->known &= ~(1u << reg);
	return RV_GLOBAL_X(reg);
}
/* The same for results that must be made even for x0 (loads): a fresh temporary then. */
static inline ir_val rv_dst_or_temp(struct rv_trans *t, uint32_t reg)
{
	return reg ? rv_dst(t, reg) : IR_NONE;
}
void rv_set_known(struct rv_trans *t, uint32_t reg, uint64_t value);
static inline bool rv_is_known(const struct rv_trans *t, uint32_t reg)
{
	return reg == 0 || (t->known >> reg & 1);
}

/* Ends the block at this instruction with an exception. */
void rv_raise(struct rv_trans *t, uint64_t cause, uint64_t value);
void rv_illegal(struct rv_trans *t, const struct rv_insn *i);
/* Goes on at a constant pc, with a poll when that is not ahead. */
void rv_goto(struct rv_trans *t, uint64_t target);

#endif
