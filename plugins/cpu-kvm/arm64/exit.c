/* SPDX-License-Identifier: MIT */
/* What only arm64 guests come out for: the ends of the machine, accesses that name no register; and where they are. */
#include <stdio.h>

#include "arm64.h"

/* [vcpu], all of it */
void arch_place(struct kvm_vcpu *v, char *text, size_t bytes)
{
	bool fine = true;
	uint64_t pc = one_reg_shown(v, ARM_PC, &fine), pstate = one_reg_shown(v, ARM_PSTATE, &fine);
	uint64_t sp = one_reg_shown(v, ARM_SP_EL1, &fine), lr = one_reg_shown(v, ARM_X(30), &fine);
	uint64_t esr = one_reg_shown(v, ARM_ESR_EL1, &fine), far = one_reg_shown(v, ARM_FAR_EL1, &fine);

	if (fine)
		snprintf(text, bytes, "pc 0x%llx pstate 0x%llx sp_el1 0x%llx lr 0x%llx esr_el1 0x%llx far_el1 0x%llx",
			 (unsigned long long)pc, (unsigned long long)pstate, (unsigned long long)sp, (unsigned long long)lr,
			 (unsigned long long)esr, (unsigned long long)far);
	else
		snprintf(text, bytes, "registers unknown");
}

int arch_exit(struct kvm_vcpu *v, struct mt_exit *exit)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_SYSTEM_EVENT:            /* PSCI's SYSTEM_OFF, SYSTEM_RESET and the like */
		return serve_system(v, false, exit);
	case KVM_EXIT_ARM_NISV:
		return run_fail_at(v, exit, "an access to 0x%llx that the CPU does not describe (syndrome 0x%llx)",
				   (unsigned long long)v->run->arm_nisv.fault_ipa,
				   (unsigned long long)v->run->arm_nisv.esr_iss);
	default:
		return run_fail_unknown(v, exit);
	}
}
