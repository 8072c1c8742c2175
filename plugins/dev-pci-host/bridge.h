/* SPDX-License-Identifier: MIT */
/*
 * The bridge as its files see it. plugin.c has life, ECAM and the device tree; ports.c has the ways of a PC.
 * The class is parallel: what guests write here is atomic, and no lock is held when the kernel is called.
 */
#ifndef DEV_PCI_HOST_BRIDGE_H
#define DEV_PCI_HOST_BRIDGE_H

#include <mortise/draft/irq.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/pci.h>
#include <mortise/draft/props.h>

struct bridge {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_loop_host *loop;
	const struct mt_pci_bridge *pci;
	struct mt_pci_bus *bus;
	struct mt_pci_window windows[2];   /* 32 bits, then 64 */
	uint32_t window_count;
	uint32_t has_ports;
	uint32_t config_address;           /* atomic; port 0xcf8 as last written */
	uint8_t reset_control;             /* atomic; port 0xcf9 */
};

#define CONFIG_ADDRESS_BITS 0x80fffffcu
#define RESET_CONTROL_BITS  0x0eu

/* [vcpu] Configuration space of bus 0, with the bridge's own function where it has ports. */
uint32_t config_read(struct bridge *b, uint32_t devfn, const struct mt_access *a, uint64_t *value);
uint32_t config_write(struct bridge *b, uint32_t devfn, const struct mt_access *a, uint64_t value);

/* [main] in realize; without the property `config-port` nothing. */
int ports_add(struct bridge *b, struct mt_error *err);
void ports_reset(struct bridge *b);

#endif
