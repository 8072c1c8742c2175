/* SPDX-License-Identifier: MIT */
/* Leaky buckets; see throttle.h. */
#include "throttle.h"

#include <util/minmax.h>

#define OWED_MOST (UINT64_MAX / 8)   /* 73 years: what adds up to more is not told apart */

void throttle_set(struct limit *limit, uint64_t rate, uint64_t max, uint64_t seconds)
{
	limit->mean.rate = rate;
	limit->mean.burst = max ? max > UINT64_MAX / seconds ? UINT64_MAX : max * seconds : rate / 10;
	limit->peak.rate = rate ? max : 0;
	limit->peak.burst = max / 10;
}

static uint64_t time_of(uint64_t units, uint64_t rate)
{
	__extension__ unsigned __int128 ns = (unsigned __int128)units * NS_PER_S / rate;

	return ns > OWED_MOST ? OWED_MOST : (uint64_t)ns;
}

static uint64_t wait_of(const struct bucket *b)
{
	uint64_t free_ns = b->rate ? time_of(b->burst, b->rate) : 0;

	return b->rate && b->owed_ns > free_ns ? b->owed_ns - free_ns : 0;
}

static void leak(struct bucket *b, uint64_t elapsed_ns)
{
	b->owed_ns -= mt_min_u64(b->owed_ns, elapsed_ns);
}

static void fill(struct bucket *b, uint64_t units)
{
	if (b->rate)
		b->owed_ns = mt_min_u64(b->owed_ns + time_of(units, b->rate), OWED_MOST);
}

static uint64_t limit_take(struct limit *limit, uint64_t units)
{
	uint64_t wait = mt_max_u64(wait_of(&limit->mean), wait_of(&limit->peak));

	fill(&limit->mean, units);
	fill(&limit->peak, units);
	return wait;
}

static void leak_all(struct throttle *t, uint64_t now_ns)
{
	uint64_t elapsed_ns = t->since_ns && now_ns > t->since_ns ? now_ns - t->since_ns : 0;

	for (int kind = 0; kind < THROTTLE_KINDS; kind++) {
		leak(&t->bps[kind].mean, elapsed_ns);
		leak(&t->bps[kind].peak, elapsed_ns);
		leak(&t->iops[kind].mean, elapsed_ns);
		leak(&t->iops[kind].peak, elapsed_ns);
	}
	t->since_ns = mt_max_u64(t->since_ns, now_ns);     /* two threads may come in another order than their clocks */
}

uint64_t throttle_take(struct throttle *t, enum throttle_kind kind, uint64_t len_bytes, uint64_t now_ns)
{
	uint64_t ops = t->op_bytes && len_bytes > t->op_bytes ? (len_bytes - 1) / t->op_bytes + 1 : 1, wait;

	leak_all(t, now_ns);
	wait = limit_take(&t->bps[THROTTLE_TOTAL], len_bytes);
	wait = mt_max_u64(wait, limit_take(&t->bps[kind], len_bytes));
	wait = mt_max_u64(wait, limit_take(&t->iops[THROTTLE_TOTAL], ops));
	return mt_max_u64(wait, limit_take(&t->iops[kind], ops));
}
