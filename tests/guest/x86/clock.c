/* SPDX-License-Identifier: MIT */
/*
 * KVM's clock, by the page that it writes (Linux, Documentation/virt/kvm/x86/msr.rst): read at each of 40 interrupts,
 * it never leaps, and never goes back. For snapshots in between.
 */
#include "rt.h"

#define VECTOR      0x40
#define SYSTEM_TIME 0x4b564d01u
#define ENABLE      1u
#define TICKS       40u
#define LONGEST_NS  10000000000u

static volatile struct {
	uint32_t version, pad;
	uint64_t counter, time_ns;
	uint32_t multiplier;
	int8_t shift;
	uint8_t flags, pad2[2];
} clock __attribute__((aligned(64)));

static uint64_t counter(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static uint64_t ns_of(uint64_t ticks)
{
	ticks = clock.shift < 0 ? ticks >> -clock.shift : ticks << clock.shift;
	return (uint64_t)(((unsigned __int128)ticks * clock.multiplier) >> 32);
}

static uint64_t clock_read(void)
{
	uint32_t version;
	uint64_t time;

	do {
		version = clock.version;
		time = clock.time_ns + ns_of(counter() - clock.counter);
	} while (version & 1 || version != clock.version);
	return time;
}

static int served(struct frame *f)
{
	mmio_put(LAPIC + 0xb0, 0);
	return f->vector == VECTOR;
}

int main(void)
{
	uint64_t at = (uint64_t)&clock | ENABLE, before, now;

	on_trap = served;
	__asm__ volatile("wrmsr" : : "c"(SYSTEM_TIME), "a"((uint32_t)at), "d"((uint32_t)(at >> 32)));
	lapic_start();
	mmio_put(LAPIC + 0x3e0, 3);             /* divided by 16 */
	mmio_put(LAPIC + 0x320, 0x20000 | VECTOR);
	mmio_put(LAPIC + 0x380, 1250000);       /* 50 a second */
	before = clock_read();
	check("the clock goes", before != 0);
	for (uint32_t seen = 1; seen <= TICKS; seen++) {
		__asm__ volatile("sti; hlt; cli" : : : "memory");
		now = clock_read();
		/* unsigned: back is far */
		if (now - before > LONGEST_NS)
			check("no leap of the clock", 0);
		before = now;
		put_hex("tick ", seen);
	}
	put("done\n");
	return 0;
}
