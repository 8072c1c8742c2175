/* SPDX-License-Identifier: MIT */
/*
 * The local APIC but for its timer; see lapic.h. Version 0x14, as of processors since the Pentium 4: no focus
 * processor, no remote read, IPIs are edges, INIT level de-assert does nothing. Lines are levels of signals and not
 * of pins, so that the polarity bits of LINT0 and LINT1 are kept and have no effect.
 */
#include "lapic.h"

#include <string.h>

/* Registers: offset / 16. */
#define REG_ID      0x02u
#define REG_VERSION 0x03u
#define REG_TPR     0x08u
#define REG_APR     0x09u
#define REG_PPR     0x0au
#define REG_EOI     0x0bu
#define REG_RRD     0x0cu
#define REG_LDR     0x0du
#define REG_DFR     0x0eu
#define REG_SVR     0x0fu
#define REG_ISR     0x10u
#define REG_TMR     0x18u
#define REG_IRR     0x20u
#define REG_ESR     0x28u
#define REG_ICR_LOW 0x30u
#define REG_ICR_HIGH 0x31u
#define REG_LVT     0x32u
#define REG_INITIAL 0x38u
#define REG_CURRENT 0x39u
#define REG_DIVIDE  0x3eu
#define REG_COUNT   0x40u

#define VERSION      (0x14u | (LVT_COUNT - 1) << 16 | 1u << 24)   /* 24: the end of a level may be kept untold */
#define VECTOR       0xffu
#define VECTOR_FIRST 16u
#define MODE_SHIFT   8u
#define LOGICAL      (1u << 11)    /* ICR */
#define REMOTE_IRR   (1u << 14)    /* LVT */
#define ASSERT       (1u << 14)    /* ICR */
#define BY_LEVEL     (1u << 15)
#define MASKED       (1u << 16)
#define ICR_BITS     0x000ccfffu
#define SVR_ENABLED  (1u << 8)
#define SVR_NOT_TOLD (1u << 12)
#define SVR_BITS     (VECTOR | SVR_ENABLED | SVR_NOT_TOLD)
#define DFR_FLAT     0xfu
#define ERROR_SENT_VECTOR     (1u << 5)
#define ERROR_RECEIVED_VECTOR (1u << 6)
#define ERROR_REGISTER        (1u << 7)
#define ERROR_BITS   (ERROR_SENT_VECTOR | ERROR_RECEIVED_VECTOR | ERROR_REGISTER)

static const uint32_t lvt_bits[LVT_COUNT] = {
	[LVT_TIMER] = 0x300ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff, [LVT_LINT0] = 0x1a7ff,
	[LVT_LINT1] = 0x1a7ff, [LVT_ERROR] = 0x100ff,
};

/* Vectors and priorities */

static void bit_set(uint32_t words[8], uint32_t vector)
{
	words[vector / 32] |= 1u << vector % 32;
}

static void bit_clear(uint32_t words[8], uint32_t vector)
{
	words[vector / 32] &= ~(1u << vector % 32);
}

static uint32_t bit_test(const uint32_t words[8], uint32_t vector)
{
	return words[vector / 32] >> vector % 32 & 1;
}

/* 0: none, which no vector can be that is kept. */
static uint32_t highest(const uint32_t words[8])
{
	for (uint32_t i = 8; i-- > 0;)
		if (words[i])
			return i * 32 + 31 - (uint32_t)__builtin_clz(words[i]);
	return 0;
}

/* "Task and Processor Priorities" */
static uint32_t processor_priority(const struct lapic *c)
{
	uint32_t serving = highest(c->isr);

	return c->tpr >> 4 >= serving >> 4 ? c->tpr : serving & 0xf0;
}

static uint32_t arbitration_priority(const struct lapic *c)
{
	uint32_t task = c->tpr >> 4, serving = highest(c->isr) >> 4, asking = highest(c->irr) >> 4;

	if (task >= asking && task > serving)
		return c->tpr;
	return ((task & serving) > asking ? task & serving : asking) << 4;
}

uint32_t lapic_arbitration(const struct lapic *c)
{
	return c->svr & SVR_ENABLED ? arbitration_priority(c) : 256;
}

static uint32_t pending(const struct lapic *c)
{
	uint32_t vector = highest(c->irr);

	return vector >> 4 > processor_priority(c) >> 4 ? vector : 0;
}

uint32_t lapic_priority(const struct lapic *c)
{
	return c->tpr >> 4;
}

void lapic_set_priority(struct lapic *c, uint32_t level)
{
	c->tpr = (uint8_t)((level & 15) << 4);
}

/* Acceptance */

static void request(struct lapic *c, uint32_t vector, uint32_t level)
{
	bit_set(c->irr, vector);
	if (level)
		bit_set(c->tmr, vector);
	else
		bit_clear(c->tmr, vector);
}

/* "Error Handling": the interrupt comes with each error that is new; one about its own vector brings no other. */
static void error(struct lapic *c, uint32_t bit)
{
	uint32_t fresh = bit & ~c->errors, entry = c->lvt[LVT_ERROR];

	c->errors |= bit;
	if (!fresh || entry & MASKED)
		return;
	if ((entry & VECTOR) < VECTOR_FIRST)
		c->errors |= ERROR_RECEIVED_VECTOR;
	else
		request(c, entry & VECTOR, 0);
}

static void fixed_accept(struct lapic *c, uint32_t vector, uint32_t level)
{
	if (!(c->svr & SVR_ENABLED))
		return;
	if (vector < VECTOR_FIRST)
		error(c, ERROR_RECEIVED_VECTOR);
	else
		request(c, vector, level);
}

void lapic_accept(struct lapic *c, const struct lapic_message *m)
{
	if (c->off)
		return;
	switch (m->mode) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		fixed_accept(c, m->vector, m->level);
		break;
	case LAPIC_EXTINT:
		c->extint |= (c->svr & SVR_ENABLED) != 0;
		break;
	case LAPIC_INIT:
		lapic_reset(c);
		c->out.events |= 1u << LAPIC_INIT;
		break;
	case LAPIC_STARTUP:
		c->out.page = m->vector;
		c->out.events |= 1u << LAPIC_STARTUP;
		break;
	case LAPIC_NMI:
	case LAPIC_SMI:
		c->out.events |= 1u << m->mode;
		break;
	default:
		break;
	}
}

/* "Logical Destination Mode": in the cluster model the upper half names a cluster, and 15 all of them. */
static uint32_t logical_match(const struct lapic *c, uint32_t dest)
{
	uint32_t own = c->ldr >> 24;

	if (c->dfr >> 28 == DFR_FLAT)
		return own & dest;
	return (dest >> 4 == 15 || dest >> 4 == own >> 4) && own & dest & 15;
}

uint32_t lapic_is_addressed(const struct lapic *c, const struct lapic_message *m, uint32_t sender)
{
	if (c->off)
		return 0;
	if (m->shorthand)
		return m->shorthand == LAPIC_ALL || (m->shorthand == LAPIC_SELF) == (sender == c->id);
	if (m->dest == LAPIC_BROADCAST)
		return 1;
	return m->logical ? logical_match(c, m->dest) != 0 : m->dest == c->id;
}

/*
 * The hint asks for one of a logical destination. The level bit of the data tells a level's end from its beginning
 * on the APICs' bus of old; no controller sends ends.
 */
struct lapic_message lapic_message_of(uint32_t offset, uint32_t data)
{
	uint32_t logical = offset >> 2 & 1, mode = data >> MODE_SHIFT & 7;

	return (struct lapic_message){
		.vector = (uint8_t)data, .mode = mode == LAPIC_STARTUP ? 3 : (uint8_t)mode,
		.level = data >> 15 & 1 && mode <= LAPIC_LOWEST, .dest = (uint8_t)(offset >> 12),
		.logical = (uint8_t)logical,
		.redirect = mode == LAPIC_LOWEST || (mode == LAPIC_FIXED && logical && offset >> 3 & 1),
	};
}

/* Local interrupts */

/* LINT0 asks again as long as it is a level, and its last interrupt has ended. */
static uint32_t is_level(const struct lapic *c, uint32_t pin)
{
	return pin == 0 && c->lvt[LVT_LINT0] & BY_LEVEL && (c->lvt[LVT_LINT0] >> MODE_SHIFT & 7) == LAPIC_FIXED;
}

static void level_look(struct lapic *c)
{
	uint32_t *entry = &c->lvt[LVT_LINT0];

	if (!is_level(c, 0) || *entry & (MASKED | REMOTE_IRR) || !c->line[0])
		return;
	fixed_accept(c, *entry & VECTOR, 1);
	if ((*entry & VECTOR) >= VECTOR_FIRST)
		*entry |= REMOTE_IRR;
}

void lapic_local(struct lapic *c, uint32_t entry)
{
	const uint32_t lvt = c->lvt[entry];
	struct lapic_message m = { .vector = (uint8_t)lvt, .mode = lvt >> MODE_SHIFT & 7 };

	if (!(lvt & MASKED) && m.mode != LAPIC_LOWEST && m.mode != LAPIC_STARTUP && m.mode != LAPIC_EXTINT)
		lapic_accept(c, &m);
}

void lapic_lint(struct lapic *c, uint32_t pin, uint32_t level)
{
	uint32_t rises = level && !c->line[pin];

	c->line[pin] = level != 0;
	if (is_level(c, pin))
		level_look(c);
	else if (c->off)
		c->out.events |= rises && pin ? 1u << LAPIC_NMI : 0;
	else if (rises)
		lapic_local(c, LVT_LINT0 + pin);
}

static uint32_t lint_extint(const struct lapic *c, uint32_t pin)
{
	uint32_t entry = c->lvt[LVT_LINT0 + pin];

	return c->line[pin] && !(entry & MASKED) && (entry >> MODE_SHIFT & 7) == LAPIC_EXTINT;
}

/* Interrupts to the CPU */

uint32_t lapic_extint(const struct lapic *c)
{
	return c->off ? c->line[0] : c->extint || lint_extint(c, 0) || lint_extint(c, 1);
}

void lapic_extint_done(struct lapic *c)
{
	c->extint = 0;
}

uint32_t lapic_output(const struct lapic *c)
{
	return lapic_extint(c) || pending(c);
}

int lapic_acknowledge(struct lapic *c)
{
	uint32_t vector = pending(c);

	if (!vector)
		return -1;
	bit_clear(c->irr, vector);
	bit_set(c->isr, vector);
	return (int)vector;
}

static void eoi_write(struct lapic *c)
{
	uint32_t vector = highest(c->isr);

	if (!vector)
		return;
	bit_clear(c->isr, vector);
	if (!bit_test(c->tmr, vector))
		return;
	if (!(c->svr & SVR_NOT_TOLD))
		c->out.ended = vector;
	if ((c->lvt[LVT_LINT0] & VECTOR) == vector)
		c->lvt[LVT_LINT0] &= ~REMOTE_IRR;
	level_look(c);
}

/* Registers */

void lapic_reset(struct lapic *c)
{
	struct lapic fresh = {
		.id = c->id, .off = c->off, .line = { c->line[0], c->line[1] }, .dfr = UINT32_MAX, .svr = VECTOR, .out = c->out,
	};

	for (uint32_t i = 0; i < LVT_COUNT; i++)
		fresh.lvt[i] = MASKED;
	*c = fresh;
}

void lapic_enable(struct lapic *c, uint32_t enabled)
{
	if (!enabled && !c->off)
		lapic_reset(c);
	c->off = !enabled;
}

/* "Local APIC Status After It Has Been Software Disabled": the masks are set and stay so. */
static void svr_write(struct lapic *c, uint32_t value)
{
	c->svr = value & SVR_BITS;
	for (uint32_t i = 0; i < LVT_COUNT && !(value & SVR_ENABLED); i++)
		c->lvt[i] |= MASKED;
}

static void lvt_write(struct lapic *c, uint32_t entry, uint32_t value)
{
	uint32_t kept = c->lvt[entry] & REMOTE_IRR;

	c->lvt[entry] = (value & lvt_bits[entry]) | (c->svr & SVR_ENABLED ? 0 : MASKED);
	if (entry != LVT_LINT0)
		return;
	if (is_level(c, 0))
		c->lvt[entry] |= kept;
	level_look(c);
}

/* A shorthand has no destination of its own, and self alone takes any vector; the rest is as it is sent. */
static void icr_write(struct lapic *c, uint32_t value)
{
	struct lapic_message m = {
		.vector = (uint8_t)value, .mode = value >> MODE_SHIFT & 7, .dest = (uint8_t)(c->icr_high >> 24),
		.logical = (value & LOGICAL) != 0, .shorthand = value >> 18 & 3,
	};

	c->icr_low = value & ICR_BITS;
	m.redirect = m.mode == LAPIC_LOWEST;
	if (m.mode <= LAPIC_LOWEST && m.vector < VECTOR_FIRST) {
		error(c, ERROR_SENT_VECTOR);
		return;
	}
	if (m.mode == LAPIC_EXTINT || (m.mode == LAPIC_INIT && (value & (ASSERT | BY_LEVEL)) == BY_LEVEL))
		return;
	c->out.message = m;
	c->out.send = 1;
}

static uint32_t vectors_read(const struct lapic *c, uint32_t reg)
{
	if (reg < REG_TMR)
		return c->isr[reg - REG_ISR];
	return reg < REG_IRR ? c->tmr[reg - REG_TMR] : c->irr[reg - REG_IRR];
}

/* What neither is a table nor has a timer behind it. */
static uint32_t plain_read(struct lapic *c, uint32_t reg)
{
	switch (reg) {
	case REG_ID:
		return (uint32_t)c->id << 24;
	case REG_VERSION:
		return VERSION;
	case REG_TPR:
		return c->tpr;
	case REG_APR:
		return arbitration_priority(c);
	case REG_PPR:
		return processor_priority(c);
	case REG_LDR:
		return c->ldr;
	case REG_DFR:
		return c->dfr;
	case REG_SVR:
		return c->svr;
	case REG_ESR:
		return c->esr;
	case REG_ICR_LOW:
		return c->icr_low;
	case REG_ICR_HIGH:
		return c->icr_high;
	case REG_INITIAL:
		return c->initial;
	case REG_DIVIDE:
		return c->divide;
	case REG_EOI:
	case REG_RRD:
		return 0;
	default:
		error(c, ERROR_REGISTER);
		return 0;
	}
}

/* Registers stand at multiples of 16; between them is nothing. */
uint32_t lapic_read(struct lapic *c, uint32_t offset, uint64_t now_ns)
{
	uint32_t reg = offset >> 4;

	if (offset & 15 || reg >= REG_COUNT)
		return 0;
	if (reg >= REG_ISR && reg < REG_ESR)
		return vectors_read(c, reg);
	if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT)
		return c->lvt[reg - REG_LVT];
	if (reg == REG_CURRENT) {
		lapic_tick(c, now_ns);
		return lapic_timer_count(c, now_ns);
	}
	return plain_read(c, reg);
}

static int timer_write(struct lapic *c, uint32_t reg, uint32_t value, uint64_t now_ns)
{
	if (reg != REG_LVT + LVT_TIMER && reg != REG_INITIAL && reg != REG_DIVIDE)
		return 0;
	lapic_tick(c, now_ns);
	if (reg == REG_INITIAL)
		lapic_timer_start(c, value, now_ns);
	else if (reg == REG_DIVIDE)
		lapic_timer_divide(c, value, now_ns);
	else
		lvt_write(c, LVT_TIMER, value);
	return 1;
}

static void plain_write(struct lapic *c, uint32_t reg, uint32_t value)
{
	switch (reg) {
	case REG_TPR:
		c->tpr = (uint8_t)value;
		break;
	case REG_EOI:
		eoi_write(c);
		break;
	case REG_LDR:
		c->ldr = value & 0xff000000;
		break;
	case REG_DFR:
		c->dfr = value | 0x0fffffff;
		break;
	case REG_SVR:
		svr_write(c, value);
		break;
	case REG_ESR:
		c->esr = c->errors;
		c->errors = 0;
		break;
	case REG_ICR_LOW:
		icr_write(c, value);
		break;
	case REG_ICR_HIGH:
		c->icr_high = value & 0xff000000;
		break;
	case REG_ID:
	case REG_VERSION:
	case REG_APR:
	case REG_PPR:
	case REG_RRD:
	case REG_CURRENT:
		break;
	default:
		error(c, ERROR_REGISTER);
	}
}

void lapic_write(struct lapic *c, uint32_t offset, uint32_t value, uint64_t now_ns)
{
	uint32_t reg = offset >> 4;

	if (offset & 15 || reg >= REG_COUNT || timer_write(c, reg, value, now_ns))
		return;
	if (reg > REG_LVT && reg < REG_LVT + LVT_COUNT)
		lvt_write(c, reg - REG_LVT, value);
	else if (reg < REG_ISR || reg >= REG_ESR)
		plain_write(c, reg, value);
}

const char *lapic_cannot_be(const struct lapic *c)
{
	if ((c->irr[0] | c->isr[0] | c->tmr[0]) & 0xffff)
		return "has one of the vectors that no interrupt has";
	if (c->ldr & 0xffffff || (c->dfr & 0x0fffffff) != 0x0fffffff || c->svr & ~SVR_BITS ||
	    (c->esr | c->errors) & ~ERROR_BITS || c->icr_low & ~ICR_BITS || c->icr_high & 0xffffff || c->divide & ~0xbu)
		return "has reserved bits set";
	for (uint32_t i = 0; i < LVT_COUNT; i++)
		if (c->lvt[i] & ~(lvt_bits[i] | (i == LVT_LINT0 ? REMOTE_IRR : 0)))
			return "has reserved bits set in the local vector table";
	return c->deadline_ns && !c->initial ? "counts from 0" : NULL;
}
