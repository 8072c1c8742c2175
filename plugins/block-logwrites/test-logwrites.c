/* SPDX-License-Identifier: MIT */
/* The log by the description of its format: entries in order, with flags and data; appending; faults of the log. */
#include <fake/block.h>
#include <fake/check-run.h>
#include <fake/state.h>
#include <mortise/draft/block-filter.h>
#include <util/error.h>

#define SECTOR 512u

static struct fake *f;
static uint8_t data[4 * SECTOR];

static struct fake *plugin(void)
{
	struct fake *other = fake_new("block-logwrites");

	fake_prop(other, "log", "log");
	return other;
}

static void start(void)
{
	f = plugin();
	fake_block_file_set(f, "log", "old", 3);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i / SECTOR + 1);
}

static void stop(void)
{
	fake_free(f);
}

static uint64_t word(uint64_t at)
{
	uint64_t len, value;
	const uint8_t *log = fake_block_file(f, "log", &len);

	ck_assert_uint_le(at + 8, len);
	memcpy(&value, log + at, 8);
	return value;
}

static const struct mt_block_filter *filter(void)
{
	return fake_role(f, MT_IFACE_BLOCK_FILTER);
}

static struct mt_block_filter_op op_of(uint32_t op, uint64_t sector, uint64_t sectors, uint32_t flags)
{
	return (struct mt_block_filter_op){ .op = op, .flags = flags, .offset = sector * SECTOR,
					    .len_bytes = sectors * SECTOR,
					    .data = op == MT_BLOCK_WRITE ? data : NULL };
}

static int32_t begin(const struct mt_block_filter_op *op)
{
	uint64_t delay = 0;
	int32_t rc = filter()->begin(fake_self(f), op, &delay);

	ck_assert_uint_eq(delay, 0);
	return rc;
}

static int32_t all(uint32_t op, uint64_t sector, uint64_t sectors, uint32_t flags, int32_t result)
{
	const struct mt_block_filter_op what = op_of(op, sector, sectors, flags);

	ck_assert_int_eq(begin(&what), 0);
	return filter()->end(fake_self(f), &what, result);
}

/* An entry, and where the next one is. */
static uint64_t entry_is(uint64_t at, uint64_t sector, uint64_t sectors, uint64_t flags)
{
	ck_assert_uint_eq(word(at), sector);
	ck_assert_uint_eq(word(at + 8), sectors);
	ck_assert_uint_eq(word(at + 16), flags);
	ck_assert_uint_eq(word(at + 24), 0);
	return at + SECTOR + (flags & 4 ? 0 : sectors * SECTOR);
}

START_TEST(entries)
{
	uint64_t at = SECTOR, len;

	fake_start(f);
	ck_assert_int_eq(all(MT_BLOCK_WRITE, 7, 2, 0, 0), 0);
	ck_assert_int_eq(all(MT_BLOCK_WRITE, 1, 1, 0, MT_EIO), MT_EIO);       /* failed: not in it */
	ck_assert_int_eq(all(MT_BLOCK_DISCARD, 100, 50, 0, 0), 0);
	ck_assert_int_eq(all(MT_BLOCK_ZERO, 9, 3, 0, 0), 0);
	ck_assert_uint_eq(word(16), 0);
	ck_assert_int_eq(all(MT_BLOCK_FLUSH, 0, 0, 0, 0), 0);
	ck_assert_uint_eq(word(16), 4);
	ck_assert_int_eq(all(MT_BLOCK_WRITE, 3, 1, MT_BLOCK_FUA, 0), 0);
	ck_assert_uint_eq(word(0), 0x6a736677736872ull);
	ck_assert_uint_eq(word(8), 1);
	ck_assert_uint_eq(word(16), 5);
	ck_assert_uint_eq(word(24), SECTOR);
	ck_assert_mem_eq(fake_block_file(f, "log", &len) + 2 * SECTOR, data, 2 * SECTOR);
	at = entry_is(at, 7, 2, 0);
	at = entry_is(at, 100, 50, 4);
	at = entry_is(at, 9, 3, 0);
	ck_assert_uint_eq(word(at - 8), 0);
	at = entry_is(at, 0, 0, 1);
	at = entry_is(at, 3, 1, 2);
	fake_block_file(f, "log", &len);
	ck_assert_uint_eq(len, at);
}
END_TEST

/* What a flush covers stands before it, what ends later behind it, though it began before. */
START_TEST(a_flush_has_its_place)
{
	const struct mt_block_filter_op early = op_of(MT_BLOCK_WRITE, 1, 1, 0), flush = op_of(MT_BLOCK_FLUSH, 0, 0, 0);
	uint64_t at = SECTOR;

	fake_start(f);
	ck_assert_int_eq(all(MT_BLOCK_WRITE, 5, 1, 0, 0), 0);
	ck_assert_int_eq(begin(&early), 0);
	ck_assert_int_eq(begin(&flush), 0);
	ck_assert_int_eq(filter()->end(fake_self(f), &early, 0), 0);
	ck_assert_int_eq(filter()->end(fake_self(f), &flush, 0), 0);
	at = entry_is(at, 5, 1, 0);
	at = entry_is(at, 0, 0, 1);
	entry_is(at, 1, 1, 0);
	ck_assert_uint_eq(word(16), 3);
}
END_TEST

START_TEST(what_is_no_sector_is_refused)
{
	struct mt_block_filter_op op = op_of(MT_BLOCK_WRITE, 1, 1, 0);

	fake_start(f);
	op.offset += 1;
	ck_assert_int_eq(begin(&op), MT_EINVAL);
	op.offset -= 1;
	op.len_bytes -= 1;
	ck_assert_int_eq(begin(&op), MT_EINVAL);
}
END_TEST

START_TEST(a_log_goes_on)
{
	static uint8_t copy[65536];
	uint64_t at = SECTOR, len;
	const uint8_t *log;

	fake_start(f);
	all(MT_BLOCK_WRITE, 1, 2, 0, 0);
	all(MT_BLOCK_DISCARD, 50, 2, 0, 0);
	all(MT_BLOCK_FLUSH, 0, 0, 0, 0);
	log = fake_block_file(f, "log", &len);
	ck_assert_uint_le(len, sizeof(copy));
	memcpy(copy, log, len);
	fake_free(f);
	f = plugin();
	fake_block_file_set(f, "log", copy, len);
	fake_prop(f, "log-append", "on");
	fake_start(f);
	ck_assert_int_eq(all(MT_BLOCK_WRITE, 3, 1, MT_BLOCK_FUA, 0), 0);
	ck_assert_uint_eq(word(16), 4);
	at = entry_is(at, 1, 2, 0);
	at = entry_is(at, 50, 2, 4);
	at = entry_is(at, 0, 0, 1);
	entry_is(at, 3, 1, 2);
}
END_TEST

static void append_refused(const void *bytes, uint64_t len_bytes)
{
	struct mt_error err;

	fake_free(f);
	start();
	fake_block_file_set(f, "log", bytes, len_bytes);
	fake_prop(f, "log-append", "on");
	mt_error_init(&err);
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_eq(fake_realize(f, &err), MT_EINVAL);
	ck_assert_str_eq(err.culprit, "log");
}

START_TEST(other_files_are_not_gone_on_with)
{
	uint64_t log[128] = { 0x6a736677736872ull, 1, 1, 512 };

	append_refused("", 0);
	append_refused("what is this", 12);
	append_refused(log, 512);                       /* an entry that is not there */
	log[65] = UINT64_MAX / 512;
	append_refused(log, sizeof(log));
	log[65] = UINT64_MAX;
	append_refused(log, sizeof(log));
	log[2] = UINT64_MAX;
	log[65] = 0;
	append_refused(log, sizeof(log));
	log[3] = 4096;
	append_refused(log, sizeof(log));
}
END_TEST

START_TEST(a_log_that_fails_stays_so)
{
	const struct mt_block_filter_op op = op_of(MT_BLOCK_WRITE, 1, 1, 0);

	fake_start(f);
	fake_block_fail_in(f, 2);
	ck_assert_int_eq(all(MT_BLOCK_WRITE, 1, 1, 0, 0), MT_EIO);
	ck_assert_uint_eq(fake_log_count(f, MT_LOG_ERROR), 1);
	ck_assert_int_eq(begin(&op), MT_EIO);
}
END_TEST

START_TEST(state)
{
	struct fake_state *saved;
	struct mt_error err;

	fake_start(f);
	all(MT_BLOCK_WRITE, 1, 1, 0, 0);
	saved = fake_save(f);
	fake_free(f);
	start();
	mt_error_init(&err);
	ck_assert_int_eq(fake_load(f, saved, &err), 0);
	fake_state_free(saved);
}
END_TEST

int main(void)
{
	CHECK_RUN("block-logwrites", start, stop, entries, a_flush_has_its_place, what_is_no_sector_is_refused,
		  a_log_goes_on, other_files_are_not_gone_on_with, a_log_that_fails_stays_so, state);
}
