/* SPDX-License-Identifier: MIT */
/*
 * Operations that are done at once by the thread that queues them, because handing them on costs more than they do:
 * small writes into the host's page cache, which most file systems refuse to do without waiting (so that io_uring
 * gives them to a thread), and for engines of threads reads of what is in the page cache. Called like the engine that
 * owns it. The rule that is easy to break: that thread may be a vCPU's, so what turns out to wait must not go on here;
 * after a write that has waited all go to the engine for a multiple of the time that it took, a small one when that
 * was a moment, up to QUICK_REST. A slow write alone tells little: on a busy host the thread may have lost its
 * processor. So the first one makes the next ones be watched.
 */
#ifndef KERNEL_BLOCK_QUICK_H
#define KERNEL_BLOCK_QUICK_H

#include "kernel/block/engine.h"

#define QUICK_WRITE_BYTES 65536u         /* of one write */
#define QUICK_BATCH_BYTES 262144u        /* of all between two kicks: the rest is better done in parallel */
#define QUICK_SLOW_US     1000
#define QUICK_REST        32             /* times what a write that waited took: two for each millisecond, up to this */
#define QUICK_WATCH_US    1000000

struct quick {
	int64_t rest_until_us, watch_until_us;
	uint64_t batch_bytes;
	int64_t sleeps;                      /* of the batch's thread, when it is `counted` */
	bool counted;
};

/* True: done, op->result is set. False: it is the engine's. */
bool quick_write(struct quick *quick, struct bop *op);
bool quick_read(struct bop *op);
/* The batch is over. */
void quick_kick(struct quick *quick);
/* What a write took, which ended at `now_us`; waited: it is known to have slept. */
void quick_took(struct quick *quick, int64_t now_us, int64_t took_us, bool waited);

#endif
