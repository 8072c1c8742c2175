/* SPDX-License-Identifier: MIT */
/*
 * A KVM of the tests' own behind ops.h, for hosts whose vCPUs are registers by number: it keeps what it is given, runs
 * no guest, and does what a test says at each entry. Any call may be made to fail. One at a time, reset by shim_start.
 * What differs between the hosts is the test's: shim_host, and bench_devices.
 */
#ifndef KVM_OTHER_SHIM_H
#define KVM_OTHER_SHIM_H

#include "one_reg.h"
#include "tests/bench.h"

#define SHIM_SLOTS     64u
#define SHIM_RUN_BYTES 12288u
#define SHIM_REGS      512u
#define SHIM_DEVICES   4u

struct shim_reg {
	uint64_t id, value[32];
	bool is_fixed;                 /* it cannot be written, unless with what it has */
};

struct shim_vcpu {
	uint32_t index;
	bool open;
	struct kvm_run *run;
	struct shim_reg regs[SHIM_REGS];
	uint32_t reg_count;
	uint32_t mp;                   /* KVM_MP_STATE_* */
	uint32_t entries;              /* KVM_RUN */
	uint32_t interrupts, interrupt;        /* KVM_INTERRUPT: how many, and the last */
	struct kvm_guest_debug debug;
};

struct shim {
	uint32_t calls, fail_at;       /* the n-th call fails, from 1; 0: none */
	unsigned long fail_request;    /* this one fails, once; 0: none */
	int fail_error;                /* -errno */
	unsigned long failed;          /* the request that was made to fail */
	unsigned long missing[4];      /* capabilities, plus 1 */
	bool no_list;                  /* as Linux before KVM_GET_REG_LIST */
	int max_vcpus;
	int address_bits;              /* that a VM can have */
	unsigned long vm_type;         /* that it was made with */
	struct kvm_userspace_memory_region slots[SHIM_SLOTS];
	struct shim_vcpu vcpus[SHIM_VCPUS];
	uint32_t open_fds;
	/* [vcpu] an entry into the guest: fills run->exit_reason, or returns -errno; not with immediate_exit */
	int (*guest)(struct shim_vcpu *v);
};

/* What a host's KVM has beside. -ENOTTY: not that request. */
struct shim_host {
	void (*first)(struct shim_vcpu *v);            /* registers of a new vCPU */
	int (*system)(unsigned long request, uintptr_t arg);
	int (*vm)(unsigned long request, uintptr_t arg);
	int (*vcpu)(struct shim_vcpu *v, unsigned long request, uintptr_t arg);
	int (*device)(uint32_t device, unsigned long request, uintptr_t arg);
};

extern struct shim shim;
extern const struct shim_host shim_host;       /* the test's */

void shim_start(void);
void shim_stop(void);
void shim_reg_add(struct shim_vcpu *v, uint64_t id, uint64_t value);
struct shim_reg *shim_reg(struct shim_vcpu *v, uint64_t id);   /* NULL: there is none */
/* Makes a descriptor of a device, for `vm`. */
int shim_device_fd(uint32_t device);

#endif
