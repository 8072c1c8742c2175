/* SPDX-License-Identifier: MIT */
/*
 * Limits of rates. A bucket leaks at `rate` units a second and may hold `burst` of them; what it holds is kept as the
 * time that it needs to run dry, so that an operation's wait is a subtraction. Operations are taken in the order in
 * which they come: one that is larger than the burst passes too, and those behind it pay for it. No clock, no thread:
 * the caller says what time it is and holds the lock.
 */
#ifndef PLUGINS_BLOCK_THROTTLE_THROTTLE_H
#define PLUGINS_BLOCK_THROTTLE_THROTTLE_H

#include <stdint.h>

#define NS_PER_S 1000000000ull

enum throttle_kind { THROTTLE_TOTAL, THROTTLE_READ, THROTTLE_WRITE, THROTTLE_KINDS };

struct bucket {
	uint64_t rate;                 /* units a second; 0: no limit */
	uint64_t burst;                /* units that pass at once when it is empty */
	uint64_t owed_ns;              /* until it is empty, as of throttle.since_ns */
};

/* The long-term limit, and the one of the rate in a burst. */
struct limit {
	struct bucket mean, peak;
};

struct throttle {
	struct limit bps[THROTTLE_KINDS], iops[THROTTLE_KINDS];
	uint64_t op_bytes;             /* a larger operation counts as several; 0: as one */
	uint64_t since_ns;             /* of the last operation; 0: there was none */
};

/*
 * `max` units a second in a burst, `seconds` long; 0: a burst is what comes in a tenth of a second.
 * Where `rate` is 0 there is no limit.
 */
void throttle_set(struct limit *limit, uint64_t rate, uint64_t max, uint64_t seconds);

/* An operation comes: how long it has to wait, in ns. `kind` THROTTLE_READ or THROTTLE_WRITE. */
uint64_t throttle_take(struct throttle *t, enum throttle_kind kind, uint64_t len_bytes, uint64_t now_ns);

#endif
