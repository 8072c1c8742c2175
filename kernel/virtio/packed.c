/* SPDX-License-Identifier: MIT */
/*
 * The packed ring, Virtio 1.2 section 2.8: one table that both sides write, with wrap counters in place of indices,
 * and two structures of four bytes that say which events each side wants. Called by vring.c under the device's lock,
 * racing only with the guest: the flags of a descriptor are loaded with acquire before the rest of it and stored with
 * release after it. Easy to break: a batch of used descriptors appears by the flags of its first, stored last.
 */
#include <string.h>

#include "kernel/virtio/vring.h"

#define F_NEXT     (1u << 0)
#define F_WRITE    (1u << 1)
#define F_INDIRECT (1u << 2)
#define F_AVAIL    (1u << 7)
#define F_USED     (1u << 15)
#define FLAGS_AT   14u

/* Event suppression, section 2.8.14: a descriptor's place and wrap bit in the low half, flags in the high one. */
#define EVENT_BYTES   4u
#define EVENT_ENABLE  0u
#define EVENT_DISABLE 1u
#define EVENT_DESC    2u
#define EVENT_WRAP    (1u << 15)

struct desc {
	uint64_t gpa;
	uint32_t len_bytes;
	uint16_t id, flags;
};

static uint8_t *desc_at(const struct vring *ring, uint32_t index)
{
	return ring->packed.desc + (size_t)index * VRING_DESC_BYTES;
}

static uint16_t flags_load(const struct vring *ring, uint32_t index)
{
	const void *at = desc_at(ring, index) + FLAGS_AT;

	return __atomic_load_n((const uint16_t *)at, __ATOMIC_ACQUIRE);
}

static void flags_store(const struct vring *ring, uint32_t index, uint16_t flags)
{
	void *at = desc_at(ring, index) + FLAGS_AT;

	__atomic_store_n((uint16_t *)at, flags, __ATOMIC_RELEASE);
}

/* `*index` goes on by `count`, at most one round. */
static void advance(const struct vring *ring, uint32_t *index, bool *wrap, uint32_t count)
{
	*index += count;
	if (*index < ring->config.size)
		return;
	*index -= ring->config.size;
	*wrap = !*wrap;
}

/* Any size, section 2.8.10.1. */
static bool packed_legal(const struct vring_config *config)
{
	return !(config->desc & 15) && !(config->driver & 3) && !(config->device & 3);
}

static bool packed_map(struct vring *ring)
{
	struct mt_iov part;

	if (!vring_part_map(ring, ring->config.desc, (uint64_t)ring->config.size * VRING_DESC_BYTES, true, &part))
		return false;
	ring->packed.desc = part.hva;
	ring->packed.desc_ram = part.ram;
	ring->packed.desc_offset = part.ram_offset;
	if (!vring_part_map(ring, ring->config.driver, EVENT_BYTES, false, &part))
		return false;
	ring->packed.driver = part.hva;
	if (!vring_part_map(ring, ring->config.device, EVENT_BYTES, true, &part))
		return false;
	ring->packed.device = part.hva;
	ring->packed.device_ram = part.ram;
	ring->packed.device_offset = part.ram_offset;
	return true;
}

/* Available descriptors */

static bool avail_look(const struct vring *ring)
{
	uint16_t flags = flags_load(ring, ring->packed.next_avail);

	return !!(flags & F_AVAIL) == ring->packed.avail_wrap && !!(flags & F_USED) != ring->packed.avail_wrap;
}

static void event_store(struct vring *ring, uint32_t place, uint32_t flags)
{
	void *at = ring->packed.device;

	__atomic_store_n((uint32_t *)at, place | flags << 16, __ATOMIC_RELEASE);
	ring->mem->dirty(ring->packed.device_ram, ring->packed.device_offset, EVENT_BYTES);
}

/*
 * Asks for a kick at the next descriptor. Race with the driver, which makes one available and then reads this: the
 * fence makes one of both see the other's store, so either the driver kicks or we see its descriptor.
 */
static void kick_arm(struct vring *ring)
{
	uint32_t place = ring->packed.next_avail | (ring->packed.avail_wrap ? EVENT_WRAP : 0);

	if (!ring->config.event_idx || ring->quiet)
		return;
	event_store(ring, place, EVENT_DESC);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool avail_any(struct vring *ring)
{
	if (avail_look(ring))
		return true;
	kick_arm(ring);
	return avail_look(ring);
}

/* Section 2.8.19: in an indirect table all descriptors count, in order; of their flags only WRITE. */
static enum vring_fetch indirect_walk(struct vring *ring, struct vring_elem *elem, const struct desc *head)
{
	struct vring_table table;
	struct desc desc;
	bool later = false;

	if (head->flags & F_NEXT)
		return vring_break(ring, "an indirect descriptor has a successor");
	if (!vring_table_open(ring, head->gpa, head->len_bytes, &table))
		return VRING_BROKEN;
	if (table.count > VRING_PIECES_MAX)
		return vring_break(ring, "a request has too many pieces");
	for (uint32_t i = 0; i < table.count; i++) {
		if (!vring_table_read(ring, &table, i, &desc))
			return vring_break(ring, "an indirect table is not in memory");
		if (!vring_elem_add(ring, elem, desc.gpa, desc.len_bytes, desc.flags & F_WRITE, &later))
			return later ? VRING_LATER : VRING_BROKEN;
	}
	return VRING_GOT;
}

/* The driver's id of a chain is in its last descriptor, section 2.8.6. */
static enum vring_fetch chain_walk(struct vring *ring, struct vring_elem *elem)
{
	const struct vring_table table = { ring->packed.desc, 0, ring->config.size };
	uint32_t index = ring->packed.next_avail, room = ring->config.size - ring->packed.slots_in_flight;
	struct desc desc;
	bool later = false, wrap = false;

	for (elem->slots = 1;; elem->slots++) {
		if (elem->slots > room)
			return vring_break(ring, "more requests are in flight than the ring holds");
		vring_table_read(ring, &table, index, &desc);
		if (desc.flags & F_INDIRECT && elem->slots > 1)
			return vring_break(ring, "an indirect descriptor is within a chain");
		elem->head = desc.id;
		if (desc.flags & F_INDIRECT)
			return indirect_walk(ring, elem, &desc);
		if (!vring_elem_add(ring, elem, desc.gpa, desc.len_bytes, desc.flags & F_WRITE, &later))
			return later ? VRING_LATER : VRING_BROKEN;
		if (!(desc.flags & F_NEXT))
			return VRING_GOT;
		advance(ring, &index, &wrap, 1);
	}
}

static enum vring_fetch packed_fetch(struct vring *ring, struct vring_elem *elem)
{
	enum vring_fetch got;

	if (!avail_any(ring))
		return VRING_EMPTY;
	got = chain_walk(ring, elem);
	if (got == VRING_GOT) {
		advance(ring, &ring->packed.next_avail, &ring->packed.avail_wrap, elem->slots);
		ring->packed.slots_in_flight += elem->slots;
	}
	return got;
}

static void packed_back(struct vring *ring, const struct vring_elem *elem)
{
	ring->packed.slots_in_flight -= elem->slots;
	if (ring->packed.next_avail < elem->slots) {
		ring->packed.next_avail += ring->config.size;
		ring->packed.avail_wrap = !ring->packed.avail_wrap;
	}
	ring->packed.next_avail -= elem->slots;
}

/* Used descriptors */

static void packed_put(struct vring *ring, const struct vring_elem *elem, uint32_t written)
{
	uint16_t flags = (uint16_t)((ring->packed.used_wrap ? F_AVAIL | F_USED : 0) | (written ? F_WRITE : 0));
	uint32_t at = ring->packed.next_used;

	memcpy(desc_at(ring, at) + 8, &written, sizeof(written));
	memcpy(desc_at(ring, at) + 12, &elem->head, sizeof(elem->head));
	if (ring->packed.put) {
		flags_store(ring, at, flags);
	} else {
		ring->packed.first = at;
		ring->packed.first_flags = flags;
	}
	ring->packed.put += elem->slots;
	ring->packed.slots_in_flight -= elem->slots;
	advance(ring, &ring->packed.next_used, &ring->packed.used_wrap, elem->slots);
}

static void entries_dirty(const struct vring *ring, uint32_t first, uint32_t count)
{
	uint32_t size = ring->config.size;

	if (first + count > size) {
		ring->mem->dirty(ring->packed.desc_ram, ring->packed.desc_offset,
				 (uint64_t)(first + count - size) * VRING_DESC_BYTES);
		count = size - first;
	}
	ring->mem->dirty(ring->packed.desc_ram, ring->packed.desc_offset + (uint64_t)first * VRING_DESC_BYTES,
			 (uint64_t)count * VRING_DESC_BYTES);
}

/* The entries are marked before the first of them shows itself. */
static void packed_publish(struct vring *ring)
{
	if (!ring->packed.put)
		return;
	entries_dirty(ring, ring->packed.first, ring->packed.put);
	ring->packed.slots_unsignalled += ring->packed.put;
	ring->packed.put = 0;
	flags_store(ring, ring->packed.first, ring->packed.first_flags);
}

/*
 * Section 2.8.14: the driver wants an interrupt when the descriptor that it names is among the last `count` ones. One
 * of another round than ours lies before the ring's start, a whole round back at most.
 */
static bool event_passed(const struct vring *ring, uint32_t place, uint32_t count)
{
	int64_t event = place & ~EVENT_WRAP;

	if (!!(place & EVENT_WRAP) != ring->packed.used_wrap)
		event -= ring->config.size;
	return event < ring->packed.next_used && event >= (int64_t)ring->packed.next_used - count;
}

/* Race with the driver, which writes what it wants and then looks at the ring: as in kick_arm. */
static bool packed_wants_signal(struct vring *ring)
{
	const void *at = ring->packed.driver;
	uint32_t count = ring->packed.slots_unsignalled, event, flags;

	if (!count)
		return false;
	ring->packed.slots_unsignalled = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
	flags = event >> 16 & 3;
	if (flags == EVENT_DESC && ring->config.event_idx && count < ring->config.size)
		return event_passed(ring, event & 0xffff, count);
	return flags != EVENT_DISABLE;
}

static bool packed_kicks(struct vring *ring, bool wanted)
{
	if (!wanted)
		event_store(ring, 0, EVENT_DISABLE);
	else if (ring->config.event_idx)
		kick_arm(ring);
	else
		event_store(ring, 0, EVENT_ENABLE);
	if (!wanted)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return avail_look(ring);
}

const struct vring_layout vring_packed = {
	.legal = packed_legal,
	.map = packed_map,
	.fetch = packed_fetch,
	.put = packed_put,
	.back = packed_back,
	.publish = packed_publish,
	.wants_signal = packed_wants_signal,
	.kicks = packed_kicks,
};
