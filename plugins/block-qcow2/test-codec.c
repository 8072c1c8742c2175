/* SPDX-License-Identifier: MIT */
/*
 * Compressed clusters against zlib as other programs use it. Built twice: with libdeflate, where there is one, and
 * without. One thread.
 */
#include "qcow2.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "deflate.h"

#define CLUSTER  65536u

static uint8_t plain[CLUSTER], packed[CLUSTER + 512], back[CLUSTER];

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

static void fill_noise(uint64_t seed, uint8_t *to, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		to[i] = (uint8_t)(next(&seed) >> 32);
}

static void fill_text(uint64_t seed, uint8_t *to, uint32_t len)
{
	static const char *const words[] = { "chisel ", "tenon ", "mortise ", "joint ", "glue\n", "plane ", "saw, " };

	for (uint32_t i = 0; i < len;) {
		const char *word = words[next(&seed) % 7];

		for (; *word && i < len; word++)
			to[i++] = (uint8_t)*word;
	}
}

/* As readers with the window of 4 KiB that other writers keep to take it. */
static void read_as_others(int64_t len)
{
	z_stream z = { .next_in = packed, .avail_in = (uInt)len, .next_out = back, .avail_out = CLUSTER };

	memset(back, 0x55, CLUSTER);
	ck_assert_int_eq(inflateInit2(&z, -12), Z_OK);
	ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
	ck_assert_uint_eq(z.avail_out, 0);
	ck_assert_mem_eq(back, plain, CLUSTER);
	inflateEnd(&z);
}

static int64_t pack(uint32_t compression)
{
	struct codec *c = codec_new(compression);
	int64_t n;

	ck_assert_ptr_nonnull(c);
	n = codec_encode(c, plain, CLUSTER, packed, CLUSTER);
	if (n > 0) {
		memset(packed + n, 0xa5, 512);         /* somebody else's */
		memset(back, 0x55, CLUSTER);
		ck_assert_int_eq(codec_decode(c, packed, (uint64_t)n + 512, back, CLUSTER), 0);
		ck_assert_mem_eq(back, plain, CLUSTER);
	}
	codec_free(c);
	return n;
}

START_TEST(round_trip)
{
	for (uint32_t noise = 0; noise < CLUSTER; noise += 4096) {
		int64_t n;

		fill_text(noise + 1, plain, CLUSTER);
		fill_noise(noise + 2, plain + 100, noise / 2);
		n = pack((uint32_t)_i);
		ck_assert_int_gt(n, noise / 2);
		ck_assert_int_lt(n, noise / 2 + (CLUSTER - noise / 2) / 2);
		if (_i == 0)
			read_as_others(n);
	}
}
END_TEST

START_TEST(noise_is_left)
{
	fill_noise(7, plain, CLUSTER);
	ck_assert_int_eq(pack((uint32_t)_i), MT_ENOSPC);
}
END_TEST

/* All bytes are equally frequent, but the half that comes again is not lost. */
START_TEST(repeats_are_found)
{
	int64_t n;

	fill_noise(8, plain, CLUSTER / 4);
	for (uint32_t i = 1; i < 4; i++)
		memcpy(plain + i * (CLUSTER / 4), plain, CLUSTER / 4);
	n = pack((uint32_t)_i);
#ifdef HAVE_LIBDEFLATE
	ck_assert_int_gt(n, 0);
	ck_assert_int_lt(n, CLUSTER / 2);
#else
	ck_assert(n > 0 || (_i == 0 && n == MT_ENOSPC));       /* a window of 4 KiB does not reach that far */
#endif
}
END_TEST

/* Frequent bytes alone are worth a code, too. */
START_TEST(skew_is_used)
{
	uint64_t seed = 9;

	for (uint32_t i = 0; i < CLUSTER; i++)
		plain[i] = (uint8_t)(next(&seed) >> 32) & 0x7f;
	ck_assert_int_gt(pack((uint32_t)_i), 0);
}
END_TEST

/* A stream that fills the cluster and was never ended. */
START_TEST(unended)
{
	z_stream z = { .next_in = plain, .avail_in = CLUSTER, .next_out = packed, .avail_out = CLUSTER };
	struct codec *c = codec_new(0);

	fill_text(10, plain, CLUSTER);
	ck_assert_int_eq(deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	ck_assert_uint_eq(z.avail_in, 0);
	ck_assert_int_eq(codec_decode(c, packed, CLUSTER - z.avail_out, back, CLUSTER), 0);
	ck_assert_mem_eq(back, plain, CLUSTER);
	deflateEnd(&z);
	codec_free(c);
}
END_TEST

/* What is cut, or is for a smaller cluster, is refused; what is changed may be anything, but stays in its bounds. */
START_TEST(damage)
{
	struct codec *c = codec_new((uint32_t)_i);
	uint64_t seed = 11;
	int64_t n;

	fill_text(12, plain, CLUSTER);
	n = codec_encode(c, plain, CLUSTER, packed, CLUSTER);
	ck_assert_int_gt(n, 1000);
	for (int64_t cut = 0; cut < n - 8; cut += 97)
		ck_assert_int_eq(codec_decode(c, packed, (uint64_t)cut, back, CLUSTER), MT_EIO);
	for (uint32_t i = 0; i < 300; i++) {
		uint8_t *at = &packed[next(&seed) % (uint64_t)n], kept = *at, *exact = malloc((size_t)n);

		*at ^= (uint8_t)(1 + next(&seed) % 255);
		memcpy(exact, packed, (size_t)n);
		(void)codec_decode(c, exact, (uint64_t)n, back, CLUSTER);
		*at = kept;
		free(exact);
	}
	ck_assert_int_eq(codec_decode(c, packed, (uint64_t)n, back, CLUSTER), 0);
	codec_free(c);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("qcow2 codec");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, round_trip, 0, 2);
	tcase_add_loop_test(tc, noise_is_left, 0, 2);
	tcase_add_loop_test(tc, repeats_are_found, 0, 2);
	tcase_add_loop_test(tc, skew_is_used, 0, 2);
	tcase_add_test(tc, unended);
	tcase_add_loop_test(tc, damage, 0, 2);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
