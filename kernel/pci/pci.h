/* SPDX-License-Identifier: MIT */
/* PCI in the kernel: the services of <mortise/draft/pci.h>, for host.c. */
#ifndef KERNEL_PCI_PCI_H
#define KERNEL_PCI_PCI_H

#include <mortise/draft/pci.h>

struct state_part;

extern const struct state_part pci_state_part;
extern const struct mt_pci_host pci_host;                  /* MT_IFACE_PCI */
extern const struct mt_pci_bridge pci_bridge_host;         /* MT_IFACE_PCI_BRIDGE */

#endif
