/* SPDX-License-Identifier: MIT */
/* Text of a block, one op a line, for logs, tests and mismatch reports. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ir/ir.h"

struct text {
	char *buf;
	size_t size, len;
};

__attribute__((format(printf, 2, 3)))
static void put(struct text *t, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	size_t room = t->len < t->size ? t->size - t->len : 0;
	int n = vsnprintf(room ? t->buf + t->len : NULL, room, format, args);
	va_end(args);
	if (n > 0)
		t->len += (size_t)n;
}

static void put_val(struct text *t, const struct ir_block *b, ir_val v)
{
	if (v == IR_NONE)
		put(t, " -");
	else if (IR_IS_TEMP(v))
		put(t, " t%u", v - IR_TEMP_FIRST);
	else if (b->globals && v - 1u < b->global_count)
		put(t, " %s", b->globals[v - 1].name);
	else
		put(t, " g%u", v - 1u);
}

static const char *const cond_names[] = { "eq", "ne", "lt", "ge", "le", "gt", "ltu", "geu", "leu", "gtu" };

/* The op's own field: condition, memory flags, rounding mode, label. */
static void put_extra(struct text *t, const struct ir_block *b, const struct ir_op *op)
{
	switch (op->opcode) {
	case IR_setc: case IR_movc: case IR_brc:
		put(t, " %s", op->field < 10 ? cond_names[op->field] : "?");
		if (op->opcode == IR_brc)
			put(t, " L%u", op->aux);
		break;
	case IR_label: case IR_br:
		put(t, " L%u", op->aux);
		break;
	case IR_call:
		if (b->helpers && op->aux < b->helper_count)
			put(t, " %s", b->helpers[op->aux].name);
		else
			put(t, " helper%u", op->aux);
		break;
	case IR_ld: case IR_st: case IR_amo: case IR_cas: case IR_ldenv: case IR_stenv:
		put(t, " %c%u%s%s", op->field & IRM_SIGN ? 's' : 'u', 8u << IRM_SIZE(op->field),
		    op->field & IRM_ACQ ? ".aq" : "", op->field & IRM_REL ? ".rl" : "");
		if (op->opcode == IR_amo)
			put(t, " amo%u", op->aux);
		break;
	default:
		put(t, " rm%u aux%u", op->field, op->aux);
	}
}

static void put_op(struct text *t, const struct ir_block *b, const struct ir_op *op)
{
	const struct ir_opinfo *info = &ir_opinfo[op->opcode];
	put(t, op->opcode == IR_insn ? "%s" : "    %s", info->name);
	for (const char *p = info->operands; *p; p++) {
		switch (*p) {
		case 'd': case 'D': put_val(t, b, op->d); break;
		case 'a': put_val(t, b, op->a); break;
		case 'c': put_val(t, b, op->c); break;
		case 'b': put_val(t, b, op->b); break;
		case 'B':
			if (op->b_is_imm)
				put(t, " %#" PRIx64, (uint64_t)op->imm);
			else
				put_val(t, b, op->b);
			break;
		case 'i': put(t, " %#" PRIx64, (uint64_t)op->imm); break;
		case 'x': put_extra(t, b, op); break;
		}
	}
	put(t, "\n");
}

size_t ir_print_op(const struct ir_block *b, const struct ir_op *op, char *buf, size_t buf_bytes)
{
	struct text t = { buf, buf_bytes, 0 };
	put_op(&t, b, op);
	return t.len;
}

size_t ir_print(const struct ir_block *b, char *buf, size_t buf_bytes)
{
	struct text t = { buf, buf_bytes, 0 };
	put(&t, "block %#" PRIx64 " flags %#x: %u instructions, %u bytes\n", b->pc, b->flags, b->insn_count,
	    b->guest_bytes);
	for (uint32_t i = 0; i < b->op_count; i++)
		put_op(&t, b, &b->ops[i]);
	return t.len;
}
