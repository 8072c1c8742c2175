/* SPDX-License-Identifier: MIT */
/* vCPU threads: sleeping and waking under stress, pause, registers, requests to the machine, signals. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "kernel/machine/clock.h"
#include "kernel/machine/services.h"
#include "kernel/machine/test-fake.h"
#include "kernel/machine/vcpu.h"

#define HEAD "[machine]\nschema = 1\narch = riscv64\n[cpu]\nplugin = fake-cpu\n"
#define BOARD "[memory ram]\nat = 0x80000000\nsize = 16M\n[boot]\nplugin = fake-boot\n[device dev]\nplugin = fake-dev\n"

/* Halts for ever while pin 0 is low; else takes it and counts. Only a wake-up brings it back. */
static int run_pin(struct fake_vcpu *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	(void)params;
	atomic_store(&vcpu->kicked, 0);
	if (atomic_exchange(&vcpu->pin[0], 0))
		atomic_fetch_add(&vcpu->count, 1);
	exit->reason = MT_EXIT_HALT;
	exit->wake_ns = UINT64_MAX;
	return 0;
}

static void wait_count(struct fake_vcpu *vcpu, uint64_t count)
{
	while (atomic_load(&vcpu->count) < count)
		;
}

static unsigned rounds(void)
{
	return getenv("MORTISE_LONG") ? 2000000 : 50000;
}

/* A lost wake-up hangs this, and the test's time limit ends it. */
START_TEST(test_wake)
{
	struct machine *m;
	unsigned count = rounds();

	fake_run = run_pin;
	m = fake_ready(HEAD BOARD);
	machine_start(m);
	for (unsigned i = 1; i <= count; i++) {
		vcpus_pin_set(m->vcpus, 0, 0, 1);
		wait_count(fake_vcpu(m, 0), i);
		/* now and then the thread gets the time to fall asleep */
		if (i % 64 == 0)
			usleep(20);
	}
	machine_destroy(m);
}
END_TEST

/* Two vCPUs wake each other in turns, from inside `run`. */
static int run_pingpong(struct fake_vcpu *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	struct machine *m = vcpu->machine;

	run_pin(vcpu, params, exit);
	if (atomic_load(&vcpu->count) > vcpu->reg[1]) {
		vcpu->reg[1] = atomic_load(&vcpu->count);
		vcpus_pin_set(m->vcpus, !vcpu->index, 0, 1);
	}
	return 0;
}

START_TEST(test_pingpong)
{
	struct machine *m;

	fake_run = run_pingpong;
	m = fake_ready(HEAD "count = 2\n" BOARD);
	fake_vcpu(m, 1)->reg[1] = 0;   /* the loader's a0 */
	machine_start(m);
	vcpus_pin_set(m->vcpus, 0, 0, 1);
	while (atomic_load(&fake_vcpu(m, 1)->count) < rounds() / 4)
		usleep(100);
	machine_destroy(m);
}
END_TEST

static int run_timer(struct fake_vcpu *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	struct machine *m = vcpu->machine;

	(void)params;
	atomic_fetch_add(&vcpu->count, 1);
	exit->reason = MT_EXIT_HALT;
	exit->wake_ns = clock_guest_ns(m->clock) + 2000000;
	return 0;
}

START_TEST(test_deadline)
{
	struct machine *m;
	int64_t begin = g_get_monotonic_time(), took;
	uint64_t count;

	fake_run = run_timer;
	m = fake_ready(HEAD BOARD);
	machine_start(m);
	while (atomic_load(&fake_vcpu(m, 0)->count) < 20)
		usleep(500);
	machine_pause(m);
	took = g_get_monotonic_time() - begin;
	count = fake_vcpu(m, 0)->count;
	/* each sleep lasted what it should: neither spinning nor sleeping for ever */
	ck_assert_int_ge(took, 30000);
	ck_assert_uint_le(count, 3 + (uint64_t)took / 2000);
	machine_destroy(m);
}
END_TEST

static int run_count(struct fake_vcpu *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	ck_assert_uint_eq(params->size, sizeof(*params));
	ck_assert_uint_ge(params->view->count, 1);
	while (!atomic_exchange(&vcpu->kicked, 0))
		atomic_fetch_add(&vcpu->count, 1);
	exit->reason = MT_EXIT_KICKED;
	return 0;
}

START_TEST(test_pause)
{
	struct machine *m;

	fake_run = run_count;
	m = fake_ready(HEAD "count = 3\n" BOARD);
	ck_assert_uint_eq(vcpus_count(m->vcpus), 3);
	usleep(1000);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(fake_vcpu(m, i)->runs, 0);
	for (unsigned round = 0; round < 300; round++) {
		uint64_t count[3];

		machine_start(m);
		if (round % 3 == 0)
			usleep(100);
		machine_pause(m);
		for (unsigned i = 0; i < 3; i++)
			count[i] = fake_vcpu(m, i)->count;
		if (round % 16 == 0)
			usleep(200);
		for (unsigned i = 0; i < 3; i++)
			ck_assert_uint_eq(fake_vcpu(m, i)->count, count[i]);
	}
	machine_destroy(m);
}
END_TEST

START_TEST(test_registers)
{
	struct machine *m = fake_ready(HEAD "count = 2\n" BOARD);
	uint64_t value;

	ck_assert_int_eq(vcpus_reg_get(m->vcpus, 1, "pc", &value), 0);
	ck_assert_uint_eq(value, 0x80000000u);
	ck_assert_int_eq(vcpus_reg_set(m->vcpus, 1, "a1", 77), 0);
	ck_assert_int_eq(vcpus_reg_get(m->vcpus, 1, "a1", &value), 0);
	ck_assert_uint_eq(value, 77);
	ck_assert_int_eq(vcpus_reg_set(m->vcpus, 1, "a9", 1), MT_ENOENT);
	ck_assert_int_eq(vcpus_reg_set(m->vcpus, 2, "pc", 1), MT_ENOENT);
	ck_assert_int_eq(vcpus_pin_find(m->vcpus, "p2"), 2);
	ck_assert_int_eq(vcpus_pin_find(m->vcpus, "q2"), MT_ENOENT);
	vcpus_pin_set(m->vcpus, 1, 2, 1);
	ck_assert_uint_eq(fake_vcpu(m, 1)->pin[2], 1);
	vcpus_pin_set(m->vcpus, 9, 2, 1);
	vcpus_pin_set(NULL, 0, 2, 1);
	machine_destroy(m);
}
END_TEST

/* Requests. The guest resets a few times, then ends as the test says. */
static uint32_t end_request, end_code;

static int run_requests(struct fake_vcpu *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	struct machine *m = vcpu->machine;

	(void)params;
	ck_assert_uint_eq(vcpu->reg[0], 0x80000000u);   /* the loader ran again */
	vcpu->reg[0]++;
	if (atomic_fetch_add(&vcpu->count, 1) < 5) {
		machine_request(m, MT_REQUEST_RESET, 0);
	} else {
		machine_request(m, end_request, end_code);
		machine_request(m, MT_REQUEST_RESET, 0);   /* too late */
	}
	exit->reason = MT_EXIT_KICKED;
	return 0;
}

static int run_to_end(uint32_t request, uint32_t code)
{
	struct machine *m;
	int result;

	end_request = request;
	end_code = code;
	fake_run = run_requests;
	m = fake_ready(HEAD BOARD);
	machine_start(m);
	result = machine_run(m);
	ck_assert_uint_eq(fake_vcpu(m, 0)->count, 6);
	ck_assert_int_eq(m->state, INST_QUIESCED);
	machine_destroy(m);
	return result;
}

START_TEST(test_requests)
{
	ck_assert_int_eq(run_to_end(MT_REQUEST_POWEROFF, 0), 0);
	ck_assert_int_eq(run_to_end(MT_REQUEST_POWEROFF, 7), 7);
	ck_assert_int_eq(run_to_end(MT_REQUEST_POWEROFF, 256), 1);
	ck_assert_int_eq(run_to_end(MT_REQUEST_PANIC, 3), 4);
	ck_assert_int_eq(run_to_end(MT_REQUEST_QUIT, 0), 0);
	ck_assert_int_eq(run_to_end(77, 0), 1);
}
END_TEST

START_TEST(test_warm_reset)
{
	run_to_end(MT_REQUEST_POWEROFF, 0);
	ck_assert_ptr_nonnull(strstr(fake_trace->str,
				     "resume dev\nresume boot\nquiesce boot\nquiesce dev\nreset-2-1 dev\n"
				     "reset-2-1 boot\nvcpu-reset cpu\nreset-2-2 dev\nreset-2-2 boot\n"));
}
END_TEST

static int run_error(struct fake_vcpu *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	(void)params;
	atomic_fetch_add(&vcpu->count, 1);
	exit->reason = MT_EXIT_ERROR;
	g_strlcpy(exit->message, "triple trouble", sizeof(exit->message));
	return -5;
}

static int run_unknown(struct fake_vcpu *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	(void)params;
	atomic_fetch_add(&vcpu->count, 1);
	exit->reason = 4711;
	return 0;
}

START_TEST(test_failures)
{
	struct machine *m;

	for (int i = 0; i < 2; i++) {
		fake_run = i ? run_error : run_unknown;
		m = fake_ready(HEAD BOARD);
		machine_start(m);
		ck_assert_int_eq(machine_run(m), 1);
		ck_assert_uint_eq(fake_vcpu(m, 0)->count, 1);
		machine_destroy(m);
	}
}
END_TEST

/* A reset gives a failed vCPU another life. */
START_TEST(test_failed_again)
{
	struct machine *m;
	struct mt_error err = { .size = sizeof(err) };

	fake_run = run_error;
	m = fake_ready(HEAD BOARD);
	machine_start(m);
	ck_assert_int_eq(machine_run(m), 1);
	machine_start(m);
	usleep(2000);
	ck_assert_uint_eq(fake_vcpu(m, 0)->count, 1);
	machine_pause(m);
	ck_assert_int_eq(machine_reset(m, MT_RESET_WARM, &err), 0);
	machine_start(m);
	ck_assert_int_eq(machine_run(m), 1);
	ck_assert_uint_eq(fake_vcpu(m, 0)->count, 2);
	machine_destroy(m);
}
END_TEST

START_TEST(test_signal)
{
	struct machine *m;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	m = fake_ready(HEAD BOARD);
	m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	machine_start(m);
	kill(getpid(), SIGINT);
	ck_assert_int_eq(machine_run(m), 0);
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	ck_assert(!sigismember(&set, SIGINT));
	close(m->signal_fd);
	machine_destroy(m);
}
END_TEST

static pthread_t sleeper;
static _Atomic bool wide_awake;

/* In a call of the system that only a signal ends, as an accelerator's thread may be. */
static int run_asleep(struct fake_vcpu *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	const struct timespec hour = { 3600, 0 };

	(void)params;
	sleeper = pthread_self();
	atomic_fetch_add(&vcpu->count, 1);
	if (!atomic_load(&wide_awake) && nanosleep(&hour, NULL) == 0)
		abort();
	exit->reason = MT_EXIT_KICKED;
	return 0;
}

/* Without a way in, or a handler, this hangs or the process ends. */
START_TEST(test_kick_signal)
{
	int number = (int)kick_host.signal();
	struct fake_vcpu *vcpu;
	struct machine *m;

	fake_run = run_asleep;
	m = fake_ready(HEAD BOARD);
	vcpu = fake_vcpu(m, 0);
	machine_start(m);
	for (uint64_t count = 1; count <= 100; count++) {
		wait_count(vcpu, count);
		atomic_store(&wide_awake, count == 100);
		/* one that comes before the sleep ends nothing */
		while (atomic_load(&vcpu->count) == count && pthread_kill(sleeper, number) == 0)
			usleep(50);
	}
	machine_destroy(m);
}
END_TEST

/* Requests from a thread of its own, while main resets and goes on: no request may stop the machine for ever. */
static _Atomic bool storm_over;

static void *storm(void *arg)
{
	for (int i = 0; i < 300; i++) {
		machine_request(arg, MT_REQUEST_RESET, 0);
		if (i % 4 == 0)
			usleep(50);
	}
	usleep(1000);
	atomic_store(&storm_over, true);
	return NULL;
}

static int run_storm(struct fake_vcpu *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	(void)params;
	while (!atomic_exchange(&vcpu->kicked, 0)) {
		if (atomic_load(&storm_over))
			machine_request(vcpu->machine, MT_REQUEST_POWEROFF, 0);
	}
	exit->reason = MT_EXIT_KICKED;
	return 0;
}

START_TEST(test_storm)
{
	pthread_t thread;
	struct machine *m;

	fake_run = run_storm;
	m = fake_ready(HEAD "count = 2\n" BOARD);
	machine_start(m);
	ck_assert_int_eq(pthread_create(&thread, NULL, storm, m), 0);
	ck_assert_int_eq(machine_run(m), 0);
	pthread_join(thread, NULL);
	machine_destroy(m);
}
END_TEST

START_TEST(test_views)
{
	const struct mt_flat_view *view;
	struct machine *m = fake_ready(HEAD BOARD);

	for (int i = 0; i < 3; i++) {
		view = vcpu_host.view(fake_vcpu(m, 0)->handle);
		ck_assert_uint_ge(view->count, 1);
		ck_assert_uint_eq(view->ranges[0].gpa, 0x80000000u);
	}
	machine_start(m);
	machine_pause(m);
	vcpu_host.view(fake_vcpu(m, 0)->handle);
	machine_destroy(m);
}
END_TEST

/* From nothing to the first `run`: the best of several. The bound is for sanitizers on a busy host. */
START_TEST(test_start_up)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < 9; i++) {
		int64_t begin = g_get_monotonic_time(), took;
		struct machine *m = fake_ready(HEAD BOARD);

		machine_start(m);
		while (!fake_vcpu(m, 0)->runs)
			;
		took = g_get_monotonic_time() - begin;
		best = MIN(best, took);
		machine_destroy(m);
	}
	printf("start-up to the first run: %d us\n", (int)best);
	ck_assert_int_lt(best, 100000);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("vcpu");
	TCase *t = tcase_create("vcpu");

	tcase_add_checked_fixture(t, fake_setup, fake_teardown);
	tcase_set_timeout(t, getenv("MORTISE_LONG") ? 600 : 60);
	tcase_add_test(t, test_wake);
	tcase_add_test(t, test_pingpong);
	tcase_add_test(t, test_deadline);
	tcase_add_test(t, test_pause);
	tcase_add_test(t, test_registers);
	tcase_add_test(t, test_requests);
	tcase_add_test(t, test_warm_reset);
	tcase_add_test(t, test_failures);
	tcase_add_test(t, test_failed_again);
	tcase_add_test(t, test_signal);
	tcase_add_test(t, test_kick_signal);
	tcase_add_test(t, test_storm);
	tcase_add_test(t, test_views);
	tcase_add_test(t, test_start_up);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
