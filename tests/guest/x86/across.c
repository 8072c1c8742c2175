/* SPDX-License-Identifier: MIT */
/*
 * Interrupts that wait or are served while the machine is saved: says "ready", and goes on when the serial port has a
 * byte. Whoever serves the interrupt controllers then, each has come once. Without end.
 */
#include "rt.h"

#define PIC_VECTOR 0x20
#define UART       (PIC_VECTOR + 4)     /* IRQ 4 */
#define SELF       0x60                 /* an IPI to this CPU */
#define NMI        2
#define SPURIOUS   0xff
#define APIC_BASE  0x1bu
#define APIC_ENABLE 0x800u

static volatile uint32_t stopped_in;    /* vector whose handler waits; 0: none */
static volatile uint32_t wrong, storms, started;

static void start(void)
{
	lapic_start();
	mmio_put(LAPIC + 0x350, 0x700);         /* LINT0: the 8259A */
	outb(0x21, 0xef);
}

/* Until somebody types. */
static void ready(void)
{
	static uint32_t count;

	put_hex("ready ", ++count);
	while (!(inb(SERIAL + 5) & 1))
		;
	(void)inb(SERIAL);
}

static void nmi_send(void)
{
	mmio_put(LAPIC + 0x310, 0);
	mmio_put(LAPIC + 0x300, 0x4400);
}

static void uart_served(void)
{
	uint8_t why = inb(SERIAL + 2) & 0xf;

	if (why == 4)
		(void)inb(SERIAL);
	wrong += why == 1;
	if (!storms)
		outb(SERIAL + 1, 0);
}

/* The first NMI is stopped in, with another one behind it. */
static void nmi_served(void)
{
	if (irq_count[NMI] % 2 == 0)
		return;
	nmi_send();
	ready();
}

static int served(struct frame *f)
{
	wrong += f->vector == SPURIOUS || (f->vector > UART && f->vector < PIC_VECTOR + 16);
	if (f->vector == UART)
		uart_served();
	if (f->vector == NMI)
		nmi_served();
	if (f->vector == stopped_in)
		ready();
	if (f->vector == SELF)
		mmio_put(LAPIC + 0xb0, 0);
	if (f->vector >= PIC_VECTOR && f->vector < PIC_VECTOR + 16)
		outb(0x20, 0x20);
	return 1;
}

/* Long enough for one that should not come: some hosts look every thousand instructions. */
static void let_in(void)
{
	__asm__ volatile("sti" : : : "memory");
	for (uint32_t i = 0; i < 2500; i++)
		__asm__ volatile("nop" : : : "memory");
	__asm__ volatile("cli" : : : "memory");
}

static void came(const char *what, uint32_t vector, uint32_t times)
{
	let_in();
	check(what, irq_count[vector] == times && !wrong);
	irq_count[vector] = 0;
}

static void uart_raise(void)
{
	outb(SERIAL + 1, 2);
}

static void self_raise(void)
{
	mmio_put(LAPIC + 0x300, 0x40000 | SELF);
}

static void waiting(void)
{
	uart_raise();
	ready();
	came("waits in the 8259A", UART, 1);
	self_raise();
	ready();
	came("waits in the local APIC", SELF, 1);
	self_raise();
	uart_raise();
	ready();
	came("waits in both, 8259A", UART, 1);
	came("waits in both, local APIC", SELF, 1);
}

static void in_service(void)
{
	stopped_in = UART;
	uart_raise();
	came("in service of the 8259A", UART, 1);
	stopped_in = SELF;
	self_raise();
	came("in service of the local APIC", SELF, 1);
	stopped_in = 0;
	nmi_send();
	came("NMI behind another", NMI, 2);
}

static void masked(void)
{
	outb(0x21, 0xff);
	uart_raise();
	ready();
	outb(0x21, 0xef);
	came("masked in the 8259A", UART, 1);
	mmio_put(LAPIC + 0x350, 0x10700);
	uart_raise();
	ready();
	mmio_put(LAPIC + 0x350, 0x700);
	came("masked at LINT0", UART, 1);
}

/* The local APIC is turned off: the 8259A is the CPU's own. */
static void turned_off(void)
{
	wrmsr(APIC_BASE, rdmsr(APIC_BASE) & ~(uint64_t)APIC_ENABLE);
	uart_raise();
	ready();
	came("without a local APIC", UART, 1);
	check("no registers", mmio(LAPIC + 0x30) == 0xffffffff);
	wrmsr(APIC_BASE, rdmsr(APIC_BASE) | APIC_ENABLE);
	start();
}

/* Its time comes once, whoever counts. */
static void timer(void)
{
	mmio_put(LAPIC + 0x3e0, 0xb);
	mmio_put(LAPIC + 0x320, SELF);
	mmio_put(LAPIC + 0x380, 100000000);
	ready();
	while (!irq_count[SELF])
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	came("timer", SELF, 1);
	mmio_put(LAPIC + 0x320, 0x10000);
}

/* The byte itself interrupts. */
static void halted(void)
{
	outb(SERIAL + 1, 1);
	put_hex("halts ", 1);
	while (!irq_count[UART])
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	came("halted", UART, 1);
}

/* An interrupt for each character, until a byte comes in the middle of it. */
static void storm(void)
{
	uint32_t sent = 1;

	storms = 1;
	put_hex("storms ", 1);
	uart_raise();
	for (;;) {
		while (irq_count[UART] < sent)
			__asm__ volatile("sti; hlt; cli" : : : "memory");
		if (inb(SERIAL + 5) & 1)
			break;
		outb(SERIAL, '.');
		sent++;
	}
	(void)inb(SERIAL);
	storms = 0;
	outb(SERIAL + 1, 0);
	put("\n");
	came("storm", UART, sent);
}

void ap_main(void)
{
	__atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* It has been reset, and waits for its start-up message. */
static void second(void)
{
	uint32_t before = started;

	ap_init();
	ready();
	ap_go();
	while (started == before)
		;
	check("the second CPU's start", started == before + 1);
}

int main(void)
{
	on_trap = served;
	outb(0x20, 0x11);
	outb(0x21, PIC_VECTOR);
	outb(0x21, 4);
	outb(0x21, 1);
	start();
	for (;;) {
		waiting();
		in_service();
		masked();
		turned_off();
		timer();
		halted();
		storm();
		second();
	}
}
