/* SPDX-License-Identifier: MIT */
/* arm64 behind arch.h: bringing up the VM and its vCPUs, reset, and what is given to KVM before a run. [main]. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "arm64.h"

const void *arch_role(const char *class_name, const char *id)
{
	return strcmp(class_name, "dev-arm-gicv3") ? NULL : mt_role_find(gic_roles, gic_role_count, id);
}

/* The VM */

static int abilities_check(struct kvm *k, struct mt_error *err)
{
	if (!vm_capability(k, KVM_CAP_ONE_REG) || !vm_capability(k, KVM_CAP_MP_STATE) ||
	    !vm_capability(k, KVM_CAP_VCPU_EVENTS))
		return mt_error_set(err, MT_EHOST, "plugin", "KVM of this host does not give away the state of its vCPUs");
	if (!vm_capability(k, KVM_CAP_ARM_PSCI_0_2) || !vm_capability(k, KVM_CAP_DEVICE_CTRL))
		return mt_error_set(err, MT_EHOST, "plugin", "KVM of this host has no PSCI 0.2 or no devices");
	return 0;
}

static void feature_on(struct arch_vm *a, uint32_t feature)
{
	a->init.features[feature / 32] |= 1u << feature % 32;
}

static bool has_feature(const struct arch_vm *a, uint32_t feature)
{
	return a->init.features[feature / 32] >> feature % 32 & 1;
}

static int cpu_choose(struct kvm *k, struct mt_error *err)
{
	struct arch_vm *a = k->arch;
	int code = vm_ioctl(k, KVM_ARM_PREFERRED_TARGET, &a->init);

	if (code < 0)
		return vm_refuse(err, "plugin", "learn the kind of the CPU", code);
	memset(a->init.features, 0, sizeof(a->init.features));
	feature_on(a, KVM_ARM_VCPU_PSCI_0_2);
	/* both or neither */
	if (vm_capability(k, KVM_CAP_ARM_PTRAUTH_ADDRESS) && vm_capability(k, KVM_CAP_ARM_PTRAUTH_GENERIC)) {
		feature_on(a, KVM_ARM_VCPU_PTRAUTH_ADDRESS);
		feature_on(a, KVM_ARM_VCPU_PTRAUTH_GENERIC);
	}
	if (!k->props->get_u64(k->inst, "sve"))
		return 0;
	if (!vm_capability(k, KVM_CAP_ARM_SVE))
		return mt_error_set(err, MT_EHOST, "sve", "the CPU of this host has no scalable vectors");
	feature_on(a, KVM_ARM_VCPU_SVE);
	return 0;
}

/* Accesses whose registers the CPU does not tell come out, and do not fail the entry with no address. Old: no. */
static void accesses_come_out(struct kvm *k)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ARM_NISV_TO_USER };

	if (vm_capability(k, KVM_CAP_ARM_NISV_TO_USER))
		vm_ioctl(k, KVM_ENABLE_CAP, &cap);
}

/* Guest-physical addresses have 40 bits unless a VM asks for others (Documentation/virt/kvm/api.rst, 4.2). */
#define ADDRESS_BITS 40u

const char *arch_remedy(void)
{
	return "the host's kernel must have been started in EL2 by its firmware, and have KVM";
}

/* A CPU that has fewer does not have the default; more would only make walks of its tables longer. */
unsigned long arch_vm_type(struct kvm *k)
{
	int most = kvm_ops.ioctl(k->sys_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	k->address_bits = most >= 32 && most < (int)ADDRESS_BITS ? (uint32_t)most : ADDRESS_BITS;
	return k->address_bits < ADDRESS_BITS ? KVM_VM_TYPE_ARM_IPA_SIZE(k->address_bits) : 0;
}

int arch_vm_init(struct kvm *k, struct mt_error *err)
{
	int code;

	k->arch = calloc(1, sizeof(*k->arch));
	if (!k->arch)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	k->irqchip = true;
	k->arch->gic_fd = -1;
	pthread_mutex_init(&k->arch->time.lock, NULL);
	code = abilities_check(k, err);
	if (code == 0)
		code = cpu_choose(k, err);
	if (code == 0)
		code = gic_create(k, err);
	if (code == 0)
		accesses_come_out(k);
	return code;
}

void arch_vm_fini(struct kvm *k)
{
	if (!k->arch)
		return;
	gic_close(k);
	pthread_mutex_destroy(&k->arch->time.lock);
	free(k->arch);
	k->arch = NULL;
}

/* vCPUs */

/* Power on, and again at each reset: the first vCPU runs, the others wait to be started by it (PSCI CPU_ON). */
static int vcpu_init(const struct kvm_vcpu *v)
{
	struct kvm_vcpu_init init = v->kvm->arch->init;
	int code;

	if (v->index)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	code = vcpu_ioctl(v, KVM_ARM_VCPU_INIT, &init);
	return code < 0 ? code : 0;
}

static int vectors_settle(const struct kvm_vcpu *v)
{
	int feature = KVM_ARM_VCPU_SVE, code;

	if (!has_feature(v->kvm->arch, KVM_ARM_VCPU_SVE))
		return 0;
	code = vcpu_ioctl(v, KVM_ARM_VCPU_FINALIZE, &feature);
	return code < 0 ? code : 0;
}

/* The GIC can be set up when the last vCPU is there. */
int arch_vcpu_init(struct kvm_vcpu *v, struct mt_error *err)
{
	struct arch_vm *vm = v->kvm->arch;
	int code;

	v->arch = calloc(1, sizeof(*v->arch));
	if (!v->arch || v->index >= sizeof(vm->mpidr) / sizeof(vm->mpidr[0]))
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	code = vcpu_init(v);
	if (code == 0)
		code = vectors_settle(v);
	if (code == 0)
		code = one_reg_get(v, ARM_MPIDR, &vm->mpidr[v->index]);
	if (code < 0)
		return vm_refuse(err, "plugin", "set up a vCPU", code);
	code = one_regs_learn(v, NULL, &v->arch->whole.regs);
	if (code < 0)
		return vm_refuse(err, "plugin", "list the registers of a vCPU", code);
	code = whole_first(v, &v->arch->whole, err);
	if (code < 0)
		return code;
	vm->vcpus = v->index + 1;
	return vm->vcpus == v->kvm->vcpu_count ? gic_start(v->kvm, err) : 0;
}

void arch_vcpu_fini(struct kvm_vcpu *v)
{
	if (v->arch)
		whole_forget(&v->arch->whole);
	free(v->arch);
	v->arch = NULL;
}

/* At a reset the counter goes on. */
static bool is_kept(uint64_t id)
{
	return id == KVM_REG_ARM_TIMER_CNT;
}

void arch_vcpu_reset(struct kvm_vcpu *v, uint32_t kind)
{
	struct arch_vcpu *a = v->arch;
	uint64_t failed;
	int code = vcpu_init(v);

	(void)kind;
	if (code == 0)
		code = one_regs_write(v, &a->whole.regs, a->whole.first, is_kept, &failed);
	a->whole.reset_error = code;
}

int arch_before_run(struct kvm_vcpu *v, const char **what)
{
	*what = "the state at power on";
	if (v->arch->whole.reset_error < 0)
		return v->arch->whole.reset_error;
	*what = "the time";
	return counter_tell(v, &v->kvm->arch->time, KVM_REG_ARM_TIMER_CNT);
}

int arch_enter(struct kvm_vcpu *v, struct mt_exit *exit)
{
	(void)v, (void)exit;
	return SERVED_GO_ON;
}

void arch_left(struct kvm_vcpu *v)
{
	(void)v;
}

/* Nobody asks KVM for one: there are no points, and no steps. */
int arch_debug_exit(struct kvm_vcpu *v)
{
	v->stop = (struct mt_debug_stop){ .size = sizeof(v->stop), .cause = MT_DEBUG_STOP_BREAK };
	one_reg_get(v, ARM_PC, (uint64_t *)&v->stop.pc);
	return 1;
}
