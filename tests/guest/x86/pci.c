/* SPDX-License-Identifier: MIT */
/*
 * PCI of a PC: configuration space by ports and by ECAM, sizing and placing of BARs, then a virtio disk with messages
 * and with its pin, and a virtio console.
 */
#include "virtio.h"

#define ECAM     0xe0000000ul
#define WINDOW   0xc0000000ul
#define BIG      0x200000u
#define SECTORS  128u
#define PIN_GSI  17u            /* slot 1: INTA is the second of four, the first is 16 */
#define VECTOR_MESSAGE 0x50
#define VECTOR_PIN     0x51
#define VECTOR_OTHER   0x52

static struct virtio disk, console;
static struct vq queue, from_console, to_console;
static struct { uint32_t type, reserved; uint64_t sector; } request;
static uint8_t status, area[512], other[512];

/* Configuration space, by both ways */

static void port_select(uint32_t devfn, uint32_t offset)
{
	outl(0xcf8, 0x80000000u | devfn << 8 | (offset & 0xfc));
}

static uint32_t port_word(uint32_t devfn, uint32_t offset)
{
	port_select(devfn, offset);
	return inl(0xcfc);
}

static uint64_t ecam(uint32_t devfn)
{
	return ECAM + ((uint64_t)devfn << 12);
}

/* The first and the 257th 2 MiB page of the fourth GiB. */
static void map(void)
{
	uint64_t *root, *pointers, *directory;

	__asm__ volatile("mov %%cr3, %0" : "=r"(root));
	pointers = (uint64_t *)(root[0] & ~0xffful);
	directory = (uint64_t *)(pointers[3] & ~0xffful);
	directory[0] = WINDOW | 0x93;
	directory[256] = ECAM | 0x93;
	__asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

static void ways_agree(void)
{
	uint32_t found = 0, differ = 0;

	for (uint32_t devfn = 0; devfn < 256; devfn++) {
		uint32_t id = port_word(devfn, 0);

		differ += id != mmio(ecam(devfn));
		if (id == 0xffffffff)
			continue;
		found++;
		put_hex("slot ", devfn >> 3);
		put_hex("is ", id);
		for (uint32_t at = 4; at < 256; at += 4)
			differ += port_word(devfn, at) != mmio(ecam(devfn) + at);
	}
	check("ports and ECAM agree", differ == 0 && found == 3);
	check("a host bridge", port_word(0, 8) >> 16 == 0x600);
	port_select(8, 0);
	check("bytes and halves", inb(0xcfe) == 0x42 && inb(0xcfc) == 0xf4 && inb(0xcfd) == 0x1a);
	outl(0xcf8, 0x80010800);
	check("no other bus", inl(0xcfc) == 0xffffffff);
	outl(0xcf8, 0);
	check("not enabled", inl(0xcfc) == 0xffffffff);
}

/* Sizes by ports, places by ECAM; each BAR where the one before ends. */
static uint64_t place(uint32_t devfn, uint64_t at)
{
	for (uint32_t bar = 0; bar < 6; bar++) {
		uint32_t kind = port_word(devfn, 0x10 + 4 * bar), size;

		outl(0xcfc, 0xffffffff);
		size = inl(0xcfc);
		if (!size)
			continue;
		size = ~(size & ~15u) + 1;
		if ((kind & 1) || !size || size > BIG || size & (size - 1))
			check("a BAR of memory", 0);
		at = (at + size - 1) & ~(uint64_t)(size - 1);
		mmio_put(ecam(devfn) + 0x10 + 4 * bar, (uint32_t)at);
		at += size;
		if ((kind & 6) == 4) {
			mmio_put(ecam(devfn) + 0x14 + 4 * bar, 0);
			bar++;
		}
	}
	port_select(devfn, 4);
	outl(0xcfc, 6);                         /* memory, bus master */
	return at;
}

/* The disk */

static int served(struct frame *f)
{
	/* the read lowers the pin; as on a shared one, an interrupt without the disk's bit is not the disk's (on kvm_pvm) */
	if (f->vector == VECTOR_PIN && !byte(disk.isr))
		irq_count[VECTOR_PIN]--;
	mmio_put(LAPIC + 0xb0, 0);
	return f->vector >= VECTOR_MESSAGE && f->vector <= VECTOR_OTHER;
}

static void wait_for(uint32_t vector, uint32_t count)
{
	while (irq_count[vector] < count)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void disk_start(uint16_t vector)
{
	virtio_begin(&disk);
	virtio_queue(&disk, &queue, 0, vector);
	check("the disk takes the driver", virtio_end(&disk));
}

/* Type 0 reads, 1 writes (Virtio 1.2, 5.2.6). */
static void send(uint32_t type, uint64_t sector, uint8_t *data)
{
	request.type = type;
	request.sector = sector;
	status = 0xff;
	vq_part(&queue, 0, &request, 16, 0, 0);
	vq_part(&queue, 1, data, 512, type == 0, 0);
	vq_part(&queue, 2, &status, 1, 1, 1);
	vq_send(&queue);
}

static void transfer(uint32_t type, uint64_t sector, uint8_t *data, uint32_t vector)
{
	uint32_t before = irq_count[vector];

	send(type, sector, data);
#ifdef ENDLESS
	/* after a snapshot there may be one more, from a message that was on its way */
	do
		wait_for(vector, before + 1);
	while (!vq_back(&queue) && ++before);
	if (status)
#else
	wait_for(vector, before + 1);
	if (!vq_back(&queue) || status || irq_count[vector] != before + 1)
#endif
		check("a request", 0);
}

static uint32_t wrong_after(uint64_t sector, uint32_t vector)
{
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < 512; i++)
		area[i] = (uint8_t)(i * 7 + sector);
	transfer(1, sector, area, vector);
	memset(other, 0, sizeof(other));
	transfer(0, sector, other, vector);
	for (uint32_t i = 0; i < 512; i++)
		wrong += area[i] != other[i];
	transfer(0, 0, other, vector);
	for (uint32_t i = 0; i < 512; i++)
		wrong += other[i] != 0x5a;
	return wrong;
}

/* With ENDLESS over and over, until somebody types. */
static void read_and_write(const char *what, uint64_t sector, uint32_t vector)
{
#ifdef ENDLESS
	for (uint32_t round = 1; !(inb(SERIAL + 5) & 1); round++) {
		if (wrong_after(1 + round % (SECTORS - 1), vector))
			check("a round", 0);
		put_hex("round ", round);
	}
	(void)inb(SERIAL);
#endif
	check(what, wrong_after(sector, vector) == 0);
}

/* A masked vector is pending and interrupts when it is opened; with other data it is another interrupt. */
static void vector_changes(void)
{
	uint64_t table = virtio_msix_part(&disk, 4), pending = virtio_msix_part(&disk, 8);
	uint32_t before = irq_count[VECTOR_MESSAGE], early;

	mmio_put(table + 12, 1);
	send(0, 0, other);
	while (!vq_back(&queue) || !(mmio(pending) & 1))
		;
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	early = irq_count[VECTOR_MESSAGE] - before;
	mmio_put(table + 12, 0);
	wait_for(VECTOR_MESSAGE, before + 1);
	check("a masked vector", !early && irq_count[VECTOR_MESSAGE] == before + 1 && !(mmio(pending) & 1));
	mmio_put(table + 12, 1);
	mmio_put(table + 8, VECTOR_OTHER);
	mmio_put(table + 12, 0);
	transfer(0, 0, other, VECTOR_OTHER);
	mmio_put(table + 8, VECTOR_MESSAGE);            /* and without a mask */
	transfer(0, 0, other, VECTOR_MESSAGE);
	check("changed vectors", irq_count[VECTOR_MESSAGE] == before + 2 && irq_count[VECTOR_OTHER] == 1);
}

static void disk_work(void)
{
	virtio_find(&disk, ecam(8));
	check("a disk's parts", disk.common && disk.notify && disk.isr && disk.device && disk.msix);
	check("its size", mmio(disk.device) == SECTORS);
	virtio_messages(&disk, VECTOR_MESSAGE);
	disk_start(0);
	read_and_write("disk with messages", 5, VECTOR_MESSAGE);
	vector_changes();
	half_put(disk.config + disk.msix + 2, 0);
	/* level, low active as PCI's pins are; to the first local APIC */
	mmio_put(IOAPIC, 0x10 + 2 * PIN_GSI + 1);
	mmio_put(IOAPIC + 0x10, 0);
	mmio_put(IOAPIC, 0x10 + 2 * PIN_GSI);
	mmio_put(IOAPIC + 0x10, 0x8000 | VECTOR_PIN);
	disk_start(NO_VECTOR);
	read_and_write("disk with its pin", 6, VECTOR_PIN);
}

static void console_work(void)
{
	static char text[] = "said by the virtio console\n";

	virtio_find(&console, ecam(16));
	check("a console's parts", console.common && console.notify);
	virtio_begin(&console);
	virtio_queue(&console, &from_console, 0, NO_VECTOR);
	virtio_queue(&console, &to_console, 1, NO_VECTOR);
	check("the console takes the driver", virtio_end(&console));
	vq_part(&to_console, 0, text, sizeof(text) - 1, 0, 1);
	vq_send(&to_console);
	while (!vq_back(&to_console))
		;
}

int main(void)
{
	uint64_t at = WINDOW;

	on_trap = served;
	map();
	lapic_start();
	ways_agree();
	at = place(8, at);
	at = place(16, at);
	check("the BARs fit", at <= WINDOW + BIG);
	disk_work();
	console_work();
	put("done\n");
	return 0;
}
