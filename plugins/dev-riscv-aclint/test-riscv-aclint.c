/* SPDX-License-Identifier: MIT */
/* dev-riscv-aclint on the fake host, whose clock stands still until it is told to move. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>

#include "aclint.h"

#define MTIMECMP(h) (ACLINT_MTIMECMP_OFFSET + 8u * (h))
#define TICK_NS 100u       /* 10 MHz */

static struct fake *f;

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-riscv-aclint");

	fake_vcpus(made, 2);
	fake_prop(made, "at", "0x02000000");
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

START_TEST(software_interrupts)
{
	fake_put(f, 4, 4, 0xfffffffe);
	ck_assert_uint_eq(fake_pin(f, 1, "msip"), 0);
	fake_put(f, 4, 4, 0xffffffff);
	ck_assert_uint_eq(fake_pin(f, 1, "msip"), 1);
	ck_assert_uint_eq(fake_pin(f, 0, "msip"), 0);
	ck_assert_uint_eq(fake_get(f, 4, 4), 1);
	fake_put(f, 4, 4, 0);
	ck_assert_uint_eq(fake_pin(f, 1, "msip"), 0);
}
END_TEST

START_TEST(timer_fires_at_its_tick)
{
	fake_put(f, MTIMECMP(1), 8, 1000);
	fake_advance(f, 1000 * TICK_NS - 1);
	ck_assert_uint_eq(fake_pin(f, 1, "mtip"), 0);
	ck_assert_uint_eq(fake_get(f, ACLINT_MTIME_OFFSET, 8), 999);
	fake_advance(f, 1);
	ck_assert_uint_eq(fake_pin(f, 1, "mtip"), 1);
	ck_assert_uint_eq(fake_pin(f, 0, "mtip"), 0);
	fake_put(f, MTIMECMP(1), 8, 1001);
	ck_assert_uint_eq(fake_pin(f, 1, "mtip"), 0);
	fake_put(f, MTIMECMP(1), 8, 5);
	ck_assert_uint_eq(fake_pin(f, 1, "mtip"), 1);
}
END_TEST

START_TEST(odd_timebases_fire_on_time)
{
	fake_timebase(f, 32768);
	fake_put(f, MTIMECMP(0), 8, 7);
	fake_advance(f, 213623);       /* 7 ticks are 213623.05 ns */
	ck_assert_uint_eq(fake_pin(f, 0, "mtip"), 0);
	fake_advance(f, 1);
	ck_assert_uint_eq(fake_pin(f, 0, "mtip"), 1);
}
END_TEST

START_TEST(compare_in_halves)
{
	fake_put(f, MTIMECMP(0) + 4, 4, 0xffffffff);
	fake_put(f, MTIMECMP(0), 4, 50);
	fake_put(f, MTIMECMP(0) + 4, 4, 0);
	ck_assert_uint_eq(fake_get(f, MTIMECMP(0), 8), 50);
	ck_assert_uint_eq(fake_get(f, MTIMECMP(0) + 4, 4), 0);
	fake_advance(f, 50 * TICK_NS);
	ck_assert_uint_eq(fake_pin(f, 0, "mtip"), 1);
}
END_TEST

START_TEST(time_can_be_written)
{
	fake_put(f, MTIMECMP(0), 8, 5000);
	fake_put(f, ACLINT_MTIME_OFFSET, 8, 4990);
	ck_assert_uint_eq(fake_get(f, ACLINT_MTIME_OFFSET, 8), 4990);
	ck_assert_uint_eq(fake_pin(f, 0, "mtip"), 0);
	fake_advance(f, 10 * TICK_NS);
	ck_assert_uint_eq(fake_pin(f, 0, "mtip"), 1);
	fake_put(f, ACLINT_MTIME_OFFSET, 4, 0);
	ck_assert_uint_eq(fake_pin(f, 0, "mtip"), 0);
	fake_put(f, ACLINT_MTIME_OFFSET + 4, 4, 1);
	ck_assert_uint_eq(fake_get(f, ACLINT_MTIME_OFFSET + 4, 4), 1);
	ck_assert_uint_eq(fake_pin(f, 0, "mtip"), 1);
}
END_TEST

START_TEST(due_ticks_at_the_edges)
{
	ck_assert_uint_eq(aclint_due_tick(10, 0, 10), 0);
	ck_assert_uint_eq(aclint_due_tick(10, 0, 11), 11);
	ck_assert_uint_eq(aclint_due_tick(10, (uint64_t)-10, 3), 13);
	ck_assert_uint_eq(aclint_due_tick(10, (uint64_t)-10, UINT64_MAX), UINT64_MAX);
	ck_assert_uint_eq(aclint_due_tick(UINT64_MAX, 0, UINT64_MAX), 0);
}
END_TEST

START_TEST(registers_of_absent_harts)
{
	fake_put(f, 8, 4, 1);
	fake_put(f, MTIMECMP(2), 8, 0);
	fake_put(f, 0xbff4, 4, 0);
	ck_assert_uint_eq(fake_get(f, 8, 4), 0);
	ck_assert_uint_eq(fake_get(f, MTIMECMP(2), 8), 0);
	ck_assert_uint_eq(fake_get(f, 0xc000, 8), 0);
	ck_assert_uint_eq(fake_get(f, 0xfffc, 4), 0);
}
END_TEST

START_TEST(reset_lowers_pins)
{
	fake_put(f, 0, 4, 1);
	fake_put(f, MTIMECMP(0), 8, 0);
	ck_assert_uint_eq(fake_pin(f, 0, "mtip"), 1);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ck_assert_uint_eq(fake_pin(f, 0, "mtip"), 0);
	ck_assert_uint_eq(fake_pin(f, 0, "msip"), 0);
}
END_TEST

START_TEST(device_tree)
{
	ck_assert_str_eq(fake_fdt(f),
		"clint@2000000 {\n"
		"\treg = <0x2000000 0x10000>;\n"
		"\tcompatible = \"sifive,clint0\", \"riscv,clint0\";\n"
		"\tinterrupts-extended = <&intc0 0x3 &intc0 0x7 &intc1 0x3 &intc1 0x7>;\n"
		"};\n");
}
END_TEST

START_TEST(state)
{
	fake_put(f, 0xbff8, 8, 1000000);
	fake_put(f, 0x4008, 8, 1000500);
	fake_put(f, 0x0, 4, 1);
	fake_advance(f, 10000);
	fake_state_check(f, make);
	fake_advance(f, 40000);
	ck_assert_uint_eq(fake_pin(f, 1, "mtip"), 1);
	fake_state_check(f, make);
}
END_TEST

START_TEST(timer_fires_after_a_load)
{
	struct fake_state *state;

	fake_put(f, 0x4008, 8, 500);
	fake_advance(f, 10000);
	state = fake_save(f);
	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_load(f, state, NULL), 0);
	fake_state_free(state);
	ck_assert_uint_eq(fake_get(f, 0xbff8, 8), 100);
	fake_advance(f, 39900);
	ck_assert_uint_eq(fake_pin(f, 1, "mtip"), 0);
	fake_advance(f, 100);
	ck_assert_uint_eq(fake_pin(f, 1, "mtip"), 1);
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 2, 200000);
}
END_TEST

int main(void)
{
	CHECK_RUN("riscv-aclint", start, stop, software_interrupts, timer_fires_at_its_tick, odd_timebases_fire_on_time,
		  compare_in_halves, time_can_be_written, due_ticks_at_the_edges, registers_of_absent_harts,
		  reset_lowers_pins, device_tree, state, timer_fires_after_a_load, fuzz);
}
