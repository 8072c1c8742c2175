/* SPDX-License-Identifier: MIT */
/*
 * The format kind of block node: it maps, it does not copy. Life by mortise.device/1; in realize it opens its
 * children (named by PATH or REF properties of its section: a plugin has no open of its own).
 *
 * A mapping is a lease: the kernel may keep and use it until the format invalidates its range; space freed
 * under it is not used again before `drained` says that the I/O begun under it is over.
 * Writes that need space: reserve -> the kernel writes data and fill -> commit or abort. The kernel serialises
 * overlapping writes per allocation unit and holds no lease during an exclusive operation.
 * Calls into one node are under its instance lock unless its class is parallel. They come from any front's
 * thread, so they do not wait: what needs metadata that is not in memory returns MT_EAGAIN, reads it, and
 * then says map_ready.
 */
#ifndef MORTISE_BLOCK_FORMAT_H
#define MORTISE_BLOCK_FORMAT_H

#include "block.h"

#define MT_IFACE_BLOCK_FORMAT "mortise.block-format/1"   /* role of a format */
#define MT_IFACE_BLOCK_NODE   "mortise.block-node/1"     /* host, for formats */

/* Properties of a section whose child is a file: put them into the note beside one's own. */
#define MT_BLOCK_FILE_PROPS(P, c) \
	P(c, file, "file", MT_PROP_PATH, "", "", "", MT_PROPF_REQUIRED, "image file or block device") \
	P(c, readonly, "readonly", MT_PROP_BOOL, "off", "", "", 0, "refuse writes") \
	P(c, cache, "cache", MT_PROP_ENUM, "writeback", "writeback|none|unsafe", "", 0, \
	  "writeback: host's page cache, flushes honoured; none: around the page cache; unsafe: flushes are ignored") \
	P(c, discard, "discard", MT_PROP_BOOL, "on", "", "", 0, "give space of discarded blocks back to the host") \
	P(c, engine, "engine", MT_PROP_ENUM, "auto", "auto|io_uring|threads", "", 0, "how the host does the I/O") \
	P(c, locking, "locking", MT_PROP_BOOL, "on", "", "", 0, \
	  "lock the file, so that no other process writes it at the same time")

/* Kinds of extents. A kernel refuses kinds that it does not know. */
#define MT_BLOCK_EXT_ZERO    1u      /* reads as zero */
#define MT_BLOCK_EXT_DATA    2u      /* at `child_offset` of `child` */
#define MT_BLOCK_EXT_BACKING 3u      /* not here: the backing chain has it, at the same offset */
#define MT_BLOCK_EXT_ENCODED 4u      /* `encoded_bytes` at `child_offset`, for decode */

#define MT_BLOCK_EXT_WRITABLE  1u    /* DATA may be overwritten in place */
#define MT_BLOCK_EXT_ALLOCATED 2u    /* space is taken in this layer (ZERO too) */

/* One extent of a map. Hot: no size; strides are given. */
struct mt_block_extent {
	uint64_t len_bytes;              /* from where the one before ended */
	uint64_t child_offset;
	uint64_t cookie;                 /* ENCODED: the format's own */
	uint32_t kind, flags;            /* MT_BLOCK_EXT_* */
	uint32_t child;                  /* number that child_open gave */
	uint32_t encoded_bytes;
};

#define MT_BLOCK_MAP_READ  1u
#define MT_BLOCK_MAP_WRITE 2u        /* extents without WRITABLE will be reserved next */

/* Answer to reserve: where the data of one range go. */
struct mt_block_target {
	uint64_t offset, len_bytes;      /* of the disk */
	uint64_t child_offset;
	uint64_t fill_head_bytes;        /* around it, in the same unit: to be filled from what was there before */
	uint64_t fill_tail_bytes;
	uint64_t cookie;                 /* for commit and abort */
	uint32_t child;
	uint32_t flags;                  /* MT_BLOCK_TARGET_* */
};
#define MT_BLOCK_TARGET_ZEROED  1u   /* the unit reads as zero already: no fill of zeros needed */
#define MT_BLOCK_TARGET_DURABLE 2u   /* commit wants the data durable, not only written */

struct mt_block_format {
	/* [main] after realize, and after node_changed */
	void (*info)(void *self, struct mt_block_info *out);
	/*
	 * [any] Maps from `offset` on; at least one extent, not necessarily up to len_bytes, perhaps beyond it.
	 * The number of extents, MT_EAGAIN, or another error.
	 */
	int32_t (*map)(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		       struct mt_block_extent *extents, uint32_t max);
	/* The rest may be NULL in a format that needs no allocation (all DATA is WRITABLE), or cannot write. */
	/* [any] `op` MT_BLOCK_WRITE. The number of targets, MT_EAGAIN, MT_ENOSPC, ... */
	int32_t (*reserve)(void *self, uint64_t offset, uint64_t len_bytes, uint32_t op,
			   struct mt_block_target *targets, uint32_t max);
	/* [any] the data are written (or durable) / will not be; in batches */
	int32_t (*commit)(void *self, const uint64_t *cookies, uint32_t count);
	void (*abort)(void *self, const uint64_t *cookies, uint32_t count);
	/* [any] MT_BLOCK_ZERO or MT_BLOCK_DISCARD as a change of mapping; MT_ENOTSUP: the kernel writes zeros */
	int32_t (*unmap)(void *self, uint64_t offset, uint64_t len_bytes, uint32_t op, uint32_t flags);
	/* [any] metadata to the children, in order; 0, or MT_EAGAIN and then metadata_flushed */
	int32_t (*flush)(void *self);
	/* [any] no I/O begun under leases up to `ticket` is in flight any more */
	void (*drained)(void *self, uint64_t ticket);
	/* [any], in parallel, on a stable copy: one ENCODED extent into its `out_bytes` plain bytes */
	int32_t (*decode)(void *self, const struct mt_block_extent *extent, const void *in, void *out,
			  uint64_t out_bytes);
};

struct mt_block_child_info {
	uint32_t size;
	uint32_t flags;                  /* MT_BLOCK_INFO_* */
	uint64_t child_bytes;
	uint32_t block_bytes, physical_bytes;
};

struct mt_block_node {
	/*
	 * [main] in realize: opens what the PATH or REF property `prop` names as the next child; its number (0 is
	 * the first), or a negative code with `err`. Read-only when the section says so.
	 */
	int32_t (*child_open)(struct mt_inst *inst, const char *prop, struct mt_block_child_info *out,
			      struct mt_error *err);
	/* [main] in realize: the disk below, for BACKING extents. MT_ENOENT: property absent. */
	int32_t (*backing_open)(struct mt_inst *inst, const char *prop, struct mt_block_child_info *out,
				struct mt_error *err);
	/* [main] or a worker: metadata I/O that may wait */
	int32_t (*child_read)(struct mt_inst *inst, uint32_t child, uint64_t offset, void *buf, uint64_t len_bytes);
	int32_t (*child_write)(struct mt_inst *inst, uint32_t child, uint64_t offset, const void *buf,
			       uint64_t len_bytes);
	int32_t (*child_flush)(struct mt_inst *inst, uint32_t child);
	/* [any] leases on this range end; the ticket that `drained` will name. len_bytes 0: all. */
	uint64_t (*invalidate)(struct mt_inst *inst, uint64_t offset, uint64_t len_bytes);
	/* [any] map (or reserve) that returned MT_EAGAIN is worth asking again */
	void (*map_ready)(struct mt_inst *inst);
	void (*metadata_flushed)(struct mt_inst *inst, int32_t result);
};

#endif
