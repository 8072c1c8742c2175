/* SPDX-License-Identifier: MIT */
/* Two CPUs: starting the second, interrupts between them, and both counting in one word. */
#include "rt.h"

#define VECTOR_IPI 0x50
#define ROUNDS 10000u

static volatile uint32_t alive, answers, counter, finished;

static int served(struct frame *f)
{
	mmio_put(LAPIC + 0xb0, 0);
	if (mmio(LAPIC + 0x20) >> 24)
		answers++;
	return f->vector == VECTOR_IPI;
}

static void count(void)
{
	for (uint32_t i = 0; i < ROUNDS; i++)
		__atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
}

void ap_main(void)
{
	lapic_start();
	alive = mmio(LAPIC + 0x20) >> 24;
	while (answers < 3)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	count();
	for (;;)
		__asm__ volatile("cli; hlt");
}

int main(void)
{
	on_trap = served;
	lapic_start();
	ap_start();
	while (!alive)
		;
	check("second CPU", alive == 1);
	for (uint32_t i = 1; i <= 3; i++) {
		mmio_put(LAPIC + 0x310, 1u << 24);
		mmio_put(LAPIC + 0x300, 0x4000 | VECTOR_IPI);
		while (answers < i)
			;
	}
	check("interrupts between CPUs", answers == 3);
	count();
	while (finished < 2)
		;
	check("atomic sum", counter == 2 * ROUNDS);
	put("done\n");
	return 0;
}
