/* SPDX-License-Identifier: MIT */
/* Zicsr: set, clear and immediate forms, legalisation, privilege of CSRs and instructions, counters' gates. */
#include "sig.h"

	begin
	/* all ones and all zeros through the fields that every implementation has */
	.irp	reg, mscratch, sscratch, mtval, stval, frm, fflags, fcsr
	note	"\reg"
	csrr	s0, \reg
	li	t0, -1
	csrw	\reg, t0
	csrr	t1, \reg
	sig	t1
	csrrwi	t1, \reg, 21
	csrrci	t1, \reg, 5
	sig	t1
	csrrsi	t1, \reg, 8
	sig	t1
	csrr	t1, \reg
	sig	t1
	csrw	\reg, s0
	.endr
	.irp	reg, mepc, sepc                 /* bit 0 is not everywhere what it should be */
	note	"\reg"
	li	t0, -1
	csrw	\reg, t0
	csrr	t1, \reg
	andi	t1, t1, -2
	sig	t1
	csrwi	\reg, 20
	csrr	t1, \reg
	sig	t1
	.endr
	note	"mie, sie, mideleg"
	csrw	mideleg, zero
	li	t0, 0xaaa
	csrw	mie, t0
	csrr	t1, mie
	sig	t1
	csrr	t1, sie
	sig	t1
	li	t0, 0x222
	csrw	mideleg, t0
	csrr	t1, sie
	sig	t1
	csrw	sie, zero
	csrr	t1, mie
	sig	t1
	csrw	mie, zero
	li	t0, 0x222
	csrs	mip, t0
	csrr	t1, mip
	andi	t1, t1, 0x222                   /* the timer of the board may be pending */
	sig	t1
	csrw	sip, zero
	csrr	t1, mip
	andi	t1, t1, 0x222                   /* the timer of the board may be pending */
	sig	t1
	csrw	mip, zero
	note	"mstatus"
	li	t0, 0x7e19aa                    /* without FS; MPP is M */
	csrs	mstatus, t0
	csrr	t1, mstatus
	sig	t1
	csrr	t1, sstatus
	sig	t1
	csrc	sstatus, t0
	csrr	t1, mstatus
	sig	t1
	csrc	mstatus, t0
	note	"satp"
	li	t0, 5 << 60 | 77                /* no such mode: no effect */
	csrw	satp, t0
	csrr	t1, satp
	sig	t1
	note	"illegal"
	csrw	0xc01, zero                     /* read-only */
	csrw	mhartid, zero
	csrrs	t0, mhartid, zero
	li	t0, 1
	csrrs	t0, mvendorid, t0
	csrr	t0, 0x5c0                       /* no such register */
	csrw	0x5c0, zero
	csrr	t0, 0x3a1                       /* pmpcfg1 is of RV32 */
	note	"from S"
	in_mode	1, from_s
	note	"from U"
	in_mode	0, from_u
	note	"TVM, TW, TSR"
	li	t0, 0x700000
	csrs	mstatus, t0
	in_mode	1, trapped
	csrc	mstatus, t0
	li	t0, 0x700000
	csrc	mstatus, t0
	note	"counters off"
	csrw	mcounteren, zero
	in_mode	1, counters
	li	t0, 7
	csrw	mcounteren, t0
	csrw	scounteren, zero
	in_mode	0, counters
	in_mode	1, counters
	finish

	.balign	4
from_s:	csrr	t0, mscratch
	csrw	mepc, zero
	csrr	t0, sscratch
	mret
	ecall
from_u:	csrr	t0, sscratch
	csrw	sepc, zero
	csrr	t0, mstatus
	sret
	mret
	sfence.vma
	wfi
	csrr	t0, fcsr
	ecall
trapped:
	csrr	t0, satp
	csrw	satp, zero
	sfence.vma
	la	t0, 1f
	csrw	sepc, t0
	sret
1:	ecall
counters:
	csrr	t0, cycle
	csrr	t0, time
	csrr	t0, instret
	ecall
