/* SPDX-License-Identifier: MIT */
/* DMA handles over the system space, and access to guest memory by host pointer. */
#ifndef MORTISE_KERNEL_DMA_H
#define MORTISE_KERNEL_DMA_H

#include <mortise/draft/dma.h>

#include "kernel/machine/inst.h"

/* [any] marks [ram_offset, +len) dirty for all clients, with the rules of mt_ram; call it after the write */
void ram_mark_dirty(struct mt_ram *ram, uint64_t ram_offset, uint64_t len_bytes);

/*
 * [any] Copies from and to guest memory. An aligned copy of 1, 2, 4 or 8 bytes is one access: a vCPU sees all
 * of it or nothing. Such loads acquire and such stores release, so that a ring's index that is read before,
 * or written after, the entries that it covers is in order with them.
 */
void ram_load(const uint8_t *hva, void *buf, uint64_t len_bytes);
void ram_store(uint8_t *hva, const void *buf, uint64_t len_bytes);

/*
 * What a bus knows of an instance that is on it: handles made from now on bear the requester id, and while the gate
 * is shut they reach nothing. NULL: it has left the bus. [main]; the gate stays until then.
 */
struct dma_gate {
	uint32_t open;                 /* atomic */
	uint32_t requester;
};
void dma_gate_set(struct mt_inst *inst, const struct dma_gate *gate);
const struct dma_gate *dma_gate_of(const struct mt_inst *inst);

static inline bool dma_gate_open(const struct dma_gate *gate)
{
	return !gate || __atomic_load_n(&gate->open, __ATOMIC_ACQUIRE);
}

extern const struct mt_dma_host dma_host;

#endif
