/* SPDX-License-Identifier: MIT */
/*
 * Intel 8254 programmable interval timer (data sheet 231164), three counters on the PC's clock of 105/88 MHz, with
 * the PC's port 0x61. Nothing counts: each counter knows at which tick of guest time it was loaded, and what it shows
 * follows. Only the output of counter 0 has a timer. Easy to break: every call brings the counters up to one tick (a
 * new count that waits for the end of a cycle is taken then) and works at it. Called under the instance lock.
 */
#ifndef I8254_H
#define I8254_H

#include <stdint.h>

#define I8254_COUNTERS 3u
#define I8254_PORTS    4u
#define I8254_NEVER    UINT64_MAX

struct i8254_ops {
	uint64_t (*guest_ns)(void *arg);
	void (*timer)(void *arg, uint64_t deadline_ns);        /* UINT64_MAX: none */
	void (*output)(void *arg, uint32_t level);             /* of counter 0 */
};

enum i8254_phase {
	I8254_IDLE,     /* no count yet, or none that was triggered */
	I8254_RUNS,     /* from tick `start` on */
	I8254_HELD,     /* by its gate, `held` ticks after it was loaded */
};

struct i8254_counter {
	uint8_t control;           /* as written: RW, mode, BCD */
	uint8_t gate;
	uint8_t phase;             /* enum i8254_phase */
	uint8_t null_count;        /* the count register has what was not loaded yet */
	uint8_t armed;             /* a whole count was written since the control word */
	uint8_t before;            /* OUT until the load */
	uint8_t write_high, read_high;         /* the next byte is the high one of two */
	uint8_t write_low;
	uint8_t latch_left;        /* bytes of `latch` that were not read */
	uint8_t status_latched, status;
	uint16_t latch;
	uint16_t cr;               /* count register */
	uint16_t ce;               /* what the counting element shows until the load */
	uint32_t count;            /* what was loaded, 1 .. 65536 */
	uint64_t start;            /* tick of the load; may be the one to come */
	uint64_t held;
	uint64_t switch_at;        /* tick at which modes 2 and 3 take the new count; I8254_NEVER: no new one */
};

/* counter.c: one counter at tick `t`. */
void i8254_counter_reset(struct i8254_counter *c, uint32_t gate);
void i8254_counter_control(struct i8254_counter *c, uint8_t control, uint64_t t);
void i8254_counter_write(struct i8254_counter *c, uint8_t value, uint64_t t);
uint8_t i8254_counter_read(struct i8254_counter *c, uint64_t t);
void i8254_counter_latch(struct i8254_counter *c, uint64_t t);
void i8254_counter_latch_status(struct i8254_counter *c, uint64_t t);
void i8254_counter_gate(struct i8254_counter *c, uint32_t level, uint64_t t);
void i8254_counter_switch(struct i8254_counter *c);
uint32_t i8254_counter_out(const struct i8254_counter *c, uint64_t t);
/* The first tick behind `t` at which OUT rises; or changes, where a pulse low of one tick counts as its end. */
uint64_t i8254_counter_rise(const struct i8254_counter *c, uint64_t t);
uint64_t i8254_counter_change(const struct i8254_counter *c, uint64_t t);

struct i8254 {
	const struct i8254_ops *ops;
	void *arg;
	struct i8254_counter counters[I8254_COUNTERS];
	uint8_t port61;            /* what was written: gate of counter 2, speaker, checks off */
	uint8_t level;
	uint64_t seen;             /* tick up to which the output has been driven */
};

void i8254_init(struct i8254 *p, const struct i8254_ops *ops, void *arg);
void i8254_reset(struct i8254 *p);
void i8254_timer(struct i8254 *p);
void i8254_quiesce(struct i8254 *p);
void i8254_resume(struct i8254 *p);
uint8_t i8254_read(struct i8254 *p, uint32_t port);
void i8254_write(struct i8254 *p, uint32_t port, uint8_t value);
uint8_t i8254_port61_read(struct i8254 *p);
void i8254_port61_write(struct i8254 *p, uint8_t value);
/* NULL: the chip can be like this; else the reason why not. */
const char *i8254_cannot_be(const struct i8254 *p);

#endif
