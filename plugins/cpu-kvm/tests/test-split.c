/* SPDX-License-Identifier: MIT */
/*
 * Local APICs in KVM with the other controllers outside of it: how they are made, level-triggered messages and their
 * ends, vectors of an 8259A for LINT0, calls that fail, and what of it is saved.
 */
#include <errno.h>
#include <fake/acpi.h>
#include <fake/check-run.h>
#include <string.h>
#include <util/error.h>

#include "steps.h"

#define LEVEL 0x8000u

/* An 8259A of the test's. */
static int32_t next_vector;

static int32_t acknowledge(void *arg)
{
	int32_t vector = next_vector;

	(void)arg;
	next_vector = MT_VECTOR_NONE;
	b.vector->request(b.vcpu[0], 0);
	return vector;
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

static const struct mt_vector_ops pic = { .size = sizeof(pic), .acknowledge = acknowledge };
static const struct mt_vector_ops lapic = {
	.size = sizeof(lapic), .acknowledge = acknowledge, .priority = priority, .set_priority = set_priority,
};

static int step;                   /* of a guest's script */

static void make(void)
{
	shim_start();
	step = 0;
	next_vector = MT_VECTOR_NONE;
	bench_new(2);
	fake_prop(b.f, "irqchip", "split");
}

static void start(void)
{
	make();
	ck_assert_msg(bench_up() == 0, "%s", b.err.message);
	ck_assert_int_eq(b.vector->bind(b.vcpu[0], &pic, NULL, &b.err), 0);
}

static void again(void)
{
	stop();
	start();
}

static uint32_t message(uint32_t dest, uint32_t data)
{
	const struct mt_region_desc *d = fake_region(bench_chips[CHIP_LAPIC], 0);
	struct mt_access a = { .offset = dest << 12, .width = 4, .vcpu = MT_VCPU_NONE };

	return d->ops->write(chip_self(CHIP_LAPIC), &a, data);
}

/* Being made */

START_TEST(what_is_made)
{
	const struct mt_irq_sink *sink = fake_role(bench_chips[CHIP_LAPIC], MT_IFACE_IRQ_SINK);
	const struct mt_msi_target *target = fake_role(bench_chips[CHIP_LAPIC], MT_IFACE_MSI_TARGET);
	struct mt_msi_window w = { .size = sizeof(w) };
	struct mt_acpi said;
	void *self = chip_self(CHIP_LAPIC);

	ck_assert(!shim.irqchip && !shim.pit);
	ck_assert_uint_eq(shim.split_pins, SPLIT_PINS);
	ck_assert_uint_eq(sink->input_count(self), 0);
	ck_assert_int_eq(target->window(self, &w), 0);
	ck_assert_uint_eq(w.gpa, 0xfee00000);
	ck_assert_str_eq(fake_acpi_of(fake_role(bench_chips[CHIP_LAPIC], MT_IFACE_ACPI_NODE), self, &said),
			 "cpu 0 apic 0\ncpu 1 apic 1\n");
	/* the 8259A behind it interrupts the first vCPU */
	ck_assert(fake_vector_bound(bench_chips[CHIP_LAPIC], 0) && !fake_vector_bound(bench_chips[CHIP_LAPIC], 1));
	fake_vector_source_set(bench_chips[CHIP_LAPIC], 1);
	ck_assert_uint_eq(fake_vector_request(bench_chips[CHIP_LAPIC], 0), 1);
	ck_assert_int_eq(fake_vector_acknowledge(bench_chips[CHIP_LAPIC], 0), MT_VECTOR_NONE);
	/* IA32_APIC_BASE is KVM's */
	ck_assert_uint_eq(shim.vcpus[0].whole->sregs.apic_base, 0);
}
END_TEST

static uint32_t cpuid_word(uint32_t leaf)
{
	for (uint32_t i = 0; i < shim.vcpus[0].cpuid.nent; i++)
		if (shim.vcpus[0].cpuid.entry[i].function == leaf)
			return leaf == 1 ? shim.vcpus[0].cpuid.entry[i].ecx : shim.vcpus[0].cpuid.entry[i].eax;
	ck_abort_msg("no leaf 0x%x", leaf);
}

START_TEST(all_of_kvms_local_apic_is_shown)
{
	ck_assert_uint_eq(cpuid_word(1) >> 21 & 1, 1);
	ck_assert_uint_eq(cpuid_word(1) >> 24 & 1, 1);
	ck_assert_uint_eq(cpuid_word(0x40000001), 0x0102fefb);
}
END_TEST

static void cannot_be_made(unsigned long missing, const char *words)
{
	stop();
	make();
	if (missing) {
		shim.missing[0] = missing + 1;
	} else {
		shim.fail_request = KVM_ENABLE_CAP;
		shim.fail_error = -EINVAL;
	}
	ck_assert_int_eq(bench_up(), MT_EHOST);
	ck_assert_msg(strstr(b.err.message, words), "%s", b.err.message);
	ck_assert_str_eq(b.err.culprit, "irqchip");
}

START_TEST(hosts_without)
{
	cannot_be_made(KVM_CAP_SPLIT_IRQCHIP, "no local APICs without the other controllers");
	cannot_be_made(KVM_CAP_IRQ_ROUTING, "no interrupt controllers");
	cannot_be_made(KVM_CAP_SIGNAL_MSI, "no interrupt controllers");
	cannot_be_made(0, "cannot make the local APICs");
}
END_TEST

START_TEST(binding)
{
	ck_assert_int_eq(b.vector->bind(b.vcpu[1], &lapic, NULL, &b.err), MT_ENOTSUP);
	ck_assert_ptr_nonnull(strstr(b.err.message, "KVM serves the local APICs"));
	ck_assert_int_eq(b.vector->bind(b.vcpu[1], &pic, NULL, &b.err), 0);
}
END_TEST

/* Levels */

static const struct kvm_irq_routing_entry *route(uint32_t i)
{
	ck_assert_uint_lt(i, shim.route_count);
	return &shim.routes[i];
}

START_TEST(a_level_is_entered_before_it_is_sent)
{
	ck_assert_uint_eq(message(1, 0x41), MT_BUS_OK);
	ck_assert_uint_eq(shim.route_changes, 0);
	ck_assert_uint_eq(shim.msi.data, 0x41);
	ck_assert_uint_eq(message(1, LEVEL | 0x51), MT_BUS_OK);
	ck_assert(shim.route_before_message);
	ck_assert_uint_eq(shim.msi.address_lo, 0xfee01000);
	ck_assert_uint_eq(shim.msi.data, LEVEL | 0x51);
	ck_assert_uint_eq(route(0)->gsi, 0);
	/* once; another one comes behind it */
	message(1, LEVEL | 0x51);
	ck_assert_uint_eq(shim.route_changes, 1);
	message(0, LEVEL | 0x51);
	ck_assert(shim.route_before_message);
	ck_assert_uint_eq(shim.route_changes, 2);
	ck_assert_uint_eq(route(1)->gsi, 1);
	ck_assert_uint_eq(route(0)->u.msi.address_lo, 0xfee01000);
	ck_assert_uint_eq(shim.msi_count, 4);
}
END_TEST

static int ends_51(struct shim_vcpu *v)
{
	if (step++)
		return leave(v);
	v->run->exit_reason = KVM_EXIT_IOAPIC_EOI;
	v->run->eoi.vector = 0x51;
	return 0;
}

START_TEST(ends_are_told)
{
	uint32_t vector = 0;

	message(0, LEVEL | 0x51);
	shim.guest = ends_51;
	run_to(0, MT_EXIT_KICKED);
	ck_assert_uint_eq(fake_eois(bench_chips[CHIP_LAPIC], &vector), 1);
	ck_assert_uint_eq(vector, 0x51);
}
END_TEST

/* More messages than pins: those that are not under way give way first, the oldest before the others. */
START_TEST(more_than_the_table_holds)
{
	for (uint32_t i = 0; i < SPLIT_PINS; i++)
		message(i, LEVEL | (i == 7 || i == 9 ? 0x51 : 0x61));
	ck_assert_uint_eq(shim.route_count, SPLIT_PINS);
	shim.guest = ends_51;
	run_to(0, MT_EXIT_KICKED);
	message(7, LEVEL | 0x99);
	ck_assert(shim.route_before_message);
	ck_assert_uint_eq(route(7)->u.msi.data, LEVEL | 0x99);
	message(9, LEVEL | 0x99);
	ck_assert_uint_eq(route(9)->u.msi.data, LEVEL | 0x99);
	/* all are under way: the one that was sent first */
	message(0, LEVEL | 0x61);
	message(1, LEVEL | 0x9a);
	ck_assert(shim.route_before_message);
	ck_assert_uint_eq(route(1)->u.msi.data, LEVEL | 0x9a);
	ck_assert_uint_eq(route(0)->u.msi.data, LEVEL | 0x61);
	ck_assert_uint_eq(shim.route_count, SPLIT_PINS);
}
END_TEST

START_TEST(messages_that_cannot_be_sent)
{
	shim.fail_request = KVM_SET_GSI_ROUTING;
	shim.fail_error = -ENOMEM;
	ck_assert_uint_eq(message(0, LEVEL | 0x51), MT_BUS_DEVICE);
	ck_assert_uint_eq(shim.msi_count, 0);
	shim.fail_request = KVM_SIGNAL_MSI;
	ck_assert_uint_eq(message(0, LEVEL | 0x51), MT_BUS_DEVICE);
	ck_assert_uint_eq(message(0, LEVEL | 0x51), MT_BUS_OK);
	ck_assert(shim.route_before_message);
	ck_assert_uint_eq(shim.route_count, 1);
	/* a full table is as it was */
	for (uint32_t i = 0; i < SPLIT_PINS; i++)
		message(i, LEVEL | 0x61);
	shim.fail_request = KVM_SET_GSI_ROUTING;
	ck_assert_uint_eq(message(0, LEVEL | 0x71), MT_BUS_DEVICE);
	ck_assert_uint_eq(message(1, LEVEL | 0x61), MT_BUS_OK);
	ck_assert(shim.route_before_message);
}
END_TEST

/* Vectors for LINT0 */

static void ask(int32_t vector)
{
	next_vector = vector;
	b.vector->request(b.vcpu[0], 1);
}

static struct kvm_vcpu_events *events_of(uint32_t vcpu)
{
	return &shim.vcpus[vcpu].whole->events;
}

/* The guest as KVM says that it can take an interrupt. */
static int opens(struct shim_vcpu *v)
{
	if (step++)
		return leave(v);
	v->whole->regs.rflags |= 0x200;
	v->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	v->run->ready_for_interrupt_injection = 1;
	return 0;
}

static int window(struct shim_vcpu *v)
{
	ck_assert_uint_eq(v->whole->events.interrupt.injected, step != 0);
	ck_assert_uint_eq(v->run->request_interrupt_window, step == 0);
	return opens(v);
}

/* As an event, and nothing of what may come from elsewhere meanwhile is touched. */
START_TEST(a_vector_is_an_event_of_the_vcpu)
{
	shim.guest = window;
	ask(0x30);
	run_to(0, MT_EXIT_KICKED);
	ck_assert_int_eq(step, 2);
	ck_assert_uint_eq(events_of(0)->interrupt.nr, 0x30);
	ck_assert_uint_eq(shim.vcpus[0].event_flags, 0);
	/* KVM has no second place for it, where no reset would reach it */
	ck_assert_uint_eq(shim.vcpus[0].interrupts, 0);
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_WARM);
	ck_assert_uint_eq(events_of(0)->interrupt.injected, 0);
}
END_TEST

START_TEST(a_vector_ends_a_halt)
{
	shim.vcpus[0].whole->mp.mp_state = KVM_MP_STATE_HALTED;
	shim.guest = opens;
	ask(0x30);
	run_to(0, MT_EXIT_KICKED);
	ck_assert_uint_eq(events_of(0)->interrupt.injected, 1);
	ck_assert_uint_eq(shim.vcpus[0].whole->mp.mp_state, KVM_MP_STATE_RUNNABLE);
}
END_TEST

/* What KVM said when it came out is not so any more: an INIT that came since, for one. */
static void is_not_taken(const char *what)
{
	ask(0x30);
	run_to(0, MT_EXIT_KICKED);
	ck_assert_msg(next_vector == 0x30 && events_of(0)->interrupt.nr != 0x30, "%s", what);
	ck_assert_msg(shim.vcpus[0].run->request_interrupt_window == 1, "%s", what);
	again();
}

static struct kvm_vcpu_events in_the_way;
static uint32_t state_then;
static bool flag_off;

static int opens_and_shuts(struct shim_vcpu *v)
{
	int code = opens(v);

	if (code == 0) {
		v->whole->events = in_the_way;
		v->whole->mp.mp_state = state_then;
		v->whole->regs.rflags = flag_off ? 2 : 0x202;
		b.cls->kick(b.vcpu[v->index]);
	}
	return code;
}

static void shut_by(const char *what, struct kvm_vcpu_events events, uint32_t state, bool off)
{
	in_the_way = events;
	state_then = state;
	flag_off = off;
	shim.guest = opens_and_shuts;
	is_not_taken(what);
}

START_TEST(a_vector_is_not_taken_within)
{
	const uint32_t runs = KVM_MP_STATE_RUNNABLE;

	shut_by("interrupts off", (struct kvm_vcpu_events){ 0 }, runs, true);
	shut_by("shadow", (struct kvm_vcpu_events){ .interrupt.shadow = 1 }, runs, false);
	shut_by("exception", (struct kvm_vcpu_events){ .exception.injected = 1 }, runs, false);
	shut_by("pending exception", (struct kvm_vcpu_events){ .exception.pending = 1 }, runs, false);
	shut_by("interrupt", (struct kvm_vcpu_events){ .interrupt.injected = 1, .interrupt.nr = 0x31 }, runs, false);
	shut_by("nmi", (struct kvm_vcpu_events){ .nmi.injected = 1 }, runs, false);
	shut_by("init", (struct kvm_vcpu_events){ 0 }, KVM_MP_STATE_INIT_RECEIVED, false);
}
END_TEST

/* HLT, INIT and start-up are KVM's; an NMI is given. */
START_TEST(events)
{
	shim.guest = leave;
	b.vector->event(b.vcpu[0], MT_VCPU_EVENT_INIT, 0);
	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_STARTUP, 7);
	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_SMI, 0);
	b.vector->event(b.vcpu[1], MT_VCPU_EVENT_NMI, 0);
	run_to(0, MT_EXIT_KICKED);
	run_to(1, MT_EXIT_KICKED);
	ck_assert_uint_eq(shim.vcpus[1].nmis, 1);
	ck_assert_uint_ge(shim.vcpus[1].entries, 1);
	ck_assert_uint_ne(shim.vcpus[1].whole->sregs.cs.base, 0x7000);
}
END_TEST

START_TEST(calls_that_fail)
{
	static const unsigned long calls[] = {
		KVM_GET_MP_STATE, KVM_GET_REGS, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, KVM_SET_MP_STATE,
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		shim.guest = leave;
		run_to(0, MT_EXIT_KICKED);
		shim.vcpus[0].run->ready_for_interrupt_injection = 1;
		shim.vcpus[0].whole->regs.rflags = 0x202;
		shim.vcpus[0].whole->mp.mp_state = KVM_MP_STATE_HALTED;
		ask(0x30);
		shim.fail_request = calls[i];
		shim.fail_error = -ENXIO;
		ck_assert_int_lt(bench_run(0), 0);
		ck_assert_msg(strstr(b.exit.message, "does not take an interrupt"), "%s", b.exit.message);
		ck_assert_uint_eq(shim.failed, calls[i]);
		again();
	}
}
END_TEST

/* State */

/* Two levels in service and one edge, at vCPU 1; a level waits. */
static void disturb(struct kvm_lapic_state *apic)
{
	const struct { uint32_t bank, vector; } bits[] = {
		{ 0x100, 0x51 }, { 0x180, 0x51 }, { 0x100, 0x61 }, { 0x200, 0x72 }, { 0x180, 0x72 }, { 0x180, 0x82 },
	};

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		apic->regs[bits[i].bank + bits[i].vector / 32 * 16 + bits[i].vector % 32 / 8] |= (char)(1 << bits[i].vector % 8);
}

static bool is_routed(uint32_t address, uint32_t data)
{
	for (uint32_t i = 0; i < shim.route_count; i++)
		if (shim.routes[i].u.msi.address_lo == address && shim.routes[i].u.msi.data == data)
			return true;
	return false;
}

/* The table is in no state: what the local APICs have still to end makes it anew, and all else has ended. */
START_TEST(levels_of_a_snapshot_end_too)
{
	struct fake_state *first[2], *second, *lapics;
	const char *differs;

	shim.guest = leave;
	disturb(&shim.vcpus[1].whole->lapic);
	lapics = chip_saved(CHIP_LAPIC);
	first[0] = bench_saved(0);
	first[1] = bench_saved(1);
	again();
	ck_assert_msg(chip_loaded(CHIP_LAPIC, lapics) == 0, "%s", b.err.message);
	for (uint32_t i = 0; i < 2; i++)
		ck_assert_msg(bench_loaded(i, first[i]) == 0, "%s", b.err.message);
	ck_assert_uint_eq(shim.route_count, 2);
	ck_assert(is_routed(0xfee01000, LEVEL | 0x51) && is_routed(0xfee01000, LEVEL | 0x72));
	second = bench_saved(1);
	differs = fake_state_differs(first[1], second);
	ck_assert_msg(!differs, "%s", differs);
	ck_assert_uint_eq(fake_eois(bench_chips[CHIP_LAPIC], NULL), 0);
	shim.guest = leave;
	run_to(1, MT_EXIT_KICKED);
	ck_assert_uint_eq(fake_eois(bench_chips[CHIP_LAPIC], NULL), 254);
	run_to(1, MT_EXIT_KICKED);
	ck_assert_uint_eq(fake_eois(bench_chips[CHIP_LAPIC], NULL), 254);
	fake_state_free(lapics);
	fake_state_free(first[0]);
	fake_state_free(first[1]);
	fake_state_free(second);
}
END_TEST

START_TEST(table_that_kvm_refuses_after_a_load)
{
	struct fake_state *s, *lapics;

	disturb(&shim.vcpus[1].whole->lapic);
	lapics = chip_saved(CHIP_LAPIC);
	s = bench_saved(1);
	again();
	ck_assert_msg(chip_loaded(CHIP_LAPIC, lapics) == 0, "%s", b.err.message);
	fake_state_free(lapics);
	shim.fail_request = KVM_SET_GSI_ROUTING;
	shim.fail_error = -EINVAL;
	ck_assert_int_lt(bench_loaded(1, s), 0);
	ck_assert_msg(strstr(b.err.message, "does not take the level-triggered interrupts of the snapshot"), "%s",
		      b.err.message);
	fake_state_free(s);
}
END_TEST

int main(void)
{
	CHECK_RUN("kvm-split", start, stop, what_is_made, all_of_kvms_local_apic_is_shown, hosts_without, binding,
		  a_level_is_entered_before_it_is_sent, ends_are_told, more_than_the_table_holds,
		  messages_that_cannot_be_sent, a_vector_is_an_event_of_the_vcpu, a_vector_ends_a_halt,
		  a_vector_is_not_taken_within, events, calls_that_fail, levels_of_a_snapshot_end_too,
		  table_that_kvm_refuses_after_a_load);
}
