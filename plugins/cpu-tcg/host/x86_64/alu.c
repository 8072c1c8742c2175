/* SPDX-License-Identifier: MIT */
/*
 * Integer ops. Every function looks at its operands, asks for the destination and must then bear that the
 * destination's register is that of a or b. Ops on 32 bits need no care for the upper half: x86 zeroes it.
 */
#include "host/x86_64/lower.h"

static uint32_t width_of(uint8_t opcode)
{
	switch (opcode) {
	case IR_add32:
	case IR_sub32:
	case IR_shl32:
	case IR_shr32:
	case IR_sar32:
	case IR_rotl32:
	case IR_rotr32:
	case IR_mul32:
	case IR_divs32:
	case IR_divu32:
	case IR_rems32:
	case IR_remu32:
	case IR_clz32:
	case IR_ctz32:
	case IR_popcnt32:
		return 0;
	default:
		return X86_W;
	}
}

static uint32_t alu_of(uint8_t opcode)
{
	switch (opcode) {
	case IR_add: case IR_add32: return OP_ADD;
	case IR_sub: case IR_sub32: return OP_SUB;
	case IR_and: return OP_AND;
	case IR_or:  return OP_OR;
	default:     return OP_XOR;
	}
}

/* Loads v into reg, its low half only when w is 0 (which is shorter). */
static void load(struct x86_lower *l, uint32_t w, uint8_t reg, struct x86_val v)
{
	if (v.kind == V_GPR && v.reg != reg)
		x86_op(&l->e, OP_MOV | w, reg, x86_reg(v.reg));
	else if (v.kind == V_MEM)
		x86_op(&l->e, OP_MOV | w, reg, x86_mem(v.reg, v.disp));
	else
		x86_to_gpr(l, reg, v);
}

static bool fits32(struct x86_val v)
{
	return v.kind == V_IMM && v.imm == (int32_t)v.imm;
}

void x86_movi(struct x86_lower *l, const struct ir_op *op)
{
	x86_set_imm(l, op, op->imm);
}

void x86_mov(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a);
	struct x86_val to = IR_IS_GLOBAL(op->d) ? l->s->at[op->d] : (struct x86_val){ .kind = V_NONE };
	bool boxed = x86_is_boxed(l, op->a);
	uint8_t d;

	if (a.kind == V_IMM) {
		x86_set_imm(l, op, a.imm);
	} else if ((a.kind == V_XMM && !a.low32 && to.kind != V_GPR) ||
		   (a.kind == V_MEM && to.kind == V_XMM)) {
		d = x86_dst_xmm(l, op, a.kind == V_XMM ? a.reg : 0);
		x86_to_xmm(l, d, a);
		x86_finish_xmm(l, op, d, false, false);
		x86_set_boxed(l, op->d, boxed);
	} else {
		d = x86_dst(l, op, a.kind == V_GPR ? a.reg : RAX);
		x86_to_gpr(l, d, a);
		x86_finish(l, op, d);
	}
}

/* d = a op b where d is no operand: add by lea. */
static bool add_by_lea(struct x86_lower *l, const struct ir_op *op, uint32_t w, uint8_t d, struct x86_val a,
		       struct x86_val b)
{
	bool add = op->opcode == IR_add || op->opcode == IR_add32;
	bool sub_imm = (op->opcode == IR_sub || op->opcode == IR_sub32) && fits32(b) && b.imm != INT32_MIN;

	if (a.kind != V_GPR || a.reg == d)
		return false;
	if (add && b.kind == V_GPR && b.reg != d)
		x86_op(&l->e, OP_LEA | w, d, x86_mem_index(a.reg, b.reg, 0, 0));
	else if (add && fits32(b))
		x86_op(&l->e, OP_LEA | w, d, x86_mem(a.reg, (int32_t)b.imm));
	else if (sub_imm)
		x86_op(&l->e, OP_LEA | w, d, x86_mem(a.reg, (int32_t)-b.imm));
	else
		return false;
	return true;
}

/* op [d], b: the destination is the memory operand a. */
static bool alu_in_memory(struct x86_lower *l, const struct ir_op *op, uint32_t alu, struct x86_val b)
{
	struct x86_val a = x86_val_of(l, op->a);

	if (op->d != op->a || a.kind != V_MEM || width_of(op->opcode) == 0 || l->sign_extend)
		return false;
	if (fits32(b)) {
		x86_alu_imm(&l->e, alu | X86_W, x86_mem(a.reg, a.disp), (int32_t)b.imm);
	} else {
		uint8_t reg = x86_in_gpr(l, b, RCX);
		x86_op(&l->e, (alu - OP_TO_RM) | X86_W, reg, x86_mem(a.reg, a.disp));
	}
	x86_free_dead(l, op);
	x86_set_boxed(l, op->d, false);
	return true;
}

static void alu_into(struct x86_lower *l, uint32_t alu, uint32_t w, uint8_t d, struct x86_val b)
{
	if (b.kind == V_IMM && (fits32(b) || (w == 0)))
		x86_alu_imm(&l->e, alu | w, x86_reg(d), (int32_t)b.imm);
	else
		x86_op(&l->e, alu | w, d, x86_as_rm(l, b, RCX));
}

/* xor and or and of FP registers, as sign manipulations come */
static bool alu_in_xmm(struct x86_lower *l, const struct ir_op *op, struct x86_val a, struct x86_val b)
{
	static const struct {
		uint8_t opcode;
		uint8_t k;
		int64_t imm;
	} consts[] = {
		{ IR_xor, K_SIGN_D, INT64_MIN }, { IR_and, K_ABS_D, INT64_MAX },
		{ IR_xor, K_SIGN_S, 0x80000000 }, { IR_and, K_SIGN_D, INT64_MIN },
		{ IR_and, K_ABS_S, (int64_t)0xffffffff7fffffffull }, { IR_or, K_SIGN_D, INT64_MIN },
	};
	static const uint32_t vop[] = { [IR_and] = OP_ANDPS, [IR_or] = OP_ORPS, [IR_xor] = OP_XORPS };
	struct x86_val where = IR_IS_GLOBAL(op->d) ? l->s->at[op->d] : (struct x86_val){ .kind = V_NONE };
	struct x86_rm rm;

	if (a.kind != V_XMM || a.low32 || !(l->features & X86_AVX) ||
	    (op->opcode != IR_and && op->opcode != IR_or && op->opcode != IR_xor))
		return false;
	if (b.kind == V_XMM && !b.low32) {
		rm = x86_reg(b.reg);
	} else if (b.kind == V_IMM && (IR_IS_TEMP(op->d) || where.kind == V_XMM)) {
		uint32_t i = 0;

		while (i < 6 && (consts[i].opcode != op->opcode || consts[i].imm != b.imm))
			i++;
		if (i == 6)
			return false;
		rm = x86_const(l, consts[i].k);
	} else {
		return false;
	}

	uint8_t d = x86_dst_xmm(l, op, 0);
	x86_vex(&l->e, vop[op->opcode], d, a.reg, rm);
	x86_finish_xmm(l, op, d, false, false);
	return true;
}

void x86_alu(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_b(l, op);
	uint32_t alu = alu_of(op->opcode), w = width_of(op->opcode);
	bool commutes = alu != OP_SUB;

	if (alu_in_memory(l, op, alu, b) || alu_in_xmm(l, op, a, b))
		return;
	if (commutes && a.kind == V_IMM) {
		struct x86_val t = a;
		a = b;
		b = t;
	}

	uint8_t d = x86_dst(l, op, RAX);
	if (b.kind == V_GPR && b.reg == d && !(a.kind == V_GPR && a.reg == d)) {
		if (commutes) {
			alu_into(l, alu, w, d, a);
		} else {
			load(l, w, RAX, a);
			x86_op(&l->e, alu | w, RAX, x86_reg(b.reg));
			x86_op(&l->e, OP_MOV | X86_W, d, x86_reg(RAX));
		}
	} else if (!add_by_lea(l, op, w, d, a, b)) {
		load(l, w, d, a);
		alu_into(l, alu, w, d, b);
	}
	x86_finish(l, op, d);
}

void x86_andn(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_of(l, op->b);
	uint8_t d = x86_dst(l, op, RAX);

	if ((l->features & X86_BMI1) && b.kind != V_IMM) {
		uint8_t not = x86_in_gpr(l, b, RCX);
		x86_vex(&l->e, OP_ANDN | X86_W, d, not, x86_as_rm(l, a, RAX));
	} else {
		x86_to_gpr(l, RCX, b);
		x86_op(&l->e, OP_GRP3 | X86_W, EXT_NOT, x86_reg(RCX));
		x86_op(&l->e, OP_AND | X86_W, RCX, x86_as_rm(l, a, RAX));
		x86_mov_rr(&l->e, d, RCX);
	}
	x86_finish(l, op, d);
}

void x86_orn(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_of(l, op->b);
	uint8_t d = x86_dst(l, op, RAX);

	x86_to_gpr(l, RCX, b);
	x86_op(&l->e, OP_GRP3 | X86_W, EXT_NOT, x86_reg(RCX));
	x86_op(&l->e, OP_OR | X86_W, RCX, x86_as_rm(l, a, RAX));
	x86_mov_rr(&l->e, d, RCX);
	x86_finish(l, op, d);
}

void x86_xnor(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_of(l, op->b);
	uint8_t d = x86_dst(l, op, RAX);

	x86_to_gpr(l, RCX, b);
	x86_op(&l->e, OP_XOR | X86_W, RCX, x86_as_rm(l, a, RAX));
	x86_op(&l->e, OP_GRP3 | X86_W, EXT_NOT, x86_reg(RCX));
	x86_mov_rr(&l->e, d, RCX);
	x86_finish(l, op, d);
}

static uint8_t shift_ext(uint8_t opcode)
{
	switch (opcode) {
	case IR_shl: case IR_shl32:   return EXT_SHL;
	case IR_shr: case IR_shr32:   return EXT_SHR;
	case IR_sar: case IR_sar32:   return EXT_SAR;
	case IR_rotl: case IR_rotl32: return EXT_ROL;
	default:                      return EXT_ROR;
	}
}

static void shift_by_const(struct x86_lower *l, const struct ir_op *op, uint32_t w, uint8_t ext,
			   struct x86_val a, uint32_t count)
{
	uint32_t bits = w ? 64 : 32;
	uint8_t d = x86_dst(l, op, RAX);
	bool rotates = ext == EXT_ROL || ext == EXT_ROR;

	if (count == 0) {
		x86_op(&l->e, OP_MOV | w, d, x86_as_rm(l, a, RCX));
	} else if (rotates && (l->features & X86_BMI2) && !(a.kind == V_GPR && a.reg == d)) {
		uint32_t right = ext == EXT_ROR ? count : bits - count;
		x86_vex_i8(&l->e, OP_RORX | w, d, 0, x86_as_rm(l, a, RCX), (uint8_t)right);
	} else if (ext == EXT_SHL && count == 1 && a.kind == V_GPR && a.reg != d) {
		x86_op(&l->e, OP_LEA | w, d, x86_mem_index(a.reg, a.reg, 0, 0));
	} else {
		load(l, w, d, a);
		x86_shift_imm(&l->e, w, ext, x86_reg(d), (uint8_t)count);
	}
	x86_finish(l, op, d);
}

void x86_shift(struct x86_lower *l, const struct ir_op *op)
{
	static const uint32_t bmi[8] = { [EXT_SHL] = OP_SHLX, [EXT_SHR] = OP_SHRX, [EXT_SAR] = OP_SARX };
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_b(l, op);
	uint32_t w = width_of(op->opcode);
	uint8_t ext = shift_ext(op->opcode);

	if (b.kind == V_IMM) {
		shift_by_const(l, op, w, ext, a, (uint32_t)b.imm & (w ? 63u : 31u));
		return;
	}

	uint8_t d = x86_dst(l, op, RAX);
	if (bmi[ext] && (l->features & X86_BMI2)) {
		uint8_t count = x86_in_gpr(l, b, RCX);
		x86_vex(&l->e, bmi[ext] | w, d, count, x86_as_rm(l, a, RAX));
	} else {
		load(l, 0, RCX, b);
		load(l, w, RAX, a);
		x86_op(&l->e, OP_SHIFT_CL | w, ext, x86_reg(RAX));
		x86_mov_rr(&l->e, d, RAX);
	}
	x86_finish(l, op, d);
}

void x86_addshl(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_of(l, op->b);
	uint8_t d = x86_dst(l, op, RAX);
	uint8_t rb = x86_in_gpr(l, b, RCX), ra = x86_in_gpr(l, a, RAX);

	x86_op(&l->e, OP_LEA | X86_W, d, x86_mem_index(ra, rb, (uint8_t)op->imm & 3u, 0));
	x86_finish(l, op, d);
}

void x86_mul(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_of(l, op->b);
	uint32_t w = width_of(op->opcode);

	if (a.kind == V_IMM) {
		struct x86_val t = a;
		a = b;
		b = t;
	}

	uint8_t d = x86_dst(l, op, RAX);
	if (fits32(b) && a.kind != V_IMM) {
		x86_op_i32(&l->e, OP_IMUL_I | w, d, x86_as_rm(l, a, RCX), (int32_t)b.imm);
	} else if (b.kind == V_GPR && b.reg == d) {
		x86_op(&l->e, OP_IMUL | w, d, x86_as_rm(l, a, RCX));
	} else {
		load(l, w, d, a);
		x86_op(&l->e, OP_IMUL | w, d, x86_as_rm(l, b, RCX));
	}
	x86_finish(l, op, d);
}

void x86_mulh(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_of(l, op->b);
	uint8_t d = x86_dst(l, op, RDX);

	x86_to_gpr(l, RAX, a);
	x86_op(&l->e, OP_GRP3 | X86_W, op->opcode == IR_mulhs ? EXT_IMUL : EXT_MUL, x86_as_rm(l, b, RCX));
	x86_mov_rr(&l->e, d, RDX);
	x86_finish(l, op, d);
}

/* high(a * b) as unsigned, less b when a is negative */
void x86_mulhsu(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_of(l, op->b);
	uint8_t d = x86_dst(l, op, RDX);

	x86_to_gpr(l, RAX, a);
	x86_to_gpr(l, RCX, b);
	x86_op(&l->e, OP_GRP3 | X86_W, EXT_MUL, x86_reg(RCX));
	x86_to_gpr(l, RAX, a);
	x86_shift_imm(&l->e, X86_W, EXT_SAR, x86_reg(RAX), 63);
	x86_op(&l->e, OP_AND | X86_W, RAX, x86_reg(RCX));
	x86_op(&l->e, OP_SUB | X86_W, RDX, x86_reg(RAX));
	x86_mov_rr(&l->e, d, RDX);
	x86_finish(l, op, d);
}

/*
 * The dividend in rax, the divisor in rcx; divisors 0 and -1 go to far code, which leaves quotient and
 * remainder.
 */
void x86_div(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_of(l, op->b);
	uint32_t w = width_of(op->opcode);
	bool is_signed = op->opcode == IR_divs || op->opcode == IR_rems || op->opcode == IR_divs32 ||
			 op->opcode == IR_rems32;
	bool rem = op->opcode == IR_rems || op->opcode == IR_remu || op->opcode == IR_rems32 ||
		   op->opcode == IR_remu32;
	uint8_t d = x86_dst(l, op, rem ? RDX : RAX);
	struct x86_far *f;

	load(l, w, RCX, b);
	load(l, w, RAX, a);
	if (is_signed) {
		x86_op(&l->e, OP_LEA | w, RDX, x86_mem(RCX, 1));
		x86_alu_imm(&l->e, OP_CMP | w, x86_reg(RDX), 1);
		f = x86_far_new(l, FAR_DIVS, x86_jcc(&l->e, CC_BE, 0));
		x86_op(&l->e, X86_OP(0x99, 0, 0) | w, 0, x86_reg(RAX));   /* cqo / cdq, see below */
		l->e.p--;                                                 /* it has no ModR/M */
		x86_op(&l->e, OP_GRP3 | w, EXT_IDIV, x86_reg(RCX));
	} else {
		x86_op(&l->e, OP_TEST | w, RCX, x86_reg(RCX));
		f = x86_far_new(l, FAR_DIVU, x86_jcc(&l->e, CC_E, 0));
		x86_op(&l->e, OP_XOR, RDX, x86_reg(RDX));
		x86_op(&l->e, OP_GRP3 | w, EXT_DIV, x86_reg(RCX));
	}
	f->flag = w != 0;
	f->back = x86_at(&l->e);
	x86_mov_rr(&l->e, d, rem ? RDX : RAX);
	x86_finish(l, op, d);
}

void x86_ext(struct x86_lower *l, const struct ir_op *op)
{
	static const uint32_t code[] = {
		[IR_ext8s] = OP_MOVSX8 | X86_W,  [IR_ext16s] = OP_MOVSX16 | X86_W,
		[IR_ext32s] = OP_MOVSXD | X86_W, [IR_ext8u] = OP_MOVZX8,
		[IR_ext16u] = OP_MOVZX16,        [IR_ext32u] = OP_MOV,
	};
	struct x86_val a = x86_val_of(l, op->a);
	uint8_t d = x86_dst(l, op, RAX);

	x86_op(&l->e, code[op->opcode], d, x86_as_rm(l, a, RCX));
	x86_finish(l, op, d);
}

/* bsr and bsf leave the destination undefined for 0. */
static void count_by_scan(struct x86_lower *l, uint32_t w, bool leading, struct x86_rm rm)
{
	int32_t bits = w ? 64 : 32;

	x86_mov_imm(&l->e, RDX, leading ? 2 * bits - 1 : bits);
	x86_op(&l->e, (leading ? OP_BSR : OP_BSF) | w, RAX, rm);
	x86_op(&l->e, OP_CMOV(CC_E) | w, RAX, x86_reg(RDX));
	if (leading)
		x86_alu_imm(&l->e, OP_XOR | w, x86_reg(RAX), bits - 1);
}

void x86_count(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a);
	uint32_t w = width_of(op->opcode);
	bool leading = op->opcode == IR_clz || op->opcode == IR_clz32;
	uint8_t d = x86_dst(l, op, RAX);
	struct x86_rm rm = x86_as_rm(l, a, RCX);

	if (l->features & (leading ? X86_LZCNT : X86_BMI1)) {
		x86_op(&l->e, (leading ? OP_LZCNT : OP_TZCNT) | w, d, rm);
	} else {
		count_by_scan(l, w, leading, rm);
		x86_mov_rr(&l->e, d, RAX);
	}
	x86_finish(l, op, d);
}

void x86_popcnt(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a);
	uint32_t w = width_of(op->opcode);
	uint8_t d = x86_dst(l, op, RAX);

	if (l->features & X86_POPCNT) {
		x86_op(&l->e, OP_POPCNT | w, d, x86_as_rm(l, a, RCX));
	} else {
		if (w)
			x86_to_gpr(l, RAX, a);
		else
			x86_op(&l->e, OP_MOV, RAX, x86_as_rm(l, a, RCX));
		x86_call(&l->e, l->s->stubs.popcnt);
		x86_mov_rr(&l->e, d, RAX);
	}
	x86_finish(l, op, d);
}

void x86_bswap(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a);
	uint8_t d = x86_dst(l, op, RAX);
	uint8_t code[3] = { (uint8_t)(0x48u | (d & 8u) >> 3), 0x0f, (uint8_t)(0xc8u | (d & 7u)) };

	x86_to_gpr(l, d, a);
	x86_bytes(&l->e, code, 3);
	x86_finish(l, op, d);
}

/* Bytes that are not zero: those that do not compare equal to zero. */
void x86_orcb(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a);
	uint8_t d = x86_dst(l, op, RAX);

	if (a.kind == V_XMM && a.low32) {
		x86_to_gpr(l, RCX, a);
		a = (struct x86_val){ .kind = V_GPR, .reg = RCX };
	}
	x86_to_xmm(l, 0, a);
	x86_op(&l->e, OP_PXOR, 1, x86_reg(1));
	x86_op(&l->e, OP_PCMPEQB, 0, x86_reg(1));
	x86_op(&l->e, OP_MOVD_R | X86_W, 0, x86_reg(d));
	x86_op(&l->e, OP_GRP3 | X86_W, EXT_NOT, x86_reg(d));
	x86_finish(l, op, d);
}

void x86_minmax(struct x86_lower *l, const struct ir_op *op)
{
	static const uint8_t take_b[] = {
		[IR_mins] = CC_G, [IR_maxs] = CC_L, [IR_minu] = CC_A, [IR_maxu] = CC_B,
	};
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_of(l, op->b);
	uint8_t d = x86_dst(l, op, RAX);
	uint8_t t = b.kind == V_GPR && b.reg == d ? RAX : d;
	struct x86_rm rb;

	rb = x86_as_rm(l, b, RCX);
	x86_to_gpr(l, t, a);
	x86_op(&l->e, OP_CMP | X86_W, t, rb);
	x86_op(&l->e, OP_CMOV(take_b[op->opcode]) | X86_W, t, rb);
	x86_mov_rr(&l->e, d, t);
	x86_finish(l, op, d);
}

static const uint8_t cc_of[] = {
	[IR_EQ] = CC_E, [IR_NE] = CC_NE, [IR_LT] = CC_L, [IR_GE] = CC_GE, [IR_LE] = CC_LE, [IR_GT] = CC_G,
	[IR_LTU] = CC_B, [IR_GEU] = CC_AE, [IR_LEU] = CC_BE, [IR_GTU] = CC_A,
};
static const uint8_t cond_swapped[] = {
	[IR_EQ] = IR_EQ, [IR_NE] = IR_NE, [IR_LT] = IR_GT, [IR_GE] = IR_LE, [IR_LE] = IR_GE, [IR_GT] = IR_LT,
	[IR_LTU] = IR_GTU, [IR_GEU] = IR_LEU, [IR_LEU] = IR_GEU, [IR_GTU] = IR_LTU,
};

/* Uses rax and rcx. */
enum x86_cc x86_compare(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_b(l, op);
	uint8_t cond = op->field;

	if (a.kind == V_IMM || (a.kind == V_MEM && b.kind == V_GPR)) {
		struct x86_val t = a;
		a = b;
		b = t;
		cond = cond_swapped[cond];
	}
	if (fits32(b)) {
		struct x86_rm rm = x86_as_rm(l, a, RAX);
		if (b.imm == 0 && rm.kind == RM_REG)
			x86_op(&l->e, OP_TEST | X86_W, rm.base, rm);
		else
			x86_alu_imm(&l->e, OP_CMP | X86_W, rm, (int32_t)b.imm);
	} else {
		uint8_t ra = x86_in_gpr(l, a, RAX);
		x86_op(&l->e, OP_CMP | X86_W, ra, x86_as_rm(l, b, RCX));
	}
	return cc_of[cond];
}

void x86_setc(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val a = x86_val_of(l, op->a), b = x86_val_b(l, op);
	enum x86_cc cc;
	uint8_t d;

	if (b.kind == V_IMM && b.imm == 0 && (op->field == IR_LT || op->field == IR_GE)) {
		d = x86_dst(l, op, RAX);
		x86_to_gpr(l, d, a);
		if (op->field == IR_GE)
			x86_op(&l->e, OP_GRP3 | X86_W, EXT_NOT, x86_reg(d));
		x86_shift_imm(&l->e, X86_W, EXT_SHR, x86_reg(d), 63);
	} else {
		cc = x86_compare(l, op);
		d = x86_dst(l, op, RAX);
		x86_op(&l->e, OP_SETCC(cc), 0, x86_reg(d));
		x86_op(&l->e, OP_MOVZX8, d, x86_reg(d));
	}
	x86_finish(l, op, d);
}

/* d is read and written; nothing is freed before the end. */
void x86_movc(struct x86_lower *l, const struct ir_op *op)
{
	struct x86_val d = x86_val_of(l, op->d), c = x86_val_of(l, op->c);
	enum x86_cc cc = x86_compare(l, op);
	uint8_t reg = d.kind == V_GPR ? d.reg : RDX;
	struct x86_rm rm;

	x86_to_gpr(l, reg, d);       /* moves keep the flags */
	rm = x86_as_rm(l, c, RCX);
	x86_op(&l->e, OP_CMOV(cc) | X86_W, reg, rm);
	if (d.kind == V_GPR)
		x86_free_dead(l, op);
	if (d.kind != V_GPR) {
		uint8_t place = x86_dst(l, op, RDX);
		x86_mov_rr(&l->e, place, reg);
		x86_finish(l, op, place);
	}
}
