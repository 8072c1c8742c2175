/* SPDX-License-Identifier: MIT */
/*
 * A virtio driver for freestanding guests: one function of PCI with modern registers (Virtio 1.2, 4.1), split rings of
 * eight entries, one request at a time. Its BARs have been placed, memory and bus mastering are on.
 */
#ifndef VIRTIO_H
#define VIRTIO_H

#include "rt.h"

#define VQ_ENTRIES 8u
#define NO_VECTOR 0xffffu

static inline uint16_t half(uint64_t at) { return *(volatile uint16_t *)at; }
static inline void half_put(uint64_t at, uint16_t v) { *(volatile uint16_t *)at = v; }
static inline uint8_t byte(uint64_t at) { return *(volatile uint8_t *)at; }
static inline void byte_put(uint64_t at, uint8_t v) { *(volatile uint8_t *)at = v; }

struct vq {
	struct { uint64_t addr; uint32_t len; uint16_t flags, next; } desc[VQ_ENTRIES];
	struct { uint16_t flags; volatile uint16_t idx; uint16_t ring[VQ_ENTRIES]; } avail;
	struct { uint16_t flags; volatile uint16_t idx; struct { uint32_t id, len; } ring[VQ_ENTRIES]; } used
		__attribute__((aligned(4)));
	uint64_t notify;
	uint16_t index, seen;
} __attribute__((aligned(16)));

struct virtio {
	uint64_t config;                       /* configuration space of the function, by ECAM */
	uint64_t common, isr, device, notify;  /* guest-physical; 0: not there */
	uint32_t notify_step;
	uint32_t msix;                         /* offset of the capability; 0: none */
};

static uint64_t bar_base(uint64_t config, uint32_t bar)
{
	uint32_t low = mmio(config + 0x10 + 4 * bar);

	return (low & ~15u) | ((low & 6) == 4 ? (uint64_t)mmio(config + 0x14 + 4 * bar) << 32 : 0);
}

static void virtio_find(struct virtio *v, uint64_t config)
{
	*v = (struct virtio){ .config = config };
	for (uint32_t at = byte(config + 0x34), n = 0; at && n < 48; at = byte(config + at + 1), n++) {
		uint64_t place;

		if (byte(config + at) == 0x11)
			v->msix = at;
		if (byte(config + at) != 9)
			continue;
		place = bar_base(config, byte(config + at + 4) % 6) + mmio(config + at + 8);
		switch (byte(config + at + 3)) {
		case 1: v->common = place; break;
		case 2: v->notify = place; v->notify_step = mmio(config + at + 16); break;
		case 3: v->isr = place; break;
		case 4: v->device = place; break;
		}
	}
}

/* MSI-X: 4 the table, 8 the pending bits. */
static uint64_t virtio_msix_part(const struct virtio *v, uint32_t part)
{
	uint32_t where = mmio(v->config + v->msix + part);

	return bar_base(v->config, where & 7) + (where & ~7u);
}

/* Vector 0 of the table sends `vector` to the first local APIC. */
static void virtio_messages(struct virtio *v, uint32_t vector)
{
	uint64_t table = virtio_msix_part(v, 4);

	mmio_put(table, 0xfee00000);
	mmio_put(table + 4, 0);
	mmio_put(table + 8, vector);
	mmio_put(table + 12, 0);
	half_put(v->config + v->msix + 2, 0x8000);
}

static void put64(uint64_t at, const volatile void *p)
{
	mmio_put(at, (uint32_t)(uint64_t)p);
	mmio_put(at + 4, (uint32_t)((uint64_t)p >> 32));
}

/* From reset to features; only VIRTIO_F_VERSION_1 of them. */
static void virtio_begin(struct virtio *v)
{
	byte_put(v->common + 0x14, 0);
	while (byte(v->common + 0x14))
		;
	byte_put(v->common + 0x14, 3);
	mmio_put(v->common + 0x08, 1);
	mmio_put(v->common + 0x0c, 1);
	mmio_put(v->common + 0x08, 0);
	mmio_put(v->common + 0x0c, 0);
	byte_put(v->common + 0x14, 11);
}

static void virtio_queue(struct virtio *v, struct vq *q, uint16_t index, uint16_t vector)
{
	memset(q, 0, sizeof(*q));
	q->index = index;
	half_put(v->common + 0x16, index);
	half_put(v->common + 0x18, VQ_ENTRIES);
	half_put(v->common + 0x1a, vector);
	put64(v->common + 0x20, q->desc);
	put64(v->common + 0x28, &q->avail);
	put64(v->common + 0x30, &q->used);
	q->notify = v->notify + (uint64_t)v->notify_step * half(v->common + 0x1e);
	half_put(v->common + 0x1c, 1);
}

/* 1: the device takes the driver */
static int virtio_end(struct virtio *v)
{
	byte_put(v->common + 0x14, 15);
	return byte(v->common + 0x14) == 15;
}

/* One part of the request that begins at descriptor 0; `last` of its parts ends it. */
static void vq_part(struct vq *q, uint16_t n, void *at, uint32_t len, int device_writes, int last)
{
	q->desc[n].addr = (uint64_t)at;
	q->desc[n].len = len;
	q->desc[n].flags = (uint16_t)((last ? 0 : 1) | (device_writes ? 2 : 0));
	q->desc[n].next = (uint16_t)(n + 1);
}

static void vq_send(struct vq *q)
{
	q->avail.ring[q->avail.idx % VQ_ENTRIES] = 0;
	__asm__ volatile("mfence" : : : "memory");
	q->avail.idx++;
	__asm__ volatile("mfence" : : : "memory");
	half_put(q->notify, q->index);
}

/* 1: the request has come back */
static int vq_back(struct vq *q)
{
	return q->used.idx == q->avail.idx;
}

#endif
