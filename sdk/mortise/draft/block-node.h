/* SPDX-License-Identifier: MIT */
/*
 * What the kernel does for a format: opens its children and its backing disk, reads and writes what is not worth a
 * cache, ends leases, and says when given-up space is free. Numbers of children count from 0 in order of opening.
 * Names that stand in an image are denied unless the machine file or the user allows them: the kernel's affair.
 */
#ifndef MORTISE_BLOCK_NODE_H
#define MORTISE_BLOCK_NODE_H

#include "block.h"

#define MT_IFACE_BLOCK_NODE "mortise.block-node/1"       /* host, for formats */

/* Properties of a section whose child is a file: put them into the note beside one's own. */
#define MT_BLOCK_FILE_PROPS(P, c) \
	P(c, file, "file", MT_PROP_PATH, "", "", "", MT_PROPF_REQUIRED, "image file or block device") \
	P(c, readonly, "readonly", MT_PROP_BOOL, "off", "", "", 0, "refuse writes") \
	P(c, cache, "cache", MT_PROP_ENUM, "writeback", "writeback|none|unsafe", "", 0, \
	  "writeback: host's page cache, flushes honoured; none: around the page cache; unsafe: flushes are ignored") \
	P(c, discard, "discard", MT_PROP_BOOL, "on", "", "", 0, "give space of discarded blocks back to the host") \
	P(c, engine, "engine", MT_PROP_ENUM, "auto", "auto|io_uring|threads", "", 0, "how the host does the I/O") \
	P(c, locking, "locking", MT_PROP_BOOL, "on", "", "", 0, \
	  "lock the file, so that no other process writes it at the same time") \
	P(c, through, "through", MT_PROP_REF, "", "mortise.block-filter/1", "", 0, \
	  "filter between the image and its files: all that is read and written goes through it")

/* Beside them, for formats whose images name other files (backing disk, extents, data file). */
#define MT_BLOCK_ALLOW_PROPS(P, c) \
	P(c, allow, "allow", MT_PROP_LIST, "", "", "", 0, \
	  "folders beneath which files that the image names may be opened; without, none is")
#define MT_BLOCK_BACKING_PROPS(P, c) \
	MT_BLOCK_ALLOW_PROPS(P, c) \
	P(c, backing, "backing", MT_PROP_REF, "", "mortise.block-format/1", "", 0, \
	  "the disk below, in place of the one that the image names")

struct mt_block_child_info {
	uint32_t size;
	uint32_t flags;                  /* MT_BLOCK_INFO_*, MT_BLOCK_CHILD_* */
	uint64_t child_bytes;
	uint32_t block_bytes, physical_bytes;
};
#define MT_BLOCK_CHILD_GROWS  0x100u /* a file: writing beyond its end makes it longer, with zeros in the gap */
#define MT_BLOCK_CHILD_CLOSED 0x200u /* the backing disk was left closed, as the user wished */
#define MT_BLOCK_CHILD_SLOW_END 0x400u /* a file by direct I/O: writes that make it longer wait for one another */

/* Space that the format gave up. */
struct mt_block_space {
	uint64_t offset, len_bytes;      /* of the child */
	uint64_t cookie;                 /* the format's own */
	uint32_t child;
	uint32_t reserved;
};

struct mt_block_node {
	/*
	 * [main] in realize: opens what the PATH or REF property `prop` names as the next child; its number, or a
	 * negative code with `err`. Read-only when the section says so.
	 */
	int32_t (*child_open)(struct mt_inst *inst, const char *prop, struct mt_block_child_info *out,
			      struct mt_error *err);
	/* [main] in realize: the same for a name in the image, relative to the image's folder. MT_EPERM: not allowed. */
	int32_t (*child_open_name)(struct mt_inst *inst, const char *name, struct mt_block_child_info *out,
				   struct mt_error *err);
	/*
	 * [main] in realize, once, where the class has MT_BLOCK_BACKING_PROPS: the disk below, for BACKING extents.
	 * `name` and `format` as the image has them: NULL where there is no disk below, name "" where there is one that the
	 * image does not name; the property comes before them. 0; MT_ENOENT, without words: there is none; else a code
	 * with `err`.
	 */
	int32_t (*backing_open)(struct mt_inst *inst, const char *name, const char *format,
				struct mt_block_child_info *out, struct mt_error *err);
	/*
	 * [main], in an exclusive operation, in the format's flush, or in a filter's end: I/O that waits, around the
	 * caches. Beyond the end of a file reads give zeros. child_flush: what was written is durable. child_resize: to
	 * exactly `len_bytes`; to make a file longer, or a little shorter, which hardly waits, [any].
	 */
	int32_t (*child_read)(struct mt_inst *inst, uint32_t child, uint64_t offset, void *buf, uint64_t len_bytes);
	int32_t (*child_write)(struct mt_inst *inst, uint32_t child, uint64_t offset, const void *buf,
			       uint64_t len_bytes);
	int32_t (*child_flush)(struct mt_inst *inst, uint32_t child);
	int32_t (*child_resize)(struct mt_inst *inst, uint32_t child, uint64_t len_bytes);
	/*
	 * [main] or in an exclusive operation: takes space now. MT_BLOCK_PREALLOC_FALLOC: as the host's file system does;
	 * _FULL: by writing zeros. A block device has zeros there by any mode; _METADATA does nothing to a file.
	 */
	int32_t (*child_allocate)(struct mt_inst *inst, uint32_t child, uint64_t offset, uint64_t len_bytes,
				  uint32_t mode);
	/* [any] length of the child now */
	uint64_t (*child_bytes)(struct mt_inst *inst, uint32_t child);
	/* [any] Leases on this range of the disk end. len_bytes 0: all. Commit and unmap need not: the kernel knows. */
	void (*invalidate)(struct mt_inst *inst, uint64_t offset, uint64_t len_bytes);
	/*
	 * [any] Nothing that the caches hold points to this space any more: `retired` will follow, when the caches are
	 * written and I/O under old leases is over. 0 or MT_ENOMEM (the space leaks).
	 */
	int32_t (*retire)(struct mt_inst *inst, const struct mt_block_space *space);
	/* [any] Space that `retired` gave back has become free: the host may have it (property discard). */
	void (*child_discard)(struct mt_inst *inst, uint32_t child, uint64_t offset, uint64_t len_bytes);
	/* [any] What returned MT_EAGAIN for another reason than a page of a cache is worth asking again. */
	void (*map_ready)(struct mt_inst *inst);
	/* [main] or in an exclusive operation: info is to be asked again */
	void (*node_changed)(struct mt_inst *inst);
	/*
	 * [main] in realize, or in an exclusive operation: the fact `name` that describe (block-image.h) tells of the disk
	 * below, which filters do not hide, cut to `out_bytes` with its NUL. 0; MT_ENOENT: it has none, or is closed.
	 */
	int32_t (*backing_fact)(struct mt_inst *inst, const char *name, char *out, uint32_t out_bytes);
};
#define MT_BLOCK_PREALLOC_OFF      0u
#define MT_BLOCK_PREALLOC_METADATA 1u
#define MT_BLOCK_PREALLOC_FALLOC   2u
#define MT_BLOCK_PREALLOC_FULL     3u

#endif
