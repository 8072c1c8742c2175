/* SPDX-License-Identifier: MIT */
/*
 * See i8042.h. Commands are those of the IBM PC AT Technical Reference (1985), "Keyboard Controller", those of the
 * auxiliary channel (PS/2 Technical Reference) answered as where there is none, and the shortcuts for A20 that chipsets
 * added. Easy to break: reading the data port is what lowers the interrupt; a command that answers overwrites what
 * nobody read.
 */
#include "i8042.h"

#include <string.h>

#define SELF_TEST_GOOD 0x55u
#define KEYS_TEST_GOOD 0x00u
#define AUX_TEST_BAD   0x02u           /* its clock is stuck high */
#define RESEND         0xfeu           /* what comes, with the time-out bit, when nobody answered */
#define INPUT_PORT     0x80u           /* the key is open */

enum {
	RAM_READ = 0x20, RAM_WRITE = 0x60, AUX_DISABLE = 0xa7, AUX_ENABLE = 0xa8, AUX_TEST = 0xa9, SELF_TEST = 0xaa,
	KEYS_TEST = 0xab, KEYS_DISABLE = 0xad, KEYS_ENABLE = 0xae, INPUT_READ = 0xc0, OUTPUT_READ = 0xd0,
	OUTPUT_WRITE = 0xd1, KEYS_ANSWER = 0xd2, AUX_ANSWER = 0xd3, AUX_SEND = 0xd4, A20_OFF = 0xdd, A20_ON = 0xdf,
	TEST_READ = 0xe0, PULSE = 0xf0,
};

static void interrupt_update(struct i8042 *c)
{
	c->ops->interrupt(c->arg, (c->status & I8042_OUTPUT_FULL) && (c->ram[0] & I8042_INTERRUPT));
}

static void answer(struct i8042 *c, uint8_t value, uint8_t flags)
{
	c->data = value;
	c->status = (uint8_t)((c->status & ~I8042_TIMEOUT) | I8042_OUTPUT_FULL | flags);
	interrupt_update(c);
}

static void nobody_answers(struct i8042 *c)
{
	answer(c, RESEND, I8042_TIMEOUT);
}

/* There is no auxiliary channel: its bit of the command byte is stuck, by which drivers tell. */
static void ram_write(struct i8042 *c, uint32_t index, uint8_t value)
{
	c->ram[index] = value;
	if (index)
		return;
	c->ram[0] |= I8042_AUX_OFF;
	c->status = (uint8_t)((c->status & ~I8042_SYSTEM) | (value & I8042_SYSTEM));
	interrupt_update(c);
}

static void output_port_write(struct i8042 *c, uint8_t value)
{
	c->output_port = value | I8042_NO_RESET;
	if (!(value & I8042_NO_RESET))
		c->ops->reset(c->arg);
}

static void a20_set(struct i8042 *c, uint32_t on)
{
	c->output_port = (uint8_t)((c->output_port & ~I8042_A20) | (on ? I8042_A20 : 0));
}

void i8042_init(struct i8042 *c, const struct i8042_ops *ops, void *arg)
{
	memset(c, 0, sizeof(*c));
	c->ops = ops;
	c->arg = arg;
	i8042_reset(c);
}

/* Without firmware nobody opens A20, so it is open. */
void i8042_reset(struct i8042 *c)
{
	memset(c->ram, 0, sizeof(c->ram));
	c->ram[0] = I8042_KEYS_OFF | I8042_AUX_OFF | I8042_TRANSLATE;
	c->status = I8042_UNLOCKED;
	c->data = 0;
	c->command = 0;
	c->output_port = I8042_NO_RESET | I8042_A20;
	c->fast = 0;
}

void i8042_resume(struct i8042 *c)
{
	interrupt_update(c);
}

uint8_t i8042_data_read(struct i8042 *c)
{
	c->status = (uint8_t)(c->status & ~(I8042_OUTPUT_FULL | I8042_TIMEOUT));
	interrupt_update(c);
	return c->data;
}

void i8042_data_write(struct i8042 *c, uint8_t value)
{
	uint8_t command = c->command;

	c->command = 0;
	c->status = (uint8_t)(c->status & ~I8042_COMMAND);
	switch (command) {
	case OUTPUT_WRITE:
		output_port_write(c, value);
		break;
	case KEYS_ANSWER:
	case AUX_ANSWER:               /* comes back without the mark of the auxiliary channel */
		answer(c, value, 0);
		break;
	case 0:                        /* to the keyboard, which switches its channel on */
		c->ram[0] &= (uint8_t)~I8042_KEYS_OFF;
		nobody_answers(c);
		break;
	case AUX_SEND:
		nobody_answers(c);
		break;
	default:
		ram_write(c, command % I8042_RAM, value);     /* 0x60 on */
	}
}

uint8_t i8042_status_read(const struct i8042 *c)
{
	return c->status;
}

static void simple_command(struct i8042 *c, uint8_t value)
{
	switch (value) {
	case AUX_TEST:
		answer(c, AUX_TEST_BAD, 0);
		break;
	case SELF_TEST:
		ram_write(c, 0, c->ram[0] | I8042_SYSTEM);
		answer(c, SELF_TEST_GOOD, 0);
		break;
	case KEYS_TEST:
		answer(c, KEYS_TEST_GOOD, 0);
		break;
	case KEYS_DISABLE:
		c->ram[0] |= I8042_KEYS_OFF;
		break;
	case KEYS_ENABLE:
		c->ram[0] &= (uint8_t)~I8042_KEYS_OFF;
		break;
	case INPUT_READ:
		answer(c, INPUT_PORT, 0);
		break;
	case OUTPUT_READ:
		answer(c, c->output_port, 0);
		break;
	case A20_OFF:
	case A20_ON:
		a20_set(c, value == A20_ON);
		break;
	case TEST_READ:
		answer(c, 0, 0);
		break;
	}
}

static int takes_byte(uint8_t command)
{
	return (command >= RAM_WRITE && command < RAM_WRITE + I8042_RAM) ||
	       (command >= OUTPUT_WRITE && command <= AUX_SEND);
}

const char *i8042_cannot_be(const struct i8042 *c)
{
	if (c->command && !takes_byte(c->command))
		return "command";
	if (c->status & ~(I8042_OUTPUT_FULL | I8042_SYSTEM | I8042_COMMAND | I8042_UNLOCKED | I8042_TIMEOUT))
		return "status";
	return c->fast & FAST_A20 ? "fast" : NULL;
}

void i8042_command_write(struct i8042 *c, uint8_t value)
{
	c->status |= I8042_COMMAND;
	c->command = 0;
	if (value >= PULSE) {          /* pulls those of the low four lines down whose bit is 0 */
		if (!(value & I8042_NO_RESET))
			c->ops->reset(c->arg);
	} else if (value >= RAM_READ && value < RAM_READ + I8042_RAM) {
		answer(c, c->ram[value - RAM_READ], 0);
	} else if (takes_byte(value)) {
		c->command = value;
	} else {
		simple_command(c, value);
	}
}

/* PS/2 Technical Reference, "System Control Port A": the fast ways to reset and A20. */
uint8_t i8042_fast_read(const struct i8042 *c)
{
	return c->fast | (c->output_port & I8042_A20 ? FAST_A20 : 0);
}

void i8042_fast_write(struct i8042 *c, uint8_t value)
{
	uint8_t rise = (uint8_t)(value & ~c->fast & FAST_RESET);

	a20_set(c, value & FAST_A20);
	c->fast = (uint8_t)(value & ~FAST_A20);
	if (rise)
		c->ops->reset(c->arg);
}
