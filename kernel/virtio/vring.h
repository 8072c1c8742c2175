/* SPDX-License-Identifier: MIT */
/*
 * A virtqueue: elements (one request each, with its pieces of guest memory) and the split ring that they come
 * from, Virtio 1.2 section 2.7. Everything in guest memory is hostile: each word is read once, every chain has
 * a bound in hops, pieces and bytes, and whatever breaks a rule breaks the queue (vring.broken), never the host.
 * Called under the lock of the device; nothing here blocks.
 * What knows the split layout is behind struct vring_layout, so that the packed one can stand beside it.
 */
#ifndef KERNEL_VIRTIO_VRING_H
#define KERNEL_VIRTIO_VRING_H

#include <mortise/draft/virtio.h>

#include "kernel/virtio/mem.h"

#define VRING_SIZE_MAX      32768u
#define VRING_PIECES_MAX    1024u            /* of one element */
#define VRING_BYTES_MAX     (1ull << 30)     /* of one direction of an element */
#define VRING_QUOTA_PIECES  65536u           /* of all elements in flight, plus 64 an entry of the ring */

struct vring;

struct vring_elem {
	struct mt_vq_elem pub;               /* first: the device's pointer is ours */
	struct vmem_hold *hold;
	struct mt_iov *pieces;
	uint32_t capacity;
	uint16_t head;
	bool live;
	struct vring_elem *next_free;
};

struct vring_config {
	uint32_t size;
	uint64_t desc, driver, device;       /* guest-physical */
	bool event_idx, indirect;
};

enum vring_fetch { VRING_EMPTY, VRING_GOT, VRING_LATER, VRING_BROKEN };

struct vring_layout {
	bool (*map)(struct vring *ring);
	enum vring_fetch (*fetch)(struct vring *ring, struct vring_elem *elem);
	void (*put)(struct vring *ring, const struct vring_elem *elem, uint32_t written);
	void (*publish)(struct vring *ring);
	bool (*wants_signal)(struct vring *ring);
	bool (*kicks)(struct vring *ring, bool wanted);
};

struct vring {
	const struct vmem *mem;
	const struct vring_layout *layout;
	struct vring_config config;
	bool started;
	const char *broken;                  /* why; NULL: sound */
	bool starved;                        /* pop stopped at a quota: a push makes room */
	bool quiet;                          /* the device polls and wants no kicks */

	struct vmem_hold *current;           /* NULL while idle */
	uint64_t mapped_generation;
	bool mapped;
	struct {
		const uint8_t *desc;
		uint8_t *avail, *used;
		struct mt_ram *used_ram;
		uint64_t used_offset;
		uint16_t next_avail, shadow_avail;
		uint16_t next_used, put_used, signalled_used;
	} split;

	struct vring_elem **pool;            /* all that were ever needed, at most config.size */
	uint32_t pool_count, pool_capacity;
	struct vring_elem *free;
	uint32_t in_flight, pieces_in_flight;
};

void vring_init(struct vring *ring, const struct vmem *mem);
void vring_fini(struct vring *ring);
/* The driver enabled the queue. False: sizes or addresses that no ring may have. */
bool vring_start(struct vring *ring, const struct vring_config *config);
/* Forgets all elements; pushes of them do nothing from now on. */
void vring_stop(struct vring *ring);

/* As the functions of mt_virtqueue_host. */
uint32_t vring_pop(struct vring *ring, struct mt_vq_elem **elems, uint32_t max);
void vring_push(struct vring *ring, struct mt_vq_elem *const *elems, const uint32_t *written, uint32_t count);
bool vring_wants_signal(struct vring *ring);
bool vring_kicks(struct vring *ring, bool wanted);

/* For layouts: one descriptor's memory joins the element. False: the ring is broken (or *later). */
bool vring_elem_add(struct vring *ring, struct vring_elem *elem, uint64_t gpa, uint64_t len_bytes, bool write,
		    bool *later);
/* For layouts: marks the queue broken; returns VRING_BROKEN. */
enum vring_fetch vring_break(struct vring *ring, const char *why);

extern const struct vring_layout vring_split;

/* Copies; see mt_virtqueue_host. */
uint64_t vring_copy_out(const struct mt_vq_elem *elem, uint64_t offset, void *buf, uint64_t len_bytes);
uint64_t vring_copy_in(const struct mt_vq_elem *elem, uint64_t offset, const void *buf, uint64_t len_bytes);

#endif
