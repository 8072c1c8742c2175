/* SPDX-License-Identifier: MIT */
/*
 * Code that changes: in its own page and block, through other mappings, by remapping, by other harts, while they run.
 * Every function that is written returns a number; a stale translation returns an old one.
 */
#include "rt.h"

#define PAGES 8
static uint8_t area[PAGES][4096] __attribute__((aligned(4096)));
/* of a 2 MiB page each, for superpages */
static uint8_t large[2][2 << 20] __attribute__((aligned(2 << 20)));
static struct { uint64_t bad, first; } count;

static void note(uint64_t got, uint64_t wanted)
{
	if (got == wanted)
		return;
	if (!count.bad++)
		count.first = got << 32 | wanted;
}

static void conclude(const char *name)
{
	verdict(name, count.bad, count.first);
	count.bad = count.first = 0;
}

/* li a0, value; ret */
static void put_function(void *at, uint32_t value)
{
	put32(at, I_LI(A0, value));
	put32((uint8_t *)at + 4, I_RET);
}

static uint64_t call(const void *at)
{
	return ((code_fn *)(uintptr_t)at)(0, 0);
}

/* --- one hart, no translation --- */

/* A function that stores its second argument over its own next instruction. */
static void same_block(uint64_t n)
{
	uint8_t *f = area[0];

	for (uint64_t i = 0; i < n; i++) {
		put32(f, 0x00000517);                   /* auipc a0, 0 */
		put32(f + 4, 0x00b52623);               /* sw a1, 12(a0) */
		put32(f + 8, 0x0000100f);               /* fence.i */
		put32(f + 12, I_LI(A0, 0x7ff));
		put32(f + 16, I_RET);
		fence_i();
		note(((code_fn *)(uintptr_t)f)(0, I_LI(A0, i & 1023)), i & 1023);
		note(((code_fn *)(uintptr_t)f)(0, I_LI(A0, (i + 1) & 1023)), (i + 1) & 1023);
	}
	conclude("same block");
}

/* A straight run of stores, each over an instruction further on in the same page, then one fence. */
static void same_page(uint64_t n)
{
	uint8_t *f = area[1];

	for (uint64_t i = 0; i < n; i++) {
		uint32_t at = 64 + 8 * (i % 400);
		put_function(f + at, i & 1023);
		fence_i();
		note(call(f + at), i & 1023);
	}
	conclude("same page");
}

static void rewrite(uint64_t n)
{
	uint8_t *f = area[2] + 2040;

	put_function(f, 0);
	for (uint64_t i = 0; i < n; i++) {
		put32(f, I_LI(A0, i & 1023));
		fence_i();
		note(call(f), i & 1023);
	}
	conclude("rewritten in a loop");
}

/* Counters in the line of the code, and in another line of its page; the code itself writes them. */
static void data_near(uint64_t n)
{
	uint8_t *f = area[3] + 256;
	volatile uint64_t *near = (uint64_t *)(f + 32), *far = (uint64_t *)(f + 512);

	put32(f, 0x0005b603);           /* ld a2, 0(a1) */
	put32(f + 4, 0x00160613);       /* addi a2, a2, 1 */
	put32(f + 8, 0x00c5b023);       /* sd a2, 0(a1) */
	put32(f + 12, I_RET);
	fence_i();
	*near = *far = 0;
	for (uint64_t i = 0; i < n; i++) {
		((code_fn *)(uintptr_t)f)(0, PC(near));
		((code_fn *)(uintptr_t)f)(0, PC(far));
	}
	CHECK("data in the line of code", *near, n);
	CHECK("data in the page of code", *far, n);
}

/* Every width of store, and AMO and SC, over code. */
static void widths(void)
{
	uint8_t *f = area[4];

	for (uint32_t i = 1; i < 200; i++) {
		uint32_t word = I_LI(A0, i);
		put_function(f, 0);
		fence_i();
		call(f);
		switch (i % 6) {
		case 0: for (int k = 0; k < 4; k++) ((volatile uint8_t *)f)[k] = (uint8_t)(word >> 8 * k); break;
		case 1: put32(f, word); break;
		case 2: *(volatile uint32_t *)f = word; break;
		case 3: *(volatile uint64_t *)f = (uint64_t)I_RET << 32 | word; break;
		case 4: __atomic_exchange_n((uint32_t *)f, word, __ATOMIC_SEQ_CST); break;
		case 5: {
			uint64_t failed;
			do
				__asm__ volatile("lr.w t0, (%1)\nsc.w %0, %2, (%1)" : "=&r"(failed) : "r"(f), "r"(word)
						 : "t0", "memory");
			while (failed);
			break;
		}
		}
		fence_i();
		note(call(f), i);
	}
	conclude("every kind of store");
}

/* A misaligned store over the end of one page and the start of the next, code in both. */
static void across_pages(void)
{
	uint8_t *f = area[4] + 4092;    /* li at the end of a page, ret in the next */

	for (uint64_t i = 0; i < 500; i++) {
		uint64_t both = (uint64_t)I_RET << 32 | I_LI(A0, i);
		__asm__ volatile("sd %0, 0(%1)" :: "r"(both), "r"(f) : "memory");
		fence_i();
		note(call(f), i);
		*(volatile uint32_t *)(f + 4) = I_ADDI(A0, A0, 1);
		*(volatile uint32_t *)(f + 8) = I_RET;
		fence_i();
		note(call(f), i + 1);
	}
	conclude("store across pages");
}

/* --- with translation, in S-mode --- */

#define VA 0x40000000ull
static uint64_t *root, satp;

static void enter_space(uint64_t value)
{
	csr_write(satp, value);
}

static void two_mappings(uint64_t n)
{
	uint8_t *one = (uint8_t *)VA, *two = (uint8_t *)VA + 0x5000;

	space_map(root, PC(one), PC(area[0]), PTE_V | PTE_RWX | PTE_AD);
	space_map(root, PC(two), PC(area[0]), PTE_V | PTE_RWX | PTE_AD);
	sfence_all();
	for (uint64_t i = 0; i < n; i++) {
		uint32_t at = 16 * (i % 7);
		put_function(one + at, i & 1023);
		fence_i();
		note(call(two + at), i & 1023);
		note(call(one + at), i & 1023);
		put32(two + at, I_LI(A0, (i + 5) & 1023));
		fence_i();
		note(call(one + at), (i + 5) & 1023);
		put32(area[0] + at, I_LI(A0, (i + 7) & 1023));
		fence_i();
		note(call(one + at), (i + 7) & 1023);
		note(call(two + at), (i + 7) & 1023);
	}
	conclude("two mappings");
}

static void remap(uint64_t n)
{
	uint8_t *va = (uint8_t *)VA + 0x10000;

	for (uint32_t k = 0; k < 4; k++)
		for (uint32_t at = 0; at < 4096; at += 1024)
			put_function(area[k] + at, 100 * k + at / 1024);
	fence_i();
	for (uint64_t i = 0; i < n; i++) {
		uint32_t k = i % 4, at = i / 4 % 4 * 1024;
		space_map(root, PC(va), PC(area[k]), PTE_V | PTE_RWX | PTE_AD);
		if (i & 8)
			sfence_page(PC(va) + (i & 16 ? 2048 : 0));
		else if (i & 32)
			sfence_page_asid(PC(va), 1);
		else
			sfence_all();
		note(call(va + at), 100 * k + at / 1024);
	}
	conclude("remapped page");
}

/* li a0, n over the end of a page: its opcode half in the first page, its number in the second. */
static void straddle(uint64_t n)
{
	uint8_t *va = (uint8_t *)VA + 0x20000;
	uint8_t *first = area[5], *second[2] = { area[6], area[7] };
	uint32_t word = I_LI(A0, 0);

	*(volatile uint16_t *)(first + 4094) = (uint16_t)word;
	for (uint32_t k = 0; k < 2; k++)
		put32(second[k] + 2, I_RET);
	space_map(root, PC(va), PC(first), PTE_V | PTE_RWX | PTE_AD);
	for (uint64_t i = 0; i < n; i++) {
		uint8_t *page = second[i & 1];
		uint32_t value = i & 1023;
		space_map(root, PC(va) + 4096, PC(page), PTE_V | PTE_RWX | PTE_AD);
		sfence_page(PC(va) + 4096);
		*(volatile uint16_t *)page = (uint16_t)(I_LI(A0, value) >> 16);
		fence_i();
		note(call(va + 4094), value);
		*(volatile uint16_t *)page = (uint16_t)(I_LI(A0, value + 1) >> 16);
		fence_i();
		note(call(va + 4094), value + 1);
		/* the first half: now it writes another register */
		*(volatile uint16_t *)(first + 4094) = (uint16_t)I_LI(A1, 0);
		fence_i();
		note(((code_fn *)(uintptr_t)(va + 4094))(3000, 0), 3000);
		*(volatile uint16_t *)(first + 4094) = (uint16_t)word;
		fence_i();
		note(call(va + 4094), value + 1);
	}
	conclude("straddling instruction rewritten");

	put32(area[6], (I_LI(A0, 111) >> 16 | I_RET << 16));
	put32(area[6] + 4, I_RET >> 16);
	put32(area[7], (I_LI(A0, 222) >> 16 | I_RET << 16));
	put32(area[7] + 4, I_RET >> 16);
	fence_i();
	for (uint64_t i = 0; i < n; i++) {
		space_map(root, PC(va) + 4096, PC(second[i & 1]), PTE_V | PTE_RWX | PTE_AD);
		sfence_page(PC(va) + 4096);
		note(call(va + 4094), i & 1 ? 222 : 111);
	}
	conclude("straddling instruction, second page remapped");
}

/* Both pages of a straddling instruction are one page of memory. */
static void straddle_alias(void)
{
	uint8_t *va = (uint8_t *)VA + 0x30000;

	space_map(root, PC(va), PC(area[5]), PTE_V | PTE_RWX | PTE_AD);
	space_map(root, PC(va) + 4096, PC(area[5]), PTE_V | PTE_RWX | PTE_AD);
	sfence_all();
	*(volatile uint16_t *)(va + 4094) = (uint16_t)I_LI(A0, 0);
	put32(va + 2, I_RET);
	for (uint32_t i = 0; i < 300; i++) {
		*(volatile uint16_t *)va = (uint16_t)(I_LI(A0, i) >> 16);
		fence_i();
		note(call(va + 4094), i);
	}
	conclude("straddling instruction in one page of memory");
}

/* A jump over the end of a page: nothing in the second page is ever jumped to. */
static void straddle_jump(uint64_t n)
{
	uint8_t *va = (uint8_t *)VA + 0x28000, *first = area[5];

	for (uint32_t k = 0; k < 2; k++) {
		uint32_t back = 4094 - 64 * (k + 1);    /* distance to the function */
		uint32_t imm = (uint32_t)-(int32_t)back;
		uint32_t word = 0x6f | (imm >> 20 & 1) << 31 | (imm >> 1 & 0x3ff) << 21 | (imm >> 11 & 1) << 20 |
				(imm >> 12 & 0xff) << 12;
		*(volatile uint16_t *)(first + 4094) = (uint16_t)word;
		*(volatile uint16_t *)area[6 + k] = (uint16_t)(word >> 16);
		put_function(first + 64 * (k + 1), 51 + k);
	}
	fence_i();
	space_map(root, PC(va), PC(first), PTE_V | PTE_RWX | PTE_AD);
	for (uint64_t i = 0; i < n; i++) {
		space_map(root, PC(va) + 4096, PC(area[6 + (i & 1)]), PTE_V | PTE_RWX | PTE_AD);
		sfence_page(PC(va) + 4096);
		note(call(va + 4094), 51 + (i & 1));
	}
	conclude("straddling jump, second page remapped");
}

/* Two programs at one address, in two address spaces. */
static void two_spaces(uint64_t n, uint32_t asid_a, uint32_t asid_b)
{
	uint64_t satp_a, satp_b, va = VA + 0x40000;
	uint64_t *a = space_new(asid_a, &satp_a), *b = space_new(asid_b, &satp_b);

	put_function(area[0] + 8, 1);
	put_function(area[1] + 8, 2);
	space_map(a, va, PC(area[0]), PTE_V | PTE_RWX | PTE_AD);
	space_map(b, va, PC(area[1]), PTE_V | PTE_RWX | PTE_AD);
	fence_i();
	for (uint64_t i = 0; i < n; i++) {
		enter_space(i & 1 ? satp_b : satp_a);
		if (asid_a == asid_b)
			sfence_all();
		note(call((void *)(va + 8)), 1 + (i & 1));
		if (i % 16 == 15) {
			/* the other space changes while this one is on */
			space_map(a, va, PC(area[0]), PTE_V | PTE_RWX | PTE_AD);
			put_function(area[0] + 8, 1);
			fence_i();
		}
	}
	/* A page of the space that is not on goes elsewhere, and is flushed from here. */
	for (uint64_t i = 0; i < n && asid_a != asid_b; i++) {
		enter_space(satp_a);
		note(call((void *)(va + 8)), 1 + (i & 1));
		enter_space(satp_b);
		note(call((void *)(va + 8)), 2);
		space_map(a, va, PC(area[(i + 1) & 1]), PTE_V | PTE_RWX | PTE_AD);
		sfence_page_asid(va, asid_a);
	}
	enter_space(satp);
	sfence_all();
	conclude(asid_a == asid_b ? "two spaces of one ASID" : "two spaces");
}

/* Code in a 2 MiB page of a space that is not on, remapped from another; one address stands for all of it. */
static void large_pages(void)
{
	uint64_t satp_a, satp_b, va = VA + 0x80000000;
	uint64_t *a = space_new(7, &satp_a);

	space_new(8, &satp_b);
	for (uint32_t k = 0; k < 2; k++)
		put_function(large[k] + 0x5000, 10 + k);
	fence_i();
	for (uint32_t i = 0; i < 60; i++) {
		*space_entry(a, 3, va, 1) = PTE(PC(large[i & 1]), PTE_V | PTE_RWX | PTE_AD);
		if (i % 3 == 0) {
			sfence_page_asid(va, 7);
			enter_space(satp_a);
		} else {
			enter_space(satp_a);
			if (i % 3 == 1)
				sfence_page(va + 0x1000);
			else
				sfence_all();
		}
		note(call((void *)(va + 0x5000)), 10 + (i & 1));
		enter_space(satp_b);
	}
	enter_space(satp);
	sfence_all();
	conclude("superpage of another space remapped");
}

static void supervisor(uint64_t unused, uint64_t n)
{
	(void)unused;
	two_mappings(n);
	remap(n);
	straddle(n / 4);
	straddle_jump(n / 4);
	straddle_alias();
	two_spaces(n, 1, 2);
	two_spaces(n, 3, 3);
	large_pages();
}

/*
 * Machine mode fetches by physical addresses, also while mstatus.MPRV makes its data accesses those of S-mode in a
 * space that maps the same numbers elsewhere.
 */
static void mprv(void)
{
	uint64_t other, *space;

	tables_reset();
	space = space_new(4, &other);
	/* the 2 MiB of large[0] show large[1] */
	for (uint64_t pa = 0x80000000; pa < 0x80000000 + (16 << 20); pa += 2 << 20) {
		if (pa == 0x80000000)
			space[2] = 0;
		*space_entry(space, 3, pa, 1) = PTE(pa == PC(large[0]) ? PC(large[1]) : pa, PTE_V | PTE_RWX | PTE_AD);
	}
	put32(large[0], I_LI(A0, 1));
	put32(large[1], I_LI(A0, 2));
	for (int k = 0; k < 2; k++) {
		put32(large[k] + 4, 0x0040006f);        /* j to the next: blocks that are looked up */
		put32(large[k] + 8, 0x00001597);        /* auipc a1, 1 */
		put32(large[k] + 12, 0x00858593);       /* addi a1, a1, 8 */
		put32(large[k] + 16, 0x00058067);       /* jr a1: 0x1010 */
		put32(large[k] + 0x1010, I_ADDI(A0, A0, 10 + 10 * k));
		put32(large[k] + 0x1014, I_RET);
	}
	fence_i();
	csr_write(satp, other);
	sfence_all();
	for (int i = 0; i < 20; i++) {
		call_in(MODE_S, PC(large[0]), 0, 0);
		note(me()->a0, 2 + 20);
		csr_clear(mstatus, 0x1800);
		csr_set(mstatus, 0x800 | 1 << 17);
		note(call(large[0]), 1 + 10);
		csr_clear(mstatus, 1 << 17);
	}
	csr_write(satp, 0);
	sfence_all();
	conclude("fetches under MPRV");
}

/* --- two harts --- */

static volatile uint64_t sequence, answer, stop;

/* Told by an interrupt. */
static void follower(uint64_t hart, uint64_t code)
{
	uint64_t seen = 0;

	csr_write(mie, 8);
	while (!stop) {
		if (!(csr_read(mip) & 8)) {
			__asm__ volatile("wfi");
			continue;
		}
		ipi(hart, false);
		fence();
		fence_i();
		if (sequence == seen)
			continue;
		seen = sequence;
		answer = seen << 32 | call((void *)(uintptr_t)code);
		fence();
	}
	csr_write(mie, 0);
}

static void remote(uint64_t n)
{
	uint8_t *f = area[6] + 128;

	stop = sequence = answer = 0;
	put_function(f, 0);
	hart_start(1, follower, PC(f));
	for (uint64_t i = 1; i <= n; i++) {
		put32(f, I_LI(A0, i & 1023));
		fence();
		sequence = i;
		ipi(1, true);
		while (answer >> 32 != i)
			;
		note(answer & 0xffffffff, i & 1023);
	}
	stop = 1;
	ipi(1, true);
	hart_wait(1);
	ipi(1, false);
	conclude("written by another hart, told by an interrupt");
}

/* Runs the code all the time; what was written before the number that it read must be seen. */
static void racer(uint64_t hart, uint64_t code)
{
	(void)hart;
	while (!stop) {
		uint64_t from = sequence;
		fence();
		fence_i();
		uint64_t got = call((void *)(uintptr_t)code);
		if (got < from && !count.bad++)
			count.first = from << 32 | got;
		answer = got;
		fence();
	}
}

/*
 * The first store makes the racer translate anew, the second, some time later, meets it at its work. A translation
 * of the first that survives is never seen to change.
 */
static void race(uint64_t rounds)
{
	uint8_t *f = area[7] + 256;
	uint64_t seed = 1;

	for (uint64_t r = 0; r < rounds && !count.bad; r++) {
		put_function(f, 0);
		stop = sequence = answer = 0;
		hart_start(1, racer, PC(f));
		for (uint64_t i = 1; i < 1000 && !count.bad; i += 2) {
			*(volatile uint32_t *)f = I_LI(A0, i);
			for (uint64_t wait = rng(&seed) % 1024 >> (r & 7); wait; wait--)
				__asm__ volatile("");
			*(volatile uint32_t *)f = I_LI(A0, i + 1);
			fence();
			sequence = i + 1;
			uint64_t until = now() + 20000000;
			while (answer != i + 1 && !count.bad)
				if (now() > until)
					note(answer, i + 1);
		}
		stop = 1;
		hart_wait(1);
	}
	conclude("written by another hart while it runs");
}

void run(void)
{
	same_block(COUNT(20000));
	same_page(COUNT(20000));
	rewrite(COUNT(100000));
	data_near(COUNT(100000));
	widths();
	across_pages();
	root = space_new(1, &satp);
	csr_write(satp, satp);
	sfence_all();
	uint64_t cause = call_in(MODE_S, PC(supervisor), 0, COUNT(4000));
	csr_write(satp, 0);
	CHECK("supervisor's part ended", cause, CAUSE_ECALL_S);
	if (cause != CAUSE_ECALL_S)
		say("epc %x tval %x\n", me()->epc, me()->tval);
	mprv();
	if (hart_count() < 2)
		return;
	remote(COUNT(20000));
	race(COUNT(10));
}
