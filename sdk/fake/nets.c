/* SPDX-License-Identifier: MIT */
/*
 * The net port of the fake host, with either end under test. A frame to a front waits here until fake_pump brings
 * `receivable`; a frame from a front is kept for the test to look at. One thread.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define QUEUE_BYTES (1u << 20)

static struct mt_net *net_of(struct fake *f)
{
	if (!f->net.queue.data && (mt_net_queue_init(&f->net.queue, QUEUE_BYTES) < 0 ||
				   mt_net_queue_init(&f->net.sent, QUEUE_BYTES) < 0))
		fake_die("no memory");
	f->net.fake = f;
	return &f->net;
}

void fake_net_free(struct fake *f)
{
	free(f->net.queue.data);
	free(f->net.sent.data);
}

static void keep(struct mt_net_queue *q, const uint8_t *frame, uint32_t len)
{
	uint8_t *to = mt_net_queue_room(q, len);

	if (!to)
		fake_die("too many frames wait");
	memcpy(to, frame, len);
	mt_net_queue_put(q, len);
}

/* The front's calls */

static struct mt_net *connect_(struct mt_inst *inst, const char *prop, const struct mt_net_front *front, void *self,
			       struct mt_error *err)
{
	struct fake *f = inst->fake;

	(void)err;
	if (!fake_prop_text(f, prop))
		return NULL;
	f->net.front = front;
	f->net.front_self = self;
	return net_of(f);
}

static void info(struct mt_net *net, struct mt_net_info *out)
{
	if (net)
		*out = net->info;
	out->queues += !out->queues;
	if (net && net->gone)
		out->flags = 0;
}

static int setup(struct mt_net *net, const struct mt_net_setup *s)
{
	if (!net || net->gone)
		return MT_EGONE;
	if (s->offloads & ~net->info.offloads)
		return MT_ENOTSUP;
	net->setup = *s;
	return 0;
}

static int64_t send_(struct mt_net *net, uint32_t queue, const struct mt_net_buf *bufs, uint32_t count)
{
	uint8_t frame[MT_NET_FRAME_MAX + 64];
	uint32_t i;

	if (!net || net->gone)
		return MT_EGONE;
	if (queue >= net->setup.queues)
		return MT_EINVAL;
	for (i = 0; i < count && net->room; i++) {
		keep(&net->sent, frame, mt_net_gather(&bufs[i], 0, frame, sizeof(frame)));
		net->room -= net->room != UINT32_MAX;
	}
	net->short_ = i < count;
	return i;
}

static int64_t receive(struct mt_net *net, uint32_t queue, struct mt_net_buf *bufs, uint32_t count,
		       uint32_t *waiting)
{
	uint32_t used = 0, len, parts;
	const uint8_t *frame;

	*waiting = 0;
	if (!net || net->gone)
		return MT_EGONE;
	if (queue >= net->setup.queues)
		return MT_EINVAL;
	while ((frame = mt_net_queue_peek(&net->queue, &len))) {
		parts = mt_net_parts(bufs + used, count - used, net->setup.flags & MT_NET_PARTS, len);
		if (!parts)
			break;
		mt_net_fill(bufs + used, parts, frame, len);
		mt_net_queue_drop(&net->queue);
		used += parts;
	}
	*waiting = net->told = frame != NULL;
	return used;
}

/* The back end's calls */

static struct mt_net *back(struct mt_inst *inst)
{
	return inst->fake->net.connected ? net_of(inst->fake) : NULL;
}

static void receivable(struct mt_net *net, uint32_t queue)
{
	(void)queue;
	if (net)
		net->receivables++;
}

static void sendable(struct mt_net *net, uint32_t queue)
{
	(void)queue;
	if (net)
		net->sendables++;
}

static void changed(struct mt_net *net)
{
	if (net)
		net->changes++;
}

const struct mt_net_host fake_net_host = {
	.connect = connect_,
	.info = info,
	.setup = setup,
	.send = send_,
	.receive = receive,
	.back = back,
	.receivable = receivable,
	.sendable = sendable,
	.changed = changed,
};

/* A front under test */

void fake_net_info(struct fake *f, const struct mt_net_info *i)
{
	net_of(f)->info = *i;
	if (f->net.front)
		f->net.front->changed(f->net.front_self);
}

const struct mt_net_setup *fake_net_setup(struct fake *f)
{
	return &f->net.setup;
}

void fake_net_room(struct fake *f, uint32_t frames)
{
	struct mt_net *net = net_of(f);

	net->room = frames;
	if (frames && net->short_ && net->front) {
		net->short_ = 0;
		net->front->sendable(net->front_self, 0);
		fake_pump(f);
	}
}

void fake_net_gone(struct fake *f)
{
	f->net.gone = 1;
	if (f->net.front)
		f->net.front->changed(f->net.front_self);
}

void fake_net_give(struct fake *f, const void *frame, uint32_t len)
{
	struct mt_net *net = net_of(f);

	keep(&net->queue, frame, len);
	if (net->front && !net->told) {
		net->told = 1;
		net->front->receivable(net->front_self, 0);
	}
	fake_pump(f);
}

const uint8_t *fake_net_sent(struct fake *f, uint32_t *len)
{
	struct mt_net *net = net_of(f);

	if (net->looked)
		mt_net_queue_drop(&net->sent);
	net->looked = net->sent.count != 0;
	return mt_net_queue_peek(&net->sent, len);
}

/* A back end under test */

static const struct mt_net_class *back_class(struct fake *f)
{
	const struct mt_net_class *c = fake_role(f, MT_IFACE_NET);

	if (!c)
		fake_die("%s is no back end of a net port", f->class_name);
	return c;
}

void fake_net_connect(struct fake *f)
{
	f->net.connected = 1;
}

int fake_net_agree(struct fake *f, uint32_t flags, uint32_t offloads, uint32_t queues)
{
	struct mt_net_setup s = { sizeof(s), flags, offloads, queues };

	return back_class(f)->setup(f->self, &s);
}

int64_t fake_net_front_send(struct fake *f, uint32_t queue, const void *frame, uint32_t len)
{
	const struct mt_iov iov[2] = {
		{ .hva = (uint8_t *)(uintptr_t)frame, .len_bytes = len / 2 },
		{ .hva = (uint8_t *)(uintptr_t)frame + len / 2, .len_bytes = len - len / 2 },
	};
	const struct mt_net_buf buf = { iov, 2, 0, len, 0 };

	return back_class(f)->send(f->self, queue, &buf, 1);
}

int64_t fake_net_front_receive(struct fake *f, uint32_t queue, void *frame, uint32_t size, uint32_t *waiting)
{
	const struct mt_iov iov[2] = { { .hva = frame, .len_bytes = size / 2 },
				       { .hva = (uint8_t *)frame + size / 2, .len_bytes = size - size / 2 } };
	struct mt_net_buf buf = { iov, 2, 0, size, 0 };
	int64_t used = back_class(f)->receive(f->self, queue, &buf, 1, waiting);

	return used == 1 ? buf.len_bytes : used;
}

uint32_t fake_net_receivables(struct fake *f)
{
	return f->net.receivables;
}

uint32_t fake_net_sendables(struct fake *f)
{
	return f->net.sendables;
}

uint32_t fake_net_changes(struct fake *f)
{
	return f->net.changes;
}
