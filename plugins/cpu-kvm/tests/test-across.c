/* SPDX-License-Identifier: MIT */
/*
 * A vCPU that is saved with one irqchip and goes on with another: whatever waits for it, or has been taken and not been
 * delivered, is there once, from each to each.
 */
#include <errno.h>
#include <fake/check-run.h>
#include <string.h>
#include <util/error.h>

#include "shim.h"

static const char *const irqchips[] = { "kernel", "split", "user" };
#define IRQCHIPS (sizeof(irqchips) / sizeof(irqchips[0]))

/* A controller of the test's, which never asks. */
static int32_t acknowledge(void *arg)
{
	(void)arg;
	return MT_VECTOR_NONE;
}

static void up(const char *irqchip)
{
	static const struct mt_vector_ops ops = { .size = sizeof(ops), .acknowledge = acknowledge };

	shim_start();
	bench_new(2);
	fake_prop(b.f, "irqchip", irqchip);
	ck_assert_msg(bench_up() == 0, "%s", b.err.message);
	for (uint32_t i = 0; strcmp(irqchip, "kernel") && i < b.count; i++)
		ck_assert_int_eq(b.vector->bind(b.vcpu[i], &ops, NULL, &b.err), 0);
}

static void down(void)
{
	bench_down();
	ck_assert_uint_eq(shim.open_fds, 0);
	shim_stop();
}

static int entered;

static int leave(struct shim_vcpu *v)
{
	entered++;
	b.cls->kick(b.vcpu[v->index]);
	return -EINTR;
}

/* As which the first vCPU is found by a save, and as which KVM has it when it goes on. */
struct waiting {
	const char *what;
	struct kvm_vcpu_events events;
	bool halted;                   /* it stands in HLT */
	bool goes_on;                  /* and does not any more */
};

#define VALID (KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM)

static const struct waiting all[] = {
	{ "nothing", { .flags = VALID }, false, true },
	{ "a halt", { .flags = VALID }, true, false },
	{ "an interrupt", { .flags = VALID, .interrupt = { .injected = 1, .nr = 0x30 } }, false, true },
	{ "a software interrupt", { .flags = VALID, .interrupt = { .injected = 1, .nr = 0x80, .soft = 1 } }, false, true },
	{ "a shadow", { .flags = VALID, .interrupt.shadow = 1 }, false, true },
	{ "an exception", { .flags = VALID, .exception = { .injected = 1, .nr = 14, .has_error_code = 1, .error_code = 6 } },
	  false, true },
	{ "an NMI", { .flags = VALID, .nmi = { .pending = 1 } }, false, true },
	{ "an NMI that is delivered", { .flags = VALID, .nmi = { .injected = 1, .masked = 1 } }, false, true },
	{ "an NMI that ends a halt", { .flags = VALID, .nmi = { .pending = 1 } }, true, true },
	{ "an NMI behind another, in a halt", { .flags = VALID, .nmi = { .pending = 1, .masked = 1 } }, true, false },
	{ "an interrupt that ends a halt", { .flags = VALID, .interrupt = { .injected = 1, .nr = 0x30 } }, true, true },
};

static void halts(uint32_t vcpu, bool does, const char *irqchip)
{
	shim.vcpus[vcpu].whole->mp.mp_state = does ? KVM_MP_STATE_HALTED : KVM_MP_STATE_RUNNABLE;
	if (!strcmp(irqchip, "user"))
		((struct kvm_vcpu *)b.vcpu[vcpu])->arch->halted = does;
}

static void saves(const struct waiting *w, const char *irqchip, struct fake_state *s)
{
	up(irqchip);
	shim.vcpus[0].whole->events = w->events;
	if (w->events.interrupt.injected && !w->events.interrupt.soft)
		shim.vcpus[0].whole->sregs.interrupt_bitmap[0] = UINT64_C(1) << w->events.interrupt.nr;
	halts(0, w->halted, irqchip);
	ck_assert_msg(b.state->save(b.vcpu[0], fake_state_out(s), &fake_state_writer, &b.err) == 0, "%s", b.err.message);
	down();
}

static void goes_on(const struct waiting *w, const char *irqchip, struct fake_state *s)
{
	const struct kvm_vcpu_events *e;
	bool devices = !strcmp(irqchip, "user");

	up(irqchip);
	ck_assert_msg(b.state->load(b.vcpu[0], fake_state_in(s), &fake_state_reader, b.state->version, &b.err) == 0, "%s %s",
		      fake_state_refused(s), b.err.message);
	ck_assert_msg(!fake_state_left(s), "%s", fake_state_left(s));
	e = &shim.vcpus[0].whole->events;
	ck_assert_msg(!memcmp(e, &w->events, sizeof(*e)), "with %s", irqchip);
	shim.guest = leave;
	entered = 0;
	if (!devices)
		ck_assert_msg((shim.vcpus[0].whole->mp.mp_state == KVM_MP_STATE_RUNNABLE) == w->goes_on, "with %s", irqchip);
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_msg((entered > 0) == (w->goes_on || !devices), "with %s", irqchip);
	ck_assert_msg(!memcmp(e, &w->events, sizeof(*e)), "with %s", irqchip);
	down();
}

START_TEST(what_waits_is_there_once)
{
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (size_t n = 0; n < IRQCHIPS * IRQCHIPS; n++) {
			struct fake_state *s = fake_state_new();

			saves(&all[i], irqchips[n / IRQCHIPS], s);
			goes_on(&all[i], irqchips[n % IRQCHIPS], s);
			fake_state_free(s);
		}
}
END_TEST

/* Versions 3 and 4 had the vector in a field of its own. */
START_TEST(older_states)
{
	for (uint32_t laid = 0; laid < 0x32; laid += 0x31) {
		struct fake_state *s = fake_state_new();

		up("split");
		ck_assert_int_eq(b.state->save(b.vcpu[0], fake_state_out(s), &fake_state_writer, &b.err), 0);
		fake_state_writer.put(fake_state_out(s), "extint", MT_STATE_U32, 0, &laid, 1);
		ck_assert_int_eq(b.state->load(b.vcpu[0], fake_state_in(s), &fake_state_reader, 4, &b.err) == 0, laid == 0);
		ck_assert(!laid == !strstr(fake_state_refused(s), "extint: "));
		fake_state_free(s);
		down();
	}
}
END_TEST

static void nothing(void)
{
}

int main(void)
{
	CHECK_RUN("kvm-across", nothing, nothing, what_waits_is_there_once, older_states);
}
