/* SPDX-License-Identifier: MIT */
/* dev-example on the fake host. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>

static struct fake *f;

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-example");

	fake_prop(made, "at", "0x10000000");
	fake_prop(made, "irq", "plic:1");
	return made;
}

static void start(void)
{
	f = make();
	fake_start(f);
}

static void stop(void)
{
	fake_free(f);
}

START_TEST(registers)
{
	ck_assert_uint_eq(fake_get(f, 0, 4), 0x1234);
	fake_put(f, 0, 4, 1);
	ck_assert_uint_eq(fake_get(f, 0, 4), 0x1234);
	fake_put(f, 4, 4, 0xcafe0000);
	fake_put(f, 5, 1, 0xbb);
	ck_assert_uint_eq(fake_get(f, 4, 4), 0xcafebb00);
}
END_TEST

START_TEST(interrupt)
{
	fake_put(f, 8, 4, 0xff);
	ck_assert_uint_eq(fake_get(f, 8, 4), 1);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
}
END_TEST

START_TEST(state)
{
	fake_put(f, 4, 4, 0xcafe);
	fake_put(f, 8, 4, 1);
	fake_state_check(f, make);
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 1, 100000);
}
END_TEST

int main(void)
{
	CHECK_RUN("example", start, stop, registers, interrupt, state, fuzz);
}
