/* SPDX-License-Identifier: MIT */
/*
 * The chip of the goldfish real-time clock: nanoseconds since 1970 in two halves, one alarm, one interrupt.
 * Knows no bus, lock or clock: the caller serialises the calls and says what time it is outside.
 */
#ifndef GOLDFISH_H
#define GOLDFISH_H

#include <stdint.h>

#define GOLDFISH_REGION_BYTES 0x1000u

struct goldfish_ops {
	/* ns since 1970 of the outside */
	uint64_t (*now)(void *arg);
	/* goldfish_alarm when the outside reads `deadline_ns`; UINT64_MAX: not any more */
	void (*alarm)(void *arg, uint64_t deadline_ns);
	void (*interrupt)(void *arg, uint32_t level);
};

struct goldfish {
	const struct goldfish_ops *ops;
	void *arg;
	uint64_t offset_ns;        /* the guest's time minus the outside's, modulo 2^64 */
	uint64_t alarm_ns;         /* guest's time */
	uint32_t time_high;        /* latched by a read of the low half, or written before one */
	uint32_t alarm_high;
	uint32_t armed, pending, enabled, level;
};

void goldfish_init(struct goldfish *g, const struct goldfish_ops *ops, void *arg);
/* Alarm and interrupt; the time that the guest has set stays, as a battery keeps it. */
void goldfish_reset(struct goldfish *g);
uint32_t goldfish_read(struct goldfish *g, uint32_t offset);
void goldfish_write(struct goldfish *g, uint32_t offset, uint32_t value);
/* Output and alarm again, after a load or a time in which nobody looked. */
void goldfish_redrive(struct goldfish *g);
/* The deadline may have come: looks at the clock. */
void goldfish_alarm(struct goldfish *g);

#endif
