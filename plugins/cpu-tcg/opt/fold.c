/* SPDX-License-Identifier: MIT */
/*
 * Constant folding: one pass forward. Knows, for each value, a constant or that the value is already
 * sign-extended from 32 bits or NaN-boxed, and rewrites ops that become moves or constants. Knowledge is
 * dropped at labels (several ways lead there) and where helpers write globals.
 */
#include <string.h>

#include "ir/alu.h"
#include "opt/opt.h"

#define KNOW_CONST 1u
#define KNOW_SEXT  2u       /* equals its low half sign-extended */
#define KNOW_BOXED 4u

#define VALUES (IR_TEMP_FIRST + IR_MAX_TEMPS)

struct known {
	uint32_t epoch;         /* valid when equal to the pass's */
	uint32_t what;
	uint64_t constant;
};

struct fold {
	struct ir_block *b;
	uint32_t epoch;
	struct known known[VALUES];
};

static uint32_t what(const struct fold *f, ir_val v)
{
	return f->known[v].epoch == f->epoch ? f->known[v].what : 0;
}

static bool constant(const struct fold *f, ir_val v, uint64_t *value)
{
	if (v == IR_NONE || !(what(f, v) & KNOW_CONST))
		return false;
	*value = f->known[v].constant;
	return true;
}

static void learn(struct fold *f, ir_val v, uint32_t facts, uint64_t value)
{
	if (v == IR_NONE)
		return;
	if (facts & KNOW_CONST) {
		if ((uint64_t)(int64_t)(int32_t)value == value)
			facts |= KNOW_SEXT;
		if (value >> 32 == 0xffffffffu)
			facts |= KNOW_BOXED;
	}
	f->known[v] = (struct known){ f->epoch, facts, value };
}

static bool fits32(uint64_t value)
{
	return (uint64_t)(int64_t)(int32_t)value == value;
}

static bool takes_imm(const struct ir_op *op)
{
	return strchr(ir_opinfo[op->opcode].operands, 'B') != NULL;
}

static bool commutes(uint32_t opcode)
{
	return opcode == IR_add || opcode == IR_and || opcode == IR_or || opcode == IR_xor || opcode == IR_add32;
}

static void become_constant(struct ir_op *op, uint64_t value)
{
	ir_val d = op->d;
	*op = (struct ir_op){ .opcode = IR_movi, .d = d, .imm = (int64_t)value };
}

static void become_move(struct ir_op *op, ir_val from)
{
	ir_val d = op->d;
	*op = (struct ir_op){ .opcode = d == from ? IR_nop : IR_mov, .d = d == from ? IR_NONE : d,
			      .a = d == from ? IR_NONE : from };
}

/* A constant second operand becomes an immediate; a constant first one of a commutative op trades places. */
static void use_immediates(const struct fold *f, struct ir_op *op)
{
	uint64_t value;
	if (!takes_imm(op) || op->b_is_imm)
		return;
	if (commutes(op->opcode) && constant(f, op->a, &value) && !constant(f, op->b, &value)) {
		ir_val a = op->a;
		op->a = op->b;
		op->b = a;
	}
	if (constant(f, op->b, &value) && fits32(value)) {
		op->b_is_imm = 1;
		op->b = IR_NONE;
		op->imm = (int64_t)value;
	}
}

/* Value of an operand B or b. */
static bool second(const struct fold *f, const struct ir_op *op, uint64_t *value)
{
	if (op->b_is_imm) {
		*value = (uint64_t)op->imm;
		return true;
	}
	if (op->b == IR_NONE) {
		*value = 0;
		return !strpbrk(ir_opinfo[op->opcode].operands, "bB");
	}
	return constant(f, op->b, value);
}

static bool identity(const struct ir_op *op)
{
	if (!op->b_is_imm || op->imm)
		return false;
	switch (op->opcode) {
	case IR_add: case IR_sub: case IR_or: case IR_xor: case IR_shl: case IR_shr: case IR_sar: case IR_rotl:
	case IR_rotr:
		return true;
	}
	return false;
}

static uint32_t result_facts(const struct fold *f, const struct ir_op *op)
{
	switch (op->opcode) {
	case IR_mov:
		return what(f, op->a);
	case IR_ext32s: case IR_ext16s: case IR_ext8s: case IR_ext8u: case IR_ext16u: case IR_setc: case IR_clz:
	case IR_ctz: case IR_popcnt: case IR_clz32: case IR_ctz32: case IR_popcnt32: case IR_fcmp_s: case IR_fcmp_d:
		return KNOW_SEXT;
	case IR_and: case IR_or: case IR_xor:
		if ((what(f, op->a) & KNOW_SEXT) && (op->b_is_imm ? fits32((uint64_t)op->imm)
								   : what(f, op->b) & KNOW_SEXT))
			return KNOW_SEXT;
		return op->opcode == IR_and && op->b_is_imm && op->imm >= 0 && op->imm <= INT32_MAX ? KNOW_SEXT : 0;
	case IR_ld:
		if (IRM_SIZE(op->field) < IRM_32 || (IRM_SIZE(op->field) == IRM_32 && (op->field & IRM_SIGN)))
			return KNOW_SEXT;
		return 0;
	case IR_fbox:
		return KNOW_BOXED;
	case IR_fcvt_i_s: case IR_fcvt_i_d:
		return op->aux <= IR_CVT_U32 ? KNOW_SEXT : 0;
	}
	return 0;
}

static void fold_pure(struct fold *f, struct ir_op *op)
{
	uint64_t a, b;
	use_immediates(f, op);
	if (op->opcode == IR_movi) {
		learn(f, op->d, KNOW_CONST, (uint64_t)op->imm);
		return;
	}
	if (op->opcode == IR_setc && constant(f, op->a, &a) && second(f, op, &b))
		become_constant(op, alu_cond(op->field, a, b));
	else if (op->opcode == IR_movc || op->opcode == IR_ldenv)
		goto done;
	else if (op->opcode != IR_setc && op->opcode != IR_nop && constant(f, op->a, &a) && second(f, op, &b))
		become_constant(op, alu_op(op->opcode, a, b, (uint64_t)op->imm));
	else if (identity(op) || (op->opcode == IR_ext32s && (what(f, op->a) & KNOW_SEXT)))
		become_move(op, op->a);
	if (op->opcode == IR_movi) {
		learn(f, op->d, KNOW_CONST, (uint64_t)op->imm);
		return;
	}
done:
	learn(f, op->d, result_facts(f, op), 0);
}

/* A base that is a constant goes into the displacement's place as far as the op can hold it. */
static void fold_branch(struct fold *f, struct ir_op *op)
{
	uint64_t a, b;
	if (op->opcode == IR_label) {
		f->epoch++;
		return;
	}
	if (op->opcode != IR_brc)
		return;
	use_immediates(f, op);
	if (!constant(f, op->a, &a) || !second(f, op, &b))
		return;
	if (!alu_cond(op->field, a, b)) {
		*op = (struct ir_op){ .opcode = IR_nop };
		return;
	}
	*op = (struct ir_op){ .opcode = IR_br, .aux = op->aux };
}

/* What follows an unconditional branch up to the next label cannot be reached. */
static void drop_unreachable(struct ir_block *b)
{
	bool dead = false;
	uint8_t wanted[IR_MAX_LABELS] = { 0 };
	for (uint32_t i = 0; i < b->op_count; i++) {
		struct ir_op *op = &b->ops[i];
		if (op->opcode == IR_label) {
			dead = dead && !wanted[op->aux];
			if (!dead && wanted[op->aux])
				dead = false;
			continue;
		}
		if (dead) {
			*op = (struct ir_op){ .opcode = IR_nop };
			continue;
		}
		if (op->opcode == IR_br || op->opcode == IR_brc)
			wanted[op->aux] = 1;
		dead = op->opcode == IR_br || (ir_opinfo[op->opcode].flags & IRF_E);
	}
}

static void fold_call(struct fold *f, const struct ir_op *op)
{
	if (f->b->helpers[op->aux].flags & IRH_WRITES)
		for (ir_val v = 1; v <= f->b->global_count; v++)
			f->known[v].what = 0;
	learn(f, op->d, 0, 0);
}

static void fold_op(struct fold *f, struct ir_op *op)
{
	uint32_t flags = ir_opinfo[op->opcode].flags;
	if (flags & IRF_C)
		fold_pure(f, op);
	else if (flags & IRF_B)
		fold_branch(f, op);
	else if (op->opcode == IR_call)
		fold_call(f, op);
	else if (ir_opinfo[op->opcode].operands[0] == 'd')
		learn(f, op->d, result_facts(f, op), 0);
}

void opt_fold(struct ir_block *b)
{
	static __thread struct fold f;
	f.b = b;
	/* a new epoch forgets everything without clearing */
	if (f.epoch > UINT32_MAX - IR_MAX_LABELS - 2) {
		memset(f.known, 0, sizeof(f.known));
		f.epoch = 0;
	}
	f.epoch++;
	for (uint32_t i = 0; i < b->op_count; i++)
		fold_op(&f, &b->ops[i]);
	drop_unreachable(b);
}
