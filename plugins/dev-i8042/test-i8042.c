/* SPDX-License-Identifier: MIT */
/* dev-i8042 on the fake host: what drivers of Linux and SeaBIOS ask a controller without a keyboard. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>

#include "i8042.h"

enum { DATA, COMMAND, FAST };

static struct fake *f;

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-i8042");

	fake_prop(made, "irq", "pic:1");
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

static uint32_t get(uint32_t port)
{
	uint64_t value;

	ck_assert_uint_eq(fake_read(f, port, 0, 1, &value), MT_BUS_OK);
	return (uint32_t)value;
}

static void put(uint32_t port, uint32_t value)
{
	ck_assert_uint_eq(fake_write(f, port, 0, 1, value), MT_BUS_OK);
}

static uint32_t resets(void)
{
	uint32_t request = 0, count = fake_requests(f, &request, NULL);

	ck_assert_uint_eq(request, count ? MT_REQUEST_RESET : 0);
	return count;
}

/* The answer, which must be there. */
static uint32_t answer(uint32_t flags)
{
	uint32_t mask = I8042_OUTPUT_FULL | 0x20 | I8042_TIMEOUT;

	ck_assert_uint_eq(get(COMMAND) & mask, I8042_OUTPUT_FULL | flags);
	flags = get(DATA);
	ck_assert_uint_eq(get(COMMAND) & mask, 0);
	return flags;
}

static uint32_t ask(uint32_t command)
{
	put(COMMAND, command);
	return answer(0);
}

START_TEST(ports)
{
	ck_assert_str_eq(fake_region(f, DATA)->at_prop, "data-port");
	ck_assert_str_eq(fake_region(f, COMMAND)->at_prop, "command-port");
	ck_assert_str_eq(fake_region(f, FAST)->at_prop, "fast-port");
	ck_assert_uint_eq(get(COMMAND), I8042_UNLOCKED);
	put(COMMAND, 0xad);
	ck_assert_uint_eq(get(COMMAND), I8042_UNLOCKED | I8042_COMMAND);
	put(DATA, 0xf4);
	ck_assert_uint_eq(get(COMMAND) & I8042_COMMAND, 0);
}
END_TEST

START_TEST(self_tests)
{
	ck_assert_uint_eq(get(COMMAND) & I8042_SYSTEM, 0);
	ck_assert_uint_eq(ask(0xaa), 0x55);
	ck_assert_uint_eq(get(COMMAND) & I8042_SYSTEM, I8042_SYSTEM);
	ck_assert_uint_eq(ask(0xab), 0);
	ck_assert_uint_eq(ask(0xc0), 0x80);
	ck_assert_uint_eq(ask(0xe0), 0);
}
END_TEST

START_TEST(memory)
{
	ck_assert_uint_eq(ask(0x20), 0x70);
	put(COMMAND, 0x60);
	put(DATA, 0x45);
	ck_assert_uint_eq(ask(0x20), 0x65);            /* the second channel stays off */
	ck_assert_uint_eq(get(COMMAND) & I8042_SYSTEM, I8042_SYSTEM);
	put(COMMAND, 0xad);
	ck_assert_uint_eq(ask(0x20), 0x75);
	put(COMMAND, 0xae);
	put(COMMAND, 0xa8);
	ck_assert_uint_eq(ask(0x20), 0x65);
	put(COMMAND, 0x7f);
	put(DATA, 0xa5);
	ck_assert_uint_eq(ask(0x3f), 0xa5);
	ck_assert_uint_eq(ask(0x21), 0);
}
END_TEST

/* As Linux probes: the loop command's answer bears no mark of the channel, the test says no. */
START_TEST(no_second_channel)
{
	put(COMMAND, 0xd3);
	put(DATA, 0x5a);
	ck_assert_uint_eq(answer(0), 0x5a);
	ck_assert_uint_ne(ask(0xa9), 0);
	put(COMMAND, 0xd4);
	put(DATA, 0xff);
	ck_assert_uint_eq(answer(I8042_TIMEOUT), 0xfe);
}
END_TEST

START_TEST(no_keyboard)
{
	put(COMMAND, 0xad);
	put(DATA, 0xff);
	ck_assert_uint_eq(answer(I8042_TIMEOUT), 0xfe);
	ck_assert_uint_eq(ask(0x20) & I8042_KEYS_OFF, 0);
	put(COMMAND, 0xd2);
	put(DATA, 0x1c);
	ck_assert_uint_eq(answer(0), 0x1c);
}
END_TEST

START_TEST(interrupt)
{
	ask(0xaa);
	ck_assert_uint_eq(fake_line_changes(f, "irq", 0), 0);
	put(COMMAND, 0x60);
	put(DATA, 0x01);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	put(DATA, 0xf2);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
	ck_assert_uint_eq(get(DATA), 0xfe);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	ck_assert_uint_eq(get(DATA), 0xfe);            /* the buffer keeps what it had */
	put(DATA, 0xf2);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
}
END_TEST

START_TEST(resetting)
{
	put(COMMAND, 0xff);
	put(COMMAND, 0xfd);
	ck_assert_uint_eq(resets(), 0);
	put(COMMAND, 0xfe);
	ck_assert_uint_eq(resets(), 1);
	put(COMMAND, 0xf0);
	ck_assert_uint_eq(resets(), 2);
	put(COMMAND, 0xd1);
	put(DATA, 0x03);
	ck_assert_uint_eq(resets(), 2);
	put(COMMAND, 0xd1);
	put(DATA, 0x02);
	ck_assert_uint_eq(resets(), 3);
	put(FAST, 0x02);
	ck_assert_uint_eq(resets(), 3);
	put(FAST, 0x03);
	ck_assert_uint_eq(resets(), 4);
	put(FAST, 0x03);                               /* no rise */
	ck_assert_uint_eq(resets(), 4);
}
END_TEST

START_TEST(a20)
{
	ck_assert_uint_eq(ask(0xd0), 0x03);
	ck_assert_uint_eq(get(FAST), 0x02);
	put(COMMAND, 0xdd);
	ck_assert_uint_eq(ask(0xd0), 0x01);
	ck_assert_uint_eq(get(FAST), 0x00);
	put(FAST, 0xaa);
	ck_assert_uint_eq(get(FAST), 0xaa);
	ck_assert_uint_eq(ask(0xd0), 0x03);
	put(COMMAND, 0xd1);
	put(DATA, 0xdd);
	ck_assert_uint_eq(get(FAST), 0xa8);
	put(COMMAND, 0xdf);
	ck_assert_uint_eq(ask(0xd0), 0xdf);
	ck_assert_uint_eq(resets(), 0);
}
END_TEST

START_TEST(a_command_forgets_the_one_before)
{
	put(COMMAND, 0x60);
	ck_assert_uint_eq(ask(0xaa), 0x55);
	put(DATA, 0x01);
	ck_assert_uint_eq(answer(I8042_TIMEOUT), 0xfe);
	ck_assert_uint_eq(ask(0x20), 0x64);
}
END_TEST

START_TEST(state)
{
	put(COMMAND, 0x60);
	put(DATA, 0x41);
	put(COMMAND, 0x71);
	put(DATA, 0x99);
	put(FAST, 0xd4);
	put(DATA, 0xed);
	put(COMMAND, 0xd1);
	fake_state_check(f, make);
}
END_TEST

START_TEST(states_that_cannot_be)
{
	static const struct { const char *field; uint8_t value; } bad[] = {
		{ "command", 0x20 }, { "command", 0xd0 }, { "status", 0x02 }, { "status", 0x20 }, { "fast", 0x02 },
	};
	struct mt_error err = { .size = sizeof(err) };

	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fake_state *saved = fake_save(f);
		struct fake *other = make();

		fake_state_set(saved, fake_state_find(saved, bad[i].field), 0, bad[i].value);
		ck_assert_int_lt(fake_load(other, saved, &err), 0);
		ck_assert_int_eq(strncmp(fake_state_refused(saved), bad[i].field, strlen(bad[i].field)), 0);
		fake_free(other);
		fake_state_free(saved);
	}
}
END_TEST

START_TEST(random_accesses)
{
	fake_fuzz_region(f, 8042, 20000);
}
END_TEST

int main(void)
{
	CHECK_RUN("i8042", start, stop, ports, self_tests, memory, no_second_channel, no_keyboard, interrupt, resetting, a20,
		  a_command_forgets_the_one_before, state, states_that_cannot_be, random_accesses);
}
