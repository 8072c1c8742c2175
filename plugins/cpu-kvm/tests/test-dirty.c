/* SPDX-License-Identifier: MIT */
/* KVM's log of written pages: which slots have it, where its bits go, and what its errors do. */
#include <errno.h>
#include <fake/check-run.h>
#include <string.h>

#include "steps.h"

#define PAGE 4096u

static const struct mt_cpu_dirty *dirty;
static uint64_t migration[4], display[4], code[4];
/* 200 pages, the last 130 of which are mapped at 0x200000; the first 70 at 0 */
static struct mt_ram ram = { .size = sizeof(ram), .len_bytes = 200 * PAGE,
			     .dirty = { [MT_DIRTY_MIGRATION] = migration, [MT_DIRTY_CODE] = code } };

#define LOW  { .gpa = 0, .len_bytes = 70 * PAGE, .kind = MT_FLAT_RAM, .ram = &ram, .hva = bench_ram }
#define HIGH { .gpa = 0x200000, .len_bytes = 130 * PAGE, .kind = MT_FLAT_RAM, .ram = &ram, .ram_offset = 70 * PAGE, \
	       .hva = bench_ram + 70 * PAGE }
#define ROM  { .gpa = 0x400000, .len_bytes = PAGE, .kind = MT_FLAT_ROM, .ram = &ram, .hva = bench_ram + 199 * PAGE }

static const struct mt_flat_range all_ranges[] = { LOW, HIGH, ROM }, fewer_ranges[] = { LOW, ROM };
static struct mt_flat_view all = { 10, 3, sizeof(all_ranges[0]), all_ranges };
static struct mt_flat_view fewer = { 11, 2, sizeof(fewer_ranges[0]), fewer_ranges };

static void start(void)
{
	shim_start();
	bench_new(1);
	dirty = fake_role(b.f, MT_IFACE_CPU_DIRTY);
	ck_assert_msg(bench_up() == 0, "%s", b.err.message);
	memset(migration, 0, sizeof(migration));
	memset(display, 0, sizeof(display));
	memset(code, 0, sizeof(code));
	ram.dirty[MT_DIRTY_DISPLAY] = NULL;
	memset(ram.dirty_epoch, 0, sizeof(ram.dirty_epoch));
	shim.guest = leave;
	ck_assert_int_eq(bench_run_view(0, &all), 0);
}

/* The slot at this address. */
static uint32_t slot_at(uint64_t gpa)
{
	for (uint32_t i = 0; i < SHIM_SLOTS; i++)
		if (shim.slots[i].memory_size && shim.slots[i].guest_phys_addr == gpa)
			return i;
	ck_abort_msg("no slot at 0x%llx", (unsigned long long)gpa);
}

static uint32_t logged(uint64_t gpa)
{
	return shim.slots[slot_at(gpa)].flags & KVM_MEM_LOG_DIRTY_PAGES;
}

START_TEST(slots_of_ram_have_it)
{
	ck_assert(!logged(0) && !logged(0x200000));
	ck_assert_int_eq(dirty->log(b.self, 1), 0);
	ck_assert(logged(0) && logged(0x200000));
	ck_assert_uint_eq(shim.slots[slot_at(0x400000)].flags, KVM_MEM_READONLY);
	ck_assert_int_eq(dirty->log(b.self, 0), 0);
	ck_assert(!logged(0) && !logged(0x200000));
	/* and such as come while it is on */
	ck_assert_int_eq(bench_run_view(0, &fewer), 0);
	ck_assert_int_eq(dirty->log(b.self, 1), 0);
	all.generation = 12;
	ck_assert_int_eq(bench_run_view(0, &all), 0);
	ck_assert(logged(0x200000));
}
END_TEST

START_TEST(bits_go_where_the_ram_is)
{
	ram.dirty[MT_DIRTY_DISPLAY] = display;
	ck_assert_int_eq(dirty->log(b.self, 1), 0);
	shim.dirty[slot_at(0)][0] = 1ull << 63 | 1;
	shim.dirty[slot_at(0)][1] = 1u << 5;                   /* page 69 */
	shim.dirty[slot_at(0x200000)][0] = 1 | 1ull << 60;     /* pages 70 and 130 */
	shim.dirty[slot_at(0x200000)][2] = 2;                  /* page 199 */
	ck_assert_int_eq(dirty->collect(b.self), 0);
	ck_assert_uint_eq(migration[0], 1ull << 63 | 1);
	ck_assert_uint_eq(migration[1], 1u << 5 | 1u << 6);
	ck_assert_uint_eq(migration[2], 1u << 2);
	ck_assert_uint_eq(migration[3], 1u << 7);
	ck_assert_mem_eq(display, migration, sizeof(display));
	ck_assert_uint_eq(code[0] | code[1] | code[2] | code[3], 0);
	ck_assert_uint_ne(ram.dirty_epoch[MT_DIRTY_DISPLAY], 0);
	/* KVM has forgotten, the client has not */
	ck_assert_int_eq(dirty->collect(b.self), 0);
	ck_assert_uint_eq(migration[3], 1u << 7);
	ck_assert_uint_eq(shim.dirty[slot_at(0)][0], 0);
}
END_TEST

/* Another vCPU may write to it until the very end: 130 pages, from 70 on. */
START_TEST(a_slot_that_goes_may_have_been_written)
{
	ck_assert_int_eq(dirty->log(b.self, 1), 0);
	fewer.generation = 20;
	ck_assert_int_eq(bench_run_view(0, &fewer), 0);
	ck_assert_uint_eq(migration[0], 0);
	ck_assert_uint_eq(migration[1], UINT64_MAX << 6);
	ck_assert_uint_eq(migration[2], UINT64_MAX);
	ck_assert_uint_eq(migration[3], 0xff);
	ck_assert_uint_eq(code[1] | code[2] | code[3], 0);
	ck_assert_int_eq(dirty->collect(b.self), 0);
}
END_TEST

START_TEST(a_slot_that_goes_unlogged)
{
	fewer.generation = 20;
	ck_assert_int_eq(bench_run_view(0, &fewer), 0);
	ck_assert_uint_eq(migration[1] | migration[2] | migration[3], 0);
}
END_TEST

START_TEST(a_log_that_cannot_be_read)
{
	ck_assert_int_eq(dirty->log(b.self, 1), 0);
	shim.fail_error = -ENOMEM;
	shim.fail_request = KVM_GET_DIRTY_LOG;
	ck_assert_int_eq(dirty->collect(b.self), MT_EHOST);
	ck_assert_int_eq(dirty->collect(b.self), 0);
}
END_TEST

START_TEST(a_log_that_does_not_begin)
{
	shim.fail_error = -ENOMEM;
	shim.fail_request = KVM_SET_USER_MEMORY_REGION;
	ck_assert_int_eq(dirty->log(b.self, 1), MT_EHOST);
	ck_assert(!logged(0) && !logged(0x200000));
	ck_assert_int_eq(bench_run_view(0, &all), 0);
	ck_assert_int_eq(dirty->log(b.self, 1), 0);
	ck_assert(logged(0) && logged(0x200000));
}
END_TEST

int main(void)
{
	CHECK_RUN("kvm-dirty", start, stop, slots_of_ram_have_it, bits_go_where_the_ram_is,
		  a_slot_that_goes_may_have_been_written, a_slot_that_goes_unlogged, a_log_that_cannot_be_read,
		  a_log_that_does_not_begin);
}
