/* SPDX-License-Identifier: MIT */
/* Exceptions and interrupts: causes, values, delegation to S-mode, vectors, priorities; atomics that fault. */
#include "sig.h"

	begin
	note	"machine"
	la	s11, 1f
	ebreak
	c.ebreak
1:	.word	0
	.half	0, 0
	.word	0xffffffff
	.word	0x0000705b
	li	a0, 0x80000002                  /* misaligned atomics */
	lr.w	a1, (a0)
	li	a0, 8                           /* nothing is there */
	ld	a1, 0(a0)
	sd	a1, 0(a0)
	lr.d	a1, (a0)
	la	s11, 2f
	li	a0, 0x40
	jr	a0
2:	note	"misaligned loads and stores"
	la	a0, data
	addi	a0, a0, 5
	li	a1, 0x1122334455667788
	sd	a1, 0(a0)
	ld	a2, 0(a0)
	sig	a2
	lw	a2, 1(a0)
	sig	a2
	lhu	a2, 2(a0)
	sig	a2
	note	"reservations"
	la	a0, data
	sc.d	a1, a2, (a0)
	sig	a1
	lr.d	a2, (a0)
	sig	a2
	sc.d	a1, a0, (a0)
	sig	a1
	sc.d	a1, a0, (a0)
	sig	a1
	note	"from S and U"
	in_mode	1, program
	in_mode	0, program
	note	"delegated"
	la	t0, handler_s
	csrw	stvec, t0
	li	t0, 0xb1ff
	csrw	medeleg, t0
	in_mode	0, program_short
	in_mode	1, program_short
	csrw	medeleg, zero
	note	"interrupts of M"
	csrw	mideleg, zero
	li	t0, 0x2
	csrw	mie, t0
	csrsi	mip, 2
	note	"enabled"
	csrsi	mstatus, 8
	nop
	csrci	mstatus, 8
	csrwi	mip, 0
	.irp	bit, 0x2, 0x20, 0x200
	li	t0, \bit
	csrw	mie, t0
	csrw	mip, t0
	csrsi	mstatus, 8
	nop
	csrci	mstatus, 8
	csrw	mip, zero
	.endr
	note	"of S, vectored"
	li	t0, 0x222
	csrw	mideleg, t0
	la	t0, vectors
	ori	t0, t0, 1
	csrw	stvec, t0
	.irp	bit, 0x2, 0x20, 0x200
	.irp	mode, 0, 1
	li	t0, \bit
	csrw	mie, t0
	csrw	mip, t0
	csrsi	sstatus, 2
	in_mode	\mode, idle
	csrw	mip, zero
	.endr
	.endr
	note	"wfi goes on when something is pending"
	csrsi	mie, 2
	csrsi	mip, 2
	csrci	mstatus, 8
	wfi
	csrr	t0, mip
	andi	t0, t0, 0x222
	sig	t0
	finish

	.balign	4
program:
	ebreak
	.word	0
	ld	a1, 0(zero)
	.word	0x12000073                      /* sfence.vma: illegal in U */
	ecall
	.option	push
	.option	norvc                           /* the handler of S steps over 4 bytes */
	.balign	4
program_short:
	ebreak
	.word	0
	ecall
	.option	pop
idle:	nop
	j	idle

	/* S-mode: says what came, goes on behind it; interrupts end the run by an ecall */
	.balign	4
handler_s:
	csrr	t0, scause
	sig	t0
	addi	t0, t0, -3
	beqz	t0, 2f
	csrr	t0, stval
	sig	t0
2:	csrr	t0, sepc
	la	t1, _start
	sub	t1, t0, t1
	sig	t1
	csrr	t1, sstatus
	andi	t1, t1, 0x122
	sig	t1
	csrr	t1, scause
	li	t2, 8
	beq	t1, t2, 1f
	addi	t0, t0, 4
	csrw	sepc, t0
	sret
1:	ecall
	.balign	64
	.option	push
	.option	norvc
vectors:
	j	bad
	j	took_1
	j	bad
	j	bad
	j	bad
	j	took_5
	j	bad
	j	bad
	j	bad
	j	took_9
	.option	pop
bad:	li	a5, 0xbad
	j	took
took_1:	li	a5, 1
	j	took
took_5:	li	a5, 5
	j	took
took_9:	li	a5, 9
took:	csrw	sie, zero
	note	"vector"
	sig	a5
	csrr	t0, scause
	sig	t0
	csrr	t0, sstatus
	andi	t0, t0, 0x122
	sig	t0
	ecall
	.data
	.balign	64
data:	.dword	0x0102030405060708, 0, 0, 0
