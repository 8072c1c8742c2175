/* SPDX-License-Identifier: MIT */
/* ExtINT messages with irqchip = split: for whom they are, when their vector is fetched, and what of them is saved. */
#include <errno.h>
#include <fake/check-run.h>
#include <string.h>
#include <util/error.h>

#include "steps.h"

#define EXTINT 0x700u
#define LOGICAL 4u

static void word_put(uint32_t vcpu, uint32_t at, uint32_t value)
{
	memcpy(shim.vcpus[vcpu].whole->lapic.regs + at, &value, sizeof(value));
}

static struct kvm_vcpu_events *events_of(uint32_t vcpu)
{
	return &shim.vcpus[vcpu].whole->events;
}

/* Both run with interrupts on, and their local APICs are enabled. */
static void start(void)
{
	shim_start();
	bench_new(2);
	fake_prop(b.f, "irqchip", "split");
	ck_assert_msg(bench_up() == 0, "%s", b.err.message);
	for (uint32_t i = 0; i < 2; i++) {
		word_put(i, 0xf0, 0x1ff);
		word_put(i, 0xe0, 0xffffffff);
		word_put(i, 0xd0, 1u << (24 + i));
		shim.vcpus[i].whole->regs.rflags = 0x202;
		shim.vcpus[i].whole->mp.mp_state = KVM_MP_STATE_RUNNABLE;
	}
	shim.guest = leave;
	bench_vector = 0x30;
}

static void message(uint32_t dest, uint32_t how, uint32_t data)
{
	const struct mt_region_desc *d = fake_region(bench_chips[CHIP_LAPIC], 0);
	struct mt_access a = { .offset = dest << 12 | how, .width = 4, .vcpu = MT_VCPU_NONE };

	ck_assert_uint_eq(d->ops->write(chip_self(CHIP_LAPIC), &a, data), MT_BUS_OK);
}

static void run(uint32_t vcpu)
{
	b.cls->kick(b.vcpu[vcpu]);
	ck_assert_msg(bench_run(vcpu) == 0, "%s", b.exit.message);
}

static bool taken(uint32_t vcpu)
{
	bool is;

	run(vcpu);
	is = events_of(vcpu)->interrupt.injected;
	ck_assert(!is || events_of(vcpu)->interrupt.nr == 0x30);
	events_of(vcpu)->interrupt.injected = 0;
	bench_vector = 0x30;
	run(vcpu);
	ck_assert_uint_eq(events_of(vcpu)->interrupt.injected, 0);
	return is;
}

START_TEST(for_whom)
{
	message(0, 0, EXTINT | 0x55);
	ck_assert(taken(0) && !taken(1));
	message(1, 0, EXTINT);
	ck_assert(!taken(0) && taken(1));
	message(0xff, 0, EXTINT);
	ck_assert(taken(0) && taken(1));
	message(2, LOGICAL, EXTINT);
	ck_assert(!taken(0) && taken(1));
	message(3, LOGICAL, EXTINT);
	ck_assert(taken(0) && taken(1));
	/* clusters: the first one's second CPU */
	for (uint32_t i = 0; i < 2; i++) {
		word_put(i, 0xe0, 0x0fffffff);
		word_put(i, 0xd0, (0x11u + i) << 24);
	}
	message(0x12, LOGICAL, EXTINT);
	ck_assert(!taken(0) && taken(1));
	message(0x23, LOGICAL, EXTINT);
	ck_assert(!taken(0) && !taken(1));
	/* KVM's own are KVM's */
	ck_assert_uint_eq(shim.msi_count, 0);
	message(0, 0, 0x55);
	ck_assert_uint_eq(shim.msi_count, 1);
	word_put(0, 0xf0, 0xff);
	message(0, 0, EXTINT);
	ck_assert(!taken(0));
}
END_TEST

START_TEST(none_there_after_all)
{
	message(0, 0, EXTINT);
	bench_vector = MT_VECTOR_NONE;
	run(0);
	ck_assert(!taken(0));
}
END_TEST

/* KVM is not asked to come out when the guest can take it, for it does not while LINT0 is masked. */
START_TEST(when_it_can)
{
	shim.vcpus[0].whole->regs.rflags = 2;
	message(0, 0, EXTINT);
	ck_assert(!taken(0));
	shim.vcpus[0].whole->regs.rflags = 0x202;
	shim.vcpus[0].run->immediate_exit = 0;
	fake_advance(bench_chips[CHIP_LAPIC], 1000000);
	ck_assert(shim.vcpus[0].run->immediate_exit);
	ck_assert(taken(0));
	shim.vcpus[0].run->immediate_exit = 0;
	fake_advance(bench_chips[CHIP_LAPIC], 5000000);
	ck_assert(!shim.vcpus[0].run->immediate_exit);
	/* a halt ends, a reset and an INIT leave none */
	shim.vcpus[0].whole->mp.mp_state = KVM_MP_STATE_HALTED;
	message(0, 0, EXTINT);
	ck_assert(taken(0));
	ck_assert_uint_eq(shim.vcpus[0].whole->mp.mp_state, KVM_MP_STATE_RUNNABLE);
	message(0, 0, EXTINT);
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_WARM);
	word_put(0, 0xf0, 0x1ff);
	shim.vcpus[0].whole->regs.rflags = 0x202;
	ck_assert(!taken(0));
	shim.vcpus[0].whole->regs.rflags = 2;
	message(0, 0, EXTINT);
	run(0);
	word_put(0, 0xf0, 0xff);
	run(0);
	word_put(0, 0xf0, 0x1ff);
	shim.vcpus[0].whole->regs.rflags = 0x202;
	ck_assert(!taken(0));
}
END_TEST

START_TEST(state)
{
	struct fake_state *s;

	message(2, LOGICAL, EXTINT);
	s = chip_saved(CHIP_LAPIC);
	ck_assert_uint_eq(fake_state_get(s, fake_state_find(s, "apic[0]/extint"), 0), 0);
	ck_assert_uint_eq(fake_state_get(s, fake_state_find(s, "apic[1]/extint"), 0), 1);
	stop();
	start();
	ck_assert_msg(chip_loaded(CHIP_LAPIC, s) == 0, "%s", fake_state_refused(s));
	ck_assert(!taken(0) && taken(1));
	fake_state_free(s);
}
END_TEST

START_TEST(calls_that_fail)
{
	static const unsigned long calls[] = { KVM_GET_LAPIC, KVM_GET_MP_STATE, KVM_SET_VCPU_EVENTS };

	shim.fail_error = -EIO;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		message(0, 0, EXTINT);
		bench_vector = 0x30;
		shim.fail_request = calls[i];
		ck_assert_int_lt(bench_run(0), 0);
		ck_assert_msg(strstr(b.exit.message, "does not take an interrupt of the 8259A"), "%s", b.exit.message);
	}
}
END_TEST

int main(void)
{
	CHECK_RUN("kvm-extint", start, stop, for_whom, none_there_after_all, when_it_can, state, calls_that_fail);
}
