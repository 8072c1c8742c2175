/* SPDX-License-Identifier: MIT */
/*
 * dev-debug-exit: one I/O port by which a test program ends the machine: 0 is a tidy power-off, any other number
 * the program's own failure, which becomes the exit code. The machine is asked to end, not ended: the vCPU that
 * wrote goes on until the machine stops it. Calls come [vcpu] under the instance lock.
 */
#define MT_NOTE_NAME     "dev-debug-exit"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "I/O port by which a guest ends the machine with an exit code"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.loop/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define EXIT_PROPS(P, c) \
	P(c, port, "port", MT_PROP_ADDR, "0xf4", "0x4", "io", 0, "I/O port")
#define MT_NOTE_CLASSES(C) \
	C(debug_exit, "dev-debug-exit", MT_KIND_DEVICE, 0, MT_NOTE_SUMMARY, "", EXIT_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

struct debug_exit {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_loop_host *loop;
};

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	(void)self, (void)a;
	*value = 0;
	return MT_BUS_OK;
}

static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct debug_exit *d = self;

	if (a->offset == 0)
		d->loop->machine_request(d->inst, MT_REQUEST_POWEROFF, (uint32_t)value);
	return MT_BUS_OK;
}

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct debug_exit *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->loop = host->get_interface(host, MT_IFACE_LOOP);
	*self = d;
	return 0;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "port", .at_prop = "port", .len_bytes = 4,
		.width_min = 1, .width_max = 4, .ops = &region_ops,
	};
	struct debug_exit *d = self;

	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.destroy = free,
};

/* It has no registers that keep anything. */
static const struct mt_state_class state_class = {
	.schema = "debug-exit", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class })
