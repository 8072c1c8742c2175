/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers outside of KVM: when the guest gets its interrupts, priorities, HLT, INIT and start-up, calls
 * that fail, and what of it is saved.
 */
#include <errno.h>
#include <fake/check-run.h>
#include <string.h>
#include <util/error.h>

#include "steps.h"

/* A controller of the test's: the vectors that it has yet to give, the next one first. */
static struct {
	int32_t vectors[4];
	uint32_t left, acknowledged, priority, priority_sets;
	uint32_t vcpu;
} chip;

static int32_t acknowledge(void *arg)
{
	int32_t vector = chip.left ? chip.vectors[chip.acknowledged % 4] : MT_VECTOR_NONE;

	(void)arg;
	if (!chip.left)
		return vector;
	chip.acknowledged++;
	if (!--chip.left)
		b.vector->request(b.vcpu[chip.vcpu], 0);
	return vector;
}

static uint32_t priority(void *arg)
{
	(void)arg;
	return chip.priority;
}

static void set_priority(void *arg, uint32_t level)
{
	(void)arg;
	chip.priority = level;
	chip.priority_sets++;
}

static const struct mt_vector_ops pic = { .size = sizeof(pic), .acknowledge = acknowledge };
static const struct mt_vector_ops lapic = {
	.size = sizeof(lapic), .acknowledge = acknowledge, .priority = priority, .set_priority = set_priority,
};

static int step;                   /* of a guest's script */

static void start(void)
{
	shim_start();
	memset(&chip, 0, sizeof(chip));
	step = 0;
	bench_new(2);
	fake_prop(b.f, "irqchip", "user");
	ck_assert_msg(bench_up() == 0, "%s", b.err.message);
	ck_assert_int_eq(b.vector->bind(b.vcpu[0], &pic, NULL, &b.err), 0);
}

/* Another machine with these settings; no controller is bound. */
static void again(uint32_t count, const char *irqchip)
{
	stop();
	shim_start();
	bench_new(count);
	fake_prop(b.f, "irqchip", irqchip);
	ck_assert_msg(bench_up() == 0, "%s", b.err.message);
}

static void ask(uint32_t vcpu, int32_t first, uint32_t count)
{
	chip.vcpu = vcpu;
	chip.left = count;
	chip.acknowledged = 0;
	for (uint32_t i = 0; i < 4; i++)
		chip.vectors[i] = first + (int32_t)i;
	b.vector->request(b.vcpu[vcpu], 1);
}

static void ready(struct shim_vcpu *v, bool is)
{
	v->run->ready_for_interrupt_injection = is;
}

/* Who may serve */

static void bind_refused(const char *irqchip, const char *words)
{
	again(1, irqchip);
	mt_error_init(&b.err);
	ck_assert_int_eq(b.vector->bind(b.vcpu[0], &pic, NULL, &b.err), MT_ENOTSUP);
	ck_assert_msg(strstr(b.err.message, words), "%s", b.err.message);
	ck_assert_str_eq(b.err.hint, "set irqchip = user in [cpu]");
}

START_TEST(binding)
{
	ck_assert_int_eq(b.vector->bind(b.vcpu[0], &pic, NULL, &b.err), MT_EBUSY);
	ck_assert_int_eq(b.vector->bind(b.vcpu[1], &pic, NULL, &b.err), 0);
	b.vector->unbind(b.vcpu[0]);
	ck_assert_int_eq(b.vector->bind(b.vcpu[0], &lapic, NULL, &b.err), 0);
	ck_assert(!shim.irqchip && !shim.pit);
	bind_refused("kernel", "KVM serves");
	bind_refused("off", "no interrupt controllers");
}
END_TEST

static const struct kvm_cpuid_entry2 *cpuid(uint32_t vcpu, uint32_t leaf)
{
	for (uint32_t i = 0; i < shim.vcpus[vcpu].cpuid.nent; i++)
		if (shim.vcpus[vcpu].cpuid.entry[i].function == leaf)
			return &shim.vcpus[vcpu].cpuid.entry[i];
	ck_abort_msg("no leaf 0x%x", leaf);
}

/* What is shown of a local APIC is there when one has been bound; KVM goes by IA32_APIC_BASE. */
START_TEST(local_apic_is_shown)
{
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_COLD);
	ck_assert_uint_eq(shim.vcpus[0].whole->sregs.apic_base, 0xfee00100);
	ck_assert_uint_eq(cpuid(0, 1)->edx >> 9 & 1, 1);
	/* KVM's ways around a local APIC need its own: clock, steal time and the like are left */
	ck_assert_uint_eq(cpuid(0, 0x40000001)->eax, 0x0102122b);
	ck_assert_int_eq(b.vector->bind(b.vcpu[1], &lapic, NULL, &b.err), 0);
	b.cls->vcpu_reset(b.vcpu[1], MT_RESET_COLD);
	ck_assert_uint_eq(shim.vcpus[1].whole->sregs.apic_base, 0xfee00800);
	b.vector->unbind(b.vcpu[1]);
	b.cls->vcpu_reset(b.vcpu[1], MT_RESET_COLD);
	ck_assert_uint_eq(shim.vcpus[1].whole->sregs.apic_base, 0xfee00000);
}
END_TEST

/* Taking interrupts */

static int window(struct shim_vcpu *v)
{
	switch (step++) {
	case 0:                        /* interrupts are off */
		ck_assert_uint_eq(v->interrupts, 0);
		ck_assert_uint_eq(v->run->request_interrupt_window, 1);
		v->run->exit_reason = KVM_EXIT_INTR;
		ready(v, false);
		return 0;
	case 1:
		ck_assert_uint_eq(v->interrupts, 0);
		ck_assert_uint_eq(v->run->request_interrupt_window, 1);
		v->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
		ready(v, true);
		return 0;
	case 2:                        /* the first of two is on its way: come out for the second */
		ck_assert_uint_eq(v->interrupt, 0x30);
		ck_assert_uint_eq(v->run->request_interrupt_window, 1);
		v->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
		ready(v, true);
		return 0;
	default:
		ck_assert_uint_eq(v->interrupt, 0x31);
		ck_assert_uint_eq(v->run->request_interrupt_window, 0);
		return leave(v);
	}
}

START_TEST(when_the_guest_is_ready)
{
	shim.guest = window;
	ask(0, 0x30, 2);
	run_to(0, MT_EXIT_KICKED);
	ck_assert_int_eq(step, 4);
	ck_assert_uint_eq(shim.vcpus[0].interrupts, 2);
}
END_TEST

/* Ready as KVM said it, and then registers are set: it has to say it anew before anything is fetched. */
START_TEST(readiness_is_asked_anew)
{
	uint32_t before;

	shim.guest = leave;
	run_to(0, MT_EXIT_KICKED);
	ready(&shim.vcpus[0], true);
	reg_set(0, "eflags", 2);
	before = shim.vcpus[0].entries;
	ask(0, 0x40, 1);
	run_to(0, MT_EXIT_KICKED);
	ck_assert_uint_eq(shim.vcpus[0].interrupts, 1);
	ck_assert_uint_eq(shim.vcpus[0].interrupt_entries, before + 1);
}
END_TEST

static void hook_raise(void)
{
	ask(0, 0x50, 1);
}

static int mmio_that_raises(struct shim_vcpu *v)
{
	if (step++) {
		ck_assert_uint_eq(v->interrupt, 0x50);
		return leave(v);
	}
	v->run->exit_reason = KVM_EXIT_MMIO;
	v->run->mmio.phys_addr = 0x10000000;
	v->run->mmio.len = 4;
	v->run->mmio.is_write = 1;
	ready(v, true);
	return 0;
}

/* The access ends first, by an entry that runs nothing. */
START_TEST(after_the_access)
{
	uint32_t before = shim.vcpus[0].entries;

	shim.guest = mmio_that_raises;
	seen.hook = hook_raise;
	run_to(0, MT_EXIT_KICKED);
	seen.hook = NULL;
	ck_assert_uint_eq(shim.vcpus[0].interrupts, 1);
	ck_assert_uint_eq(shim.vcpus[0].interrupt_entries, before + 2);
}
END_TEST

static int no_window(struct shim_vcpu *v)
{
	if (step++) {
		ck_assert_uint_eq(v->interrupts, 0);
		ck_assert_uint_eq(v->run->request_interrupt_window, 0);
		return leave(v);
	}
	v->run->exit_reason = KVM_EXIT_INTR;
	ready(v, true);
	return 0;
}

/* The controller thinks better of it: the guest goes on. */
START_TEST(none_after_all)
{
	shim.guest = no_window;
	b.vector->request(b.vcpu[0], 1);
	run_to(0, MT_EXIT_KICKED);
	ck_assert_int_eq(step, 2);
}
END_TEST

START_TEST(not_within_a_step)
{
	shim.guest = no_window;
	ask(0, 0x60, 1);
	ck_assert_int_eq(b.debug->set_mode(b.vcpu[0], MT_DEBUG_STEP | MT_DEBUG_MASK_IRQS), 0);
	run_to(0, MT_EXIT_KICKED);
	ck_assert_uint_eq(chip.acknowledged, 0);
}
END_TEST

/* Priorities */

static int cr8_moves(struct shim_vcpu *v)
{
	if (step++ == 0) {
		ck_assert_uint_eq(v->run->cr8, 3);
		v->run->cr8 = 1;
		v->run->exit_reason = KVM_EXIT_SET_TPR;
		return 0;
	}
	ck_assert_uint_eq(chip.priority, 1);
	ck_assert_uint_eq(v->run->cr8, 1);
	return leave(v);
}

START_TEST(task_priority)
{
	ck_assert_int_eq(b.vector->bind(b.vcpu[1], &lapic, NULL, &b.err), 0);
	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_STARTUP, 8);
	shim.guest = cr8_moves;
	chip.priority = 3;
	run_to(1, MT_EXIT_KICKED);
	ck_assert_int_eq(step, 2);
	ck_assert_uint_eq(chip.priority_sets, 1);
	/* by a debugger */
	shim.vcpus[1].whole->sregs.cr8 = 1;
	reg_set(1, "cr8", 9);
	shim.guest = leave;
	run_to(1, MT_EXIT_KICKED);
	ck_assert_uint_eq(chip.priority, 9);
	ck_assert_uint_eq(shim.vcpus[1].run->cr8, 9);
}
END_TEST

/* Halting */

static int halts(struct shim_vcpu *v)
{
	if (step++ == 0) {
		v->run->exit_reason = KVM_EXIT_HLT;
		return 0;
	}
	return leave(v);
}

START_TEST(halt_until_an_interrupt)
{
	struct shim_vcpu *v = &shim.vcpus[0];

	shim.guest = halts;
	run_to(0, MT_EXIT_HALT);
	ck_assert_uint_eq(b.exit.wake_ns, UINT64_MAX);
	run_to(0, MT_EXIT_HALT);
	ck_assert_uint_eq(v->entries, 1);
	/* off: it does not wake */
	ready(v, false);
	ask(0, 0x70, 1);
	run_to(0, MT_EXIT_HALT);
	ck_assert_uint_eq(v->entries, 1);
	ready(v, true);
	run_to(0, MT_EXIT_KICKED);
	ck_assert_uint_eq(v->interrupt, 0x70);
	ck_assert_int_eq(step, 2);
}
END_TEST

START_TEST(halt_until_an_nmi)
{
	shim.guest = halts;
	run_to(0, MT_EXIT_HALT);
	b.vector->event(b.vcpu[0], MT_VCPU_EVENT_SMI, 0);
	b.vector->event(b.vcpu[0], 77, 0);
	run_to(0, MT_EXIT_HALT);
	b.vector->event(b.vcpu[0], MT_VCPU_EVENT_NMI, 0);
	run_to(0, MT_EXIT_KICKED);
	ck_assert_uint_eq(shim.vcpus[0].nmis, 1);
}
END_TEST

START_TEST(halt_and_reset)
{
	shim.guest = halts;
	run_to(0, MT_EXIT_HALT);
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_WARM);
	run_to(0, MT_EXIT_KICKED);
	ck_assert_int_eq(step, 2);
}
END_TEST

/* Starting processors */

START_TEST(processors_wait_for_their_start)
{
	struct shim_vcpu *v = &shim.vcpus[1];

	shim.guest = leave;
	run_to(1, MT_EXIT_HALT);
	ck_assert_uint_eq(v->entries, 0);
	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_STARTUP, 0x9f);
	run_to(1, MT_EXIT_KICKED);
	ck_assert_uint_ge(v->entries, 1);
	ck_assert_uint_eq(v->whole->sregs.cs.selector, 0x9f00);
	ck_assert_uint_eq(v->whole->sregs.cs.base, 0x9f000);
	ck_assert_uint_eq(v->whole->regs.rip, 0);
	/* the second of the two that software sends does nothing */
	v->whole->regs.rip = 0x123;
	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_STARTUP, 0x10);
	run_to(1, MT_EXIT_KICKED);
	ck_assert_uint_eq(v->whole->regs.rip, 0x123);
}
END_TEST

static void used(struct shim_vcpu *v)
{
	v->whole->regs.rip = 0x4000;
	v->whole->regs.rbx = 9;
	v->whole->sregs.cr0 = 0xa0010033;      /* NW and PG */
	v->whole->sregs.efer = 0x501;
	v->whole->sregs.apic_base = 0xfee00900;
	v->whole->debug.dr7 = 0x401;
	v->whole->events.nmi.masked = 1;
	v->whole->xsave[100] = 0x34;
	v->whole->msr[3].data = 0x5678;
	v->whole->events.interrupt.injected = 1;
}

static void check_init(const struct shim_vcpu *v)
{
	ck_assert_uint_eq(v->whole->regs.rip, 0xfff0);
	ck_assert_uint_eq(v->whole->regs.rbx, 0);
	ck_assert_uint_eq(v->whole->sregs.cs.base, 0xffff0000);
	ck_assert_uint_eq(v->whole->sregs.cr0, 0x20000010);
	ck_assert_uint_eq(v->whole->sregs.efer, 0);
	ck_assert_uint_eq(v->whole->debug.dr7, 0x400);
	ck_assert_uint_eq(v->whole->events.nmi.masked, 0);
	ck_assert_uint_eq(v->whole->events.interrupt.injected, 0);
	/* and what stays */
	ck_assert_uint_eq(v->whole->sregs.apic_base, 0xfee00900);
	ck_assert_uint_eq(v->whole->xsave[100], 0x34);
	ck_assert_uint_eq(v->whole->msr[3].data, 0x5678);
}

START_TEST(init)
{
	shim.guest = leave;
	for (uint32_t i = 0; i < 2; i++) {
		used(&shim.vcpus[i]);
		b.vector->event(b.vcpu[i], MT_VCPU_EVENT_INIT, 0);
		run_to(i, i ? MT_EXIT_HALT : MT_EXIT_KICKED);
		check_init(&shim.vcpus[i]);
	}
	/* both before the vCPU looks: first INIT, then the start */
	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_STARTUP, 0x20);
	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_INIT, 0);
	run_to(1, MT_EXIT_KICKED);
	ck_assert_uint_eq(shim.vcpus[1].whole->sregs.cs.base, 0x20000);
}
END_TEST

/* Other threads */

static _Atomic uint32_t taken, done;

/* At once when the guest can take what waits. */
static int wait_for_signal(struct shim_vcpu *v)
{
	ready(v, true);
	atomic_store(&taken, v->interrupts);
	v->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	return v->run->request_interrupt_window ? 0 : shim_wait(v);
}

static void *runner(void *arg)
{
	(void)arg;
	while (!atomic_load(&done))
		if (bench_run(0) || b.exit.reason != MT_EXIT_KICKED)
			return (void *)1;
	return NULL;
}

/* Every request is seen by a vCPU that is in the guest: a lost one hangs this, and the time limit ends it. */
START_TEST(requests_from_another_thread)
{
	pthread_t thread;
	void *bad;

	atomic_store(&taken, 0);
	atomic_store(&done, 0);
	shim.guest = wait_for_signal;
	ck_assert_int_eq(pthread_create(&thread, NULL, runner, NULL), 0);
	for (uint32_t i = 0; i < 1000; i++) {
		ask(0, 0x30, 1);
		while (atomic_load(&taken) != i + 1)
			sched_yield();
	}
	atomic_store(&done, 1);
	b.cls->kick(b.vcpu[0]);
	pthread_join(thread, &bad);
	ck_assert_ptr_null(bad);
}
END_TEST

/* Calls that fail */

static void fails(uint32_t vcpu, unsigned long request, const char *words)
{
	shim.fail_request = request;
	shim.fail_error = -EINVAL;
	ck_assert_int_lt(bench_run(vcpu), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_ERROR);
	ck_assert_msg(strstr(b.exit.message, words), "%s", b.exit.message);
	ck_assert_uint_eq(shim.failed, request);
	b.cls->vcpu_reset(b.vcpu[vcpu], MT_RESET_WARM);
}

START_TEST(calls_that_fail)
{
	static const unsigned long init_calls[] = { KVM_GET_SREGS, KVM_SET_SREGS, KVM_SET_REGS, KVM_SET_DEBUGREGS,
						    KVM_SET_VCPU_EVENTS };

	shim.guest = leave;
	ready(&shim.vcpus[0], true);
	ask(0, 0x30, 1);
	fails(0, KVM_INTERRUPT, "does not take an interrupt for the vCPU: Invalid argument");
	b.vector->event(b.vcpu[0], MT_VCPU_EVENT_NMI, 0);
	fails(0, KVM_NMI, "does not take an NMI");
	for (size_t i = 0; i < sizeof(init_calls) / sizeof(init_calls[0]); i++) {
		b.vector->event(b.vcpu[0], MT_VCPU_EVENT_INIT, 0);
		fails(0, init_calls[i], "KVM does not take ");
	}
	for (size_t i = 0; i < 3; i++) {
		b.vector->event(b.vcpu[1], MT_VCPU_EVENT_STARTUP, 1);
		fails(1, init_calls[i], "does not take its start");
	}
}
END_TEST

/* State */

static void load(uint32_t vcpu, struct fake_state *s)
{
	ck_assert_msg(bench_loaded(vcpu, s) == 0, "%s %s", fake_state_refused(s), b.err.message);
}

START_TEST(state_goes_round)
{
	struct fake_state *first, *second, *third;
	const char *differs;

	shim.guest = halts;
	run_to(0, MT_EXIT_HALT);
	shim.vcpus[0].whole->sregs.cr8 = 5;
	first = bench_saved(0);
	second = bench_saved(1);             /* waits for its start */
	again(2, "user");
	ck_assert_int_eq(b.vector->bind(b.vcpu[0], &pic, NULL, &b.err), 0);
	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_STARTUP, 1);
	shim.guest = leave;
	run_to(1, MT_EXIT_KICKED);
	load(0, first);
	load(1, second);
	ck_assert_uint_eq(shim.vcpus[0].run->cr8, 5);
	third = bench_saved(0);
	differs = fake_state_differs(first, third);
	ck_assert_msg(!differs, "%s", differs);
	run_to(0, MT_EXIT_HALT);
	run_to(1, MT_EXIT_HALT);
	/* KVM is asked whether the guest can take it, and the guest goes on */
	ask(0, 0x30, 1);
	ready(&shim.vcpus[0], true);
	run_to(0, MT_EXIT_KICKED);
	ck_assert_uint_eq(shim.vcpus[0].interrupt, 0x30);
	fake_state_free(first);
	fake_state_free(second);
	fake_state_free(third);
}
END_TEST

/* What has been asked and not yet noticed is done before the vCPU is saved. */
START_TEST(events_are_saved)
{
	struct fake_state *s;

	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_STARTUP, 0x33);
	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_NMI, 0);
	s = bench_saved(1);
	ck_assert_uint_eq(shim.vcpus[1].nmis, 1);
	ck_assert_uint_eq(fake_state_get(s, fake_state_find(s, "run_state"), 0), KVM_MP_STATE_RUNNABLE);
	ck_assert_uint_eq(fake_state_get(s, fake_state_find(s, "rip"), 0), 0);
	fake_state_set(s, fake_state_find(s, "run_state"), 0, KVM_MP_STATE_SIPI_RECEIVED);
	fake_state_set(s, fake_state_find(s, "sipi_vector"), 0, 0x44);
	load(1, s);
	shim.guest = leave;
	run_to(1, MT_EXIT_KICKED);
	ck_assert_uint_eq(shim.vcpus[1].whole->sregs.cs.base, 0x44000);
	fake_state_free(s);
}
END_TEST

int main(void)
{
	CHECK_RUN("kvm-vector", start, stop, binding, local_apic_is_shown, when_the_guest_is_ready, readiness_is_asked_anew,
		  after_the_access, none_after_all, not_within_a_step, task_priority, halt_until_an_interrupt,
		  halt_until_an_nmi, halt_and_reset, processors_wait_for_their_start, init,
		  requests_from_another_thread, calls_that_fail, state_goes_round, events_are_saved);
}
