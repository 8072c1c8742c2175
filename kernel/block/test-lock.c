/* SPDX-License-Identifier: MIT */
/* Locks of image files, among opens of this program and with another that minds them. */
#include <check.h>
#include <glib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/block/file.h"

#define QEMU_IO    "/usr/bin/qemu-io"
#define DISK_BYTES 65536

static char *path;
static struct mt_error err;

static void start(void)
{
	int fd = g_file_open_tmp("test-lock-XXXXXX", &path, NULL);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, DISK_BYTES), 0);
	close(fd);
	err = (struct mt_error){ .size = sizeof(err) };
}

static void stop(void)
{
	unlink(path);
	g_free(path);
}

static int other_program(const char *command)
{
	char text[256];

	snprintf(text, sizeof(text), "%s %s >/dev/null 2>&1", command, path);
	return system(text);
}

static struct file *opened(bool readonly)
{
	struct file_options options = { .readonly = readonly, .locking = true };

	return file_open(path, &options, &err);
}

START_TEST(a_writer)
{
	struct file_options unlocked = { .locking = false };
	struct file *a = opened(false), *b;

	ck_assert_ptr_nonnull(a);
	ck_assert_ptr_null(opened(false));
	ck_assert_int_eq(err.code, MT_EBUSY);
	ck_assert_ptr_null(opened(true));
	b = file_open(path, &unlocked, NULL);
	ck_assert_ptr_nonnull(b);
	file_close(b);
	if (access(QEMU_IO, X_OK) == 0)                                   /* an independent program minds them */
		ck_assert_int_ne(other_program(QEMU_IO " -f raw -c 'read 0 512'"), 0);
	file_close(a);
}
END_TEST

START_TEST(readers)
{
	struct file *a = opened(true), *b = opened(true);

	ck_assert(a && b);
	ck_assert_ptr_null(opened(false));
	if (access(QEMU_IO, X_OK) == 0) {
		ck_assert_int_eq(other_program(QEMU_IO " -r -f raw -c 'read 0 512'"), 0);
		ck_assert_int_ne(other_program(QEMU_IO " -f raw -c 'read 0 512'"), 0);
	}
	file_close(a);
	file_close(b);
}
END_TEST

static void *closes_late(void *file)
{
	g_usleep(60000);
	file_close(file);
	return NULL;
}

/* An open that is about to end is waited for. */
START_TEST(locks_that_go)
{
	struct file *first = opened(false), *next;
	pthread_t thread;

	ck_assert_ptr_nonnull(first);
	ck_assert_int_eq(pthread_create(&thread, NULL, closes_late, first), 0);
	next = opened(false);
	ck_assert_msg(next != NULL, "%s", err.message);
	ck_assert_int_eq(err.code, 0);
	pthread_join(thread, NULL);
	file_close(next);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lock");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, start, stop);
	tcase_add_test(tc, a_writer);
	tcase_add_test(tc, readers);
	tcase_add_test(tc, locks_that_go);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
