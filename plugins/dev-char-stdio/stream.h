/* SPDX-License-Identifier: MIT */
/*
 * Standard input and output without blocking and without O_NONBLOCK on descriptions that other processes
 * share: terminals and pipes are opened a second time, files do not block, and what cannot be opened again is
 * polled first and written in pieces that fit.
 */
#ifndef STDIO_STREAM_H
#define STDIO_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stream {
	int fd;
	uint32_t owned;          /* fd is a second description, ours to close */
	uint32_t pollable;       /* not a regular file */
	uint32_t tty;
	size_t piece_bytes;      /* what one write after a poll may carry */
};

void stream_open(struct stream *st, int fd, int mode);
void stream_close(struct stream *st);
/* The bytes moved; 0: the end (read only); -EAGAIN; or -errno. Never blocks on what can be polled. */
ssize_t stream_read(const struct stream *st, void *buf, size_t len_bytes);
ssize_t stream_write(const struct stream *st, const void *buf, size_t len_bytes);
/* Waits until a write makes progress, `timeout_ms` at most (-1: for ever). 1, or 0 on timeout or a dead peer. */
int stream_wait_writable(const struct stream *st, int timeout_ms);

#endif
