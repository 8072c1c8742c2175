/* SPDX-License-Identifier: MIT */
/* Writes that KVM collects: where, in which order they are done, and when. */
#include <errno.h>
#include <fake/check-run.h>
#include <string.h>

#include "steps.h"

#define RING_AT   8192u
#define PERIOD_NS 50000000ull
#define REGISTERS 0x10000000u

static struct mt_flat_range memory[2], port;
static uint64_t generation;
static uint8_t done[1024];
static uint32_t done_count;

static struct kvm_coalesced_mmio_ring *ring(void)
{
	return (void *)((uint8_t *)shim.vcpus[0].run + RING_AT);
}

static uint32_t ring_size(void)
{
	return (4096 - sizeof(*ring())) / sizeof(ring()->coalesced_mmio[0]);
}

/* As KVM does: false when it is full, and the vCPU comes out. */
static bool collect(uint64_t addr, uint8_t byte, bool pio)
{
	uint32_t last = ring()->last, next = (last + 1) % ring_size();

	if (next == ring()->first)
		return false;
	ring()->coalesced_mmio[last] = (struct kvm_coalesced_mmio){ .phys_addr = addr, .len = 1, .pio = pio };
	ring()->coalesced_mmio[last].data[0] = byte;
	ring()->last = next;
	return true;
}

static void note(void)
{
	ck_assert_uint_lt(done_count, sizeof(done));
	done[done_count++] = (uint8_t)seen.addr;
}

static void make(uint32_t vcpus)
{
	shim_start();
	bench_new(vcpus);
	ck_assert_msg(bench_up() == 0, "%s", b.err.message);
	memset(ring(), 0, 4096);
	memory[0] = (struct mt_flat_range){ .gpa = 0, .len_bytes = 0x10000, .kind = MT_FLAT_RAM, .hva = bench_ram };
	memory[1] = (struct mt_flat_range){ .gpa = REGISTERS, .len_bytes = 0x100, .kind = MT_FLAT_IO, .region = &b };
	port = (struct mt_flat_range){ .gpa = 0x402, .len_bytes = 1, .kind = MT_FLAT_IO, .flags = MT_FLAT_LATE, .region = &b };
	generation = 1;
	done_count = 0;
	seen.hook = note;
}

static void start(void)
{
	make(1);
}

static int run_with(int (*guest)(struct shim_vcpu *v), bool with_port)
{
	struct mt_flat_view view = { generation, 2, sizeof(memory[0]), memory };
	struct mt_flat_view ports = { generation, with_port, sizeof(port), &port };
	struct mt_run_params params = { .size = sizeof(params), .view = &view, .ports = &ports, .deadline_ns = UINT64_MAX };

	generation++;
	shim.guest = guest;
	b.exit = (struct mt_exit){ .size = sizeof(b.exit), .reason = 0, .wake_ns = 0 };
	return b.cls->run(b.vcpu[0], &params, &b.exit);
}

static int leaves(struct shim_vcpu *v)
{
	(void)v;
	b.cls->kick(b.vcpu[0]);
	return -EINTR;
}

static int writes_and_leaves(struct shim_vcpu *v)
{
	for (uint8_t i = 0; i < 5; i++)
		ck_assert(collect(0x402, i, true));
	return leaves(v);
}

START_TEST(zones_follow_views)
{
	ck_assert_int_eq(run_with(leaves, true), 0);
	ck_assert_int_eq(shim.zones, 1);
	ck_assert_uint_eq(shim.zone.addr, 0x402);
	ck_assert_uint_eq(shim.zone.size, 1);
	ck_assert_uint_eq(shim.zone.pio, 1);
	memory[1].flags = MT_FLAT_LATE;
	ck_assert_int_eq(run_with(leaves, true), 0);
	ck_assert_int_eq(shim.zones, 2);
	ck_assert_uint_eq(shim.zone.addr, REGISTERS);
	ck_assert_uint_eq(shim.zone.pio, 0);
	memory[1].gpa += 0x1000;
	ck_assert_int_eq(run_with(leaves, true), 0);
	ck_assert_int_eq(shim.zones, 2);
	ck_assert_uint_eq(shim.zone.addr, REGISTERS + 0x1000);
	ck_assert_int_eq(run_with(leaves, false), 0);
	ck_assert_int_eq(shim.zones, 1);
	ck_assert_uint_eq(shim.zone.addr, 0x402);
	/* an older view changes nothing */
	generation = 1;
	ck_assert_int_eq(run_with(leaves, true), 0);
	ck_assert_int_eq(shim.zones, 1);
}
END_TEST

START_TEST(done_when_it_leaves)
{
	ck_assert_int_eq(run_with(writes_and_leaves, true), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_KICKED);
	ck_assert_uint_eq(done_count, 5);
	ck_assert_uint_eq(seen.addr, 0x402);
	ck_assert_uint_eq(seen.value, 4);
	ck_assert_uint_eq(seen.is_write, 1);
	ck_assert_uint_eq(seen.range_gpa, 0x402);
	ck_assert_uint_eq(ring()->first, ring()->last);
}
END_TEST

static int writes_and_reads(struct shim_vcpu *v)
{
	if (v->entries > 1)
		return leaves(v);
	ck_assert(collect(0x402, 1, true));
	ck_assert(collect(REGISTERS + 0x20, 2, false));
	v->run->exit_reason = KVM_EXIT_MMIO;
	v->run->mmio.phys_addr = REGISTERS + 0x30;
	v->run->mmio.len = 4;
	v->run->mmio.is_write = 0;
	return 0;
}

START_TEST(before_what_came_later)
{
	static const uint8_t order[] = { 0x02, 0x20, 0x30 };

	memory[1].flags = MT_FLAT_LATE;
	ck_assert_int_eq(run_with(writes_and_reads, true), 0);
	ck_assert_uint_eq(done_count, 3);
	ck_assert_int_eq(memcmp(done, order, 3), 0);
}
END_TEST

static int fills(struct shim_vcpu *v)
{
	uint32_t count = 0;

	while (collect(REGISTERS + count % 0x100, 0, false))
		count++;
	ck_assert_uint_eq(count, ring_size() - 1);
	return leaves(v);
}

START_TEST(around_the_end)
{
	memory[1].flags = MT_FLAT_LATE;
	ring()->first = ring()->last = ring_size() - 3;
	ck_assert_int_eq(run_with(fills, true), 0);
	ck_assert_uint_eq(done_count, ring_size() - 1);
	for (uint32_t i = 0; i < done_count; i++)
		ck_assert_uint_eq(done[i], i % 0x100);
}
END_TEST

/* What no KVM writes. */
static int strange(struct shim_vcpu *v)
{
	ck_assert(collect(0x402, 1, true));
	ring()->coalesced_mmio[0].len = 1000;
	ck_assert(collect(0x403, 1, true));    /* a port with nothing there */
	return leaves(v);
}

START_TEST(strange_writes)
{
	ck_assert_int_eq(run_with(strange, true), 0);
	ck_assert_uint_eq(done_count, 0);
	ring()->first = ring()->last = 0x80000000;
	ck_assert_int_eq(run_with(leaves, true), 0);
}
END_TEST

/* A vCPU that sleeps in KVM: the timer makes it come out. */
static int writes_and_sleeps(struct shim_vcpu *v)
{
	if (v->entries > 1)
		return leaves(v);
	ck_assert(collect(0x402, 1, true));
	fake_advance(b.f, PERIOD_NS);
	ck_assert_uint_eq(v->run->immediate_exit, 1);
	return -EINTR;
}

START_TEST(not_for_ever)
{
	ck_assert_int_eq(run_with(writes_and_sleeps, true), 0);
	ck_assert_uint_eq(done_count, 1);
	/* nothing waits: it is left alone */
	fake_advance(b.f, 3 * PERIOD_NS);
	ck_assert_uint_eq(shim.vcpus[0].run->immediate_exit, 0);
}
END_TEST

START_TEST(without_it)
{
	stop();
	shim_start();
	shim.missing[0] = KVM_CAP_COALESCED_PIO + 1;
	bench_new(1);
	ck_assert_int_eq(bench_up(), 0);
	memset(ring(), 0, 4096);
	memory[1].flags = MT_FLAT_LATE;
	ck_assert_int_eq(run_with(leaves, true), 0);
	ck_assert_int_eq(shim.zones, 1);               /* of memory */
	ck_assert_uint_eq(shim.zone.pio, 0);
	/* what KVM refuses only costs its speed */
	memory[1].gpa += 0x1000;
	shim.fail_request = KVM_REGISTER_COALESCED_MMIO;
	shim.fail_error = -ENOSPC;
	ck_assert_int_eq(run_with(leaves, true), 0);
	ck_assert_int_eq(shim.zones, 0);
	stop();
	shim_start();
	shim.missing[0] = KVM_CAP_COALESCED_MMIO + 1;
	bench_new(1);
	ck_assert_int_eq(bench_up(), 0);
	ck_assert_int_eq(run_with(leaves, true), 0);
	ck_assert_int_eq(shim.zones, 0);
}
END_TEST

int main(void)
{
	CHECK_RUN("kvm-late", start, stop, zones_follow_views, done_when_it_leaves, before_what_came_later, around_the_end,
		  strange_writes, not_for_ever, without_it);
}
