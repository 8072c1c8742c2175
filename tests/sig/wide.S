/* SPDX-License-Identifier: MIT */
/*
 * Sv57; Svnapot and Svpbmt: leaves and pointers with every value of N and PBMT, the sixteen pages of 64 KiB, other
 * sizes. The program is identity-mapped for S.
 */
#include "sig.h"
#define PTE(pa) ((pa) >> 12 << 10)
#define WINDOW 0x40000000               /* 64 KiB here are tried */

	begin
	li	t0, 3 << 61                     /* PBMTE; A and D by hardware, where there is a choice */
	csrw	0x30a, t0
	/* five tables: top, upper, root (gigapages: devices, the program for S), middle, last */
	.macro	point table, next
	la	t0, \next
	srli	t0, t0, 2
	ori	t0, t0, 1
	la	t1, \table
	sd	t0, 0(t1)
	.endm
	point	top, upper
	point	upper, root
	la	t0, root
	li	t1, PTE(0) | 0xc7
	sd	t1, 0(t0)
	li	t1, PTE(0x80000000) | 0xcf
	sd	t1, 16(t0)
	la	t1, middle
	srli	t1, t1, 2
	ori	t1, t1, 1
	sd	t1, 8(t0)
	point	middle, last
	la	t0, top
	srli	t0, t0, 12
	li	t1, 10 << 60
	or	t0, t0, t1
	csrw	satp, t0
	csrr	t0, satp
	srli	t0, t0, 60
	sig	t0
	/* each page of the 64 KiB holds its number */
	la	t0, pages
	li	t1, 0
	li	t3, 4096
1:	sd	t1, 0(t0)
	add	t0, t0, t3
	addi	t1, t1, 1
	li	t2, 16
	bne	t1, t2, 1b

	/* a load and a store at s1 as S by MPRV; what is loaded, or the trap, is the signature */
	.macro	as_s
	li	t0, 0x1800
	csrc	mstatus, t0
	li	t0, 0x20800
	csrs	mstatus, t0
	.endm
	.macro	touch
	li	a1, -1
	as_s
	ld	a1, 0(s1)
	as_s
	sd	a1, 8(s1)
	li	t0, 0x20000
	csrc	mstatus, t0
	sig	a1
	.endm

	note	"canonical"
	la	s1, pages
	touch
	li	s1, 1 << 56
	touch
	li	s1, 1 << 63
	touch
	li	s1, -1 << 56
	touch
	note	"leaves"
	la	s2, pages
	srli	s2, s2, 2
	ori	s2, s2, 0xc7
	li	s3, 0
2:	slli	t0, s3, 61
	or	t0, t0, s2
	la	t1, last
	sd	t0, 0(t1)
	sfence.vma
	li	s1, WINDOW
	touch
	addi	s3, s3, 1
	li	t0, 3                           /* reserved: not every emulator looks */
	bne	s3, t0, 9f
	addi	s3, s3, 1
9:	li	t0, 8
	bne	s3, t0, 2b
	note	"pointers"
	la	t0, last
	sd	s2, 0(t0)
	la	s4, last
	srli	s4, s4, 2
	ori	s4, s4, 1
	li	s3, 0
3:	slli	t0, s3, 61
	or	t0, t0, s4
	la	t1, middle
	sd	t0, 0(t1)
	sfence.vma
	li	s1, WINDOW
	touch
	addi	s3, s3, 1
	li	t0, 8
	bne	s3, t0, 3b
	la	t1, middle
	sd	s4, 0(t1)
	note	"sizes"
	li	s3, 0
4:	slli	t0, s3, 10
	add	t0, t0, s2
	li	t1, 1 << 63
	or	t0, t0, t1
	la	t1, last
	sd	t0, 0(t1)
	sfence.vma
	li	s1, WINDOW
	touch
	addi	s3, s3, 1
	li	t0, 16
	bne	s3, t0, 4b
	note	"sixteen pages"
	la	t0, pages
	srli	t0, t0, 2
	li	t1, 1 << 63 | 8 << 10 | 0xc7
	add	t0, t0, t1
	la	t1, last
	li	t2, 16
5:	sd	t0, 0(t1)
	addi	t1, t1, 8
	addi	t2, t2, -1
	bnez	t2, 5b
	sfence.vma
	li	s1, WINDOW
	li	s3, 16
6:	touch
	li	t0, 4096
	add	s1, s1, t0
	addi	s3, s3, -1
	bnez	s3, 6b
	note	"one flush for all"
	la	t1, last
	li	t2, 16
7:	sd	zero, 0(t1)
	addi	t1, t1, 8
	addi	t2, t2, -1
	bnez	t2, 7b
	sfence.vma
	li	s1, WINDOW + 0x3000
	touch
	finish

	.section .bss
	.balign	65536
pages:	.space	65536
top:	.space	4096
upper:	.space	4096
root:	.space	4096
middle:	.space	4096
last:	.space	4096
