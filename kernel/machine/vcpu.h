/* SPDX-License-Identifier: MIT */
/*
 * The vCPU threads: one each, owned here, calling the accelerator's `run`. They sleep in HALT and while the
 * machine is paused; a pin change wakes them.
 */
#ifndef MORTISE_KERNEL_VCPU_H
#define MORTISE_KERNEL_VCPU_H

#include <mortise/draft/cpu-debug.h>

#include "kernel/machine/inst.h"

/* [main] creates the vCPUs of m->cpu and their threads, paused; NULL with `err` filled */
struct vcpus *vcpus_create(struct machine *m, uint32_t count, struct mt_error *err);
/* [main] pauses, then ends the threads */
void vcpus_destroy(struct vcpus *v);
uint32_t vcpus_count(const struct vcpus *v);
/* [main] the accelerator's own pointer of a vCPU */
void *vcpus_self(const struct vcpus *v, uint32_t index);
/* [main] while paused; a vCPU that had failed may run again */
void vcpus_reset(struct vcpus *v, uint32_t kind);
/* [main] let run; stop and wait until all have left `run` */
void vcpus_resume(struct vcpus *v);
void vcpus_pause(struct vcpus *v);
/* [any] as pause, but does not wait: the vCPUs leave `run` soon and stay out until vcpus_resume */
void vcpus_hold(struct vcpus *v);
/* [any] */
void vcpus_kick_all(struct vcpus *v);
/* [any] pin by number; wakes a halted vCPU */
void vcpus_pin_set(struct vcpus *v, uint32_t index, uint32_t pin, uint32_t level);
/* [any] what the accelerator shall notice has been told to it: a halted vCPU is woken */
void vcpus_wake(struct vcpus *v, uint32_t index);
/* [main] pin number by the accelerator's name, or MT_ENOENT */
int32_t vcpus_pin_find(struct vcpus *v, const char *name);
/* [main] register by name, while paused; MT_ENOENT: no such register or vCPU */
int vcpus_reg_set(struct vcpus *v, uint32_t index, const char *reg, uint64_t value);
int vcpus_reg_get(struct vcpus *v, uint32_t index, const char *reg, uint64_t *value);

/* [main] the accelerator's roles, NULL: it has none; and its own pointer of a vCPU, for their functions */
const struct mt_cpu_regs *vcpus_regs(const struct vcpus *v);
const struct mt_cpu_debug *vcpus_debug(const struct vcpus *v);
struct mt_vcpu *vcpus_handle(const struct vcpus *v, uint32_t index);
void *vcpus_accel(const struct vcpus *v, uint32_t index);
/* [main] while paused: this one stays out of `run` when the others go on */
void vcpus_keep(struct vcpus *v, uint32_t index, bool keep);
/* [main] while paused: has it left `run` with MT_EXIT_DEBUG? Once for each time. */
bool vcpus_debugged(struct vcpus *v, uint32_t index);

extern const struct mt_vcpu_host vcpu_host;
extern const struct mt_kick_host kick_host;

#endif
