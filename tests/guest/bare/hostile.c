/* SPDX-License-Identifier: MIT */
/*
 * What no sane guest does. Most results are the machine's own affair: the emulator must survive, and every call must
 * come back with a trap. Loops are ended by the timer.
 */
#include "rt.h"

#define PLACE 0x83000000ull             /* zeros for a mebibyte around */
#define SCRATCH 0x83800000ull
extern char p_fuzz[], p_fuzz_slot[], p_fuzz_end[];
static uint64_t causes[3][16];

static volatile uint64_t marked;
static void mark(void)
{
	marked++;
}

static void arm(uint64_t ticks)
{
	set_mtimecmp(0, now() + ticks);
}

/* Runs with the timer as a way out; what is taken counts as over. */
static uint64_t bounded(uint64_t mode, uint64_t pc, uint64_t a0, uint64_t a1)
{
	arm(20000);
	csr_write(mie, 0x80);
	csr_set(mstatus, 0x80);
	uint64_t cause = call_in(mode, pc, a0, a1);
	csr_write(mie, 0);
	return cause;
}

/* A jump to an address that differs from known code in its upper bits only. */
static void upper_bits(uint64_t step)
{
	uint64_t bad = 0, first = 0, pc;

	for (uint64_t up = 1; up < 65536; up += step) {
		for (int shift = 44; shift <= 48; shift += 4) {
			pc = PC(mark) ^ up << shift;
			if (pc == PC(mark))
				continue;
			for (uint64_t mode = 0; mode < 4; mode += mode == 1 ? 2 : 1) {
				mark();         /* known in machine mode */
				uint64_t before = marked;
				uint64_t cause = call_in(mode, PC(p_jump), pc, 0);
				if (cause == CAUSE_FETCH && marked == before && me()->epc == pc)
					continue;
				if (!bad++)
					first = pc;
			}
		}
	}
	verdict("jumps to what differs in upper bits", bad, first);
}

static const uint64_t places[] = {
	0, 8, 0x1000, 0xfff, 0x101000 + 0x7f0, 0x1fffffe, 0x2000000, 0x200bffc, 0x200c000, 0x0c000000, 0x0c200ffc,
	0x0fffffff, 0x10000000, 0x10000007, 0x100000fe, 0x10001000, 0x10001fff, 0x20000000, 0x3fffffffe, 0x7ffffffc,
	0x7fffffff, 0x83fffff9, 0x83ffffff, 0x84000000, 0xfffffffc, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
	0x8000000000000000, 0xffffffff80000000, 0xfffffffffffff000, 0xfffffffffffffffc, 0xffffffffffffffff,
	0x00ffffffffffffff, 0x0100000080000000, 0x0000008000000000, 0x0000007ffffffff8,
};

static void accesses(void)
{
	static probe *const probes_[] = { p_lb, p_lh, p_lw, p_ld, p_sb, p_sh, p_sw, p_sd, p_amo, p_amow, p_lr, p_sc, p_fld,
					  p_fsd, p_jump };

	for (uint64_t mode = 0; mode < 4; mode += mode == 1 ? 2 : 1)
		for (size_t i = 0; i < sizeof(places) / 8; i++)
			for (size_t k = 0; k < sizeof(probes_) / sizeof(probes_[0]); k++)
				for (uint64_t off = 0; off < 3; off++) {
					/* the CLINT's registers are put right again, and the test goes on */
					bounded(mode, PC(probes_[k]), places[i] - off, 0);
					ipi(0, false);
				}
	say("ok accesses\n");
}

static uint64_t value(uint64_t *seed)
{
	uint64_t r = rng(seed);

	switch (r & 7) {
	case 0: return 0;
	case 1: return ~0ull;
	case 2: return rng(seed) | 1ull << 63;
	case 3: return r >> 8 & 63;
	case 4: return SCRATCH + (r >> 8 & 4095);
	default: return SCRATCH + (r >> 8 & 4088);
	}
}

static void put_place(void)
{
	for (uint64_t i = 0; p_fuzz + i < p_fuzz_end; i++)
		((volatile uint8_t *)PLACE)[i] = (uint8_t)p_fuzz[i];
}

/* Control transfers stay near by their range; CSRs of machine mode have a test of their own. */
static bool too_much(uint32_t word, uint64_t mode)
{
	return mode == MODE_M && (word & 0x7f) == 0x73 && (word >> 12 & 7);
}

static void words(uint64_t n)
{
	static uint64_t table[32];
	uint64_t seed = 2024;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t mode = i % 3 == 2 ? MODE_M : i % 3;
		put_place();
		volatile uint32_t *slot = (volatile uint32_t *)(PLACE + (uint64_t)(p_fuzz_slot - p_fuzz));
		for (int k = 0; k < 4; k++) {
			uint32_t word = (uint32_t)rng(&seed);
			/* two in three full words, of the opcodes that there are */
			if (i % 4)
				word |= 3;
			if (i % 8 > 3)
				word = (word & ~0x7fu) | "\x03\x07\x0f\x13\x17\x1b\x23\x27\x2f\x33\x37\x3b\x43\x47\x4b\x4f\x53"
							"\x63\x67\x6f\x73"[rng(&seed) % 21];
			slot[k] = too_much(word, mode) ? I_NOP : word;
		}
		for (int k = 0; k < 32; k++)
			table[k] = value(&seed);
		fence_i();
		uint64_t cause = bounded(mode, PLACE, PC(table), 0);
		causes[i % 3][cause & 15]++;
	}
	verdict("random words in U-mode trapped", !(causes[0][8] && causes[0][2]), 0);
	verdict("random words in S-mode trapped", !(causes[1][9] && causes[1][2]), 0);
	verdict("random words in M-mode trapped", !(causes[2][11] && causes[2][2]), 0);
}

/* What the way back hangs on in machine mode, and what cannot be undone. */
static bool vital(uint32_t csr)
{
	return csr == 0x300 || (csr >= 0x302 && csr <= 0x305) || csr == 0x340 || (csr >= 0x3a0 && csr <= 0x3ff) ||
	       (csr >= 0x7a0 && csr < 0x7c0) || (csr & 0xf00) == 0x600 || csr == 0x747 || csr == 0x757;
}

static void csrs(uint64_t rounds)
{
	uint64_t seed = 7;

	for (uint64_t r = 0; r < rounds; r++)
		for (uint32_t csr = 0; csr < 4096; csr++) {
			uint64_t mode = r % 3 == 2 ? MODE_M : r % 3;
			if (mode == MODE_M && vital(csr))
				continue;
			put_place();
			volatile uint32_t *slot = (volatile uint32_t *)(PLACE + (uint64_t)(p_fuzz_slot - p_fuzz));
			static uint64_t table[32];
			table[A0] = value(&seed);
			slot[0] = csr << 20 | A0 << 15 | (1 + rng(&seed) % 3) << 12 | A0 << 7 | 0x73;
			slot[1] = slot[2] = slot[3] = I_ECALL;
			fence_i();
			bounded(mode, PLACE, PC(table), 0);
			csr_write(satp, 0);
			csr_write(0x14d, ~0ull);
			csr_write(stvec, 0);
			csr_set(mstatus, 0x6000);
		}
	say("ok every csr\n");
}

/* Page tables that are noise, and that point to themselves, to devices and to nothing. */
static void tables(uint64_t rounds)
{
	static uint64_t table[512] __attribute__((aligned(4096)));
	uint64_t seed = 11;

	for (uint64_t r = 0; r < rounds; r++) {
		for (int i = 0; i < 512; i++) {
			uint64_t e = rng(&seed);
			switch (e >> 60 & 3) {
			case 0: e = PTE(PC(table), e & 0xff); break;
			case 1: e = PTE(0x10000000, e & 0xff); break;
			case 2: e &= 0x003fffffffffffff; break;
			}
			table[i] = e;
		}
		/* the probe's own page can be reached in some */
		if (r & 1)
			table[2] = PTE(0x80000000, PTE_V | PTE_RWX | PTE_AD | (r & 2 ? PTE_U : 0));
		csr_write(satp, (8 + (r >> 2 & 1)) << 60 | PC(table) >> 12);
		sfence_all();
		for (int k = 0; k < 8; k++) {
			static probe *const some[] = { p_ld, p_lb, p_lr, p_jump };
			bounded(r & 1 ? r >> 1 & 1 : k & 1, PC(some[k & 3]), rng(&seed) >> (r % 40), 0);
		}
		csr_write(satp, 0);
		sfence_all();
	}
	say("ok page tables of noise\n");
}

void run(void)
{
	upper_bits(COUNT(2) ? 7 : 97);
	accesses();
	words(COUNT(100000));
	csrs(COUNT(60));
	tables(COUNT(3000));
}
