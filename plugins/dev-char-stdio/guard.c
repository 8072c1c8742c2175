/* SPDX-License-Identifier: MIT */
/* The terminal guard; see guard.h. */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A descriptor that becomes readable when this process ends, or -1 on an old kernel: the pipe does as well. */
static int own_pidfd(void)
{
#ifdef SYS_pidfd_open
	return (int)syscall(SYS_pidfd_open, getpid(), 0);
#else
	return -1;
#endif
}

static void close_from(int first, int last)
{
#ifdef SYS_close_range
	if (first > last || syscall(SYS_close_range, (unsigned)first, (unsigned)last, 0) == 0)
		return;
#endif
	for (int fd = first; fd <= last && fd < 1024; fd++)
		close(fd);
}

/* Keeps 0 (terminal), 1 (pipe), 2 (process): an inherited pipe or lock must not outlive its owner here. */
static void child_keep(int tty_fd, int pipe_fd, int pid_fd)
{
	int high[3] = { fcntl(tty_fd, F_DUPFD, 10), fcntl(pipe_fd, F_DUPFD, 10),
			pid_fd < 0 ? -1 : fcntl(pid_fd, F_DUPFD, 10) };

	for (int i = 0; i < 3; i++) {
		close(i);
		if (high[i] >= 0)
			dup2(high[i], i);
	}
	close_from(3, INT32_MAX);
}

static void __attribute__((noreturn))
child_run(int tty_fd, int pipe_fd, int pid_fd, const struct termios *saved)
{
	struct pollfd fds[2] = { { 1, POLLIN, 0 }, { 2, POLLIN, 0 } };
	char told;

	setsid();
	child_keep(tty_fd, pipe_fd, pid_fd);
	if (pid_fd < 0)
		fds[1].fd = -1;
	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	/* a byte: the parent restored the settings itself, and another program may own the terminal by now */
	if (!(fds[0].revents & POLLIN) || read(1, &told, 1) != 1)
		tcsetattr(0, TCSANOW, saved);
	_exit(0);
}

static int start_child(struct guard *g)
{
	int fds[2], pid_fd;
	sigset_t all, old;

	/* a socket pair serves as the pipe: a write to it raises no signal when the child is gone */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	pid_fd = own_pidfd();
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);       /* the child is born with all signals blocked */
	g->child = fork();
	if (g->child == 0) {
		close(fds[1]);
		child_run(g->tty_fd, fds[0], pid_fd, &g->saved);
	}
	/* a signal to our group must not reach it, not even before it has its own session; too late is fine */
	if (g->child > 0)
		(void)setpgid(g->child, g->child);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(fds[0]);
	if (pid_fd >= 0)
		close(pid_fd);
	g->pipe_fd = fds[1];
	return 0;
}

/* Output processing stays on: messages of this program end lines with a bare newline. */
static struct termios raw_of(const struct termios *saved)
{
	struct termios raw = *saved;

	raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
	raw.c_cflag |= CS8;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	return raw;
}

int guard_start(struct guard *g, int tty_fd)
{
	struct termios raw;
	int rc;

	g->child = -1;
	g->tty_fd = tty_fd;
	if (tcgetattr(tty_fd, &g->saved) < 0)
		return -errno;
	rc = start_child(g);
	if (rc < 0)
		return rc;
	raw = raw_of(&g->saved);
	if (tcsetattr(tty_fd, TCSANOW, &raw) < 0) {
		rc = -errno;
		guard_stop(g);
		return rc;
	}
	return 0;
}

void guard_stop(struct guard *g)
{
	if (g->pipe_fd <= 0)
		return;
	if (tcsetattr(g->tty_fd, TCSANOW, &g->saved) == 0) {
		while (send(g->pipe_fd, "", 1, MSG_NOSIGNAL) < 0 && errno == EINTR)
			;
	}
	close(g->pipe_fd);
	g->pipe_fd = 0;
	if (g->child > 0)
		while (waitpid(g->child, NULL, 0) < 0 && errno == EINTR)
			;
	g->child = -1;
}
