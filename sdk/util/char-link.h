/* SPDX-License-Identifier: MIT */
/*
 * The middle of a char back end that has one non-blocking descriptor at a time (a socket, a pty): two bounded
 * queues between the descriptor and the front. The owner opens and closes the descriptor, watches it for
 * mt_link_wants, calls mt_link_io when it is ready, and holds its instance lock throughout.
 */
#ifndef MORTISE_UTIL_CHAR_LINK_H
#define MORTISE_UTIL_CHAR_LINK_H

#include <errno.h>
#include <mortise/draft/char.h>
#include <mortise/draft/loop.h>
#include <sys/socket.h>
#include <unistd.h>
#include <util/byte-queue.h>

#define MT_LINK_SOCKET 1u          /* write without a signal when the peer is gone */

struct mt_link {
	int fd;                        /* -1: nobody is there */
	uint32_t flags;
	uint32_t front_waits;          /* write has taken less than it was given */
	const struct mt_char_host *chars;
	struct mt_char *chr;
	struct mt_byte_queue in, out;
};

static inline uint32_t mt_link_wants(const struct mt_link *l)
{
	return (mt_byte_queue_room(&l->in) ? MT_FD_READ : 0) | (mt_byte_queue_used(&l->out) ? MT_FD_WRITE : 0);
}

/* To the front, as much as it takes. */
static inline void mt_link_deliver(struct mt_link *l)
{
	const uint8_t *data;
	uint32_t len, n;

	while (l->chr && (data = mt_byte_queue_peek(&l->in, &len))) {
		n = l->chars->deliver(l->chr, data, len);
		mt_byte_queue_drop(&l->in, n);
		if (n < len)
			return;
	}
	if (!l->chr)
		mt_byte_queue_drop(&l->in, mt_byte_queue_used(&l->in));
}

static inline int mt_link_again(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* 0, or -1 when the peer is gone. */
static inline int mt_link_read(struct mt_link *l)
{
	uint8_t buf[4096];
	uint32_t room = mt_byte_queue_room(&l->in);
	ssize_t n;

	if (!room)
		return 0;
	n = read(l->fd, buf, room < sizeof(buf) ? room : sizeof(buf));
	if (n > 0)
		mt_byte_queue_put(&l->in, buf, (uint32_t)n);
	return n > 0 || mt_link_again(n) ? 0 : -1;
}

static inline int mt_link_write(struct mt_link *l)
{
	const uint8_t *data;
	uint32_t len;
	ssize_t n;

	while (l->fd >= 0 && (data = mt_byte_queue_peek(&l->out, &len))) {
		n = l->flags & MT_LINK_SOCKET ? send(l->fd, data, len, MSG_NOSIGNAL) : write(l->fd, data, len);
		if (n < 0)
			return mt_link_again(n) ? 0 : -1;
		mt_byte_queue_drop(&l->out, (uint32_t)n);
	}
	if (l->front_waits && l->chr) {
		l->front_waits = 0;
		l->chars->writable(l->chr);
	}
	return 0;
}

/* Both directions; 0, or -1 when the peer is gone. */
static inline int mt_link_io(struct mt_link *l, uint32_t events)
{
	int gone = events & (MT_FD_READ | MT_FD_HUP) ? mt_link_read(l) : 0;

	mt_link_deliver(l);
	return gone || mt_link_write(l) ? -1 : 0;
}

/* The front's bytes. Without a peer they are dropped: a serial line with nothing plugged in. */
static inline int64_t mt_link_take(struct mt_link *l, const uint8_t *data, uint32_t len_bytes)
{
	uint32_t n;

	if (l->fd < 0)
		return len_bytes;
	n = mt_byte_queue_put(&l->out, data, len_bytes);
	if (n < len_bytes)
		l->front_waits = 1;
	return n;
}

static inline void mt_link_close(struct mt_link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	mt_byte_queue_drop(&l->out, mt_byte_queue_used(&l->out));
	if (l->front_waits && l->chr)
		l->chars->writable(l->chr);
	l->front_waits = 0;
}

#endif
