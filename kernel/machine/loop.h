/* SPDX-License-Identifier: MIT */
/*
 * A loop: one thread that serves descriptors (epoll), timers and posted calls. The machine has one; I/O
 * threads are further ones. Callbacks of an instance run under its lock (inst_enter) unless it is parallel.
 *
 * The loop thread may wait for an instance's lock. So what waits for the loop (loop_destroy, loop_sync,
 * loop_timer_destroy, loop_watch_remove, and releasing an instance's resources) must not be called with an
 * instance lock held.
 */
#ifndef MORTISE_KERNEL_LOOP_H
#define MORTISE_KERNEL_LOOP_H

#include <mortise/draft/loop.h>

#include "kernel/machine/inst.h"

struct loop;
struct workers;

/* NULL: the host has no more descriptors or threads */
struct loop *loop_create(const char *name);
/* The same, but its thread starts with the first thing to do, and tools often have none; NULL: no descriptors */
struct loop *loop_create_lazy(const char *name);
/* [main] runs what was posted, joins the thread. Watches and timers must be gone. */
void loop_destroy(struct loop *loop);
/* [any] runs `fn(arg)` once on the loop, in posting order */
void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg);
/* [main] until everything posted before has run; on the loop itself it does nothing */
void loop_sync(struct loop *loop);
/* [any] true on the loop's own thread */
bool loop_is_current(const struct loop *loop);
/* [any] one-shot timer of the loop on CLOCK_MONOTONIC ns; UINT64_MAX disarms; used by clock.c */
struct loop_timer *loop_timer_create(struct loop *loop, void (*fn)(void *arg), void *arg);
void loop_timer_arm(struct loop_timer *timer, uint64_t host_ns);
/* After it returns `fn` is not called again, and no call is under way on another thread. */
void loop_timer_destroy(struct loop_timer *timer);
/*
 * [any] watch a descriptor without an instance (kernel's own). A file that cannot be waited for (a regular
 * one) is always ready. NULL: `fd` is no descriptor, or is watched already.
 */
struct loop_watch *loop_watch_add(struct loop *loop, int fd, uint32_t events,
				  void (*fn)(void *arg, uint32_t events), void *arg);
/* 0 parks it. False: the descriptor cannot be watched. */
bool loop_watch_set(struct loop_watch *watch, uint32_t events);
/* After it returns `fn` is not called again, and no call is under way on another thread. */
void loop_watch_remove(struct loop_watch *watch);
/*
 * [any] The same without waiting: a call may be under way, or about to begin, on the loop; `gone(arg)` runs
 * on the loop when that can no longer be.
 */
void loop_watch_abandon(struct loop_watch *watch, void (*gone)(void *arg));
/* [any] host's monotonic clock, ns */
uint64_t loop_now_ns(void);
/* the loop's pool */
struct workers *loop_workers(struct loop *loop);

/*
 * worker.c: a pool of at most `max` threads, made on demand; 0: as many as the host has processors. Drain
 * waits until all work has run and its ends are posted. Destroy after drain.
 */
struct workers *workers_create(unsigned max);
/* [any] work without an instance, whose end nobody is told of; false: there is no thread to be had */
bool workers_push(struct workers *pool, void (*work)(void *arg), void *arg);
void workers_drain(struct workers *pool);
void workers_destroy(struct workers *pool);

/*
 * [any], the instance lock held or [main]: from now on releasing the instance's resources waits, as its last
 * step, until the loop and the workers can hold no pointer to the instance. Every service that hands the
 * instance to the loop calls it first.
 */
void loop_fence(struct mt_inst *inst);

extern const struct mt_loop_host loop_host;
extern const struct mt_worker_host worker_host;

#endif
