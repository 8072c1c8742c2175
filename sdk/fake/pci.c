/* SPDX-License-Identifier: MIT */
/*
 * PCI of the fake host: one function. Its BARs are regions in the order of bar_add, for fake_read and fake_write;
 * messages are counted by vector. While bus mastering is off (as after a reset) DMA is refused and messages wait.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../util/bits.h"
#include "../util/error.h"

static void *copy(const void *bytes, uint32_t len)
{
	uint8_t *to = calloc(1, len + 1);

	if (!to)
		fake_die("no memory");
	if (bytes)
		memcpy(to, bytes, len);
	return to;
}

static struct mt_pci *attach(struct mt_inst *inst, const struct mt_pci_desc *desc, struct mt_error *err)
{
	struct fake *f = inst->fake;

	(void)err;
	if (f->pci.fake || desc->vectors > MT_PCI_VECTORS_MAX)
		fake_die("attached twice, or too many vectors");
	f->pci.fake = f;
	f->pci.desc = *desc;
	f->pci.messages = calloc(desc->vectors + 1, sizeof(*f->pci.messages));
	return &f->pci;
}

static void identify(struct mt_pci *pci, const struct mt_pci_desc *desc)
{
	pci->desc.vendor_id = desc->vendor_id;
	pci->desc.device_id = desc->device_id;
	pci->desc.class_code = desc->class_code;
}

static int bar_add(struct mt_pci *pci, uint32_t bar, uint32_t flags, const struct mt_region_desc *desc,
		   struct mt_error *err)
{
	if (bar >= MT_PCI_BARS || flags & ~(MT_PCI_BAR_64 | MT_PCI_BAR_PREFETCH) || !mt_is_power_of_two(desc->len_bytes) ||
	    desc->len_bytes < 16 || desc->at_prop)
		fake_die("bad BAR %u", bar);
	pci->bars[bar] = fake_mmio_host.region_add(&pci->fake->inst, desc, err);
	return pci->bars[bar] ? 0 : MT_EINVAL;
}

static int cap_add(struct mt_pci *pci, const struct mt_pci_cap *cap, struct mt_error *err)
{
	struct fake_pci_cap *c = &pci->caps[pci->cap_count];

	(void)err;
	if (pci->cap_count == FAKE_PCI_CAPS || cap->live_offset + cap->live_bytes > cap->len_bytes)
		fake_die("bad capability, or too many");
	c->cap = *cap;
	c->bytes = copy(cap->bytes, cap->len_bytes);
	c->writable = copy(cap->writable, cap->len_bytes);
	c->cap.bytes = c->bytes;
	c->cap.writable = c->writable;
	return (int)pci->cap_count++;
}

static void cap_get(struct mt_pci *pci, uint32_t cap, uint32_t offset, void *buf, uint32_t len)
{
	if (cap >= pci->cap_count || offset + len > pci->caps[cap].cap.len_bytes)
		fake_die("cap_get beyond capability %u", cap);
	memcpy(buf, pci->caps[cap].bytes + offset, len);
}

static uint32_t msix_enabled(struct mt_pci *pci)
{
	return pci->msix;
}

static void message(struct mt_pci *pci, uint32_t vector)
{
	if (vector >= pci->desc.vectors)
		fake_die("vector %u of %u", vector, pci->desc.vectors);
	pci->messages[vector] += pci->msix;
}

static void intx(struct mt_pci *pci, uint32_t level)
{
	if (level > 1)
		fake_die("level %u of the pin", level);
	pci->intx = level;
}

static struct mt_region *bar_region(struct mt_pci *pci, uint32_t bar)
{
	return bar < MT_PCI_BARS ? pci->bars[bar] : NULL;
}

static int bind_eventfd(struct mt_pci *pci, uint32_t vector, int fd, struct mt_error *err)
{
	uint32_t i = 0;
	uint64_t count;

	(void)err;
	if (vector >= pci->desc.vectors && vector != MT_PCI_NO_VECTOR)
		fake_die("descriptor %d bound to vector %u of %u", fd, vector, pci->desc.vectors);
	while (i < pci->signal_count && pci->signals[i].fd != fd)
		i++;
	if (i == FAKE_PCI_SIGNALS)
		fake_die("too many descriptors bound");
	pci->signal_count += i == pci->signal_count;
	pci->signals[i].fd = fd;
	pci->signals[i].vector = vector;
	if (vector == MT_PCI_NO_VECTOR && read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		fake_die("descriptor %d is no eventfd that does not block", fd);
	return 0;
}

/* What was signalled, as the kernel's loop would find it. */
static void signals_serve(struct mt_pci *pci)
{
	uint64_t count;

	for (uint32_t i = 0; i < pci->signal_count; i++)
		if (read(pci->signals[i].fd, &count, sizeof(count)) == sizeof(count) &&
		    pci->signals[i].vector != MT_PCI_NO_VECTOR)
			message(pci, pci->signals[i].vector);
}

const struct mt_pci_host fake_pci_host = {
	.attach = attach,
	.identify = identify,
	.bar_add = bar_add,
	.cap_add = cap_add,
	.cap_get = cap_get,
	.msix_enabled = msix_enabled,
	.message = message,
	.intx = intx,
	.bar_region = bar_region,
	.bind_eventfd = bind_eventfd,
};

static struct mt_pci *pci_want(struct fake *f)
{
	if (!f->pci.fake)
		fake_die("the plugin did not attach to a PCI bus");
	return &f->pci;
}

const struct mt_pci_desc *fake_pci(struct fake *f)
{
	return &pci_want(f)->desc;
}

uint32_t fake_pci_intx(struct fake *f)
{
	return pci_want(f)->intx && !f->pci.msix;
}

uint32_t fake_pci_messages(struct fake *f, uint32_t vector)
{
	signals_serve(pci_want(f));
	return vector < f->pci.desc.vectors ? f->pci.messages[vector] : 0;
}

void fake_pci_msix(struct fake *f, uint32_t on)
{
	pci_want(f)->msix = on;
}

void fake_pci_master(struct fake *f, uint32_t on)
{
	const struct mt_pci_function *role = fake_role(f, MT_IFACE_PCI_FUNCTION);

	pci_want(f)->master = on;
	if (role && role->bus_master)
		role->bus_master(f->self, on);
}

void fake_pci_reset(struct fake *f)
{
	const struct mt_pci_function *role = fake_role(f, MT_IFACE_PCI_FUNCTION);

	if (!(pci_want(f)->desc.flags & MT_PCI_FLR))
		fake_die("the function cannot be reset alone");
	f->pci.msix = f->pci.master = 0;
	if (role && role->reset)
		role->reset(f->self);
}

const struct mt_pci_cap *fake_pci_cap(struct fake *f, uint32_t cap)
{
	return cap < pci_want(f)->cap_count ? &f->pci.caps[cap].cap : NULL;
}

static struct fake_pci_cap *cap_at(struct fake *f, uint32_t cap, uint32_t offset, uint32_t width)
{
	if (cap >= pci_want(f)->cap_count || offset + width > f->pci.caps[cap].cap.len_bytes)
		fake_die("no capability %u, or beyond it", cap);
	return &f->pci.caps[cap];
}

static uint32_t is_live(const struct mt_pci_cap *cap, uint32_t offset, uint32_t width)
{
	return cap->live_bytes && offset >= cap->live_offset &&
	       offset + width <= cap->live_offset + cap->live_bytes;
}

uint32_t fake_pci_cap_read(struct fake *f, uint32_t cap, uint32_t offset, uint32_t width)
{
	const struct mt_pci_function *role = fake_role(f, MT_IFACE_PCI_FUNCTION);
	struct fake_pci_cap *c = cap_at(f, cap, offset, width);
	uint32_t value = 0;

	if (is_live(&c->cap, offset, width))
		return role->cap_read(f->self, cap, offset - c->cap.live_offset, width);
	for (uint32_t i = 0; i < width; i++)
		value |= (uint32_t)c->bytes[offset + i] << 8 * i;
	return value;
}

void fake_pci_cap_write(struct fake *f, uint32_t cap, uint32_t offset, uint32_t width, uint32_t value)
{
	const struct mt_pci_function *role = fake_role(f, MT_IFACE_PCI_FUNCTION);
	struct fake_pci_cap *c = cap_at(f, cap, offset, width);

	if (is_live(&c->cap, offset, width)) {
		role->cap_write(f->self, cap, offset - c->cap.live_offset, width, value);
		return;
	}
	for (uint32_t i = 0; i < width; i++) {
		uint8_t mask = c->writable[offset + i];

		c->bytes[offset + i] = (uint8_t)((c->bytes[offset + i] & ~mask) | (value >> 8 * i & mask));
	}
}

void fake_pci_end(struct fake *f)
{
	for (uint32_t i = 0; i < f->pci.cap_count; i++) {
		free(f->pci.caps[i].bytes);
		free(f->pci.caps[i].writable);
	}
	free(f->pci.messages);
}
