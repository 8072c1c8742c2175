/* SPDX-License-Identifier: MIT */
/*
 * Physical memory protection against a byte-by-byte model, and page walks against the specification's
 * algorithm, over all flags of a leaf, all levels and regimes.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "front/riscv/pmp.h"
#include "rvfake.h"

static struct rv_fake *f;

static void setup(void)
{
	f = rv_fake_new(RV_ISA_DEFAULT);
}

static void teardown(void)
{
	rv_fake_free(f);
}

static uint64_t get(uint32_t number)
{
	uint64_t value;

	ck_assert_msg(rv_csr_peek(f->env, number, &value), "%03x", number);
	return value;
}

static void set(uint32_t number, uint64_t value)
{
	ck_assert_msg(rv_csr_poke(f->env, number, value), "%03x", number);
}

/* --- PMP --- */

/* By the book, a byte at a time: what the entry says that matches this byte, as a number; -1: none. */
static int byte_entry(const struct rv_pmp *p, uint64_t byte)
{
	for (int i = 0; i < (int)RV_PMP_ENTRIES; i++) {
		uint64_t low = i ? p->addr[i - 1] << 2 : 0, high = p->addr[i] << 2;
		uint64_t ones = p->addr[i] ^ (p->addr[i] + 1);  /* 2^(n+1) - 1 for n trailing ones */
		switch (p->cfg[i] & PMP_A) {
		case PMP_A_TOR:
			if (byte >= low && byte < high)
				return i;
			break;
		case PMP_A_NA4:
			if (byte >> 2 == p->addr[i])
				return i;
			break;
		case PMP_A_NAPOT:
			if (((byte >> 2 ^ p->addr[i]) & ~ones) == 0)
				return i;
			break;
		}
	}
	return -1;
}

static uint32_t brute(const struct rv_pmp *p, uint32_t priv, uint64_t phys, uint32_t width)
{
	int entry = -2;

	for (uint32_t i = 0; i < width; i++) {
		int e = byte_entry(p, phys + i);
		/* the lowest that matches any byte decides, and must match all */
		if (entry != -2 && e != entry)
			return 0;
		entry = e;
	}
	if (entry < 0)
		return priv == RV_M ? 7 : 0;
	return priv == RV_M && !(p->cfg[entry] & PMP_L) ? 7 : p->cfg[entry] & 7;
}

START_TEST(pmp_matching)
{
	uint64_t rng = 9;

	for (int round = 0; round < 3000; round++) {
		struct rv_pmp p = { 0 };
		uint64_t window = FAKE_RAM >> 2;
		for (uint32_t i = 0; i < RV_PMP_ENTRIES; i++) {
			uint64_t r = rv_fake_random(&rng);
			if (r & 3)
				continue;
			p.cfg[i] = r >> 8 & 0x9f;
			p.addr[i] = window + (r >> 16 & 0xfff);
			if (r >> 32 & 1)
				p.addr[i] |= (UINT64_C(1) << (r >> 40 & 15)) - 1;
			if ((r >> 33 & 15) == 0)
				p.addr[i] = (UINT64_C(1) << 54) - 1;
		}
		rv_pmp_update(&p);
		for (int i = 0; i < 60; i++) {
			uint64_t r = rv_fake_random(&rng);
			uint32_t width = 1u << (r & 3), priv = r >> 2 & 1 ? RV_M : RV_S, perms;
			uint64_t phys = FAKE_RAM + (r >> 8 & 0x3fff & ~(uint64_t)(width - 1));
			bool whole;
			enum tcg_access access = (enum tcg_access)(r >> 4 & 3 ? (r >> 4 & 3) - 1 : 0);
			static const uint32_t need[] = { PMP_R, PMP_W, PMP_X };
			bool ok = rv_pmp_check(&p, priv, phys, width, access, &perms, &whole);
			uint32_t expect = brute(&p, priv, phys, width);
			ck_assert_msg(ok == !!(expect & need[access]), "round %d phys %lx width %u", round, phys, width);
			if (!whole)
				continue;
			/* the answer is to hold for all of the page */
			for (int k = 0; k < 16; k++) {
				uint64_t other = (phys & TCG_PAGE_MASK) + (rv_fake_random(&rng) & 0xffc);
				ck_assert_uint_eq(brute(&p, priv, other, 4), perms);
			}
		}
	}
}
END_TEST

START_TEST(pmp_registers)
{
	uint64_t v;

	set(CSR_PMPADDR0, 0x1000);
	set(CSR_PMPADDR0 + 1, 0x2000);
	set(CSR_PMPCFG0, 0x8f << 8 | 0x7f);                     /* 1: locked TOR rwx; bits 5 and 6 are 0 */
	ck_assert_uint_eq(get(CSR_PMPCFG0), 0x8f << 8 | 0x1f);
	set(CSR_PMPADDR0, 1);                                   /* the bottom of a locked range */
	set(CSR_PMPADDR0 + 1, 1);
	ck_assert_uint_eq(get(CSR_PMPADDR0), 0x1000);
	ck_assert_uint_eq(get(CSR_PMPADDR0 + 1), 0x2000);
	set(CSR_PMPCFG0, 0);
	ck_assert_uint_eq(get(CSR_PMPCFG0), 0x8f << 8);
	set(CSR_PMPCFG0 + 2, UINT64_C(0x1f) << 56 | 2);         /* w without r */
	ck_assert_uint_eq(get(CSR_PMPCFG0 + 2), UINT64_C(0x1f) << 56);
	ck_assert_uint_eq(f->s->pmp.cfg[15], 0x1f);
	ck_assert(!rv_csr_peek(f->env, CSR_PMPCFG0 + 1, &v));   /* odd ones are of RV32 */
	uint32_t flushes = f->flushes;
	set(CSR_PMPADDR0 + 5, 99);
	ck_assert_uint_eq(f->flushes, flushes + 1);
}
END_TEST

/* --- page walks --- */

#define PTE_V UINT64_C(0x01)
#define PTE_R UINT64_C(0x02)
#define PTE_W UINT64_C(0x04)
#define PTE_X UINT64_C(0x08)
#define PTE_U UINT64_C(0x10)
#define PTE_A UINT64_C(0x40)
#define PTE_D UINT64_C(0x80)
#define TABLES (FAKE_RAM + 0x10000)

static uint64_t pte_of(uint64_t phys, uint64_t bits)
{
	return phys >> 12 << 10 | bits;
}

/* Tables for vaddr with a leaf at `level` in Sv39 (3), Sv48 (4) or Sv57 (5); the address of the leaf. */
static uint64_t map(uint32_t levels, uint64_t vaddr, uint32_t level, uint64_t leaf)
{
	uint64_t table = TABLES, entry;

	memset(f->ram + (TABLES - FAKE_RAM), 0, 4096 * 5);
	f->s->satp = (UINT64_C(5) + levels) << 60 | TABLES >> 12;
	for (uint32_t l = levels - 1;; l--) {
		entry = table + (vaddr >> (12 + 9 * l) & 511) * 8;
		if (l == level)
			break;
		table += 4096;
		rv_fake_put(f, entry, pte_of(table, PTE_V), 8);
	}
	rv_fake_put(f, entry, leaf, 8);
	return entry;
}

/* The cause of the fault, or 0 and what the entry becomes: the specification's algorithm, steps 4 to 7. */
static uint32_t walk_model(uint64_t pte, enum tcg_access access, uint32_t mmu, bool mxr, bool adue,
			   uint64_t *after)
{
	static const uint8_t page_fault[] = { 13, 15, 12 };
	bool r = pte & PTE_R, w = pte & PTE_W, x = pte & PTE_X, u = pte & PTE_U;
	uint64_t want = PTE_A | (access == TCG_STORE ? PTE_D : 0);

	*after = pte;
	if (!(pte & PTE_V) || (w && !r) || (!r && !x))
		return page_fault[access];
	if (access == TCG_LOAD ? !(r || (mxr && x)) : access == TCG_STORE ? !w : !x)
		return page_fault[access];
	if (mmu == RV_MMU_U && !u)
		return page_fault[access];
	if (mmu != RV_MMU_U && u && (access == TCG_FETCH || mmu == RV_MMU_S))
		return page_fault[access];
	if ((pte & want) == want)
		return 0;
	if (!adue)
		return page_fault[access];
	*after = pte | want;
	return 0;
}

static void open_memory(void)
{
	rv_fake_enter(f, RV_S);
}

static bool walk(uint64_t vaddr, enum tcg_access access, uint32_t mmu, struct tcg_walk *w)
{
	f->s->priv = mmu == RV_MMU_U ? RV_U : RV_S;
	return front_riscv.walk(f->env, vaddr, access, mmu, 4, w);
}

static void check_walk(uint32_t levels, uint32_t level, uint64_t bits, enum tcg_access access, uint32_t mmu,
		       bool mxr, bool adue)
{
	static const uint64_t vaddrs[] = { 0x0000002345678abc, 0xffff812345678abc, 0xff01812345678abc };
	uint64_t vaddr = vaddrs[levels - 3];
	uint64_t size = UINT64_C(1) << (12 + 9 * level), target = UINT64_C(0x12) << 48;
	uint64_t pte = pte_of(target, bits), entry = map(levels, vaddr, level, pte), after;
	struct tcg_walk w;

	f->s->mstatus = mxr ? MSTATUS_MXR : 0;
	f->s->menvcfg = adue ? MENVCFG_ADUE : 0;
	uint32_t cause = walk_model(pte, access, mmu, mxr, adue, &after);
	bool ok = walk(vaddr, access, mmu, &w);
	ck_assert_msg(ok == !cause, "sv%u level %u bits %02lx access %d mmu %u mxr %d adue %d",
		      levels * 9 + 12, level,
		      bits, access, mmu, mxr, adue);
	ck_assert_uint_eq(rv_fake_get(f, entry, 8), after);
	if (!ok) {
		ck_assert_uint_eq(f->env->exception, cause);
		ck_assert_uint_eq(f->env->exception_value, vaddr);
		return;
	}
	ck_assert_uint_eq(w.phys, target | (vaddr & (size - 1)));
	ck_assert_uint_eq(w.page_bytes, size);
	ck_assert(!w.partial);
	/* what may be cached is what would be granted without another look at the entry */
	for (enum tcg_access a = TCG_LOAD; a <= TCG_STORE && access != TCG_FETCH; a++) {
		bool cached = a == TCG_LOAD ? w.readable : w.writable;
		uint64_t unused;
		if (cached)
			ck_assert_uint_eq(walk_model(after, a, mmu, mxr, false, &unused), 0);
	}
	if (access == TCG_LOAD)
		ck_assert(w.readable);
	if (access == TCG_STORE)
		ck_assert(w.writable);
}

START_TEST(walk_matrix)
{
	open_memory();
	for (uint32_t levels = 3; levels <= 5; levels++)
		for (uint32_t level = 0; level < levels; level++)
			for (uint64_t bits = 0; bits < 256; bits++) {
				if (level && !(bits & (PTE_R | PTE_W | PTE_X)))
					continue;       /* a pointer */
				for (enum tcg_access access = TCG_LOAD; access <= TCG_FETCH; access++)
					for (uint32_t mmu = RV_MMU_U; mmu <= RV_MMU_S_SUM; mmu++)
						for (int k = 0; k < 4; k++)
							check_walk(levels, level, bits, access, mmu, k & 1, k & 2);
			}
}
END_TEST

/* A debugger sees every page that is mapped, and nothing comes of its looking. */
START_TEST(looks_change_nothing)
{
	open_memory();
	f->s->menvcfg = MENVCFG_ADUE;
	for (uint64_t bits = 0; bits < 256; bits++)
		for (uint32_t mmu = RV_MMU_U; mmu <= RV_MMU_S_SUM; mmu++) {
			uint64_t pte = pte_of(UINT64_C(0x123) << 39, bits), entry = map(3, 0x2345678abc, 1, pte);
			bool leaf = (bits & PTE_V) && (bits & (PTE_R | PTE_X)) && (bits & (PTE_R | PTE_W)) != PTE_W;
			struct tcg_walk w;
			if (!(bits & (PTE_R | PTE_W | PTE_X)))
				continue;       /* a pointer */
			f->env->mmu = mmu;
			f->env->exception = 77;
			f->env->exit_reason = TCG_EXIT_NONE;
			ck_assert_int_eq(front_riscv.look(f->env, 0x2345678abc, &w), leaf);
			ck_assert_uint_eq(f->env->exception, 77);
			ck_assert_uint_eq(f->env->exit_reason, TCG_EXIT_NONE);
			ck_assert_uint_eq(rv_fake_get(f, entry, 8), pte);
			if (leaf)
				ck_assert_uint_eq(w.phys, UINT64_C(0x123) << 39 | (0x2345678abc & 0x1fffff));
		}
	f->env->mmu = RV_MMU_M;
	struct tcg_walk w;
	ck_assert(front_riscv.look(f->env, 0xdeadbeef, &w));
	ck_assert_uint_eq(w.phys, 0xdeadbeef);
}
END_TEST

static uint32_t fault_of(uint64_t vaddr, enum tcg_access access)
{
	struct tcg_walk w;

	return walk(vaddr, access, RV_MMU_S, &w) ? 0 : (uint32_t)f->env->exception;
}

#define LEAF (PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D)

START_TEST(malformed_tables)
{
	open_memory();
	f->s->menvcfg |= MENVCFG_PBMTE;
	for (int bit = 54; bit < 61; bit++) {           /* reserved */
		map(3, 0x1000, 0, pte_of(FAKE_RAM, LEAF) | UINT64_C(1) << bit);
		ck_assert_uint_eq(fault_of(0x1000, TCG_LOAD), 13);
	}
	for (uint32_t level = 1; level < 5; level++)
		for (uint32_t bit = 12; bit < 12 + 9 * level; bit++) {
			map(5, 0x1000, level, pte_of(UINT64_C(1) << bit, LEAF));
			ck_assert_uint_eq(fault_of(0x1000, TCG_STORE), 15);
		}
	/* A, D and U of a pointer are reserved */
	static const uint64_t bad[] = { PTE_A, PTE_D, PTE_U };
	for (int i = 0; i < 3; i++) {
		map(3, 0x1000, 0, pte_of(FAKE_RAM, LEAF));
		ck_assert_uint_eq(fault_of(0x1000, TCG_LOAD), 0);
		rv_fake_put(f, TABLES, rv_fake_get(f, TABLES, 8) | bad[i], 8);
		ck_assert_uint_eq(fault_of(0x1000, TCG_LOAD), 13);
	}
	/* a pointer at the last level */
	map(3, 0x1000, 0, pte_of(FAKE_RAM, PTE_V));
	ck_assert_uint_eq(fault_of(0x1000, TCG_FETCH), 12);
	/* tables where nothing is */
	f->s->satp = UINT64_C(8) << 60 | 5;
	ck_assert_uint_eq(fault_of(0x1000, TCG_LOAD), RV_LOAD_ACCESS);
	ck_assert_uint_eq(fault_of(0x1000, TCG_STORE), RV_STORE_ACCESS);
	ck_assert_uint_eq(fault_of(0x1000, TCG_FETCH), RV_INSN_ACCESS);
}
END_TEST

/* Every value of PBMT and N in a leaf and in a pointer, at each level; with PBMTE and without. */
START_TEST(high_bits)
{
	for (uint64_t high = 0; high < 8; high++)
		for (uint32_t level = 0; level < 3; level++)
			for (uint32_t kind = 0; kind < 8; kind++) {
				bool pbmte = kind & 1, pointer = kind & 2, napot = kind & 4;
				uint64_t bits = high << 61, n = high >> 2, pbmt = high & 3;
				uint64_t ppn_end = napot && level == 0 ? 0x8000 : 0;
				bool legal = (!pbmt || (pbmte && pbmt < 3 && !pointer)) &&
					     (!n || (ppn_end && !pointer));
				open_memory();
				f->s->menvcfg = pbmte ? MENVCFG_PBMTE : 0;
				uint64_t entry = map(3, 0x1000, level, pte_of(ppn_end, LEAF) | (pointer ? 0 : bits));
				if (pointer) {  /* the entry above; at the top the leaf itself becomes one */
					uint64_t at = level == 2 ? entry : TABLES + (1 - level) * 4096;
					uint64_t old = level == 2 ? pte_of(TABLES + 4096, PTE_V) : rv_fake_get(f, at, 8);
					rv_fake_put(f, at, old | bits, 8);
				}
				uint32_t cause = fault_of(0x1000, TCG_LOAD);
				/* a pointer made of the top leaf leads to an empty table */
				ck_assert_msg((cause == 13) == (!legal || (pointer && level == 2)),
					      "high %lu level %u kind %u: %u", high, level, kind, cause);
			}
}
END_TEST

/* 64 KiB of sixteen entries alike: the address's own bits stand for the last four of the PPN. */
START_TEST(napot)
{
	uint64_t leaf = pte_of(0x120000 | 0x8000, LEAF) | UINT64_C(1) << 63;
	struct tcg_walk w;

	open_memory();
	for (uint64_t page = 0; page < 16; page++) {
		uint64_t vaddr = 0x40000 + page * 4096 + 0xabc;
		map(4, vaddr, 0, leaf);
		ck_assert(walk(vaddr, TCG_LOAD, RV_MMU_S, &w));
		ck_assert_uint_eq(w.phys, 0x120000 + page * 4096 + 0xabc);
		ck_assert_uint_eq(w.page_bytes, 0x10000);
	}
	for (uint64_t end = 0; end < 16; end++) {       /* other sizes are reserved */
		map(4, 0x40000, 0, pte_of(0x120000 | end << 12, LEAF) | UINT64_C(1) << 63);
		ck_assert_uint_eq(fault_of(0x40000, TCG_STORE), end == 8 ? 0 : 15);
	}
	rv_fake_free(f);
	f = rv_fake_new("rv64gc");
	open_memory();
	map(4, 0x40000, 0, leaf);
	ck_assert_uint_eq(fault_of(0x40000, TCG_FETCH), 12);
}
END_TEST

START_TEST(canonical_addresses)
{
	open_memory();
	map(3, 0x1000, 2, pte_of(0, LEAF));
	ck_assert_uint_eq(fault_of(0x3fffffff, TCG_LOAD), 0);
	ck_assert_uint_eq(fault_of(UINT64_C(1) << 39 | 0x1000, TCG_LOAD), 13);
	ck_assert_uint_eq(fault_of(UINT64_C(1) << 63 | 0x1000, TCG_LOAD), 13);
	ck_assert_uint_eq(fault_of(UINT64_C(0xffffffc000001000), TCG_FETCH), 12);       /* canonical, not mapped */
	map(4, UINT64_C(0xffff800000001000), 3, pte_of(0, LEAF));
	ck_assert_uint_eq(fault_of(UINT64_C(0xffff800000001000), TCG_LOAD), 0);
	ck_assert_uint_eq(fault_of(UINT64_C(0x0000800000001000), TCG_LOAD), 13);
	map(5, UINT64_C(0xff00000000001000), 4, pte_of(0, LEAF));
	ck_assert_uint_eq(fault_of(UINT64_C(0xff00000000001000), TCG_LOAD), 0);
	ck_assert_uint_eq(fault_of(UINT64_C(0x0100000000001000), TCG_LOAD), 13);
	map(5, UINT64_C(0x00ff000000001000), 4, pte_of(0, LEAF));
	ck_assert_uint_eq(fault_of(UINT64_C(0x00ff000000001000), TCG_LOAD), 0);
}
END_TEST

START_TEST(bare_and_machine)
{
	struct tcg_walk w;

	rv_fake_enter(f, RV_S);
	ck_assert(front_riscv.walk(f->env, 0xdeadbeef1000, TCG_LOAD, RV_MMU_S, 8, &w));
	ck_assert_uint_eq(w.phys, 0xdeadbeef1000);
	rv_fake_enter(f, RV_M);
	map(3, FAKE_RAM, 0, 0);
	ck_assert(front_riscv.walk(f->env, FAKE_RAM + 8, TCG_STORE, RV_MMU_M, 8, &w));
	ck_assert_uint_eq(w.phys, FAKE_RAM + 8);
	ck_assert(w.writable && !w.partial);
	/* MPRV: loads go through the tables, fetches do not */
	ck_assert(!front_riscv.walk(f->env, FAKE_RAM + 8, TCG_LOAD, RV_MMU_S, 8, &w));
	ck_assert(front_riscv.walk(f->env, FAKE_RAM + 8, TCG_FETCH, RV_MMU_S, 2, &w));
	ck_assert_uint_eq(w.phys, FAKE_RAM + 8);
}
END_TEST

/* Another hart changes the entry between the read and the update: the walk starts over. */
START_TEST(lost_update)
{
	struct tcg_walk w;

	open_memory();
	uint64_t entry = map(3, 0x1000, 0, pte_of(FAKE_RAM, PTE_V | PTE_R | PTE_W));
	f->s->menvcfg = MENVCFG_ADUE;
	f->cas_loses = true;
	ck_assert(walk(0x1000, TCG_STORE, RV_MMU_S, &w));
	ck_assert(!f->cas_loses);
	ck_assert_uint_eq(rv_fake_get(f, entry, 8) & (PTE_A | PTE_D), PTE_A | PTE_D);
}
END_TEST

START_TEST(protected_tables)
{
	struct tcg_walk w;

	open_memory();
	map(3, 0x1000, 0, pte_of(FAKE_RAM, PTE_V | PTE_R | PTE_W));
	f->s->menvcfg = MENVCFG_ADUE;
	f->s->pmp.cfg[0] = PMP_A_NAPOT | PMP_R;                 /* the last table may be read only */
	f->s->pmp.addr[0] = (TABLES + 0x2000) >> 2 | 0x1ff;
	rv_pmp_update(&f->s->pmp);
	ck_assert(!walk(0x1000, TCG_LOAD, RV_MMU_S, &w));       /* A cannot be set */
	ck_assert_uint_eq(f->env->exception, RV_LOAD_ACCESS);
	f->s->pmp.cfg[0] = PMP_A_NAPOT | PMP_R | PMP_W;
	rv_pmp_update(&f->s->pmp);
	ck_assert(walk(0x1000, TCG_LOAD, RV_MMU_S, &w));
	f->s->pmp.cfg[0] = PMP_A_NAPOT | PMP_X;
	rv_pmp_update(&f->s->pmp);
	ck_assert(!walk(0x1000, TCG_STORE, RV_MMU_S, &w));
	ck_assert_uint_eq(f->env->exception, RV_STORE_ACCESS);
	/* the page itself: no writes; cut in the middle: not to be cached */
	f->s->pmp.cfg[0] = PMP_A_NAPOT | PMP_R;
	f->s->pmp.addr[0] = FAKE_RAM >> 2 | 0x1ff;
	rv_pmp_update(&f->s->pmp);
	ck_assert(walk(0x1000, TCG_LOAD, RV_MMU_S, &w));
	ck_assert(w.readable && !w.writable && !w.partial);
	ck_assert(!walk(0x1000, TCG_STORE, RV_MMU_S, &w));
	ck_assert_uint_eq(f->env->exception, RV_STORE_ACCESS);
	f->s->pmp.addr[0] = FAKE_RAM >> 2 | 0x3f;
	rv_pmp_update(&f->s->pmp);
	ck_assert(walk(0x1800, TCG_STORE, RV_MMU_S, &w));
	ck_assert(w.partial);
	ck_assert(!walk(0x1000, TCG_STORE, RV_MMU_S, &w));
}
END_TEST

/* A whole program's view: paging is turned on, a page is read through it, and a fault comes to the
 * handler. */
START_TEST(instructions_through_tables)
{
	rv_fake_enter(f, RV_S);
	f->s->medeleg = 1u << RV_LOAD_PAGE;
	f->s->stvec = 0x3000;
	map(3, 0x1000, 0, pte_of(FAKE_RAM, LEAF));
	f->s->mstatus = 0;
	rv_update_context(f->env);
	rv_fake_put(f, FAKE_RAM, 0x0002b383, 4);                /* ld t2,0(t0) */
	rv_fake_put(f, FAKE_RAM + 0x100, 0x1122334455667788, 8);
	f->s->x[5] = 0x1100;
	f->env->pc = 0x1000;
	ck_assert_int_eq(rv_fake_run(f, 1), TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(f->s->x[7], 0x1122334455667788);
	f->s->x[5] = 0x2100;
	f->env->pc = 0x1000;
	ck_assert_int_eq(rv_fake_run(f, 1), TCG_EXIT_EXCEPTION);
	front_riscv.take_exception(f->env);
	ck_assert_uint_eq(f->env->pc, 0x3000);
	ck_assert_uint_eq(f->s->scause, RV_LOAD_PAGE);
	ck_assert_uint_eq(f->s->stval, 0x2100);
	ck_assert_uint_eq(f->s->sepc, 0x1000);
	ck_assert_int_eq(rv_fake_run(f, 1), TCG_EXIT_EXCEPTION);        /* the handler's page is not mapped */
	ck_assert_uint_eq(f->env->exception, RV_INSN_PAGE);
	ck_assert_uint_eq(f->env->exception_value, 0x3000);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		pmp_matching, pmp_registers, walk_matrix, looks_change_nothing, malformed_tables, high_bits, napot,
		canonical_addresses,
		bare_and_machine, lost_update, protected_tables, instructions_through_tables,
	};
	Suite *suite = suite_create("rv-mmu");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
