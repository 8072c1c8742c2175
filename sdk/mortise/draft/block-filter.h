/* SPDX-License-Identifier: MIT */
/*
 * The filter kind of block node: it sees each operation before the operation begins, and lets it pass, holds it for a
 * time, or fails it. It stands in one of two places, and does not know in which:
 *   over a disk:                       REF property "child" of the filter names the disk, a front names the filter;
 *   between a format and its files:    property "through" of the format's section names the filter.
 * It maps nothing. Its note names the role mortise.block-format/1 beside its own and has no table for that one: the
 * kernel maps straight through, so that data that pass run no code of the filter.
 *
 * Life by mortise.device/1. In realize it opens "child" first, by child_open of block-node.h (MT_ENOENT: there is none,
 * as between a format and its files), and then children of its own, such as a log.
 */
#ifndef MORTISE_BLOCK_FILTER_H
#define MORTISE_BLOCK_FILTER_H

#include "block-node.h"

#define MT_IFACE_BLOCK_FILTER "mortise.block-filter/1"   /* role of a filter */

/* The properties of every filter: put them into the note beside one's own. */
#define MT_BLOCK_FILTER_PROPS(P, c) \
	P(c, child, "child", MT_PROP_REF, "", "mortise.block-format/1", "", 0, \
	  "the disk below; absent where a format names the filter in its property through")

/* One operation. Hot: no size. */
struct mt_block_filter_op {
	uint32_t op, flags;              /* MT_BLOCK_READ ... MT_BLOCK_ZERO; MT_BLOCK_FUA and the like */
	uint64_t offset, len_bytes;      /* of the disk below, or of the file; FLUSH: 0 */
	const void *data;                /* WRITE that `ends` asks for: what is written, a stable copy; else NULL */
	uint64_t now_ns;                 /* the host's monotonic clock at begin */
};
#define MT_BLOCK_FILTER_BIT(op) (1u << (op))             /* of an operation in a mask */
#define MT_BLOCK_FILTER_ALL \
	(MT_BLOCK_FILTER_BIT(MT_BLOCK_READ) | MT_BLOCK_FILTER_BIT(MT_BLOCK_WRITE) | \
	 MT_BLOCK_FILTER_BIT(MT_BLOCK_FLUSH) | MT_BLOCK_FILTER_BIT(MT_BLOCK_DISCARD) | \
	 MT_BLOCK_FILTER_BIT(MT_BLOCK_ZERO))

struct mt_block_filter {
	uint32_t ops;                    /* mask of what the filter understands; all else is refused, not let by */
	uint32_t ends;                   /* mask of what `end` is called for */
	/*
	 * [any] An operation wants to begin; under the instance lock unless the class is parallel; it does not wait.
	 * 0: it may, after `*delay_ns` (0 when called). A negative code: it fails with that, after the delay. A drain
	 * cuts all delays short.
	 */
	int32_t (*begin)(void *self, const struct mt_block_filter_op *op, uint64_t *delay_ns);
	/*
	 * [any], on a thread that may wait, without the instance lock: an operation that begin let pass is over, with
	 * `result`, and whoever asked for it has not been told. Returns what to tell. child_write and child_flush
	 * of block-node.h are legal here, on children of the filter's own. NULL: `ends` is 0.
	 */
	int32_t (*end)(void *self, const struct mt_block_filter_op *op, int32_t result);
};

#endif
