/* SPDX-License-Identifier: MIT */
/*
 * The format kind of block node: it maps, it does not copy. Life by mortise.device/1; in realize it opens its
 * children by block-node.h (a plugin has no open of its own). The kernel does all I/O of data, the backing chain,
 * copy-on-write and zero fill; a read of mapped data runs no code of the format.
 *
 * A mapping is a lease: the kernel may keep and use it until the format invalidates its range. Space is given up by
 * `retire` and not used again before `retired` says that nothing can reach it any more.
 * Writes that need space: reserve -> the kernel writes data and fill -> commit or abort. The kernel serialises
 * overlapping writes per allocation unit, and holds no lease during an exclusive operation (block-image.h).
 *
 * Calls into one node are under its instance lock unless its class is parallel; decode and encode are never. They
 * come from any front's thread, so they do not wait: what needs a page of metadata that is not in memory
 * (block-cache.h) returns MT_EAGAIN having changed nothing, and is called again when the page is there. So: first
 * get all pages, then change them.
 */
#ifndef MORTISE_BLOCK_FORMAT_H
#define MORTISE_BLOCK_FORMAT_H

#include "block-node.h"

#define MT_IFACE_BLOCK_FORMAT "mortise.block-format/1"   /* role of a format */
/*
 * Beside it, a class names each format that it serves as a role "format/NAME" ("format/qcow2"): the name of
 * `-f NAME`, and of backing formats in images.
 */

/* Kinds of extents. A kernel refuses kinds that it does not know. */
#define MT_BLOCK_EXT_ZERO    1u      /* reads as zero */
#define MT_BLOCK_EXT_DATA    2u      /* at `child_offset` of `child` */
#define MT_BLOCK_EXT_BACKING 3u      /* not here: the backing chain has it, at the same offset */
#define MT_BLOCK_EXT_ENCODED 4u      /* a unit of `encoded_bytes` at `child_offset`, for decode; see `skip_bytes` */

#define MT_BLOCK_EXT_WRITABLE  1u    /* DATA may be overwritten in place */
#define MT_BLOCK_EXT_ALLOCATED 2u    /* space is taken in this layer (ZERO too) */

/* One extent of a map, in an array of them. Hot: no size. */
struct mt_block_extent {
	uint64_t len_bytes;              /* from where the one before ended, the first from `offset` on; not 0 */
	uint64_t child_offset;
	uint64_t cookie;                 /* ENCODED: the format's own, for decode */
	uint32_t kind, flags;            /* MT_BLOCK_EXT_* */
	uint32_t child;                  /* number that child_open gave */
	uint32_t encoded_bytes;          /* ENCODED */
	uint32_t unit_bytes;             /* ENCODED: decoded length of the whole unit */
	uint32_t skip_bytes;             /* ENCODED: where in the decoded unit the extent begins */
};

#define MT_BLOCK_MAP_READ  1u
#define MT_BLOCK_MAP_WRITE 2u        /* extents without WRITABLE will be reserved next */

/* What a write wants space for. Lies inside of what map answered. Hot: no size. */
struct mt_block_want {
	uint64_t offset, len_bytes;
	uint32_t encoded_bytes;          /* not 0: one unit (unit_bytes, or up to the disk's end), in so many bytes */
	uint32_t reserved;
};

/* Answer to reserve: where the data of one range go. Hot: no size. */
struct mt_block_target {
	uint64_t offset, len_bytes;      /* of the disk; targets follow each other from want.offset on, perhaps not to
					    the end: then the kernel asks again */
	uint64_t child_offset;           /* of `offset` */
	uint64_t fill_head_bytes;        /* of the disk before and behind the range, in the same unit: to be filled */
	uint64_t fill_tail_bytes;        /* with what was there before, at the places before and behind in the child */
	uint64_t cookie;                 /* for commit and abort */
	uint32_t child;
	uint32_t flags;                  /* MT_BLOCK_TARGET_* */
};
#define MT_BLOCK_TARGET_ZEROED  1u   /* the place reads as zero already: zeros need no writing */
#define MT_BLOCK_TARGET_DURABLE 2u   /* commit wants data and fill durable, not only written */

struct mt_block_format {
	/*
	 * [main] after realize, after node_changed and after exclusive operations. `unit_bytes` is what writes are
	 * serialised by, and what unmap needs whole.
	 */
	void (*info)(void *self, struct mt_block_info *out);
	/*
	 * [any] Maps from `offset` on; at least one extent, not necessarily up to len_bytes, perhaps beyond it. Longer
	 * extents are better. The number of extents, MT_EAGAIN, or another error (MT_EIO: the image is damaged).
	 */
	int32_t (*map)(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		       struct mt_block_extent *extents, uint32_t max);
	/* The rest may be NULL in a format that needs no allocation (all DATA is WRITABLE), or cannot write. */
	/*
	 * [any] The number of targets, MT_EAGAIN, MT_ENOSPC, ... Until commit or abort of a cookie, map answers as
	 * before.
	 */
	int32_t (*reserve)(void *self, const struct mt_block_want *want, struct mt_block_target *targets,
			   uint32_t max);
	/*
	 * [any] The data are written (or durable): map answers anew. In batches; never MT_EAGAIN, so a reservation
	 * keeps hold of the pages that this needs. The kernel has forgotten its leases of the targets' ranges.
	 */
	int32_t (*commit)(void *self, const uint64_t *cookies, uint32_t count);
	/* [any] The data will not be written. */
	void (*abort)(void *self, const uint64_t *cookies, uint32_t count);
	/*
	 * [any] MT_BLOCK_ZERO or MT_BLOCK_DISCARD of whole units (or up to the disk's end) as a change of mapping.
	 * Returns the bytes done from `offset` on (not 0), MT_EAGAIN, or MT_ENOTSUP: the kernel writes zeros, and
	 * lets a discard be. Space is retired; with MT_BLOCK_MAY_UNMAP absent a zero unit should keep its space.
	 */
	int64_t (*unmap)(void *self, uint64_t offset, uint64_t len_bytes, uint32_t op, uint32_t flags);
	/*
	 * [any] Before the kernel writes the pages of this node's caches, in one step with its copying them: the last
	 * chance to bring into them what the format keeps beside them, and to make the file as long as they say. 0,
	 * MT_EAGAIN or an error, which is the flush's. NULL: nothing.
	 */
	int32_t (*flush)(void *self);
	/*
	 * [any] Space that was retired can be used again: no I/O can reach it, and what pointed to it before is gone
	 * from the file. How many of the items were dealt with; MT_EAGAIN: none, call again.
	 */
	int32_t (*retired)(void *self, const struct mt_block_space *items, uint32_t count);
	/*
	 * [any], in parallel, without the instance lock, on a stable copy: `in` holds encoded_bytes, `out` takes
	 * unit_bytes. 0 or MT_EIO.
	 */
	int32_t (*decode)(void *self, const struct mt_block_extent *extent, const void *in, void *out);
	/*
	 * The same backwards, for MT_BLOCK_ENCODE and disks with MT_BLOCK_INFO_STREAM, of the unit at `offset`: the length
	 * of what it wrote to `out`, or MT_ENOSPC when it does not become shorter than `out_bytes`; then the kernel
	 * writes it as it is, or fails where all is to be encoded: there `out` has room for an eighth more than a unit.
	 */
	int64_t (*encode)(void *self, uint64_t offset, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes);
	/*
	 * [any], may wait. Comes before the first map for writing, reserve, unmap or exclusive operation since realize, and
	 * since `rest`; again where it failed. What the file says as long as it may change ("in use") goes into it here, so
	 * that a disk that nobody writes to leaves its file alone. All caches are written. 0, or an error, which is the
	 * write's. NULL: nothing.
	 */
	int32_t (*wake)(void *self);
	/*
	 * [main], waits, as in an exclusive operation. Leaves the file as unrealize would, which then writes nothing unless
	 * there was a write, with a wake before it: a saved machine knows its disk by the file's length and time. 0 or
	 * MT_E*. NULL: unrealize writes nothing.
	 */
	int32_t (*rest)(void *self);
};

#endif
