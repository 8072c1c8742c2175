/* SPDX-License-Identifier: MIT */
/*
 * Text of a decoded instruction, as an assembler takes it, made from the operand strings of formats.def. A
 * compressed one is written as what it stands for. CSR names are not known here: numbers. Any thread.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "decode.h"

const char *const rv_xreg_names[32] = {
	"zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
	"a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};

const char *const rv_freg_names[32] = {
	"ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3",
			"fa4", "fa5",
	"fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9",
			"ft10", "ft11",
};

static const char *const format_operands[] = {
#define RV_FORMAT(id, imm, operands) [RV_FORMAT_##id] = operands,
#include "formats.def"
#undef RV_FORMAT
};

struct text {
	char *buf;
	size_t bytes, len;
};

__attribute__((format(printf, 2, 3)))
static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;

	if (t->len >= t->bytes)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(t->buf + t->len, t->bytes - t->len, fmt, ap);
	va_end(ap);
	t->len += n > 0 ? (size_t)n : 0;
	if (t->len >= t->bytes)
		t->len = t->bytes - 1;
}

static void put_order(struct text *t, int64_t set)
{
	const char *letters = "iorw";

	if (!(set & 15))
		put(t, "0");
	for (int i = 0; i < 4; i++)
		if (set >> (3 - i) & 1)
			put(t, "%c", letters[i]);
}

static void put_rounding(struct text *t, uint32_t rm)
{
	static const char *const names[8] = { "rne", "rtz", "rdn", "rup", "rmm", "5", "6", NULL };

	if (names[rm & 7])
		put(t, ",%s", names[rm & 7]);
}

static void put_operand(struct text *t, const struct rv_insn *insn, uint64_t pc, char letter)
{
	switch (letter) {
	case 'd': put(t, "%s", rv_xreg_names[insn->rd & 31]); return;
	case 's': put(t, "%s", rv_xreg_names[insn->rs1 & 31]); return;
	case 't': put(t, "%s", rv_xreg_names[insn->rs2 & 31]); return;
	case 'D': put(t, "%s", rv_freg_names[insn->rd & 31]); return;
	case 'S': put(t, "%s", rv_freg_names[insn->rs1 & 31]); return;
	case 'T': put(t, "%s", rv_freg_names[insn->rs2 & 31]); return;
	case 'R': put(t, "%s", rv_freg_names[insn->rs3 & 31]); return;
	case 'i': put(t, "%" PRId64, insn->imm); return;
	case 'b': put(t, "0x%" PRIx64, pc + (uint64_t)insn->imm); return;
	case 'u': put(t, "0x%" PRIx64, (uint64_t)insn->imm >> 12 & 0xfffff); return;
	case 'c': put(t, "0x%" PRIx64, (uint64_t)insn->imm); return;
	case 'z': put(t, "%u", insn->rs1 & 31u); return;
	case 'P': put_order(t, insn->imm >> 4); return;
	case 'Q': put_order(t, insn->imm); return;
	case 'm': put_rounding(t, insn->rm); return;
	}
	put(t, "%c", letter);
}

const char *rv_mnemonic(const struct rv_insn *insn)
{
	return insn->op < RV_OPS ? rv_entries[insn->op].name : "?";
}

size_t rv_disassemble(const struct rv_insn *insn, uint64_t pc, char *buf, size_t buf_bytes)
{
	static const char *const order[4] = { "", ".rl", ".aq", ".aqrl" };
	struct text t = { buf, buf_bytes, 0 };
	const struct rv_entry *e = &rv_entries[insn->op];

	put(&t, "%s", e->name);
	if (e->format == RV_FORMAT_AMO || e->format == RV_FORMAT_LR)
		put(&t, "%s", order[insn->imm & 3]);
	if (format_operands[e->format][0])
		put(&t, " ");
	for (const char *p = format_operands[e->format]; *p; p++)
		put_operand(&t, insn, pc, *p);
	return t.len;
}
