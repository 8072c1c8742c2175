/* SPDX-License-Identifier: MIT */
/* What the tests of the local APICs share: four of them on a fake host, and how vCPUs and devices reach them. */
#ifndef TEST_LAPIC_H
#define TEST_LAPIC_H

#include <fake/check-run.h>
#include <fake/state.h>
#include <string.h>

#include "lapic.h"

#define VCPUS     4u
#define NONE      MT_VECTOR_NONE
#define TPR       0x80u
#define APR       0x90u
#define PPR       0xa0u
#define EOI       0xb0u
#define LDR       0xd0u
#define DFR       0xe0u
#define SVR       0xf0u
#define ISR       0x100u
#define TMR       0x180u
#define IRR       0x200u
#define ESR       0x280u
#define ICR       0x300u
#define ICR_HIGH  0x310u
#define LVT(n)    (0x320u + 16 * (n))
#define INITIAL   0x380u
#define CURRENT   0x390u
#define DIVIDE    0x3e0u
#define MASKED    0x10000u
#define LOGICAL   0x4u             /* in addresses of messages */
#define REDIRECT  0x8u

static struct fake *f;

static inline struct fake *make(void)
{
	struct fake *made = fake_new("dev-lapic");

	fake_vcpus(made, VCPUS);
	return made;
}

static inline uint32_t reach(uint32_t vcpu, uint32_t offset, uint64_t *value, uint32_t is_write)
{
	const struct mt_region_ops *ops = fake_region(f, 0)->ops;
	struct mt_access a = {
		.offset = offset, .width = 4, .vcpu = vcpu, .requester = vcpu == MT_VCPU_NONE ? 7 : MT_REQUESTER_VCPU,
	};

	return is_write ? ops->write(fake_self(f), &a, *value) : ops->read(fake_self(f), &a, value);
}

static inline void put(uint32_t vcpu, uint32_t offset, uint32_t value)
{
	uint64_t wide = value;

	ck_assert_uint_eq(reach(vcpu, offset, &wide, 1), MT_BUS_OK);
}

static inline uint32_t get(uint32_t vcpu, uint32_t offset)
{
	uint64_t value = 0;

	ck_assert_uint_eq(reach(vcpu, offset, &value, 0), MT_BUS_OK);
	return (uint32_t)value;
}

/* As a device sends it: destination, LOGICAL | REDIRECT, data. */
static inline void message(uint32_t dest, uint32_t how, uint32_t data)
{
	put(MT_VCPU_NONE, dest << 12 | how, data);
}

static inline void ipi(uint32_t vcpu, uint32_t dest, uint32_t icr)
{
	put(vcpu, ICR_HIGH, dest << 24);
	put(vcpu, ICR, icr);
}

static inline void start(void)
{
	f = make();
	fake_start(f);
	for (uint32_t i = 0; i < VCPUS; i++)
		put(i, SVR, 0x1ff);
}

static inline void stop(void)
{
	fake_free(f);
}

static inline uint32_t wants(uint32_t vcpu)
{
	return fake_vector_request(f, vcpu);
}

static inline void takes(uint32_t vcpu, int32_t vector)
{
	ck_assert_uint_eq(wants(vcpu), vector != NONE);
	ck_assert_int_eq(fake_vector_acknowledge(f, vcpu), vector);
}

static inline void serves(uint32_t vcpu, int32_t vector)
{
	takes(vcpu, vector);
	put(vcpu, EOI, 0);
}

/* Exactly the vCPUs of the mask get it. */
static inline void get_it(uint32_t mask, int32_t vector)
{
	for (uint32_t i = 0; i < VCPUS; i++) {
		ck_assert_msg(wants(i) == (mask >> i & 1), "vCPU %u of mask 0x%x", i, mask);
		if (wants(i))
			serves(i, vector);
	}
}

static inline uint32_t bit_of(uint32_t vcpu, uint32_t bank, uint32_t vector)
{
	return get(vcpu, bank + vector / 32 * 16) >> vector % 32 & 1;
}

static inline void event_is(uint32_t vcpu, uint32_t count, uint32_t expected, uint32_t page)
{
	uint32_t event = 0, value = 0;

	ck_assert_uint_eq(fake_vector_events(f, vcpu, &event, &value), count);
	if (count)
		ck_assert_uint_eq(event, expected);
	if (count && expected == MT_VCPU_EVENT_STARTUP)
		ck_assert_uint_eq(value, page);
}

#endif
