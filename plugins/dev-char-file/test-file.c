/* SPDX-License-Identifier: MIT */
/* dev-char-file on the fake host: output, input at the front's pace, a full device. */
#include <check.h>
#include <fake/fake.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct fake *f;

static size_t read_all(const char *path, char *buf, size_t max)
{
	FILE *in = fopen(path, "r");
	size_t n;

	ck_assert_ptr_nonnull(in);
	n = fread(buf, 1, max, in);
	fclose(in);
	return n;
}

static void start(const char *output, const char *input)
{
	f = fake_new("dev-char-file");
	fake_prop(f, "output", output);
	if (input)
		fake_prop(f, "input", input);
	fake_char_connect(f);
	fake_start(f);
}

START_TEST(writes_at_once)
{
	char path[] = "test-char-XXXXXX", buf[64] = "";

	close(mkstemp(path));
	start(path, NULL);
	ck_assert_int_eq(fake_char_front_write(f, "hello", 5), 5);
	ck_assert_uint_eq(read_all(path, buf, sizeof(buf)), 5);
	ck_assert_str_eq(buf, "hello");
	fake_free(f);
	unlink(path);
}
END_TEST

START_TEST(reads_as_the_front_takes)
{
	char path[] = "test-char-XXXXXX";
	uint8_t data[5000];
	const uint8_t *got;
	uint32_t len;
	int fd = mkstemp(path);

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	ck_assert_int_eq(write(fd, data, sizeof(data)), (ssize_t)sizeof(data));
	close(fd);
	f = fake_new("dev-char-file");
	fake_prop(f, "output", "/dev/null");
	fake_prop(f, "input", path);
	fake_char_connect(f);
	fake_start(f);
	fake_char_front_room(f, 100);
	fake_pump(f);
	for (int i = 0; i < 100; i++) {
		fake_char_front_room(f, 100);
		fake_pump(f);
	}
	got = fake_char_out(f, &len);
	ck_assert_uint_eq(len, sizeof(data));
	ck_assert_int_eq(memcmp(got, data, sizeof(data)), 0);
	fake_free(f);
	unlink(path);
}
END_TEST

START_TEST(full_device_ends_output)
{
	start("/dev/full", NULL);
	ck_assert_int_eq(fake_char_front_write(f, "x", 1), MT_EGONE);
	ck_assert_int_eq(fake_char_front_write(f, "x", 1), MT_EGONE);
	ck_assert_uint_eq(fake_log_count(f, 0), 1);
	fake_free(f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("char-file");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, writes_at_once);
	tcase_add_test(tc, reads_as_the_front_takes);
	tcase_add_test(tc, full_device_ends_output);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
