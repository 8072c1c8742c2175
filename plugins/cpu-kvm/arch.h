/* SPDX-License-Identifier: MIT */
/* What each kind of host CPU brings, in a folder with note.h beside it. All [main] unless it says [vcpu]. */
#ifndef KVM_ARCH_H
#define KVM_ARCH_H

#include "kvm.h"

/* Against a host without /dev/kvm: a hint, which is static. [any] */
const char *arch_remedy(void);
/* What KVM_CREATE_VM is given; sys_fd is open. */
unsigned long arch_vm_type(struct kvm *k);
/* Before the first vCPU: interrupt controllers, CPU model. The VM is open. `arch_vm_fini` follows in any case. */
int arch_vm_init(struct kvm *k, struct mt_error *err);
void arch_vm_fini(struct kvm *k);
/* The vCPU is open. `arch_vcpu_fini` follows in any case. */
int arch_vcpu_init(struct kvm_vcpu *v, struct mt_error *err);
void arch_vcpu_fini(struct kvm_vcpu *v);
/* Back to power on. A failure is told by the next `run`. */
void arch_vcpu_reset(struct kvm_vcpu *v, uint32_t kind);
/* [vcpu] Gives KVM what [main] has changed. 0 or -errno, `*what` says of which call. */
int arch_before_run(struct kvm_vcpu *v, const char **what);
/*
 * [vcpu] Before each entry: interrupts and events for the guest, halted vCPUs. SERVED_*; it may set immediate_exit.
 * After each.
 */
int arch_enter(struct kvm_vcpu *v, struct mt_exit *exit);
void arch_left(struct kvm_vcpu *v);
/* [vcpu] Whatever run.c does not know. SERVED_*. */
int arch_exit(struct kvm_vcpu *v, struct mt_exit *exit);
/* [vcpu] KVM_EXIT_DEBUG: 1 with v->stop filled; 0: it was the guest's own, and has been given back; or -errno. */
int arch_debug_exit(struct kvm_vcpu *v);
/* [vcpu] Where the vCPU is, with some registers, for messages. */
void arch_place(struct kvm_vcpu *v, char *text, size_t bytes);

/* [any] As of mt_cpu_eventfd. */
int arch_messages_take(void *self, const struct mt_message *messages, uint32_t count);
void arch_messages_give(void *self, const struct mt_message *messages, uint32_t count);

/* A host's note names those that it has. */
extern const struct mt_cpu_regs arch_regs;
extern const struct mt_cpu_debug arch_debug;
extern const struct mt_state_class arch_state;
extern const struct mt_cpu_vector arch_vector;
extern const struct mt_cpu_pins arch_pins;
extern const struct mt_fdt_node arch_fdt, arch_fdt_system;
/* A role of a class that stands in for a device, or NULL. */
const void *arch_role(const char *class_name, const char *id);

#endif
