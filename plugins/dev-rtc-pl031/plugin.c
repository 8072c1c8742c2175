/* SPDX-License-Identifier: MIT */
/*
 * dev-rtc-pl031: the registers of ARM's PrimeCell real-time clock PL031, seconds since 1970 in 32 bits. Their names are
 * those of ARM DDI 0224, section 3.3. It runs from power on, as one with a battery does: its start bit reads as set
 * and cannot be cleared. The interrupt comes when the counter is equal to the match register and at no other time: a
 * match behind the counter waits until it has gone round.
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

#include <inttypes.h>
#include <lib/rtc.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/state.h>
#include <stdio.h>
#include <stdlib.h>
#include <util/entry.h>

#define NS_PER_S UINT64_C(1000000000)

#define RTCDR   0x00u
#define RTCMR   0x04u
#define RTCLR   0x08u
#define RTCCR   0x0cu
#define RTCIMSC 0x10u
#define RTCRIS  0x14u
#define RTCMIS  0x18u
#define RTCICR  0x1cu
#define ID      0xfe0u

/* RTCPeriphID0..3 and RTCPCellID0..3 */
static const uint8_t id[8] = { 0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

struct pl031 {
	struct mt_rtc rtc;
	uint32_t match, load;      /* as they were written */
};

/* Counter or match are new. */
static void alarm_set(struct pl031 *p)
{
	uint64_t second = mt_rtc_now(&p->rtc) / NS_PER_S;

	mt_rtc_alarm(&p->rtc, (second + (uint32_t)(p->match - (uint32_t)second)) * NS_PER_S);
}

static uint32_t get(const struct pl031 *p, uint64_t offset)
{
	switch (offset) {
	case RTCDR:
		return (uint32_t)(mt_rtc_now(&p->rtc) / NS_PER_S);
	case RTCMR:
		return p->match;
	case RTCLR:
		return p->load;
	case RTCCR:
		return 1;
	case RTCIMSC:
		return p->rtc.enabled;
	case RTCRIS:
		return p->rtc.pending;
	case RTCMIS:
		return p->rtc.pending & p->rtc.enabled;
	default:
		return offset >= ID && !(offset & 3) ? id[(offset - ID) / 4] : 0;
	}
}

static void put(struct pl031 *p, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case RTCMR:
		p->match = value;
		alarm_set(p);
		break;
	case RTCLR:
		p->load = value;
		mt_rtc_set(&p->rtc, value * NS_PER_S);
		/* the match that has come, and one that was never set, do not come by this */
		if (p->rtc.armed)
			alarm_set(p);
		break;
	case RTCIMSC:
		mt_rtc_enable(&p->rtc, value & 1);
		break;
	case RTCICR:
		if (value & 1)
			mt_rtc_clear(&p->rtc);
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

/* A fixed clock of the bus that it hangs on, without which Linux's drivers of PrimeCells do not begin; then itself. */
static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	static const char *const compatible[] = { "arm,pl031", "arm,primecell" };
	const uint32_t zero = 0, rate_hz = 24000000;
	const struct mt_rtc *r = self;
	uint32_t clock = w->phandle(fdt);
	char name[32];

	(void)err;
	snprintf(name, sizeof(name), "clock-%" PRIx64, r->props->get_u64(r->inst, "at"));
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
	if (r->props->present(r->inst, "irq"))
		w->irqs(fdt, "irq");
	w->end(fdt);
	return 0;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	return mt_rtc_create(host, inst, sizeof(struct pl031), self, err);
}

static int realize(void *self, struct mt_error *err)
{
	return mt_rtc_realize(self, &region_ops, err);
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct pl031 *p = self;

	(void)kind, (void)err;
	if (phase != MT_RESET_HOLD)
		return 0;
	p->match = p->load = 0;
	mt_rtc_reset(&p->rtc);
	return 0;
}

static const struct mt_state_field fields[] = {
	MT_RTC_STATE_TIMES,
	MT_STATE_VAR(struct pl031, match, UINT32_MAX),
	MT_STATE_VAR(struct pl031, load, UINT32_MAX),
	MT_RTC_STATE_FLAGS,
};
static const struct mt_state_table table = MT_STATE_TABLE(struct pl031, fields);
MT_STATE_CLASS_OF(state_class, "pl031", 1, 1, table, self)

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
