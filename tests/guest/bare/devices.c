/* SPDX-License-Identifier: MIT */
/*
 * Random values into every register of every device but the finisher, in every width, seeded by SEED. What the devices
 * make of it is theirs; the emulator must survive. Addresses of rings are kept out of the program.
 */
#include "rt.h"

#ifndef SEED
#define SEED 1
#endif
#define SCRATCH 0x83000000ull

static const struct { uint64_t base, size; } devices[] = {
	{ 0x10000000, 0x100 }, { 0x2000000, 0x10000 }, { 0xc000000, 0x4000000 }, { 0xc000000, 0x400 }, { 0xc002000, 0x400 },
	{ 0xc200000, 0x4000 }, { 0x101000, 0x1000 }, { 0x10001000, 0x200 }, { 0x10002000, 0x200 }, { 0x10003000, 0x200 },
	{ 0x10004000, 0x200 },
};

static bool is_slot(uint64_t at)
{
	return at >= 0x10001000 && at < 0x10009000;
}

static uint64_t value(uint64_t *seed)
{
	uint64_t r = rng(seed);

	switch (r & 7) {
	case 0: return 0;
	case 1: return ~0ull;
	case 2: return 1ull << (r >> 8 & 63);
	case 3: return r >> 8 & 15;
	case 4: return SCRATCH + (r >> 8 & 0xfffff0);
	default: return rng(seed);
	}
}

/* A ring may lie in the scratch area and where nothing is. */
static uint64_t ring_address(uint64_t *seed)
{
	uint64_t r = rng(seed);

	return r & 7 ? SCRATCH + (r >> 8 & 0xfff000 >> (r & 3)) : r | 1ull << 40;
}

static void garbage(uint64_t *seed)
{
	for (int i = 0; i < 64; i++) {
		volatile uint64_t *p = (volatile uint64_t *)(SCRATCH + (rng(seed) & 0xffff8));
		*p = rng(seed) & 3 ? ring_address(seed) : value(seed) & 0xffff0003000fffff;
	}
}

/* Up to the point at which a driver may use the device, more or less. */
static void nearly_right(uint64_t slot, uint64_t *seed)
{
	static const uint16_t order[] = { 0x70, 0x70, 0x24, 0x20, 0x24, 0x20, 0x70, 0x30, 0x38, 0x80, 0x84, 0x90, 0x94, 0xa0,
					  0xa4, 0x44, 0x70, 0x50, 0x50, 0x64 };
	static const uint32_t with[] = { 0, 3, 1, 1, 0, 0x20000000, 11, 0, 8, 0, 0, 0, 0, 0, 0, 1, 15, 0, 0, 3 };

	for (size_t i = 0; i < sizeof(order) / 2; i++) {
		uint64_t v = with[i];
		if (order[i] >= 0x80)
			v = order[i] & 4 ? 0 : ring_address(seed) & ~15ull & 0x83ffffff;
		else if (!(rng(seed) & 15))
			v = value(seed);
		call_in(MODE_M, PC(p_sw), slot + order[i], v);
	}
}

static void quiet(void)
{
	volatile uint8_t *uart = (volatile uint8_t *)0x10000000;

	uart[3] = 3;
	uart[1] = 0;
	uart[2] = 1;
	uart[4] = 0;
	for (uint64_t slot = 0x10001000; slot < 0x10005000; slot += 0x1000)
		*(volatile uint32_t *)(slot + 0x70) = 0;
	ipi(0, false);
}

void run(void)
{
	static probe *const stores[] = { p_sb, p_sh, p_sw, p_sd }, *const loads[] = { p_lb, p_lh, p_lw, p_ld };
	uint64_t seed = SEED, n = COUNT(2000000), done_well = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t r = rng(&seed);
		size_t d = r % (sizeof(devices) / sizeof(devices[0]));
		uint64_t at = devices[d].base + (r >> 8) % devices[d].size;
		uint32_t width = r >> 40 & 3;
		if (r >> 42 & 7)
			at &= ~((1ull << width) - 1);   /* most are aligned, most of them words */
		if (r >> 45 & 1)
			width = 2, at &= ~3ull;
		if (is_slot(at) && !(r >> 46 & 15)) {
			garbage(&seed);
			nearly_right(at & ~0xfffull, &seed);
			continue;
		}
		uint64_t v = value(&seed);
		uint64_t low = at & 0xfff;
		if (is_slot(at) && low + 8 > 0x80 && low < 0xb0)
			v = low & 4 ? 1ull << 20 : ring_address(&seed);
		done_well += call_in(MODE_M, PC(r >> 50 & 3 ? stores[width] : loads[width]), at, v) == CAUSE_ECALL_M;
	}
	quiet();
	say("\n");
	check(done_well > n / 4, "many accesses are good ones", done_well, n);
	say("ok survived\n");
}
