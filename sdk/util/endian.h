/* SPDX-License-Identifier: MIT */
/*
 * Integers in memory of either byte order and any alignment: file headers, guest structures that were copied
 * once. Any thread. The compiler makes one load or store of each.
 */
#ifndef MORTISE_UTIL_ENDIAN_H
#define MORTISE_UTIL_ENDIAN_H

#include <stdint.h>
#include <string.h>

static inline uint16_t mt_get_le16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t mt_get_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t mt_get_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void mt_put_le16(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void mt_put_le32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void mt_put_le64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline uint16_t mt_get_be16(const void *p)
{
	return __builtin_bswap16(mt_get_le16(p));
}

static inline uint32_t mt_get_be32(const void *p)
{
	return __builtin_bswap32(mt_get_le32(p));
}

static inline uint64_t mt_get_be64(const void *p)
{
	return __builtin_bswap64(mt_get_le64(p));
}

static inline void mt_put_be16(void *p, uint16_t v)
{
	mt_put_le16(p, __builtin_bswap16(v));
}

static inline void mt_put_be32(void *p, uint32_t v)
{
	mt_put_le32(p, __builtin_bswap32(v));
}

static inline void mt_put_be64(void *p, uint64_t v)
{
	mt_put_le64(p, __builtin_bswap64(v));
}

#endif
