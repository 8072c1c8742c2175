/* SPDX-License-Identifier: MIT */
/*
 * Instruction words to instructions and back, all from rv.def and rvc.def. Pure functions over constant
 * tables; the index over them is built once by rv_decode_init, before any other call. Any thread.
 */
#ifndef RV_DECODE_H
#define RV_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rv_op {
#define RV(id, name, format, match, mask, ext, handler, arg) RV_##id,
#include "rv.def"
#undef RV
	RV_OPS
};

enum rv_format {
#define RV_FORMAT(id, imm, operands) RV_FORMAT_##id,
#include "formats.def"
#undef RV_FORMAT
};

enum rv_imm { RV_IMM_NONE, RV_IMM_I, RV_IMM_S, RV_IMM_B, RV_IMM_U, RV_IMM_J, RV_IMM_SH6, RV_IMM_SH5,
	     RV_IMM_CSR,
	      RV_IMM_FENCE, RV_IMM_AQRL };

struct rv_entry {
	const char *name;
	uint32_t match, mask;
	uint8_t format, ext;
};
extern const struct rv_entry rv_entries[RV_OPS];

enum rvc_op {
#define RVC(id, name, match, mask, rd, rs1, rs2, imm, base, ext, reserved) RVC_##id,
#include "rvc.def"
#undef RVC
	RVC_OPS
};

struct rv_insn {
	uint32_t raw;           /* as fetched; the low half only when compressed */
	uint8_t op;             /* enum rv_op; of a compressed one, what it stands for */
	uint8_t compressed;     /* 0, or 1 + enum rvc_op */
	uint8_t len_bytes;      /* 2 or 4 */
	uint8_t rd, rs1, rs2, rs3, rm;
	int64_t imm;            /* sign-extended; CSR: number; FENCE: fm, pred, succ; AQRL: aq * 2 + rl */
};

void rv_decode_init(void);
/* false: not an instruction of a machine with these extensions (illegal). `raw` & 3 says its length. */
bool rv_decode(uint32_t raw, uint64_t exts, struct rv_insn *out);
/* The word: compressed when insn->compressed says so. Bits that the format ignores are 0. */
uint32_t rv_encode(const struct rv_insn *insn);
/* The bits that the instruction's format gives a meaning: opcode and operands. */
uint32_t rv_meaning_mask(uint32_t op);
/* "addi a0,a0,1". Always terminated; returns the length. */
size_t rv_disassemble(const struct rv_insn *insn, uint64_t pc, char *buf, size_t buf_bytes);
const char *rv_mnemonic(const struct rv_insn *insn);

extern const char *const rv_xreg_names[32];
extern const char *const rv_freg_names[32];

/* rvc.c: 16-bit forms */
bool rvc_decode(uint32_t raw, uint64_t exts, struct rv_insn *out);
uint32_t rvc_encode(const struct rv_insn *insn);
const char *rvc_name(uint32_t rvc_op);

#endif
