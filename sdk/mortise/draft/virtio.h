/* SPDX-License-Identifier: MIT */
/*
 * Virtio 1.2. Rings belong to the kernel: a device sees requests as bounded lists of guest memory, a transport
 * sees registers, neither sees a ring. A device names its transport in the REF property `bus` (role
 * "mortise.virtio-bus/1") and is not MT_CLASS_PARALLEL: its instance lock covers its queues.
 * Section numbers are of the OASIS Virtio 1.2 specification.
 */
#ifndef MORTISE_VIRTIO_H
#define MORTISE_VIRTIO_H

#include "dma.h"

#define MT_IFACE_VIRTQUEUE     "mortise.virtqueue/1"      /* host, for devices */
#define MT_IFACE_VIRTIO_DEVICE "mortise.virtio-device/1"  /* role of a device */
#define MT_IFACE_VIRTIO_BUS    "mortise.virtio-bus/1"     /* role of a transport */
#define MT_IFACE_VIRTIO_TRANSPORT "mortise.virtio-transport/1" /* host, for transports */

/* Status bits, section 2.1. */
#define MT_VIRTIO_ACKNOWLEDGE 1u
#define MT_VIRTIO_DRIVER      2u
#define MT_VIRTIO_DRIVER_OK   4u
#define MT_VIRTIO_FEATURES_OK 8u
#define MT_VIRTIO_NEEDS_RESET 64u
#define MT_VIRTIO_FAILED      128u

/* Reserved feature bits that the kernel serves for every device, section 6. */
#define MT_VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define MT_VIRTIO_F_EVENT_IDX     (1ull << 29)
#define MT_VIRTIO_F_VERSION_1     (1ull << 32)
#define MT_VIRTIO_F_RING_PACKED   (1ull << 34)

#define MT_VIRTIO_QUEUES_MAX 64u

struct mt_virtio_desc {
	uint32_t size;
	uint32_t device_id;              /* section 5 */
	uint64_t features;               /* the device's own bits; the kernel adds the reserved ones it serves */
	uint32_t config_bytes;
	uint32_t queue_count;
	uint16_t queue_max[64];          /* largest ring of each queue, a power of two */
};

struct mt_virtio_device {
	/* [main] after realize; constant from then on */
	void (*describe)(void *self, struct mt_virtio_desc *out);
	/* [vcpu] configuration space; `offset` + `len_bytes` lie inside it */
	void (*config_read)(void *self, uint32_t offset, void *buf, uint32_t len_bytes);
	void (*config_write)(void *self, uint32_t offset, const void *buf, uint32_t len_bytes);
	/* [vcpu] the driver has accepted `features` and set DRIVER_OK; queues may be used from now on */
	void (*start)(void *self, uint64_t features);
	/*
	 * [vcpu] or [main] the driver reset the device, or the machine did. When it returns nothing of the
	 * device touches guest memory any more: drain or cancel what is in flight, forget elements and
	 * queues.
	 */
	void (*stop)(void *self);
	/* [vcpu] or [io] the driver kicked `queue`; pop until empty */
	void (*notify)(void *self, uint32_t queue);
};

/* One request. The arrays belong to the kernel until it is pushed back. Hot: no size. */
struct mt_vq_elem {
	uint32_t id;                     /* the kernel's own */
	uint32_t out_count, in_count;    /* pieces that the device reads, and that it writes */
	const struct mt_iov *out, *in;
	uint64_t out_bytes, in_bytes;
	void *user;                      /* the device's */
};

struct mt_vq;

struct mt_virtqueue_host {
	/* [main] or [vcpu] in start: queue by index; NULL when the driver did not enable it */
	struct mt_vq *(*queue)(struct mt_inst *inst, uint32_t index);
	/* [vcpu] or [io] under the instance lock. Takes up to `max` requests; a broken ring takes none and sets
	 * NEEDS_RESET. An element stays where the kernel put it until it is pushed. Fewer than `max`: the
	 * ring was
	 * empty, and the driver will kick at the next request (unless `kicks` said no). */
	uint32_t (*pop)(struct mt_vq *vq, struct mt_vq_elem **elems, uint32_t max);
	/* [vcpu] or [io] under the instance lock. Gives requests back; written[i] bytes of elems[i]'s in-pieces
	 * were written, from their start. Marks them dirty. Does not interrupt: see `signal`. */
	void (*push)(struct mt_vq *vq, struct mt_vq_elem *const *elems, const uint32_t *written, uint32_t count);
	/* [vcpu] or [io] interrupts the driver if it wants to be, once for all pushed before */
	void (*signal)(struct mt_vq *vq);
	/* [vcpu] or [io] asks the driver for no kicks while the device polls (0), or for kicks again (1). After 1
	 * returns non-zero there are requests already: pop again. */
	uint32_t (*kicks)(struct mt_vq *vq, uint32_t wanted);
	/* [any] copies between a request and a buffer, `offset` bytes into its out (in) pieces; the bytes copied.
	 * Headers are copied once, by this. */
	uint64_t (*copy_out)(const struct mt_vq_elem *elem, uint64_t offset, void *buf, uint64_t len_bytes);
	uint64_t (*copy_in)(const struct mt_vq_elem *elem, uint64_t offset, const void *buf, uint64_t len_bytes);
	/* [any] the configuration space changed: tells the driver */
	void (*config_changed)(struct mt_inst *inst);
	/* [any] the device cannot go on until it is reset: NEEDS_RESET */
	void (*broken)(struct mt_inst *inst, const char *why);
	/* [vcpu] or [io] under the instance lock. Puts back the requests that were popped last, in the order of pop:
	 * the next pop brings them again. */
	void (*unpop)(struct mt_vq *vq, struct mt_vq_elem *const *elems, uint32_t count);
};

/* The kernel's handle of the device behind a transport. */
struct mt_vdev;

/* Role of a transport. */
struct mt_virtio_bus {
	/* [any] the device wants to interrupt: queue index, or MT_VIRTIO_CONFIG. Called without the lock. */
	void (*interrupt)(void *self, uint32_t source);
};
#define MT_VIRTIO_CONFIG 0xffffffffu

struct mt_virtio_transport {
	/* [main] in reset or later (not in realize): the device on this bus; NULL: the slot is empty. The handle
	 * lives as long as the bus; a device that went away answers as one that needs a reset. */
	struct mt_vdev *(*device)(struct mt_inst *bus);
	/* all of the following: [vcpu] or [main]. They take the device's lock, so the transport holds none of its
	 * own that `interrupt` takes. */
	uint32_t (*device_id)(struct mt_vdev *vdev);
	uint64_t (*features)(struct mt_vdev *vdev);
	void (*set_driver_features)(struct mt_vdev *vdev, uint64_t features);
	uint8_t (*status)(struct mt_vdev *vdev);
	/* 0 resets, and has reset when it returns; checks the order of 3.1 */
	void (*set_status)(struct mt_vdev *vdev, uint8_t status);
	uint32_t (*config_generation)(struct mt_vdev *vdev);
	/* width 1, 2, 4 or 8; MT_BUS_OK, or MT_BUS_DEVICE outside the configuration space */
	uint32_t (*config_read)(struct mt_vdev *vdev, uint32_t offset, uint32_t width, uint64_t *value);
	uint32_t (*config_write)(struct mt_vdev *vdev, uint32_t offset, uint32_t width, uint64_t value);
	uint32_t (*queue_count)(struct mt_vdev *vdev);
	uint32_t (*queue_max)(struct mt_vdev *vdev, uint32_t queue);       /* 0: no such queue */
	/* the parts of the ring, guest-physical; taken by the next queue_enable */
	void (*queue_set)(struct mt_vdev *vdev, uint32_t queue, uint32_t ring_size, uint64_t desc, uint64_t driver,
			  uint64_t device);
	void (*queue_enable)(struct mt_vdev *vdev, uint32_t queue, uint32_t enable);
	uint32_t (*queue_enabled)(struct mt_vdev *vdev, uint32_t queue);
	void (*notify)(struct mt_vdev *vdev, uint32_t queue);
	/* [main] in reset, before the driver looks: takes INDIRECT_DESC, EVENT_IDX, RING_PACKED out of `features` */
	void (*withhold)(struct mt_vdev *vdev, uint64_t features);
	/*
	 * [main] after realize, once for a queue: from now on a write of `width` bytes at `offset` of
	 * `region` (with match_queue of the queue's number, which is its value) kicks `queue` through an
	 * eventfd. The device's own loop serves it, and the vCPU goes on at once. Other writes stay the
	 * transport's. Ends with the device; the region outlives it. 0, or a negative code with `err`: kicks
	 * stay the transport's.
	 */
	int (*kick_by_eventfd)(struct mt_vdev *vdev, uint32_t queue, struct mt_region *region, uint64_t offset,
			       uint32_t width, uint32_t match_queue, struct mt_error *err);
};

#endif
