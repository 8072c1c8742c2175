/* SPDX-License-Identifier: MIT */
/*
 * What hosts that are no PCs have alike: vCPUs that are registers by number (one_reg.h) and a run state, one counter
 * for all of them, and ends of the machine that KVM itself finds. Each struct arch_vm has a `counter`, each struct
 * arch_vcpu a `whole`. Results are 0 or -errno, unless it says so.
 */
#ifndef KVM_ALIKE_H
#define KVM_ALIKE_H

#include "arch.h"
#include "one_reg.h"

/* All of a vCPU's registers. */
struct whole_vcpu {
	struct one_regs regs;
	uint8_t *first;                /* their values at power on */
	int reset_error;               /* -errno of a reset that failed: told by `run` */
};

/* What was loaded and not run since: what all vCPUs' counter shall be when the first of them runs. */
struct counter {
	pthread_mutex_t lock;          /* of what follows */
	bool held;
	uint64_t time;
};

/* [main] */
int run_state_get(const struct kvm_vcpu *v, uint32_t *state);
int run_state_set(const struct kvm_vcpu *v, uint32_t state);
/* Refuses what is neither running nor stopped. MT_* result. */
int run_state_load(uint32_t *state, struct mt_state_in *in, const struct mt_state_reader *r);

/* [main] With the list learned: reads the values at power on. MT_* with `err`. `whole_forget` follows in any case. */
int whole_first(struct kvm_vcpu *v, struct whole_vcpu *w, struct mt_error *err);
void whole_forget(struct whole_vcpu *w);
/* [main] The counter is register `counter_id`; one that is held goes as it was loaded. MT_* with `err`. */
int whole_save(struct kvm_vcpu *v, struct whole_vcpu *w, struct counter *c, uint64_t counter_id,
	       struct mt_state_out *out, const struct mt_state_writer *writer, struct mt_error *err);
/* [main] From saved state into *values, which the caller frees in any case; thence to KVM. MT_*. */
int whole_load(const struct whole_vcpu *w, uint8_t **values, struct mt_state_in *in, const struct mt_state_reader *r,
	       struct mt_error *err);
int whole_set(struct kvm_vcpu *v, struct whole_vcpu *w, uint8_t *values, struct counter *c, uint64_t counter_id,
	      struct mt_error *err);
/* [vcpu] Before a run. */
int counter_tell(struct kvm_vcpu *v, struct counter *c, uint64_t counter_id);

/* [vcpu] For messages: 0 and *fine false where KVM does not tell it. */
uint64_t one_reg_shown(const struct kvm_vcpu *v, uint64_t id, bool *fine);
/* [vcpu] KVM_EXIT_SYSTEM_EVENT: KVM has stopped all vCPUs, which stand until the machine does it. SERVED_*. */
int serve_system(struct kvm_vcpu *v, bool failed, struct mt_exit *exit);

#endif
