/* SPDX-License-Identifier: MIT */
/* What requests of a virtio disk mean: each kind, each refusal, and random headers. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"

#define DISK_SECTORS 2048u

static uint8_t out_mem[4096], in_mem[4096];
static struct mt_iov out_iov[2], in_iov[2];
static struct mt_vq_elem elem;
static struct blk_disk disk;
static struct mt_block_req io;
static uint8_t status;

static uint64_t copy(const struct mt_iov *iov, uint32_t count, uint64_t offset, void *buf, uint64_t len, int to)
{
	uint64_t done = 0;

	for (uint32_t i = 0; i < count && done < len; i++) {
		for (uint64_t k = 0; k < iov[i].len_bytes && done < len; k++) {
			if (offset) {
				offset--;
				continue;
			}
			if (to)
				iov[i].hva[k] = ((uint8_t *)buf)[done++];
			else
				((uint8_t *)buf)[done++] = iov[i].hva[k];
		}
	}
	return done;
}

static uint64_t copy_out(const struct mt_vq_elem *e, uint64_t offset, void *buf, uint64_t len)
{
	return copy(e->out, e->out_count, offset, buf, len, 0);
}

static uint64_t copy_in(const struct mt_vq_elem *e, uint64_t offset, const void *buf, uint64_t len)
{
	return copy(e->in, e->in_count, offset, (void *)(uintptr_t)buf, len, 1);
}

static const struct mt_virtqueue_host vq = { .copy_out = copy_out, .copy_in = copy_in };

/* The pieces are cut in the middle of the header: nobody may rely on their borders. */
static enum blk_verdict parse(uint32_t type, uint64_t sector, uint64_t out_bytes, uint64_t in_bytes)
{
	memcpy(out_mem, &type, 4);
	memcpy(out_mem + 8, &sector, 8);
	out_iov[0] = (struct mt_iov){ out_mem, out_bytes < 5 ? out_bytes : 5, NULL, 0 };
	out_iov[1] = (struct mt_iov){ out_mem + 5, out_bytes - out_iov[0].len_bytes, NULL, 0 };
	in_iov[0] = (struct mt_iov){ in_mem, in_bytes, NULL, 0 };
	elem = (struct mt_vq_elem){ .out_count = 2, .in_count = 1, .out = out_iov, .in = in_iov,
				    .out_bytes = out_bytes, .in_bytes = in_bytes };
	status = 0xff;
	return blk_request_parse(&disk, &vq, &elem, &io, &status);
}

static void segment(uint64_t sector, uint32_t sectors, uint32_t flags)
{
	memcpy(out_mem + 16, &sector, 8);
	memcpy(out_mem + 24, &sectors, 4);
	memcpy(out_mem + 28, &flags, 4);
}

static void setup(void)
{
	disk = (struct blk_disk){ .bytes = DISK_SECTORS * 512ull, .discard = 1, .serial = "12345678901234567890" };
}

static void answered(enum blk_verdict verdict, uint8_t want)
{
	ck_assert_int_eq(verdict, BLK_ANSWER);
	ck_assert_uint_eq(status, want);
}

START_TEST(transfers)
{
	ck_assert_int_eq(parse(0, 3, 16, 1025), BLK_SUBMIT);
	ck_assert_uint_eq(io.op, MT_BLOCK_READ);
	ck_assert_uint_eq(io.offset, 1536);
	ck_assert_uint_eq(io.len_bytes, 1024);
	ck_assert_int_eq(parse(1, 4, 16 + 512, 1), BLK_SUBMIT);
	ck_assert_uint_eq(io.op, MT_BLOCK_WRITE);
	ck_assert_uint_eq(io.iov_skip_bytes, 16);
	ck_assert_uint_eq(io.flags, 0);
	disk.writethrough = 1;
	ck_assert_int_eq(parse(1, 4, 16 + 512, 1), BLK_SUBMIT);
	ck_assert_uint_eq(io.flags, MT_BLOCK_FUA);
	ck_assert_int_eq(parse(4, 0, 16, 1), BLK_SUBMIT);
	ck_assert_uint_eq(io.op, MT_BLOCK_FLUSH);
	answered(parse(0, DISK_SECTORS, 16, 1), BLK_S_OK);             /* nothing, at the end */
	answered(parse(0, DISK_SECTORS, 16, 513), BLK_S_IOERR);
	answered(parse(0, UINT64_MAX, 16, 513), BLK_S_IOERR);
	answered(parse(0, UINT64_MAX / 512 + 1, 16, 513), BLK_S_IOERR);
	answered(parse(0, 0, 16, 512), BLK_S_IOERR);                   /* no whole sector */
	answered(parse(99, 0, 16, 1), BLK_S_UNSUPP);
	ck_assert_int_eq(parse(0, 0, 15, 1), BLK_MALFORMED);
	ck_assert_int_eq(parse(0, 0, 16, 0), BLK_MALFORMED);
	disk.readonly = 1;
	answered(parse(1, 0, 16 + 512, 1), BLK_S_IOERR);
}
END_TEST

START_TEST(identity)
{
	memset(in_mem, 0, sizeof(in_mem));
	answered(parse(8, 0, 16, 21), BLK_S_OK);
	ck_assert_int_eq(memcmp(in_mem, "12345678901234567890\0", 21), 0);
	memset(in_mem, 0, sizeof(in_mem));
	answered(parse(8, 0, 16, 5), BLK_S_OK);                        /* a short buffer is not overrun */
	ck_assert_int_eq(memcmp(in_mem, "1234\0", 5), 0);
}
END_TEST

START_TEST(segments)
{
	segment(8, 16, 0);
	ck_assert_int_eq(parse(11, 0, 32, 1), BLK_SUBMIT);
	ck_assert_uint_eq(io.op, MT_BLOCK_DISCARD);
	ck_assert_uint_eq(io.offset, 4096);
	ck_assert_uint_eq(io.len_bytes, 8192);
	segment(8, 16, 1);
	answered(parse(11, 0, 32, 1), BLK_S_UNSUPP);                   /* the flag is of write zeroes only */
	ck_assert_int_eq(parse(13, 0, 32, 1), BLK_SUBMIT);
	ck_assert_uint_eq(io.flags, MT_BLOCK_MAY_UNMAP);
	segment(8, 16, 2);
	answered(parse(13, 0, 32, 1), BLK_S_UNSUPP);
	segment(DISK_SECTORS - 1, 2, 0);
	answered(parse(13, 0, 32, 1), BLK_S_IOERR);
	segment(0, UINT32_MAX, 0);
	answered(parse(13, 0, 32, 1), BLK_S_IOERR);
	segment(0, 1, 0);
	answered(parse(13, 0, 48, 1), BLK_S_UNSUPP);                   /* two segments */
	answered(parse(13, 0, 17, 1), BLK_S_UNSUPP);
	disk.discard = 0;
	answered(parse(11, 0, 32, 1), BLK_S_OK);
	disk.readonly = 1;
	answered(parse(13, 0, 32, 1), BLK_S_IOERR);
}
END_TEST

/* Whatever comes, what is submitted lies on the disk and in the memory of the request. */
START_TEST(fuzz)
{
	static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 2, 0xffffffff };
	uint32_t rounds = getenv("MORTISE_LONG") ? 3000000 : 100000;

	srand(4711);
	for (uint32_t i = 0; i < rounds; i++) {
		uint64_t sector = rand() & 1 ? (uint64_t)rand() % 2100 : (uint64_t)rand() << 33 ^ (uint64_t)rand();
		uint64_t out = (uint64_t)rand() % 4 ? 16 + (uint64_t)(rand() % 5) * 512 : (uint64_t)rand() % 4096;
		uint64_t in = (uint64_t)rand() % 4 ? 1 + (uint64_t)(rand() % 5) * 512 : (uint64_t)rand() % 4096;

		disk.readonly = rand() % 8 == 0;
		segment((uint64_t)rand() % 2100, (uint32_t)rand() % 64, (uint32_t)rand() % 3);
		if (parse(types[rand() % 8], sector, rand() % 3 ? out : 32, in) != BLK_SUBMIT)
			continue;
		if (io.op != MT_BLOCK_FLUSH && (io.len_bytes == 0 || io.offset > disk.bytes ||
						io.len_bytes > disk.bytes - io.offset))
			ck_abort_msg("a request beside the disk");
		if (io.op == MT_BLOCK_READ && io.len_bytes >= elem.in_bytes)
			ck_abort_msg("a read over the status byte");
		if (io.op == MT_BLOCK_WRITE && io.len_bytes + io.iov_skip_bytes > elem.out_bytes)
			ck_abort_msg("a write of what is not there");
		if (disk.readonly && io.op != MT_BLOCK_READ && io.op != MT_BLOCK_FLUSH)
			ck_abort_msg("a write to a read-only disk");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtio-blk");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, transfers);
	tcase_add_test(tc, identity);
	tcase_add_test(tc, segments);
	tcase_add_test(tc, fuzz);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
