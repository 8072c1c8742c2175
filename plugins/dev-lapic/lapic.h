/* SPDX-License-Identifier: MIT */
/*
 * The registers of one local APIC in xAPIC mode (Intel SDM volume 3, chapter "Advanced Programmable Interrupt
 * Controller"; "SDM" and a quoted section name from here on). One struct a vCPU. It knows no thread, clock or other
 * local APIC: the caller has a lock around every call, says what time it is, and after each call takes `out`, which
 * is what has to happen outside. Easy to break: whatever changes the timer is followed by a look at lapic_deadline.
 *
 * The timer counts at 1 GHz before it is divided, as KVM's does, so that a tick is a nanosecond of guest time.
 */
#ifndef LAPIC_H
#define LAPIC_H

#include <stdint.h>

#define LAPIC_PAGE_BYTES 0x1000u
#define LAPIC_ID_MAX     254u      /* 255 is all of them */
#define LAPIC_BROADCAST  255u
#define LAPIC_LINTS      2u

/* Delivery modes, of messages, of ICR and of the local vector table. */
#define LAPIC_FIXED   0u
#define LAPIC_LOWEST  1u
#define LAPIC_SMI     2u
#define LAPIC_NMI     4u
#define LAPIC_INIT    5u
#define LAPIC_STARTUP 6u
#define LAPIC_EXTINT  7u

/* Entries of the local vector table, in the order of their registers. */
#define LVT_TIMER   0u
#define LVT_THERMAL 1u
#define LVT_PERF    2u
#define LVT_LINT0   3u
#define LVT_LINT1   4u
#define LVT_ERROR   5u
#define LVT_COUNT   6u

/* Shorthands of ICR. */
#define LAPIC_NO_SHORTHAND 0u
#define LAPIC_SELF         1u
#define LAPIC_ALL          2u
#define LAPIC_OTHERS       3u

/* An interrupt on its way: an IPI, or a message of a device. */
struct lapic_message {
	uint8_t vector, mode;
	uint8_t level;             /* triggered by a level: its end is told */
	uint8_t dest, logical;
	uint8_t shorthand;
	uint8_t redirect;          /* one of those that are addressed gets it */
};

struct lapic_out {
	uint32_t events;           /* bit n: delivery mode n (SMI, NMI, INIT, STARTUP) happens to the vCPU */
	uint32_t page;             /* of STARTUP */
	uint32_t send;             /* `message` is to be delivered */
	uint32_t ended;            /* vector of a level that has ended and is to be told, or 0 */
	struct lapic_message message;
};

struct lapic {
	uint8_t id;                /* does not change */
	uint8_t off;               /* by IA32_APIC_BASE, which is the vCPU's: not of the state */
	uint8_t extint;            /* an ExtINT message waits */
	uint8_t line[LAPIC_LINTS];
	uint8_t tpr;
	uint32_t ldr, dfr, svr;
	uint32_t isr[8], tmr[8], irr[8];
	uint32_t esr, errors;      /* as it reads, and what has come since it was written */
	uint32_t icr_low, icr_high;
	uint32_t lvt[LVT_COUNT];
	uint32_t initial, divide;
	uint64_t deadline_ns;      /* when the count reaches 0; 0: it does not run */
	struct lapic_out out;
};

/* As after power on or INIT ("Local APIC State After It Receives an INIT Reset"). Levels of LINT pins stay. */
void lapic_reset(struct lapic *c);
/* Offsets in the page, multiples of 4. */
uint32_t lapic_read(struct lapic *c, uint32_t offset, uint64_t now_ns);
void lapic_write(struct lapic *c, uint32_t offset, uint32_t value, uint64_t now_ns);
/* Task priority as CR8 has it: 0 to 15. */
uint32_t lapic_priority(const struct lapic *c);
void lapic_set_priority(struct lapic *c, uint32_t level);
void lapic_lint(struct lapic *c, uint32_t pin, uint32_t level);
/* By IA32_APIC_BASE ("Enabling or Disabling the Local APIC"). Off it has no registers, and no message is for it. */
void lapic_enable(struct lapic *c, uint32_t enabled);

/* Is the message, which `sender` (an id, or LAPIC_BROADCAST: a device) has sent, for this one? */
uint32_t lapic_is_addressed(const struct lapic *c, const struct lapic_message *m, uint32_t sender);
/* "Arbitration Priority": of those that are addressed, the lowest gets what is for one; over 255: it takes none. */
uint32_t lapic_arbitration(const struct lapic *c);
void lapic_accept(struct lapic *c, const struct lapic_message *m);
/* A write of `data` at `offset` from the address of the local APICs ("Message Signalled Interrupts"). */
struct lapic_message lapic_message_of(uint32_t offset, uint32_t data);

/* Is an interrupt to be taken? Of these, one whose vector another controller has? Then it is taken there. */
uint32_t lapic_output(const struct lapic *c);
uint32_t lapic_extint(const struct lapic *c);
void lapic_extint_done(struct lapic *c);
/* The vector, in service from now on, or -1. */
int lapic_acknowledge(struct lapic *c);

/* timer.c: when lapic_tick is to be called, UINT64_MAX: not at all; and earlier does no harm. */
uint64_t lapic_deadline(const struct lapic *c);
void lapic_tick(struct lapic *c, uint64_t now_ns);
uint32_t lapic_timer_count(const struct lapic *c, uint64_t now_ns);
void lapic_timer_start(struct lapic *c, uint32_t count, uint64_t now_ns);
void lapic_timer_divide(struct lapic *c, uint32_t value, uint64_t now_ns);
/* An entry of the local vector table wants its interrupt. */
void lapic_local(struct lapic *c, uint32_t entry);

/* NULL: it can be like this; else the reason why not. */
const char *lapic_cannot_be(const struct lapic *c);

#endif
