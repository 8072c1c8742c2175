/* SPDX-License-Identifier: MIT */
/* dev-char-pty on the fake host: both directions, a terminal program that comes and goes, the symbolic link. */
#include <check.h>
#include <fake/fake.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_line(void)
{
	int fd = open("test-pty-link", O_RDWR | O_NOCTTY | O_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(both_directions)
{
	struct fake *f = fake_new("dev-char-pty");
	const uint8_t *got;
	char buf[32] = "";
	uint32_t len;
	int fd;

	fake_prop(f, "link", "test-pty-link");
	fake_char_connect(f);
	fake_start(f);
	for (int round = 0; round < 3; round++) {              /* comes and goes */
		fake_char_clear(f);
		fd = open_line();
		ck_assert_int_eq(fake_char_front_write(f, "a\n\001", 3), 3);
		fake_pump(f);
		ck_assert_int_eq(read(fd, buf, sizeof(buf)), 3);
		ck_assert_int_eq(memcmp(buf, "a\n\001", 3), 0);
		ck_assert_int_eq(write(fd, "b\r\003", 3), 3);  /* raw: nothing is changed, nothing is a signal */
		fake_pump(f);
		got = fake_char_out(f, &len);
		ck_assert_uint_eq(len, 3);
		ck_assert_int_eq(memcmp(got, "b\r\003", 3), 0);
		close(fd);
		fake_pump(f);
	}
	fake_free(f);
	ck_assert_int_lt(access("test-pty-link", F_OK), 0);
}
END_TEST

START_TEST(nobody_reads)
{
	struct fake *f = fake_new("dev-char-pty");
	char data[4096] = "";
	int64_t n;
	int i;

	fake_char_connect(f);
	fake_start(f);
	for (i = 0, n = sizeof(data); i < 1000 && n == sizeof(data); i++) {
		n = fake_char_front_write(f, data, sizeof(data));
		fake_pump(f);
	}
	ck_assert_int_lt(i, 1000);                               /* it is bounded, and it does not wait */
	fake_free(f);
}
END_TEST

START_TEST(other_file_stays)
{
	struct mt_error err = { .size = sizeof(err) };
	struct fake *f = fake_new("dev-char-pty");
	int fd = open("test-pty-file", O_CREAT | O_WRONLY, 0600);

	close(fd);
	fake_prop(f, "link", "test-pty-file");
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_lt(fake_realize(f, &err), 0);
	ck_assert_str_eq(err.culprit, "link");
	fake_free(f);
	ck_assert_int_eq(unlink("test-pty-file"), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("char-pty");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, both_directions);
	tcase_add_test(tc, nobody_reads);
	tcase_add_test(tc, other_file_stays);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
