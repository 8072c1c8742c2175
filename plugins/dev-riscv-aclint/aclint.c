/* SPDX-License-Identifier: MIT */
/* The map and the arithmetic of the ACLINT; see aclint.h. Pure functions, any thread. */
#include "aclint.h"

#include <util/bits.h>

static struct aclint_place none(void)
{
	return (struct aclint_place){ .reg = ACLINT_NONE };
}

struct aclint_place aclint_place(uint64_t offset, uint32_t width_bytes, uint32_t harts)
{
	struct aclint_place p = { .bits = width_bytes * 8 };
	uint64_t within;

	if (offset >= ACLINT_MTIME_OFFSET) {
		within = offset - ACLINT_MTIME_OFFSET;
		p.reg = ACLINT_MTIME;
		p.start_bit = (uint32_t)within * 8;
		return within + width_bytes <= 8 ? p : none();
	}
	if (offset >= ACLINT_MTIMECMP_OFFSET) {
		within = offset - ACLINT_MTIMECMP_OFFSET;
		p.reg = ACLINT_MTIMECMP;
		p.hart = (uint32_t)(within / 8);
		p.start_bit = (uint32_t)(within % 8) * 8;
		return p.hart < harts ? p : none();
	}
	p.reg = ACLINT_MSIP;
	p.hart = (uint32_t)(offset / 4);
	/* one access to two harts' registers is not offered: real ones have 32-bit buses here */
	return p.hart < harts && width_bytes == 4 ? p : none();
}

uint64_t aclint_part(const struct aclint_place *place, uint64_t whole)
{
	return mt_bits_get(whole, place->start_bit, place->bits);
}

uint64_t aclint_merge(const struct aclint_place *place, uint64_t whole, uint64_t part)
{
	return mt_bits_set(whole, place->start_bit, place->bits, part);
}

uint64_t aclint_due_tick(uint64_t ticks, uint64_t offset, uint64_t compare)
{
	uint64_t time = ticks + offset, left = compare - time;

	if (time >= compare)
		return 0;
	return left > UINT64_MAX - ticks ? UINT64_MAX : ticks + left;
}
