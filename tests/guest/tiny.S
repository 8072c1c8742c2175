/* SPDX-License-Identifier: MIT */
/*
 * Bare-metal programs of about ten instructions, in machine mode from the first address of RAM:
 *   default   ends the machine through the finisher
 *   FAIL=N    ends it with the failure code N
 *   SPIN      never ends, in one block that jumps to itself
 *   SPIN_FAR  never ends, with interrupts off, over blocks that call each other
 * Harts other than the first wait.
 */
	.globl	_start
_start:
	csrr	a3, mhartid
	bnez	a3, park
#if defined SPIN
forever:
	j	forever
#elif defined SPIN_FAR
	csrw	mie, zero
again:
	jal	ra, away
	addi	a0, a0, 1
	j	again
away:
	xor	a1, a1, a0
	ret
#else
	li	a0, 100
count:
	addi	a0, a0, -1
	bnez	a0, count
	li	a1, FINISHER
#ifdef FAIL
	li	a2, (FAIL << 16) | 0x3333
#else
	li	a2, 0x5555
#endif
	sw	a2, 0(a1)
#endif
park:
	wfi
	j	park
