/* SPDX-License-Identifier: MIT */
/* What only RISC-V guests come out for: SBI calls, CSRs, the ends of the machine; and where they are. [vcpu]. */
#include <stdio.h>
#include <sys/random.h>

#include "riscv.h"

/* SBI specification, "Binary Encoding" and "System Reset Extension" */
#define SBI_NOT_SUPPORTED  ((unsigned long)-2)
#define SRST_FAILURE       1u

/* Entropy source (unprivileged specification, "The seed CSR") */
#define CSR_SEED   0x015u
#define SEED_WAIT  (1ul << 30)
#define SEED_ES16  (2ul << 30)

void arch_place(struct kvm_vcpu *v, char *text, size_t bytes)
{
	bool fine = true;
	uint64_t pc = one_reg_shown(v, RV_PC, &fine), ra = one_reg_shown(v, RV_X(1), &fine);
	uint64_t sp = one_reg_shown(v, RV_X(2), &fine);
	uint64_t mode = one_reg_shown(v, RV_MODE, &fine), cause = one_reg_shown(v, RV_SCAUSE, &fine);
	uint64_t value = one_reg_shown(v, RV_STVAL, &fine), satp = one_reg_shown(v, RV_SATP, &fine);

	if (fine)
		snprintf(text, bytes, "pc 0x%llx (%c) ra 0x%llx sp 0x%llx scause 0x%llx stval 0x%llx satp 0x%llx",
			 (unsigned long long)pc, mode ? 'S' : 'U', (unsigned long long)ra, (unsigned long long)sp,
			 (unsigned long long)cause, (unsigned long long)value, (unsigned long long)satp);
	else
		snprintf(text, bytes, "registers unknown");
}

/* What KVM itself does not serve: nothing that a machine here has. */
static int serve_sbi(struct kvm_vcpu *v)
{
	struct kvm_run *run = v->run;

	v->unfinished = true;
	kvm_log(v->kvm, MT_LOG_GUEST, "vcpu%u: SBI extension 0x%lx function %lu is not there", v->index,
		run->riscv_sbi.extension_id, run->riscv_sbi.function_id);
	run->riscv_sbi.ret[0] = SBI_NOT_SUPPORTED;
	run->riscv_sbi.ret[1] = 0;
	return SERVED_GO_ON;
}

static int serve_csr(struct kvm_vcpu *v, struct mt_exit *exit)
{
	struct kvm_run *run = v->run;
	uint16_t entropy;

	if (run->riscv_csr.csr_num != CSR_SEED)
		return run_fail_at(v, exit, "KVM has no CSR 0x%lx and asks for it", run->riscv_csr.csr_num);
	v->unfinished = true;
	run->riscv_csr.ret_value = getrandom(&entropy, sizeof(entropy), GRND_NONBLOCK) == sizeof(entropy) ?
				   SEED_ES16 | entropy : SEED_WAIT;
	return SERVED_GO_ON;
}

int arch_exit(struct kvm_vcpu *v, struct mt_exit *exit)
{
	const struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_RISCV_SBI:
		return serve_sbi(v);
	case KVM_EXIT_RISCV_CSR:
		return serve_csr(v, exit);
	case KVM_EXIT_SYSTEM_EVENT:
		return serve_system(v, run->system_event.ndata && run->system_event.data[0] == SRST_FAILURE, exit);
	default:
		return run_fail_unknown(v, exit);
	}
}
