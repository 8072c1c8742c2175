/* SPDX-License-Identifier: MIT */
/*
 * dev-pci-host: a generic PCI host bridge with ECAM (PCI Express 4.0, 7.2.2), one bus without further bridges.
 * Functions are the kernel's (mortise.pci-bridge/1); here are the window of configuration space, the windows of
 * addresses, the four interrupt lines and the device tree's node. ports.c has what a PC wants beside it.
 * The class is parallel: the kernel locks configuration accesses by itself, and must not find this instance locked
 * when it calls functions.
 */
#define MT_NOTE_NAME     "dev-pci-host"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "generic PCI Express host bridge (ECAM)"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.mmio/1 mortise.irq/1 mortise.loop/1 mortise.pci-bridge/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define PCI_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x100000", "", MT_PROPF_REQUIRED, \
	  "guest-physical address of configuration space") \
	P(c, mem32, "mem32", MT_PROP_ADDR, "", "", "", MT_PROPF_REQUIRED, \
	  "start of the window for BARs of 32 bits") \
	P(c, mem32_size, "mem32-size", MT_PROP_SIZE, "1G", "1M..4G", "bytes", 0, "length of that window") \
	P(c, mem64, "mem64", MT_PROP_ADDR, "", "", "", 0, "start of a window for BARs of 64 bits") \
	P(c, mem64_size, "mem64-size", MT_PROP_SIZE, "64G", "1M..1T", "bytes", 0, "length of that window") \
	P(c, irq, "irq", MT_PROP_IRQ, "", "4", "", MT_PROPF_REQUIRED, "the lines INTA, INTB, INTC, INTD") \
	P(c, msi, "msi", MT_PROP_REF, "", "mortise.msi-target/1", "", 0, \
	  "what takes the functions' messages; without it guests use the lines") \
	P(c, config_port, "config-port", MT_PROP_ADDR, "", "0x8", "io", 0, \
	  "I/O port of a PC's configuration mechanism: 0xcf8")
#define MT_NOTE_CLASSES(C) \
	C(pci, "dev-pci-host", MT_KIND_DEVICE, MT_CLASS_PARALLEL, MT_NOTE_SUMMARY, \
	  "mortise.pci-bus/1 mortise.fdt-node/1 mortise.acpi-node/1", PCI_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/acpi.h>
#include <mortise/draft/device.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "bridge.h"

#define ECAM_BYTES 0x100000u           /* one bus: 256 functions of 4 KiB */
#define PINS 4u

/* Configuration space: bits 12 to 19 name slot and function, the lower ones the register. */

static struct mt_access in_function(const struct mt_access *a)
{
	struct mt_access inner = *a;

	inner.offset = a->offset & 0xfff;
	return inner;
}

static uint32_t ecam_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct mt_access inner = in_function(a);
	struct bridge *b = self;

	return config_read(b, (uint32_t)(a->offset >> 12), &inner, value);
}

static uint32_t ecam_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct mt_access inner = in_function(a);
	struct bridge *b = self;

	return config_write(b, (uint32_t)(a->offset >> 12), &inner, value);
}

/* Life */

static int bridge_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct bridge *b = calloc(1, sizeof(*b));

	if (!b)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	b->inst = inst;
	b->props = host->get_interface(host, MT_IFACE_PROPS);
	b->mmio = host->get_interface(host, MT_IFACE_MMIO);
	b->irq = host->get_interface(host, MT_IFACE_IRQ);
	b->loop = host->get_interface(host, MT_IFACE_LOOP);
	b->pci = host->get_interface(host, MT_IFACE_PCI_BRIDGE);
	b->windows[0].base = b->props->get_u64(inst, "mem32");
	b->windows[0].len_bytes = b->props->get_u64(inst, "mem32-size");
	b->window_count = 1;
	if (b->props->present(inst, "mem64")) {
		b->windows[1].base = b->props->get_u64(inst, "mem64");
		b->windows[1].len_bytes = b->props->get_u64(inst, "mem64-size");
		b->window_count = 2;
	}
	*self = b;
	return 0;
}

static const struct mt_region_ops ecam_ops = { .read = ecam_read, .write = ecam_write };

static int bridge_realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc ecam = {
		.size = sizeof(ecam), .name = "ecam", .at_prop = "at", .len_bytes = ECAM_BYTES,
		.width_min = 1, .width_max = 4, .ops = &ecam_ops,
	};
	struct bridge *b = self;
	struct mt_pci_bridge_desc desc = { .size = sizeof(desc), .window_count = b->window_count,
					   .windows = b->windows };

	if (b->windows[0].base > UINT32_MAX || b->windows[0].len_bytes > (1ull << 32) - b->windows[0].base)
		return mt_error_set(err, MT_ERANGE, "mem32", "the window for BARs of 32 bits ends above 4 GiB");
	for (uint32_t i = 0; i < PINS; i++)
		desc.intx[i] = b->irq->line_get(b->inst, "irq", i);
	b->bus = b->pci->bus_create(b->inst, &desc, err);
	if (!b->bus)
		return err && err->code ? err->code : MT_EINVAL;
	return b->mmio->region_add(b->inst, &ecam, err) ? ports_add(b, err) : MT_EINVAL;
}

static int bridge_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct bridge *b = self;

	(void)kind, (void)err;
	if (phase == MT_RESET_ENTER) {
		b->pci->reset(b->bus);
		ports_reset(b);
	}
	return 0;
}

static void bridge_unrealize(void *self)
{
	struct bridge *b = self;

	b->bus = NULL;
}

static void bridge_destroy(void *self)
{
	free(self);
}

/* The device tree: the binding "PCI Bus Binding to Open Firmware", and pci-host-ecam-generic. */

static void describe_ranges(const struct bridge *b, struct mt_fdt *fdt, const struct mt_fdt_writer *w)
{
	static const uint32_t space[] = { 0x02000000, 0x03000000 };    /* memory of 32, of 64 bits */
	uint32_t cells[2 * 7], count = 0;

	for (uint32_t i = 0; i < b->window_count; i++) {
		const struct mt_pci_window *win = &b->windows[i];

		cells[count++] = space[i];
		for (uint32_t twice = 0; twice < 2; twice++) {         /* on the bus, and for the vCPUs */
			cells[count++] = (uint32_t)(win->base >> 32);
			cells[count++] = (uint32_t)win->base;
		}
		cells[count++] = (uint32_t)(win->len_bytes >> 32);
		cells[count++] = (uint32_t)win->len_bytes;
	}
	w->u32s(fdt, "ranges", cells, count);
}

/* Pins repeat every four slots. An interrupt's parent has no address cells. */
static void describe_pins(struct mt_fdt *fdt, const struct mt_fdt_writer *w)
{
	static const uint32_t mask[] = { 0x1800, 0, 0, 7 };
	uint32_t cells[PINS * PINS * 9], count = 0;

	for (uint32_t slot = 0; slot < PINS; slot++) {
		for (uint32_t pin = 0; pin < PINS; pin++) {
			cells[count++] = slot << 11;
			cells[count++] = 0;
			cells[count++] = 0;
			cells[count++] = pin + 1;
			count += w->irq_cells(fdt, "irq", (slot + pin) % PINS, &cells[count]);
		}
	}
	w->u32s(fdt, "interrupt-map-mask", mask, 4);
	w->u32s(fdt, "interrupt-map", cells, count);
}

static int bridge_describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	static const uint32_t one = 1, two = 2, three = 3, buses[] = { 0, 0 };
	struct bridge *b = self;

	(void)err;
	w->begin(fdt, "pcie", "at");
	w->str(fdt, "compatible", "pci-host-ecam-generic");
	w->str(fdt, "device_type", "pci");
	w->u32s(fdt, "#address-cells", &three, 1);
	w->u32s(fdt, "#size-cells", &two, 1);
	w->u32s(fdt, "#interrupt-cells", &one, 1);
	w->u32s(fdt, "bus-range", buses, 2);
	w->empty(fdt, "dma-coherent");
	describe_ranges(b, fdt, w);
	describe_pins(fdt, w);
	if (b->props->present(b->inst, "msi"))
		w->ref(fdt, "msi-parent", "msi");
	w->end(fdt);
	return 0;
}

static const struct mt_fdt_node bridge_fdt = { .describe = bridge_describe };

/* ACPI's, with the reset control register (0xcf9) where the ports are: 6 is a full reset. */
static int bridge_acpi_describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	struct bridge *b = self;
	struct mt_acpi_range windows[2];
	struct mt_acpi_pci pci = {
		.size = sizeof(pci), .window_count = b->window_count, .windows = windows,
		.ecam = { b->props->get_u64(b->inst, "at"), ECAM_BYTES }, .irq_prop = "irq",
	};

	(void)err;
	for (uint32_t i = 0; i < b->window_count; i++)
		windows[i] = (struct mt_acpi_range){ b->windows[i].base, b->windows[i].len_bytes };
	if (b->props->present(b->inst, "config-port")) {
		pci.ports = (struct mt_acpi_range){ b->props->get_u64(b->inst, "config-port"), 8 };
		w->reset(acpi, pci.ports.base + 1, 6);
	}
	w->pci(acpi, &pci);
	return 0;
}

static const struct mt_acpi_node bridge_acpi = { .describe = bridge_acpi_describe };

static const struct mt_device_class bridge_device = {
	.create = bridge_create,
	.realize = bridge_realize,
	.reset = bridge_reset,
	.unrealize = bridge_unrealize,
	.destroy = bridge_destroy,
};

/* What guests write to functions is the kernel's. */
static const struct mt_state_field fields[] = {
	MT_STATE_SINCE(struct bridge, config_address, 2, CONFIG_ADDRESS_BITS),
	MT_STATE_SINCE(struct bridge, reset_control, 2, RESET_CONTROL_BITS),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct bridge, fields);

MT_STATE_CLASS_OF(state_class, "pci-host-ecam", 2, 1, table, self)

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &bridge_device },
		       { MT_IFACE_FDT_NODE, &bridge_fdt },
		       { MT_IFACE_ACPI_NODE, &bridge_acpi },
		       { MT_IFACE_STATE, &state_class })
