/* SPDX-License-Identifier: MIT */
/*
 * dev-rtc-goldfish: the registers of the goldfish clock, nanoseconds since 1970 in two halves. The low half of a pair
 * is the one that acts: reading it latches the high half, writing it sets both.
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

#include <lib/rtc.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <util/entry.h>

#define TIME_LOW        0x00u
#define TIME_HIGH       0x04u
#define ALARM_LOW       0x08u
#define ALARM_HIGH      0x0cu
#define IRQ_ENABLED     0x10u
#define CLEAR_ALARM     0x14u
#define ALARM_STATUS    0x18u
#define CLEAR_INTERRUPT 0x1cu

struct goldfish {
	struct mt_rtc rtc;
	uint32_t time_high;        /* latched by a read of the low half, or written before one */
	uint32_t alarm_high;
};

static uint32_t time_low(struct goldfish *g)
{
	uint64_t now = mt_rtc_now(&g->rtc);

	g->time_high = (uint32_t)(now >> 32);
	return (uint32_t)now;
}

static uint32_t get(struct goldfish *g, uint64_t offset)
{
	switch (offset) {
	case TIME_LOW:
		return time_low(g);
	case TIME_HIGH:
		return g->time_high;
	case ALARM_LOW:
		return (uint32_t)g->rtc.alarm_ns;
	case ALARM_HIGH:
		return (uint32_t)(g->rtc.alarm_ns >> 32);
	case IRQ_ENABLED:
		return g->rtc.enabled;
	case ALARM_STATUS:
		return g->rtc.armed;
	default:
		return 0;
	}
}

static void put(struct goldfish *g, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case TIME_LOW:
		mt_rtc_set(&g->rtc, (uint64_t)g->time_high << 32 | value);
		mt_rtc_look(&g->rtc);
		break;
	case TIME_HIGH:
		g->time_high = value;
		break;
	case ALARM_LOW:
		mt_rtc_alarm(&g->rtc, (uint64_t)g->alarm_high << 32 | value);
		break;
	case ALARM_HIGH:
		g->alarm_high = value;
		break;
	case IRQ_ENABLED:
		mt_rtc_enable(&g->rtc, value & 1);
		break;
	case CLEAR_ALARM:
		mt_rtc_alarm_stop(&g->rtc);
		break;
	case CLEAR_INTERRUPT:
		mt_rtc_clear(&g->rtc);
		break;
	}
}

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	*value = get(self, a->offset);
	return MT_BUS_OK;
}

static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	put(self, a->offset, (uint32_t)value);
	return MT_BUS_OK;
}

static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	const struct mt_rtc *r = self;

	(void)err;
	w->begin(fdt, "rtc", "at");
	w->str(fdt, "compatible", "google,goldfish-rtc");
	if (r->props->present(r->inst, "irq"))
		w->irqs(fdt, "irq");
	w->end(fdt);
	return 0;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	return mt_rtc_create(host, inst, sizeof(struct goldfish), self, err);
}

static int realize(void *self, struct mt_error *err)
{
	return mt_rtc_realize(self, &region_ops, err);
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct goldfish *g = self;

	(void)kind, (void)err;
	if (phase != MT_RESET_HOLD)
		return 0;
	g->time_high = g->alarm_high = 0;
	mt_rtc_reset(&g->rtc);
	return 0;
}

static const struct mt_state_field fields[] = {
	MT_RTC_STATE_TIMES,
	MT_STATE_VAR(struct goldfish, time_high, UINT32_MAX),
	MT_STATE_VAR(struct goldfish, alarm_high, UINT32_MAX),
	MT_RTC_STATE_FLAGS,
};
static const struct mt_state_table table = MT_STATE_TABLE(struct goldfish, fields);
MT_STATE_CLASS_OF(state_class, "goldfish-rtc", 1, 1, table, self)

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.resume = mt_rtc_resume,
	.destroy = free,
};

static const struct mt_fdt_node fdt_node = { .describe = describe };

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_FDT_NODE, &fdt_node })
