/* SPDX-License-Identifier: MIT */
/*
 * Making a new image and knowing one by its looks. Roles of a class, not of an instance: their functions get no self
 * and keep nothing. Files are the kernel's: it has made file 0, empty, and puts all of them into place when create
 * has succeeded, or removes them.
 */
#ifndef MORTISE_BLOCK_CREATE_H
#define MORTISE_BLOCK_CREATE_H

#include "block-bitmap.h"
#include "block-image.h"

#define MT_IFACE_BLOCK_CREATE "mortise.block-create/1"   /* role */
#define MT_IFACE_BLOCK_PROBE  "mortise.block-probe/1"    /* role */

/* One option of `create -o` and `amend -o`. An array of them ends in one without name. */
struct mt_block_option {
	const char *name;                /* as qemu-img has it, where it has it: "cluster_size" */
	uint32_t type;                   /* MT_BLOCK_VALUE_* */
	uint32_t flags;                  /* MT_BLOCK_OPTION_* */
	const char *deflt;               /* for people; NULL: none */
	const char *range;               /* STRING: "a|b|c" or NULL; INT and SIZE: "MIN..MAX" or NULL */
	const char *help;
};
#define MT_BLOCK_OPTION_AMEND  1u    /* amend can change it */
#define MT_BLOCK_OPTION_CREATE 2u    /* create takes it */

struct mt_block_maker;               /* the kernel's: the files of an image that is being made */

/* The kernel's functions for create. All [main]; they wait. 0 or MT_E*. */
struct mt_block_maker_host {
	uint32_t size;
	uint32_t reserved;
	/* The name of file `file` without folder, as the user gave it ("disk.vmdk"). */
	const char *(*name)(struct mt_block_maker *maker, uint32_t file);
	/* One more file in the folder of file 0, `name` without folder. Its number, or a code with `err`. */
	int32_t (*file_add)(struct mt_block_maker *maker, const char *name, struct mt_error *err);
	int32_t (*read)(struct mt_block_maker *maker, uint32_t file, uint64_t offset, void *buf, uint64_t len_bytes);
	int32_t (*write)(struct mt_block_maker *maker, uint32_t file, uint64_t offset, const void *buf,
			 uint64_t len_bytes);
	/* Beyond the old end zeros; a block device keeps what it has: an error when it is too small. */
	int32_t (*resize)(struct mt_block_maker *maker, uint32_t file, uint64_t len_bytes);
	/* As child_allocate of block-node.h. */
	int32_t (*allocate)(struct mt_block_maker *maker, uint32_t file, uint64_t offset, uint64_t len_bytes,
			    uint32_t mode);
	/* Random bytes for identifiers. */
	void (*random)(struct mt_block_maker *maker, void *buf, uint32_t len_bytes);
	/*
	 * Reads the first bytes of the backing image file itself, for formats that link to it by an identifier of its
	 * own. The number of bytes, or MT_ENOENT: there is no backing file, or it was left closed.
	 */
	int64_t (*backing_read)(struct mt_block_maker *maker, uint64_t offset, void *buf, uint64_t len_bytes);
};

/* What is to be made. */
struct mt_block_create_want {
	uint32_t size;
	uint32_t value_count;
	uint64_t disk_bytes;
	const char *backing, *backing_format;            /* to be stored as they are; NULL: none */
	const struct mt_block_value *values;             /* options that the user gave, legal by the table */
	uint32_t flags;                                  /* MT_BLOCK_CREATE_* */
	uint32_t reserved;
};
#define MT_BLOCK_CREATE_DEVICE 1u    /* file 0 is a block device, with a length that stays */

struct mt_block_create {
	/* [main] The table, constant. */
	const struct mt_block_option *(*options)(void);
	/* [main] Writes an empty image; `want->disk_bytes` is a multiple of 512 only if the user chose so. */
	int32_t (*create)(const struct mt_block_maker_host *host, struct mt_block_maker *maker,
			  const struct mt_block_create_want *want, struct mt_error *err);
	/*
	 * [main] How long an image for `want` would be: *required with `data_bytes` of data in it, scattered by units
	 * that this format would allocate, and *full with all of the disk allocated. NULL: not known.
	 */
	int32_t (*measure)(const struct mt_block_create_want *want, uint64_t data_bytes, uint64_t *required,
			   uint64_t *full, struct mt_error *err);
	/*
	 * [main] Bytes that these bitmaps would take in an image for `want`, beside what measure says, with all of their
	 * bits stored. A code: such an image has none. NULL: nor has any of the format.
	 */
	int64_t (*measure_bitmaps)(const struct mt_block_create_want *want, const struct mt_block_bitmap *bitmaps,
				   uint32_t count);
};

#define MT_BLOCK_PROBE_BYTES 4096u

struct mt_block_probe {
	/*
	 * [any] What the file looks like: 0 not this format to 100 certain. `head` has its first `head_bytes` (at most
	 * MT_BLOCK_PROBE_BYTES), `tail` its last `tail_bytes` (at most 512; for formats that end in a footer).
	 */
	uint32_t (*probe)(const void *head, uint32_t head_bytes, const void *tail, uint32_t tail_bytes,
			  uint64_t file_bytes);
};

#endif
