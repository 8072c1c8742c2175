/* SPDX-License-Identifier: MIT */
/* dev-rtc-goldfish on the fake host, whose UTC starts at 1 000 000 000 s. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>

#define SECOND 1000000000ull
#define START  (1000000000ull * SECOND)

static struct fake *f;

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-rtc-goldfish");

	fake_prop(made, "at", "0x00101000");
	fake_prop(made, "irq", "plic:11");
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

static uint64_t time_now(void)
{
	uint64_t low = fake_get(f, 0, 4);

	return fake_get(f, 4, 4) << 32 | low;
}

static void set_pair(uint32_t low_offset, uint64_t ns)
{
	fake_put(f, low_offset + 4, 4, ns >> 32);
	fake_put(f, low_offset, 4, (uint32_t)ns);
}

START_TEST(time_runs_and_can_be_set)
{
	ck_assert_uint_eq(time_now(), START);
	fake_advance(f, 5 * SECOND);
	ck_assert_uint_eq(time_now(), START + 5 * SECOND);
	set_pair(0, 77 * SECOND);
	fake_advance(f, SECOND);
	ck_assert_uint_eq(time_now(), 78 * SECOND);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ck_assert_uint_eq(time_now(), 78 * SECOND);
}
END_TEST

START_TEST(high_half_is_latched)
{
	set_pair(0, 0xfffffff0);
	ck_assert_uint_eq(fake_get(f, 0, 4), 0xfffffff0);
	fake_advance(f, 0x20);
	ck_assert_uint_eq(fake_get(f, 4, 4), 0);
	ck_assert_uint_eq(fake_get(f, 0, 4), 0x10);
	ck_assert_uint_eq(fake_get(f, 4, 4), 1);
}
END_TEST

START_TEST(alarm_interrupts)
{
	fake_put(f, 0x10, 4, 1);
	set_pair(8, START + 3 * SECOND);
	ck_assert_uint_eq(fake_get(f, 0x18, 4), 1);
	fake_advance(f, 3 * SECOND - 1);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	fake_advance(f, 1);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
	ck_assert_uint_eq(fake_get(f, 0x18, 4), 0);
	fake_put(f, 0x1c, 4, 1);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
}
END_TEST

START_TEST(alarm_in_the_past_and_cleared)
{
	set_pair(8, START - 1);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	fake_put(f, 0x10, 4, 1);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
	fake_put(f, 0x1c, 4, 1);
	set_pair(8, START + SECOND);
	fake_put(f, 0x14, 4, 1);
	fake_advance(f, 2 * SECOND);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
}
END_TEST

START_TEST(setting_the_time_moves_the_alarm)
{
	fake_put(f, 0x10, 4, 1);
	set_pair(8, START + 100 * SECOND);
	set_pair(0, START + 99 * SECOND);
	fake_advance(f, SECOND - 1);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	fake_advance(f, 1);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
}
END_TEST

START_TEST(device_tree)
{
	ck_assert_str_eq(fake_fdt(f),
		"rtc@101000 {\n"
		"\treg = <0x101000 0x1000>;\n"
		"\tcompatible = \"google,goldfish-rtc\";\n"
		"\tinterrupts-extended = <&plic 11>;\n"
		"};\n");
}
END_TEST

START_TEST(state)
{
	fake_put(f, 0x04, 4, 0x1234);         /* the guest sets its own time */
	fake_put(f, 0x00, 4, 0x5678);
	fake_put(f, 0x10, 4, 1);
	fake_put(f, 0x0c, 4, 0x1234);
	fake_put(f, 0x08, 4, 0x9678);
	fake_state_check(f, make);
	fake_advance(f, 0x4000);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
	fake_state_check(f, make);
}
END_TEST

/* The time outside goes on while the machine is a file. */
START_TEST(alarm_comes_meanwhile)
{
	struct fake_state *state;

	fake_put(f, 0x10, 4, 1);
	fake_put(f, 0x0c, 4, (uint32_t)((fake_now(f) + 1000000000000000000 + 1000000) >> 32));
	fake_put(f, 0x08, 4, (uint32_t)(fake_now(f) + 1000000000000000000 + 1000000));
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	state = fake_save(f);
	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_load(f, state, NULL), 0);
	fake_state_free(state);
	fake_advance(f, 2000000);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 4, 200000);
}
END_TEST

int main(void)
{
	CHECK_RUN("rtc-goldfish", start, stop, time_runs_and_can_be_set, high_half_is_latched, alarm_interrupts,
		  alarm_in_the_past_and_cleared, setting_the_time_moves_the_alarm, device_tree, state,
		  alarm_comes_meanwhile, fuzz);
}
