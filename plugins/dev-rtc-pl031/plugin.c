/* SPDX-License-Identifier: MIT */
/*
 * dev-rtc-pl031: attaches the chip to a region, a line, the host's UTC clock and a timer on it. Calls come
 * [vcpu] (registers) and [io] (timer) under the instance lock.
 */
#define MT_NOTE_NAME     "dev-rtc-pl031"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "ARM PrimeCell PL031 real-time clock"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.clock/1 mortise.props/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define RTC_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x1000", "", MT_PROPF_REQUIRED, "guest-physical base address") \
	P(c, irq, "irq", MT_PROP_IRQ, "", "", "", 0, "interrupt output")
#define MT_NOTE_CLASSES(C) \
	C(rtc, "dev-rtc-pl031", MT_KIND_DEVICE, 0, \
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

#include "pl031.h"

struct rtc {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_clock_host *clock;
	struct mt_line *line;
	struct mt_timer *timer;
	struct pl031 chip;
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

static const struct pl031_ops chip_ops = {
	.now = chip_now,
	.alarm = chip_alarm,
	.interrupt = chip_interrupt,
};

static void timer_fired(void *arg)
{
	struct rtc *d = arg;

	pl031_alarm(&d->chip);
}

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct rtc *d = self;

	*value = pl031_read(&d->chip, (uint32_t)a->offset);
	return MT_BUS_OK;
}

static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct rtc *d = self;

	pl031_write(&d->chip, (uint32_t)a->offset, (uint32_t)value);
	return MT_BUS_OK;
}

/* A fixed clock of the bus that it hangs on, without which Linux's drivers of PrimeCells do not begin; then itself. */
static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	static const char *const compatible[] = { "arm,pl031", "arm,primecell" };
	const uint32_t zero = 0, rate_hz = 24000000;
	struct rtc *d = self;
	uint32_t clock = w->phandle(fdt);
	char name[32];

	(void)err;
	snprintf(name, sizeof(name), "clock-%" PRIx64, d->props->get_u64(d->inst, "at"));
	w->begin(fdt, name, NULL);
	w->str(fdt, "compatible", "fixed-clock");
	w->u32s(fdt, "#clock-cells", &zero, 1);
	w->u32s(fdt, "clock-frequency", &rate_hz, 1);
	w->self_phandle(fdt);
	w->end(fdt);
	w->begin(fdt, "rtc", "at");
	w->strs(fdt, "compatible", compatible, 2);
	w->u32s(fdt, "clocks", &clock, 1);
	w->str(fdt, "clock-names", "apb_pclk");
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
	pl031_init(&d->chip, &chip_ops, d);
	*self = d;
	return 0;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "rtc", .at_prop = "at", .len_bytes = PL031_REGION_BYTES,
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
		pl031_reset(&d->chip);
	return 0;
}

/* The time outside went on meanwhile: an alarm may have come. */
static void resume(void *self)
{
	struct rtc *d = self;

	pl031_redrive(&d->chip);
}

static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct pl031, offset_ns, UINT64_MAX),
	MT_STATE_VAR(struct pl031, alarm_ns, UINT64_MAX),
	MT_STATE_VAR(struct pl031, match, UINT32_MAX),
	MT_STATE_VAR(struct pl031, load, UINT32_MAX),
	MT_STATE_VAR(struct pl031, armed, 1),
	MT_STATE_VAR(struct pl031, pending, 1),
	MT_STATE_VAR(struct pl031, enabled, 1),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct pl031, fields);

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
	.schema = "pl031", .version = 1, .version_min = 1, .save = save, .load = load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_FDT_NODE, &fdt_node })
