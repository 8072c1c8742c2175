/* SPDX-License-Identifier: MIT */
/* dev-debug-exit on the fake host. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>

static struct fake *f;

static struct fake *make(void)
{
	return fake_new("dev-debug-exit");
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

START_TEST(codes)
{
	uint32_t request, code;

	ck_assert_str_eq(fake_region(f, 0)->at_prop, "port");
	fake_put(f, 0, 1, 0);
	ck_assert_uint_eq(fake_requests(f, &request, &code), 1);
	ck_assert_uint_eq(request, MT_REQUEST_POWEROFF);
	ck_assert_uint_eq(code, 0);
	fake_put(f, 0, 4, 0x12345);
	ck_assert_uint_eq(fake_requests(f, &request, &code), 2);
	ck_assert_uint_eq(code, 0x12345);
	/* the ports beside it do nothing */
	fake_put(f, 1, 1, 5);
	ck_assert_uint_eq(fake_requests(f, NULL, NULL), 2);
	ck_assert_uint_eq(fake_get(f, 0, 4), 0);
}
END_TEST

START_TEST(state)
{
	fake_state_check(f, make);
}
END_TEST

START_TEST(random_accesses)
{
	fake_fuzz_region(f, 3, 20000);
}
END_TEST

int main(void)
{
	CHECK_RUN("debug-exit", start, stop, codes, state, random_accesses);
}
