/* SPDX-License-Identifier: MIT */
/*
 * Several CPUs, CPUS of them: starting the others, interrupts to and from each, and all counting in one word. With
 * X2APIC there may be more than 255.
 */
#include "rt.h"

#ifndef CPUS
#define CPUS 2u
#endif
#define VECTOR_IPI  0x50
#define VECTOR_BACK 0x51
#define ROUNDS (20000u / CPUS)

static volatile uint32_t alive, seen[CPUS], counter, finished;

#ifdef X2APIC
static uint32_t own(void) { return (uint32_t)rdmsr(0x802); }
static void served_one(void) { wrmsr(0x80b, 0); }
static void send(uint32_t to, uint32_t what) { wrmsr(0x830, (uint64_t)to << 32 | what); }
#else
static uint32_t own(void) { return mmio(LAPIC + 0x20) >> 24; }
static void served_one(void) { mmio_put(LAPIC + 0xb0, 0); }

static void send(uint32_t to, uint32_t what)
{
	mmio_put(LAPIC + 0x310, to << 24);
	mmio_put(LAPIC + 0x300, what);
}
#endif

static void begin(void)
{
	lapic_start();
#ifdef X2APIC
	wrmsr(0x1b, rdmsr(0x1b) | 0x400);
#endif
}

static int served(struct frame *f)
{
	served_one();
	if (f->vector == VECTOR_IPI && own())
		seen[own()]++;
	return f->vector == VECTOR_IPI || f->vector == VECTOR_BACK;
}

static void count(void)
{
	for (uint32_t i = 0; i < ROUNDS; i++)
		__atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
}

/* The last one to be interrupted a third time tells the first CPU, which sleeps. */
void ap_main(void)
{
	static uint32_t thirds;

	begin();
	__atomic_add_fetch(&alive, 1, __ATOMIC_SEQ_CST);
	while (seen[own()] < 3)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	if (__atomic_add_fetch(&thirds, 1, __ATOMIC_SEQ_CST) == CPUS - 1)
		send(0, 0x4000 | VECTOR_BACK);
	count();
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* To each by its number, or to all others by the shorthand; and to nobody else. */
static void interrupt(uint32_t round)
{
	uint32_t more = 0;

	if (round == 2)
		send(0, 0xc4000 | VECTOR_IPI);
	for (uint32_t n = 1; n < CPUS; n++) {
		if (round != 2)
			send(n, 0x4000 | VECTOR_IPI);
		while (seen[n] < round)
			;
	}
	for (uint32_t n = 1; n < CPUS; n++)
		more += seen[n] != round;
	if (more)
		put_hex("interrupted more often ", more);
	check("interrupts between CPUs", more == 0);
}

int main(void)
{
	on_trap = served;
	lapic_start();
	ap_start();
	while (alive < CPUS - 1)
		;
	begin();
	check("the other CPUs", alive == CPUS - 1);
	for (uint32_t round = 1; round <= 3; round++)
		interrupt(round);
	while (!irq_count[VECTOR_BACK])
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	check("an interrupt that wakes the first", irq_count[VECTOR_BACK] == 1);
	count();
	while (finished < CPUS)
		;
	check("atomic sum", counter == CPUS * ROUNDS);
	put("done\n");
	return 0;
}
