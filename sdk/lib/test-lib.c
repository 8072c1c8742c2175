/* SPDX-License-Identifier: MIT */
/* Register-map dispatch and the byte ring. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <lib/fifo.h>
#include <lib/regmap.h>
#include <string.h>

struct chip {
	uint32_t ctrl, status;
	uint64_t wide;
	uint32_t written, write_count;
};

static uint64_t id_read(void *self, const struct mt_regmap_reg *reg)
{
	(void)self, (void)reg;
	return 0x12345678;
}

static void ctrl_write(void *self, const struct mt_regmap_reg *reg, uint64_t value)
{
	struct chip *c = self;

	(void)reg;
	c->written = (uint32_t)value;
	c->write_count++;
}

#define FIELD(f) offsetof(struct chip, f)
static const struct mt_regmap_reg regs[] = {
	{ 0x00, 4, MT_REGMAP_RO, MT_REGMAP_NO_FIELD, 0, 0, id_read, NULL, "ID" },
	{ 0x04, 4, 0, FIELD(ctrl), 0x11, 0xffff, NULL, ctrl_write, "CTRL" },
	{ 0x08, 4, MT_REGMAP_W1C, FIELD(status), 0, 0xff, NULL, NULL, "STATUS" },
	{ 0x0c, 4, MT_REGMAP_WO, MT_REGMAP_NO_FIELD, 0, UINT32_MAX, NULL, ctrl_write, "KICK" },
	{ 0x20, 8, 0, FIELD(wide), 7, UINT64_MAX, NULL, NULL, "WIDE" },
};
static const struct mt_regmap map = { regs, sizeof(regs) / sizeof(regs[0]), 0 };
static const struct mt_regmap strict_map = { regs, sizeof(regs) / sizeof(regs[0]), 1 };

static struct chip chip;

static void setup(void)
{
	memset(&chip, 0, sizeof(chip));
	mt_regmap_reset(&map, &chip);
}

static uint64_t get(uint64_t offset, uint32_t width)
{
	struct mt_access a = { .offset = offset, .width = width };
	uint64_t value = 99;

	ck_assert_uint_eq(mt_regmap_read(&map, &chip, &a, &value), MT_BUS_OK);
	return value;
}

static void put(uint64_t offset, uint32_t width, uint64_t value)
{
	struct mt_access a = { .offset = offset, .width = width };

	ck_assert_uint_eq(mt_regmap_write(&map, &chip, &a, value), MT_BUS_OK);
}

START_TEST(access_and_masks)
{
	ck_assert(mt_regmap_valid(&map));
	ck_assert_uint_eq(get(0, 4), 0x12345678);
	put(0, 4, 0);
	ck_assert_uint_eq(get(0, 4), 0x12345678);
	ck_assert_uint_eq(get(4, 4), 0x11);
	put(4, 4, 0xabcdef01);
	ck_assert_uint_eq(get(4, 4), 0xef01);
	ck_assert_uint_eq(chip.written, 0xef01);
	chip.status = 0x1ff;
	put(8, 4, 0x10f);
	ck_assert_uint_eq(get(8, 4), 0x1f0);
	put(12, 4, 77);
	ck_assert_uint_eq(chip.written, 77);
	ck_assert_uint_eq(get(12, 4), 0);
	ck_assert_uint_eq(get(0x20, 8), 7);
}
END_TEST

START_TEST(parts_of_registers)
{
	ck_assert_uint_eq(get(1, 1), 0x56);
	ck_assert_uint_eq(get(2, 2), 0x1234);
	put(5, 1, 0xee);
	ck_assert_uint_eq(get(4, 4), 0xee11);
	put(0x24, 4, 0xdeadbeef);
	ck_assert_uint_eq(get(0x20, 8), 0xdeadbeef00000007);
	chip.status = 0xffff;
	put(9, 1, 0xff);
	ck_assert_uint_eq(chip.status, 0xffff);
}
END_TEST

START_TEST(beside_the_registers)
{
	struct mt_access a = { .offset = 0x10, .width = 4 };
	uint64_t value;

	ck_assert_uint_eq(get(0x10, 4), 0);
	ck_assert_uint_eq(get(2, 4), 0);
	ck_assert_uint_eq(get(0, 8), 0);
	ck_assert_uint_eq(get(UINT64_MAX, 1), 0);
	put(0x10, 4, 1);
	ck_assert_uint_eq(chip.write_count, 0);
	ck_assert_uint_eq(mt_regmap_read(&strict_map, &chip, &a, &value), MT_BUS_DEVICE);
	ck_assert_uint_eq(mt_regmap_write(&strict_map, &chip, &a, 0), MT_BUS_DEVICE);
}
END_TEST

START_TEST(bad_tables)
{
	static const struct mt_regmap_reg bad[] = { { .offset = 0, .width = 8 }, { .offset = 4, .width = 4 } };
	static const struct mt_regmap_reg odd[] = { { .offset = 2, .width = 4 } };

	ck_assert(!mt_regmap_valid(&(struct mt_regmap){ bad, 2, 0 }));
	ck_assert(!mt_regmap_valid(&(struct mt_regmap){ odd, 1, 0 }));
}
END_TEST

START_TEST(random_accesses)
{
	uint64_t seed = 1, value;

	for (int i = 0; i < 100000; i++) {
		struct mt_access a = { .offset = fake_random(&seed) % 48, .width = 1u << fake_random(&seed) % 4 };

		if (fake_random(&seed) & 1)
			mt_regmap_write(&map, &chip, &a, fake_random(&seed));
		else
			mt_regmap_read(&map, &chip, &a, &value);
		ck_assert_uint_eq(chip.ctrl & ~0xffffu, 0);
	}
}
END_TEST

START_TEST(ring)
{
	uint8_t data[3], byte;
	const uint8_t *run;
	struct mt_fifo f;

	mt_fifo_init(&f, data, 3);
	for (uint8_t i = 0; i < 10; i++) {
		ck_assert(mt_fifo_push(&f, i) && mt_fifo_push(&f, i + 100));
		ck_assert(mt_fifo_pop(&f, &byte) && byte == i);
		ck_assert(mt_fifo_pop(&f, &byte) && byte == i + 100);
	}
	ck_assert(!mt_fifo_pop(&f, &byte));
	ck_assert(mt_fifo_push(&f, 1) && mt_fifo_push(&f, 2) && mt_fifo_push(&f, 3) && !mt_fifo_push(&f, 4));
	ck_assert_uint_eq(mt_fifo_peek(&f, &run), 1);    /* 20 pops: the head stands at the last place */
	ck_assert_uint_eq(*run, 1);
	mt_fifo_drop(&f, 1);
	ck_assert_uint_eq(mt_fifo_peek(&f, &run), 2);
	mt_fifo_drop(&f, 9);
	ck_assert_uint_eq(mt_fifo_room(&f), 3);
	ck_assert(mt_fifo_valid(&f));
	f.head = 3;
	ck_assert(!mt_fifo_valid(&f));
}
END_TEST

int main(void)
{
	CHECK_RUN("lib", setup, NULL, access_and_masks, parts_of_registers, beside_the_registers, bad_tables,
		  random_accesses, ring);
}
