/* SPDX-License-Identifier: MIT */
/*
 * The chip of an NS16550A: registers, FIFOs, interrupt conditions, loopback, modem lines, break. Knows no bus,
 * lock, clock or terminal: the caller serialises all calls on one chip; `ops` are called inside them.
 * The rule that is easy to break: THRE is true only when every byte written has been accepted outside; a byte
 * that was not waits in the transmit FIFO for uart16550_writable.
 */
#ifndef UART16550_H
#define UART16550_H

#include <lib/fifo.h>
#include <mortise/draft/state.h>
#include <stdint.h>

#define UART16550_FIFO_BYTES 16u
#define UART16550_REGISTERS  8u

struct uart16550_ops {
	/* 1: accepted (or nobody is there to take it); 0: not now, uart16550_writable follows */
	int (*transmit)(void *arg, uint8_t byte);
	/* the interrupt output changed */
	void (*interrupt)(void *arg, uint32_t level);
	/* the receiver can take bytes again */
	void (*receive_ready)(void *arg);
	/* starts (again) or ends the wait for the character time-out; uart16550_timeout follows when it is over */
	void (*timeout)(void *arg, uint32_t start);
};

struct uart16550 {
	const struct uart16550_ops *ops;
	void *arg;
	uint8_t ier, lcr, mcr, scr, dll, dlm, fcr;
	uint8_t lsr_errors;        /* OE PE FE BI as the next LSR read shows them */
	uint8_t msr_delta;         /* low half of MSR */
	uint8_t msr_lines;         /* high half of MSR that the outside drives */
	uint8_t thre_pending;      /* an interrupt for THRE was raised and not yet read from IIR */
	uint8_t timed_out;         /* character time-out */
	uint8_t level;             /* of the interrupt output */
	struct mt_fifo rx, rx_flags, tx;   /* rx_flags: LSR bits of each byte in rx */
	uint8_t rx_data[UART16550_FIFO_BYTES], rx_flag_data[UART16550_FIFO_BYTES];
	uint8_t tx_data[UART16550_FIFO_BYTES];
	uint32_t rx_bad;           /* bytes in rx with flags */
};

void uart16550_init(struct uart16550 *u, const struct uart16550_ops *ops, void *arg);
void uart16550_reset(struct uart16550 *u);
uint8_t uart16550_read(struct uart16550 *u, uint32_t reg);
void uart16550_write(struct uart16550 *u, uint32_t reg, uint8_t value);

/* From outside. How many bytes can be received now; bytes beyond are overruns. */
uint32_t uart16550_room(const struct uart16550 *u);
void uart16550_receive(struct uart16550 *u, const uint8_t *data, uint32_t len_bytes);
void uart16550_break(struct uart16550 *u);
void uart16550_writable(struct uart16550 *u);
void uart16550_timeout(struct uart16550 *u);
/* The other side is there (CTS, DSR and DCD on) or not. */
void uart16550_carrier(struct uart16550 *u, uint32_t on);
/* Drives the output again, as the conditions say. */
void uart16550_redrive(struct uart16550 *u);
/* state.c: the chip's saved state. A refused load changes nothing. */
void uart16550_save(struct uart16550 *u, struct mt_state_out *out, const struct mt_state_writer *w);
int uart16550_load(struct uart16550 *u, struct mt_state_in *in, const struct mt_state_reader *r);
/* Four character times in ns, from the divisor and the frame; `clock_hz` of the crystal. */
uint64_t uart16550_timeout_ns(const struct uart16550 *u, uint64_t clock_hz);

#endif
