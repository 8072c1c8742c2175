/* SPDX-License-Identifier: MIT */
/* dev-syscon-test on the fake host: commands and the nodes that firmware and Linux look for. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>

static struct fake *f;

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-syscon-test");

	fake_prop(made, "at", "0x00100000");
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

static void expect(uint64_t value, uint32_t want_request, uint32_t want_code)
{
	uint32_t before = fake_requests(f, NULL, NULL), request, code;

	fake_put(f, 0, 4, value);
	ck_assert_uint_eq(fake_requests(f, &request, &code), before + 1);
	ck_assert_uint_eq(request, want_request);
	ck_assert_uint_eq(code, want_code);
}

START_TEST(commands)
{
	expect(0x5555, MT_REQUEST_POWEROFF, 0);
	expect(0x3333, MT_REQUEST_POWEROFF, 1);
	expect(0x3333 | 42 << 16, MT_REQUEST_POWEROFF, 42);
	expect(0x7777, MT_REQUEST_RESET, 0);
	fake_put(f, 0, 2, 0x5555);
	ck_assert_uint_eq(fake_requests(f, NULL, NULL), 5);
}
END_TEST

START_TEST(other_writes_do_nothing)
{
	fake_put(f, 0, 4, 0);
	fake_put(f, 0, 4, 0x55550000);
	fake_put(f, 4, 4, 0x5555);
	ck_assert_uint_eq(fake_requests(f, NULL, NULL), 0);
	ck_assert_uint_eq(fake_get(f, 0, 4), 0);
}
END_TEST

START_TEST(device_tree)
{
	ck_assert_str_eq(fake_fdt(f),
		"test@100000 {\n"
		"\treg = <0x100000 0x1000>;\n"
		"\tphandle = <0x1>;\n"
		"\tcompatible = \"sifive,test1\", \"sifive,test0\", \"syscon\";\n"
		"};\n"
		"poweroff {\n"
		"\tcompatible = \"syscon-poweroff\";\n"
		"\tregmap = <0x1>;\n"
		"\toffset = <0x0>;\n"
		"\tvalue = <0x5555>;\n"
		"};\n"
		"reboot {\n"
		"\tcompatible = \"syscon-reboot\";\n"
		"\tregmap = <0x1>;\n"
		"\toffset = <0x0>;\n"
		"\tvalue = <0x7777>;\n"
		"};\n");
}
END_TEST

START_TEST(state)
{
	fake_state_check(f, make);
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 3, 100000);
}
END_TEST

int main(void)
{
	CHECK_RUN("syscon-test", start, stop, commands, other_writes_do_nothing, device_tree, state, fuzz);
}
