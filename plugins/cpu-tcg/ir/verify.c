/* SPDX-License-Identifier: MIT */
/*
 * The verifier: a block is well formed when every operand that its op declares is there and in range, every
 * temporary is written before it is read on every path, branches go forward to labels that are placed once,
 * memory ops stand inside an instruction, and the block ends with an op that ends it and nothing falls out.
 */
#include <string.h>

#include "ir/ir.h"

struct check {
	const struct ir_block *b;
	/* temporaries written on every path to here; a bit each */
	uint64_t written[IR_MAX_TEMPS / 64];
	/* the same at each label, the meet over the branches seen so far */
	uint64_t at_label[IR_MAX_LABELS][IR_MAX_TEMPS / 64];
	uint8_t label_seen[IR_MAX_LABELS];      /* 1: branched to, 2: placed */
	bool reachable;
	bool in_insn;
};

static bool value_ok(const struct ir_block *b, ir_val v)
{
	if (IR_IS_TEMP(v))
		return v - IR_TEMP_FIRST < b->temp_count;
	return v != IR_NONE && v - 1u < b->global_count;
}

static const char *check_read(struct check *k, ir_val v, bool optional)
{
	if (v == IR_NONE)
		return optional ? NULL : "operand missing";
	if (!value_ok(k->b, v))
		return "operand out of range";
	if (IR_IS_TEMP(v)) {
		uint32_t t = v - IR_TEMP_FIRST;
		if (!(k->written[t / 64] >> (t % 64) & 1))
			return "temporary read before it is written";
	}
	return NULL;
}

static const char *check_write(struct check *k, ir_val v, bool optional)
{
	if (v == IR_NONE)
		return optional ? NULL : "destination missing";
	if (!value_ok(k->b, v))
		return "destination out of range";
	if (IR_IS_TEMP(v)) {
		uint32_t t = v - IR_TEMP_FIRST;
		k->written[t / 64] |= (uint64_t)1 << (t % 64);
	}
	return NULL;
}

static const char *check_operands(struct check *k, const struct ir_op *op)
{
	bool call = op->opcode == IR_call;
	const char *wrong = NULL;
	for (const char *p = ir_opinfo[op->opcode].operands; *p && !wrong; p++) {
		switch (*p) {
		case 'a': wrong = check_read(k, op->a, call); break;
		case 'b': wrong = check_read(k, op->b, call); break;
		case 'B': wrong = op->b_is_imm ? NULL : check_read(k, op->b, false); break;
		case 'c': wrong = check_read(k, op->c, call); break;
		case 'D': wrong = check_read(k, op->d, false); break;
		}
	}
	if (!wrong && strchr("dD", ir_opinfo[op->opcode].operands[0]) && ir_opinfo[op->opcode].operands[0])
		wrong = check_write(k, op->d, call);
	return wrong;
}

static const char *check_fields(const struct ir_block *b, const struct ir_op *op)
{
	switch (op->opcode) {
	case IR_setc: case IR_movc: case IR_brc:
		return op->field > IR_GTU ? "no such condition" : NULL;
	case IR_call:
		return op->aux >= b->helper_count ? "no such helper" : NULL;
	case IR_amo:
		return op->aux > IR_AMO_MAXU || IRM_SIZE(op->field) < IRM_32 ? "bad atomic" : NULL;
	case IR_addshl:
		return op->imm < 0 || op->imm > 3 ? "bad shift" : NULL;
	case IR_fcvt_i_s: case IR_fcvt_i_d: case IR_fcvt_s_i: case IR_fcvt_d_i:
		return op->aux > IR_CVT_U64 ? "no such conversion" : NULL;
	case IR_fcmp_s: case IR_fcmp_d:
		return op->aux > IR_FCMP_LE ? "no such comparison" : NULL;
	}
	if ((ir_opinfo[op->opcode].flags & IRF_F) && op->field > IR_RM_RMM && op->field != IR_RM_DYN)
		return "no such rounding mode";
	return NULL;
}

static const char *check_branch(struct check *k, const struct ir_op *op)
{
	if (op->aux >= k->b->label_count)
		return "no such label";
	uint64_t *at = k->at_label[op->aux];
	if (op->opcode == IR_label) {
		if (k->label_seen[op->aux] & 2)
			return "label placed twice";
		if (k->label_seen[op->aux] & 1)
			for (size_t i = 0; i < IR_MAX_TEMPS / 64; i++)
				k->written[i] = k->reachable ? k->written[i] & at[i] : at[i];
		k->reachable |= k->label_seen[op->aux] & 1;
		k->label_seen[op->aux] |= 2;
		return NULL;
	}
	if (k->label_seen[op->aux] & 2)
		return "branch backwards";
	for (size_t i = 0; i < IR_MAX_TEMPS / 64; i++)
		at[i] = k->label_seen[op->aux] & 1 ? at[i] & k->written[i] : k->written[i];
	k->label_seen[op->aux] |= 1;
	if (op->opcode == IR_br)
		k->reachable = false;
	return NULL;
}

static const char *check_op(struct check *k, const struct ir_op *op)
{
	if (op->opcode >= IR_OPCODES)
		return "no such op";
	uint32_t flags = ir_opinfo[op->opcode].flags;
	if (!k->reachable && op->opcode != IR_label)
		return op->opcode == IR_insn || op->opcode == IR_nop ? NULL : "op that nothing reaches";
	const char *wrong = check_operands(k, op);
	if (!wrong)
		wrong = check_fields(k->b, op);
	if (!wrong && (flags & IRF_B))
		wrong = check_branch(k, op);
	if (!wrong && (flags & IRF_M) && !k->in_insn)
		wrong = "memory op outside an instruction";
	if (op->opcode == IR_insn)
		k->in_insn = true;
	if (flags & IRF_E)
		k->reachable = false;
	return wrong;
}

const char *ir_verify(const struct ir_block *b, uint32_t *at)
{
	static __thread struct check k;
	memset(&k, 0, sizeof(k));
	k.b = b;
	k.reachable = true;
	*at = 0;
	if (b->overflow)
		return "overflow";
	for (uint32_t i = 0; i < b->op_count; i++) {
		*at = i;
		const char *wrong = check_op(&k, &b->ops[i]);
		if (wrong)
			return wrong;
	}
	if (k.reachable)
		return "control falls out of the block";
	for (uint32_t i = 0; i < b->label_count; i++)
		if (k.label_seen[i] == 1)
			return "label never placed";
	return NULL;
}
