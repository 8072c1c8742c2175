/* SPDX-License-Identifier: MIT */
/*
 * A loop: one thread that serves descriptors (epoll), timers and posted calls. The machine has one; I/O
 * threads are further ones. Callbacks of an instance run under its lock (inst_enter) unless it is parallel.
 */
#ifndef MORTISE_KERNEL_LOOP_H
#define MORTISE_KERNEL_LOOP_H

#include <mortise/draft/loop.h>

#include "kernel/machine/inst.h"

struct loop *loop_create(const char *name);
/* [main] joins the thread */
void loop_destroy(struct loop *loop);
/* [any] runs `fn(arg)` once on the loop, in posting order */
void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg);
/* [main] until everything posted before has run; not from the loop itself */
void loop_sync(struct loop *loop);
/* [any] true on the loop's own thread */
bool loop_is_current(const struct loop *loop);
/* [any] one-shot timer of the loop on CLOCK_MONOTONIC ns; UINT64_MAX disarms; used by clock.c */
struct loop_timer *loop_timer_create(struct loop *loop, void (*fn)(void *arg), void *arg);
void loop_timer_arm(struct loop_timer *timer, uint64_t host_ns);
void loop_timer_destroy(struct loop_timer *timer);
/* [any] watch a descriptor without an instance (kernel's own) */
struct loop_watch *loop_watch_add(struct loop *loop, int fd, uint32_t events, void (*fn)(void *, uint32_t), void *arg);
void loop_watch_set(struct loop_watch *watch, uint32_t events);
void loop_watch_remove(struct loop_watch *watch);

extern const struct mt_loop_host loop_host;
extern const struct mt_worker_host worker_host;

#endif
