/* SPDX-License-Identifier: MIT */
/*
 * irqchip = split: local APICs in KVM, the other controllers outside of it. With another setting all of this does
 * nothing, but for split_send, which sends.
 */
#ifndef KVM_X86_SPLIT_H
#define KVM_X86_SPLIT_H

#include "../kvm.h"

/*
 * KVM's numbers (GSIs) below are level-triggered messages'; those of eventfds are above (MESSAGES_GSI). KVM keeps how
 * many are set aside in 8 bits: with 256 it has none, and no end comes out.
 */
#define SPLIT_PINS 255u

struct split_pin {
	uint32_t address, data;
	bool under_way;                /* sent, and not ended */
	uint64_t sent;                 /* when, by split.messages */
};

struct split {
	pthread_mutex_t lock;
	uint32_t count;                /* of pins that are taken */
	uint64_t messages;
	_Atomic bool loaded;           /* since the last split_settle */
	struct split_pin pin[SPLIT_PINS];
};

static inline bool is_split(const struct kvm *k)
{
	return k->lapics && k->devices;
}

void split_init(struct split *s);
void split_fini(struct split *s);
/* [main] nothing is under way any more */
void split_reset(struct split *s);
/* [main] before the first vCPU */
int split_create(struct kvm *k, struct mt_error *err);
/* [any] As KVM_SIGNAL_MSI: the number of CPUs, or -errno. */
int split_send(struct kvm *k, const struct kvm_msi *msi);
/* [vcpu] KVM_EXIT_IOAPIC_EOI */
void split_ended(struct kvm *k, uint32_t vector);
/* [main] KVM has been given this local APIC. 0 or -errno; `*what` names what failed. */
int split_load(struct kvm_vcpu *v, const struct kvm_lapic_state *apic, const char **what);
/* [vcpu] before each run; does something in the first one after a load */
void split_settle(struct kvm *k);

#endif
