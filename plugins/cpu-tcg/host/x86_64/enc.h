/* SPDX-License-Identifier: MIT */
/*
 * The x86-64 encoder: turns an opcode and operands into bytes, and knows nothing else. Writes through the
 * writable view; RIP-relative operands and branch targets are given as offsets in the code space, which are
 * the same in both views. The caller makes sure of room (X86_MAX_INSN bytes for each instruction).
 */
#ifndef TCG_X86_ENC_H
#define TCG_X86_ENC_H

#include <stdbool.h>
#include <stdint.h>

#define X86_MAX_INSN 16u

enum x86_reg {
	RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15,
	REG_NONE = 0xff,
};

enum x86_cc {
	CC_O,
	CC_NO,
	CC_B,
	CC_AE,
	CC_E,
	CC_NE,
	CC_BE,
	CC_A,
	CC_S,
	CC_NS,
	CC_P,
	CC_NP,
	CC_L,
	CC_GE,
	CC_LE,
	CC_G,
};

/* An opcode: byte, map (0: one byte, 1: 0F, 2: 0F38, 3: 0F3A), mandatory prefix (0, 1: 66, 2: F3, 3: F2). */
#define X86_OP(byte, map, pp) ((uint32_t)(byte) | (uint32_t)(map) << 8 | (uint32_t)(pp) << 10)
#define X86_W     (1u << 12)            /* 64-bit operands */
#define X86_BREG  (1u << 13)            /* the reg operand is a byte register */
#define X86_BRM   (1u << 14)            /* the r/m operand is a byte register */
#define X86_L     (1u << 15)            /* VEX: 256 bits */

/* Opcodes "reg <- reg op r/m" unless the name says otherwise. */
#define OP_ADD     X86_OP(0x03, 0, 0)
#define OP_OR      X86_OP(0x0b, 0, 0)
#define OP_AND     X86_OP(0x23, 0, 0)
#define OP_SUB     X86_OP(0x2b, 0, 0)
#define OP_XOR     X86_OP(0x33, 0, 0)
#define OP_CMP     X86_OP(0x3b, 0, 0)
#define OP_TO_RM   2u                   /* subtract from the six above: r/m <- r/m op reg */
#define OP_TEST    X86_OP(0x85, 0, 0)
#define OP_TEST8   (X86_OP(0x84, 0, 0) | X86_BREG | X86_BRM)
#define OP_MOV     X86_OP(0x8b, 0, 0)
#define OP_MOV_ST  X86_OP(0x89, 0, 0)
#define OP_MOV8_ST (X86_OP(0x88, 0, 0) | X86_BREG)
#define OP_MOV16_ST X86_OP(0x89, 0, 1)
#define OP_LEA     X86_OP(0x8d, 0, 0)
#define OP_MOVSXD  X86_OP(0x63, 0, 0)
#define OP_MOVSX8  (X86_OP(0xbe, 1, 0) | X86_BRM)
#define OP_MOVSX16 X86_OP(0xbf, 1, 0)
#define OP_MOVZX8  (X86_OP(0xb6, 1, 0) | X86_BRM)
#define OP_MOVZX16 X86_OP(0xb7, 1, 0)
#define OP_IMUL    X86_OP(0xaf, 1, 0)
#define OP_IMUL_I  X86_OP(0x69, 0, 0)   /* with a 32-bit immediate */
#define OP_GRP3    X86_OP(0xf7, 0, 0)   /* /2 not /3 neg /4 mul /5 imul /6 div /7 idiv */
#define OP_GRP5    X86_OP(0xff, 0, 0)   /* /2 call /4 jmp */
#define OP_SHIFT_CL X86_OP(0xd3, 0, 0)  /* /0 rol /1 ror /4 shl /5 shr /7 sar */
#define OP_BSF     X86_OP(0xbc, 1, 0)
#define OP_BSR     X86_OP(0xbd, 1, 0)
#define OP_LZCNT   X86_OP(0xbd, 1, 2)
#define OP_TZCNT   X86_OP(0xbc, 1, 2)
#define OP_POPCNT  X86_OP(0xb8, 1, 2)
#define OP_CMOV(cc) X86_OP(0x40 + (cc), 1, 0)
#define OP_SETCC(cc) (X86_OP(0x90 + (cc), 1, 0) | X86_BRM)
#define OP_LDMXCSR X86_OP(0xae, 1, 0)   /* /2 ldmxcsr /3 stmxcsr */
#define OP_XADD    X86_OP(0xc1, 1, 0)
#define OP_CMPXCHG X86_OP(0xb1, 1, 0)
#define OP_XCHG    X86_OP(0x87, 0, 0)
#define EXT_NOT 2
#define EXT_NEG 3
#define EXT_MUL 4
#define EXT_IMUL 5
#define EXT_DIV 6
#define EXT_IDIV 7
#define EXT_ROL 0
#define EXT_ROR 1
#define EXT_SHL 4
#define EXT_SHR 5
#define EXT_SAR 7
/* VEX, general registers */
#define OP_ANDN    X86_OP(0xf2, 2, 0)
#define OP_SHLX    X86_OP(0xf7, 2, 1)
#define OP_SARX    X86_OP(0xf7, 2, 2)
#define OP_SHRX    X86_OP(0xf7, 2, 3)
#define OP_RORX    X86_OP(0xf0, 3, 3)
/* SSE and VEX, xmm registers. The same numbers serve both encodings. */
#define OP_MOVAPS  X86_OP(0x28, 1, 0)
#define OP_MOVAPS_ST X86_OP(0x29, 1, 0)
#define OP_MOVSS   X86_OP(0x10, 1, 2)
#define OP_MOVSD   X86_OP(0x10, 1, 3)
#define OP_MOVSS_ST X86_OP(0x11, 1, 2)
#define OP_MOVSD_ST X86_OP(0x11, 1, 3)
#define OP_MOVQ_LD X86_OP(0x7e, 1, 2)   /* xmm <- xmm/m64, upper half zero */
#define OP_MOVD_X  X86_OP(0x6e, 1, 1)   /* xmm <- r/m */
#define OP_MOVD_R  X86_OP(0x7e, 1, 1)   /* r/m <- xmm (in reg) */
#define OP_UCOMI(dbl) X86_OP(0x2e, 1, (dbl) ? 1 : 0)
#define OP_COMI(dbl)  X86_OP(0x2f, 1, (dbl) ? 1 : 0)
#define OP_FP(byte, dbl) X86_OP(byte, 1, (dbl) ? 3 : 2)
#define FP_SQRT 0x51
#define FP_ADD  0x58
#define FP_MUL  0x59
#define FP_CVT  0x5a
#define FP_SUB  0x5c
#define FP_MIN  0x5d
#define FP_DIV  0x5e
#define FP_MAX  0x5f
#define FP_CVTSI 0x2a
#define FP_CVTTSI 0x2c
#define FP_CVTSI_R 0x2d
#define OP_ANDPS   X86_OP(0x54, 1, 0)
#define OP_ORPS    X86_OP(0x56, 1, 0)
#define OP_XORPS   X86_OP(0x57, 1, 0)
#define OP_PCMPEQB X86_OP(0x74, 1, 1)
#define OP_PXOR    X86_OP(0xef, 1, 1)
#define OP_PEXTRD  X86_OP(0x16, 3, 1)   /* r/m <- xmm (in reg), imm8 */
#define OP_ROUND(dbl) X86_OP((dbl) ? 0x0b : 0x0a, 3, 1)
/* FMA3, scalar: add ..213 (a = b*a + c): opcode by sign; W selects double */
#define OP_FMA_231(neg_product, neg_addend) X86_OP(0xb9 + 4 * (neg_product) + 2 * (neg_addend), 2, 1)
#define OP_FMA_213(neg_product, neg_addend) X86_OP(0xa9 + 4 * (neg_product) + 2 * (neg_addend), 2, 1)

/* Where code goes. */
struct x86_enc {
	uint8_t *p;                     /* next byte, writable view */
	uint8_t *start;                 /* of the code space, writable view: offset 0 */
	uint32_t count;                 /* instructions so far */
};

/* The r/m operand. */
enum x86_rm_kind { RM_REG, RM_MEM, RM_RIP };
struct x86_rm {
	uint8_t kind;
	uint8_t base;                   /* the register, for RM_REG too; REG_NONE: none */
	uint8_t index;                  /* REG_NONE: none */
	uint8_t scale;                  /* log2 */
	int32_t disp;                   /* RM_RIP: offset in the code space */
};

static inline struct x86_rm x86_reg(uint8_t reg)
{
	return (struct x86_rm){ RM_REG, reg, REG_NONE, 0, 0 };
}

static inline struct x86_rm x86_mem(uint8_t base, int32_t disp)
{
	return (struct x86_rm){ RM_MEM, base, REG_NONE, 0, disp };
}

static inline struct x86_rm x86_mem_index(uint8_t base, uint8_t index, uint8_t scale, int32_t disp)
{
	return (struct x86_rm){ RM_MEM, base, index, scale, disp };
}

static inline struct x86_rm x86_rip(uint32_t offset)
{
	return (struct x86_rm){ RM_RIP, REG_NONE, REG_NONE, 0, (int32_t)offset };
}

static inline uint32_t x86_at(const struct x86_enc *e)
{
	return (uint32_t)(e->p - e->start);
}

/* op reg, rm and the same with an immediate byte or dword after it. reg may be an opcode extension. */
void x86_op(struct x86_enc *e, uint32_t op, uint8_t reg, struct x86_rm rm);
void x86_op_i8(struct x86_enc *e, uint32_t op, uint8_t reg, struct x86_rm rm, uint8_t imm);
void x86_op_i32(struct x86_enc *e, uint32_t op, uint8_t reg, struct x86_rm rm, int32_t imm);
/* VEX form; v is the additional source */
void x86_vex(struct x86_enc *e, uint32_t op, uint8_t reg, uint8_t v, struct x86_rm rm);
void x86_vex_i8(struct x86_enc *e, uint32_t op, uint8_t reg, uint8_t v, struct x86_rm rm, uint8_t imm);

/* add or and sub xor cmp (by OP_*) rm, imm in its shortest form; op carries X86_W */
void x86_alu_imm(struct x86_enc *e, uint32_t op, struct x86_rm rm, int32_t imm);
/* shift or rotate (EXT_*) by a constant; w = X86_W or 0 */
void x86_shift_imm(struct x86_enc *e, uint32_t w, uint8_t ext, struct x86_rm rm, uint8_t count);
/* reg = imm; keeps the flags */
void x86_mov_imm(struct x86_enc *e, uint8_t reg, int64_t imm);
void x86_mov_rr(struct x86_enc *e, uint8_t d, uint8_t s);
void x86_push(struct x86_enc *e, uint8_t reg);
void x86_pop(struct x86_enc *e, uint8_t reg);
void x86_ret(struct x86_enc *e);
void x86_bytes(struct x86_enc *e, const void *bytes, uint32_t count);

/* Branches to an offset in the code space; the short result is the offset of the 32-bit displacement. */
uint32_t x86_jmp(struct x86_enc *e, uint32_t target);
uint32_t x86_jcc(struct x86_enc *e, enum x86_cc cc, uint32_t target);
uint32_t x86_call(struct x86_enc *e, uint32_t target);
/* Branches to be bound later; bind makes the one at `site` go to here. */
void x86_bind(struct x86_enc *e, uint32_t site, uint32_t target);
/* One no-op of 1..8 bytes. */
void x86_nop(struct x86_enc *e, uint32_t bytes);

#endif
