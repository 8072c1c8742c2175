/* SPDX-License-Identifier: MIT */
/*
 * What clocks of the day with one alarm and one interrupt have in common, whatever their registers are: time, which is
 * the host's UTC and an offset, the alarm, the output; and region, line and timer, with their way through reset and
 * snapshots. Calls come [vcpu] (registers) and [io] (timer) under the instance lock; create and realize [main].
 */
#ifndef MTSDK_RTC_H
#define MTSDK_RTC_H

#include <mortise/draft/clock.h>
#include <mortise/draft/device.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/props.h>
#include <stddef.h>
#include <stdint.h>
#include <util/state.h>

/* The first member of the device's own struct. */
struct mt_rtc {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_clock_host *clock;
	struct mt_line *line;
	struct mt_timer *timer;
	uint64_t offset_ns;        /* the guest's time minus the host's, modulo 2^64 */
	uint64_t alarm_ns;         /* guest's time */
	uint32_t armed, pending, enabled, level;
};

/* At the property `at`; the device serves words. The output is the property `irq`. */
#define MT_RTC_REGION_BYTES 0x1000u

/* In the table of a device's state, before what is its own, and behind it. */
#define MT_RTC_STATE_TIMES \
	MT_STATE_VAR(struct mt_rtc, offset_ns, UINT64_MAX), MT_STATE_VAR(struct mt_rtc, alarm_ns, UINT64_MAX)
#define MT_RTC_STATE_FLAGS \
	MT_STATE_VAR(struct mt_rtc, armed, 1), MT_STATE_VAR(struct mt_rtc, pending, 1), \
	MT_STATE_VAR(struct mt_rtc, enabled, 1)

/* The device class's. *self has `bytes` of zeros behind what is the clock's; `destroy` is free. 0 or MT_E*. */
int mt_rtc_create(const struct mt_host *host, struct mt_inst *inst, size_t bytes, void **self, struct mt_error *err);
int mt_rtc_realize(struct mt_rtc *r, const struct mt_region_ops *ops, struct mt_error *err);
/* Alarm and interrupt go; the time that the guest has set stays, as a battery keeps it. */
void mt_rtc_reset(struct mt_rtc *r);
/* Output and alarm again, after a load, or a time in which nobody looked. `self` begins with a struct mt_rtc. */
void mt_rtc_resume(void *self);

/* The guest's, in ns since 1970. */
uint64_t mt_rtc_now(const struct mt_rtc *r);
/* An alarm that is armed is not looked at: see mt_rtc_look. */
void mt_rtc_set(struct mt_rtc *r, uint64_t now_ns);
/* Whether the alarm has come: at once, where the guest's time has passed `alarm_ns`. */
void mt_rtc_alarm(struct mt_rtc *r, uint64_t alarm_ns);
void mt_rtc_alarm_stop(struct mt_rtc *r);
void mt_rtc_look(struct mt_rtc *r);
void mt_rtc_enable(struct mt_rtc *r, uint32_t enabled);
void mt_rtc_clear(struct mt_rtc *r);

#endif
