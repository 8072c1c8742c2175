/* SPDX-License-Identifier: MIT */
/*
 * Start and traps of the bare-metal programs. Every hart comes here in machine mode, gets a stack and goes to
 * hart_main. mscratch points to the hart's struct hart (rt.h), whose first words this file knows.
 */
#include "rt.h"

	.section .text.start, "ax"
	.globl	_start
_start:
	csrr	t0, mhartid
	la	tp, harts
	li	t1, HART_BYTES
	mul	t1, t1, t0
	add	tp, tp, t1
	csrw	mscratch, tp
	la	sp, stacks
	addi	t1, t0, 1
	slli	t1, t1, STACK_BITS
	add	sp, sp, t1
	la	t1, trap
	csrw	mtvec, t1
	csrw	mie, zero
	li	t1, 0x6000              /* mstatus.FS */
	csrs	mstatus, t1
	/* everything is open to S and U */
	li	t1, -1
	csrw	pmpaddr0, t1
	li	t1, 0x1f
	csrw	pmpcfg0, t1
	mv	a0, t0
	call	hart_main
1:	wfi
	j	1b

/*
 * call_in(mode, pc, a0, a1): runs pc in a mode until anything traps to machine mode. What trapped is in the hart's
 * struct; the result is mcause.
 */
	.text
	.globl	call_in
call_in:
	csrr	t0, mscratch
	addi	sp, sp, -128
	sd	ra, 0(sp)
	sd	s0, 8(sp)
	sd	s1, 16(sp)
	sd	s2, 24(sp)
	sd	s3, 32(sp)
	sd	s4, 40(sp)
	sd	s5, 48(sp)
	sd	s6, 56(sp)
	sd	s7, 64(sp)
	sd	s8, 72(sp)
	sd	s9, 80(sp)
	sd	s10, 88(sp)
	sd	s11, 96(sp)
	sd	gp, 104(sp)
	sd	tp, 112(sp)
	ld	t1, HART_SP(t0)         /* calls nest */
	sd	t1, 120(sp)
	sd	sp, HART_SP(t0)
	csrw	mepc, a1
	li	t1, 0x1800
	csrc	mstatus, t1
	slli	t2, a0, 11
	csrs	mstatus, t2
	mv	a0, a2
	mv	a1, a3
	la	ra, done                /* a function that returns makes an environment call */
	mret
	.balign 4
	.globl	done
done:
	ecall

	.balign 4
	.globl	trap
trap:
	csrrw	tp, mscratch, tp
	sd	t0, HART_T0(tp)
	sd	sp, HART_GUEST_SP(tp)
	sd	a0, HART_A0(tp)
	sd	a1, HART_A1(tp)
	csrr	t0, mcause
	sd	t0, HART_CAUSE(tp)
	csrr	t0, mepc
	sd	t0, HART_EPC(tp)
	csrr	t0, mtval
	sd	t0, HART_TVAL(tp)
	csrr	t0, mstatus
	sd	t0, HART_STATUS(tp)
	ld	sp, HART_SP(tp)
	beqz	sp, unexpected
	li	t0, 0x20000             /* mstatus.MPRV */
	csrc	mstatus, t0
	ld	t0, 120(sp)
	sd	t0, HART_SP(tp)
	ld	ra, 0(sp)
	ld	s0, 8(sp)
	ld	s1, 16(sp)
	ld	s2, 24(sp)
	ld	s3, 32(sp)
	ld	s4, 40(sp)
	ld	s5, 48(sp)
	ld	s6, 56(sp)
	ld	s7, 64(sp)
	ld	s8, 72(sp)
	ld	s9, 80(sp)
	ld	s10, 88(sp)
	ld	s11, 96(sp)
	ld	gp, 104(sp)
	ld	a0, HART_CAUSE(tp)
	csrw	mscratch, tp
	ld	tp, 112(sp)
	addi	sp, sp, 128
	ret
unexpected:
	csrw	mscratch, tp
	la	sp, panic_room + 4096
	j	panic

/* Probes: one access, then an environment call. The address is in a0, the value in a1. */
	.balign 4096
	.globl	probes
probes:
#define PROBE(name, ...) .balign 4; .globl name; name: __VA_ARGS__; ecall
PROBE(p_lb, lb a0, 0(a0))
PROBE(p_lh, lh a0, 0(a0))
PROBE(p_lw, lw a0, 0(a0))
PROBE(p_ld, ld a0, 0(a0))
PROBE(p_sb, sb a1, 0(a0))
PROBE(p_sh, sh a1, 0(a0))
PROBE(p_sw, sw a1, 0(a0))
PROBE(p_sd, sd a1, 0(a0))
PROBE(p_amo, amoadd.d a0, a1, (a0))
PROBE(p_amow, amoadd.w a0, a1, (a0))
PROBE(p_lr, lr.d a0, (a0))
PROBE(p_sc, sc.d a0, a1, (a0))
PROBE(p_fld, fld fa0, 0(a0))
PROBE(p_fsd, fsd fa0, 0(a0))
PROBE(p_jump, jr a0)
PROBE(p_ecall, nop)
PROBE(p_ebreak, ebreak)
PROBE(p_illegal, .word 0)
PROBE(p_sret, sret)
PROBE(p_mret, mret)
PROBE(p_wfi, wfi)
PROBE(p_sfence, sfence.vma)
PROBE(p_cycle, rdcycle a0)
PROBE(p_time, rdtime a0)
PROBE(p_instret, rdinstret a0)
PROBE(p_fencei, fence.i)
/* a handler in supervisor mode that hands everything up */
PROBE(p_strap, nop)
/* vectored: entry n puts n in a0 */
	.balign 256
	.globl	p_vector
p_vector:
	.option push
	.option norvc
	.set	n, 0
	.rept	64
	j	p_vector_end + n * 8
	.set	n, n + 1
	.endr
p_vector_end:
	.set	n, 0
	.rept	64
	li	a0, n
	ecall
	.set	n, n + 1
	.endr
	.option pop
	.balign 4096

/* Loads every register from the table at a0 and runs the words at p_fuzz_slot. Copied to a place of its own. */
	.globl	p_fuzz, p_fuzz_slot, p_fuzz_end
p_fuzz:
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	fld	f\n, 8*\n(a0)
	.endr
	.irp	n, 1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ld	x\n, 8*\n(a0)
	.endr
	ld	a0, 80(a0)
	.balign 4
p_fuzz_slot:
	.fill	4, 4, 0
	.rept	8
	ecall
	.endr
p_fuzz_end:
