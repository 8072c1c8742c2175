/* SPDX-License-Identifier: MIT */
/* One CPU: ports, memory, paging faults, exceptions, work in ring 3, CPUID. */
#include "rt.h"

static volatile uint64_t fault_address;
static uint8_t user_stack[16384] __attribute__((aligned(16)));
static volatile uint32_t words[65536];

/* Steps over the instruction that the program knows to be 2 bytes long. */
static int skip2(struct frame *f)
{
	uint64_t cr2;

	if (f->vector != 6 && f->vector != 14 && f->vector != 0)
		return 0;
	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	fault_address = cr2;
	f->rip += 2;
	return 1;
}

static void faults(void)
{
	on_trap = skip2;
	__asm__ volatile("ud2");
	check("invalid opcode", irq_count[6] == 1);
	/* beyond what is mapped; "mov (%rax), %edx" has 2 bytes */
	__asm__ volatile(".byte 0x8b, 0x10" : : "a"(0x80001234ul) : "rdx", "memory");
	check("page fault", irq_count[14] == 1 && fault_address == 0x80001234ul);
	/* "div %ecx" has 2 bytes */
	__asm__ volatile(".byte 0xf7, 0xf1" : : "a"(1), "d"(0), "c"(0) : "cc");
	check("divide error", irq_count[0] == 1);
	on_trap = 0;
}

static void memory(void)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < 65536; i++)
		words[i] = i * 2654435761u;
	for (uint32_t i = 0; i < 65536; i++)
		sum ^= words[i];
	put_hex("memory ", sum);
}

/* Ring 3, where some hosts run the code itself: a checksum over what ring 0 wrote. */
__attribute__((noreturn)) static void work(void)
{
	uint64_t hash = 0xcbf29ce484222325ul;

	for (uint32_t round = 0; round < 20; round++)
		for (uint32_t i = 0; i < 65536; i++)
			hash = (hash ^ words[i]) * 0x100000001b3ul;
	__asm__ volatile("ud2" : : "a"(0x600dul), "D"(hash));
	for (;;)
		;
}

__attribute__((noreturn)) static void privileged(void)
{
	__asm__ volatile("cli");
	__asm__ volatile("ud2" : : "a"(0x600dul), "D"(1ul));
	for (;;)
		;
}

static int step_over_cli(struct frame *f)
{
	f->rip += 1;
	return f->vector == 13 && f->cs == 0x43;
}

static void ring3(void)
{
	put_hex("ring 3 ", user(work, user_stack + sizeof(user_stack)));
	on_trap = step_over_cli;
	user(privileged, user_stack + sizeof(user_stack));
	check("cli in ring 3 faults", irq_count[13] == 1);
	on_trap = 0;
}

static void strings(void)
{
	static const char text[] = "rep outsb\n";
	const char *from = text;
	unsigned long n = sizeof(text) - 1;

	__asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(SERIAL) : "memory");
	check("string output", n == 0 && from == text + sizeof(text) - 1);
	check("nothing at a port", inl(0x5000) == 0xffffffff);
	check("nothing in memory", mmio(0xfec80000ul & ~0x1ffffful) != 0x12345678);
}

int main(void)
{
	uint32_t a = 0, b, c, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	check("cpuid", a >= 1 && b);
	faults();
	memory();
	strings();
	ring3();
	put("done\n");
	return 0;
}
