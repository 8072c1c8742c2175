/* SPDX-License-Identifier: MIT */
/* The machine that random blocks run on, with the engine's side of host.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/alu.h"
#include "tests/irfuzz.h"

/* The machine under way: the slow paths get an environment only. */
static struct fuzz_machine *current;
static uint32_t lines[LINE_VERSIONS];   /* what they hold does not show in the guest */

uint64_t fuzz_random(struct fuzz_rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t fuzz_below(struct fuzz_rng *rng, uint32_t n)
{
	return (uint32_t)((fuzz_random(rng) >> 32) * n >> 32);
}

static struct fuzz_guest *guest_of(struct tcg_env *env)
{
	return (struct fuzz_guest *)(void *)env->guest;
}

static void note(uint64_t v)
{
	current->log = (current->log ^ v) * 0x100000001b3ull + (current->log >> 29);
}

static void note_globals(struct tcg_env *env)
{
	for (uint32_t i = 0; i < FUZZ_GLOBALS; i++)
		note(guest_of(env)->regs[i]);
}

/* --- helpers --- */

static uint64_t mix(uint64_t a, uint64_t b, uint64_t c)
{
	return (a * 3 + (b << 7 | b >> 57)) ^ c * 0x9e3779b97f4a7c15ull;
}

static uint64_t helper_pure(struct tcg_env *env, uint64_t a, uint64_t b, uint64_t c)
{
	(void)env;
	return mix(a, b, c);
}

static uint64_t helper_reads(struct tcg_env *env, uint64_t a, uint64_t b, uint64_t c)
{
	note_globals(env);
	return mix(a, b, c) + guest_of(env)->regs[5] + guest_of(env)->regs[FUZZ_GPRS + 3];
}

static uint64_t helper_writes(struct tcg_env *env, uint64_t a, uint64_t b, uint64_t c)
{
	struct fuzz_guest *g = guest_of(env);

	for (uint32_t i = 0; i < FUZZ_GLOBALS; i += 3)
		g->regs[i] = mix(g->regs[i], a, i + c);
	return a ^ b;
}

static uint64_t helper_exits(struct tcg_env *env, uint64_t a, uint64_t b, uint64_t c)
{
	note(env->pc);
	note_globals(env);
	if ((a & 7) == 5) {
		env->exit_reason = TCG_EXIT_EXCEPTION;
		env->exception = a;
		env->exception_value = b;
	} else if ((a & 7) == 6) {
		env->exit_reason = TCG_EXIT_HALT;
		env->pc += 4;
		guest_of(env)->regs[2] = c;
	}
	return a + b + c;
}

static uint64_t helper_flags(struct tcg_env *env, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t old = env->fflags | (uint64_t)env->frm << 8;

	note(old);
	if (a & 1)
		env->fflags = (uint32_t)b & 31u;
	if (a & 2)
		env->frm = (uint32_t)c & 3u;
	return old;
}

const struct ir_helper fuzz_helpers[] = {
	{ "pure", helper_pure, IRH_PURE },
	{ "reads", helper_reads, IRH_READS },
	{ "writes", helper_writes, IRH_WRITES },
	{ "exits", helper_exits, IRH_READS | IRH_WRITES | IRH_MAY_EXIT },
	{ "flags", helper_flags, IRH_FP_FLAGS },
};
const uint32_t fuzz_helper_count = sizeof(fuzz_helpers) / sizeof(fuzz_helpers[0]);

/* --- memory --- */

static uint32_t page_of(uint64_t vaddr)
{
	uint64_t page = (vaddr - FUZZ_BASE) >> TCG_PAGE_BITS;

	return page < FUZZ_PAGES ? (uint32_t)page : PAGE_NONE;
}

static void fill(struct tcg_env *env, uint32_t page, uint32_t kind)
{
	uint64_t vaddr = FUZZ_BASE + (uint64_t)page * TCG_PAGE_SIZE;
	struct tlb_entry *e = &env->tlb[1][kind][vaddr >> TCG_PAGE_BITS & (TLB_SIZE - 1)];

	e->tag = vaddr;
	e->addend = (uintptr_t)(current->ram + (size_t)page * TCG_PAGE_SIZE) - vaddr;
}

/* Checks and logs an access; TCG_EXIT_EXCEPTION, LEAVE or NONE. */
static uint32_t enter(struct tcg_env *env, uint64_t vaddr, uint32_t mem, bool store, uint64_t value)
{
	uint32_t size = 1u << IRM_SIZE(mem), first = page_of(vaddr), last = page_of(vaddr + size - 1);

	note(vaddr);
	note(mem & (3u | IRM_ALIGN));
	note(env->pc);
	note(store ? value & (~0ull >> (64 - 8 * size)) : 0);
	note_globals(env);
	if (first == PAGE_NONE || last == PAGE_NONE || ((mem & IRM_ALIGN) && (vaddr & (size - 1)))) {
		env->exception = store ? 7 : 5;
		env->exception_value = vaddr;
		return TCG_EXIT_EXCEPTION;
	}
	if (first == PAGE_FILLED) {
		fill(env, first, 0);
		if (store)              /* which a load may use as well */
			fill(env, first, 1);
	}
	/* a slow path may change the TLB under accesses that were checked together */
	if (vaddr & 16)
		memset(env->tlb[1], 0xff, sizeof(env->tlb[1]));
	if (first == PAGE_DEVICE && (vaddr & 64)) {
		env->poll = 1;
		return TCG_EXIT_LEAVE;
	}
	return TCG_EXIT_NONE;
}

static void *at(uint64_t vaddr)
{
	return current->ram + (vaddr - FUZZ_BASE);
}

/*
 * Floating point that a device might do: its results must not show in the guest, nor the guest's mode in
 * them.
 */
static void device_arithmetic(void)
{
	volatile double one = 1.0, three = 3.0, third = one / three;

	note((uint64_t)(third * 1e18));
}

uint64_t tcg_slow_load(struct tcg_env *env, uint64_t vaddr, uint32_t mem, uint32_t *exit)
{
	uint64_t value = 0;

	device_arithmetic();
	*exit = enter(env, vaddr, mem, false, 0);
	if (*exit != TCG_EXIT_EXCEPTION)
		memcpy(&value, at(vaddr), (size_t)1 << IRM_SIZE(mem));
	return value;
}

uint32_t tcg_slow_store(struct tcg_env *env, uint64_t vaddr, uint64_t value, uint32_t mem)
{
	uint32_t exit = enter(env, vaddr, mem, true, value);

	device_arithmetic();
	if (exit != TCG_EXIT_EXCEPTION)
		memcpy(at(vaddr), &value, (size_t)1 << IRM_SIZE(mem));
	return exit;
}

static uint64_t amo_value(uint32_t which, uint32_t mem, uint64_t old, uint64_t v)
{
	int64_t a = (int64_t)old, b = (int64_t)v;

	if (IRM_SIZE(mem) == IRM_32) {
		a = (int32_t)a;
		b = (int32_t)b;
	}
	switch (which) {
	case IR_AMO_SWAP: return v;
	case IR_AMO_ADD:  return old + v;
	case IR_AMO_AND:  return old & v;
	case IR_AMO_OR:   return old | v;
	case IR_AMO_XOR:  return old ^ v;
	case IR_AMO_MIN:  return (uint64_t)(a < b ? a : b);
	case IR_AMO_MAX:  return (uint64_t)(a > b ? a : b);
	case IR_AMO_MINU: return (uint64_t)a < (uint64_t)b ? (uint64_t)a : (uint64_t)b;
	default:          return (uint64_t)a > (uint64_t)b ? (uint64_t)a : (uint64_t)b;
	}
}

uint32_t tcg_slow_zero(struct tcg_env *env, uint64_t vaddr)
{
	uint32_t exit;

	vaddr &= ~(uint64_t)(IR_ZERO_BYTES - 1);
	exit = enter(env, vaddr, IRM_64, true, 0);
	device_arithmetic();
	if (exit != TCG_EXIT_EXCEPTION)
		memset(at(vaddr), 0, IR_ZERO_BYTES);
	return exit;
}

uint64_t tcg_slow_amo(struct tcg_env *env, uint64_t vaddr, uint64_t value, uint32_t mem_amo, uint32_t *exit)
{
	uint32_t mem = (mem_amo & 0xffu) | IRM_ALIGN;
	uint64_t old = 0, new;

	*exit = enter(env, vaddr, mem, true, value);
	if (*exit == TCG_EXIT_EXCEPTION)
		return 0;
	memcpy(&old, at(vaddr), (size_t)1 << IRM_SIZE(mem));
	new = amo_value(mem_amo >> 8, mem, old, value);
	memcpy(at(vaddr), &new, (size_t)1 << IRM_SIZE(mem));
	return old;
}

uint64_t tcg_slow_cas(struct tcg_env *env, uint64_t vaddr, uint64_t expected, uint64_t desired, uint32_t mem,
		      uint32_t *exit)
{
	size_t size = (size_t)1 << IRM_SIZE(mem);
	uint64_t old = 0;

	*exit = enter(env, vaddr, mem | IRM_ALIGN, true, desired);
	if (*exit == TCG_EXIT_EXCEPTION)
		return 0;
	memcpy(&old, at(vaddr), size);
	if (memcmp(&old, &expected, size) == 0)
		memcpy(at(vaddr), &desired, size);
	return old;
}

/* What the TLB lets through: no log, as from machine code. */
uint64_t tcg_amo_at(struct tcg_env *env, void *p, uint64_t value, uint32_t mem_amo)
{
	uint64_t old = 0, new;

	(void)env;
	memcpy(&old, p, (size_t)1 << IRM_SIZE(mem_amo));
	new = amo_value(mem_amo >> 8, mem_amo, old, value);
	memcpy(p, &new, (size_t)1 << IRM_SIZE(mem_amo));
	return old;
}

uint64_t tcg_cas_at(struct tcg_env *env, void *p, uint64_t expected, uint64_t desired, uint32_t mem)
{
	size_t size = (size_t)1 << IRM_SIZE(mem);
	uint64_t old = 0;

	(void)env;
	memcpy(&old, p, size);
	if (memcmp(&old, &expected, size) == 0)
		memcpy(p, &desired, size);
	return old;
}

/* Every block is the last. */
const void *tcg_find_code(struct tcg_env *env, uint64_t pc)
{
	env->pc = pc;
	env->exit_reason = TCG_EXIT_LOOKUP;
	return NULL;
}

/* --- the machine --- */

int fuzz_machine_new(struct fuzz_machine *m)
{
	memset(m, 0, sizeof(*m));
	m->env = aligned_alloc(64, (sizeof(struct tcg_env) + sizeof(struct fuzz_guest) + 127) & ~(size_t)63);
	m->ram = aligned_alloc(TCG_PAGE_SIZE, FUZZ_PAGES * TCG_PAGE_SIZE);
	if (!m->env || !m->ram)
		return -1;
	return 0;
}

void fuzz_machine_free(struct fuzz_machine *m)
{
	free(m->env);
	free(m->ram);
}

static uint64_t special(struct fuzz_rng *rng, bool fp)
{
	static const uint64_t ints[] = {
		0,           1,         2,         ~0ull, 0x7fffffff, 0x80000000, 0xffffffff,
		0x100000000, INT64_MIN, INT64_MAX, 63,    64,         31,         32,
	};
	static const uint64_t doubles[] = {
		0,
		1ull << 63,
		0x3ff0000000000000,
		0xbff0000000000000,
		0x7ff0000000000000,
		0xfff0000000000000,
		0x7ff8000000000000,
		0x7ff0000000000001,
		0xfff8000000000001,
		0x0000000000000001,
		0x800fffffffffffff,
		0x0010000000000000,
		0x7fefffffffffffff,
		0x41dfffffffc00000,
		0x41e0000000000000,
		0xc1e0000000000000,
		0x43e0000000000000,
		0xc3e0000000000000,
		0x43f0000000000000,
		0x3fe0000000000000,
		0x3ff8000000000000,
		0x41efffffffe00000,
		0x41efffffffffffff,
		0xbfe0000000000000,
		0xbfefffffffffffff,
		0x3ca0000000000000,
	};
	static const uint32_t singles[] = {
		0,          1u << 31,   0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
		0x7fc00000, 0x7f800001, 0xffc00001, 1,          0x807fffff, 0x00800000,
		0x7f7fffff, 0x4f000000, 0xcf000000, 0x5f000000, 0x5f800000, 0x4f800000,
		0x3f000000, 0x3fc00000, 0xbf000000, 0xbf7fffff, 0x33800000, 0x4effffff,
	};
	uint32_t kind = fuzz_below(rng, 10);

	if (kind < 2)
		return fuzz_random(rng);
	if (!fp && kind < 8)
		return ints[fuzz_below(rng, sizeof(ints) / 8)];
	if (kind < 4)   /* a double near 1 */
		return (fuzz_random(rng) & 0x800fffffffffffffull) | (uint64_t)(1000 + fuzz_below(rng, 48))
									    << 52;
	if (kind < 5)
		return (fuzz_random(rng) & 0x807fffff) | (uint64_t)(110 + fuzz_below(rng, 36)) << 23 |
		       0xffffffffull << 32;
	if (kind < 8)
		return doubles[fuzz_below(rng, sizeof(doubles) / 8)];
	return singles[fuzz_below(rng, sizeof(singles) / 4)] | (kind == 8 ? 0xffffffffull << 32 : 0);
}

void fuzz_machine_reset(struct fuzz_machine *m, uint64_t seed)
{
	struct fuzz_rng rng = { seed };
	struct tcg_env *env = m->env;
	struct fuzz_guest *g = guest_of(env);

	memset(env, 0, offsetof(struct tcg_env, tlb));
	memset(env->tlb, 0xff, sizeof(env->tlb));
	memset(env->jump_cache, 0xff, sizeof(env->jump_cache));
	current = m;
	fill(env, PAGE_RW, 0);
	fill(env, PAGE_RW, 1);
	fill(env, PAGE_RW2, 0);
	fill(env, PAGE_RW2, 1);
	fill(env, PAGE_RO, 0);
	env->mmu = 1;
	env->lines = lines;
	env->frm = fuzz_below(&rng, 4);
	env->fflags = fuzz_below(&rng, 4) ? 0 : fuzz_below(&rng, 32);
	env->poll = fuzz_below(&rng, 8) == 0;
	env->context = fuzz_random(&rng) << 48;
	for (uint32_t i = 0; i < FUZZ_GLOBALS; i++)
		g->regs[i] = special(&rng, i >= FUZZ_GPRS);
	for (uint32_t i = 0; i < FUZZ_SCRATCH / 8; i++)
		g->scratch[i] = fuzz_random(&rng);
	for (uint32_t i = 0; i < FUZZ_PAGES * TCG_PAGE_SIZE / 8; i++) {
		uint64_t v = special(&rng, i & 1);
		memcpy(m->ram + i * 8, &v, 8);
	}
	for (uint32_t i = 0; i < LINE_VERSIONS; i++)
		lines[i] = (uint32_t)(i * 0x9e3779b1u) >> 16;
	m->log = 0;
}

void fuzz_machine_run(struct fuzz_machine *m, const struct tcg_host *host, struct tcg_host_state *state,
		      const uint8_t *code)
{
	current = m;
	m->exit = host->run(state, m->env, code);
}

const char *fuzz_machine_compare(const struct fuzz_machine *a, const struct fuzz_machine *b)
{
	static char text[160];
	const struct tcg_env *x = a->env, *y = b->env;
	const struct fuzz_guest *g = (const void *)x->guest, *h = (const void *)y->guest;

#define DIFFERS(name, p, q)                                                                                  \
	do {                                                                                                 \
		if ((uint64_t)(p) != (uint64_t)(q)) {                                                        \
			snprintf(text, sizeof(text), "%s: %#llx, should be %#llx", name,                     \
				 (unsigned long long)(q), (unsigned long long)(p));                          \
			return text;                                                                         \
		}                                                                                            \
	} while (0)
	DIFFERS("exit", a->exit, b->exit);
	DIFFERS("pc", x->pc, y->pc);
	for (uint32_t i = 0; i < FUZZ_GLOBALS; i++)
		DIFFERS(fuzz_globals[i].name, g->regs[i], h->regs[i]);
	DIFFERS("fflags", x->fflags, y->fflags);
	DIFFERS("frm", x->frm, y->frm);
	DIFFERS("exception", x->exception, y->exception);
	DIFFERS("exception value", x->exception_value, y->exception_value);
	for (uint32_t i = 0; i < FUZZ_SCRATCH / 8; i++)
		DIFFERS("scratch", g->scratch[i], h->scratch[i]);
	for (uint32_t i = 0; i < FUZZ_PAGES * TCG_PAGE_SIZE; i++)
		DIFFERS("ram", a->ram[i], b->ram[i]);
	DIFFERS("poll", x->poll, y->poll);
	DIFFERS("log of slow paths and helpers", a->log, b->log);
#undef DIFFERS
	return NULL;
}
