/* SPDX-License-Identifier: MIT */
/*
 * What a host back end gives the engine, and the engine's block. A back end sees IR only. The interpreter is
 * one of them: its "code" is a compact copy of the ops.
 */
#ifndef TCG_HOST_H
#define TCG_HOST_H

#include "engine/env.h"
#include "ir/ir.h"

#define BLOCK_LINKS 2u

struct tcg_block;

/* A direct exit of a block that can be patched to jump into another block's code. */
struct tcg_link {
	uint64_t target_pc;
	uint32_t patch_offset;          /* host's: where in the code to patch; 0: no such link */
	uint32_t unlink_offset;         /* host's: code offset that the unlinked jump goes to */
	struct tcg_block *to;           /* linked to, NULL */
	struct tcg_link *next_in;       /* list of links into `to` */
	struct tcg_block *from;
};

struct tcg_block {
	/* key */
	uint64_t phys;                  /* guest-physical address of the first byte */
	uint64_t pc;                    /* guest virtual address (translations hold absolute pcs) */
	uint32_t flags;
	uint32_t guest_bytes;
	uint32_t insn_count;
	uint32_t state;                 /* engine's: BLOCK_LIVE ... */
	uint64_t checked;               /* engine's: which look at protection inside a page it holds for; 0: any */
	const uint8_t *code;            /* entry, executable view */
	uint32_t code_bytes;
	struct tcg_link links[BLOCK_LINKS];
	struct tcg_link *in;            /* links of others into this block */
	struct tcg_block *hash_next;
	struct tcg_block *page_next[2]; /* lists of blocks of the page(s) that hold the guest code */
	uint64_t phys_page[2];          /* [1] = ~0 when it lies in one page */
	struct tcg_block *segment_next; /* list of the blocks of a segment */
};

struct tcg_host_state;                  /* a host's own, one per code buffer */

/* Where a back end writes: rw is the writable view, rx the executable view of the same bytes. */
struct tcg_code_space {
	uint8_t *rw;
	const uint8_t *rx;
	size_t free_bytes;
};

/* What was lowered so far, for the log and benchmarks. Instructions and bytes out of line count apart. */
struct tcg_host_stats {
	uint64_t blocks, guest_insns, host_insns, hot_bytes, far_bytes;
};

struct tcg_host {
	const char *name;               /* "interp", "x86_64" */
	bool needs_exec;                /* code is machine code */
	/* [main] can this host machine run it? */
	bool (*usable)(void);
	/* [main] once per code buffer: emits common stubs (prologue, epilogue, slow paths) at the buffer's start.
	 * Returns the bytes used. */
	size_t (*init)(struct tcg_host_state **state, const struct ir_global *globals, uint32_t global_count,
		       const struct tcg_code_space *space);
	void (*fini)(struct tcg_host_state *state);
	/*
	 * [vcpu] Lowers b into space; fills block->code, code_bytes, links. Returns the bytes used; 0: does not
	 * fit. Direct exits (exit_pc) to the same guest page as block->pc are linkable; others probe the jump cache.
	 */
	size_t (*lower)(struct tcg_host_state *state, const struct ir_block *b, struct tcg_block *block,
			const struct tcg_code_space *space);
	/*
	 * [vcpu] Runs from `code` until translated code leaves; returns enum tcg_exit with env->pc canonical and
	 * globals in the environment. When it left through an unlinked direct exit, env->link_patch identifies
	 * the struct tcg_link (as a pointer), so that the engine may link it.
	 */
	enum tcg_exit (*run)(struct tcg_host_state *state, struct tcg_env *env, const uint8_t *code);
	/* [vcpu] patches atomically with respect to threads that execute: link to code, or back (to = NULL).
	 * `rw_delta` = writable view minus executable view, in bytes. */
	void (*link)(struct tcg_host_state *state, struct tcg_link *link, const uint8_t *to, ptrdiff_t rw_delta);
	/* [vcpu] the same for a link that cannot be made (its target straddles pages): from now on the exit finds its
	 * way by the jump cache instead of leaving. NULL: the host has no linkable exits. */
	void (*refuse)(struct tcg_host_state *state, struct tcg_link *link, ptrdiff_t rw_delta);
	/* NULL: keeps none */
	void (*stats)(const struct tcg_host_state *state, struct tcg_host_stats *stats);
};

extern const struct tcg_host host_interp;
extern const struct tcg_host host_x86_64;

/*
 * --- Slow paths of the engine, called by back ends with env->pc = pc of the instruction and all globals in the
 * environment. *exit (or the result of tcg_slow_store) is TCG_EXIT_NONE to go on, else the reason to leave:
 * TCG_EXIT_EXCEPTION with env->pc unchanged (nothing was written to d), or TCG_EXIT_LEAVE after the access was
 * done: then d is written, and the block leaves with env->pc = pc of the next instruction (a back end may go on
 * and rely on env->poll, which is set too), or TCG_EXIT_POLL with env->pc unchanged and nothing done: it is done
 * again after the poll. `mem` is the op's mem field; for amo, IR_AMO_* << 8 is or-ed in.
 * Inline fast path: a load or store without IRM_ALIGN whose last byte lies in another page must go the slow way;
 * with IRM_ALIGN (and for amo and cas) a misaligned one must. Regime: the row of env->tlb is chosen at translation
 * time by b->mmu. An inline amo or cas tells the line, see tcg_line_index.
 */
uint64_t tcg_slow_load(struct tcg_env *env, uint64_t vaddr, uint32_t mem, uint32_t *exit);
uint32_t tcg_slow_store(struct tcg_env *env, uint64_t vaddr, uint64_t value, uint32_t mem);
/* Whole: aligns the address itself. */
uint32_t tcg_slow_zero(struct tcg_env *env, uint64_t vaddr);
uint64_t tcg_slow_amo(struct tcg_env *env, uint64_t vaddr, uint64_t value, uint32_t mem_amo, uint32_t *exit);
uint64_t tcg_slow_cas(struct tcg_env *env, uint64_t vaddr, uint64_t expected, uint64_t desired, uint32_t mem,
		      uint32_t *exit);
/* An access with both rights and alignment looked after, at RAM without code; the line is told. d not extended. */
uint64_t tcg_amo_at(struct tcg_env *env, void *p, uint64_t value, uint32_t mem_amo);
uint64_t tcg_cas_at(struct tcg_env *env, void *p, uint64_t expected, uint64_t desired, uint32_t mem);
/* exit_reg and far exit_pc after the inline jump-cache probe missed: the code to go on at, or NULL to leave. */
const void *tcg_find_code(struct tcg_env *env, uint64_t pc);

#endif
