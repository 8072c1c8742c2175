/* SPDX-License-Identifier: MIT */
/*
 * dev-virtio-button: the power button as a virtio input device. `mortise ctl NAME powerdown` presses it; the guest's
 * own software decides what that means. Events wait until the driver has given buffers for them.
 */
#define MT_NOTE_NAME     "dev-virtio-button"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "power button, as a virtio input device"
#define MT_NOTE_REQUIRES "mortise.virtqueue/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define BUTTON_PROPS(P, c) \
	P(c, bus, "bus", MT_PROP_REF, "", "mortise.virtio-bus/1", "", MT_PROPF_REQUIRED, \
	  "virtio slot of the device")
#define MT_NOTE_CLASSES(C) \
	C(button, "dev-virtio-button", MT_KIND_DEVICE, 0, MT_NOTE_SUMMARY, \
	  "mortise.virtio-device/1 mortise.power-button/1", BUTTON_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/power.h>
#include <mortise/draft/state.h>
#include <mortise/draft/virtio.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "button.h"

#define DEVICE_ID 18u
#define QUEUE_SIZE 64u
enum { QUEUE_EVENT, QUEUE_STATUS, QUEUES };

struct virtio_button {
	struct mt_inst *inst;
	const struct mt_virtqueue_host *virtio;
	struct mt_vq *events, *status;     /* NULL: not running */
	struct button chip;
};

/* Tells what waits, as far as there are buffers. */
static void tell(struct virtio_button *d)
{
	uint8_t event[BUTTON_EVENT_BYTES];
	struct mt_vq_elem *elem;
	bool told = false;

	while (d->events && d->chip.left && d->virtio->pop(d->events, &elem, 1)) {
		uint32_t written = BUTTON_EVENT_BYTES;

		/* a buffer that is too short gets nothing, and the event waits for the next */
		if (elem->in_bytes < BUTTON_EVENT_BYTES)
			written = 0;
		else if (button_next(&d->chip, event))
			d->virtio->copy_in(elem, 0, event, sizeof(event));
		d->virtio->push(d->events, &elem, &written, 1);
		told = true;
	}
	if (told)
		d->virtio->signal(d->events);
}

/* Lights and sounds of keyboards: there are none. */
static void drop_status(struct virtio_button *d)
{
	struct mt_vq_elem *elem;
	const uint32_t written = 0;

	while (d->status && d->virtio->pop(d->status, &elem, 1))
		d->virtio->push(d->status, &elem, &written, 1);
	if (d->status)
		d->virtio->signal(d->status);
}

static int press(void *self, struct mt_error *err)
{
	struct virtio_button *d = self;

	if (!d->events)
		return mt_error_set(err, MT_EAGAIN, NULL,
				    "the guest has no driver for the power button now (of Linux: virtio_input)");
	button_press(&d->chip);
	tell(d);
	return 0;
}

/* Virtio */

static void describe(void *self, struct mt_virtio_desc *out)
{
	(void)self;
	out->device_id = DEVICE_ID;
	out->config_bytes = BUTTON_CONFIG_BYTES;
	out->queue_count = QUEUES;
	out->queue_max[QUEUE_EVENT] = QUEUE_SIZE;
	out->queue_max[QUEUE_STATUS] = QUEUE_SIZE;
}

static void config_read(void *self, uint32_t offset, void *buf, uint32_t len_bytes)
{
	const struct virtio_button *d = self;

	button_config_read(&d->chip, offset, buf, len_bytes);
}

static void config_write(void *self, uint32_t offset, const void *buf, uint32_t len_bytes)
{
	struct virtio_button *d = self;

	button_config_write(&d->chip, offset, buf, len_bytes);
}

static void start(void *self, uint64_t features)
{
	struct virtio_button *d = self;

	(void)features;
	d->events = d->virtio->queue(d->inst, QUEUE_EVENT);
	d->status = d->virtio->queue(d->inst, QUEUE_STATUS);
}

static void stop(void *self)
{
	struct virtio_button *d = self;

	d->events = d->status = NULL;
	button_reset(&d->chip);
}

static void notify(void *self, uint32_t queue)
{
	if (queue == QUEUE_EVENT)
		tell(self);
	else
		drop_status(self);
}

/* Life */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct virtio_button *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->virtio = host->get_interface(host, MT_IFACE_VIRTQUEUE);
	*self = d;
	return 0;
}

static int realize(void *self, struct mt_error *err)
{
	(void)self, (void)err;
	return 0;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)self, (void)kind, (void)phase, (void)err;
	return 0;                          /* the transport resets: see stop */
}

static void unrealize(void *self)
{
	stop(self);
}

static void destroy(void *self)
{
	free(self);
}

/* State: of the chip; the queues are the kernel's. */

static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct button, select, 0xff),
	MT_STATE_VAR(struct button, subsel, 0xff),
	MT_STATE_VAR(struct button, left, BUTTON_EVENTS),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct button, fields);

static const struct mt_virtio_device virtio_device = {
	.describe = describe,
	.config_read = config_read,
	.config_write = config_write,
	.start = start,
	.stop = stop,
	.notify = notify,
};

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.unrealize = unrealize,
	.destroy = destroy,
};

static const struct mt_power_button power_button = { .press = press };

MT_STATE_CLASS_OF(state_class, "virtio-button", 1, 1, table, &((struct virtio_button *)self)->chip)

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_VIRTIO_DEVICE, &virtio_device },
		       { MT_IFACE_POWER_BUTTON, &power_button },
		       { MT_IFACE_STATE, &state_class })
