/* SPDX-License-Identifier: MIT */
/*
 * Code that a disk writes over code: a small driver of virtio-blk on virtio-mmio (Virtio 1.2, 4.2.2), by polling.
 * Sector k of the disk holds, all over, functions that return k.
 */
#include "rt.h"

#define SECTORS 64u
#define QUEUE 8u
#define REG(at) (*(volatile uint32_t *)(uintptr_t)(0x10001000 + (at)))

static struct { uint64_t addr; uint32_t len; uint16_t flags, next; } desc[QUEUE] __attribute__((aligned(16)));
static struct { uint16_t flags, idx, ring[QUEUE]; } avail __attribute__((aligned(2)));
static struct { uint16_t flags, idx; struct { uint32_t id, len; } ring[QUEUE]; } used __attribute__((aligned(4)));
static struct { uint32_t type, reserved; uint64_t sector; } request;
static volatile uint8_t status;
static uint8_t area[4][4096] __attribute__((aligned(4096)));

static void set_address(uint32_t at, const volatile void *p)
{
	REG(at) = (uint32_t)PC(p);
	REG(at + 4) = (uint32_t)(PC(p) >> 32);
}

static bool start(void)
{
	CHECK("a disk", REG(0) == 0x74726976 && REG(4) == 2 && REG(8) == 2, 1);
	if (failures)
		return false;
	REG(0x70) = 0;
	REG(0x70) = 3;          /* acknowledged, has a driver */
	REG(0x24) = 1;
	REG(0x20) = 1;          /* VIRTIO_F_VERSION_1 */
	REG(0x24) = 0;
	REG(0x20) = 0;
	REG(0x70) = 11;
	REG(0x30) = 0;
	REG(0x38) = QUEUE;
	set_address(0x80, desc);
	set_address(0x90, &avail);
	set_address(0xa0, &used);
	REG(0x44) = 1;
	REG(0x70) = 15;
	CHECK("the driver is accepted", REG(0x70), 15);
	return true;
}

static void read_sectors(uint64_t sector, void *to, uint32_t bytes)
{
	request.type = 0;
	request.sector = sector;
	status = 0xff;
	desc[0].addr = PC(&request), desc[0].len = 16, desc[0].flags = 1, desc[0].next = 1;
	desc[1].addr = PC(to), desc[1].len = bytes, desc[1].flags = 3, desc[1].next = 2;
	desc[2].addr = PC(&status), desc[2].len = 1, desc[2].flags = 2;
	avail.ring[avail.idx % QUEUE] = 0;
	fence();
	uint16_t before = *(volatile uint16_t *)&used.idx;
	*(volatile uint16_t *)&avail.idx = (uint16_t)(avail.idx + 1);
	fence();
	REG(0x50) = 0;
	while (*(volatile uint16_t *)&used.idx == before)
		;
	fence();
	REG(0x64) = REG(0x60);
}

static uint64_t call(const void *at)
{
	return ((code_fn *)(uintptr_t)at)(0, 0);
}

static volatile uint64_t turn, answer;

/* Told by memory that the disk has written; its own fence is all it has. */
static void other(uint64_t hart, uint64_t n)
{
	(void)hart;
	for (uint64_t i = 1; i <= n; i++) {
		while (turn != i)
			;
		fence();
		fence_i();
		answer = i << 32 | call(area[2] + 64);
	}
}

void run(void)
{
	uint64_t n = COUNT(20000), bad = 0, first = 0;

	if (!start())
		return;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t sector = i * 7 % (SECTORS - 8);
		uint32_t at = i / 3 % 8 * 512;
		uint32_t bytes = i % 5 ? 512 : 4096;
		if (bytes == 4096)
			at = 0;
		read_sectors(sector, area[i & 1] + at, bytes);
		fence_i();
		for (uint32_t k = 0; k < bytes; k += 512)
			if (status || call(area[i & 1] + at + k + 8 * (i % 60)) != sector + k / 512)
				if (!bad++)
					first = i;
	}
	verdict("code that the disk wrote", bad, first);
	/* over the end of a page: the second half of what was there comes from the next */
	bad = 0;
	for (uint64_t i = 0; i < n / 4; i++) {
		uint64_t sector = i * 5 % (SECTORS - 8);
		read_sectors(sector, area[0] + 4096 - 256, 512);
		fence_i();
		if ((call(area[0] + 4096 - 8) != sector || call(area[1]) != sector || call(area[1] + 64) != sector) && !bad++)
			first = i;
	}
	verdict("in two pages", bad, first);
	if (hart_count() < 2)
		return;
	bad = 0;
	n /= 4;
	hart_start(1, other, n);
	for (uint64_t i = 1; i <= n; i++) {
		uint64_t sector = i * 3 % SECTORS;
		read_sectors(sector, area[2], 512);
		turn = i;
		while (answer >> 32 != i)
			;
		if ((answer & 0xffffffff) != sector && !bad++)
			first = i;
	}
	hart_wait(1);
	verdict("run by another hart", bad, first);
}
