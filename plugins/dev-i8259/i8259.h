/* SPDX-License-Identifier: MIT */
/*
 * The PC's pair of Intel 8259A interrupt controllers (data sheet 231468), the second one on input 2 of the first,
 * with the edge and level registers that PCI brought (Intel PIIX, ICH: ELCR). Inputs 0 to 7 are the first's, 8 to 15
 * the second's. The chips know no thread: the caller has a lock around every call. Easy to break: the first chip sees
 * the second one's INT as an edge, so it must fall whenever the second one was acknowledged, even if it rises again
 * at once.
 */
#ifndef I8259_H
#define I8259_H

#include <stdint.h>

#define I8259_INPUTS  16u
#define I8259_CASCADE 2u           /* the input of the first chip that is the second one's INT */

struct i8259_chip {
	uint8_t line;              /* levels of the inputs */
	uint8_t irr;               /* edges that were seen and not acknowledged */
	uint8_t isr, imr, elcr;
	uint8_t icw1, icw2, icw3, icw4;
	uint8_t step;              /* the ICW that comes next, 2 to 4; 0: none */
	uint8_t ready;             /* all of them have come */
	uint8_t lowest;            /* the input of the lowest priority: 7, or rotated */
	uint8_t special_mask, rotate_auto, poll, read_isr;
};

struct i8259 {
	struct i8259_chip chips[2];
	uint32_t ended;            /* inputs whose interrupts have ended, a bit each; for the caller to take */
};

/* As at power on: of no use until it gets its initialization words. Levels of lines stay. */
void i8259_reset(struct i8259 *p);
void i8259_input(struct i8259 *p, uint32_t input, uint32_t level);
/* `chip` 0 or 1, `port` its A0. A read may be an acknowledgement (poll). */
uint8_t i8259_read(struct i8259 *p, uint32_t chip, uint32_t port);
void i8259_write(struct i8259 *p, uint32_t chip, uint32_t port, uint8_t value);
uint8_t i8259_elcr_read(const struct i8259 *p, uint32_t chip);
void i8259_elcr_write(struct i8259 *p, uint32_t chip, uint8_t value);
/* The first one's INT. */
uint32_t i8259_output(const struct i8259 *p);
/* The INTA cycles of a CPU: the vector. Without a request it is that of input 7, which is not in service then. */
uint8_t i8259_acknowledge(struct i8259 *p);
/* NULL: the chips can be like this, and are made whole; else the reason why not. */
const char *i8259_cannot_be(struct i8259 *p);

#endif
