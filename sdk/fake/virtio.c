/* SPDX-License-Identifier: MIT */
/*
 * Virtqueues of the fake host: the device is under test, the test is its driver. No rings: a request is two runs of
 * memory, each in two pieces, so that a device which looks at the first piece only is found out. One thread.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PIECE 10u

struct fake_vq_req {
	struct mt_vq_elem elem;              /* first: the device's pointer is ours */
	struct mt_iov out[2], in[2];
	uint8_t *memory;
	uint32_t written;
	struct fake_vq_req *next;
};

static const struct mt_virtio_device *device(struct fake *f)
{
	const struct mt_virtio_device *d = fake_role(f, MT_IFACE_VIRTIO_DEVICE);

	if (!d)
		fake_die("%s is no virtio device", f->class_name);
	return d;
}

static uint32_t pieces(struct mt_iov iov[2], uint8_t *memory, uint32_t len)
{
	uint32_t first = len < FIRST_PIECE ? len : FIRST_PIECE;

	iov[0] = (struct mt_iov){ .hva = memory, .len_bytes = first };
	iov[1] = (struct mt_iov){ .hva = memory + first, .len_bytes = len - first };
	return len > first ? 2 : len ? 1 : 0;
}

static void list_add(struct fake_vq_req **list, struct fake_vq_req *req)
{
	while (*list)
		list = &(*list)->next;
	req->next = NULL;
	*list = req;
}

static struct fake_vq_req *list_take(struct fake_vq_req **list)
{
	struct fake_vq_req *req = *list;

	if (req)
		*list = req->next;
	return req;
}

static void list_remove(struct fake_vq_req **list, const struct fake_vq_req *req)
{
	while (*list && *list != req)
		list = &(*list)->next;
	if (!*list)
		fake_die("a request that the device does not hold");
	*list = req->next;
}

static struct mt_vq *queue_at(struct fake *f, uint32_t queue)
{
	if (queue >= MT_VIRTIO_QUEUES_MAX)
		fake_die("no queue %u", queue);
	return &f->vqs[queue];
}

/* The service */

static struct mt_vq *queue_get(struct mt_inst *inst, uint32_t index)
{
	struct mt_vq *vq = queue_at(inst->fake, index);

	vq->fake = inst->fake;
	return inst->fake->virtio_running && index < inst->fake->virtio_desc.queue_count ? vq : NULL;
}

static uint32_t pop(struct mt_vq *vq, struct mt_vq_elem **elems, uint32_t max)
{
	uint32_t n = 0;

	while (n < max && vq->avail && !vq->fake->broken[0]) {
		struct fake_vq_req *req = list_take(&vq->avail);

		elems[n++] = &req->elem;
		list_add(&vq->held, req);
		vq->popped++;
	}
	return n;
}

static void unpop(struct mt_vq *vq, struct mt_vq_elem *const *elems, uint32_t count)
{
	for (uint32_t i = count; i-- > 0;) {
		struct fake_vq_req *req = (struct fake_vq_req *)elems[i];

		list_remove(&vq->held, req);
		req->next = vq->avail;
		vq->avail = req;
		vq->popped--;
	}
}

static void push(struct mt_vq *vq, struct mt_vq_elem *const *elems, const uint32_t *written, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct fake_vq_req *req = (struct fake_vq_req *)elems[i];

		if (written[i] > req->elem.in_bytes)
			fake_die("%u bytes written into a request of %llu", written[i],
				 (unsigned long long)req->elem.in_bytes);
		req->written = written[i];
		list_remove(&vq->held, req);
		vq->popped--;
		list_add(&vq->used, req);
	}
}

static void signal_(struct mt_vq *vq)
{
	vq->signals++;
}

static uint32_t kicks(struct mt_vq *vq, uint32_t wanted)
{
	vq->quiet = !wanted;
	return wanted && vq->avail;
}

static uint64_t copy(const struct mt_iov *iov, uint32_t count, uint64_t offset, uint8_t *buf, uint64_t len, int in)
{
	uint64_t done = 0;

	for (uint32_t i = 0; i < count && done < len; i++) {
		for (uint64_t k = 0; k < iov[i].len_bytes && done < len; k++) {
			if (offset) {
				offset--;
				continue;
			}
			if (in)
				iov[i].hva[k] = buf[done++];
			else
				buf[done++] = iov[i].hva[k];
		}
	}
	return done;
}

static uint64_t copy_out(const struct mt_vq_elem *elem, uint64_t offset, void *buf, uint64_t len)
{
	return copy(elem->out, elem->out_count, offset, buf, len, 0);
}

static uint64_t copy_in(const struct mt_vq_elem *elem, uint64_t offset, const void *buf, uint64_t len)
{
	return copy(elem->in, elem->in_count, offset, (uint8_t *)(uintptr_t)buf, len, 1);
}

static void config_changed(struct mt_inst *inst)
{
	inst->fake->config_changes++;
}

static void broken(struct mt_inst *inst, const char *why)
{
	snprintf(inst->fake->broken, sizeof(inst->fake->broken), "%s", why);
}

const struct mt_virtqueue_host fake_virtqueue_host = {
	.queue = queue_get,
	.pop = pop,
	.push = push,
	.signal = signal_,
	.kicks = kicks,
	.copy_out = copy_out,
	.copy_in = copy_in,
	.config_changed = config_changed,
	.broken = broken,
	.unpop = unpop,
};

/* The driver */

const struct mt_virtio_desc *fake_virtio(struct fake *f)
{
	f->virtio_desc = (struct mt_virtio_desc){ .size = sizeof(f->virtio_desc) };
	device(f)->describe(f->self, &f->virtio_desc);
	return &f->virtio_desc;
}

void fake_virtio_start(struct fake *f, uint64_t features)
{
	if (features & ~fake_virtio(f)->features)
		fake_die("features that were not offered: %#llx",
			 (unsigned long long)(features & ~f->virtio_desc.features));
	f->virtio_running = 1;
	f->broken[0] = 0;
	device(f)->start(f->self, features);
}

static void list_free(struct fake_vq_req **list)
{
	struct fake_vq_req *req;

	while ((req = list_take(list))) {
		free(req->memory);
		free(req);
	}
}

/* What the device still holds is gone, as with the kernel. */
void fake_virtio_stop(struct fake *f)
{
	if (f->virtio_running)
		device(f)->stop(f->self);
	f->virtio_running = 0;
	for (uint32_t i = 0; i < MT_VIRTIO_QUEUES_MAX; i++) {
		list_free(&f->vqs[i].avail);
		list_free(&f->vqs[i].held);
		list_free(&f->vqs[i].used);
		f->vqs[i].popped = f->vqs[i].quiet = 0;
	}
}

void fake_vq_offer(struct fake *f, uint32_t queue, const void *out, uint32_t out_len, uint32_t in_len)
{
	struct fake_vq_req *req = calloc(1, sizeof(*req));

	if (!req || !(req->memory = calloc(1, out_len + in_len + 1)))
		fake_die("no memory");
	if (out_len)
		memcpy(req->memory, out, out_len);
	req->elem.out_count = pieces(req->out, req->memory, out_len);
	req->elem.in_count = pieces(req->in, req->memory + out_len, in_len);
	req->elem.out = req->out;
	req->elem.in = req->in;
	req->elem.out_bytes = out_len;
	req->elem.in_bytes = in_len;
	list_add(&queue_at(f, queue)->avail, req);
}

void fake_vq_kick(struct fake *f, uint32_t queue)
{
	if (!queue_at(f, queue)->quiet)
		device(f)->notify(f->self, queue);
	fake_pump(f);
}

uint32_t fake_vq_used(struct fake *f, uint32_t queue, const uint8_t **in, uint32_t *written)
{
	struct mt_vq *vq = queue_at(f, queue);
	struct fake_vq_req *req = list_take(&vq->used);

	if (vq->last) {
		free(vq->last->memory);
		free(vq->last);
	}
	vq->last = req;
	if (!req)
		return 0;
	*in = req->memory + req->elem.out_bytes;
	*written = req->written;
	return 1;
}

uint32_t fake_vq_held(struct fake *f, uint32_t queue)
{
	return queue_at(f, queue)->popped;
}

uint32_t fake_vq_signals(struct fake *f, uint32_t queue)
{
	return queue_at(f, queue)->signals;
}

uint32_t fake_config_changes(struct fake *f)
{
	return f->config_changes;
}

const char *fake_broken(struct fake *f)
{
	return f->broken[0] ? f->broken : NULL;
}

void fake_virtio_free(struct fake *f)
{
	const uint8_t *in;
	uint32_t written;

	f->virtio_running = 0;
	for (uint32_t i = 0; i < MT_VIRTIO_QUEUES_MAX; i++) {
		list_free(&f->vqs[i].avail);
		list_free(&f->vqs[i].held);
		while (fake_vq_used(f, i, &in, &written))
			;
	}
}
