/* SPDX-License-Identifier: MIT */
/*
 * For both ends of the net port: frames between a run of memory and the pieces of mt_net_buf; and a bounded queue of
 * frames, in order, for a back end whose library hands frames out when it likes. Not locked: the instance lock
 * covers it.
 */
#ifndef MORTISE_UTIL_NET_FRAME_H
#define MORTISE_UTIL_NET_FRAME_H

#include <mortise/draft/net.h>
#include <stdlib.h>
#include <string.h>

/* Copies up to `len_bytes` of a frame from `offset` on; the bytes copied. */
static inline uint32_t mt_net_gather(const struct mt_net_buf *buf, uint32_t offset, uint8_t *to, uint32_t len_bytes)
{
	uint64_t at = (uint64_t)buf->skip_bytes + offset;
	uint32_t done = 0;

	if (offset >= buf->len_bytes)
		return 0;
	len_bytes = len_bytes < buf->len_bytes - offset ? len_bytes : buf->len_bytes - offset;
	for (uint32_t i = 0; i < buf->iov_count && done < len_bytes; i++) {
		uint64_t n = buf->iov[i].len_bytes;

		if (at >= n) {
			at -= n;
			continue;
		}
		n = n - at < len_bytes - done ? n - at : len_bytes - done;
		memcpy(to + done, buf->iov[i].hva + at, n);
		done += (uint32_t)n;
		at = 0;
	}
	return done;
}

/* Copies to `offset` bytes into the pieces, skip included; the bytes copied. */
static inline uint32_t mt_net_scatter(const struct mt_net_buf *buf, uint64_t offset, const uint8_t *from,
				      uint32_t len_bytes)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < buf->iov_count && done < len_bytes; i++) {
		uint64_t n = buf->iov[i].len_bytes;

		if (offset >= n) {
			offset -= n;
			continue;
		}
		n = n - offset < len_bytes - done ? n - offset : len_bytes - done;
		memcpy(buf->iov[i].hva + offset, from + done, n);
		done += (uint32_t)n;
		offset = 0;
	}
	return done;
}

/* Buffers that a frame of `len_bytes` takes of `count`; 0: it does not fit. `parts`: MT_NET_PARTS was agreed on. */
static inline uint32_t mt_net_parts(const struct mt_net_buf *bufs, uint32_t count, uint32_t parts, uint32_t len_bytes)
{
	uint64_t room = 0;

	for (uint32_t i = 0; i < count; i++) {
		room += bufs[i].len_bytes + (i ? bufs[i].skip_bytes : 0);
		if (room >= len_bytes)
			return i + 1;
		if (!parts)
			return 0;
	}
	return 0;
}

/* Puts a frame into buffers for which mt_net_parts said `parts`. */
static inline void mt_net_fill(struct mt_net_buf *bufs, uint32_t parts, const uint8_t *frame, uint32_t len_bytes)
{
	for (uint32_t i = 0; i < parts; i++) {
		uint32_t skip = i ? 0 : bufs[i].skip_bytes, room = bufs[i].len_bytes + (i ? bufs[i].skip_bytes : 0);
		uint32_t now = len_bytes < room ? len_bytes : room;

		mt_net_scatter(&bufs[i], skip, frame, now);
		bufs[i].len_bytes = now;
		bufs[i].parts = i ? 0 : parts;
		frame += now;
		len_bytes -= now;
	}
}

/* Frames behind their lengths; one that would cross the end begins at the start. */
struct mt_net_queue {
	uint8_t *data;
	uint32_t size_bytes, head, tail, used_bytes, count;
};

#define MT_NET_QUEUE_TURN 0xffffffffu

/* `size_bytes`: a multiple of 4. 0, or -1: no memory. */
static inline int mt_net_queue_init(struct mt_net_queue *q, uint32_t size_bytes)
{
	memset(q, 0, sizeof(*q));
	q->data = (uint8_t *)malloc(size_bytes);
	q->size_bytes = size_bytes;
	return q->data ? 0 : -1;
}

static inline void mt_net_queue_clear(struct mt_net_queue *q)
{
	q->head = q->tail = q->used_bytes = q->count = 0;
}

/* Room for a frame of up to `len_bytes` at the tail, or NULL: full. mt_net_queue_put then keeps it. */
static inline uint8_t *mt_net_queue_room(struct mt_net_queue *q, uint32_t len_bytes)
{
	const uint32_t turn = MT_NET_QUEUE_TURN;
	uint32_t need = 4 + ((len_bytes + 3) & ~3u);

	if (!q->count)
		mt_net_queue_clear(q);
	if (q->size_bytes - q->used_bytes < need)
		return NULL;
	if (q->tail >= q->head && q->size_bytes - q->tail < need && q->head >= need) {
		if (q->size_bytes - q->tail >= 4)
			memcpy(q->data + q->tail, &turn, 4);
		q->used_bytes += q->size_bytes - q->tail;
		q->tail = 0;
	}
	if (q->size_bytes - q->used_bytes < need || (q->tail >= q->head && q->size_bytes - q->tail < need))
		return NULL;
	return q->data + q->tail + 4;
}

static inline void mt_net_queue_put(struct mt_net_queue *q, uint32_t len_bytes)
{
	uint32_t took = 4 + ((len_bytes + 3) & ~3u);

	memcpy(q->data + q->tail, &len_bytes, 4);
	q->tail += took;
	q->used_bytes += took;
	q->count++;
}

/* The oldest frame, or NULL. */
static inline uint8_t *mt_net_queue_peek(struct mt_net_queue *q, uint32_t *len_bytes)
{
	if (!q->count)
		return NULL;
	*len_bytes = MT_NET_QUEUE_TURN;
	if (q->size_bytes - q->head >= 4)
		memcpy(len_bytes, q->data + q->head, 4);
	if (*len_bytes == MT_NET_QUEUE_TURN) {
		q->used_bytes -= q->size_bytes - q->head;
		q->head = 0;
		memcpy(len_bytes, q->data, 4);
	}
	return q->data + q->head + 4;
}

static inline void mt_net_queue_drop(struct mt_net_queue *q)
{
	uint32_t len, took;

	if (!mt_net_queue_peek(q, &len))
		return;
	took = 4 + ((len + 3) & ~3u);
	q->head += took;
	q->used_bytes -= took;
	q->count--;
}

#endif
