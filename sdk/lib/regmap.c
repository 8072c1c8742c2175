/* SPDX-License-Identifier: MIT */
/*
 * Register map dispatch; see regmap.h. Called on the device's thread under its lock. The rule that is easy to
 * break: everything that comes from the access (offset, width, value) is a guest's choice.
 */
#include "regmap.h"

#include <string.h>

#include "../util/bits.h"

static uint64_t field_get(const void *self, const struct mt_regmap_reg *reg)
{
	uint64_t value = 0;

	if (reg->field != MT_REGMAP_NO_FIELD)
		memcpy(&value, (const uint8_t *)self + reg->field, reg->width);
	return value;
}

static void field_set(void *self, const struct mt_regmap_reg *reg, uint64_t value)
{
	if (reg->field != MT_REGMAP_NO_FIELD)
		memcpy((uint8_t *)self + reg->field, &value, reg->width);
}

int mt_regmap_valid(const struct mt_regmap *map)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < map->count; i++) {
		const struct mt_regmap_reg *r = &map->regs[i];

		if (!mt_is_power_of_two(r->width) || r->width > 8 || r->offset % r->width || r->offset < end)
			return 0;
		end = (uint64_t)r->offset + r->width;
	}
	return 1;
}

const struct mt_regmap_reg *mt_regmap_find(const struct mt_regmap *map, uint64_t offset, uint32_t width)
{
	uint32_t low = 0, high = map->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct mt_regmap_reg *r = &map->regs[mid];

		if (offset < r->offset)
			high = mid;
		else if (offset - r->offset >= r->width)
			low = mid + 1;
		else
			return width <= r->width - (offset - r->offset) ? r : NULL;
	}
	return NULL;
}

uint32_t mt_regmap_read(const struct mt_regmap *map, void *self, const struct mt_access *access, uint64_t *value)
{
	const struct mt_regmap_reg *reg = mt_regmap_find(map, access->offset, access->width);
	uint64_t whole;

	*value = 0;
	if (!reg)
		return map->strict ? MT_BUS_DEVICE : MT_BUS_OK;
	if (reg->access & MT_REGMAP_WO)
		return MT_BUS_OK;
	whole = reg->read ? reg->read(self, reg) : field_get(self, reg);
	*value = mt_truncate(whole >> ((access->offset - reg->offset) * 8), access->width);
	return MT_BUS_OK;
}

/* The register's next value when `part` is written over some of its bytes. */
static uint64_t written_value(const struct mt_regmap_reg *reg, uint64_t old, uint64_t part, uint32_t start_bit,
			      uint32_t bits)
{
	if (reg->access & MT_REGMAP_W1C)
		return old & ~((part & mt_mask(bits)) << start_bit & reg->mask);
	return (old & ~reg->mask) | (mt_bits_set(old, start_bit, bits, part) & reg->mask);
}

uint32_t mt_regmap_write(const struct mt_regmap *map, void *self, const struct mt_access *access, uint64_t value)
{
	const struct mt_regmap_reg *reg = mt_regmap_find(map, access->offset, access->width);
	uint64_t whole;

	if (!reg)
		return map->strict ? MT_BUS_DEVICE : MT_BUS_OK;
	if (reg->access & MT_REGMAP_RO)
		return MT_BUS_OK;
	whole = written_value(reg, field_get(self, reg), value, (uint32_t)(access->offset - reg->offset) * 8,
			      access->width * 8);
	field_set(self, reg, whole);
	if (reg->write)
		reg->write(self, reg, whole);
	return MT_BUS_OK;
}

void mt_regmap_reset(const struct mt_regmap *map, void *self)
{
	for (uint32_t i = 0; i < map->count; i++)
		field_set(self, &map->regs[i], map->regs[i].reset);
}
