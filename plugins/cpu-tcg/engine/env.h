/* SPDX-License-Identifier: MIT */
/*
 * The environment of one vCPU: what translated code addresses off its environment register. The engine owns
 * the head, the front end the guest state behind it (struct rv_state lies in `guest`). Only the vCPU's own
 * thread touches it, but for `poll` and `requests`, which any thread may set.
 */
#ifndef TCG_ENV_H
#define TCG_ENV_H

#include <stddef.h>
#include <stdint.h>

#define TCG_PAGE_BITS 12u
#define TCG_PAGE_SIZE (1u << TCG_PAGE_BITS)
#define TCG_PAGE_MASK (~(uint64_t)(TCG_PAGE_SIZE - 1))

#define TLB_MODES 4u                    /* translation regimes that are kept apart: `mmu` of a block's flags */
#define TLB_BITS  14u                    /* 64 MiB of 4 KiB pages in reach */
#define TLB_SIZE  (1u << TLB_BITS)
/*
 * As tag: matches no address, since tags have their low bits clear. A zeroed entry matches page 0 only, whose
 * entry is number 0: so an array is empty when it is zero but for entry 0, and need not be touched to be so.
 */
#define TLB_INVALID (~(uint64_t)0)

#define JC_BITS 14u
#define JC_SIZE (1u << JC_BITS)
#define CONTEXT_IDS JC_SIZE

/* A page in the TLB for stores can be loaded from too: hosts may check once for both.
 * host address = guest address + addend, when (guest address & (page mask | alignment)) == tag. */
struct tlb_entry {
	uint64_t tag;
	uint64_t addend;
};

/*
 * Jump cache: key = guest pc ^ env->context. A context is a number in bits 1..JC_BITS, those of a pc that choose the
 * slot: two keys in one slot are equal only when the pcs are, all 64 bits of them, and the contexts. Bit 0 of a key
 * is 0, so that an empty slot matches nothing.
 */
struct jc_entry {
	uint64_t key;
	const void *code;
};

/* Slot of a pc: hosts compute the same inline, scaled by the 16 bytes of an entry: pc << 3, masked. */
static inline uint32_t tcg_jc_index(uint64_t pc)
{
	return (uint32_t)(pc >> 1) & (JC_SIZE - 1u);
}

/*
 * Versions of lines of host memory, for reservations. A load-reserved makes a version odd. What writes atomically
 * looks at it afterwards, and counts it up when it is odd; where it is even nobody has the line reserved. Hosts compute
 * the index inline: all of it comes from the low half of the address.
 */
#define LINE_BITS 12u
#define LINE_VERSIONS (1u << LINE_BITS)
static inline uint32_t tcg_line_index(uint64_t where)
{
	uint32_t line = (uint32_t)where >> 6;
	return (line ^ line >> LINE_BITS) & (LINE_VERSIONS - 1);
}

/* Why translated code came back. */
enum tcg_exit {
	TCG_EXIT_NONE,       /* nothing pending (helpers: go on) */
	TCG_EXIT_LOOKUP,     /* env->pc is where to go on: find or translate */
	TCG_EXIT_POLL,       /* env->poll was set; pc is canonical */
	TCG_EXIT_EXCEPTION,  /* env->exception is to be taken by the front at env->pc */
	TCG_EXIT_HALT,       /* wait for interrupt; pc is canonical, behind the instruction */
	TCG_EXIT_PAUSE,      /* sleep until roused, a short while at most; pc is canonical, behind the instruction */
	TCG_EXIT_STALL,      /* wait until the front is not `stalled` any more; pc is canonical, behind the instruction */
	TCG_EXIT_LEAVE,      /* back to the kernel soon (MT_BUS_LEAVE, map change); pc is canonical */
	TCG_EXIT_ERROR,      /* env->error says why */
	TCG_EXIT_DEBUG,      /* a breakpoint at env->pc */
};

struct tcg_vcpu;

struct tcg_env {
	uint64_t pc;                     /* canonical outside blocks and in calls that may exit */
	uint32_t poll;                   /* not 0: leave at the next poll. Set from any thread. */
	uint32_t exit_reason;            /* enum tcg_exit */
	uint64_t context;                /* key part of (mode, flags, address space), in bits 1..JC_BITS */
	uint32_t flags;                  /* the front's flags of the current context; block key */
	uint32_t mmu;                    /* regime of plain loads and stores: 0 .. TLB_MODES-1 */
	uint32_t roused;                 /* atomic: calls of tcg_rouse */
	uint32_t pauses;                 /* for TCG_EXIT_PAUSE, by the front: how many in a row were before */
	uint32_t pause_roused;           /* for TCG_EXIT_PAUSE, by the front: it ends when `roused` is not this */
	/* FP: guest rounding mode as the IR numbers it; flags in RISC-V's order NV DZ OF UF NX = bits 4..0. A host
	 * may keep flags elsewhere while in translated code and merge them before any IRH_FP_FLAGS helper. */
	uint32_t frm;
	uint32_t fflags;
	/* exception raised by a helper, in the front's own numbering */
	uint64_t exception, exception_value;
	/* LR/SC reservation: physical address, or ~0; value loaded */
	uint64_t reservation, reservation_value;
	struct tcg_vcpu *vcpu;           /* the engine's */
	const char *error;
	uint64_t host_save[4];           /* a host's own (saved MXCSR, ...) */
	uint64_t link_patch;             /* a host's: exit to be linked, 0 none */
	uint32_t *lines;                 /* versions of 64-byte lines, by tcg_line_index */
	/* tlb[mode][0] loads, [1] stores */
	struct tlb_entry tlb[TLB_MODES][2][TLB_SIZE];
	struct jc_entry jump_cache[JC_SIZE];
	uint64_t guest[] __attribute__((aligned(64)));
};

#define ENV_GUEST_OFFSET offsetof(struct tcg_env, guest)

#endif
