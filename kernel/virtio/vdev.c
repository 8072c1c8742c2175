/* SPDX-License-Identifier: MIT */
/*
 * The device state machine of virtio (sections 2.1, 2.2, 3.1) and the transport's service. Called [vcpu] by
 * transports; every entry takes the device's instance lock, and calls the plugin under it. What the driver writes
 * out of order is ignored, not answered by an error: a guest may write what it likes.
 */
#include "kernel/virtio/vdev.h"

#include <string.h>

#include "kernel/machine/dma.h"
#include "kernel/machine/loop.h"
#include "kernel/machine/machine.h"
#include "kernel/machine/services.h"
#include "kernel/machine/space.h"

static const char vdev_key;          /* its address is the key of inst_data, on both sides */

#define STATUS_DEVICE (MT_VIRTIO_NEEDS_RESET)
/* What the rings can; a transport may keep them from the driver. */
#define FEATURES_RING (MT_VIRTIO_F_INDIRECT_DESC | MT_VIRTIO_F_EVENT_IDX | MT_VIRTIO_F_RING_PACKED)

static void vdev_put(struct mt_vdev *vdev)
{
	if (__atomic_sub_fetch(&vdev->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (uint32_t i = 0; i < vdev->desc.queue_count; i++)
		vring_fini(&vdev->queues[i].ring);
	g_free(vdev->queues);
	g_free(vdev);
}

static uint32_t status_load(const struct mt_vdev *vdev)
{
	return __atomic_load_n(&vdev->status, __ATOMIC_ACQUIRE);
}

void vdev_interrupt(struct mt_vdev *vdev, uint32_t source)
{
	vdev->bus_ops->interrupt(vdev->bus->self, source);
}

/* Section 2.1.2: the driver hears of it only when it had said DRIVER_OK. */
void vdev_broken(struct mt_vdev *vdev, const char *why)
{
	uint32_t old = __atomic_fetch_or(&vdev->status, MT_VIRTIO_NEEDS_RESET, __ATOMIC_ACQ_REL);

	if (old & MT_VIRTIO_NEEDS_RESET)
		return;
	log_message(vdev->bus->machine, vdev->dev, MT_LOG_GUEST, "the device needs a reset: %s", why);
	if (old & MT_VIRTIO_DRIVER_OK)
		vdev_interrupt(vdev, MT_VIRTIO_CONFIG);
}

void vdev_config_changed(struct mt_vdev *vdev)
{
	__atomic_add_fetch(&vdev->generation, 1, __ATOMIC_ACQ_REL);
	if (status_load(vdev) & MT_VIRTIO_DRIVER_OK)
		vdev_interrupt(vdev, MT_VIRTIO_CONFIG);
}

static void notify_posted(void *arg)
{
	struct mt_vq *vq = arg;
	struct mt_vdev *vdev = vq->vdev;

	inst_enter(vdev->dev);
	if (vdev->running && vq->enabled)
		vdev->ops->notify(vdev->dev->self, vq->index);
	inst_leave(vdev->dev);
	vdev_put(vdev);
}

void vdev_notify_later(struct mt_vq *vq)
{
	__atomic_add_fetch(&vq->vdev->refs, 1, __ATOMIC_RELAXED);
	loop_post(vq->vdev->dev->loop, notify_posted, vq);
}

static void vdev_set_held(struct mt_vdev *vdev, bool held)
{
	inst_enter(vdev->dev);
	vdev->held = held;
	for (uint32_t i = 0; !held && vdev->running && i < vdev->desc.queue_count; i++)
		if (vdev->queues[i].enabled)
			vdev_notify_later(&vdev->queues[i]);
	inst_leave(vdev->dev);
}

void vdev_hold(struct mt_inst *inst)
{
	struct mt_vdev *vdev = vdev_of_device(inst);

	if (vdev && vdev->dev == inst)
		vdev_set_held(vdev, true);
}

void vdev_release(struct mt_inst *inst)
{
	struct mt_vdev *vdev = vdev_of_device(inst);

	if (vdev && vdev->dev == inst)
		vdev_set_held(vdev, false);
}

void vdev_loaded(struct mt_inst *inst)
{
	struct mt_vdev *vdev = vdev_of_device(inst);

	if (!vdev || vdev->dev != inst || !vdev->running)
		return;
	inst_enter(inst);
	vdev->ops->start(inst->self, vdev->driver_features);
	inst_leave(inst);
}

/* Making and finding */

/* NULL while the transport may not master its bus: it notifies of the queues again when it may. */
static const struct mt_flat_view *mem_get(void *arg)
{
	const struct mt_vdev *vdev = arg;

	return dma_gate_open(vdev->gate) ? space_view_get(vdev->bus->machine->system) : NULL;
}

static void mem_put(void *arg, const struct mt_flat_view *view)
{
	const struct mt_vdev *vdev = arg;

	space_view_put(vdev->bus->machine->system, view);
}

static void released_by_bus(void *resource)
{
	vdev_put(resource);
}

static void gone_with_device(void *resource)
{
	struct mt_vdev *vdev = resource;

	for (uint32_t i = 0; i < vdev->desc.queue_count; i++)
		vring_stop(&vdev->queues[i].ring);
	vdev->gone = true;
	vdev->running = false;
	__atomic_fetch_or(&vdev->status, MT_VIRTIO_NEEDS_RESET, __ATOMIC_ACQ_REL);
}

static bool desc_legal(const struct mt_virtio_desc *desc)
{
	if (desc->queue_count == 0 || desc->queue_count > MT_VIRTIO_QUEUES_MAX || desc->config_bytes > 4096)
		return false;
	for (uint32_t i = 0; i < desc->queue_count; i++) {
		uint32_t max = desc->queue_max[i];

		if (max == 0 || max > VRING_SIZE_MAX || (max & (max - 1)))
			return false;
	}
	return true;
}

static struct mt_vdev *vdev_create(struct mt_inst *bus, struct mt_inst *dev)
{
	struct mt_vdev *vdev = g_new0(struct mt_vdev, 1);

	vdev->bus = bus;
	vdev->dev = dev;
	vdev->refs = 1;
	vdev->ops = inst_role(dev, MT_IFACE_VIRTIO_DEVICE);
	vdev->bus_ops = inst_role(bus, MT_IFACE_VIRTIO_BUS);
	vdev->mem = (struct vmem){ mem_get, mem_put, ram_mark_dirty, vdev };
	vdev->gate = dma_gate_of(bus);
	vdev->desc.size = sizeof(vdev->desc);
	vdev->ops->describe(dev->self, &vdev->desc);
	if (!vdev->bus_ops || !desc_legal(&vdev->desc) || dev->cls->flags & MT_CLASS_PARALLEL) {
		log_message(bus->machine, dev, MT_LOG_ERROR, "the plugin describes its virtio device wrongly");
		g_free(vdev);
		return NULL;
	}
	vdev->desc.features |= FEATURES_RING | MT_VIRTIO_F_VERSION_1;
	vdev->queues = g_new0(struct mt_vq, vdev->desc.queue_count);
	for (uint32_t i = 0; i < vdev->desc.queue_count; i++) {
		vring_init(&vdev->queues[i].ring, &vdev->mem);
		vdev->queues[i].vdev = vdev;
		vdev->queues[i].index = i;
	}
	return vdev;
}

static struct mt_inst *device_on(struct mt_inst *bus)
{
	struct mt_inst *found = NULL;

	for (guint i = 0; bus->refs_in && i < bus->refs_in->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(bus->refs_in, i);

		if (!inst_role(inst, MT_IFACE_VIRTIO_DEVICE))
			continue;
		if (found)
			log_message(bus->machine, inst, MT_LOG_ERROR, "the slot %s holds %s already", bus->id,
				    found->id);
		else
			found = inst;
	}
	return found;
}

struct mt_vdev *vdev_of_bus(struct mt_inst *bus)
{
	struct mt_vdev *vdev = inst_data_get(bus, &vdev_key);
	struct mt_inst *dev;

	if (vdev)
		return vdev;
	dev = device_on(bus);
	if (!dev)
		return NULL;
	vdev = vdev_create(bus, dev);
	if (!vdev)
		return NULL;
	inst_data_set(bus, &vdev_key, vdev);
	inst_data_set(dev, &vdev_key, vdev);
	inst_own(bus, released_by_bus, vdev);
	inst_own(dev, gone_with_device, vdev);
	return vdev;
}

struct mt_vdev *vdev_of_device(struct mt_inst *dev)
{
	return inst_data_get(dev, &vdev_key);
}

/* Status */

/* Features that the driver may leave out; VERSION_1 it may not. */
static bool features_legal(const struct mt_vdev *vdev)
{
	return !(vdev->driver_features & ~vdev->desc.features) && vdev->driver_features & MT_VIRTIO_F_VERSION_1;
}

static void vdev_reset(struct mt_vdev *vdev)
{
	if (vdev->running && !vdev->gone)
		vdev->ops->stop(vdev->dev->self);
	vdev->running = false;
	for (uint32_t i = 0; i < vdev->desc.queue_count; i++) {
		vring_stop(&vdev->queues[i].ring);
		vdev->queues[i].enabled = vdev->queues[i].told_broken = false;
		memset(&vdev->queues[i].config, 0, sizeof(vdev->queues[i].config));
	}
	vdev->driver_features = 0;
	__atomic_store_n(&vdev->status, vdev->gone ? MT_VIRTIO_NEEDS_RESET : 0, __ATOMIC_RELEASE);
}

static void vdev_start(struct mt_vdev *vdev)
{
	if (vdev->running || vdev->gone)
		return;
	vdev->running = true;
	vdev->ops->start(vdev->dev->self, vdev->driver_features);
}

/* Bits only come, in the order of section 3.1.1; what comes out of order is left out. */
static void status_advance(struct mt_vdev *vdev, uint32_t wanted)
{
	uint32_t old = status_load(vdev), add = wanted & ~old & ~STATUS_DEVICE;

	if (!(old & MT_VIRTIO_FEATURES_OK) && add & MT_VIRTIO_FEATURES_OK && !features_legal(vdev))
		add &= ~MT_VIRTIO_FEATURES_OK;
	if (!((old | add) & MT_VIRTIO_FEATURES_OK) || (old | add) & MT_VIRTIO_FAILED)
		add &= ~MT_VIRTIO_DRIVER_OK;
	__atomic_fetch_or(&vdev->status, add, __ATOMIC_ACQ_REL);
	if (add & MT_VIRTIO_DRIVER_OK)
		vdev_start(vdev);
}

static void set_status(struct mt_vdev *vdev, uint8_t status)
{
	inst_enter(vdev->dev);
	if (status == 0)
		vdev_reset(vdev);
	else
		status_advance(vdev, status);
	inst_leave(vdev->dev);
}

static uint8_t get_status(struct mt_vdev *vdev)
{
	return (uint8_t)status_load(vdev);
}

static uint32_t device_id(struct mt_vdev *vdev)
{
	return vdev->desc.device_id;
}

static uint64_t features(struct mt_vdev *vdev)
{
	return vdev->desc.features;
}

static void withhold(struct mt_vdev *vdev, uint64_t bits)
{
	inst_enter(vdev->dev);
	vdev->desc.features &= ~(bits & FEATURES_RING);
	inst_leave(vdev->dev);
}

static void set_driver_features(struct mt_vdev *vdev, uint64_t bits)
{
	inst_enter(vdev->dev);
	if (!(status_load(vdev) & MT_VIRTIO_FEATURES_OK))
		vdev->driver_features = bits;
	inst_leave(vdev->dev);
}

/* Configuration space */

static uint32_t config_generation(struct mt_vdev *vdev)
{
	return __atomic_load_n(&vdev->generation, __ATOMIC_ACQUIRE);
}

static bool config_inside(const struct mt_vdev *vdev, uint32_t offset, uint32_t width)
{
	return width <= 8 && width <= vdev->desc.config_bytes && offset <= vdev->desc.config_bytes - width;
}

static uint32_t config_read(struct mt_vdev *vdev, uint32_t offset, uint32_t width, uint64_t *value)
{
	*value = 0;
	if (!config_inside(vdev, offset, width))
		return MT_BUS_DEVICE;
	inst_enter(vdev->dev);
	if (!vdev->gone)
		vdev->ops->config_read(vdev->dev->self, offset, value, width);
	inst_leave(vdev->dev);
	return MT_BUS_OK;
}

static uint32_t config_write(struct mt_vdev *vdev, uint32_t offset, uint32_t width, uint64_t value)
{
	if (!config_inside(vdev, offset, width))
		return MT_BUS_DEVICE;
	inst_enter(vdev->dev);
	if (!vdev->gone)
		vdev->ops->config_write(vdev->dev->self, offset, &value, width);
	inst_leave(vdev->dev);
	return MT_BUS_OK;
}

/* Queues */

static struct mt_vq *queue_at(struct mt_vdev *vdev, uint32_t queue)
{
	return queue < vdev->desc.queue_count ? &vdev->queues[queue] : NULL;
}

static uint32_t queue_count(struct mt_vdev *vdev)
{
	return vdev->desc.queue_count;
}

static uint32_t queue_max(struct mt_vdev *vdev, uint32_t queue)
{
	return queue < vdev->desc.queue_count ? vdev->desc.queue_max[queue] : 0;
}

static void queue_set(struct mt_vdev *vdev, uint32_t queue, uint32_t ring_size, uint64_t desc, uint64_t driver,
		      uint64_t device)
{
	struct mt_vq *vq = queue_at(vdev, queue);

	if (!vq)
		return;
	inst_enter(vdev->dev);
	if (!vq->enabled)
		vq->config = (struct vring_config){ .size = ring_size, .desc = desc, .driver = driver,
						    .device = device };
	inst_leave(vdev->dev);
}

void vdev_ring_features(const struct mt_vdev *vdev, struct vring_config *config)
{
	config->event_idx = vdev->driver_features & MT_VIRTIO_F_EVENT_IDX;
	config->indirect = vdev->driver_features & MT_VIRTIO_F_INDIRECT_DESC;
	config->packed = vdev->driver_features & MT_VIRTIO_F_RING_PACKED;
}

static void queue_enable_locked(struct mt_vdev *vdev, struct mt_vq *vq)
{
	if (vq->enabled || vdev->running || vdev->gone || !(status_load(vdev) & MT_VIRTIO_FEATURES_OK))
		return;
	vdev_ring_features(vdev, &vq->config);
	if (vq->config.size > vdev->desc.queue_max[vq->index] || !vring_start(&vq->ring, &vq->config))
		vdev_broken(vdev, "a queue was enabled with an illegal size or address");
	else
		vq->enabled = true;
}

static void queue_enable(struct mt_vdev *vdev, uint32_t queue, uint32_t enable)
{
	struct mt_vq *vq = queue_at(vdev, queue);

	if (!vq)
		return;
	inst_enter(vdev->dev);
	if (enable) {
		queue_enable_locked(vdev, vq);
	} else if (!vdev->running) {   /* a running queue ends only with a reset of the device */
		vring_stop(&vq->ring);
		vq->enabled = false;
	}
	inst_leave(vdev->dev);
}

static uint32_t queue_enabled(struct mt_vdev *vdev, uint32_t queue)
{
	struct mt_vq *vq = queue_at(vdev, queue);
	uint32_t enabled;

	if (!vq)
		return 0;
	inst_enter(vdev->dev);
	enabled = vq->enabled;
	inst_leave(vdev->dev);
	return enabled;
}

void vdev_notify(struct mt_vdev *vdev, uint32_t queue)
{
	struct mt_vq *vq = queue_at(vdev, queue);

	if (!vq)
		return;
	inst_enter(vdev->dev);
	if (vdev->running && vq->enabled)
		vdev->ops->notify(vdev->dev->self, queue);
	inst_leave(vdev->dev);
}

const struct mt_virtio_transport virtio_transport_host = {
	.device = vdev_of_bus,
	.device_id = device_id,
	.features = features,
	.set_driver_features = set_driver_features,
	.status = get_status,
	.set_status = set_status,
	.config_generation = config_generation,
	.config_read = config_read,
	.config_write = config_write,
	.queue_count = queue_count,
	.queue_max = queue_max,
	.queue_set = queue_set,
	.queue_enable = queue_enable,
	.queue_enabled = queue_enabled,
	.notify = vdev_notify,
	.withhold = withhold,
	.kick_by_eventfd = vdev_kick_by_eventfd,
};
