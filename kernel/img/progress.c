// SPDX-License-Identifier: MIT
/*
 * The progress line: "    (42.10/100%) 512 MiB/s, 3 s left". Its first part is as qemu-img has it, for those who read
 * it by program. [any]: the threads that copy add to it, whoever comes at the right time prints.
 */
#include <pthread.h>
#include <stdio.h>

#include "kernel/img/img.h"

#define INTERVAL_US 200000

struct progress {
	bool shown;
	uint64_t total, done;            /* atomic: done */
	int64_t start_us, next_us;       /* atomic: next_us */
	pthread_mutex_t lock;            /* of the terminal */
};

struct progress *progress_start(bool shown, uint64_t total_bytes)
{
	struct progress *p = g_new0(struct progress, 1);

	p->shown = shown;
	p->total = total_bytes;
	p->start_us = p->next_us = g_get_monotonic_time();
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

static void print(struct progress *p, uint64_t done, int64_t now_us)
{
	double share = p->total ? (double)done / (double)p->total : 1, seconds = (double)(now_us - p->start_us) / 1e6;
	double rate = seconds > 0 ? (double)done / seconds : 0;

	printf("    (%.2f/100%%) %.0f MiB/s, %.0f s left    \r", MIN(share, 1) * 100, rate / 1048576,
	       rate > 0 && p->total > done ? (double)(p->total - done) / rate : 0);
	fflush(stdout);
}

void progress_add(struct progress *p, uint64_t bytes)
{
	uint64_t done;
	int64_t now_us, next_us;

	if (!p || !p->shown)
		return;
	done = __atomic_add_fetch(&p->done, bytes, __ATOMIC_RELAXED);
	now_us = g_get_monotonic_time();
	next_us = __atomic_load_n(&p->next_us, __ATOMIC_RELAXED);
	if (now_us < next_us ||
	    !__atomic_compare_exchange_n(&p->next_us, &next_us, now_us + INTERVAL_US, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&p->lock);
	print(p, done, now_us);
	pthread_mutex_unlock(&p->lock);
}

void progress_end(struct progress *p, bool whole)
{
	if (p->shown) {
		if (whole)
			print(p, p->total, g_get_monotonic_time());
		putchar('\n');
		fflush(stdout);
	}
	pthread_mutex_destroy(&p->lock);
	g_free(p);
}
