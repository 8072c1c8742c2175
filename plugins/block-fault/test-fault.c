/* SPDX-License-Identifier: MIT */
/* Rules: each word, what is refused, that seeds repeat, and state. */
#include <fake/block.h>
#include <fake/check-run.h>
#include <fake/state.h>
#include <util/error.h>

#include "fault.h"

static struct fault fault;
static uint64_t delay_ns;

static void start(void)
{
	fault = (struct fault){ 0 };
	fault_seed(&fault, 1);
}

static void stop(void)
{
}

static void rule(const char *text)
{
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_msg(fault_rule_add(&fault, text, &err) == 0, "%s: %s", text, err.message);
}

static int32_t at(uint32_t op, uint64_t offset, uint64_t len_bytes)
{
	const struct mt_block_filter_op what = { .op = op, .offset = offset, .len_bytes = len_bytes };

	delay_ns = 0;
	return fault_operation(&fault, &what, &delay_ns);
}

START_TEST(operations)
{
	rule("write+flush error=ENOSPC");
	ck_assert_int_eq(at(MT_BLOCK_READ, 0, 512), 0);
	ck_assert_int_eq(at(MT_BLOCK_WRITE, 0, 512), MT_ENOSPC);
	ck_assert_int_eq(at(MT_BLOCK_FLUSH, 0, 0), MT_ENOSPC);
	ck_assert_int_eq(at(MT_BLOCK_ZERO, 0, 512), 0);
	ck_assert_int_eq(at(MT_BLOCK_DISCARD, 0, 512), 0);
}
END_TEST

START_TEST(ranges)
{
	rule("any from=1K length=1K error=EIO");
	ck_assert_int_eq(at(MT_BLOCK_READ, 0, 1024), 0);
	ck_assert_int_eq(at(MT_BLOCK_READ, 0, 1025), MT_EIO);
	ck_assert_int_eq(at(MT_BLOCK_READ, 2047, 1), MT_EIO);
	ck_assert_int_eq(at(MT_BLOCK_READ, 2048, 512), 0);
	ck_assert_int_eq(at(MT_BLOCK_READ, 1500, 0), 0);
	ck_assert_int_eq(at(MT_BLOCK_FLUSH, 1500, 0), 0);
	start();
	rule("from=4K error=EIO");
	ck_assert_int_eq(at(MT_BLOCK_READ, 0, 4096), 0);
	ck_assert_int_eq(at(MT_BLOCK_READ, 1ull << 60, 512), MT_EIO);
}
END_TEST

START_TEST(counts)
{
	rule("read after=2 every=3 times=2 error=EIO");
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(at(MT_BLOCK_READ, 0, 512), i == 2 || i == 5 ? MT_EIO : 0);
	start();
	rule("write once error=EPERM");
	ck_assert_int_eq(at(MT_BLOCK_WRITE, 0, 512), MT_EPERM);
	ck_assert_int_eq(at(MT_BLOCK_WRITE, 0, 512), 0);
}
END_TEST

START_TEST(delays_and_order)
{
	rule("delay=20ms");
	rule("read delay=1s error=EIO");
	rule("read error=ENOSPC");
	ck_assert_int_eq(at(MT_BLOCK_WRITE, 0, 512), 0);
	ck_assert_uint_eq(delay_ns, 20000000);
	ck_assert_int_eq(at(MT_BLOCK_READ, 0, 512), MT_EIO);
	ck_assert_uint_eq(delay_ns, 1020000000);
}
END_TEST

START_TEST(vanishing)
{
	rule("flush after=1 vanish");
	ck_assert_int_eq(at(MT_BLOCK_FLUSH, 0, 0), 0);
	ck_assert_int_eq(at(MT_BLOCK_READ, 0, 512), 0);
	ck_assert_int_eq(at(MT_BLOCK_FLUSH, 0, 0), MT_EGONE);
	ck_assert_int_eq(at(MT_BLOCK_READ, 0, 512), MT_EGONE);
	ck_assert_int_eq(at(MT_BLOCK_WRITE, 0, 512), MT_EGONE);
}
END_TEST

static uint64_t pattern(uint64_t seed)
{
	uint64_t bits = 0;

	start();
	fault_seed(&fault, seed);
	rule("chance=0.25 error=EIO");
	for (int i = 0; i < 64; i++)
		bits = bits << 1 | (at(MT_BLOCK_READ, 0, 512) != 0);
	return bits;
}

START_TEST(chances_repeat)
{
	uint32_t fired = 0;

	ck_assert_uint_eq(pattern(7), pattern(7));
	ck_assert_uint_ne(pattern(7), pattern(8));
	for (int i = 0; i < 10000; i++)
		fired += at(MT_BLOCK_READ, 0, 512) != 0;
	ck_assert_uint_ge(fired, 2300);
	ck_assert_uint_le(fired, 2700);
}
END_TEST

START_TEST(what_is_no_rule)
{
	static const char *const texts[] = {
		"", "write", "wriet error=EIO", "error=EWHAT", "after=x error=EIO", "every=0 error=EIO", "times=0 error=EIO",
		"chance=2 error=EIO", "chance=1.1 error=EIO", "chance=0.1234567 error=EIO", "chance= error=EIO",
		"length=0 error=EIO", "from=1X error=EIO", "from=99999999999999999999 error=EIO", "delay=1h", "delay=-1",
		"from=9000000T error=EIO", "what=1 error=EIO", "+ error=EIO",
		"a-word-that-is-so-long-that-no-buffer-should-have-to-hold-it-and-then-some-more error=EIO",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct mt_error err;

		mt_error_init(&err);
		ck_assert_msg(fault_rule_add(&fault, texts[i], &err) == MT_EINVAL, "'%s' is taken", texts[i]);
		ck_assert_str_eq(err.culprit, "rule");
	}
	ck_assert_uint_eq(fault.rule_count, 0);
	for (uint32_t i = 0; i < FAULT_RULES; i++)
		rule("error=EIO");
	ck_assert_int_eq(fault_rule_add(&fault, "error=EIO", NULL), MT_ERANGE);
}
END_TEST

static struct fake *plugin(void)
{
	struct fake *f = fake_new("block-fault");

	fake_prop(f, "rule", "read after=3 error=EIO,chance=0.5 delay=1ms,flush once vanish");
	fake_prop(f, "seed", "9");
	return f;
}

START_TEST(state)
{
	struct fake *f = plugin();
	const struct mt_block_filter *filter = fake_role(f, MT_IFACE_BLOCK_FILTER);
	uint64_t delay = 0;

	fake_start(f);
	for (uint32_t op = MT_BLOCK_READ; op <= MT_BLOCK_ZERO; op++)
		filter->begin(fake_self(f), &(struct mt_block_filter_op){ .op = op, .len_bytes = 512 }, &delay);
	fake_state_check(f, plugin);
	fake_free(f);
}
END_TEST

int main(void)
{
	CHECK_RUN("block-fault", start, stop, operations, ranges, counts, delays_and_order, vanishing, chances_repeat,
		  what_is_no_rule, state);
}
