/* SPDX-License-Identifier: MIT */
/* dev-char-socket on the fake host: server with peers in turn, client that connects again. */
#include <check.h>
#include <fake/fake.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "test-char.sock" };

static struct fake *start(const char *server)
{
	struct fake *f = fake_new("dev-char-socket");

	fake_prop(f, "path", "test-char.sock");
	fake_prop(f, "server", server);
	fake_char_connect(f);
	fake_start(f);
	fake_pump(f);
	return f;
}

static void exchange(struct fake *f, int fd)
{
	const uint8_t *got;
	char buf[32] = "";
	uint32_t len;

	fake_char_clear(f);
	ck_assert_int_eq(fake_char_front_write(f, "to peer", 7), 7);
	fake_pump(f);
	ck_assert_int_eq(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), 7);
	ck_assert_str_eq(buf, "to peer");
	ck_assert_int_eq(send(fd, "to guest", 8, 0), 8);
	fake_pump(f);
	got = fake_char_out(f, &len);
	ck_assert_uint_eq(len, 8);
	ck_assert_int_eq(memcmp(got, "to guest", 8), 0);
}

START_TEST(server_serves_in_turn)
{
	struct fake *f;
	int fd[2], old = socket(AF_UNIX, SOCK_STREAM, 0);

	unlink(address.sun_path);
	ck_assert_int_eq(bind(old, (const struct sockaddr *)&address, sizeof(address)), 0);
	close(old);                                            /* a socket that was left behind */
	f = start("on");
	ck_assert_int_eq(fake_char_front_write(f, "lost", 4), 4);      /* nobody is there */
	for (int i = 0; i < 2; i++) {
		fd[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		ck_assert_int_eq(connect(fd[i], (const struct sockaddr *)&address, sizeof(address)), 0);
	}
	fake_pump(f);
	exchange(f, fd[0]);
	close(fd[0]);
	fake_pump(f);
	fake_pump(f);
	exchange(f, fd[1]);
	close(fd[1]);
	fake_pump(f);
	fake_free(f);
	ck_assert_int_lt(access(address.sun_path, F_OK), 0);
}
END_TEST

START_TEST(client_connects_again)
{
	struct fake *f;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;

	unlink(address.sun_path);
	f = start("off");                                      /* nobody listens yet */
	fake_advance(f, 1000000000);
	ck_assert_int_eq(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	for (int i = 0; i < 2; i++) {
		fake_advance(f, 1100000000);
		fake_pump(f);
		fd = accept(listener, NULL, NULL);
		ck_assert_int_ge(fd, 0);
		fake_pump(f);
		exchange(f, fd);
		close(fd);
		fake_pump(f);
	}
	fake_free(f);
	close(listener);
	unlink(address.sun_path);
}
END_TEST

START_TEST(needs_an_address)
{
	struct mt_error err = { .size = sizeof(err) };
	struct fake *f = fake_new("dev-char-socket");

	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_eq(fake_realize(f, &err), MT_EINVAL);
	fake_free(f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("char-socket");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, server_serves_in_turn);
	tcase_add_test(tc, client_connects_again);
	tcase_add_test(tc, needs_an_address);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
