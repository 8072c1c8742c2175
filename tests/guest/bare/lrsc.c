/* SPDX-License-Identifier: MIT */
/*
 * Reservations and atomics: litmus tests of what must break a reservation, sums over harts, every AMO against a model.
 * STRICT (a machine with strict-lrsc = on) adds plain stores. What the architecture leaves open is not printed.
 */
#include "rt.h"

static struct { uint64_t words[8]; } line[4] __attribute__((aligned(64)));
static volatile uint64_t turn;

static inline uint64_t lr(volatile uint64_t *p)
{
	uint64_t v;
	__asm__ volatile("lr.d.aqrl %0, (%1)" : "=r"(v) : "r"(p) : "memory");
	return v;
}

static inline uint64_t sc(volatile uint64_t *p, uint64_t v)
{
	uint64_t failed;
	__asm__ volatile("sc.d.aqrl %0, %2, (%1)" : "=r"(failed) : "r"(p), "r"(v) : "memory");
	return failed;
}

static inline uint32_t lr_w(volatile uint32_t *p)
{
	uint32_t v;
	__asm__ volatile("lr.w.aqrl %0, (%1)" : "=r"(v) : "r"(p) : "memory");
	return v;
}

static inline uint64_t sc_w(volatile uint32_t *p, uint32_t v)
{
	uint64_t failed;
	__asm__ volatile("sc.w.aqrl %0, %2, (%1)" : "=r"(failed) : "r"(p), "r"(v) : "memory");
	return failed;
}

/* --- one hart --- */

static void alone(void)
{
	volatile uint64_t *a = &line[0].words[0], *b = &line[1].words[0];
	uint64_t tries = 0;

	*a = 5;
	*b = 6;
	CHECK("lr loads", lr(a), 5);
	while (lr(a), sc(a, 7))         /* may fail now and then, but not for ever */
		if (++tries > 1000)
			break;
	CHECK("sc stores", *a, 7);
	CHECK("sc without lr fails", sc(a, 8), 1);
	CHECK("and stores nothing", *a, 7);
	lr(a);
	CHECK("sc to another line fails", sc(b, 9), 1);
	CHECK("and stores nothing there", *b, 6);
	lr(a);
	sc(b, 9);
	CHECK("a failed sc ends the reservation", sc(a, 10), 1);
	lr(a);
	sc(a, 11);
	CHECK("one sc per lr", sc(a, 12), 1);
	CHECK("misaligned lr", call_in(MODE_M, PC(p_lr), PC(a) + 4, 0), CAUSE_LOAD_MISALIGNED);
	CHECK("misaligned sc", call_in(MODE_M, PC(p_sc), PC(a) + 4, 0), CAUSE_STORE_MISALIGNED);
	CHECK("misaligned amo", call_in(MODE_M, PC(p_amo), PC(a) + 4, 0), CAUSE_STORE_MISALIGNED);
	lr_w((volatile uint32_t *)a);
	*(volatile uint32_t *)a = 0x80000000;
	CHECK("lr.w extends the sign", (uint64_t)(int64_t)(int32_t)lr_w((volatile uint32_t *)a), 0xffffffff80000000);
}

/* --- another hart in between, in turns --- */

enum { WITH_AMO, WITH_SC, WITH_STORES, OTHER_VALUE };

static void meddler(uint64_t hart, uint64_t how)
{
	volatile uint64_t *a = &line[0].words[0];

	(void)hart;
	for (uint64_t i = 1; i <= 200; i++) {
		while (turn != 2 * i - 1)
			;
		fence();
		uint64_t old = *a;
		switch (how) {
		case WITH_AMO:
			__atomic_exchange_n(a, old + 1, __ATOMIC_SEQ_CST);
			__atomic_exchange_n(a, old, __ATOMIC_SEQ_CST);
			break;
		case WITH_SC:
			while (lr(a), sc(a, old + 1))
				;
			while (lr(a), sc(a, old))
				;
			break;
		case WITH_STORES:
			*a = old + 1;
			fence();
			*a = old;
			break;
		case OTHER_VALUE:
			*a = old + 1;
			break;
		}
		fence();
		turn = 2 * i;
	}
}

static void broken(const char *name, uint64_t how)
{
	volatile uint64_t *a = &line[0].words[0];
	uint64_t succeeded = 0;

	turn = 0;
	*a = 1;
	hart_start(1, meddler, how);
	for (uint64_t i = 1; i <= 200; i++) {
		lr(a);
		turn = 2 * i - 1;
		while (turn != 2 * i)
			;
		fence();
		succeeded += !sc(a, 1);
		*a = 1;
	}
	hart_wait(1);
	verdict(name, succeeded, 0);
}

/* --- sums --- */

static volatile uint64_t sum64, go;
static volatile uint32_t sum32[2];
static volatile uint64_t bits, swapped;

static void add(uint64_t hart, uint64_t n)
{
	uint64_t mine = 0;

	while (!go)
		;
	for (uint64_t i = 0; i < n; i++) {
		switch (i & 7) {
		case 0: __atomic_fetch_add(&sum64, 3, __ATOMIC_SEQ_CST); break;
		case 1: __atomic_fetch_add(&sum32[hart & 1], 5, __ATOMIC_RELAXED); break;
		case 2: __atomic_fetch_xor(&bits, 1ull << (hart * 8), __ATOMIC_SEQ_CST); break;
		case 3: __atomic_fetch_or(&bits, 2ull << (hart * 8), __ATOMIC_SEQ_CST); break;
		case 4: __atomic_fetch_and(&bits, ~(2ull << (hart * 8)), __ATOMIC_SEQ_CST); break;
		case 5:
			while (1) {
				uint64_t v = lr(&sum64);
				if (!sc(&sum64, v + 1))
					break;
			}
			break;
		case 6:
			while (1) {
				uint32_t v = lr_w(&sum32[hart & 1]);
				if (!sc_w(&sum32[hart & 1], v + 1))
					break;
			}
			break;
		case 7: mine += __atomic_exchange_n(&swapped, mine & 0xff, __ATOMIC_SEQ_CST) & 0; break;
		}
	}
}

static void sums(uint64_t n)
{
	uint64_t count = hart_count();

	go = 0;
	for (uint64_t h = 1; h < count; h++)
		hart_start(h, add, n * 8);
	go = 1;
	add(0, n * 8);
	for (uint64_t h = 1; h < count; h++)
		hart_wait(h);
	CHECK("sum of 64 bits", sum64, count * n * 4);
	CHECK("sums of 32 bits", sum32[0] + sum32[1], count * n * 6);
	uint64_t wanted = 0;
	for (uint64_t h = 0; h < count; h++)
		wanted |= (n & 1) << (8 * h);
	CHECK("bits", bits, wanted);
}

/* The spin lock of the manual, with amoswap.aq and .rl: what it guards is a plain counter. */
static volatile uint32_t lock;
static uint64_t guarded;

static void locked(uint64_t hart, uint64_t n)
{
	(void)hart;
	for (uint64_t i = 0; i < n; i++) {
		while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
			;
		*(volatile uint64_t *)&guarded = guarded + 1;
		__atomic_exchange_n(&lock, 0, __ATOMIC_RELEASE);
	}
}

/* --- AMO against a model --- */

#define AMO(name, suffix, type) \
static uint64_t name(volatile void *p, uint64_t v) \
{ \
	uint64_t old; \
	__asm__ volatile(#suffix " %0, %2, (%1)" : "=r"(old) : "r"(p), "r"(v) : "memory"); \
	return old; \
}
#define BOTH(name) AMO(name##_w, amo##name.w, uint32_t) AMO(name##_d, amo##name.d.aqrl, uint64_t)
BOTH(swap) BOTH(add) BOTH(and) BOTH(or) BOTH(xor) BOTH(min) BOTH(max) BOTH(minu) BOTH(maxu)

static uint64_t model(int op, uint64_t a, uint64_t b)
{
	switch (op) {
	case 0: return b;
	case 1: return a + b;
	case 2: return a & b;
	case 3: return a | b;
	case 4: return a ^ b;
	case 5: return (int64_t)a < (int64_t)b ? a : b;
	case 6: return (int64_t)a > (int64_t)b ? a : b;
	case 7: return a < b ? a : b;
	default: return a > b ? a : b;
	}
}

static void amos(uint64_t n)
{
	static uint64_t (*const wide[])(volatile void *, uint64_t) = { swap_d, add_d, and_d, or_d, xor_d, min_d, max_d,
								       minu_d, maxu_d };
	static uint64_t (*const narrow[])(volatile void *, uint64_t) = { swap_w, add_w, and_w, or_w, xor_w, min_w, max_w,
									 minu_w, maxu_w };
	static const uint64_t some[] = { 0, 1, ~0ull, 1ull << 63, (1ull << 63) - 1, 0x80000000, 0x7fffffff };
	uint64_t seed = 3, bad = 0, first = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t a = rng(&seed), b = rng(&seed);
		if (i & 1)
			a = some[a % 7];
		if (i & 2)
			b = some[b % 7];
		for (int op = 0; op < 9; op++) {
			volatile uint64_t m = a;
			uint64_t old = wide[op](&m, b);
			if ((old != a || m != model(op, a, b)) && !bad++)
				first = op;
			for (int half = 0; half < 2; half++) {
				m = a;
				uint32_t was = (uint32_t)(a >> 32 * half);
				/* signed comparisons see the sign of 32 bits, unsigned ones none */
				uint64_t x = op < 7 ? (uint64_t)(int64_t)(int32_t)was : was;
				uint64_t y = op < 7 ? (uint64_t)(int64_t)(int32_t)b : (uint32_t)b;
				uint64_t new = model(op, x, y) & 0xffffffff;
				uint64_t want = half ? (a & 0xffffffff) | new << 32 : (a & ~0xffffffffull) | new;
				old = narrow[op]((volatile uint32_t *)&m + half, b);
				if ((old != (uint64_t)(int64_t)(int32_t)was || m != want) && !bad++)
					first = 16 + op;
			}
		}
	}
	verdict("every AMO", bad, first);
}

void run(void)
{
	alone();
	amos(COUNT(5000));
	if (hart_count() < 2)
		return;
	broken("another hart's AMOs, value restored", WITH_AMO);
	broken("another hart's SCs, value restored", WITH_SC);
	broken("another hart's store, other value", OTHER_VALUE);
#ifdef STRICT
	broken("another hart's stores, value restored", WITH_STORES);
#endif
	sums(COUNT(20000));
	uint64_t n = COUNT(100000), count = hart_count();
	for (uint64_t h = 1; h < count; h++)
		hart_start(h, locked, n);
	locked(0, n);
	for (uint64_t h = 1; h < count; h++)
		hart_wait(h);
	CHECK("counter under a lock", guarded, n * count);
}
