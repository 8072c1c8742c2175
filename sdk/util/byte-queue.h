/* SPDX-License-Identifier: MIT */
/*
 * A bounded queue of bytes of fixed storage, for the ends of char ports. Not locked: the instance lock of its
 * owner covers it. Indices run freely and are masked, so the storage is a power of two.
 */
#ifndef MORTISE_UTIL_BYTE_QUEUE_H
#define MORTISE_UTIL_BYTE_QUEUE_H

#include <stdint.h>
#include <string.h>

#define MT_BYTE_QUEUE_BYTES 65536u

struct mt_byte_queue {
	uint32_t head, tail;               /* head: next to take; tail: next to fill */
	uint8_t data[MT_BYTE_QUEUE_BYTES];
};

static inline uint32_t mt_byte_queue_used(const struct mt_byte_queue *q)
{
	return q->tail - q->head;
}

static inline uint32_t mt_byte_queue_room(const struct mt_byte_queue *q)
{
	return MT_BYTE_QUEUE_BYTES - mt_byte_queue_used(q);
}

/* Copies in as much as fits; the bytes taken. */
static inline uint32_t mt_byte_queue_put(struct mt_byte_queue *q, const uint8_t *data, uint32_t len_bytes)
{
	uint32_t room = mt_byte_queue_room(q), n = len_bytes < room ? len_bytes : room;
	uint32_t at = q->tail % MT_BYTE_QUEUE_BYTES, first = MT_BYTE_QUEUE_BYTES - at;

	if (first > n)
		first = n;
	memcpy(q->data + at, data, first);
	memcpy(q->data, data + first, n - first);
	q->tail += n;
	return n;
}

/* The longest piece at the head that lies in one part; NULL when empty. */
static inline const uint8_t *mt_byte_queue_peek(const struct mt_byte_queue *q, uint32_t *len_bytes)
{
	uint32_t used = mt_byte_queue_used(q), at = q->head % MT_BYTE_QUEUE_BYTES;

	*len_bytes = used < MT_BYTE_QUEUE_BYTES - at ? used : MT_BYTE_QUEUE_BYTES - at;
	return used ? q->data + at : NULL;
}

static inline void mt_byte_queue_drop(struct mt_byte_queue *q, uint32_t len_bytes)
{
	q->head += len_bytes;
}

#endif
