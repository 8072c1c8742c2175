/* SPDX-License-Identifier: MIT */
/*
 * The ways of a PC to reset itself, one after the other: the program is loaded anew each time and counts in memory that
 * nobody loads, which a reset leaves as it is.
 */
#include "rt.h"

#define COUNT_AT 0x2000000ul

static void wait_empty(void)
{
	while (inb(0x64) & 2)
		;
}

int main(void)
{
	uint32_t before = mmio(COUNT_AT);

	mmio_put(COUNT_AT, before + 1);
	put_hex("resets ", before);
	switch (before) {
	case 0:
		check("no keyboard answers", (outb(0x60, 0xf2), inb(0x64) & 0x41) == 0x41 && inb(0x60) == 0xfe);
		outb(0x64, 0xaa);
		check("self test of the keyboard controller", inb(0x60) == 0x55);
		wait_empty();
		outb(0x64, 0xfe);
		break;
	case 1:
		outb(0x92, inb(0x92) | 1);
		break;
	case 2:
		outb(0xcf9, 2);
		outb(0xcf9, 6);
		break;
	default:
		put("done\n");
		return 0;
	}
	for (;;)
		__asm__ volatile("cli; hlt");
}
