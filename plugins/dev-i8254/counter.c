/* SPDX-License-Identifier: MIT */
/*
 * One counter of the 8254 in its six modes (231164, "Mode Definitions"). What is written or triggered at tick t is
 * loaded with the next clock pulse, t + 1; a position counts pulses from there. Events and their ticks are all that is
 * kept.
 */
#include <string.h>

#include "i8254.h"

#define RW_LATCH 0u
#define RW_LOW   1u
#define RW_HIGH  2u
#define RW_BOTH  3u

static uint32_t rw_of(const struct i8254_counter *c)
{
	return c->control >> 4 & 3;
}

/* The high bit of modes 2 and 3 is open. */
static uint32_t mode_of(const struct i8254_counter *c)
{
	uint32_t mode = c->control >> 1 & 7;

	return mode > 5 ? mode - 4 : mode;
}

static uint32_t is_periodic(const struct i8254_counter *c)
{
	return mode_of(c) == 2 || mode_of(c) == 3;
}

/* Modes 1 and 5 begin with a rising gate only, and do not stop with a low one. */
static uint32_t is_triggered(const struct i8254_counter *c)
{
	return mode_of(c) == 1 || mode_of(c) == 5;
}

static uint32_t modulus(const struct i8254_counter *c)
{
	return c->control & 1 ? 10000 : 65536;
}

/* A count of 0 is the largest one. */
static uint32_t count_of(const struct i8254_counter *c)
{
	uint32_t count = c->cr;

	if (c->control & 1)
		count = (count >> 12) * 1000 + (count >> 8 & 15) * 100 + (count >> 4 & 15) * 10 + (count & 15);
	return count ? count : modulus(c);
}

static uint16_t shown(const struct i8254_counter *c, uint32_t value)
{
	value %= modulus(c);
	if (c->control & 1)
		value = value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
	return (uint16_t)value;
}

static uint32_t is_loaded(const struct i8254_counter *c, uint64_t t)
{
	return c->phase == I8254_HELD || (c->phase == I8254_RUNS && (int64_t)(t - c->start) >= 0);
}

static uint64_t position(const struct i8254_counter *c, uint64_t t)
{
	return c->phase == I8254_HELD ? c->held : t - c->start;
}

/* Mode 3 is high for the longer half of an odd count. */
static uint32_t high_half(const struct i8254_counter *c)
{
	return (c->count + 1) / 2;
}

/* Mode 3 counts down by two in each half, and an odd count from one less. */
static uint32_t square_shown(const struct i8254_counter *c, uint64_t pos)
{
	uint32_t in_cycle = (uint32_t)(pos % c->count), half = high_half(c);

	return (c->count & ~1u) - 2 * (in_cycle < half ? in_cycle : in_cycle - half);
}

static uint16_t counting_element(const struct i8254_counter *c, uint64_t t)
{
	uint64_t pos = position(c, t);

	if (!is_loaded(c, t))
		return c->ce;
	switch (mode_of(c)) {
	case 2:
		return shown(c, c->count - (uint32_t)(pos % c->count));
	case 3:
		return shown(c, square_shown(c, pos));
	default:         /* goes on behind 0 with the largest count */
		return shown(c, c->count + modulus(c) - (uint32_t)(pos % modulus(c)));
	}
}

static uint32_t out_at(const struct i8254_counter *c, uint64_t pos)
{
	switch (mode_of(c)) {
	case 0:
	case 1:
		return pos >= c->count;
	case 2:
		return pos % c->count != c->count - 1;
	case 3:
		return pos % c->count < high_half(c);
	default:
		return pos != c->count;
	}
}

/* A low gate sets the outputs of modes 2 and 3 high, so that a held one never ends its pulse. */
uint32_t i8254_counter_out(const struct i8254_counter *c, uint64_t t)
{
	if (!is_loaded(c, t))
		return c->before;
	if (c->phase == I8254_HELD && is_periodic(c))
		return 1;
	return out_at(c, position(c, t));
}

/* Ticks of the form start + offset + k * count. */
static uint64_t next_in_cycle(const struct i8254_counter *c, uint64_t offset, uint64_t t)
{
	uint64_t first = c->start + offset;

	if ((int64_t)(t - first) < 0)
		return first;
	return first + ((t - first) / c->count + 1) * c->count;
}

static uint64_t once(uint64_t at, uint64_t t)
{
	return (int64_t)(at - t) > 0 ? at : I8254_NEVER;
}

uint64_t i8254_counter_rise(const struct i8254_counter *c, uint64_t t)
{
	if (c->phase != I8254_RUNS)
		return I8254_NEVER;
	switch (mode_of(c)) {
	case 0:
	case 1:
		return once(c->start + c->count, t);
	case 2:
	case 3:          /* a count of 1 is illegal there: the output stays */
		return c->count > 1 ? next_in_cycle(c, c->count, t) : I8254_NEVER;
	default:
		return once(c->start + c->count + 1, t);
	}
}

uint64_t i8254_counter_change(const struct i8254_counter *c, uint64_t t)
{
	uint64_t rise = i8254_counter_rise(c, t), fall = I8254_NEVER;

	if (c->phase == I8254_RUNS && mode_of(c) == 3 && c->count > 1)
		fall = next_in_cycle(c, high_half(c), t);
	else if (c->phase == I8254_RUNS && mode_of(c) == 1)
		fall = once(c->start, t);
	return fall < rise ? fall : rise;
}

/* From the count register into the counting element, with the next pulse. */
static void load(struct i8254_counter *c, uint64_t t)
{
	c->before = mode_of(c) != 0 && (mode_of(c) != 1 || i8254_counter_out(c, t));
	c->ce = counting_element(c, t);
	c->count = count_of(c);
	c->start = t + 1;
	c->held = 0;
	c->null_count = 0;
	c->switch_at = I8254_NEVER;
	c->phase = c->gate || is_triggered(c) ? I8254_RUNS : I8254_HELD;
}

static void stop(struct i8254_counter *c, uint32_t out, uint64_t t)
{
	c->ce = counting_element(c, t);
	c->phase = I8254_IDLE;
	c->before = (uint8_t)out;
	c->switch_at = I8254_NEVER;
}

void i8254_counter_reset(struct i8254_counter *c, uint32_t gate)
{
	memset(c, 0, sizeof(*c));
	c->control = RW_BOTH << 4;
	c->gate = (uint8_t)gate;
	c->null_count = 1;
	c->count = 1;
	c->switch_at = I8254_NEVER;
}

void i8254_counter_control(struct i8254_counter *c, uint8_t control, uint64_t t)
{
	if ((control >> 4 & 3) == RW_LATCH) {
		i8254_counter_latch(c, t);
		return;
	}
	stop(c, 0, t);
	c->control = control & 0x3f;
	c->before = mode_of(c) != 0;
	c->null_count = 1;
	c->armed = 0;
	c->write_high = c->read_high = 0;
	c->latch_left = c->status_latched = 0;
	c->cr = 0;
}

/* The end of the cycle, and with mode 3 that of its half. */
static uint64_t cycle_end(const struct i8254_counter *c, uint64_t t)
{
	uint64_t end = next_in_cycle(c, c->count, t), half = next_in_cycle(c, high_half(c), t);

	return mode_of(c) == 3 && half < end ? half : end;
}

static void count_written(struct i8254_counter *c, uint64_t t)
{
	c->null_count = 1;
	c->armed = 1;
	if (is_triggered(c))
		return;
	if (!is_periodic(c) || c->phase == I8254_IDLE || !is_loaded(c, t))
		load(c, t);
	else if (c->phase == I8254_RUNS && c->switch_at == I8254_NEVER)
		c->switch_at = cycle_end(c, t);
}

void i8254_counter_write(struct i8254_counter *c, uint8_t value, uint64_t t)
{
	switch (rw_of(c)) {
	case RW_LOW:
		c->cr = value;
		break;
	case RW_HIGH:
		c->cr = (uint16_t)(value << 8);
		break;
	default:
		c->write_high ^= 1;
		if (c->write_high) {
			c->write_low = value;
			if (mode_of(c) == 0)      /* stops at once, with OUT low */
				stop(c, 0, t);
			return;
		}
		c->cr = (uint16_t)(value << 8 | c->write_low);
	}
	count_written(c, t);
}

void i8254_counter_switch(struct i8254_counter *c)
{
	uint64_t at = c->switch_at;
	uint32_t half_ends = mode_of(c) == 3 && (at - c->start) % c->count != 0;

	c->count = count_of(c);
	c->start = half_ends ? at - high_half(c) : at;
	c->null_count = 0;
	c->switch_at = I8254_NEVER;
}

static uint8_t byte_of(struct i8254_counter *c, uint16_t value)
{
	uint32_t high = rw_of(c) == RW_HIGH;

	if (rw_of(c) == RW_BOTH) {
		high = c->read_high;
		c->read_high ^= 1;
	}
	return (uint8_t)(high ? value >> 8 : value);
}

/* The status comes first, whatever was latched first ("Read-back command"). */
uint8_t i8254_counter_read(struct i8254_counter *c, uint64_t t)
{
	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (!c->latch_left)
		return byte_of(c, counting_element(c, t));
	c->latch_left--;
	return byte_of(c, c->latch);
}

/* What is latched stays until it is read; a second command does nothing. */
void i8254_counter_latch(struct i8254_counter *c, uint64_t t)
{
	if (c->latch_left)
		return;
	c->latch = counting_element(c, t);
	c->latch_left = rw_of(c) == RW_BOTH ? 2 : 1;
}

void i8254_counter_latch_status(struct i8254_counter *c, uint64_t t)
{
	uint32_t null_count = c->null_count || (c->phase == I8254_RUNS && !is_loaded(c, t));

	if (c->status_latched)
		return;
	c->status_latched = 1;
	c->status = (uint8_t)(i8254_counter_out(c, t) << 7 | null_count << 6 | c->control);
}

/* "Gate pin operations summary": a rising edge triggers modes 1, 5, 2 and 3, a low level holds 0, 2, 3 and 4. */
void i8254_counter_gate(struct i8254_counter *c, uint32_t level, uint64_t t)
{
	uint32_t has_count = is_triggered(c) ? c->armed : c->phase != I8254_IDLE;

	if (level == c->gate)
		return;
	c->gate = (uint8_t)level;
	if (!has_count)
		return;
	if (level && (is_triggered(c) || is_periodic(c))) {
		load(c, t);
	} else if (level) {
		c->start = t - c->held;
		c->phase = I8254_RUNS;
	} else if (!is_triggered(c)) {
		c->held = is_loaded(c, t) ? position(c, t) : 0;
		c->phase = I8254_HELD;
		c->switch_at = I8254_NEVER;
	}
}
