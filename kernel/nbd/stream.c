// SPDX-License-Identifier: MIT
/* A connection's bytes; see nbd.h. On its thread; another one may shut the socket down, which ends it. */
#include "kernel/nbd/nbd.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

void stream_init(struct nbd_stream *stream, int fd)
{
	*stream = (struct nbd_stream){ .fd = fd, .in = g_malloc(STREAM_IN_BYTES) };
}

void stream_fini(struct nbd_stream *stream)
{
	if (stream->tls)
		tls_end(stream->tls);
	g_free(stream->in);
}

static ssize_t plain_recv(int fd, const struct iovec *iov, int count, bool wait)
{
	struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	ssize_t n;

	do
		n = recvmsg(fd, &message, wait ? 0 : MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t plain_send(int fd, const struct iovec *iov, int count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	ssize_t n;

	do
		n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t stream_recv(struct nbd_stream *stream, const struct iovec *iov, int count, bool wait)
{
	if (!stream->tls)
		return plain_recv(stream->fd, iov, count, wait);
	return tls_recv(stream->tls, iov->iov_base, iov->iov_len);
}

ssize_t stream_send(struct nbd_stream *stream, const struct iovec *iov, int count)
{
	if (!stream->tls)
		return plain_send(stream->fd, iov, count);
	return tls_send(stream->tls, iov, count);
}

bool stream_wait(const struct nbd_stream *stream, short events)
{
	struct pollfd fd = { .fd = stream->fd, .events = events };
	int left_ms = -1, n;

	do {
		if (stream->deadline_us) {
			int64_t left_us = stream->deadline_us - g_get_monotonic_time();

			if (left_us <= 0)
				return false;
			left_ms = (int)MIN(left_us / 1000 + 1, 3600 * 1000);
		}
		n = poll(&fd, 1, left_ms);
	} while (n == 0 || (n < 0 && errno == EINTR));
	return n > 0;
}

/* What comes first is kept: the client may have sent more than is asked for now. */
static bool fill(struct nbd_stream *stream)
{
	struct iovec iov = { stream->in, STREAM_IN_BYTES };
	ssize_t n;

	while ((n = stream_recv(stream, &iov, 1, false)) == -EAGAIN) {
		if (!stream_wait(stream, POLLIN))
			return false;
	}
	if (n <= 0)
		return false;
	stream->in_at = 0;
	stream->in_end = (uint32_t)n;
	return true;
}

/* `buf` NULL: to nowhere */
static bool take(struct nbd_stream *stream, uint8_t *buf, uint64_t len_bytes)
{
	while (len_bytes) {
		uint64_t n = MIN(len_bytes, stream->in_end - stream->in_at);

		if (buf && n) {
			memcpy(buf, stream->in + stream->in_at, n);
			buf += n;
		}
		stream->in_at += (uint32_t)n;
		len_bytes -= n;
		if (len_bytes && !fill(stream))
			return false;
	}
	return true;
}

bool stream_read(struct nbd_stream *stream, void *buf, uint64_t len_bytes)
{
	return take(stream, buf, len_bytes);
}

bool stream_skip(struct nbd_stream *stream, uint64_t len_bytes)
{
	return take(stream, NULL, len_bytes);
}

bool stream_write(struct nbd_stream *stream, const void *buf, uint64_t len_bytes)
{
	const uint8_t *at = buf;

	while (len_bytes) {
		struct iovec iov = { (void *)(uintptr_t)at, len_bytes };
		ssize_t n = stream_send(stream, &iov, 1);

		if (n < 0 && (n != -EAGAIN || !stream_wait(stream, POLLOUT)))
			return false;
		if (n > 0) {
			at += n;
			len_bytes -= (uint64_t)n;
		}
	}
	return true;
}
