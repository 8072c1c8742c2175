/* SPDX-License-Identifier: MIT */
/*
 * dev-net-tap: a tap interface of the host as a net port. Frames go between the guest's memory and the host's kernel by
 * one system call each, without a copy of ours; offloads of the guest are the kernel's. All under the instance lock.
 * A frame is read before its length is known: one that does not fit into the buffers ends in `held`, and is delivered
 * from there.
 */
#define MT_NOTE_NAME     "dev-net-tap"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "network on a tap interface of the host"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.loop/1 mortise.net-host/1 mortise.log/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     (MT_CAP_NETWORK | MT_CAP_FILES)
#define TAP_PROPS(P, c) \
	P(c, ifname, "ifname", MT_PROP_STRING, "", "", "", MT_PROPF_REQUIRED, \
	  "tap interface; made for as long as the machine runs when there is none") \
	P(c, queues, "queues", MT_PROP_INT, "1", "1..16", "", 0, "queues; more than one need a tap with multi_queue") \
	P(c, offloads, "offloads", MT_PROP_BOOL, "on", "", "", 0, "checksums and segmentation by the host's kernel")
#define MT_NOTE_CLASSES(C) \
	C(tap, "dev-net-tap", MT_KIND_DEVICE, MT_CLASS_NONDET, MT_NOTE_SUMMARY, \
	  "mortise.net/1", TAP_PROPS)

#include <mortise/note-emit.h>

#include <errno.h>
#include <mortise/draft/device.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/net-frame.h>
#include <util/state.h>

#include "tap.h"

#define PIECES 256u
#define DRAIN_FRAMES 2048u

static void watch_update(struct tap_queue *q)
{
	q->tap->loop->watch_set(q->watch, q->tap->running ? q->wants : 0);
}

/* What was asked for is told once; the front's next call asks again. */
static void queue_ready(void *arg, uint32_t events)
{
	struct tap_queue *q = arg;
	struct tap *t = q->tap;

	if (events & (MT_FD_WRITE | MT_FD_HUP) && q->wants & MT_FD_WRITE) {
		q->wants &= ~MT_FD_WRITE;
		t->nets->sendable(t->net, q->index);
	}
	if (events & (MT_FD_READ | MT_FD_HUP) && q->wants & MT_FD_READ) {
		q->wants &= ~MT_FD_READ;
		t->nets->receivable(t->net, q->index);
	}
	watch_update(q);
}

/* To the host */

static uint8_t no_header[TAP_HEADER_BYTES];

/* Pieces of a buffer from `skip` on, up to `len` bytes; the number of them, 0: too many. */
static uint32_t pieces(const struct mt_net_buf *buf, uint64_t skip, uint64_t len, struct iovec *iov, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < buf->iov_count && len; i++) {
		uint64_t now = buf->iov[i].len_bytes;

		if (skip >= now) {
			skip -= now;
			continue;
		}
		now = now - skip < len ? now - skip : len;
		if (n == max)
			return 0;
		iov[n++] = (struct iovec){ buf->iov[i].hva + skip, now };
		len -= now;
		skip = 0;
	}
	return n;
}

/* 1: it was sent, or is none that can be; 0: not now. */
static int frame_send(struct tap *t, struct tap_queue *q, const struct mt_net_buf *buf)
{
	struct iovec iov[PIECES + 1];
	uint32_t own = !t->header, n = pieces(buf, buf->skip_bytes, buf->len_bytes, iov + own, PIECES);

	if (!n)
		return 1;
	if (own)
		iov[0] = (struct iovec){ no_header, sizeof(no_header) };
	return writev(q->fd, iov, (int)(n + own)) >= 0 || (errno != EAGAIN && errno != EINTR);
}

static int64_t tap_send(void *self, uint32_t queue, const struct mt_net_buf *bufs, uint32_t count)
{
	struct tap *t = self;
	struct tap_queue *q = &t->queues[queue];

	for (uint32_t i = 0; i < count; i++) {
		if (!frame_send(t, q, &bufs[i])) {
			q->wants |= MT_FD_WRITE;
			watch_update(q);
			return i;
		}
	}
	return count;
}

/* From the host */

/* Room of buffers that one frame may take, as pieces; the bytes of it. */
static uint64_t room(const struct tap *t, const struct mt_net_buf *bufs, uint32_t count, struct iovec *iov,
		     uint32_t *iov_count)
{
	uint64_t bytes = 0;

	*iov_count = 0;
	for (uint32_t i = 0; i < count && bytes < MT_NET_FRAME_MAX + TAP_HEADER_BYTES; i++) {
		uint32_t skip = i ? 0 : bufs[i].skip_bytes, len = bufs[i].len_bytes + (i ? bufs[i].skip_bytes : 0);
		uint32_t n = pieces(&bufs[i], skip, len, iov + *iov_count, PIECES - *iov_count);

		if (!n)
			break;
		*iov_count += n;
		bytes += len;
		if (!t->parts)
			break;
	}
	return bytes;
}

/* A frame of `len` bytes lies in the buffers already: only their lengths are to be set. The buffers it takes. */
static uint32_t lengths_set(const struct tap *t, struct mt_net_buf *bufs, uint32_t count, uint32_t len)
{
	uint32_t parts = mt_net_parts(bufs, count, t->parts, len);

	for (uint32_t i = 0; i < parts; i++) {
		uint32_t most = bufs[i].len_bytes + (i ? bufs[i].skip_bytes : 0), now = len < most ? len : most;

		bufs[i].len_bytes = now;
		bufs[i].parts = i ? 0 : parts;
		len -= now;
	}
	return parts;
}

/* What came is longer than the buffers: their part and the rest are put together in `held`. */
static void spill(struct tap_queue *q, const struct iovec *iov, uint32_t count, const uint8_t *rest, uint64_t len)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < count; i++) {
		memcpy(q->held + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	memcpy(q->held + at, rest, len - at);
	q->held_bytes = (uint32_t)len;
}

/* Buffers that a frame took; 0: none came, or it is held. */
static uint32_t frame_read(struct tap *t, struct tap_queue *q, struct mt_net_buf *bufs, uint32_t count)
{
	uint8_t header[TAP_HEADER_BYTES], rest[MT_NET_FRAME_MAX + TAP_HEADER_BYTES];
	struct iovec iov[PIECES + 2];
	uint32_t own = !t->header, n;
	uint64_t bytes = room(t, bufs, count, iov + own, &n);
	ssize_t got;

	if (own)
		iov[0] = (struct iovec){ header, sizeof(header) };
	iov[own + n] = (struct iovec){ rest, bytes < sizeof(rest) ? sizeof(rest) - bytes : 0 };
	got = readv(q->fd, iov, (int)(own + n + 1));
	if (got <= (ssize_t)(own * TAP_HEADER_BYTES))
		return 0;
	got -= own * TAP_HEADER_BYTES;
	if ((uint64_t)got <= bytes)
		return lengths_set(t, bufs, count, (uint32_t)got);
	spill(q, iov + own, n, rest, (uint64_t)got);
	return 0;
}

static uint32_t held_give(struct tap *t, struct tap_queue *q, struct mt_net_buf *bufs, uint32_t count)
{
	uint32_t parts = mt_net_parts(bufs, count, t->parts, q->held_bytes);

	if (!parts)
		return 0;
	mt_net_fill(bufs, parts, q->held, q->held_bytes);
	q->held_bytes = 0;
	return parts;
}

static int64_t tap_receive(void *self, uint32_t queue, struct mt_net_buf *bufs, uint32_t count, uint32_t *waiting)
{
	struct tap *t = self;
	struct tap_queue *q = &t->queues[queue];
	uint32_t used = 0, parts = 1;

	while (used < count && parts) {
		parts = q->held_bytes ? held_give(t, q, bufs + used, count - used) :
					frame_read(t, q, bufs + used, count - used);
		used += parts;
	}
	/* all buffers are used: there may be more */
	*waiting = q->held_bytes || parts;
	if (!*waiting) {
		q->wants |= MT_FD_READ;
		watch_update(q);
	}
	return used;
}

/* The rest of the port */

static void tap_info(void *self, struct mt_net_info *out)
{
	struct tap *t = self;

	out->flags = MT_NET_LINK;
	out->queues = t->queue_count;
	out->offloads = t->offloads;
	out->mtu_bytes = t->mtu_bytes;
}

static void drain(struct tap_queue *q)
{
	q->held_bytes = 0;
	for (uint32_t i = 0; i < DRAIN_FRAMES; i++) {
		if (read(q->fd, q->held, MT_NET_FRAME_MAX) <= 0)
			return;
	}
}

static int tap_setup(void *self, const struct mt_net_setup *setup)
{
	struct tap *t = self;

	if (setup->queues > t->queue_count || setup->offloads & ~t->offloads || tap_offload(t, setup->offloads) < 0)
		return MT_ENOTSUP;
	t->header = setup->flags & MT_NET_HEADER;
	t->parts = setup->flags & MT_NET_PARTS;
	tap_attach(t, setup->queues ? setup->queues : 1);
	for (uint32_t i = 0; i < t->queue_count; i++) {
		if (i >= setup->queues || !t->active)
			drain(&t->queues[i]);
		t->queues[i].wants = i < setup->queues ? MT_FD_READ : 0;
		watch_update(&t->queues[i]);
	}
	t->active = setup->queues;
	return 0;
}

/* Life */

static int tap_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct tap *t = calloc(1, sizeof(*t));

	if (!t)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	t->inst = inst;
	t->props = host->get_interface(host, MT_IFACE_PROPS);
	t->loop = host->get_interface(host, MT_IFACE_LOOP);
	t->log = host->get_interface(host, MT_IFACE_LOG);
	t->nets = host->get_interface(host, MT_IFACE_NET_HOST);
	t->ifname = t->props->get_str(inst, "ifname");
	t->queue_count = (uint32_t)t->props->get_u64(inst, "queues");
	for (uint32_t i = 0; i < MT_NET_QUEUES_MAX; i++)
		t->queues[i] = (struct tap_queue){ .tap = t, .index = i, .fd = -1 };
	*self = t;
	return 0;
}

static int tap_realize(void *self, struct mt_error *err)
{
	struct tap *t = self;
	int rc = tap_open(t, err);

	t->net = t->nets->back(t->inst);
	for (uint32_t i = 0; i < t->queue_count && rc == 0; i++) {
		struct tap_queue *q = &t->queues[i];

		q->watch = t->loop->watch_add(t->inst, q->fd, 0, queue_ready, q);
		if (!q->watch)
			rc = mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	}
	return rc;
}

static int tap_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)self, (void)kind, (void)phase, (void)err;
	return 0;                            /* a network outlives the reset of what hangs on it */
}

static void running_set(struct tap *t, uint32_t running)
{
	t->running = running;
	for (uint32_t i = 0; i < t->queue_count; i++)
		watch_update(&t->queues[i]);
}

static void tap_quiesce(void *self)
{
	running_set(self, 0);
}

static void tap_resume(void *self)
{
	running_set(self, 1);
}

static void tap_unrealize(void *self)
{
	struct tap *t = self;

	t->running = 0;
	tap_close(t);
}

static void tap_destroy(void *self)
{
	tap_close(self);
	free(self);
}

static const struct mt_net_class tap_net = {
	.info = tap_info,
	.setup = tap_setup,
	.send = tap_send,
	.receive = tap_receive,
};

static const struct mt_device_class tap_device = {
	.create = tap_create,
	.realize = tap_realize,
	.reset = tap_reset,
	.quiesce = tap_quiesce,
	.resume = tap_resume,
	.unrealize = tap_unrealize,
	.destroy = tap_destroy,
};

/* Connections and frames stay with the host. The schema is that of every network back end. */
static const struct mt_state_class state_class = {
	.schema = "net-back-end", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &tap_device },
		       { MT_IFACE_NET, &tap_net },
		       { MT_IFACE_STATE, &state_class })
