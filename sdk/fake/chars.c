/* SPDX-License-Identifier: MIT */
/*
 * The char port of the fake host, with either end under test. Bytes to a front wait here until fake_pump or the
 * next call of the test; nothing is delivered inside the front's own call.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static void out_append(struct mt_char *c, const uint8_t *data, uint32_t len)
{
	if (c->out_len + len > c->out_capacity) {
		c->out_capacity = (c->out_len + len) * 2 + 64;
		c->out = realloc(c->out, c->out_capacity);
		if (!c->out)
			fake_die("no memory");
	}
	memcpy(c->out + c->out_len, data, len);
	c->out_len += len;
}

/* Takes what there is room for. */
static uint32_t take(struct mt_char *c, const uint8_t *data, uint32_t len)
{
	uint32_t n = len < c->room ? len : c->room;

	if (n)
		out_append(c, data, n);
	if (c->room != UINT32_MAX)
		c->room -= n;
	return n;
}

static struct mt_char *connect_(struct mt_inst *inst, const char *prop, const struct mt_char_front *front, void *self,
				struct mt_error *err)
{
	struct fake *f = inst->fake;

	(void)err;
	if (!fake_prop_text(f, prop))
		return NULL;
	f->chr.front = front;
	f->chr.front_self = self;
	f->chr.connected = 1;
	return &f->chr;
}

static int64_t front_write(struct mt_char *c, const uint8_t *data, uint32_t len)
{
	return c->gone ? MT_EGONE : (int64_t)take(c, data, len);
}

static void receive_ready(struct mt_char *c)
{
	c->ready = 1;
}

static struct mt_char *back(struct mt_inst *inst)
{
	return inst->fake->chr.connected ? &inst->fake->chr : NULL;
}

static uint32_t deliver(struct mt_char *c, const uint8_t *data, uint32_t len)
{
	return take(c, data, len);
}

static void writable(struct mt_char *c)
{
	c->writables++;
}

static void event(struct mt_char *c, uint32_t what)
{
	(void)c, (void)what;
}

const struct mt_char_host fake_char_host = {
	.connect = connect_,
	.write = front_write,
	.receive_ready = receive_ready,
	.back = back,
	.deliver = deliver,
	.writable = writable,
	.event = event,
};

void fake_char_room(struct fake *f, uint32_t bytes)
{
	f->chr.room = bytes;
}

void fake_char_more(struct fake *f, uint32_t bytes)
{
	f->chr.room = bytes;
	if (f->chr.front && f->chr.front->writable)
		f->chr.front->writable(f->chr.front_self);
}

void fake_char_gone(struct fake *f)
{
	f->chr.gone = 1;
}

/* Offers what waits; the front's word on how much it takes is what counts. */
static void offer(struct mt_char *c)
{
	while (c->front && c->queued) {
		uint32_t n = c->front->can_receive(c->front_self);

		n = n < c->queued ? n : c->queued;
		if (!n)
			return;
		c->front->receive(c->front_self, c->queue, n);
		c->queued -= n;
		memmove(c->queue, c->queue + n, c->queued);
	}
}

uint32_t fake_char_send(struct fake *f, const void *data, uint32_t len)
{
	uint32_t room = FAKE_CHAR_QUEUE - f->chr.queued;

	len = len < room ? len : room;
	memcpy(f->chr.queue + f->chr.queued, data, len);
	f->chr.queued += len;
	offer(&f->chr);
	return len;
}

/* For fake_pump: the front said that it is ready. */
uint32_t fake_char_pump(struct fake *f)
{
	uint32_t before = f->chr.queued;

	if (!f->chr.ready)
		return 0;
	f->chr.ready = 0;
	offer(&f->chr);
	return before != f->chr.queued;
}

void fake_char_event(struct fake *f, uint32_t what)
{
	if (f->chr.front && f->chr.front->event)
		f->chr.front->event(f->chr.front_self, what);
}

const uint8_t *fake_char_out(struct fake *f, uint32_t *len)
{
	*len = f->chr.out_len;
	return f->chr.out;
}

void fake_char_clear(struct fake *f)
{
	f->chr.out_len = 0;
}

void fake_char_connect(struct fake *f)
{
	f->chr.connected = 1;
}

static const struct mt_char_class *back_class(struct fake *f)
{
	const struct mt_char_class *c = fake_role(f, MT_IFACE_CHAR);

	if (!c)
		fake_die("%s is no back end of a char port", f->class_name);
	return c;
}

int64_t fake_char_front_write(struct fake *f, const void *data, uint32_t len)
{
	return back_class(f)->write(f->self, data, len);
}

void fake_char_front_room(struct fake *f, uint32_t bytes)
{
	f->chr.room = bytes;
	if (bytes)
		back_class(f)->receive_ready(f->self);
}

uint32_t fake_char_writables(struct fake *f)
{
	return f->chr.writables;
}
