/* SPDX-License-Identifier: MIT */
/* What is done at once and what is left to the engine; and that one which waits sends the next ones elsewhere. */
#include <check.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/block/quick.h"

static uint8_t data[QUICK_WRITE_BYTES + 1];
static struct file file;
static struct quick quick;
static struct iovec iov;
static struct bop op;

static void setup(void)
{
	char path[] = "test-quick.XXXXXX";

	file = (struct file){ .fd = mkstemp(path), .options.cache = FILE_WRITEBACK };
	ck_assert_int_ge(file.fd, 0);
	unlink(path);
	quick = (struct quick){ 0 };
}

static void teardown(void)
{
	close(file.fd);
}

static struct bop *an_op(enum bop_kind kind, uint64_t len_bytes)
{
	iov = (struct iovec){ data, len_bytes };
	op = (struct bop){ .file = &file, .fd = file.fd, .kind = kind, .len_bytes = len_bytes, .iov = &iov, .iov_count = 1 };
	return &op;
}

START_TEST(small_writes_are_done)
{
	char back[5] = "";

	memcpy(data, "tenon", 5);
	ck_assert(quick_write(&quick, an_op(BOP_WRITE, 5)));
	ck_assert_int_eq(op.result, 5);
	ck_assert_int_eq(pread(file.fd, back, 5, 0), 5);
	ck_assert_mem_eq(back, "tenon", 5);
	file.options.cache = FILE_UNSAFE;
	ck_assert(quick_write(&quick, an_op(BOP_WRITE, QUICK_WRITE_BYTES)));
}
END_TEST

START_TEST(failures_are_told)
{
	close(file.fd);
	file.fd = open("/dev/full", O_RDWR);
	ck_assert(quick_write(&quick, an_op(BOP_WRITE, 5)));
	ck_assert_int_lt(op.result, 0);
}
END_TEST

START_TEST(what_waits_is_left)
{
	ck_assert(!quick_write(&quick, an_op(BOP_SYNC, 0)));
	ck_assert(!quick_write(&quick, an_op(BOP_FALLOCATE, 5)));
	ck_assert(!quick_write(&quick, an_op(BOP_READ, 5)));
	ck_assert(!quick_write(&quick, an_op(BOP_WRITE, QUICK_WRITE_BYTES + 1)));
	an_op(BOP_WRITE, 5)->rw_flags = RWF_DSYNC;
	ck_assert(!quick_write(&quick, &op));
	file.options.cache = FILE_DIRECT;
	ck_assert(!quick_write(&quick, an_op(BOP_WRITE, 5)));
	ck_assert(!quick_read(an_op(BOP_READ, 5)));
	ck_assert_int_eq(lseek(file.fd, 0, SEEK_END), 0);
}
END_TEST

START_TEST(large_batches_are_shared)
{
	uint32_t n = 0;

	while (n < 100 && quick_write(&quick, an_op(BOP_WRITE, QUICK_WRITE_BYTES)))
		n++;
	ck_assert_uint_eq(n, QUICK_BATCH_BYTES / QUICK_WRITE_BYTES);
	quick_kick(&quick);
	ck_assert(quick_write(&quick, an_op(BOP_WRITE, QUICK_WRITE_BYTES)));
}
END_TEST

START_TEST(writes_that_waited_are_followed_by_a_rest)
{
	const int64_t long_us = 600ll * G_USEC_PER_SEC;
	int64_t now_us = g_get_monotonic_time();

	quick_took(&quick, now_us, QUICK_SLOW_US - 1, true);
	ck_assert_int_eq(quick.rest_until_us, 0);
	quick_took(&quick, now_us, long_us, true);
	ck_assert(!quick_write(&quick, an_op(BOP_WRITE, 5)));
	ck_assert_int_eq(quick.rest_until_us, now_us + QUICK_REST * long_us);
	ck_assert_int_eq(quick.watch_until_us, quick.rest_until_us + QUICK_WATCH_US);
	quick.rest_until_us = now_us;
	ck_assert(quick_write(&quick, an_op(BOP_WRITE, 5)));
	ck_assert_int_eq(op.result, 5);
	quick_took(&quick, now_us, 3000, true);
	ck_assert_int_eq(quick.rest_until_us, now_us + 6 * 3000);
}
END_TEST

START_TEST(slow_writes_are_watched)
{
	int64_t now_us = g_get_monotonic_time();

	quick_took(&quick, now_us, QUICK_SLOW_US, false);
	ck_assert_int_eq(quick.rest_until_us, 0);
	ck_assert_int_eq(quick.watch_until_us, now_us + QUICK_WATCH_US);
	quick.watch_until_us = INT64_MAX;
	ck_assert(quick_write(&quick, an_op(BOP_WRITE, 5)));
}
END_TEST

static void *read_late(void *arg)
{
	static uint8_t all[1 << 20];

	usleep(20 * QUICK_SLOW_US);
	return read(*(int *)arg, all, sizeof(all)) > 0 ? NULL : arg;
}

/* A pipe that is full lets its writer wait: nothing else here waits for sure. */
START_TEST(a_wait_is_noticed)
{
	pthread_t reader;
	void *failed;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
	while (write(fds[1], data, 5) == 5)
		;
	ck_assert_int_eq(fcntl(fds[1], F_SETFL, 0), 0);
	close(file.fd);
	file.fd = fds[1];
	an_op(BOP_WRITE, 5)->offset = (uint64_t)-1;          /* pwritev2: where the file stands, the only place of a pipe */
	quick.watch_until_us = INT64_MAX;
	pthread_create(&reader, NULL, read_late, &fds[0]);
	ck_assert(quick_write(&quick, &op));
	pthread_join(reader, &failed);
	ck_assert_ptr_null(failed);
	ck_assert_int_gt(quick.rest_until_us, g_get_monotonic_time());
	close(fds[0]);
}
END_TEST

START_TEST(reads_are_short_or_left)
{
	ck_assert_int_eq(pwrite(file.fd, "mortise", 7, 0), 7);
	ck_assert(!quick_read(an_op(BOP_WRITE, 7)));
	if (quick_read(an_op(BOP_READ, 100))) {           /* not every file system can tell */
		ck_assert_int_eq(op.result, 7);
		ck_assert_mem_eq(data, "mortise", 7);
	}
	an_op(BOP_READ, 100)->offset = 7;
	ck_assert(!quick_read(&op));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("quick");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, small_writes_are_done);
	tcase_add_test(tc, failures_are_told);
	tcase_add_test(tc, what_waits_is_left);
	tcase_add_test(tc, large_batches_are_shared);
	tcase_add_test(tc, writes_that_waited_are_followed_by_a_rest);
	tcase_add_test(tc, slow_writes_are_watched);
	tcase_add_test(tc, a_wait_is_noticed);
	tcase_add_test(tc, reads_are_short_or_left);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
