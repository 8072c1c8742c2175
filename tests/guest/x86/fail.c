/* SPDX-License-Identifier: MIT */
/* How machines end: -DHOW= 1 with a code, 2 a triple fault, 3 a jump to where there is no memory, 4 never. */
#include "rt.h"

int main(void)
{
	static const struct { uint16_t limit; uint64_t base; } __attribute__((packed)) none = { 0, 0 };

	put("going\n");
	if (HOW == 1)
		return 7;
	if (HOW == 2)
		__asm__ volatile("lidt %0; ud2" : : "m"(none));
	if (HOW == 3)
		__asm__ volatile("jmp *%0" : : "r"(0xfee80000ul));
	for (;;)
		;
}
