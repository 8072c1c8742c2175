/* SPDX-License-Identifier: MIT */
/* cpu-kvm's arm64 part against the tests' KVM. Cross-compiled, for qemu-aarch64: tests/cross.sh. */
#include "arm64-kvm.h"
#include "steps.h"

static uint64_t *value_of(uint32_t index, uint64_t id)
{
	ck_assert(shim_reg(&shim.vcpus[index], id));
	return &shim_reg(&shim.vcpus[index], id)->value[0];
}

/* Bringing up */

START_TEST(every_call_fails)
{
	static const int errors[] = { ENOMEM, EIO, EPERM, EINVAL, ENOTTY };
	uint32_t total;

	up();
	ck_assert_int_eq(run_and_leave(0), 0);
	ck_assert_int_eq(run_and_leave(1), 0);
	total = shim.calls;
	ck_assert(total > 500);
	for (uint32_t n = 1; n <= total; n++) {
		stop();
		start();
		shim.fail_at = n;
		shim.fail_error = -errors[n % 5];
		int code = bench_up();
		bool runs = code == 0 && run_and_leave(0) == 0 && run_and_leave(1) == 0;

		ck_assert(code == 0 || b.err.message[0]);
		/* a register that has its value is fine; what comes out otherwise is only a message */
		ck_assert_msg(!runs || shim.failed == KVM_SET_ONE_REG || shim.failed == KVM_ENABLE_CAP,
			      "call %u of %u, 0x%lx", n, total, shim.failed);
	}
}
END_TEST

/* As many as by default, which is what 0 stands for; and a CPU that has fewer. */
START_TEST(memory_beyond_the_addresses)
{
	up();
	ck_assert_uint_eq(shim.vm_type, 0);
	memory_ends_at(40);
	stop();
	start();
	shim.address_bits = 36;
	up();
	ck_assert_uint_eq(shim.vm_type, 36);
	memory_ends_at(36);
}
END_TEST

START_TEST(vcpus_as_they_are_made)
{
	up();
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t features = vm.init[i].features[0];

		ck_assert_uint_eq(vm.init[i].target, KVM_ARM_TARGET_GENERIC_V8);
		ck_assert(features >> KVM_ARM_VCPU_PSCI_0_2 & 1);
		ck_assert(features >> KVM_ARM_VCPU_PTRAUTH_ADDRESS & 1 && features >> KVM_ARM_VCPU_PTRAUTH_GENERIC & 1);
		ck_assert_uint_eq(features >> KVM_ARM_VCPU_POWER_OFF & 1, i);
		ck_assert_uint_eq(features >> KVM_ARM_VCPU_SVE & 1, 0);
		ck_assert_uint_eq(vm.finals[i], 0);
	}
	ck_assert_uint_eq(vm.interrupts, 96);
	ck_assert_uint_eq(vm.distributor, 0x08000000);
	ck_assert_uint_eq(vm.region, 2ull << 52 | 0x0a000000);
}
END_TEST

START_TEST(scalable_vectors)
{
	fake_prop(b.f, "sve", "on");
	up();
	ck_assert(vm.init[1].features[0] >> KVM_ARM_VCPU_SVE & 1);
	ck_assert_uint_eq(vm.finals[0], 1);
	stop();
	start();
	fake_prop(b.f, "sve", "on");
	shim.missing[0] = KVM_CAP_ARM_SVE + 1;
	ck_assert_int_eq(bench_up(), MT_EHOST);
	ck_assert_has(b.err.message, "no scalable vectors");
}
END_TEST

START_TEST(half_of_pointer_authentication)
{
	shim.missing[0] = KVM_CAP_ARM_PTRAUTH_GENERIC + 1;
	up();
	ck_assert_uint_eq(vm.init[0].features[0] >> KVM_ARM_VCPU_PTRAUTH_ADDRESS & 3, 0);
}
END_TEST

START_TEST(hosts_that_lack_something)
{
	static const struct { unsigned long capability; const char *words; } all[] = {
		{ KVM_CAP_VCPU_EVENTS, "state of its vCPUs" }, { KVM_CAP_ARM_PSCI_0_2, "PSCI" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		shim.missing[0] = all[i].capability + 1;
		ck_assert_int_eq(bench_up(), MT_EHOST);
		ck_assert_has(b.err.message, all[i].words);
		stop();
		start();
	}
	shim.fail_request = KVM_CREATE_DEVICE;
	shim.fail_error = -ENODEV;
	ck_assert_int_eq(bench_up(), MT_EHOST);
	ck_assert_has(b.err.hint, "GICv3");
}
END_TEST

/* Registers */

START_TEST(registers_by_name)
{
	static const struct { const char *name; uint64_t id; } all[] = {
		{ "x0", ARM_X(0) }, { "x30", ARM_X(30) }, { "pc", ARM_PC }, { "sp_el0", ARM_SP },
		{ "elr_el1", ARM_CORE(elr_el1) }, { "vbar_el1", ARM64_SYS_REG(3, 0, 12, 0, 0) }, { "far_el1", ARM_FAR_EL1 },
		{ "cntv_cval_el0", KVM_REG_ARM_TIMER_CVAL },
	};
	uint64_t value;

	up();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		reg_set(1, all[i].name, 0x1230 + i);
		ck_assert_uint_eq(reg_get(1, all[i].name), 0x1230 + i);
		ck_assert_uint_eq(*value_of(1, all[i].id), 0x1230 + i);
	}
	ck_assert_uint_eq(reg_get(1, "mpidr_el1"), 0x80000001);
	/* EL1 with its own stack pointer, then EL0's */
	reg_set(0, "sp", 0x111);
	ck_assert_uint_eq(*value_of(0, ARM_SP_EL1), 0x111);
	reg_set(0, "cpsr", 0);
	reg_set(0, "sp", 0x222);
	ck_assert_uint_eq(*value_of(0, ARM_SP), 0x222);
	ck_assert_uint_eq(*value_of(0, ARM_SP_EL1), 0x111);
	/* a register that this CPU's KVM does not list, and none at all */
	ck_assert_int_eq(b.regs->read(b.vcpu[0], 1024 + 5, &value), MT_ENOENT);
	ck_assert_int_eq(b.regs->read(b.vcpu[0], 500, &value), MT_ENOENT);
	ck_assert_int_eq(b.regs->write(b.vcpu[0], 1024 + 3, 7), MT_ENOENT);
}
END_TEST

START_TEST(reset_is_power_on)
{
	up();
	ck_assert_uint_eq(vm.inits[0], 2);
	*value_of(0, ARM_PC) = 0x1234;
	*value_of(0, KVM_REG_ARM_TIMER_CNT) = 77;
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_WARM);
	ck_assert_int_eq(run_and_leave(0), 0);
	ck_assert_uint_eq(*value_of(0, ARM_PC), 0);
	ck_assert_uint_eq(*value_of(0, ARM_PSTATE), 0x3c5);
	/* the counter goes on */
	ck_assert_uint_eq(*value_of(0, KVM_REG_ARM_TIMER_CNT), 77);
	b.cls->vcpu_reset(b.vcpu[1], MT_RESET_WARM);
	ck_assert_uint_eq(shim.vcpus[1].mp, KVM_MP_STATE_STOPPED);
}
END_TEST

START_TEST(reset_that_fails_is_told_by_the_run)
{
	up();
	shim.fail_request = KVM_ARM_VCPU_INIT;
	shim.fail_error = -EIO;
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_WARM);
	ck_assert_int_lt(run_and_leave(0), 0);
	ck_assert_has(b.exit.message, "the state at power on");
}
END_TEST

/* Exits */

static uint32_t reason, event;

static int exits(struct shim_vcpu *v)
{
	v->run->exit_reason = reason;
	if (reason == KVM_EXIT_SYSTEM_EVENT)
		v->run->system_event.type = event;
	if (reason == KVM_EXIT_ARM_NISV) {
		v->run->arm_nisv.fault_ipa = 0x9000;
		v->run->arm_nisv.esr_iss = 0x47;
	}
	return 0;
}

static int bench_exit(uint32_t why)
{
	shim.guest = exits;
	reason = why;
	return bench_run(0);
}

static int access_once(struct shim_vcpu *v)
{
	b.cls->kick(b.vcpu[0]);
	v->run->exit_reason = KVM_EXIT_MMIO;
	v->run->mmio.phys_addr = 0x10000008;
	v->run->mmio.len = 4;
	v->run->mmio.is_write = 1;
	memcpy(v->run->mmio.data, "\1\2\3\4", 4);
	return 0;
}

START_TEST(accesses)
{
	up();
	shim.guest = access_once;
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_KICKED);
	ck_assert(seen.count == 1 && seen.is_write && seen.addr == 0x10000008 && seen.value == 0x04030201);
}
END_TEST

START_TEST(ends_of_the_machine)
{
	static const struct { uint32_t event, request, code; } all[] = {
		{ KVM_SYSTEM_EVENT_SHUTDOWN, MT_REQUEST_POWEROFF, 0 }, { KVM_SYSTEM_EVENT_RESET, MT_REQUEST_RESET, 0 },
		{ KVM_SYSTEM_EVENT_CRASH, MT_REQUEST_PANIC, 1 },
	};
	uint32_t request, code;

	up();
	for (uint32_t i = 0; i < 3; i++) {
		event = all[i].event;
		ck_assert_int_eq(bench_exit(KVM_EXIT_SYSTEM_EVENT), 0);
		ck_assert_uint_eq(b.exit.reason, MT_EXIT_HALT);
		ck_assert_uint_eq(fake_requests(b.f, &request, &code), i + 1);
		ck_assert(request == all[i].request && code == all[i].code);
	}
	event = KVM_SYSTEM_EVENT_SUSPEND;
	ck_assert_int_lt(bench_exit(KVM_EXIT_SYSTEM_EVENT), 0);
	ck_assert_has(b.exit.message, "not known here (5)");
}
END_TEST

START_TEST(errors_say_what_and_where)
{
	static const struct { uint32_t reason; const char *words; } all[] = {
		{ KVM_EXIT_UNKNOWN, "does not know" }, { KVM_EXIT_INTERNAL_ERROR, "internal error" },
		{ KVM_EXIT_FAIL_ENTRY, "refuses to enter" }, { KVM_EXIT_ARM_NISV, "access to 0x9000" },
		{ 4711, "not known here (4711)" },
	};

	up();
	*value_of(0, ARM_PC) = 0x40081234;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		ck_assert_int_lt(bench_exit(all[i].reason), 0);
		ck_assert_uint_eq(b.exit.reason, MT_EXIT_ERROR);
		ck_assert_has(b.exit.message, all[i].words);
		ck_assert_has(b.exit.message, "pc 0x40081234");
	}
	shim.fail_request = KVM_GET_ONE_REG;
	shim.fail_error = -EIO;
	ck_assert_int_lt(bench_exit(KVM_EXIT_UNKNOWN), 0);
	ck_assert_has(b.exit.message, "registers unknown");
	ck_assert_int_eq(bench_exit(KVM_EXIT_DEBUG), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_DEBUG);
}
END_TEST

/* State */

/* All that a vCPU has is another value. */
static void disturb(uint32_t index)
{
	for (uint32_t i = 0; i < shim.vcpus[index].reg_count; i++)
		if (!shim.vcpus[index].regs[i].is_fixed)
			memset(shim.vcpus[index].regs[i].value, (int)i + 1, one_reg_bytes(shim.vcpus[index].regs[i].id));
	vm.events[index].exception.serror_pending = 1;
	vm.events[index].exception.serror_esr = 0x1234;
	shim.vcpus[index].mp = index ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_STOPPED;
}

START_TEST(state_goes_round)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct fake_state *s, *again;

		up();
		disturb(i);
		s = saved(i);
		stop();
		start();
		up();
		ck_assert_int_eq(loaded(i, s), 0);
		ck_assert(!fake_state_left(s));
		again = saved(i);
		ck_assert_msg(!fake_state_differs(s, again), "%s", fake_state_differs(s, again));
		ck_assert_uint_eq(vm.events[i].exception.serror_pending, 1);
		fake_state_free(s);
		fake_state_free(again);
		stop();
		start();
	}
}
END_TEST

START_TEST(time_stands_from_a_load_to_the_run)
{
	struct fake_state *s;

	up();
	*value_of(1, KVM_REG_ARM_TIMER_CNT) = 5000;
	s = saved(1);
	ck_assert_int_eq(loaded(1, s), 0);
	*value_of(1, KVM_REG_ARM_TIMER_CNT) = 6000;
	ck_assert_int_eq(run_and_leave(1), 0);
	ck_assert_uint_eq(*value_of(1, KVM_REG_ARM_TIMER_CNT), 5000);
	*value_of(1, KVM_REG_ARM_TIMER_CNT) = 7000;
	ck_assert_int_eq(run_and_leave(1), 0);
	ck_assert_uint_eq(*value_of(1, KVM_REG_ARM_TIMER_CNT), 7000);
	fake_state_free(s);
}
END_TEST

static void refuses(uint32_t vcpu, const char *field, uint64_t value, const char *why)
{
	struct fake_state *s = saved(vcpu);

	fake_state_set(s, fake_state_find(s, field), 0, value);
	ck_assert_int_lt(loaded(vcpu, s), 0);
	ck_assert_has(fake_state_refused(s), why);
	fake_state_free(s);
}

START_TEST(states_that_are_refused)
{
	struct fake_state *s;

	up();
	refuses(1, "run_state", 2, "neither running nor stopped");
	refuses(1, "serror", 2, "neither 0 nor 1");
	refuses(1, "reg.number", 0x6030000000170000, "lacks");
	/* the host's CPU has another number, for good */
	s = saved(1);
	shim_reg(&shim.vcpus[1], ARM_MPIDR)->value[0] = 0x80000100;
	ck_assert_int_lt(loaded(1, s), 0);
	ck_assert_has(b.err.message, "does not take register");
	fake_state_free(s);
}
END_TEST

START_TEST(a_state_that_cannot_be_had)
{
	static const unsigned long all[] = { KVM_GET_ONE_REG, KVM_GET_MP_STATE, KVM_GET_VCPU_EVENTS };
	struct fake_state *s;

	up();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		s = fake_state_new();
		shim.fail_request = all[i];
		shim.fail_error = -EIO;
		ck_assert_int_lt(b.state->save(b.vcpu[0], fake_state_out(s), &fake_state_writer, &b.err), 0);
		ck_assert_has(b.err.message, "KVM does not tell");
		fake_state_free(s);
	}
}
END_TEST

int main(void)
{
	static const struct plain_test tests[] = {
		TEST(every_call_fails), TEST(memory_beyond_the_addresses), TEST(vcpus_as_they_are_made), TEST(scalable_vectors),
		TEST(half_of_pointer_authentication), TEST(hosts_that_lack_something), TEST(registers_by_name),
		TEST(reset_is_power_on), TEST(reset_that_fails_is_told_by_the_run), TEST(accesses),
		TEST(ends_of_the_machine), TEST(errors_say_what_and_where), TEST(state_goes_round),
		TEST(time_stands_from_a_load_to_the_run), TEST(states_that_are_refused), TEST(a_state_that_cannot_be_had),
	};

	return plain_run(start, stop, tests, sizeof(tests) / sizeof(tests[0]));
}
