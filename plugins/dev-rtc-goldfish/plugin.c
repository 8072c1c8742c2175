/* SPDX-License-Identifier: MIT */
/*
 * dev-rtc-goldfish: attaches the chip to a region, a line, the host's UTC clock and a timer on it. Calls come
 * [vcpu] (registers) and [io] (timer) under the instance lock.
 */
#define MT_NOTE_NAME     "dev-rtc-goldfish"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "goldfish real-time clock with alarm"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.clock/1 mortise.props/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define RTC_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x1000", "", MT_PROPF_REQUIRED, "guest-physical base address") \
	P(c, irq, "irq", MT_PROP_IRQ, "", "", "", 0, "interrupt output")
#define MT_NOTE_CLASSES(C) \
	C(rtc, "dev-rtc-goldfish", MT_KIND_DEVICE, 0, \
	  MT_NOTE_SUMMARY, "mortise.fdt-node/1", RTC_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/clock.h>
#include <mortise/draft/device.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "goldfish.h"

struct rtc {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_clock_host *clock;
	struct mt_line *line;
	struct mt_timer *timer;
	struct goldfish chip;
};

static uint64_t chip_now(void *arg)
{
	struct rtc *d = arg;

	return d->clock->now_ns(d->inst, MT_CLOCK_REALTIME);
}

static void chip_alarm(void *arg, uint64_t deadline_ns)
{
	struct rtc *d = arg;

	d->clock->timer_arm(d->timer, deadline_ns);
}

static void chip_interrupt(void *arg, uint32_t level)
{
	struct rtc *d = arg;

	d->irq->line_set(d->line, level);
}

static const struct goldfish_ops chip_ops = {
	.now = chip_now,
	.alarm = chip_alarm,
	.interrupt = chip_interrupt,
};

static void timer_fired(void *arg)
{
	struct rtc *d = arg;

	goldfish_alarm(&d->chip);
}

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct rtc *d = self;

	*value = goldfish_read(&d->chip, (uint32_t)a->offset);
	return MT_BUS_OK;
}

static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct rtc *d = self;

	goldfish_write(&d->chip, (uint32_t)a->offset, (uint32_t)value);
	return MT_BUS_OK;
}

static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	struct rtc *d = self;

	(void)err;
	w->begin(fdt, "rtc", "at");
	w->str(fdt, "compatible", "google,goldfish-rtc");
	if (d->props->present(d->inst, "irq"))
		w->irqs(fdt, "irq");
	w->end(fdt);
	return 0;
}

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct rtc *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->props = host->get_interface(host, MT_IFACE_PROPS);
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->clock = host->get_interface(host, MT_IFACE_CLOCK);
	goldfish_init(&d->chip, &chip_ops, d);
	*self = d;
	return 0;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "rtc", .at_prop = "at", .len_bytes = GOLDFISH_REGION_BYTES,
		.width_min = 4, .width_max = 4, .ops = &region_ops,
	};
	struct rtc *d = self;

	d->line = d->irq->line_get(d->inst, "irq", 0);
	d->timer = d->clock->timer_create(d->inst, MT_CLOCK_REALTIME, timer_fired, d);
	if (!d->timer)
		return mt_error_set(err, MT_ENOMEM, NULL, "no timer");
	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct rtc *d = self;

	(void)kind, (void)err;
	if (phase == MT_RESET_HOLD)
		goldfish_reset(&d->chip);
	return 0;
}

/* The time outside went on meanwhile: an alarm may have come. */
static void resume(void *self)
{
	struct rtc *d = self;

	goldfish_redrive(&d->chip);
}

static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct goldfish, offset_ns, UINT64_MAX),
	MT_STATE_VAR(struct goldfish, alarm_ns, UINT64_MAX),
	MT_STATE_VAR(struct goldfish, time_high, UINT32_MAX),
	MT_STATE_VAR(struct goldfish, alarm_high, UINT32_MAX),
	MT_STATE_VAR(struct goldfish, armed, 1),
	MT_STATE_VAR(struct goldfish, pending, 1),
	MT_STATE_VAR(struct goldfish, enabled, 1),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct goldfish, fields);

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct rtc *d = self;

	(void)err;
	mt_state_save(out, w, &table, &d->chip);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct rtc *d = self;

	(void)err;
	return mt_state_load(in, r, &table, version, &d->chip);
}

static void destroy(void *self)
{
	free(self);
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.resume = resume,
	.destroy = destroy,
};

static const struct mt_fdt_node fdt_node = { .describe = describe };

static const struct mt_state_class state_class = {
	.schema = "goldfish-rtc", .version = 1, .version_min = 1, .save = save, .load = load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_FDT_NODE, &fdt_node })
