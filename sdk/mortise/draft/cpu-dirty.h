/* SPDX-License-Identifier: MIT */
/*
 * The log of pages that vCPUs write: a role of an accelerator, optional. DMA and the kernel set the bits of
 * mt_ram.dirty themselves as they write; vCPUs reach RAM by pointers of the accelerator, which knows better
 * than anybody how to see their writes, and what seeing them costs. So it does when it is asked to. Without
 * the role a client stops the machine.
 */
#ifndef MORTISE_CPU_DIRTY_H
#define MORTISE_CPU_DIRTY_H

#include "ram.h"

#define MT_IFACE_CPU_DIRTY "mortise.cpu.dirty/1"

struct mt_cpu_dirty {
	/*
	 * [main] at any time after realize, vCPUs may run. 1: remembers from now on which pages of RAM they
	 * write. 0: no more. 0, or a negative code, and then nothing is remembered.
	 */
	int (*log)(void *self, uint32_t on);
	/*
	 * [main] while the log is on and no vCPU runs. What was written since the log began, or the last
	 * collect, into dirty[] of each RAM object, for all of its clients but MT_DIRTY_CODE. 0, or a
	 * negative code: what was written is not known.
	 */
	int (*collect)(void *self);
};

#endif
