/* SPDX-License-Identifier: MIT */
/*
 * What CPUID shows of the local APIC can be used, and what it does not show is refused: x2APIC mode, the timer's
 * deadline mode. Turned off, it leaves the 8259A to the CPU. With DEVICES, for a local APIC that is
 * not KVM's, nothing of KVM's is shown that goes past it.
 */
#include "rt.h"

#define VECTOR         0x60
#define APIC_BASE      0x1bu
#define X2APIC         0x400u
#define ENABLE         0x800u
#define PIC_VECTOR     0x20
#define DEADLINE       0x6e0u
#define X2APIC_ID      0x802u
#define X2APIC_EOI     0x80bu
#define X2APIC_SELF    0x83fu
#define KVM_FEATURES   0x40000001u
/* async page faults (4, 10, 14), end of interrupt (6), unhalt (7), IPIs (11), yield (13), longer destinations (15) */
#define NEEDS_KVMS_OWN 0xecd0u

static volatile uint32_t in_x2apic;

static uint64_t now(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static void cpuid(uint32_t leaf, uint32_t words[4])
{
	__asm__ volatile("cpuid" : "=a"(words[0]), "=b"(words[1]), "=c"(words[2]), "=d"(words[3]) : "a"(leaf), "c"(0));
}

static int served(struct frame *f)
{
	if (f->vector == 13) {
		f->rip += 2;           /* wrmsr */
		return 1;
	}
	if (f->vector == PIC_VECTOR) {
		outb(0x20, 0x20);
		return 1;
	}
	if (in_x2apic)
		wrmsr(X2APIC_EOI, 0);
	else
		mmio_put(LAPIC + 0xb0, 0);
	return f->vector == VECTOR;
}

static void wait_for(uint32_t count)
{
	while (irq_count[VECTOR] < count)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void deadline(int shown)
{
	mmio_put(LAPIC + 0x320, 0x40000 | VECTOR);
	if (shown) {
		wrmsr(DEADLINE, now() + 1000000);
		wait_for(1);
	}
	mmio_put(LAPIC + 0x320, 0x10000);
	check(shown ? "timer with a deadline" : "no deadline is shown", 1);
}

/* An 8254 that goes, and a CPU that comes out of the guest for nothing else. */
static void pic_alone(void)
{
	uint64_t until;

	outb(0x20, 0x11);
	outb(0x21, PIC_VECTOR);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0x21, 0xfe);
	outb(0x43, 0x34);
	outb(0x40, 11932 & 0xff);
	outb(0x40, 11932 >> 8);
	wrmsr(APIC_BASE, rdmsr(APIC_BASE) & ~(uint64_t)ENABLE);
	until = now() + 10000000000u;
	__asm__ volatile("sti" : : : "memory");
	while (irq_count[PIC_VECTOR] < 3 && now() < until)
		;
	__asm__ volatile("cli" : : : "memory");
}

static void turned_off(void)
{
	uint32_t words[4], before = irq_count[VECTOR];

	mmio_put(LAPIC + 0x350, 0x10700);
	pic_alone();
	check("8259A without a local APIC", irq_count[PIC_VECTOR] >= 3);
	cpuid(1, words);
	check("none is shown", !(words[3] >> 9 & 1) && mmio(LAPIC + 0x30) == 0xffffffff);
	wrmsr(APIC_BASE, rdmsr(APIC_BASE) | ENABLE);
	lapic_start();
	cpuid(1, words);
	mmio_put(LAPIC + 0x300, 0x40000 | VECTOR);
	wait_for(before + 1);
	check("turned on again", words[3] >> 9 & 1 && irq_count[VECTOR] == before + 1);
}

static void x2apic(int shown)
{
	uint32_t before = irq_count[VECTOR];

	wrmsr(APIC_BASE, rdmsr(APIC_BASE) | X2APIC);
	in_x2apic = shown;
	if (!shown) {
		check("x2APIC mode is refused", irq_count[13] == 1);
		return;
	}
	wrmsr(X2APIC_SELF, VECTOR);
	wait_for(before + 1);
	check("x2APIC mode", irq_count[13] == 0 && rdmsr(X2APIC_ID) == 0);
}

int main(void)
{
	uint32_t words[4], kvm[4];

	on_trap = served;
	cpuid(1, words);
	cpuid(KVM_FEATURES, kvm);
	put_hex("paravirtual ", kvm[0]);
	check("local APIC", words[3] >> 9 & 1 && rdmsr(APIC_BASE) == (LAPIC | 0x900));
#ifdef DEVICES
	check("nothing goes past it", !(kvm[0] & NEEDS_KVMS_OWN) && !(words[2] >> 24 & 1) && !(words[2] >> 21 & 1));
#endif
	lapic_start();
	deadline(words[2] >> 24 & 1);
	turned_off();
	x2apic(words[2] >> 21 & 1);
	put("done\n");
	return 0;
}
