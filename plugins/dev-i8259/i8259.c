/* SPDX-License-Identifier: MIT */
/*
 * See i8259.h. "Sheet" is Intel 231468, "8259A Programmable Interrupt Controller". Where it is silent: ICW1 takes
 * what is in service away too, which firmware and kernels rely on when one takes over from the other.
 *
 * One thing is otherwise than in the sheet: an edge is kept when its line falls before it is acknowledged, where the
 * chip would give the vector of input 7. Interrupts that are pulses (of eventfds) would be lost, and KVM's
 * keeps it too.
 */
#include "i8259.h"

#include <string.h>

#define BIT(n) ((uint8_t)(1u << (n)))

/* ICW1, ICW4, OCW2, OCW3 */
#define ICW1_IC4   0x01u
#define ICW1_SNGL  0x02u
#define ICW1_ADI   0x04u           /* vectors 4 bytes apart, and not 8; 8080 mode */
#define ICW1_LTIM  0x08u
#define ICW1       0x10u
#define ICW4_8086  0x01u
#define ICW4_AEOI  0x02u
#define ICW4_SFNM  0x10u
#define ICW4_BITS  0x1fu
#define OCW2_EOI   0x20u
#define OCW2_SL    0x40u
#define OCW2_R     0x80u
#define OCW3       0x08u
#define OCW3_RIS   0x01u
#define OCW3_RR    0x02u
#define OCW3_P     0x04u
#define OCW3_SMM   0x20u
#define OCW3_ESMM  0x40u

/* Inputs of the timer, the keyboard, the cascade; of the clock and the coprocessor: they are edges for ever. */
static const uint8_t elcr_bits[2] = { 0xf8, 0xde };

/* Requests and priorities */

static uint8_t levels_of(const struct i8259_chip *c)
{
	return c->icw1 & ICW1_LTIM ? 0xff : c->elcr;
}

static uint8_t requests(const struct i8259_chip *c)
{
	uint8_t levels = levels_of(c);

	return (uint8_t)((c->irr & ~levels) | (c->line & levels));
}

static void line_set(struct i8259_chip *c, uint32_t n, uint32_t level)
{
	if (level && !(c->line & BIT(n)) && !(levels_of(c) & BIT(n)))
		c->irr |= BIT(n);
	c->line = (uint8_t)(level ? c->line | BIT(n) : c->line & ~BIT(n));
}

/* What keeps requests of its own and of lower priority back (sheet: "Special mask mode"). */
static uint8_t blockers(const struct i8259_chip *c)
{
	return (uint8_t)(c->isr & ~(c->special_mask ? c->imr : 0));
}

/* Sheet, "The special fully nested mode": an input with a chip behind it goes on taking requests while in service. */
static uint8_t nested(const struct i8259_chip *c)
{
	return c->icw4 & ICW4_SFNM && !(c->icw1 & ICW1_SNGL) ? c->icw3 & BIT(I8259_CASCADE) : 0;
}

/* The input whose interrupt the chip would give now, or -1. */
static int pick(const struct i8259_chip *c, uint8_t through)
{
	uint8_t wanted = (uint8_t)(requests(c) & ~c->imr), busy = blockers(c);

	for (uint32_t i = 1; i <= 8; i++) {
		uint32_t n = (c->lowest + i) & 7;

		if (wanted & BIT(n) && (!(busy & BIT(n)) || through & BIT(n)))
			return (int)n;
		if (busy & BIT(n))
			return -1;
	}
	return -1;
}

static int pick_of(const struct i8259 *p, uint32_t chip)
{
	const struct i8259_chip *c = &p->chips[chip];

	return c->ready ? pick(c, chip ? 0 : nested(c)) : -1;
}

/* The wire between the two. A request that has gone there leaves no edge behind. */
static void cascade(struct i8259 *p)
{
	struct i8259_chip *first = &p->chips[0];
	uint32_t level = pick_of(p, 1) >= 0;

	if (!level)
		first->irr &= (uint8_t)~BIT(I8259_CASCADE);
	line_set(first, I8259_CASCADE, level);
}

static void cascade_fall(struct i8259 *p)
{
	line_set(&p->chips[0], I8259_CASCADE, 0);
}

uint32_t i8259_output(const struct i8259 *p)
{
	return pick_of(p, 0) >= 0;
}

void i8259_input(struct i8259 *p, uint32_t input, uint32_t level)
{
	if (input >= I8259_INPUTS || input == I8259_CASCADE)
		return;
	line_set(&p->chips[input / 8], input % 8, level);
	cascade(p);
}

/* Service */

static void service_end(struct i8259 *p, uint32_t chip, uint32_t n, uint32_t rotate)
{
	struct i8259_chip *c = &p->chips[chip];

	if (c->isr & BIT(n) && (chip || n != I8259_CASCADE))
		p->ended |= 1u << (chip * 8 + n);
	c->isr &= (uint8_t)~BIT(n);
	if (rotate)
		c->lowest = (uint8_t)n;
}

/* First INTA cycle, or a poll: the input, or -1. */
static int service_begin(struct i8259 *p, uint32_t chip)
{
	struct i8259_chip *c = &p->chips[chip];
	int n = pick_of(p, chip);

	if (n < 0)
		return -1;
	c->isr |= BIT(n);
	c->irr &= (uint8_t)~BIT(n);
	return n;
}

/* The end of the last INTA cycle. */
static void service_auto(struct i8259 *p, uint32_t chip, int n)
{
	if (n >= 0 && p->chips[chip].icw4 & ICW4_AEOI)
		service_end(p, chip, (uint32_t)n, p->chips[chip].rotate_auto);
}

/* In 8080 mode the CPU takes the low byte of the address in the CALL that it is given. */
static uint8_t vector_of(const struct i8259_chip *c, int n)
{
	uint32_t input = n < 0 ? 7 : (uint32_t)n;

	if (c->icw4 & ICW4_8086)
		return (uint8_t)((c->icw2 & 0xf8) | input);
	return (uint8_t)(c->icw1 & ICW1_ADI ? (c->icw1 & 0xe0) | input << 2 : (c->icw1 & 0xc0) | input << 3);
}

/* The second chip answers when it has the number that it is called by; else nobody does. */
static uint8_t acknowledge_second(struct i8259 *p)
{
	const struct i8259_chip *c = &p->chips[1];
	uint8_t vector;
	int n;

	if (!c->ready || (c->icw3 & 7) != I8259_CASCADE)
		return 0xff;
	n = service_begin(p, 1);
	vector = vector_of(c, n);
	service_auto(p, 1, n);
	return vector;
}

uint8_t i8259_acknowledge(struct i8259 *p)
{
	const struct i8259_chip *first = &p->chips[0];
	int n = service_begin(p, 0);
	int second = n == (int)I8259_CASCADE && !(first->icw1 & ICW1_SNGL) && first->icw3 & BIT(I8259_CASCADE);
	uint8_t vector = second ? acknowledge_second(p) : vector_of(first, n);

	service_auto(p, 0, n);
	if (second)
		cascade_fall(p);
	cascade(p);
	return vector;
}

/* Command words */

static void icw1_write(struct i8259_chip *c, uint8_t value)
{
	c->icw1 = value;
	if (!(value & ICW1_IC4))
		c->icw4 = 0;
	c->irr = c->isr = c->imr = 0;
	c->lowest = 7;
	c->special_mask = c->rotate_auto = c->poll = c->read_isr = 0;
	c->ready = 0;
	c->step = 2;
}

static void icw_write(struct i8259_chip *c, uint8_t value)
{
	uint8_t last = c->icw1 & ICW1_IC4 ? 4 : 0;

	if (c->step == 2) {
		c->icw2 = value;
		c->step = c->icw1 & ICW1_SNGL ? last : 3;
	} else if (c->step == 3) {
		c->icw3 = value;
		c->step = last;
	} else {
		c->icw4 = value & ICW4_BITS;
		c->step = 0;
	}
	c->ready = c->step == 0;
}

/* A masked input in service is spared in special mask mode (sheet, "End of interrupt"). */
static int first_in_service(const struct i8259_chip *c)
{
	for (uint32_t i = 1; i <= 8; i++)
		if (blockers(c) & BIT((c->lowest + i) & 7))
			return (int)((c->lowest + i) & 7);
	return -1;
}

static void ocw2_write(struct i8259 *p, uint32_t chip, uint8_t value)
{
	struct i8259_chip *c = &p->chips[chip];
	uint32_t rotate = value & OCW2_R;
	int n = value & OCW2_SL ? value & 7 : first_in_service(c);

	if (value & OCW2_EOI) {
		if (n >= 0)
			service_end(p, chip, (uint32_t)n, rotate);
	} else if (value & OCW2_SL) {
		c->lowest = rotate ? value & 7 : c->lowest;
	} else {
		c->rotate_auto = rotate != 0;
	}
}

static void ocw3_write(struct i8259_chip *c, uint8_t value)
{
	if (value & OCW3_ESMM)
		c->special_mask = (value & OCW3_SMM) != 0;
	if (value & OCW3_P)
		c->poll = 1;
	else if (value & OCW3_RR)
		c->read_isr = value & OCW3_RIS;
}

void i8259_write(struct i8259 *p, uint32_t chip, uint32_t port, uint8_t value)
{
	struct i8259_chip *c = &p->chips[chip];

	if (port && c->step)
		icw_write(c, value);
	else if (port)
		c->imr = value;
	else if (value & ICW1)
		icw1_write(c, value);
	else if (value & OCW3)
		ocw3_write(c, value);
	else
		ocw2_write(p, chip, value);
	cascade(p);
}

/* Sheet, "Poll command": the read is the acknowledgement. */
static uint8_t poll_read(struct i8259 *p, uint32_t chip)
{
	int n = service_begin(p, chip);

	p->chips[chip].poll = 0;
	service_auto(p, chip, n);
	if (chip)
		cascade_fall(p);
	cascade(p);
	return n < 0 ? 0 : (uint8_t)(0x80 | n);
}

uint8_t i8259_read(struct i8259 *p, uint32_t chip, uint32_t port)
{
	struct i8259_chip *c = &p->chips[chip];

	if (c->poll)
		return poll_read(p, chip);
	if (port)
		return c->imr;
	return c->read_isr ? c->isr : requests(c);
}

/* Edge and level */

uint8_t i8259_elcr_read(const struct i8259 *p, uint32_t chip)
{
	return p->chips[chip].elcr;
}

void i8259_elcr_write(struct i8259 *p, uint32_t chip, uint8_t value)
{
	struct i8259_chip *c = &p->chips[chip];

	c->elcr = value & elcr_bits[chip];
	c->irr &= (uint8_t)~c->elcr;
	cascade(p);
}

void i8259_reset(struct i8259 *p)
{
	for (uint32_t i = 0; i < 2; i++)
		p->chips[i] = (struct i8259_chip){ .line = p->chips[i].line, .lowest = 7 };
	p->ended = 0;
	cascade(p);
}

const char *i8259_cannot_be(struct i8259 *p)
{
	for (uint32_t i = 0; i < 2; i++) {
		const struct i8259_chip *c = &p->chips[i];

		if (c->elcr & ~elcr_bits[i])
			return "has a level on an input that is an edge for ever";
		if (c->step == 1 || (c->step && c->ready))
			return "is in no step of the initialization";
	}
	p->ended = 0;
	cascade(p);
	return NULL;
}
