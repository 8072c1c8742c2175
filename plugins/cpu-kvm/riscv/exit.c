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

static uint64_t shown(const struct kvm_vcpu *v, uint64_t id, bool *fine)
{
	uint64_t value = 0;

	if (one_reg_get(v, id, &value) < 0)
		*fine = false;
	return value;
}

void arch_place(struct kvm_vcpu *v, char *text, size_t bytes)
{
	bool fine = true;
	uint64_t pc = shown(v, RV_PC, &fine), ra = shown(v, RV_X(1), &fine), sp = shown(v, RV_X(2), &fine);
	uint64_t mode = shown(v, RV_MODE, &fine), cause = shown(v, RV_SCAUSE, &fine);
	uint64_t value = shown(v, RV_STVAL, &fine), satp = shown(v, RV_SATP, &fine);

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
	char place[160];

	if (run->riscv_csr.csr_num != CSR_SEED) {
		arch_place(v, place, sizeof(place));
		return run_fail(exit, "KVM has no CSR 0x%lx and asks for it: %s", run->riscv_csr.csr_num, place);
	}
	v->unfinished = true;
	run->riscv_csr.ret_value = getrandom(&entropy, sizeof(entropy), GRND_NONBLOCK) == sizeof(entropy) ?
				   SEED_ES16 | entropy : SEED_WAIT;
	return SERVED_GO_ON;
}

/* KVM has stopped all vCPUs: they stand until the machine does what was asked. */
static int serve_system(struct kvm_vcpu *v, struct mt_exit *exit)
{
	const struct kvm_run *run = v->run;
	const struct mt_loop_host *loop = v->kvm->loop;
	bool failed = run->system_event.ndata && run->system_event.data[0] == SRST_FAILURE;

	exit->reason = MT_EXIT_HALT;
	exit->wake_ns = UINT64_MAX;
	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		loop->machine_request(v->kvm->inst, failed ? MT_REQUEST_PANIC : MT_REQUEST_POWEROFF, failed);
		return SERVED_OUT;
	case KVM_SYSTEM_EVENT_RESET:
		loop->machine_request(v->kvm->inst, MT_REQUEST_RESET, 0);
		return SERVED_OUT;
	case KVM_SYSTEM_EVENT_CRASH:
		loop->machine_request(v->kvm->inst, MT_REQUEST_PANIC, 1);
		return SERVED_OUT;
	default:
		return run_fail(exit, "KVM reports an event of the system that is not known here (%u)",
				run->system_event.type);
	}
}

int arch_exit(struct kvm_vcpu *v, struct mt_exit *exit)
{
	char place[160];

	switch (v->run->exit_reason) {
	case KVM_EXIT_RISCV_SBI:
		return serve_sbi(v);
	case KVM_EXIT_RISCV_CSR:
		return serve_csr(v, exit);
	case KVM_EXIT_SYSTEM_EVENT:
		return serve_system(v, exit);
	case KVM_EXIT_UNKNOWN:
		arch_place(v, place, sizeof(place));
		return run_fail(exit, "the CPU left the guest for a reason that KVM does not know (0x%llx): %s",
				(unsigned long long)v->run->hw.hardware_exit_reason, place);
	default:
		arch_place(v, place, sizeof(place));
		return run_fail(exit, "KVM left the guest for a reason that is not known here (%u): %s",
				v->run->exit_reason, place);
	}
}
