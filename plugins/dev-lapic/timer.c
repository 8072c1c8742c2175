/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer (SDM, "APIC Timer"): one-shot and periodic. What counts is only the time at which the count
 * reaches 0; the count is made from it when it is read. A guest may set a period of a nanosecond: periods that are
 * over before the host could have looked are left out, and the phase stays.
 */
#include "lapic.h"

#define PERIODIC    (1u << 17)
#define MASKED      (1u << 16)
#define PERIOD_MIN_NS 20000u

/* Bits 0, 1 and 3 of the register: 2, 4, .. 128, and last 1. */
static uint64_t divisor(const struct lapic *c)
{
	uint32_t code = (c->divide & 3) | (c->divide >> 1 & 4);

	return 1u << ((code + 1) & 7);
}

uint64_t lapic_deadline(const struct lapic *c)
{
	return c->deadline_ns && !(c->lvt[LVT_TIMER] & MASKED) ? c->deadline_ns : UINT64_MAX;
}

/* The next end of a period that is not too near. Its time may not fit: then it never comes. */
static uint64_t deadline_after(const struct lapic *c, uint64_t now_ns)
{
	uint64_t period = c->initial * divisor(c);
	uint64_t late = now_ns - c->deadline_ns;
	uint64_t skip = period < PERIOD_MIN_NS ? late + PERIOD_MIN_NS : late;

	return c->deadline_ns + (skip / period + 1) * period;
}

void lapic_tick(struct lapic *c, uint64_t now_ns)
{
	if (!c->deadline_ns || c->deadline_ns > now_ns)
		return;
	c->deadline_ns = c->lvt[LVT_TIMER] & PERIODIC && c->initial ? deadline_after(c, now_ns) : 0;
	lapic_local(c, LVT_TIMER);
}

uint32_t lapic_timer_count(const struct lapic *c, uint64_t now_ns)
{
	uint64_t left;

	if (c->deadline_ns <= now_ns || !c->initial)
		return 0;
	left = (c->deadline_ns - now_ns - 1) / divisor(c);
	return (uint32_t)(left % c->initial + 1);
}

void lapic_timer_start(struct lapic *c, uint32_t count, uint64_t now_ns)
{
	c->initial = count;
	c->deadline_ns = count ? now_ns + count * divisor(c) : 0;
}

/* The count goes on from where it is. */
void lapic_timer_divide(struct lapic *c, uint32_t value, uint64_t now_ns)
{
	uint32_t count = lapic_timer_count(c, now_ns);

	c->divide = value & 0xb;
	if (c->deadline_ns)
		c->deadline_ns = now_ns + count * divisor(c);
}
