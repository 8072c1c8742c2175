/* SPDX-License-Identifier: MIT */
/*
 * Frame of a signature program: machine mode, from the first address of RAM, no stack frames. The program stands
 * between `begin` and `finish`; `sig reg` prints a register in hex, `note "text"` a text. A trap prints mcause,
 * mtval, mepc as an offset into the program, and the mode it came from, and goes on behind the instruction. From
 * a fetch that faulted and from an ecall of S or U it goes on at s11 in M-mode.
 * Registers: s9, s10, tp belong to the frame, s11 is the address to come back to, t0..t6, a0..a7 live over traps.
 */
#define UART     0x10000000
#define FINISHER 0x00100000

	.macro	begin
	.option	norelax
	.globl	_start
_start:
	csrr	t0, mhartid
	bnez	t0, park
	la	sp, stack_top
	la	t0, trap
	csrw	mtvec, t0
	li	t0, 0x6000                      /* FS dirty */
	csrs	mstatus, t0
	li	t0, -1                          /* all of memory is open to S and U */
	csrw	pmpaddr0, t0
	li	t0, 0x1f
	csrw	pmpcfg0, t0
	.endm

	.macro	sig reg
	mv	s10, \reg
	jal	s9, print_hex
	.endm

	.macro	note text
	.pushsection .rodata
99:	.asciz	"\text"
	.popsection
	la	s10, 99b
	jal	s9, print_text
	.endm

	/* Runs code at \label in mode \mpp (0 U, 1 S); comes back behind the macro by ecall or a fetch fault. */
	.macro	in_mode mpp, label
	la	s11, 98f
	li	t0, 0x1800
	csrc	mstatus, t0
	li	t0, \mpp << 11
	csrs	mstatus, t0
	la	t0, \label
	csrw	mepc, t0
	mret
98:
	.endm

	/* THRE; t0 is the UART. The chip loses a byte that is written before it has sent the last one. */
	.macro	when_empty scratch
97:	lbu	\scratch, 5(t0)
	andi	\scratch, \scratch, 0x20
	beqz	\scratch, 97b
	.endm

	.macro	finish
	li	t0, FINISHER
	li	t1, 0x5555
	sw	t1, 0(t0)
park:	wfi
	j	park

	/* s10 in 16 digits and a newline */
print_hex:
	mv	tp, t0
	addi	sp, sp, -32
	sd	t1, 0(sp)
	sd	t2, 8(sp)
	sd	t3, 16(sp)
	li	t0, UART
	li	t1, 60
1:	srl	t2, s10, t1
	andi	t2, t2, 15
	li	t3, 10
	blt	t2, t3, 2f
	addi	t2, t2, 39
2:	addi	t2, t2, 48
	when_empty t3
	sb	t2, 0(t0)
	addi	t1, t1, -4
	bgez	t1, 1b
	li	t2, 10
	when_empty t3
	sb	t2, 0(t0)
	ld	t1, 0(sp)
	ld	t2, 8(sp)
	ld	t3, 16(sp)
	addi	sp, sp, 32
	mv	t0, tp
	jr	s9

print_text:
	mv	tp, t0
	addi	sp, sp, -16
	sd	t1, 0(sp)
	sd	t2, 8(sp)
	li	t0, UART
1:	lbu	t1, 0(s10)
	beqz	t1, 2f
	when_empty t2
	sb	t1, 0(t0)
	addi	s10, s10, 1
	j	1b
2:	li	t1, 10
	when_empty t2
	sb	t1, 0(t0)
	ld	t1, 0(sp)
	ld	t2, 8(sp)
	addi	sp, sp, 16
	mv	t0, tp
	jr	s9

	.balign	4
trap:
	addi	sp, sp, -32
	sd	t0, 0(sp)
	sd	t1, 8(sp)
	sd	s9, 16(sp)
	sd	s10, 24(sp)
	note	"trap"
	csrr	t0, mcause
	sig	t0
	addi	t0, t0, -3                      /* of a breakpoint mtval may be 0 or the address */
	beqz	t0, 5f
	csrr	t1, mtval
	sig	t1
5:	csrr	t1, mepc
	la	t0, _start
	sub	t1, t1, t0
	sig	t1
	csrr	t1, mstatus
	srli	t1, t1, 11
	andi	t1, t1, 3
	sig	t1
	csrr	t0, mcause
	li	t1, 1
	beq	t0, t1, 2f
	li	t1, 12
	beq	t0, t1, 2f
	li	t1, 8
	beq	t0, t1, 2f
	li	t1, 9
	beq	t0, t1, 2f
	bltz	t0, 3f
	/* behind the instruction, whose low bits tell its length; programs are identity-mapped, so M can read it */
	csrr	t1, mepc
	lhu	t0, 0(t1)
	andi	t0, t0, 3
	addi	t0, t0, -3
	addi	t1, t1, 2
	bnez	t0, 1f
	addi	t1, t1, 2
1:	csrw	mepc, t1
	j	4f
2:	csrw	mepc, s11
	li	t0, 0x1800
	csrs	mstatus, t0
	j	4f
3:	csrw	mie, zero                       /* an interrupt is taken once */
4:	ld	t0, 0(sp)
	ld	t1, 8(sp)
	ld	s9, 16(sp)
	ld	s10, 24(sp)
	addi	sp, sp, 32
	mret
	.section .bss
	.balign	4096
	.space	4096
stack_top:
	.text
	.endm
