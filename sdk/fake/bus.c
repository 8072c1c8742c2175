/* SPDX-License-Identifier: MIT */
/* Regions of the fake host. Accesses are split or refused as the region declares, as a kernel does it. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/bits.h"
#include "../util/error.h"

static struct mt_region *region_add(struct mt_inst *inst, const struct mt_region_desc *desc, struct mt_error *err)
{
	struct fake *f = inst->fake;
	struct mt_region *r = &f->regions[f->region_count];

	if (f->region_count == FAKE_REGIONS || !desc->ops || !desc->len_bytes ||
	    !mt_is_power_of_two(desc->width_min) || !mt_is_power_of_two(desc->width_max) ||
	    desc->width_max > 8 || desc->width_min > desc->width_max) {
		mt_error_set(err, MT_EINVAL, desc->name, "bad region description");
		return NULL;
	}
	if (desc->at_prop && strtoull(fake_prop_range(f, desc->at_prop), NULL, 0) != desc->len_bytes)
		fake_die("region %s has 0x%llx bytes, the range of '%s' in the note says %s", desc->name,
			 (unsigned long long)desc->len_bytes, desc->at_prop, fake_prop_range(f, desc->at_prop));
	r->desc = *desc;
	r->ops = *desc->ops;
	snprintf(r->name, sizeof(r->name), "%s", desc->name ? desc->name : "");
	r->desc.name = r->name;
	f->region_count++;
	return r;
}

static int bind_eventfd(struct mt_region *region, uint64_t offset, uint32_t width, uint32_t match_value,
			uint64_t value, int fd, struct mt_error *err)
{
	(void)region, (void)offset, (void)width, (void)match_value, (void)value, (void)fd;
	return mt_error_set(err, MT_ENOTSUP, NULL, "the fake host binds no eventfd");
}

const struct mt_mmio_host fake_mmio_host = { .region_add = region_add, .bind_eventfd = bind_eventfd };

uint32_t fake_region_count(struct fake *f)
{
	return f->region_count;
}

const struct mt_region_desc *fake_region(struct fake *f, uint32_t region)
{
	if (region >= f->region_count)
		fake_die("no region %u", region);
	return &f->regions[region].desc;
}

/* The width of the next piece of an access that has `left` bytes to go, as it lies; 1 at least. */
static uint32_t piece_width(const struct mt_region_desc *d, uint64_t offset, uint32_t left)
{
	uint32_t w = d->width_max;

	while (w > left || (offset % w && !(d->flags & MT_REGION_UNALIGNED)))
		w /= 2;
	return w;
}

static uint32_t one(struct fake *f, const struct mt_region *r, uint64_t offset, uint32_t width, int is_write,
		    uint64_t *value)
{
	struct mt_access a = { .offset = offset, .width = width, .vcpu = 0, .requester = MT_REQUESTER_VCPU };

	return is_write ? r->ops.write(f->self, &a, mt_truncate(*value, width)) : r->ops.read(f->self, &a, value);
}

/* A piece that is narrower than all that the region takes: a read takes the register around it. */
static uint32_t narrow(struct fake *f, const struct mt_region *r, uint64_t offset, uint32_t width, int is_write,
		       uint64_t *value)
{
	uint64_t within = offset % r->desc.width_min;
	uint32_t result;

	if (is_write || offset - within + r->desc.width_min > r->desc.len_bytes)
		return MT_BUS_DEVICE;
	result = one(f, r, offset - within, r->desc.width_min, 0, value);
	*value = mt_truncate(*value >> (within * 8), width);
	return result;
}

static uint32_t access_region(struct fake *f, uint32_t region, uint64_t offset, uint32_t width, int is_write,
			      uint64_t *value)
{
	const struct mt_region_desc *d = fake_region(f, region);
	const struct mt_region *r = &f->regions[region];
	uint32_t result = MT_BUS_OK;
	uint64_t whole = 0;

	if (width > 8 || offset >= d->len_bytes || width > d->len_bytes - offset)
		fake_die("access beyond region %s", d->name);
	if ((d->flags & MT_REGION_STRICT) && (width < d->width_min || width > d->width_max))
		return MT_BUS_DEVICE;
	for (uint32_t at = 0, w; at < width && (result & MT_BUS_RESULT) == MT_BUS_OK; at += w) {
		uint64_t part = *value >> (at * 8);

		w = piece_width(d, offset + at, width - at);
		result |= (w < d->width_min ? narrow : one)(f, r, offset + at, w, is_write, &part);
		whole |= mt_truncate(part, w) << (at * 8);
	}
	if (!is_write)
		*value = whole;
	return result;
}

uint32_t fake_read(struct fake *f, uint32_t region, uint64_t offset, uint32_t width, uint64_t *value)
{
	*value = 0;
	return access_region(f, region, offset, width, 0, value);
}

uint32_t fake_write(struct fake *f, uint32_t region, uint64_t offset, uint32_t width, uint64_t value)
{
	return access_region(f, region, offset, width, 1, &value);
}

uint64_t fake_get(struct fake *f, uint64_t offset, uint32_t width)
{
	uint64_t value;
	uint32_t result = fake_read(f, 0, offset, width, &value);

	if ((result & MT_BUS_RESULT) != MT_BUS_OK)
		fake_die("read of %u bytes at 0x%llx: result %u", width, (unsigned long long)offset, result);
	return value;
}

void fake_put(struct fake *f, uint64_t offset, uint32_t width, uint64_t value)
{
	uint32_t result = fake_write(f, 0, offset, width, value);

	if ((result & MT_BUS_RESULT) != MT_BUS_OK)
		fake_die("write of %u bytes at 0x%llx: result %u", width, (unsigned long long)offset, result);
}
