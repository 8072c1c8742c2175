/* SPDX-License-Identifier: MIT */
/*
 * Debugging: a role of an accelerator. Points (breakpoints and watchpoints) are kept by the accelerator and
 * hold for all of its vCPUs and all of their address spaces; nothing is written into guest memory for them.
 *
 * A vCPU that meets a point, or has made a step, returns from `run` with MT_EXIT_DEBUG; `stop` then tells
 * what it was, until the next `run`. A breakpoint stops before the instruction, and again whenever the vCPU
 * goes on from there without a step. A watchpoint stops behind the instruction that made the access, whose
 * effects are all there; page walks, fetches and devices do not count as accesses.
 */
#ifndef MORTISE_CPU_DEBUG_H
#define MORTISE_CPU_DEBUG_H

#include "cpu.h"

#define MT_IFACE_CPU_DEBUG "mortise.cpu.debug/1"

/* What a point looks at. READ and WRITE may be joined. */
#define MT_DEBUG_EXECUTE 1u
#define MT_DEBUG_READ    2u
#define MT_DEBUG_WRITE   4u

/* How a vCPU goes on. */
#define MT_DEBUG_STEP      1u   /* one instruction (or the entry of a trap handler), then MT_EXIT_DEBUG */
#define MT_DEBUG_MASK_IRQS 2u   /* beside STEP: takes no interrupt before that instruction */

/* Why it stopped. */
#define MT_DEBUG_STOP_STEP  1u
#define MT_DEBUG_STOP_BREAK 2u
#define MT_DEBUG_STOP_WATCH 3u

struct mt_debug_stop {
	uint32_t size;
	uint32_t cause;             /* MT_DEBUG_STOP_* */
	uint32_t access;            /* WATCH: MT_DEBUG_READ, WRITE or both: what the point that was met looks at */
	uint32_t reserved;          /* 0 */
	uint64_t pc;                /* where the vCPU will go on */
	uint64_t vaddr;             /* WATCH: the first byte of the point that was touched */
};

/* Role of an accelerator. All of it while none of its vCPUs runs. */
struct mt_cpu_debug {
	/* [main] `len_bytes` is ignored for EXECUTE. The same point may be added more than once. MT_ENOTSUP: no such
	 * kind; MT_ERANGE: the range is empty or wraps; MT_EBUSY: no room for more. */
	int (*point_add)(void *self, uint32_t kind, uint64_t vaddr, uint64_t len_bytes);
	/* [main] One that was added with the same arguments; MT_ENOENT: there is none. */
	int (*point_remove)(void *self, uint32_t kind, uint64_t vaddr, uint64_t len_bytes);
	/* [main] How this vCPU goes on from now on, MT_DEBUG_* or 0; a step that was made is forgotten by itself. */
	int (*set_mode)(void *vcpu, uint32_t mode);
	/* [main] Why the last `run` came back with MT_EXIT_DEBUG. MT_ENOENT: it came back for another reason. */
	int (*stop)(void *vcpu, struct mt_debug_stop *out);
	/* [main] Where the vCPU, in the mode that it is in, would find this byte; permissions are not looked at, nothing
	 * changes. `*len_bytes` go on from there in one piece. MT_ENOENT: nothing is mapped. */
	int (*translate)(void *vcpu, uint64_t vaddr, uint64_t *gpa, uint64_t *len_bytes);
	/* [main] The target description in GDB's XML, whose register numbers are those of mortise.cpu.regs. At most
	 * `text_bytes` with the 0 at the end are written; returns the length without it, as snprintf does. */
	uint64_t (*description)(void *self, char *text, uint64_t text_bytes);
};

#endif
