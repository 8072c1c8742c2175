/* SPDX-License-Identifier: MIT */
/*
 * A driver of virtio devices on both transports that can be as wrong as a program says. Numbers of registers are of
 * Virtio 1.2, sections 4.1.4.3 and 4.2.2. Rings of vdev v, queue q lie in the page v * QUEUES + q of memory.
 */
#include "tests/fuzz/fuzz.h"

#define MAGIC     0x74726976u
#define PAGE      0x1000u
#define BUFFERS   0x20000u         /* of memory, from here on */
#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_INDIRECT 4u
#define DESC_AVAIL 0x80u
#define DESC_USED  0x8000u
#define F_PACKED   (1ull << 34)
#define STATUS_OK  15u

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;          /* packed: id, flags, in this order */
};

/* Registers. */

enum { V_FEATURES_SEL, V_FEATURES, V_DRIVER_SEL, V_DRIVER, V_QUEUE_SEL, V_QUEUE_SIZE, V_QUEUE_ENABLE, V_STATUS,
       V_DESC, V_AVAIL, V_USED };

static const struct { uint16_t mmio, pci, pci_width; } regs[] = {
	[V_FEATURES_SEL] = { 0x14, 0x00, 4 }, [V_FEATURES] = { 0x10, 0x04, 4 }, [V_DRIVER_SEL] = { 0x24, 0x08, 4 },
	[V_DRIVER] = { 0x20, 0x0c, 4 }, [V_QUEUE_SEL] = { 0x30, 0x16, 2 }, [V_QUEUE_SIZE] = { 0x38, 0x18, 2 },
	[V_QUEUE_ENABLE] = { 0x44, 0x1c, 2 }, [V_STATUS] = { 0x70, 0x14, 1 }, [V_DESC] = { 0x80, 0x20, 4 },
	[V_AVAIL] = { 0x90, 0x28, 4 }, [V_USED] = { 0xa0, 0x30, 4 },
};

static void put(struct guest *g, const struct vdev *v, uint32_t reg, uint64_t value)
{
	if (v->pci)
		guest_write(g, v->regs + regs[reg].pci, regs[reg].pci_width, value);
	else
		guest_write(g, v->regs + regs[reg].mmio, 4, value);
}

static void put_addr(struct guest *g, const struct vdev *v, uint32_t reg, uint64_t value)
{
	uint64_t at = v->regs + (v->pci ? regs[reg].pci : regs[reg].mmio);

	guest_write(g, at, 4, value & 0xffffffff);
	guest_write(g, at + 4, 4, value >> 32);
}

/* Finding. */

static struct vdev *vdev_add(struct guest *g, uint64_t base, bool pci)
{
	struct vdev *v = &g->vdevs[g->vdev_count];

	if (g->vdev_count == VDEVS)
		return NULL;
	g->vdev_count++;
	v->pci = pci;
	v->regs = base;
	return v;
}

static void mmio_find(struct guest *g)
{
	uint64_t addr, len, first = 0;

	for (uint32_t i = 0; guest_window(g, i, &addr, &len) && addr != first; i++) {
		struct vdev *v;

		first = first ? first : addr;
		if (len != 0x200 || guest_get(g, addr, 4) != MAGIC)
			continue;
		v = vdev_add(g, addr, false);
		if (v) {
			v->notify = addr + 0x50;
			v->config = addr + 0x100;
		}
	}
}

/* Address of the BAR that a capability (4.1.4) points into. */
static uint64_t cap_address(struct guest *g, uint32_t devfn, uint32_t cap)
{
	uint32_t bar = (uint32_t)guest_get(g, pci_config(g, devfn, cap + 4), 1) % 6;
	uint64_t base = guest_get(g, pci_config(g, devfn, 0x10 + 4 * bar), 4);

	if ((base & 6) == 4)
		base |= guest_get(g, pci_config(g, devfn, 0x14 + 4 * bar), 4) << 32;
	return (base & ~15ull) + guest_get(g, pci_config(g, devfn, cap + 8), 4);
}

static void caps_read(struct guest *g, uint32_t devfn, struct vdev *v)
{
	uint32_t cap = (uint32_t)guest_get(g, pci_config(g, devfn, 0x34), 1) & 0xfc;

	for (uint32_t n = 0; cap && n < 16; n++, cap = (uint32_t)guest_get(g, pci_config(g, devfn, cap + 1), 1) & 0xfc) {
		if (guest_get(g, pci_config(g, devfn, cap), 1) != 9)
			continue;
		switch (guest_get(g, pci_config(g, devfn, cap + 3), 1)) {
		case 1:
			v->regs = cap_address(g, devfn, cap);
			break;
		case 2:
			v->notify = cap_address(g, devfn, cap);
			v->notify_step = (uint32_t)guest_get(g, pci_config(g, devfn, cap + 16), 4);
			break;
		case 4:
			v->config = cap_address(g, devfn, cap);
		}
	}
}

void virtio_find(struct guest *g)
{
	g->vdev_count = 0;
	mmio_find(g);
	for (uint32_t slot = 0; g->ecam && slot < 8; slot++) {
		struct vdev *v;

		if ((guest_get(g, pci_config(g, slot << 3, 0), 4) & 0xffff) != 0x1af4)
			continue;
		v = vdev_add(g, 0, true);
		if (v)
			caps_read(g, slot << 3, v);
	}
}

/* Starting. */

static void ring_start(struct guest *g, const struct vdev *v, struct ring *r, uint32_t index, uint32_t size)
{
	*r = (struct ring){ .size = size, .wrap = true };
	r->desc = g->ram + index * PAGE;
	r->driver = r->desc + 0x800;
	r->device = r->desc + 0xc00;
	for (uint32_t i = 0; i < PAGE; i += 8)
		guest_write(g, r->desc + i, 8, 0);
	put(g, v, V_QUEUE_SIZE, size);
	put_addr(g, v, V_DESC, r->desc);
	put_addr(g, v, V_AVAIL, r->driver);
	put_addr(g, v, V_USED, r->device);
	put(g, v, V_QUEUE_ENABLE, 1);
}

static struct vdev *take_vdev(struct guest *g, uint8_t which)
{
	struct vdev *v = &g->vdevs[g->vdev_count ? which % g->vdev_count : 0];

	return g->vdev_count && v->regs ? v : NULL;
}

/* Half of the feature bits are left out where `mask` says so; the kernel's own bits (24..41) by their own byte. */
void op_virtio_start(struct guest *g)
{
	uint8_t how = take8(g), mask = take8(g), ring_bits = take8(g);
	struct vdev *v = take_vdev(g, how & 3);
	uint64_t features;

	if (!v)
		return;
	put(g, v, V_STATUS, 0);
	put(g, v, V_STATUS, 3);
	put(g, v, V_FEATURES_SEL, 0);
	features = guest_get(g, v->regs + (v->pci ? regs[V_FEATURES].pci : regs[V_FEATURES].mmio), 4);
	put(g, v, V_FEATURES_SEL, 1);
	features |= guest_get(g, v->regs + (v->pci ? regs[V_FEATURES].pci : regs[V_FEATURES].mmio), 4) << 32;
	features &= ~((uint64_t)mask | (uint64_t)mask << 8 | (uint64_t)mask << 16);
	features &= ~((uint64_t)(ring_bits & 15) << 28);
	v->packed = features & F_PACKED && ring_bits & 16;
	features &= v->packed ? UINT64_MAX : ~F_PACKED;
	put(g, v, V_DRIVER_SEL, 0);
	put(g, v, V_DRIVER, features & 0xffffffff);
	put(g, v, V_DRIVER_SEL, 1);
	put(g, v, V_DRIVER, features >> 32);
	put(g, v, V_STATUS, 11);
	for (uint32_t q = 0; q < QUEUES && q <= (how >> 2 & 3); q++) {
		put(g, v, V_QUEUE_SEL, q);
		ring_start(g, v, &v->rings[q], (uint32_t)(v - g->vdevs) * QUEUES + q, how & 64 ? 64 : how & 32 ? 4 : 16);
	}
	put(g, v, V_STATUS, STATUS_OK);
	guest_sync(g);
}

/* Chains. */

static const uint64_t wild[] = {
	0, UINT64_MAX - 7, 0xffffffff, 1ull << 63, 0x7fffffffffff0000, 0x1000, 0xfffffffffffff000, 0x80000000ull - 16,
};

static uint64_t take_address(struct guest *g, uint8_t kind)
{
	uint8_t at = take8(g);
	uint64_t addr, len;

	switch (kind & 3) {
	case 0:
		return g->ram + BUFFERS + (uint64_t)at * 512;
	case 1:
		return g->ram + (uint64_t)at * 256;
	case 2:
		return guest_window(g, at >> 3, &addr, &len) ? addr + (at & 7) * 4 : 0;
	}
	return at & 8 ? g->ram + g->ram_bytes - (at >> 4) : wild[at & 7];
}

/* A piece: how, address, length; its contents where the memory is plain. */
static struct desc take_piece(struct guest *g, uint8_t how)
{
	struct desc d = { .addr = take_address(g, how), .len = take8(g) };
	uint32_t len;
	const uint8_t *bytes;

	d.flags = (how & 4 ? DESC_WRITE : 0) | (how & 8 ? DESC_INDIRECT : 0);
	if (how & 128)
		d.len = d.len << 8 | take8(g);
	if (how & 64) {
		len = take8(g) & 31;
		bytes = take_bytes(g, &len);
		guest_copy(g, d.addr, bytes, len);
	}
	return d;
}

static void desc_write(struct guest *g, uint64_t at, const struct desc *d)
{
	guest_write(g, at, 8, d->addr);
	guest_write(g, at + 8, 4, d->len);
	guest_write(g, at + 12, 2, d->flags);
	guest_write(g, at + 14, 2, d->next);
}

/* Pieces into a table of split descriptors from `first` on; a piece may name any other as its next. */
static void split_write(struct guest *g, uint64_t table, uint32_t size, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t how = take8(g);
		struct desc d = take_piece(g, how);

		if (how & 16)
			d.next = take8(g);
		else
			d.next = (uint16_t)((first + i + 1) % size);
		if (i + 1 < count ? !(how & 32) : how & 32)
			d.flags |= DESC_NEXT;
		desc_write(g, table + (uint64_t)((first + i) % size) * 16, &d);
	}
}

static void split_offer(struct guest *g, struct ring *r, uint32_t head)
{
	guest_write(g, r->driver + 4 + 2 * (r->avail % r->size), 2, head);
	guest_write(g, r->driver + 2, 2, ++r->avail);
}

static void packed_flags(const struct ring *r, struct desc *d)
{
	uint16_t flags = d->flags;

	flags |= r->wrap ? DESC_AVAIL : DESC_USED;
	/* the order in memory is id, flags: section 2.8.13 */
	d->flags = (uint16_t)(r->next + 1);
	d->next = flags;
}

static void packed_write(struct guest *g, struct ring *r, uint32_t count)
{
	uint64_t head = r->desc + (uint64_t)r->next * 16;
	struct desc first = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		uint8_t how = take8(g);
		struct desc d = take_piece(g, how);

		if (i + 1 < count ? !(how & 32) : how & 32)
			d.flags |= DESC_NEXT;
		packed_flags(r, &d);
		if (how & 16)
			d.flags = take8(g);
		if (i == 0)
			first = d;
		else
			desc_write(g, r->desc + (uint64_t)r->next * 16, &d);
		if (++r->next >= r->size) {
			r->next = 0;
			r->wrap = !r->wrap;
		}
	}
	desc_write(g, head, &first);   /* last: it makes the chain available */
}

void op_virtio_kick(struct guest *g)
{
	uint8_t how = take8(g);
	struct vdev *v = take_vdev(g, how & 3);
	uint32_t q = how >> 2 & 3;

	if (!v)
		return;
	guest_write(g, v->notify + (v->pci ? q * v->notify_step : 0), v->pci ? 2 : 4, q);
	guest_sync(g);
}

/* How: device, queue, indirect table, kick. */
void op_virtio_chain(struct guest *g)
{
	uint8_t how = take8(g), count = (take8(g) & 7) + 1;
	struct vdev *v = take_vdev(g, how & 3);
	struct ring *r = v ? &v->rings[how >> 2 & 3] : NULL;

	if (!r || !r->size)
		return;
	if (v->packed) {
		packed_write(g, r, count);
	} else if (how & 16) {
		uint64_t table = g->ram + BUFFERS - PAGE;
		struct desc d = { table, 16u * count, DESC_INDIRECT, 0 };

		split_write(g, table, 256, 0, count);
		desc_write(g, r->desc + (uint64_t)(r->next % r->size) * 16, &d);
		split_offer(g, r, r->next++ % r->size);
	} else {
		split_write(g, r->desc, r->size, r->next, count);
		split_offer(g, r, r->next % r->size);
		r->next = (r->next + count) % r->size;
	}
	if (!(how & 32)) {
		guest_write(g, v->notify + (v->pci ? (how >> 2 & 3) * v->notify_step : 0), v->pci ? 2 : 4, how >> 2 & 3);
		guest_sync(g);
	}
}
