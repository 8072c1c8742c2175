/* SPDX-License-Identifier: MIT */
/*
 * More code than the cache of translations holds: thousands of functions made at run time, called in many orders by
 * one hart and by two, against a model.
 */
#include "rt.h"

#define FUNCTIONS 2048u
#define STEPS 40u
#define WORDS 64u
static uint32_t code[FUNCTIONS][WORDS] __attribute__((aligned(4096)));

/* Step s of function f: a0 = (a0 + immediate) ^ (a0 << shift), in three instructions. */
static uint32_t immediate(uint32_t f, uint32_t s)
{
	return (f * 37 + s * 101) & 1023;
}

static uint32_t shift(uint32_t f, uint32_t s)
{
	return 1 + (f + s) % 31;
}

static void make(uint32_t f)
{
	uint32_t *p = code[f];

	for (uint32_t s = 0; s < STEPS / 2; s++) {
		*p++ = 0x00001013u | A1 << 7 | A0 << 15 | shift(f, s) << 20;
		*p++ = I_ADDI(A0, A0, immediate(f, s));
		*p++ = 0x00004033u | A0 << 7 | A0 << 15 | A1 << 20;     /* xor a0, a0, a1 */
	}
	*p = I_RET;
}

static uint64_t model(uint32_t f, uint64_t a)
{
	for (uint32_t s = 0; s < STEPS / 2; s++)
		a = (a + immediate(f, s)) ^ (a << shift(f, s));
	return a;
}

static volatile uint64_t bad[HARTS], first[HARTS];

static void call_one(uint64_t hart, uint32_t f, uint64_t a)
{
	uint64_t got = ((code_fn *)(uintptr_t)code[f])(a, 0);

	if (got != model(f, a) && !bad[hart]++)
		first[hart] = f;
}

static void orders(uint64_t hart, uint64_t rounds)
{
	uint64_t seed = hart + 1;

	fence_i();
	for (uint64_t r = 0; r < rounds; r++) {
		for (uint32_t f = 0; f < FUNCTIONS; f++)
			call_one(hart, f, seed + f);
		for (uint32_t f = FUNCTIONS; f-- > 0;)
			call_one(hart, f, seed ^ f);
		for (uint32_t f = 0; f < FUNCTIONS; f++)
			call_one(hart, f * 1031 % FUNCTIONS, f);
		for (uint32_t i = 0; i < FUNCTIONS; i++) {
			uint64_t x = rng(&seed);
			call_one(hart, x % FUNCTIONS, x >> 20);
			/* some are hot */
			call_one(hart, x % 7, x >> 10);
		}
	}
}

void run(void)
{
	for (uint32_t f = 0; f < FUNCTIONS; f++)
		make(f);
	orders(0, COUNT(20));
	verdict("one hart", bad[0], first[0]);
	if (hart_count() < 2)
		return;
	hart_start(1, orders, COUNT(20));
	orders(0, COUNT(20));
	hart_wait(1);
	verdict("two harts, the first", bad[0], first[0]);
	verdict("two harts, the second", bad[1], first[1]);
	/* while the other runs everything, this one changes functions and puts them back */
	hart_start(1, orders, COUNT(20));
	for (uint32_t i = 0; i < COUNT(20000); i++) {
		uint32_t spare[WORDS];
		for (uint32_t k = 0; k < WORDS; k++)
			spare[k] = code[i % FUNCTIONS][k];
		for (uint32_t k = 0; k < WORDS; k++)
			((volatile uint32_t *)code[i % FUNCTIONS])[k] = spare[k];
		call_one(0, i % FUNCTIONS, i);
	}
	hart_wait(1);
	verdict("written meanwhile", bad[0] + bad[1], first[0]);
}
