/* SPDX-License-Identifier: MIT */
/*
 * The register map of a CLINT-compatible ACLINT: software interrupts, timer compare values and the timer, at one
 * base. Pure functions: the map from an offset to a hart's register, and the arithmetic of partial accesses.
 */
#ifndef ACLINT_H
#define ACLINT_H

#include <stdint.h>

#define ACLINT_REGION_BYTES 0x10000u
#define ACLINT_HARTS_MAX    4095u
#define ACLINT_MSIP_OFFSET     0x0u
#define ACLINT_MTIMECMP_OFFSET 0x4000u
#define ACLINT_MTIME_OFFSET    0xbff8u

#define ACLINT_NONE     0u
#define ACLINT_MSIP     1u
#define ACLINT_MTIMECMP 2u
#define ACLINT_MTIME    3u

struct aclint_place {
	uint32_t reg;          /* ACLINT_* */
	uint32_t hart;         /* MSIP, MTIMECMP: below `harts` */
	uint32_t start_bit;    /* of the access in the register */
	uint32_t bits;
};

/* Where an aligned access of 4 or 8 bytes goes. */
struct aclint_place aclint_place(uint64_t offset, uint32_t width_bytes, uint32_t harts);

/* What an access reads of the register's `whole` value; the whole value after it writes `part`. */
uint64_t aclint_part(const struct aclint_place *place, uint64_t whole);
uint64_t aclint_merge(const struct aclint_place *place, uint64_t whole, uint64_t part);

/*
 * The tick of the counter at which counter + offset reaches `compare`, when it is `ticks` now. The sum wraps at
 * 64 bits; UINT64_MAX: not before the counter itself wraps. At or before `ticks` when it is reached already.
 */
uint64_t aclint_due_tick(uint64_t ticks, uint64_t offset, uint64_t compare);

#endif
