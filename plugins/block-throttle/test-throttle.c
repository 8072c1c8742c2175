/* SPDX-License-Identifier: MIT */
/* Limits by a clock of the test's own: rates, bursts, order, and that state and a restored disk owe the same. */
#include <fake/block.h>
#include <fake/check-run.h>
#include <fake/state.h>
#include <mortise/draft/block-filter.h>
#include <util/error.h>

#include "throttle.h"

#define START_NS 5000000000ull

static struct fake *f;

static void start(void)
{
	f = fake_new("block-throttle");
}

static void stop(void)
{
	fake_free(f);
}

static uint64_t ask(uint32_t op, uint64_t len_bytes, uint64_t now_ns)
{
	const struct mt_block_filter *filter = fake_role(f, MT_IFACE_BLOCK_FILTER);
	const struct mt_block_filter_op what = { .op = op, .len_bytes = len_bytes, .now_ns = now_ns };
	uint64_t delay_ns = 0;

	ck_assert_int_eq(filter->begin(fake_self(f), &what, &delay_ns), 0);
	return delay_ns;
}

/* Submitted all at once, the last of 1,000 goes when the rate has let 999 by, less what a burst lets by. */
START_TEST(a_rate_is_kept)
{
	uint64_t last = 0;

	fake_prop(f, "iops-total", "100");
	fake_start(f);
	for (int i = 0; i < 1000; i++) {
		uint64_t due = ask(i & 1 ? MT_BLOCK_READ : MT_BLOCK_WRITE, 4096, START_NS);

		ck_assert_uint_ge(due, last);                  /* nobody overtakes */
		last = due;
	}
	ck_assert_uint_eq(last, (999 - 10) * (NS_PER_S / 100));
	ck_assert_uint_eq(ask(MT_BLOCK_FLUSH, 0, START_NS), 0);
	ck_assert_uint_eq(ask(MT_BLOCK_READ, 512, START_NS + 20 * NS_PER_S), 0);       /* paid off */
}
END_TEST

START_TEST(directions_are_apart)
{
	fake_prop(f, "bps-write", "1M");
	fake_start(f);
	ck_assert_uint_eq(ask(MT_BLOCK_WRITE, 10 << 20, START_NS), 0);         /* larger than the burst: passes once */
	ck_assert_uint_eq(ask(MT_BLOCK_READ, 10 << 20, START_NS), 0);
	ck_assert_uint_gt(ask(MT_BLOCK_ZERO, 512, START_NS), 9 * NS_PER_S);
	ck_assert_uint_gt(ask(MT_BLOCK_DISCARD, 512, START_NS), 9 * NS_PER_S);
	ck_assert_uint_eq(ask(MT_BLOCK_READ, 512, START_NS), 0);
}
END_TEST

START_TEST(bursts)
{
	uint64_t passed = 0, now = START_NS;

	fake_prop(f, "iops-read", "10");
	fake_prop(f, "iops-read-max", "1000");
	fake_prop(f, "iops-read-max-length", "3");
	fake_start(f);
	while (ask(MT_BLOCK_READ, 4096, now) < 10000000) {                 /* as long as it is not held for long */
		passed++;
		now += 1000000;
	}
	ck_assert_uint_ge(passed, 3000);
	ck_assert_uint_le(passed, 3100);
	ck_assert_uint_ge(ask(MT_BLOCK_READ, 4096, now), 90000000);            /* then 10 a second */
}
END_TEST

START_TEST(large_operations_count_more)
{
	fake_prop(f, "iops-total", "10");
	fake_prop(f, "iops-size", "4K");
	fake_start(f);
	ck_assert_uint_eq(ask(MT_BLOCK_READ, 40961, START_NS), 0);            /* 11 of them */
	ck_assert_uint_eq(ask(MT_BLOCK_READ, 4096, START_NS), NS_PER_S);
}
END_TEST

static struct fake *same(void)
{
	struct fake *other = fake_new("block-throttle");

	fake_prop(other, "iops-total", "10");
	fake_prop(other, "bps-read", "1M");
	fake_prop(other, "bps-read-max", "4M");
	return other;
}

START_TEST(state)
{
	fake_free(f);
	f = same();
	fake_start(f);
	for (int i = 0; i < 100; i++)
		ask(MT_BLOCK_READ, 65536, START_NS);
	fake_state_check(f, same);
}
END_TEST

static int refused(void)
{
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_int_eq(fake_create(f, &err), 0);
	return fake_realize(f, &err);
}

START_TEST(no_limit_is_refused)
{
	ck_assert_int_eq(refused(), MT_EINVAL);
}
END_TEST

START_TEST(a_burst_below_the_rate_is_refused)
{
	fake_prop(f, "bps-total", "2M");
	fake_prop(f, "bps-total-max", "1M");
	ck_assert_int_eq(refused(), MT_ERANGE);
}
END_TEST

START_TEST(numbers_at_their_ends)
{
	struct throttle t = { .op_bytes = 1 };

	throttle_set(&t.bps[THROTTLE_TOTAL], 1, UINT64_MAX, 86400);
	throttle_set(&t.iops[THROTTLE_READ], UINT64_MAX, UINT64_MAX, 1);
	for (int i = 0; i < 100; i++)
		throttle_take(&t, THROTTLE_READ, UINT64_MAX, i ? UINT64_MAX : 1);
	ck_assert_uint_le(throttle_take(&t, THROTTLE_READ, 1, 1), UINT64_MAX / 8);
}
END_TEST

int main(void)
{
	CHECK_RUN("block-throttle", start, stop, a_rate_is_kept, directions_are_apart, bursts,
		  large_operations_count_more, state, no_limit_is_refused, a_burst_below_the_rate_is_refused,
		  numbers_at_their_ends);
}
