/* SPDX-License-Identifier: MIT */
/* Back-end ports: connects fronts and back ends of char ports (char.c) and net ports (net.c). */
#ifndef MORTISE_KERNEL_PORT_H
#define MORTISE_KERNEL_PORT_H

#include <mortise/draft/char.h>
#include <mortise/draft/net.h>

#include "kernel/machine/machine.h"

extern const struct mt_char_host char_host;
extern const struct mt_net_host net_host;

/*
 * [any] Whether what goes up waits: before the machine first runs, a reset or a load would undo what it did. To be
 * asked after the lock of the connection was taken, so that what is posted by *_started is not missed.
 */
static inline bool port_waits(const struct mt_inst *front)
{
	uint32_t state = __atomic_load_n(&front->machine->state, __ATOMIC_ACQUIRE);

	return state == INST_CREATED || state == INST_REALIZED;
}

/* [main] The machine runs: what waited goes up. `back` may be any instance. */
void char_started(struct mt_inst *back);
void net_started(struct mt_inst *back);

#endif
