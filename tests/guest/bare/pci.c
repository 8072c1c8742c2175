/* SPDX-License-Identifier: MIT */
/*
 * A PCI disk (virtio, by its registers and by messages to memory) whose BAR one hart moves while another hammers it and
 * a third has it move data. An access that finds the BAR gone faults; one that is done must be done by the device.
 */
#include "rt.h"

#define ECAM 0x30000000ull
#define FUNCTION (ECAM + (1 << 15))     /* slot 1 */
#define PLACE_A 0x40000000ull
#define PLACE_B 0x40008000ull
#define MESSAGES 0x40010000ull
#define WORD(at) (*(volatile uint32_t *)(uintptr_t)(at))
#define HALF(at) (*(volatile uint16_t *)(uintptr_t)(at))
#define BYTE(at) (*(volatile uint8_t *)(uintptr_t)(at))
#define QUEUE 8u
#define SECTORS 64u
#define COMMAND_MEMORY 2
#define COMMAND_MASTER 4

static struct { uint64_t addr; uint32_t len; uint16_t flags, next; } desc[QUEUE] __attribute__((aligned(16)));
static struct { uint16_t flags, idx, ring[QUEUE]; } avail __attribute__((aligned(2)));
static struct { uint16_t flags, idx; struct { uint32_t id, len; } ring[QUEUE]; } used __attribute__((aligned(4)));
static struct { uint32_t type, reserved; uint64_t sector; } request;
static volatile uint8_t status;
static uint64_t area[64];
static volatile uint32_t message[4];
static uint64_t parts[6];               /* offsets of the parts of the BAR, by type */
static uint32_t msix;

static void find_parts(void)
{
	for (uint64_t at = BYTE(FUNCTION + 0x34), n = 0; at && n < 48; at = BYTE(FUNCTION + at + 1), n++) {
		if (BYTE(FUNCTION + at) == 0x11)
			msix = (uint32_t)at;
		if (BYTE(FUNCTION + at) == 9 && BYTE(FUNCTION + at + 3) < 6)
			parts[BYTE(FUNCTION + at + 3)] = WORD(FUNCTION + at + 8);
	}
}

static void place(uint64_t bar)
{
	WORD(FUNCTION + 0x10) = (uint32_t)bar;
	WORD(FUNCTION + 0x14) = (uint32_t)(bar >> 32);
}

static void set_address(uint64_t at, const volatile void *p)
{
	WORD(at) = (uint32_t)PC(p);
	WORD(at + 4) = (uint32_t)(PC(p) >> 32);
}

static void start_messages(void)
{
	for (uint32_t i = 0; i < 2; i++) {
		set_address(MESSAGES + 16 * i, &message[i]);
		WORD(MESSAGES + 16 * i + 8) = 0x5a00 + i;
		WORD(MESSAGES + 16 * i + 12) = 0;
	}
	HALF(FUNCTION + msix + 2) = 0x8000;
}

static void start_device(uint64_t bar)
{
	BYTE(bar + 0x14) = 0;
	BYTE(bar + 0x14) = 3;
	WORD(bar + 0x08) = 1;
	WORD(bar + 0x0c) = 1;           /* VIRTIO_F_VERSION_1 */
	WORD(bar + 0x08) = 0;
	WORD(bar + 0x0c) = 0;
	BYTE(bar + 0x14) = 11;
	HALF(bar + 0x16) = 0;
	HALF(bar + 0x18) = QUEUE;
	HALF(bar + 0x1a) = 1;           /* its vector */
	CHECK("the vector is there", HALF(bar + 0x1a), 1);
	set_address(bar + 0x20, desc);
	set_address(bar + 0x28, &avail);
	set_address(bar + 0x30, &used);
	HALF(bar + 0x1c) = 1;
	BYTE(bar + 0x14) = 15;
	CHECK("the driver is accepted", BYTE(bar + 0x14), 15);
}

static bool start(void)
{
	CHECK("a virtio disk", WORD(FUNCTION), 0x10421af4);
	CHECK("nobody beside it", WORD(FUNCTION + 0x1000), 0xffffffff);
	if (failures)
		return false;
	WORD(FUNCTION + 0x10) = 0xffffffff;
	CHECK("size of its registers", WORD(FUNCTION + 0x10), 0xffffc004);
	CHECK("no memory is enabled", call_in(MODE_M, PC(p_lw), PLACE_A, 0), CAUSE_LOAD);
	find_parts();
	place(PLACE_A);
	WORD(FUNCTION + 0x20) = MESSAGES;
	HALF(FUNCTION + 4) = COMMAND_MEMORY | COMMAND_MASTER;
	start_messages();
	start_device(PLACE_A);
	return !failures;
}

static void offer(uint64_t sector)
{
	request.type = 0;
	request.sector = sector;
	status = 0xff;
	desc[0].addr = PC(&request), desc[0].len = 16, desc[0].flags = 1, desc[0].next = 1;
	desc[1].addr = PC(area), desc[1].len = 512, desc[1].flags = 3, desc[1].next = 2;
	desc[2].addr = PC(&status), desc[2].len = 1, desc[2].flags = 2;
	avail.ring[avail.idx % QUEUE] = 0;
	fence();
	*(volatile uint16_t *)&avail.idx = (uint16_t)(avail.idx + 1);
	fence();
}

/* The BAR is in one of two places, or on its way: both are tried until the device has heard. */
static void read_sector(uint64_t sector)
{
	uint16_t before = *(volatile uint16_t *)&used.idx;

	offer(sector);
	while (*(volatile uint16_t *)&used.idx == before) {
		call_in(MODE_M, PC(p_sh), PLACE_A + parts[2], 0);
		call_in(MODE_M, PC(p_sh), PLACE_B + parts[2], 0);
	}
	fence();
}

static volatile uint64_t stop, reads, found, moved, wrong;

static void data(uint64_t hart, uint64_t n)
{
	(void)hart;
	/* until the others have had their share too */
	for (uint64_t i = 0; i < n || ((found < 100 || moved < 100) && i < 1000 * n); i++) {
		uint64_t sector = i * 7 % SECTORS, bad = 0;

		message[1] = 0;
		read_sector(sector);
		for (uint32_t k = 0; k < 64; k++)
			bad |= area[k] != (sector << 32 | k);
		while (message[1] != 0x5a01)    /* the message follows the answer */
			;
		wrong += bad || status;
		reads = i + 1;
	}
	stop = 1;
}

static void hammer(uint64_t hart, uint64_t arg)
{
	(void)hart, (void)arg;
	while (!stop) {
		for (uint64_t bar = PLACE_A;; bar = PLACE_B) {
			uint64_t cause = call_in(MODE_M, PC(p_lh), bar + 0x12, 0);
			if (cause == CAUSE_ECALL_M) {
				found++;
				wrong += me()->a0 != 1;         /* queues */
			} else if (cause != CAUSE_LOAD) {
				wrong++;
			}
			if (bar == PLACE_B)
				break;
		}
	}
}

static void moves(void)
{
	hart_start(1, data, COUNT(3000));
	hart_start(2, hammer, 0);
	while (!stop) {
		place(moved & 1 ? PLACE_A : PLACE_B);
		if (moved % 16 == 3) {
			HALF(FUNCTION + 4) = COMMAND_MASTER;
			HALF(FUNCTION + 4) = COMMAND_MEMORY | COMMAND_MASTER;
		}
		if (moved % 16 == 7)        /* over memory, over its own other BAR, and nowhere */
			place(0x80000000), place(MESSAGES & ~0x3fffull), place(0x123400000000);
		moved++;
		for (uint64_t until = now() + moved % 64; now() < until;)
			;
	}
	hart_wait(1);
	hart_wait(2);
	place(PLACE_A);
	verdict("moved while it worked", wrong, 0);
	check(moved > 10 && found > 10 && reads > 10, "they met", moved, found);
}

static void masks(void)
{
	message[1] = 0;
	WORD(MESSAGES + 16 + 12) = 1;
	read_sector(1);
	CHECK("a masked message waits", WORD(MESSAGES + 2048) << 16 | message[1], 2 << 16);
	WORD(MESSAGES + 16 + 12) = 0;
	CHECK("and comes", message[1], 0x5a01);
	/* no bus master: nothing moves; the request that was offered meanwhile is served when it is one again */
	HALF(FUNCTION + 4) = COMMAND_MEMORY;
	uint16_t before = *(volatile uint16_t *)&used.idx;
	offer(2);
	HALF(PLACE_A + parts[2]) = 0;
	for (uint64_t until = now() + 100000; now() < until;)
		;
	CHECK("no master, no data", *(volatile uint16_t *)&used.idx, before);
	CHECK("nor any fault", BYTE(PLACE_A + 0x14), 15);
	message[1] = 0;
	HALF(FUNCTION + 4) = COMMAND_MEMORY | COMMAND_MASTER;
	for (uint64_t until = now() + 10000000; *(volatile uint16_t *)&used.idx == before && now() < until;)
		;
	while (message[1] != 0x5a01 && status == 0)
		;
	CHECK("a master again, the data come", *(volatile uint16_t *)&used.idx, before + 1);
	CHECK("the right ones", area[1], 2ull << 32 | 1);
}

static void function_reset(void)
{
	for (uint64_t at = BYTE(FUNCTION + 0x34); at; at = BYTE(FUNCTION + at + 1))
		if (BYTE(FUNCTION + at) == 0x10)
			HALF(FUNCTION + at + 8) = 0x8000;
	CHECK("the command register after a reset", HALF(FUNCTION + 4), 0);
	CHECK("its BAR", WORD(FUNCTION + 0x10), 4);
	CHECK("nothing is there", call_in(MODE_M, PC(p_lw), PLACE_A, 0), CAUSE_LOAD);
	place(PLACE_B);
	WORD(FUNCTION + 0x20) = MESSAGES;
	HALF(FUNCTION + 4) = COMMAND_MEMORY | COMMAND_MASTER;
	CHECK("the device's status", BYTE(PLACE_B + 0x14), 0);
	*(volatile uint16_t *)&avail.idx = *(volatile uint16_t *)&used.idx = 0;
	start_messages();
	start_device(PLACE_B);
	read_sector(7);
	CHECK("a sector after the reset", area[1], 7ull << 32 | 1);
}

void run(void)
{
	if (!start())
		return;
	read_sector(5);
	CHECK("a sector", area[3], 5ull << 32 | 3);
	moves();
	masks();
	function_reset();
}
