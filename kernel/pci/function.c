/* SPDX-License-Identifier: MIT */
/*
 * What a function declares: its place on the bus, BARs, capabilities. [main], in realize. The kernel's own
 * capabilities (PCI Express, MSI-X) are made by attach. Section numbers are of PCI Express 4.0.
 */
#include <string.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/machine.h"
#include "kernel/machine/services.h"
#include "kernel/pci/function.h"

#define CAP_MSIX    0x11u
#define CAP_EXPRESS 0x10u
#define EXPRESS_BYTES 0x3cu            /* of version 2, 7.5.3 */
#define BAR_TYPE_64  4u
#define BAR_PREFETCH 8u

static void store16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static void store32(uint8_t *at, uint32_t value)
{
	store16(at, value);
	store16(at + 2, value >> 16);
}

/* Capabilities */

static int cap_append(struct mt_pci *f, const struct mt_pci_cap *cap, struct mt_error *err)
{
	uint32_t at = f->cap_end, i = f->cap_count;

	if (cap->len_bytes > PCI_CONFIG_BYTES || at + 2 + cap->len_bytes > PCI_CONFIG_BYTES || i == PCI_CAPS_MAX ||
	    cap->live_offset > cap->len_bytes || cap->live_bytes > cap->len_bytes - cap->live_offset)
		return fault_set(err, MT_ENOSPC, NULL, NULL, "configuration space has no room for a capability of %u bytes",
				 cap->len_bytes);
	f->initial[at] = (uint8_t)cap->id;
	memcpy(&f->initial[at + 2], cap->bytes, cap->len_bytes);
	if (cap->writable)
		memcpy(&f->writable[at + 2], cap->writable, cap->len_bytes);
	f->initial[f->cap_last ? f->cap_last + 1 : PCI_CAP_POINTER] = (uint8_t)at;
	f->initial[PCI_STATUS] |= PCI_STATUS_CAPS;
	f->caps[f->cap_count++] = (struct pci_cap){ at, cap->len_bytes, at + 2 + cap->live_offset, cap->live_bytes };
	f->cap_last = at;
	f->cap_end = (at + 2 + cap->len_bytes + 3) & ~3u;
	memcpy(f->config, f->initial, sizeof(f->config));
	return (int)i;
}

/* Version 2, an endpoint integrated into the root complex (9). */
static int express_add(struct mt_pci *f, struct mt_error *err)
{
	uint8_t bytes[EXPRESS_BYTES - 2] = { 0x92, 0 }, writable[EXPRESS_BYTES - 2] = { 0 };
	struct mt_pci_cap cap = { .size = sizeof(cap), .id = CAP_EXPRESS, .len_bytes = sizeof(bytes), .bytes = bytes,
				  .writable = writable };

	f->express_at = f->cap_end;
	/* device capabilities: role-based errors, function-level reset; payloads of 128 bytes */
	store32(bytes + 2, 1u << 15 | (f->flags & MT_PCI_FLR ? 1u << 28 : 0));
	/* device control after reset: relaxed ordering, no snoop, reads of 512 bytes */
	store16(bytes + 6, 0x2810);
	store16(writable + 6, 0x78ff);
	return cap_append(f, &cap, err);
}

static int msix_add(struct mt_pci *f, const struct mt_pci_desc *desc, struct mt_error *err)
{
	uint8_t bytes[10] = { 0 }, writable[10] = { 0, 0xc0 };
	struct mt_pci_cap cap = { .size = sizeof(cap), .id = CAP_MSIX, .len_bytes = sizeof(bytes), .bytes = bytes,
				  .writable = writable };

	f->msix_at = f->cap_end;
	store16(bytes, desc->vectors - 1);
	store32(bytes + 2, desc->msix_bar);
	store32(bytes + 6, (uint32_t)(msix_bar_bytes(desc->vectors) / 2) | desc->msix_bar);
	return cap_append(f, &cap, err);
}

static int cap_add(struct mt_pci *f, const struct mt_pci_cap *from, struct mt_error *err)
{
	struct mt_pci_cap cap;
	int code;

	if (!pci_take(&cap, sizeof(cap), from, from->size))
		return fault_set(err, MT_ENOTSUP, NULL, "use a plugin and a mortise that fit",
				 "a capability asks for what this mortise does not know");
	code = cap_append(f, &cap, err);
	return code < 0 ? code : code - (int)f->own_caps;
}

static void cap_get(struct mt_pci *f, uint32_t cap, uint32_t offset, void *buf, uint32_t len_bytes)
{
	const struct pci_cap *c;

	memset(buf, 0, len_bytes);
	if (cap >= f->cap_count - f->own_caps)
		return;
	c = &f->caps[cap + f->own_caps];
	if (offset <= c->len_bytes && len_bytes <= c->len_bytes - offset)
		memcpy(buf, &f->config[c->at + 2 + offset], len_bytes);
}

/* BARs */

static int bar_check(const struct mt_pci *f, uint32_t bar, uint32_t flags, uint64_t len_bytes, struct mt_error *err)
{
	bool wide = flags & MT_PCI_BAR_64;
	uint64_t most = wide ? 1ull << 62 : 1ull << 31;

	if (flags & ~(MT_PCI_BAR_64 | MT_PCI_BAR_PREFETCH))
		return fault_set(err, MT_ENOTSUP, NULL, "use a later mortise", "BAR %u has unknown flags 0x%x", bar,
				 flags);
	if (bar >= MT_PCI_BARS || f->bars[bar].region || (wide && (bar + 1 == MT_PCI_BARS || f->bars[bar + 1].region)) ||
	    (bar > 0 && f->bars[bar - 1].flags & MT_PCI_BAR_64))
		return fault_set(err, MT_EBUSY, NULL, NULL, "there is no BAR %u, or it is in use (plugin fault)", bar);
	if (len_bytes < 16 || len_bytes > most || len_bytes & (len_bytes - 1))
		return fault_set(err, MT_ERANGE, NULL, NULL,
				 "BAR %u is %llu bytes long, which is no power of two that fits (plugin fault)", bar,
				 (unsigned long long)len_bytes);
	return 0;
}

/* `inst` is the one whose lock accesses hold. */
static int bar_make(struct mt_pci *f, uint32_t bar, uint32_t flags, struct mt_inst *inst, void *self,
		    const struct mt_region_desc *desc, struct mt_error *err)
{
	uint8_t *at = &f->initial[PCI_BAR_0 + 4 * bar], *writable = &f->writable[PCI_BAR_0 + 4 * bar];
	int code = bar_check(f, bar, flags, desc->len_bytes, err);

	if (code < 0)
		return code;
	f->bars[bar].region = bus_region_create(inst, self, desc, err);
	if (!f->bars[bar].region)
		return MT_EINVAL;
	f->bars[bar].len_bytes = desc->len_bytes;
	f->bars[bar].flags = flags;
	f->bars[bar].at = PCI_NOWHERE;
	store32(at, (flags & MT_PCI_BAR_64 ? BAR_TYPE_64 : 0) | (flags & MT_PCI_BAR_PREFETCH ? BAR_PREFETCH : 0));
	store32(writable, (uint32_t)-desc->len_bytes);
	if (flags & MT_PCI_BAR_64)
		store32(writable + 4, (uint32_t)(-desc->len_bytes >> 32));
	memcpy(f->config, f->initial, sizeof(f->config));
	return 0;
}

static int bar_add(struct mt_pci *f, uint32_t bar, uint32_t flags, const struct mt_region_desc *desc,
		   struct mt_error *err)
{
	return bar_make(f, bar, flags, f->inst, f->inst->self, desc, err);
}

/* Accesses hold no lock of the function's instance: masking a vector never waits for a request. */
static int msix_bar_add(struct mt_pci *f, uint32_t bar, struct mt_error *err)
{
	char *name = g_strconcat(f->inst->id, "-msix", NULL);
	struct mt_region_desc desc = { .size = sizeof(desc), .name = name, .len_bytes = msix_bar_bytes(f->vectors),
				       .width_min = 4, .width_max = 4, .ops = &msix_ops };
	int code = bar_make(f, bar, 0, f->bus->inst, f, &desc, err);

	g_free(name);
	return code;
}

/* The place */

static bool slot_named(struct mt_inst *inst, uint32_t *slot)
{
	if (!props_host.present(inst, "slot"))
		return false;
	*slot = (uint32_t)props_host.get_u64(inst, "slot") & 31;
	return true;
}

/* Slots without number are counted from 1 in the order of the file, past those that are named. */
static uint32_t slot_free(const struct mt_pci_bus *bus, const struct mt_inst *inst)
{
	uint32_t named = 0, slot = 0;

	for (unsigned i = 0; i < bus->inst->refs_in->len; i++) {
		if (slot_named(g_ptr_array_index(bus->inst->refs_in, i), &slot))
			named |= 1u << slot;
	}
	slot = 0;
	for (unsigned i = 0; i < bus->inst->refs_in->len; i++) {
		struct mt_inst *other = g_ptr_array_index(bus->inst->refs_in, i);
		uint32_t at;

		if (slot_named(other, &at))
			continue;
		do
			slot++;
		while (slot < 32 && named >> slot & 1);
		if (other == inst)
			break;
	}
	return slot;
}

static int place_find(const struct mt_pci_bus *bus, struct mt_inst *inst, uint32_t *devfn, struct mt_error *err)
{
	uint32_t slot, function = 0;

	if (props_host.present(inst, "function"))
		function = (uint32_t)props_host.get_u64(inst, "function") & 7;
	if (!slot_named(inst, &slot)) {
		if (function)
			return fault_set(err, MT_EINVAL, "function", "say which slot", "function %u of no slot", function);
		slot = slot_free(bus, inst);
	}
	if (slot > 31)
		return fault_set(err, MT_ENOSPC, "bus", NULL, "%s has no free slot", bus->inst->id);
	*devfn = slot * 8 + function;
	if (!bus->functions[*devfn])
		return 0;
	return fault_set(err, MT_EBUSY, "slot", "give another slot or function",
			 "slot %u function %u of %s holds %s already", slot, function, bus->inst->id,
			 bus->functions[*devfn]->inst->id);
}

/* Life */

/* vCPUs may be inside a region of the function, so the rest goes when no view shows one any more. */
static void function_free(void *arg)
{
	struct mt_pci *f = arg;

	msix_fini(f);
	pthread_mutex_destroy(&f->lock);
	g_free(f);
}

static void function_release(void *arg)
{
	struct mt_pci *f = arg;
	struct space *space = f->inst->machine->system;

	if (f->bus) {
		g_rec_mutex_lock(&f->bus->config);
		pciconf_reset(f);
		f->bus->functions[f->devfn] = NULL;
		g_rec_mutex_unlock(&f->bus->config);
	}
	signals_end(f);
	dma_gate_set(f->inst, NULL);
	space_begin(space);
	for (uint32_t i = 0; i < MT_PCI_BARS; i++) {
		if (f->bars[i].region)
			bus_region_release(f->bars[i].region);
	}
	space_on_retired(space, function_free, f);
	space_commit(space);
}

static int desc_take(struct mt_pci_desc *desc, const struct mt_pci_desc *from, struct mt_error *err)
{
	if (!pci_take(desc, sizeof(*desc), from, from->size) || desc->flags & ~(MT_PCI_INTX | MT_PCI_FLR))
		return fault_set(err, MT_ENOTSUP, NULL, "use a plugin and a mortise that fit",
				 "the plugin describes its function in a way that this mortise does not know");
	if (desc->vectors > MT_PCI_VECTORS_MAX)
		return fault_set(err, MT_ERANGE, NULL, NULL, "%u vectors are more than %u (plugin fault)", desc->vectors,
				 MT_PCI_VECTORS_MAX);
	return 0;
}

static void ids_fill(uint8_t *header, const struct mt_pci_desc *desc)
{
	store16(&header[PCI_VENDOR], desc->vendor_id);
	store16(&header[PCI_DEVICE], desc->device_id);
	store32(&header[PCI_REVISION], desc->class_code << 8 | (desc->revision & 0xff));
	store16(&header[PCI_SUBSYSTEM_VENDOR], desc->subsystem_vendor_id);
	store16(&header[PCI_SUBSYSTEM], desc->subsystem_id);
}

static void header_fill(struct mt_pci *f, const struct mt_pci_desc *desc)
{
	ids_fill(f->initial, desc);
	f->initial[PCI_INT_PIN] = desc->flags & MT_PCI_INTX ? (uint8_t)((f->devfn & 3) + 1) : 0;
	store16(&f->writable[PCI_COMMAND], PCI_COMMAND_WRITABLE);
	f->writable[PCI_CACHE_LINE] = f->writable[PCI_INT_LINE] = 0xff;
	f->cap_end = PCI_CAP_FIRST;
}

static int function_fill(struct mt_pci *f, const struct mt_pci_desc *desc, struct mt_error *err)
{
	int code;

	header_fill(f, desc);
	if (!msix_init(f, desc->vectors))
		return fault_set(err, MT_ENOMEM, NULL, NULL, "out of memory");
	code = express_add(f, err);
	if (code >= 0 && desc->vectors) {
		code = msix_add(f, desc, err);
		if (code >= 0)
			code = msix_bar_add(f, desc->msix_bar, err);
	}
	f->own_caps = f->cap_count;
	return code;
}

static struct mt_pci *attach(struct mt_inst *inst, const struct mt_pci_desc *from, struct mt_error *err)
{
	struct mt_pci_desc desc;
	struct mt_inst *bridge = inst_ref(inst, "bus");
	struct mt_pci_bus *bus = bridge ? pcibus_of(bridge) : NULL;
	struct mt_pci *f;
	uint32_t devfn = 0;

	if (!bus) {
		fault_set(err, MT_ENOENT, "bus", NULL, "'bus' names no PCI host bridge");
		return NULL;
	}
	if (desc_take(&desc, from, err) < 0 || place_find(bus, inst, &devfn, err) < 0)
		return NULL;
	f = g_new0(struct mt_pci, 1);
	f->inst = inst;
	f->bus = bus;
	f->role = inst_role(inst, MT_IFACE_PCI_FUNCTION);
	f->devfn = devfn;
	f->flags = desc.flags;
	f->gate.requester = MT_REQUESTER_PCI | devfn;
	pthread_mutex_init(&f->lock, NULL);
	inst_own(inst, function_release, f);
	dma_gate_set(inst, &f->gate);
	if (function_fill(f, &desc, err) < 0)
		return NULL;
	/* without bus->config: in realize main holds the map, which all others take after it; and no vCPU runs yet */
	bus->functions[devfn] = f;
	return f;
}

static struct mt_region *bar_region(struct mt_pci *f, uint32_t bar)
{
	return bar < MT_PCI_BARS ? f->bars[bar].region : NULL;
}

static void identify(struct mt_pci *f, const struct mt_pci_desc *from)
{
	struct mt_pci_desc desc;

	pci_take(&desc, sizeof(desc), from, from->size);
	if (!f->bus)
		return;
	g_rec_mutex_lock(&f->bus->config);
	ids_fill(f->initial, &desc);
	ids_fill(f->config, &desc);
	g_rec_mutex_unlock(&f->bus->config);
}

static uint32_t msix_enabled(struct mt_pci *f)
{
	return __atomic_load_n(&f->msix_on, __ATOMIC_ACQUIRE);
}

const struct mt_pci_host pci_host = {
	.attach = attach,
	.identify = identify,
	.bar_add = bar_add,
	.cap_add = cap_add,
	.cap_get = cap_get,
	.msix_enabled = msix_enabled,
	.message = msix_message,
	.intx = intx_set,
	.bar_region = bar_region,
	.bind_eventfd = signal_bind,
};
