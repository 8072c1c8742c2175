/* SPDX-License-Identifier: MIT */
/*
 * From the PVH entry (32-bit protected mode, no paging) to main() in long mode, and from a start-up message (real mode,
 * at TRAMPOLINE) to ap_main(). Memory is mapped to itself, 1 GiB by 2 MiB pages, for ring 3 too. Handlers of
 * exceptions and interrupts push a number and go to trap() with a struct frame.
 */
#define TRAMPOLINE 0x8000
#define AP_STACK_SHIFT 10
#define APS 1023

	.section .note.pvh, "a", @note
	.long 4, 4, 18                 /* "Xen", XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long entry32

	.text
	.code32
	.globl entry32
entry32:
	cli
	movl $boot_stack_end, %esp
	movl $tables, %edi             /* zero: root, pointers, directory */
	xorl %eax, %eax
	movl $3072, %ecx
	rep stosl
	movl $(tables + 0x1000 + 7), tables
	movl $(tables + 0x2000 + 7), tables + 0x1000
	movl $(tables + 0x2000), %edi
	movl $0x87, %eax
	movl $512, %ecx
1:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	loop 1b
	/* the local APIC's and the I/O APIC's: the last 2 MiB pages of the fourth GiB, uncached */
	movl $(tables + 0x3000 + 3), tables + 0x1000 + 24
	movl $0xfec00093, tables + 0x3000 + 502 * 8
	movl $0xfee00093, tables + 0x3000 + 503 * 8
	movl $low64, %esi
	jmp enter64

/* %esi: where to go on in 64-bit code */
enter64:
	movl $tables, %eax
	movl %eax, %cr3
	movl $0x620, %eax              /* PAE, OSFXSR, OSXMMEXCPT */
	movl %eax, %cr4
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x100, %eax               /* LME */
	wrmsr
	movl $0x80010033, %eax         /* PG WP NE ET MP PE */
	movl %eax, %cr0
	lgdt gdt_pointer
	ljmp $0x08, $in64

	.code64
in64:
	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	xorl %eax, %eax
	movw %ax, %fs
	movw %ax, %gs
	lidt idt_pointer(%rip)
	movl %esi, %esi
	jmp *%rsi

low64:
	movq $boot_stack_end, %rsp
	call rt_start
	call main
	movl %eax, %edi
	call finish
2:	hlt
	jmp 2b

/* Other CPUs, at once: copied to TRAMPOLINE, entered there in real mode; each has a stack of its own. */
	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	lgdtl TRAMPOLINE + (gdt_pointer_low - trampoline)
	movl $0x11, %eax
	movl %eax, %cr0
	ljmpl $0x18, $ap32
gdt_pointer_low:
	.word gdt_end - gdt - 1
	.long gdt
trampoline_end:

	.code32
ap32:
	movw $0x20, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl $ap64, %esi
	jmp enter64
	.code64
ap64:
	movl $1, %eax
	lock xaddl %eax, ap_count(%rip)
	incl %eax
	shll $AP_STACK_SHIFT, %eax
	leaq ap_stacks(%rax), %rsp
	call ap_main
3:	cli
	hlt
	jmp 3b

/* Traps. Those that push no error code push a 0; 16 bytes each. */
	.globl handlers
	.align 16
handlers:
	vector = 0
	.rept 256
	.align 16
	.if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21
	pushq $0
	.endif
	pushq $vector
	jmp trap_common
	vector = vector + 1
	.endr

trap_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	movq %rsp, %rbx
	andq $-16, %rsp
	call trap
	movq %rbx, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

/* user(function, stack): runs it in ring 3; it comes back by ud2 with rax = 0x600d (trap() sees to it). */
	.globl user, user_return
user:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, user_kernel_stack(%rip)
	movq %rsp, tss + 4(%rip)
	pushq $0x3b
	pushq %rsi
	pushq $0x202
	pushq $0x43
	pushq %rdi
	iretq
user_return:
	movq user_kernel_stack(%rip), %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

	.data
	.align 16
	.globl gdt, tss, idt
gdt:
	.quad 0
	.quad 0x00af9b000000ffff       /* 08 code 64 */
	.quad 0x00cf93000000ffff       /* 10 data */
	.quad 0x00cf9b000000ffff       /* 18 code 32 */
	.quad 0x00cf93000000ffff       /* 20 data */
	.quad 0, 0                     /* 28 TSS, filled by rt.c before it is loaded */
	.quad 0x00cff3000000ffff       /* 38 data, ring 3 */
	.quad 0x00affb000000ffff       /* 40 code 64, ring 3 */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt
idt_pointer:
	.word 4095
	.quad idt
user_kernel_stack:
	.quad 0
ap_count:
	.long 0
	.align 16
tss:
	.fill 104, 1, 0
	.bss
	.align 4096
tables:
	.skip 4 * 4096
idt:
	.skip 4096
boot_stack:
	.skip 32768
boot_stack_end:
ap_stacks:
	.skip APS << AP_STACK_SHIFT
