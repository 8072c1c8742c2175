/* SPDX-License-Identifier: MIT */
/* DMA handles over the system space. */
#ifndef MORTISE_KERNEL_DMA_H
#define MORTISE_KERNEL_DMA_H

#include <mortise/draft/dma.h>

#include "kernel/machine/inst.h"

/* [any] marks [ram_offset, +len) dirty for all clients, with the rules of mt_ram */
void ram_mark_dirty(struct mt_ram *ram, uint64_t ram_offset, uint64_t len_bytes);

extern const struct mt_dma_host dma_host;

#endif
