/* SPDX-License-Identifier: MIT */
/* The table of the kernel's own parts of a snapshot. Constant. */
#include "kernel/state/part.h"

#include "kernel/machine/clock.h"
#include "kernel/machine/irq.h"
#include "kernel/pci/pci.h"
#include "kernel/virtio/vdev.h"

const struct state_part *const state_parts[] = { &clock_state_part, &irq_state_part, &pci_state_part,
						&vdev_state_part, NULL };
