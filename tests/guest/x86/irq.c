/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: the 8254 through the 8259A, the local APIC's timer, one to itself, one of the serial port through the
 * I/O APIC; halting until they come, and ring 3 being interrupted.
 */
#include "rt.h"

#define VECTOR_PIC   0x20
#define VECTOR_TIMER 0x40
#define VECTOR_SELF  0x41
#define VECTOR_UART  0x42

static uint8_t user_stack[4096] __attribute__((aligned(16)));
static volatile uint32_t stop;

static int served(struct frame *f)
{
	if (f->vector >= VECTOR_PIC && f->vector < VECTOR_PIC + 16) {
		outb(0x20, 0x20);
		return 1;
	}
	if (f->vector == VECTOR_UART)
		(void)inb(SERIAL + 2);
	mmio_put(LAPIC + 0xb0, 0);
	stop = irq_count[VECTOR_TIMER] >= 3;
	return f->vector >= VECTOR_TIMER && f->vector <= VECTOR_UART;
}

static void wait_for(uint32_t vector, uint32_t count)
{
	while (irq_count[vector] < count)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* The timer's divisor is 11932: 100 times a second. */
static void pit(void)
{
	outb(0x20, 0x11);
	outb(0x21, VECTOR_PIC);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0x21, 0xfe);
	outb(0xa1, 0xff);
	outb(0x43, 0x34);
	outb(0x40, 11932 & 0xff);
	outb(0x40, 11932 >> 8);
	wait_for(VECTOR_PIC, 3);
	outb(0x21, 0xff);
	check("8254 through the 8259A", 1);
}

static void apic(void)
{
	lapic_start();
	mmio_put(LAPIC + 0x300, 0x40000 | VECTOR_SELF);
	wait_for(VECTOR_SELF, 1);
	check("interrupt to itself", irq_count[VECTOR_SELF] == 1);
	mmio_put(LAPIC + 0x3e0, 0xb);           /* divided by 1 */
	mmio_put(LAPIC + 0x320, 0x20000 | VECTOR_TIMER);
	mmio_put(LAPIC + 0x380, 1000000);
	wait_for(VECTOR_TIMER, 2);
	check("local timer", 1);
}

__attribute__((noreturn)) static void spin(void)
{
	while (!stop)
		;
	__asm__ volatile("ud2" : : "a"(0x600dul), "D"(1ul));
	for (;;)
		;
}

static void interrupted(void)
{
	stop = 0;
	irq_count[VECTOR_TIMER] = 0;
	check("ring 3 is interrupted", user(spin, user_stack + sizeof(user_stack)) == 1);
	mmio_put(LAPIC + 0x320, 0x10000);
}

/* Input 4, edge, to the first local APIC; then the transmitter's own interrupt. */
static void ioapic(void)
{
	mmio_put(IOAPIC, 0x10 + 2 * 4 + 1);
	mmio_put(IOAPIC + 0x10, 0);
	mmio_put(IOAPIC, 0x10 + 2 * 4);
	mmio_put(IOAPIC + 0x10, VECTOR_UART);
	outb(SERIAL + 4, 8);                    /* OUT2 */
	outb(SERIAL + 1, 2);
	wait_for(VECTOR_UART, 1);
	outb(SERIAL + 1, 0);
	check("serial port through the I/O APIC", 1);
}

int main(void)
{
	on_trap = served;
	pit();
	apic();
	interrupted();
	ioapic();
	put("done\n");
	return 0;
}
