/* SPDX-License-Identifier: MIT */
/* Memory slots of cpu-kvm, which follow views. */
#include <fake/check-run.h>
#include <string.h>

#include "steps.h"

static void start(void)
{
	shim_start();
	bench_new(1);
	up();
}

static const struct kvm_userspace_memory_region *slot_at(uint64_t gpa)
{
	for (uint32_t i = 0; i < SHIM_SLOTS; i++)
		if (shim.slots[i].memory_size && shim.slots[i].guest_phys_addr == gpa)
			return &shim.slots[i];
	return NULL;
}

static void run_with(const struct mt_flat_range *ranges, uint32_t count, uint64_t generation)
{
	struct mt_flat_view view = { generation, count, sizeof(ranges[0]), ranges };

	shim.guest = leave;
	ck_assert_int_eq(bench_run_view(0, &view), 0);
}

START_TEST(slots_are_what_the_view_shows)
{
	shim.guest = leave;
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_uint_eq(shim.slot_changes, 2);
	ck_assert_uint_eq(slot_at(0)->memory_size, 0xf0000);
	ck_assert_uint_eq(slot_at(0)->flags, 0);
	ck_assert_uint_eq(slot_at(0)->userspace_addr, (uintptr_t)bench_ram);
	ck_assert_uint_eq(slot_at(0xf0000)->flags, KVM_MEM_READONLY);
	ck_assert_ptr_null(slot_at(0x10000000));
	/* again: nothing to tell */
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_uint_eq(shim.slot_changes, 2);
}
END_TEST

START_TEST(slots_follow_views)
{
	struct mt_flat_range r[] = {
		{ .gpa = 0, .len_bytes = 0x10000, .kind = MT_FLAT_RAM, .hva = bench_ram },
		{ .gpa = 0x20000, .len_bytes = 0x10000, .kind = MT_FLAT_RAM, .hva = bench_ram + 0x20000 },
	};
	uint32_t before;

	run_with(r, 2, 10);
	before = shim.slot_changes;
	/* the second one moves: the first one is not touched */
	r[1].gpa = 0x28000;
	run_with(r, 2, 11);
	ck_assert_uint_eq(shim.slot_changes, before + 2);
	ck_assert_ptr_null(slot_at(0x20000));
	ck_assert_ptr_nonnull(slot_at(0x28000));
	/* it becomes read-only */
	r[1].kind = MT_FLAT_ROM;
	run_with(r, 2, 12);
	ck_assert_uint_eq(slot_at(0x28000)->flags, KVM_MEM_READONLY);
	/* a vCPU with an older view changes nothing */
	before = shim.slot_changes;
	run_with(r, 1, 11);
	ck_assert_uint_eq(shim.slot_changes, before);
	run_with(r, 0, 13);
	ck_assert_ptr_null(slot_at(0));
	ck_assert_ptr_null(slot_at(0x28000));
}
END_TEST

static void view_many(uint32_t count, uint64_t generation, int expect)
{
	static struct mt_flat_range r[SHIM_SLOTS + 1];
	struct mt_flat_view view = { generation, count, sizeof(r[0]), r };

	for (uint32_t i = 0; i < count; i++)
		r[i] = (struct mt_flat_range){ .gpa = (uint64_t)i << 16, .len_bytes = 4096, .kind = MT_FLAT_RAM,
					       .hva = bench_ram };
	shim.guest = leave;
	ck_assert_int_eq(bench_run_view(0, &view) < 0, expect);
}

START_TEST(too_many_slots)
{
	view_many(SHIM_SLOTS, 2, 0);
	view_many(SHIM_SLOTS + 1, 3, 1);
	ck_assert_ptr_nonnull(strstr(b.exit.message, "takes 64 pieces of memory, and the one at 0x400000 is too many"));
	/* it is tried again, and goes on when it fits */
	view_many(3, 4, 0);
	ck_assert_ptr_null(slot_at(0x30000));
}
END_TEST

/* The shim's CPU has 40 bits; nothing reads what is there. */
START_TEST(memory_beyond_the_addresses)
{
	struct mt_flat_range r = { .gpa = 0xfffffff000, .len_bytes = 0x1000, .kind = MT_FLAT_RAM, .hva = bench_ram };
	struct mt_flat_view beyond = { 11, 1, sizeof(r), &r };

	run_with(&r, 1, 10);
	ck_assert_ptr_nonnull(slot_at(0xfffffff000));
	r.len_bytes = 0x2000;
	ck_assert_int_lt(bench_run_view(0, &beyond), 0);
	ck_assert_ptr_nonnull(strstr(b.exit.message, "memory of 0x2000 bytes at 0xfffffff000 ends beyond the 40 bits"));
	r.len_bytes = UINT64_C(1) << 46;
	beyond.generation++;
	ck_assert_int_lt(bench_run_view(0, &beyond), 0);
	/* where nested paging can map less */
	bench_down();
	shim.mapped_bits = 39;
	bench_new(1);
	up();
	r = (struct mt_flat_range){ .gpa = 0x8000000000, .len_bytes = 0x1000, .kind = MT_FLAT_RAM, .hva = bench_ram };
	beyond.generation = 1;
	ck_assert_int_lt(bench_run_view(0, &beyond), 0);
	ck_assert_ptr_nonnull(strstr(b.exit.message, "beyond the 39 bits"));
}
END_TEST

START_TEST(memory_longer_than_a_slot)
{
	const uint64_t piece = UINT64_C(1) << 42;
	struct mt_flat_range r[] = {
		{ .gpa = 0, .len_bytes = 0x1000, .kind = MT_FLAT_RAM, .hva = bench_ram },
		{ .gpa = 0x100000, .len_bytes = 2 * piece + 0x3000, .kind = MT_FLAT_RAM, .hva = (uint8_t *)0x10000000 },
	};
	uint32_t before;

	bench_down();
	shim.address_bits = 52;
	bench_new(1);
	up();
	run_with(r, 2, 10);
	for (uint64_t n = 0; n < 3; n++) {
		const struct kvm_userspace_memory_region *s = slot_at(0x100000 + n * piece);

		ck_assert_ptr_nonnull(s);
		ck_assert_uint_eq(s->memory_size, n < 2 ? piece : 0x3000);
		ck_assert_uint_eq(s->userspace_addr, 0x10000000 + n * piece);
	}
	/* only the last piece gets longer */
	before = shim.slot_changes;
	r[1].len_bytes += 0x1000;
	run_with(r, 2, 11);
	ck_assert_uint_eq(shim.slot_changes, before + 2);
	ck_assert_uint_eq(slot_at(0x100000 + 2 * piece)->memory_size, 0x4000);
	run_with(r, 1, 12);
	ck_assert_ptr_null(slot_at(0x100000));
	ck_assert_ptr_null(slot_at(0x100000 + 2 * piece));
}
END_TEST

START_TEST(slot_that_kvm_refuses)
{
	struct mt_flat_range r = { .gpa = 0x7000, .len_bytes = 0x1000, .kind = MT_FLAT_RAM, .hva = bench_ram };

	shim.fail_request = KVM_SET_USER_MEMORY_REGION;
	shim.fail_error = -ENOMEM;
	ck_assert_int_lt(bench_run(0), 0);
	ck_assert_ptr_nonnull(strstr(b.exit.message, "memory of 0xf0000 bytes at 0x0: Cannot allocate memory"));
	run_with(&r, 1, 7);
	shim.fail_request = KVM_SET_USER_MEMORY_REGION;
	struct mt_flat_view none = { 8, 0, sizeof(r), &r };
	ck_assert_int_lt(bench_run_view(0, &none), 0);
	ck_assert_ptr_nonnull(strstr(b.exit.message, "at 0x7000"));
}
END_TEST

int main(void)
{
	CHECK_RUN("kvm-slots", start, stop, slots_are_what_the_view_shows, slots_follow_views, too_many_slots,
		  memory_beyond_the_addresses, memory_longer_than_a_slot, slot_that_kvm_refuses);
}
