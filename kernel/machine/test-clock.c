/* SPDX-License-Identifier: MIT */
/* Guest time: pause and resume, ticks, timers on each clock. */
#include "kernel/machine/test-services.h"

const struct bench_role bench_roles[] = { { 0 } };

#define MS 1000000u

START_TEST(time_stands_still_while_paused)
{
	struct machine *m = bench_create();
	uint64_t first, second;

	ck_assert_uint_eq(clock_guest_ns(m->clock), 0);
	bench_sleep_ns(2 * MS);
	ck_assert_uint_eq(clock_guest_ns(m->clock), 0);
	clock_resume(m->clock);
	bench_sleep_ns(5 * MS);
	clock_pause(m->clock);
	first = clock_guest_ns(m->clock);
	ck_assert_uint_ge(first, 5 * MS);
	bench_sleep_ns(20 * MS);
	ck_assert_uint_eq(clock_guest_ns(m->clock), first);
	ck_assert_uint_eq(clock_host_deadline(m->clock, first + 1), UINT64_MAX);
	clock_resume(m->clock);
	clock_resume(m->clock);
	second = clock_guest_ns(m->clock);
	ck_assert_uint_ge(second, first);
	/* the 20 ms that it stood still are not in it */
	ck_assert_uint_lt(second - first, 15 * MS);
	ck_assert_uint_eq(clock_host_deadline(m->clock, UINT64_MAX), UINT64_MAX);
	ck_assert_uint_le(clock_host_deadline(m->clock, 0), loop_now_ns());
	ck_assert_uint_gt(clock_host_deadline(m->clock, second + 1000 * MS), loop_now_ns() + 500 * MS);
	bench_destroy(m);
}
END_TEST

static const uint64_t rates[] = { 1, 3, 32768, 10000000, 999999999, 1000000000, 24576000, 4000000000u };

START_TEST(ticks_do_not_overflow)
{
	static const uint64_t ticks[] = { 0, 1, 2, 999, 10000000, 1ull << 40, 1ull << 62, UINT64_MAX };
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);

	clock_destroy(m->clock);
	m->clock = clock_create(m, rates[_i]);
	ck_assert_uint_eq(clock_host.timebase_hz(inst), rates[_i]);
	for (unsigned i = 0; i < G_N_ELEMENTS(ticks); i++) {
		uint64_t ns = clock_host.ticks_to_ns(inst, ticks[i]);
		unsigned __int128 exact = (unsigned __int128)ticks[i] * 1000000000u;

		if (ns == UINT64_MAX) {
			ck_assert((exact / rates[_i]) >= UINT64_MAX - 1);
			continue;
		}
		/* the first ns at which the counter shows it */
		ck_assert((unsigned __int128)ns * rates[_i] / 1000000000u >= ticks[i]);
		ck_assert(ns == 0 || (unsigned __int128)(ns - 1) * rates[_i] / 1000000000u < ticks[i]);
	}
	bench_destroy(m);
}
END_TEST

struct counter {
	struct mt_timer *timer;
	uint32_t fired;
	uint64_t rearm_ns;
};

static void count(void *arg)
{
	struct counter *c = arg;

	__atomic_fetch_add(&c->fired, 1, __ATOMIC_RELEASE);
	if (c->rearm_ns)
		clock_host.timer_arm(c->timer, c->rearm_ns);
}

START_TEST(timer_fires_on_each_clock)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	struct counter c = { 0 };
	uint64_t deadline_ns;

	clock_resume(m->clock);
	c.timer = clock_host.timer_create(inst, (uint32_t)_i, count, &c);
	deadline_ns = clock_host.now_ns(inst, (uint32_t)_i) + 10 * MS;
	clock_host.timer_arm(c.timer, deadline_ns);
	ck_assert(bench_wait(&c.fired, 1));
	ck_assert_uint_ge(clock_host.now_ns(inst, (uint32_t)_i), deadline_ns);
	/* once */
	bench_sleep_ns(15 * MS);
	ck_assert_uint_eq(c.fired, 1);
	/* the past: at once; and beyond all time: never */
	clock_host.timer_arm(c.timer, 0);
	ck_assert(bench_wait(&c.fired, 2));
	clock_host.timer_arm(c.timer, UINT64_MAX - 1);
	clock_host.timer_arm(c.timer, UINT64_MAX);
	loop_sync(m->loop);
	ck_assert_uint_eq(c.fired, 2);
	ck_assert_ptr_null(clock_host.timer_create(inst, 3, count, &c));
	bench_destroy(m);
}
END_TEST

START_TEST(guest_timer_waits_for_resume)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	struct counter guest = { 0 }, host = { 0 };

	guest.timer = clock_host.timer_create(inst, MT_CLOCK_GUEST, count, &guest);
	host.timer = clock_host.timer_create(inst, MT_CLOCK_HOST, count, &host);
	clock_host.timer_arm(guest.timer, 0);
	clock_host.timer_arm(host.timer, loop_now_ns() + 5 * MS);
	ck_assert(bench_wait(&host.fired, 1));
	ck_assert_uint_eq(guest.fired, 0);
	clock_resume(m->clock);
	ck_assert(bench_wait(&guest.fired, 1));
	/* armed while it runs, paused before it comes */
	clock_host.timer_arm(guest.timer, clock_guest_ns(m->clock) + 30 * MS);
	clock_pause(m->clock);
	bench_sleep_ns(60 * MS);
	ck_assert_uint_eq(guest.fired, 1);
	clock_resume(m->clock);
	ck_assert(bench_wait(&guest.fired, 2));
	bench_destroy(m);
}
END_TEST

START_TEST(disarmed_under_the_lock_stays_disarmed)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	struct counter c = { 0 };

	clock_resume(m->clock);
	c.timer = clock_host.timer_create(inst, MT_CLOCK_GUEST, count, &c);
	for (int i = 0; i < 50; i++) {
		/* the loop comes for the timer and waits for the lock, as if a vCPU were in the device */
		inst_enter(inst);
		clock_host.timer_arm(c.timer, 0);
		bench_sleep_ns(200000);
		clock_host.timer_arm(c.timer, UINT64_MAX);
		inst_leave(inst);
	}
	loop_sync(m->loop);
	ck_assert_uint_eq(c.fired, 0);
	bench_destroy(m);
}
END_TEST

START_TEST(timer_rearms_itself)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	struct counter c = { .rearm_ns = 1 };

	clock_resume(m->clock);
	bench_sleep_ns(1000);
	c.timer = clock_host.timer_create(inst, MT_CLOCK_GUEST, count, &c);
	clock_host.timer_arm(c.timer, 1);
	ck_assert(bench_wait(&c.fired, 1000));
	/* a timer that is always due leaves the loop its turn */
	loop_sync(m->loop);
	bench_destroy(m);
}
END_TEST

/* Readers against pausing: time never runs backwards. */
static uint32_t stop;

static void *watch_time(void *arg)
{
	struct guest_clock *clock = arg;
	uintptr_t bad = 0;
	uint64_t last = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint64_t now = clock_guest_ns(clock);

		bad += now < last;
		last = now;
	}
	return (void *)bad;
}

START_TEST(time_never_runs_backwards)
{
	struct machine *m = bench_create();
	pthread_t threads[2];

	stop = 0;
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, watch_time, m->clock);
	for (int i = 0; i < 5000; i++)
		clock_resume(m->clock), clock_pause(m->clock);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++) {
		void *bad;

		pthread_join(threads[i], &bad);
		ck_assert_ptr_null(bad);
	}
	bench_destroy(m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clock");
	TCase *tc = tcase_create("clock");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, time_stands_still_while_paused);
	tcase_add_loop_test(tc, ticks_do_not_overflow, 0, G_N_ELEMENTS(rates));
	tcase_add_loop_test(tc, timer_fires_on_each_clock, 0, 3);
	tcase_add_test(tc, guest_timer_waits_for_resume);
	tcase_add_test(tc, disarmed_under_the_lock_stays_disarmed);
	tcase_add_test(tc, timer_rearms_itself);
	tcase_add_test(tc, time_never_runs_backwards);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
