/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of the 8259A by its two ways to the CPU: LINT0, open and masked, and an entry of the I/O APIC whose
 * delivery mode is ExtINT (MultiProcessor Specification 1.4, "Virtual Wire Mode"). Each comes once.
 */
#include "rt.h"

#define VECTOR 0x20
#define UART   (VECTOR + 4)             /* IRQ 4, of the 8259A and of the I/O APIC */
#define LINT0  (LAPIC + 0x350)
#define EXTINT 0x700u
#define MASKED 0x10000u
#define LOGICAL 0x800u

static int served(struct frame *f)
{
	if (f->vector != UART)
		return 0;
	(void)inb(SERIAL + 2);
	outb(SERIAL + 1, 0);
	outb(0x20, 0x20);
	return 1;
}

static void entry(uint32_t low, uint32_t dest)
{
	mmio_put(IOAPIC, 0x10 + 2 * 4);
	mmio_put(IOAPIC + 0x10, MASKED);
	mmio_put(IOAPIC, 0x11 + 2 * 4);
	mmio_put(IOAPIC + 0x10, dest << 24);
	mmio_put(IOAPIC, 0x10 + 2 * 4);
	mmio_put(IOAPIC + 0x10, low);
}

/*
 * Some hosts look for an interrupt only every thousand instructions that they interpret; and one that comes by the
 * I/O APIC may be a millisecond late.
 */
static void came(const char *what, uint32_t times)
{
	__asm__ volatile("sti" : : : "memory");
	for (uint32_t i = 0; i < 5000 || (irq_count[UART] < times && i < 50000000); i++)
		__asm__ volatile("nop" : : : "memory");
	__asm__ volatile("cli" : : : "memory");
	check(what, irq_count[UART] == times);
	irq_count[UART] = 0;
}

/* The serial port's, which is ready for a character. */
static void raise(void)
{
	outb(SERIAL + 1, 2);
}

static void halted(void)
{
	for (uint32_t n = 0; n < 20; n++) {
		uint32_t before = irq_count[UART];

		raise();
		while (irq_count[UART] == before)
			__asm__ volatile("sti; hlt; cli" : : : "memory");
	}
	came("twenty while it halts", 20);
}

int main(void)
{
	on_trap = served;
	outb(0x20, 0x11);
	outb(0x21, VECTOR);
	outb(0x21, 4);
	outb(0x21, 1);
	lapic_start();
	outb(0x21, 0xef);
	mmio_put(LINT0, MASKED | EXTINT);
	entry(MASKED, 0);
	raise();
	came("both ways masked", 0);
	mmio_put(LINT0, EXTINT);
	came("LINT0", 1);
	mmio_put(LINT0, MASKED | EXTINT);
	entry(EXTINT, 0);
	raise();
	came("by the I/O APIC", 1);
	halted();
	mmio_put(LAPIC + 0xd0, 1u << 24);
	entry(EXTINT | LOGICAL, 1);
	raise();
	came("to a logical destination", 1);
	entry(EXTINT | LOGICAL, 2);
	raise();
	came("to another", 0);
	mmio_put(LINT0, EXTINT);
	came("LINT0 again", 1);
	put("done\n");
	return 0;
}
