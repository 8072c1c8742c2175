/* SPDX-License-Identifier: MIT */
/* The runtime: see rt.h. Every hart; the console belongs to the hart that runs the program. */
#include <stdarg.h>

#include "rt.h"

#define UART ((volatile uint8_t *)0x10000000)
#define FINISHER ((volatile uint32_t *)0x100000)
#define MSIP ((volatile uint32_t *)0x2000000)
#define MTIMECMP ((volatile uint64_t *)0x2004000)
#define MTIME ((volatile uint64_t *)0x200bff8)

struct hart harts[HARTS];
char stacks[HARTS << STACK_BITS] __attribute__((aligned(4096)));
char panic_room[4096] __attribute__((aligned(16)));
uint32_t failures;

/* --- console --- */

static void put(char c)
{
	while (!(UART[5] & 0x20))
		;
	UART[0] = (uint8_t)c;
}

static void put_number(uint64_t v, uint32_t base)
{
	char digits[24];
	int n = 0;

	do
		digits[n++] = "0123456789abcdef"[v % base];
	while (v /= base);
	while (n)
		put(digits[--n]);
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (const char *p = format; *p; p++) {
		if (*p != '%') {
			put(*p);
			continue;
		}
		uint64_t v = va_arg(args, uint64_t);
		switch (*++p) {
		case 's':
			for (const char *s = (const char *)(uintptr_t)v; *s; s++)
				put(*s);
			break;
		case 'c': put((char)v); break;
		case 'd': case 'u': put_number(v, 10); break;
		default: put_number(v, 16); break;
		}
	}
	va_end(args);
}

void finish(uint32_t bad)
{
	say(bad ? "FAILED %d\n" : "done\n", (uint64_t)bad);
	/* the line's last byte leaves before the machine ends */
	while (!(UART[5] & 0x40))
		;
	*FINISHER = bad ? 1u << 16 | 0x3333 : 0x5555;
	for (;;)
		;
}

void check(bool right, const char *name, uint64_t got, uint64_t wanted)
{
	if (right) {
		say("ok %s\n", name);
		return;
	}
	failures++;
	say("FAIL %s: %x, not %x\n", name, got, wanted);
}

void verdict(const char *name, uint64_t bad, uint64_t first)
{
	if (!bad) {
		say("ok %s\n", name);
		return;
	}
	failures++;
	say("FAIL %s: %d times, first %x\n", name, bad, first);
}

void panic(void)
{
	const struct hart *h = me();

	say("PANIC: cause %x epc %x tval %x status %x\n", h->cause, h->epc, h->tval, h->status);
	finish(99);
}

/* --- harts --- */

uint64_t now(void)
{
	return *MTIME;
}

void set_mtimecmp(uint64_t hart, uint64_t at)
{
	MTIMECMP[hart] = at;
}

void ipi(uint64_t hart, bool on)
{
	fence();
	MSIP[hart] = on;
}

static volatile uint64_t present;

uint64_t hart_count(void)
{
	uint64_t n = 0;

	for (uint64_t bits = present; bits; bits >>= 1)
		n += bits & 1;
	return n;
}

static void serve(uint64_t hart)
{
	struct hart *h = &harts[hart];

	for (;;) {
		while (!h->work)
			;
		fence();
		fence_i();
		h->work(hart, h->arg);
		fence();
		h->work = NULL;
	}
}

void hart_start(uint64_t hart, void (*work)(uint64_t, uint64_t), uint64_t arg)
{
	harts[hart].arg = arg;
	fence();
	harts[hart].work = work;
}

void hart_wait(uint64_t hart)
{
	while (harts[hart].work)
		;
	fence();
}

void hart_main(uint64_t hart)
{
	__atomic_fetch_or(&present, 1ull << hart, __ATOMIC_SEQ_CST);
	if (hart)
		serve(hart);
	uint64_t until = now() + 200000;
	while (hart_count() < WANT_HARTS && now() < until)
		;
	run();
	finish(failures);
}

uint64_t rng(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* --- page tables --- */

#define TABLES 64
static uint64_t tables[TABLES][512] __attribute__((aligned(4096)));
static uint32_t tables_used;

void tables_reset(void)
{
	tables_used = 0;
}

uint64_t *table_new(void)
{
	if (tables_used == TABLES) {
		say("out of tables\n");
		finish(98);
	}
	uint64_t *t = tables[tables_used++];
	for (int i = 0; i < 512; i++)
		t[i] = 0;
	return t;
}

uint64_t *space_new(uint32_t asid, uint64_t *satp)
{
	uint64_t *root = table_new();

	root[0] = PTE(0, PTE_V | PTE_R | PTE_W | PTE_AD);
	root[2] = PTE(0x80000000, PTE_V | PTE_RWX | PTE_AD);
	*satp = 8ull << 60 | (uint64_t)asid << 44 | PC(root) >> 12;
	return root;
}

uint64_t *space_entry(uint64_t *root, uint32_t levels, uint64_t va, uint32_t level)
{
	for (uint32_t at = levels - 1;; at--) {
		uint64_t *entry = &root[va >> (12 + 9 * at) & 511];
		if (at == level)
			return entry;
		if (!(*entry & PTE_V))
			*entry = PTE(PC(table_new()), PTE_V);
		root = (uint64_t *)(uintptr_t)(*entry >> 10 << 12);
	}
}

void space_map(uint64_t *root, uint64_t va, uint64_t pa, uint64_t bits)
{
	*space_entry(root, 3, va, 0) = PTE(pa, bits);
}
