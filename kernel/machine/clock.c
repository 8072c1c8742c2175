/* SPDX-License-Identifier: MIT */
/*
 * Guest time and the clock service. Guest time starts at 0, runs while the machine does, and is read on every
 * thread from a page under a sequence lock (sdk/mortise/draft/clock.h). Only [main] starts and stops it.
 *
 * The rule that is easy to break: a timer is consumed under the instance's lock, so that a guest that re-arms
 * or disarms it from a vCPU thread, while the loop waits for that lock, does not get the old one.
 */
#include "kernel/machine/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "kernel/machine/loop.h"
#include "kernel/machine/machine.h"
#include "kernel/state/part.h"

#define NS_PER_S 1000000000u
#define GUEST_NS_MAX (UINT64_C(1) << 62)   /* 146 years: far from where sums of times overflow */

struct mt_timer {
	struct mt_inst *inst;
	struct guest_clock *guest;
	struct loop_timer *timer;
	struct mt_timer *next;         /* timers of the clock */
	uint32_t clock;
	uint64_t deadline_ns;          /* on that clock; UINT64_MAX: not armed */
	void (*fn)(void *arg);
	void *arg;
};

struct guest_clock {
	struct mt_guest_time time;     /* a cache line of its own: read by all vCPUs */
	char pad[64 - sizeof(struct mt_guest_time)];
	pthread_mutex_t lock;          /* of deadlines, the list, and of writing `time` */
	struct mt_timer *timers;
};

/* Reading */

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/*
 * Races with clock_pause and clock_resume on main. The loads acquire, so that the second look at `seq` comes
 * after them.
 */
uint64_t clock_guest_ns(const struct guest_clock *clock)
{
	const struct mt_guest_time *time = &clock->time;

	for (;;) {
		uint32_t seq = __atomic_load_n(&time->seq, __ATOMIC_ACQUIRE);
		uint32_t running = __atomic_load_n(&time->running, __ATOMIC_ACQUIRE);
		int64_t offset_ns = __atomic_load_n(&time->offset_ns, __ATOMIC_ACQUIRE);
		uint64_t now_ns = __atomic_load_n(&time->frozen_ns, __ATOMIC_ACQUIRE);

		if (running)
			now_ns = loop_now_ns() + (uint64_t)offset_ns;
		if (!(seq & 1) && __atomic_load_n(&time->seq, __ATOMIC_RELAXED) == seq)
			return now_ns;
	}
}

static uint64_t ns_to_ticks(const struct guest_clock *clock, uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * clock->time.timebase_hz / NS_PER_S);
}

/* Rounded up: at the time that comes back the counter shows `ticks`, and not before. */
static uint64_t ticks_to_ns(const struct guest_clock *clock, uint64_t ticks)
{
	uint64_t hz = clock->time.timebase_hz;
	unsigned __int128 ns = ((unsigned __int128)ticks * NS_PER_S + hz - 1) / hz;

	return ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns;
}

uint64_t clock_host_deadline(const struct guest_clock *clock, uint64_t guest_ns)
{
	uint64_t now_ns, host_ns = loop_now_ns();

	if (guest_ns == UINT64_MAX || !__atomic_load_n(&clock->time.running, __ATOMIC_ACQUIRE))
		return UINT64_MAX;
	now_ns = clock_guest_ns(clock);
	if (guest_ns <= now_ns)
		return host_ns;
	return guest_ns - now_ns > UINT64_MAX - 1 - host_ns ? UINT64_MAX : host_ns + (guest_ns - now_ns);
}

static uint64_t clock_now(const struct guest_clock *clock, uint32_t kind)
{
	if (kind == MT_CLOCK_GUEST)
		return clock_guest_ns(clock);
	return kind == MT_CLOCK_REALTIME ? realtime_ns() : loop_now_ns();
}

/* Timers */

/* With the clock's lock held. */
static void timer_set(struct mt_timer *timer)
{
	uint64_t host_ns = timer->deadline_ns;

	if (timer->clock == MT_CLOCK_GUEST) {
		host_ns = clock_host_deadline(timer->guest, host_ns);
	} else if (timer->clock == MT_CLOCK_REALTIME && host_ns != UINT64_MAX) {
		uint64_t wall_ns = realtime_ns(), now_ns = loop_now_ns();
		uint64_t wait_ns = host_ns > wall_ns ? host_ns - wall_ns : 0;

		host_ns = wait_ns > UINT64_MAX - 1 - now_ns ? UINT64_MAX : now_ns + wait_ns;
	}
	loop_timer_arm(timer->timer, host_ns);
}

/* Whether the timer has come; then it is disarmed. A clock that stood still or went back arms it again. */
static bool timer_consume(struct mt_timer *timer)
{
	bool due = false;

	pthread_mutex_lock(&timer->guest->lock);
	if (timer->deadline_ns != UINT64_MAX) {
		due = clock_now(timer->guest, timer->clock) >= timer->deadline_ns;
		if (due)
			timer->deadline_ns = UINT64_MAX;
		else
			timer_set(timer);
	}
	pthread_mutex_unlock(&timer->guest->lock);
	return due;
}

static void timer_fired(void *arg)
{
	struct mt_timer *timer = arg;

	inst_enter(timer->inst);
	if (timer_consume(timer) && __atomic_load_n(&timer->inst->state, __ATOMIC_RELAXED) < INST_UNREALIZED)
		timer->fn(timer->arg);
	inst_leave(timer->inst);
}

static void timer_release(void *arg)
{
	struct mt_timer *timer = arg, **link;

	pthread_mutex_lock(&timer->guest->lock);
	for (link = &timer->guest->timers; *link != timer; link = &(*link)->next)
		;
	*link = timer->next;
	timer->deadline_ns = UINT64_MAX;
	pthread_mutex_unlock(&timer->guest->lock);
	loop_timer_destroy(timer->timer);
	g_free(timer);
}

static struct mt_timer *timer_new(struct mt_inst *inst, uint32_t clock, void (*fn)(void *arg), void *arg)
{
	struct mt_timer *timer;

	if (clock > MT_CLOCK_REALTIME)
		return NULL;
	timer = g_new0(struct mt_timer, 1);
	timer->inst = inst;
	timer->guest = inst->machine->clock;
	timer->clock = clock;
	timer->deadline_ns = UINT64_MAX;
	timer->fn = fn;
	timer->arg = arg;
	loop_fence(inst);
	timer->timer = loop_timer_create(inst->loop, timer_fired, timer);
	pthread_mutex_lock(&timer->guest->lock);
	timer->next = timer->guest->timers;
	timer->guest->timers = timer;
	pthread_mutex_unlock(&timer->guest->lock);
	inst_own(inst, timer_release, timer);
	return timer;
}

static void timer_arm(struct mt_timer *timer, uint64_t deadline_ns)
{
	pthread_mutex_lock(&timer->guest->lock);
	timer->deadline_ns = deadline_ns;
	timer_set(timer);
	pthread_mutex_unlock(&timer->guest->lock);
}

/* Running and standing still */

/*
 * With the clock's lock held. The stores release, so that the odd `seq` is there before them; the host's
 * clock is read after it, so that no reader was given a later time than the one that freezes.
 */
static void time_switch(struct guest_clock *clock, bool running)
{
	struct mt_guest_time *time = &clock->time;
	uint64_t host_ns, frozen_ns = time->frozen_ns;
	int64_t offset_ns = time->offset_ns;
	uint32_t seq = time->seq;

	__atomic_store_n(&time->seq, seq + 1, __ATOMIC_SEQ_CST);
	host_ns = loop_now_ns();
	if (running)
		offset_ns = (int64_t)(frozen_ns - host_ns);
	else
		frozen_ns = host_ns + (uint64_t)offset_ns;
	__atomic_store_n(&time->running, running, __ATOMIC_RELEASE);
	__atomic_store_n(&time->offset_ns, offset_ns, __ATOMIC_RELEASE);
	__atomic_store_n(&time->frozen_ns, frozen_ns, __ATOMIC_RELEASE);
	__atomic_store_n(&time->seq, seq + 2, __ATOMIC_RELEASE);
}

static void timers_set(struct guest_clock *clock)
{
	for (struct mt_timer *timer = clock->timers; timer; timer = timer->next) {
		if (timer->clock == MT_CLOCK_GUEST)
			timer_set(timer);
	}
}

static void clock_switch(struct guest_clock *clock, bool running)
{
	pthread_mutex_lock(&clock->lock);
	if (clock->time.running != running) {
		time_switch(clock, running);
		timers_set(clock);
	}
	pthread_mutex_unlock(&clock->lock);
}

void clock_resume(struct guest_clock *clock)
{
	clock_switch(clock, true);
}

void clock_pause(struct guest_clock *clock)
{
	clock_switch(clock, false);
}

void clock_set_guest_ns(struct guest_clock *clock, uint64_t guest_ns)
{
	struct mt_guest_time *time = &clock->time;

	pthread_mutex_lock(&clock->lock);
	__atomic_store_n(&time->seq, time->seq + 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&time->frozen_ns, guest_ns, __ATOMIC_RELEASE);
	__atomic_store_n(&time->seq, time->seq + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&clock->lock);
}

uint64_t clock_timebase_hz(const struct guest_clock *clock)
{
	return clock->time.timebase_hz;
}

struct guest_clock *clock_create(struct machine *m, uint64_t timebase_hz)
{
	struct guest_clock *clock = g_new0(struct guest_clock, 1);

	(void)m;
	clock->time.timebase_hz = timebase_hz ? timebase_hz : 1;
	pthread_mutex_init(&clock->lock, NULL);
	return clock;
}

void clock_destroy(struct guest_clock *clock)
{
	if (!clock)
		return;
	pthread_mutex_destroy(&clock->lock);
	g_free(clock);
}

/* Saved state: chips and vCPUs keep their own deadlines; the time that they count by is here. */

static int state_save(struct machine *m, struct mt_state_out *out, const struct mt_state_writer *w,
		      struct mt_error *err)
{
	uint64_t guest_ns = clock_guest_ns(m->clock);

	(void)err;
	w->put(out, "guest-ns", MT_STATE_U64, 0, &guest_ns, 1);
	w->put(out, "timebase-hz", MT_STATE_U64, 0, &m->clock->time.timebase_hz, 1);
	return 0;
}

static int state_load(struct machine *m, struct mt_state_in *in, const struct mt_state_reader *r,
		      struct mt_error *err)
{
	uint64_t guest_ns = 0, timebase_hz = 0;
	int code = r->get(in, "guest-ns", MT_STATE_U64, &guest_ns, 1);

	(void)err;
	if (code == 0)
		code = r->get(in, "timebase-hz", MT_STATE_U64, &timebase_hz, 1);
	if (code < 0)
		return code;
	if (timebase_hz != m->clock->time.timebase_hz)
		return r->refuse(in, "timebase-hz", "is not that of this machine");
	if (guest_ns > GUEST_NS_MAX)
		return r->refuse(in, "guest-ns", "is beyond all guest time");
	clock_set_guest_ns(m->clock, guest_ns);
	return 0;
}

const struct state_part clock_state_part = { "clock", 1, state_save, state_load };

/* The service */

static uint64_t host_now_ns(struct mt_inst *inst, uint32_t clock)
{
	return clock_now(inst->machine->clock, clock);
}

static uint64_t host_ticks(struct mt_inst *inst)
{
	return ns_to_ticks(inst->machine->clock, clock_guest_ns(inst->machine->clock));
}

static uint64_t host_timebase_hz(struct mt_inst *inst)
{
	return inst->machine->clock->time.timebase_hz;
}

static uint64_t host_ticks_to_ns(struct mt_inst *inst, uint64_t ticks)
{
	return ticks_to_ns(inst->machine->clock, ticks);
}

static const struct mt_guest_time *host_guest_time(struct mt_inst *inst)
{
	return &inst->machine->clock->time;
}

const struct mt_clock_host clock_host = {
	.now_ns = host_now_ns,
	.ticks = host_ticks,
	.timebase_hz = host_timebase_hz,
	.ticks_to_ns = host_ticks_to_ns,
	.guest_time = host_guest_time,
	.timer_create = timer_new,
	.timer_arm = timer_arm,
};
