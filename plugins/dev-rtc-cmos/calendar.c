/* SPDX-License-Identifier: MIT */
/*
 * The clock's bytes in the formats that register B chooses (data sheet, "Time, calendar and alarm locations"). A guest
 * can write what is no time; the sheet leaves open what follows, here the next carry makes a time of it. Years are the
 * Gregorian calendar's, 0 to 9999 with the century byte; without it, those of the 21st century.
 */
#include "mc146818.h"

#define DAY_SECONDS   86400
#define YEARS         10000      /* of the calendar's cycle, a multiple of 400 */
#define ERA_YEARS     400
#define ERA_DAYS      146097
#define ALARM_ANY     0xc0u      /* both high bits: this byte always matches */

static int64_t floor_div(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

static uint32_t decode(const struct mc146818 *c, uint8_t byte)
{
	return c->ram[RTC_B] & B_BINARY ? byte : (uint32_t)(byte >> 4) * 10 + (byte & 15);
}

static uint8_t encode(const struct mc146818 *c, uint32_t value)
{
	return (uint8_t)(c->ram[RTC_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

/* With 12 hours the high bit is PM, in both formats, and noon and midnight are 12. */
static uint32_t hours_decode(const struct mc146818 *c)
{
	uint8_t byte = c->ram[RTC_HOURS];

	if (c->ram[RTC_B] & B_24)
		return decode(c, byte);
	return decode(c, byte & 0x7f) % 12 + (byte & 0x80 ? 12 : 0);
}

static uint8_t hours_encode(const struct mc146818 *c, uint32_t hours)
{
	if (c->ram[RTC_B] & B_24)
		return encode(c, hours);
	return (uint8_t)(encode(c, (hours + 11) % 12 + 1) | (hours >= 12 ? 0x80 : 0));
}

/* Days since 1 March of the year 0. The year begins with March, so that the leap day is its last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t from_march = (month + 9) % 12;

	year -= month <= 2;
	return year * 365 + floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400) +
	       (from_march * 153 + 2) / 5 + day - 1;
}

/* The year from March on in which day `days` of an era lies: the average year's length guesses, at most one off. */
static int64_t year_in_era(int64_t days)
{
	int64_t year = days * ERA_YEARS / ERA_DAYS;

	if (days_of(year + 1, 3, 1) <= days)
		return year + 1;
	return days_of(year, 3, 1) > days ? year - 1 : year;
}

static void date_set(struct mc146818 *c, int64_t days)
{
	int64_t era = floor_div(days, ERA_DAYS), year, from_march, month;

	days -= era * ERA_DAYS;
	year = year_in_era(days);
	days -= days_of(year, 3, 1);
	from_march = (days * 5 + 2) / 153;
	month = (from_march + 2) % 12 + 1;
	year += era * ERA_YEARS + (month <= 2);
	year -= floor_div(year, YEARS) * YEARS;
	c->ram[RTC_DAY] = encode(c, (uint32_t)(days - (from_march * 153 + 2) / 5 + 1));
	c->ram[RTC_MONTH] = encode(c, (uint32_t)month);
	c->ram[RTC_YEAR] = encode(c, (uint32_t)(year % 100));
	if (c->century)
		c->ram[c->century] = encode(c, (uint32_t)(year / 100));
}

static int64_t year_decode(const struct mc146818 *c)
{
	return (c->century ? decode(c, c->ram[c->century]) : 20) * 100 + decode(c, c->ram[RTC_YEAR]);
}

static void date_advance(struct mc146818 *c, int64_t days)
{
	int64_t month = ((int64_t)decode(c, c->ram[RTC_MONTH]) + 11) % 12 + 1;
	int64_t weekday = (int64_t)decode(c, c->ram[RTC_WEEKDAY]) - 1 + days;

	c->ram[RTC_WEEKDAY] = encode(c, (uint32_t)(weekday - floor_div(weekday, 7) * 7 + 1));
	date_set(c, days_of(year_decode(c), month, decode(c, c->ram[RTC_DAY])) + days);
}

static int64_t time_of_day(const struct mc146818 *c)
{
	return (int64_t)hours_decode(c) * 3600 + decode(c, c->ram[RTC_MINUTES]) * 60 + decode(c, c->ram[RTC_SECONDS]);
}

void mc146818_advance(struct mc146818 *c, int64_t seconds)
{
	int64_t now = time_of_day(c) + seconds, days = floor_div(now, DAY_SECONDS);

	now -= days * DAY_SECONDS;
	c->ram[RTC_SECONDS] = encode(c, (uint32_t)(now % 60));
	c->ram[RTC_MINUTES] = encode(c, (uint32_t)(now / 60 % 60));
	c->ram[RTC_HOURS] = hours_encode(c, (uint32_t)(now / 3600));
	if (days)
		date_advance(c, days);
}

static uint32_t matches(uint8_t alarm, uint8_t byte)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || alarm == byte;
}

static uint32_t second_is_possible(const struct mc146818 *c)
{
	for (uint32_t s = 0; s < 60; s++)
		if (matches(c->ram[RTC_SECONDS_ALARM], encode(c, s)))
			return 1;
	return 0;
}

/* From one second of a day to the next that is worth a look: whole hours and minutes that do not match are passed. */
uint32_t mc146818_alarm_distance(const struct mc146818 *c)
{
	uint32_t from = (uint32_t)(time_of_day(c) % DAY_SECONDS), step;

	if (!second_is_possible(c))
		return 0;
	for (uint32_t distance = 1; distance <= DAY_SECONDS; distance += step) {
		uint32_t t = (from + distance) % DAY_SECONDS;

		if (!matches(c->ram[RTC_HOURS_ALARM], hours_encode(c, t / 3600)))
			step = 3600 - t % 3600;
		else if (!matches(c->ram[RTC_MINUTES_ALARM], encode(c, t / 60 % 60)))
			step = 60 - t % 60;
		else if (!matches(c->ram[RTC_SECONDS_ALARM], encode(c, t % 60)))
			step = 1;
		else
			return distance;
	}
	return 0;
}
