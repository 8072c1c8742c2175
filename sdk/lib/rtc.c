/* SPDX-License-Identifier: MIT */
/* Clocks of the day; see rtc.h. Sums wrap at 64 bits: offsets and alarms are a guest's choice. */
#include "rtc.h"

#include <stdlib.h>
#include <util/error.h>

static uint64_t host_now(const struct mt_rtc *r)
{
	return r->clock->now_ns(r->inst, MT_CLOCK_REALTIME);
}

uint64_t mt_rtc_now(const struct mt_rtc *r)
{
	return host_now(r) + r->offset_ns;
}

void mt_rtc_set(struct mt_rtc *r, uint64_t now_ns)
{
	r->offset_ns = now_ns - host_now(r);
}

static void update(struct mt_rtc *r)
{
	uint32_t level = r->pending && r->enabled;

	if (level == r->level)
		return;
	r->level = level;
	r->irq->line_set(r->line, level);
}

void mt_rtc_alarm_stop(struct mt_rtc *r)
{
	r->armed = 0;
	r->clock->timer_arm(r->timer, UINT64_MAX);
}

/* Called again by the timer and whenever the time was set, so a deadline that wraps does no harm. */
void mt_rtc_look(struct mt_rtc *r)
{
	uint64_t host = host_now(r), now = host + r->offset_ns;

	if (!r->armed)
		return;
	if (now < r->alarm_ns) {
		r->clock->timer_arm(r->timer, host + (r->alarm_ns - now));
		return;
	}
	mt_rtc_alarm_stop(r);
	r->pending = 1;
	update(r);
}

void mt_rtc_alarm(struct mt_rtc *r, uint64_t alarm_ns)
{
	r->alarm_ns = alarm_ns;
	r->armed = 1;
	mt_rtc_look(r);
}

void mt_rtc_enable(struct mt_rtc *r, uint32_t enabled)
{
	r->enabled = enabled;
	update(r);
}

void mt_rtc_clear(struct mt_rtc *r)
{
	r->pending = 0;
	update(r);
}

void mt_rtc_reset(struct mt_rtc *r)
{
	r->alarm_ns = 0;
	r->pending = r->enabled = 0;
	mt_rtc_alarm_stop(r);
	update(r);
}

void mt_rtc_resume(void *self)
{
	struct mt_rtc *r = self;

	r->level = r->pending && r->enabled;
	r->irq->line_set(r->line, r->level);
	mt_rtc_look(r);
}

int mt_rtc_create(const struct mt_host *host, struct mt_inst *inst, size_t bytes, void **self, struct mt_error *err)
{
	struct mt_rtc *r = calloc(1, bytes);

	if (!r)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	r->inst = inst;
	r->props = host->get_interface(host, MT_IFACE_PROPS);
	r->mmio = host->get_interface(host, MT_IFACE_MMIO);
	r->irq = host->get_interface(host, MT_IFACE_IRQ);
	r->clock = host->get_interface(host, MT_IFACE_CLOCK);
	*self = r;
	return 0;
}

static void timer_fired(void *arg)
{
	mt_rtc_look(arg);
}

int mt_rtc_realize(struct mt_rtc *r, const struct mt_region_ops *ops, struct mt_error *err)
{
	const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "rtc", .at_prop = "at", .len_bytes = MT_RTC_REGION_BYTES,
		.width_min = 4, .width_max = 4, .ops = ops,
	};

	r->line = r->irq->line_get(r->inst, "irq", 0);
	r->timer = r->clock->timer_create(r->inst, MT_CLOCK_REALTIME, timer_fired, r);
	if (!r->timer)
		return mt_error_set(err, MT_ENOMEM, NULL, "no timer");
	return r->mmio->region_add(r->inst, &desc, err) ? 0 : MT_EINVAL;
}
