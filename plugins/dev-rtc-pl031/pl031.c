/* SPDX-License-Identifier: MIT */
/*
 * The PL031's chip; see pl031.h. Names of registers are those of ARM DDI 0224, section 3.3. The interrupt comes when
 * the counter is equal to the match register and at no other time: a match behind the counter waits until it has gone
 * round.
 */
#include "pl031.h"

#include <string.h>

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

static void update(struct pl031 *p)
{
	uint32_t level = p->pending && p->enabled;

	if (level == p->level)
		return;
	p->level = level;
	p->ops->interrupt(p->arg, level);
}

static uint64_t guest_now(struct pl031 *p)
{
	return p->ops->now(p->arg) + p->offset_ns;
}

static uint32_t counter(struct pl031 *p)
{
	return (uint32_t)(guest_now(p) / NS_PER_S);
}

/* Called again by pl031_alarm. */
static void alarm_check(struct pl031 *p)
{
	uint64_t now = guest_now(p);

	if (!p->armed)
		return;
	if (now < p->alarm_ns) {
		p->ops->alarm(p->arg, p->ops->now(p->arg) + (p->alarm_ns - now));
		return;
	}
	p->armed = 0;
	p->ops->alarm(p->arg, UINT64_MAX);
	p->pending = 1;
	update(p);
}

/* Counter or match are new. */
static void alarm_set(struct pl031 *p)
{
	uint64_t second = guest_now(p) / NS_PER_S;

	p->alarm_ns = (second + (uint32_t)(p->match - (uint32_t)second)) * NS_PER_S;
	p->armed = 1;
	alarm_check(p);
}

void pl031_alarm(struct pl031 *p)
{
	alarm_check(p);
}

void pl031_redrive(struct pl031 *p)
{
	p->level = p->pending && p->enabled;
	p->ops->interrupt(p->arg, p->level);
	alarm_check(p);
}

void pl031_init(struct pl031 *p, const struct pl031_ops *ops, void *arg)
{
	memset(p, 0, sizeof(*p));
	p->ops = ops;
	p->arg = arg;
}

void pl031_reset(struct pl031 *p)
{
	p->match = p->load = 0;
	p->armed = p->pending = p->enabled = 0;
	p->ops->alarm(p->arg, UINT64_MAX);
	update(p);
}

uint32_t pl031_read(struct pl031 *p, uint32_t offset)
{
	switch (offset) {
	case RTCDR:
		return counter(p);
	case RTCMR:
		return p->match;
	case RTCLR:
		return p->load;
	case RTCCR:
		return 1;
	case RTCIMSC:
		return p->enabled;
	case RTCRIS:
		return p->pending;
	case RTCMIS:
		return p->pending & p->enabled;
	default:
		return offset >= ID && offset < PL031_REGION_BYTES && !(offset & 3) ? id[(offset - ID) / 4] : 0;
	}
}

void pl031_write(struct pl031 *p, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case RTCMR:
		p->match = value;
		alarm_set(p);
		break;
	case RTCLR:
		p->load = value;
		p->offset_ns = value * NS_PER_S - p->ops->now(p->arg);
		/* the match that has come, and one that was never set, do not come by this */
		if (p->armed)
			alarm_set(p);
		break;
	case RTCIMSC:
		p->enabled = value & 1;
		update(p);
		break;
	case RTCICR:
		if (value & 1)
			p->pending = 0;
		update(p);
		break;
	}
}
