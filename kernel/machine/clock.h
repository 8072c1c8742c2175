/* SPDX-License-Identifier: MIT */
/* Guest time of a machine: starts at 0, stands still while paused. */
#ifndef MORTISE_KERNEL_CLOCK_H
#define MORTISE_KERNEL_CLOCK_H

#include <mortise/draft/clock.h>

#include "kernel/machine/inst.h"

struct guest_clock *clock_create(struct machine *m, uint64_t timebase_hz);
void clock_destroy(struct guest_clock *clock);
/* [main] guest time runs / stands still; timers on guest time are re-armed */
void clock_resume(struct guest_clock *clock);
void clock_pause(struct guest_clock *clock);
/* [any] */
uint64_t clock_guest_ns(const struct guest_clock *clock);
/* [main] while guest time stands still: what it shows from now on */
void clock_set_guest_ns(struct guest_clock *clock, uint64_t guest_ns);
uint64_t clock_timebase_hz(const struct guest_clock *clock);
/* [any] host monotonic ns at which guest time will be `guest_ns`; UINT64_MAX while paused or never */
uint64_t clock_host_deadline(const struct guest_clock *clock, uint64_t guest_ns);

struct state_part;
extern const struct mt_clock_host clock_host;
extern const struct state_part clock_state_part;

#endif
