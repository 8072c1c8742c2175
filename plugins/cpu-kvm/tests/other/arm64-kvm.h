/* SPDX-License-Identifier: MIT */
/* What the tests' KVM has beside on arm64: vCPUs with their registers, and a GIC. Of one program's only file. */
#ifndef KVM_OTHER_ARM64_KVM_H
#define KVM_OTHER_ARM64_KVM_H

#include <errno.h>

#include "../../arm64/arm64.h"
#include "plain.h"
#include "shim.h"

#define GIC_REGS 4096u

/* The GIC of the tests: registers by group and number, with what makes the real one hard to write. */
static struct {
	bool made, started;
	uint32_t interrupts;
	uint64_t distributor, region;
	struct { uint32_t group; uint64_t number, value; } regs[GIC_REGS];
	uint32_t count;
	uint32_t line, level;          /* the last KVM_IRQ_LINE */
	struct kvm_irqfd irqfd;        /* the last */
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
	case KVM_IRQFD:
		vm.irqfd = *(struct kvm_irqfd *)arg;
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

/* The machine's "dev-arm-gicv3"; NULL: it names none. */
static struct fake *gic;

static int devices_create(void)
{
	if (!gic)
		return 0;
	fake_accelerator(gic, b.self);
	return fake_create(gic, &b.err);
}

static int devices_realize(void)
{
	return gic ? fake_realize(gic, &b.err) : 0;
}

static void devices_end(void)
{
	fake_free(gic);
	gic = NULL;
}

const struct bench_devices bench_devices = { devices_create, devices_realize, devices_end };

static void start(void)
{
	shim_start();
	memset(&vm, 0, sizeof(vm));
	bench_new(2);
	gic = fake_new("dev-arm-gicv3");
	fake_prop(gic, "spis", "64");
}

static void stop(void)
{
	bench_down();
	ck_assert_uint_eq(shim.open_fds, 0);
	shim_stop();
}

#endif
