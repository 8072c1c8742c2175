/* SPDX-License-Identifier: MIT */
/* The state of a vCPU: it goes round, time stands meanwhile, and what a snapshot says is not trusted. */
#include <errno.h>
#include <fake/check-run.h>
#include <string.h>

#include "steps.h"

static void start(void)
{
	shim_start();
	bench_new(1);
}

static void disturb(struct whole *w)
{
	uint8_t *at = (uint8_t *)&w->regs;

	for (size_t i = 0; i < sizeof(w->regs); i++)
		at[i] = (uint8_t)(i * 7 + 1);
	w->sregs.cs.type = 9;
	w->sregs.cr3 = 0x123000;
	w->sregs.efer = 0x501;
	w->sregs.interrupt_bitmap[1] = 8;
	w->events.nmi.pending = 1;
	w->events.exception_payload = 0x1234;
	w->debug.db[2] = 0xdeadbeef;
	w->msr[3].data = 0xffffffff81000000;
	memset(w->xsave, 0x3c, 576);
}

START_TEST(state_goes_round)
{
	struct fake_state *a, *c;
	const char *differs;

	b.count = 2;
	up();
	disturb(shim.vcpus[0].whole);
	a = bench_saved(0);
	shim_another_host();
	ck_assert_msg(bench_loaded(0, a) == 0, "%s %s", fake_state_refused(a), b.err.message);
	ck_assert_ptr_null(fake_state_left(a));
	ck_assert_uint_eq(shim.vcpus[0].whole->sregs.cr3, 0x123000);
	/* the counter of the host has gone on, the guest's has not */
	c = bench_saved(0);
	differs = fake_state_differs(a, c);
	ck_assert_msg(!differs, "%s", differs);
	ck_assert_int_eq(shim_run_and_leave(0), 0);
	ck_assert_uint_eq(shim.vcpus[0].whole->msr[0].data, fake_state_get(a, fake_state_find(a, "msr.value"), 0));
	fake_state_free(a);
	fake_state_free(c);
}
END_TEST

/* A register that points into the guest's memory waits for KVM to have it, and is the vCPU's meanwhile. */
START_TEST(what_is_shared_waits_for_memory)
{
	struct fake_state *a, *c;
	const char *differs;

	up();
	ck_assert_int_eq(shim_run_and_leave(0), 0);
	shim.vcpus[0].whole->msr[4].data = 0x8041;
	a = bench_saved(0);
	shim_another_host();
	ck_assert_msg(bench_loaded(0, a) == 0, "%s", b.err.message);
	ck_assert_uint_eq(shim.vcpus[0].whole->msr[4].data, 0);
	c = bench_saved(0);
	differs = fake_state_differs(a, c);
	ck_assert_msg(!differs, "%s", differs);
	ck_assert_int_eq(shim_run_and_leave(0), 0);
	ck_assert_uint_eq(shim.vcpus[0].whole->msr[4].data, 0x8041);
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_WARM);
	ck_assert_int_eq(shim_run_and_leave(0), 0);
	ck_assert_uint_eq(shim.vcpus[0].whole->msr[4].data, 0);
	/* where the guest has no memory, the run tells */
	fake_state_free(c);
	shim.vcpus[0].whole->msr[4].data = UINT64_C(0x8000000000000041);
	c = bench_saved(0);
	shim.vcpus[0].whole->msr[4].data = 0;
	ck_assert_int_eq(bench_loaded(0, c), 0);
	ck_assert_int_lt(shim_run_and_leave(0), 0);
	ck_assert_ptr_nonnull(strstr(b.exit.message, "shares memory"));
	fake_state_free(a);
	fake_state_free(c);
}
END_TEST

/* One clock for the machine: it stands from the first save on, and goes on with the first vCPU that runs. */
START_TEST(the_clock_stands_while_it_is_saved)
{
	struct fake_state *a, *c;

	b.count = 2;
	shim.clock = 70000;
	up();
	a = bench_saved(0);
	c = bench_saved(1);
	ck_assert_uint_eq(fake_state_get(a, fake_state_find(a, "kvm_clock_ns"), 0), 71000);
	ck_assert_uint_eq(fake_state_get(c, fake_state_find(c, "kvm_clock_ns"), 0), 71000);
	shim.clock = 90000;
	ck_assert_int_eq(shim_run_and_leave(1), 0);
	ck_assert_uint_eq(shim.clock, 71000);
	shim.clock = 95000;
	ck_assert_int_eq(shim_run_and_leave(0), 0);
	ck_assert_uint_eq(shim.clock, 95000);
	/* and in a machine that begins at 0 */
	shim_another_host();
	ck_assert_int_eq(bench_loaded(0, a), 0);
	ck_assert_int_eq(bench_loaded(1, c), 0);
	ck_assert_uint_eq(shim.clock, 0);
	ck_assert_int_eq(shim_run_and_leave(1), 0);
	ck_assert_uint_eq(shim.clock, 71000);
	fake_state_free(a);
	fake_state_free(c);
}
END_TEST

START_TEST(a_clock_that_kvm_does_not_give)
{
	struct fake_state *a;

	shim.missing[0] = KVM_CAP_ADJUST_CLOCK + 1;
	up();
	a = bench_saved(0);
	ck_assert_uint_eq(fake_state_get(a, fake_state_find(a, "kvm_clock_ns"), 0), 0);
	fake_state_free(a);
	shim_another_host();
	a = bench_saved(0);
	shim.fail_request = KVM_SET_CLOCK;
	shim.fail_error = -EINVAL;
	ck_assert_int_lt(shim_run_and_leave(0), 0);
	ck_assert_ptr_nonnull(strstr(b.exit.message, "the clock"));
	fake_state_free(a);
}
END_TEST

START_TEST(a_pause_is_told)
{
	up();
	ck_assert_int_eq(shim_run_and_leave(0), 0);
	ck_assert_int_eq(shim_run_and_leave(0), 0);
	ck_assert_uint_eq(shim.vcpus[0].pauses, 0);
	fake_advance(b.f, 1000);       /* which moves guest time against the host's */
	ck_assert_int_eq(shim_run_and_leave(0), 0);
	ck_assert_int_eq(shim_run_and_leave(0), 0);
	ck_assert_uint_eq(shim.vcpus[0].pauses, 1);
}
END_TEST

/* Whatever field is gone, resized or extreme: refused or taken, and the vCPU lives. */
START_TEST(state_is_not_trusted)
{
	struct fake_state *a;

	b.count = 1;
	up();
	a = bench_saved(0);
	for (uint32_t i = 0; i < fake_state_fields(a); i++) {
		for (int how = 0; how < 3; how++) {
			struct fake_state *s = bench_saved(0);
			int code;

			if (fake_state_type(s, i) == MT_STATE_GROUP && how != 1) {
				fake_state_free(s);
				continue;
			}
			if (how == 0)
				fake_state_set(s, i, 0, UINT64_MAX);
			else if (how == 1)
				fake_state_remove(s, i);
			else
				fake_state_resize(s, i, fake_state_count(s, i) + 1);
			code = bench_loaded(0, s);
			if (how)
				ck_assert_msg(code < 0, "field %u, how %d", i, how);
			ck_assert(code == 0 || fake_state_refused(s)[0] || b.err.message[0]);
			fake_state_free(s);
			ck_assert_int_eq(shim_run_and_leave(0), 0);
		}
	}
	fake_state_free(a);
}
END_TEST

START_TEST(state_of_another_cpu)
{
	struct fake_state *s;

	up();
	s = bench_saved(0);
	fake_state_set(s, fake_state_find(s, "msr.index"), 1, 0x12345);
	ck_assert_int_lt(bench_loaded(0, s), 0);
	ck_assert_ptr_nonnull(strstr(fake_state_refused(s), "lacks"));
	fake_state_free(s);
	s = bench_saved(0);
	shim.fail_request = KVM_SET_XSAVE;
	shim.fail_error = -EINVAL;
	ck_assert_int_lt(bench_loaded(0, s), 0);
	ck_assert_ptr_nonnull(strstr(b.err.message, "FPU state of the snapshot"));
	fake_state_free(s);
}
END_TEST

/* A CPU with more state than the old call has room for, as of AMX: all of it goes round, but not to one with less. */
START_TEST(state_of_a_large_cpu)
{
	struct fake_state *s, *small;

	up();
	small = bench_saved(0);
	bench_down();
	shim.xsave_bytes = 11008;
	bench_new(1);
	up();
	memset(shim.vcpus[0].whole->xsave + 576, 0x77, 11008 - 576);
	s = bench_saved(0);
	ck_assert_uint_eq(fake_state_count(s, fake_state_find(s, "xsave")), 11008);
	memset(shim.vcpus[0].whole->xsave, 0, 11008);
	ck_assert_int_eq(bench_loaded(0, s), 0);
	ck_assert_uint_eq(shim.vcpus[0].whole->xsave[576], 0x77);
	ck_assert_uint_eq(shim.vcpus[0].whole->xsave[11007], 0x77);
	/* a smaller one's: what that had not is at its beginning */
	ck_assert_int_eq(bench_loaded(0, small), 0);
	ck_assert_uint_eq(shim.vcpus[0].whole->xsave[24], 0x80);
	ck_assert_uint_eq(shim.vcpus[0].whole->xsave[11007], 0);
	/* at a reset too */
	shim.vcpus[0].whole->xsave[11007] = 3;
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_WARM);
	ck_assert_uint_eq(shim.vcpus[0].whole->xsave[11007], 0);
	bench_down();
	shim.xsave_bytes = 4096;
	bench_new(1);
	up();
	ck_assert_int_lt(bench_loaded(0, s), 0);
	ck_assert_ptr_nonnull(strstr(fake_state_refused(s), "the CPU of this host cannot have"));
	fake_state_free(s);
	fake_state_free(small);
}
END_TEST

/* Whichever call fails, it is told, and the same machine saves and loads after that. */
START_TEST(every_call_of_a_snapshot_fails)
{
	static const int errors[] = { ENOMEM, EINVAL, EIO, EFAULT };
	uint32_t failed[2] = { 0 };

	up();
	ck_assert_int_eq(shim_run_and_leave(0), 0);
	for (uint32_t i = 0; i < 2 * 4 * 16; i++) {
		bool load = i & 1;
		struct fake_state *s = bench_saved(0), *again = fake_state_new();
		int code;

		ck_assert_int_eq(bench_loaded(0, s), 0);
		ck_assert_int_eq(shim_run_and_leave(0), 0);
		shim.fail_at = shim.calls + 1 + i / 8;
		shim.fail_error = -errors[i / 2 % 4];
		shim.failed = 0;
		b.err.message[0] = 0;
		code = load ? bench_loaded(0, s) :
			      b.state->save(b.vcpu[0], fake_state_out(again), &fake_state_writer, &b.err);
		ck_assert_msg((code < 0) == (shim.failed != 0), "%u: 0x%lx", i, shim.failed);
		ck_assert(code == 0 || b.err.message[0]);
		failed[load] += code < 0;
		shim.fail_at = 0;
		fake_state_free(s);
		fake_state_free(again);
	}
	ck_assert_uint_ge(failed[0], 4 * 9);
	ck_assert_uint_ge(failed[1], 4 * 9);
}
END_TEST

int main(void)
{
	CHECK_RUN("kvm-state", start, stop, state_goes_round, what_is_shared_waits_for_memory,
		  the_clock_stands_while_it_is_saved, a_clock_that_kvm_does_not_give, a_pause_is_told, state_is_not_trusted,
		  state_of_another_cpu, state_of_a_large_cpu,
		  every_call_of_a_snapshot_fails);
}
