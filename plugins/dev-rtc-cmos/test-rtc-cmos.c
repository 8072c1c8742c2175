/* SPDX-License-Identifier: MIT */
/* dev-rtc-cmos on the fake host, whose UTC starts at 1 000 000 000 s: Sunday, 9 September 2001, 01:46:40. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <stdio.h>

#include "mc146818.h"

#define MS     1000000ull
#define SECOND 1000000000ull
#define CENTURY 0x32

static struct fake *f;

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-rtc-cmos");

	fake_prop(made, "irq", "pic:8");
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

static uint8_t get(uint32_t index)
{
	fake_put(f, 0, 1, index);
	return (uint8_t)fake_get(f, 1, 1);
}

static void put(uint32_t index, uint32_t value)
{
	fake_put(f, 0, 1, index);
	fake_put(f, 1, 1, value);
}

static uint32_t irq(void)
{
	return fake_line(f, "irq", 0);
}

/* As a guest does it: with SET, and in the format that B then has. */
static void set(uint32_t b, const char *bytes)
{
	static const uint8_t where[] = { CENTURY, RTC_YEAR, RTC_MONTH, RTC_DAY, RTC_HOURS, RTC_MINUTES, RTC_SECONDS,
					 RTC_WEEKDAY };
	unsigned value[8];

	ck_assert_int_eq(sscanf(bytes, "%2x%2x-%2x-%2x %2x:%2x:%2x %x", &value[0], &value[1], &value[2], &value[3],
				&value[4], &value[5], &value[6], &value[7]), 8);
	put(RTC_B, B_SET | b);
	for (uint32_t i = 0; i < 8; i++)
		put(where[i], value[i]);
	put(RTC_B, b);
}

static const char *now(void)
{
	static char text[64];

	snprintf(text, sizeof(text), "%02x%02x-%02x-%02x %02x:%02x:%02x %x", get(CENTURY), get(RTC_YEAR),
		 get(RTC_MONTH), get(RTC_DAY), get(RTC_HOURS), get(RTC_MINUTES), get(RTC_SECONDS), get(RTC_WEEKDAY));
	return text;
}

START_TEST(time_runs)
{
	ck_assert_str_eq(fake_region(f, 0)->at_prop, "port");
	ck_assert_str_eq(now(), "2001-09-09 01:46:40 1");
	ck_assert_uint_eq(get(RTC_A), 0x26);
	ck_assert_uint_eq(get(RTC_B), B_24);
	ck_assert_uint_eq(get(RTC_D), D_VRT);
	fake_advance(f, SECOND - 1);
	ck_assert_str_eq(now(), "2001-09-09 01:46:40 1");
	fake_advance(f, 1);
	ck_assert_str_eq(now(), "2001-09-09 01:46:41 1");
	fake_advance(f, 24 * 3600 * SECOND);
	ck_assert_str_eq(now(), "2001-09-10 01:46:41 2");
	ck_assert_uint_eq(fake_get(f, 0, 1), 0xff);
}
END_TEST

/* One second before, and after. */
START_TEST(carries)
{
	static const struct {
		uint32_t b;
		const char *before, *after;
	} cases[] = {
		{ B_24, "1999-12-31 23:59:59 6", "2000-01-01 00:00:00 7" },
		{ B_24, "2000-02-28 23:59:59 7", "2000-02-29 00:00:00 1" },
		{ B_24, "2001-02-28 23:59:59 3", "2001-03-01 00:00:00 4" },
		{ B_24, "2004-02-29 23:59:59 1", "2004-03-01 00:00:00 2" },
		{ B_24, "2100-02-28 23:59:59 1", "2100-03-01 00:00:00 2" },
		{ B_24, "2024-04-30 23:59:59 3", "2024-05-01 00:00:00 4" },
		{ B_24, "2024-07-31 23:59:59 4", "2024-08-01 00:00:00 5" },
		{ B_24, "9999-12-31 23:59:59 6", "0000-01-01 00:00:00 7" },
		{ B_24, "0000-02-29 23:59:59 3", "0000-03-01 00:00:00 4" },
		{ B_24, "2026-11-27 09:09:59 6", "2026-11-27 09:10:00 6" },
		{ B_24 | B_BINARY, "140f-0c-1f 17:3b:3b 5", "1410-01-01 00:00:00 6" },
		{ 0, "2015-12-31 11:59:59 5", "2015-12-31 92:00:00 5" },
		{ 0, "2015-12-31 92:59:59 5", "2015-12-31 81:00:00 5" },
		{ 0, "2015-12-31 91:59:59 5", "2016-01-01 12:00:00 6" },
		{ 0, "2015-12-31 12:59:59 5", "2015-12-31 01:00:00 5" },
		{ B_BINARY, "140f-0c-1f 8b:3b:3b 5", "1410-01-01 0c:00:00 6" },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set(cases[i].b, cases[i].before);
		ck_assert_str_eq(now(), cases[i].before);
		fake_advance(f, SECOND);
		ck_assert_str_eq(now(), cases[i].after);
	}
}
END_TEST

/* Every day of 400 years and a bit, by month lengths counted here. */
START_TEST(calendar)
{
	static const uint8_t lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	char want[64];
	uint32_t weekday = 7;

	set(B_24, "1999-12-31 12:00:00 6");
	for (uint32_t year = 2000; year < 2404; year++) {
		uint32_t leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

		for (uint32_t month = 1; month <= 12; month++) {
			for (uint32_t day = 1; day <= lengths[month - 1] + (month == 2 ? leap : 0); day++) {
				fake_advance(f, 86400 * SECOND);
				snprintf(want, sizeof(want), "%04u-%02u-%02u 12:00:00 %u", year, month, day, weekday);
				ck_assert_str_eq(now(), want);
				weekday = weekday % 7 + 1;
			}
		}
	}
}
END_TEST

START_TEST(set_stops_updates)
{
	fake_advance(f, 300 * MS);
	put(RTC_B, B_24 | B_SET | B_UIE);
	ck_assert_uint_eq(get(RTC_B), B_24 | B_SET);
	get(RTC_C);
	fake_advance(f, 5 * SECOND - 301 * MS);
	ck_assert_uint_eq(get(RTC_A) & A_UIP, 0);
	ck_assert_str_eq(now(), "2001-09-09 01:46:40 1");
	ck_assert_uint_eq(get(RTC_C) & C_UF, 0);
	put(RTC_MINUTES, 0x12);
	put(RTC_SECONDS, 0xa5);          /* its high bit is read only */
	put(RTC_B, B_24);
	ck_assert_str_eq(now(), "2001-09-09 01:12:25 1");
	/* the divider went on meanwhile */
	fake_advance(f, MS);
	ck_assert_str_eq(now(), "2001-09-09 01:12:26 1");
}
END_TEST

START_TEST(divider)
{
	fake_advance(f, 900 * MS);
	put(RTC_A, 0x76);
	fake_advance(f, 5 * SECOND);
	ck_assert_str_eq(now(), "2001-09-09 01:46:40 1");
	ck_assert_uint_eq(get(RTC_A), 0x76);
	ck_assert_uint_eq(get(RTC_C) & C_UF, 0);
	put(RTC_A, 0xa6);                /* UIP is read only */
	fake_advance(f, 400 * MS);
	ck_assert_uint_eq(get(RTC_A), 0x26);
	fake_advance(f, 100 * MS - 1);
	ck_assert_uint_eq(get(RTC_A), 0x26 | A_UIP);
	ck_assert_str_eq(now(), "2001-09-09 01:46:40 1");
	fake_advance(f, 1);
	ck_assert_str_eq(now(), "2001-09-09 01:46:41 1");
}
END_TEST

START_TEST(update_in_progress)
{
	fake_advance(f, SECOND - 2228001);
	ck_assert_uint_eq(get(RTC_A) & A_UIP, 0);
	fake_advance(f, 1);
	ck_assert_uint_eq(get(RTC_A) & A_UIP, A_UIP);
	fake_advance(f, 2228000 - 1);
	ck_assert_uint_eq(get(RTC_A) & A_UIP, A_UIP);
	fake_advance(f, 1);
	ck_assert_uint_eq(get(RTC_A) & A_UIP, 0);
}
END_TEST

START_TEST(update_interrupts)
{
	put(RTC_B, B_24 | B_UIE);
	fake_advance(f, SECOND - 1);
	ck_assert_uint_eq(irq(), 0);
	fake_advance(f, 1);
	ck_assert_uint_eq(irq(), 1);
	ck_assert_uint_eq(get(RTC_C) & ~C_PF, C_IRQF | C_UF);
	ck_assert_uint_eq(irq(), 0);
	ck_assert_uint_eq(get(RTC_C), 0);
	fake_advance(f, SECOND);
	ck_assert_uint_eq(irq(), 1);
	/* enables gate the output, not the flags */
	put(RTC_B, B_24);
	ck_assert_uint_eq(irq(), 0);
	put(RTC_B, B_24 | B_UIE);
	ck_assert_uint_eq(irq(), 1);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ck_assert_uint_eq(irq(), 0);
	ck_assert_uint_eq(get(RTC_C), 0);
	ck_assert_uint_eq(get(RTC_B), B_24);
	ck_assert_str_eq(now(), "2001-09-09 01:46:42 1");
}
END_TEST

/* Seconds until the alarm from 01:46:40, and again from there. 0: not within two days. */
static void alarm_is(uint32_t b, uint32_t hours, uint32_t minutes, uint32_t seconds, uint32_t first, uint32_t second)
{
	const uint32_t want[] = { first, second };

	set(b, b & B_BINARY ? "1401-09-09 01:2e:28 1" : "2001-09-09 01:46:40 1");
	put(RTC_HOURS_ALARM, hours);
	put(RTC_MINUTES_ALARM, minutes);
	put(RTC_SECONDS_ALARM, seconds);
	get(RTC_C);
	put(RTC_B, b | B_AIE);
	for (uint32_t i = 0; i < 2 && want[i]; i++) {
		fake_advance(f, want[i] * SECOND - 1);
		ck_assert_uint_eq(irq(), 0);
		fake_advance(f, 1);
		ck_assert_msg(irq() == 1, "alarm %02x:%02x:%02x with B %02x, number %u: at %s", hours, minutes,
			      seconds, b, i, now());
		ck_assert_uint_eq(get(RTC_C) & (C_IRQF | C_AF), C_IRQF | C_AF);
		ck_assert_uint_eq(irq(), 0);
	}
	if (!first)
		fake_advance(f, 2 * 86400 * SECOND);
	ck_assert_uint_eq(irq(), 0);
}

START_TEST(alarms)
{
	alarm_is(B_24, 0x01, 0x46, 0x43, 3, 86400);
	alarm_is(B_24, 0x01, 0x46, 0x40, 86400, 86400);
	alarm_is(B_24, 0xff, 0x46, 0x39, 3599, 3600);
	alarm_is(B_24, 0xc0, 0xff, 0x39, 59, 60);
	alarm_is(B_24, 0xff, 0xff, 0xff, 1, 1);
	alarm_is(B_24, 0x02, 0xff, 0xd5, 800, 1);
	alarm_is(B_24, 0x01, 0x40, 0x00, 86000, 86400);
	alarm_is(B_24, 0x25, 0xff, 0xff, 0, 0);
	alarm_is(B_24, 0xff, 0x60, 0xff, 0, 0);
	alarm_is(B_24, 0xff, 0xff, 0x6a, 0, 0);
	alarm_is(0, 0x81, 0x46, 0x41, 43201, 86400);          /* PM */
	alarm_is(0, 0x12, 0x00, 0x00, 80000, 86400);
	alarm_is(B_24 | B_BINARY, 13, 46, 41, 43201, 86400);
}
END_TEST

/* Nobody listens: the flag is there all the same, and a match in the middle is not lost. */
START_TEST(alarm_flag_without_interrupt)
{
	put(RTC_HOURS_ALARM, 0x01);
	put(RTC_MINUTES_ALARM, 0x50);
	put(RTC_SECONDS_ALARM, 0x00);
	fake_advance(f, 199 * SECOND);
	ck_assert_uint_eq(get(RTC_C) & (C_IRQF | C_AF), 0);
	fake_advance(f, 1000 * SECOND);
	ck_assert_uint_eq(get(RTC_C) & (C_IRQF | C_AF), C_AF);
	ck_assert_uint_eq(fake_line_changes(f, "irq", 0), 0);
}
END_TEST

START_TEST(periodic_rates)
{
	static const uint32_t hz[16] = { 0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2 };

	put(RTC_B, B_24 | B_PIE);
	for (uint32_t rate = 0; rate < 16; rate++) {
		uint32_t count = 0;

		put(RTC_A, 0x20 | rate);
		get(RTC_C);
		for (uint32_t t = 0; t < 40000; t++) {
			fake_advance(f, SECOND / 40000);
			if (irq()) {
				count++;
				ck_assert_uint_eq(get(RTC_C) & (C_IRQF | C_PF), C_IRQF | C_PF);
				ck_assert_uint_eq(irq(), 0);
			}
		}
		ck_assert_uint_eq(count, hz[rate]);
	}
	/* in reset, the divider has no taps */
	put(RTC_A, 0x6f);
	fake_advance(f, 10 * SECOND);
	ck_assert_uint_eq(irq(), 0);
}
END_TEST

START_TEST(periods_to_the_ns)
{
	put(RTC_A, 0x23);                /* 122070.3125 ns */
	put(RTC_B, B_24 | B_PIE);
	get(RTC_C);
	fake_advance(f, 122070);
	ck_assert_uint_eq(irq(), 0);
	fake_advance(f, 1);
	ck_assert_uint_eq(irq(), 1);
	get(RTC_C);
	fake_advance(f, 244140 - 122071);
	ck_assert_uint_eq(irq(), 0);
	fake_advance(f, 1);
	ck_assert_uint_eq(irq(), 1);
	/* no flag is raised by looking late */
	fake_advance(f, 10 * SECOND);
	ck_assert_uint_eq(get(RTC_C) & C_PF, C_PF);
	ck_assert_uint_eq(get(RTC_C) & C_PF, 0);
}
END_TEST

START_TEST(ram)
{
	for (uint32_t i = 0x0e; i < 128; i++)
		if (i != CENTURY)
			put(i, i ^ 0x5a);
	ck_assert_int_eq(fake_reset(f, MT_RESET_COLD, NULL), 0);
	fake_advance(f, 100 * SECOND);
	for (uint32_t i = 0x0e; i < 128; i++)
		if (i != CENTURY)
			ck_assert_uint_eq(get(i | 0x80), i ^ 0x5a);    /* bit 7 is NMI's */
	put(RTC_C, 0xff);
	put(RTC_D, 0);
	ck_assert_uint_eq(get(RTC_C) & 0x0f, 0);
	ck_assert_uint_eq(get(RTC_D), D_VRT);
	/* a word is an index and its data */
	fake_put(f, 0, 2, 0x7755);
	ck_assert_uint_eq(get(0x55), 0x77);
}
END_TEST

/* What no time is does no harm, and a time comes of it. */
START_TEST(no_time)
{
	set(B_24, "ffff-ff-ff ff:ff:ff f");
	fake_advance(f, 86400 * SECOND);
	ck_assert_uint_le(get(RTC_SECONDS), 0x59);
	ck_assert_uint_le(get(RTC_HOURS), 0x23);
	ck_assert(get(RTC_MONTH) >= 1 && get(RTC_MONTH) <= 0x12);
	ck_assert(get(RTC_WEEKDAY) >= 1 && get(RTC_WEEKDAY) <= 7);
	set(B_24, "0000-00-00 00:00:00 0");
	fake_advance(f, 86400 * SECOND);
	ck_assert_str_eq(now(), "0000-12-01 00:00:00 1");
}
END_TEST

static void again(const char *prop, const char *value)
{
	fake_free(f);
	f = make();
	fake_prop(f, prop, value);
}

START_TEST(century)
{
	struct mt_error err = { .size = sizeof(err) };

	again("century", "0");
	fake_start(f);
	ck_assert_uint_eq(get(CENTURY), 0);
	put(CENTURY, 0x19);
	put(RTC_B, B_24 | B_SET);
	put(RTC_YEAR, 0x99);
	put(RTC_MONTH, 0x12);
	put(RTC_DAY, 0x31);
	put(RTC_HOURS, 0x23);
	put(RTC_B, B_24);
	fake_advance(f, 3600 * SECOND);
	ck_assert_uint_eq(get(RTC_YEAR), 0x00);
	ck_assert_uint_eq(get(CENTURY), 0x19);
	again("century", "0x37");
	fake_start(f);
	ck_assert_uint_eq(get(0x37), 0x20);
	again("century", "13");
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_lt(fake_realize(f, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.message, "registers"));
}
END_TEST

START_TEST(state)
{
	set(B_24, "2015-12-31 23:59:50 5");
	put(RTC_HOURS_ALARM, 0);
	put(0x40, 0x99);
	put(RTC_A, 0x2a);
	get(RTC_C);
	put(RTC_B, B_24 | B_PIE | B_AIE | B_UIE);
	fake_advance(f, 123456);
	fake_state_check(f, make);
	fake_advance(f, SECOND);
	ck_assert_uint_eq(irq(), 1);
	fake_state_check(f, make);
	put(RTC_A, 0x7a);
	fake_state_check(f, make);
	put(RTC_B, B_SET);
	put(RTC_A, 0x2f);
	fake_advance(f, 3 * SECOND / 2);
	fake_state_check(f, make);
}
END_TEST

/* Loads `state` with what the wall did meanwhile. */
static void go_on_after(struct fake_state *state, int64_t wall_ns)
{
	uint32_t field = fake_state_find(state, "wall_base_ns");

	fake_state_set(state, field, 0, fake_state_get(state, field, 0) - (uint64_t)wall_ns);
	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_load(f, state, NULL), 0);
	fake_state_free(state);
}

START_TEST(wall_goes_on)
{
	put(RTC_HOURS_ALARM, 0x02);
	put(RTC_B, B_24 | B_AIE);
	fake_advance(f, 100 * MS);
	go_on_after(fake_save(f), (int64_t)(3600 * SECOND + 950 * MS));
	ck_assert_str_eq(now(), "2001-09-09 02:46:41 1");
	ck_assert_uint_eq(irq(), 1);
	fake_advance(f, 950 * MS);
	ck_assert_str_eq(now(), "2001-09-09 02:46:42 1");
	/* and back */
	get(RTC_C);
	go_on_after(fake_save(f), -(int64_t)(86400 * SECOND));
	ck_assert_str_eq(now(), "2001-09-08 02:46:42 7");
	ck_assert_uint_eq(irq(), 0);
	fake_advance(f, SECOND);
	ck_assert_str_eq(now(), "2001-09-08 02:46:43 7");
	/* the guest has stopped it */
	put(RTC_B, B_24 | B_SET);
	go_on_after(fake_save(f), (int64_t)(3600 * SECOND));
	ck_assert_str_eq(now(), "2001-09-08 02:46:43 7");
}
END_TEST

START_TEST(hostile_state)
{
	struct fake_state *state = fake_save(f);
	struct fake *other = make();

	fake_state_refuses(f, make, "ram", RTC_SECONDS, 0x80, "ram");
	fake_state_refuses(f, make, "ram", RTC_A, 0xa6, "ram");
	fake_state_refuses(f, make, "ram", RTC_B, B_SET | B_UIE, "ram");
	fake_state_refuses(f, make, "ram", RTC_C, C_IRQF, "ram");
	fake_state_refuses(f, make, "ram", RTC_D, 0, "ram");
	fake_prop(other, "century", "0x37");
	ck_assert_int_lt(fake_load(other, state, NULL), 0);
	fake_free(other);
	fake_state_free(state);
}
END_TEST

START_TEST(random_accesses)
{
	put(RTC_B, B_24 | B_PIE | B_AIE | B_UIE);
	fake_fuzz_region(f, 5, 50000);
}
END_TEST

int main(void)
{
	CHECK_RUN("rtc-cmos", start, stop, time_runs, carries, calendar, set_stops_updates, divider,
		  update_in_progress, update_interrupts, alarms, alarm_flag_without_interrupt, periodic_rates,
		  periods_to_the_ns, ram, no_time, century, state, wall_goes_on, hostile_state, random_accesses);
}
