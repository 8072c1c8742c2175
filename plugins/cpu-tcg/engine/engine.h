/* SPDX-License-Identifier: MIT */
/*
 * The engine's own types. An instance (struct tcg) is one [cpu] section: its vCPUs share the code cache, the
 * block table and the page descriptors.
 *
 * Locks: tcg.lock guards the block table, links, page descriptors' lists and the code buffer. It is taken
 * only by a vCPU that is "out" (exec_leave) or in a slow store, never across a call into the kernel.
 * A vCPU that is "in" may execute any block; code memory is reused only in an exclusive section, in which no
 * other vCPU is in.
 */
#ifndef TCG_ENGINE_H
#define TCG_ENGINE_H

#include <pthread.h>

#include "engine/front.h"
#include "engine/host.h"

#include <mortise/draft/cpu-debug.h>

#define PAGE_LINES 64u              /* 64-byte lines of a page, one bit each */
#define SEGMENTS 16u
#define BLOCK_BUCKETS (1u << 17)
#define BLOCK_MAX_INSNS 64u
#define CONTEXTS 64u
#define FETCH_SIZE 256u
#define FILLED_MAX 4096u
#define BACK_BITS 13u
#define BACK_SIZE (1u << BACK_BITS)
#define JUMP_PAGE_BITS 4096u
#define POINTS_MAX 256u

enum { BLOCK_LIVE = 1, BLOCK_DEAD };

/* A page of RAM that holds, or held, translated code. */
struct code_page {
	struct code_page *made_before;  /* list of all, from tcg.pages_made */
	struct tcg_block *blocks;       /* list through page_next */
	uint64_t lines;                 /* lines that hold code; read without the lock */
	uint32_t has_code;              /* stores go the slow way; read without the lock */
	uint32_t writers;               /* some vCPU may hold a store TLB entry for the page */
	uint32_t version;               /* counts stores while has_code */
	uint32_t watched;               /* strict-lrsc: plain stores go the slow way and break reservations */
};

/* What the engine knows of one RAM object. */
struct tcg_ram {
	struct mt_ram *ram;
	struct code_page **pages;       /* by page number; made when first written or translated */
	uint64_t page_count;
	uint64_t dirty_seen;            /* ram->dirty_epoch[MT_DIRTY_CODE] when last consumed */
};

struct tcg_context {
	uint64_t space;
	uint32_t flags;
	uint64_t id;                    /* env->context */
};

/* A breakpoint or watchpoint: bytes first .. last of any address space. */
struct tcg_point {
	uint64_t first, last;
	uint32_t kind;                  /* MT_DEBUG_* */
};

/* What a debugger wants of one vCPU, and what came of it; see debug.c. */
struct tcg_debug {
	uint32_t mode;                  /* MT_DEBUG_STEP, MASK_IRQS */
	bool single;                    /* translated code is left after one instruction */
	bool met;                       /* the instruction at pc was stopped before an access that a point watches */
	bool passing;                   /* and is now done with the points off */
	bool stopped;                   /* `stop` is what `run` shall return for */
	struct mt_debug_stop stop;
};

struct tcg_vcpu {
	struct tcg *tcg;
	struct mt_vcpu *handle;
	struct tcg_env *env;
	uint32_t index;
	uint32_t in;                    /* executing; see exec_enter */
	uint32_t kick;                  /* leave `run` */
	uint32_t sleeping;              /* in exec_stall: who sets env->poll wakes the thread */
	uint32_t pausing;               /* in exec_pause: who counts env->roused up wakes the thread */
	uint32_t leave;                 /* leave `run` after this instruction */
	uint32_t jump_flush;            /* forget all cached jumps; set by others */
	const struct mt_flat_view *view;
	uint64_t view_generation;
	const struct mt_flat_range *last_range;
	struct mt_timer *timer;
	uint64_t timer_ns;              /* armed for */
	struct tcg_context contexts[CONTEXTS];
	uint64_t next_context;
	uint64_t space;                 /* of the current context */
	/* where code lies: virtual page (and regime) to backing page */
	struct fetch_entry {
		uint64_t tag;           /* virtual page | regime; ~0: empty */
		uint64_t key;
		const uint8_t *hva;
		bool partial;           /* protection changes inside the page: never kept */
	} fetch_tlb[FETCH_SIZE];
	/* hashed virtual pages for which jumps were cached since the last jump flush */
	uint64_t jump_pages[JUMP_PAGE_BITS / 64];
	/* virtual addresses under mappings larger than a page, low and high half of the space */
	uint64_t large_first[2], large_last[2];
	/* TLB entries filled since the last flush: (mode, kind, slot) in one number; too many: all are cleared */
	uint32_t filled[FILLED_MAX];
	uint32_t filled_count;
	uint32_t tlb_used;              /* regimes that have entries, a bit each */
	/* second level: walks that were made, of all address spaces */
	struct back_entry {
		uint64_t tag;           /* virtual page | access << 2 | regime */
		uint64_t space;
		uint64_t addend;
		uint64_t epoch;
	} *back;
	uint64_t back_epoch;
	/* pages that the block under translation was read from, with their versions */
	struct fetch_page {
		uint64_t vpage, key;
		const uint8_t *hva;
		uint32_t version;
		bool partial;
	} fetch[2];
	uint32_t fetch_count;
	struct ir_block *ir;
	uint64_t watch_key;             /* page to watch before the load-reserved is done again; KEY_NONE */
	struct tcg_debug debug;
};

struct tcg {
	struct tcg_services services;
	const struct tcg_front *front;
	const struct tcg_host *host;
	struct tcg_host_state *host_state;
	struct tcg_front_config *config;
	uint32_t vcpu_count;
	struct tcg_vcpu **vcpus;
	uint32_t strict_lrsc;

	pthread_mutex_t lock;
	/* exclusive sections */
	pthread_mutex_t gate;
	pthread_cond_t gate_changed;
	uint32_t exclusive;             /* someone is, or wants to be, alone */

	/* code buffer: two views of one memory, cut in segments that are filled and evicted in turn */
	uint8_t *code_rw;
	const uint8_t *code_rx;
	size_t code_bytes, stub_bytes, segment_bytes;
	uint32_t segment;
	size_t segment_used;
	struct tcg_block *segment_blocks[SEGMENTS];   /* list through segment_next */
	uint64_t host_insn_bytes, guest_insns, evictions;

	struct tcg_block **buckets;
	struct tcg_ram rams[64];
	uint32_t ram_count;
	struct code_page *pages_made;   /* the last one; pushed without a lock */
	uint32_t lines[LINE_VERSIONS];
	/* changed while no vCPU runs */
	struct tcg_point points[POINTS_MAX];
	uint32_t point_count, break_count, watch_count;
};

/* codebuf.c */
int codebuf_init(struct tcg *t, size_t bytes, struct mt_error *err);
void codebuf_fini(struct tcg *t);

/* exec.c */
void exec_enter(struct tcg_vcpu *v);
void exec_leave(struct tcg_vcpu *v);
/* Alone: returns with every other vCPU out. The caller is out, and does not hold tcg.lock. */
void exec_exclusive_begin(struct tcg_vcpu *v);
void exec_exclusive_end(struct tcg_vcpu *v);
/* Jumps into the virtual page of vaddr may be cached. */
bool exec_page_has_jumps(const struct tcg_vcpu *v, uint64_t vaddr);
int exec_run(struct tcg_vcpu *v, const struct mt_run_params *params, struct mt_exit *exit);

/* pages.c: backing keys are (index in tcg.rams << 48) | offset in the RAM object. */
#define KEY_NONE (~(uint64_t)0)
#define KEY_PAGE(key) ((key) & TCG_PAGE_MASK)
struct tcg_ram *pages_ram(struct tcg *t, struct mt_ram *ram);
uint64_t pages_key(struct tcg *t, struct mt_ram *ram, uint64_t ram_offset);
/* Of RAM that an instruction has touched, by host address; KEY_NONE: not RAM. */
uint64_t pages_key_of(struct tcg *t, const uint8_t *hva);
/* The descriptor; made when absent. NULL: out of memory. */
struct code_page *pages_get(struct tcg *t, uint64_t key);
/* A vCPU wants to write the page directly: false when it holds code and stores must go the slow way. */
bool pages_allow_writes(struct tcg *t, uint64_t key);
/* strict-lrsc: stores to the page break reservations from now on. Out, without lock. */
void pages_watch(struct tcg_vcpu *v, uint64_t key);
bool pages_watched(struct tcg *t, uint64_t key);
/* After a slow store of `width` bytes at key (not crossing a page): drops translations of its lines. After, not
 * before: a translation that read the old bytes is dropped then, or sees the page's version change. */
void pages_note_store(struct tcg *t, uint64_t key, uint32_t width);
/* Makes the page's stores go the slow way before code of it is read. Out, without lock. */
bool pages_protect(struct tcg_vcpu *v, uint64_t key, uint32_t *version);
/* Under tcg.lock: the lines of a block that was inserted. */
void pages_add_lines(struct tcg *t, const struct tcg_block *b);
/* Drops translations of pages that DMA wrote. */
void pages_consume_dma(struct tcg_vcpu *v);

/* cache.c, all under tcg.lock */
struct tcg_block *cache_find(struct tcg *t, uint64_t key, uint64_t pc, uint32_t flags);
void cache_insert(struct tcg *t, struct tcg_block *b);
void cache_kill(struct tcg *t, struct tcg_block *b);
void cache_link(struct tcg *t, struct tcg_link *link, struct tcg_block *to);
/* Kills the blocks that hold an instruction byte at this virtual address. */
void cache_kill_at(struct tcg *t, uint64_t vaddr);
/* Memory for a block and its code in the current segment; `full` when an eviction is needed first. */
struct tcg_block *cache_space(struct tcg *t, struct tcg_code_space *space, bool *full);
/* Evicts the next segment; in an exclusive section. */
void cache_next_segment(struct tcg *t);
/* Forgets the jump cache of a vCPU. Its own thread, or exclusive. */
void cache_flush_jumps(struct tcg_vcpu *v);

/* translate.c: block for env->pc; NULL with env->exit_reason set. Out, without lock. While debug.single: of one
 * instruction, and never found again. */
struct tcg_block *translate_block(struct tcg_vcpu *v);

/* debug.c, on the vCPU's own thread */
extern const struct mt_cpu_debug debug_class;
bool debug_break_at(const struct tcg *t, uint64_t pc);
/* The access must not be made now: env->exit_reason is set, and the instruction is done again. `kind` is MT_DEBUG_READ
 * or WRITE or both. */
bool debug_met(struct tcg_vcpu *v, uint64_t vaddr, uint32_t width, uint32_t kind);
/* Accesses of this kind to the page have to be looked at. */
bool debug_page_watched(const struct tcg *t, uint64_t vaddr, uint32_t kind);
bool debug_masks_irqs(const struct tcg_vcpu *v);
/* Runs the one instruction at env->pc. In. */
enum tcg_exit debug_run_one(struct tcg_vcpu *v);
/* Translated code came back for `reason`, which was acted upon. True: leave `run`. */
bool debug_after(struct tcg_vcpu *v, enum tcg_exit reason);
/* An interrupt was taken. True: that was the step. */
bool debug_trapped(struct tcg_vcpu *v);

/* mem.c */
void mem_set_view(struct tcg_vcpu *v, const struct mt_flat_view *view);
const struct mt_flat_range *mem_range(struct tcg_vcpu *v, uint64_t phys);
/* Backing of the code page of pc; NULL: env->exception set (also for code outside RAM). */
const struct fetch_entry *mem_fetch(struct tcg_vcpu *v, uint64_t pc);
/* Raises the fault of a misaligned access that `mem` does not allow; true: it did. */
bool mem_misaligned(struct tcg_env *env, uint64_t vaddr, uint32_t mem, enum tcg_access access);

/* After a store through tcg_atomic_ptr: drops translations of what it hit. The line is told apart. */
void tcg_atomic_noted(struct tcg_env *env, uint64_t where, uint32_t width);

/* tlb.c */
/* Of a new vCPU, whose environment is zero. */
void tlb_init(struct tcg_vcpu *v);
/* Forgets all translations of addresses of this vCPU. */
void tlb_flush(struct tcg_vcpu *v);
/* Names the vCPU and its translations up to the next flush: what was allowed then is allowed now. Not 0. */
uint64_t tlb_check_number(const struct tcg_vcpu *v);
/* Lets translated code access the page by itself; kind 0 loads, 1 stores. Host address = vaddr + addend. */
void tlb_fill(struct tcg_vcpu *v, uint64_t vaddr, uint32_t mmu, unsigned kind, uint64_t addend);
/* Drops store entries of the page at hva. */
void tlb_unwritable(struct tcg_vcpu *v, const uint8_t *page_hva);
/* A mapping larger than a page was used: dropping one address of it drops all. */
void tlb_note_large(struct tcg_vcpu *v, uint64_t vaddr, uint64_t page_bytes);
/* The second level: a walk that was made, and one to keep. */
const struct back_entry *tlb_back_find(struct tcg_vcpu *v, uint64_t vaddr, uint32_t mmu, enum tcg_access access);
void tlb_back_add(struct tcg_vcpu *v, uint64_t vaddr, uint32_t mmu, enum tcg_access access, uint64_t addend);
/* New context numbers: no cached jump of before is found again. */
void tlb_forget_contexts(struct tcg_vcpu *v);
/* A block was dropped: the same, and notes that it is done. */
void tlb_drop_jumps(struct tcg_vcpu *v);

#endif
