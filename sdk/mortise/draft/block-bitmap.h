/* SPDX-License-Identifier: MIT */
/*
 * Dirty bitmaps that an image keeps: a bit for each piece of the disk, by which a backup takes only what was written
 * since the last one. A role beside mortise.block-image/1, optional. While an image is open for writing its file says
 * that all bitmaps are in use; a close puts that right for those that are still true.
 */
#ifndef MORTISE_BLOCK_BITMAP_H
#define MORTISE_BLOCK_BITMAP_H

#include "block-node.h"

#define MT_IFACE_BLOCK_BITMAPS "mortise.block-bitmaps/1"

#define MT_BLOCK_BITMAP_IN_USE  1u   /* not up to date, and not to be trusted: it can be removed only */
#define MT_BLOCK_BITMAP_ENABLED 2u   /* who writes to the disk has to mark it here too, or to say "in use" */

struct mt_block_bitmap {
	uint32_t size;
	uint32_t flags;                      /* MT_BLOCK_BITMAP_* */
	uint64_t granularity_bytes;          /* what one bit stands for: a power of two */
	char name[1024];                     /* unique in the image; UTF-8, not "" */
};

/*
 * Bits are bytes of eight, the lowest bit first; there are as many as pieces of granularity_bytes cover the disk, and
 * `len_bytes` is that number of bits in whole bytes. Behind the last bit: written as 0, read as anything.
 */
struct mt_block_bitmaps {
	/* [main] the number of them */
	uint32_t (*count)(void *self);
	/* [main] 0 or MT_ERANGE */
	int32_t (*get)(void *self, uint32_t index, struct mt_block_bitmap *out);
	/* [main] exclusive: one more, with no bit set. Flags: ENABLED or 0. It comes last. */
	int32_t (*add)(void *self, const struct mt_block_bitmap *what, struct mt_error *err);
	/* [main] exclusive */
	int32_t (*remove)(void *self, uint32_t index, struct mt_error *err);
	/* [main] exclusive. ENABLED or 0 */
	int32_t (*set_flags)(void *self, uint32_t index, uint32_t flags, struct mt_error *err);
	/* [main] exclusive, on a read-only node too */
	int32_t (*read)(void *self, uint32_t index, uint8_t *bits, uint64_t len_bytes, struct mt_error *err);
	/* [main] exclusive: all bits anew; NULL: none is set. All or nothing. */
	int32_t (*write)(void *self, uint32_t index, const uint8_t *bits, uint64_t len_bytes, struct mt_error *err);
};

#endif
