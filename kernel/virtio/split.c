/* SPDX-License-Identifier: MIT */
/*
 * The split ring, Virtio 1.2 section 2.7: descriptor table, available ring (written by the driver), used ring
 * (written here). Called by vring.c under the device's lock, racing only with the guest: an index is loaded with
 * acquire before what it covers and stored with release after it; words are loaded once.
 */
#include <string.h>

#include "kernel/virtio/vring.h"

#define F_NEXT 1u
#define F_WRITE 2u
#define F_INDIRECT 4u
#define AVAIL_NO_INTERRUPT 1u
#define USED_NO_NOTIFY 1u

struct desc {
	uint64_t gpa;
	uint32_t len_bytes;
	uint16_t flags, next;
};

static uint16_t load16(const uint8_t *at)
{
	return __atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_ACQUIRE);
}

static void store16(uint8_t *at, uint16_t value)
{
	__atomic_store_n((uint16_t *)(void *)at, value, __ATOMIC_RELEASE);
}

static uint8_t *used_flags(const struct vring *ring) { return ring->split.used; }
static uint8_t *used_idx(const struct vring *ring) { return ring->split.used + 2; }
static uint8_t *used_entry(const struct vring *ring, uint16_t i)
{
	return ring->split.used + 4 + 8 * (size_t)(i & (ring->config.size - 1));
}
static uint8_t *avail_event(const struct vring *ring)
{
	return ring->split.used + 4 + 8 * (size_t)ring->config.size;
}
static const uint8_t *avail_idx(const struct vring *ring) { return ring->split.avail + 2; }
static const uint8_t *avail_entry(const struct vring *ring, uint16_t i)
{
	return ring->split.avail + 4 + 2 * (size_t)(i & (ring->config.size - 1));
}
static const uint8_t *used_event(const struct vring *ring)
{
	return ring->split.avail + 4 + 2 * (size_t)ring->config.size;
}

static void used_dirty(const struct vring *ring, uint64_t offset, uint64_t len_bytes)
{
	ring->mem->dirty(ring->split.used_ram, ring->split.used_offset + offset, len_bytes);
}

static bool split_legal(const struct vring_config *config)
{
	return !(config->size & (config->size - 1)) && !(config->desc & 15) && !(config->driver & 1) &&
	       !(config->device & 3);
}

static bool split_map(struct vring *ring)
{
	uint64_t size = ring->config.size;
	struct mt_iov part;

	if (!vring_part_map(ring, ring->config.desc, size * VRING_DESC_BYTES, false, &part))
		return false;
	ring->split.desc = part.hva;
	if (!vring_part_map(ring, ring->config.driver, 6 + 2 * size, false, &part))
		return false;
	ring->split.avail = part.hva;
	if (!vring_part_map(ring, ring->config.device, 6 + 8 * size, true, &part))
		return false;
	ring->split.used = part.hva;
	ring->split.used_ram = part.ram;
	ring->split.used_offset = part.ram_offset;
	return true;
}

/* Descriptors */

static bool table_indirect(struct vring *ring, const struct desc *desc, struct vring_table *table)
{
	if (desc->flags & F_NEXT)
		return vring_break(ring, "an indirect descriptor has a successor"), false;
	return vring_table_open(ring, desc->gpa, desc->len_bytes, table);
}

/* A loop shows itself by more hops than the table has descriptors. */
static enum vring_fetch chain_walk(struct vring *ring, struct vring_elem *elem, uint16_t head)
{
	struct vring_table table = { ring->split.desc, 0, ring->config.size };
	bool indirect = false, later = false;
	uint32_t index = head, hops = 0;
	struct desc desc;

	for (;;) {
		if (index >= table.count)
			return vring_break(ring, "a descriptor index is beyond its table");
		if (hops++ == table.count || hops > VRING_PIECES_MAX + 1)
			return vring_break(ring, "a chain of descriptors is a loop or too long");
		if (!vring_table_read(ring, &table, index, &desc))
			return vring_break(ring, "an indirect table is not in memory");
		if (desc.flags & F_INDIRECT) {
			if (indirect)
				return vring_break(ring, "an indirect table is in an indirect table");
			if (!table_indirect(ring, &desc, &table))
				return VRING_BROKEN;
			indirect = true;
			index = hops = 0;
			continue;
		}
		if (!vring_elem_add(ring, elem, desc.gpa, desc.len_bytes, desc.flags & F_WRITE, &later))
			return later ? VRING_LATER : VRING_BROKEN;
		if (!(desc.flags & F_NEXT))
			return VRING_GOT;
		index = desc.next;
	}
}

/* Available ring */

/*
 * Asks for a kick at the next entry. Race with the driver, which adds an entry and then reads the event index:
 * the fence makes one of both see the other's store, so either the driver kicks or we see its entry.
 */
static void kick_arm(struct vring *ring)
{
	if (!ring->config.event_idx || ring->quiet)
		return;
	store16(avail_event(ring), ring->split.next_avail);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool avail_look(struct vring *ring)
{
	ring->split.shadow_avail = load16(avail_idx(ring));
	return ring->split.shadow_avail != ring->split.next_avail;
}

static bool avail_any(struct vring *ring)
{
	if (ring->split.shadow_avail != ring->split.next_avail || avail_look(ring))
		return true;
	kick_arm(ring);
	return avail_look(ring);
}

static enum vring_fetch split_fetch(struct vring *ring, struct vring_elem *elem)
{
	enum vring_fetch got;
	uint16_t head;

	if (!avail_any(ring))
		return VRING_EMPTY;
	if ((uint16_t)(ring->split.shadow_avail - ring->split.next_avail) > ring->config.size)
		return vring_break(ring, "the available index jumped");
	if (ring->in_flight >= ring->config.size)
		return vring_break(ring, "more requests are in flight than the ring holds");
	head = load16(avail_entry(ring, ring->split.next_avail));
	got = chain_walk(ring, elem, head);
	if (got == VRING_GOT) {
		elem->head = head;
		ring->split.next_avail++;
	}
	return got;
}

static void split_back(struct vring *ring, const struct vring_elem *elem)
{
	(void)elem;
	ring->split.next_avail--;
}

/* Used ring */

static void split_put(struct vring *ring, const struct vring_elem *elem, uint32_t written)
{
	uint32_t entry[2] = { elem->head, written };

	memcpy(used_entry(ring, ring->split.put_used++), entry, sizeof(entry));
}

static void used_entries_dirty(const struct vring *ring, uint16_t from, uint16_t to)
{
	uint32_t first = from & (ring->config.size - 1), count = (uint16_t)(to - from);

	if (first + count > ring->config.size) {
		used_dirty(ring, 4, 8 * (uint64_t)(first + count - ring->config.size));
		count = ring->config.size - first;
	}
	used_dirty(ring, 4 + 8 * (uint64_t)first, 8 * (uint64_t)count);
}

/* The entries are marked before the index shows them, the index before the interrupt. */
static void split_publish(struct vring *ring)
{
	if (ring->split.put_used == ring->split.next_used)
		return;
	used_entries_dirty(ring, ring->split.next_used, ring->split.put_used);
	ring->split.next_used = ring->split.put_used;
	store16(used_idx(ring), ring->split.next_used);
	used_dirty(ring, 2, 2);
}

/* Section 2.7.7.1: the driver wants an interrupt when `event` lies in (old, now]. */
static bool event_passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* Race with the driver, which writes the event index and then looks at the used index: as in kick_arm. */
static bool split_wants_signal(struct vring *ring)
{
	uint16_t now = ring->split.next_used, old = ring->split.signalled_used;

	if (now == old)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ring->split.signalled_used = now;
	if (!ring->config.event_idx)
		return !(load16(ring->split.avail) & AVAIL_NO_INTERRUPT);
	return event_passed(load16(used_event(ring)), now, old);
}

static bool split_kicks(struct vring *ring, bool wanted)
{
	if (!ring->config.event_idx)
		store16(used_flags(ring), wanted ? 0 : USED_NO_NOTIFY);
	else if (wanted)
		kick_arm(ring);
	if (!wanted)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return avail_look(ring);
}

const struct vring_layout vring_split = {
	.legal = split_legal,
	.map = split_map,
	.fetch = split_fetch,
	.put = split_put,
	.back = split_back,
	.publish = split_publish,
	.wants_signal = split_wants_signal,
	.kicks = split_kicks,
};
