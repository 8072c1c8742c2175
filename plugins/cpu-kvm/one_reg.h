/* SPDX-License-Identifier: MIT */
/*
 * KVM's registers by number (KVM_GET_ONE_REG), as hosts that are no PCs have them: one, all of a vCPU as one value for
 * reset and snapshots, and that value as saved state. [main] while the vCPU does not run, or [vcpu] outside of KVM.
 * Results are 0 or -errno, unless it says so.
 */
#ifndef KVM_ONE_REG_H
#define KVM_ONE_REG_H

#include "kvm.h"

#define ONE_REG_BYTES_MAX 256u     /* KVM has none that is longer */
#define ONE_REGS_MAX      4096u

/* Which registers a vCPU has, in the order in which KVM lists them, which is one to write them in. */
struct one_regs {
	uint32_t count;
	uint64_t bytes;                /* of all values, one behind the other */
	uint64_t *id;
};

uint32_t one_reg_bytes(uint64_t id);
/* One of 4 or 8 bytes. */
int one_reg_get(const struct kvm_vcpu *v, uint64_t id, uint64_t *value);
int one_reg_set(const struct kvm_vcpu *v, uint64_t id, uint64_t value);

/* Those that `is_wanted` says, NULL: all. The list is the caller's. */
int one_regs_learn(const struct kvm_vcpu *v, bool (*is_wanted)(uint64_t id), struct one_regs *regs);
void one_regs_forget(struct one_regs *regs);
/* `*failed`: which one */
int one_regs_read(const struct kvm_vcpu *v, const struct one_regs *regs, uint8_t *values, uint64_t *failed);
/* Without those that `is_kept` says, NULL: all. One that cannot be written is fine where it has that value already. */
int one_regs_write(const struct kvm_vcpu *v, const struct one_regs *regs, const uint8_t *values,
		   bool (*is_kept)(uint64_t id), uint64_t *failed);

/* Where a register's value lies, or NULL. */
uint8_t *one_regs_place(const struct one_regs *regs, uint8_t *values, uint64_t id);

/* Fields "reg.number" and "reg.value". Loading keeps in `values` what the state does not have; MT_* result. */
void one_regs_save(const struct one_regs *regs, const uint8_t *values, struct mt_state_out *out,
		   const struct mt_state_writer *w);
int one_regs_load(const struct one_regs *regs, uint8_t *values, struct mt_state_in *in,
		  const struct mt_state_reader *r);

#endif
