/* SPDX-License-Identifier: MIT */
/*
 * What a front end (one guest ISA) gives the engine, and what it may call. Front ends and hosts never
 * include each other. All functions run on the vCPU's own thread unless they say otherwise.
 */
#ifndef TCG_FRONT_H
#define TCG_FRONT_H

#include <mortise/draft/clock.h>
#include <mortise/draft/cpu-sysreg.h>
#include <mortise/draft/cpu.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>

#include "engine/env.h"
#include "ir/ir.h"

enum tcg_access { TCG_LOAD, TCG_STORE, TCG_FETCH };

/* Result of a walk. */
struct tcg_walk {
	uint64_t phys;              /* physical address of the access */
	uint64_t page_bytes;        /* size of the mapping that holds it, at least 4096 unless `partial` */
	uint8_t readable, writable, executable;   /* what may be cached for this regime (store only if dirty is set) */
	uint8_t partial;            /* protection changes inside the 4 KiB page: do not cache */
};

/* Instance-wide configuration of the front, made from properties (front.create). */
struct tcg_front_config;

struct tcg_services {
	const struct mt_host *host;
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_clock_host *clock;
	const struct mt_vcpu_host *vcpu;
};

struct tcg_front {
	const char *arch;                       /* "riscv64" */
	const struct ir_global *globals;
	uint32_t global_count;
	const struct ir_helper *helpers;
	uint32_t helper_count;
	uint32_t state_bytes;                   /* of the guest state in env->guest */

	/* [main] */
	int (*create)(const struct tcg_services *services, uint32_t vcpu_count, struct tcg_front_config **config,
		      struct mt_error *err);
	void (*destroy)(struct tcg_front_config *config);
	/* [main] a vCPU's front state; vcpu_init sets config and index, reset the architectural state */
	int (*vcpu_init)(struct tcg_env *env, struct tcg_front_config *config, uint32_t index, struct mt_error *err);
	void (*vcpu_fini)(struct tcg_env *env);
	void (*reset)(struct tcg_env *env, uint32_t kind);

	/*
	 * Builds the IR of the block at b->pc for env->flags. Fetches code by tcg_fetch. Must end with an E op.
	 * At most b->max_insns instructions, never beyond the 4 KiB page of pc except for the last instruction's
	 * tail. A fetch fault on the first instruction: returns false with env->exception set (pc = b->pc); on
	 * a later one: ends the block before it.
	 */
	bool (*translate)(struct tcg_env *env, struct ir_block *b);
	/* Guest virtual to physical. false: env->exception, exception_value set. Sets A/D bits where the ISA does so. */
	bool (*walk)(struct tcg_env *env, uint64_t vaddr, enum tcg_access access, uint32_t mmu, uint32_t width,
		     struct tcg_walk *out);
	/* [main] while not running: the same for a debugger, with no look at permissions and no effect. */
	bool (*look)(struct tcg_env *env, uint64_t vaddr, struct tcg_walk *out);
	/* The access fault that the ISA knows for a physical access that failed on the bus, or misalignment. */
	void (*bus_fault)(struct tcg_env *env, uint64_t vaddr, enum tcg_access access);
	void (*misaligned)(struct tcg_env *env, uint64_t vaddr, enum tcg_access access);
	/* Enters the handler of env->exception (raised at env->pc): new pc, mode, context. */
	void (*take_exception)(struct tcg_env *env);
	/* An enabled interrupt is pending: take it (new pc, context) and return true. */
	bool (*take_interrupt)(struct tcg_env *env);
	/* An interrupt is pending as far as WFI cares (enabled in the pending/enable registers, mode aside). */
	bool (*wakeup_pending)(struct tcg_env *env);
	/* TCG_EXIT_STALL: there is still nothing to go on for. Called while the vCPU is out, again and again. */
	bool (*stalled)(struct tcg_env *env);
	/* Guest time (ns) at which a timer of the vCPU's own will make an interrupt pending; UINT64_MAX: none.
	 * Called before halting, and after each poll exit to re-arm the engine's timer. */
	uint64_t (*next_wakeup_ns)(struct tcg_env *env);
	/* Privilege number, below TLB_MODES: handed to the bus, and what fetches depend on. */
	uint32_t (*privilege)(const struct tcg_env *env);

	/* pins: [main] number by name or -1; [any] set. The front keeps pin levels in an atomic word of its own and
	 * calls tcg_poll_request. */
	int32_t (*pin_find)(const char *name);
	void (*pin_set)(struct tcg_env *env, uint32_t pin, uint32_t level);
	/* system registers that a device serves, [main] while not running; as in mt_cpu_sysreg */
	int (*sysreg_bind)(struct tcg_env *env, const struct mt_sysreg_range *range, struct mt_error *err);
	void (*sysreg_unbind)(struct tcg_env *env, const struct mt_sysreg_range *range);
	/* registers, [main] while not running */
	uint32_t (*reg_count)(struct tcg_front_config *config);
	int (*reg_describe)(struct tcg_front_config *config, uint32_t index, struct mt_reg_desc *out);
	int (*reg_read)(struct tcg_env *env, uint32_t number, uint64_t *value);
	int (*reg_write)(struct tcg_env *env, uint32_t number, uint64_t value);
	/* saved state of a vCPU, schema tcg_state of plugin.c; [main] while it does not run. After a load the engine
	 * forgets its translations and asks for a poll. */
	int (*save)(struct tcg_env *env, struct mt_state_out *out, const struct mt_state_writer *w);
	int (*load)(struct tcg_env *env, struct mt_state_in *in, const struct mt_state_reader *r);
	/* [main] target description for GDB; mt_cpu_debug.description */
	uint64_t (*gdb_xml)(struct tcg_front_config *config, char *text, uint64_t text_bytes);
	/* cpu nodes */
	int (*fdt)(struct tcg_front_config *config, uint32_t vcpu_count, struct mt_fdt *fdt,
		   const struct mt_fdt_writer *w, struct mt_error *err);
};

extern const struct tcg_front front_riscv;

/* --- What the engine gives front ends. --- */

/* Fetches one naturally aligned 16-bit parcel of code at vaddr. false: env->exception is set. Cheap within a page. */
bool tcg_fetch16(struct tcg_env *env, uint64_t vaddr, uint16_t *parcel);
/* A block must end before this instruction, unless it begins with it: a breakpoint is there. */
bool tcg_break_at(const struct tcg_env *env, uint64_t pc);
/* The same of an aligned word, in one access. */
bool tcg_fetch32(struct tcg_env *env, uint64_t vaddr, uint32_t *word);
/* Physical access of page walks: aligned, 4 or 8 bytes, RAM only; false: bus error. */
bool tcg_phys_read(struct tcg_env *env, uint64_t phys, uint32_t width, uint64_t *value);
/* Something answers at the physical address. */
bool tcg_phys_exists(struct tcg_env *env, uint64_t phys);
/* Compare-and-swap of a page table entry: true and stored when it held `expected`. Notes the write for code. */
bool tcg_phys_cas64(struct tcg_env *env, uint64_t phys, uint64_t expected, uint64_t desired, bool *bus_error);
/* Data access from a helper with all checks, any alignment; false: exception set, the helper must return with
 * env->exit_reason = TCG_EXIT_EXCEPTION (already set). mmu as in env->mmu. */
bool tcg_load(struct tcg_env *env, uint64_t vaddr, uint32_t width, uint32_t mmu, uint64_t *value);
bool tcg_store(struct tcg_env *env, uint64_t vaddr, uint32_t width, uint32_t mmu, uint64_t value);
/*
 * Host pointer of naturally aligned RAM for an atomic access by a helper (LR/SC; TCG_LOAD is a load-reserved).
 * NULL: exit_reason says why (an exception, also for I/O memory; or the instruction is to be done again).
 * *where names the place in guest memory, the same for every mapping of it.
 */
void *tcg_atomic_ptr(struct tcg_env *env, uint64_t vaddr, uint32_t width, uint32_t mmu, enum tcg_access access,
		     uint64_t *where);
/* 16 bytes at aligned host memory: old[] gets what was there, and desired[] is stored when that was expected[]. */
void tcg_cas128(void *p, const uint64_t expected[2], const uint64_t desired[2], uint64_t old[2]);
/* Raise: sets exception, value and exit_reason. Helpers return right after. */
void tcg_raise(struct tcg_env *env, uint64_t exception, uint64_t value);
/* Leave the block after this helper with a reason (env->pc must be set by the helper to where to go on). */
void tcg_leave(struct tcg_env *env, enum tcg_exit reason);
/* Between two looks at memory that another vCPU is to change. */
static inline void tcg_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}
/* Back to the kernel after this instruction (MT_SYSREG_LEAVE). */
void tcg_leave_request(struct tcg_env *env);
/* The context changed: new flags, new mmu regime. `space` identifies the address space (satp, or 0): the same
 * triple may get its cached jumps back. */
void tcg_set_context(struct tcg_env *env, uint32_t flags, uint32_t mmu, uint64_t space);
/* Translations of this vCPU changed (sfence.vma, PMP, ...). */
void tcg_flush_all(struct tcg_env *env);
void tcg_flush_page(struct tcg_env *env, uint64_t vaddr);
/* Instruction fence (fence.i): makes writes by DMA and other harts that happened before visible to fetch. */
void tcg_fence_i(struct tcg_env *env);
/* [any] makes the vCPU poll soon. */
void tcg_poll_request(struct tcg_env *env);
/* [any] what a vCPU waits for has come, a pin or its time: ends a TCG_EXIT_PAUSE, and makes it poll soon. */
void tcg_rouse(struct tcg_env *env);
/* After a helper stored through tcg_atomic_ptr: bumps the line, drops translations of what it hit. */
void tcg_atomic_stored(struct tcg_env *env, uint64_t where, uint32_t width);
/*
 * Reservation versions (LR/SC): a counter for each 64-byte line, which AMO and SC count up after they wrote. A load-
 * reserved takes it by tcg_line_reserve, before it loads; the others are told of it only then.
 */
uint32_t tcg_line_reserve(struct tcg_env *env, uint64_t where);
uint32_t tcg_line_version(struct tcg_env *env, uint64_t where);
void tcg_line_bump(struct tcg_env *env, uint64_t where);

#endif
