/* SPDX-License-Identifier: MIT */
/*
 * Clock, timers, loop and workers of the fake host. Nothing runs inside a service call: timers, posted calls
 * and completions wait for fake_advance or fake_pump, as they would wait for the loop thread.
 */
#include "internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define REALTIME_START_NS 1000000000000000000ull
#define PUMP_ROUNDS 1000

static uint64_t clock_start(uint32_t clock)
{
	return clock == MT_CLOCK_REALTIME ? REALTIME_START_NS : 0;
}

static uint64_t now_ns(struct mt_inst *inst, uint32_t clock)
{
	return inst->fake->now_ns + clock_start(clock);
}

static uint64_t scale(uint64_t value, uint64_t mul, uint64_t div, uint64_t round)
{
	unsigned __int128 wide = ((unsigned __int128)value * mul + round) / div;

	return wide > UINT64_MAX ? UINT64_MAX : (uint64_t)wide;
}

static uint64_t ticks(struct mt_inst *inst)
{
	return scale(inst->fake->now_ns, inst->fake->timebase_hz, 1000000000, 0);
}

static uint64_t timebase_hz(struct mt_inst *inst)
{
	return inst->fake->timebase_hz;
}

static uint64_t ticks_to_ns(struct mt_inst *inst, uint64_t t)
{
	return scale(t, 1000000000, inst->fake->timebase_hz, inst->fake->timebase_hz - 1);
}

static const struct mt_guest_time *guest_time(struct mt_inst *inst)
{
	return &inst->fake->guest_time;
}

static struct mt_timer *timer_create_(struct mt_inst *inst, uint32_t clock, void (*fn)(void *arg), void *arg)
{
	struct fake *f = inst->fake;
	struct mt_timer *t = &f->timers[f->timer_count];

	if (f->timer_count == FAKE_TIMERS)
		fake_die("too many timers");
	f->timer_count++;
	*t = (struct mt_timer){ f, clock, UINT64_MAX, fn, arg };
	return t;
}

static void timer_arm(struct mt_timer *timer, uint64_t deadline_ns)
{
	timer->deadline_ns = deadline_ns;
}

const struct mt_clock_host fake_clock_host = {
	.now_ns = now_ns,
	.ticks = ticks,
	.timebase_hz = timebase_hz,
	.ticks_to_ns = ticks_to_ns,
	.guest_time = guest_time,
	.timer_create = timer_create_,
	.timer_arm = timer_arm,
};

static struct mt_watch *watch_add(struct mt_inst *inst, int fd, uint32_t events,
				  void (*fn)(void *arg, uint32_t events), void *arg)
{
	struct fake *f = inst->fake;
	struct mt_watch *w = f->watches;

	while (w < f->watches + f->watch_count && w->fd >= 0)
		w++;
	if (w == f->watches + FAKE_WATCHES)
		fake_die("too many watches");
	if (w == f->watches + f->watch_count)
		f->watch_count++;
	*w = (struct mt_watch){ f, fd, events, fn, arg };
	return w;
}

static void watch_set(struct mt_watch *watch, uint32_t events)
{
	watch->events = events;
}

static void watch_remove(struct mt_watch *watch)
{
	watch->fd = -1;
}

static struct mt_deferred *deferred_create(struct mt_inst *inst, void (*fn)(void *arg), void *arg)
{
	struct fake *f = inst->fake;

	if (f->deferred_count == FAKE_POSTS)
		fake_die("too many deferred calls");
	f->deferreds[f->deferred_count] = (struct mt_deferred){ fn, arg, 0 };
	return &f->deferreds[f->deferred_count++];
}

static void deferred_post(struct mt_deferred *deferred)
{
	deferred->posted = 1;
}

static void machine_request(struct mt_inst *inst, uint32_t request, uint32_t code)
{
	inst->fake->request_count++;
	inst->fake->request = request;
	inst->fake->request_code = code;
}

const struct mt_loop_host fake_loop_host = {
	.watch_add = watch_add,
	.watch_set = watch_set,
	.watch_remove = watch_remove,
	.deferred_create = deferred_create,
	.deferred_post = deferred_post,
	.machine_request = machine_request,
};

static int submit(struct mt_inst *inst, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
	struct fake *f = inst->fake;

	if (f->job_count == f->job_capacity) {
		f->job_capacity = f->job_capacity ? f->job_capacity * 2 : 16;
		f->jobs = realloc(f->jobs, f->job_capacity * sizeof(*f->jobs));
		if (!f->jobs)
			fake_die("no memory");
	}
	f->jobs[f->job_count++] = (struct fake_job){ done, arg, work };
	return 0;
}

const struct mt_worker_host fake_worker_host = { .submit = submit };

static uint32_t run_deferred(struct fake *f)
{
	uint32_t ran = 0;

	for (uint32_t i = 0; i < f->deferred_count; i++) {
		if (!f->deferreds[i].posted)
			continue;
		f->deferreds[i].posted = 0;
		f->deferreds[i].fn(f->deferreds[i].arg);
		ran++;
	}
	return ran;
}

static uint32_t run_jobs(struct fake *f)
{
	uint32_t ran = 0;

	while (f->job_count) {
		struct fake_job job = f->jobs[0];

		memmove(f->jobs, f->jobs + 1, --f->job_count * sizeof(*f->jobs));
		job.work(job.arg);
		job.done(job.arg);
		ran++;
	}
	return ran;
}

/* The armed timer that is due first and not after `until`, or NULL. */
static struct mt_timer *timer_due(struct fake *f, uint64_t until)
{
	struct mt_timer *first = NULL;
	uint64_t first_ns = UINT64_MAX;

	for (uint32_t i = 0; i < f->timer_count; i++) {
		struct mt_timer *t = &f->timers[i];
		uint64_t start = clock_start(t->clock);
		uint64_t at = t->deadline_ns > start ? t->deadline_ns - start : 0;

		if (t->deadline_ns == UINT64_MAX || at > until || at >= first_ns)
			continue;
		first = t;
		first_ns = at;
	}
	return first;
}

static uint32_t run_timer(struct fake *f, uint64_t until)
{
	struct mt_timer *t = timer_due(f, until);
	uint64_t start, at;

	if (!t)
		return 0;
	start = clock_start(t->clock);
	at = t->deadline_ns > start ? t->deadline_ns - start : 0;
	f->now_ns = at > f->now_ns ? at : f->now_ns;
	t->deadline_ns = UINT64_MAX;
	t->fn(t->arg);
	return 1;
}

static uint32_t run_watches(struct fake *f)
{
	uint32_t ran = 0;

	for (uint32_t i = 0; i < f->watch_count; i++) {
		struct mt_watch *w = &f->watches[i];
		struct pollfd p = { .fd = w->fd };
		uint32_t events;

		p.events = (w->events & MT_FD_READ ? POLLIN : 0) | (w->events & MT_FD_WRITE ? POLLOUT : 0);
		if (w->fd < 0 || !w->events || poll(&p, 1, 0) <= 0)
			continue;
		events = (p.revents & POLLIN ? MT_FD_READ : 0) | (p.revents & POLLOUT ? MT_FD_WRITE : 0) |
			 (p.revents & (POLLHUP | POLLERR) ? MT_FD_HUP : 0);
		w->fn(w->arg, events);
		ran++;
	}
	return ran;
}

void fake_pump(struct fake *f)
{
	for (int round = 0; round < PUMP_ROUNDS; round++)
		if (!(run_deferred(f) + run_jobs(f) + run_timer(f, f->now_ns) + run_watches(f) + fake_char_pump(f)))
			return;
}

void fake_advance(struct fake *f, uint64_t ns)
{
	uint64_t until = ns > UINT64_MAX - f->now_ns ? UINT64_MAX : f->now_ns + ns;

	for (int round = 0; round < PUMP_ROUNDS && run_timer(f, until); round++)
		;
	f->now_ns = until;
	f->guest_time.offset_ns = (int64_t)until;
}

uint64_t fake_now(struct fake *f)
{
	return f->now_ns;
}

void fake_timebase(struct fake *f, uint64_t hz)
{
	f->timebase_hz = hz;
	f->guest_time.timebase_hz = hz;
}

uint32_t fake_requests(struct fake *f, uint32_t *request, uint32_t *code)
{
	if (request)
		*request = f->request;
	if (code)
		*code = f->request_code;
	return f->request_count;
}
