/* SPDX-License-Identifier: MIT */
/*
 * Guest time and timers. The kernel owns guest time: it starts at 0 at the first start of the machine, stands
 * still while the machine is paused and is what the vCPUs' counters and the platform timer show.
 */
#ifndef MORTISE_CLOCK_H
#define MORTISE_CLOCK_H

#include "../plugin.h"

#define MT_IFACE_CLOCK "mortise.clock/1"

#define MT_CLOCK_GUEST    0u   /* ns of guest time */
#define MT_CLOCK_HOST     1u   /* ns of the host's monotonic clock */
#define MT_CLOCK_REALTIME 2u   /* ns since 1970, UTC */

/*
 * A page that may be read without a call: guest_ns = running ? host_monotonic_ns + offset_ns : frozen_ns.
 * Read seq (acquire), the fields, seq again (after a load fence); odd or changed: again.
 */
struct mt_guest_time {
	uint32_t seq;
	uint32_t running;
	int64_t offset_ns;
	uint64_t frozen_ns;
	uint64_t timebase_hz;      /* ticks per second of the platform's counter */
};

struct mt_timer;

struct mt_clock_host {
	/* [any] */
	uint64_t (*now_ns)(struct mt_inst *inst, uint32_t clock);
	/* [any] guest time in ticks of the timebase */
	uint64_t (*ticks)(struct mt_inst *inst);
	/* [any] ticks per second ([machine] timebase) */
	uint64_t (*timebase_hz)(struct mt_inst *inst);
	/* [any] guest time at which the counter reaches `ticks`, rounded up; UINT64_MAX when beyond 64 bit */
	uint64_t (*ticks_to_ns)(struct mt_inst *inst, uint64_t ticks);
	/* [any] */
	const struct mt_guest_time *(*guest_time)(struct mt_inst *inst);
	/*
	 * [main] A one-shot timer on a clock. `fn` runs on the instance's loop, under its lock unless the class
	 * is parallel. Goes with the instance.
	 */
	struct mt_timer *(*timer_create)(struct mt_inst *inst, uint32_t clock, void (*fn)(void *arg), void *arg);
	/* [any] Arms or re-arms; a deadline in the past fires at once. UINT64_MAX disarms. */
	void (*timer_arm)(struct mt_timer *timer, uint64_t deadline_ns);
};

#endif
