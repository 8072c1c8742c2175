/* SPDX-License-Identifier: MIT */
/* Every floating-point instruction over pairs (and triples) of boundary values, in all rounding modes: a hash of
 * results and one of flags each. */
#include "sig.h"

	begin
	.macro	gather
	slli	s6, s5, 5
	sub	s5, s6, s5
	add	s5, s5, a2
	csrrw	a3, fflags, zero
	slli	s6, s7, 5
	sub	s7, s6, s7
	add	s7, s7, a3
	.endm

	.macro	over	op, table, load, move, kind
	note	"\op"
	li	s8, 0
0:	csrw	frm, s8
	li	s5, 0
	li	s7, 0
	la	s0, \table
1:	la	s1, \table
2:	fld	fa0, 0(s0)
	fld	fa1, 0(s1)
	.if	\kind == 2
	\op	fa2, fa0, fa1
	.elseif	\kind == 1
	\op	fa2, fa0
	.elseif	\kind == 3
	fld	fa3, 8(s1)
	\op	fa2, fa0, fa1, fa3
	.endif
	\move	a2, fa2
	gather
	addi	s1, s1, 8
	la	t0, \table\()_end
	bne	s1, t0, 2b
	addi	s0, s0, 8
	bne	s0, t0, 1b
	sig	s5
	sig	s7
	addi	s8, s8, 1
	li	t0, 5
	bne	s8, t0, 0b
	csrw	frm, zero
	.endm

	.macro	to_int op, table, kind
	note	"\op"
	li	s8, 0
0:	csrw	frm, s8
	li	s5, 0
	li	s7, 0
	la	s0, \table
1:	la	s1, \table
2:	fld	fa0, 0(s0)
	fld	fa1, 0(s1)
	.if	\kind == 2
	\op	a2, fa0, fa1
	.else
	\op	a2, fa0
	.endif
	gather
	addi	s1, s1, 8
	la	t0, \table\()_end
	bne	s1, t0, 2b
	addi	s0, s0, 8
	bne	s0, t0, 1b
	sig	s5
	sig	s7
	addi	s8, s8, 1
	li	t0, 5
	bne	s8, t0, 0b
	csrw	frm, zero
	.endm

	.macro	from_int op
	note	"\op"
	li	s8, 0
0:	csrw	frm, s8
	li	s5, 0
	li	s7, 0
	la	s0, integers
1:	ld	a0, 0(s0)
	\op	fa2, a0
	fmv.x.d	a2, fa2
	gather
	addi	s0, s0, 8
	la	t0, integers_end
	bne	s0, t0, 1b
	sig	s5
	sig	s7
	addi	s8, s8, 1
	li	t0, 5
	bne	s8, t0, 0b
	csrw	frm, zero
	.endm

	csrw	fcsr, zero
	.irp	op, fadd.d, fsub.d, fmul.d, fdiv.d, fmin.d, fmax.d, fsgnj.d, fsgnjn.d, fsgnjx.d
	over	\op, doubles, fld, fmv.x.d, 2
	.endr
	.irp	op, fadd.s, fsub.s, fmul.s, fdiv.s, fmin.s, fmax.s, fsgnj.s, fsgnjn.s, fsgnjx.s
	over	\op, singles, fld, fmv.x.d, 2
	.endr
	over	fsqrt.d, doubles, fld, fmv.x.d, 1
	over	fsqrt.s, singles, fld, fmv.x.d, 1
	over	fcvt.s.d, doubles, fld, fmv.x.d, 1
	over	fcvt.d.s, singles, fld, fmv.x.d, 1
	.irp	op, fmadd.d, fmsub.d, fnmadd.d, fnmsub.d
	over	\op, doubles, fld, fmv.x.d, 3
	.endr
	.irp	op, fmadd.s, fmsub.s, fnmadd.s, fnmsub.s
	over	\op, singles, fld, fmv.x.d, 3
	.endr
	.irp	op, feq.d, flt.d, fle.d
	to_int	\op, doubles, 2
	.endr
	.irp	op, feq.s, flt.s, fle.s
	to_int	\op, singles, 2
	.endr
	.irp	op, fcvt.w.d, fcvt.wu.d, fcvt.l.d, fcvt.lu.d, fclass.d, fmv.x.d
	to_int	\op, doubles, 1
	.endr
	.irp	op, fcvt.w.s, fcvt.wu.s, fcvt.l.s, fcvt.lu.s, fclass.s, fmv.x.w
	to_int	\op, singles, 1
	.endr
	.irp	op, fcvt.d.w, fcvt.d.wu, fcvt.d.l, fcvt.d.lu, fcvt.s.w, fcvt.s.wu, fcvt.s.l, fcvt.s.lu, fmv.d.x, fmv.w.x
	from_int \op
	.endr

	/* reserved rounding modes, FS off, NaN of a load */
	li	t0, 5
	csrw	frm, t0
	fadd.d	fa0, fa1, fa2
	fadd.d	fa0, fa1, fa2, rne
	csrr	t0, fcsr
	sig	t0
	csrw	fcsr, zero
	.word	0x02c5d553                      /* fadd.d with the static mode 5 */
	li	t0, 0x6000
	csrc	mstatus, t0
	fadd.d	fa0, fa1, fa2
	csrr	t1, fflags
	fld	fa0, 0(s0)
	li	t1, 0x4000                      /* clean: one use makes it dirty */
	csrs	mstatus, t1
	csrr	t1, mstatus
	sig	t1
	fmv.d.x	fa0, zero
	csrr	t1, mstatus
	sig	t1
	finish
	.section .rodata
	.balign	8
doubles:
	.dword	0, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x4008000000000000, 0x3ff0000000000001
	.dword	0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 0xfff8000000000123
	.dword	1, 0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x3ca0000000000000, 0x41dfffffffe00000
	.dword	0x43e0000000000000, 0xc1e0000000200000, 0x3fdfffffffffffff, 0x3fe0000000000000, 0x36a0000000000001
	.dword	0x47efffffe0000000, 0x47effffff0000000, 0x380fffffffffffff, 0x41efffffffffffff, 0xbfefffffffffffff
doubles_end:
	.dword	0x3cb0000000000000
singles:
	.dword	0xffffffff00000000, 0xffffffff80000000, 0xffffffff3f800000, 0xffffffffbf800000, 0xffffffff40400000
	.dword	0xffffffff3f800001, 0xffffffff7f800000, 0xffffffffff800000, 0xffffffff7fc00000, 0xffffffff7f800001
	.dword	0xffffffffffc00123, 0xffffffff00000001, 0xffffffff807fffff, 0xffffffff00800000, 0xffffffff7f7fffff
	.dword	0xffffffff33800000, 0xffffffff4effffff, 0xffffffff4f000000, 0xffffffffcf000000, 0xffffffff5f000000
	.dword	0xffffffff5f800000, 0xffffffff3effffff, 0xffffffff3f000000, 0x000000003f800000, 0xfffffffe3f800000
	.dword	0xffffffff1f800000, 0xffffffff9f800001
singles_end:
	.dword	0xffffffff34000000
integers:
	.dword	0, 1, -1, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, 0x1000001
	.dword	0x20000000000001, 0x20000000000003, 0x1ffffff, 0xffffff8000000001, 0x7fffff8000000000, 0x123456789abcdef0
integers_end:
