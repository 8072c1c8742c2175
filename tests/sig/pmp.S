/* SPDX-License-Identifier: MIT */
/* Physical memory protection: kinds of entries, priority, partial matches, locks, from S and from M. */
#include "sig.h"

	begin
	la	s0, data
	li	t0, -1
	csrw	pmpaddr8, t0                    /* the rest is open */
	li	t0, 0x1f
	csrw	pmpcfg2, t0
	csrw	pmpcfg0, zero
	csrw	pmpaddr0, zero
	note	"napot, all rights in turn"
	srli	t0, s0, 2
	ori	t0, t0, 0x1ff                   /* 4 KiB */
	csrw	pmpaddr1, t0
	li	s1, 0x18
1:	andi	t1, s1, 3                       /* W without R is reserved */
	li	t2, 2
	beq	t1, t2, 2f
	slli	t0, s1, 8
	csrw	pmpcfg0, t0
	sig	s1
	in_mode	1, touch
2:	addi	s1, s1, 1
	li	t0, 0x20
	bne	s1, t0, 1b
	note	"na4: a wide access matches in part"
	srli	t0, s0, 2
	addi	t0, t0, 1
	csrw	pmpaddr1, t0
	li	t0, 0x17 << 8
	csrw	pmpcfg0, t0
	in_mode	1, touch
	note	"top of range"
	srli	t0, s0, 2
	addi	t0, t0, 2
	csrw	pmpaddr1, t0
	addi	t0, t0, 8
	csrw	pmpaddr2, t0
	li	t0, 0x08 << 16
	csrw	pmpcfg0, t0
	in_mode	1, touch
	note	"an earlier entry opens a part"
	srli	t0, s0, 2
	addi	t0, t0, 4
	csrw	pmpaddr0, t0
	li	t0, 0x08 << 16 | 0x13
	csrw	pmpcfg0, t0
	in_mode	1, touch
	note	"M is bound by a lock only"
	srli	t0, s0, 2
	ori	t0, t0, 0x1ff
	csrw	pmpaddr0, t0
	li	t0, 0x18
	csrw	pmpcfg0, t0
	ld	a0, 0(s0)
	sig	a0
	li	t0, 0x98
	csrw	pmpcfg0, t0
	ld	a0, 0(s0)
	sd	a0, 0(s0)
	csrw	pmpcfg0, zero
	csrw	pmpaddr0, zero
	csrr	t0, pmpaddr0
	sub	t0, t0, s0
	csrr	t0, pmpcfg0
	sig	t0
	ld	a0, 0(s0)
	finish

	.balign	4
touch:	la	s0, data
	ld	a0, 0(s0)
	lw	a0, 4(s0)
	sw	a0, 8(s0)
	sd	a0, 16(s0)
	ld	a0, 40(s0)
	lw	a0, 36(s0)
	addi	t0, s0, 0x100
	jr	t0
	.section .data
	.balign	4096
data:	.space	256
	ecall
	.space	3836
