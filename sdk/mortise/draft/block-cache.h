/* SPDX-License-Identifier: MIT */
/*
 * The kernel's write-back cache of a format's metadata, in pages of a child: get, change, say what is dirty, put.
 * Pages are written when the disk is flushed, when dirty ones are many, and when the node goes. The order is kept by
 * ranks: pages of a cache with a lower rank are durable before those with a higher rank are written (in qcow2:
 * reference counts 0, mapping tables 1, their directory 2). So change in such a way that a lower rank never needs
 * a higher one to be on disk first; space given up waits in `retire` (block-node.h) until it is.
 * For classes that are not parallel: all calls are under the instance lock, which covers the pages' contents too.
 */
#ifndef MORTISE_BLOCK_CACHE_H
#define MORTISE_BLOCK_CACHE_H

#include "block-node.h"

#define MT_IFACE_BLOCK_CACHE "mortise.block-cache/1"     /* host, for formats */
#define MT_BLOCK_RANKS 8u

struct mt_block_cache;

/* A page that one has got. The kernel has more behind it. */
struct mt_block_page {
	uint8_t *data;                   /* page_bytes; stays until put */
	uint64_t offset;                 /* of the child */
};

/* Flags of get. */
#define MT_BLOCK_PAGE_NEW  1u        /* what the file holds is of no interest: zeros, unless the page is in memory */
#define MT_BLOCK_PAGE_WAIT 2u        /* [main] or in an exclusive operation: reads it now; never MT_EAGAIN */

/* Flags of dirty. */
#define MT_BLOCK_DIRTY_AFTER_DATA 1u /* data that were written until now must be durable before the page is written */

struct mt_block_cache_host {
	/*
	 * [main] in realize. `page_bytes`: a power of two from 512 to 2 MiB; `limit_bytes`: how much clean metadata to
	 * keep, at least 16 pages; `rank` below MT_BLOCK_RANKS. Goes with the instance. NULL with `err`.
	 */
	struct mt_block_cache *(*create)(struct mt_inst *inst, uint32_t child, uint32_t page_bytes,
					 uint64_t limit_bytes, uint32_t rank, struct mt_error *err);
	/*
	 * [any] The page at `offset`, a multiple of page_bytes; every get is paired with put. Beyond the file's end a
	 * page has zeros. 0; MT_EAGAIN: it is being read, whatever asked is called again; MT_EIO; MT_ENOMEM.
	 */
	int32_t (*get)(struct mt_block_cache *cache, uint64_t offset, uint32_t flags, struct mt_block_page **page);
	/* [any] one more put is needed */
	void (*hold)(struct mt_block_cache *cache, struct mt_block_page *page);
	void (*put)(struct mt_block_cache *cache, struct mt_block_page *page);
	/* [any] bytes of the page have been changed, or are about to be before the call into the format ends */
	void (*dirty)(struct mt_block_cache *cache, struct mt_block_page *page, uint32_t from_byte, uint32_t len_bytes,
		      uint32_t flags);
	/* [any] Pages wholly inside the range are dropped, dirty or not, at the latest when they are put: given up. */
	void (*forget)(struct mt_block_cache *cache, uint64_t offset, uint64_t len_bytes);
	/* [main] or in an exclusive operation: writes all caches of the instance in order, durable; waits. */
	int32_t (*flush)(struct mt_inst *inst);
};

#endif
