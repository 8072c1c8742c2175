/* SPDX-License-Identifier: MIT */
/*
 * The virtio part of a snapshot: what drivers have agreed with each device, where its rings stand, and the requests
 * that devices hold. [main], the machine paused, no instance lock held. Memory is as it was, but the words of a
 * request are not read from the ring again: a request that is in flight is saved with its pieces, and the device
 * gets it from pop once more, before all others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/state.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/machine.h"
#include "kernel/state/part.h"
#include "kernel/virtio/vdev.h"

#define ID_BYTES 128u

/* A queue as it is written. */
struct queue_record {
	uint32_t size;
	uint64_t desc, driver, device;
	uint8_t enabled, broken, told_broken, quiet;
};

static const struct mt_state_field queue_fields[] = {
	MT_STATE_VAR(struct queue_record, size, UINT32_MAX),
	MT_STATE_VAR(struct queue_record, desc, UINT64_MAX),
	MT_STATE_VAR(struct queue_record, driver, UINT64_MAX),
	MT_STATE_VAR(struct queue_record, device, UINT64_MAX),
	MT_STATE_VAR(struct queue_record, enabled, 1),
	MT_STATE_VAR(struct queue_record, broken, 1),
	MT_STATE_VAR(struct queue_record, told_broken, 1),
	MT_STATE_VAR(struct queue_record, quiet, 1),
};
static const struct mt_state_table queue_table = MT_STATE_TABLE(struct queue_record, queue_fields);

/* Where a ring that runs stands; by its layout. Between calls of the device nothing is put and not published. */
static const struct mt_state_field split_fields[] = {
	MT_STATE_VAR(struct vring, split.next_avail, UINT16_MAX),
	MT_STATE_VAR(struct vring, split.next_used, UINT16_MAX),
	MT_STATE_VAR(struct vring, split.signalled_used, UINT16_MAX),
};
static const struct mt_state_table split_table = MT_STATE_TABLE(struct vring, split_fields);

static const struct mt_state_field packed_fields[] = {
	MT_STATE_VAR(struct vring, packed.next_avail, VRING_SIZE_MAX - 1),
	MT_STATE_VAR(struct vring, packed.next_used, VRING_SIZE_MAX - 1),
	MT_STATE_VAR(struct vring, packed.avail_wrap, 1),
	MT_STATE_VAR(struct vring, packed.used_wrap, 1),
	MT_STATE_VAR(struct vring, packed.slots_unsignalled, UINT32_MAX),
};
static const struct mt_state_table packed_table = MT_STATE_TABLE(struct vring, packed_fields);

/* A device as it is written. */
struct device_record {
	uint32_t device_id, status, generation;
	uint64_t driver_features;
	uint8_t running;
};

static const struct mt_state_field device_fields[] = {
	MT_STATE_VAR(struct device_record, device_id, UINT32_MAX),
	MT_STATE_VAR(struct device_record, status, UINT8_MAX),
	MT_STATE_VAR(struct device_record, generation, UINT32_MAX),
	MT_STATE_VAR(struct device_record, driver_features, UINT64_MAX),
	MT_STATE_VAR(struct device_record, running, 1),
};
static const struct mt_state_table device_table = MT_STATE_TABLE(struct device_record, device_fields);

/* Saving. */

static void elem_save(const struct vring_elem *elem, struct mt_state_out *out, const struct mt_state_writer *w)
{
	uint32_t count = elem->pub.out_count + elem->pub.in_count;
	uint64_t *gpa = g_new0(uint64_t, count + 1), *len = g_new0(uint64_t, count + 1);

	for (uint32_t i = 0; i < count; i++) {
		gpa[i] = vmem_gpa(elem->hold, &elem->pieces[i]);
		len[i] = elem->pieces[i].len_bytes;
	}
	w->begin(out, "request", 0);
	w->put(out, "head", MT_STATE_U16, 0, &elem->head, 1);
	w->put(out, "slots", MT_STATE_U16, 0, &elem->slots, 1);
	w->put(out, "out-count", MT_STATE_U32, 0, &elem->pub.out_count, 1);
	w->put(out, "gpa", MT_STATE_U64, 0, gpa, count);
	w->put(out, "len", MT_STATE_U64, 0, len, count);
	w->end(out);
	g_free(gpa);
	g_free(len);
}

static int by_order(const void *a, const void *b)
{
	uint64_t x = (*(const struct vring_elem *const *)a)->order, y = (*(const struct vring_elem *const *)b)->order;

	return x < y ? -1 : x > y;
}

/* In the order in which they were popped. */
static void elems_save(const struct vring *ring, struct mt_state_out *out, const struct mt_state_writer *w)
{
	const struct vring_elem **live = g_new0(const struct vring_elem *, ring->pool_count + 1);
	size_t count = 0;

	for (uint32_t i = 0; i < ring->pool_count; i++)
		if (ring->pool[i]->live)
			live[count++] = ring->pool[i];
	qsort(live, count, sizeof(*live), by_order);
	for (size_t i = 0; i < count; i++)
		elem_save(live[i], out, w);
	g_free(live);
}

static void queue_save(const struct mt_vq *vq, struct mt_state_out *out, const struct mt_state_writer *w)
{
	struct queue_record q = {
		.size = vq->config.size, .desc = vq->config.desc, .driver = vq->config.driver,
		.device = vq->config.device, .enabled = vq->enabled, .broken = vq->ring.broken != NULL,
		.told_broken = vq->told_broken, .quiet = vq->ring.quiet,
	};

	w->begin(out, "queue", 0);
	mt_state_save(out, w, &queue_table, &q);
	if (vq->enabled)
		mt_state_save(out, w, vq->config.packed ? &packed_table : &split_table, &vq->ring);
	/* of a queue that is broken nothing is done any more: what is in flight would end nowhere */
	if (vq->enabled && !vq->ring.broken)
		elems_save(&vq->ring, out, w);
	w->end(out);
}

static void device_save(struct mt_vdev *vdev, struct mt_state_out *out, const struct mt_state_writer *w)
{
	struct device_record d = {
		.device_id = vdev->desc.device_id, .status = vdev->status, .generation = vdev->generation,
		.driver_features = vdev->driver_features, .running = vdev->running,
	};

	inst_enter(vdev->dev);
	w->begin(out, "device", 0);
	w->put(out, "bus", MT_STATE_STRING, 0, vdev->bus->id, (uint32_t)strlen(vdev->bus->id));
	mt_state_save(out, w, &device_table, &d);
	for (uint32_t i = 0; i < vdev->desc.queue_count; i++)
		queue_save(&vdev->queues[i], out, w);
	w->end(out);
	inst_leave(vdev->dev);
}

static int part_save(struct machine *m, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	(void)err;
	for (unsigned i = 0; i < m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(m->insts, i);
		struct mt_vdev *vdev = inst_role(inst, MT_IFACE_VIRTIO_BUS) ? vdev_of_bus(inst) : NULL;

		if (vdev)
			device_save(vdev, out, w);
	}
	return 0;
}

/* Loading. */

static int elem_load(struct vring *ring, struct mt_state_in *in, const struct mt_state_reader *r)
{
	uint64_t gpa[VRING_PIECES_MAX], len[VRING_PIECES_MAX];
	struct vring_saved saved = { .gpa = gpa, .len_bytes = len };
	uint32_t type;
	int code = r->get(in, "head", MT_STATE_U16, &saved.head, 1);

	if (code == 0)
		code = r->get(in, "slots", MT_STATE_U16, &saved.slots, 1);
	if (code == 0)
		code = r->get(in, "out-count", MT_STATE_U32, &saved.out_count, 1);
	if (code == 0 && r->find(in, "gpa", &type, &saved.count) == 0 && saved.count > VRING_PIECES_MAX)
		return r->refuse(in, "gpa", "has too many pieces");
	if (code == 0)
		code = r->get(in, "gpa", MT_STATE_U64, gpa, saved.count);
	if (code == 0)
		code = r->get(in, "len", MT_STATE_U64, len, saved.count);
	if (code == 0 && saved.out_count > saved.count)
		return r->refuse(in, "out-count", "is more than there are pieces");
	if (code == 0 && !vring_redo(ring, &saved))
		return r->refuse(in, "gpa", ring->broken ? ring->broken : "cannot be a request of this queue");
	return code;
}

static int elems_load(struct mt_vq *vq, struct mt_state_in *in, const struct mt_state_reader *r)
{
	uint32_t type, count = 0;
	int code = 0;

	if (r->find(in, "request", &type, &count) < 0)
		return 0;
	if (!vq->enabled || vq->ring.broken)
		return r->refuse(in, "request", "is in a queue that does not run");
	for (uint32_t i = 0; code == 0 && i < count; i++) {
		code = r->begin(in, "request", i);
		if (code < 0)
			return code;
		code = elem_load(&vq->ring, in, r);
		r->end(in);
	}
	return code;
}

static int place_load(struct mt_vq *vq, struct mt_state_in *in, const struct mt_state_reader *r)
{
	struct vring *ring = &vq->ring;
	int code = mt_state_load(in, r, ring->config.packed ? &packed_table : &split_table, 1, ring);

	if (code < 0)
		return code;
	ring->split.shadow_avail = ring->split.next_avail;
	ring->split.put_used = ring->split.next_used;
	if (ring->config.packed &&
	    (ring->packed.next_avail >= ring->config.size || ring->packed.next_used >= ring->config.size))
		return r->refuse(in, "packed.next_avail", "or next_used lies beyond the ring");
	return 0;
}

static int queue_start(struct mt_vdev *vdev, struct mt_vq *vq, const struct queue_record *q, struct mt_state_in *in,
		       const struct mt_state_reader *r)
{
	int code;

	if (q->size > vdev->desc.queue_max[vq->index] || !vring_start(&vq->ring, &vq->config))
		return r->refuse(in, "size", "and the addresses are those of no ring");
	code = place_load(vq, in, r);
	vq->ring.quiet = q->quiet;
	if (q->broken)
		vq->ring.broken = "it was broken when it was saved";
	return code;
}

static int queue_load(struct mt_vdev *vdev, struct mt_vq *vq, struct mt_state_in *in,
		      const struct mt_state_reader *r)
{
	struct queue_record q;
	int code = mt_state_load(in, r, &queue_table, 1, &q);

	if (code < 0)
		return code;
	vq->config = (struct vring_config){ .size = q.size, .desc = q.desc, .driver = q.driver, .device = q.device };
	vdev_ring_features(vdev, &vq->config);
	if (q.enabled)
		code = queue_start(vdev, vq, &q, in, r);
	vq->enabled = q.enabled;
	vq->told_broken = q.told_broken;
	return code < 0 ? code : elems_load(vq, in, r);
}

static int queues_load(struct mt_vdev *vdev, struct mt_state_in *in, const struct mt_state_reader *r)
{
	uint32_t type, count = 0;
	int code = 0;

	r->find(in, "queue", &type, &count);
	if (count != vdev->desc.queue_count)
		return r->refuse(in, "queue", "is there in another number than the device has queues");
	for (uint32_t i = 0; code == 0 && i < count; i++) {
		code = r->begin(in, "queue", i);
		if (code < 0)
			return code;
		code = queue_load(vdev, &vdev->queues[i], in, r);
		r->end(in);
	}
	return code;
}

/* Running is more than a flag: the driver has said so, with features that the device has. */
static int status_load(struct mt_vdev *vdev, const struct device_record *d, struct mt_state_in *in,
		       const struct mt_state_reader *r)
{
	bool agreed = d->status & MT_VIRTIO_FEATURES_OK;

	if (d->device_id != vdev->desc.device_id)
		return r->refuse(in, "device_id", "is of another kind of device");
	if (agreed && (d->driver_features & ~vdev->desc.features || !(d->driver_features & MT_VIRTIO_F_VERSION_1)))
		return r->refuse(in, "driver_features", "has what the device does not offer");
	if (d->running && !(agreed && d->status & MT_VIRTIO_DRIVER_OK))
		return r->refuse(in, "running", "does not go with the status");
	vdev->driver_features = d->driver_features;
	vdev->status = d->status;
	vdev->generation = d->generation;
	vdev->running = d->running;
	return 0;
}

static int device_load(struct machine *m, struct mt_state_in *in, const struct mt_state_reader *r)
{
	struct device_record d;
	struct mt_inst *bus;
	struct mt_vdev *vdev = NULL;
	char id[ID_BYTES];
	int code = r->get(in, "bus", MT_STATE_STRING, id, sizeof(id));

	if (code == 0)
		code = mt_state_load(in, r, &device_table, 1, &d);
	if (code < 0)
		return code;
	bus = machine_find(m, id);
	if (bus && inst_role(bus, MT_IFACE_VIRTIO_BUS))
		vdev = vdev_of_bus(bus);
	if (!vdev)
		return r->refuse(in, "bus", "has no device");
	inst_enter(vdev->dev);
	code = status_load(vdev, &d, in, r);
	if (code == 0)
		code = queues_load(vdev, in, r);
	inst_leave(vdev->dev);
	return code;
}

static int part_load(struct machine *m, struct mt_state_in *in, const struct mt_state_reader *r, struct mt_error *err)
{
	uint32_t type, count = 0;
	int code = 0;

	(void)err;
	r->find(in, "device", &type, &count);
	for (uint32_t i = 0; code == 0 && i < count; i++) {
		code = r->begin(in, "device", i);
		if (code < 0)
			return code;
		code = device_load(m, in, r);
		r->end(in);
	}
	return code;
}

const struct state_part vdev_state_part = { "virtio", 1, part_save, part_load };
