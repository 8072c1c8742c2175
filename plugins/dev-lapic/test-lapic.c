/* SPDX-License-Identifier: MIT */
/*
 * The local APICs against chapter "Advanced Programmable Interrupt Controller" of Intel's SDM: registers, priorities,
 * acceptance and ends, messages and IPIs in every mode and to every kind of destination, errors.
 */
#include <fake/acpi.h>

#include "test-lapic.h"

/* Registers */

START_TEST(after_reset)
{
	fake_reset(f, MT_RESET_COLD, NULL);
	for (uint32_t i = 0; i < VCPUS; i++) {
		ck_assert_uint_eq(get(i, 0x20), i << 24);
		ck_assert_uint_eq(get(i, 0x30), 0x01050014);
		ck_assert_uint_eq(get(i, TPR) | get(i, PPR) | get(i, LDR) | get(i, ICR) | get(i, ICR_HIGH), 0);
		ck_assert_uint_eq(get(i, DFR), 0xffffffff);
		ck_assert_uint_eq(get(i, SVR), 0xff);
		for (uint32_t n = 0; n < 6; n++)
			ck_assert_uint_eq(get(i, LVT(n)), MASKED);
		for (uint32_t n = 0; n < 24; n++)
			ck_assert_uint_eq(get(i, ISR + 16 * n), 0);
		ck_assert_uint_eq(get(i, INITIAL) | get(i, CURRENT) | get(i, DIVIDE), 0);
	}
	/* software-disabled: nothing is accepted, masks stay */
	message(0, 0, 0x40);
	put(0, LVT(0), 0x40);
	ck_assert_uint_eq(get(0, LVT(0)), MASKED | 0x40);
	ck_assert_uint_eq(wants(0), 0);
}
END_TEST

START_TEST(what_can_be_written)
{
	static const struct { uint32_t offset, bits, ones; } regs[] = {
		{ TPR, 0xff, 0 }, { LDR, 0xff000000, 0 }, { DFR, 0xf0000000, 0x0fffffff }, { ICR_HIGH, 0xff000000, 0 },
		{ LVT(0), 0x300ff, 0 }, { LVT(1), 0x107ff, 0 }, { LVT(2), 0x107ff, 0 }, { LVT(3), 0x1a7ff, 0 },
		{ LVT(4), 0x1a7ff, 0 }, { LVT(5), 0x100ff, 0 }, { DIVIDE, 0xb, 0 }, { 0x20, 0, 0x01000000 },
		{ 0x30, 0, 0x01050014 }, { INITIAL, 0xffffffff, 0 },
	};

	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		put(1, regs[i].offset, 0xffffffff);
		ck_assert_uint_eq(get(1, regs[i].offset), regs[i].bits | regs[i].ones);
		put(1, regs[i].offset, 0);
		ck_assert_uint_eq(get(1, regs[i].offset), regs[i].ones);
	}
	put(1, SVR, 0xffffffff);
	ck_assert_uint_eq(get(1, SVR), 0x11ff);
	ck_assert_uint_eq(get(0, SVR), 0x1ff);
}
END_TEST

START_TEST(disabling_masks)
{
	put(0, LVT(3), 0x31);
	message(0, 0, 0x50);
	put(0, SVR, 0xff);
	ck_assert_uint_eq(get(0, LVT(3)), MASKED | 0x31);
	/* what was accepted stays so */
	takes(0, 0x50);
	put(0, SVR, 0x1ff);
	ck_assert_uint_eq(get(0, LVT(3)), MASKED | 0x31);
}
END_TEST

/* Priorities */

START_TEST(highest_first)
{
	message(0, 0, 0x41);
	message(0, 0, 0x91);
	message(0, 0, 0x93);
	takes(0, 0x93);
	ck_assert_uint_eq(bit_of(0, ISR, 0x93), 1);
	ck_assert_uint_eq(bit_of(0, IRR, 0x91), 1);
	ck_assert_uint_eq(get(0, PPR), 0x90);
	/* of the same class: not before it ends */
	ck_assert_uint_eq(wants(0), 0);
	message(0, 0, 0xa0);
	takes(0, 0xa0);
	put(0, EOI, 0);
	ck_assert_uint_eq(bit_of(0, ISR, 0xa0), 0);
	ck_assert_uint_eq(wants(0), 0);
	put(0, EOI, 0);
	serves(0, 0x91);
	serves(0, 0x41);
	takes(0, NONE);
	ck_assert_uint_eq(get(0, PPR), 0);
	put(0, EOI, 0);
}
END_TEST

START_TEST(task_priority)
{
	put(0, TPR, 0x52);
	ck_assert_uint_eq(fake_vector_priority(f, 0), 5);
	ck_assert_uint_eq(get(0, PPR), 0x52);
	message(0, 0, 0x5f);
	ck_assert_uint_eq(wants(0), 0);
	message(0, 0, 0x60);
	takes(0, 0x60);
	ck_assert_uint_eq(get(0, PPR), 0x60);
	put(0, EOI, 0);
	fake_vector_set_priority(f, 0, 4);
	ck_assert_uint_eq(get(0, TPR), 0x40);
	ck_assert_uint_eq(wants(0), 1);
	/* raised in between: the request has gone */
	fake_vector_set_priority(f, 0, 15);
	takes(0, NONE);
	fake_vector_set_priority(f, 0, 0);
	serves(0, 0x5f);
}
END_TEST

START_TEST(arbitration_priority)
{
	put(0, TPR, 0x35);
	ck_assert_uint_eq(get(0, APR), 0x35);
	message(0, 0, 0x71);
	ck_assert_uint_eq(get(0, APR), 0x70);
	takes(0, 0x71);
	message(0, 0, 0x21);
	/* TPR & ISRV */
	ck_assert_uint_eq(get(0, APR), 0x30);
}
END_TEST

/* Messages */

START_TEST(physical)
{
	message(2, 0, 0x44);
	get_it(1 << 2, 0x44);
	message(9, 0, 0x44);
	get_it(0, 0);
	message(0xff, 0, 0x45);
	get_it(0xf, 0x45);
	/* the page of registers is the one of a vCPU; for a device it is destination 0 */
	message(0, 0, 0x46);
	get_it(1, 0x46);
	ck_assert_uint_eq(get(MT_VCPU_NONE, SVR), 0);
}
END_TEST

START_TEST(logical_flat)
{
	for (uint32_t i = 0; i < VCPUS; i++)
		put(i, LDR, 1u << (24 + i));
	message(0x5, LOGICAL, 0x61);
	get_it(0x5, 0x61);
	message(0xf0, LOGICAL, 0x61);
	get_it(0, 0);
	message(0xff, LOGICAL, 0x62);
	get_it(0xf, 0x62);
}
END_TEST

START_TEST(logical_cluster)
{
	static const uint32_t ids[VCPUS] = { 0x01, 0x02, 0x11, 0x12 };

	for (uint32_t i = 0; i < VCPUS; i++) {
		put(i, DFR, 0);
		put(i, LDR, ids[i] << 24);
	}
	message(0x03, LOGICAL, 0x61);
	get_it(0x3, 0x61);
	message(0x12, LOGICAL, 0x61);
	get_it(0x8, 0x61);
	message(0x23, LOGICAL, 0x61);
	get_it(0, 0);
	message(0xf1, LOGICAL, 0x61);
	get_it(0x5, 0x61);
	message(0xff, LOGICAL, 0x61);
	get_it(0xf, 0x61);
}
END_TEST

START_TEST(lowest_priority)
{
	for (uint32_t i = 0; i < VCPUS; i++) {
		put(i, LDR, 1u << (24 + i));
		put(i, TPR, 0x40 - 0x10 * i);
	}
	message(0x7, LOGICAL, 0x171);
	get_it(1 << 2, 0x71);
	/* the hint does it as well */
	message(0x3, LOGICAL | REDIRECT, 0x71);
	get_it(1 << 1, 0x71);
	message(0x3, LOGICAL, 0x71);
	get_it(0x3, 0x71);
	/* who is disabled takes none */
	put(3, SVR, 0xff);
	message(0xff, LOGICAL, 0x171);
	get_it(1 << 2, 0x71);
	message(0x8, LOGICAL, 0x171);
	get_it(0, 0);
	ipi(0, 0x6, 0x4972);
	get_it(1 << 2, 0x72);
}
END_TEST

START_TEST(messages_without_a_vector)
{
	put(1, SVR, 0xff);
	message(1, 0, 0x400);
	event_is(1, 1, MT_VCPU_EVENT_NMI, 0);
	message(1, 0, 0x200);
	event_is(1, 2, MT_VCPU_EVENT_SMI, 0);
	message(1, 0, 0x500);
	event_is(1, 3, MT_VCPU_EVENT_INIT, 0);
	/* reserved in messages */
	message(1, 0, 0x600);
	message(1, 0, 0x340);
	event_is(1, 3, MT_VCPU_EVENT_INIT, 0);
	event_is(0, 0, 0, 0);
	ck_assert_uint_eq(wants(1), 0);
}
END_TEST

/* Ends of levels are told, unless the guest wants to do it itself. */
START_TEST(levels)
{
	uint32_t vector = 0;

	message(0, 0, 0xc051);
	ck_assert_uint_eq(bit_of(0, TMR, 0x51), 1);
	takes(0, 0x51);
	ck_assert_uint_eq(fake_eois(f, &vector), 0);
	put(0, EOI, 0);
	ck_assert_uint_eq(fake_eois(f, &vector), 1);
	ck_assert_uint_eq(vector, 0x51);
	message(0, 0, 0x51);
	ck_assert_uint_eq(bit_of(0, TMR, 0x51), 0);
	serves(0, 0x51);
	ck_assert_uint_eq(fake_eois(f, &vector), 1);
	put(0, SVR, 0x11ff);
	message(0, 0, 0x8052);
	serves(0, 0x52);
	ck_assert_uint_eq(fake_eois(f, &vector), 1);
}
END_TEST

/* IPIs */

START_TEST(ipi_destinations)
{
	ipi(1, 3, 0x4061);
	get_it(1 << 3, 0x61);
	ck_assert_uint_eq(get(1, ICR), 0x4061);
	ck_assert_uint_eq(get(1, ICR_HIGH), 3u << 24);
	ipi(1, 0, 0x44062);
	get_it(1 << 1, 0x62);
	ipi(1, 0, 0x84063);
	get_it(0xf, 0x63);
	ipi(1, 0, 0xc4064);
	get_it(0xd, 0x64);
	put(2, LDR, 4u << 24);
	ipi(1, 4, 0x4865);
	get_it(1 << 2, 0x65);
	/* an IPI is an edge, whatever is written */
	ipi(0, 0, 0xc066);
	ck_assert_uint_eq(bit_of(0, TMR, 0x66), 0);
}
END_TEST

START_TEST(start_of_a_vcpu)
{
	message(1, 0, 0x77);
	put(1, TPR, 0x30);
	ipi(0, 1, 0xc500);
	event_is(1, 1, MT_VCPU_EVENT_INIT, 0);
	/* its local APIC is as new */
	ck_assert_uint_eq(wants(1), 0);
	ck_assert_uint_eq(get(1, SVR), 0xff);
	ck_assert_uint_eq(get(1, TPR), 0);
	ck_assert_uint_eq(get(1, 0x20), 1u << 24);
	/* de-assert */
	ipi(0, 1, 0x8500);
	event_is(1, 1, MT_VCPU_EVENT_INIT, 0);
	ipi(0, 1, 0x4699);
	event_is(1, 2, MT_VCPU_EVENT_STARTUP, 0x99);
	ipi(0, 0, 0xc4400);
	event_is(0, 0, 0, 0);
	event_is(3, 1, MT_VCPU_EVENT_NMI, 0);
}
END_TEST

/* Errors */

START_TEST(errors)
{
	put(0, LVT(5), 0xfe);
	ipi(0, 1, 0x400f);
	ck_assert_uint_eq(get(0, ESR), 0);
	get_it(1, 0xfe);
	put(0, ESR, 0);
	ck_assert_uint_eq(get(0, ESR), 0x20);
	put(0, ESR, 0);
	ck_assert_uint_eq(get(0, ESR), 0);
	message(0, 0, 0x0f);
	message(0, 0, 0x0e);
	get_it(1, 0xfe);
	get(0, 0x3f0);
	get_it(1, 0xfe);
	put(0, 0x2f0, 0);
	put(0, ESR, 0);
	ck_assert_uint_eq(get(0, ESR), 0xc0);
	/* its own vector is none: no second one */
	put(0, LVT(5), 0x0a);
	put(0, 0x40, 0);
	ck_assert_uint_eq(wants(0), 0);
	put(0, ESR, 0);
	ck_assert_uint_eq(get(0, ESR), 0xc0);
	/* between the registers nothing is */
	put(0, TPR + 4, 0x55);
	ck_assert_uint_eq(get(0, TPR) | get(0, SVR + 8), 0);
	ck_assert_uint_eq(get(0, 0x400), 0);
	put(0, ESR, 0);
	ck_assert_uint_eq(get(0, ESR), 0);
}
END_TEST

START_TEST(acpi)
{
	struct mt_acpi said;

	ck_assert_str_eq(fake_acpi_text(f, &said), "cpu 0 apic 0\ncpu 1 apic 1\ncpu 2 apic 2\ncpu 3 apic 3\n");
}
END_TEST

int main(void)
{
	CHECK_RUN("lapic", start, stop, after_reset, what_can_be_written, disabling_masks, highest_first, task_priority,
		  arbitration_priority, physical, logical_flat, logical_cluster, lowest_priority,
		  messages_without_a_vector, levels, ipi_destinations, start_of_a_vcpu, errors, acpi);
}
