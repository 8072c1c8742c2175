/* SPDX-License-Identifier: MIT */
/*
 * dev-virtio-rng: entropy from the host, Virtio 1.2 section 5.4. One queue of buffers to fill.
 * The host's generator does not block and gives any length, so a request is served where it is found ([vcpu]);
 * a kick serves a bounded amount and leaves the rest to the loop, so that a guest that asks for a lot does not
 * hold its vCPU or the instance lock for long.
 */
#define MT_NOTE_NAME     "dev-virtio-rng"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "virtio entropy source"
#define MT_NOTE_REQUIRES "mortise.virtqueue/1 mortise.loop/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define RNG_PROPS(P, c) \
	P(c, bus, "bus", MT_PROP_REF, "", "mortise.virtio-bus/1", "", MT_PROPF_REQUIRED, \
	  "virtio slot of the device")
#define MT_NOTE_CLASSES(C) \
	C(rng, "dev-virtio-rng", MT_KIND_DEVICE, MT_CLASS_NONDET, \
	  MT_NOTE_SUMMARY, "mortise.virtio-device/1", \
	  RNG_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/state.h>
#include <mortise/draft/virtio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#define DEVICE_ID 4u
#define QUEUE_SIZE 64u
#define BATCH 16u
/* A request gets at most so much (section 5.4.6: the device may give less), a kick so much in all. */
#define REQUEST_BYTES 4096u
#define KICK_BYTES 16384u

struct rng {
	struct mt_inst *inst;
	const struct mt_virtqueue_host *virtio;
	const struct mt_loop_host *loop;
	struct mt_deferred *more;
	struct mt_vq *vq;                  /* NULL: not running */
};

static uint32_t fill(const struct mt_vq_elem *elem)
{
	uint32_t done = 0;
	ssize_t n;

	for (uint32_t i = 0; i < elem->in_count && done < REQUEST_BYTES; i++) {
		uint64_t want = elem->in[i].len_bytes;

		if (want > REQUEST_BYTES - done)
			want = REQUEST_BYTES - done;
		n = getrandom(elem->in[i].hva, want, 0);
		if (n <= 0)
			break;
		done += (uint32_t)n;
		if ((uint64_t)n < want)
			break;
	}
	return done;
}

static uint32_t serve(struct rng *r, uint32_t *bytes)
{
	struct mt_vq_elem *elems[BATCH];
	uint32_t written[BATCH], n;

	n = r->virtio->pop(r->vq, elems, KICK_BYTES / REQUEST_BYTES);
	for (uint32_t i = 0; i < n; i++) {
		written[i] = fill(elems[i]);
		*bytes += written[i];
	}
	if (n)
		r->virtio->push(r->vq, elems, written, n);
	return n;
}

static void serve_some(void *arg)
{
	struct rng *r = arg;
	uint32_t bytes = 0;

	if (!r->vq)
		return;
	while (serve(r, &bytes)) {
		if (bytes >= KICK_BYTES) {
			r->loop->deferred_post(r->more);
			break;
		}
	}
	r->virtio->signal(r->vq);
}

/* Virtio */

static void rng_describe(void *self, struct mt_virtio_desc *out)
{
	(void)self;
	out->device_id = DEVICE_ID;
	out->queue_count = 1;
	out->queue_max[0] = QUEUE_SIZE;
}

static void rng_config_read(void *self, uint32_t offset, void *buf, uint32_t len_bytes)
{
	(void)self, (void)offset;
	memset(buf, 0, len_bytes);
}

static void rng_config_write(void *self, uint32_t offset, const void *buf, uint32_t len_bytes)
{
	(void)self, (void)offset, (void)buf, (void)len_bytes;
}

static void rng_start(void *self, uint64_t features)
{
	struct rng *r = self;

	(void)features;
	r->vq = r->virtio->queue(r->inst, 0);
}

static void rng_stop(void *self)
{
	struct rng *r = self;

	r->vq = NULL;
}

static void rng_notify(void *self, uint32_t queue)
{
	(void)queue;
	serve_some(self);
}

/* Life */

static int rng_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct rng *r = calloc(1, sizeof(*r));

	if (!r)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	r->inst = inst;
	r->virtio = host->get_interface(host, MT_IFACE_VIRTQUEUE);
	r->loop = host->get_interface(host, MT_IFACE_LOOP);
	*self = r;
	return 0;
}

static int rng_realize(void *self, struct mt_error *err)
{
	struct rng *r = self;

	r->more = r->loop->deferred_create(r->inst, serve_some, r);
	return r->more ? 0 : mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
}

static int rng_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)self, (void)kind, (void)phase, (void)err;
	return 0;                          /* the transport resets: see rng_stop */
}

static void rng_unrealize(void *self)
{
	rng_stop(self);
}

static void rng_destroy(void *self)
{
	free(self);
}

static const struct mt_virtio_device rng_virtio = {
	.describe = rng_describe,
	.config_read = rng_config_read,
	.config_write = rng_config_write,
	.start = rng_start,
	.stop = rng_stop,
	.notify = rng_notify,
};

static const struct mt_device_class rng_device = {
	.create = rng_create,
	.realize = rng_realize,
	.reset = rng_reset,
	.unrealize = rng_unrealize,
	.destroy = rng_destroy,
};

/* The queue is the kernel's. */
static const struct mt_state_class state_class = {
	.schema = "virtio-rng", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &rng_device },
		       { MT_IFACE_VIRTIO_DEVICE, &rng_virtio },
		       { MT_IFACE_STATE, &state_class })
