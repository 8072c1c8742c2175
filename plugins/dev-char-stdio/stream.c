/* SPDX-License-Identifier: MIT */
/* Standard input and output; see stream.h. */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A terminal takes about this much at once when poll says that it takes any. */
#define TTY_PIECE_BYTES 128u

static int open_again(int fd, int mode)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void stream_open(struct stream *st, int fd, int mode)
{
	struct stat meta;
	int again = -1;

	*st = (struct stream){ .fd = fd, .piece_bytes = PIPE_BUF };
	if (fstat(fd, &meta) < 0)
		return;
	st->tty = isatty(fd) == 1;
	st->pollable = !S_ISREG(meta.st_mode) && !S_ISBLK(meta.st_mode);
	if (st->tty)
		st->piece_bytes = TTY_PIECE_BYTES;
	if (st->tty || S_ISFIFO(meta.st_mode))
		again = open_again(fd, mode);
	if (again >= 0) {
		st->fd = again;
		st->owned = 1;
	}
}

void stream_close(struct stream *st)
{
	if (st->owned)
		close(st->fd);
	*st = (struct stream){ .fd = -1 };
}

static int ready(int fd, short events, int timeout_ms)
{
	struct pollfd p = { fd, events, 0 };

	return poll(&p, 1, timeout_ms) > 0;
}

ssize_t stream_read(const struct stream *st, void *buf, size_t len_bytes)
{
	ssize_t n;

	if (st->pollable && !st->owned && !ready(st->fd, POLLIN, 0))
		return -EAGAIN;
	do
		n = read(st->fd, buf, len_bytes);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* A reader that went away must not end the machine: the signal of this write is taken back. */
static ssize_t write_no_signal(int fd, const void *buf, size_t len_bytes)
{
	ssize_t n = write(fd, buf, len_bytes);

	return n < 0 ? -errno : n;
}

ssize_t stream_write(const struct stream *st, const void *buf, size_t len_bytes)
{
	static const struct timespec no_time;
	sigset_t pipe_set, old, pending;
	ssize_t n;

	if (st->pollable && !st->owned) {
		if (!ready(st->fd, POLLOUT, 0))
			return -EAGAIN;
		if (len_bytes > st->piece_bytes)
			len_bytes = st->piece_bytes;
	}
	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
	sigpending(&pending);
	do
		n = write_no_signal(st->fd, buf, len_bytes);
	while (n == -EINTR);
	if (n == -EPIPE && !sigismember(&pending, SIGPIPE))
		sigtimedwait(&pipe_set, NULL, &no_time);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return n;
}

int stream_wait_writable(const struct stream *st, int timeout_ms)
{
	return !st->pollable || ready(st->fd, POLLOUT, timeout_ms);
}
