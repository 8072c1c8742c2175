/* SPDX-License-Identifier: MIT */
/*
 * A virtqueue: elements (one request each, with its pieces of guest memory) and the ring that they come
 * from, Virtio 1.2 sections 2.7 and 2.8. Everything in guest memory is hostile: each word is read once, every chain has
 * a bound in hops, pieces and bytes, and whatever breaks a rule breaks the queue (vring.broken), never the host.
 * Called under the lock of the device; nothing here blocks.
 * What knows the split or the packed layout is behind struct vring_layout.
 */
#ifndef KERNEL_VIRTIO_VRING_H
#define KERNEL_VIRTIO_VRING_H

#include <mortise/draft/virtio.h>

#include "kernel/virtio/mem.h"

#define VRING_SIZE_MAX      32768u
#define VRING_DESC_BYTES    16u
#define VRING_PIECES_MAX    1024u            /* of one element */
#define VRING_BYTES_MAX     (1ull << 30)     /* of one direction of an element */
#define VRING_QUOTA_PIECES  65536u           /* of all elements in flight, plus 64 an entry of the ring */

struct vring;

struct vring_elem {
	struct mt_vq_elem pub;               /* first: the device's pointer is ours */
	struct vmem_hold *hold;
	struct mt_iov *pieces;
	uint32_t capacity;
	uint16_t head;                       /* of the chain; packed: the driver's id of it */
	uint16_t slots;                      /* packed: descriptors of the ring that it took */
	bool live;
	uint64_t order;                      /* in which it was popped */
	struct vring_elem *next_free;        /* or the next to be popped again */
};

struct vring_config {
	uint32_t size;
	uint64_t desc, driver, device;       /* guest-physical */
	bool event_idx, indirect, packed;
};

enum vring_fetch { VRING_EMPTY, VRING_GOT, VRING_LATER, VRING_BROKEN };

struct vring_layout {
	bool (*legal)(const struct vring_config *config);
	bool (*map)(struct vring *ring);
	enum vring_fetch (*fetch)(struct vring *ring, struct vring_elem *elem);
	void (*put)(struct vring *ring, const struct vring_elem *elem, uint32_t written);
	void (*back)(struct vring *ring, const struct vring_elem *elem);     /* undoes the last fetch */
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
	struct {
		uint8_t *desc, *device;
		const uint8_t *driver;
		struct mt_ram *desc_ram, *device_ram;
		uint64_t desc_offset, device_offset;
		uint32_t next_avail, next_used;
		bool avail_wrap, used_wrap;
		uint32_t slots_in_flight, slots_unsignalled;
		uint32_t first, put;         /* where the entries begin that are not published, and how many */
		uint16_t first_flags;
	} packed;

	struct vring_elem **pool;            /* all that were ever needed, at most config.size */
	uint32_t pool_count, pool_capacity;
	struct vring_elem *free;
	uint32_t in_flight, pieces_in_flight;
	uint64_t next_order;
	struct vring_elem *redo, **redo_end; /* live ones that the device has yet to see: in flight when it was saved */
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
void vring_unpop(struct vring *ring, struct mt_vq_elem *const *elems, uint32_t count);
bool vring_wants_signal(struct vring *ring);
bool vring_kicks(struct vring *ring, bool wanted);

/* A request that was in flight when the ring was saved. */
struct vring_saved {
	uint16_t head, slots;                /* as in vring_elem */
	uint32_t out_count, count;           /* pieces: those that the device reads come first */
	const uint64_t *gpa, *len_bytes;
};

/*
 * For a ring that was started: the device gets the request from the next pops, in the order of these calls. False: no
 * memory of the guest, or beyond a bound.
 */
bool vring_redo(struct vring *ring, const struct vring_saved *saved);

/* For layouts: one descriptor's memory joins the element. False: the ring is broken (or *later). */
bool vring_elem_add(struct vring *ring, struct vring_elem *elem, uint64_t gpa, uint64_t len_bytes, bool write,
		    bool *later);
/* For layouts: marks the queue broken; returns VRING_BROKEN. */
enum vring_fetch vring_break(struct vring *ring, const char *why);

/* For layouts: a part of the ring, which lies in one piece of memory. False: the ring is broken. */
bool vring_part_map(struct vring *ring, uint64_t gpa, uint64_t len_bytes, bool write, struct mt_iov *part);

/* For layouts: a table of descriptors that a chain is walked in: the ring's own, or an indirect one. */
struct vring_table {
	const uint8_t *at;                   /* NULL: not contiguous, read through `gpa` */
	uint64_t gpa;
	uint32_t count;
};

/* An indirect table. False: the ring is broken. */
bool vring_table_open(struct vring *ring, uint64_t gpa, uint32_t len_bytes, struct vring_table *table);
/* Copies one descriptor. False: it is not in memory. */
bool vring_table_read(struct vring *ring, const struct vring_table *table, uint32_t index, void *desc);

extern const struct vring_layout vring_split, vring_packed;

/* Copies; see mt_virtqueue_host. */
uint64_t vring_copy_out(const struct mt_vq_elem *elem, uint64_t offset, void *buf, uint64_t len_bytes);
uint64_t vring_copy_in(const struct mt_vq_elem *elem, uint64_t offset, const void *buf, uint64_t len_bytes);

#endif
