/* SPDX-License-Identifier: MIT */
/*
 * Configuration space of a function: what the guest reads, which bits it may write, and what follows from a write.
 * [vcpu] and [main], with the bus's config lock. Section numbers are of PCI Express 4.0.
 */
#include <string.h>

#include "kernel/machine/inst.h"
#include "kernel/pci/function.h"

#define MSIX_ON     0x80u              /* of the upper byte of Message Control */
#define MSIX_MASKED 0x40u
#define FLR_START   0x80u              /* of the upper byte of Device Control */
#define DEVICE_CONTROL 8u

static uint32_t word_at(const struct mt_pci *f, uint32_t offset)
{
	uint32_t word;

	memcpy(&word, &f->config[offset], sizeof(word));
	return word;
}

uint64_t pciconf_bar_address(const struct mt_pci *f, uint32_t bar)
{
	uint64_t addr = word_at(f, PCI_BAR_0 + 4 * bar) & ~0xfu;

	if (f->bars[bar].flags & MT_PCI_BAR_64)
		addr |= (uint64_t)word_at(f, PCI_BAR_0 + 4 * bar + 4) << 32;
	return addr;
}

static bool touches(uint32_t offset, uint32_t width, uint32_t at, uint32_t len_bytes)
{
	return len_bytes && offset < at + len_bytes && at < offset + width;
}

/* Live parts of capabilities */

/* The number that cap_add gave, or -1 when the access is not wholly in a live part. */
static int live_cap(const struct mt_pci *f, uint32_t offset, uint32_t width)
{
	for (uint32_t i = f->own_caps; i < f->cap_count; i++) {
		const struct pci_cap *cap = &f->caps[i];

		if (cap->live_bytes && offset >= cap->live_at && offset + width <= cap->live_at + cap->live_bytes)
			return (int)(i - f->own_caps);
	}
	return -1;
}

static uint32_t live_read(struct mt_pci *f, uint32_t cap, uint32_t offset, uint32_t width)
{
	uint32_t value = 0;

	inst_enter(f->inst);
	if (f->role && f->role->cap_read)
		value = f->role->cap_read(f->inst->self, cap, offset - f->caps[cap + f->own_caps].live_at, width);
	inst_leave(f->inst);
	return value;
}

static void live_write(struct mt_pci *f, uint32_t cap, uint32_t offset, uint32_t width, uint32_t value)
{
	inst_enter(f->inst);
	if (f->role && f->role->cap_write)
		f->role->cap_write(f->inst->self, cap, offset - f->caps[cap + f->own_caps].live_at, width, value);
	inst_leave(f->inst);
}

/* Reads */

uint32_t pciconf_load(struct mt_pci *f, uint32_t offset, uint32_t width)
{
	uint32_t value = 0;
	int cap;

	if (offset + width > PCI_CONFIG_BYTES)
		return 0;
	cap = live_cap(f, offset, width);
	if (cap >= 0)
		return live_read(f, (uint32_t)cap, offset, width);
	for (uint32_t i = 0; i < width; i++) {
		uint32_t byte = f->config[offset + i];

		if (offset + i == PCI_STATUS && intx_pending(f))
			byte |= PCI_STATUS_INTERRUPT;
		value |= byte << 8 * i;
	}
	return value;
}

/* Writes */

/* The gate opens before the function hears of it and closes before too: what it sends then is refused. */
static void command_changed(struct mt_pci *f)
{
	uint32_t command = word_at(f, PCI_COMMAND), master = (command & PCI_COMMAND_MASTER) != 0;
	uint32_t old = __atomic_exchange_n(&f->gate.open, master, __ATOMIC_ACQ_REL);

	pcibus_place(f->bus);
	if (old != master && f->role && f->role->bus_master) {
		inst_enter(f->inst);
		f->role->bus_master(f->inst->self, master);
		inst_leave(f->inst);
	}
	intx_control(f, command & PCI_COMMAND_NO_INTX);
}

static void function_reset(struct mt_pci *f)
{
	pciconf_reset(f);
	pcibus_place(f->bus);
	inst_enter(f->inst);
	if (f->role && f->role->reset)
		f->role->reset(f->inst->self);
	inst_leave(f->inst);
}

static void written(struct mt_pci *f, uint32_t offset, uint32_t width)
{
	if (touches(offset, width, PCI_COMMAND, 2))
		command_changed(f);
	if (touches(offset, width, PCI_BAR_0, 4 * MT_PCI_BARS))
		pcibus_place(f->bus);
	if (f->msix_at && touches(offset, width, f->msix_at + 3, 1))
		msix_control(f, f->config[f->msix_at + 3] & MSIX_ON, f->config[f->msix_at + 3] & MSIX_MASKED);
}

/* 7.5.3.4: Initiate Function Level Reset always reads as 0. */
static bool starts_flr(const struct mt_pci *f, uint32_t offset, uint32_t width, uint32_t value)
{
	uint32_t at = f->express_at + DEVICE_CONTROL + 1;

	return f->flags & MT_PCI_FLR && touches(offset, width, at, 1) && value >> 8 * (at - offset) & FLR_START;
}

void pciconf_store(struct mt_pci *f, uint32_t offset, uint32_t width, uint32_t value)
{
	int cap;

	if (offset + width > PCI_CONFIG_BYTES)
		return;
	if (starts_flr(f, offset, width, value)) {
		function_reset(f);
		return;
	}
	cap = live_cap(f, offset, width);
	if (cap >= 0) {
		live_write(f, (uint32_t)cap, offset, width, value);
		return;
	}
	for (uint32_t i = 0; i < width; i++) {
		uint8_t mask = f->writable[offset + i];

		f->config[offset + i] = (uint8_t)((f->config[offset + i] & ~mask) | (value >> 8 * i & mask));
	}
	written(f, offset, width);
}

void pciconf_reset(struct mt_pci *f)
{
	__atomic_store_n(&f->gate.open, 0, __ATOMIC_RELEASE);
	memcpy(f->config, f->initial, sizeof(f->config));
	msix_reset(f);
}
