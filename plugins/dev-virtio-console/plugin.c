/* SPDX-License-Identifier: MIT */
/*
 * dev-virtio-console: a console of one port, Virtio 1.2 section 5.3, on a char port. All under the instance lock.
 * One buffer of each direction is held: the receive buffer that the next bytes go to, and the transmit buffer that
 * the back end has not taken all of. A kick moves a bounded number of bytes; the loop goes on with the rest.
 */
#define MT_NOTE_NAME     "dev-virtio-console"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "virtio console of one port"
#define MT_NOTE_REQUIRES "mortise.virtqueue/1 mortise.char-host/1 mortise.loop/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define CONSOLE_PROPS(P, c) \
	P(c, bus, "bus", MT_PROP_REF, "", "mortise.virtio-bus/1", "", MT_PROPF_REQUIRED, \
	  "virtio slot of the device") \
	P(c, char, "char", MT_PROP_REF, "", "mortise.char/1", "", MT_PROPF_REQUIRED, \
	  "where the bytes go and come from")
#define MT_NOTE_CLASSES(C) \
	C(console, "dev-virtio-console", MT_KIND_DEVICE, 0, \
	  MT_NOTE_SUMMARY, "mortise.virtio-device/1", CONSOLE_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/char.h>
#include <mortise/draft/device.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/state.h>
#include <mortise/draft/virtio.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#define DEVICE_ID 3u
#define QUEUE_SIZE 128u
#define CONFIG_BYTES 12u
#define RX 0u
#define TX 1u
#define RECEIVE_BYTES 4096u
#define PIECE_BYTES 1024u
#define KICK_BYTES 65536u

struct console {
	struct mt_inst *inst;
	const struct mt_virtqueue_host *virtio;
	const struct mt_char_host *chars;
	const struct mt_loop_host *loop;
	struct mt_char *chr;
	struct mt_deferred *more;
	struct mt_vq *rx, *tx;               /* NULL: not running */
	struct mt_vq_elem *rx_elem, *tx_elem;
	uint64_t tx_at;                      /* of tx_elem, taken by the back end */
};

/* To the guest */

static void rx_prepare(struct console *c)
{
	uint32_t zero = 0;

	while (c->rx && !c->rx_elem && c->virtio->pop(c->rx, &c->rx_elem, 1)) {
		if (c->rx_elem->in_bytes)
			return;
		c->virtio->push(c->rx, &c->rx_elem, &zero, 1);         /* of no use */
		c->rx_elem = NULL;
	}
}

static uint32_t console_can_receive(void *self)
{
	struct console *c = self;

	rx_prepare(c);
	if (!c->rx_elem)
		return 0;
	return c->rx_elem->in_bytes < RECEIVE_BYTES ? (uint32_t)c->rx_elem->in_bytes : RECEIVE_BYTES;
}

static void console_receive(void *self, const uint8_t *data, uint32_t len_bytes)
{
	struct console *c = self;
	uint32_t written;

	for (; len_bytes && console_can_receive(c); data += written, len_bytes -= written) {
		written = (uint32_t)c->virtio->copy_in(c->rx_elem, 0, data, len_bytes);
		c->virtio->push(c->rx, &c->rx_elem, &written, 1);
		c->rx_elem = NULL;
	}
	if (c->rx)
		c->virtio->signal(c->rx);
}

/* From the guest */

/* 1 when all of the buffer was taken. */
static int tx_send(struct console *c, uint32_t *budget)
{
	uint8_t buf[PIECE_BYTES];
	uint32_t len;
	int64_t n;

	while (c->tx_at < c->tx_elem->out_bytes) {
		if (*budget < PIECE_BYTES)
			return 0;
		len = (uint32_t)c->virtio->copy_out(c->tx_elem, c->tx_at, buf, sizeof(buf));
		n = c->chars->write(c->chr, buf, len);
		if (n < 0)
			n = len;                                       /* nobody is there: the bytes are lost */
		c->tx_at += (uint64_t)n;
		*budget -= (uint32_t)n;
		if (n < len)
			return 0;
	}
	return 1;
}

static void tx_go(struct console *c)
{
	uint32_t budget = KICK_BYTES, zero = 0;

	while (c->tx && (c->tx_elem || c->virtio->pop(c->tx, &c->tx_elem, 1))) {
		if (!tx_send(c, &budget))
			break;
		c->virtio->push(c->tx, &c->tx_elem, &zero, 1);
		c->tx_elem = NULL;
		c->tx_at = 0;
		budget -= budget < 16 ? budget : 16;                   /* empty buffers cost too */
	}
	if (c->tx_elem && budget < PIECE_BYTES)
		c->loop->deferred_post(c->more);
	if (c->tx)
		c->virtio->signal(c->tx);
}

static void console_more(void *arg)
{
	tx_go(arg);
}

static void console_writable(void *self)
{
	tx_go(self);
}

static void console_event(void *self, uint32_t event)
{
	(void)self, (void)event;             /* a port without multiport knows no hang-up and no break */
}

/* Virtio */

static void console_describe(void *self, struct mt_virtio_desc *out)
{
	(void)self;
	out->device_id = DEVICE_ID;
	out->config_bytes = CONFIG_BYTES;
	out->queue_count = 2;
	out->queue_max[RX] = out->queue_max[TX] = QUEUE_SIZE;
}

static void console_config_read(void *self, uint32_t offset, void *buf, uint32_t len_bytes)
{
	(void)self, (void)offset;
	memset(buf, 0, len_bytes);
}

static void console_config_write(void *self, uint32_t offset, const void *buf, uint32_t len_bytes)
{
	(void)self, (void)offset, (void)buf, (void)len_bytes;
}

static void console_start(void *self, uint64_t features)
{
	struct console *c = self;

	(void)features;
	c->rx = c->virtio->queue(c->inst, RX);
	c->tx = c->virtio->queue(c->inst, TX);
}

static void console_stop(void *self)
{
	struct console *c = self;

	c->rx = c->tx = NULL;
	c->rx_elem = c->tx_elem = NULL;
	c->tx_at = 0;
}

static void console_notify(void *self, uint32_t queue)
{
	struct console *c = self;

	if (queue == TX)
		tx_go(c);
	else if (console_can_receive(c))
		c->chars->receive_ready(c->chr);
}

/* Life */

static const struct mt_char_front console_front = {
	.can_receive = console_can_receive,
	.receive = console_receive,
	.writable = console_writable,
	.event = console_event,
};

static int console_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	c->inst = inst;
	c->virtio = host->get_interface(host, MT_IFACE_VIRTQUEUE);
	c->chars = host->get_interface(host, MT_IFACE_CHAR_HOST);
	c->loop = host->get_interface(host, MT_IFACE_LOOP);
	*self = c;
	return 0;
}

static int console_realize(void *self, struct mt_error *err)
{
	struct console *c = self;

	c->more = c->loop->deferred_create(c->inst, console_more, c);
	if (!c->more)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	c->chr = c->chars->connect(c->inst, "char", &console_front, c, err);
	return c->chr ? 0 : MT_EINVAL;
}

static int console_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)self, (void)kind, (void)phase, (void)err;
	return 0;                            /* the transport resets: see console_stop */
}

static void console_unrealize(void *self)
{
	console_stop(self);
}

static void console_destroy(void *self)
{
	free(self);
}

static const struct mt_virtio_device console_virtio = {
	.describe = console_describe,
	.config_read = console_config_read,
	.config_write = console_config_write,
	.start = console_start,
	.stop = console_stop,
	.notify = console_notify,
};

static const struct mt_device_class console_device = {
	.create = console_create,
	.realize = console_realize,
	.reset = console_reset,
	.unrealize = console_unrealize,
	.destroy = console_destroy,
};

/* The buffer that is being sent comes from its queue again; how much of it has gone is known here only. */
static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct console, tx_at, UINT64_MAX),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct console, fields);

MT_STATE_CLASS_OF(state_class, "virtio-console", 1, 1, table, self)

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &console_device },
		       { MT_IFACE_VIRTIO_DEVICE, &console_virtio },
		       { MT_IFACE_STATE, &state_class })
