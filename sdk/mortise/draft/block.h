/* SPDX-License-Identifier: MIT */
/*
 * Block: disks as a graph of nodes. A front (a disk device) names a format node in a REF property (role
 * "mortise.block-format/1"); a format maps ranges of the disk to ranges of its children; the kernel does the I/O,
 * the backing chain, copy-on-write and zero-filling. A read of mapped data runs no plugin code.
 * Offsets and lengths are bytes. Formats: block-format.h, block-node.h, block-cache.h, block-image.h, block-create.h.
 */
#ifndef MORTISE_BLOCK_H
#define MORTISE_BLOCK_H

#include "dma.h"

#define MT_IFACE_BLOCK        "mortise.block/1"          /* host, for fronts */

/* What a disk is. `size` is the caller's; outputs beyond it are left out. */
struct mt_block_info {
	uint32_t size;
	uint32_t flags;                  /* MT_BLOCK_INFO_* */
	uint64_t disk_bytes;
	uint32_t block_bytes;            /* logical block; I/O of other alignment works, slower */
	uint32_t physical_bytes;         /* best alignment of writes; a multiple of block_bytes */
	uint32_t discard_bytes;          /* granularity of discards; 0: no discard */
	uint32_t optimal_bytes;          /* good transfer length; 0: unknown */
	uint32_t unit_bytes;             /* space is allocated by so many bytes; 0: all in place */
	uint32_t reserved;
};
#define MT_BLOCK_INFO_READONLY 1u
#define MT_BLOCK_INFO_VOLATILE 2u    /* completed writes need a flush to be durable */
#define MT_BLOCK_INFO_STREAM   4u    /* takes whole units only, each once, in order of the disk; encodes all of them */

/* Operations. */
#define MT_BLOCK_READ    1u
#define MT_BLOCK_WRITE   2u
#define MT_BLOCK_FLUSH   3u          /* all writes completed before are durable */
#define MT_BLOCK_DISCARD 4u          /* contents become undefined */
#define MT_BLOCK_ZERO    5u          /* reads as zero afterwards */

#define MT_BLOCK_FUA       1u        /* WRITE, ZERO: durable when completed */
#define MT_BLOCK_MAY_UNMAP 2u        /* ZERO: space may be given back */
#define MT_BLOCK_ENCODE    4u        /* WRITE of whole units: store them compressed, where the format can */
#define MT_BLOCK_ALLOCATE  8u        /* ZERO: space is taken for it; not with MAY_UNMAP */
#define MT_BLOCK_FAST      16u       /* ZERO: MT_ENOTSUP where zeros would have to be written */

/*
 * A request. Hot: no size. The front's memory; the kernel's between submit and reap, with what it points to.
 * Data are the bytes from `iov_skip_bytes` on of the pieces, `len_bytes` of them; what follows is not touched, so
 * that a virtqueue element needs no copy of its list.
 */
struct mt_block_req {
	uint32_t op, flags;
	uint64_t offset, len_bytes;
	const struct mt_iov *iov;
	uint32_t iov_count;
	uint32_t iov_skip_bytes;
	int32_t result;                  /* 0 or MT_E* */
	uint32_t reserved;
	void *user;                      /* the front's */
};

/* Properties of a front: put them into the note beside one's own. */
#define MT_BLOCK_FRONT_PROPS(P, c) \
	P(c, rerror, "rerror", MT_PROP_ENUM, "report", "report|stop|ignore", "", 0, \
	  "a read fails: tell the guest; stop the machine and try again when it goes on; say that it went well") \
	P(c, werror, "werror", MT_PROP_ENUM, "report", "report|stop|ignore|enospc", "", 0, \
	  "the same for all that writes; enospc: stop when the host has no space left, else report")

/* What to do with a request that failed. */
#define MT_BLOCK_FAILED_REPORT 0u    /* it failed */
#define MT_BLOCK_FAILED_IGNORE 1u    /* it went well, as far as the guest is to know */
#define MT_BLOCK_FAILED_KEEP   2u    /* not answered: the machine stops soon, and resume submits it again */

/* What a front gives. */
struct mt_block_front {
	/* [io] under the front's lock: completions wait for reap */
	void (*ready)(void *self);
	/* [io] under the front's lock: info has changed (size); NULL: of no interest */
	void (*changed)(void *self);
};

/* A front's end of a disk. Goes with the instance. All calls below: under the front's instance lock. */
struct mt_block;

struct mt_block_host {
	/*
	 * [main] in realize: opens the node that REF property `prop` names. `write` 0: reads only. NULL with `err`
	 * when it cannot be (locked by another process, read-only, absent property). An instance may open one node
	 * several times, a handle a queue: handles are independent, their `ready` come with their own `self`, and only
	 * the calls of one and the same handle must not be in parallel.
	 */
	struct mt_block *(*open)(struct mt_inst *inst, const char *prop, uint32_t write,
				 const struct mt_block_front *front, void *self, struct mt_error *err);
	/* [any] */
	void (*info)(struct mt_block *block, struct mt_block_info *out);
	/*
	 * [vcpu] or [io] Starts requests, all with one call into the host where that is possible. Returns how many
	 * completions wait for reap already; for these `ready` is not called.
	 */
	uint32_t (*submit)(struct mt_block *block, struct mt_block_req *const *reqs, uint32_t count);
	/* [vcpu] or [io] takes up to `max` completed requests; fewer: no more now, `ready` will tell */
	uint32_t (*reap)(struct mt_block *block, struct mt_block_req **done, uint32_t max);
	/* [any] waits until nothing is in flight; everything then waits for reap. For reset and quiesce. */
	void (*drain)(struct mt_block *block);
	/* [any] */
	uint32_t (*in_flight)(struct mt_block *block);
	/*
	 * [vcpu] or [io] A request has been reaped with an error: MT_BLOCK_FAILED_*, by the front's properties, and the
	 * user is told. What is to be kept belongs to the front, whose saved state has it too, and is dropped by a reset.
	 */
	uint32_t (*failed)(struct mt_block *block, const struct mt_block_req *req);
};

#endif
