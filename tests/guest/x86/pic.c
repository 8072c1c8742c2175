/* SPDX-License-Identifier: MIT */
/*
 * A PC without APICs: the 8254 on IRQ 0, the clock on IRQ 8 behind the second 8259A and the serial port on IRQ 4, all
 * counted; halting until they come, masks, poll, ring 3 being interrupted, priorities.
 */
#include "rt.h"

#define VECTOR 0x20
/* what is in service after a poll; in KVM's it has ended by then */
#ifdef OF_KVM
#define POLLED 0
#else
#define POLLED 1
#endif
#define IRQ(n) irq_count[VECTOR + (n)]

static uint8_t user_stack[4096] __attribute__((aligned(16)));
static volatile uint32_t stop, within;

static uint8_t cmos(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static void cmos_put(uint8_t reg, uint8_t value)
{
	outb(0x70, reg);
	outb(0x71, value);
}

static uint8_t in_service(uint16_t port)
{
	outb(port, 0x0b);
	return inb(port);
}

static int served(struct frame *f)
{
	uint32_t irq = (uint32_t)f->vector - VECTOR;

	if (irq > 15)
		return 0;
	within |= in_service(0x20) | (uint32_t)in_service(0xa0) << 8;
	if (irq == 8)
		(void)cmos(0x0c);
	if (irq == 4)
		(void)inb(SERIAL + 2);
	if (irq > 7)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
	stop = IRQ(0) >= 3;
	return 1;
}

static void init(void)
{
	outb(0x20, 0x11);
	outb(0x21, VECTOR);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0xa0, 0x11);
	outb(0xa1, VECTOR + 8);
	outb(0xa1, 2);
	outb(0xa1, 1);
}

/* Those of the first 8259A that may come, and of the second. */
static void allow(uint8_t first, uint8_t second)
{
	outb(0x21, (uint8_t)~first);
	outb(0xa1, (uint8_t)~second);
}

static void wait_for(uint32_t irq, uint32_t count)
{
	uint32_t until = IRQ(irq) + count;

	while (IRQ(irq) < until)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* 100 times a second. */
static void timer(void)
{
	outb(0x43, 0x34);
	outb(0x40, 11932 & 0xff);
	outb(0x40, 11932 >> 8);
	allow(0x01, 0);
	wait_for(0, 5);
	check("timer on IRQ 0", within == 0x0001 && IRQ(8) == 0);
}

/* 64 times a second, until register C is read. */
static void clock(void)
{
	cmos_put(0x0a, 0x2a);
	cmos_put(0x0b, 0x42);
	(void)cmos(0x0c);
	within = 0;
	allow(0x04, 0x01);
	wait_for(8, 5);
	check("clock on IRQ 8", within == 0x0104);
	allow(0x05, 0x01);
	wait_for(0, 3);
	wait_for(8, 3);
	check("both", 1);
}

static void serial(void)
{
	outb(SERIAL + 4, 8);
	allow(0x10, 0);
	outb(SERIAL + 1, 2);
	wait_for(4, 1);
	outb(SERIAL + 1, 0);
	check("serial port on IRQ 4", IRQ(4) >= 1);
}

__attribute__((noreturn)) static void spin(void)
{
	while (!stop)
		;
	__asm__ volatile("ud2" : : "a"(0x600dul), "D"(1ul));
	for (;;)
		;
}

/* Without any exit of its own: the vCPU has to be made to come out. */
static void interrupted(void)
{
	allow(0x01, 0);
	IRQ(0) = 0;
	stop = 0;
	check("ring 3 is interrupted", user(spin, user_stack + sizeof(user_stack)) == 1);
}

/* Interrupts are off all the time. */
static void polled(void)
{
	uint32_t before = IRQ(0);
	uint8_t answer;

	do {
		outb(0x20, 0x0c);
		answer = inb(0x20);
	} while (!(answer & 0x80));
	check("polled", answer == 0x80 && in_service(0x20) == POLLED && IRQ(0) == before);
	outb(0x20, 0x60);
	check("end of a polled one", in_service(0x20) == 0);
}

/* Some hosts look for an interrupt only every thousand instructions that they interpret. */
static void let_in(uint32_t before)
{
	__asm__ volatile("sti" : : : "memory");
	for (uint32_t i = 0; i < 5000 && IRQ(0) == before; i++)
		__asm__ volatile("nop" : : : "memory");
	__asm__ volatile("cli" : : : "memory");
}

static void masked(void)
{
	uint32_t before;

	allow(0, 0);
	before = IRQ(0);
	do
		outb(0x20, 0x0a);
	while (!(inb(0x20) & 1));
	let_in(before);
	check("masked", IRQ(0) == before);
	allow(0x01, 0);
	let_in(before);
	check("masked no more", IRQ(0) > before);
}

int main(void)
{
	on_trap = served;
	init();
	timer();
	clock();
	serial();
	interrupted();
	polled();
	masked();
	put("done\n");
	return 0;
}
