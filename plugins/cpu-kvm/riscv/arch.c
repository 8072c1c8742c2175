/* SPDX-License-Identifier: MIT */
/* riscv64 behind arch.h: bringing up the VM and its vCPUs, reset, and what is given to KVM before a run. [main]. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "riscv.h"

/* Interrupt controllers are devices. */
const void *arch_role(const char *class_name, const char *id)
{
	(void)class_name, (void)id;
	return NULL;
}

/* The VM */

const char *arch_remedy(void)
{
	return "the CPU must have the hypervisor extension; load the module (modprobe kvm)";
}

unsigned long arch_vm_type(struct kvm *k)
{
	(void)k;
	return 0;
}

int arch_vm_init(struct kvm *k, struct mt_error *err)
{
	k->arch = calloc(1, sizeof(*k->arch));
	if (!k->arch)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	k->address_bits = (uint32_t)vm_capability(k, KVM_CAP_VM_GPA_BITS);
	pthread_mutex_init(&k->arch->time.lock, NULL);
	if (vm_capability(k, KVM_CAP_ONE_REG) && vm_capability(k, KVM_CAP_MP_STATE))
		return 0;
	return mt_error_set(err, MT_EHOST, "plugin", "KVM of this host does not give away the state of its vCPUs");
}

void arch_vm_fini(struct kvm *k)
{
	if (k->arch)
		pthread_mutex_destroy(&k->arch->time.lock);
	free(k->arch);
	k->arch = NULL;
}

/* vCPUs */

/* Registers of F are half of those of D, by other numbers. */
static bool is_wanted(uint64_t id)
{
	return RV_TYPE(id) != TYPE_F;
}

/* At a reset the counter goes on, and the CPU stays what it is. */
static bool is_kept(uint64_t id)
{
	uint32_t type = RV_TYPE(id);

	return type == TYPE_CONFIG || type == TYPE_ISA || type == TYPE_SBI || id == RV_TIME || id == RV_FREQUENCY;
}

static int refuse_list(struct mt_error *err, int error)
{
	if (error != -ENOTTY && error != -EINVAL)
		return vm_refuse(err, "plugin", "list the registers of a vCPU", error);
	mt_error_set(err, MT_EHOST, "plugin", "KVM of this host does not list the registers of its vCPUs");
	mt_error_hint(err, "use Linux 6.6 or later");
	return MT_EHOST;
}

int arch_vcpu_init(struct kvm_vcpu *v, struct mt_error *err)
{
	struct arch_vcpu *a = v->arch = calloc(1, sizeof(*v->arch));
	int code;

	if (!a)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	pthread_mutex_init(&a->lock, NULL);
	code = isa_learn(v, err);
	if (code < 0)
		return code;
	code = one_regs_learn(v, is_wanted, &a->whole.regs);
	return code < 0 ? refuse_list(err, code) : whole_first(v, &a->whole, err);
}

void arch_vcpu_fini(struct kvm_vcpu *v)
{
	if (v->arch) {
		pthread_mutex_destroy(&v->arch->lock);
		whole_forget(&v->arch->whole);
	}
	free(v->arch);
	v->arch = NULL;
}

/* The first hart runs, the others wait to be started by it (SBI HSM). */
void arch_vcpu_reset(struct kvm_vcpu *v, uint32_t kind)
{
	struct arch_vcpu *a = v->arch;
	uint64_t failed;
	int code = run_state_set(v, KVM_MP_STATE_STOPPED);

	(void)kind;
	if (code == 0)
		code = one_regs_write(v, &a->whole.regs, a->whole.first, is_kept, &failed);
	if (code == 0 && v->index == 0)
		code = run_state_set(v, KVM_MP_STATE_RUNNABLE);
	a->whole.reset_error = code;
	a->pin_stale = true;
}

int arch_before_run(struct kvm_vcpu *v, const char **what)
{
	struct arch_vcpu *a = v->arch;
	int code = a->whole.reset_error;

	*what = "the state at power on";
	if (code == 0 && a->pin_stale) {
		*what = "an interrupt";
		code = pin_tell(v);
	}
	if (code == 0) {
		*what = "the time";
		code = counter_tell(v, &v->kvm->arch->time, RV_TIME);
	}
	return code;
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
	one_reg_get(v, RV_PC, &v->stop.pc);
	return 1;
}
