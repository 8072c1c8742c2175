/* SPDX-License-Identifier: MIT */
/* What CPUID shows can be turned on in CR4, and what it does not show is refused. */
#include "rt.h"

#define GENERAL_PROTECTION 13

/* Intel SDM volume 3, "Control Registers"; bits of EBX and ECX of leaf 7, or of ECX of leaf 1 */
static const struct { const char *shown, *hidden; uint32_t leaf, ecx, bit, cr4; } features[] = {
	{ "fsgsbase shown", "fsgsbase hidden", 7, 0, 0, 16 },
	{ "umip shown", "umip hidden", 7, 1, 2, 11 },
	{ "pcid shown", "pcid hidden", 1, 1, 17, 17 },
	{ "xsave shown", "xsave hidden", 1, 1, 26, 18 },
};

/* "mov %rax, %cr4" has 3 bytes */
static int skip3(struct frame *f)
{
	f->rip += 3;
	return f->vector == GENERAL_PROTECTION;
}

static uint64_t cr4_get(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static void cr4_put(uint64_t value)
{
	__asm__ volatile(".byte 0x0f, 0x22, 0xe0" : : "a"(value) : "memory");
}

int main(void)
{
	const uint64_t before = cr4_get();

	on_trap = skip3;
	for (uint32_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		uint32_t a = features[i].leaf, b, c = 0, d, faults = irq_count[GENERAL_PROTECTION], shown, taken;

		__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
		shown = (features[i].ecx ? c : b) >> features[i].bit & 1;
		cr4_put(before | 1ul << features[i].cr4);
		taken = cr4_get() >> features[i].cr4 & 1;
		cr4_put(before);
		check(shown ? features[i].shown : features[i].hidden,
		      taken == shown && irq_count[GENERAL_PROTECTION] - faults == !shown);
	}
	put("done\n");
	return 0;
}
