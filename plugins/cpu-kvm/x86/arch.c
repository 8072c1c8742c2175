/* SPDX-License-Identifier: MIT */
/* x86-64 behind arch.h: bringing up the VM and its vCPUs, reset, and what is given to KVM before a run. [main]. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "x86.h"

/* The VM */

/* Of Hyper-V, which no guest is offered here: one of them is a clock, which is no state. */
#define HYPERV_FIRST 0x40000000u
#define HYPERV_LAST  0x400001ffu

static int msrs_learn(struct kvm *k, struct mt_error *err)
{
	struct msr_list *list = &k->arch->msrs;
	int code;

	list->nmsrs = MSRS_MAX;
	code = kvm_ops.ioctl(k->sys_fd, KVM_GET_MSR_INDEX_LIST, (uintptr_t)list);
	if (code < 0 || list->nmsrs > MSRS_MAX)
		return vm_refuse(err, "plugin", "list its model-specific registers", code < 0 ? code : -E2BIG);
	for (uint32_t i = 0; i < list->nmsrs;) {
		if (list->index[i] >= HYPERV_FIRST && list->index[i] <= HYPERV_LAST)
			list->index[i] = list->index[--list->nmsrs];
		else
			i++;
	}
	return 0;
}

#define SYNCED (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS)

static int abilities_learn(struct kvm *k, struct mt_error *err)
{
	struct arch_vm *a = k->arch;
	int xsave = vm_capability(k, KVM_CAP_XSAVE2);

	a->xsave_bytes = xsave > (int)sizeof(struct kvm_xsave) ? (uint32_t)xsave : (uint32_t)sizeof(struct kvm_xsave);
	a->xcrs = vm_capability(k, KVM_CAP_XCRS);
	a->times.has_clock = vm_capability(k, KVM_CAP_ADJUST_CLOCK);
	a->debugregs = vm_capability(k, KVM_CAP_DEBUGREGS);
	a->sync_regs = (vm_capability(k, KVM_CAP_SYNC_REGS) & SYNCED) == SYNCED;
	a->debug_flags = (uint32_t)vm_capability(k, KVM_CAP_SET_GUEST_DEBUG2);
	if (a->xsave_bytes > XSAVE_MAX || !vm_capability(k, KVM_CAP_XSAVE) || !vm_capability(k, KVM_CAP_VCPU_EVENTS))
		return mt_error_set(err, MT_EHOST, "plugin", "KVM of this host does not give away the state of its vCPUs");
	if (k->lapics && !(vm_capability(k, KVM_CAP_IRQCHIP) && vm_capability(k, KVM_CAP_PIT2) &&
			   vm_capability(k, KVM_CAP_IRQ_ROUTING) && vm_capability(k, KVM_CAP_SIGNAL_MSI) &&
			   vm_capability(k, KVM_CAP_MP_STATE)))
		return mt_error_set(err, MT_EHOST, "irqchip", "KVM of this host has no interrupt controllers");
	return 0;
}

unsigned long arch_vm_type(struct kvm *k)
{
	(void)k;
	return 0;
}

int arch_vm_init(struct kvm *k, struct mt_error *err)
{
	int code;

	k->arch = calloc(1, sizeof(*k->arch));
	if (!k->arch)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	split_init(&k->arch->split);
	times_init(&k->arch->times);
	k->arch->reset_on_triple_fault = !strcmp(k->props->get_str(k->inst, "triple-fault"), "reset");
	code = chips_choose(k, err);
	if (code == 0)
		code = abilities_learn(k, err);
	if (code == 0)
		code = msrs_learn(k, err);
	if (code == 0)
		code = irqchip_create(k, err);
	if (code == 0)
		code = cpuid_choose(k, err);
	if (code == 0 && k->irqchip && chips_get(k, &k->arch->first) < 0)
		code = mt_error_set(err, MT_EIO, "irqchip", "KVM does not tell the state of its interrupt controllers");
	return code;
}

void arch_vm_fini(struct kvm *k)
{
	if (!k->arch)
		return;
	split_fini(&k->arch->split);
	times_fini(&k->arch->times);
	free(k->arch->messages);
	free(k->arch);
	k->arch = NULL;
}

/* vCPUs */

static int tsc_set(struct kvm_vcpu *v, struct mt_error *err)
{
	uint64_t khz = v->kvm->props->get_u64(v->kvm->inst, "tsc-khz");
	int now, code;

	if (!khz)
		return 0;
	now = vcpu_ioctl(v, KVM_GET_TSC_KHZ, NULL);
	if (now == (int)khz)
		return 0;
	code = kvm_ops.ioctl(v->fd, KVM_SET_TSC_KHZ, khz);
	if (code >= 0)
		return 0;
	mt_error_set(err, MT_EHOST, "tsc-khz", "the counter of this host's CPU cannot go at %llu kHz",
		     (unsigned long long)khz);
	if (now > 0)
		mt_error_hint(err, "leave tsc-khz out, or set it to the host's %d", now);
	return MT_EHOST;
}

int arch_vcpu_init(struct kvm_vcpu *v, struct mt_error *err)
{
	const char *what = "";
	int code;

	v->arch = calloc(1, sizeof(*v->arch));
	if (v->arch)
		v->arch->first = calloc(1, whole_bytes(v->kvm));
	if (!v->arch || !v->arch->first)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	code = cpuid_set(v, err);
	if (code == 0)
		code = tsc_set(v, err);
	if (code < 0)
		return code;
	code = whole_get(v, v->arch->first, &what);
	v->arch->lapic = v->arch->first->lapic;
	vector_apic_base(v);
	return code < 0 ? mt_error_set(err, MT_EIO, NULL, "KVM does not tell the %s of a vCPU: %s", what,
				       strerror(-code)) : 0;
}

void arch_vcpu_fini(struct kvm_vcpu *v)
{
	if (v->arch)
		free(v->arch->first);
	free(v->arch);
	v->arch = NULL;
}

/* The machine's controllers go with the first vCPU. */
void arch_vcpu_reset(struct kvm_vcpu *v, uint32_t kind)
{
	struct arch_vcpu *a = v->arch;
	const char *what;
	int code = 0;

	(void)kind;
	vector_reset(v);
	if (v->index == 0)
		split_reset(&v->kvm->arch->split);
	if (v->index == 0 && v->kvm->irqchip)
		code = chips_set(v->kvm, &v->kvm->arch->first);
	if (code == 0)
		code = whole_set(v, a->first, &what);
	a->reset_error = code;
	a->known = a->regs_changed = a->sregs_changed = a->tsc_held = false;
}

int changes_tell(struct kvm_vcpu *v, const char **what)
{
	struct arch_vcpu *a = v->arch;
	int code = a->reset_error;

	*what = "the state at power on";
	if (code >= 0 && a->sregs_changed) {
		*what = "special registers";
		code = vcpu_ioctl(v, KVM_SET_SREGS, &a->sregs);
	}
	if (code >= 0 && a->regs_changed) {
		*what = "registers";
		code = vcpu_ioctl(v, KVM_SET_REGS, &a->regs);
		a->halted = false;
	}
	if (a->sregs_changed || a->regs_changed)
		vector_changed(v, a->sregs.cr8);
	if (code >= 0)
		code = vector_events(v, what);
	if (code >= 0 && (a->debug_changed || a->points_told != v->kvm->arch->points_version)) {
		*what = "points and steps";
		code = debug_tell(v, false);
	}
	if (code < 0)
		return code;
	a->known = a->regs_changed = a->sregs_changed = a->debug_changed = false;
	a->points_told = v->kvm->arch->points_version;
	return 0;
}

int arch_before_run(struct kvm_vcpu *v, const char **what)
{
	int code = changes_tell(v, what);

	if (code == 0)
		code = times_go_on(v, what);
	return code < 0 ? code : msrs_go_on(v, what);
}
