/* SPDX-License-Identifier: MIT */
/*
 * The intermediate representation: a block is a list of ops over values. A value is a global (a guest
 * register, which lives in the environment and is in its place whenever an op may fault, leave or call), a
 * temporary (dies at the block's end, and at a label unless marked as crossing) or nothing. Ops are not in
 * SSA form: front ends name globals as destinations directly. Control inside a block goes forward only.
 * A front end builds (build.c), verify.c checks, opt/ rewrites in place, a host lowers or interprets.
 * No allocation: a block is built in a caller-owned ir_block that is used over and over by one thread.
 */
#ifndef TCG_IR_H
#define TCG_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ir_opcode {
#define IR_OP(name, operands, flags) IR_##name,
#include "ir.def"
#undef IR_OP
	IR_OPCODES
};

#define IRF_C 1u
#define IRF_M 2u
#define IRF_E 4u
#define IRF_B 8u
#define IRF_F 16u
#define IRF_S 32u

struct ir_opinfo {
	const char *name;
	const char *operands;
	uint8_t flags;
};
extern const struct ir_opinfo ir_opinfo[IR_OPCODES];

/* Values. */
typedef uint16_t ir_val;
#define IR_NONE       0u
#define IR_GLOBAL(n)  (1u + (n))            /* n = index in the front's global table */
#define IR_TEMP_FIRST 256u
#define IR_IS_TEMP(v) ((v) >= IR_TEMP_FIRST)
#define IR_IS_GLOBAL(v) ((v) != IR_NONE && (v) < IR_TEMP_FIRST)

/* Conditions. */
enum ir_cond { IR_EQ, IR_NE, IR_LT, IR_GE, IR_LE, IR_GT, IR_LTU, IR_GEU, IR_LEU, IR_GTU };

/* mem field: log2 size in bits 0-1. */
#define IRM_SIZE(m)  ((m) & 3u)
#define IRM_8   0u
#define IRM_16  1u
#define IRM_32  2u
#define IRM_64  3u
#define IRM_SIGN  4u                        /* a load sign-extends; else it zero-extends */
#define IRM_ALIGN 8u                        /* misaligned faults */
#define IRM_ACQ   16u                       /* memory order, for hosts that need it */
#define IRM_REL   32u
#define IRM_STACK 64u                       /* hint: off the stack pointer */
#define IR_ZERO_BYTES 64u                   /* of `zero` */
/* AMO: which, in aux. */
enum ir_amo { IR_AMO_SWAP, IR_AMO_ADD, IR_AMO_AND, IR_AMO_OR, IR_AMO_XOR, IR_AMO_MIN, IR_AMO_MAX, IR_AMO_MINU,
	      IR_AMO_MAXU };
/* fence: aux, what must not pass what. */
#define IR_ORDER_RR 1u
#define IR_ORDER_RW 2u
#define IR_ORDER_WR 4u                      /* the only one that a TSO host must act on */
#define IR_ORDER_WW 8u
/* exit_reg: aux. */
#define IR_JUMP_PLAIN  0u
#define IR_JUMP_CALL   1u
#define IR_JUMP_RETURN 2u
/* FP. */
#define IR_RM_RNE 0u
#define IR_RM_RTZ 1u
#define IR_RM_RDN 2u
#define IR_RM_RUP 3u
#define IR_RM_RMM 4u
#define IR_RM_DYN 7u                       /* env->frm, which is 0..3: a front makes other modes part of its flags */
#define IR_FMA_NEG_PRODUCT 1u
#define IR_FMA_NEG_ADDEND  2u
enum ir_fcmp { IR_FCMP_EQ, IR_FCMP_LT, IR_FCMP_LE };   /* EQ quiet, LT and LE signalling */
enum ir_cvt { IR_CVT_I32, IR_CVT_U32, IR_CVT_I64, IR_CVT_U64 };

struct ir_op {
	uint8_t opcode;
	uint8_t field;          /* cond | mem | fp (rounding mode), as the op says */
	uint16_t aux;
	ir_val d, a, b, c;
	uint8_t b_is_imm;       /* operand B is imm */
	uint8_t spare[3];
	int64_t imm;
};

/* A global: guest register in the environment. */
struct ir_global {
	const char *name;
	uint32_t env_offset;    /* 8 bytes there */
	uint8_t is_fp;          /* lives in the FP register file of a host that has one */
	uint8_t priority;       /* 0: memory; 1..: wanted in a host register over block boundaries, 1 = most */
};

/* What a helper may do, beyond computing from its arguments. */
#define IRH_PURE      0u
#define IRH_READS     1u        /* reads globals in the environment */
#define IRH_WRITES    2u        /* writes globals in the environment */
#define IRH_MAY_EXIT  4u        /* returning with env->exit_reason set leaves the block at once: needs pc, globals */
#define IRH_FP_FLAGS  8u        /* reads or accrues FP flags or reads the rounding mode */

struct tcg_env;
typedef uint64_t (*ir_helper_fn)(struct tcg_env *env, uint64_t a, uint64_t b, uint64_t c);
struct ir_helper {
	const char *name;
	ir_helper_fn fn;
	uint32_t flags;         /* IRH_* */
};

#define IR_MAX_OPS    4096u
#define IR_MAX_TEMPS  2048u
#define IR_MAX_LABELS 256u

struct ir_block {
	/* set by the engine before building */
	uint64_t pc;            /* guest virtual address of the first instruction */
	uint32_t flags;         /* the front's context flags (env->flags) */
	uint32_t mmu;           /* regime of the block's loads and stores (env->mmu) */
	uint32_t max_insns;
	const struct ir_global *globals;
	uint32_t global_count;
	const struct ir_helper *helpers;
	uint32_t helper_count;
	/* filled by the front */
	uint32_t op_count, temp_count, label_count;
	uint32_t insn_count;    /* guest instructions */
	uint32_t guest_bytes;   /* length of the guest code from pc on */
	bool overflow;          /* ops ran out: the engine retries with fewer instructions */
	struct ir_op ops[IR_MAX_OPS];
};

void ir_begin(struct ir_block *b, uint64_t pc, uint32_t flags);
ir_val ir_temp(struct ir_block *b);
uint16_t ir_label(struct ir_block *b);
struct ir_op *ir_emit(struct ir_block *b, enum ir_opcode op);

/* Builders (build.c). d may be a global or a temporary; IR_NONE makes a fresh temporary. All return d. */
ir_val ir_op1(struct ir_block *b, enum ir_opcode op, ir_val d, ir_val a);
ir_val ir_op2(struct ir_block *b, enum ir_opcode op, ir_val d, ir_val a, ir_val v);
ir_val ir_op2i(struct ir_block *b, enum ir_opcode op, ir_val d, ir_val a, int64_t imm);
ir_val ir_op3(struct ir_block *b, enum ir_opcode op, ir_val d, ir_val a, ir_val v, ir_val c);
ir_val ir_movi(struct ir_block *b, ir_val d, int64_t imm);
ir_val ir_addshl(struct ir_block *b, ir_val d, ir_val a, ir_val v, uint32_t shift);
ir_val ir_setc(struct ir_block *b, ir_val d, enum ir_cond cond, ir_val a, ir_val v);
ir_val ir_setci(struct ir_block *b, ir_val d, enum ir_cond cond, ir_val a, int64_t imm);
void ir_movc(struct ir_block *b, ir_val d, enum ir_cond cond, ir_val a, ir_val v, ir_val c);
void ir_movci(struct ir_block *b, ir_val d, enum ir_cond cond, ir_val a, int64_t imm, ir_val c);
ir_val ir_ldenv(struct ir_block *b, ir_val d, uint32_t offset, uint8_t mem);
void ir_stenv(struct ir_block *b, ir_val a, uint32_t offset, uint8_t mem);
ir_val ir_ld(struct ir_block *b, ir_val d, ir_val base, int64_t disp, uint8_t mem);
void ir_st(struct ir_block *b, ir_val base, int64_t disp, ir_val value, uint8_t mem);
void ir_zero(struct ir_block *b, ir_val addr);
ir_val ir_amo(struct ir_block *b, ir_val d, enum ir_amo amo, ir_val addr, ir_val v, uint8_t mem);
ir_val ir_cas(struct ir_block *b, ir_val d, ir_val addr, ir_val expected, ir_val desired, uint8_t mem);
void ir_fence(struct ir_block *b, uint16_t order);
void ir_insn(struct ir_block *b, uint64_t pc, uint32_t len_bytes);
void ir_place(struct ir_block *b, uint16_t label);
void ir_br(struct ir_block *b, uint16_t label);
void ir_brc(struct ir_block *b, enum ir_cond cond, ir_val a, ir_val v, uint16_t label);
void ir_brci(struct ir_block *b, enum ir_cond cond, ir_val a, int64_t imm, uint16_t label);
void ir_poll(struct ir_block *b, uint64_t pc);
void ir_exit_pc(struct ir_block *b, uint64_t pc);
void ir_exit_reg(struct ir_block *b, ir_val pc, uint32_t jump);
void ir_exit_ctx(struct ir_block *b, uint64_t pc);
void ir_exit_env(struct ir_block *b);
ir_val ir_call(struct ir_block *b, ir_val d, uint32_t helper, ir_val a, ir_val v, ir_val c);
ir_val ir_fp2(struct ir_block *b, enum ir_opcode op, ir_val d, ir_val a, ir_val v, uint32_t rm);
ir_val ir_fp1(struct ir_block *b, enum ir_opcode op, ir_val d, ir_val a, uint32_t rm);
ir_val ir_fma(struct ir_block *b, enum ir_opcode op, ir_val d, ir_val a, ir_val v, ir_val c, uint32_t rm,
	      uint32_t signs);
ir_val ir_fcmp(struct ir_block *b, enum ir_opcode op, ir_val d, enum ir_fcmp cmp, ir_val a, ir_val v);
ir_val ir_fcvt(struct ir_block *b, enum ir_opcode op, ir_val d, ir_val a, uint32_t rm, enum ir_cvt kind);

/* print.c: text of a block into buf, always terminated; returns the length it would have. */
size_t ir_print(const struct ir_block *b, char *buf, size_t buf_bytes);
size_t ir_print_op(const struct ir_block *b, const struct ir_op *op, char *buf, size_t buf_bytes);

/* verify.c: NULL when well formed, else what is wrong and *at the op. */
const char *ir_verify(const struct ir_block *b, uint32_t *at);

/* opt/: passes rewrite in place. */
void ir_optimise(struct ir_block *b);

#endif
