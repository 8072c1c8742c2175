/* SPDX-License-Identifier: MIT */
/*
 * Sv39 and Sv48: the rights of a leaf for U, S and S with SUM, with and without MXR, at each level; A and D bits;
 * malformed entries; stale translations after sfence.vma. The program is identity-mapped for S, twice.
 */
#include "sig.h"
#define PTE(pa) ((pa) >> 12 << 10)
#define WINDOW 0x40000000               /* one page here is tried */

	begin
	li	t0, 1 << 61                     /* A and D by hardware, where there is a choice */
	csrw	0x30a, t0
	la	t0, root                        /* gigapages: devices, the program for S */
	li	t1, PTE(0) | 0xc7
	sd	t1, 0(t0)
	li	t1, PTE(0x80000000) | 0xcf
	sd	t1, 16(t0)
	la	t1, middle
	srli	t1, t1, 2
	ori	t1, t1, 1
	sd	t1, 8(t0)
	la	t1, last
	srli	t1, t1, 2
	ori	t1, t1, 1
	la	t0, middle
	sd	t1, 0(t0)
	la	t0, root
	srli	t0, t0, 12
	li	t1, 8 << 60
	or	t0, t0, t1
	csrw	satp, t0
	/* what the page holds */
	la	a0, page
	li	t0, 0x0010029300000073          /* ecall, li t0, 1 */
	sd	t0, 0(a0)

	.macro	try mode, status
	note	"mode and status \mode \status"
	li	s0, 0                           /* the bits of the leaf */
1:	la	t0, page
	srli	t0, t0, 2
	or	t0, t0, s0
	la	t1, last
	sd	t0, 0(t1)
	sfence.vma
	li	t0, 0xe0000                     /* MPRV, SUM, MXR off */
	csrc	mstatus, t0
	li	t0, \status
	csrs	mstatus, t0
	sig	s0
	li	s1, WINDOW
	jal	probe_\mode
	la	t1, last
	ld	t0, 0(t1)
	andi	t0, t0, 0xff
	sig	t0
	addi	s0, s0, 1
	li	t0, 256
	bne	s0, t0, 1b
	.endm

	try	1, 0
	try	1, 0x40000
	try	1, 0x80000
	try	0, 0
	try	0, 0x80000

	note	"superpages"
	la	t0, page
	srli	t0, t0, 2
	ori	t0, t0, 0xcf
	la	t1, middle
	sd	t0, 0(t1)                       /* misaligned */
	sfence.vma
	li	s1, WINDOW
	jal	probe_1
	li	t0, PTE(0x80000000) | 0xcf
	la	t1, middle
	sd	t0, 0(t1)
	sfence.vma
	la	s1, page
	li	t0, 0x40000000
	sub	s1, s1, t0
	jal	probe_1
	note	"one page of many is changed"
	la	t1, last
	srli	t0, t1, 2
	ori	t0, t0, 1
	la	t2, middle
	sd	t0, 0(t2)
	la	t0, page
	srli	t0, t0, 2
	ori	t0, t0, 0xc7
	sd	t0, 0(t1)
	li	s1, WINDOW
	sfence.vma s1, zero
	jal	probe_1
	la	t1, last
	sd	zero, 0(t1)
	sfence.vma s1, zero
	jal	probe_1
	note	"addresses that are not canonical"
	li	s1, 1 << 39
	jal	probe_1
	li	s1, 1 << 63
	jal	probe_1
	note	"Sv48"
	la	t0, root
	srli	t0, t0, 2
	ori	t0, t0, 1
	la	t1, top
	sd	t0, 0(t1)
	srli	t1, t1, 12
	li	t0, 9 << 60
	or	t0, t0, t1
	csrw	satp, t0
	sfence.vma
	la	s1, page
	jal	probe_1
	li	s1, 1 << 39
	jal	probe_1
	li	s1, 1 << 47
	jal	probe_1
	finish

	/* load, store and fetch at s1 with the rights of a mode: by MPRV, and by going there */
	.macro	probe mode
	.balign	4
probe_\mode:
	mv	s8, ra
	li	t0, 0x1800
	csrc	mstatus, t0
	li	t0, 0x20000 | \mode << 11
	li	a1, 0x55
	li	a2, 0x66
	csrs	mstatus, t0
	ld	a1, 0(s1)
	li	t0, 0x20000
	csrc	mstatus, t0
	sig	a1
	li	t0, 0x1800
	csrc	mstatus, t0
	li	t0, 0x20000 | \mode << 11
	csrs	mstatus, t0
	sb	a2, 16(s1)
	li	t0, 0x20000
	csrc	mstatus, t0
	la	s11, 97f
	li	t0, 0x1800
	csrc	mstatus, t0
	li	t0, \mode << 11
	csrs	mstatus, t0
	csrw	mepc, s1
	mret
97:	jr	s8
	.endm
	probe	0
	probe	1
	.section .bss
	.balign	4096
root:	.space	4096
middle:	.space	4096
last:	.space	4096
top:	.space	4096
page:	.space	4096
