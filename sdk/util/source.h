/* SPDX-License-Identifier: MIT */
/*
 * Bytes of an image, wherever they are: a file's core reads through a source and writes a fresh image into a sink,
 * and so knows no kernel; a test gives it memory, a plugin its child. Any thread, if the callbacks allow it.
 * The rule: every length and offset comes from the image, so mt_source_read refuses what lies outside, before the
 * callback sees it.
 */
#ifndef MORTISE_UTIL_SOURCE_H
#define MORTISE_UTIL_SOURCE_H

#include <mortise/error.h>
#include <stdint.h>
#include <string.h>

#include "checked.h"

struct mt_source {
	/* 0 or MT_E*; the range is inside len_bytes */
	int32_t (*read)(void *arg, uint64_t offset, void *buf, uint64_t len_bytes);
	void *arg;
	uint64_t len_bytes;
};

/* Metadata in pages that come when they are there. */
struct mt_source_pages {
	/* 0, MT_EAGAIN, or another error; `offset` is a multiple of the page's length, on which the two sides agree */
	int32_t (*get)(void *arg, uint64_t offset, void **page, const uint8_t **data);
	void (*put)(void *arg, void *page);
	void *arg;
};

struct mt_sink {
	/* 0 or MT_E*; bytes never written read as zero, the image grows as needed */
	int32_t (*write)(void *arg, uint64_t offset, const void *buf, uint64_t len_bytes);
	/* 0 or MT_E*; makes the image this long */
	int32_t (*resize)(void *arg, uint64_t len_bytes);
	void *arg;
};

/* MT_ERANGE: not all of the range lies inside the image. */
static inline int32_t mt_source_read(const struct mt_source *source, uint64_t offset, void *buf, uint64_t len_bytes)
{
	if (!mt_range_inside(offset, len_bytes, source->len_bytes))
		return MT_ERANGE;
	return len_bytes ? source->read(source->arg, offset, buf, len_bytes) : 0;
}

static inline int32_t mt_source_memory_read(void *arg, uint64_t offset, void *buf, uint64_t len_bytes)
{
	memcpy(buf, (const uint8_t *)arg + offset, len_bytes);
	return 0;
}

/* `bytes` stay the caller's and outlive the source. */
static inline struct mt_source mt_source_memory(const void *bytes, uint64_t len_bytes)
{
	struct mt_source source = { mt_source_memory_read, (void *)(uintptr_t)bytes, len_bytes };

	return source;
}

#endif
