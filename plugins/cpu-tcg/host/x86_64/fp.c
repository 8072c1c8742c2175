/* SPDX-License-Identifier: MIT */
/*
 * FP arithmetic and comparison on SSE and FMA3. The guest's flags are MXCSR's sticky bits, its rounding mode
 * is MXCSR.RC; only NaN results differ from RISC-V's, and far code replaces them. Bits 32 and up of a
 * register that holds a single are whatever the first source had (see low32 and ones in struct x86_val).
 */
#include "host/x86_64/lower.h"

static bool is_double(uint8_t opcode)
{
	return opcode >= IR_fadd_d;
}

void x86_fp_soft(struct x86_lower *l, const struct ir_op *op)
{
	uint32_t reads = l->s->reads[op->opcode];
	uint32_t descriptor = op->opcode | (uint32_t)op->field << 8 | (uint32_t)op->aux << 16;
	uint16_t live;

	if (reads & READ_C)
		x86_to_gpr(l, RDX, x86_val_of(l, op->c));
	if (reads & READ_B)
		x86_to_gpr(l, RCX, x86_val_of(l, op->b));
	x86_to_gpr(l, RAX, x86_val_of(l, op->a));
	x86_op_i32(&l->e, X86_OP(0xc7, 0, 0), 0, x86_mem(RSP, FRAME_TMP), (int32_t)descriptor);
	x86_free_dead(l, op);
	live = x86_xmm_live(l);
	x86_xmm_temps(l, live, true);
	x86_call(&l->e, l->s->stubs.softfp);
	x86_xmm_temps(l, live, false);
	if (l->box) {
		x86_mov_imm(&l->e, RCX, (int64_t)0xffffffff00000000);
		x86_op(&l->e, OP_OR | X86_W, RAX, x86_reg(RCX));
	}
	x86_dst(l, op, RAX);
	x86_finish(l, op, RAX);
	x86_set_boxed(l, op->d, l->box);
}

void x86_rounding_begin(struct x86_lower *l, uint8_t rm)
{
	if (rm < IR_RM_RMM)
		x86_call(&l->e, l->s->stubs.rm_set[rm]);
}

void x86_rounding_end(struct x86_lower *l, uint8_t rm)
{
	if (rm < IR_RM_RMM)
		x86_call(&l->e, l->s->stubs.rm_restore);
}


void x86_xop3(struct x86_lower *l, uint32_t op, uint8_t d, uint8_t a, struct x86_rm b)
{
	if (l->features & X86_AVX) {
		x86_vex(&l->e, op, d, a, b);
	} else if (b.kind == RM_REG && b.base == d && a != d) {
		x86_mov_xmm(l, 1, a);
		x86_op(&l->e, op, 1, b);
		x86_mov_xmm(l, d, 1);
	} else {
		x86_mov_xmm(l, d, a);
		x86_op(&l->e, op, d, b);
	}
}

void x86_nan_check(struct x86_lower *l, uint8_t xmm, bool dbl, bool ones)
{
	struct x86_far *f;

	x86_xop(l, OP_UCOMI(dbl), xmm, x86_reg(xmm));
	f = x86_far_new(l, FAR_NAN, x86_jcc(&l->e, CC_P, 0));
	f->reg = xmm;
	f->dbl = dbl;
	f->flag = ones;
	f->back = x86_at(&l->e);
}

void x86_finish_fp(struct x86_lower *l, const struct ir_op *op, uint8_t xmm, bool dbl, bool ones)
{
	if (dbl || !l->box) {
		x86_finish_xmm(l, op, xmm, !dbl, ones);
		return;
	}
	if (!ones)
		x86_xop3(l, OP_ORPS, xmm, xmm, x86_const(l, K_BOX));
	x86_finish_xmm(l, op, xmm, false, false);
	x86_set_boxed(l, op->d, true);
}

void x86_fp_arith(struct x86_lower *l, const struct ir_op *op)
{
	static const uint8_t byte[] = {
		[IR_fadd_s] = FP_ADD, [IR_fsub_s] = FP_SUB, [IR_fmul_s] = FP_MUL, [IR_fdiv_s] = FP_DIV,
		[IR_fadd_d] = FP_ADD, [IR_fsub_d] = FP_SUB, [IR_fmul_d] = FP_MUL, [IR_fdiv_d] = FP_DIV,
	};
	bool dbl = is_double(op->opcode);
	struct x86_val a, b;
	struct x86_rm rb;
	uint8_t ra, d;

	if (op->field == IR_RM_RMM) {
		x86_fp_soft(l, op);
		return;
	}
	x86_rounding_begin(l, op->field);
	a = x86_fp_val(l, op->a, dbl, 0);
	b = x86_fp_val(l, op->b, dbl, 1);
	ra = x86_in_xmm(l, a, 0);
	rb = x86_as_xmm_rm(l, b, 1);
	d = x86_dst_xmm(l, op, 0);
	x86_xop3(l, OP_FP(byte[op->opcode], dbl), d, ra, rb);
	x86_nan_check(l, d, dbl, a.ones);
	x86_rounding_end(l, op->field);
	x86_finish_fp(l, op, d, dbl, a.ones);
}

void x86_fp_sqrt(struct x86_lower *l, const struct ir_op *op)
{
	bool dbl = op->opcode == IR_fsqrt_d, ones;
	struct x86_val a;
	uint8_t ra, d;

	if (op->field == IR_RM_RMM) {
		x86_fp_soft(l, op);
		return;
	}
	x86_rounding_begin(l, op->field);
	a = x86_fp_val(l, op->a, dbl, 0);
	ones = a.ones && (l->features & X86_AVX);
	ra = x86_in_xmm(l, a, 0);
	d = x86_dst_xmm(l, op, 0);
	if (l->features & X86_AVX)
		x86_vex(&l->e, OP_FP(FP_SQRT, dbl), d, ra, x86_reg(ra));
	else
		x86_op(&l->e, OP_FP(FP_SQRT, dbl), d, x86_reg(ra));
	x86_nan_check(l, d, dbl, ones);
	x86_rounding_end(l, op->field);
	x86_finish_fp(l, op, d, dbl, ones);
}

/*
 * A NaN result sends the factors to a check for infinity times zero, since x86 does not call that invalid
 * when the addend is a quiet NaN; so the factors must still be there: the result goes over the addend or
 * aside.
 */
void x86_fp_fma(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a, b, c = x86_val_of(l, op->c);
	bool dbl = op->opcode == IR_fma_d, ones;
	uint32_t neg_product = op->aux & 1u, neg_addend = op->aux >> 1 & 1u, w = dbl ? X86_W : 0;
	struct x86_far *f;
	uint8_t d, t;

	if (op->field == IR_RM_RMM || !(l->features & X86_FMA) || (c.kind != V_XMM && c.kind != V_MEM) ||
	    (dbl && (c.low32 || x86_val_of(l, op->a).low32 || x86_val_of(l, op->b).low32))) {
		x86_fp_soft(l, op);
		return;
	}
	x86_rounding_begin(l, op->field);
	a = x86_val_of(l, op->a);
	b = x86_val_of(l, op->b);
	d = x86_dst_xmm(l, op, 0);
	if (c.kind == V_XMM && c.reg == d && !x86_val_is(a, c) && !x86_val_is(b, c)) {
		uint8_t ra = x86_in_xmm(l, a, 0);
		t = d;
		ones = c.ones;
		x86_vex(&l->e, OP_FMA_231(neg_product, neg_addend) | w, d, ra, x86_as_xmm_rm(l, b, 1));
	} else {
		bool aside = (a.kind == V_XMM && a.reg == d) || (b.kind == V_XMM && b.reg == d) ||
			     (c.kind == V_XMM && c.reg == d);
		t = aside ? 0 : d;
		ones = a.ones;
		x86_to_xmm(l, t, a);
		x86_vex(&l->e, OP_FMA_213(neg_product, neg_addend) | w, t, x86_in_xmm(l, b, 1),
			c.kind == V_XMM ? x86_reg(c.reg) : x86_mem(c.reg, c.disp));
	}
	x86_xop(l, OP_UCOMI(dbl), t, x86_reg(t));
	f = x86_far_new(l, FAR_FMA_NAN, x86_jcc(&l->e, CC_P, 0));
	f->a = a;
	f->b = b;
	f->reg = t;
	f->dbl = dbl;
	f->flag = ones;
	f->back = x86_at(&l->e);
	x86_rounding_end(l, op->field);
	x86_finish_fp(l, op, t, dbl, ones);
}

/* Equal and unordered operands share ZF and go to far code; the rest is what the instruction does. */
void x86_fp_minmax(struct x86_lower *l, const struct ir_op *op)
{
	bool dbl = is_double(op->opcode), max = op->opcode == IR_fmax_s || op->opcode == IR_fmax_d;
	struct x86_val a = x86_fp_val(l, op->a, dbl, 0), b = x86_fp_val(l, op->b, dbl, 1);
	bool ones = a.ones && b.ones;
	uint8_t ra = x86_in_xmm(l, a, 0), rb = x86_in_xmm(l, b, 1), d;
	struct x86_far *f;

	x86_xop(l, OP_UCOMI(dbl), ra, x86_reg(rb));
	f = x86_far_new(l, FAR_MINMAX, x86_jcc(&l->e, CC_E, 0));
	d = x86_dst_xmm(l, op, 0);
	x86_xop3(l, OP_FP(max ? FP_MAX : FP_MIN, dbl), d, ra, x86_reg(rb));
	f->a = (struct x86_val){ .kind = V_XMM, .reg = ra };
	f->b = (struct x86_val){ .kind = V_XMM, .reg = rb };
	f->reg = d;
	f->reg2 = max;
	f->dbl = dbl;
	f->flag = ones;
	f->back = x86_at(&l->e);
	x86_finish_fp(l, op, d, dbl, ones);
}

/* --- comparison --- */

static bool is_filler(const struct ir_op *op)
{
	return op->opcode == IR_insn || op->opcode == IR_nop || op->opcode == IR_mov;
}

/*
 * Is the comparison at l->at between an ldflags and the stflags that puts the same flags back? Compilers make
 * such quiet comparisons. Returns the index of the stflags, 0 when it is not so.
 */
static uint32_t flags_put_back(const struct x86_lower *l, const struct ir_op *op)
{
	const struct ir_op *ops = l->b->ops, *first;
	uint32_t load = l->at, store = l->at;
	ir_val kept;

	do
		store++;
	while (store < l->b->op_count && store < l->at + 4 && is_filler(&ops[store]) &&
	       ops[store].opcode != IR_mov);
	if (store >= l->b->op_count || ops[store].opcode != IR_stflags)
		return 0;
	kept = ops[store].a;
	while (load > 0 && load + 5 > l->at && is_filler(&ops[load - 1])) {
		/* through moves of the flags; any other move must leave them alone */
		if (ops[--load].opcode == IR_mov && ops[load].d == kept)
			kept = ops[load].a;
	}
	first = load ? &ops[load - 1] : NULL;
	if (!first || first->opcode != IR_ldflags || first->d != kept || op->d == ops[store].a)
		return 0;
	return store;
}

/* Unordered operands are far code's: it undoes the flag that the comparison may have raised. */
static void compare_quietly(struct x86_lower *l, const struct ir_op *op, uint32_t store)
{
	static const uint8_t cc[] = { [IR_FCMP_EQ] = CC_E, [IR_FCMP_LT] = CC_A, [IR_FCMP_LE] = CC_AE };
	bool dbl = is_double(op->opcode);
	struct x86_val a = x86_fp_val(l, op->a, dbl, 0), b = x86_fp_val(l, op->b, dbl, 1);
	uint8_t rb = x86_in_xmm(l, b, 1), d;
	struct x86_far *f;

	x86_xop(l, OP_UCOMI(dbl), rb, x86_as_xmm_rm(l, a, 0));
	f = x86_far_new(l, FAR_QUIET, x86_jcc(&l->e, CC_P, 0));
	f->a = x86_val_of(l, l->b->ops[store].a);
	d = x86_dst(l, op, RAX);
	f->reg = d;
	x86_op(&l->e, OP_SETCC(cc[op->aux]), 0, x86_reg(d));
	x86_op(&l->e, OP_MOVZX8, d, x86_reg(d));
	f->back = x86_at(&l->e);
	x86_finish(l, op, d);
	l->flags_kept = store;
}

/* cmpss and cmpsd: 0 is equal, quiet; 1 less and 2 less or equal, signalling: numbered as in enum ir_fcmp. */
static void compare(struct x86_lower *l, const struct ir_op *op)
{
	bool dbl = is_double(op->opcode);
	struct x86_val a = x86_fp_val(l, op->a, dbl, 0), b = x86_fp_val(l, op->b, dbl, 1);
	uint8_t ra = x86_in_xmm(l, a, 0), d;
	struct x86_rm rb = x86_as_xmm_rm(l, b, 1);
	uint32_t code = OP_FP(0xc2, dbl);

	if (l->features & X86_AVX) {
		x86_vex_i8(&l->e, code, 0, ra, rb, (uint8_t)op->aux);
	} else {
		x86_mov_xmm(l, 0, ra);
		x86_op_i8(&l->e, code, 0, rb, (uint8_t)op->aux);
	}
	d = x86_dst(l, op, RAX);
	x86_xop(l, OP_MOVD_R, 0, x86_reg(d));
	x86_alu_imm(&l->e, OP_AND, x86_reg(d), 1);
	x86_finish(l, op, d);
}

void x86_fp_cmp(struct x86_lower *l, const struct ir_op *op)
{
	uint32_t store = flags_put_back(l, op);

	if (store)
		compare_quietly(l, op, store);
	else
		compare(l, op);
}
