/* SPDX-License-Identifier: MIT */
/*
 * dev-debug-port: an I/O port whose bytes go to a char port, as the firmware of PCs wants one for its messages. There
 * is no way to say "not now", so bytes wait in a queue while the back end has no room, and are lost, counted, when it
 * is full. Calls come [vcpu] and [io] under the instance lock.
 */
#define MT_NOTE_NAME     "dev-debug-port"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "I/O port for the messages of firmware"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.props/1 mortise.char-host/1 mortise.log/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define DEBUG_PROPS(P, c) \
	P(c, port, "port", MT_PROP_ADDR, "0xe9", "0x1", "io", 0, "I/O port: 0xe9 is Bochs's, 0x402 SeaBIOS's and OVMF's") \
	P(c, chardev, "char", MT_PROP_REF, "", "mortise.char/1", "", 0, "back end; without it nobody listens")
#define MT_NOTE_CLASSES(C) \
	C(debug_port, "dev-debug-port", MT_KIND_DEVICE, 0, MT_NOTE_SUMMARY, "", DEBUG_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/char.h>
#include <mortise/draft/device.h>
#include <mortise/draft/log.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <util/byte-queue.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#define IS_HERE 0xe9u          /* what a read gives, by which firmware finds the port */

struct debug_port {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_props_host *props;
	const struct mt_char_host *chars;
	const struct mt_log_host *log;
	struct mt_char *chr;       /* NULL: nobody listens */
	uint32_t told;             /* of bytes that were lost */
	struct mt_byte_queue queue;
};

static void drain(struct debug_port *d)
{
	const uint8_t *data;
	uint32_t len;

	while ((data = mt_byte_queue_peek(&d->queue, &len))) {
		int64_t taken = d->chars->write(d->chr, data, len);

		mt_byte_queue_drop(&d->queue, taken < 0 ? len : (uint32_t)taken);
		if (taken >= 0 && taken < len)
			return;
	}
}

static uint32_t port_read(void *self, const struct mt_access *a, uint64_t *value)
{
	(void)self, (void)a;
	*value = IS_HERE;
	return MT_BUS_OK;
}

static uint32_t port_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct debug_port *d = self;
	uint8_t byte = (uint8_t)value;

	(void)a;
	if (!d->chr)
		return MT_BUS_OK;
	if (!mt_byte_queue_put(&d->queue, &byte, 1) && !d->told) {
		d->told = 1;
		d->log->message(d->inst, MT_LOG_WARN, "the back end is slower than the guest: messages are lost");
	}
	drain(d);
	return MT_BUS_OK;
}

/* What the other side types goes nowhere. */
static uint32_t front_can_receive(void *self)
{
	(void)self;
	return UINT32_MAX;
}

static void front_receive(void *self, const uint8_t *data, uint32_t len_bytes)
{
	(void)self, (void)data, (void)len_bytes;
}

static void front_writable(void *self)
{
	drain(self);
}

static void front_event(void *self, uint32_t event)
{
	(void)self, (void)event;
}

static const struct mt_char_front front = {
	.can_receive = front_can_receive,
	.receive = front_receive,
	.writable = front_writable,
	.event = front_event,
};

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct debug_port *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->props = host->get_interface(host, MT_IFACE_PROPS);
	d->chars = host->get_interface(host, MT_IFACE_CHAR_HOST);
	d->log = host->get_interface(host, MT_IFACE_LOG);
	*self = d;
	return 0;
}

static const struct mt_region_ops port_ops = { .read = port_read, .write = port_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .flags = MT_REGION_LATE, .name = "port", .at_prop = "port", .len_bytes = 1,
		.width_min = 1, .width_max = 1, .ops = &port_ops,
	};
	struct debug_port *d = self;

	if (d->props->present(d->inst, "char")) {
		d->chr = d->chars->connect(d->inst, "char", &front, d, err);
		if (!d->chr)
			return MT_EINVAL;
	}
	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.destroy = free,
};

/* What waits in the queue has left the guest: it goes to the back end of the machine that was saved. */
static const struct mt_state_class state_class = {
	.schema = "debug-port", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class })
