/* SPDX-License-Identifier: MIT */
/*
 * Extensions that the compiler does not know: their encodings as numbers, their results against plain C. One group a
 * function; cache blocks and waiting on reservations with their traps, from M, S and U.
 */
#include "rt.h"

#define MENVCFG_CB 0xf0                 /* CBIE, CBCFE, CBZE */
#define MSTATUS_TW 0x200000
#define MIE_MTIE 0x80

static uint64_t random_state = 1;

static uint64_t some(uint64_t i)
{
	static const uint64_t edges[] = { 0, 1, ~0ull, 0x80, 0xff, 0x8000, 0x7fffffff, 0x80000000, 1ull << 63 };
	return i < 9 ? edges[i] : rng(&random_state);
}

/* --- Zicond --- */

static void conditional(void)
{
	uint64_t bad = 0, got, alias;

	for (uint64_t i = 0; i < 40; i++)
		for (uint64_t j = 0; j < 12; j++) {
			uint64_t a = some(i), b = some(j);
			__asm__(".insn r 0x33, 5, 7, %0, %1, %2" : "=r"(got) : "r"(a), "r"(b));
			bad += got != (b ? a : 0);
			__asm__(".insn r 0x33, 7, 7, %0, %1, %2" : "=r"(got) : "r"(a), "r"(b));
			bad += got != (b ? 0 : a);
			alias = b;
			__asm__(".insn r 0x33, 5, 7, %0, %1, %0" : "+r"(alias) : "r"(a));
			bad += alias != (b ? a : 0);
			alias = b;
			__asm__(".insn r 0x33, 7, 7, %0, %1, %0" : "+r"(alias) : "r"(a));
			bad += alias != (b ? 0 : a);
			alias = a;
			__asm__(".insn r 0x33, 7, 7, %0, %0, %1" : "+r"(alias) : "r"(b));
			bad += alias != (b ? 0 : a);
		}
	verdict("czero", bad, 0);
}

/* --- Zcb: of a0 by a1 or at a1 --- */

#define ZCB(name, word) \
	static uint64_t name(uint64_t a, uint64_t b) \
	{ \
		register uint64_t r __asm__("a0") = a; \
		register uint64_t s __asm__("a1") = b; \
		__asm__ volatile(".half " #word : "+r"(r) : "r"(s) : "memory"); \
		return r; \
	}
ZCB(zcb_lbu3, 0x81e8)
ZCB(zcb_lhu2, 0x85a8)
ZCB(zcb_lh2, 0x85e8)
ZCB(zcb_sb1, 0x89c8)
ZCB(zcb_sh2, 0x8da8)
ZCB(zcb_zext_b, 0x9d61)
ZCB(zcb_sext_b, 0x9d65)
ZCB(zcb_zext_h, 0x9d69)
ZCB(zcb_sext_h, 0x9d6d)
ZCB(zcb_zext_w, 0x9d71)
ZCB(zcb_not, 0x9d75)
ZCB(zcb_mul, 0x9d4d)

static void compressed(void)
{
	uint64_t bad = 0, cell;

	for (uint64_t i = 0; i < 40; i++) {
		uint64_t a = some(i), b = some(i * 7 % 13);
		cell = a;
		bad += zcb_lbu3(0, PC(&cell)) != (uint8_t)(a >> 24);
		bad += zcb_lhu2(0, PC(&cell)) != (uint16_t)(a >> 16);
		bad += zcb_lh2(0, PC(&cell)) != (uint64_t)(int16_t)(a >> 16);
		zcb_sb1(b, PC(&cell));
		bad += cell != ((a & ~0xff00ull) | (b & 0xff) << 8);
		zcb_sh2(~b, PC(&cell));
		bad += (cell >> 16 & 0xffff) != (~b & 0xffff);
		bad += zcb_zext_b(a, 0) != (uint8_t)a || zcb_sext_b(a, 0) != (uint64_t)(int8_t)a;
		bad += zcb_zext_h(a, 0) != (uint16_t)a || zcb_sext_h(a, 0) != (uint64_t)(int16_t)a;
		bad += zcb_zext_w(a, 0) != (uint32_t)a || zcb_not(a, 0) != ~a || zcb_mul(a, b) != a * b;
	}
	verdict("zcb", bad, 0);
}

/* --- cache blocks --- */

#define CBO(name, number) \
	__asm__(".balign 4\n\t.globl " #name "\n" #name ":\n\t.insn i 0x0f, 2, x0, a0, " #number "\n\tecall"); \
	extern void name(void);
CBO(cbo_inval, 0)
CBO(cbo_clean, 1)
CBO(cbo_flush, 2)
CBO(cbo_zero, 4)

static uint64_t blocks[3 * 8] __attribute__((aligned(64)));
static uint32_t victim[32] __attribute__((aligned(64)));

static void zero_at(uint64_t address)
{
	__asm__ volatile(".insn i 0x0f, 2, x0, %0, 4" :: "r"(address) : "memory");
}

static void zeroing(void)
{
	uint64_t bad = 0;

	for (uint64_t offset = 0; offset < 64; offset++) {
		for (uint64_t i = 0; i < 24; i++)
			blocks[i] = ~i;
		zero_at(PC(&blocks[8]) + offset);
		for (uint64_t i = 0; i < 24; i++)
			bad += blocks[i] != (i >= 8 && i < 16 ? 0 : ~i);
	}
	verdict("cbo.zero", bad, 0);
	put32(&victim[16], I_LI(A0, 7));
	put32(&victim[17], I_RET);
	fence_i();
	CHECK("code before", ((code_fn *)PC(&victim[16]))(0, 0), 7);
	zero_at(PC(&victim[20]));
	fence_i();
	CHECK("code that was zeroed", call_in(MODE_M, PC(&victim[16]), 0, 0), CAUSE_ILLEGAL);
	/* all of a page, which is otherwise only written */
	static uint64_t page[512] __attribute__((aligned(4096)));
	for (uint32_t i = 0; i < 512; i++)
		page[i] = i + 1;
	for (uint64_t at = 0; at < 4096; at += 64)
		zero_at(PC(page) + at);
	for (uint32_t i = 0; i < 512; i++)
		bad += page[i];
	verdict("a page of blocks", bad, 0);
}

static void cbo_rights(void)
{
	static void (*const insns[])(void) = { cbo_inval, cbo_clean, cbo_flush, cbo_zero };
	static const uint64_t fields[] = { 0x30, 0x40, 0x40, 0x80 };
	uint64_t bad = 0;

	for (uint32_t i = 0; i < 4; i++) {
		csr_write(0x30a, 0);
		bad += call_in(MODE_M, PC(insns[i]), PC(blocks), 0) != CAUSE_ECALL_M;
		bad += call_in(MODE_S, PC(insns[i]), PC(blocks), 0) != CAUSE_ILLEGAL;
		csr_write(0x30a, fields[i]);
		csr_write(senvcfg, MENVCFG_CB & ~fields[i]);
		bad += call_in(MODE_S, PC(insns[i]), PC(blocks), 0) != CAUSE_ECALL_S;
		bad += call_in(MODE_U, PC(insns[i]), PC(blocks), 0) != CAUSE_ILLEGAL;
		csr_write(senvcfg, fields[i]);
		bad += call_in(MODE_U, PC(insns[i]), PC(blocks), 0) != CAUSE_ECALL_U;
		bad += call_in(MODE_U, PC(insns[i]), 0x10000000, 0) != (i < 3 ? CAUSE_ECALL_U : CAUSE_STORE);
		bad += call_in(MODE_M, PC(insns[i]), 0x7fffffff08, 0) != CAUSE_STORE;
		bad += me()->tval != 0x7fffffff00;
	}
	csr_write(0x30a, 0);
	verdict("rights of cbo", bad, 0);
}

/* --- Zawrs --- */

static struct { volatile uint32_t v; char rest[60]; } turn __attribute__((aligned(64)));

__asm__(".balign 4\n\t.globl wait_long, wait_short\n"
	"wait_long:\n\tlr.w\tt0, (a0)\n\t.word\t0x00d00073\n\tecall\n"
	"wait_short:\n\tlr.w\tt0, (a0)\n\t.word\t0x01d00073\n\tecall");
extern void wait_long(void), wait_short(void);

static uint32_t reserve(volatile uint32_t *p)
{
	uint32_t v;
	__asm__ volatile("lr.w.aqrl %0, (%1)" : "=r"(v) : "r"(p) : "memory");
	return v;
}

static inline void wrs_nto(void) { __asm__ volatile(".word 0x00d00073" ::: "memory"); }

static void take_turns(uint64_t hart, uint64_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		while (reserve(&turn.v) != 2 * i + hart)
			wrs_nto();
		fence();
		turn.v = 2 * i + 1 + (uint32_t)hart;
	}
}

static void waiting(void)
{
	uint64_t bad = 0, n = COUNT(20000);

	turn.v = 0;
	hart_start(1, take_turns, n);
	take_turns(0, n);
	hart_wait(1);
	CHECK("turns of two harts", turn.v, 2 * n);
	/* a timer's interrupt that is enabled, but not taken, ends the wait; nothing else happens here */
	csr_clear(mstatus, 8);
	csr_set(mie, MIE_MTIE);
	for (uint32_t i = 0; i < 20; i++) {
		uint64_t at = now() + 20000;
		set_mtimecmp(0, at);
		while (!(csr_read(mip) & MIE_MTIE)) {
			reserve(&turn.v);
			wrs_nto();
		}
		bad += now() < at;
	}
	csr_clear(mie, MIE_MTIE);
	set_mtimecmp(0, ~0ull);
	verdict("waits for the timer", bad, 0);
	csr_set(mstatus, MSTATUS_TW);
	CHECK("short wait in U", call_in(MODE_U, PC(wait_short), PC(&turn), 0), CAUSE_ECALL_U);
	CHECK("long wait in U with TW", call_in(MODE_U, PC(wait_long), PC(&turn), 0), CAUSE_ILLEGAL);
	CHECK("long wait in S with TW", call_in(MODE_S, PC(wait_long), PC(&turn), 0), CAUSE_ILLEGAL);
	csr_clear(mstatus, MSTATUS_TW);
}

/* --- Zacas --- */

static struct { uint64_t low, high; char rest[48]; } pair __attribute__((aligned(64)));
static volatile uint32_t narrow __attribute__((aligned(64)));
static volatile uint64_t wide __attribute__((aligned(64)));

static uint64_t cas_w(volatile uint32_t *p, uint64_t expected, uint64_t desired)
{
	__asm__ volatile(".insn r 0x2f, 2, 0x17, %0, %1, %2" : "+r"(expected) : "r"(p), "r"(desired) : "memory");
	return expected;
}

static uint64_t cas_d(volatile uint64_t *p, uint64_t expected, uint64_t desired)
{
	__asm__ volatile(".insn r 0x2f, 3, 0x17, %0, %1, %2" : "+r"(expected) : "r"(p), "r"(desired) : "memory");
	return expected;
}

/* What was there comes back in low and high. */
static void cas_q(void *p, uint64_t *low, uint64_t *high, uint64_t want_low, uint64_t want_high)
{
	register uint64_t a2 __asm__("a2") = *low, a3 __asm__("a3") = *high;
	register uint64_t a4 __asm__("a4") = want_low, a5 __asm__("a5") = want_high;
	__asm__ volatile(".insn r 0x2f, 4, 0x17, a2, %2, a4" : "+r"(a2), "+r"(a3) : "r"(p), "r"(a4), "r"(a5) : "memory");
	*low = a2;
	*high = a3;
}

static void add_to_all(uint64_t hart, uint64_t n)
{
	uint64_t low = 0, high = 0, old;

	(void)hart;
	for (uint64_t i = 0; i < n; i++) {
		for (uint32_t was = narrow; (old = cas_w(&narrow, was, was + 1)) != (uint64_t)(int32_t)was;)
			was = (uint32_t)old;
		for (uint64_t was = wide; (old = cas_d(&wide, was, was + 0x100000001)) != was;)
			was = old;
		for (;;) {
			uint64_t l = low, h = high;
			cas_q(&pair, &low, &high, l + 1, h - 1);
			if (l == low && h == high)
				break;
		}
	}
}

static void swapping(void)
{
	uint64_t n = COUNT(200000);

	narrow = 0x80000000;
	CHECK("amocas.w, sign-extended", cas_w(&narrow, 0x7780000000, 1), 0xffffffff80000000);
	CHECK("amocas.w stored", narrow, 1);
	CHECK("amocas.w of another value", cas_w(&narrow, 2, 3), 1);
	CHECK("amocas.w stored nothing", narrow, 1);
	narrow = 0;
	wide = pair.low = pair.high = 0;
	hart_start(1, add_to_all, n);
	add_to_all(0, n);
	hart_wait(1);
	CHECK("amocas.w of two harts", narrow, 2 * n);
	CHECK("amocas.d of two harts", wide, 2 * n * 0x100000001);
	CHECK("amocas.q of two harts, low", pair.low, 2 * n);
	CHECK("amocas.q of two harts, high", pair.high, -2 * n);
}

/* --- Zfh: by a few values; the arithmetic has tests of its own --- */

#define HALF_OP(name, text) \
	static uint64_t name(uint64_t a, uint64_t b, uint64_t *flags) \
	{ \
		uint64_t r; \
		__asm__ volatile("fmv.d.x ft0, %2\n\tfmv.d.x ft1, %3\n\tfsflags x0\n\t" text "\n\tfmv.x.d %0, ft2\n\tfrflags %1" \
				 : "=r"(r), "=r"(*flags) : "r"(a), "r"(b) : "ft0", "ft1", "ft2", "memory"); \
		return r; \
	}
HALF_OP(half_add, ".insn r 0x53, 7, 0x02, ft2, ft0, ft1")
HALF_OP(half_div_up, ".insn r 0x53, 3, 0x0e, ft2, ft0, ft1")
HALF_OP(half_to_single, ".insn r 0x53, 7, 0x20, ft2, ft0, ft2")
HALF_OP(single_to_half, ".insn r 0x53, 7, 0x22, ft2, ft0, ft0")

static void halves(void)
{
	static volatile uint16_t cell[4] = { 0x1111, 0x3c00, 0x2222 };
	const uint64_t box = ~0xffffull, one = box | 0x3c00, three = box | 0x4200;
	uint64_t flags, r;

	CHECK("fadd.h", half_add(one, three, &flags), box | 0x4400);
	CHECK("exact", flags, 0);
	CHECK("fdiv.h, up", half_div_up(one, three, &flags), box | 0x3556);
	CHECK("inexact", flags, 1);
	CHECK("fadd.h of what is not boxed", half_add(0x3c00, one, &flags), box | 0x7e00);
	CHECK("no flags", flags, 0);
	__asm__ volatile("fsrm %0" :: "r"(2));
	CHECK("fcvt.h.s, down by frm", single_to_half(0xffffffff47800000ull, 0, &flags), box | 0x7bff);
	CHECK("overflow", flags, 5);
	__asm__ volatile("fsrm x0");
	CHECK("fcvt.s.h", half_to_single(box | 0x0001, 0, &flags), 0xffffffff33800000);
	__asm__ volatile(".insn i 0x07, 1, ft2, %1, 2\n\tfmv.x.d %0, ft2" : "=r"(r) : "r"(cell) : "ft2", "memory");
	CHECK("flh", r, one);
	__asm__ volatile(".insn s 0x27, 1, ft2, 4(%0)" :: "r"(cell) : "memory");
	CHECK("fsh", cell[2], 0x3c00);
}

void run(void)
{
	conditional();
	compressed();
	zeroing();
	cbo_rights();
	waiting();
	swapping();
	halves();
}
