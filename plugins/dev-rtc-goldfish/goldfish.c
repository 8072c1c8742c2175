/* SPDX-License-Identifier: MIT */
/*
 * The goldfish clock's chip; see goldfish.h. Sums wrap at 64 bits: offsets and values are a guest's choice.
 * The low half of a pair is the one that acts: reading it latches the high half, writing it sets both.
 */
#include "goldfish.h"

#include <string.h>

#define TIME_LOW        0x00u
#define TIME_HIGH       0x04u
#define ALARM_LOW       0x08u
#define ALARM_HIGH      0x0cu
#define IRQ_ENABLED     0x10u
#define CLEAR_ALARM     0x14u
#define ALARM_STATUS    0x18u
#define CLEAR_INTERRUPT 0x1cu

static void update(struct goldfish *g)
{
	uint32_t level = g->pending && g->enabled;

	if (level == g->level)
		return;
	g->level = level;
	g->ops->interrupt(g->arg, level);
}

static uint64_t guest_now(struct goldfish *g)
{
	return g->ops->now(g->arg) + g->offset_ns;
}

static void alarm_stop(struct goldfish *g)
{
	g->armed = 0;
	g->ops->alarm(g->arg, UINT64_MAX);
}

/* Called again by goldfish_alarm and whenever the time was set, so a deadline that wraps does no harm. */
static void alarm_check(struct goldfish *g)
{
	if (!g->armed)
		return;
	if (guest_now(g) < g->alarm_ns) {
		g->ops->alarm(g->arg, g->ops->now(g->arg) + (g->alarm_ns - guest_now(g)));
		return;
	}
	alarm_stop(g);
	g->pending = 1;
	update(g);
}

void goldfish_alarm(struct goldfish *g)
{
	alarm_check(g);
}

void goldfish_redrive(struct goldfish *g)
{
	g->level = g->pending && g->enabled;
	g->ops->interrupt(g->arg, g->level);
	alarm_check(g);
}

void goldfish_init(struct goldfish *g, const struct goldfish_ops *ops, void *arg)
{
	memset(g, 0, sizeof(*g));
	g->ops = ops;
	g->arg = arg;
}

void goldfish_reset(struct goldfish *g)
{
	g->time_high = g->alarm_high = 0;
	g->alarm_ns = 0;
	g->pending = g->enabled = 0;
	alarm_stop(g);
	update(g);
}

static uint32_t time_low(struct goldfish *g)
{
	uint64_t now = guest_now(g);

	g->time_high = (uint32_t)(now >> 32);
	return (uint32_t)now;
}

uint32_t goldfish_read(struct goldfish *g, uint32_t offset)
{
	switch (offset) {
	case TIME_LOW:
		return time_low(g);
	case TIME_HIGH:
		return g->time_high;
	case ALARM_LOW:
		return (uint32_t)g->alarm_ns;
	case ALARM_HIGH:
		return (uint32_t)(g->alarm_ns >> 32);
	case IRQ_ENABLED:
		return g->enabled;
	case ALARM_STATUS:
		return g->armed;
	default:
		return 0;
	}
}

void goldfish_write(struct goldfish *g, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case TIME_LOW:
		g->offset_ns = ((uint64_t)g->time_high << 32 | value) - g->ops->now(g->arg);
		alarm_check(g);
		break;
	case TIME_HIGH:
		g->time_high = value;
		break;
	case ALARM_LOW:
		g->alarm_ns = (uint64_t)g->alarm_high << 32 | value;
		g->armed = 1;
		alarm_check(g);
		break;
	case ALARM_HIGH:
		g->alarm_high = value;
		break;
	case IRQ_ENABLED:
		g->enabled = value & 1;
		update(g);
		break;
	case CLEAR_ALARM:
		alarm_stop(g);
		break;
	case CLEAR_INTERRUPT:
		g->pending = 0;
		update(g);
		break;
	}
}
