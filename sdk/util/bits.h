/* SPDX-License-Identifier: MIT */
/*
 * Bits of words and bitmaps. Pure functions; any thread. Bit numbers count from the least significant;
 * a bit number outside the word is not a shift by too much but 0.
 */
#ifndef MORTISE_UTIL_BITS_H
#define MORTISE_UTIL_BITS_H

#include <stdint.h>

/* Bit `n`, 0 for n > 63. */
static inline uint64_t mt_bit(uint32_t n)
{
	return n < 64 ? (uint64_t)1 << n : 0;
}

/* The lowest `n` bits set; all of them for n > 63. */
static inline uint64_t mt_mask(uint32_t n)
{
	return n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
}

/* `count` bits of `value` from bit `start` on. */
static inline uint64_t mt_bits_get(uint64_t value, uint32_t start, uint32_t count)
{
	return start < 64 ? (value >> start) & mt_mask(count) : 0;
}

/* `value` with `count` bits from bit `start` on replaced by those of `field`. */
static inline uint64_t mt_bits_set(uint64_t value, uint32_t start, uint32_t count, uint64_t field)
{
	uint64_t mask = start < 64 ? mt_mask(count) << start : 0;

	return start < 64 ? (value & ~mask) | ((field << start) & mask) : value;
}

/* The lowest `width_bytes` bytes of `value`. */
static inline uint64_t mt_truncate(uint64_t value, uint32_t width_bytes)
{
	return width_bytes < 8 ? value & mt_mask(width_bytes * 8) : value;
}

static inline uint32_t mt_is_power_of_two(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

/* Index of the lowest bit that is set; 64 for 0. */
static inline uint32_t mt_ctz64(uint64_t value)
{
	return value ? (uint32_t)__builtin_ctzll(value) : 64;
}

/* A bitmap of 32-bit words. The caller keeps `n` inside it. */
static inline uint32_t mt_bitmap_test(const uint32_t *words, uint32_t n)
{
	return (words[n / 32] >> (n % 32)) & 1;
}

static inline void mt_bitmap_assign(uint32_t *words, uint32_t n, uint32_t on)
{
	uint32_t bit = (uint32_t)1 << (n % 32);

	words[n / 32] = on ? words[n / 32] | bit : words[n / 32] & ~bit;
}

#endif
