/* SPDX-License-Identifier: MIT */
/* cpu-kvm's riscv64 part against the tests' KVM. Cross-compiled, for qemu-riscv64: tests/cross.sh. */
#include <errno.h>

#include "../../riscv/riscv.h"
#include "steps.h"
#include "tree.h"

#define ISA_V 15u

static void first(struct shim_vcpu *v)
{
	static const uint32_t isa[] = { 0, 1, 2, 3, 4, 5, 6, 11, 12, 14, 20, 63 };     /* a c d f h i m zicbom ... */

	shim_reg_add(v, RV_CBOM_BYTES, 64);
	shim_reg_add(v, RV_CBOZ_BYTES, 32);
	shim_reg_add(v, RV_SATP_MODE, 9);
	for (uint32_t i = 0; i < 32; i++)
		shim_reg_add(v, RV_U64(TYPE_CORE, i), 0);
	shim_reg_add(v, RV_MODE, 1);
	for (uint32_t i = 0; i < 11; i++)
		shim_reg_add(v, RV_CSR(i), 0);
	shim_reg_add(v, RV_FREQUENCY, 10000000);
	shim_reg(v, RV_FREQUENCY)->is_fixed = true;
	shim_reg_add(v, RV_TIME, 1000);
	shim_reg_add(v, RV_COMPARE, UINT64_MAX);
	shim_reg_add(v, RV_U64(TYPE_TIMER, 3), 0);
	for (uint32_t i = 0; i < 32; i++)
		shim_reg_add(v, RV_U32(TYPE_F, i), 0);
	for (uint32_t i = 0; i < 32; i++)
		shim_reg_add(v, RV_D(i), 0);
	shim_reg_add(v, RV_FCSR, 0);
	for (uint32_t i = 0; i < sizeof(isa) / sizeof(isa[0]); i++)
		shim_reg_add(v, RV_ISA(isa[i]), 1);
	shim_reg_add(v, RV_ISA(ISA_V), 0);
	/* a vector register: 64 bytes */
	shim_reg_add(v, UINT64_C(0x8060000009000000), 0);
	shim_reg_add(v, RV_U64(TYPE_SBI, 0), 1);
	shim_reg(v, RV_U64(TYPE_SBI, 0))->is_fixed = true;
}

const struct bench_devices bench_devices = { NULL, NULL, NULL };
const struct shim_host shim_host = { .first = first };

static void start(void)
{
	shim_start();
	bench_new(2);
}

static void stop(void)
{
	bench_down();
	ck_assert_uint_eq(shim.open_fds, 0);
	shim_stop();
}

static struct shim_vcpu *hart(uint32_t index)
{
	return &shim.vcpus[index];
}

static uint64_t shim_value(uint32_t index, uint64_t id)
{
	ck_assert(shim_reg(hart(index), id));
	return shim_reg(hart(index), id)->value[0];
}

static void shim_value_set(uint32_t index, uint64_t id, uint64_t value)
{
	ck_assert(shim_reg(hart(index), id));
	shim_reg(hart(index), id)->value[0] = value;
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
		/* what the guest is told of its CPU may fail, and is then not told; a register that has its value is fine */
		ck_assert_msg(!runs || shim.failed == KVM_GET_ONE_REG || shim.failed == KVM_SET_ONE_REG || !shim.failed,
			      "call %u of %u, 0x%lx", n, total, shim.failed);
	}
}
END_TEST

START_TEST(memory_beyond_the_addresses)
{
	up();
	memory_ends_at(41);
}
END_TEST

START_TEST(kernel_that_lists_no_registers)
{
	shim.no_list = true;
	ck_assert_int_eq(bench_up(), MT_EHOST);
	ck_assert_has(b.err.hint, "6.6");
}
END_TEST

START_TEST(capabilities_that_are_missing)
{
	shim.missing[0] = KVM_CAP_MP_STATE + 1;
	ck_assert_int_eq(bench_up(), MT_EHOST);
	ck_assert_has(b.err.message, "state of its vCPUs");
}
END_TEST

START_TEST(counter_of_another_rate)
{
	fake_timebase(b.f, 24000000);
	ck_assert_int_eq(bench_up(), MT_EHOST);
	ck_assert_has(b.err.message, "10000000 Hz");
	ck_assert_has(b.err.hint, "timebase = 10000000");
}
END_TEST

START_TEST(too_many_harts)
{
	shim.max_vcpus = 1;
	ck_assert_int_eq(bench_up(), MT_EHOST);
	ck_assert_has(b.err.hint, "count = 1");
}
END_TEST

/* Registers */

START_TEST(registers_by_name)
{
	static const struct { const char *name; uint64_t id; } all[] = {
		{ "pc", RV_PC }, { "ra", RV_X(1) }, { "a0", RV_X(10) }, { "t6", RV_X(31) }, { "ft0", RV_D(0) },
		{ "ft11", RV_D(31) }, { "fcsr", RV_FCSR }, { "sstatus", RV_CSR(0) }, { "sie", RV_CSR(1) },
		{ "stvec", RV_CSR(2) }, { "sscratch", RV_CSR(3) }, { "sepc", RV_CSR(4) }, { "scause", RV_CSR(5) },
		{ "stval", RV_CSR(6) }, { "sip", RV_CSR(7) }, { "satp", RV_CSR(8) }, { "scounteren", RV_CSR(9) },
		{ "senvcfg", RV_CSR(10) }, { "stimecmp", RV_COMPARE },
	};
	uint64_t value;

	up();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		reg_set(1, all[i].name, 0x1230 + i * 2);
		ck_assert_uint_eq(reg_get(1, all[i].name), 0x1230 + i * 2);
		ck_assert_uint_eq(shim_value(1, all[i].id), 0x1230 + i * 2);
		ck_assert(shim_value(0, all[i].id) != 0x1230 + i * 2);
	}
	ck_assert_uint_eq(reg_get(0, "priv"), 1);
	ck_assert_uint_eq(reg_get(0, "time"), 1000);
	ck_assert_uint_eq(reg_get(0, "zero"), 0);
	ck_assert_int_eq(b.regs->write(b.vcpu[0], 0, 1), MT_EPERM);
	ck_assert_int_eq(b.regs->write(b.vcpu[0], 65 + 0xc01, 1), MT_EPERM);
	ck_assert_int_eq(b.regs->write(b.vcpu[0], 4161, 3), MT_ENOENT);
	ck_assert_int_eq(b.regs->read(b.vcpu[0], 65 + 0x300, &value), MT_ENOENT);
	reg_set(0, "pc", 0x80000001);
	ck_assert_uint_eq(shim_value(0, RV_PC), 0x80000000);
}
END_TEST

START_TEST(names_are_there_once)
{
	struct mt_reg_desc d = { .size = sizeof(d) }, other = { .size = sizeof(other) };
	uint32_t count;

	up();
	count = b.regs->count(b.self);
	for (uint32_t i = 0; i < count; i++) {
		ck_assert_int_eq(b.regs->describe(b.self, i, &d), 0);
		for (uint32_t j = 0; j < i; j++) {
			ck_assert_int_eq(b.regs->describe(b.self, j, &other), 0);
			ck_assert(strcmp(d.name, other.name) && d.number != other.number);
		}
	}
	ck_assert_int_eq(b.regs->describe(b.self, count, &d), MT_ENOENT);
}
END_TEST

START_TEST(reset_is_power_on)
{
	up();
	ck_assert_int_eq(hart(0)->mp, KVM_MP_STATE_RUNNABLE);
	ck_assert_int_eq(hart(1)->mp, KVM_MP_STATE_STOPPED);
	for (uint32_t i = 0; i < hart(1)->reg_count; i++)
		if (!hart(1)->regs[i].is_fixed && RV_TYPE(hart(1)->regs[i].id) != TYPE_ISA)
			hart(1)->regs[i].value[0] = 0x77;
	hart(1)->mp = KVM_MP_STATE_RUNNABLE;
	b.cls->vcpu_reset(b.vcpu[1], MT_RESET_WARM);
	ck_assert_int_eq(run_and_leave(1), 0);
	ck_assert_int_eq(hart(1)->mp, KVM_MP_STATE_STOPPED);
	ck_assert_uint_eq(shim_value(1, RV_PC), 0);
	ck_assert_uint_eq(shim_value(1, RV_MODE), 1);
	ck_assert_uint_eq(shim_value(1, RV_COMPARE), UINT64_MAX);
	ck_assert_uint_eq(shim_value(1, RV_D(3)), 0);
	ck_assert_uint_eq(shim_value(1, UINT64_C(0x8060000009000000)), 0);
	/* the counter goes on; halves of D are not written behind its back */
	ck_assert_uint_eq(shim_value(1, RV_TIME), 0x77);
	ck_assert_uint_eq(shim_value(1, RV_U32(TYPE_F, 3)), 0x77);
}
END_TEST

START_TEST(reset_that_fails_is_told_by_the_run)
{
	up();
	shim.fail_request = KVM_SET_MP_STATE;
	shim.fail_error = -EIO;
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_WARM);
	ck_assert_int_lt(run_and_leave(0), 0);
	ck_assert_has(b.exit.message, "the state at power on");
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_WARM);
	ck_assert_int_eq(run_and_leave(0), 0);
}
END_TEST

/* Pins */

static const struct mt_cpu_pins *pins(void)
{
	return fake_role(b.f, MT_IFACE_CPU_PINS);
}

START_TEST(the_pin)
{
	int32_t pin;

	up();
	pin = pins()->find(b.self, "seip");
	ck_assert(pin >= 0);
	ck_assert_int_eq(pins()->find(b.self, "meip"), MT_ENOENT);
	ck_assert_int_eq(pins()->find(b.self, "mtip"), MT_ENOENT);
	pins()->set(b.vcpu[1], (uint32_t)pin, 1);
	ck_assert_uint_eq(hart(1)->interrupt, KVM_INTERRUPT_SET);
	ck_assert_uint_eq(hart(0)->interrupts, 0);
	pins()->set(b.vcpu[1], (uint32_t)pin, 0);
	ck_assert_uint_eq(hart(1)->interrupt, KVM_INTERRUPT_UNSET);
	pins()->set(b.vcpu[1], 77, 1);
	ck_assert_uint_eq(hart(1)->interrupts, 2);
}
END_TEST

START_TEST(the_pin_after_a_reset)
{
	up();
	pins()->set(b.vcpu[0], 9, 1);
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_WARM);
	ck_assert_uint_eq(hart(0)->interrupts, 1);
	ck_assert_int_eq(run_and_leave(0), 0);
	ck_assert_uint_eq(hart(0)->interrupts, 2);
	ck_assert_uint_eq(hart(0)->interrupt, KVM_INTERRUPT_SET);
	ck_assert_int_eq(run_and_leave(0), 0);
	ck_assert_uint_eq(hart(0)->interrupts, 2);
	pins()->set(b.vcpu[0], 9, 0);
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_WARM);
	ck_assert_int_eq(run_and_leave(0), 0);
	ck_assert_uint_eq(hart(0)->interrupts, 4);
	ck_assert_uint_eq(hart(0)->interrupt, KVM_INTERRUPT_UNSET);
}
END_TEST

START_TEST(a_pin_that_kvm_did_not_take)
{
	up();
	ck_assert_int_eq(run_and_leave(0), 0);
	shim.fail_request = KVM_INTERRUPT;
	shim.fail_error = -ENOMEM;
	pins()->set(b.vcpu[0], 9, 1);
	ck_assert_int_eq(run_and_leave(0), 0);
	ck_assert_uint_eq(hart(0)->interrupt, KVM_INTERRUPT_SET);
}
END_TEST

/* Exits */

static uint32_t reason;
static void (*fill)(struct kvm_run *run);

static int exits(struct shim_vcpu *v)
{
	v->run->exit_reason = reason;
	if (fill)
		fill(v->run);
	return 0;
}

static int bench_exit(uint32_t why, void (*with)(struct kvm_run *run))
{
	shim.guest = exits;
	reason = why;
	fill = with;
	return bench_run(0);
}

/* Once, then a kick. */
static int once(struct shim_vcpu *v)
{
	b.cls->kick(b.vcpu[0]);
	return exits(v);
}

static void bench_exit_once(uint32_t why, void (*with)(struct kvm_run *run))
{
	shim.guest = once;
	reason = why;
	fill = with;
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_KICKED);
}

static void mmio(struct kvm_run *run)
{
	run->mmio.phys_addr = 0x10000004;
	run->mmio.len = 4;
	run->mmio.is_write = 0;
}

START_TEST(accesses)
{
	up();
	seen.answer = 0x11223344;
	bench_exit_once(KVM_EXIT_MMIO, mmio);
	ck_assert_uint_eq(seen.count, 1);
	ck_assert_uint_eq(seen.addr, 0x10000004);
	ck_assert_uint_eq(hart(0)->run->mmio.data[0], 0x44);
	/* entered once more, so that KVM has finished the load */
	ck_assert_uint_eq(hart(0)->entries, 2);
}
END_TEST

static void sbi(struct kvm_run *run)
{
	run->riscv_sbi.extension_id = 1;
	run->riscv_sbi.ret[0] = 7;
	run->riscv_sbi.ret[1] = 7;
}

START_TEST(sbi_calls_that_kvm_does_not_serve)
{
	up();
	bench_exit_once(KVM_EXIT_RISCV_SBI, sbi);
	ck_assert_int_eq((long)hart(0)->run->riscv_sbi.ret[0], -2);
	ck_assert_uint_eq(hart(0)->run->riscv_sbi.ret[1], 0);
}
END_TEST

static void seed(struct kvm_run *run)
{
	run->riscv_csr.csr_num = 0x15;
	run->riscv_csr.ret_value = 0;
}

static void csr(struct kvm_run *run)
{
	run->riscv_csr.csr_num = 0x345;
}

START_TEST(entropy)
{
	uint32_t differ = 0;
	unsigned long last = 0;

	up();
	for (int i = 0; i < 8; i++) {
		bench_exit_once(KVM_EXIT_RISCV_CSR, seed);
		ck_assert_uint_eq(hart(0)->run->riscv_csr.ret_value >> 16, 0x8000);
		differ += hart(0)->run->riscv_csr.ret_value != last;
		last = hart(0)->run->riscv_csr.ret_value;
	}
	ck_assert(differ > 4);
}
END_TEST

static uint32_t event;
static uint64_t event_reason;

static void system_event(struct kvm_run *run)
{
	run->system_event.type = event;
	run->system_event.ndata = 1;
	run->system_event.data[0] = event_reason;
}

START_TEST(ends_of_the_machine)
{
	static const struct { uint32_t event; uint64_t reason; uint32_t request, code; } all[] = {
		{ KVM_SYSTEM_EVENT_SHUTDOWN, 0, MT_REQUEST_POWEROFF, 0 },
		{ KVM_SYSTEM_EVENT_SHUTDOWN, 1, MT_REQUEST_PANIC, 1 },
		{ KVM_SYSTEM_EVENT_RESET, 0, MT_REQUEST_RESET, 0 },
		{ KVM_SYSTEM_EVENT_CRASH, 0, MT_REQUEST_PANIC, 1 },
	};
	uint32_t request, code;

	up();
	for (uint32_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		event = all[i].event;
		event_reason = all[i].reason;
		ck_assert_int_eq(bench_exit(KVM_EXIT_SYSTEM_EVENT, system_event), 0);
		ck_assert_uint_eq(b.exit.reason, MT_EXIT_HALT);
		ck_assert_uint_eq(fake_requests(b.f, &request, &code), i + 1);
		ck_assert_uint_eq(request, all[i].request);
		ck_assert_uint_eq(code, all[i].code);
	}
	event = 99;
	ck_assert_int_lt(bench_exit(KVM_EXIT_SYSTEM_EVENT, system_event), 0);
	ck_assert_has(b.exit.message, "not known here (99)");
}
END_TEST

START_TEST(errors_say_what_and_where)
{
	static const struct { uint32_t reason; void (*fill)(struct kvm_run *run); const char *words; } all[] = {
		{ KVM_EXIT_UNKNOWN, NULL, "does not know" }, { KVM_EXIT_INTERNAL_ERROR, NULL, "internal error" },
		{ KVM_EXIT_FAIL_ENTRY, NULL, "refuses to enter" }, { KVM_EXIT_RISCV_CSR, csr, "CSR 0x345" },
		{ KVM_EXIT_HLT, NULL, "not known here (5)" }, { 4711, NULL, "not known here (4711)" },
	};

	up();
	shim_value_set(0, RV_PC, 0x80201234);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		ck_assert_int_lt(bench_exit(all[i].reason, all[i].fill), 0);
		ck_assert_uint_eq(b.exit.reason, MT_EXIT_ERROR);
		ck_assert_has(b.exit.message, all[i].words);
		ck_assert_has(b.exit.message, "pc 0x80201234 (S)");
	}
	shim.fail_request = KVM_GET_ONE_REG;
	shim.fail_error = -EIO;
	ck_assert_int_lt(bench_exit(KVM_EXIT_UNKNOWN, NULL), 0);
	ck_assert_has(b.exit.message, "registers unknown");
}
END_TEST

START_TEST(a_breakpoint_of_the_host)
{
	up();
	shim_value_set(0, RV_PC, 0x4444);
	ck_assert_int_eq(bench_exit(KVM_EXIT_DEBUG, NULL), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_DEBUG);
}
END_TEST

/* State */

START_TEST(state_goes_round)
{
	struct fake_state *s, *again;

	up();
	for (uint32_t i = 0; i < hart(1)->reg_count; i++)
		if (!hart(1)->regs[i].is_fixed && RV_TYPE(hart(1)->regs[i].id) != TYPE_ISA)
			memset(hart(1)->regs[i].value, (int)i + 1, one_reg_bytes(hart(1)->regs[i].id));
	hart(1)->mp = KVM_MP_STATE_RUNNABLE;
	pins()->set(b.vcpu[1], 9, 1);
	s = saved(1);
	stop();
	start();
	up();
	ck_assert_int_eq(loaded(1, s), 0);
	ck_assert(!fake_state_left(s));
	again = saved(1);
	ck_assert_msg(!fake_state_differs(s, again), "%s", fake_state_differs(s, again));
	ck_assert_uint_eq(hart(1)->mp, KVM_MP_STATE_RUNNABLE);
	ck_assert_int_eq(run_and_leave(1), 0);
	ck_assert_uint_eq(hart(1)->interrupt, KVM_INTERRUPT_SET);
	fake_state_free(s);
	fake_state_free(again);
}
END_TEST

START_TEST(time_stands_from_a_load_to_the_run)
{
	struct fake_state *s;

	up();
	shim_value_set(0, RV_TIME, 5000);
	s = saved(0);
	ck_assert_int_eq(loaded(0, s), 0);
	shim_value_set(0, RV_TIME, 6000);
	ck_assert_int_eq(run_and_leave(0), 0);
	ck_assert_uint_eq(shim_value(0, RV_TIME), 5000);
	/* once, and for all */
	shim_value_set(0, RV_TIME, 7000);
	ck_assert_int_eq(run_and_leave(0), 0);
	ck_assert_int_eq(run_and_leave(1), 0);
	ck_assert_uint_eq(shim_value(0, RV_TIME), 7000);
	ck_assert_uint_eq(shim_value(1, RV_TIME), 1000);
	fake_state_free(s);
}
END_TEST

static void refuses(const char *field, uint32_t index, uint64_t value, const char *why)
{
	struct fake_state *s = saved(0);

	fake_state_set(s, fake_state_find(s, field), index, value);
	ck_assert_int_lt(loaded(0, s), 0);
	ck_assert_has(fake_state_refused(s), why);
	fake_state_free(s);
}

START_TEST(states_that_are_refused)
{
	struct fake_state *s;

	up();
	refuses("run_state", 0, 2, "neither running nor stopped");
	refuses("seip", 0, 2, "neither 0 nor 1");
	refuses("reg.number", 3, RV_U64(0x33, 3), "lacks");
	refuses("reg.number", 3, UINT64_C(0x80f0000002000000), "not as long");
	s = saved(0);
	fake_state_resize(s, fake_state_find(s, "reg.value"), 8);
	ck_assert_int_lt(loaded(0, s), 0);
	ck_assert_has(fake_state_refused(s), "not as long");
	fake_state_free(s);
	s = saved(0);
	fake_state_resize(s, fake_state_find(s, "reg.number"), 5000);
	ck_assert_int_lt(loaded(0, s), 0);
	ck_assert_has(fake_state_refused(s), "longer than any");
	fake_state_free(s);
	/* the host's CPU has another value, for good */
	s = saved(0);
	hart(0)->regs[2].value[0] = 8;
	hart(0)->regs[2].is_fixed = true;
	ck_assert_int_lt(loaded(0, s), 0);
	ck_assert_has(b.err.message, "does not take register 0x8030000001000006");
	fake_state_free(s);
	/* it lives on */
	hart(0)->regs[2].is_fixed = false;
	s = saved(0);
	ck_assert_int_eq(loaded(0, s), 0);
	ck_assert_int_eq(run_and_leave(0), 0);
	fake_state_free(s);
}
END_TEST

START_TEST(a_state_that_cannot_be_had)
{
	struct fake_state *s = fake_state_new();

	up();
	shim.fail_request = KVM_GET_ONE_REG;
	shim.fail_error = -EIO;
	ck_assert_int_lt(b.state->save(b.vcpu[0], fake_state_out(s), &fake_state_writer, &b.err), 0);
	ck_assert_has(b.err.message, "does not tell register");
	fake_state_free(s);
	s = fake_state_new();
	shim.fail_request = KVM_GET_MP_STATE;
	ck_assert_int_lt(b.state->save(b.vcpu[0], fake_state_out(s), &fake_state_writer, &b.err), 0);
	ck_assert_has(b.err.message, "whether a vCPU runs");
	fake_state_free(s);
}
END_TEST

/* The device tree */

START_TEST(device_tree)
{
	const struct mt_fdt_node *node = fake_role(b.f, MT_IFACE_FDT_NODE);

	up();
	tree[0] = 0;
	ck_assert_int_eq(node->describe(b.self, NULL, &tree_writer, &b.err), 0);
	ck_assert(!strncmp(tree, "timebase-frequency=10000000\nnode=cpu@0\n", 39));
	ck_assert_has(tree, "riscv,isa=rv64imafdc_zicbom_zicboz_zicsr\n");
	ck_assert_has(tree, "riscv,isa-extensions=zicboz\n");
	ck_assert_has(tree, "mmu-type=riscv,sv48\n");
	ck_assert_has(tree, "riscv,cbom-block-size=64\n");
	ck_assert_has(tree, "riscv,cboz-block-size=32\n");
	ck_assert_has(tree, "node=cpu@1\nphandle=101\n");
	/* no hypervisor, no vectors, and message-signalled interrupts only with KVM's own controller */
	ck_assert(!strstr(tree, "isa-extensions=h\n") && !strstr(tree, "isa-extensions=v\n") && !strstr(tree, "ssaia"));
	ck_assert_uint_eq(shim_value(1, RV_ISA(14)), 0);
}
END_TEST

START_TEST(no_device_tree_before_there_is_a_cpu)
{
	const struct mt_fdt_node *node = fake_role(b.f, MT_IFACE_FDT_NODE);

	shim.max_vcpus = 1;
	ck_assert_int_lt(bench_up(), 0);
	ck_assert_int_eq(node->describe(b.self, NULL, &tree_writer, &b.err), MT_ENOTSUP);
}
END_TEST

int main(void)
{
	static const struct plain_test tests[] = {
		TEST(every_call_fails), TEST(memory_beyond_the_addresses), TEST(kernel_that_lists_no_registers),
		TEST(capabilities_that_are_missing),
		TEST(counter_of_another_rate), TEST(too_many_harts), TEST(registers_by_name), TEST(names_are_there_once),
		TEST(reset_is_power_on), TEST(reset_that_fails_is_told_by_the_run), TEST(the_pin), TEST(the_pin_after_a_reset),
		TEST(a_pin_that_kvm_did_not_take), TEST(accesses), TEST(sbi_calls_that_kvm_does_not_serve), TEST(entropy),
		TEST(ends_of_the_machine), TEST(errors_say_what_and_where), TEST(a_breakpoint_of_the_host),
		TEST(state_goes_round), TEST(time_stands_from_a_load_to_the_run), TEST(states_that_are_refused),
		TEST(a_state_that_cannot_be_had), TEST(device_tree), TEST(no_device_tree_before_there_is_a_cpu),
	};

	return plain_run(start, stop, tests, sizeof(tests) / sizeof(tests[0]));
}
