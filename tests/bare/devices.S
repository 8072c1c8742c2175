/* SPDX-License-Identifier: MIT */
/*
 * A machine-mode program of its own: prints by the serial port, finds the device tree in a1, takes a timer and an external
 * interrupt by polling mip, and ends with exit code 42. Any other hart sleeps. A failure ends with the number of its step.
 */
#define UART   0x10000000
#define CLINT  0x02000000
#define PLIC   0x0c000000
#define FINISH 0x00100000
#define UART_SOURCE 10

	.globl _start
_start:	csrr	t0, mhartid
	bnez	t0, sleep
	li	s0, UART
	la	t1, text
1:	lbu	t2, 0(t1)
	beqz	t2, 2f
	sb	t2, 0(s0)
	addi	t1, t1, 1
	j	1b

	/* 1: the magic of the device tree, big-endian */
2:	li	a0, 1
	lwu	t3, 0(a1)
	li	t4, 0xedfe0dd0
	bne	t3, t4, fail

	/* 2: mtip is off, and comes on 1000 ticks from now */
	li	a0, 2
	li	t5, CLINT
	li	t6, CLINT + 0x4000
	li	t0, CLINT + 0xbff8
	li	t1, -1
	sd	t1, 0(t6)
	csrr	t2, mip
	andi	t2, t2, 0x80
	bnez	t2, fail
	ld	t1, 0(t0)
	addi	t1, t1, 1000
	sd	t1, 0(t6)
3:	csrr	t2, mip
	andi	t2, t2, 0x80
	beqz	t2, 3b
	ld	t2, 0(t0)
	bltu	t2, t1, fail

	/* 3: msip follows its register */
	li	a0, 3
	li	t1, 1
	sw	t1, 0(t5)
	csrr	t2, mip
	andi	t2, t2, 8
	beqz	t2, fail
	sw	zero, 0(t5)

	/* 4: the serial port's transmit interrupt goes through the PLIC's context 0 */
	li	a0, 4
	li	t5, PLIC
	li	t1, 1
	sw	t1, 4 * UART_SOURCE(t5)
	li	t6, PLIC + 0x2000
	li	t1, 1 << UART_SOURCE
	sw	t1, 0(t6)
	li	t1, 2
	sb	t1, 1(s0)
	csrr	t2, mip
	srli	t2, t2, 11
	andi	t2, t2, 1
	beqz	t2, fail
	li	t6, PLIC + 0x200004
	lw	t1, 0(t6)
	li	t2, UART_SOURCE
	bne	t1, t2, fail
	lbu	t2, 2(s0)
	sw	t1, 0(t6)
	csrr	t2, mip
	srli	t2, t2, 11
	andi	t2, t2, 1
	bnez	t2, fail
	li	a0, 42

fail:	slli	a0, a0, 16
	li	t1, 0x3333
	or	a0, a0, t1
	li	t0, FINISH
	sw	a0, 0(t0)
sleep:	wfi
	j	sleep
text:	.asciz	"devices: hello\n"
