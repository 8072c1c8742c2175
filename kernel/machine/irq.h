/* SPDX-License-Identifier: MIT */
/* Lines: sources or-ed into inputs of sinks and vCPU pins, with eventfd bindings and resampling. */
#ifndef MORTISE_KERNEL_IRQ_H
#define MORTISE_KERNEL_IRQ_H

#include <mortise/draft/irq.h>
#include <mortise/draft/msi.h>

#include "kernel/machine/inst.h"

struct state_part;
extern const struct mt_irq_host irq_host;
extern const struct state_part irq_state_part;
extern const struct mt_msi_host msi_host;   /* msi.c */

#endif
