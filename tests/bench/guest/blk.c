/* SPDX-License-Identifier: MIT */
/*
 * The guest side of blk.py: random reads or writes of 4 KiB past the guest's page cache, a thread for each queue on a
 * hart of its own, each with DEPTH requests under way: one by pread and pwrite, more by the kernel's asynchronous I/O.
 *   blk DEVICE read|write DEPTH THREADS SECONDS
 * Every block of the disk begins with its number, before and after; a read that finds another one is a failure. Prints
 * the number of requests and what they took by the guest's monotonic clock.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096u
#define DEPTH_MAX 256u
#define THREADS_MAX 16u

struct worker {
	pthread_t thread;
	unsigned index;
	uint64_t random, count;
	char *buffers;
	int failed;
};

static int fd, writes;
static unsigned depth;
static uint64_t blocks;
static double end;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* xorshift64 */
static uint64_t next_block(struct worker *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % blocks;
}

static uint64_t *prepare(struct worker *w, unsigned slot, uint64_t block)
{
	uint64_t *at = (uint64_t *)(w->buffers + slot * BLOCK);

	*at = writes ? block : UINT64_MAX;
	return at;
}

static int one_at_a_time(struct worker *w)
{
	while (now() < end) {
		uint64_t block = next_block(w), *at = prepare(w, 0, block);
		off_t offset = (off_t)(block * BLOCK);
		ssize_t n = writes ? pwrite(fd, at, BLOCK, offset) : pread(fd, at, BLOCK, offset);

		if (n != BLOCK || *at != block)
			return -1;
		w->count++;
	}
	return 0;
}

static void control(struct worker *w, struct iocb *cb, unsigned slot)
{
	uint64_t block = next_block(w);

	*cb = (struct iocb){ .aio_data = slot, .aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
			     .aio_fildes = (uint32_t)fd, .aio_buf = (uintptr_t)prepare(w, slot, block),
			     .aio_nbytes = BLOCK, .aio_offset = (int64_t)(block * BLOCK) };
}

static int is_right(const struct worker *w, const struct iocb *cbs, const struct io_event *event)
{
	const uint64_t *at = (const uint64_t *)(w->buffers + event->data * BLOCK);

	return event->res == BLOCK && *at == (uint64_t)cbs[event->data].aio_offset / BLOCK;
}

/* What has ended is begun anew at once, until the time is over; then only the rest is awaited. */
static int keep_going(struct worker *w, aio_context_t ctx)
{
	struct iocb cbs[DEPTH_MAX], *list[DEPTH_MAX];
	struct io_event events[DEPTH_MAX];
	unsigned under_way = 0, ready = depth;

	for (unsigned i = 0; i < depth; i++) {
		control(w, &cbs[i], i);
		list[i] = &cbs[i];
	}
	do {
		long n = ready ? syscall(SYS_io_submit, ctx, (long)ready, list) : 0;

		if (n != (long)ready)
			return -1;
		under_way += ready;
		n = syscall(SYS_io_getevents, ctx, 1L, (long)depth, events, NULL);
		if (n < 1)
			return -1;
		under_way -= (unsigned)n;
		ready = 0;
		for (long i = 0; i < n; i++) {
			if (!is_right(w, cbs, &events[i]))
				return -1;
			control(w, &cbs[events[i].data], (unsigned)events[i].data);
			list[ready++] = &cbs[events[i].data];
		}
		w->count += ready;
		if (now() >= end)
			ready = 0;
	} while (under_way || ready);
	return 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	aio_context_t ctx = 0;
	cpu_set_t own;

	CPU_ZERO(&own);
	CPU_SET(w->index, &own);
	sched_setaffinity(0, sizeof(own), &own);
	if (depth == 1) {
		w->failed = one_at_a_time(w);
	} else {
		w->failed = syscall(SYS_io_setup, depth, &ctx) < 0 || keep_going(w, ctx);
		syscall(SYS_io_destroy, ctx);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX];
	unsigned threads = argc > 5 ? (unsigned)atoi(argv[4]) : 0;
	uint64_t count = 0;
	double start = now();
	int failed = 0;

	if (argc < 6)
		return 2;
	writes = !strcmp(argv[2], "write");
	depth = (unsigned)atoi(argv[3]);
	fd = open(argv[1], (writes ? O_RDWR : O_RDONLY) | O_DIRECT);
	blocks = fd < 0 ? 0 : (uint64_t)lseek(fd, 0, SEEK_END) / BLOCK;
	if (!blocks || depth < 1 || depth > DEPTH_MAX || threads < 1 || threads > THREADS_MAX)
		return 2;
	end = start + atof(argv[5]);
	for (unsigned i = 0; i < threads; i++) {
		workers[i] = (struct worker){ .index = i, .random = 0x9e3779b97f4a7c15ull * (i + 1),
					      .buffers = aligned_alloc(BLOCK, depth * BLOCK) };
		memset(workers[i].buffers, 0, depth * BLOCK);
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		count += workers[i].count;
		failed |= workers[i].failed;
	}
	printf("BENCH %s-%u %llu %.6f\n", argv[2], depth, failed ? 0ull : (unsigned long long)count, now() - start);
	return failed;
}
