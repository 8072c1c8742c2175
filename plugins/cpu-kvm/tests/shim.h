/* SPDX-License-Identifier: MIT */
/*
 * A KVM of the tests' own behind ops.h: it keeps what it is given, runs no guest, and does what a test says at each
 * entry. Any call may be made to fail. One at a time, reset by shim_start.
 */
#ifndef SHIM_H
#define SHIM_H

#include <pthread.h>

#include "bench.h"
#include "x86/chips.h"

#define SHIM_SLOTS 64u
#define SHIM_RUN_BYTES 12288u
#define ROUTES 2048u

struct shim_vcpu {
	uint32_t index;
	bool open;
	struct kvm_run *run;
	struct whole *whole;           /* what KVM has of it; xsave of shim.xsave_bytes */
	struct kvm_guest_debug debug;
	bool has_mask;                 /* of signals, for its entries */
	uint32_t pauses;               /* that KVM was told of */
	struct cpuid cpuid;
	uint32_t entries;              /* KVM_RUN */
	uint32_t interrupts, interrupt, interrupt_entries;     /* given, the last, and after how many entries */
	uint32_t nmis;
	uint32_t timer;                /* vector of a local APIC's timer whose time has come, until it is run; 0: none */
	uint32_t event_flags;          /* of the last KVM_SET_VCPU_EVENTS */
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
	uint32_t xsave_bytes;          /* 4096 */
	uint32_t address_bits, mapped_bits;    /* of guest-physical addresses; 0: 40, and as many */
	uint32_t readonly_msr;         /* writing it fails */
	struct kvm_userspace_memory_region slots[SHIM_SLOTS];
	uint32_t slot_changes;
	uint64_t dirty[SHIM_SLOTS][8]; /* the log of each slot */
	struct shim_vcpu vcpus[SHIM_VCPUS];
	struct chips chips;
	bool irqchip, pit;
	uint32_t split_pins;           /* set aside for ends of levels; 0: none */
	bool split;
	bool msr_filter;               /* IA32_APIC_BASE comes out when the guest writes it, and nothing else */
	struct kvm_irq_routing_entry routes[ROUTES];
	uint32_t route_count, route_changes;
	bool route_before_message;     /* the last message was in the table when it came */
	uint32_t lines[64], msi_count;
	struct kvm_msi msi;
	struct kvm_ioeventfd ioeventfd;        /* the last, and how many there are */
	struct kvm_irqfd irqfd;
	int ioeventfds, irqfds;
	uint64_t clock;                /* goes on whenever it is read */
	struct kvm_coalesced_mmio_zone zone;   /* the last, and how many there are */
	int zones;
	uint32_t open_fds;
	/* [vcpu] an entry into the guest: fills run->exit_reason, or returns -errno. Called unless immediate_exit is set. */
	int (*guest)(struct shim_vcpu *v);
};

extern struct shim shim;

void shim_start(void);
void shim_stop(void);

extern int32_t bench_vector;    /* that the 8259A behind KVM's local APICs gives next; MT_VECTOR_NONE: none */
/* The devices of a PC that the setting has KVM serve: lapic, ioapic, pic, pit. pc.c. */
extern struct fake *bench_chips[CHIPS];
struct fake *bench_chip(uint32_t which);        /* before bench_up: makes it, for its properties */
void bench_without(uint32_t which);             /* before bench_up: leaves it out */
void *chip_self(uint32_t which);
struct fake_state *chip_saved(uint32_t which);  /* NULL with b.err */
int chip_loaded(uint32_t which, struct fake_state *s);

/* [vcpu] As KVM_RUN of a guest that does nothing: until a signal comes. -EINTR. */
int shim_wait(struct shim_vcpu *v);
/* One entry, which a signal ends. As bench_run. */
int shim_run_and_leave(uint32_t vcpu);
/* A machine of two vCPUs on another host than the one before. */
void shim_another_host(void);

#endif
