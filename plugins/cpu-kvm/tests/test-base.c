/* SPDX-License-Identifier: MIT */
/* IA32_APIC_BASE with local APICs of devices: who is told of what the guest writes, and what is refused. */
#include <errno.h>
#include <fake/check-run.h>
#include <string.h>
#include <util/error.h>

#include "steps.h"

/* A local APIC of the test's. */
static struct {
	uint32_t enabled, enabled_sets;
} chip;

static int32_t acknowledge(void *arg)
{
	(void)arg;
	return MT_VECTOR_NONE;
}

static uint32_t priority(void *arg)
{
	(void)arg;
	return 0;
}

static void set_priority(void *arg, uint32_t level)
{
	(void)arg, (void)level;
}

static void set_enabled(void *arg, uint32_t enabled)
{
	(void)arg;
	chip.enabled = enabled;
	chip.enabled_sets++;
}

static const struct mt_vector_ops lapic = { sizeof(lapic), 0, acknowledge, priority, set_priority, set_enabled };

static int step;                   /* of a guest's script */

static void bound_up(void)
{
	bench_new(2);
	fake_prop(b.f, "irqchip", "user");
	ck_assert_msg(bench_up() == 0, "%s", b.err.message);
	for (uint32_t i = 0; i < b.count; i++) {
		ck_assert_int_eq(b.vector->bind(b.vcpu[i], &lapic, NULL, &b.err), 0);
		b.cls->vcpu_reset(b.vcpu[i], MT_RESET_COLD);
	}
	memset(&chip, 0, sizeof(chip));
}

static void start(void)
{
	shim_start();
	bound_up();
}

static uint64_t base_written;
static uint32_t index_written;

static int writes(struct shim_vcpu *v)
{
	if (step++)
		return leave(v);
	v->run->exit_reason = KVM_EXIT_X86_WRMSR;
	v->run->msr.reason = KVM_MSR_EXIT_REASON_FILTER;
	v->run->msr.index = index_written;
	v->run->msr.data = base_written;
	v->run->msr.error = 7;
	return 0;
}

/* How often the controller has been told so far, and with what last; whether the guest gets a fault. */
static void write_base(uint32_t index, uint64_t base, uint32_t sets, uint32_t enabled, uint32_t fault)
{
	step = 0;
	index_written = index;
	base_written = base;
	shim.guest = writes;
	run_to(1, MT_EXIT_KICKED);
	ck_assert_uint_eq(step, 2);
	ck_assert_uint_eq(shim.vcpus[1].run->msr.error, fault);
	ck_assert_uint_eq(chip.enabled_sets, sets);
	ck_assert_uint_eq(chip.enabled, enabled);
}

START_TEST(base_is_followed)
{
	ck_assert(shim.msr_filter);
	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_STARTUP, 1);
	write_base(0x1b, 0xfee00000, 1, 0, 0);
	ck_assert_uint_eq(shim.vcpus[1].whole->sregs.apic_base, 0xfee00000);
	/* what KVM refuses, and what is no concern of this */
	write_base(0x1b, 0xfee00c00, 1, 0, 1);
	ck_assert_ptr_nonnull(strstr(fake_log_last(b.f), "x2APIC"));
	write_base(0x1b, 0xfee00801, 1, 0, 1);
	write_base(0x10, 5, 1, 0, 1);
	ck_assert_uint_eq(shim.vcpus[1].whole->sregs.apic_base, 0xfee00000);
	/* a reset, and a move that is told once */
	b.cls->vcpu_reset(b.vcpu[1], MT_RESET_WARM);
	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_STARTUP, 1);
	ck_assert_uint_eq(chip.enabled_sets, 2);
	write_base(0x1b, 0xfed00800, 2, 1, 0);
	ck_assert_ptr_nonnull(strstr(fake_log_last(b.f), "moves its local APIC to 0xfed00000"));
	write_base(0x1b, 0xfec00800, 2, 1, 0);
	ck_assert_uint_eq(fake_log_count(b.f, MT_LOG_WARN), 1);
}
END_TEST

static int turns_off(struct shim_vcpu *v)
{
	if (step++)
		return leave(v);
	v->whole->sregs.apic_base &= ~UINT64_C(0x800);
	v->run->exit_reason = KVM_EXIT_INTR;
	return 0;
}

/* KVM does not say it by itself. */
START_TEST(base_without_a_filter)
{
	stop();
	shim_start();
	shim.missing[0] = KVM_CAP_X86_MSR_FILTER + 1;
	bound_up();
	ck_assert(!shim.msr_filter);
	ck_assert_ptr_nonnull(strstr(fake_log_last(b.f), "only when it comes out for another reason"));
	step = 0;
	shim.guest = turns_off;
	run_to(0, MT_EXIT_KICKED);
	ck_assert(chip.enabled_sets == 1 && !chip.enabled);
}
END_TEST

/* It is the vCPU's, in a snapshot too. */
START_TEST(base_of_a_snapshot)
{
	struct fake_state *s;

	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_STARTUP, 1);
	write_base(0x1b, 0xfee00000, 1, 0, 0);
	s = fake_state_new();
	ck_assert_int_eq(b.state->save(b.vcpu[1], fake_state_out(s), &fake_state_writer, &b.err), 0);
	stop();
	start();
	ck_assert_int_eq(b.state->load(b.vcpu[1], fake_state_in(s), &fake_state_reader, b.state->version, &b.err), 0);
	ck_assert(chip.enabled_sets == 1 && !chip.enabled);
	fake_state_free(s);
}
END_TEST

int main(void)
{
	CHECK_RUN("kvm-base", start, stop, base_is_followed, base_without_a_filter, base_of_a_snapshot);
}
