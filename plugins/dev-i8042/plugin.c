/* SPDX-License-Identifier: MIT */
/*
 * dev-i8042: attaches the keyboard controller to its two I/O ports and to port 0x92, and to a line. Calls come [vcpu]
 * under the instance lock; a reset of the machine is asked for, not done.
 */
#define MT_NOTE_NAME     "dev-i8042"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "the PC's keyboard controller, without a keyboard: reset and A20"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.loop/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define I8042_PROPS(P, c) \
	P(c, data, "data-port", MT_PROP_ADDR, "0x60", "0x1", "io", 0, "I/O port of data") \
	P(c, command, "command-port", MT_PROP_ADDR, "0x64", "0x1", "io", 0, "I/O port of commands and status") \
	P(c, fast, "fast-port", MT_PROP_ADDR, "0x92", "0x1", "io", 0, "I/O port of the fast reset and A20") \
	P(c, irq, "irq", MT_PROP_IRQ, "", "", "", 0, "the keyboard's interrupt")
#define MT_NOTE_CLASSES(C) \
	C(i8042, "dev-i8042", MT_KIND_DEVICE, 0, MT_NOTE_SUMMARY, "", I8042_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "i8042.h"

struct keys {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_loop_host *loop;
	struct mt_line *line;      /* NULL: nobody listens */
	struct i8042 chip;
};

static void chip_reset(void *arg)
{
	struct keys *d = arg;

	d->loop->machine_request(d->inst, MT_REQUEST_RESET, 0);
}

static void chip_interrupt(void *arg, uint32_t level)
{
	struct keys *d = arg;

	d->irq->line_set(d->line, level);
}

static const struct i8042_ops chip_ops = { .reset = chip_reset, .interrupt = chip_interrupt };

static uint32_t data_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct keys *d = self;

	(void)a;
	*value = i8042_data_read(&d->chip);
	return MT_BUS_OK;
}

static uint32_t data_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct keys *d = self;

	(void)a;
	i8042_data_write(&d->chip, (uint8_t)value);
	return MT_BUS_OK;
}

static uint32_t status_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct keys *d = self;

	(void)a;
	*value = i8042_status_read(&d->chip);
	return MT_BUS_OK;
}

static uint32_t command_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct keys *d = self;

	(void)a;
	i8042_command_write(&d->chip, (uint8_t)value);
	return MT_BUS_OK;
}

static uint32_t fast_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct keys *d = self;

	(void)a;
	*value = i8042_fast_read(&d->chip);
	return MT_BUS_OK;
}

static uint32_t fast_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct keys *d = self;

	(void)a;
	i8042_fast_write(&d->chip, (uint8_t)value);
	return MT_BUS_OK;
}

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct keys *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	*self = d;
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->loop = host->get_interface(host, MT_IFACE_LOOP);
	i8042_init(&d->chip, &chip_ops, d);
	return 0;
}

static const struct mt_region_ops ops[] = {
	{ .read = data_read, .write = data_write },
	{ .read = status_read, .write = command_write },
	{ .read = fast_read, .write = fast_write },
};

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc ports[] = {
		{ sizeof(ports[0]), 0, "data", "data-port", 1, 1, 1, &ops[0] },
		{ sizeof(ports[0]), 0, "command", "command-port", 1, 1, 1, &ops[1] },
		{ sizeof(ports[0]), 0, "fast", "fast-port", 1, 1, 1, &ops[2] },
	};
	struct keys *d = self;

	d->line = d->irq->line_get(d->inst, "irq", 0);
	for (uint32_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		if (!d->mmio->region_add(d->inst, &ports[i], err))
			return MT_EINVAL;
	}
	return 0;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct keys *d = self;

	(void)kind, (void)err;
	if (phase == MT_RESET_ENTER)
		i8042_reset(&d->chip);
	else if (phase == MT_RESET_HOLD)
		i8042_resume(&d->chip);
	return 0;
}

static void resume(void *self)
{
	struct keys *d = self;

	i8042_resume(&d->chip);
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.resume = resume,
	.destroy = free,
};

static const struct mt_state_field fields[] = {
	MT_STATE_ARRAY(struct i8042, ram, 0xff),
	MT_STATE_VAR(struct i8042, status, 0x5d),
	MT_STATE_VAR(struct i8042, data, 0xff),
	MT_STATE_VAR(struct i8042, command, 0xd4),
	MT_STATE_VAR(struct i8042, output_port, 0xff),
	MT_STATE_VAR(struct i8042, fast, 0xfd),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct i8042, fields);

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct keys *d = self;

	(void)err;
	mt_state_save(out, w, &table, &d->chip);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct keys *d = self;
	struct i8042 loaded = d->chip;
	const char *culprit;
	int code = mt_state_load(in, r, &table, version, &loaded);

	(void)err;
	if (code)
		return code;
	culprit = i8042_cannot_be(&loaded);
	if (culprit)
		return r->refuse(in, culprit, "is what the controller cannot have");
	d->chip = loaded;
	return 0;
}

static const struct mt_state_class state_class = {
	.schema = "i8042", .version = 1, .version_min = 1, .save = save, .load = load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class })
