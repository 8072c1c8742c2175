/* SPDX-License-Identifier: MIT */
/* What only x86 guests come out for: ports, triple faults; and where they are. [vcpu]. */
#include <stdio.h>
#include <string.h>

#include "x86.h"

#define CODE_BYTES 15u             /* the longest instruction */

/* Of the instruction that KVM could not emulate, when it tells. */
static uint32_t bytes_told(const struct kvm_run *run, uint8_t *code)
{
	uint32_t count = run->emulation_failure.insn_size;

	if (run->exit_reason != KVM_EXIT_INTERNAL_ERROR || run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
	    run->emulation_failure.ndata < 3 ||
	    !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return 0;
	count = count < CODE_BYTES ? count : CODE_BYTES;
	memcpy(code, run->emulation_failure.insn_bytes, count);
	return count;
}

/* What stands at rip, up to the end of its page. */
static uint32_t bytes_there(struct kvm_vcpu *v, uint8_t *code)
{
	struct kvm_translation t = { .linear_address = v->arch->sregs.cs.base + v->arch->regs.rip };
	uint64_t page = 4096 - (t.linear_address & 4095), there = 0;
	const uint8_t *memory = NULL;
	uint32_t count;

	if (vcpu_ioctl(v, KVM_TRANSLATE, &t) >= 0 && t.valid)
		memory = access_memory(v, t.physical_address, &there);
	there = there < page ? there : page;
	count = there < CODE_BYTES ? (uint32_t)there : CODE_BYTES;
	if (memory)
		memcpy(code, memory, count);
	return memory ? count : 0;
}

static void put_bytes(struct kvm_vcpu *v, char *text, size_t bytes)
{
	uint8_t code[CODE_BYTES];
	uint32_t count = bytes_told(v->run, code);
	size_t at = (size_t)snprintf(text, bytes, ", bytes");

	count = count ? count : bytes_there(v, code);
	for (uint32_t i = 0; i < count && at < bytes; i++)
		at += (size_t)snprintf(text + at, bytes - at, " %02x", code[i]);
	if (!count && at < bytes)
		snprintf(text + at, bytes - at, " unknown");
}

/* The registers that a message has no room for. */
static void log_registers(const struct kvm_vcpu *v)
{
	const struct kvm_regs *r = &v->arch->regs;
	const struct kvm_sregs *s = &v->arch->sregs;

	kvm_log(v->kvm, MT_LOG_INFO, "vcpu%u: rax 0x%llx rbx 0x%llx rcx 0x%llx rdx 0x%llx rsi 0x%llx rdi 0x%llx rbp 0x%llx "
		"rsp 0x%llx", v->index, r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp, r->rsp);
	kvm_log(v->kvm, MT_LOG_INFO, "vcpu%u: r8 0x%llx r9 0x%llx r10 0x%llx r11 0x%llx r12 0x%llx r13 0x%llx r14 0x%llx "
		"r15 0x%llx", v->index, r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15);
	kvm_log(v->kvm, MT_LOG_INFO, "vcpu%u: rip 0x%llx rflags 0x%llx cr0 0x%llx cr2 0x%llx cr3 0x%llx cr4 0x%llx efer "
		"0x%llx", v->index, r->rip, r->rflags, s->cr0, s->cr2, s->cr3, s->cr4, s->efer);
	kvm_log(v->kvm, MT_LOG_INFO, "vcpu%u: cs 0x%x base 0x%llx ss 0x%x ds 0x%x es 0x%x tr 0x%x gdt 0x%llx idt 0x%llx",
		v->index, s->cs.selector, s->cs.base, s->ss.selector, s->ds.selector, s->es.selector, s->tr.selector,
		s->gdt.base, s->idt.base);
}

void arch_place(struct kvm_vcpu *v, char *text, size_t bytes)
{
	struct arch_vcpu *a = v->arch;
	size_t used;

	a->known = false;
	if (regs_know(v) < 0) {
		snprintf(text, bytes, "registers unknown");
		return;
	}
	snprintf(text, bytes, "rip 0x%llx cs 0x%x rsp 0x%llx rax 0x%llx cr0 0x%llx cr3 0x%llx", a->regs.rip,
		 a->sregs.cs.selector, a->regs.rsp, a->regs.rax, a->sregs.cr0, a->sregs.cr3);
	used = strlen(text);
	put_bytes(v, text + used, bytes - used);
	log_registers(v);
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
	char place[192];

	if (!v->kvm->arch->reset_on_triple_fault)
		return run_fail_at(v, exit, "triple fault");
	arch_place(v, place, sizeof(place));
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
	default:
		return run_fail_unknown(v, exit);
	}
}
