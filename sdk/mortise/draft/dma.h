/* SPDX-License-Identifier: MIT */
/*
 * Access of a device to guest memory, through a handle that its bus gives (space and requester id). RAM only:
 * anything else is a decode error, so that no device can be made to call another; memory of type rom can be
 * read, and a class of kind MT_KIND_BOOT also fills it. Aligned accesses up to 8 bytes are single-copy atomic.
 * Writes set the dirty bitmaps.
 */
#ifndef MORTISE_DMA_H
#define MORTISE_DMA_H

#include "mmio.h"
#include "ram.h"

#define MT_IFACE_DMA "mortise.dma/1"

/* A piece of guest memory. Hot: no size. `ram` and `ram_offset` name it across a process line. */
struct mt_iov {
	uint8_t *hva;
	uint64_t len_bytes;
	struct mt_ram *ram;
	uint64_t ram_offset;
};

#define MT_DMA_TO_DEVICE   0u
#define MT_DMA_FROM_DEVICE 1u   /* the device writes memory */

struct mt_dma;

struct mt_dma_host {
	/* [main] the instance's handle; goes with the instance */
	struct mt_dma *(*get)(struct mt_inst *inst);
	/* [any] MT_BUS_*. A transfer that fails in the middle has moved the part before. */
	uint32_t (*read)(struct mt_dma *dma, uint64_t addr, void *buf, uint64_t len_bytes);
	uint32_t (*write)(struct mt_dma *dma, uint64_t addr, const void *buf, uint64_t len_bytes);
	uint32_t (*fill)(struct mt_dma *dma, uint64_t addr, uint8_t byte, uint64_t len_bytes);
	/*
	 * [any] Maps as much as fits into `max` pieces from `addr` on; returns the number of pieces (0: nothing
	 * there) and the bytes covered in *mapped_bytes. Every map is paired with unmap of the same pieces.
	 */
	uint32_t (*map)(struct mt_dma *dma, uint64_t addr, uint64_t len_bytes, uint32_t direction,
			struct mt_iov *iov, uint32_t max, uint64_t *mapped_bytes);
	/* [any] Ends a mapping; marks `written_bytes` from its start dirty when the direction was FROM_DEVICE. */
	void (*unmap)(struct mt_dma *dma, const struct mt_iov *iov, uint32_t count, uint32_t direction,
		      uint64_t written_bytes);
};

#endif
