/* SPDX-License-Identifier: MIT */
/*
 * Two harts and the memory model: message passing, store buffering with fences, interrupts between harts within a
 * bounded time, a hart in wfi woken by CLINT timer, stimecmp and interrupt, one that waits with an interrupt pending.
 */
#include "rt.h"

struct cell { volatile uint64_t v; char rest[56]; } __attribute__((aligned(64)));
static struct cell data, flag, x, y, seen[2], ready[2];
static volatile uint64_t stop;

/* --- message passing --- */

static void sender(uint64_t hart, uint64_t n)
{
	(void)hart;
	for (uint64_t i = 1; i <= n; i++) {
		data.v = i;
		fence();
		flag.v = i;
	}
}

static void receiver(const char *name, uint64_t n, bool acquire)
{
	uint64_t bad = 0, got = 0;

	data.v = flag.v = 0;
	hart_start(1, sender, n);
	while (got < n) {
		if (acquire) {
			got = __atomic_load_n(&flag.v, __ATOMIC_ACQUIRE);
		} else {
			got = flag.v;
			fence();
		}
		bad += data.v < got;
	}
	hart_wait(1);
	verdict(name, bad, 0);
}

/* --- store buffering: with a full fence both cannot read 0 --- */

/* Both come together before and after each round; rounds are numbered, so nothing is to be cleared. */
static void meet(uint64_t hart, uint64_t number)
{
	fence();
	ready[hart].v = number;
	while (ready[!hart].v < number)
		;
	fence();
}

static void side(uint64_t hart, uint64_t n)
{
	volatile uint64_t *mine = hart ? &y.v : &x.v, *other = hart ? &x.v : &y.v;

	for (uint64_t i = 1; i <= n; i++) {
		meet(hart, 3 * i);
		*mine = i;
		fence();
		seen[hart].v = *other;
		meet(hart, 3 * i + 1);
		if (!hart && seen[0].v != i && seen[1].v != i)
			stop++;
		meet(hart, 3 * i + 2);
	}
}

static void buffering(uint64_t n)
{
	stop = 0;
	hart_start(1, side, n);
	side(0, n);
	hart_wait(1);
	verdict("store buffering with fences", stop, 0);
}

/* --- interrupts --- */

static volatile uint64_t pings, slowest;

static void pong(uint64_t hart, uint64_t n)
{
	csr_write(mie, 8);
	for (uint64_t i = 0; i < n; i++) {
		/* interrupts on, taken out of a loop without end */
		csr_set(mstatus, 0x80);
		uint64_t cause = call_in(MODE_M, PC(p_jump), PC(p_jump), 0);
		ipi(hart, false);
		if (cause != (1ull << 63 | 3))
			slowest = cause;
		pings = i + 1;
	}
	csr_write(mie, 0);
}

static void latency(uint64_t n)
{
	uint64_t worst = 0;

	pings = slowest = 0;
	hart_start(1, pong, n);
	for (uint64_t i = 1; i <= n; i++) {
		uint64_t from = now();
		ipi(1, true);
		while (pings != i)
			;
		uint64_t took = now() - from;
		if (took > worst)
			worst = took;
	}
	hart_wait(1);
	CHECK("interrupts taken were of the right kind", slowest, 0);
	/* a second, on a host that others use as well */
	CHECK("interrupt latency below a second", worst < 10000000, 1);
}

/* --- wfi --- */

static uint64_t sleep_until_pending(uint64_t bit, uint64_t from)
{
	while (!(csr_read(mip) & bit))
		__asm__ volatile("wfi");
	return now() - from;
}

static void wakes(void)
{
	uint64_t took, bad = 0;

	csr_write(mie, 0x80);
	for (int i = 0; i < 20; i++) {
		uint64_t from = now();
		set_mtimecmp(0, from + 20000);
		took = sleep_until_pending(0x80, from);
		bad += took < 20000 || took > 20000000;
	}
	set_mtimecmp(0, ~0ull);
	verdict("woken by mtimecmp", bad, took);
	CHECK("mtip goes with mtimecmp", csr_read(mip) & 0x80, 0);

	/* Sstc */
	csr_write(mie, 0x20);
	csr_set(0x30a, 1ull << 63);
	bad = 0;
	for (int i = 0; i < 20; i++) {
		uint64_t from = now();
		csr_write(0x14d, from + 20000);
		took = sleep_until_pending(0x20, from);
		bad += took < 20000 || took > 20000000;
	}
	csr_write(0x14d, ~0ull);
	verdict("woken by stimecmp", bad, took);
	CHECK("stip goes with stimecmp", csr_read(mip) & 0x20, 0);

	/* pending already: no sleep */
	csr_write(0x14d, 0);
	sleep_until_pending(0x20, 0);
	__asm__ volatile("wfi");
	say("ok no sleep with one pending\n");
	csr_write(0x14d, ~0ull);
	csr_clear(0x30a, 1ull << 63);
	/* far ahead, then near: the change counts */
	csr_write(mie, 0x80);
	set_mtimecmp(0, now() + 10000000000ull);
	set_mtimecmp(0, now() + 10000);
	took = sleep_until_pending(0x80, now());
	set_mtimecmp(0, ~0ull);
	CHECK("the last mtimecmp counts", took < 20000000, 1);
	csr_write(mie, 0);
}

static void sleeper(uint64_t hart, uint64_t n)
{
	csr_write(mie, 8);
	for (uint64_t i = 1; i <= n; i++) {
		while (!(csr_read(mip) & 8))
			__asm__ volatile("wfi");
		ipi(hart, false);
		fence();
		pings = i;
	}
	csr_write(mie, 0);
}

static void wake_other(uint64_t n)
{
	uint64_t seed = 1, late = 0;

	pings = 0;
	hart_start(1, sleeper, n);
	for (uint64_t i = 1; i <= n; i++) {
		uint64_t until = now() + 20000000;
		for (uint64_t wait = rng(&seed) % 500; wait; wait--)
			__asm__ volatile("");
		ipi(1, true);
		while (pings != i && now() < until)
			;
		late += pings != i;
	}
	verdict("woken by another hart", late, 0);
	if (!late)
		hart_wait(1);
}

/*
 * A loop around wfi with an interrupt pending, as firmware waits for a hart's start: it looks often at first, then
 * seldom, however much new code the other hart comes to; one more interrupt ends it at once.
 */
#define PAGES 200
static uint8_t code[PAGES][4096] __attribute__((aligned(4096)));
static volatile uint64_t looks, left_at;

static void waits_in_vain(uint64_t hart, uint64_t n)
{
	csr_write(mie, 8);
	for (looks = 0; flag.v != n; looks++)
		__asm__ volatile("wfi");
	left_at = now();
	csr_write(mie, 0);
	ipi(hart, false);
}

static void seldom(void)
{
	uint64_t from, looked;

	flag.v = 0;
	ipi(1, true);
	hart_start(1, waits_in_vain, 1);
	while (looks < 64)
		;
	for (from = now(); now() - from < 500000;)
		;
	looked = looks;
	for (uint64_t i = 0; i < PAGES; i++) {
		put32(code[i], I_LI(A0, i));
		put32(code[i] + 4, I_RET);
		fence_i();
		((code_fn *)(uintptr_t)code[i])(0, 0);
	}
	CHECK("new code of another hart is no reason to look", looks - looked < 20, 1);
	from = now();
	flag.v = 1;
	fence();
	ipi(1, true);
	hart_wait(1);
	CHECK("one more interrupt is, below a second", left_at - from < 10000000, 1);
}

void run(void)
{
	wakes();
	if (hart_count() < 2)
		return;
	receiver("message passing with fences", COUNT(200000), false);
	receiver("message passing with acquire", COUNT(200000), true);
	buffering(COUNT(20000));
	latency(COUNT(5000));
	wake_other(COUNT(20000));
	seldom();
}
