/* SPDX-License-Identifier: MIT */
/* The loop: posts, timers, watches that change under their callbacks, deferred calls, workers. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "kernel/machine/test-services.h"

const struct bench_role bench_roles[] = { { 0 } };

#define MS 1000000u

static void count(void *arg)
{
	__atomic_fetch_add((uint32_t *)arg, 1, __ATOMIC_RELEASE);
}

/* Posts and timers */

static uint32_t order[64], ordered;

static void put_order(void *arg)
{
	if (ordered < 64)
		order[ordered++] = (uint32_t)(uintptr_t)arg;
}

START_TEST(posts_keep_their_order)
{
	struct loop *loop = loop_create("a long name for a thread");

	ordered = 0;
	for (uintptr_t i = 0; i < 60; i++)
		loop_post(loop, put_order, (void *)i);
	loop_sync(loop);
	ck_assert_uint_eq(ordered, 60);
	for (uint32_t i = 0; i < 60; i++)
		ck_assert_uint_eq(order[i], i);
	ck_assert(!loop_is_current(loop));
	loop_destroy(loop);
}
END_TEST

/* How many threads this process has. */
static uint32_t threads(void)
{
	GDir *dir = g_dir_open("/proc/self/task", 0, NULL);
	uint32_t n = 0;

	while (g_dir_read_name(dir))
		n++;
	g_dir_close(dir);
	return n;
}

static void lazy_fired(void *arg, uint32_t events)
{
	(void)events;
	count(arg);
}

START_TEST(lazy_starts_with_the_first_thing)
{
	uint32_t before = threads(), fired = 0;
	struct loop *loop = loop_create_lazy("lazy");
	struct loop_timer *timer;
	struct loop_watch *watch;
	int fd = eventfd(1, EFD_NONBLOCK);

	ck_assert_uint_eq(threads(), before);
	loop_destroy(loop);
	loop = loop_create_lazy("lazy");
	loop_post(loop, count, &fired);
	ck_assert(bench_wait(&fired, 1));
	ck_assert_uint_eq(threads(), before + 1);
	loop_destroy(loop);
	loop = loop_create_lazy("lazy");
	timer = loop_timer_create(loop, count, &fired);
	loop_timer_arm(timer, loop_now_ns() + MS);
	ck_assert(bench_wait(&fired, 2));
	loop_timer_destroy(timer);
	loop_destroy(loop);
	loop = loop_create_lazy("lazy");
	watch = loop_watch_add(loop, fd, MT_FD_READ, lazy_fired, &fired);
	ck_assert(bench_wait(&fired, 3));
	loop_watch_remove(watch);
	loop_destroy(loop);
	close(fd);
}
END_TEST

struct poster {
	struct loop *loop;
	uint32_t *sum;
};

static void *post_many(void *arg)
{
	struct poster *p = arg;

	for (int i = 0; i < 20000; i++)
		loop_post(p->loop, count, p->sum);
	return NULL;
}

START_TEST(posts_of_many_threads_all_run)
{
	struct loop *loop = loop_create("loop");
	uint32_t sum = 0;
	struct poster p = { loop, &sum };
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, post_many, &p);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	/* what is left runs before the thread ends */
	loop_destroy(loop);
	ck_assert_uint_eq(sum, 80000);
}
END_TEST

START_TEST(timers_fire_in_order)
{
	struct loop *loop = loop_create("loop");
	struct loop_timer *timers[40];
	uint64_t base_ns = loop_now_ns() + 20 * MS;
	uint32_t fired = 0;
	struct loop_timer *end = loop_timer_create(loop, count, &fired);

	ordered = 0;
	for (uintptr_t i = 0; i < 40; i++)
		timers[i] = loop_timer_create(loop, put_order, (void *)i);
	for (unsigned i = 0; i < 40; i++)
		loop_timer_arm(timers[i], base_ns);
	/* spread, in a scrambled order; a few again, a few not at all */
	for (unsigned i = 0; i < 40; i++)
		loop_timer_arm(timers[i * 7 % 40], base_ns + (i * 7 % 40) / 2 * 1000);
	for (unsigned i = 30; i < 40; i++)
		loop_timer_arm(timers[i], UINT64_MAX);
	loop_timer_arm(end, base_ns + 5 * MS);
	ck_assert(bench_wait(&fired, 1));
	ck_assert_uint_ge(loop_now_ns(), base_ns + 5 * MS);
	ck_assert_uint_eq(ordered, 30);
	for (unsigned i = 1; i < 30; i++)
		ck_assert_uint_le(order[i - 1] / 2, order[i] / 2);
	for (unsigned i = 0; i < 40; i++)
		loop_timer_destroy(timers[i]);
	loop_timer_destroy(end);
	loop_destroy(loop);
}
END_TEST

static struct loop_timer *pair[2];
static uint32_t pair_fired;

/* Disarms the other one of the same deadline, and destroys itself. */
static void disarm_other(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	loop_timer_arm(pair[!me], UINT64_MAX);
	loop_timer_destroy(pair[me]);
	pair[me] = NULL;
	__atomic_fetch_add(&pair_fired, 1, __ATOMIC_RELEASE);
}

START_TEST(timer_disarmed_in_a_callback)
{
	struct loop *loop = loop_create("loop");

	pair_fired = 0;
	for (uintptr_t i = 0; i < 2; i++)
		pair[i] = loop_timer_create(loop, disarm_other, (void *)i);
	for (unsigned i = 0; i < 2; i++)
		loop_timer_arm(pair[i], loop_now_ns() + 2 * MS);
	ck_assert(bench_wait(&pair_fired, 1));
	bench_sleep_ns(5 * MS);
	loop_sync(loop);
	ck_assert_uint_eq(pair_fired, 1);
	for (unsigned i = 0; i < 2; i++) {
		if (pair[i])
			loop_timer_destroy(pair[i]);
	}
	loop_destroy(loop);
}
END_TEST

static uint32_t slow_begun, slow_ended;

static void slow(void *arg)
{
	(void)arg;
	__atomic_store_n(&slow_begun, 1, __ATOMIC_RELEASE);
	bench_sleep_ns(10 * MS);
	__atomic_store_n(&slow_ended, 1, __ATOMIC_RELEASE);
}

START_TEST(destroy_waits_for_the_callback)
{
	struct loop *loop = loop_create("loop");
	struct loop_timer *timer = loop_timer_create(loop, slow, NULL);

	slow_begun = slow_ended = 0;
	loop_timer_arm(timer, 0);
	ck_assert(bench_wait(&slow_begun, 1));
	loop_timer_destroy(timer);
	ck_assert_uint_eq(slow_ended, 1);
	loop_destroy(loop);
}
END_TEST

/* Watches */

struct eye {
	struct mt_inst *inst;
	struct mt_watch *watch;
	int fd;
	uint32_t fired;
	struct eye *removes;           /* its callback removes that one */
};

static void eye_fired(void *arg, uint32_t events)
{
	struct eye *eye = arg;

	ck_assert_uint_eq(events, MT_FD_READ);
	count(&eye->fired);
	if (eye->removes && eye->removes->watch) {
		loop_host.watch_remove(eye->removes->watch);
		eye->removes->watch = NULL;
	} else if (!eye->removes) {
		eventfd_t value;

		eventfd_read(eye->fd, &value);
	}
}

static struct eye eye_open(struct mt_inst *inst)
{
	return (struct eye){ .inst = inst, .fd = eventfd(0, EFD_NONBLOCK) };
}

START_TEST(watch_removes_itself)
{
	struct machine *m = bench_create();
	struct eye eye = eye_open(bench_inst(m, "dev", "dev", (uint32_t)_i, NULL, NULL));

	eye.removes = &eye;
	inst_enter(eye.inst);
	eye.watch = loop_host.watch_add(eye.inst, eye.fd, MT_FD_READ, eye_fired, &eye);
	inst_leave(eye.inst);
	ck_assert_ptr_nonnull(eye.watch);
	eventfd_write(eye.fd, 1);
	ck_assert(bench_wait(&eye.fired, 1));
	bench_sleep_ns(2 * MS);
	loop_sync(m->loop);
	ck_assert_uint_eq(eye.fired, 1);
	ck_assert_ptr_null(eye.watch);
	bench_destroy(m);
	close(eye.fd);
}
END_TEST

static void stall(void *arg)
{
	/* both descriptors become ready while the loop is here: one batch */
	for (int i = 0; i < 2; i++)
		eventfd_write(((struct eye *)arg)[i].fd, 1);
}

START_TEST(watch_removes_another_of_its_batch)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", (uint32_t)_i, NULL, NULL);

	for (int round = 0; round < 50; round++) {
		struct eye eyes[2] = { eye_open(inst), eye_open(inst) };

		eyes[0].removes = &eyes[1];
		eyes[1].removes = &eyes[0];
		inst_enter(inst);
		for (int i = 0; i < 2; i++)
			eyes[i].watch = loop_host.watch_add(inst, eyes[i].fd, MT_FD_READ, eye_fired,
							    &eyes[i]);
		inst_leave(inst);
		loop_post(m->loop, stall, eyes);
		while (!__atomic_load_n(&eyes[0].fired, __ATOMIC_ACQUIRE) &&
		       !__atomic_load_n(&eyes[1].fired, __ATOMIC_ACQUIRE))
			bench_sleep_ns(10000);
		inst_enter(inst);
		for (int i = 0; i < 2; i++) {
			if (eyes[i].watch)
				loop_host.watch_remove(eyes[i].watch);
		}
		inst_leave(inst);
		loop_sync(m->loop);
		/* one of them was first, and the other never came */
		ck_assert(!eyes[0].fired || !eyes[1].fired);
		for (int i = 0; i < 2; i++)
			close(eyes[i].fd);
	}
	bench_destroy(m);
}
END_TEST

/* The same on the kernel's own watches. */
static struct loop_watch *bare[2];
static uint32_t bare_fired;

static void bare_remove_other(void *arg, uint32_t events)
{
	uintptr_t me = (uintptr_t)arg;

	(void)events;
	loop_watch_remove(bare[!me]);
	loop_watch_remove(bare[me]);
	count(&bare_fired);
}

static void bare_stall(void *arg)
{
	for (int i = 0; i < 2; i++)
		eventfd_write(((int *)arg)[i], 1);
}

START_TEST(bare_watch_removes_another_of_its_batch)
{
	struct loop *loop = loop_create("loop");
	int fds[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };

	for (int round = 0; round < 50; round++) {
		bare_fired = 0;
		for (uintptr_t i = 0; i < 2; i++)
			bare[i] = loop_watch_add(loop, fds[i], MT_FD_READ, bare_remove_other, (void *)i);
		loop_post(loop, bare_stall, fds);
		ck_assert(bench_wait(&bare_fired, 1));
		loop_sync(loop);
		ck_assert_uint_eq(bare_fired, 1);
		for (int i = 0; i < 2; i++) {
			eventfd_t value;

			eventfd_read(fds[i], &value);
		}
	}
	loop_destroy(loop);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* A post at the moment when the loop takes its wake: each must be seen, or the next sync waits for ever. */
static void *post_and_sync(void *arg)
{
	for (int i = 0; i < 20000; i++)
		loop_sync(arg);
	return NULL;
}

START_TEST(no_wake_is_lost)
{
	struct loop *loop = loop_create("loop");
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, post_and_sync, loop);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	loop_destroy(loop);
}
END_TEST

START_TEST(removed_under_the_lock_does_not_fire)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);

	for (int i = 0; i < 50; i++) {
		struct eye eye = eye_open(inst);

		inst_enter(inst);
		eye.watch = loop_host.watch_add(inst, eye.fd, MT_FD_READ, eye_fired, &eye);
		eventfd_write(eye.fd, 1);
		bench_sleep_ns(100000);
		loop_host.watch_remove(eye.watch);
		inst_leave(inst);
		loop_sync(m->loop);
		ck_assert_uint_eq(eye.fired, 0);
		close(eye.fd);
	}
	bench_destroy(m);
}
END_TEST

START_TEST(parked_watch_is_quiet)
{
	struct machine *m = bench_create();
	struct eye eye = eye_open(bench_inst(m, "dev", "dev", 0, NULL, NULL));

	inst_enter(eye.inst);
	eye.watch = loop_host.watch_add(eye.inst, eye.fd, 0, eye_fired, &eye);
	inst_leave(eye.inst);
	eventfd_write(eye.fd, 1);
	bench_sleep_ns(5 * MS);
	ck_assert_uint_eq(__atomic_load_n(&eye.fired, __ATOMIC_ACQUIRE), 0);
	loop_host.watch_set(eye.watch, MT_FD_READ);
	ck_assert(bench_wait(&eye.fired, 1));
	loop_host.watch_set(eye.watch, 0);
	loop_sync(m->loop);
	eventfd_write(eye.fd, 1);
	bench_sleep_ns(5 * MS);
	ck_assert_uint_eq(__atomic_load_n(&eye.fired, __ATOMIC_ACQUIRE), 1);
	bench_destroy(m);
	close(eye.fd);
}
END_TEST

static void read_one(void *arg, uint32_t events)
{
	struct eye *eye = arg;
	char c;

	ck_assert_uint_eq(events, MT_FD_READ);
	if (read(eye->fd, &c, 1) == 1)
		count(&eye->fired);
	else
		loop_host.watch_set(eye->watch, 0);
}

START_TEST(regular_file_is_always_ready)
{
	struct machine *m = bench_create();
	struct eye eye = { .inst = bench_inst(m, "dev", "dev", 0, NULL, NULL),
			   .fd = memfd_create("file", 0) };

	ck_assert_int_eq(write(eye.fd, "hello", 5), 5);
	lseek(eye.fd, 0, SEEK_SET);
	inst_enter(eye.inst);
	eye.watch = loop_host.watch_add(eye.inst, eye.fd, MT_FD_READ, read_one, &eye);
	inst_leave(eye.inst);
	ck_assert_ptr_nonnull(eye.watch);
	ck_assert(bench_wait(&eye.fired, 5));
	loop_sync(m->loop);
	ck_assert_ptr_null(loop_host.watch_add(eye.inst, -1, MT_FD_READ, read_one, &eye));
	ck_assert_ptr_null(loop_host.watch_add(eye.inst, 100000, MT_FD_READ, read_one, &eye));
	bench_destroy(m);
	close(eye.fd);
}
END_TEST

static void hung_up(void *arg, uint32_t events)
{
	struct eye *eye = arg;

	ck_assert_uint_ne(events & MT_FD_HUP, 0);
	loop_host.watch_set(eye->watch, 0);
	count(&eye->fired);
}

START_TEST(hang_up_is_reported)
{
	struct machine *m = bench_create();
	struct eye eye = { .inst = bench_inst(m, "dev", "dev", 0, NULL, NULL) };
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	eye.fd = ends[0];
	inst_enter(eye.inst);
	eye.watch = loop_host.watch_add(eye.inst, eye.fd, MT_FD_READ, hung_up, &eye);
	inst_leave(eye.inst);
	close(ends[1]);
	ck_assert(bench_wait(&eye.fired, 1));
	bench_sleep_ns(3 * MS);
	loop_sync(m->loop);
	ck_assert_uint_eq(eye.fired, 1);
	bench_destroy(m);
	close(eye.fd);
}
END_TEST

/* Deferred calls */

START_TEST(deferred_posts_are_one)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	uint32_t fired = 0;
	struct mt_deferred *deferred = loop_host.deferred_create(inst, count, &fired);

	inst_enter(inst);
	for (int i = 0; i < 100; i++)
		loop_host.deferred_post(deferred);
	inst_leave(inst);
	loop_sync(m->loop);
	/* the loop may have taken the first before the last was posted: then it waited for the lock */
	ck_assert(fired == 1 || fired == 2);
	fired = 0;
	loop_host.deferred_post(deferred);
	loop_sync(m->loop);
	ck_assert_uint_eq(fired, 1);
	loop_host.deferred_post(deferred);
	bench_destroy(m);
}
END_TEST

/* Workers */

struct job {
	struct loop *loop;
	uint32_t worked, done, wrong;
};

static void job_work(void *arg)
{
	struct job *job = arg;

	job->wrong |= loop_is_current(job->loop);
	count(&job->worked);
}

static void job_done(void *arg)
{
	struct job *job = arg;

	job->wrong |= !loop_is_current(job->loop) || job->worked != 1;
	count(&job->done);
}

START_TEST(work_runs_off_the_loop)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	static struct job jobs[500];

	for (unsigned i = 0; i < 500; i++) {
		jobs[i].loop = m->loop;
		ck_assert_int_eq(worker_host.submit(inst, job_work, job_done, &jobs[i]), 0);
	}
	for (unsigned i = 0; i < 500; i++) {
		ck_assert(bench_wait(&jobs[i].done, 1));
		ck_assert_uint_eq(jobs[i].wrong, 0);
	}
	/* one under way when the instance goes: it is waited for */
	ck_assert_int_eq(worker_host.submit(inst, slow, NULL, NULL), 0);
	bench_destroy(m);
	ck_assert_uint_eq(slow_ended, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("loop");
	TCase *tc = tcase_create("loop");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, posts_keep_their_order);
	tcase_add_test(tc, lazy_starts_with_the_first_thing);
	tcase_add_test(tc, posts_of_many_threads_all_run);
	tcase_add_test(tc, timers_fire_in_order);
	tcase_add_test(tc, timer_disarmed_in_a_callback);
	tcase_add_test(tc, destroy_waits_for_the_callback);
	/* an ordinary class (0) and MT_CLASS_PARALLEL (1) */
	tcase_add_loop_test(tc, watch_removes_itself, 0, 2);
	tcase_add_loop_test(tc, watch_removes_another_of_its_batch, 0, 1);
	tcase_add_test(tc, bare_watch_removes_another_of_its_batch);
	tcase_add_test(tc, no_wake_is_lost);
	tcase_add_test(tc, removed_under_the_lock_does_not_fire);
	tcase_add_test(tc, parked_watch_is_quiet);
	tcase_add_test(tc, regular_file_is_always_ready);
	tcase_add_test(tc, hang_up_is_reported);
	tcase_add_test(tc, deferred_posts_are_one);
	tcase_add_test(tc, work_runs_off_the_loop);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
