/* SPDX-License-Identifier: MIT */
/*
 * The local APICs' own sources of interrupts: the timer, LINT0 and LINT1, the controller behind LINT0; how they are
 * attached; threads; state.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "test-lapic.h"

/* The timer: a tick is a nanosecond before it is divided. */

START_TEST(one_shot)
{
	static const struct { uint32_t code, by; } divisors[] = {
		{ 0, 2 }, { 1, 4 }, { 2, 8 }, { 3, 16 }, { 8, 32 }, { 9, 64 }, { 10, 128 }, { 11, 1 },
	};

	put(0, LVT(0), 0x31);
	for (size_t i = 0; i < sizeof(divisors) / sizeof(divisors[0]); i++) {
		put(0, DIVIDE, divisors[i].code);
		put(0, INITIAL, 1000);
		ck_assert_uint_eq(get(0, CURRENT), 1000);
		fake_advance(f, 400 * divisors[i].by);
		ck_assert_uint_eq(get(0, CURRENT), 600);
		fake_advance(f, 600 * divisors[i].by - 1);
		ck_assert_uint_eq(get(0, CURRENT), 1);
		ck_assert_uint_eq(wants(0), 0);
		fake_advance(f, 1);
		ck_assert_uint_eq(get(0, CURRENT), 0);
		get_it(1, 0x31);
		fake_advance(f, 1000000);
		get_it(0, 0);
	}
	put(0, INITIAL, 1000);
	put(0, INITIAL, 0);
	fake_advance(f, 1000000);
	ck_assert_uint_eq(get(0, CURRENT), 0);
	get_it(0, 0);
}
END_TEST

START_TEST(periodic)
{
	put(2, DIVIDE, 0xb);
	put(2, LVT(0), 0x20032);
	put(2, INITIAL, 1000000);
	for (uint32_t i = 0; i < 3; i++) {
		fake_advance(f, 1000000);
		get_it(1 << 2, 0x32);
	}
	fake_advance(f, 250000);
	ck_assert_uint_eq(get(2, CURRENT), 750000);
	/* the count goes on with another divisor, and behind a mask */
	put(2, DIVIDE, 0);
	ck_assert_uint_eq(get(2, CURRENT), 750000);
	put(2, LVT(0), 0x30032);
	fake_advance(f, 1500000);
	ck_assert_uint_eq(get(2, CURRENT), 1000000);
	get_it(0, 0);
	put(2, LVT(0), 0x20032);
	get_it(0, 0);
	fake_advance(f, 2000000);
	get_it(1 << 2, 0x32);
	put(2, LVT(0), 0x32);
	fake_advance(f, 2000000);
	get_it(1 << 2, 0x32);
	fake_advance(f, 8000000);
	get_it(0, 0);
}
END_TEST

/* A period of a nanosecond does not drown the host: it looks each 20 microseconds at most. */
START_TEST(short_period)
{
	put(0, DIVIDE, 0xb);
	put(0, LVT(0), 0x20033);
	put(0, INITIAL, 1);
	fake_advance(f, 1);
	get_it(1, 0x33);
	for (uint32_t i = 0; i < 100; i++) {
		fake_advance(f, 100);
		get_it(0, 0);
	}
	ck_assert_uint_eq(get(0, CURRENT), 1);
	fake_advance(f, 20000);
	get_it(1, 0x33);
}
END_TEST

/* LINT0 and LINT1 */

START_TEST(lint_modes)
{
	put(0, LVT(4), 0x400);
	put(1, LVT(4), 0x35);
	fake_input(f, 1, 1);
	event_is(0, 1, MT_VCPU_EVENT_NMI, 0);
	get_it(1 << 1, 0x35);
	event_is(1, 0, 0, 0);
	fake_input(f, 1, 0);
	put(0, LVT(4), MASKED | 0x400);
	fake_input(f, 1, 1);
	event_is(0, 1, MT_VCPU_EVENT_NMI, 0);
	get_it(1 << 1, 0x35);
}
END_TEST

START_TEST(lint_level)
{
	fake_input(f, 0, 1);
	put(0, LVT(3), 0x8036);
	takes(0, 0x36);
	ck_assert_uint_eq(bit_of(0, TMR, 0x36), 1);
	ck_assert_uint_eq(get(0, LVT(3)), 0xc036);
	ck_assert_uint_eq(wants(0), 0);
	/* as long as it is up, again */
	put(0, EOI, 0);
	takes(0, 0x36);
	fake_input(f, 0, 0);
	put(0, EOI, 0);
	ck_assert_uint_eq(get(0, LVT(3)), 0x8036);
	get_it(0, 0);
}
END_TEST

/* The controller behind LINT0 */

static int32_t source_vector;
static uint32_t source_fetches;

static int32_t source_acknowledge(void *self)
{
	(void)self;
	source_fetches++;
	fake_vector_source_set(f, 0);
	return source_vector;
}

static const struct mt_vector_source source = { .acknowledge = source_acknowledge };

static void start_with_source(void)
{
	stop();
	f = make();
	fake_vector_source(f, "pic", &source, NULL);
	fake_start(f);
	source_vector = 0x28;
	source_fetches = 0;
}

START_TEST(behind_lint0)
{
	start_with_source();
	/* as firmware would leave it: the first vCPU takes its interrupts at once */
	ck_assert_uint_eq(get(0, LVT(3)), 0x700);
	ck_assert_uint_eq(get(1, LVT(3)), MASKED);
	fake_vector_source_set(f, 1);
	ck_assert_uint_eq(wants(1), 0);
	takes(0, 0x28);
	ck_assert_uint_eq(wants(0), 0);
	ck_assert_uint_eq(bit_of(0, ISR, 0x28), 0);
	/* before any other, whatever the priority */
	put(0, SVR, 0x1ff);
	put(0, LVT(3), 0x700);
	put(0, TPR, 0x80);
	message(0, 0, 0x90);
	fake_vector_source_set(f, 1);
	takes(0, 0x28);
	serves(0, 0x90);
	/* gone there: what else waits is taken */
	source_vector = NONE;
	message(0, 0, 0x91);
	fake_vector_source_set(f, 1);
	serves(0, 0x91);
	fake_vector_source_set(f, 1);
	ck_assert_int_eq(fake_vector_acknowledge(f, 0), NONE);
	ck_assert_uint_eq(wants(0), 0);
	ck_assert_uint_eq(source_fetches, 4);
	put(0, LVT(3), MASKED | 0x700);
	fake_vector_source_set(f, 1);
	ck_assert_uint_eq(wants(0), 0);
}
END_TEST

START_TEST(extint_message)
{
	start_with_source();
	put(1, SVR, 0x1ff);
	message(1, 0, 0x700);
	takes(1, 0x28);
	takes(1, NONE);
	ck_assert_uint_eq(source_fetches, 1);
}
END_TEST

/* Off by IA32_APIC_BASE */

START_TEST(turned_off)
{
	uint64_t value = 0;

	start_with_source();
	put(0, SVR, 0x1ff);
	put(0, LVT(0), 0x20031);
	put(0, INITIAL, 1000);
	message(0, 0, 0x51);
	fake_vector_set_enabled(f, 0, 0);
	/* nothing that waits, no timer, no registers, and no message is for it */
	get_it(0, 0);
	fake_advance(f, 100000);
	message(0, 0, 0x52);
	message(0xff, 0, 0x400);
	ipi(1, 0, 0x4500);
	for (uint32_t i = 1; i < VCPUS; i++)
		put(i, SVR, 0x1ff);
	ipi(1, 0, 0xc0053);
	get_it(0xc, 0x53);
	event_is(0, 0, 0, 0);
	ck_assert_uint_eq(reach(0, TPR, &value, 0), MT_BUS_DECODE);
	ck_assert_uint_eq(reach(0, SVR, &value, 1), MT_BUS_DECODE);
	/* the pins are the CPU's own */
	fake_vector_source_set(f, 1);
	ck_assert_uint_eq(wants(1), 0);
	takes(0, 0x28);
	fake_input(f, 1, 1);
	event_is(0, 1, MT_VCPU_EVENT_NMI, 0);
	/* and on again */
	fake_vector_source_set(f, 1);
	fake_vector_set_enabled(f, 0, 1);
	ck_assert_uint_eq(wants(0), 0);
	ck_assert_uint_eq(get(0, LVT(3)), MASKED);
	ck_assert_uint_eq(get(0, SVR), 0xff);
	ck_assert_uint_eq(get(0, INITIAL), 0);
	put(0, SVR, 0x1ff);
	fake_vector_set_enabled(f, 0, 1);
	ck_assert_uint_eq(get(0, SVR), 0x1ff);
}
END_TEST

/* Attachment */

START_TEST(too_many_vcpus)
{
	struct mt_error err = { .size = sizeof(err) };

	stop();
	f = make();
	fake_vcpus(f, 256);
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_eq(fake_realize(f, &err), MT_ERANGE);
	ck_assert_ptr_nonnull(strstr(err.message, "255"));
}
END_TEST

START_TEST(window_of_messages)
{
	const struct mt_msi_target *role = fake_role(f, MT_IFACE_MSI_TARGET);
	struct mt_msi_window window = { .size = sizeof(window) };

	ck_assert_int_eq(role->window(fake_self(f), &window), 0);
	ck_assert_uint_eq(window.gpa, 0xfee00000);
	ck_assert_uint_eq(window.len_bytes, 0x100000);
	ck_assert_uint_eq(window.stride_bytes, 0);
}
END_TEST

/* Every message of a vector of its own is taken once, whoever sends it and whatever the vCPU does. */
#define SENDERS 3u
#define ROUNDS  3000u

static atomic_uint seen[SENDERS];

static void *sender(void *arg)
{
	uint32_t n = (uint32_t)(uintptr_t)arg;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint64_t data = 0x40 + 0x20 * n, icr = 0x44000 | data;

		if (n)
			reach(MT_VCPU_NONE, 0, &data, 1);
		else
			reach(0, ICR, &icr, 1);
		while (atomic_load(&seen[n]) == i)
			sched_yield();
	}
	return NULL;
}

START_TEST(threads)
{
	pthread_t threads[SENDERS];
	uint32_t taken = 0;

	for (uint32_t n = 0; n < SENDERS; n++) {
		atomic_store(&seen[n], 0);
		ck_assert_int_eq(pthread_create(&threads[n], NULL, sender, (void *)(uintptr_t)n), 0);
	}
	while (taken < SENDERS * ROUNDS) {
		int32_t vector = fake_vector_acknowledge(f, 0);

		if (vector == NONE) {
			sched_yield();
			continue;
		}
		ck_assert_int_eq((vector - 0x40) % 0x20, 0);
		put(0, EOI, 0);
		taken++;
		atomic_fetch_add(&seen[(vector - 0x40) / 0x20], 1);
	}
	for (uint32_t n = 0; n < SENDERS; n++)
		pthread_join(threads[n], NULL);
	takes(0, NONE);
}
END_TEST

/* State */

static void make_busy(void)
{
	put(0, LDR, 1u << 24);
	put(0, LVT(3), 0x8036);
	fake_input(f, 0, 1);
	takes(0, 0x36);
	message(0, 0, 0x8051);
	message(0, 0, 0x50);
	put(1, TPR, 0x22);
	put(1, DFR, 0);
	ipi(1, 0, 0x4001);
	put(2, DIVIDE, 1);
	put(2, LVT(0), 0x20040);
	put(2, INITIAL, 1000);
	message(3, 0, 0x700);
	fake_advance(f, 1500);
}

START_TEST(state)
{
	make_busy();
	fake_state_check(f, make);
}
END_TEST

START_TEST(goes_on)
{
	struct fake_state *saved;

	make_busy();
	saved = fake_save(f);
	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_load(f, saved, NULL), 0);
	fake_state_free(saved);
	takes(0, 0x51);
	ck_assert_uint_eq(wants(2), 0);
	put(0, EOI, 0);
	fake_input(f, 0, 0);
	put(0, EOI, 0);
	serves(0, 0x50);
	fake_advance(f, 10000);
	ck_assert_uint_eq(wants(2), 1);
}
END_TEST

START_TEST(hostile_state)
{
	struct fake_state *saved = fake_save(f);
	struct fake *other = fake_new("dev-lapic");

	ck_assert_int_lt(fake_load(other, saved, NULL), 0);
	fake_free(other);
	fake_state_free(saved);
	fake_state_refuses(f, make, "apic[0]/irr", 0, 1, "apic");
	fake_state_refuses(f, make, "apic[3]/isr", 0, 0x8000, "apic");
	fake_state_refuses(f, make, "apic[0]/line", 1, 2, "apic");
	fake_state_refuses(f, make, "apic[1]/lvt", 0, 0x4000, "apic");
	fake_state_refuses(f, make, "apic[1]/lvt", 4, 0x4000, "apic");
	fake_state_refuses(f, make, "apic[1]/dfr", 0, 0, "apic");
	fake_state_refuses(f, make, "apic[1]/svr", 0, 0x200, "apic");
	fake_state_refuses(f, make, "apic[2]/divide", 0, 4, "apic");
	fake_state_refuses(f, make, "apic[2]/deadline_ns", 0, 5, "apic");
	fake_state_refuses(f, make, "apic[2]/errors", 0, 1, "apic");
	fake_state_refuses(f, make, "apic[2]/icr_low", 0, 0x1000, "apic");
	fake_state_refuses(f, make, "apic[2]/extint", 0, 2, "apic");
}
END_TEST

/* A time that is far off is no reason to fall over. */
START_TEST(far_deadline)
{
	struct fake_state *saved;

	put(0, LVT(0), 0x20040);
	put(0, INITIAL, 1000);
	saved = fake_save(f);
	fake_state_set(saved, fake_state_find(saved, "apic[0]/deadline_ns"), 0, UINT64_MAX);
	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_load(f, saved, NULL), 0);
	fake_state_free(saved);
	ck_assert_uint_le(get(0, CURRENT), 1000);
	put(0, DIVIDE, 0xb);
	fake_advance(f, 100000);
	ck_assert_uint_eq(wants(0), 1);
}
END_TEST

START_TEST(random_accesses)
{
	fake_fuzz_region(f, 11, 100000);
}
END_TEST

int main(void)
{
	CHECK_RUN("lapic-local", start, stop, one_shot, periodic, short_period, lint_modes, lint_level, behind_lint0,
		  extint_message, turned_off, too_many_vcpus, window_of_messages, threads, state, goes_on, hostile_state,
		  far_deadline, random_accesses);
}
