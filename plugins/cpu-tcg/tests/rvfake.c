/* SPDX-License-Identifier: MIT */
/* The engine's side of front.h and host.h, as small as it can be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/host.h"
#include "front/riscv/pmp.h"
#include "ir/alu.h"
#include "rvfake.h"

static struct rv_fake *current;
static struct ir_block block;
static uint8_t code[sizeof(struct ir_op) * IR_MAX_OPS + 4096] __attribute__((aligned(64)));
static struct tcg_host_state *host;

static void die(const char *why)
{
	fprintf(stderr, "rvfake: %s\n", why);
	abort();
}

uint64_t rv_fake_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* --- services --- */

const char *rv_fake_mmu;
static const char *isa_text;

static const char *get_str(struct mt_inst *inst, const char *name)
{
	(void)inst;
	if (!strcmp(name, "mmu"))
		return rv_fake_mmu;
	return strcmp(name, "isa") ? NULL : isa_text;
}

static uint64_t now_ns(struct mt_inst *inst, uint32_t clock)
{
	(void)inst, (void)clock;
	return current->ticks * 100;
}

static uint64_t ticks(struct mt_inst *inst)
{
	(void)inst;
	return current->ticks;
}

static uint64_t ticks_to_ns(struct mt_inst *inst, uint64_t t)
{
	(void)inst;
	return t > UINT64_MAX / 100 ? UINT64_MAX : t * 100;
}

static uint32_t count(struct mt_inst *inst, const char *name)
{
	(void)inst, (void)name;
	return 0;
}

static const struct mt_props_host props = { .get_str = get_str, .count = count };
static const struct mt_clock_host clock_host = { .now_ns = now_ns, .ticks = ticks,
						.ticks_to_ns = ticks_to_ns };

/* --- memory --- */

static uint8_t *ram_at(uint64_t phys, uint32_t width)
{
	uint64_t offset = phys - FAKE_RAM;

	return offset < FAKE_BYTES && width <= FAKE_BYTES - offset ? current->ram + offset : NULL;
}

/* RAM of a virtual address; NULL: exception raised. */
static uint8_t *locate(struct tcg_env *env, uint64_t vaddr, enum tcg_access access, uint32_t width,
		       uint64_t *phys)
{
	struct tcg_walk w;

	if (!front_riscv.walk(env, vaddr, access, env->mmu, width, &w))
		return NULL;
	uint8_t *p = ram_at(w.phys, width);
	if (!p)
		front_riscv.bus_fault(env, vaddr, access);
	*phys = w.phys;
	return p;
}

bool tcg_fetch16(struct tcg_env *env, uint64_t vaddr, uint16_t *parcel)
{
	uint64_t phys;
	uint8_t *p = locate(env, vaddr, TCG_FETCH, 2, &phys);

	if (p)
		memcpy(parcel, p, 2);
	return p;
}

bool tcg_break_at(const struct tcg_env *env, uint64_t pc)
{
	(void)env;
	return current->break_at && pc == current->break_at;
}

bool tcg_fetch32(struct tcg_env *env, uint64_t vaddr, uint32_t *word)
{
	uint64_t phys;
	uint8_t *p = locate(env, vaddr, TCG_FETCH, 4, &phys);

	if (p)
		memcpy(word, p, 4);
	return p;
}

bool tcg_phys_read(struct tcg_env *env, uint64_t phys, uint32_t width, uint64_t *value)
{
	uint8_t *p = ram_at(phys, width);

	(void)env;
	*value = 0;
	if (p)
		memcpy(value, p, width);
	return p;
}

bool tcg_phys_exists(struct tcg_env *env, uint64_t phys)
{
	(void)env;
	return ram_at(phys, 1);
}

bool tcg_phys_cas64(struct tcg_env *env, uint64_t phys, uint64_t expected, uint64_t desired, bool *bus_error)
{
	uint8_t *p = ram_at(phys, 8);

	(void)env;
	*bus_error = !p;
	if (!p || memcmp(p, &expected, 8) || current->cas_loses) {
		current->cas_loses = false;
		return false;
	}
	memcpy(p, &desired, 8);
	return true;
}

void *tcg_atomic_ptr(struct tcg_env *env, uint64_t vaddr, uint32_t width, uint32_t mmu,
		     enum tcg_access access, uint64_t *where)
{
	uint64_t phys;

	if (mmu != env->mmu)
		die("regime of an atomic access");
	uint8_t *p = locate(env, vaddr, access, width, &phys);
	*where = (uintptr_t)p;
	return p;
}

static bool misaligned(struct tcg_env *env, uint64_t vaddr, uint32_t mem, enum tcg_access access)
{
	if (!(mem & IRM_ALIGN) || !(vaddr & ((1u << IRM_SIZE(mem)) - 1)))
		return false;
	front_riscv.misaligned(env, vaddr, access);
	return true;
}

uint64_t tcg_slow_load(struct tcg_env *env, uint64_t vaddr, uint32_t mem, uint32_t *exit)
{
	uint64_t phys, value = 0;
	uint8_t *p = misaligned(env, vaddr, mem, TCG_LOAD) ? NULL :
		     locate(env, vaddr, TCG_LOAD, 1u << IRM_SIZE(mem), &phys);

	*exit = p ? TCG_EXIT_NONE : TCG_EXIT_EXCEPTION;
	if (p)
		memcpy(&value, p, (size_t)1 << IRM_SIZE(mem));
	return alu_extend(value, mem);
}

uint32_t tcg_slow_store(struct tcg_env *env, uint64_t vaddr, uint64_t value, uint32_t mem)
{
	uint64_t phys;
	uint8_t *p = misaligned(env, vaddr, mem, TCG_STORE) ? NULL :
		     locate(env, vaddr, TCG_STORE, 1u << IRM_SIZE(mem), &phys);

	if (!p)
		return TCG_EXIT_EXCEPTION;
	memcpy(p, &value, (size_t)1 << IRM_SIZE(mem));
	return TCG_EXIT_NONE;
}

static uint64_t amo_result(uint32_t amo, uint64_t old, uint64_t value)
{
	switch (amo) {
	case IR_AMO_SWAP: return value;
	case IR_AMO_ADD:  return old + value;
	case IR_AMO_AND:  return old & value;
	case IR_AMO_OR:   return old | value;
	case IR_AMO_XOR:  return old ^ value;
	case IR_AMO_MIN:  return (int64_t)old < (int64_t)value ? old : value;
	case IR_AMO_MAX:  return (int64_t)old > (int64_t)value ? old : value;
	case IR_AMO_MINU: return old < value ? old : value;
	default:          return old > value ? old : value;
	}
}

uint32_t tcg_slow_zero(struct tcg_env *env, uint64_t vaddr)
{
	uint64_t phys;
	uint8_t *p = locate(env, vaddr & ~(uint64_t)(IR_ZERO_BYTES - 1), TCG_STORE, IR_ZERO_BYTES, &phys);

	if (!p)
		return TCG_EXIT_EXCEPTION;
	memset(p, 0, IR_ZERO_BYTES);
	return TCG_EXIT_NONE;
}

uint64_t tcg_slow_amo(struct tcg_env *env, uint64_t vaddr, uint64_t value, uint32_t mem_amo, uint32_t *exit)
{
	uint64_t phys, old = 0;
	uint32_t bytes = 1u << IRM_SIZE(mem_amo);
	uint8_t *p = misaligned(env, vaddr, mem_amo | IRM_ALIGN, TCG_STORE) ? NULL :
		     locate(env, vaddr, TCG_STORE, bytes, &phys);

	*exit = p ? TCG_EXIT_NONE : TCG_EXIT_EXCEPTION;
	if (!p)
		return 0;
	memcpy(&old, p, bytes);
	if (bytes == 4) {       /* sign-extended, signed and unsigned order are both kept */
		old = (uint64_t)(int64_t)(int32_t)old;
		value = (uint64_t)(int64_t)(int32_t)value;
	}
	value = amo_result(mem_amo >> 8, old, value);
	memcpy(p, &value, bytes);
	current->line_version++;
	return old;
}

uint64_t tcg_slow_cas(struct tcg_env *env, uint64_t vaddr, uint64_t expected, uint64_t desired, uint32_t mem,
		      uint32_t *exit)
{
	uint64_t phys, old = 0;
	uint32_t bytes = 1u << IRM_SIZE(mem);
	uint8_t *p = misaligned(env, vaddr, mem | IRM_ALIGN, TCG_STORE) ? NULL :
		     locate(env, vaddr, TCG_STORE, bytes, &phys);

	*exit = p ? TCG_EXIT_NONE : TCG_EXIT_EXCEPTION;
	if (!p)
		return 0;
	memcpy(&old, p, bytes);
	if (!memcmp(&old, &expected, bytes))
		memcpy(p, &desired, bytes);
	current->line_version++;
	return alu_extend(old, mem);
}

/* There is no TLB that could be hit. */
uint64_t tcg_amo_at(struct tcg_env *env, void *p, uint64_t value, uint32_t mem_amo)
{
	(void)env, (void)p, (void)value, (void)mem_amo;
	die("an atomic access by itself");
	return 0;
}

uint64_t tcg_cas_at(struct tcg_env *env, void *p, uint64_t expected, uint64_t desired, uint32_t mem)
{
	(void)expected;
	return tcg_amo_at(env, p, desired, mem);
}

void tcg_cas128(void *p, const uint64_t expected[2], const uint64_t desired[2], uint64_t old[2])
{
	memcpy(old, p, 16);
	if (!memcmp(old, expected, 16))
		memcpy(p, desired, 16);
}

/* --- the rest --- */

void tcg_raise(struct tcg_env *env, uint64_t exception, uint64_t value)
{
	env->exception = exception;
	env->exception_value = value;
	env->exit_reason = TCG_EXIT_EXCEPTION;
}

void tcg_leave(struct tcg_env *env, enum tcg_exit reason)
{
	env->exit_reason = reason;
}

void tcg_set_context(struct tcg_env *env, uint32_t flags, uint32_t mmu, uint64_t space)
{
	env->flags = flags;
	env->mmu = mmu;
	env->context = space;
	current->contexts++;
}

void tcg_flush_all(struct tcg_env *env)
{
	(void)env;
	current->flushes++;
}

void tcg_flush_page(struct tcg_env *env, uint64_t vaddr)
{
	(void)env;
	current->page_flushes++;
	current->flushed_page = vaddr;
}

void tcg_fence_i(struct tcg_env *env)
{
	(void)env;
	current->fences++;
}

void tcg_poll_request(struct tcg_env *env)
{
	env->poll = 1;
	current->polls++;
}

void tcg_rouse(struct tcg_env *env)
{
	env->roused++;
	tcg_poll_request(env);
}

uint32_t tcg_line_reserve(struct tcg_env *env, uint64_t phys)
{
	return tcg_line_version(env, phys);
}

void tcg_leave_request(struct tcg_env *env)
{
	(void)env;
	current->leaves++;
}

uint32_t tcg_line_version(struct tcg_env *env, uint64_t phys)
{
	(void)env, (void)phys;
	return current->line_version;
}

void tcg_line_bump(struct tcg_env *env, uint64_t phys)
{
	(void)env, (void)phys;
	current->line_version++;
}

void tcg_atomic_stored(struct tcg_env *env, uint64_t phys, uint32_t width)
{
	(void)width;
	tcg_line_bump(env, phys);
}

const void *tcg_find_code(struct tcg_env *env, uint64_t pc)
{
	env->pc = pc;
	env->exit_reason = TCG_EXIT_LOOKUP;
	return NULL;
}

/* --- the hart --- */

struct rv_fake *rv_fake_new(const char *isa)
{
	struct rv_fake *f = calloc(1, sizeof(*f));
	size_t env_bytes = sizeof(struct tcg_env) + front_riscv.state_bytes;
	struct tcg_services services = { .props = &props, .clock = &clock_host };

	current = f;
	isa_text = isa;
	f->ram = calloc(1, FAKE_BYTES);
	f->env = aligned_alloc(64, (env_bytes + 63) & ~(size_t)63);
	memset(f->env, 0, env_bytes);
	f->s = rv_state(f->env);
	if (front_riscv.create(&services, 1, &f->config, NULL) || front_riscv.vcpu_init(f->env, f->config, 0, NULL))
		die("create");
	f->env->pc = FAKE_RAM;
	if (!host_interp.init(&host, front_riscv.globals, front_riscv.global_count, NULL))
		die("interp");
	return f;
}

void rv_fake_free(struct rv_fake *f)
{
	host_interp.fini(host);
	front_riscv.vcpu_fini(f->env);
	front_riscv.destroy(f->config);
	free(f->env);
	free(f->ram);
	free(f);
	current = NULL;
}

void rv_fake_put(struct rv_fake *f, uint64_t phys, uint64_t value, uint32_t bytes)
{
	if (phys - FAKE_RAM > FAKE_BYTES - bytes)
		die("address");
	memcpy(f->ram + (phys - FAKE_RAM), &value, bytes);
}

uint64_t rv_fake_get(struct rv_fake *f, uint64_t phys, uint32_t bytes)
{
	uint64_t value = 0;

	if (phys - FAKE_RAM > FAKE_BYTES - bytes)
		die("address");
	memcpy(&value, f->ram + (phys - FAKE_RAM), bytes);
	return value;
}

static void verify(const char *when)
{
	uint32_t at;
	const char *wrong = ir_verify(&block, &at);
	char text[4096];

	if (!wrong)
		return;
	ir_print(&block, text, sizeof(text));
	fprintf(stderr, "rvfake: %s: op %u: %s\n%s\n", when, at, wrong, text);
	abort();
}

enum tcg_exit rv_fake_run(struct rv_fake *f, uint32_t max_insns)
{
	struct tcg_code_space space = { code, code, sizeof(code) };
	struct tcg_block b = { .pc = f->env->pc };

	f->env->exit_reason = TCG_EXIT_NONE;
	block.globals = front_riscv.globals;
	block.global_count = front_riscv.global_count;
	block.helpers = front_riscv.helpers;
	block.helper_count = front_riscv.helper_count;
	ir_begin(&block, f->env->pc, f->env->flags);
	block.mmu = f->env->mmu;
	block.max_insns = max_insns;
	if (!front_riscv.translate(f->env, &block))
		return TCG_EXIT_EXCEPTION;
	verify("translated");
	ir_optimise(&block);
	verify("optimised");
	if (!host_interp.lower(host, &block, &b, &space))
		die("lower");
	enum tcg_exit exit = host_interp.run(host, f->env, b.code);
	if (exit == TCG_EXIT_ERROR)
		die(f->env->error);
	if (f->s->x[0])
		die("x0 was written");
	return exit;
}

enum tcg_exit rv_fake_insn(struct rv_fake *f, uint32_t word)
{
	rv_fake_put(f, f->env->pc, word, (word & 3) == 3 ? 4 : 2);
	return rv_fake_run(f, 1);
}

void rv_fake_enter(struct rv_fake *f, uint32_t priv)
{
	f->s->pmp.cfg[15] = PMP_R | PMP_W | PMP_X | PMP_A_NAPOT;
	f->s->pmp.addr[15] = (UINT64_C(1) << 54) - 1;
	rv_pmp_update(&f->s->pmp);
	f->s->priv = priv;
	rv_update_context(f->env);
	f->env->pc = FAKE_RAM;
}
