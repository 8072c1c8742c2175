/* SPDX-License-Identifier: MIT */
/*
 * Statistics of a handle, for the monitor. Whoever owns the handle's lock counts, with plain additions whose stores are
 * atomic; others read at any time, and see each number whole, but not all of one moment. The clock is read once for
 * what is submitted together and once for what is found done together.
 */
#ifndef KERNEL_BLOCK_STATS_H
#define KERNEL_BLOCK_STATS_H

#include <mortise/draft/block.h>

struct mt_block;
struct breq;

enum stats_kind { STATS_READ, STATS_WRITE, STATS_FLUSH, STATS_UNMAP, STATS_KINDS };     /* zeroes are writes */

#define STATS_BINS 24u                   /* of latencies: below 1 us, 2 us, 4 us, ... */

struct stats_of {
	uint64_t operations, bytes;      /* that went well */
	uint64_t failed, invalid;        /* that did not; that could not: beside the disk, or not permitted */
	uint64_t total_ns;               /* from submit to the look that found it done, failed ones too */
	uint64_t bins[STATS_BINS];
};

struct block_stats {
	struct stats_of of[STATS_KINDS];
	uint64_t begun, ended;
};

/* Under the front's lock. `error` is the request's; invalid: it was not begun. */
void stats_begin(struct block_stats *stats);
void stats_end(struct block_stats *stats, const struct mt_block_req *req, uint64_t ns, int32_t error, uint32_t invalid);

/* [any] adds what `from` has */
void stats_add(struct block_stats *to, const struct block_stats *from);

#endif
