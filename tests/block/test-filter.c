/* SPDX-License-Identifier: MIT */
/*
 * Filters on the kernel's block graph: the cores of block-fault and block-throttle over a disk and before its file, and
 * a filter that records what passes, from whose record the disk must come out the same. Nodes are made by hand.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/block/filter.h"
#include "kernel/machine/loop.h"
#include "plugins/block-fault/fault.h"
#include "plugins/block-throttle/throttle.h"

#define DISK_BYTES (1u << 20)

static char path[64];
static struct loop *loop;
static struct file *file;
static struct bnode disk, top[2];
static struct mt_block *block;
static struct fault fault;
static struct throttle throttle;

/* The disk */

static void disk_info(void *self, struct mt_block_info *out)
{
	(void)self;
	out->disk_bytes = DISK_BYTES;
}

static int32_t disk_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
			struct mt_block_extent *extents, uint32_t max)
{
	(void)self, (void)len_bytes, (void)purpose, (void)max;
	extents[0] = (struct mt_block_extent){ .len_bytes = DISK_BYTES - offset, .child_offset = offset,
		.kind = MT_BLOCK_EXT_DATA, .flags = MT_BLOCK_EXT_WRITABLE };
	return 1;
}

static const struct mt_block_format disk_format = { .info = disk_info, .map = disk_map };

/* Filters */

static int32_t fault_begin(void *self, const struct mt_block_filter_op *op, uint64_t *delay_ns)
{
	return fault_operation(self, op, delay_ns);
}

static int32_t throttle_begin(void *self, const struct mt_block_filter_op *op, uint64_t *delay_ns)
{
	*delay_ns = throttle_take(self, THROTTLE_WRITE, op->len_bytes, op->now_ns);
	return 0;
}

static const struct mt_block_filter fault_filter = { .ops = MT_BLOCK_FILTER_ALL, .begin = fault_begin };
static const struct mt_block_filter throttle_filter = { .ops = MT_BLOCK_FILTER_ALL, .begin = throttle_begin };
static const struct mt_block_filter reads_only = { .ops = MT_BLOCK_FILTER_BIT(MT_BLOCK_READ), .begin = fault_begin };

/* Keeps a second disk by what it is told. */
static struct record {
	pthread_mutex_t lock;
	uint8_t bytes[DISK_BYTES];
	uint32_t begun, ended, flushes, failed;
} record;

static int32_t record_begin(void *self, const struct mt_block_filter_op *op, uint64_t *delay_ns)
{
	struct record *r = self;

	(void)op, (void)delay_ns;
	r->begun++;
	return 0;
}

static int32_t record_end(void *self, const struct mt_block_filter_op *op, int32_t result)
{
	struct record *r = self;

	pthread_mutex_lock(&r->lock);
	r->ended++;
	r->failed += result != 0;
	r->flushes += op->op == MT_BLOCK_FLUSH;
	if (result == 0 && op->op == MT_BLOCK_WRITE)
		memcpy(r->bytes + op->offset, op->data, op->len_bytes);
	else if (result == 0 && op->op != MT_BLOCK_FLUSH)
		memset(r->bytes + op->offset, 0, op->len_bytes);
	pthread_mutex_unlock(&r->lock);
	return result;
}

static const struct mt_block_filter record_filter = {
	.ops = MT_BLOCK_FILTER_ALL, .ends = MT_BLOCK_FILTER_ALL & ~MT_BLOCK_FILTER_BIT(MT_BLOCK_READ),
	.begin = record_begin, .end = record_end,
};

/* Life */

static void node_make(struct bnode *n, const struct mt_block_format *format, void *self)
{
	*n = (struct bnode){ .format = format, .self = self, .children = g_new0(struct bchild, 1), .child_count = 1,
			     .workers = loop_workers(loop) };
	node_init(n);
}

static void filter_make(struct bnode *n, const struct mt_block_filter *filter, void *self, struct bnode *below)
{
	node_make(n, &filter_format, n);
	n->filter = filter;
	n->filter_self = self;
	n->delays = filter_delays_create(n, loop);
	n->children[0].node = below;
	n->child_count = below ? 1 : 0;
	if (below) {
		below->above = n;
		n->info = below->info;
	}
}

static void filter_destroy(struct bnode *n)
{
	if (!n->filter)
		return;
	filter_delays_destroy(n->delays);
	node_fini(n);
	g_free(n->children);
	*n = (struct bnode){ 0 };
}

static void setup(void)
{
	struct file_options options = { .discard = true, .locking = true };
	struct mt_error err = { .size = sizeof(err) };
	int fd;

	strcpy(path, "test-filter-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, DISK_BYTES), 0);
	close(fd);
	loop = loop_create("test");
	file = file_open(path, &options, &err);
	ck_assert_ptr_nonnull(file);
	node_make(&disk, &disk_format, NULL);
	disk.children[0].file = file;
	disk.info.disk_bytes = DISK_BYTES;
	fault = (struct fault){ 0 };
	fault_seed(&fault, 1);
	throttle = (struct throttle){ 0 };
	record = (struct record){ .lock = PTHREAD_MUTEX_INITIALIZER };
}

static void teardown(void)
{
	if (block)
		request_close(block);
	block = NULL;
	filter_destroy(&top[1]);
	filter_destroy(&top[0]);
	file_close(file);
	node_fini(&disk);
	g_free(disk.children);
	loop_destroy(loop);
	unlink(path);
}

static void open_on(struct bnode *node)
{
	struct mt_error err = { .size = sizeof(err) };

	block = request_open(node, true, &err);
	ck_assert_msg(block != NULL, "%s", err.message);
}

static void rule(const char *text)
{
	ck_assert_int_eq(fault_rule_add(&fault, text, NULL), 0);
}

/* Requests */

struct one {
	struct mt_block_req req;
	struct mt_iov iov;
};

static void submit(struct one *one, uint32_t op, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct mt_block_req *req = &one->req;

	one->iov = (struct mt_iov){ .hva = buf, .len_bytes = len_bytes };
	one->req = (struct mt_block_req){ .op = op, .offset = offset, .len_bytes = len_bytes, .iov = &one->iov,
					  .iov_count = buf ? 1 : 0 };
	request_submit(block, &req, 1);
}

static void reap_all(void)
{
	struct mt_block_req *done;

	while (request_reap(block, &done, 1))
		;
}

static int32_t transfer(uint32_t op, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct one one;

	submit(&one, op, offset, buf, len_bytes);
	request_join(block);
	reap_all();
	return one.req.result;
}

static void faults_are_seen(void)
{
	uint8_t out[4096], in[4096];

	memset(out, 0x5a, sizeof(out));
	rule("write after=1 once error=ENOSPC");
	rule("flush once error=EIO");
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 4096, out, sizeof(out)), 0);
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 8192, out, sizeof(out)), MT_ENOSPC);
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 4096, in, sizeof(in)), 0);
	ck_assert_int_eq(memcmp(in, out, sizeof(in)), 0);
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 8192, in, sizeof(in)), 0);
	ck_assert_uint_eq(in[0] | in[4095], 0);
	ck_assert_int_eq(transfer(MT_BLOCK_FLUSH, 0, NULL, 0), MT_EIO);
}

START_TEST(errors_over_a_disk)
{
	filter_make(&top[0], &fault_filter, &fault, &disk);
	open_on(&top[0]);
	faults_are_seen();
	ck_assert_int_eq(transfer(MT_BLOCK_FLUSH, 0, NULL, 0), 0);
}
END_TEST

/* There a failed flush is final, as with a file of the host. */
START_TEST(errors_before_a_file)
{
	uint8_t byte;

	filter_make(&top[0], &fault_filter, &fault, NULL);
	file->through = disk.through = &top[0];
	open_on(&disk);
	faults_are_seen();
	ck_assert_int_eq(transfer(MT_BLOCK_FLUSH, 0, NULL, 0), MT_EIO);
	rule("read from=0 length=1 error=EPERM");
	ck_assert_int_eq(file_read(file, 0, &byte, 1), MT_EPERM);
	ck_assert_int_eq(file_read(file, 1, &byte, 1), 0);
	ck_assert_int_eq(file_flush(file), MT_EIO);
}
END_TEST

/* What went well, what failed, and what could not be, by kind; times are of the kinds that took some. */
START_TEST(statistics)
{
	const struct block_stats *s;
	uint8_t bytes[1024] = { 0 };
	uint64_t sum = 0;

	rule("write after=2 once error=EIO");
	filter_make(&top[0], &fault_filter, &fault, &disk);
	open_on(&top[0]);
	s = &block->stats;
	for (uint32_t i = 0; i < 3; i++)
		transfer(MT_BLOCK_WRITE, 0, bytes, 512);
	transfer(MT_BLOCK_ZERO, 4096, NULL, 8192);
	transfer(MT_BLOCK_READ, 0, bytes, 1024);
	transfer(MT_BLOCK_READ, DISK_BYTES, bytes, 512);
	transfer(MT_BLOCK_FLUSH, 0, NULL, 0);
	ck_assert_uint_eq(s->of[STATS_WRITE].operations, 3);
	ck_assert_uint_eq(s->of[STATS_WRITE].bytes, 2 * 512 + 8192);
	ck_assert_uint_eq(s->of[STATS_WRITE].failed, 1);
	ck_assert_uint_eq(s->of[STATS_READ].operations, 1);
	ck_assert_uint_eq(s->of[STATS_READ].bytes, 1024);
	ck_assert_uint_eq(s->of[STATS_READ].invalid, 1);
	ck_assert_uint_eq(s->of[STATS_FLUSH].operations, 1);
	ck_assert_uint_eq(s->of[STATS_UNMAP].operations, 0);
	ck_assert_uint_gt(s->of[STATS_READ].total_ns, 0);
	for (uint32_t i = 0; i < STATS_BINS; i++)
		sum += s->of[STATS_WRITE].bins[i];
	ck_assert_uint_eq(sum, 4);
	ck_assert_uint_eq(s->begun, 7);
	ck_assert_uint_eq(s->ended, 7);
}
END_TEST

START_TEST(what_a_filter_does_not_know_is_refused)
{
	uint8_t bytes[512] = { 0 };

	filter_make(&top[0], &reads_only, &fault, &disk);
	open_on(&top[0]);
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, bytes, sizeof(bytes)), 0);
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, bytes, sizeof(bytes)), MT_ENOTSUP);
	ck_assert_int_eq(transfer(MT_BLOCK_FLUSH, 0, NULL, 0), MT_ENOTSUP);
}
END_TEST

START_TEST(a_delay_is_waited_for)
{
	uint8_t bytes[512];
	uint64_t begun = loop_now_ns();

	rule("delay=30ms");
	filter_make(&top[0], &fault_filter, &fault, &disk);
	open_on(&top[0]);
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, bytes, sizeof(bytes)), 0);
	ck_assert_uint_ge(loop_now_ns() - begun, 30000000);
}
END_TEST

/* Requests held for an hour, over the disk and before its file. */
static void a_drain_ends_delays(struct bnode *node)
{
	static uint8_t bytes[8][512];
	struct one ones[8];
	uint8_t in[512];

	open_on(node);
	for (uint32_t i = 0; i < 8; i++) {
		memset(bytes[i], (int)(i + 1), sizeof(bytes[i]));
		submit(&ones[i], MT_BLOCK_WRITE, i * 512, bytes[i], 512);
	}
	ck_assert_uint_eq(request_in_flight(block), 8);
	request_drain(block);
	ck_assert_uint_eq(request_in_flight(block), 0);
	reap_all();
	for (uint32_t i = 0; i < 8; i++) {
		ck_assert_int_eq(ones[i].req.result, 0);
		ck_assert_int_eq(pread(file->plain_fd, in, 512, i * 512), 512);
		ck_assert_int_eq(memcmp(in, bytes[i], 512), 0);
	}
}

START_TEST(a_drain_ends_delays_over_a_disk)
{
	rule("delay=3600s");
	filter_make(&top[0], &fault_filter, &fault, &disk);
	a_drain_ends_delays(&top[0]);
}
END_TEST

START_TEST(a_drain_ends_delays_before_a_file)
{
	rule("delay=3600s");
	filter_make(&top[0], &fault_filter, &fault, NULL);
	file->through = disk.through = &top[0];
	a_drain_ends_delays(&disk);
}
END_TEST

static void *hurry_later(void *arg)
{
	g_usleep(20000);
	filter_hurry(arg, true);
	filter_hurry(arg, false);
	return NULL;
}

START_TEST(a_drain_ends_calls_that_wait)
{
	GThread *thread;
	uint8_t byte;

	rule("delay=3600s");
	filter_make(&top[0], &fault_filter, &fault, NULL);
	file->through = disk.through = &top[0];
	thread = g_thread_new("hurry", hurry_later, &disk);
	ck_assert_int_eq(file_read(file, 0, &byte, 1), 0);
	g_thread_join(thread);
}
END_TEST

/* 40 writes of 4 KiB at 1 MiB a second, of which a tenth of a second's worth is free. */
START_TEST(a_rate_is_kept)
{
	static uint8_t bytes[4096];
	static struct one ones[40];
	uint64_t begun = loop_now_ns();

	throttle_set(&throttle.bps[THROTTLE_TOTAL], 1 << 20, 0, 1);
	filter_make(&top[0], &throttle_filter, &throttle, &disk);
	open_on(&top[0]);
	for (uint32_t i = 0; i < 40; i++)
		submit(&ones[i], MT_BLOCK_WRITE, i * 4096, bytes, sizeof(bytes));
	request_join(block);
	reap_all();
	ck_assert_uint_ge(loop_now_ns() - begun, (39ull * 4096 - (1 << 20) / 10) * NS_PER_S >> 20);
}
END_TEST

/* Two in a row: what the upper one refuses the lower one never sees, and the upper one hears how it ended. */
START_TEST(a_row_of_filters)
{
	uint8_t bytes[512] = { 7 };

	rule("write every=2 error=EIO");
	filter_make(&top[0], &fault_filter, &fault, &disk);
	filter_make(&top[1], &record_filter, &record, &top[0]);
	open_on(&top[1]);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(transfer(MT_BLOCK_WRITE, i * 512, bytes, sizeof(bytes)), i & 1 ? 0 : MT_EIO);
	ck_assert_uint_eq(record.ended, 4);
	ck_assert_uint_eq(record.failed, 2);
	ck_assert_uint_eq(record.bytes[0], 0);
	ck_assert_uint_eq(record.bytes[512], 7);
	request_close(block);
	block = NULL;
	filter_destroy(&top[1]);
	filter_destroy(&top[0]);
	record.begun = 0;
	filter_make(&top[0], &record_filter, &record, &disk);
	filter_make(&top[1], &fault_filter, &fault, &top[0]);
	open_on(&top[1]);
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, bytes, sizeof(bytes)), MT_EIO);
	ck_assert_uint_eq(record.begun, 0);
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, bytes, sizeof(bytes)), 0);
	ck_assert_uint_eq(record.begun, 1);
}
END_TEST

static uint64_t random_state = 4711;

static uint64_t rnd(uint64_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (random_state >> 33) % below;
}

/* Each on a part of the disk of its own, so that their order does not matter; faults on the way. */
static void record_rounds(struct bnode *node)
{
	static struct one ones[16];
	static uint8_t bytes[16][65536], in[DISK_BYTES];
	static const uint32_t ops[] = { MT_BLOCK_WRITE, MT_BLOCK_WRITE, MT_BLOCK_ZERO, MT_BLOCK_FLUSH, MT_BLOCK_READ };

	open_on(node);
	for (uint32_t round = 0; round < 60; round++) {
		for (uint32_t i = 0; i < 16; i++) {
			uint32_t op = ops[rnd(G_N_ELEMENTS(ops))];
			uint64_t len = op == MT_BLOCK_FLUSH ? 0 : 512 * (1 + rnd(127));

			memset(bytes[i], (int)rnd(255) + 1, len);
			submit(&ones[i], op, i * 65536, op < MT_BLOCK_FLUSH ? bytes[i] : NULL, len);
		}
		request_join(block);
		reap_all();
		for (uint32_t i = 0; i < 16; i++)
			ck_assert_int_eq(ones[i].req.result, 0);
	}
	ck_assert_int_eq(pread(file->plain_fd, in, DISK_BYTES, 0), DISK_BYTES);
	ck_assert_int_eq(memcmp(in, record.bytes, DISK_BYTES), 0);
	ck_assert_uint_gt(record.flushes, 0);
}

START_TEST(a_record_over_a_disk)
{
	filter_make(&top[0], &record_filter, &record, &disk);
	record_rounds(&top[0]);
}
END_TEST

START_TEST(a_record_before_a_file)
{
	filter_make(&top[0], &record_filter, &record, NULL);
	file->through = disk.through = &top[0];
	record_rounds(&disk);
	ck_assert_int_eq(file_write(file, 1000, "unaligned", 9), 0);           /* in whole sectors */
	ck_assert_int_eq(memcmp(record.bytes + 1000, "unaligned", 9), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("filter");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, errors_over_a_disk);
	tcase_add_test(tc, errors_before_a_file);
	tcase_add_test(tc, statistics);
	tcase_add_test(tc, what_a_filter_does_not_know_is_refused);
	tcase_add_test(tc, a_delay_is_waited_for);
	tcase_add_test(tc, a_drain_ends_delays_over_a_disk);
	tcase_add_test(tc, a_drain_ends_delays_before_a_file);
	tcase_add_test(tc, a_drain_ends_calls_that_wait);
	tcase_add_test(tc, a_rate_is_kept);
	tcase_add_test(tc, a_row_of_filters);
	tcase_add_test(tc, a_record_over_a_disk);
	tcase_add_test(tc, a_record_before_a_file);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
