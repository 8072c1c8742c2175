/* SPDX-License-Identifier: MIT */
/*
 * What can be done with an image as a whole: roles beside mortise.block-format/1, each optional, and each function of
 * one NULL where a format has no such thing.
 *
 * Exclusive operations ([main], marked so) run while the kernel holds no lease, has nothing in flight and has written
 * the caches; they may wait: MT_BLOCK_PAGE_WAIT, child_read and the like. On return without error the change is
 * durable; on error the image is as before, or says that it needs repair. The kernel flushes the caches after them.
 */
#ifndef MORTISE_BLOCK_IMAGE_H
#define MORTISE_BLOCK_IMAGE_H

#include "block-node.h"

#define MT_IFACE_BLOCK_IMAGE     "mortise.block-image/1"     /* role: info, check, resize, amend */
#define MT_IFACE_BLOCK_SNAPSHOTS "mortise.block-snapshots/1" /* role: internal snapshots */

/* Types of facts and of options. A SIZE is a decimal number of bytes, a BOOL "true" or "false" as a fact. */
#define MT_BLOCK_VALUE_STRING 1u
#define MT_BLOCK_VALUE_BOOL   2u
#define MT_BLOCK_VALUE_INT    3u
#define MT_BLOCK_VALUE_SIZE   4u

/* Names of facts that several formats have: */
#define MT_BLOCK_FACT_CLUSTER     "cluster-size"             /* SIZE */
#define MT_BLOCK_FACT_COMPRESSED  "compressed"               /* BOOL */
#define MT_BLOCK_FACT_ENCRYPTED   "encrypted"                /* BOOL */
#define MT_BLOCK_FACT_DIRTY       "dirty-flag"               /* BOOL */
#define MT_BLOCK_FACT_BACKING     "backing-filename"         /* STRING, as in the image */
#define MT_BLOCK_FACT_BACKING_FMT "backing-filename-format"  /* STRING */
/* All others are the format's own ("compat", "lazy-refcounts", ...). */

/*
 * A list: facts "extents/0/filename", "extents/0/format", "extents/1/filename" are two elements of "extents", in order
 * and after one another. A "filename" in one is looked for in the image's folder; "" is the image itself.
 */

#define MT_BLOCK_CHECK_LEAKS 1u      /* repair: give leaked space back */
#define MT_BLOCK_CHECK_ALL   2u      /* repair: errors too, where that is possible */

struct mt_block_check {
	uint32_t size;
	uint32_t reserved;
	uint64_t corruptions, leaks, errors;             /* found; errors: what could not be looked at */
	uint64_t corruptions_fixed, leaks_fixed;
	uint64_t units_total, units_allocated, units_fragmented, units_encoded;
	uint64_t image_end_bytes;                        /* behind the last byte in use of child 0 */
};

#define MT_BLOCK_RESIZE_SHRINK 1u    /* data beyond the new end may be lost */

/* An option as the user gave it: checked against the table of mt_block_create (block-create.h). */
struct mt_block_value {
	const char *name, *value;
};

struct mt_block_image {
	/* [main] Calls `fact` for what the format knows of the image. */
	void (*describe)(void *self, void (*fact)(void *arg, const char *name, uint32_t type, const char *value),
			 void *arg);
	/*
	 * [main] exclusive. `repair` MT_BLOCK_CHECK_* (0: look only, on a read-only node too). `finding` gets a line for
	 * each thing that was found. 0 (also when there were findings) or a code with `err`.
	 */
	int32_t (*check)(void *self, uint32_t repair, struct mt_block_check *out,
			 void (*finding)(void *arg, const char *line), void *arg, struct mt_error *err);
	/* [main] exclusive. `prealloc` MT_BLOCK_PREALLOC_* of what is added. */
	int32_t (*resize)(void *self, uint64_t disk_bytes, uint32_t flags, uint32_t prealloc, struct mt_error *err);
	/* [main] exclusive: changes options of the image in place */
	int32_t (*amend)(void *self, const struct mt_block_value *values, uint32_t count, struct mt_error *err);
	/* [main] exclusive: the name of the backing file, and its format; NULL: none from now on. Opens nothing. */
	int32_t (*backing_set)(void *self, const char *name, const char *format, struct mt_error *err);
	/* [main] exclusive: all units of this layer become BACKING, after a commit. */
	int32_t (*make_empty)(void *self, struct mt_error *err);
};

struct mt_block_snapshot {
	uint32_t size;
	uint32_t reserved;
	uint64_t disk_bytes, vm_state_bytes;
	uint64_t date_sec, date_nsec;                    /* since 1970 */
	uint64_t vm_clock_ns;
	uint64_t icount;                                 /* UINT64_MAX: not known */
	char id[64], name[256];
};

struct mt_block_snapshots {
	/* [main] the number of them */
	uint32_t (*count)(void *self);
	/* [main] 0 or MT_ERANGE */
	int32_t (*get)(void *self, uint32_t index, struct mt_block_snapshot *out);
	/* [main] exclusive. id "": the format chooses one. disk_bytes is left out of account. */
	int32_t (*create)(void *self, const struct mt_block_snapshot *what, struct mt_error *err);
	/* [main] exclusive: the disk becomes what it was, its size too */
	int32_t (*apply)(void *self, uint32_t index, struct mt_error *err);
	/* [main] exclusive */
	int32_t (*remove)(void *self, uint32_t index, struct mt_error *err);
	/*
	 * [main] exclusive, on a read-only node: from now on the disk is that snapshot, until the node goes
	 */
	int32_t (*show)(void *self, uint32_t index, struct mt_error *err);
	/*
	 * [main] exclusive. State of the machine that the next create keeps with the snapshot (write), and that apply
	 * or show has brought (read). MT_ENOTSUP: this format has no room for it.
	 */
	int32_t (*vm_state_write)(void *self, uint64_t offset, const void *buf, uint64_t len_bytes);
	int32_t (*vm_state_read)(void *self, uint64_t offset, void *buf, uint64_t len_bytes);
};

#endif
