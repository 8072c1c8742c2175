/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic on numbers that come from a guest, an image or a file. The functions return 1 when the result
 * is right and 0 when it would not fit; then `*out` is not to be used. Any thread.
 */
#ifndef MORTISE_UTIL_CHECKED_H
#define MORTISE_UTIL_CHECKED_H

#include <stdint.h>

static inline int mt_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline int mt_sub_u64(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_sub_overflow(a, b, out);
}

static inline int mt_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

/* `align` is a power of two. */
static inline int mt_align_up_u64(uint64_t value, uint64_t align, uint64_t *out)
{
	int fits = mt_add_u64(value, align - 1, out);

	*out &= ~(align - 1);
	return fits;
}

static inline uint64_t mt_align_down_u64(uint64_t value, uint64_t align)
{
	return value & ~(align - 1);
}

/* Whether `len` bytes from `offset` on lie inside `total` bytes. */
static inline int mt_range_inside(uint64_t offset, uint64_t len, uint64_t total)
{
	return offset <= total && len <= total - offset;
}

/* Whether two ranges share a byte. An empty range shares none; ends beyond 64 bits are taken as the end. */
static inline int mt_ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	if (!a_len || !b_len)
		return 0;
	return a <= b ? b - a < a_len : a - b < b_len;
}

#endif
