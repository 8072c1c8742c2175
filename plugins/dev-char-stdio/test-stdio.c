/* SPDX-License-Identifier: MIT */
/* Tests of the console's parts: escape keys, streams over pipes and terminals, and the guard under kill -9. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "escape.h"
#include "guard.h"
#include "stream.h"

static size_t feed(struct escape *esc, const char *text, char *out, enum escape_command *last)
{
	uint32_t passed;
	size_t n = 0;

	*last = ESCAPE_NONE;
	for (; *text; text++) {
		uint8_t byte = (uint8_t)*text;
		enum escape_command command = escape_feed(esc, &byte, &passed);

		if (command)
			*last = command;
		if (passed)
			out[n++] = (char)byte;
	}
	out[n] = 0;
	return n;
}

START_TEST(escape_keys)
{
	struct escape esc = { .enabled = 1 };
	enum escape_command last;
	char out[32];

	feed(&esc, "ab\001xc", out, &last);
	ck_assert_str_eq(out, "abc");
	ck_assert_int_eq(last, ESCAPE_QUIT);
	feed(&esc, "\001h", out, &last);
	ck_assert_int_eq(last, ESCAPE_HELP);
	feed(&esc, "\001c\001b", out, &last);
	ck_assert_int_eq(last, ESCAPE_BREAK);
	feed(&esc, "\001\001\001a", out, &last);
	ck_assert_str_eq(out, "\001\001");
	ck_assert_int_eq(last, ESCAPE_NONE);
	feed(&esc, "1\001z2", out, &last);
	ck_assert_str_eq(out, "12");
	feed(&esc, "\001", out, &last);       /* the state lives over calls */
	feed(&esc, "x", out, &last);
	ck_assert_int_eq(last, ESCAPE_QUIT);
}
END_TEST

START_TEST(escape_off_passes_all)
{
	struct escape esc = { .enabled = 0 };
	enum escape_command last;
	char out[32];

	feed(&esc, "a\001x\001\001", out, &last);
	ck_assert_str_eq(out, "a\001x\001\001");
	ck_assert_int_eq(last, ESCAPE_NONE);
}
END_TEST

START_TEST(stream_leaves_shared_flags_alone)
{
	struct stream in, out;
	char buf[8192] = "";
	ssize_t n, total = 0;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	stream_open(&in, fds[0], O_RDONLY);
	stream_open(&out, fds[1], O_WRONLY);
	ck_assert_int_eq(stream_read(&in, buf, sizeof(buf)), -EAGAIN);
	while ((n = stream_write(&out, buf, sizeof(buf))) > 0)
		total += n;
	ck_assert_int_eq(n, -EAGAIN);
	ck_assert_int_ge(total, 65536);
	ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(stream_wait_writable(&out, 10), 0);
	while ((n = stream_read(&in, buf, sizeof(buf))) > 0)
		total -= n;
	ck_assert_int_eq(total, 0);
	stream_close(&in);
	close(fds[0]);
	ck_assert_int_eq(stream_write(&out, "x", 1), -EPIPE);      /* and we live */
	stream_close(&out);
	close(fds[1]);
}
END_TEST

static int open_pty(int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	*slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(*slave, 0);
	return master;
}

/* By fields: the C library leaves the unused tail of c_cc as it finds it. */
static int equal(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
	       a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, VEOL2 + 1) == 0;
}

static void same_settings(int fd, const struct termios *want, int same)
{
	struct termios now;

	for (int i = 0; i < 1500; i++) {
		ck_assert_int_eq(tcgetattr(fd, &now), 0);
		if (equal(&now, want) == same)
			return;
		usleep(10000);
	}
	ck_abort_msg(same ? "the settings were not restored" : "the terminal did not go raw");
}

/* A process that goes raw and then waits for a signal, in its own process group. */
static pid_t start_raw_process(int slave)
{
	struct guard g = { 0 };
	pid_t pid = fork();

	if (pid)
		return pid;
	setpgid(0, 0);
	signal(SIGTERM, SIG_DFL);              /* the test runner's handlers were inherited */
	signal(SIGINT, SIG_DFL);
	if (guard_start(&g, slave) < 0)
		_exit(1);
	for (;;)
		pause();
}

static void settings_after(int sig, int group)
{
	struct termios before;
	int slave, master = open_pty(&slave);
	pid_t pid;

	ck_assert_int_eq(tcgetattr(slave, &before), 0);
	pid = start_raw_process(slave);
	same_settings(slave, &before, 0);
	ck_assert_int_eq(kill(group ? -pid : pid, sig), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	same_settings(slave, &before, 1);
	close(slave);
	close(master);
}

START_TEST(guard_restores_after_kill)
{
	settings_after(SIGKILL, 0);
	settings_after(SIGTERM, 0);
	settings_after(SIGINT, 1);
	settings_after(SIGKILL, 1);
}
END_TEST

START_TEST(guard_tidy_end)
{
	struct termios before, other;
	struct guard g = { 0 };
	int slave, master = open_pty(&slave);

	ck_assert_int_eq(tcgetattr(slave, &before), 0);
	ck_assert_int_eq(guard_start(&g, slave), 0);
	same_settings(slave, &before, 0);
	guard_stop(&g);
	same_settings(slave, &before, 1);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);          /* no child is left */
	/* what comes later is not touched again */
	other = before;
	other.c_lflag ^= ECHO;
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &other), 0);
	guard_stop(&g);                        /* again: nothing */
	usleep(20000);
	same_settings(slave, &other, 1);
	close(slave);
	close(master);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stdio");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, escape_keys);
	tcase_add_test(tc, escape_off_passes_all);
	tcase_add_test(tc, stream_leaves_shared_flags_alone);
	tcase_add_test(tc, guard_restores_after_kill);
	tcase_add_test(tc, guard_tidy_end);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
