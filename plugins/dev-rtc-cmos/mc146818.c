/* SPDX-License-Identifier: MIT */
/*
 * The MC146818A: index and data port, update cycle, flags and their interrupt; see mc146818.h. Names of bits and of
 * sections are the data sheet's. Sums of times wrap at 64 bits: a saved state may say anything.
 */
#include "mc146818.h"

#include <string.h>

#define SECOND_NS       1000000000ll
#define START_UNIX      946684800ll      /* seconds from 1970 to 2000 */
#define FIRST_UPDATE_NS 500000000ull     /* from the end of the divider's reset ("Divider control") */
#define UIP_NS          2228000ull       /* tBUC + tUC with 32 768 Hz: 244 us of warning, 1984 us of update */

/* With another divider, or with it in reset, nothing counts. */
static uint32_t is_running(const struct mc146818 *c)
{
	return (c->ram[RTC_A] & A_DV) == A_DV_32K;
}

/* Periodic rates are taps of the divider ("Periodic interrupt selection"), so they are in step with the updates. */
static uint64_t rate_hz(const struct mc146818 *c)
{
	uint32_t rate = c->ram[RTC_A] & A_RATE;

	if (!rate)
		return 0;
	return 32768u >> ((rate < 3 ? rate + 7 : rate) - 1);
}

/* The next tap behind `now`, counted back from the next update, which is at most a second away. */
static uint64_t period_after(const struct mc146818 *c, uint64_t now)
{
	uint64_t hz = rate_hz(c), left;

	if (!hz || !is_running(c))
		return UINT64_MAX;
	left = ((c->next_ns - now) * hz + SECOND_NS - 1) / SECOND_NS - 1;
	return c->next_ns - left * SECOND_NS / hz;
}

/* `count` update cycles; less than 0 where the wall's clock was put back while the machine stood still. */
static void update_cycles(struct mc146818 *c, int64_t count)
{
	if (c->ram[RTC_B] & B_SET)
		return;
	if (count > 0) {
		uint32_t distance = mc146818_alarm_distance(c);

		c->ram[RTC_C] |= C_UF | (distance && distance <= count ? C_AF : 0);
	}
	mc146818_advance(c, count);
}

/* Returns now, so that all of a call happens at one time: the next update is after it, and at most a second. */
static uint64_t catch_up(struct mc146818 *c)
{
	uint64_t now = c->ops->guest_ns(c->arg);
	int64_t late = (int64_t)(now - c->next_ns), cycles;

	if (!is_running(c))
		return now;
	cycles = late / SECOND_NS - (late % SECOND_NS < 0) + 1;
	c->next_ns += (uint64_t)cycles * SECOND_NS;
	if (cycles)
		update_cycles(c, cycles);
	if (now >= c->period_ns) {
		c->ram[RTC_C] |= C_PF;
		c->period_ns = period_after(c, now);
	}
	return now;
}

static uint32_t wanted(const struct mc146818 *c, uint32_t flag)
{
	return c->ram[RTC_B] & flag && !(c->ram[RTC_C] & flag);
}

/* When the first flag comes that would change the output. */
static uint64_t deadline(const struct mc146818 *c)
{
	uint64_t first = wanted(c, C_PF) ? c->period_ns : UINT64_MAX;
	uint32_t updates = is_running(c) && !(c->ram[RTC_B] & B_SET), distance = 0;
	uint64_t at;

	if (updates && wanted(c, C_UF))
		distance = 1;
	else if (updates && wanted(c, C_AF))
		distance = mc146818_alarm_distance(c);
	if (!distance)
		return first;
	at = c->next_ns + (distance - 1) * (uint64_t)SECOND_NS;
	return at < first ? at : first;
}

static uint32_t interrupts(const struct mc146818 *c)
{
	return (c->ram[RTC_C] & c->ram[RTC_B] & C_FLAGS) != 0;
}

/* Behind every call: output and timer follow from the registers. */
static void settle(struct mc146818 *c)
{
	uint32_t level = interrupts(c);

	c->ops->timer(c->arg, deadline(c));
	if (level == c->level)
		return;
	c->level = (uint8_t)level;
	c->ops->interrupt(c->arg, level);
}

void mc146818_init(struct mc146818 *c, uint32_t century, const struct mc146818_ops *ops, void *arg)
{
	memset(c, 0, sizeof(*c));
	c->century = (uint8_t)century;
	c->ops = ops;
	c->arg = arg;
}

/* As a PC's firmware leaves it: BCD, 24 hours, a periodic rate of 1024 Hz that nobody asks for. */
void mc146818_power_on(struct mc146818 *c)
{
	/* Saturday, 1 January 2000 */
	static const uint8_t start[] = { 0, 0, 0, 0, 0, 0, 7, 1, 1, 0, A_DV_32K | 6, B_24, 0, D_VRT };
	uint64_t now = c->ops->guest_ns(c->arg), wall = c->ops->wall_ns(c->arg);

	memcpy(c->ram, start, sizeof(start));
	if (c->century)
		c->ram[c->century] = 0x20;
	c->wall_base_ns = wall - now;
	c->next_ns = now + SECOND_NS - wall % SECOND_NS;
	mc146818_advance(c, (int64_t)(wall / SECOND_NS) - START_UNIX);
	c->period_ns = period_after(c, now);
}

/* Clock, calendar and RAM stay ("RESET pin"). */
void mc146818_reset(struct mc146818 *c)
{
	catch_up(c);
	c->ram[RTC_B] &= (uint8_t)~(B_PIE | B_AIE | B_UIE | B_SQWE);
	c->ram[RTC_C] = 0;
	settle(c);
}

void mc146818_timer(struct mc146818 *c)
{
	catch_up(c);
	settle(c);
}

/* What is saved has nothing left to catch up with, so a load brings back the same. */
void mc146818_quiesce(struct mc146818 *c)
{
	catch_up(c);
}

/* The battery's clock went on meanwhile, and an alarm may have come. */
void mc146818_resume(struct mc146818 *c)
{
	uint64_t now = c->ops->guest_ns(c->arg), base = c->ops->wall_ns(c->arg) - now;

	c->next_ns -= base - c->wall_base_ns;
	c->wall_base_ns = base;
	c->period_ns = UINT64_MAX;
	c->period_ns = period_after(c, catch_up(c));
	c->level = (uint8_t)interrupts(c);
	c->ops->interrupt(c->arg, c->level);
	c->ops->timer(c->arg, deadline(c));
}

static uint8_t register_a(const struct mc146818 *c, uint64_t now)
{
	uint32_t uip = is_running(c) && !(c->ram[RTC_B] & B_SET) && c->next_ns - now <= UIP_NS;

	return (uint8_t)(c->ram[RTC_A] | (uip ? A_UIP : 0));
}

/* Reading clears all flags; none is lost, for what comes later is seen by the next read. */
static uint8_t register_c(struct mc146818 *c)
{
	uint8_t value = (uint8_t)(c->ram[RTC_C] | (interrupts(c) ? C_IRQF : 0));

	c->ram[RTC_C] = 0;
	settle(c);
	return value;
}

uint8_t mc146818_read(struct mc146818 *c, uint32_t port)
{
	uint64_t now;

	if (!port)
		return 0xff;     /* the PC's index port can only be written */
	now = catch_up(c);
	switch (c->index) {
	case RTC_A:
		return register_a(c, now);
	case RTC_C:
		return register_c(c);
	default:
		return c->ram[c->index];
	}
}

static void write_a(struct mc146818 *c, uint64_t now, uint8_t value)
{
	uint32_t was_running = is_running(c);

	c->ram[RTC_A] = value & (uint8_t)~A_UIP;
	if (!was_running)
		c->next_ns = now + FIRST_UPDATE_NS;
	c->period_ns = period_after(c, now);
}

/* SET clears UIE ("UIE"): no update ends while it is there. */
static void write_b(struct mc146818 *c, uint8_t value)
{
	c->ram[RTC_B] = value & B_SET ? value & (uint8_t)~B_UIE : value;
}

static void write_data(struct mc146818 *c, uint64_t now, uint8_t value)
{
	switch (c->index) {
	case RTC_A:
		write_a(c, now, value);
		break;
	case RTC_B:
		write_b(c, value);
		break;
	case RTC_C:
	case RTC_D:
		break;
	case RTC_SECONDS:
		c->ram[RTC_SECONDS] = value & 0x7f;     /* its high bit can only be read */
		break;
	default:
		c->ram[c->index] = value;
	}
}

/* The index port's high bit masks NMI on a PC, and is no part of the chip. */
void mc146818_write(struct mc146818 *c, uint32_t port, uint8_t value)
{
	if (!port) {
		c->index = value % MC146818_BYTES;
		return;
	}
	write_data(c, catch_up(c), value);
	settle(c);
}

const char *mc146818_cannot_be(const struct mc146818 *c)
{
	if (c->ram[RTC_SECONDS] & 0x80 || c->ram[RTC_A] & A_UIP)
		return "has bits that can only be read in the seconds or in register A";
	if (c->ram[RTC_B] & B_SET && c->ram[RTC_B] & B_UIE)
		return "has SET and UIE together";
	if (c->ram[RTC_C] & ~C_FLAGS || c->ram[RTC_D] != D_VRT)
		return "has bits that the chip does not keep in register C or D";
	return NULL;
}
