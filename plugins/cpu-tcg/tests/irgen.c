/* SPDX-License-Identifier: MIT */
/* Random blocks. What the verifier asks for holds by construction: see struct gen. */
#include <stdio.h>
#include <string.h>

#include "tests/irfuzz.h"

struct ir_global fuzz_globals[FUZZ_GLOBALS];
static char names[FUZZ_GLOBALS][8];

#define GEN_TEMPS 40u
#define GEN_LABELS 4u

struct gen {
	struct ir_block *b;
	struct fuzz_rng *rng;
	uint64_t written;               /* temporaries that can be read here */
	uint64_t at_label[GEN_LABELS];  /* the same for pending labels */
	uint16_t label[GEN_LABELS];
	uint32_t pending;
	uint64_t pc;
};

/* Priorities in an order of their own, with some that want no register. */
void fuzz_globals_init(void)
{
	for (uint32_t i = 0; i < FUZZ_GLOBALS; i++) {
		bool fp = i >= FUZZ_GPRS;
		uint32_t n = fp ? i - FUZZ_GPRS : i;
		snprintf(names[i], sizeof(names[i]), "%c%u", fp ? 'f' : 'x', n & 31u);
		fuzz_globals[i] = (struct ir_global) {
			.name = names[i],
			.env_offset =
				(uint32_t)(ENV_GUEST_OFFSET + offsetof(struct fuzz_guest, regs) + 8 * i),
			.is_fp = fp,
			.priority = (uint8_t)(n * 7 % 25 < 20 ? n * 7 % 25 + 1 : 0),
		};
	}
}

static uint32_t below(struct gen *g, uint32_t n)
{
	return fuzz_below(g->rng, n);
}

static int64_t imm(struct gen *g)
{
	static const int64_t some[] = { 0,          1,          -1,       63, 31, 0x7fffffff, -0x80000000ll,
					0xffffffff, 0x80000000, INT64_MIN };

	switch (below(g, 4)) {
	case 0: return some[below(g, sizeof(some) / 8)];
	case 1: return (int64_t)below(g, 256) - 128;
	case 2: return (int32_t)fuzz_random(g->rng);
	default: return (int64_t)fuzz_random(g->rng);
	}
}

static ir_val global(struct gen *g, bool fp)
{
	return (ir_val)IR_GLOBAL(fp ? FUZZ_GPRS + below(g, FUZZ_FPRS) : below(g, FUZZ_GPRS));
}

/* A value to read: globals of the class mostly, temporaries when there are any. */
static ir_val source(struct gen *g, bool fp)
{
	if (g->written && below(g, 5) < 2) {
		for (uint32_t tries = 0; tries < 16; tries++) {
			/* mostly a young one */
			uint32_t t = below(g, 3) ? 63u - (uint32_t)__builtin_clzll(g->written)
						 : below(g, GEN_TEMPS);
			if (g->written >> t & 1)
				return (ir_val)(IR_TEMP_FIRST + t);
		}
	}
	return global(g, below(g, 12) ? fp : !fp);
}

/* A value to write; noted at once, so look for sources first. */
static ir_val target(struct gen *g, bool fp)
{
	uint32_t t = below(g, GEN_TEMPS);

	if (below(g, 5) < 3)
		return global(g, below(g, 12) ? fp : !fp);
	if (g->b->temp_count <= t)
		g->b->temp_count = t + 1;
	g->written |= 1ull << t;
	return (ir_val)(IR_TEMP_FIRST + t);
}

static void insn(struct gen *g)
{
	ir_insn(g->b, g->pc, 4);
	g->pc += 4;
}

static uint8_t rounding(struct gen *g)
{
	return below(g, 3) ? IR_RM_DYN : (uint8_t)below(g, 5);
}

/* An address that hits the pages, mostly aligned. */
static ir_val address(struct gen *g)
{
	struct ir_op *op;
	ir_val a = source(g, false), t = (ir_val)(IR_TEMP_FIRST + below(g, GEN_TEMPS));

	if (below(g, 16) == 0)
		return a;
	if (g->b->temp_count <= (uint32_t)(t - IR_TEMP_FIRST))
		g->b->temp_count = (uint32_t)(t - IR_TEMP_FIRST) + 1;
	g->written |= 1ull << (t - IR_TEMP_FIRST);
	op = ir_emit(g->b, IR_and);
	op->d = t;
	op->a = a;
	op->b_is_imm = 1;
	op->imm = below(g, 8) ? 0x3ff8 : below(g, 4) ? 0x4fff : 0x7fff;
	op = ir_emit(g->b, IR_add);
	op->d = below(g, 3) ? t : global(g, false);
	op->a = t;
	op->b_is_imm = 1;
	op->imm = (int64_t)FUZZ_BASE;
	return op->d;
}

static int64_t displacement(struct gen *g)
{
	switch (below(g, 6)) {
	case 0: return (int64_t)below(g, 64) - 32;
	case 1: return 8 * (int64_t)below(g, 16);
	case 2: return below(g, 8) ? 0 : (int64_t)fuzz_random(g->rng);
	default: return 0;
	}
}

static void memory(struct gen *g, enum ir_opcode opcode)
{
	struct ir_op *op;
	bool fp = below(g, 3) == 0;
	ir_val a, b, c;
	int64_t disp = displacement(g);

	insn(g);
	a = address(g);
	b = source(g, fp);
	c = source(g, false);
	op = ir_emit(g->b, opcode);
	op->a = a;
	op->field = (uint8_t)(below(g, 4) | (below(g, 2) ? IRM_SIGN : 0) | (below(g, 4) ? 0 : IRM_ALIGN));
	if (fp && below(g, 2))
		op->field = (uint8_t)(below(g, 2) ? IRM_64 : IRM_32);
	if (opcode == IR_amo || opcode == IR_cas) {
		op->field = (uint8_t)((below(g, 2) ? IRM_64 : IRM_32) | (below(g, 2) ? IRM_SIGN : 0));
		op->aux = opcode == IR_amo ? (uint16_t)below(g, IR_AMO_MAXU + 1) : 0;
	} else {
		op->imm = disp;
	}
	if (opcode != IR_ld)
		op->b = b;
	if (opcode == IR_cas)
		op->c = c;
	if (opcode != IR_st)
		op->d = target(g, fp && opcode == IR_ld);
}

/* Several accesses off one register, as prologues and structures make them, with other ops between. */
static void any_op(struct gen *g);
static void accesses(struct gen *g)
{
	ir_val base;
	uint32_t count = 2 + below(g, 6), span = below(g, 4) ? 128 : 6000;

	insn(g);
	base = address(g);
	for (uint32_t i = 0; i < count; i++) {
		bool store = below(g, 2), fp = below(g, 4) == 0;
		ir_val v = source(g, fp);
		if (!IR_IS_GLOBAL(base) && !(g->written >> (base - IR_TEMP_FIRST) & 1))
			return;
		insn(g);
		struct ir_op *op = ir_emit(g->b, store ? IR_st : IR_ld);
		op->a = base;
		op->imm = 8 * (int64_t)below(g, span / 8) - (below(g, 4) ? 0 : (int64_t)below(g, 64));
		op->field =
			(uint8_t)(below(g, 4) | (below(g, 2) ? IRM_SIGN : 0) | (below(g, 8) ? 0 : IRM_ALIGN));
		if (store)
			op->b = v;
		else
			op->d = below(g, 16) ? target(g, fp) : base;
		if (below(g, 4) == 0)
			any_op(g);
	}
}

static void zero(struct gen *g)
{
	insn(g);
	ir_zero(g->b, address(g));
}

static void environment(struct gen *g)
{
	struct ir_op *op;
	uint32_t base = (uint32_t)(ENV_GUEST_OFFSET + offsetof(struct fuzz_guest, scratch));
	bool store = below(g, 2);
	ir_val a = source(g, below(g, 2));

	op = ir_emit(g->b, store ? IR_stenv : IR_ldenv);
	op->field = (uint8_t)(below(g, 4) | (!store && below(g, 2) ? IRM_SIGN : 0));
	op->imm = (int64_t)(base + 8 * below(g, FUZZ_SCRATCH / 8));
	if (store)
		op->a = a;
	else
		op->d = target(g, false);
}

static void place_label(struct gen *g, bool reachable)
{
	uint32_t i = below(g, g->pending);

	ir_place(g->b, g->label[i]);
	g->written = reachable ? g->written & g->at_label[i] : g->at_label[i];
	g->pending--;
	g->label[i] = g->label[g->pending];
	g->at_label[i] = g->at_label[g->pending];
}

static uint16_t branch_label(struct gen *g)
{
	uint32_t i = g->pending ? below(g, g->pending + 1) : 0;

	if (i == GEN_LABELS)
		i--;
	if (i == g->pending) {
		g->label[i] = ir_label(g->b);
		g->at_label[i] = g->written;
		g->pending++;
	} else {
		g->at_label[i] &= g->written;
	}
	return g->label[i];
}

static void exit_op(struct gen *g)
{
	uint64_t near = g->b->pc ^ (below(g, 1024) * 4u), far = near ^ 0x5000;

	switch (below(g, 6)) {
	case 0: case 1: ir_exit_pc(g->b, near); break;
	case 2: ir_exit_pc(g->b, far); break;
	case 3: ir_exit_reg(g->b, source(g, false), below(g, 3)); break;
	case 4: ir_exit_ctx(g->b, far); break;
	case 5: ir_exit_env(g->b); break;
	}
}

static void control(struct gen *g)
{
	struct ir_op *op;
	ir_val a = source(g, false), b = source(g, false);
	uint16_t label;

	switch (below(g, 8)) {
	case 0:
		ir_poll(g->b, g->pc);
		return;
	case 1:
		if (g->pending)
			place_label(g, true);
		return;
	case 2:
		label = branch_label(g);
		ir_br(g->b, label);
		place_label(g, false);
		return;
	case 3:
		label = branch_label(g);
		ir_brci(g->b, (enum ir_cond)below(g, IR_GTU + 1), a, imm(g), label);
		exit_op(g);
		place_label(g, false);
		return;
	default:
		label = branch_label(g);
		op = ir_emit(g->b, IR_brc);
		op->field = (uint8_t)below(g, IR_GTU + 1);
		op->a = a;
		if (below(g, 2)) {
			op->b_is_imm = 1;
			op->imm = imm(g);
		} else {
			op->b = b;
		}
		op->aux = label;
	}
}

static void call(struct gen *g)
{
	struct ir_op *op;
	ir_val a = below(g, 4) ? source(g, below(g, 2)) : IR_NONE,
	       b = below(g, 2) ? source(g, false) : IR_NONE;
	ir_val c = below(g, 2) ? source(g, false) : IR_NONE;

	insn(g);
	op = ir_emit(g->b, IR_call);
	op->a = a;
	op->b = b;
	op->c = c;
	op->aux = (uint16_t)below(g, fuzz_helper_count);
	if (below(g, 2))
		op->d = target(g, below(g, 2));
}

static bool is_fp(enum ir_opcode opcode)
{
	return opcode >= IR_fadd_s;
}

static bool makes_int(enum ir_opcode opcode)
{
	return opcode == IR_fcmp_s || opcode == IR_fcmp_d || opcode == IR_fcvt_i_s || opcode == IR_fcvt_i_d;
}

static bool takes_int(enum ir_opcode opcode)
{
	return opcode == IR_fcvt_s_i || opcode == IR_fcvt_d_i;
}

static void compute(struct gen *g, enum ir_opcode opcode)
{
	const char *operands = ir_opinfo[opcode].operands;
	struct ir_op op = { .opcode = (uint8_t)opcode };
	bool fp_in = is_fp(opcode) && !takes_int(opcode), fp_out = is_fp(opcode) && !makes_int(opcode);

	for (const char *p = operands; *p; p++)
		switch (*p) {
		case 'a': op.a = source(g, fp_in); break;
		case 'b': op.b = source(g, fp_in); break;
		case 'c': op.c = source(g, fp_in); break;
		case 'i': op.imm = opcode == IR_addshl ? below(g, 4) : imm(g); break;
		case 'D': op.d = source(g, false); break;
		case 'B':
			op.b_is_imm = below(g, 2) != 0;
			op.imm = op.b_is_imm ? imm(g) : 0;
			op.b = op.b_is_imm ? IR_NONE : source(g, fp_in);
			break;
		}
	if (opcode == IR_setc || opcode == IR_movc)
		op.field = (uint8_t)below(g, IR_GTU + 1);
	if (is_fp(opcode) && strchr(operands, 'x'))
		op.field = rounding(g);
	if (opcode == IR_fma_s || opcode == IR_fma_d || opcode == IR_fcvt_i_s || opcode == IR_fcvt_i_d ||
	    takes_int(opcode))
		op.aux = (uint16_t)below(g, 4);
	if (opcode == IR_fcmp_s || opcode == IR_fcmp_d) {
		op.aux = (uint16_t)below(g, 3);
		op.field = 0;
	}
	if (operands[0] == 'd')
		op.d = target(g, fp_out);
	*ir_emit(g->b, opcode) = op;
}

/* A 32-bit result widened, a single boxed, as front ends make them: a back end may join the two. */
static void pair(struct gen *g, enum ir_opcode first, enum ir_opcode second)
{
	uint32_t at = g->b->op_count;
	uint64_t written = g->written;
	struct ir_op *op;
	ir_val t = (ir_val)(IR_TEMP_FIRST + GEN_TEMPS + below(g, 8));

	compute(g, first);
	op = &g->b->ops[at];
	if (op->opcode != first)
		return;
	op->d = t;
	g->written = written;
	if (g->b->temp_count < GEN_TEMPS + 8)
		g->b->temp_count = GEN_TEMPS + 8;
	op = ir_emit(g->b, second);
	op->a = t;
	op->d = target(g, second == IR_fbox);
}

static void pairs(struct gen *g)
{
	static const uint8_t narrow[] = { IR_add32,  IR_sub32, IR_shl32,  IR_shr32, IR_sar32,
					  IR_rotl32, IR_mul32, IR_divs32, IR_remu32 };
	static const uint8_t singles[] = { IR_fadd_s, IR_fsub_s, IR_fmul_s, IR_fdiv_s,   IR_fsqrt_s,
					   IR_fma_s,  IR_fmin_s, IR_fmax_s, IR_fcvt_s_i, IR_fcvt_s_d };

	if (below(g, 2))
		pair(g, narrow[below(g, sizeof(narrow))], IR_ext32s);
	else
		pair(g, singles[below(g, sizeof(singles))], IR_fbox);
}

/* As compilers make quiet comparisons: flags saved and put back around one that signals. */
static void quiet_compare(struct gen *g)
{
	ir_val a = source(g, true), b = source(g, true), kept = target(g, false);
	struct ir_op *op;

	ir_emit(g->b, IR_ldflags)->d = kept;
	if (below(g, 2)) {
		ir_val from = kept;
		kept = global(g, false);
		op = ir_emit(g->b, IR_mov);
		op->d = kept;
		op->a = from;
	}
	insn(g);
	op = ir_emit(g->b, below(g, 2) ? IR_fcmp_s : IR_fcmp_d);
	op->a = a;
	op->b = b;
	op->aux = (uint16_t)below(g, 3);
	op->d = below(g, 8) ? target(g, false) : kept;
	insn(g);
	ir_emit(g->b, IR_stflags)->a = below(g, 8) ? kept : source(g, false);
}

static void any_op(struct gen *g)
{
	uint32_t kind = below(g, 100);

	if (kind < 3) {
		accesses(g);
	} else if (kind < 6) {
		memory(g, IR_ld);
	} else if (kind < 12) {
		memory(g, IR_st);
	} else if (kind < 14) {
		memory(g, below(g, 2) ? IR_amo : IR_cas);
	} else if (kind < 15) {
		zero(g);
	} else if (kind < 16) {
		environment(g);
	} else if (kind < 19) {
		call(g);
	} else if (kind < 25) {
		control(g);
	} else if (kind < 30) {
		pairs(g);
	} else if (kind < 60) {
		compute(g, (enum ir_opcode)(IR_fadd_s + below(g, IR_funbox - IR_fadd_s + 1)));
	} else if (kind < 61) {
		quiet_compare(g);
	} else if (kind < 62) {
		ir_val a = source(g, false);
		struct ir_op *op = ir_emit(g->b, below(g, 2) ? IR_ldflags : IR_stflags);
		if (op->opcode == IR_stflags)
			op->a = a;
		else
			op->d = target(g, false);
	} else if (kind < 63) {
		ir_fence(g->b, (uint16_t)below(g, 16));
	} else {
		compute(g, (enum ir_opcode)(IR_mov + below(g, IR_movc - IR_mov + 1)));
	}
}

void fuzz_generate(struct ir_block *b, struct fuzz_rng *rng, uint32_t ops)
{
	struct gen g = { .b = b, .rng = rng, .pc = 0x40001000 };

	b->globals = fuzz_globals;
	b->global_count = FUZZ_GLOBALS;
	b->helpers = fuzz_helpers;
	b->helper_count = fuzz_helper_count;
	b->mmu = 1;
	b->max_insns = 1000;
	ir_begin(b, g.pc, 0);
	insn(&g);
	for (uint32_t i = 0; i < ops; i++)
		any_op(&g);
	while (g.pending)
		place_label(&g, true);
	exit_op(&g);
}
