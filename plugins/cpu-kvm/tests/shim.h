/* SPDX-License-Identifier: MIT */
/*
 * A KVM of the tests' own behind ops.h: it keeps what it is given, runs no guest, and does what a test says at each
 * entry. Any call may be made to fail. One at a time, reset by shim_start.
 */
#ifndef SHIM_H
#define SHIM_H

#include <fake/fake.h>
#include <fake/state.h>
#include <pthread.h>

#include "x86/x86.h"

#define SHIM_VCPUS 4u
#define SHIM_SLOTS 64u
#define SHIM_RUN_BYTES 12288u

struct shim_vcpu {
	uint32_t index;
	bool open;
	struct kvm_run *run;
	struct whole *whole;           /* what KVM has of it; xsave of 4096 bytes */
	struct kvm_guest_debug debug;
	uint64_t signal_mask;
	struct cpuid cpuid;
	uint32_t entries;              /* KVM_RUN */
	uint32_t interrupts, interrupt, interrupt_entries;     /* given, the last, and after how many entries */
	uint32_t nmis;
	int32_t stash;                 /* split: a vector that LINT0 has not taken; minus 1: none */
};

struct shim {
	/* failing: the call number `fail_at` (from 1), or the next one of `fail_request` */
	uint32_t calls, fail_at;
	unsigned long fail_request;
	int fail_error;                /* -errno */
	unsigned long failed;          /* the request that was made to fail */
	/* what KVM has */
	int open_error, version;
	int max_vcpus;
	unsigned long missing[4];      /* capabilities, plus 1 */
	bool force_avx2;               /* shows the guest more than it was told */
	bool tsc_control;
	uint32_t readonly_msr;         /* writing it fails */
	struct kvm_userspace_memory_region slots[SHIM_SLOTS];
	uint32_t slot_changes;
	uint64_t dirty[SHIM_SLOTS][8]; /* the log of each slot */
	struct shim_vcpu vcpus[SHIM_VCPUS];
	struct chips chips;
	bool irqchip, pit;
	uint32_t split_pins;           /* set aside for ends of levels; 0: none */
	bool split;
	struct kvm_irq_routing_entry routes[256];
	uint32_t route_count, route_changes;
	bool route_before_message;     /* the last message was in the table when it came */
	uint32_t lines[24], msi_count;
	struct kvm_msi msi;
	struct kvm_ioeventfd ioeventfd;        /* the last, and how many there are */
	struct kvm_irqfd irqfd;
	int ioeventfds, irqfds;
	uint32_t open_fds;
	/* [vcpu] an entry into the guest: fills run->exit_reason, or returns -errno. Called unless immediate_exit is set. */
	int (*guest)(struct shim_vcpu *v);
};

extern struct shim shim;

void shim_start(void);
void shim_stop(void);

/* An accelerator on the fake host. */
struct bench {
	struct fake *f;
	const struct mt_cpu_class *cls;
	const struct mt_cpu_regs *regs;
	const struct mt_cpu_debug *debug;
	const struct mt_state_class *state;
	const struct mt_cpu_vector *vector;
	void *self;
	uint32_t count;
	void *vcpu[SHIM_VCPUS];
	struct mt_error err;
	struct mt_exit exit;
};

extern struct bench b;

/* What the guest's accesses reached: the last, and how many. */
struct access {
	uint32_t count, width, is_write;
	uint64_t addr, value, range_gpa;
	uint32_t result;               /* to answer */
	uint64_t answer;
	void (*hook)(void);            /* during an access */
};

extern struct access seen;

void bench_new(uint32_t count);                 /* fake_prop between these two */
int bench_up(void);                             /* create, realize, vCPUs, cold reset; a negative code with b.err */
void bench_down(void);
int bench_run_view(uint32_t vcpu, const struct mt_flat_view *view);
int bench_run(uint32_t vcpu);                   /* with RAM of 1 MiB at 0, ROM at 0xf0000, registers, ports 0x3f8 */
uint64_t reg_get(uint32_t vcpu, const char *name);
void reg_set(uint32_t vcpu, const char *name, uint64_t value);
extern uint8_t bench_ram[];
const struct mt_flat_view *bench_view(void);

#endif
