/* SPDX-License-Identifier: MIT */
/*
 * The 8254's ports, its clock and the output of counter 0; see i8254.h. An interrupt controller looks for rising edges:
 * a pulse low of one tick is driven at its end, and edges that come while nobody drove the output are one.
 */
#include "i8254.h"

#include <string.h>

/* The PC's clock is 14.31818 MHz / 12 = 105/88 MHz. */
#define TICKS        105u
#define TICKS_IN_NS  88000u
#define TICK_MAX     (UINT64_MAX / TICKS_IN_NS)
#define TICK_LIMIT   (1ll << 62)
#define COUNT_MAX    65536ll
#define TIMER_MIN_NS 20000u      /* a guest that asks for more often gets merged edges, and no storm of timers */

#define P61_GATE     0x01u
#define P61_WRITTEN  0x0fu       /* gate, speaker, parity check, channel check */
#define P61_REFRESH  0x10u
#define P61_OUT      0x20u
#define REFRESH_TICKS 18u        /* from one row of DRAM to the next: 15 us */

#define READ_BACK    0xc0u
#define NO_COUNT     0x20u       /* of a read-back command */
#define NO_STATUS    0x10u

static uint64_t ticks_of(uint64_t ns)
{
	return ns / TICKS_IN_NS * TICKS + ns % TICKS_IN_NS * TICKS / TICKS_IN_NS;
}

/* Rounded up: at that time it is the tick. */
static uint64_t ns_of(uint64_t tick)
{
	if (tick >= TICK_MAX)
		return UINT64_MAX;
	return tick / TICKS * TICKS_IN_NS + (tick % TICKS * TICKS_IN_NS + TICKS - 1) / TICKS;
}

static void drive(struct i8254 *p, uint32_t level)
{
	if (level == p->level)
		return;
	p->level = (uint8_t)level;
	p->ops->output(p->arg, level);
}

static void rising_edge(struct i8254 *p)
{
	drive(p, 0);
	drive(p, 1);
}

/* Up to tick `t`: all of the edges in between are one. */
static void output_until(struct i8254 *p, uint64_t t)
{
	if (t > p->seen && i8254_counter_rise(&p->counters[0], p->seen) <= t)
		rising_edge(p);
	p->seen = t;
}

/* Returns the tick, so that all of a call happens at one. */
static uint64_t catch_up(struct i8254 *p)
{
	uint64_t t = ticks_of(p->ops->guest_ns(p->arg));

	if (p->counters[0].switch_at <= t)
		output_until(p, p->counters[0].switch_at);
	for (uint32_t i = 0; i < I8254_COUNTERS; i++)
		if (p->counters[i].switch_at <= t)
			i8254_counter_switch(&p->counters[i]);
	output_until(p, t);
	return t;
}

static void settle(struct i8254 *p, uint64_t t)
{
	uint64_t next = ns_of(i8254_counter_change(&p->counters[0], t)), soonest = ns_of(t) + TIMER_MIN_NS;

	drive(p, i8254_counter_out(&p->counters[0], t));
	p->ops->timer(p->arg, next < soonest ? soonest : next);
}

void i8254_init(struct i8254 *p, const struct i8254_ops *ops, void *arg)
{
	memset(p, 0, sizeof(*p));
	p->ops = ops;
	p->arg = arg;
	for (uint32_t i = 0; i < I8254_COUNTERS; i++)
		i8254_counter_reset(&p->counters[i], i < 2);
}

/* The chip has no RESET pin and is undefined when power comes ("Programming the 8254"); here it waits, outputs low. */
void i8254_reset(struct i8254 *p)
{
	uint64_t t = catch_up(p);

	for (uint32_t i = 0; i < I8254_COUNTERS; i++)
		i8254_counter_reset(&p->counters[i], i < 2);
	p->port61 = 0;
	settle(p, t);
}

void i8254_timer(struct i8254 *p)
{
	settle(p, catch_up(p));
}

/* What is saved has nothing left to catch up with and the timer is that of a resume, so a load brings back the same. */
void i8254_quiesce(struct i8254 *p)
{
	i8254_timer(p);
}

void i8254_resume(struct i8254 *p)
{
	uint64_t t = ticks_of(p->ops->guest_ns(p->arg));

	p->level = (uint8_t)i8254_counter_out(&p->counters[0], t);
	p->ops->output(p->arg, p->level);
	i8254_timer(p);
}

/* "Read-back command": count first, then status, of each counter that is chosen. */
static void read_back(struct i8254 *p, uint8_t value, uint64_t t)
{
	for (uint32_t i = 0; i < I8254_COUNTERS; i++) {
		if (!(value >> (i + 1) & 1))
			continue;
		if (!(value & NO_COUNT))
			i8254_counter_latch(&p->counters[i], t);
		if (!(value & NO_STATUS))
			i8254_counter_latch_status(&p->counters[i], t);
	}
}

/* The control word register cannot be read. */
uint8_t i8254_read(struct i8254 *p, uint32_t port)
{
	uint64_t t = catch_up(p);
	uint8_t value = port < I8254_COUNTERS ? i8254_counter_read(&p->counters[port], t) : 0xff;

	settle(p, t);
	return value;
}

void i8254_write(struct i8254 *p, uint32_t port, uint8_t value)
{
	uint64_t t = catch_up(p);

	if (port < I8254_COUNTERS)
		i8254_counter_write(&p->counters[port], value, t);
	else if (value >= READ_BACK)
		read_back(p, value, t);
	else
		i8254_counter_control(&p->counters[value >> 6], value, t);
	settle(p, t);
}

uint8_t i8254_port61_read(struct i8254 *p)
{
	uint64_t t = catch_up(p);
	uint32_t refresh = t / REFRESH_TICKS & 1, out = i8254_counter_out(&p->counters[2], t);

	settle(p, t);
	return (uint8_t)(p->port61 | (refresh ? P61_REFRESH : 0) | (out ? P61_OUT : 0));
}

void i8254_port61_write(struct i8254 *p, uint8_t value)
{
	uint64_t t = catch_up(p);

	p->port61 = value & P61_WRITTEN;
	i8254_counter_gate(&p->counters[2], value & P61_GATE, t);
	settle(p, t);
}

/* A load in mode 3 may lie half a cycle in front of tick 0. */
static uint32_t is_a_time(const struct i8254_counter *c)
{
	int64_t start = (int64_t)c->start;

	return start > -COUNT_MAX && start < TICK_LIMIT && c->held < TICK_LIMIT &&
	       (c->switch_at == I8254_NEVER || c->switch_at < TICK_LIMIT);
}

const char *i8254_cannot_be(const struct i8254 *p)
{
	for (uint32_t i = 0; i < I8254_COUNTERS; i++) {
		const struct i8254_counter *c = &p->counters[i];

		if (!(c->control >> 4 & 3))
			return "has a control word that is a command";
		if (c->gate != (i < 2 ? 1 : p->port61 & P61_GATE))
			return "has a gate that is not the board's";
		if (c->phase == I8254_HELD && c->gate)
			return "is held by a gate that is open";
		if (!is_a_time(c))
			return "has a tick that guest time does not reach";
	}
	return NULL;
}
