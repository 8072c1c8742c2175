/* SPDX-License-Identifier: MIT */
/*
 * dev-i8254: attaches the timer chip to its four I/O ports and to port 0x61, to a line, and to guest time with a timer.
 * Calls come [vcpu] (ports) and [io] (timer) under the instance lock. Easy to break: without a line the timer is never
 * armed, and counters must not need it.
 */
#define MT_NOTE_NAME     "dev-i8254"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "Intel 8254 timer with the PC's speaker port"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.clock/1 mortise.props/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define PIT_PROPS(P, c) \
	P(c, port, "port", MT_PROP_ADDR, "0x40", "0x4", "io", 0, "I/O port of counter 0") \
	P(c, speaker, "speaker", MT_PROP_ADDR, "0x61", "0x1", "io", 0, "I/O port of the gate and output of counter 2") \
	P(c, irq, "irq", MT_PROP_IRQ, "", "", "", 0, "output of counter 0")
#define MT_NOTE_CLASSES(C) \
	C(pit, "dev-i8254", MT_KIND_DEVICE, 0, MT_NOTE_SUMMARY, "mortise.acpi-node/1", PIT_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/acpi.h>
#include <mortise/draft/clock.h>
#include <mortise/draft/device.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "i8254.h"

struct pit {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_clock_host *clock;
	const struct mt_props_host *props;
	struct mt_line *line;      /* NULL: nobody listens */
	struct mt_timer *timer;
	struct i8254 chip;
};

static uint64_t chip_guest_ns(void *arg)
{
	struct pit *d = arg;

	return d->clock->now_ns(d->inst, MT_CLOCK_GUEST);
}

static void chip_timer(void *arg, uint64_t deadline_ns)
{
	struct pit *d = arg;

	if (d->line)
		d->clock->timer_arm(d->timer, deadline_ns);
}

static void chip_output(void *arg, uint32_t level)
{
	struct pit *d = arg;

	d->irq->line_set(d->line, level);
}

static const struct i8254_ops chip_ops = {
	.guest_ns = chip_guest_ns,
	.timer = chip_timer,
	.output = chip_output,
};

static void timer_fired(void *arg)
{
	struct pit *d = arg;

	i8254_timer(&d->chip);
}

static uint32_t chip_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct pit *d = self;

	*value = i8254_read(&d->chip, (uint32_t)a->offset);
	return MT_BUS_OK;
}

static uint32_t chip_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct pit *d = self;

	i8254_write(&d->chip, (uint32_t)a->offset, (uint8_t)value);
	return MT_BUS_OK;
}

static uint32_t speaker_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct pit *d = self;

	(void)a;
	*value = i8254_port61_read(&d->chip);
	return MT_BUS_OK;
}

static uint32_t speaker_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct pit *d = self;

	(void)a;
	i8254_port61_write(&d->chip, (uint8_t)value);
	return MT_BUS_OK;
}

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct pit *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	*self = d;
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->clock = host->get_interface(host, MT_IFACE_CLOCK);
	d->props = host->get_interface(host, MT_IFACE_PROPS);
	i8254_init(&d->chip, &chip_ops, d);
	return 0;
}

static const struct mt_region_ops chip_region = { .read = chip_read, .write = chip_write };
static const struct mt_region_ops speaker_region = { .read = speaker_read, .write = speaker_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc chip = {
		.size = sizeof(chip), .name = "timer", .at_prop = "port", .len_bytes = I8254_PORTS,
		.width_min = 1, .width_max = 1, .ops = &chip_region,
	};
	static const struct mt_region_desc speaker = {
		.size = sizeof(speaker), .name = "speaker", .at_prop = "speaker", .len_bytes = 1,
		.width_min = 1, .width_max = 1, .ops = &speaker_region,
	};
	struct pit *d = self;

	d->line = d->irq->line_get(d->inst, "irq", 0);
	d->timer = d->clock->timer_create(d->inst, MT_CLOCK_GUEST, timer_fired, d);
	if (!d->timer)
		return mt_error_set(err, MT_ENOMEM, NULL, "no timer");
	if (!d->mmio->region_add(d->inst, &chip, err) || !d->mmio->region_add(d->inst, &speaker, err))
		return MT_EINVAL;
	return 0;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct pit *d = self;

	(void)kind, (void)err;
	if (phase == MT_RESET_HOLD)
		i8254_reset(&d->chip);
	return 0;
}

static void quiesce(void *self)
{
	struct pit *d = self;

	i8254_quiesce(&d->chip);
}

static void resume(void *self)
{
	struct pit *d = self;

	i8254_resume(&d->chip);
}

#define COUNTER(member, max) MT_STATE_VAR(struct i8254_counter, member, max)

static const struct mt_state_field counter_fields[] = {
	COUNTER(control, 0x3f), COUNTER(gate, 1), COUNTER(phase, I8254_HELD), COUNTER(null_count, 1), COUNTER(armed, 1),
	COUNTER(before, 1), COUNTER(write_high, 1), COUNTER(read_high, 1), COUNTER(write_low, 0xff),
	COUNTER(latch_left, 2), COUNTER(status_latched, 1), COUNTER(status, 0xff), COUNTER(latch, 0xffff),
	COUNTER(cr, 0xffff), COUNTER(ce, 0xffff), MT_STATE_RANGE(struct i8254_counter, count, 1, 0x10000),
	COUNTER(start, UINT64_MAX), COUNTER(held, UINT64_MAX), COUNTER(switch_at, UINT64_MAX),
};
static const struct mt_state_table counter_table = MT_STATE_TABLE(struct i8254_counter, counter_fields);

static const struct mt_state_field fields[] = {
	MT_STATE_STRUCTS(struct i8254, counters, &counter_table),
	MT_STATE_VAR(struct i8254, port61, 0x0f),
	MT_STATE_VAR(struct i8254, seen, INT64_MAX),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct i8254, fields);

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct pit *d = self;

	(void)err;
	mt_state_save(out, w, &table, &d->chip);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct pit *d = self;
	struct i8254 loaded = d->chip;
	const char *why;
	int code = mt_state_load(in, r, &table, version, &loaded);

	(void)err;
	if (code)
		return code;
	why = i8254_cannot_be(&loaded);
	if (why)
		return r->refuse(in, "counters", why);
	d->chip = loaded;
	return 0;
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.quiesce = quiesce,
	.resume = resume,
	.destroy = free,
};

static int acpi_describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	struct pit *d = self;
	const struct mt_acpi_range ports = { d->props->get_u64(d->inst, "port"), I8254_PORTS };

	(void)err;
	w->device(acpi, "PNP0100", &ports, 1, d->props->present(d->inst, "irq") ? "irq" : NULL);
	return 0;
}

static const struct mt_acpi_node acpi_node = { .describe = acpi_describe };

static const struct mt_state_class state_class = {
	.schema = "i8254", .version = 1, .version_min = 1, .save = save, .load = load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_ACPI_NODE, &acpi_node },
		       { MT_IFACE_STATE, &state_class })
