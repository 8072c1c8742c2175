/* SPDX-License-Identifier: MIT */
/*
 * Holds all loops of a machine, so that between two instances that are saved or loaded nothing happens: no input from
 * a terminal, no timer on the host's time. [main]. Nothing that waits for a loop may be called meanwhile.
 */
#ifndef KERNEL_STATE_PARK_H
#define KERNEL_STATE_PARK_H

#include "kernel/machine/machine.h"

struct park *park_begin(struct machine *m);
void park_end(struct park *park);

#endif
