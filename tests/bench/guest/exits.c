/* SPDX-License-Identifier: MIT */
/*
 * What leaving the guest costs, by its own time-stamp counter: ports, registers in memory, kicks of a virtio
 * disk and their answers. Freestanding (tests/guest/x86), entered by PVH; EXITS is how often each port and register
 * is reached, COUNT how often the disk is kicked. Without a disk on PCI the last part is left out. Each line is a name
 * and ticks a time; after "idle" it waits for its end.
 */
#include "virtio.h"

#define SCRATCH  (SERIAL + 7)           /* of a 16550: a byte that does nothing */
#define NOTHING  0xd0000000ul           /* an address with nothing there */
#define WINDOW   0xc1000000ul           /* for BARs that nobody has placed */
#define VECTOR   0x50
#define SECTORS  64u

static struct virtio disk;
static struct vq queue;
static struct { uint32_t type, reserved; uint64_t sector; } request;
static uint8_t status, area[512];
static uint64_t third[512] __attribute__((aligned(4096)));

static uint64_t ticks(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static void report(const char *name, uint64_t total, uint32_t times)
{
	put_hex(name, total / times);
}

/* The third and the fourth GiB as they are, uncached. */
static void map(void)
{
	uint64_t *root, *pointers, *fourth;

	__asm__ volatile("mov %%cr3, %0" : "=r"(root));
	pointers = (uint64_t *)(root[0] & ~0xffful);
	fourth = (uint64_t *)(pointers[3] & ~0xffful);
	for (uint64_t i = 0; i < 512; i++) {
		third[i] = 0x80000000ul + i * 0x200000 + 0x93;
		fourth[i] = 0xc0000000ul + i * 0x200000 + 0x93;
	}
	pointers[2] = (uint64_t)third | 3;
	__asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

static uint32_t port_word(uint32_t devfn, uint32_t offset)
{
	outl(0xcf8, 0x80000000u | devfn << 8 | (offset & 0xfc));
	return inl(0xcfc);
}

/* PCIEXBAR of Intel's Q35, which firmware has set; elsewhere the board says so in its file. */
static uint64_t ecam(uint32_t devfn)
{
	uint32_t bar = port_word(0, 0) == 0x29c08086 ? port_word(0, 0x60) : 0;

	return (bar & 1 ? bar & 0xf0000000u : 0xe0000000u) + ((uint64_t)devfn << 12);
}

/* What firmware has placed stays. */
static void place(uint32_t devfn)
{
	uint64_t at = WINDOW, config = ecam(devfn);

	for (uint32_t bar = 0; bar < 6; bar++) {
		uint32_t was = mmio(config + 0x10 + 4 * bar), size;

		mmio_put(config + 0x10 + 4 * bar, 0xffffffff);
		size = ~(mmio(config + 0x10 + 4 * bar) & ~15u) + 1;
		mmio_put(config + 0x10 + 4 * bar, was);
		if (size && !(was & ~15u) && !(was & 1)) {
			at = (at + size - 1) & ~(uint64_t)(size - 1);
			mmio_put(config + 0x10 + 4 * bar, (uint32_t)at);
			at += size;
		}
		bar += (was & 7) == 4;
	}
	half_put(config + 4, 6);                /* memory, bus master */
}

static int disk_find(void)
{
	for (uint32_t devfn = 8; devfn < 256; devfn += 8) {
		if (port_word(devfn, 0) != 0x10421af4)
			continue;
		place(devfn);
		virtio_find(&disk, ecam(devfn));
		check("the disk has its registers below 4 GiB", disk.common && (disk.common | disk.notify) >> 32 == 0);
		return 1;
	}
	return 0;
}

static void ports(void)
{
	uint64_t begin = ticks();

	for (uint32_t i = 0; i < EXITS; i++)
		(void)inb(SCRATCH);
	report("port-read ", ticks() - begin, EXITS);
	begin = ticks();
	for (uint32_t i = 0; i < EXITS; i++)
		outb(SCRATCH, (uint8_t)i);
	report("port-write ", ticks() - begin, EXITS);
}

static void registers(uint64_t at)
{
	uint64_t begin = ticks();

	for (uint32_t i = 0; i < EXITS; i++)
		(void)mmio(at);
	report("register-read ", ticks() - begin, EXITS);
	begin = ticks();
	for (uint32_t i = 0; i < EXITS; i++)
		mmio_put(at, i & 1);
	report("register-write ", ticks() - begin, EXITS);
}

/* The disk */

static int served(struct frame *f)
{
	mmio_put(LAPIC + 0xb0, 0);
	return f->vector == VECTOR;
}

static void disk_start(uint16_t vector)
{
	virtio_begin(&disk);
	virtio_queue(&disk, &queue, 0, vector);
	check("the disk takes the driver", virtio_end(&disk));
}

static void read_begin(uint32_t i)
{
	request.sector = i % SECTORS;
	status = 0xff;
	vq_part(&queue, 0, &request, 16, 0, 0);
	vq_part(&queue, 1, area, 512, 1, 0);
	vq_part(&queue, 2, &status, 1, 1, 1);
	vq_send(&queue);
}

static void read_end(void)
{
	if (!vq_back(&queue) || status)
		check("a request", 0);
}

/* The kick: until the CPU goes on. The answer: until it is in the ring. */
static void polled(void)
{
	uint64_t kicks = 0, answers = 0;

	disk_start(NO_VECTOR);
	for (uint32_t i = 0; i < COUNT; i++) {
		uint64_t begin = ticks();

		read_begin(i);
		kicks += ticks() - begin;
		while (!vq_back(&queue))
			__asm__ volatile("pause");
		answers += ticks() - begin;
		read_end();
	}
	report("kick ", kicks, COUNT);
	report("answer ", answers, COUNT);
}

/* Until the interrupt has woken the CPU. */
static void interrupted(void)
{
	uint64_t begin = ticks();

	virtio_messages(&disk, VECTOR);
	disk_start(0);
	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t before = irq_count[VECTOR];

		read_begin(i);
		while (irq_count[VECTOR] == before)
			__asm__ volatile("sti; hlt; cli" : : : "memory");
		read_end();
	}
	report("interrupt ", ticks() - begin, COUNT);
}

int main(void)
{
	int found;

	put("up\n");
	on_trap = served;
	map();
	lapic_start();
	found = disk_find();
	ports();
	registers(found ? disk.common : NOTHING);
	if (found) {
		polled();
		interrupted();
	}
	put("idle\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
