/* SPDX-License-Identifier: MIT */
/*
 * FP conversions, NaN boxing and the accrued flags. x86 answers an unrepresentable integer with the smallest
 * one and raises invalid; `cmp r, 1` overflows for just that value, and far code makes RISC-V's saturated
 * result of it.
 */
#include "host/x86_64/lower.h"

/* MXCSR mode, 8: no inexact; by rounding mode of the IR */
static uint8_t round_control(uint8_t rm)
{
	static const uint8_t control[8] = { 8, 8 | 3, 8 | 1, 8 | 2, 0, 0, 0, 8 | 4 };

	return control[rm & 7u];
}

static void round_into(struct x86_lower *l, bool dbl, uint8_t d, uint8_t a, uint8_t rm)
{
	if (l->features & X86_AVX)
		x86_vex_i8(&l->e, OP_ROUND(dbl), d, a, x86_reg(a), round_control(rm));
	else
		x86_op_i8(&l->e, OP_ROUND(dbl), d, x86_reg(a), round_control(rm));
}

static struct x86_far *far_of(struct x86_lower *l, enum x86_far_kind kind, enum x86_cc cc, bool dbl,
			      uint8_t xmm)
{
	struct x86_far *f = x86_far_new(l, kind, x86_jcc(&l->e, cc, 0));

	f->dbl = dbl;
	f->a = (struct x86_val){ .kind = V_XMM, .reg = xmm };
	return f;
}

static void to_signed(struct x86_lower *l, const struct ir_op *op, bool dbl, uint8_t ra)
{
	uint32_t w = op->aux == IR_CVT_I64 ? X86_W : 0;
	bool truncate = op->field == IR_RM_RTZ;
	uint8_t rm = truncate ? IR_RM_DYN : op->field;
	struct x86_far *f;
	uint8_t d;

	x86_rounding_begin(l, rm);
	d = x86_dst(l, op, RAX);
	x86_xop(l, OP_FP(truncate ? FP_CVTTSI : FP_CVTSI_R, dbl) | w, d, x86_reg(ra));
	x86_rounding_end(l, rm);
	x86_alu_imm(&l->e, OP_CMP | w, x86_reg(d), 1);
	f = far_of(l, FAR_TO_INT, CC_O, dbl, ra);
	f->reg = d;
	f->flag = w != 0;
	f->back = x86_at(&l->e);
	if (!w)
		x86_op(&l->e, OP_MOVSXD | X86_W, d, x86_reg(d));
	x86_finish(l, op, d);
}

/*
 * Unsigned: rounded first without raising inexact, so that a value out of range raises invalid alone; a
 * second conversion raises inexact.
 */
static void to_unsigned(struct x86_lower *l, const struct ir_op *op, bool dbl, uint8_t ra)
{
	bool wide = op->aux == IR_CVT_U64;
	struct x86_far *big = NULL, *out;
	uint8_t d;

	round_into(l, dbl, 1, ra, op->field);
	if (wide) {
		x86_xop(l, OP_COMI(dbl), 1, x86_const(l, dbl ? K_2P63_D : K_2P63_S));
		big = far_of(l, FAR_TO_U64_BIG, CC_AE, dbl, ra);
	}
	x86_xop(l, OP_FP(FP_CVTTSI, dbl) | X86_W, RAX, x86_reg(1));
	if (wide) {
		x86_op(&l->e, OP_TEST | X86_W, RAX, x86_reg(RAX));
		out = far_of(l, FAR_TO_UNSIGNED, CC_S, dbl, ra);
	} else {
		x86_op(&l->e, OP_MOV, RCX, x86_reg(RAX));
		x86_op(&l->e, OP_CMP | X86_W, RCX, x86_reg(RAX));
		out = far_of(l, FAR_TO_UNSIGNED, CC_NE, dbl, ra);
	}
	x86_xop(l, OP_FP(FP_CVTTSI, dbl) | X86_W, RCX, x86_reg(ra));
	out->back = x86_at(&l->e);
	if (big)
		big->back = out->back;
	d = x86_dst(l, op, RAX);
	x86_op(&l->e, (wide ? OP_MOV : OP_MOVSXD) | X86_W, d, x86_reg(RAX));
	x86_finish(l, op, d);
}

void x86_fp_to_int(struct x86_lower *l, const struct ir_op *op)
{
	bool dbl = op->opcode == IR_fcvt_i_d, is_signed = op->aux == IR_CVT_I32 || op->aux == IR_CVT_I64;
	uint8_t ra;

	if (op->field == IR_RM_RMM || (!is_signed && !(l->features & X86_SSE41))) {
		x86_fp_soft(l, op);
		return;
	}
	ra = x86_in_xmm(l, x86_fp_val(l, op->a, dbl, 0), 0);
	if (is_signed)
		to_signed(l, op, dbl, ra);
	else
		to_unsigned(l, op, dbl, ra);
}

/* xmm = rm; the rest of the register is zero */
static void from_gpr(struct x86_lower *l, bool dbl, uint32_t w, uint8_t xmm, struct x86_rm rm)
{
	if (l->features & X86_AVX) {
		x86_vex(&l->e, OP_XORPS, 0, 0, x86_reg(0));
		x86_vex(&l->e, OP_FP(FP_CVTSI, dbl) | w, xmm, 0, rm);
	} else {
		x86_op(&l->e, OP_XORPS, xmm, x86_reg(xmm));
		x86_op(&l->e, OP_FP(FP_CVTSI, dbl) | w, xmm, rm);
	}
}

void x86_fp_from_int(struct x86_lower *l, const struct ir_op *op)
{
	bool dbl = op->opcode == IR_fcvt_d_i;
	bool exact = dbl && (op->aux == IR_CVT_I32 || op->aux == IR_CVT_U32);
	uint8_t rm = exact ? IR_RM_DYN : op->field;
	struct x86_val a = x86_val_of(l, op->a);
	struct x86_far *f = NULL;
	struct x86_rm src;
	uint8_t d;

	if (rm == IR_RM_RMM) {
		x86_fp_soft(l, op);
		return;
	}
	x86_rounding_begin(l, rm);
	if (op->aux == IR_CVT_U32 || op->aux == IR_CVT_U64) {
		x86_op(&l->e, OP_MOV | (op->aux == IR_CVT_U64 ? X86_W : 0), RAX, x86_as_rm(l, a, RAX));
		src = x86_reg(RAX);
	} else {
		src = x86_as_rm(l, a, RAX);
	}
	if (op->aux == IR_CVT_U64) {
		x86_op(&l->e, OP_TEST | X86_W, RAX, x86_reg(RAX));
		f = x86_far_new(l, FAR_FROM_U64, x86_jcc(&l->e, CC_S, 0));
	}
	d = x86_dst_xmm(l, op, 0);
	from_gpr(l, dbl, op->aux == IR_CVT_I32 ? 0 : X86_W, d, src);
	if (f) {
		f->reg = d;
		f->dbl = dbl;
		f->back = x86_at(&l->e);
	}
	x86_rounding_end(l, rm);
	if (l->box)
		x86_finish_fp(l, op, d, dbl, false);
	else
		x86_finish_xmm(l, op, d, false, false);
}

/* fcvt_d_s and fcvt_s_d */
void x86_fp_widen(struct x86_lower *l, const struct ir_op *op)
{
	bool to_double = op->opcode == IR_fcvt_d_s;
	uint8_t rm = to_double ? IR_RM_DYN : op->field, ra, d;

	if (rm == IR_RM_RMM) {
		x86_fp_soft(l, op);
		return;
	}
	x86_rounding_begin(l, rm);
	ra = x86_in_xmm(l, x86_fp_val(l, op->a, !to_double, 0), 0);
	d = x86_dst_xmm(l, op, 0);
	if (l->features & X86_AVX)
		x86_vex(&l->e, OP_FP(FP_CVT, !to_double), d, ra, x86_reg(ra));
	else
		x86_op(&l->e, OP_FP(FP_CVT, !to_double), d, x86_reg(ra));
	x86_nan_check(l, d, to_double, false);
	x86_rounding_end(l, rm);
	x86_finish_fp(l, op, d, to_double, false);
}

/* --- NaN boxing --- */

void x86_fbox(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a);
	bool boxed = a.kind == V_XMM && a.ones;
	uint8_t ra = x86_in_xmm(l, a, 0), d = x86_dst_xmm(l, op, 0);

	if (boxed)
		x86_mov_xmm(l, d, ra);
	else
		x86_xop3(l, OP_ORPS, d, ra, x86_const(l, K_BOX));
	x86_finish_xmm(l, op, d, false, false);
	x86_set_boxed(l, op->d, true);
}

/* In general registers. */
static void unbox_gpr(struct x86_lower *l, const struct ir_op *op, struct x86_val a)
{
	uint8_t d = x86_dst(l, op, RAX);

	x86_to_gpr(l, RAX, a);
	x86_mov_rr(&l->e, RCX, RAX);
	x86_shift_imm(&l->e, X86_W, EXT_SAR, x86_reg(RCX), 32);
	x86_op(&l->e, OP_MOV, RAX, x86_reg(RAX));
	x86_alu_imm(&l->e, OP_CMP, x86_reg(RCX), -1);
	x86_mov_imm(&l->e, RDX, 0x7fc00000);
	x86_op(&l->e, OP_CMOV(CC_NE), RAX, x86_reg(RDX));
	x86_mov_rr(&l->e, d, RAX);
	x86_finish(l, op, d);
}

/* Flags: equal when the upper half is all ones. */
static void compare_upper(struct x86_lower *l, struct x86_val a)
{
	if (a.kind == V_MEM) {
		x86_alu_imm(&l->e, OP_CMP, x86_mem(a.reg, a.disp + 4), -1);
		return;
	}
	if (l->features & X86_AVX) {
		x86_vex_i8(&l->e, OP_PEXTRD, a.reg, 0, x86_reg(RAX), 1);
	} else {
		x86_to_gpr(l, RAX, a);
		x86_shift_imm(&l->e, X86_W, EXT_SAR, x86_reg(RAX), 32);
	}
	x86_alu_imm(&l->e, OP_CMP, x86_reg(RAX), -1);
}

void x86_funbox(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a);
	struct x86_far *f = NULL;
	uint8_t d;

	if ((a.kind != V_XMM && a.kind != V_MEM) || a.low32) {
		unbox_gpr(l, op, a);
		return;
	}
	if (!x86_is_boxed(l, op->a))
		compare_upper(l, a);
	d = x86_dst_xmm(l, op, 0);
	x86_to_xmm(l, d, a);            /* a move: the flags live on */
	if (!x86_is_boxed(l, op->a)) {
		f = x86_far_new(l, FAR_UNBOX, x86_jcc(&l->e, CC_NE, 0));
		f->reg = d;
		f->back = x86_at(&l->e);
	}
	x86_finish_xmm(l, op, d, true, true);
}

/* --- flags: those of env->fflags and of MXCSR together --- */

/* eax = the guest's flags that are in MXCSR; uses rcx */
static void sticky_flags(struct x86_lower *l)
{
	x86_op(&l->e, OP_LDMXCSR, 3, x86_mem(RSP, FRAME_TMP));          /* stmxcsr */
	x86_op(&l->e, OP_LEA | X86_W, RCX, x86_rip(l->s->stubs.consts + K_FLAGS));
	x86_op(&l->e, OP_MOVZX8, RAX, x86_mem(RSP, FRAME_TMP));
	x86_op(&l->e, OP_MOVZX8, RAX, x86_mem_index(RCX, RAX, 0, 0));
}

void x86_ldflags(struct x86_lower *l, const struct ir_op *op)
{
	uint8_t d = x86_dst(l, op, RAX);

	sticky_flags(l);
	x86_op(&l->e, OP_OR, RAX, x86_mem(R_ENV, ENV_DISP(fflags)));
	x86_mov_rr(&l->e, d, RAX);
	x86_finish(l, op, d);
}

/*
 * MXCSR is loaded, which is slow, only when it holds a flag that is not to be set: rarely, since most writes
 * put back what was read a few instructions before.
 */
void x86_stflags(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_far *f;

	if (l->at == l->flags_kept) {
		x86_free_dead(l, op);
		return;
	}
	x86_to_gpr(l, RDX, x86_val_of(l, op->a));
	x86_free_dead(l, op);
	sticky_flags(l);
	x86_alu_imm(&l->e, OP_AND, x86_reg(RDX), 31);
	x86_op(&l->e, OP_MOV_ST, RDX, x86_mem(R_ENV, ENV_DISP(fflags)));
	x86_op(&l->e, OP_GRP3, EXT_NOT, x86_reg(RDX));
	x86_op(&l->e, OP_TEST, RAX, x86_reg(RDX));
	f = x86_far_new(l, FAR_CLEAR_FLAGS, x86_jcc(&l->e, CC_NE, 0));
	f->back = x86_at(&l->e);
}
