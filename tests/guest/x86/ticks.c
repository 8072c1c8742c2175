/* SPDX-License-Identifier: MIT */
/*
 * Counts interrupts of the local timer aloud, or with PIC every second one of the 8254 through the 8259A, 40 of them
 * with time between: for who wants to look on, or to stop it.
 */
#include "rt.h"

#define VECTOR 0x40
#define TICKS  40u

/* ten ticks a second, or 50 */
#ifdef QUICK
#define COUNT    1250000u
#define PIT_HIGH 0x30u
#else
#define COUNT    6250000u
#define PIT_HIGH 0u
#endif

#ifdef PIC
#define PER_TICK 2u                     /* 18 a second are as few as the 8254 gives */
#else
#define PER_TICK 1u
#endif

static int served(struct frame *f)
{
#ifdef PIC
	outb(0x20, 0x20);
#else
	mmio_put(LAPIC + 0xb0, 0);
#endif
	return f->vector == VECTOR;
}

static void timer(void)
{
#ifdef PIC
	outb(0x20, 0x11);
	outb(0x21, VECTOR);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0x21, 0xfe);
	outb(0x43, 0x34);
	outb(0x40, 0);
	outb(0x40, PIT_HIGH);
#else
	lapic_start();
	mmio_put(LAPIC + 0x3e0, 3);             /* divided by 16 */
	mmio_put(LAPIC + 0x320, 0x20000 | VECTOR);
	mmio_put(LAPIC + 0x380, COUNT);         /* 10^9 a second, divided */
#endif
}

int main(void)
{
	on_trap = served;
	timer();
	for (uint32_t seen = 0; seen < TICKS;) {
		__asm__ volatile("sti; hlt; cli" : : : "memory");
		while (seen < irq_count[VECTOR] / PER_TICK && seen < TICKS)
			put_hex("tick ", ++seen);
	}
	put("done\n");
	return 0;
}
