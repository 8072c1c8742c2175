/* SPDX-License-Identifier: MIT */
/*
 * The virtqueue service of devices: mt_vq handles over rings. [vcpu] and [io] under the device's instance lock, as
 * the header says of each function; a ring that broke is reported here, once.
 */
#include "kernel/virtio/vdev.h"

#include "kernel/machine/dma.h"

static struct mt_vq *queue_get(struct mt_inst *inst, uint32_t index)
{
	struct mt_vdev *vdev = vdev_of_device(inst);

	if (!vdev || index >= vdev->desc.queue_count || !vdev->queues[index].enabled)
		return NULL;
	return &vdev->queues[index];
}

static void report_broken(struct mt_vq *vq)
{
	if (!vq->ring.broken || vq->told_broken)
		return;
	vq->told_broken = true;
	vdev_broken(vq->vdev, vq->ring.broken);
}

static uint32_t queue_pop(struct mt_vq *vq, struct mt_vq_elem **elems, uint32_t max)
{
	uint32_t n = vq->vdev->held ? 0 : vring_pop(&vq->ring, elems, max);

	if (vq->ring.broken)
		report_broken(vq);
	return n;
}

static void queue_push(struct mt_vq *vq, struct mt_vq_elem *const *elems, const uint32_t *written, uint32_t count)
{
	vring_push(&vq->ring, elems, written, count);
	if (vq->ring.starved) {
		vq->ring.starved = false;
		vdev_notify_later(vq);
	}
	if (vq->ring.broken)
		report_broken(vq);
}

static void queue_unpop(struct mt_vq *vq, struct mt_vq_elem *const *elems, uint32_t count)
{
	vring_unpop(&vq->ring, elems, count);
}

/* What the driver wants cannot be read while the bus is out of reach: one interrupt too many is legal, 2.7.7.2. */
static void queue_signal(struct mt_vq *vq)
{
	if (!dma_gate_open(vq->vdev->gate) || vring_wants_signal(&vq->ring))
		vdev_interrupt(vq->vdev, vq->index);
}

static uint32_t queue_kicks(struct mt_vq *vq, uint32_t wanted)
{
	return vring_kicks(&vq->ring, wanted);
}

static void config_changed(struct mt_inst *inst)
{
	struct mt_vdev *vdev = vdev_of_device(inst);

	if (vdev)
		vdev_config_changed(vdev);
}

static void broken(struct mt_inst *inst, const char *why)
{
	struct mt_vdev *vdev = vdev_of_device(inst);

	if (vdev)
		vdev_broken(vdev, why);
}

const struct mt_virtqueue_host virtqueue_host = {
	.queue = queue_get,
	.pop = queue_pop,
	.push = queue_push,
	.signal = queue_signal,
	.kicks = queue_kicks,
	.copy_out = vring_copy_out,
	.copy_in = vring_copy_in,
	.config_changed = config_changed,
	.broken = broken,
	.unpop = queue_unpop,
};
