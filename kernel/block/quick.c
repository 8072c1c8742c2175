/* SPDX-License-Identifier: MIT */
/* Operations done at once: see quick.h. */
#include "kernel/block/quick.h"

#include <glib.h>
#include <sys/resource.h>

/* Direct and synchronous writes wait for the disk. */
static bool may_be_quick(const struct quick *quick, const struct bop *op)
{
	return op->kind == BOP_WRITE && op->rw_flags == 0 && op->file->options.cache != FILE_DIRECT &&
	       op->len_bytes <= QUICK_WRITE_BYTES && quick->batch_bytes + op->len_bytes <= QUICK_BATCH_BYTES;
}

void quick_took(struct quick *quick, int64_t now_us, int64_t took_us, bool waited)
{
	if (took_us < QUICK_SLOW_US)
		return;
	if (waited)
		quick->rest_until_us = now_us + MIN(QUICK_REST, 2 * took_us / 1000) * took_us;
	quick->watch_until_us = MAX(now_us, quick->rest_until_us) + QUICK_WATCH_US;
}

/* How often this thread has slept: half the cost of a write, so it is asked once a batch, and after a slow one. */
static int64_t sleeps(void)
{
	struct rusage usage = { .ru_nvcsw = 0 };

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

bool quick_write(struct quick *quick, struct bop *op)
{
	int64_t begun_us, now_us, before;
	bool waited = false;

	if (!may_be_quick(quick, op))
		return false;
	begun_us = g_get_monotonic_time();
	if (begun_us < quick->rest_until_us)
		return false;
	if (begun_us < quick->watch_until_us && !quick->counted) {
		quick->sleeps = sleeps();
		quick->counted = true;
	}
	op->result = engine_do(op);
	now_us = g_get_monotonic_time();
	if (quick->counted && now_us - begun_us >= QUICK_SLOW_US) {
		before = quick->sleeps;
		quick->sleeps = sleeps();
		waited = quick->sleeps != before;
	}
	quick_took(quick, now_us, now_us - begun_us, waited);
	quick->batch_bytes += op->len_bytes;
	return true;
}

/* What is not in memory, and a file system that cannot tell, come back as an error or short. */
bool quick_read(struct bop *op)
{
	ssize_t n;

	if (op->kind != BOP_READ || op->file->options.cache == FILE_DIRECT)
		return false;
	n = preadv2(op->fd, op->iov, (int)op->iov_count, (off_t)op->offset, RWF_NOWAIT);
	if (n <= 0)
		return false;
	op->result = (int32_t)n;
	return true;
}

void quick_kick(struct quick *quick)
{
	quick->batch_bytes = 0;
	quick->counted = false;
}
