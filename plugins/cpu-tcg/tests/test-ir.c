/* SPDX-License-Identifier: MIT */
/* What is done with a block before it is translated: the folder of constants, and the verifier, rule by rule. */
#include <check.h>

#include "engine/engine.h"
#include "opt/opt.h"

/* --- the folder --- */

static struct ir_block ir;

static uint64_t nothing(struct tcg_env *env, uint64_t a, uint64_t b, uint64_t c)
{
	(void)env;
	return a + b + c;
}

static const struct ir_global globals[] = { { "a", ENV_GUEST_OFFSET, 0, 1 }, { "b", ENV_GUEST_OFFSET + 8, 0, 2 } };
static const struct ir_helper helpers[] = { { "nothing", nothing, IRH_PURE }, { "writes", nothing, IRH_WRITES } };
#define A IR_GLOBAL(0)
#define B IR_GLOBAL(1)

static void begin(void)
{
	ir_begin(&ir, 0x1000, 0);
	ir.globals = globals;
	ir.global_count = 2;
	ir.helpers = helpers;
	ir.helper_count = 2;
	ir_insn(&ir, 0x1000, 4);
}

static const char *verify(void)
{
	uint32_t at;
	return ir_verify(&ir, &at);
}

static uint32_t count(uint32_t opcode)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < ir.op_count; i++)
		n += ir.ops[i].opcode == opcode;
	return n;
}

START_TEST(constants_fold)
{
	begin();
	ir_val x = ir_movi(&ir, IR_NONE, 40);
	ir_op2i(&ir, IR_add, A, x, 2);
	ir_op2(&ir, IR_add, B, A, x);
	ir_exit_pc(&ir, 0x2000);
	opt_fold(&ir);
	ck_assert_ptr_null(verify());
	ck_assert_uint_eq(count(IR_add), 0);
	ck_assert_int_eq(ir.ops[2].imm, 42);
	ck_assert_int_eq(ir.ops[3].imm, 82);
}
END_TEST

START_TEST(known_branches_fold_and_what_they_skip_goes)
{
	begin();
	uint16_t label = ir_label(&ir);
	ir_movi(&ir, A, 7);
	ir_brci(&ir, IR_EQ, A, 7, label);
	ir_st(&ir, B, 0, A, IRM_64);
	ir_exit_pc(&ir, 0x3000);
	ir_place(&ir, label);
	ir_op2i(&ir, IR_add, B, A, 0);
	ir_exit_pc(&ir, 0x2000);
	opt_fold(&ir);
	ck_assert_ptr_null(verify());
	ck_assert_uint_eq(count(IR_st), 0);
	ck_assert_uint_eq(count(IR_br), 1);
	ck_assert_uint_eq(count(IR_exit_pc), 1);
	/* several ways may lead to a label: nothing is known behind it */
	ck_assert_uint_eq(count(IR_movi), 1);
	ck_assert_uint_eq(count(IR_mov), 1);
}
END_TEST

START_TEST(what_helpers_write_is_not_known)
{
	for (uint32_t helper = 0; helper < 2; helper++) {
		begin();
		ir_movi(&ir, A, 7);
		ir_call(&ir, IR_NONE, helper, IR_NONE, IR_NONE, IR_NONE);
		ir_op2i(&ir, IR_add, B, A, 1);
		ir_exit_pc(&ir, 0x2000);
		opt_fold(&ir);
		ck_assert_ptr_null(verify());
		ck_assert_uint_eq(count(IR_add), helper);
	}
}
END_TEST

/* --- the verifier: one block for each rule --- */

static struct ir_op *op(uint32_t opcode)
{
	return ir_emit(&ir, (enum ir_opcode)opcode);
}

static void refuse(uint32_t rule)
{
	ir_val temp;
	uint16_t label;
	switch (rule) {
	case 0: ir_op1(&ir, IR_mov, A, IR_NONE); break;
	case 1: ir_op1(&ir, IR_mov, A, IR_GLOBAL(2)); break;
	case 2: temp = ir_temp(&ir); ir_op1(&ir, IR_mov, A, temp); break;
	case 3: op(IR_movi); break;
	case 4: op(IR_movi)->d = IR_TEMP_FIRST + 5; break;
	case 5: ir_setci(&ir, A, (enum ir_cond)(IR_GTU + 1), B, 0); break;
	case 6: ir_call(&ir, A, 2, IR_NONE, IR_NONE, IR_NONE); break;
	case 7: ir_amo(&ir, A, (enum ir_amo)(IR_AMO_MAXU + 1), A, B, IRM_64); break;
	case 8: ir_amo(&ir, A, IR_AMO_ADD, A, B, IRM_8); break;
	case 9: ir_addshl(&ir, A, A, B, 4); break;
	case 10: ir_fcvt(&ir, IR_fcvt_i_d, A, A, 0, (enum ir_cvt)(IR_CVT_U64 + 1)); break;
	case 11: ir_fcmp(&ir, IR_fcmp_d, A, (enum ir_fcmp)(IR_FCMP_LE + 1), A, B); break;
	case 12: ir_fp2(&ir, IR_fadd_d, A, A, B, 5); break;
	case 13: ir_br(&ir, 3); break;
	case 14: label = ir_label(&ir); ir_place(&ir, label); ir_place(&ir, label); break;
	case 15: label = ir_label(&ir); ir_place(&ir, label); ir_br(&ir, label); break;
	case 16: op(IR_OPCODES); break;
	case 17: ir_exit_pc(&ir, 0); ir_movi(&ir, A, 1); break;
	case 18: ir.op_count = 0; ir_ld(&ir, A, B, 0, IRM_64); break;
	case 19: label = ir_label(&ir); ir_brci(&ir, IR_EQ, A, 0, label); break;
	case 20: ir.overflow = true; break;
	case 21: return;
	/* written on one way only */
	case 22:
		label = ir_label(&ir);
		temp = ir_temp(&ir);
		ir_brci(&ir, IR_EQ, A, 0, label);
		ir_movi(&ir, temp, 1);
		ir_place(&ir, label);
		ir_op1(&ir, IR_mov, A, temp);
		break;
	}
	ir_exit_pc(&ir, 0x2000);
}

static const char *const refusals[] = {
	"operand missing", "operand out of range", "temporary read before it is written", "destination missing",
	"destination out of range", "no such condition", "no such helper", "bad atomic", "bad atomic", "bad shift",
	"no such conversion", "no such comparison", "no such rounding mode", "no such label", "label placed twice",
	"branch backwards", "no such op", "op that nothing reaches", "memory op outside an instruction",
	"label never placed", "overflow", "control falls out of the block", "temporary read before it is written",
};

START_TEST(the_verifier_refuses)
{
	begin();
	refuse((uint32_t)_i);
	ck_assert_str_eq(verify() ? verify() : "nothing", refusals[_i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ir");
	TCase *blocks = tcase_create("ir");

	tcase_add_test(blocks, constants_fold);
	tcase_add_test(blocks, known_branches_fold_and_what_they_skip_goes);
	tcase_add_test(blocks, what_helpers_write_is_not_known);
	tcase_add_loop_test(blocks, the_verifier_refuses, 0, sizeof(refusals) / sizeof(refusals[0]));
	suite_add_tcase(suite, blocks);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
