/* SPDX-License-Identifier: MIT */
/* dev-debug-port on the fake host. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <string.h>

#define QUEUE_BYTES 65536u

static struct fake *f;

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-debug-port");

	fake_prop(made, "char", "con0");
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

static void say(const char *text)
{
	while (*text)
		fake_put(f, 0, 1, (uint8_t)*text++);
}

static void heard(const char *text)
{
	uint32_t len;
	const uint8_t *out = fake_char_out(f, &len);

	ck_assert_uint_eq(len, strlen(text));
	ck_assert_int_eq(memcmp(out, text, len), 0);
}

START_TEST(bytes)
{
	ck_assert_str_eq(fake_region(f, 0)->at_prop, "port");
	ck_assert_uint_eq(fake_get(f, 0, 1), 0xe9);
	say("SeaBIOS\n");
	heard("SeaBIOS\n");
	ck_assert_uint_eq(fake_char_send(f, "abc", 3), 3);     /* goes nowhere */
	heard("SeaBIOS\n");
}
END_TEST

START_TEST(waits_for_room)
{
	fake_char_room(f, 3);
	say("firmware");
	heard("fir");
	fake_char_more(f, 2);
	heard("firmw");
	fake_char_more(f, 100);
	say("!");
	heard("firmware!");
}
END_TEST

START_TEST(full)
{
	uint32_t len;

	fake_char_room(f, 0);
	for (uint32_t i = 0; i < QUEUE_BYTES; i++)
		say("a");
	ck_assert_uint_eq(fake_log_count(f, MT_LOG_WARN), 0);
	say("lost");
	ck_assert_uint_eq(fake_log_count(f, MT_LOG_WARN), 1);
	fake_char_more(f, 2 * QUEUE_BYTES);
	fake_char_out(f, &len);
	ck_assert_uint_eq(len, QUEUE_BYTES);
	say("b");
	ck_assert_uint_eq(fake_char_out(f, &len)[QUEUE_BYTES], 'b');
}
END_TEST

START_TEST(back_end_gone)
{
	fake_char_room(f, 1);
	say("ab");
	fake_char_gone(f);
	say("cd");
	heard("a");
}
END_TEST

START_TEST(nobody_listens)
{
	stop();
	f = fake_new("dev-debug-port");
	fake_start(f);
	say("text");
	ck_assert_uint_eq(fake_get(f, 0, 1), 0xe9);
}
END_TEST

START_TEST(state)
{
	say("text");
	fake_state_check(f, make);
}
END_TEST

START_TEST(random_accesses)
{
	fake_fuzz_region(f, 9, 20000);
}
END_TEST

int main(void)
{
	CHECK_RUN("debug-port", start, stop, bytes, waits_for_room, full, back_end_gone, nobody_listens, state,
		  random_accesses);
}
