/* SPDX-License-Identifier: MIT */
/*
 * Builders: append ops to a block. A full block sets `overflow` and swallows further ops, so that front ends
 * need no checks of their own; the engine builds again with fewer instructions.
 */
#include "ir/ir.h"

const struct ir_opinfo ir_opinfo[IR_OPCODES] = {
#define IR_OP(name, operands, flags) [IR_##name] = { #name, operands, flags },
#include "ir/ir.def"
#undef IR_OP
};

void ir_begin(struct ir_block *b, uint64_t pc, uint32_t flags)
{
	b->pc = pc;
	b->flags = flags;
	b->op_count = 0;
	b->temp_count = 0;
	b->label_count = 0;
	b->insn_count = 0;
	b->guest_bytes = 0;
	b->overflow = false;
}

ir_val ir_temp(struct ir_block *b)
{
	if (b->temp_count >= IR_MAX_TEMPS) {
		b->overflow = true;
		return IR_TEMP_FIRST;
	}
	return (ir_val)(IR_TEMP_FIRST + b->temp_count++);
}

uint16_t ir_label(struct ir_block *b)
{
	if (b->label_count >= IR_MAX_LABELS) {
		b->overflow = true;
		return 0;
	}
	return (uint16_t)b->label_count++;
}

struct ir_op *ir_emit(struct ir_block *b, enum ir_opcode opcode)
{
	/* the last slot takes whatever does not fit */
	if (b->op_count >= IR_MAX_OPS - 1)
		b->overflow = true;
	struct ir_op *op = &b->ops[b->overflow ? IR_MAX_OPS - 1 : b->op_count++];
	*op = (struct ir_op){ .opcode = (uint8_t)opcode };
	return op;
}

static ir_val dest(struct ir_block *b, ir_val d)
{
	return d == IR_NONE ? ir_temp(b) : d;
}

ir_val ir_op1(struct ir_block *b, enum ir_opcode opcode, ir_val d, ir_val a)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, opcode);
	op->d = d;
	op->a = a;
	return d;
}

ir_val ir_op2(struct ir_block *b, enum ir_opcode opcode, ir_val d, ir_val a, ir_val v)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, opcode);
	op->d = d;
	op->a = a;
	op->b = v;
	return d;
}

ir_val ir_op2i(struct ir_block *b, enum ir_opcode opcode, ir_val d, ir_val a, int64_t imm)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, opcode);
	op->d = d;
	op->a = a;
	op->b_is_imm = 1;
	op->imm = imm;
	return d;
}

ir_val ir_op3(struct ir_block *b, enum ir_opcode opcode, ir_val d, ir_val a, ir_val v, ir_val c)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, opcode);
	op->d = d;
	op->a = a;
	op->b = v;
	op->c = c;
	return d;
}

ir_val ir_movi(struct ir_block *b, ir_val d, int64_t imm)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, IR_movi);
	op->d = d;
	op->imm = imm;
	return d;
}

ir_val ir_addshl(struct ir_block *b, ir_val d, ir_val a, ir_val v, uint32_t shift)
{
	d = ir_op2(b, IR_addshl, d, a, v);
	b->ops[b->overflow ? IR_MAX_OPS - 1 : b->op_count - 1].imm = shift;
	return d;
}

ir_val ir_setc(struct ir_block *b, ir_val d, enum ir_cond cond, ir_val a, ir_val v)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, IR_setc);
	op->field = (uint8_t)cond;
	op->d = d;
	op->a = a;
	op->b = v;
	return d;
}

ir_val ir_setci(struct ir_block *b, ir_val d, enum ir_cond cond, ir_val a, int64_t imm)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, IR_setc);
	op->field = (uint8_t)cond;
	op->d = d;
	op->a = a;
	op->b_is_imm = 1;
	op->imm = imm;
	return d;
}

void ir_movc(struct ir_block *b, ir_val d, enum ir_cond cond, ir_val a, ir_val v, ir_val c)
{
	struct ir_op *op = ir_emit(b, IR_movc);
	op->field = (uint8_t)cond;
	op->d = d;
	op->a = a;
	op->b = v;
	op->c = c;
}

void ir_movci(struct ir_block *b, ir_val d, enum ir_cond cond, ir_val a, int64_t imm, ir_val c)
{
	struct ir_op *op = ir_emit(b, IR_movc);
	op->field = (uint8_t)cond;
	op->d = d;
	op->a = a;
	op->b_is_imm = 1;
	op->imm = imm;
	op->c = c;
}

ir_val ir_ldenv(struct ir_block *b, ir_val d, uint32_t offset, uint8_t mem)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, IR_ldenv);
	op->d = d;
	op->imm = offset;
	op->field = mem;
	return d;
}

void ir_stenv(struct ir_block *b, ir_val a, uint32_t offset, uint8_t mem)
{
	struct ir_op *op = ir_emit(b, IR_stenv);
	op->a = a;
	op->imm = offset;
	op->field = mem;
}

ir_val ir_ld(struct ir_block *b, ir_val d, ir_val base, int64_t disp, uint8_t mem)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, IR_ld);
	op->d = d;
	op->a = base;
	op->imm = disp;
	op->field = mem;
	return d;
}

void ir_st(struct ir_block *b, ir_val base, int64_t disp, ir_val value, uint8_t mem)
{
	struct ir_op *op = ir_emit(b, IR_st);
	op->a = base;
	op->b = value;
	op->imm = disp;
	op->field = mem;
}

void ir_zero(struct ir_block *b, ir_val addr)
{
	ir_emit(b, IR_zero)->a = addr;
}

ir_val ir_amo(struct ir_block *b, ir_val d, enum ir_amo amo, ir_val addr, ir_val v, uint8_t mem)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, IR_amo);
	op->d = d;
	op->a = addr;
	op->b = v;
	op->field = mem | IRM_ALIGN;
	op->aux = (uint16_t)amo;
	return d;
}

ir_val ir_cas(struct ir_block *b, ir_val d, ir_val addr, ir_val expected, ir_val desired, uint8_t mem)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, IR_cas);
	op->d = d;
	op->a = addr;
	op->b = expected;
	op->c = desired;
	op->field = mem | IRM_ALIGN;
	return d;
}

void ir_fence(struct ir_block *b, uint16_t order)
{
	ir_emit(b, IR_fence)->aux = order;
}

void ir_insn(struct ir_block *b, uint64_t pc, uint32_t len_bytes)
{
	struct ir_op *op = ir_emit(b, IR_insn);
	op->imm = (int64_t)pc;
	op->aux = (uint16_t)len_bytes;
	b->insn_count++;
	b->guest_bytes = (uint32_t)(pc + len_bytes - b->pc);
}

void ir_place(struct ir_block *b, uint16_t label)
{
	ir_emit(b, IR_label)->aux = label;
}

void ir_br(struct ir_block *b, uint16_t label)
{
	ir_emit(b, IR_br)->aux = label;
}

void ir_brc(struct ir_block *b, enum ir_cond cond, ir_val a, ir_val v, uint16_t label)
{
	struct ir_op *op = ir_emit(b, IR_brc);
	op->field = (uint8_t)cond;
	op->a = a;
	op->b = v;
	op->aux = label;
}

void ir_brci(struct ir_block *b, enum ir_cond cond, ir_val a, int64_t imm, uint16_t label)
{
	struct ir_op *op = ir_emit(b, IR_brc);
	op->field = (uint8_t)cond;
	op->a = a;
	op->b_is_imm = 1;
	op->imm = imm;
	op->aux = label;
}

void ir_poll(struct ir_block *b, uint64_t pc)
{
	ir_emit(b, IR_poll)->imm = (int64_t)pc;
}

void ir_exit_pc(struct ir_block *b, uint64_t pc)
{
	ir_emit(b, IR_exit_pc)->imm = (int64_t)pc;
}

void ir_exit_reg(struct ir_block *b, ir_val pc, uint32_t jump)
{
	struct ir_op *op = ir_emit(b, IR_exit_reg);
	op->a = pc;
	op->aux = (uint16_t)jump;
}

void ir_exit_ctx(struct ir_block *b, uint64_t pc)
{
	ir_emit(b, IR_exit_ctx)->imm = (int64_t)pc;
}

void ir_exit_env(struct ir_block *b)
{
	ir_emit(b, IR_exit_env);
}

ir_val ir_call(struct ir_block *b, ir_val d, uint32_t helper, ir_val a, ir_val v, ir_val c)
{
	struct ir_op *op = ir_emit(b, IR_call);
	op->d = d;              /* IR_NONE: the result is not wanted */
	op->a = a;
	op->b = v;
	op->c = c;
	op->aux = (uint16_t)helper;
	return d;
}

ir_val ir_fp2(struct ir_block *b, enum ir_opcode opcode, ir_val d, ir_val a, ir_val v, uint32_t rm)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, opcode);
	op->d = d;
	op->a = a;
	op->b = v;
	op->field = (uint8_t)rm;
	return d;
}

ir_val ir_fp1(struct ir_block *b, enum ir_opcode opcode, ir_val d, ir_val a, uint32_t rm)
{
	return ir_fp2(b, opcode, d, a, IR_NONE, rm);
}

ir_val ir_fma(struct ir_block *b, enum ir_opcode opcode, ir_val d, ir_val a, ir_val v, ir_val c, uint32_t rm,
	      uint32_t signs)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, opcode);
	op->d = d;
	op->a = a;
	op->b = v;
	op->c = c;
	op->field = (uint8_t)rm;
	op->aux = (uint16_t)signs;
	return d;
}

ir_val ir_fcmp(struct ir_block *b, enum ir_opcode opcode, ir_val d, enum ir_fcmp cmp, ir_val a, ir_val v)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, opcode);
	op->d = d;
	op->a = a;
	op->b = v;
	op->aux = (uint16_t)cmp;
	return d;
}

ir_val ir_fcvt(struct ir_block *b, enum ir_opcode opcode, ir_val d, ir_val a, uint32_t rm, enum ir_cvt kind)
{
	d = dest(b, d);
	struct ir_op *op = ir_emit(b, opcode);
	op->d = d;
	op->a = a;
	op->field = (uint8_t)rm;
	op->aux = (uint16_t)kind;
	return d;
}
