/* SPDX-License-Identifier: MIT */
/*
 * Guest memory as a virtqueue sees it: a held view and the translation of guest-physical ranges to pieces of
 * host memory. The source is a table of functions, so that rings are tested without a machine.
 * A hold is counted without atomics: everything here is called under the lock of one device.
 */
#ifndef KERNEL_VIRTIO_MEM_H
#define KERNEL_VIRTIO_MEM_H

#include <mortise/draft/dma.h>
#include <stdbool.h>

struct vmem {
	/* the newest view, held until put; NULL: memory is out of the device's reach now, which is no fault of a ring */
	const struct mt_flat_view *(*get)(void *arg);
	void (*put)(void *arg, const struct mt_flat_view *view);
	void (*dirty)(struct mt_ram *ram, uint64_t ram_offset, uint64_t len_bytes);
	void *arg;
};

/* A view that is held for as long as somebody uses pieces of it. */
struct vmem_hold {
	const struct mt_flat_view *view;
	const struct mt_flat_range *last;                   /* most pieces fall into the same range */
	unsigned refs;
};

/* NULL: no memory. */
struct vmem_hold *vmem_hold_create(const struct vmem *mem, const struct mt_flat_view *view);
void vmem_hold_put(const struct vmem *mem, struct vmem_hold *hold);

/*
 * Translates the start of [gpa, +len_bytes) as far as it is contiguous. The bytes covered; 0 when there is no
 * RAM (for `write`: no writable RAM).
 */
uint64_t vmem_piece(struct vmem_hold *hold, uint64_t gpa, uint64_t len_bytes, bool write, struct mt_iov *piece);

/* The guest-physical address of a piece that was made from the hold's view. */
uint64_t vmem_gpa(const struct vmem_hold *hold, const struct mt_iov *piece);

#endif
