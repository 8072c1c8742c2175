/* SPDX-License-Identifier: MIT */
/*
 * A machine: the instances of one machine file with their spaces, clocks, loop and vCPUs. Several live in
 * one process; nothing here is global.
 */
#ifndef MORTISE_KERNEL_MACHINE_H
#define MORTISE_KERNEL_MACHINE_H

#include <stdio.h>

#include "kernel/machine/inst.h"
#include "kernel/machine/registry.h"

struct space;       /* ram.c, bus.c: regions, RAM blocks, flat views */
struct guest_clock; /* clock.c */
struct vcpus;       /* vcpu.c */
struct fdt_state;   /* fdt.c */

struct machine {
	struct config *config;
	struct registry *registry;
	GPtrArray *insts;              /* of struct mt_inst, in the order of realize: back ends first */
	struct mt_inst *cpu;           /* the accelerator's instance */
	struct mt_inst *boot;          /* NULL without [boot] */
	struct space *system;
	struct guest_clock *clock;
	struct loop *loop;             /* main loop of the machine: its own thread */
	struct vcpus *vcpus;
	struct fdt_state *fdt;
	struct {                       /* requests posted by guests and users, served by machine_run */
		GMutex lock;
		GCond changed;
		uint32_t request, code;
	} ask;
};

struct run_options {
	const char *name;              /* shown to the user */
	bool quiet;
};

/* [main] All diagnostics go to the config's diag; NULL when there was an error. */
struct machine *machine_create(struct config *config, struct registry *registry, struct mt_error *err);
int machine_realize(struct machine *m, struct mt_error *err);
int machine_reset(struct machine *m, uint32_t kind, struct mt_error *err);
void machine_start(struct machine *m);
void machine_pause(struct machine *m);
void machine_destroy(struct machine *m);

/* [main] Runs until power-off or a request to quit; serves resets. The exit code of the process. */
int machine_run(struct machine *m);

/* [any] MT_REQUEST_* */
void machine_request(struct machine *m, uint32_t request, uint32_t code);

/* [main] `run` and `check --dts` of the command. The exit code of the process. */
int machine_main_run(struct config *config, struct registry *registry, const struct run_options *options);
int machine_main_dts(struct config *config, struct registry *registry, FILE *out);

/* The services that plugins may ask for (host.c): NULL-terminated ids, and the host itself. */
extern const char *const host_interface_ids[];
const struct mt_host *host_get(void);

#endif
