/* SPDX-License-Identifier: MIT */
/*
 * The char port: one connection between a front (a UART) and a back end (a terminal). What goes down (write)
 * is a call under the back end's lock; what goes up (bytes, events, "there is room") waits here and is
 * brought to the front by its own loop, under the front's lock alone. Ends are made on [main] in realize.
 *
 * The rule that is easy to break: `lock` is held across no call into a plugin. Each "tell me when" flag is
 * set before the state that it depends on is looked at for the last time, so that a change in between posts
 * a call.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/loop.h"
#include "kernel/machine/machine.h"
#include "kernel/machine/port.h"

#define RING_BYTES 4096u
#define EVENTS_MAX 16u

/* An event keeps its place in the stream: a break comes after the bytes before it. */
struct event {
	uint64_t position;
	uint32_t event;
};

struct mt_char {
	struct mt_inst *back, *front;          /* NULL: that end is gone, or not there yet */
	const struct mt_char_class *cls;       /* of the back end */
	const struct mt_char_front *fns;       /* of the front */
	void *front_self;
	unsigned refs;                         /* atomic: the two ends, and each posted call */
	bool wants_room;                       /* atomic: the front waits for room to write */
	bool room_came;                        /* atomic: and it is there, the front is not told yet */
	bool pump_posted, ready_posted;        /* atomic */
	pthread_mutex_t lock;                  /* of everything below, and of `front` and `back` */
	uint8_t ring[RING_BYTES];
	uint64_t put, taken;                   /* bytes ever; put - taken are in the ring */
	bool cut;                              /* deliver took less than was offered */
	struct event events[EVENTS_MAX];
	unsigned event_count;
};

static const char back_key;

static void chr_unref(struct mt_char *chr)
{
	if (__atomic_sub_fetch(&chr->refs, 1, __ATOMIC_ACQ_REL))
		return;
	pthread_mutex_destroy(&chr->lock);
	g_free(chr);
}

static bool is_live(const struct mt_inst *inst)
{
	return __atomic_load_n(&inst->state, __ATOMIC_RELAXED) < INST_UNREALIZED;
}

static struct mt_inst *end_get(struct mt_char *chr, struct mt_inst *const *end)
{
	struct mt_inst *inst;

	pthread_mutex_lock(&chr->lock);
	inst = *end;
	pthread_mutex_unlock(&chr->lock);
	return inst;
}

/*
 * Posts `fn(chr)` to the loop of one end, once until it has run. Under the lock: an end that has been dropped
 * gets no more posts, and its fence waits for those before.
 */
static void chr_post(struct mt_char *chr, struct mt_inst *const *end, bool *posted, void (*fn)(void *arg))
{
	pthread_mutex_lock(&chr->lock);
	if (*end && !__atomic_exchange_n(posted, true, __ATOMIC_SEQ_CST)) {
		__atomic_add_fetch(&chr->refs, 1, __ATOMIC_RELAXED);
		loop_post((*end)->loop, fn, chr);
	}
	pthread_mutex_unlock(&chr->lock);
}

/* To the back end: deliver again */

static void ready_run(void *arg)
{
	struct mt_char *chr = arg;
	struct mt_inst *back;

	__atomic_store_n(&chr->ready_posted, false, __ATOMIC_SEQ_CST);
	back = end_get(chr, &chr->back);
	if (back && chr->cls->receive_ready) {
		inst_enter(back);
		if (is_live(back))
			chr->cls->receive_ready(back->self);
		inst_leave(back);
	}
	chr_unref(chr);
}

/* To the front: bytes, events, room */

/* Bytes in one piece that may go before the next event; also whether an event is next. */
static uint32_t next_bytes(struct mt_char *chr, const uint8_t **data, struct event *event)
{
	uint64_t until;
	uint32_t len;

	pthread_mutex_lock(&chr->lock);
	until = chr->event_count ? chr->events[0].position : chr->put;
	len = (uint32_t)(until - chr->taken);
	len = MIN(len, RING_BYTES - (uint32_t)(chr->taken % RING_BYTES));
	*data = &chr->ring[chr->taken % RING_BYTES];
	event->event = 0;
	if (len == 0 && chr->event_count) {
		*event = chr->events[0];
		memmove(chr->events, chr->events + 1, --chr->event_count * sizeof(chr->events[0]));
	}
	pthread_mutex_unlock(&chr->lock);
	return len;
}

static void bytes_taken(struct mt_char *chr, uint32_t len)
{
	bool tell;

	pthread_mutex_lock(&chr->lock);
	chr->taken += len;
	/* half empty: a back end woken for each byte would take a system call for each */
	tell = chr->cut && chr->put - chr->taken <= RING_BYTES / 2;
	if (tell)
		chr->cut = false;
	pthread_mutex_unlock(&chr->lock);
	if (tell)
		chr_post(chr, &chr->back, &chr->ready_posted, ready_run);
}

/* One step of what waits; false: nothing waits, or the front takes nothing now (receive_ready goes on). */
static bool pump_step(struct mt_char *chr)
{
	const uint8_t *data;
	struct event event;
	uint32_t len = next_bytes(chr, &data, &event), room;

	if (event.event) {
		if (chr->fns->event)
			chr->fns->event(chr->front_self, event.event);
		return true;
	}
	if (len == 0)
		return false;
	room = chr->fns->can_receive(chr->front_self);
	len = MIN(len, room);
	if (len == 0)
		return false;
	/* outside the lock: deliver never writes where bytes still wait, and only this thread takes them */
	chr->fns->receive(chr->front_self, data, len);
	bytes_taken(chr, len);
	return true;
}

/* A front that always has room, against a back end that always has bytes, must not keep the loop. */
static void pump_run(void *arg)
{
	struct mt_char *chr = arg;
	struct mt_inst *front;
	unsigned steps = 0;

	__atomic_store_n(&chr->pump_posted, false, __ATOMIC_SEQ_CST);
	front = end_get(chr, &chr->front);
	if (front && !port_waits(front)) {
		inst_enter(front);
		if (is_live(front) && __atomic_exchange_n(&chr->room_came, false, __ATOMIC_SEQ_CST) &&
		    chr->fns->writable)
			chr->fns->writable(chr->front_self);
		while (steps < EVENTS_MAX * 2 && is_live(front) && pump_step(chr))
			steps++;
		inst_leave(front);
		if (steps == EVENTS_MAX * 2)
			chr_post(chr, &chr->front, &chr->pump_posted, pump_run);
	}
	chr_unref(chr);
}

static void chr_pump(struct mt_char *chr)
{
	chr_post(chr, &chr->front, &chr->pump_posted, pump_run);
}

void char_started(struct mt_inst *back)
{
	struct mt_char *chr = inst_data_get(back, &back_key);

	if (chr)
		chr_pump(chr);
}

/* Calls of the front */

/*
 * Down to the back end. A parallel back end may say "writable" on another thread between its short answer
 * and the flag; so the flag stands before the call, and a call that took all takes it back.
 */
static int64_t chr_write(struct mt_char *chr, const uint8_t *data, uint32_t len_bytes)
{
	struct mt_inst *back = chr ? end_get(chr, &chr->back) : NULL;
	bool before;
	int64_t taken;

	if (!back || !is_live(back))
		return MT_EGONE;
	before = __atomic_exchange_n(&chr->wants_room, true, __ATOMIC_SEQ_CST);
	inst_enter(back);
	taken = chr->cls->write(back->self, data, len_bytes);
	inst_leave(back);
	if (taken > (int64_t)len_bytes)
		taken = len_bytes;
	if (!before && (taken < 0 || taken == len_bytes))
		__atomic_store_n(&chr->wants_room, false, __ATOMIC_SEQ_CST);
	return taken;
}

static void chr_receive_ready(struct mt_char *chr)
{
	if (chr)
		chr_pump(chr);
}

/* Calls of the back end */

static uint32_t chr_deliver(struct mt_char *chr, const uint8_t *data, uint32_t len_bytes)
{
	uint32_t room, now, first;

	if (!chr)
		return 0;
	pthread_mutex_lock(&chr->lock);
	room = RING_BYTES - (uint32_t)(chr->put - chr->taken);
	now = MIN(len_bytes, room);
	first = MIN(now, RING_BYTES - (uint32_t)(chr->put % RING_BYTES));
	memcpy(&chr->ring[chr->put % RING_BYTES], data, first);
	memcpy(chr->ring, data + first, now - first);
	chr->put += now;
	if (now < len_bytes)
		chr->cut = true;
	pthread_mutex_unlock(&chr->lock);
	if (now)
		chr_pump(chr);
	return now;
}

static void chr_writable(struct mt_char *chr)
{
	if (!chr || !__atomic_exchange_n(&chr->wants_room, false, __ATOMIC_SEQ_CST))
		return;
	__atomic_store_n(&chr->room_came, true, __ATOMIC_SEQ_CST);
	chr_pump(chr);
}

/* A flood of events that the front has not seen: the last one wins. */
static void chr_event(struct mt_char *chr, uint32_t event)
{
	if (!chr || event == 0)
		return;
	pthread_mutex_lock(&chr->lock);
	if (chr->event_count == EVENTS_MAX)
		chr->event_count--;
	chr->events[chr->event_count++] = (struct event){ chr->put, event };
	pthread_mutex_unlock(&chr->lock);
	chr_pump(chr);
}

/* The ends */

static void end_drop(struct mt_char *chr, struct mt_inst **end)
{
	pthread_mutex_lock(&chr->lock);
	*end = NULL;
	pthread_mutex_unlock(&chr->lock);
}

/* Resources are released before the instance's fence: what runs on the loop now still has the instance. */
static void back_release(void *arg)
{
	struct mt_char *chr = arg;

	inst_data_set(chr->back, &back_key, NULL);
	end_drop(chr, &chr->back);
	chr_unref(chr);
}

static void front_release(void *arg)
{
	struct mt_char *chr = arg;

	end_drop(chr, &chr->front);
	chr_unref(chr);
}

/* The connection belongs to the back end, which comes to life first; NULL: not a back end. */
static struct mt_char *chr_of(struct mt_inst *back)
{
	struct mt_char *chr = inst_data_get(back, &back_key);
	const struct mt_char_class *cls = chr ? chr->cls : inst_role(back, MT_IFACE_CHAR);

	if (chr || !cls)
		return chr;
	chr = g_new0(struct mt_char, 1);
	chr->back = back;
	chr->cls = cls;
	chr->refs = 1;
	pthread_mutex_init(&chr->lock, NULL);
	inst_data_set(back, &back_key, chr);
	loop_fence(back);
	inst_own(back, back_release, chr);
	return chr;
}

static struct mt_char *chr_connect(struct mt_inst *inst, const char *prop, const struct mt_char_front *front,
				   void *self, struct mt_error *err)
{
	struct mt_inst *back = inst_ref(inst, prop), *other;
	struct mt_char *chr = back ? chr_of(back) : NULL;

	if (!back)
		return NULL;
	if (!chr) {
		fault_set(err, MT_EINVAL, prop, NULL, "'%s' is no character back end", back->id);
		return NULL;
	}
	other = end_get(chr, &chr->front);
	if (other) {
		fault_set(err, MT_EBUSY, prop, "give each its own section",
			  "'%s' is connected to '%s' already: it takes one front", back->id, other->id);
		return NULL;
	}
	loop_fence(inst);
	chr->fns = front;
	chr->front_self = self;
	__atomic_add_fetch(&chr->refs, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&chr->lock);
	chr->front = inst;
	pthread_mutex_unlock(&chr->lock);
	inst_own(inst, front_release, chr);
	chr_pump(chr);                         /* what came before */
	return chr;
}

static struct mt_char *chr_back(struct mt_inst *inst)
{
	return inst->refs_in && inst->refs_in->len ? chr_of(inst) : NULL;
}

const struct mt_char_host char_host = {
	.connect = chr_connect,
	.write = chr_write,
	.receive_ready = chr_receive_ready,
	.back = chr_back,
	.deliver = chr_deliver,
	.writable = chr_writable,
	.event = chr_event,
};
