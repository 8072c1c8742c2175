/* SPDX-License-Identifier: MIT */
/*
 * A virtio device between its transport and its plugin: status, features, queues.
 * Everything but the two atomic words is guarded by the device's instance lock. It is made for the bus, lives as
 * long as the bus, and learns when the device goes away first.
 */
#ifndef KERNEL_VIRTIO_VDEV_H
#define KERNEL_VIRTIO_VDEV_H

#include "kernel/machine/dma.h"
#include "kernel/machine/inst.h"
#include "kernel/virtio/virtio.h"
#include "kernel/virtio/vring.h"

struct mt_vq {
	struct vring ring;
	struct mt_vdev *vdev;
	uint32_t index;
	bool enabled, told_broken;
	struct vring_config config;          /* as the driver writes it; the ring takes it when it is enabled */
};

struct mt_vdev {
	struct mt_inst *dev, *bus;
	const struct mt_virtio_device *ops;
	const struct mt_virtio_bus *bus_ops;
	struct mt_virtio_desc desc;
	struct vmem mem;
	const struct dma_gate *gate;         /* of the bus; NULL: it has none */
	uint64_t driver_features;
	bool gone, running;
	bool held;                           /* the machine is paused: queues give nothing out */
	uint32_t refs;                       /* atomic: bus, and posted calls */
	uint32_t status, generation;         /* atomic: read and set from any thread */
	struct mt_vq *queues;
};

/* [main] The device of a bus instance, made at the first call; NULL: none refers to it. */
struct mt_vdev *vdev_of_bus(struct mt_inst *bus);
/* [any] The device of a device's instance; NULL before the bus asked for it. */
struct mt_vdev *vdev_of_device(struct mt_inst *dev);

/* What the driver agreed to, of the features that make a difference to a ring. */
void vdev_ring_features(const struct mt_vdev *vdev, struct vring_config *config);

/* [any] */
void vdev_broken(struct mt_vdev *vdev, const char *why);
void vdev_config_changed(struct mt_vdev *vdev);
/* [any] under the device's lock: tells the driver of a queue */
void vdev_interrupt(struct mt_vdev *vdev, uint32_t source);
/* [vcpu], [main] or [io]: as mt_virtio_transport */
void vdev_notify(struct mt_vdev *vdev, uint32_t queue);
int vdev_kick_by_eventfd(struct mt_vdev *vdev, uint32_t queue, struct mt_region *region, uint64_t offset,
			 uint32_t width, uint32_t match_queue, struct mt_error *err);
/* Calls the device's notify from its loop: there is room again. */
void vdev_notify_later(struct mt_vq *vq);

/*
 * [main] around quiesce and resume of an instance that may be a virtio device: meanwhile its queues give out nothing,
 * so that what a posted call would begin waits. vdev_release notifies of all queues.
 */
void vdev_hold(struct mt_inst *inst);
void vdev_release(struct mt_inst *inst);
/* [main] after the state of an instance was loaded: a device whose driver was at work starts. */
void vdev_loaded(struct mt_inst *inst);

struct state_part;
extern const struct state_part vdev_state_part;

#endif
