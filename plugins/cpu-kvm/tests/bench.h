/* SPDX-License-Identifier: MIT */
/* The accelerator on the fake host, whichever KVM of the tests' is below it. One at a time. */
#ifndef KVM_BENCH_H
#define KVM_BENCH_H

#include <fake/fake.h>
#include <fake/state.h>

#include "kvm.h"

#define SHIM_VCPUS 4u

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
/* Devices of the accelerator's file, which come with it: of who brings the KVM of the tests. NULL: none. */
extern const struct bench_devices { int (*create)(void), (*realize)(void); void (*end)(void); } bench_devices;
void bench_down(void);
int bench_run_view(uint32_t vcpu, const struct mt_flat_view *view);
int bench_run(uint32_t vcpu);                   /* with RAM of 1 MiB at 0, ROM at 0xf0000, registers, ports 0x3f8 */
/* Ends the test, with what b.err says. */
void bench_die(const char *what);
/* The state of a vCPU, freed by the caller; the load's result. */
struct fake_state *bench_saved(uint32_t vcpu);
int bench_loaded(uint32_t vcpu, struct fake_state *s);
uint64_t reg_get(uint32_t vcpu, const char *name);
void reg_set(uint32_t vcpu, const char *name, uint64_t value);
extern uint8_t bench_ram[];
const struct mt_flat_view *bench_view(void);

#endif
