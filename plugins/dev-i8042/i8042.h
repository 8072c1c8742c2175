/* SPDX-License-Identifier: MIT */
/*
 * The PC's keyboard controller, an Intel 8042 with the firmware of the AT and one channel, on which there is no
 * keyboard: what is sent to it comes back as a time-out. What is left are the controller's own answers, the line that
 * resets the machine and the gate of A20, which is kept and masks nothing. Called under the instance lock.
 */
#ifndef I8042_H
#define I8042_H

#include <stdint.h>

#define I8042_RAM 32u

/* Status register */
#define I8042_OUTPUT_FULL 0x01u
#define I8042_SYSTEM      0x04u        /* as bit 2 of the command byte */
#define I8042_COMMAND     0x08u        /* the last write went to the command port */
#define I8042_UNLOCKED    0x10u        /* the front panel's key */
#define I8042_TIMEOUT     0x40u

/* Command byte, ram[0] */
#define I8042_INTERRUPT   0x01u
#define I8042_KEYS_OFF    0x10u
#define I8042_AUX_OFF     0x20u
#define I8042_TRANSLATE   0x40u

/* Output port, and port 0x92 */
#define I8042_NO_RESET    0x01u
#define I8042_A20         0x02u
#define FAST_RESET        0x01u
#define FAST_A20          0x02u

struct i8042_ops {
	void (*reset)(void *arg);                      /* asks; the caller goes on */
	void (*interrupt)(void *arg, uint32_t level);  /* of the keyboard */
};

struct i8042 {
	const struct i8042_ops *ops;
	void *arg;
	uint8_t ram[I8042_RAM];
	uint8_t status;
	uint8_t data;                  /* the output buffer */
	uint8_t command;               /* whose byte is awaited; 0: none, data are the keyboard's */
	uint8_t output_port;
	uint8_t fast;                  /* port 0x92, without its A20 bit, which is the output port's */
};

void i8042_init(struct i8042 *c, const struct i8042_ops *ops, void *arg);
void i8042_reset(struct i8042 *c);
uint8_t i8042_data_read(struct i8042 *c);
void i8042_data_write(struct i8042 *c, uint8_t value);
uint8_t i8042_status_read(const struct i8042 *c);
void i8042_command_write(struct i8042 *c, uint8_t value);
uint8_t i8042_fast_read(const struct i8042 *c);
void i8042_fast_write(struct i8042 *c, uint8_t value);
/* Drives the interrupt from the registers, after a load. */
void i8042_resume(struct i8042 *c);
/* NULL: the chip can be like this; else the member that it cannot have. */
const char *i8042_cannot_be(const struct i8042 *c);

#endif
