/* SPDX-License-Identifier: MIT */
/*
 * A ring of bytes in storage that the owner gives (no allocation). Called under the owner's lock. Head and
 * count are loaded state in a snapshot: mt_fifo_valid tells whether they can be trusted.
 */
#ifndef MTSDK_FIFO_H
#define MTSDK_FIFO_H

#include <stdint.h>

struct mt_fifo {
	uint8_t *data;
	uint32_t size_bytes;   /* of data; not 0 */
	uint32_t head;         /* next to pop */
	uint32_t count;
};

static inline void mt_fifo_init(struct mt_fifo *f, uint8_t *data, uint32_t size_bytes)
{
	f->data = data;
	f->size_bytes = size_bytes;
	f->head = 0;
	f->count = 0;
}

static inline void mt_fifo_clear(struct mt_fifo *f)
{
	f->head = 0;
	f->count = 0;
}

static inline uint32_t mt_fifo_room(const struct mt_fifo *f)
{
	return f->size_bytes - f->count;
}

static inline int mt_fifo_valid(const struct mt_fifo *f)
{
	return f->head < f->size_bytes && f->count <= f->size_bytes;
}

/* 1, or 0 when full. */
static inline int mt_fifo_push(struct mt_fifo *f, uint8_t byte)
{
	uint32_t at = f->head + f->count;

	if (f->count == f->size_bytes)
		return 0;
	f->data[at < f->size_bytes ? at : at - f->size_bytes] = byte;
	f->count++;
	return 1;
}

/* 1, or 0 when empty. */
static inline int mt_fifo_pop(struct mt_fifo *f, uint8_t *byte)
{
	if (!f->count)
		return 0;
	*byte = f->data[f->head];
	f->head = f->head + 1 < f->size_bytes ? f->head + 1 : 0;
	f->count--;
	return 1;
}

/* The longest run of bytes that lie together at the head; drop what was used with mt_fifo_drop. */
static inline uint32_t mt_fifo_peek(const struct mt_fifo *f, const uint8_t **run)
{
	uint32_t to_end = f->size_bytes - f->head;

	*run = f->data + f->head;
	return f->count < to_end ? f->count : to_end;
}

static inline void mt_fifo_drop(struct mt_fifo *f, uint32_t bytes)
{
	bytes = bytes < f->count ? bytes : f->count;
	f->head = (f->head + bytes) % f->size_bytes;
	f->count -= bytes;
}

#endif
