/* SPDX-License-Identifier: MIT */
/* The header-only helpers, at the edges where hand-written arithmetic goes wrong. */
#include <fake/check-run.h>
#include <util/bits.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>
#include <util/uuid.h>

START_TEST(masks_at_the_word_end)
{
	ck_assert_uint_eq(mt_bit(0), 1);
	ck_assert_uint_eq(mt_bit(63), 1ull << 63);
	ck_assert_uint_eq(mt_bit(64), 0);
	ck_assert_uint_eq(mt_mask(0), 0);
	ck_assert_uint_eq(mt_mask(64), UINT64_MAX);
	ck_assert_uint_eq(mt_mask(63), UINT64_MAX >> 1);
	ck_assert_uint_eq(mt_truncate(0x1234, 1), 0x34);
	ck_assert_uint_eq(mt_truncate(UINT64_MAX, 8), UINT64_MAX);
	ck_assert_uint_eq(mt_ctz64(0), 64);
	ck_assert_uint_eq(mt_ctz64(0x50), 4);
	ck_assert(!mt_is_power_of_two(0) && mt_is_power_of_two(1ull << 63) && !mt_is_power_of_two(6));
}
END_TEST

START_TEST(fields)
{
	ck_assert_uint_eq(mt_bits_get(0xabcd, 4, 8), 0xbc);
	ck_assert_uint_eq(mt_bits_get(1, 64, 8), 0);
	ck_assert_uint_eq(mt_bits_set(0xabcd, 4, 8, 0x12), 0xa12d);
	ck_assert_uint_eq(mt_bits_set(0xabcd, 4, 8, 0xff12), 0xa12d);
	ck_assert_uint_eq(mt_bits_set(1, 0, 64, 7), 7);
	ck_assert_uint_eq(mt_bits_set(1, 64, 8, 7), 1);
}
END_TEST

START_TEST(bitmaps)
{
	uint32_t words[2] = { 0, 0 };

	mt_bitmap_assign(words, 33, 1);
	ck_assert_uint_eq(words[1], 2);
	ck_assert(mt_bitmap_test(words, 33) && !mt_bitmap_test(words, 1));
	mt_bitmap_assign(words, 33, 0);
	ck_assert_uint_eq(words[1], 0);
}
END_TEST

START_TEST(sums_that_do_not_fit)
{
	uint64_t out;

	ck_assert(mt_add_u64(UINT64_MAX - 1, 1, &out) && out == UINT64_MAX);
	ck_assert(!mt_add_u64(UINT64_MAX, 1, &out));
	ck_assert(!mt_sub_u64(0, 1, &out));
	ck_assert(!mt_mul_u64(1ull << 32, 1ull << 32, &out));
	ck_assert(mt_align_up_u64(5, 4, &out) && out == 8);
	ck_assert(!mt_align_up_u64(UINT64_MAX, 4096, &out));
	ck_assert_uint_eq(mt_align_down_u64(0x1fff, 0x1000), 0x1000);
}
END_TEST

START_TEST(ranges)
{
	ck_assert(mt_range_inside(0, 10, 10) && mt_range_inside(10, 0, 10));
	ck_assert(!mt_range_inside(1, 10, 10) && !mt_range_inside(11, 0, 10));
	ck_assert(!mt_range_inside(8, UINT64_MAX, 10));
	ck_assert(mt_ranges_overlap(0, 10, 9, 1) && mt_ranges_overlap(9, 1, 0, 10));
	ck_assert(!mt_ranges_overlap(0, 10, 10, 5) && !mt_ranges_overlap(5, 0, 0, 10));
	ck_assert(mt_ranges_overlap(UINT64_MAX - 1, 2, UINT64_MAX, 1));
	ck_assert(mt_ranges_overlap(UINT64_MAX - 1, 100, UINT64_MAX, 100));
}
END_TEST

START_TEST(byte_orders)
{
	uint8_t b[9] = { 0 };

	mt_put_le32(b + 1, 0x01020304);
	ck_assert_uint_eq(b[1], 4);
	ck_assert_uint_eq(mt_get_be32(b + 1), 0x04030201);
	mt_put_be64(b + 1, 0x0102030405060708);
	ck_assert_uint_eq(b[1], 1);
	ck_assert_uint_eq(mt_get_le64(b + 1), 0x0807060504030201);
	mt_put_be16(b, 0xabcd);
	ck_assert_uint_eq(mt_get_le16(b), 0xcdab);
	ck_assert_uint_eq(mt_get_be16(b), 0xabcd);
	mt_put_le16(b, 0xabcd);
	ck_assert_uint_eq(b[0], 0xcd);
}
END_TEST

START_TEST(errors)
{
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_int_eq(mt_error_set(&err, MT_EINVAL, "key", "bad value %d", 7), MT_EINVAL);
	ck_assert_int_eq(mt_error_hint(&err, "try %d", 8), MT_EINVAL);
	ck_assert_int_eq(err.code, MT_EINVAL);
	ck_assert_str_eq(err.culprit, "key");
	ck_assert_str_eq(err.message, "bad value 7");
	ck_assert_str_eq(err.hint, "try 8");
	mt_error_set(&err, MT_EIO, NULL, "%600d", 1);
	ck_assert_uint_eq(strlen(err.message), sizeof(err.message) - 1);
	ck_assert_str_eq(err.hint, "");
	ck_assert_int_eq(mt_error_set(NULL, MT_EIO, NULL, "x"), MT_EIO);
	err.size = 4;
	mt_error_set(&err, MT_EPERM, NULL, "not to be written");
	ck_assert_int_eq(err.code, MT_EIO);
}
END_TEST

START_TEST(limits)
{
	ck_assert_uint_eq(mt_min_u64(3, 4), 3);
	ck_assert_uint_eq(mt_max_u32(3, 4), 4);
	ck_assert_uint_eq(mt_min_u32(4, 3), 3);
	ck_assert_uint_eq(mt_max_u64(4, 3), 4);
	ck_assert_uint_eq(mt_clamp_u64(9, 1, 5), 5);
	ck_assert_uint_eq(mt_clamp_u64(0, 1, 5), 1);
}
END_TEST

START_TEST(identifiers)
{
	static const char text[] = "83ed0ec3-24c8-49a6-a959-5e4bf1288bfb";
	static const uint8_t want[] = "\xc3\x0e\xed\x83\xc8\x24\xa6\x49\xa9\x59\x5e\x4b\xf1\x28\x8b\xfb";
	static const char *const wrong[] = {
		"", "83ed0ec3-24c8-49a6-a959-5e4bf1288bf", "83ed0ec3-24c8-49a6-a959-5e4bf1288bfbb",
		"83ed0ec3-24c8-49a6-a9595-e4bf1288bfb", "83ed0ec324c8-49a6-a959-5e4bf1288bfb00",
		"g3ed0ec3-24c8-49a6-a959-5e4bf1288bfb",
	};
	uint8_t uuid[MT_UUID_BYTES];
	char back[MT_UUID_TEXT];

	ck_assert_int_eq(mt_uuid_parse(text, uuid), 1);
	ck_assert_mem_eq(uuid, want, MT_UUID_BYTES);
	mt_uuid_text(uuid, back);
	ck_assert_str_eq(back, text);
	ck_assert_int_eq(mt_uuid_parse("83ED0EC3-24C8-49A6-A959-5E4BF1288BFB", uuid), 1);
	ck_assert_mem_eq(uuid, want, MT_UUID_BYTES);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_int_eq(mt_uuid_parse(wrong[i], uuid), 0);
}
END_TEST

int main(void)
{
	CHECK_RUN("util", NULL, NULL, masks_at_the_word_end, fields, bitmaps, sums_that_do_not_fit, ranges, byte_orders,
		  errors, limits, identifiers);
}
