/* SPDX-License-Identifier: MIT */
/* PCI as a driver of a host bridge does it: the section `pci` of the machine file is the bridge (ECAM at `at`). */
#include "tests/fuzz/fuzz.h"

#define SLOTS      8u
#define BAR(n)     (0x10u + 4 * (n))
#define COMMAND    0x04u
#define COMMAND_ON 0x0406u         /* memory, bus master, no interrupt pin */

void pci_find(struct guest *g)
{
	const struct mt_inst *bridge = machine_find(g->m, "pci");

	if (!bridge)
		return;
	section_get_int(bridge->section, "at", &g->ecam, NULL);
	section_get_int(bridge->section, "mem32", &g->mem32, NULL);
}

uint64_t pci_config(const struct guest *g, uint32_t devfn, uint32_t offset)
{
	return g->ecam + ((uint64_t)devfn << 12) + offset;
}

/* A BAR's length, asked for by all ones; 0: no BAR. */
static uint64_t bar_bytes(struct guest *g, uint32_t devfn, uint32_t bar)
{
	uint32_t mask;

	guest_write(g, pci_config(g, devfn, BAR(bar)), 4, 0xffffffff);
	mask = (uint32_t)guest_get(g, pci_config(g, devfn, BAR(bar)), 4) & ~15u;
	return mask ? (uint64_t)~mask + 1 : 0;
}

static uint64_t function_place(struct guest *g, uint32_t devfn, uint64_t at)
{
	for (uint32_t bar = 0; bar < 6; bar++) {
		uint64_t len = bar_bytes(g, devfn, bar) & 0xffffffff;
		bool wide = (guest_get(g, pci_config(g, devfn, BAR(bar)), 4) & 6) == 4;

		if (!len)
			continue;
		at = (at + len - 1) & ~(len - 1);
		guest_write(g, pci_config(g, devfn, BAR(bar)), 4, at);
		if (wide)
			guest_write(g, pci_config(g, devfn, BAR(++bar)), 4, at >> 32);
		at += len;
	}
	guest_write(g, pci_config(g, devfn, COMMAND), 2, COMMAND_ON);
	return at;
}

void pci_enumerate(struct guest *g)
{
	uint64_t at = g->mem32;

	for (uint32_t slot = 0; g->ecam && slot < SLOTS; slot++) {
		if ((guest_get(g, pci_config(g, slot << 3, 0), 4) & 0xffff) != 0xffff)
			at = function_place(g, slot << 3, at);
	}
}

void op_pci_enumerate(struct guest *g)
{
	pci_enumerate(g);
	virtio_find(g);
}

/* How: slot, and width in the upper bits. */
void op_pci_write(struct guest *g)
{
	uint8_t how = take8(g), offset = take8(g);
	uint32_t value = take32(g);

	if (g->ecam)
		guest_write(g, pci_config(g, (how & 7) << 3, offset), 1u << (how >> 4 & 3), value);
}

/* A BAR goes to a place in the window, or onto memory, the bridge itself, or beyond everything. */
void op_pci_bar(struct guest *g)
{
	uint8_t how = take8(g), place = take8(g);
	uint64_t at = g->mem32 + ((uint64_t)place << 12);

	if (!g->ecam)
		return;
	if (place >= 0xfc)
		at = place & 2 ? g->ram : place & 1 ? g->ecam : 0xfffff000;
	guest_write(g, pci_config(g, (how & 7) << 3, BAR(how >> 3 & 7)), 4, at);
	if (how & 64)
		guest_write(g, pci_config(g, (how & 7) << 3, BAR((how >> 3 & 7) + 1)), 4, how >> 7);
}
