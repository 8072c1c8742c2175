/* SPDX-License-Identifier: MIT */
/*
 * What a debugger is tried on: a function to stop in, a loop to step over, variables to watch by every kind of access,
 * and harts that count by themselves. The numbers that it comes to are the script's (gdb.py).
 */
#include "rt.h"

volatile uint64_t watched, untouched, atomic_word, text_seen;
volatile uint64_t turns[HARTS];
volatile uint64_t go_on = 1;

__attribute__((noinline)) uint64_t bump(uint64_t by)
{
	watched += by;
	return watched;
}

__attribute__((noinline)) uint64_t sum_loop(uint64_t n)
{
	uint64_t sum = 0;

	for (uint64_t i = 1; i <= n; i++)
		sum += i * i;
	return sum;
}

__attribute__((noinline)) void atomically(uint64_t by)
{
	__asm__ volatile("amoadd.d zero, %1, %0" : "+A"(atomic_word) : "r"(by));
}

__attribute__((noinline)) void stages(uint64_t sum)
{
	text_seen = sum;
	untouched = 5;
	atomically(3);
	bump(4);
	text_seen = watched;
}

static void count(uint64_t hart, uint64_t arg)
{
	(void)arg;
	while (go_on)
		turns[hart]++;
}

void run(void)
{
#ifdef FOREVER
	for (;;)
		bump(1);
#endif
	for (uint64_t hart = 1; hart < WANT_HARTS; hart++)
		hart_start(hart, count, 0);
	while (!turns[1] || !turns[2])
		;
	bump(1);
	bump(2);
	stages(sum_loop(100));
	go_on = 0;
	say("watched %u atomic %u seen %u\n", watched, atomic_word, text_seen);
	finish(watched != 7 || atomic_word != 3);
}
