/* SPDX-License-Identifier: MIT */
/*
 * The loop service: an instance's watches and deferred calls. Callbacks run on the instance's loop, under its
 * lock, and are left out once the handle is dead, which is looked at under the lock: what a vCPU thread
 * removes or parks while the loop waits for the lock does not fire after that.
 */
#include <stdlib.h>

#include "kernel/machine/loop.h"
#include "kernel/machine/machine.h"

struct mt_watch {
	struct mt_inst *inst;
	struct loop_watch *watch;
	uint32_t events;               /* atomic; what is asked for now */
	bool dead;                     /* atomic */
	void (*fn)(void *arg, uint32_t events);
	void *arg;
};

struct mt_deferred {
	struct mt_inst *inst;
	bool posted, dead;             /* atomic */
	void (*fn)(void *arg);
	void *arg;
};

/* Resources are [main]'s; handles come and go on the loop too: so the lock, even of a parallel class. */
static void own(struct mt_inst *inst, void (*release)(void *), void *resource)
{
	g_rec_mutex_lock(&inst->lock);
	inst_own(inst, release, resource);
	g_rec_mutex_unlock(&inst->lock);
}

static void disown(struct mt_inst *inst, void *resource)
{
	g_rec_mutex_lock(&inst->lock);
	inst_disown(inst, resource);
	g_rec_mutex_unlock(&inst->lock);
}

static void fence_release(void *arg)
{
	struct mt_inst *inst = arg;

	workers_drain(loop_workers(inst->loop));
	loop_sync(inst->loop);
}

void loop_fence(struct mt_inst *inst)
{
	static const char key;

	g_rec_mutex_lock(&inst->lock);
	if (!inst_data_get(inst, &key)) {
		inst_data_set(inst, &key, inst);
		inst_own(inst, fence_release, inst);
	}
	g_rec_mutex_unlock(&inst->lock);
}

static bool is_live(const struct mt_inst *inst, const bool *dead)
{
	return !__atomic_load_n(dead, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&inst->state, __ATOMIC_RELAXED) < INST_UNREALIZED;
}

/* Watches */

static void watch_fired(void *arg, uint32_t events)
{
	struct mt_watch *watch = arg;

	inst_enter(watch->inst);
	events &= __atomic_load_n(&watch->events, __ATOMIC_ACQUIRE) | MT_FD_HUP;
	if (is_live(watch->inst, &watch->dead) && __atomic_load_n(&watch->events, __ATOMIC_ACQUIRE) && events)
		watch->fn(watch->arg, events);
	inst_leave(watch->inst);
}

/* [main], no lock held */
static void watch_release(void *arg)
{
	struct mt_watch *watch = arg;

	loop_watch_remove(watch->watch);
	g_free(watch);
}

static struct mt_watch *watch_add(struct mt_inst *inst, int fd, uint32_t events,
				  void (*fn)(void *arg, uint32_t events), void *arg)
{
	struct mt_watch *watch = g_new0(struct mt_watch, 1);

	loop_fence(inst);
	*watch = (struct mt_watch){ .inst = inst, .events = events, .fn = fn, .arg = arg };
	/* parked until the handle is whole: the first event may come before loop_watch_add returns */
	watch->watch = loop_watch_add(inst->loop, fd, 0, watch_fired, watch);
	if (!watch->watch) {
		g_free(watch);
		return NULL;
	}
	own(inst, watch_release, watch);
	if (loop_watch_set(watch->watch, events))
		return watch;
	disown(inst, watch);
	watch_release(watch);
	return NULL;
}

static void watch_set(struct mt_watch *watch, uint32_t events)
{
	__atomic_store_n(&watch->events, events, __ATOMIC_RELEASE);
	loop_watch_set(watch->watch, events);
}

/*
 * The caller holds the lock of an ordinary instance, for which the loop thread may be waiting: it must not be
 * waited for, and finds the mark when it gets the lock. A parallel class has no lock to wait for; on the loop
 * itself the call may be the watch's own, which still needs the handle.
 */
static void watch_remove(struct mt_watch *watch)
{
	struct mt_inst *inst = watch->inst;

	__atomic_store_n(&watch->dead, true, __ATOMIC_RELEASE);
	disown(inst, watch);
	if ((inst->cls->flags & MT_CLASS_PARALLEL) && !loop_is_current(inst->loop))
		watch_release(watch);
	else
		loop_watch_abandon(watch->watch, g_free);
}

/* Deferred calls */

static void deferred_run(void *arg)
{
	struct mt_deferred *deferred = arg;

	/* before the call: a post from here on is a new one */
	__atomic_store_n(&deferred->posted, false, __ATOMIC_SEQ_CST);
	inst_enter(deferred->inst);
	if (is_live(deferred->inst, &deferred->dead))
		deferred->fn(deferred->arg);
	inst_leave(deferred->inst);
}

/* A post may be under way: it comes before this one. */
static void deferred_release(void *arg)
{
	struct mt_deferred *deferred = arg;

	__atomic_store_n(&deferred->dead, true, __ATOMIC_RELEASE);
	loop_post(deferred->inst->loop, g_free, deferred);
}

static struct mt_deferred *deferred_create(struct mt_inst *inst, void (*fn)(void *arg), void *arg)
{
	struct mt_deferred *deferred = g_new0(struct mt_deferred, 1);

	loop_fence(inst);
	*deferred = (struct mt_deferred){ .inst = inst, .fn = fn, .arg = arg };
	own(inst, deferred_release, deferred);
	return deferred;
}

static void deferred_post(struct mt_deferred *deferred)
{
	if (!__atomic_exchange_n(&deferred->posted, true, __ATOMIC_SEQ_CST))
		loop_post(deferred->inst->loop, deferred_run, deferred);
}

static void request(struct mt_inst *inst, uint32_t kind, uint32_t code)
{
	machine_request(inst->machine, kind, code);
}

const struct mt_loop_host loop_host = {
	.watch_add = watch_add,
	.watch_set = watch_set,
	.watch_remove = watch_remove,
	.deferred_create = deferred_create,
	.deferred_post = deferred_post,
	.machine_request = request,
};
