/* SPDX-License-Identifier: MIT */
/*
 * The NS16550A's chip; see uart16550.h for who calls it and the rule about THRE. Names of registers and bits are
 * those of the PC16550D data sheet. All state is bounded; registers and values are a guest's choice.
 */
#include "uart16550.h"

#include <string.h>

/* Registers. */
#define RBR 0u   /* THR on writes, DLL with DLAB */
#define IER 1u   /* DLM with DLAB */
#define IIR 2u   /* FCR on writes */
#define LCR 3u
#define MCR 4u
#define LSR 5u
#define MSR 6u
#define SCR 7u

#define IER_RX     0x01u
#define IER_THRE   0x02u
#define IER_LINE   0x04u
#define IER_MODEM  0x08u
#define IER_MASK   0x0fu

#define IIR_NONE    0x01u
#define IIR_MODEM   0x00u
#define IIR_THRE    0x02u
#define IIR_RX      0x04u
#define IIR_LINE    0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFO    0xc0u

#define FCR_ENABLE   0x01u
#define FCR_RX_RESET 0x02u
#define FCR_TX_RESET 0x04u
#define FCR_KEEP     0xc9u   /* enable, DMA mode and trigger stay */

#define LCR_BREAK 0x40u
#define LCR_DLAB  0x80u

#define MCR_DTR  0x01u
#define MCR_RTS  0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_MASK 0x1fu

#define LSR_DR   0x01u
#define LSR_OE   0x02u
#define LSR_PE   0x04u
#define LSR_FE   0x08u
#define LSR_BI   0x10u
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u
#define LSR_FIFO_ERROR 0x80u
#define LSR_ERRORS (LSR_OE | LSR_PE | LSR_FE | LSR_BI)

#define MSR_DCTS 0x01u
#define MSR_DDSR 0x02u
#define MSR_TERI 0x04u
#define MSR_DDCD 0x08u
#define MSR_CTS  0x10u
#define MSR_DSR  0x20u
#define MSR_RI   0x40u
#define MSR_DCD  0x80u

static uint32_t fifo_enabled(const struct uart16550 *u)
{
	return u->fcr & FCR_ENABLE;
}

static uint32_t looped(const struct uart16550 *u)
{
	return u->mcr & MCR_LOOP;
}

static uint32_t trigger_level(const struct uart16550 *u)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return fifo_enabled(u) ? levels[u->fcr >> 6] : 1;
}

/* The condition of the highest priority that is enabled, as IIR shows it. */
static uint8_t condition(const struct uart16550 *u)
{
	if ((u->ier & IER_LINE) && u->lsr_errors)
		return IIR_LINE;
	if ((u->ier & IER_RX) && u->rx.count >= trigger_level(u))
		return IIR_RX;
	if ((u->ier & IER_RX) && u->timed_out)
		return IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	if ((u->ier & IER_MODEM) && u->msr_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update(struct uart16550 *u)
{
	uint8_t level = condition(u) != IIR_NONE;

	if (level == u->level)
		return;
	u->level = level;
	u->ops->interrupt(u->arg, level);
}

void uart16550_redrive(struct uart16550 *u)
{
	u->level = condition(u) != IIR_NONE;
	u->ops->interrupt(u->arg, u->level);
}

/* --- receiver --- */

/* Errors belong to the byte at the head of the FIFO and show in LSR when it gets there. */
static void reveal_errors(struct uart16550 *u)
{
	if (u->rx.count)
		u->lsr_errors |= u->rx_flag_data[u->rx_flags.head] & LSR_ERRORS;
}

/* After a byte came or was read: the time-out runs from now while bytes wait below the trigger level. */
static void timeout_restart(struct uart16550 *u)
{
	u->timed_out = 0;
	if (fifo_enabled(u))
		u->ops->timeout(u->arg, u->rx.count != 0);
}

uint32_t uart16550_room(const struct uart16550 *u)
{
	if (looped(u))
		return 0;      /* the receiver is cut off from its pin */
	return fifo_enabled(u) ? mt_fifo_room(&u->rx) : u->rx.count == 0;
}

static void rx_push(struct uart16550 *u, uint8_t byte, uint8_t flags)
{
	uint32_t full = fifo_enabled(u) ? !mt_fifo_room(&u->rx) : u->rx.count != 0;

	if (full) {
		u->lsr_errors |= LSR_OE;
		if (fifo_enabled(u))
			return;
		/* without FIFO the new byte replaces the old one */
		mt_fifo_clear(&u->rx);
		mt_fifo_clear(&u->rx_flags);
		u->rx_bad = 0;
	}
	mt_fifo_push(&u->rx, byte);
	mt_fifo_push(&u->rx_flags, flags);
	u->rx_bad += flags != 0;
	if (u->rx.count == 1)
		reveal_errors(u);
}

static void rx_clear(struct uart16550 *u)
{
	mt_fifo_clear(&u->rx);
	mt_fifo_clear(&u->rx_flags);
	u->rx_bad = 0;
	u->timed_out = 0;
	u->ops->timeout(u->arg, 0);
}

void uart16550_receive(struct uart16550 *u, const uint8_t *data, uint32_t len_bytes)
{
	if (looped(u) || !len_bytes)
		return;
	for (uint32_t i = 0; i < len_bytes; i++)
		rx_push(u, data[i], 0);
	timeout_restart(u);
	update(u);
}

void uart16550_break(struct uart16550 *u)
{
	if (looped(u))
		return;
	rx_push(u, 0, LSR_BI);
	timeout_restart(u);
	update(u);
}

void uart16550_timeout(struct uart16550 *u)
{
	if (!fifo_enabled(u) || !u->rx.count)
		return;
	u->timed_out = 1;
	update(u);
}

static uint8_t rbr_read(struct uart16550 *u)
{
	uint8_t byte = 0, flags = 0;

	if (!mt_fifo_pop(&u->rx, &byte))
		return 0;
	mt_fifo_pop(&u->rx_flags, &flags);
	u->rx_bad -= flags != 0;
	reveal_errors(u);
	timeout_restart(u);
	update(u);
	u->ops->receive_ready(u->arg);
	return byte;
}

/* --- transmitter --- */

static void thr_empty(struct uart16550 *u)
{
	u->thre_pending = 1;
	update(u);
}

static void transmit(struct uart16550 *u, uint8_t byte)
{
	if (looped(u)) {
		rx_push(u, byte, 0);
		timeout_restart(u);
		thr_empty(u);
	} else if (!u->tx.count && u->ops->transmit(u->arg, byte)) {
		/* THRE falls and rises again: the interrupt is due once more */
		thr_empty(u);
	} else {
		if (!fifo_enabled(u))
			mt_fifo_clear(&u->tx);   /* THR is overwritten */
		mt_fifo_push(&u->tx, byte);      /* a byte too many is lost, as in the chip */
		u->thre_pending = 0;
		update(u);
	}
}

void uart16550_writable(struct uart16550 *u)
{
	const uint8_t *run;
	uint32_t waited = u->tx.count;

	while (mt_fifo_peek(&u->tx, &run) && u->ops->transmit(u->arg, *run))
		mt_fifo_drop(&u->tx, 1);
	if (waited && !u->tx.count)
		thr_empty(u);
}

/* --- modem lines and loopback --- */

static uint8_t loop_lines(const struct uart16550 *u)
{
	return (u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
	       (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static uint8_t modem_lines(const struct uart16550 *u)
{
	return looped(u) ? loop_lines(u) : u->msr_lines;
}

/* RI counts when it falls only (TERI). */
static void modem_changed(struct uart16550 *u, uint8_t old)
{
	uint8_t now = modem_lines(u);

	u->msr_delta |= ((old ^ now) >> 4) & (MSR_DCTS | MSR_DDSR | MSR_DDCD);
	u->msr_delta |= ((old & ~now) >> 4) & MSR_TERI;
	update(u);
}

void uart16550_carrier(struct uart16550 *u, uint32_t on)
{
	uint8_t old = modem_lines(u);

	u->msr_lines = on ? MSR_CTS | MSR_DSR | MSR_DCD : 0;
	modem_changed(u, old);
}

static void mcr_write(struct uart16550 *u, uint8_t value)
{
	uint8_t old = modem_lines(u), was_looped = looped(u) != 0;

	u->mcr = value & MCR_MASK;
	modem_changed(u, old);
	if (was_looped && !looped(u))
		u->ops->receive_ready(u->arg);
}

static void lcr_write(struct uart16550 *u, uint8_t value)
{
	uint8_t rose = value & ~u->lcr;

	u->lcr = value;
	if (!(rose & LCR_BREAK) || !looped(u))
		return;
	rx_push(u, 0, LSR_BI);
	timeout_restart(u);
	update(u);
}

/* --- registers --- */

static void fcr_write(struct uart16550 *u, uint8_t value)
{
	uint8_t clear = value & (FCR_RX_RESET | FCR_TX_RESET);

	/* a change of the enable bit clears both; without it no other bit is programmed */
	if ((value ^ u->fcr) & FCR_ENABLE)
		clear = FCR_RX_RESET | FCR_TX_RESET;
	u->fcr = value & FCR_ENABLE ? value & FCR_KEEP : 0;
	if (clear & FCR_RX_RESET)
		rx_clear(u);
	if ((clear & FCR_TX_RESET) && u->tx.count) {
		mt_fifo_clear(&u->tx);
		u->thre_pending = 1;
	}
	update(u);
	if (clear & FCR_RX_RESET)
		u->ops->receive_ready(u->arg);
}

static void ier_write(struct uart16550 *u, uint8_t value)
{
	uint8_t rose = value & ~u->ier;

	u->ier = value & IER_MASK;
	/* enabling the THRE interrupt while THR is empty raises it at once */
	if ((rose & IER_THRE) && !u->tx.count)
		u->thre_pending = 1;
	update(u);
}

static uint8_t iir_read(struct uart16550 *u)
{
	uint8_t iir = condition(u);

	if (iir == IIR_THRE) {
		u->thre_pending = 0;
		update(u);
	}
	return iir | (fifo_enabled(u) ? IIR_FIFO : 0);
}

static uint8_t lsr_read(struct uart16550 *u)
{
	uint8_t lsr = u->lsr_errors | (u->rx.count ? LSR_DR : 0) | (u->tx.count ? 0 : LSR_THRE | LSR_TEMT);

	if (fifo_enabled(u) && u->rx_bad)
		lsr |= LSR_FIFO_ERROR;
	if (u->lsr_errors) {
		u->lsr_errors = 0;
		/* seen: the byte at the head counts as good from now on */
		if (u->rx.count && u->rx_flag_data[u->rx_flags.head]) {
			u->rx_flag_data[u->rx_flags.head] = 0;
			u->rx_bad--;
		}
		update(u);
	}
	return lsr;
}

static uint8_t msr_read(struct uart16550 *u)
{
	uint8_t msr = modem_lines(u) | u->msr_delta;

	if (u->msr_delta) {
		u->msr_delta = 0;
		update(u);
	}
	return msr;
}

uint8_t uart16550_read(struct uart16550 *u, uint32_t reg)
{
	switch (reg) {
	case RBR:
		return u->lcr & LCR_DLAB ? u->dll : rbr_read(u);
	case IER:
		return u->lcr & LCR_DLAB ? u->dlm : u->ier;
	case IIR:
		return iir_read(u);
	case LCR:
		return u->lcr;
	case MCR:
		return u->mcr;
	case LSR:
		return lsr_read(u);
	case MSR:
		return msr_read(u);
	case SCR:
		return u->scr;
	default:
		return 0;
	}
}

static void divisor_write(struct uart16550 *u, uint32_t reg, uint8_t value)
{
	if (reg == RBR)
		u->dll = value;
	else
		u->dlm = value;
}

void uart16550_write(struct uart16550 *u, uint32_t reg, uint8_t value)
{
	if (reg <= IER && (u->lcr & LCR_DLAB)) {
		divisor_write(u, reg, value);
		return;
	}
	switch (reg) {
	case RBR:
		transmit(u, value);
		break;
	case IER:
		ier_write(u, value);
		break;
	case IIR:
		fcr_write(u, value);
		break;
	case LCR:
		lcr_write(u, value);
		break;
	case MCR:
		mcr_write(u, value);
		break;
	case SCR:
		u->scr = value;
		break;
	}
}

uint64_t uart16550_timeout_ns(const struct uart16550 *u, uint64_t clock_hz)
{
	uint64_t divisor = u->dll | (uint32_t)u->dlm << 8;
	/* start and stop bit, word, parity, second stop bit */
	uint64_t bits = 2 + 5 + (u->lcr & 3) + (u->lcr >> 3 & 1) + (u->lcr >> 2 & 1);

	if (!divisor || !clock_hz)
		divisor = 1;
	return 4 * bits * 16 * divisor * 1000000000 / (clock_hz ? clock_hz : 1843200);
}

void uart16550_init(struct uart16550 *u, const struct uart16550_ops *ops, void *arg)
{
	memset(u, 0, sizeof(*u));
	u->ops = ops;
	u->arg = arg;
	mt_fifo_init(&u->rx, u->rx_data, UART16550_FIFO_BYTES);
	mt_fifo_init(&u->rx_flags, u->rx_flag_data, UART16550_FIFO_BYTES);
	mt_fifo_init(&u->tx, u->tx_data, UART16550_FIFO_BYTES);
}

/* Bytes that were not yet accepted go with the reset; the lines that the outside drives stay. */
void uart16550_reset(struct uart16550 *u)
{
	u->ier = u->lcr = u->mcr = u->scr = u->fcr = 0;
	u->dll = 1;
	u->dlm = 0;
	u->lsr_errors = u->msr_delta = u->thre_pending = 0;
	mt_fifo_clear(&u->tx);
	rx_clear(u);
	update(u);
}
