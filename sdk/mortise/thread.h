/* SPDX-License-Identifier: MIT */
/*
 * Thread words. Every function of the ABI bears one of them, in brackets, in the comment above it.
 *
 *   [main]  the machine's control thread: configuration, realize, reset, unrealize.
 *   [vcpu]  a vCPU thread, inside `run` or in a region operation called from it; several at a time.
 *   [io]    the loop thread that the instance is bound to: timers, descriptors, completions.
 *   [any]   any thread, several at a time.
 *
 * Unless a class declares MT_CLASS_PARALLEL, the kernel holds the instance's lock around every call into
 * the instance, so that a simple device needs no lock of its own. Calls go synchronously downward only
 * (device -> irq, dma, clock, back-end port); what goes upward (completion, timer, back end to front) is
 * posted to the front's context and arrives holding the front's lock alone.
 * A service that may be called from [vcpu] or [io] never waits for main or for a vCPU.
 */
#ifndef MORTISE_THREAD_H
#define MORTISE_THREAD_H

#include <stdint.h>

#define MT_IFACE_THREAD_CHECK "mortise.thread-check/1"

#define MT_THREAD_OTHER 0u
#define MT_THREAD_MAIN  1u
#define MT_THREAD_VCPU  2u
#define MT_THREAD_IO    3u

/* Host service: lets either side assert the words above. */
struct mt_thread_check {
	/* [any] MT_THREAD_* of the calling thread. */
	uint32_t (*current)(void);
};

#endif
