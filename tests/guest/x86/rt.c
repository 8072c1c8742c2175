/* SPDX-License-Identifier: MIT */
/* See rt.h. Thin, and of general registers only: some hosts interpret ring 0. */
#include "rt.h"

extern char handlers[], trampoline[], trampoline_end[], user_return[];
extern uint64_t gdt[], idt[][2];
extern uint8_t tss[];

int (*on_trap)(struct frame *f);
volatile uint32_t irq_count[256];

void put(const char *text)
{
	for (; *text; text++) {
		while (!(inb(SERIAL + 5) & 0x20))
			;
		outb(SERIAL, (uint8_t)*text);
	}
}

void put_hex(const char *name, uint64_t value)
{
	char text[19] = "0x";
	int n = 2, shift = 60;

	while (shift && !(value >> shift & 15))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		text[n++] = "0123456789abcdef"[value >> shift & 15];
	text[n] = 0;
	put(name);
	put(text);
	put("\n");
}

void finish(int code)
{
	outl(EXIT, (uint32_t)code);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void check(const char *what, int good)
{
	put(what);
	put(good ? ": ok\n" : ": FAILED\n");
	if (!good)
		finish(1);
}

void trap(struct frame *f)
{
	/* user() ends here: back to its caller, in ring 0 */
	if (f->vector == 6 && f->cs == 0x43 && f->rax == 0x600d) {
		f->rax = f->rdi;
		f->rip = (uint64_t)user_return;
		f->cs = 0x08;
		f->ss = 0x10;
		f->rflags = 2;
		return;
	}
	irq_count[f->vector]++;
	if (on_trap && on_trap(f))
		return;
	put_hex("unexpected trap ", f->vector);
	put_hex("error ", f->error);
	put_hex("rip ", f->rip);
	finish(3);
}

void rt_start(void)
{
	uint64_t base = (uint64_t)tss;

	for (int i = 0; i < 256; i++) {
		uint64_t at = (uint64_t)handlers + 16 * (uint64_t)i;

		/* interrupt gates, for ring 0 */
		idt[i][0] = (at & 0xffff) | 0x08ul << 16 | 0x8e00ul << 32 | (at >> 16 & 0xffff) << 48;
		idt[i][1] = at >> 32;
	}
	/* no I/O permission bitmap: its base is beyond the limit */
	*(uint16_t *)(tss + 102) = 0xffff;
	gdt[5] = 103 | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
	gdt[6] = base >> 32;
	__asm__ volatile("ltr %w0" : : "r"(0x28));
}

/* Masks both 8259A, and turns this CPU's local APIC on. */
void lapic_start(void)
{
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	mmio_put(LAPIC + 0xf0, 0x1ff);          /* spurious vector 0xff, enabled */
	mmio_put(LAPIC + 0x80, 0);
}

/* INIT, then two start-up messages, as the MultiProcessor Specification says; to all others. */
void ap_init(void)
{
	for (char *p = trampoline, *to = (char *)0x8000; p < trampoline_end;)
		*to++ = *p++;
	mmio_put(LAPIC + 0x300, 0xc4500);
	for (volatile int i = 0; i < 2000; i++)
		;
}

void ap_go(void)
{
	for (int n = 0; n < 2; n++) {
		mmio_put(LAPIC + 0x300, 0xc4608);
		for (volatile int i = 0; i < 2000; i++)
			;
	}
}

void ap_start(void)
{
	ap_init();
	ap_go();
}

void *memcpy(void *to, const void *from, unsigned long n)
{
	char *t = to;
	const char *f = from;

	while (n--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int byte, unsigned long n)
{
	char *t = to;

	while (n--)
		*t++ = (char)byte;
	return to;
}

__attribute__((weak)) void ap_main(void)
{
}
