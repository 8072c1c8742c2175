/* SPDX-License-Identifier: MIT */
/*
 * Fake classes for the tests of the machine core: a device that traces its life and can fail at each step,
 * and an accelerator whose `run` is a function of the test. A source in place of registry and loader.
 */
#ifndef KERNEL_MACHINE_TEST_FAKE_H
#define KERNEL_MACHINE_TEST_FAKE_H

#include <check.h>
#include <stdatomic.h>

#include <mortise/draft/cpu-sysreg.h>
#include <mortise/draft/cpu-vector.h>
#include <mortise/draft/cpu.h>
#include <mortise/draft/props.h>

#include "kernel/machine/machine.h"

#define FAKE_VCPUS 8

struct fake_vcpu {
	struct mt_vcpu *handle;
	uint32_t index;
	void *machine;                         /* the struct machine, for the test's run */
	_Atomic uint32_t pin[4];
	_Atomic uint32_t kicked;
	_Atomic uint64_t runs;
	_Atomic uint64_t count;                /* the test's */
	uint64_t reg[4];                       /* "pc", "a0", "a1", "zero" (read-only) */
	pid_t tid;                             /* of the thread that ran first */
	struct mt_sysreg_range sysregs;        /* bound by a device; ops NULL: none */
	const struct mt_vector_ops *vector_ops;        /* the controller that bound it, or NULL */
	void *vector_arg;
	_Atomic uint32_t request, event, event_value;  /* the last that it asked for */
};

/* "fake-dev": at, to (REF), bus (REF), irq, flag, number, size, delay, mode, text, file, list, fail, code. */
/* "fake-irq": a sink. "fake-cpu", "fake-boot" as their names say; "fake-none": no class at all. */
extern struct machine_source fake_source;

/* A test's own role of a class, or NULL; asked first. */
extern const void *(*fake_role)(const char *class_name, const char *id);

/* What instances went through since the test began: "create a", "realize a", "reset a 1 1", ... one a line. */
extern GString *fake_trace;
/* What `run` does, 0 or negative as `run`; NULL: spins until kicked. */
extern int (*fake_run)(struct fake_vcpu *vcpu, const struct mt_run_params *params, struct mt_exit *exit);

/* The fixture of every test. */
void fake_setup(void);
void fake_teardown(void);

/* A configuration of this text; it stays until the end of the test. */
struct config *fake_config(const char *text);
/* A created machine, or the test fails. */
struct machine *fake_machine(const char *text);
/* And realized, and reset. */
struct machine *fake_ready(const char *text);
struct fake_vcpu *fake_vcpu(struct machine *m, uint32_t index);
void fake_expect(const char *trace);

#endif
