/* SPDX-License-Identifier: MIT */
/*
 * RAM that is copied before the pause, while the guest runs: only what it wrote meanwhile is copied again in the pause.
 * For machines whose accelerator can tell what that was (mortise.cpu.dirty/1). [main].
 */
#ifndef KERNEL_STATE_EARLY_H
#define KERNEL_STATE_EARLY_H

#include "kernel/machine/machine.h"

/* True: from now on it is known what is written; early_end is due. */
bool early_begin(struct machine *m);
/* While no vCPU runs and nothing else writes: 0, and MT_DIRTY_MIGRATION of each RAM tells; or a negative code. */
int early_collect(struct machine *m);
void early_end(struct machine *m);

#endif
