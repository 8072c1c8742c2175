/* SPDX-License-Identifier: MIT */
/* The meaning of the IR's integer ops on constants: for the interpreter and for constant folding. */
#ifndef TCG_ALU_H
#define TCG_ALU_H

#include <stdbool.h>
#include <stdint.h>

/* Sign- or zero-extends the low bytes of `value` as a mem field says. */
uint64_t alu_extend(uint64_t value, uint32_t mem);
bool alu_cond(uint32_t cond, uint64_t a, uint64_t b);
/* Any IRF_C op with operands a and b only (and imm for addshl). */
uint64_t alu_op(uint32_t opcode, uint64_t a, uint64_t b, uint64_t imm);

#endif
