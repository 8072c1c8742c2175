/* SPDX-License-Identifier: MIT */
/*
 * Saved state of the NS16550A: schema "ns16550a". The interrupt output and the number of bad bytes follow from the
 * rest. Called under the chip's lock.
 */
#include <lib/fifo-state.h>
#include <string.h>
#include <util/state.h>

#include "uart16550.h"

#define FCR_LEGAL 0xc9u        /* enable, DMA mode, trigger */
#define ERRORS    0x1eu        /* OE PE FE BI */

static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct uart16550, ier, 0x0f),
	MT_STATE_VAR(struct uart16550, lcr, 0xff),
	MT_STATE_VAR(struct uart16550, mcr, 0x1f),
	MT_STATE_VAR(struct uart16550, scr, 0xff),
	MT_STATE_VAR(struct uart16550, dll, 0xff),
	MT_STATE_VAR(struct uart16550, dlm, 0xff),
	MT_STATE_VAR(struct uart16550, fcr, FCR_LEGAL),
	MT_STATE_VAR(struct uart16550, lsr_errors, ERRORS),
	MT_STATE_VAR(struct uart16550, msr_delta, 0x0f),
	MT_STATE_VAR(struct uart16550, msr_lines, 0xf0),
	MT_STATE_VAR(struct uart16550, thre_pending, 1),
	MT_STATE_VAR(struct uart16550, timed_out, 1),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct uart16550, fields);

void uart16550_save(struct uart16550 *u, struct mt_state_out *out, const struct mt_state_writer *w)
{
	mt_state_save(out, w, &table, u);
	mt_fifo_save(out, w, "rx", &u->rx);
	mt_fifo_save(out, w, "rx-flags", &u->rx_flags);
	mt_fifo_save(out, w, "tx", &u->tx);
}

/* FIFOs of a copy have their storage in the copy. */
static void storage_here(struct uart16550 *u)
{
	u->rx.data = u->rx_data;
	u->rx_flags.data = u->rx_flag_data;
	u->tx.data = u->tx_data;
}

static int fifos_load(struct uart16550 *u, struct mt_state_in *in, const struct mt_state_reader *r)
{
	int code = mt_fifo_load(in, r, "rx", &u->rx);

	if (!code)
		code = mt_fifo_load(in, r, "rx-flags", &u->rx_flags);
	if (!code)
		code = mt_fifo_load(in, r, "tx", &u->tx);
	if (!code && u->rx.count != u->rx_flags.count)
		return r->refuse(in, "rx-flags", "has not one for each byte");
	u->rx_bad = 0;
	for (uint32_t i = 0; !code && i < u->rx_flags.count; i++) {
		if (u->rx_flag_data[i] & ~ERRORS)
			return r->refuse(in, "rx-flags", "has flags that no byte has");
		u->rx_bad += u->rx_flag_data[i] != 0;
	}
	return code;
}

int uart16550_load(struct uart16550 *u, struct mt_state_in *in, const struct mt_state_reader *r)
{
	struct uart16550 loaded = *u;
	int code;

	storage_here(&loaded);
	code = mt_state_load(in, r, &table, 1, &loaded);
	if (!code && (loaded.fcr & ~FCR_LEGAL || (loaded.fcr && !(loaded.fcr & 1))))
		code = r->refuse(in, "fcr", "has bits that the chip does not keep");
	if (!code && (loaded.msr_lines & 0x0f || loaded.lsr_errors & ~ERRORS))
		code = r->refuse(in, "msr_lines", "or lsr_errors have bits of others");
	if (!code)
		code = fifos_load(&loaded, in, r);
	if (code)
		return code;
	*u = loaded;
	storage_here(u);
	return 0;
}
