/* SPDX-License-Identifier: MIT */
/* Every integer instruction of two operands, over all pairs of boundary values: a hash each. */
#include "sig.h"

	begin
	.macro	pairs op
	note	"\op"
	la	s0, values
	li	s5, 0
1:	la	s1, values
2:	ld	a0, 0(s0)
	ld	a1, 0(s1)
	\op	a2, a0, a1
	slli	s6, s5, 5
	sub	s5, s6, s5
	add	s5, s5, a2
	\op	a1, a0, a1                      /* the destination is a source */
	xor	s5, s5, a1
	addi	s1, s1, 8
	la	t0, values_end
	bne	s1, t0, 2b
	addi	s0, s0, 8
	bne	s0, t0, 1b
	sig	s5
	.endm

	.macro	singles op, args:vararg
	note	"\op"
	la	s0, values
	li	s5, 0
1:	ld	a0, 0(s0)
	\op	a2, a0 \args
	slli	s6, s5, 5
	sub	s5, s6, s5
	add	s5, s5, a2
	addi	s0, s0, 8
	la	t0, values_end
	bne	s0, t0, 1b
	sig	s5
	.endm

	.irp	op, add, sub, sll, slt, sltu, xor, srl, sra, or, and, addw, subw, sllw, srlw, sraw
	pairs	\op
	.endr
	.irp	op, mul, mulh, mulhsu, mulhu, div, divu, rem, remu, mulw, divw, divuw, remw, remuw
	pairs	\op
	.endr
	.irp	op, sh1add, sh2add, sh3add, sh1add.uw, sh2add.uw, sh3add.uw, add.uw, andn, orn, xnor, min, minu, max, maxu
	pairs	\op
	.endr
	.irp	op, rol, ror, rolw, rorw, bclr, bset, binv, bext
	pairs	\op
	.endr
	.irp	op, clz, ctz, cpop, clzw, cpopw, sext.b, sext.h, zext.h, orc.b, rev8
	singles	\op
	.endr
	/* one emulator of wide use gets ctzw of a zero word wrong: bit 31 is set */
	.macro	ctzw_of_nonzero rd, rs
	bseti	\rd, \rs, 31
	ctzw	\rd, \rd
	.endm
	singles	ctzw_of_nonzero
	.irp	n, 0, 1, 31, 32, 63
	singles	slli, ,\n
	singles	srli, ,\n
	singles	srai, ,\n
	singles	rori, ,\n
	singles	slli.uw, ,\n
	singles	bexti, ,\n
	.endr
	.irp	n, 0, 1, 31
	singles	slliw, ,\n
	singles	srliw, ,\n
	singles	sraiw, ,\n
	singles	roriw, ,\n
	.endr
	.irp	n, -2048, -1, 0, 1, 2047
	singles	addi, ,\n
	singles	addiw, ,\n
	singles	slti, ,\n
	singles	sltiu, ,\n
	singles	xori, ,\n
	singles	ori, ,\n
	singles	andi, ,\n
	.endr
	finish
	.section .rodata
	.balign	8
values:
	.dword	0, 1, 2, 3, 7, 31, 32, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000
	.dword	0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000001
	.dword	0xffffffff7fffffff, 0xffffffff80000000, -2, -1, 0x0102030405060708, 0x00ff00ff00ff00ff
values_end:
