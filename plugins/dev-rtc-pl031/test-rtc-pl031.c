/* SPDX-License-Identifier: MIT */
/* dev-rtc-pl031 on the fake host, whose UTC starts at 1 000 000 000 s. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>

#define SECOND 1000000000ull
#define START  1000000000u

#define DR   0x00u
#define MR   0x04u
#define LR   0x08u
#define CR   0x0cu
#define IMSC 0x10u
#define RIS  0x14u
#define MIS  0x18u
#define ICR  0x1cu

static struct fake *f;

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-rtc-pl031");

	fake_prop(made, "at", "0x10010000");
	fake_prop(made, "irq", "gic:11");
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

static uint32_t get(uint32_t offset)
{
	return (uint32_t)fake_get(f, offset, 4);
}

static void put(uint32_t offset, uint32_t value)
{
	fake_put(f, offset, 4, value);
}

static void line_is(uint32_t level)
{
	ck_assert_uint_eq(fake_line(f, "irq", 0), level);
}

START_TEST(time_runs_and_can_be_set)
{
	ck_assert_uint_eq(get(DR), START);
	fake_advance(f, 5 * SECOND - 1);
	ck_assert_uint_eq(get(DR), START + 4);
	fake_advance(f, 1);
	ck_assert_uint_eq(get(DR), START + 5);
	/* a second begins when it is set */
	fake_advance(f, SECOND / 2);
	put(LR, 77);
	ck_assert_uint_eq(get(LR), 77);
	fake_advance(f, SECOND - 1);
	ck_assert_uint_eq(get(DR), 77);
	fake_advance(f, 1);
	ck_assert_uint_eq(get(DR), 78);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ck_assert_uint_eq(get(DR), 78);
	ck_assert_uint_eq(get(LR), 0);
}
END_TEST

START_TEST(it_is_on_and_stays_on)
{
	ck_assert_uint_eq(get(CR), 1);
	put(CR, 0);
	fake_advance(f, SECOND);
	ck_assert_uint_eq(get(CR), 1);
	ck_assert_uint_eq(get(DR), START + 1);
}
END_TEST

/* RTCPeriphID: part 031, designer 0x41; RTCPCellID */
START_TEST(identification)
{
	uint32_t peripheral = 0, cell = 0;

	for (uint32_t i = 0; i < 4; i++) {
		peripheral |= get(0xfe0 + i * 4) << i * 8;
		cell |= get(0xff0 + i * 4) << i * 8;
	}
	ck_assert_uint_eq(peripheral, 0x00041031);
	ck_assert_uint_eq(cell, 0xb105f00d);
	put(0xfe0, 0);
	ck_assert_uint_eq(get(0xfe0), 0x31);
	ck_assert_uint_eq(get(0x20), 0);
}
END_TEST

START_TEST(alarm_interrupts)
{
	put(IMSC, 1);
	put(MR, START + 3);
	fake_advance(f, 3 * SECOND - 1);
	line_is(0);
	ck_assert_uint_eq(get(RIS), 0);
	fake_advance(f, 1);
	line_is(1);
	ck_assert_uint_eq(get(RIS), 1);
	ck_assert_uint_eq(get(MIS), 1);
	put(ICR, 0);
	line_is(1);
	put(ICR, 1);
	line_is(0);
	ck_assert_uint_eq(get(RIS), 0);
	/* once */
	fake_advance(f, 100 * SECOND);
	line_is(0);
}
END_TEST

START_TEST(masked)
{
	put(MR, START + 1);
	fake_advance(f, SECOND);
	line_is(0);
	ck_assert_uint_eq(get(RIS), 1);
	ck_assert_uint_eq(get(MIS), 0);
	put(IMSC, 1);
	line_is(1);
	put(IMSC, 0);
	line_is(0);
	ck_assert_uint_eq(get(IMSC), 0);
}
END_TEST

/* Behind the counter it waits for the next round, and at it it comes at once. */
START_TEST(equal_and_nothing_else)
{
	put(IMSC, 1);
	put(MR, START - 1);
	fake_advance(f, 10 * SECOND);
	line_is(0);
	put(LR, 0xfffffffe);
	put(MR, 1);
	fake_advance(f, 2 * SECOND);
	ck_assert_uint_eq(get(DR), 0);
	line_is(0);
	fake_advance(f, SECOND);
	line_is(1);
	put(ICR, 1);
	put(MR, get(DR));
	line_is(1);
}
END_TEST

START_TEST(setting_the_time_moves_the_alarm)
{
	put(IMSC, 1);
	put(MR, START + 100);
	put(LR, START + 99);
	fake_advance(f, SECOND - 1);
	line_is(0);
	fake_advance(f, 1);
	line_is(1);
}
END_TEST

START_TEST(device_tree)
{
	ck_assert_str_eq(fake_fdt(f),
		"clock-10010000 {\n"
		"\tcompatible = \"fixed-clock\";\n"
		"\t#clock-cells = <0x0>;\n"
		"\tclock-frequency = <0x16e3600>;\n"
		"\tphandle = <0x1>;\n"
		"};\n"
		"rtc@10010000 {\n"
		"\treg = <0x10010000 0x1000>;\n"
		"\tcompatible = \"arm,pl031\", \"arm,primecell\";\n"
		"\tclocks = <0x1>;\n"
		"\tclock-names = \"apb_pclk\";\n"
		"\tinterrupts-extended = <&gic 11>;\n"
		"};\n");
}
END_TEST

START_TEST(state)
{
	put(LR, 5000);
	put(IMSC, 1);
	put(MR, 5010);
	fake_state_check(f, make);
	fake_advance(f, 10 * SECOND);
	line_is(1);
	fake_state_check(f, make);
	ck_assert_uint_eq(get(LR), 5000);
}
END_TEST

/* The time outside goes on while the machine is a file. */
START_TEST(alarm_comes_meanwhile)
{
	struct fake_state *s;

	put(LR, 5000);
	put(IMSC, 1);
	put(MR, 5010);
	s = fake_save(f);
	fake_state_set(s, fake_state_find(s, "offset_ns"), 0, 5011 * SECOND - START * SECOND);
	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_load(f, s, NULL), 0);
	fake_state_free(s);
	fake_advance(f, 1);
	line_is(1);
	ck_assert_uint_eq(get(DR), 5011);
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 4, 200000);
}
END_TEST

int main(void)
{
	CHECK_RUN("rtc-pl031", start, stop, time_runs_and_can_be_set, it_is_on_and_stays_on, identification,
		  alarm_interrupts, masked, equal_and_nothing_else, setting_the_time_moves_the_alarm, device_tree, state,
		  alarm_comes_meanwhile, fuzz);
}
