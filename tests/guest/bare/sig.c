/* SPDX-License-Identifier: MIT */
/*
 * Signatures: what the privileged architecture says of registers, traps, protection and paging, printed. sig.expected
 * holds the text. Debian's qemu-system-riscv64 7.2 prints the same but for these lines (sig.py knows them):
 *   sepc          bit 0 can be set there; it "is always zero" (Privileged ISA, "Supervisor Exception Program Counter")
 *   medeleg       ecall from M can be delegated there; the bit may be read-only zero ("Machine Trap Delegation")
 *   pmpaddr5      bits above 53 can be set there; RV64 has bits 55-2 of an address ("PMP CSRs")
 *   csr c00, f11  csrrs with a register that holds zero is a write, illegal for read-only registers ("Zicsr")
 *   amo           an AMO raises store faults, also for want of read access ("Machine Cause Register"): loads' there
 *   interrupts    of several the lowest number is taken there; the order is SEI, SSI, STI ("Machine Interrupt
 *                 Registers")
 *   table in nothing   an access fault of the original kind ("Virtual Address Translation Process", step 2)
 *   adue          menvcfg.ADUE is not known there, A and D are always updated (Svadu)
 *   pmp, misaligned    accesses that match an entry in part fail ("Priority and Matching Logic"); there by luck
 *   execution into a hole   a block of translated code runs on there
 */
#include "rt.h"

#define BUFFER ((volatile uint32_t *)0x82000000)
static uint8_t pages[8][4096] __attribute__((aligned(4096)));
static uint8_t superpage[2 << 20] __attribute__((aligned(2 << 20)));

static void at_mode(uint64_t mode)
{
	say("%c", (uint64_t)"US?M"[mode]);
}

/* csrrX a0, csr, a0 in a mode: cause 8, 9 or 11 when it went well. */
static uint64_t csr_op(uint64_t mode, uint32_t csr, uint32_t kind, uint64_t value)
{
	BUFFER[0] = csr << 20 | A0 << 15 | kind << 12 | A0 << 7 | 0x73;
	BUFFER[1] = I_ECALL;
	fence_i();
	return call_in(mode, PC(BUFFER), value, 0);
}

static uint64_t csr_get(uint32_t csr)
{
	BUFFER[0] = csr << 20 | 2 << 12 | A0 << 7 | 0x73;
	BUFFER[1] = I_ECALL;
	fence_i();
	call_in(MODE_M, PC(BUFFER), 0, 0);
	return me()->a0;
}

/* --- registers --- */

static const struct { const char *name; uint32_t number; uint64_t value, mask; } warl[] = {
	{ "mscratch", 0x340, ~0ull, ~0ull }, { "sscratch", 0x140, ~0ull, ~0ull },
	{ "mepc", 0x341, ~0ull, ~0ull }, { "sepc", 0x141, ~0ull, ~0ull },
	{ "mie", 0x304, ~0ull, 0xaaa }, { "mie", 0x304, 0, ~0ull },
	{ "mideleg", 0x303, ~0ull, 0xaaa }, { "medeleg", 0x302, ~0ull, 0xb800 }, { "medeleg", 0x302, 0, 0xffff },
	{ "mcounteren", 0x306, ~0ull, 7 }, { "scounteren", 0x106, ~0ull, 7 }, { "mcounteren", 0x306, 0, 7 },
	{ "scounteren", 0x106, 0, 7 }, { "stvec", 0x105, 0x80000001, ~0ull }, { "stvec", 0x105, 0x80000000, ~0ull },
	{ "scause", 0x142, 0x8000000000000005, ~0ull }, { "stval", 0x143, 0x123456789abcdef0, ~0ull },
	{ "satp", 0x180, 8ull << 60 | 0x80000, ~0ull }, { "satp, mode 15", 0x180, 15ull << 60 | 1, ~0ull },
	{ "satp, mode 1", 0x180, 1ull << 60 | 2, ~0ull }, { "satp, Sv48", 0x180, 9ull << 60 | 3, ~0ull },
	{ "satp, bare", 0x180, 0, ~0ull },
	{ "mstatus.MPP=1", 0x300, 0x800, 0x1800 }, { "mstatus.MPP=0", 0x300, 0, 0x1800 },
	{ "mstatus.MPP=3", 0x300, 0x1800, 0x1800 },
	{ "mstatus.SPP,SPIE,SUM,MXR,TVM,TW,TSR", 0x300, 0x7c0120, 0x7c0120 },
	{ "mstatus.FS", 0x300, 0x6000, 0x8000000000006000 }, { "mstatus.FS=0", 0x300, 0, 0x8000000000006000 },
	{ "mstatus.FS=1", 0x300, 0x2000, 0x8000000000006000 },
	{ "mstatus.UXL,SXL", 0x300, 0, 0xf00000000 },
	{ "sstatus", 0x100, 0x6000, 0x80000003000de122 },
	{ "pmpaddr5", 0x3b5, ~0ull, ~0ull }, { "pmpaddr5", 0x3b5, 0, ~0ull },
	{ "mip", 0x344, 0x222, 0x222 }, { "mip", 0x344, 0, 0x222 },
	{ "frm", 0x002, ~0ull, ~0ull }, { "fflags", 0x001, ~0ull, ~0ull }, { "fcsr", 0x003, 0, ~0ull },
	{ "mhartid", 0xf14, 0, ~0ull },
};

static void registers(void)
{
	csr_set(mstatus, 0x6000);
	for (size_t i = 0; i < sizeof(warl) / sizeof(warl[0]); i++) {
		uint64_t old = csr_get(warl[i].number);
		bool wide = warl[i].number == 0x300;
		uint64_t value = wide ? (old & ~0x7ffe120ull) | warl[i].value : warl[i].value;
		if (warl[i].number == 0x340)
			continue;       /* the runtime's own */
		uint64_t cause = csr_op(MODE_M, warl[i].number, 1, value);
		say("%s <- %x: %x, cause %d\n", warl[i].name, warl[i].value, csr_get(warl[i].number) & warl[i].mask,
		    cause);
	}
	csr_clear(mstatus, 0x7c0000);
	csr_set(mstatus, 0x6000);
	csr_write(mideleg, 0);
	csr_write(medeleg, 0);
	csr_write(mie, 0);
}

/* Which registers can be read, written, in which mode; as letters: - none, r read, w written too. */
static void rights(void)
{
	static const uint16_t numbers[] = { 0x001, 0x002, 0x003, 0xc00, 0xc01, 0xc02, 0x100, 0x104, 0x105, 0x106, 0x10a,
		0x140, 0x141, 0x142, 0x143, 0x144, 0x180, 0x300, 0x301, 0x302, 0x303, 0x304, 0x305, 0x306, 0x30a, 0x320,
		0x340, 0x341, 0x342, 0x343, 0x344, 0x3a0, 0x3a1, 0x3a2, 0x3a3, 0x3b0, 0x3bf, 0xb00, 0xb02, 0xb01, 0xf11,
		0xf12, 0xf13, 0xf14, 0xf15, 0xc80, 0x004, 0x0ff, 0x7b0, 0x5a0, 0x9c0, 0xcc0, 0xdc0, 0xfc0 };

	csr_write(mcounteren, 7);
	csr_write(scounteren, 7);
	for (size_t i = 0; i < sizeof(numbers) / 2; i++) {
		say("csr %x:", (uint64_t)numbers[i]);
		for (uint64_t mode = 0; mode < 4; mode += mode == 1 ? 2 : 1) {
			uint64_t good = CAUSE_ECALL_U + mode;
			say(" ");
			at_mode(mode);
			/* csrrs x0 reads; csrrs of zero bits by a register writes */
			BUFFER[0] = (uint32_t)numbers[i] << 20 | 2 << 12 | A0 << 7 | 0x73;
			BUFFER[1] = I_ECALL;
			fence_i();
			bool can_read = call_in(mode, PC(BUFFER), 0, 0) == good;
			bool can_write = csr_op(mode, numbers[i], 2, 0) == good;
			say(can_write ? "w" : can_read ? "r" : "-");
		}
		say("\n");
	}
}

static void counters(void)
{
	static probe *const some[] = { p_cycle, p_time, p_instret };

	for (uint64_t m = 0; m < 8; m++)
		for (uint64_t s = 0; s < 8; s++) {
			csr_write(mcounteren, m);
			csr_write(scounteren, s);
			say("counteren m %x s %x:", m, s);
			for (uint64_t mode = 0; mode < 2; mode++)
				for (int k = 0; k < 3; k++)
					say(" %d", call_in(mode, PC(some[k]), 0, 0));
			say("\n");
		}
}

/* --- traps --- */

static void show(const char *what, uint64_t base)
{
	const struct hart *h = me();

	say("%s: cause %x epc +%x tval %x from %d mie %d mpie %d\n", what, h->cause, h->epc - base, h->tval,
	    h->status >> 11 & 3, h->status >> 3 & 1, h->status >> 7 & 1);
}

static void traps(void)
{
	static const struct { const char *name; probe *fn; uint64_t a0; } list[] = {
		{ "ecall", p_ecall, 0 }, { "illegal", p_illegal, 0 }, { "sret", p_sret, 0 },
		{ "mret", p_mret, 0 }, { "sfence.vma", p_sfence, 0 }, { "load from nothing", p_ld, 0x18000000 },
		{ "store to nothing", p_sd, 0x18000000 }, { "amo to nothing", p_amo, 0x18000000 },
		{ "fetch from nothing", p_jump, 0x18000000 }, { "fence.i", p_fencei, 0 },
	};

	for (uint64_t mode = 0; mode < 4; mode += mode == 1 ? 2 : 1)
		for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
			/* the returns go on where they are told: to an environment call */
			csr_write(sepc, PC(done));
			csr_clear(mstatus, 0x100);
			if (mode == MODE_M && list[i].fn == p_mret)
				continue;
			call_in(mode, PC(list[i].fn), list[i].a0, 0);
			at_mode(mode);
			say(" ");
			show(list[i].name, list[i].a0 == 0x18000000 && list[i].fn == p_jump ? list[i].a0 :
			     (list[i].fn == p_sret && me()->cause != 2) ? PC(done) : PC(list[i].fn));
		}
	/* TVM, TW and TSR, from S */
	for (uint64_t bits = 0; bits < 8; bits++) {
		csr_clear(mstatus, 7 << 20);
		csr_set(mstatus, bits << 20);
		csr_write(sepc, PC(done));
		csr_set(mstatus, 0x100);
		uint64_t a = call_in(MODE_S, PC(p_sret), 0, 0), b = call_in(MODE_S, PC(p_sfence), 0, 0);
		uint64_t c = csr_op(MODE_S, 0x180, 2, 0);
		/* one that is pending lets wfi go on */
		csr_write(mie, 8);
		ipi(0, true);
		csr_write(mideleg, 0);
		csr_clear(mstatus, 0x80);
		csr_write(mie, 0);
		ipi(0, false);
		say("TVM,TW,TSR %x: sret %d sfence %d satp %d\n", bits, a, b, c);
	}
	csr_clear(mstatus, 7 << 20);
	csr_clear(mstatus, 0x6000);
	say("FS off: fld %d", call_in(MODE_M, PC(p_fld), PC(pages), 0));
	say(" fsd %d frm %d\n", call_in(MODE_U, PC(p_fsd), PC(pages), 0), csr_op(MODE_M, 2, 2, 0));
	csr_set(mstatus, 0x2000);
	call_in(MODE_U, PC(p_fsd), PC(pages), 0);
	say("FS initial, after a store %x", csr_read(mstatus) >> 13 & 3);
	call_in(MODE_U, PC(p_fld), PC(pages), 0);
	say(", after a load %x\n", csr_read(mstatus) >> 13 & 3);
	csr_set(mstatus, 0x6000);
}

/* Delegated: the handler in S hands up what it got. */
static void delegation(void)
{
	csr_write(medeleg, 0xb1ff);
	csr_write(stvec, PC(p_strap));
	static const struct { const char *name; probe *fn; uint64_t a0; } list[] = {
		{ "ecall", p_ecall, 0 }, { "illegal", p_illegal, 0 }, { "load", p_ld, 0x18000000 },
		{ "store", p_sd, 0x18000008 }, { "fetch", p_jump, 0x18000000 },
	};
	for (uint64_t mode = 0; mode < 4; mode += mode == 1 ? 2 : 1)
		for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
			csr_write(scause, 99);
			csr_set(mstatus, 2);
			uint64_t cause = call_in(mode, PC(list[i].fn), list[i].a0, 0);
			at_mode(mode);
			say(" delegated %s: m %x, s %x tval %x spp %d spie %d sie %d", list[i].name, cause, csr_read(scause),
			    csr_read(scause) == 99 ? 0 : csr_read(stval), csr_read(sstatus) >> 8 & 1,
			    csr_read(sstatus) >> 5 & 1, csr_read(sstatus) >> 1 & 1);
			say(" pc +%x\n", me()->epc - (cause == 9 && csr_read(scause) != 99 ? PC(p_strap) :
						      list[i].fn == p_jump ? list[i].a0 : PC(list[i].fn)));
			csr_clear(mstatus, 0x122);
		}
	csr_write(medeleg, 0);
}

/* Interrupts pending in mip by software, to M and to S, by priority, vectored and not. */
static void interrupts(void)
{
	csr_write(mie, 0);
	csr_write(stvec, PC(p_vector) + 1);
	for (uint64_t pending = 0; pending < 8; pending++) {
		uint64_t mip = (pending & 1) << 1 | (pending >> 1 & 1) << 5 | (pending >> 2 & 1) << 9;
		for (uint64_t deleg = 0; deleg < 2; deleg++)
			for (uint64_t mode = 0; mode < 4; mode += mode == 1 ? 2 : 1)
				for (uint64_t on = 0; on < 2; on++) {
					csr_write(mideleg, deleg ? 0x222 : 0);
					csr_write(mip, mip);
					csr_write(mie, 0x222);
					csr_clear(mstatus, 0x82);
					if (on)
						csr_set(mstatus, mode == MODE_M ? 0x80 : 2);
					csr_write(scause, 0);
					uint64_t cause = call_in(mode, PC(p_ecall), 0, 0);
					csr_write(mie, 0);
					say("%x %c %d %d: m %x s %x entry %d\n", mip, (uint64_t)"US?M"[mode], deleg, on, cause,
					    csr_read(scause), csr_read(scause) ? me()->a0 : 0);
				}
	}
	/* the higher ones: M's own come first */
	csr_write(mip, 0x222);
	csr_write(mideleg, 0x22);
	csr_write(mie, 0xaaa);
	ipi(0, true);
	set_mtimecmp(0, 0);
	while ((csr_read(mip) & 0x88) != 0x88)
		;
	for (uint64_t off = 0; off < 6; off++) {
		static const uint8_t order[] = { 3, 7, 9, 1, 5, 11 };
		csr_write(scause, 0);
		uint64_t cause = call_in(MODE_U, PC(p_ecall), 0, 0);
		say("by priority: m %x s %x\n", cause, csr_read(scause));
		csr_write(mie, csr_read(mie) & ~(1ull << order[off]));
	}
	set_mtimecmp(0, ~0ull);
	ipi(0, false);
	csr_write(mie, 0);
	csr_write(mip, 0);
	csr_write(mideleg, 0);
	csr_clear(mstatus, 0xa2);
}

/* --- PMP --- */

static void pmp(const char *name, uint64_t addr)
{
	static probe *const some[] = { p_lb, p_lh, p_lw, p_ld, p_sb, p_sh, p_sw, p_sd, p_jump };

	say("pmp %s +%x:", name, addr & 4095);
	for (uint64_t mode = 0; mode < 4; mode += mode == 1 ? 2 : 1) {
		say(" ");
		at_mode(mode);
		for (size_t k = 0; k < sizeof(some) / sizeof(some[0]); k++) {
			if (some[k] == p_jump && (addr & 3))
				continue;
			uint64_t cause = call_in(mode, PC(some[k]), addr, I_ECALL | (uint64_t)I_ECALL << 32);
			say(cause == CAUSE_ECALL_U + mode ? "." : "%x", cause);
			/* elsewhere: the probe itself may not be executed */
			if (cause < 8 && me()->tval != addr)
				say(me()->tval - addr < 4096 ? "(%x)" : "*", me()->tval - addr);
		}
	}
	say("\n");
}

/* Entry 0 and 1 are the tests'; entry 5 opens everything behind them. */
static void pmp_set(uint64_t cfg, uint64_t addr0, uint64_t addr1)
{
	csr_write(pmpcfg0, 0x1full << 40 | 0x1f);       /* open meanwhile */
	csr_write(pmpaddr5, ~0ull);
	csr_write(pmpaddr1, addr1);
	csr_write(pmpcfg0, 0x1full << 40 | (cfg & 0xff00));
	csr_write(pmpaddr0, addr0);
	csr_write(pmpcfg0, 0x1full << 40 | cfg);
	sfence_all();
}

static void fill_ecalls(void)
{
	for (int i = 0; i < 8 * 1024; i++)
		((volatile uint32_t *)pages)[i] = I_ECALL;
	fence_i();
}

static void protection(void)
{
	uint64_t base = PC(pages[2]);

	fill_ecalls();
	for (uint64_t rwx = 0; rwx < 8; rwx++) {
		if ((rwx & 3) == 2)
			continue;       /* W without R is reserved */
		say("rwx %x\n", rwx);
		pmp_set(0x18 | rwx, base >> 2 | 0x1ff, 0);
		pmp("page", base);
		pmp("page", base + 4088);
		pmp("behind the page", base + 4096);
	}
	pmp_set(0x18, base >> 2 | 7, 0);
	for (int64_t off = -8; off <= 64; off += off == 0 ? 60 : 4)
		pmp("napot 64", base + 0x100 - 0x100 + (uint64_t)off);
	pmp_set(0x10, (base + 0x200) >> 2, 0);
	for (uint64_t off = 0x1f8; off <= 0x208; off += 4)
		pmp("na4", base + off);
	pmp("na4, misaligned", base + 0x1fe);
	pmp("na4, misaligned", base + 0x202);
	pmp("na4, misaligned", base + 0x1ff);
	pmp_set(0x0900, (base + 0x300) >> 2, (base + 0x310) >> 2);
	for (uint64_t off = 0x2f8; off <= 0x314; off += 4)
		pmp("tor r", base + off);
	pmp_set(0x0c00, (base + 0x400) >> 2, (base + 0x500) >> 2);
	pmp("tor x", base + 0x3fc);
	pmp("tor x", base + 0x400);
	pmp("tor x", base + 0x4fc);
	pmp("tor x", base + 0x500);
	/* the lower entry decides */
	pmp_set(0x181f, (base + 0x600) >> 2 | 1, base >> 2 | 0x1ff);
	pmp("two entries", base + 0x5f8);
	pmp("two entries", base + 0x600);
	pmp("two entries", base + 0x60c);
	pmp("two entries", base + 0x610);
	/* code that runs from what may be executed into what may not */
	for (int i = 0; i < 1024; i++)
		((volatile uint32_t *)pages[3])[i] = I_NOP;
	fence_i();
	for (uint64_t round = 0; round < 2; round++) {
		pmp_set(0x1f, 0, 0);
		((volatile uint32_t *)pages[3])[512] = I_ECALL;
		fence_i();
		uint64_t open = call_in(MODE_U, PC(pages[3]) + 1024, 0, 0);
		pmp_set(0x18, (PC(pages[3]) + 1536) >> 2 | 1, 0);
		uint64_t cause = call_in(MODE_U, PC(pages[3]) + 1024, 0, 0);
		say("execution into a hole: open %d +%x, closed %d", open, 2048ull, cause);
		say(" +%x tval +%x\n", me()->epc - PC(pages[3]), me()->tval - PC(pages[3]));
		cause = call_in(MODE_U, PC(pages[3]) + 1552, 0, 0);
		say("behind the hole: %d +%x\n", cause, me()->epc - PC(pages[3]));
	}
	pmp_set(0x1f, ~0ull, 0);
	csr_write(pmpcfg0, 0x1f);
	csr_write(pmpaddr0, ~0ull);
	fill_ecalls();
}

/* Last of all: it stays. */
static void locked(void)
{
	csr_write(pmpaddr7, PC(pages[6]) >> 2 | 0x1ff);
	csr_write(pmpcfg0, 0x99ull << 56 | 0x1full << 8);
	csr_write(pmpaddr1, ~0ull);
	csr_write(pmpcfg0, 0x1full << 48);
	csr_write(pmpaddr6, 0);
	say("locked: cfg %x", csr_read(pmpcfg0));
	csr_write(pmpaddr7, 0);
	say(" addr kept %d\n", csr_read(pmpaddr7) == (PC(pages[6]) >> 2 | 0x1ff));
	csr_write(pmpcfg0, 0x99ull << 56);
	pmp("locked r, M as well", PC(pages[6]));
}

/* --- paging --- */

#define VA 0x40000000ull
static uint64_t *root;
static uint32_t levels;

static uint64_t user(probe *fn)
{
	return VA + (PC(fn) - PC(probes));
}

static void space(uint32_t how_many)
{
	uint64_t satp;

	tables_reset();
	root = space_new(0, &satp);
	levels = 3;
	if (how_many == 4) {
		uint64_t *top = table_new();
		top[0] = PTE(PC(root), PTE_V);
		root = top;
		levels = 4;
		satp = 9ull << 60 | PC(top) >> 12;
	}
	/* the probes for U */
	for (uint64_t p = 0; p < 2; p++)
		*space_entry(root, levels, VA + 4096 * p, 0) =
			PTE(PC(probes) + 4096 * p, PTE_V | PTE_R | PTE_X | PTE_U | PTE_AD);
	csr_write(satp, satp);
	sfence_all();
}

static void walk_by(probe *const *some, int count, uint64_t va, uint64_t bits)
{
	*(volatile uint32_t *)pages[0] = I_ECALL;
	fence_i();
	say("%x:", bits);
	for (uint64_t mode = 0; mode < 2; mode++) {
		say(" ");
		at_mode(mode);
		for (int k = 0; k < count; k++) {
			uint64_t pc = mode == MODE_U ? user(some[k]) : PC(some[k]);
			uint64_t cause = call_in(mode, pc, va, I_ECALL);
			say(cause == CAUSE_ECALL_U + mode ? "." : "%x", cause);
			if (cause >= 12 && me()->tval != va)
				say("(%x)", me()->tval - va);
		}
	}
}

static void walk(uint64_t va, uint64_t bits)
{
	static probe *const some[] = { p_lw, p_sw, p_jump };

	walk_by(some, 3, va, bits);
}

static void paging(uint32_t how_many)
{
	uint64_t va = VA + 0x200000;

	space(how_many);
	say("Sv%d, leaf rights:\n", (uint64_t)how_many * 9 + 12);
	for (uint64_t status = 0; status < 4; status++) {
		csr_clear(mstatus, 3 << 18);
		csr_set(mstatus, status << 18);
		for (uint64_t bits = 0; bits < 32; bits++) {
			*space_entry(root, levels, va, 0) = PTE(PC(pages[0]), bits | PTE_AD);
			sfence_page(va);
			say("sum,mxr %x ", status);
			walk(va, bits);
			static probe *const amo[] = { p_amow, p_lr };
			say("\namo %x ", status);
			walk_by(amo, 2, va, bits);
			say("\n");
		}
	}
	csr_clear(mstatus, 3 << 18);
	for (uint64_t bits = 8; bits < 16; bits++) {
		*space_entry(root, levels, va, 0) = PTE(PC(pages[0]), 0xcf | bits << 6 << 48);
		sfence_all();
		say("reserved bits %x ", bits);
		walk(va, bits);
		say("\n");
	}
	/* levels: a leaf at each, right and misaligned; a table at the last */
	for (uint32_t level = 1; level < levels; level++) {
		uint64_t at = 3ull << (12 + 9 * level) | (level > 1 ? 0 : 1ull << 30);
		uint64_t size = 1ull << (12 + 9 * level);
		uint64_t pa = PC(superpage) & ~(size - 1);
		uint64_t off = PC(superpage) - pa;
		((volatile uint32_t *)superpage)[0] = I_ECALL;
		*space_entry(root, levels, at, level) = PTE(pa, 0xcf);
		sfence_all();
		say("level %d ", (uint64_t)level);
		walk(at + off, 0xcf);
		*space_entry(root, levels, at, level) = PTE(pa + (1ull << (12 + 9 * (level - 1))), 0xcf);
		sfence_all();
		say(" misaligned ");
		walk(at + off, 0xcf);
		*space_entry(root, levels, at, level) = 0;
		say("\n");
	}
	*space_entry(root, levels, va, 0) = PTE(PC(pages[0]), PTE_V);
	sfence_all();
	say("table at the last level ");
	walk(va, 1);
	*space_entry(root, levels, va, 1) = PTE(0x18000000, PTE_V);
	sfence_all();
	say("\ntable in nothing ");
	walk(va, 1);
	static const uint64_t bad[] = { 0x0000008000000000, 0xffffff8000000000, 0xffffffbfffffffff, 0x4000000000,
					0x0000800000000000, 0xffff800000000000, 0xffff7fffffffffff, 0x8000000000000000 };
	for (size_t i = 0; i < sizeof(bad) / 8; i++) {
		say("\naddress %x ", bad[i]);
		walk(bad[i] & ~3ull, 0);
	}
	say("\n");
	csr_write(satp, 0);
	sfence_all();
}

/* A and D. With menvcfg.ADUE off (Svade) a clear bit faults; that of the emulator without the register never does. */
static void accessed(void)
{
	uint64_t va = VA + 0x200000, *entry;

	space(3);
	entry = space_entry(root, levels, va, 0);
	for (uint64_t adue = 0; adue < 2; adue++) {
		if (adue)
			csr_set(0x30a, 1ull << 61);
		else
			csr_clear(0x30a, 1ull << 61);
		static probe *const some[] = { p_lw, p_sw, p_jump };
		for (uint64_t ad = 0; ad < 4; ad++)
			for (int k = 0; k < 3; k++) {
				*entry = PTE(PC(pages[0]), 0xf | (ad & 1) << 6 | (ad >> 1) << 7);
				sfence_page(va);
				uint64_t cause = call_in(MODE_S, PC(some[k]), va, I_ECALL);
				say("adue %d ad %x access %d: %d, ad then %x\n", adue, ad, (uint64_t)k, cause, *entry >> 6 & 3);
			}
	}
	csr_write(satp, 0);
	sfence_all();
}

/* Accesses over the end of a page, the second of which is not there, or read-only. */
static void crossing(void)
{
	static const struct { probe *fn; const char *name; uint64_t bytes; } some[] = {
		{ p_lh, "lh", 2 }, { p_lw, "lw", 4 }, { p_ld, "ld", 8 }, { p_sh, "sh", 2 }, { p_sw, "sw", 4 }, { p_sd, "sd", 8 },
		{ p_fld, "fld", 8 }, { p_fsd, "fsd", 8 },
	};
	uint64_t va = VA + 0x200000;

	space(3);
	static const uint64_t kinds[3][2] = { { 0xcf, 0 }, { 0xcf, 0x43 }, { 0, 0xcf } };
	for (int kind = 0; kind < 3; kind++) {
		for (uint64_t p = 0; p < 2; p++)
			*space_entry(root, levels, va + 4096 * p, 0) = PTE(PC(pages[p]), kinds[kind][p]);
		sfence_all();
		for (size_t k = 0; k < sizeof(some) / sizeof(some[0]); k++) {
			for (uint64_t off = 1; off < some[k].bytes; off++) {
				for (int i = 0; i < 8; i++)
					pages[0][4088 + i] = pages[1][i] = 0x11;
				uint64_t cause = call_in(MODE_S, PC(some[k].fn), va + 4096 - off, ~0ull);
				uint64_t written = 0;
				for (int i = 0; i < 8; i++)
					written += (pages[0][4088 + i] != 0x11) + (pages[1][i] != 0x11);
				say("%s -%d %d: %d at %d, written %d\n", some[k].name, off, (uint64_t)kind, cause,
				    cause == 9 ? 0 : me()->tval - (va + 4096 - off), written);
			}
		}
	}
	/* an instruction over the end, whose second half is not there, not executable, or in nothing */
	static const uint64_t second[] = { 0, 0xc7, 0xcf };
	for (int i = 0; i < 3; i++) {
		uint32_t word = I_LI(A0, 77);
		*(volatile uint16_t *)(pages[0] + 4094) = (uint16_t)word;
		*(volatile uint16_t *)(pages[1]) = (uint16_t)(word >> 16);
		put32(pages[1] + 2, I_ECALL);
		put32(pages[0] + 4090, I_NOP);
		*space_entry(root, levels, va, 0) = PTE(PC(pages[0]), 0xcf);
		*space_entry(root, levels, va + 4096, 0) = PTE(PC(pages[1]), second[i]);
		sfence_all();
		fence_i();
		uint64_t cause = call_in(MODE_S, va + 4090, 0, 0);
		say("straddling instruction, second page %x: %d epc +%x tval +%x a0 %x\n", second[i], cause,
		    me()->epc - va, cause == 9 ? 0 : me()->tval - va, me()->a0);
	}
#ifndef PEER
	/* the other emulator of version 7.2 ends itself here */
	*space_entry(root, levels, va + 4096, 0) = PTE(0x18000000, 0xcf);
	sfence_all();
	uint64_t cause = call_in(MODE_S, va + 4090, 0, 0);
	say("straddling instruction into nothing: %d epc +%x tval +%x\n", cause, me()->epc - va, me()->tval - va);
#endif
	csr_write(satp, 0);
	sfence_all();
	fill_ecalls();
}

/* MPRV: loads and stores of M with the rights of MPP. */
static void mprv(void)
{
	uint64_t va = VA + 0x200000;

	space(3);
	for (uint64_t bits = 0xc1; bits < 0xe0; bits += 2) {
		*space_entry(root, levels, va, 0) = PTE(PC(pages[0]), bits);
		sfence_all();
		say("mprv %x:", bits);
		/* MPP = S; U could not save the trap's registers, which the table lets only S do. In one sequence. */
		BUFFER[0] = 0x30059073;         /* csrw mstatus, a1 */
		BUFFER[1] = 0x00052503;         /* lw a0, 0(a0) */
		BUFFER[2] = 0x00020637;         /* lui a2, 0x20: MPRV */
		BUFFER[3] = 0x30063073;         /* csrc mstatus, a2 */
		BUFFER[4] = I_ECALL;
		fence_i();
		uint64_t status = (csr_read(mstatus) & ~0x1800ull) | 1 << 11 | 1 << 17;
		say(" %d\n", call_in(MODE_M, PC(BUFFER), va, status));
	}
	csr_write(satp, 0);
	sfence_all();
}

void run(void)
{
	registers();
	rights();
	counters();
	traps();
	delegation();
	interrupts();
	fill_ecalls();
	paging(3);
	paging(4);
	crossing();
	mprv();
	accessed();
	protection();
	locked();
}
