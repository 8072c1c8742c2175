/* SPDX-License-Identifier: MIT */
/*
 * A disk that firmware boots from: a boot sector in 16-bit code, entered at 0x7c00 with the drive's number in dl, and a
 * second sector that it reads by the BIOS's extended read. Says over the serial port what the BIOS tells of the machine:
 * the RAM from 1 MiB on (int 15h, function e820) and whether there is an RSDP in the last 64 KiB. Ends by the exit port.
 */
	.set	SERIAL, 0x3f8
	.set	EXIT, 0xf4
	.set	MAP, 0x8000

	.code16
	.globl	_start
_start:
	cli                            /* so that what the BIOS still has to say comes between two lines of ours */
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$_start, %sp
	cld
	movb	%dl, drive
	movw	$hello, %si
	call	say
	movzbl	drive, %eax
	call	say_hex

	movw	$packet, %si
	movb	drive, %dl
	movb	$0x42, %ah
	int	$0x13
	movw	$unreadable, %si
	jc	failed
	movw	$second, %si
	call	say

/* ranges until the one that begins at 1 MiB */
	xorl	%ebx, %ebx
1:	movl	$0xe820, %eax
	movl	$0x534d4150, %edx
	movl	$20, %ecx
	movw	$MAP, %di
	int	$0x15
	movw	$no_map, %si
	jc	failed
	cmpl	$0x100000, MAP
	je	2f
	testl	%ebx, %ebx
	jnz	1b
	jmp	failed
2:	movw	$ram, %si
	call	say
	movl	MAP + 8, %eax
	call	say_hex

	movw	$0xf000, %ax
	movw	%ax, %es
	xorw	%di, %di
3:	cmpl	$0x20445352, %es:(%di)
	jne	4f
	cmpl	$0x20525450, %es:4(%di)
	je	5f
4:	addw	$16, %di
	jnz	3b
	movw	$no_rsdp, %si
	jmp	failed
5:	movw	$rsdp, %si
	call	say
	xorw	%ax, %ax
	jmp	end

failed:
	call	say
	movw	$1, %ax
end:
	movw	$EXIT, %dx
	outb	%al, %dx
	hlt
	jmp	end

/* The text at si, up to a 0. */
say:
	lodsb
	testb	%al, %al
	jz	1f
	call	put
	jmp	say
1:	ret

/* eax and a line's end */
say_hex:
	movw	$8, %cx
1:	roll	$4, %eax
	pushl	%eax
	andb	$15, %al
	addb	$'0', %al
	cmpb	$'9', %al
	jbe	2f
	addb	$'a' - '9' - 1, %al
2:	call	put
	popl	%eax
	loop	1b
	movb	$'\n', %al
put:
	pushw	%ax
	movw	$SERIAL + 5, %dx
3:	inb	%dx, %al
	testb	$0x20, %al
	jz	3b
	popw	%ax
	movw	$SERIAL, %dx
	outb	%al, %dx
	ret

hello:		.asciz	"\nboot sector: drive 0x"
ram:		.asciz	"ram above 1 MiB 0x"
rsdp:		.asciz	"rsdp: ok\ndone\n"
unreadable:	.asciz	"FAILED: the disk cannot be read\n"
no_map:		.asciz	"FAILED: there is no memory map\n"
no_rsdp:	.asciz	"FAILED: there is no RSDP\n"
drive:		.byte	0

/* int 13h, function 42h: one block to 0:second, from block 1 */
	.balign	4
packet:
	.byte	16, 0
	.word	1, second, 0
	.quad	1

	.org	510
	.word	0xaa55

second:
	.asciz	"second sector: ok\n"
	.org	1024
