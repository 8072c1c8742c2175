/* SPDX-License-Identifier: MIT */
/*
 * dev-rtc-cmos: attaches the chip to two I/O ports, a line, guest time with a timer, and the host's UTC clock. Calls
 * come [vcpu] (ports) and [io] (timer) under the instance lock. Easy to break: the chip gets its battery in realize,
 * and resets keep the time.
 */
#define MT_NOTE_NAME     "dev-rtc-cmos"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "MC146818A real-time clock with the PC's CMOS RAM"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.clock/1 mortise.props/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define RTC_PROPS(P, c) \
	P(c, port, "port", MT_PROP_ADDR, "0x70", "0x2", "io", 0, "I/O port of the index; the data's is behind it") \
	P(c, irq, "irq", MT_PROP_IRQ, "", "", "", 0, "interrupt output") \
	P(c, century, "century", MT_PROP_INT, "0x32", "0..127", "", 0, "index of the century byte; 0: there is none")
#define MT_NOTE_CLASSES(C) \
	C(rtc, "dev-rtc-cmos", MT_KIND_DEVICE, 0, MT_NOTE_SUMMARY, "mortise.acpi-node/1", RTC_PROPS)

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

#include "mc146818.h"

struct rtc {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_clock_host *clock;
	struct mt_line *line;
	struct mt_timer *timer;
	struct mc146818 chip;
};

static uint64_t chip_guest_ns(void *arg)
{
	struct rtc *d = arg;

	return d->clock->now_ns(d->inst, MT_CLOCK_GUEST);
}

static uint64_t chip_wall_ns(void *arg)
{
	struct rtc *d = arg;

	return d->clock->now_ns(d->inst, MT_CLOCK_REALTIME);
}

static void chip_timer(void *arg, uint64_t deadline_ns)
{
	struct rtc *d = arg;

	d->clock->timer_arm(d->timer, deadline_ns);
}

static void chip_interrupt(void *arg, uint32_t level)
{
	struct rtc *d = arg;

	d->irq->line_set(d->line, level);
}

static const struct mc146818_ops chip_ops = {
	.guest_ns = chip_guest_ns,
	.wall_ns = chip_wall_ns,
	.timer = chip_timer,
	.interrupt = chip_interrupt,
};

static void timer_fired(void *arg)
{
	struct rtc *d = arg;

	mc146818_timer(&d->chip);
}

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct rtc *d = self;

	*value = mc146818_read(&d->chip, (uint32_t)a->offset);
	return MT_BUS_OK;
}

static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct rtc *d = self;

	mc146818_write(&d->chip, (uint32_t)a->offset, (uint8_t)value);
	return MT_BUS_OK;
}

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct rtc *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	*self = d;
	d->inst = inst;
	d->props = host->get_interface(host, MT_IFACE_PROPS);
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->clock = host->get_interface(host, MT_IFACE_CLOCK);
	mc146818_init(&d->chip, (uint32_t)d->props->get_u64(inst, "century"), &chip_ops, d);
	return 0;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "rtc", .at_prop = "port", .len_bytes = MC146818_PORTS,
		.width_min = 1, .width_max = 1, .ops = &region_ops,
	};
	struct rtc *d = self;

	if (d->chip.century && d->chip.century <= RTC_D) {
		mt_error_set(err, MT_ERANGE, "century", "indexes up to 13 are the clock's own registers");
		return mt_error_hint(err, "PCs have century = 0x32");
	}
	d->line = d->irq->line_get(d->inst, "irq", 0);
	d->timer = d->clock->timer_create(d->inst, MT_CLOCK_GUEST, timer_fired, d);
	if (!d->timer)
		return mt_error_set(err, MT_ENOMEM, NULL, "no timer");
	mc146818_power_on(&d->chip);
	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct rtc *d = self;

	(void)kind, (void)err;
	if (phase == MT_RESET_HOLD)
		mc146818_reset(&d->chip);
	return 0;
}

static void quiesce(void *self)
{
	struct rtc *d = self;

	mc146818_quiesce(&d->chip);
}

static void resume(void *self)
{
	struct rtc *d = self;

	mc146818_resume(&d->chip);
}

static const struct mt_state_field fields[] = {
	MT_STATE_DATA(struct mc146818, ram),
	MT_STATE_VAR(struct mc146818, index, MC146818_BYTES - 1),
	MT_STATE_VAR(struct mc146818, next_ns, UINT64_MAX),
	MT_STATE_VAR(struct mc146818, period_ns, UINT64_MAX),
	MT_STATE_VAR(struct mc146818, wall_base_ns, UINT64_MAX),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct mc146818, fields);

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct rtc *d = self;
	uint64_t century = d->chip.century;

	(void)err;
	w->put(out, "century", MT_STATE_U64, 0, &century, 1);
	mt_state_save(out, w, &table, &d->chip);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct rtc *d = self;
	struct mc146818 loaded = d->chip;
	const char *why;
	int code = mt_state_expect(in, r, "century", d->chip.century);

	(void)err;
	if (!code)
		code = mt_state_load(in, r, &table, version, &loaded);
	if (code)
		return code;
	why = mc146818_cannot_be(&loaded);
	if (why)
		return r->refuse(in, "ram", why);
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
	struct rtc *d = self;
	const struct mt_acpi_range ports = { d->props->get_u64(d->inst, "port"), MC146818_PORTS };

	(void)err;
	w->device(acpi, "PNP0B00", &ports, 1, d->props->present(d->inst, "irq") ? "irq" : NULL);
	return 0;
}

static const struct mt_acpi_node acpi_node = { .describe = acpi_describe };

static const struct mt_state_class state_class = {
	.schema = "mc146818", .version = 1, .version_min = 1, .save = save, .load = load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_ACPI_NODE, &acpi_node },
		       { MT_IFACE_STATE, &state_class })
