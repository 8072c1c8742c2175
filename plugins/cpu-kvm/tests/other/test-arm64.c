/* SPDX-License-Identifier: MIT */
/* cpu-kvm's arm64 part against the tests' KVM. Cross-compiled, for qemu-aarch64: tests/cross.sh. */
#include <errno.h>

#include "../../arm64/arm64.h"
#include "steps.h"

#define GIC_REGS 4096u

/* The GIC of the tests: registers by group and number, with what makes the real one hard to write. */
static struct {
	bool made, started;
	uint32_t interrupts;
	uint64_t distributor, region;
	struct { uint32_t group; uint64_t number, value; } regs[GIC_REGS];
	uint32_t count;
	uint32_t line, level;          /* the last KVM_IRQ_LINE */
	struct kvm_vcpu_init init[SHIM_VCPUS];
	uint32_t inits[SHIM_VCPUS], finals[SHIM_VCPUS];
	struct kvm_vcpu_events events[SHIM_VCPUS];
} vm;

static uint64_t *gic_reg(uint32_t group, uint64_t number)
{
	uint32_t i = 0;

	while (i < vm.count && (vm.regs[i].group != group || vm.regs[i].number != number))
		i++;
	ck_assert(i < GIC_REGS);
	if (i == vm.count) {
		vm.regs[i].group = group;
		vm.regs[i].number = number;
		vm.regs[i].value = group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS ? 0x700 : 0;
		vm.count++;
	}
	return &vm.regs[i].value;
}

static bool is_bits(uint64_t number, uint32_t base)
{
	uint32_t offset = (uint32_t)number & 0xffff;

	return offset >= base && offset < base + 0x80;
}

static int gic_move(uint32_t group, uint64_t number, void *at, bool set)
{
	uint64_t value = 0, *reg;
	uint32_t bytes = group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS ? 8 : 4;
	bool has_bits = group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS || group == KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;

	memcpy(&value, at, bytes);
	if (has_bits && (is_bits(number, 0x180) || is_bits(number, 0x380))) {
		*gic_reg(group, number - 0x80) &= ~value;
		return set ? 0 : -ENXIO;
	}
	reg = gic_reg(group, number);
	if (set && has_bits && (is_bits(number, 0x100) || is_bits(number, 0x300)))
		*reg |= value;
	else if (set)
		*reg = value;
	memcpy(at, reg, bytes);
	return 0;
}

static int device_call(uint32_t device, unsigned long request, uintptr_t arg)
{
	const struct kvm_device_attr *a = (void *)arg;
	void *at = (void *)(uintptr_t)a->addr;

	(void)device;
	if (request != KVM_SET_DEVICE_ATTR && request != KVM_GET_DEVICE_ATTR)
		return -ENOTTY;
	switch (a->group) {
	case KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
		vm.interrupts = *(uint32_t *)at;
		return vm.started ? -EBUSY : 0;
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		*(a->attr == KVM_VGIC_V3_ADDR_TYPE_DIST ? &vm.distributor : &vm.region) = *(uint64_t *)at;
		return 0;
	case KVM_DEV_ARM_VGIC_GRP_CTRL:
		vm.started = true;
		return vm.interrupts && vm.distributor && vm.region ? 0 : -ENXIO;
	default:
		return vm.started ? gic_move(a->group, a->attr, at, request == KVM_SET_DEVICE_ATTR) : -EBUSY;
	}
}

static int vm_call(unsigned long request, uintptr_t arg)
{
	struct kvm_create_device *device = (void *)arg;

	switch (request) {
	case KVM_ARM_PREFERRED_TARGET:
		((struct kvm_vcpu_init *)arg)->target = KVM_ARM_TARGET_GENERIC_V8;
		return 0;
	case KVM_CREATE_DEVICE:
		if (device->type != KVM_DEV_TYPE_ARM_VGIC_V3)
			return -ENODEV;
		vm.made = true;
		device->fd = (uint32_t)shim_device_fd(0);
		return 0;
	case KVM_IRQ_LINE:
		vm.line = ((struct kvm_irq_level *)arg)->irq;
		vm.level = ((struct kvm_irq_level *)arg)->level;
		return 0;
	case KVM_ENABLE_CAP:
		return ((struct kvm_enable_cap *)arg)->cap == KVM_CAP_ARM_NISV_TO_USER ? 0 : -EINVAL;
	default:
		return -ENOTTY;
	}
}

static int vcpu_call(struct shim_vcpu *v, unsigned long request, uintptr_t arg)
{
	switch (request) {
	case KVM_ARM_VCPU_INIT:
		vm.init[v->index] = *(struct kvm_vcpu_init *)arg;
		vm.inits[v->index]++;
		v->mp = vm.init[v->index].features[0] >> KVM_ARM_VCPU_POWER_OFF & 1 ? KVM_MP_STATE_STOPPED :
										       KVM_MP_STATE_RUNNABLE;
		return 0;
	case KVM_ARM_VCPU_FINALIZE:
		vm.finals[v->index]++;
		return *(int *)arg == KVM_ARM_VCPU_SVE ? 0 : -EINVAL;
	case KVM_GET_VCPU_EVENTS:
		*(struct kvm_vcpu_events *)arg = vm.events[v->index];
		return 0;
	case KVM_SET_VCPU_EVENTS:
		vm.events[v->index] = *(struct kvm_vcpu_events *)arg;
		return 0;
	default:
		return -ENOTTY;
	}
}

static void first(struct shim_vcpu *v)
{
	for (uint32_t i = 0; i < 31; i++)
		shim_reg_add(v, ARM_X(i), 0);
	shim_reg_add(v, ARM_SP, 0);
	shim_reg_add(v, ARM_PC, 0);
	shim_reg_add(v, ARM_PSTATE, 0x3c5);
	shim_reg_add(v, ARM_SP_EL1, 0);
	shim_reg_add(v, ARM_CORE(elr_el1), 0);
	shim_reg_add(v, ARM_CORE(spsr[KVM_SPSR_EL1]), 0);
	for (uint32_t i = 0; i < 32; i++)
		shim_reg_add(v, KVM_REG_ARM64 | KVM_REG_SIZE_U128 | KVM_REG_ARM_CORE |
			     (KVM_REG_ARM_CORE_REG(fp_regs.vregs[0]) + i * 4), 0);
	shim_reg_add(v, ARM_MPIDR, 0x80000000 | v->index);
	shim_reg(v, ARM_MPIDR)->is_fixed = true;
	shim_reg_add(v, ARM64_SYS_REG(3, 0, 1, 0, 0), 0xc50838);
	shim_reg_add(v, ARM_ESR_EL1, 0);
	shim_reg_add(v, ARM_FAR_EL1, 0);
	shim_reg_add(v, ARM64_SYS_REG(3, 0, 12, 0, 0), 0);
	shim_reg_add(v, KVM_REG_ARM_TIMER_CTL, 0);
	shim_reg_add(v, KVM_REG_ARM_TIMER_CVAL, 0);
	shim_reg_add(v, KVM_REG_ARM_TIMER_CNT, 1000);
	shim_reg_add(v, KVM_REG_ARM_PSCI_VERSION, 0x10001);
}

const struct shim_host shim_host = { .first = first, .vm = vm_call, .vcpu = vcpu_call, .device = device_call };

static void start(void)
{
	shim_start();
	memset(&vm, 0, sizeof(vm));
	bench_new(2);
	fake_prop(b.f, "spis", "64");
}

static void stop(void)
{
	bench_down();
	ck_assert_uint_eq(shim.open_fds, 0);
	shim_stop();
}

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

/* Addresses of the architecture (IHI 0069, chapter 12): the first and the last of each kind. */
START_TEST(registers_of_the_gic)
{
	static const struct { uint32_t group; uint64_t number; } all[] = {
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x84 }, { KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x88 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x108 }, { KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x208 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x308 }, { KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x420 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x45c }, { KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0xc08 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0xc14 }, { KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x6100 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x62fc },
		{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x14 }, { KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 1ull << 32 | 0x10080 },
		{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 1ull << 32 | 0x10100 },
		{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 1ull << 32 | 0x1041c },
		{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 1ull << 32 | 0x10c04 },
		{ KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, 0 }, { KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, 1ull << 32 },
		{ KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, 32 }, { KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, 64 },
		{ KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, 0xc230 }, { KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, 1ull << 32 | 0xc667 },
	};
	uint32_t count;

	up();
	count = vm.count;
	for (uint32_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		gic_reg(all[i].group, all[i].number);
		ck_assert_msg(vm.count == count, "group %u, 0x%llx was not read", all[i].group,
			      (unsigned long long)all[i].number);
	}
	/* ctlr; 2 blocks of 14 with 64 routes and levels; 2 vCPUs with their block of 13, waker, levels and interface */
	ck_assert_uint_eq(count, 1 + 2 * (14 + 64 + 1) + 2 * (13 + 1 + 1 + 9));
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
	stop();
	start();
	fake_prop(b.f, "spis", "33");
	ck_assert_int_eq(bench_up(), MT_ERANGE);
	ck_assert_has(b.err.message, "multiple of 32");
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
	uint32_t group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;

	up();
	ck_assert_uint_eq(vm.inits[0], 2);
	*value_of(0, ARM_PC) = 0x1234;
	*value_of(0, KVM_REG_ARM_TIMER_CNT) = 77;
	*gic_reg(group, 0) = 7;
	*gic_reg(group, 0x104) = 0xff;         /* enabled */
	*gic_reg(group, 0x204) = 0xff;         /* pending */
	*gic_reg(group, 0x304) = 0xff;         /* active */
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_WARM);
	ck_assert_int_eq(run_and_leave(0), 0);
	ck_assert_uint_eq(*value_of(0, ARM_PC), 0);
	ck_assert_uint_eq(*value_of(0, ARM_PSTATE), 0x3c5);
	ck_assert_uint_eq(*gic_reg(group, 0), 0);
	ck_assert_uint_eq(*gic_reg(group, 0x104), 0);
	ck_assert_uint_eq(*gic_reg(group, 0x204), 0);
	ck_assert_uint_eq(*gic_reg(group, 0x304), 0);
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

/* Wires */

START_TEST(lines)
{
	const struct mt_irq_sink *sink = fake_role(b.f, MT_IFACE_IRQ_SINK);
	uint32_t cells[4];

	up();
	ck_assert_uint_eq(sink->input_count(b.self), 64);
	sink->input_set(b.self, 4, 1);
	ck_assert_uint_eq(vm.line, 1u << 24 | 36);
	ck_assert_uint_eq(vm.level, 1);
	sink->input_set(b.self, 4, 0);
	ck_assert_uint_eq(vm.level, 0);
	ck_assert_uint_eq(sink->fdt_cells(b.self, 4, cells), 3);
	ck_assert(cells[0] == 0 && cells[1] == 4 && cells[2] == 4);
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

/* All that a vCPU and the GIC have is another value. */
static void disturb(uint32_t index)
{
	for (uint32_t i = 0; i < shim.vcpus[index].reg_count; i++)
		if (!shim.vcpus[index].regs[i].is_fixed)
			memset(shim.vcpus[index].regs[i].value, (int)i + 1, one_reg_bytes(shim.vcpus[index].regs[i].id));
	for (uint32_t i = 0; i < vm.count; i++)
		vm.regs[i].value = i * 3 + 1;
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
		/* what was set before must go */
		for (uint32_t r = 0; r < vm.count; r++)
			vm.regs[r].value = UINT32_MAX;
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
	s = saved(0);
	fake_state_resize(s, fake_state_find(s, "gic"), 7);
	ck_assert_int_lt(loaded(0, s), 0);
	fake_state_free(s);
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
	static const unsigned long all[] = { KVM_GET_ONE_REG, KVM_GET_MP_STATE, KVM_GET_VCPU_EVENTS, KVM_GET_DEVICE_ATTR };

	up();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct fake_state *s = fake_state_new();

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
		TEST(every_call_fails), TEST(vcpus_as_they_are_made), TEST(registers_of_the_gic), TEST(scalable_vectors),
		TEST(half_of_pointer_authentication), TEST(hosts_that_lack_something), TEST(registers_by_name),
		TEST(reset_is_power_on), TEST(reset_that_fails_is_told_by_the_run), TEST(lines), TEST(accesses),
		TEST(ends_of_the_machine), TEST(errors_say_what_and_where), TEST(state_goes_round),
		TEST(time_stands_from_a_load_to_the_run), TEST(states_that_are_refused), TEST(a_state_that_cannot_be_had),
	};

	return plain_run(start, stop, tests, sizeof(tests) / sizeof(tests[0]));
}
