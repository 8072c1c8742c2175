/* SPDX-License-Identifier: MIT */
/* What only x86 guests come out for: ports, triple faults; and where they are. [vcpu]. */
#include <stdio.h>
#include <string.h>

#include "x86.h"

void arch_place(struct kvm_vcpu *v, char *text, size_t bytes)
{
	struct arch_vcpu *a = v->arch;

	a->known = false;
	if (regs_know(v) < 0)
		snprintf(text, bytes, "registers unknown");
	else
		snprintf(text, bytes, "rip 0x%llx cs 0x%x rsp 0x%llx rax 0x%llx cr0 0x%llx cr3 0x%llx",
			 (unsigned long long)a->regs.rip, a->sregs.cs.selector, (unsigned long long)a->regs.rsp,
			 (unsigned long long)a->regs.rax, (unsigned long long)a->sregs.cr0,
			 (unsigned long long)a->sregs.cr3);
}

/* `in` and `out`, and their string forms, which come many at a time. */
static int serve_port(struct kvm_vcpu *v, struct mt_exit *exit)
{
	const struct kvm_run *run = v->run;
	uint64_t offset = run->io.data_offset, bytes = (uint64_t)run->io.size * run->io.count;
	uint8_t *data = (uint8_t *)v->run + offset;

	if (run->io.size > 4 || offset > v->kvm->run_bytes || bytes > v->kvm->run_bytes - offset)
		return run_fail(exit, "KVM reports port data beyond its page: %llu bytes at %llu",
				(unsigned long long)bytes, (unsigned long long)offset);
	v->unfinished = true;
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			access_write(v, v->ports, run->io.port, data, run->io.size);
		else
			access_read(v, v->ports, run->io.port, data, run->io.size);
	}
	return SERVED_GO_ON;
}

static int serve_shutdown(struct kvm_vcpu *v, struct mt_exit *exit)
{
	char place[160];

	arch_place(v, place, sizeof(place));
	if (!v->kvm->arch->reset_on_triple_fault)
		return run_fail(exit, "triple fault: %s", place);
	kvm_log(v->kvm, MT_LOG_INFO, "vcpu%u: triple fault, the machine is reset: %s", v->index, place);
	v->kvm->loop->machine_request(v->kvm->inst, MT_REQUEST_RESET, 0);
	exit->reason = MT_EXIT_HALT;   /* until the reset */
	exit->wake_ns = UINT64_MAX;
	return SERVED_OUT;
}

/* What ends it is looked for before the next entry (vector.c), and nothing does without any controller. */
static int serve_halt(struct kvm_vcpu *v, struct mt_exit *exit)
{
	v->arch->halted = !v->kvm->lapics;
	exit->reason = MT_EXIT_HALT;
	exit->wake_ns = UINT64_MAX;
	return v->arch->halted ? SERVED_GO_ON : SERVED_OUT;
}

int arch_exit(struct kvm_vcpu *v, struct mt_exit *exit)
{
	char place[160];

	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		return serve_port(v, exit);
	case KVM_EXIT_HLT:
		return serve_halt(v, exit);
	case KVM_EXIT_SET_TPR:
		return SERVED_GO_ON;
	case KVM_EXIT_IOAPIC_EOI:
		split_ended(v->kvm, v->run->eoi.vector);
		return SERVED_GO_ON;
	case KVM_EXIT_X86_WRMSR:
		return vector_msr(v);
	case KVM_EXIT_SHUTDOWN:
		return serve_shutdown(v, exit);
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
