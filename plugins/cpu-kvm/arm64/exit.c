/* SPDX-License-Identifier: MIT */
/* What only arm64 guests come out for: the ends of the machine, accesses that name no register; and where they are. */
#include <stdio.h>

#include "arm64.h"

static uint64_t shown(const struct kvm_vcpu *v, uint64_t id, bool *fine)
{
	uint64_t value = 0;

	if (one_reg_get(v, id, &value) < 0)
		*fine = false;
	return value;
}

/* [vcpu], all of it */
void arch_place(struct kvm_vcpu *v, char *text, size_t bytes)
{
	bool fine = true;
	uint64_t pc = shown(v, ARM_PC, &fine), pstate = shown(v, ARM_PSTATE, &fine), sp = shown(v, ARM_SP_EL1, &fine);
	uint64_t lr = shown(v, ARM_X(30), &fine), esr = shown(v, ARM_ESR_EL1, &fine), far = shown(v, ARM_FAR_EL1, &fine);

	if (fine)
		snprintf(text, bytes, "pc 0x%llx pstate 0x%llx sp_el1 0x%llx lr 0x%llx esr_el1 0x%llx far_el1 0x%llx",
			 (unsigned long long)pc, (unsigned long long)pstate, (unsigned long long)sp, (unsigned long long)lr,
			 (unsigned long long)esr, (unsigned long long)far);
	else
		snprintf(text, bytes, "registers unknown");
}

/* PSCI's SYSTEM_OFF, SYSTEM_RESET and the like: KVM has stopped all vCPUs, which stand until that is done. */
static int serve_system(struct kvm_vcpu *v, struct mt_exit *exit)
{
	const struct mt_loop_host *loop = v->kvm->loop;

	exit->reason = MT_EXIT_HALT;
	exit->wake_ns = UINT64_MAX;
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		loop->machine_request(v->kvm->inst, MT_REQUEST_POWEROFF, 0);
		return SERVED_OUT;
	case KVM_SYSTEM_EVENT_RESET:
		loop->machine_request(v->kvm->inst, MT_REQUEST_RESET, 0);
		return SERVED_OUT;
	case KVM_SYSTEM_EVENT_CRASH:
		loop->machine_request(v->kvm->inst, MT_REQUEST_PANIC, 1);
		return SERVED_OUT;
	default:
		return run_fail(exit, "KVM reports an event of the system that is not known here (%u)",
				v->run->system_event.type);
	}
}

int arch_exit(struct kvm_vcpu *v, struct mt_exit *exit)
{
	char place[160];

	if (v->run->exit_reason == KVM_EXIT_SYSTEM_EVENT)
		return serve_system(v, exit);
	arch_place(v, place, sizeof(place));
	switch (v->run->exit_reason) {
	case KVM_EXIT_ARM_NISV:
		return run_fail(exit, "an access to 0x%llx that the CPU does not describe (syndrome 0x%llx): %s",
				(unsigned long long)v->run->arm_nisv.fault_ipa,
				(unsigned long long)v->run->arm_nisv.esr_iss, place);
	case KVM_EXIT_UNKNOWN:
		return run_fail(exit, "the CPU left the guest for a reason that KVM does not know (0x%llx): %s",
				(unsigned long long)v->run->hw.hardware_exit_reason, place);
	default:
		return run_fail(exit, "KVM left the guest for a reason that is not known here (%u): %s",
				v->run->exit_reason, place);
	}
}
