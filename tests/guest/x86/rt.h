/* SPDX-License-Identifier: MIT */
/* What freestanding x86-64 guests share: ports, text, traps, the local APIC, a second CPU. */
#ifndef RT_H
#define RT_H

#include <stdint.h>

#define SERIAL 0x3f8
#define EXIT   0xf4
#define LAPIC  0xfee00000ul
#define IOAPIC 0xfec00000ul
#define MiB    0x100000ul

static inline void outb(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outl(uint16_t port, uint32_t v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint64_t rdmsr(uint32_t n)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(n));
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t n, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(n), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint32_t mmio(uint64_t at) { return *(volatile uint32_t *)at; }
static inline void mmio_put(uint64_t at, uint32_t v) { *(volatile uint32_t *)at = v; }

struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* A program's own handler, or 0: an unexpected trap ends it. Returns 1 when it was served. */
extern int (*on_trap)(struct frame *f);
extern volatile uint32_t irq_count[256];

void *memcpy(void *to, const void *from, unsigned long n);
void *memset(void *to, int byte, unsigned long n);
void put(const char *text);
void put_hex(const char *name, uint64_t value);
void check(const char *what, int good);
void finish(int code) __attribute__((noreturn));
uint64_t user(void (*fn)(void), void *stack_end);
void lapic_start(void);
void ap_start(void);                    /* the second CPU goes to ap_main(): both of these */
void ap_init(void);
void ap_go(void);
void ap_main(void);
int main(void);

#endif
