/* SPDX-License-Identifier: MIT */
/* Smaller, larger, between. Pure functions; any thread. */
#ifndef MORTISE_UTIL_MINMAX_H
#define MORTISE_UTIL_MINMAX_H

#include <stdint.h>

static inline uint64_t mt_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t mt_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint32_t mt_min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t mt_max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* `low` <= `high` */
static inline uint64_t mt_clamp_u64(uint64_t value, uint64_t low, uint64_t high)
{
	return mt_min_u64(mt_max_u64(value, low), high);
}

#define MT_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
