/* SPDX-License-Identifier: MIT */
/*
 * A bus of functions behind a host bridge: routes configuration accesses, places BARs, wires the pins. Accesses come
 * [vcpu], functions attach [main]. See function.h for the locks.
 *
 * The rule that is easy to break: a guest may put BARs anywhere, over each other too, and take its time to sort them
 * out. So every change looks at all BARs again: first those that must go are taken away, then those that want a
 * place get it, if it is free. One that finds none is not mapped, which is no error.
 */
#include <string.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/irq.h"
#include "kernel/machine/machine.h"
#include "kernel/machine/services.h"
#include "kernel/pci/function.h"

static const char bus_key;             /* its address is the key of inst_data */

struct mt_pci_bus *pcibus_of(struct mt_inst *bridge)
{
	return inst_data_get(bridge, &bus_key);
}

/* Placing */

static bool in_window(const struct mt_pci_bus *bus, uint64_t addr, uint64_t len_bytes)
{
	for (uint32_t i = 0; i < bus->window_count; i++) {
		const struct mt_pci_window *w = &bus->windows[i];

		if (addr >= w->base && addr - w->base < w->len_bytes && len_bytes <= w->len_bytes - (addr - w->base))
			return true;
	}
	return false;
}

static uint64_t bar_wanted(const struct mt_pci *f, uint32_t bar)
{
	uint64_t addr;

	if (!(f->config[PCI_COMMAND] & PCI_COMMAND_MEMORY))
		return PCI_NOWHERE;
	addr = pciconf_bar_address(f, bar);
	return in_window(f->bus, addr, f->bars[bar].len_bytes) ? addr : PCI_NOWHERE;
}

static void bars_unplace(struct mt_pci *f)
{
	for (uint32_t i = 0; i < MT_PCI_BARS; i++) {
		struct pci_bar *bar = &f->bars[i];

		if (!bar->region || bar->at == PCI_NOWHERE || bar->at == bar_wanted(f, i))
			continue;
		bus_region_unplace(bar->region);
		bar->at = PCI_NOWHERE;
	}
}

static void bars_place(struct mt_pci *f)
{
	for (uint32_t i = 0; i < MT_PCI_BARS; i++) {
		struct pci_bar *bar = &f->bars[i];
		uint64_t wanted = bar->region ? bar_wanted(f, i) : PCI_NOWHERE;

		if (wanted == PCI_NOWHERE || bar->at == wanted)
			continue;
		if (bus_region_place(bar->region, wanted, NULL) == 0)
			bar->at = wanted;
		else
			log_message(f->inst->machine, f->inst, MT_LOG_GUEST, "BAR %u at 0x%llx is over something", i,
				    (unsigned long long)wanted);
	}
}

void pcibus_place(struct mt_pci_bus *bus)
{
	struct space *space = bus->inst->machine->system;

	space_begin(space);
	for (uint32_t i = 0; i < PCI_DEVFNS; i++) {
		if (bus->functions[i])
			bars_unplace(bus->functions[i]);
	}
	for (uint32_t i = 0; i < PCI_DEVFNS; i++) {
		if (bus->functions[i])
			bars_place(bus->functions[i]);
	}
	space_commit(space);
}

/* Pins: functions share the four lines; a slot's pins are rotated by its number. */

void pcibus_intx(struct mt_pci *f, bool shown)
{
	struct mt_pci_bus *bus = f->bus;
	uint32_t pin = ((f->devfn >> 3) + f->initial[PCI_INT_PIN] - 1) % 4;

	if (!bus)
		return;
	pthread_mutex_lock(&bus->intx_lock);
	bus->intx_raised[pin] += shown ? 1u : -1u;
	irq_host.line_set(bus->intx[pin], bus->intx_raised[pin] != 0);
	pthread_mutex_unlock(&bus->intx_lock);
}

/* Configuration accesses */

static struct mt_pci *function_present(const struct mt_pci_bus *bus, uint32_t devfn)
{
	struct mt_pci *f = bus->functions[devfn];

	return f && (f->initial[PCI_VENDOR] & f->initial[PCI_VENDOR + 1]) != 0xff ? f : NULL;
}

static struct mt_pci *function_at(struct mt_pci_bus *bus, uint32_t devfn, const struct mt_access *a)
{
	if (devfn >= PCI_DEVFNS || a->offset >= 4096 || a->width > 4096 - a->offset)
		return NULL;
	return function_present(bus, devfn);
}

/* 7.5.1.1.9: set in all functions of a slot with more than one; guests look at function 0. */
static bool is_multifunction(const struct mt_pci_bus *bus, uint32_t devfn)
{
	uint32_t count = 0;

	for (uint32_t i = devfn & ~7u; i <= (devfn | 7u); i++)
		count += function_present(bus, i) != NULL;
	return count > 1;
}

static uint32_t bridge_read(struct mt_pci_bus *bus, uint32_t devfn, const struct mt_access *a, uint64_t *value)
{
	struct mt_pci *f;

	*value = UINT64_MAX;
	if (a->vcpu == MT_VCPU_NONE)
		return MT_BUS_DECODE;
	g_rec_mutex_lock(&bus->config);
	f = function_at(bus, devfn, a);
	if (f) {
		*value = pciconf_load(f, (uint32_t)a->offset, a->width);
		if (a->offset <= PCI_HEADER_TYPE && a->offset + a->width > PCI_HEADER_TYPE &&
		    is_multifunction(bus, devfn))
			*value |= (uint64_t)PCI_MULTIFUNCTION << 8 * (PCI_HEADER_TYPE - a->offset);
	}
	g_rec_mutex_unlock(&bus->config);
	return MT_BUS_OK;
}

static uint32_t bridge_write(struct mt_pci_bus *bus, uint32_t devfn, const struct mt_access *a, uint64_t value)
{
	struct mt_pci *f;

	if (a->vcpu == MT_VCPU_NONE)
		return MT_BUS_DECODE;
	g_rec_mutex_lock(&bus->config);
	f = function_at(bus, devfn, a);
	if (f)
		pciconf_store(f, (uint32_t)a->offset, a->width, (uint32_t)value);
	g_rec_mutex_unlock(&bus->config);
	return MT_BUS_OK;
}

static void bridge_reset(struct mt_pci_bus *bus)
{
	g_rec_mutex_lock(&bus->config);
	for (uint32_t i = 0; i < PCI_DEVFNS; i++) {
		struct mt_pci *f = bus->functions[i];

		if (!f)
			continue;
		pciconf_reset(f);
		if (i & 7 && !bus->functions[i & ~7u])
			log_message(f->inst->machine, f->inst, MT_LOG_WARN,
				    "guests do not look for function %u of slot %u, which has no function 0", i & 7,
				    i >> 3);
	}
	pcibus_place(bus);
	g_rec_mutex_unlock(&bus->config);
}

/* Life */

static void bus_release(void *arg)
{
	struct mt_pci_bus *bus = arg;

	inst_data_set(bus->inst, &bus_key, NULL);
	for (uint32_t i = 0; i < PCI_DEVFNS; i++) {
		/* a bridge that goes before its functions, in spite of the order */
		if (bus->functions[i])
			bus->functions[i]->bus = NULL;
	}
	pthread_mutex_destroy(&bus->intx_lock);
	g_rec_mutex_clear(&bus->config);
	g_free(bus->windows);
	g_free(bus);
}

static int windows_check(const struct mt_pci_bridge_desc *desc, struct mt_error *err)
{
	for (uint32_t i = 0; i < desc->window_count; i++) {
		const struct mt_pci_window *w = &desc->windows[i];

		if (w->len_bytes == 0 || w->base + (w->len_bytes - 1) < w->base)
			return fault_set(err, MT_EINVAL, NULL, NULL, "window %u at 0x%llx goes beyond the address space",
					 i, (unsigned long long)w->base);
	}
	return 0;
}

static struct mt_pci_bus *bus_create(struct mt_inst *bridge, const struct mt_pci_bridge_desc *from,
				     struct mt_error *err)
{
	struct mt_pci_bridge_desc copy, *desc = &copy;
	struct mt_pci_bus *bus;

	if (!pci_take(desc, sizeof(*desc), from, from->size) || !(bridge->cls->flags & MT_CLASS_PARALLEL) ||
	    pcibus_of(bridge)) {
		fault_set(err, MT_EINVAL, NULL, "use a plugin and a mortise that fit",
			  "the plugin describes its host bridge wrongly");
		return NULL;
	}
	if (windows_check(desc, err) < 0)
		return NULL;
	bus = g_new0(struct mt_pci_bus, 1);
	bus->inst = bridge;
	g_rec_mutex_init(&bus->config);
	pthread_mutex_init(&bus->intx_lock, NULL);
	bus->window_count = desc->window_count;
	bus->windows = g_memdup2(desc->windows, sizeof(*desc->windows) * desc->window_count);
	memcpy(bus->intx, desc->intx, sizeof(bus->intx));
	inst_data_set(bridge, &bus_key, bus);
	inst_own(bridge, bus_release, bus);
	return bus;
}

const struct mt_pci_bridge pci_bridge_host = {
	.bus_create = bus_create,
	.config_read = bridge_read,
	.config_write = bridge_write,
	.reset = bridge_reset,
};
