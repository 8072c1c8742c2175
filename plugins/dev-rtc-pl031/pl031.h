/* SPDX-License-Identifier: MIT */
/*
 * The chip of ARM's PrimeCell real-time clock PL031 (ARM DDI 0224): seconds since 1970 in 32 bits, one alarm, one
 * interrupt. It runs from power on, as one with a battery does: its start bit reads as set and cannot be cleared.
 * Knows no bus, lock or clock: the caller serialises the calls and says what time it is outside.
 */
#ifndef PL031_H
#define PL031_H

#include <stdint.h>

#define PL031_REGION_BYTES 0x1000u

struct pl031_ops {
	/* ns since 1970 of the outside */
	uint64_t (*now)(void *arg);
	/* pl031_alarm when the outside reads `deadline_ns`; UINT64_MAX: not any more */
	void (*alarm)(void *arg, uint64_t deadline_ns);
	void (*interrupt)(void *arg, uint32_t level);
};

struct pl031 {
	const struct pl031_ops *ops;
	void *arg;
	uint64_t offset_ns;        /* the guest's time minus the outside's, modulo 2^64 */
	uint64_t alarm_ns;         /* guest's time at which the counter comes to `match` */
	uint32_t match, load;      /* as they were written */
	uint32_t armed, pending, enabled, level;
};

void pl031_init(struct pl031 *p, const struct pl031_ops *ops, void *arg);
/* Alarm and interrupt; the time that the guest has set stays. */
void pl031_reset(struct pl031 *p);
uint32_t pl031_read(struct pl031 *p, uint32_t offset);
void pl031_write(struct pl031 *p, uint32_t offset, uint32_t value);
/* Output and alarm again, after a load or a time in which nobody looked. */
void pl031_redrive(struct pl031 *p);
/* The deadline may have come: looks at the clock. */
void pl031_alarm(struct pl031 *p);

#endif
