/* SPDX-License-Identifier: MIT */
/*
 * The net port: one connection between a front (a network card) and a back end. Frames are moved by the front's own
 * calls, downward, under the back end's lock. What goes up ("there are frames", "there is room", "info changed") is a
 * flag here and a call on the front's loop, under the front's lock alone. Ends are made on [main] in realize.
 *
 * The rule that is easy to break: `lock` is held across no call into a plugin. `wants_room` is set before the back
 * end's answer is known, so that room which comes in between is told.
 */
#include <pthread.h>
#include <string.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/loop.h"
#include "kernel/machine/machine.h"
#include "kernel/machine/port.h"

/* What the front is to be told of one queue. */
struct net_queue {
	struct mt_net *net;
	uint32_t index;
	bool frames, room, posted;             /* atomic */
	bool wants_room;                       /* atomic: the front waits for room */
};

struct mt_net {
	struct mt_inst *back, *front;          /* NULL: that end is gone, or not there yet; under `lock` */
	const struct mt_net_class *cls;        /* of the back end */
	const struct mt_net_front *fns;        /* of the front */
	void *front_self;
	unsigned refs;                         /* atomic: the two ends, and each posted call */
	uint32_t queues;                       /* atomic: agreed on */
	bool change, changed_posted;           /* atomic: the front is to be told that info changed */
	pthread_mutex_t lock;
	struct net_queue queue[MT_NET_QUEUES_MAX];
};

static const char back_key;

static void net_unref(struct mt_net *net)
{
	if (__atomic_sub_fetch(&net->refs, 1, __ATOMIC_ACQ_REL))
		return;
	pthread_mutex_destroy(&net->lock);
	g_free(net);
}

static bool is_live(const struct mt_inst *inst)
{
	return inst && __atomic_load_n(&inst->state, __ATOMIC_RELAXED) < INST_UNREALIZED;
}

static struct mt_inst *end_get(struct mt_net *net, struct mt_inst *const *end)
{
	struct mt_inst *inst;

	pthread_mutex_lock(&net->lock);
	inst = *end;
	pthread_mutex_unlock(&net->lock);
	return inst;
}

/* To the front */

/*
 * Posts a call to the front's loop, once until it has run. Under the lock: a front that has been dropped gets no
 * more posts, and its fence waits for those before.
 */
static void net_post(struct mt_net *net, bool *posted, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&net->lock);
	if (net->front && !__atomic_exchange_n(posted, true, __ATOMIC_SEQ_CST)) {
		__atomic_add_fetch(&net->refs, 1, __ATOMIC_RELAXED);
		loop_post(net->front->loop, fn, arg);
	}
	pthread_mutex_unlock(&net->lock);
}

static void queue_run(void *arg)
{
	struct net_queue *queue = arg;
	struct mt_net *net = queue->net;
	struct mt_inst *front;

	__atomic_store_n(&queue->posted, false, __ATOMIC_SEQ_CST);
	front = end_get(net, &net->front);
	if (front && !port_waits(front)) {
		inst_enter(front);
		if (__atomic_exchange_n(&queue->room, false, __ATOMIC_SEQ_CST) && is_live(front))
			net->fns->sendable(net->front_self, queue->index);
		if (__atomic_exchange_n(&queue->frames, false, __ATOMIC_SEQ_CST) && is_live(front))
			net->fns->receivable(net->front_self, queue->index);
		inst_leave(front);
	}
	net_unref(net);
}

static void changed_run(void *arg)
{
	struct mt_net *net = arg;
	struct mt_inst *front;

	__atomic_store_n(&net->changed_posted, false, __ATOMIC_SEQ_CST);
	front = end_get(net, &net->front);
	if (front && !port_waits(front) && __atomic_exchange_n(&net->change, false, __ATOMIC_SEQ_CST)) {
		inst_enter(front);
		if (is_live(front))
			net->fns->changed(net->front_self);
		inst_leave(front);
	}
	net_unref(net);
}

void net_started(struct mt_inst *back)
{
	struct mt_net *net = inst_data_get(back, &back_key);

	if (!net)
		return;
	net_post(net, &net->changed_posted, changed_run, net);
	for (uint32_t i = 0; i < MT_NET_QUEUES_MAX; i++)
		net_post(net, &net->queue[i].posted, queue_run, &net->queue[i]);
}

/* Calls of the front */

static void net_info(struct mt_net *net, struct mt_net_info *out)
{
	struct mt_net_info info = { .size = sizeof(info) };
	struct mt_inst *back = net ? end_get(net, &net->back) : NULL;
	uint32_t size = out->size;

	if (is_live(back)) {
		inst_enter(back);
		net->cls->info(back->self, &info);
		inst_leave(back);
	}
	info.queues = CLAMP(info.queues, 1, MT_NET_QUEUES_MAX);
	memset(out, 0, size);
	memcpy(out, &info, MIN(size, sizeof(info)));
	out->size = size;
}

/* The known part of what the caller gave; false: it asks for more than that. */
static bool setup_take(const struct mt_net_setup *given, struct mt_net_setup *setup)
{
	const uint8_t *bytes = (const uint8_t *)given;

	for (uint32_t i = sizeof(*setup); i < given->size; i++) {
		if (bytes[i])
			return false;
	}
	memset(setup, 0, sizeof(*setup));
	memcpy(setup, given, MIN(given->size, sizeof(*setup)));
	setup->size = sizeof(*setup);
	return !(setup->flags & ~(MT_NET_HEADER | MT_NET_PARTS)) && setup->queues <= MT_NET_QUEUES_MAX &&
	       !(setup->offloads && !(setup->flags & MT_NET_HEADER));
}

static int net_setup(struct mt_net *net, const struct mt_net_setup *given)
{
	struct mt_inst *back = net ? end_get(net, &net->back) : NULL;
	struct mt_net_setup setup;
	int rc;

	if (!is_live(back))
		return MT_EGONE;
	if (!setup_take(given, &setup))
		return MT_ENOTSUP;
	inst_enter(back);
	rc = net->cls->setup(back->self, &setup);
	if (rc == 0)
		__atomic_store_n(&net->queues, setup.queues, __ATOMIC_RELEASE);
	inst_leave(back);
	return rc;
}

/* 0 and the back end's instance when it can take a call for `queue`. */
static int back_for(struct mt_net *net, uint32_t queue, struct mt_inst **back)
{
	*back = net ? end_get(net, &net->back) : NULL;
	if (!is_live(*back))
		return MT_EGONE;
	return queue < __atomic_load_n(&net->queues, __ATOMIC_ACQUIRE) ? 0 : MT_EINVAL;
}

/*
 * A parallel back end may say "sendable" on another thread between its short answer and the flag; so the flag
 * stands before the call, and a call that took all takes it back.
 */
static int64_t net_send(struct mt_net *net, uint32_t queue, const struct mt_net_buf *bufs, uint32_t count)
{
	struct mt_inst *back;
	int64_t taken = back_for(net, queue, &back);
	bool before;

	if (taken < 0)
		return taken;
	before = __atomic_exchange_n(&net->queue[queue].wants_room, true, __ATOMIC_SEQ_CST);
	inst_enter(back);
	taken = net->cls->send(back->self, queue, bufs, count);
	inst_leave(back);
	if (taken > (int64_t)count)
		taken = count;
	if (!before && (taken < 0 || taken == count))
		__atomic_store_n(&net->queue[queue].wants_room, false, __ATOMIC_SEQ_CST);
	return taken;
}

static int64_t net_receive(struct mt_net *net, uint32_t queue, struct mt_net_buf *bufs, uint32_t count,
			   uint32_t *waiting)
{
	struct mt_inst *back;
	int64_t used = back_for(net, queue, &back);

	*waiting = 0;
	if (used < 0)
		return used;
	inst_enter(back);
	used = net->cls->receive(back->self, queue, bufs, count, waiting);
	inst_leave(back);
	return MIN(used, (int64_t)count);
}

/* Calls of the back end */

static void net_receivable(struct mt_net *net, uint32_t queue)
{
	if (!net || queue >= MT_NET_QUEUES_MAX)
		return;
	__atomic_store_n(&net->queue[queue].frames, true, __ATOMIC_SEQ_CST);
	net_post(net, &net->queue[queue].posted, queue_run, &net->queue[queue]);
}

static void net_sendable(struct mt_net *net, uint32_t queue)
{
	if (!net || queue >= MT_NET_QUEUES_MAX ||
	    !__atomic_exchange_n(&net->queue[queue].wants_room, false, __ATOMIC_SEQ_CST))
		return;
	__atomic_store_n(&net->queue[queue].room, true, __ATOMIC_SEQ_CST);
	net_post(net, &net->queue[queue].posted, queue_run, &net->queue[queue]);
}

static void net_changed(struct mt_net *net)
{
	if (!net)
		return;
	__atomic_store_n(&net->change, true, __ATOMIC_SEQ_CST);
	net_post(net, &net->changed_posted, changed_run, net);
}

/* The ends */

static void end_drop(struct mt_net *net, struct mt_inst **end)
{
	pthread_mutex_lock(&net->lock);
	*end = NULL;
	pthread_mutex_unlock(&net->lock);
}

/* Resources are released before the instance's fence: what runs on the loop now still has the instance. */
static void back_release(void *arg)
{
	struct mt_net *net = arg;

	inst_data_set(net->back, &back_key, NULL);
	end_drop(net, &net->back);
	net_changed(net);
	net_unref(net);
}

static void front_release(void *arg)
{
	struct mt_net *net = arg;

	end_drop(net, &net->front);
	net_unref(net);
}

/* The connection belongs to the back end, which comes to life first; NULL: not a back end. */
static struct mt_net *net_of(struct mt_inst *back)
{
	struct mt_net *net = inst_data_get(back, &back_key);
	const struct mt_net_class *cls = net ? net->cls : inst_role(back, MT_IFACE_NET);

	if (net || !cls)
		return net;
	net = g_new0(struct mt_net, 1);
	net->back = back;
	net->cls = cls;
	net->refs = 1;
	for (uint32_t i = 0; i < MT_NET_QUEUES_MAX; i++)
		net->queue[i] = (struct net_queue){ .net = net, .index = i };
	pthread_mutex_init(&net->lock, NULL);
	inst_data_set(back, &back_key, net);
	loop_fence(back);
	inst_own(back, back_release, net);
	return net;
}

static struct mt_net *net_connect(struct mt_inst *inst, const char *prop, const struct mt_net_front *front,
				  void *self, struct mt_error *err)
{
	struct mt_inst *back = inst_ref(inst, prop), *other;
	struct mt_net *net = back ? net_of(back) : NULL;

	if (!back)
		return NULL;
	if (!net) {
		fault_set(err, MT_EINVAL, prop, NULL, "'%s' is no network back end", back->id);
		return NULL;
	}
	other = end_get(net, &net->front);
	if (other) {
		fault_set(err, MT_EBUSY, prop, "give each its own section",
			  "'%s' is connected to '%s' already: it takes one front", back->id, other->id);
		return NULL;
	}
	loop_fence(inst);
	net->fns = front;
	net->front_self = self;
	__atomic_add_fetch(&net->refs, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&net->lock);
	net->front = inst;
	pthread_mutex_unlock(&net->lock);
	inst_own(inst, front_release, net);
	return net;
}

static struct mt_net *net_back(struct mt_inst *inst)
{
	return inst->refs_in && inst->refs_in->len ? net_of(inst) : NULL;
}

const struct mt_net_host net_host = {
	.connect = net_connect,
	.info = net_info,
	.setup = net_setup,
	.send = net_send,
	.receive = net_receive,
	.back = net_back,
	.receivable = net_receivable,
	.sendable = net_sendable,
	.changed = net_changed,
};
