/* SPDX-License-Identifier: MIT */
/*
 * dev-i8254 on the fake host: the waveforms of the data sheet (231164, figures of the modes), tick by tick. Counter 2
 * shows its output in port 0x61.
 */
#include <fake/acpi.h>
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>

#define SECOND  1000000000ull
#define COMMAND 3u
#define GATE    0x01u
#define OUT     0x20u

static struct fake *f;
static uint64_t tick;

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-i8254");

	fake_prop(made, "irq", "pic:0");
	return made;
}

static void start(void)
{
	f = make();
	fake_start(f);
	tick = 0;
}

static void stop(void)
{
	fake_free(f);
}

/* To the first ns of a tick. */
static void ticks(uint64_t count)
{
	tick += count;
	fake_advance(f, (tick * 88000 + 104) / 105 - fake_now(f));
}

static uint32_t get(uint32_t port)
{
	return (uint32_t)fake_get(f, port, 1);
}

static void put(uint32_t port, uint32_t value)
{
	fake_put(f, port, 1, value);
}

static uint32_t get_word(uint32_t port)
{
	uint32_t low = get(port);

	return low | get(port) << 8;
}

static void put_word(uint32_t port, uint32_t value)
{
	put(port, value & 0xff);
	put(port, value >> 8);
}

static void gate(uint32_t level)
{
	ck_assert_uint_eq(fake_write(f, 1, 0, 1, level), MT_BUS_OK);
}

static uint32_t out(void)
{
	uint64_t value;

	ck_assert_uint_eq(fake_read(f, 1, 0, 1, &value), MT_BUS_OK);
	return value & OUT ? 1 : 0;
}

static void mode(uint32_t which)
{
	put(COMMAND, 0xb0 | which << 1);
}

/* Counter 2 on the ticks to come: '1' and '0'. */
static void wave(const char *levels)
{
	for (const char *at = levels; *at; at++) {
		ticks(1);
		ck_assert_msg(out() == (uint32_t)(*at - '0'), "pulse %d of %s is %u", (int)(at - levels), levels, out());
	}
}

/* And what it counts. */
static void counts(const char *values)
{
	for (const char *at = values; *at; at++) {
		ticks(1);
		put(COMMAND, 0x80);
		ck_assert_uint_eq(get_word(2), (uint32_t)(*at - '0'));
	}
}

START_TEST(mode_0)
{
	gate(1);
	mode(0);
	ck_assert_uint_eq(out(), 0);
	put_word(2, 4);
	wave("000011111");
	/* the first byte stops it with OUT low, the second starts it again */
	put(2, 2);
	ck_assert_uint_eq(out(), 0);
	ticks(100);
	ck_assert_uint_eq(out(), 0);
	put(2, 0);
	wave("0011");
	put_word(2, 3);
	counts("3210");
	ticks(1);
	ck_assert_uint_eq(get_word(2), 0xffff);
	/* the gate holds the count and not the output */
	put_word(2, 3);
	wave("00");
	gate(0);
	wave("0000000");
	gate(1);
	wave("011");
	gate(0);
	ck_assert_uint_eq(out(), 1);
	/* written while the gate is low: loaded, and N pulses from the gate on */
	put_word(2, 3);
	wave("000");
	gate(1);
	wave("0011");
}
END_TEST

START_TEST(mode_1)
{
	gate(0);
	mode(1);
	ck_assert_uint_eq(out(), 1);
	gate(1);                     /* no count yet */
	wave("111");
	gate(0);
	put_word(2, 3);
	wave("111");
	gate(1);
	ck_assert_uint_eq(out(), 1);
	wave("0001111");
	gate(0);
	gate(1);
	wave("00");
	gate(0);                     /* goes on */
	wave("0");
	gate(1);
	wave("0001");
	/* a new count waits for the trigger */
	gate(0);
	gate(1);
	wave("0");
	put_word(2, 5);
	wave("0011");
	gate(0);
	gate(1);
	wave("0000011");
	/* triggered in the middle of the pulse */
	gate(0);
	gate(1);
	wave("000");
	gate(0);
	gate(1);
	wave("0000011");
}
END_TEST

START_TEST(mode_2)
{
	gate(1);
	mode(2);
	ck_assert_uint_eq(out(), 1);
	put_word(2, 3);
	wave("110110110");
	counts("321321");
	/* a new count is taken at the end of the cycle */
	wave("1");
	put_word(2, 4);
	wave("101110");
	/* a low gate ends the pulse at once, and a rising one begins again */
	gate(0);
	ck_assert_uint_eq(out(), 1);
	wave("11111");
	gate(1);
	wave("11101110");
	/* a trigger takes a new count at once */
	put_word(2, 2);
	gate(0);
	gate(1);
	wave("101010");
}
END_TEST

START_TEST(mode_3)
{
	gate(1);
	mode(3);
	ck_assert_uint_eq(out(), 1);
	put_word(2, 4);
	wave("11001100");
	counts("42424242");
	put_word(2, 5);              /* within the low half: a new cycle follows */
	wave("1110011100");
	mode(3);
	put_word(2, 5);
	counts("4204242042");
	mode(3);
	put_word(2, 8);
	wave("11");
	put_word(2, 4);              /* at the end of the half cycle */
	wave("1100110011");
	gate(0);
	ck_assert_uint_eq(out(), 1);
	wave("1111");
	gate(1);
	wave("1100");
	gate(0);
	ck_assert_uint_eq(out(), 1);
}
END_TEST

START_TEST(mode_4)
{
	gate(1);
	mode(4);
	ck_assert_uint_eq(out(), 1);
	put_word(2, 3);
	wave("11101111");
	put_word(2, 3);
	wave("11");
	put_word(2, 2);              /* goes on from the new count */
	wave("11011");
	put_word(2, 3);
	wave("11");
	gate(0);
	wave("1111");
	gate(1);
	wave("1011");
}
END_TEST

START_TEST(mode_5)
{
	gate(0);
	mode(5);
	put_word(2, 3);
	wave("11111");
	gate(1);
	wave("11101111");
	gate(0);
	gate(1);
	wave("11");
	gate(0);
	gate(1);
	wave("111011");
}
END_TEST

/* Modes 6 and 7 are 2 and 3. */
START_TEST(open_bits)
{
	gate(1);
	mode(6);
	put_word(2, 3);
	wave("110110");
	mode(7);
	put_word(2, 4);
	wave("11001100");
}
END_TEST

START_TEST(bytes)
{
	gate(1);
	put(COMMAND, 0x90);          /* low byte only, mode 0 */
	put(2, 0x34);
	ticks(1);
	ck_assert_uint_eq(get(2), 0x34);
	ck_assert_uint_eq(get(2), 0x34);
	put(COMMAND, 0xa0);          /* high byte only */
	put(2, 0x12);
	ticks(1);
	ck_assert_uint_eq(get(2), 0x12);
	ticks(1);
	ck_assert_uint_eq(get(2), 0x11);
	mode(0);
	put_word(2, 0x1234);
	ticks(1);
	ck_assert_uint_eq(get_word(2), 0x1234);
	ticks(0x35);
	ck_assert_uint_eq(get(2), 0xff);
	ck_assert_uint_eq(get(2), 0x11);
	ck_assert_uint_eq(get(COMMAND), 0xff);
}
END_TEST

START_TEST(largest_counts)
{
	gate(1);
	mode(0);
	put_word(2, 0);
	ticks(65536);
	ck_assert_uint_eq(out(), 0);
	ticks(1);
	ck_assert_uint_eq(out(), 1);
	put(COMMAND, 0xb1);          /* BCD */
	put_word(2, 0);
	ticks(2);
	ck_assert_uint_eq(get_word(2), 0x9999);
	ticks(9998);
	ck_assert_uint_eq(out(), 0);
	ticks(1);
	ck_assert_uint_eq(out(), 1);
	put_word(2, 0x1000);
	ticks(2);
	ck_assert_uint_eq(get_word(2), 0x0999);
	ticks(1000);
	ck_assert_uint_eq(get_word(2), 0x9999);
}
END_TEST

START_TEST(latches)
{
	gate(1);
	mode(0);
	put_word(2, 1000);
	ticks(1);
	put(COMMAND, 0x80);
	ticks(100);
	put(COMMAND, 0x80);          /* there is one already */
	ck_assert_uint_eq(get(2), 1000 & 0xff);
	ck_assert_uint_eq(get(2), 1000 >> 8);
	ck_assert_uint_eq(get_word(2), 900);
	/* read-back of counts and status of all */
	put(COMMAND, 0x14);          /* counter 0: low byte, mode 2 */
	put(0, 50);
	put(COMMAND, 0x55);          /* counter 1: low byte, mode 2, BCD */
	ticks(1);
	put(COMMAND, 0xce);
	ticks(7);
	ck_assert_uint_eq(get(0), 0x94);
	ck_assert_uint_eq(get(0), 50);
	ck_assert_uint_eq(get(0), 43);
	ck_assert_uint_eq(get(1), 0xd5);          /* null count */
	ck_assert_uint_eq(get(2), 0x30);
	ck_assert_uint_eq(get_word(2), 899);
	put(COMMAND, 0xe8);          /* status only */
	ticks(2000);
	ck_assert_uint_eq(get(2), 0x30);
	put(COMMAND, 0xe8);
	ck_assert_uint_eq(get(2), 0xb0);
	put(COMMAND, 0xd8);          /* count only */
	ck_assert_uint_eq(get_word(2), (900 - 8 - 2000) & 0xffff);
	/* null until the next pulse has loaded it */
	put_word(2, 5);
	put(COMMAND, 0xe8);
	ck_assert_uint_eq(get(2), 0x70);
	ticks(1);
	put(COMMAND, 0xe8);
	ck_assert_uint_eq(get(2), 0x30);
	/* and in mode 2 until the end of the cycle */
	put(0, 40);
	put(COMMAND, 0xe2);
	ck_assert_uint_eq(get(0), 0xd4);
	ticks(50);
	put(COMMAND, 0xe2);
	ck_assert_uint_eq(get(0), 0x94);
}
END_TEST

static void line_rises(uint32_t command, uint32_t count, uint32_t edges)
{
	uint32_t before, changes;

	put(COMMAND, command);
	put_word(0, count);
	ticks(1);
	before = fake_line_changes(f, "irq", 0);
	ticks((uint64_t)count * edges - 1);
	changes = fake_line_changes(f, "irq", 0) - before;
	ticks(1);
	ck_assert_uint_eq(fake_line_changes(f, "irq", 0) - before, 2 * edges);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
	ck_assert_uint_eq(changes, 2 * edges - (command == 0x34 ? 2 : 1));
}

START_TEST(interrupts)
{
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	line_rises(0x34, 11932, 100);
	line_rises(0x36, 11933, 100);
	/* one shot */
	put(COMMAND, 0x30);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	put_word(0, 1000);
	ticks(1000);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	ticks(1);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
	put_word(0, 1000);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ticks(2000);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
}
END_TEST

/* A new rate: from the end of the cycle on. */
START_TEST(rate_changes)
{
	uint32_t before;

	put(COMMAND, 0x34);
	put_word(0, 1000);
	ticks(501);
	put_word(0, 200);
	before = fake_line_changes(f, "irq", 0);
	ticks(499);
	ck_assert_uint_eq(fake_line_changes(f, "irq", 0), before);
	ticks(1);
	ck_assert_uint_eq(fake_line_changes(f, "irq", 0), before + 2);
	ticks(199);
	ck_assert_uint_eq(fake_line_changes(f, "irq", 0), before + 2);
	ticks(1);
	ck_assert_uint_eq(fake_line_changes(f, "irq", 0), before + 4);
}
END_TEST

/* Faster than the host can be: fewer edges, and not none. */
START_TEST(storm)
{
	uint32_t before, changes;

	put(COMMAND, 0x34);
	put_word(0, 2);
	ticks(1);
	before = fake_line_changes(f, "irq", 0);
	for (uint32_t i = 0; i < 100; i++)
		ticks(1193);                 /* a millisecond, 50 timers at most */
	changes = fake_line_changes(f, "irq", 0) - before;
	ck_assert_uint_ge(changes, 2 * 4000);
	ck_assert_uint_le(changes, 4 * 5100);
}
END_TEST

/* 18.2 in a second, of the PC's rate, and no drift over an hour. */
START_TEST(rate)
{
	put(COMMAND, 0x34);
	put_word(0, 0);
	for (uint32_t i = 0; i < 360; i++)
		fake_advance(f, 10 * SECOND);
	ck_assert_uint_eq(fake_line_changes(f, "irq", 0) / 2, 3600ull * 105000000 / 88 / 65536);
}
END_TEST

START_TEST(port_61)
{
	uint64_t value, toggles = 0, last = 0;

	ck_assert_uint_eq(fake_region_count(f), 2);
	ck_assert_str_eq(fake_region(f, 1)->at_prop, "speaker");
	gate(0xff);
	fake_read(f, 1, 0, 1, &value);
	ck_assert_uint_eq(value & 0xcf, 0x0f);
	for (uint32_t i = 0; i < 1800; i++) {
		ticks(1);
		fake_read(f, 1, 0, 1, &value);
		toggles += (value & 0x10) != last;
		last = value & 0x10;
	}
	ck_assert_uint_eq(toggles, 100);
	/* as kernels measure their clocks: mode 0, 10 ms, wait for the output */
	gate(0);
	mode(0);
	put_word(2, 11932);
	gate(1);
	ticks(11931);
	ck_assert_uint_eq(out(), 0);
	ticks(1);
	ck_assert_uint_eq(out(), 1);
}
END_TEST

/* Without what fake_state_check does to each field: there are many. */
static void round_trip(void)
{
	struct fake_state *saved = fake_save(f), *again;
	struct fake *other = make();

	ck_assert_int_eq(fake_load(other, saved, NULL), 0);
	again = fake_save(other);
	ck_assert_ptr_null(fake_state_differs(saved, again));
	ck_assert_uint_eq(fake_line(other, "irq", 0), fake_line(f, "irq", 0));
	fake_state_free(again);
	fake_state_free(saved);
	fake_free(other);
}

START_TEST(state)
{
	put(COMMAND, 0x34);
	put_word(0, 11932);
	put(COMMAND, 0x57);
	put(1, 0x18);
	gate(1);
	mode(3);
	put_word(2, 999);
	ticks(5000);
	put_word(0, 1234);           /* waits for the end of the cycle */
	put(COMMAND, 0xc8);
	get(2);
	put(2, 7);
	fake_state_check(f, make);
	gate(0);
	ticks(20000);
	round_trip();
	put(COMMAND, 0x30);
	put_word(0, 1);
	ticks(5);
	round_trip();
}
END_TEST

/* The waveform goes on where it was. */
START_TEST(goes_on)
{
	struct fake_state *saved;

	gate(1);
	mode(3);
	put_word(2, 6);
	wave("1110");
	saved = fake_save(f);
	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_load(f, saved, NULL), 0);
	fake_state_free(saved);
	wave("00111000");
}
END_TEST

START_TEST(hostile_state)
{
	fake_state_refuses(f, make, "counters[0]/count", 0, 0, "count");
	fake_state_refuses(f, make, "counters[1]/count", 0, 65537, "count");
	fake_state_refuses(f, make, "counters[1]/control", 0, 0x04, "count");
	fake_state_refuses(f, make, "counters[0]/gate", 0, 0, "count");
	fake_state_refuses(f, make, "counters[2]/gate", 0, 1, "count");
	fake_state_refuses(f, make, "counters[0]/phase", 0, 2, "count");
	fake_state_refuses(f, make, "counters[0]/start", 0, 1ull << 63, "count");
	fake_state_refuses(f, make, "counters[2]/held", 0, 1ull << 62, "count");
	fake_state_refuses(f, make, "counters[2]/switch_at", 0, UINT64_MAX - 1, "count");
}
END_TEST

START_TEST(acpi)
{
	struct mt_acpi said;

	ck_assert_str_eq(fake_acpi_text(f, &said), "PNP0100 40+4 irq\n");
	fake_free(f);
	f = fake_new("dev-i8254");
	fake_prop(f, "port", "0x140");
	fake_start(f);
	ck_assert_str_eq(fake_acpi_text(f, &said), "PNP0100 140+4 -\n");
}
END_TEST

START_TEST(random_accesses)
{
	put(COMMAND, 0x34);
	put_word(0, 100);
	fake_fuzz_region(f, 6, 50000);
}
END_TEST

int main(void)
{
	CHECK_RUN("i8254", start, stop, mode_0, mode_1, mode_2, mode_3, mode_4, mode_5, open_bits, bytes, largest_counts,
		  latches, interrupts, rate_changes, storm, rate, port_61, state, goes_on, hostile_state, acpi, random_accesses);
}
