/* SPDX-License-Identifier: MIT */
/* Counts interrupts of the local timer aloud, 40 of them with time between: for who wants to look on, or to stop it. */
#include "rt.h"

#define VECTOR 0x40
#define TICKS  40u

static int served(struct frame *f)
{
	mmio_put(LAPIC + 0xb0, 0);
	return f->vector == VECTOR;
}

int main(void)
{
	on_trap = served;
	lapic_start();
	mmio_put(LAPIC + 0x3e0, 3);             /* divided by 16 */
	mmio_put(LAPIC + 0x320, 0x20000 | VECTOR);
	mmio_put(LAPIC + 0x380, 6250000);       /* KVM's counts 10^9 a second: ten ticks */
	for (uint32_t seen = 0; seen < TICKS;) {
		__asm__ volatile("sti; hlt; cli" : : : "memory");
		while (seen < irq_count[VECTOR] && seen < TICKS)
			put_hex("tick ", ++seen);
	}
	put("done\n");
	return 0;
}
