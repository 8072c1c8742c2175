/* SPDX-License-Identifier: MIT */
/*
 * The Advanced Interrupt Architecture 1.0 from machine mode: the interrupt files of both levels by their registers, the
 * APLIC's two domains by messages into them, and harts that wake each other by messages. Every check is of something
 * that the specification decides; where it leaves a choice (locked addresses), both choices are taken. -DPEER leaves
 * out what would stop an emulator of other choices.
 */
#include "rt.h"

#define ROOT  0x0c000000ull
#define CHILD 0x0d000000ull
#define FILES_M 0x24000000ull
#define FILES_S 0x28000000ull
#define WORD(at) (*(volatile uint32_t *)(uintptr_t)(at))
#define UART ((volatile uint8_t *)0x10000000)
#define UART_SOURCE 10u
#define FREE 60u                        /* a source that no device of the board drives */
#define MEIP (1u << 11)
#define SEIP (1u << 9)

/* registers of a file, behind miselect and siselect */
enum { EIDELIVERY = 0x70, EITHRESHOLD = 0x72, EIP = 0x80, EIE = 0xc0 };
/* registers of a domain */
enum { DOMAINCFG = 0, SOURCECFG = 0, MMSIADDR = 0x1bc0, SMSIADDR = 0x1bc8, SETIP = 0x1c00, SETIPNUM = 0x1cdc,
       IN_CLRIP = 0x1d00, CLRIPNUM = 0x1ddc, SETIE = 0x1e00, SETIENUM = 0x1edc, CLRIENUM = 0x1fdc, SETIPNUM_LE = 0x2000,
       SETIPNUM_BE = 0x2004, GENMSI = 0x3000, TARGET = 0x3000 };
enum { DETACHED = 1, EDGE1 = 4, LEVEL1 = 6, LEVEL0 = 7, DELEGATE = 0x400 };
#define IE 0x100u

/* --- files --- */

static uint64_t m_get(uint64_t reg) { csr_write(0x350, reg); return csr_read(0x351); }
static void m_set(uint64_t reg, uint64_t v) { csr_write(0x350, reg); csr_write(0x351, v); }
static uint64_t s_get(uint64_t reg) { csr_write(0x150, reg); return csr_read(0x151); }
static void s_set(uint64_t reg, uint64_t v) { csr_write(0x150, reg); csr_write(0x151, v); }
static uint64_t mtopei(void) { return csr_read(0x35c); }
static uint64_t stopei(void) { return csr_read(0x15c); }
static void m_claim(void) { csr_write(0x35c, 0); }
static void s_claim(void) { csr_write(0x15c, 0); }

static void files_clear(void)
{
	for (uint64_t i = 0; i < 8; i += 2) {
		m_set(EIP + i, 0), s_set(EIP + i, 0);
		m_set(EIE + i, ~0ull), s_set(EIE + i, ~0ull);
	}
	m_set(EIDELIVERY, 1), s_set(EIDELIVERY, 1);
	m_set(EITHRESHOLD, 0), s_set(EITHRESHOLD, 0);
}

static void file_registers(void)
{
	m_set(EIDELIVERY, 1);
	CHECK("eidelivery", m_get(EIDELIVERY), 1);
	m_set(EIDELIVERY, 0);
	CHECK("eidelivery off", m_get(EIDELIVERY), 0);
	m_set(EITHRESHOLD, 5);
	CHECK("eithreshold", m_get(EITHRESHOLD), 5);
	m_set(EITHRESHOLD, 0);
	m_set(EIE, ~0ull);
	CHECK("eie of identity 0", m_get(EIE), ~1ull);
	m_set(EIP, ~0ull);
	CHECK("eip of identity 0", m_get(EIP), ~1ull);
	m_set(EIP + 6, 1ull << 63);
	CHECK("the highest identity, 255", mtopei() && m_get(EIP + 6) == 1ull << 63, 1);
#ifndef PEER                            /* where these registers are illegal */
	m_set(EIP + 8, ~0ull);
	CHECK("eip beyond it", m_get(EIP + 8), 0);
	m_set(EIE + 8, ~0ull);
	CHECK("eie beyond it", m_get(EIE + 8), 0);
#endif
	s_set(EIE, 0);
	CHECK("the files are two", m_get(EIE), ~1ull);
	files_clear();
}

static void file_memory(uint64_t page, uint64_t (*get)(uint64_t))
{
	WORD(page) = 7;
	CHECK("a message", get(EIP), 1 << 7);
#ifndef PEER                            /* which lacks this register; it is optional */
	WORD(page + 4) = 9u << 24;
	CHECK("a message of the other byte order", get(EIP), 1 << 7 | 1 << 9);
#endif
	WORD(page) = 9;
	WORD(page) = 0;
	WORD(page) = 256;
	WORD(page) = 0x10007;
	CHECK("messages of identities that are not there", get(EIP) | get(EIP + 6), 1 << 7 | 1 << 9);
	CHECK("the page reads as zero", WORD(page), 0);
}

/* The order of identities, threshold, delivery, claims; identities 7 and 9 are pending. */
static void file_top(const char *level, uint64_t bit, uint64_t (*top)(void), void (*claim)(void),
		     void (*set)(uint64_t, uint64_t))
{
	say("# %s\n", level);
	CHECK("the lowest identity first", top(), 7 << 16 | 7);
	CHECK("the hart hears of it", csr_read(mip) & bit, bit);
	set(EITHRESHOLD, 7);
	CHECK("threshold at it", top(), 0);
	CHECK("the hart does not hear", csr_read(mip) & bit, 0);
	set(EITHRESHOLD, 8);
	CHECK("threshold above it", top(), 7 << 16 | 7);
	set(EITHRESHOLD, 0);
	set(EIE, ~(1ull << 7));
	CHECK("disabled", top(), 9 << 16 | 9);
	set(EIE, ~0ull);
	set(EIDELIVERY, 0);
	CHECK("no delivery", csr_read(mip) & bit, 0);
	CHECK("the register says it all the same", top(), 7 << 16 | 7);
	set(EIDELIVERY, 1);
	claim();
	CHECK("a claim takes it", top(), 9 << 16 | 9);
	claim();
	CHECK("and the other", top(), 0);
	CHECK("nothing is left", csr_read(mip) & bit, 0);
}

static void topi(void)
{
	WORD(FILES_M) = 3;
	csr_write(mie, MEIP);
	CHECK("mtopi names the major interrupt", csr_read(0xfb0) >> 16, 11);
	csr_write(mie, 0);
	CHECK("of those that are enabled", csr_read(0xfb0), 0);
	m_claim();
	csr_write(mideleg, SEIP);
	csr_write(mie, SEIP);
	WORD(FILES_S) = 3;
	CHECK("a delegated one is stopi's", csr_read(0xdb0) >> 16, 9);
	CHECK("and not mtopi's", csr_read(0xfb0), 0);
	s_claim();
	csr_write(mie, 0);
	csr_write(mideleg, 0);
}

/* --- APLIC --- */

/* Where messages go: wired in and locked, or for the guest to say. */
static void addresses(void)
{
	if (WORD(ROOT + MMSIADDR + 4) >> 31)
		return;
	WORD(ROOT + MMSIADDR) = FILES_M >> 12;
	WORD(ROOT + MMSIADDR + 4) = 1 << 12;
	WORD(ROOT + SMSIADDR) = FILES_S >> 12;
	WORD(ROOT + SMSIADDR + 4) = 0;
}

static uint32_t pending(uint64_t domain, uint32_t source)
{
	return WORD(domain + SETIP + source / 32 * 4) >> source % 32 & 1;
}

static uint32_t enabled(uint64_t domain, uint32_t source)
{
	return WORD(domain + SETIE + source / 32 * 4) >> source % 32 & 1;
}

static void source_registers(void)
{
	CHECK("domaincfg", WORD(ROOT + DOMAINCFG) & 0xff000101, 0x80000000);
	CHECK("an inactive source", WORD(ROOT + SOURCECFG + 4 * FREE), 0);
	WORD(ROOT + SETIENUM) = FREE;
	WORD(ROOT + SETIPNUM) = FREE;
	WORD(ROOT + TARGET + 4 * FREE) = 5;
	CHECK("is never enabled", enabled(ROOT, FREE), 0);
	CHECK("nor pending", pending(ROOT, FREE), 0);
	CHECK("and goes nowhere", WORD(ROOT + TARGET + 4 * FREE), 0);
	WORD(ROOT + SOURCECFG + 4 * FREE) = DETACHED;
	WORD(ROOT + SETIENUM) = FREE;
	WORD(ROOT + SETIPNUM) = FREE;
	WORD(ROOT + TARGET + 4 * FREE) = 0x41234;
	CHECK("an active one", WORD(ROOT + SOURCECFG + 4 * FREE), DETACHED);
	CHECK("is enabled", enabled(ROOT, FREE), 1);
	CHECK("is pending", pending(ROOT, FREE), 1);
	CHECK("its target: hart and identity", WORD(ROOT + TARGET + 4 * FREE), 0x40234);
	WORD(ROOT + CLRIPNUM) = FREE;
	CHECK("is pending no more", pending(ROOT, FREE), 0);
	WORD(ROOT + CLRIENUM) = FREE;
	CHECK("is enabled no more", enabled(ROOT, FREE), 0);
	WORD(ROOT + SETIPNUM_LE) = FREE;
	CHECK("pending by little-endian number", pending(ROOT, FREE), 1);
	WORD(ROOT + IN_CLRIP + FREE / 32 * 4) = 1u << FREE % 32;
	CHECK("cleared by the array", pending(ROOT, FREE), 0);
	WORD(ROOT + SETIPNUM_BE) = FREE << 24;
	CHECK("pending by big-endian number", pending(ROOT, FREE), 1);
	WORD(ROOT + SETIENUM) = FREE;
	WORD(ROOT + SOURCECFG + 4 * FREE) = 0;
	CHECK("inactive again, it forgets", pending(ROOT, FREE) << 1 | enabled(ROOT, FREE), 0);
	WORD(ROOT + SETIENUM) = 0;
	CHECK("there is no source 0", enabled(ROOT, 0), 0);
}

static void forwarding(void)
{
	WORD(ROOT + SOURCECFG + 4 * FREE) = DETACHED;
	WORD(ROOT + TARGET + 4 * FREE) = 21;
	WORD(ROOT + SETIENUM) = FREE;
	WORD(ROOT + SETIPNUM) = FREE;
	CHECK("the domain is off: it waits", pending(ROOT, FREE) << 8 | (mtopei() != 0), 1 << 8);
	WORD(ROOT + DOMAINCFG) = IE;
	CHECK("it is on: a message", mtopei(), 21 << 16 | 21);
	CHECK("which takes the pending bit", pending(ROOT, FREE), 0);
	m_claim();
	WORD(ROOT + CLRIENUM) = FREE;
	WORD(ROOT + SETIPNUM) = FREE;
	CHECK("a disabled source waits", pending(ROOT, FREE) << 8 | (mtopei() != 0), 1 << 8);
	WORD(ROOT + SETIENUM) = FREE;
	CHECK("until it is enabled", mtopei(), 21 << 16 | 21);
	m_claim();
	WORD(ROOT + GENMSI) = 33;
	while (WORD(ROOT + GENMSI) >> 12 & 1)
		;
	CHECK("a message without a source", mtopei(), 33 << 16 | 33);
	m_claim();
	WORD(ROOT + SOURCECFG + 4 * FREE) = 0;
}

/* The serial port's empty transmitter holds its line high for as long as that may interrupt. */
static void levels(uint64_t domain, uint64_t (*top)(void), void (*claim)(void))
{
	WORD(domain + SOURCECFG + 4 * UART_SOURCE) = LEVEL1;
	WORD(domain + TARGET + 4 * UART_SOURCE) = 12;
	WORD(domain + SETIENUM) = UART_SOURCE;
	CHECK("a low wire", WORD(domain + IN_CLRIP) >> UART_SOURCE & 1, 0);
	CHECK("tells nothing", top(), 0);
	WORD(domain + SETIPNUM) = UART_SOURCE;
	CHECK("nor does software make it pending", top(), 0);
	while (!(UART[5] & 0x40))
		;
	UART[1] = 2;
	CHECK("a high wire", top(), 12 << 16 | 12);
	uint32_t in = WORD(domain + IN_CLRIP) >> UART_SOURCE & 1;
	claim();
	uint64_t quiet = top();
	WORD(domain + SETIPNUM) = UART_SOURCE;
	uint64_t again = top();
	claim();
	UART[1] = 0;
	CHECK("reads as such", in, 1);
	CHECK("sends one message only", quiet, 0);
	CHECK("until software asks again", again, 12 << 16 | 12);
	WORD(domain + SOURCECFG + 4 * UART_SOURCE) = LEVEL0;
	CHECK("inverted, the low wire is one", top(), 12 << 16 | 12);
	claim();
	WORD(domain + SOURCECFG + 4 * UART_SOURCE) = 0;
}

static void delegation(void)
{
	WORD(CHILD + SOURCECFG + 4 * UART_SOURCE) = LEVEL1;
	CHECK("a source that is not delegated", WORD(CHILD + SOURCECFG + 4 * UART_SOURCE), 0);
	WORD(ROOT + SOURCECFG + 4 * UART_SOURCE) = DELEGATE;
	CHECK("a delegated one", WORD(ROOT + SOURCECFG + 4 * UART_SOURCE), DELEGATE);
	WORD(ROOT + SETIENUM) = UART_SOURCE;
	CHECK("is the root's no more", enabled(ROOT, UART_SOURCE), 0);
	WORD(CHILD + DOMAINCFG) = IE;
	say("# the child domain\n");
	levels(CHILD, stopei, s_claim);
	CHECK("all went to the supervisor's file", mtopei(), 0);
	WORD(CHILD + SOURCECFG + 4 * UART_SOURCE) = EDGE1;
	WORD(ROOT + SOURCECFG + 4 * UART_SOURCE) = 0;
	CHECK("taken back, the child's is inactive", WORD(CHILD + SOURCECFG + 4 * UART_SOURCE), 0);
}

/* --- harts --- */

static volatile uint64_t ready, wrong;

/* Sleeps until its file has the identity, and answers hart 0 with the next one. */
static void answer(uint64_t hart, uint64_t n)
{
	files_clear();
	csr_write(mie, MEIP);
	ready = 1;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t wanted = 1 + i % 200;
		while (!mtopei())
			__asm__ volatile("wfi");
		wrong += mtopei() != (wanted << 16 | wanted);
		m_claim();
		WORD(FILES_M + 0x1000 * (hart - 1)) = (uint32_t)wanted + 1;
	}
	csr_write(mie, 0);
}

static void ping_pong(void)
{
	uint64_t n = COUNT(50000);

	hart_start(1, answer, n);
	csr_write(mie, MEIP);
	while (!ready)
		;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t wanted = 2 + i % 200;
		WORD(FILES_M + 0x1000) = (uint32_t)wanted - 1;
		while (!mtopei())
			__asm__ volatile("wfi");
		wrong += mtopei() != (wanted << 16 | wanted);
		m_claim();
	}
	csr_write(mie, 0);
	hart_wait(1);
	verdict("harts wake each other by messages", wrong, 0);
}

void run(void)
{
	file_registers();
	file_memory(FILES_M, m_get);
	file_top("machine", MEIP, mtopei, m_claim, m_set);
	file_memory(FILES_S, s_get);
	file_top("supervisor", SEIP, stopei, s_claim, s_set);
	topi();
	addresses();
	source_registers();
	forwarding();
	say("# the root domain\n");
	levels(ROOT, mtopei, m_claim);
	delegation();
	ping_pong();
}
