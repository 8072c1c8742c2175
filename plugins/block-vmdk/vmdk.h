/* SPDX-License-Identifier: MIT */
/*
 * VMDK disks: a list of extents, each flat, zero or sparse. A sparse extent has a directory, in memory, of tables
 * with four bytes a grain, which come in pages of a sector from whoever calls. The core knows no bus, thread or
 * kernel. Every function is called under one lock, but grain_decode and grain_encode, which have no state.
 * The rule that is easy to break: what needs a page that is not there returns MT_EAGAIN and has changed nothing.
 */
#ifndef BLOCK_VMDK_VMDK_H
#define BLOCK_VMDK_VMDK_H

#include <mortise/draft/block-format.h>
#include <mortise/error.h>
#include <util/source.h>

#include "descriptor.h"

#define VMDK_SECTOR    512u
#define VMDK_PAGE      512u
#define VMDK_GRAIN_MAX (1u << 20)
#define VMDK_GD_MAX    (4u << 20)        /* entries of all directories of a disk together: 16 MiB, twice */
#define VMDK_MARKER    12u               /* bytes before a compressed grain */

#define VMDK_GTE_ZERO 1u                 /* a zeroed grain, where the header says that there are such */

struct vmdk_sparse {
	uint64_t capacity_bytes, grain_bytes;
	uint64_t end_bytes;                  /* grains are added here */
	uint64_t whole_bytes;                /* the file was made so long, so that no grain ends behind its end */
	uint32_t table_entries;              /* of a grain table */
	uint32_t directory_entries;
	uint32_t *directory, *second;        /* sectors of the tables and of their copies; `second` may be NULL */
	uint64_t descriptor_offset, descriptor_bytes;
	int zero_grains, compressed, markers, footer;
	int can_write;
	uint32_t *spare;                     /* sectors of grains that nobody uses */
	uint32_t spare_count, spare_room;
};

struct vmdk_extent {
	enum vmdk_kind kind;
	uint32_t child;
	uint64_t disk_offset, len_bytes;
	uint64_t file_offset;                /* FLAT */
	struct vmdk_sparse sparse;           /* SPARSE, COWD */
};

/* A grain between reserve and commit or abort. */
struct vmdk_pending {
	struct vmdk_extent *extent;          /* NULL: the slot is free */
	uint64_t grain;
	uint32_t sector;
	uint32_t at, second_at;              /* where the entry is in its page */
	void *page, *second_page;            /* second_page NULL: there is no copy of the table */
	uint8_t *data, *second_data;
};

struct vmdk {
	struct vmdk_extent *extents;
	uint32_t count;
	uint32_t directory_left;             /* how many entries of directories may still be loaded */
	uint64_t disk_bytes;
	int parent;                          /* what is not here is the parent's */
	struct vmdk_pending *pending;        /* a cookie is the number of a slot */
	uint32_t pending_room;
};

/* Pages of VMDK_PAGE bytes of a child. */
struct vmdk_pages {
	/* 0, MT_EAGAIN, or another error; *data is the page's until put. */
	int32_t (*get)(void *arg, uint32_t child, uint64_t offset, void **page, uint8_t **data);
	void (*put)(void *arg, uint32_t child, void *page);
	/* four bytes from `at` on have been changed */
	void (*dirty)(void *arg, uint32_t child, void *page, uint32_t at);
	void *arg;
};

/* sparse.c: headers and directories */

#define VMDK_MAGIC 0x564d444bu           /* KDMV */
#define COWD_MAGIC 0x44574f43u

/* Header and directory of a sparse extent; to be given to sparse_fini also when it fails. `left`: see struct vmdk. */
int sparse_load(struct vmdk_sparse *s, const struct mt_source *source, uint32_t *left, struct mt_error *err);
void sparse_fini(struct vmdk_sparse *s);

/* map.c. Extents are in order of the disk and leave no gap. */

int vmdk_add(struct vmdk *v, enum vmdk_kind kind, uint64_t len_bytes, struct vmdk_extent **out);
void vmdk_fini(struct vmdk *v);
/* Extents from `offset` on; how many. MT_ERANGE beyond the end; MT_EIO: an entry cannot be right. */
int32_t vmdk_map(struct vmdk *v, const struct vmdk_pages *pages, uint64_t offset, uint64_t len_bytes,
		 struct mt_block_extent *out, uint32_t max);

/* write.c. Pages that commit or abort needs stay got from reserve on. */

int32_t vmdk_reserve(struct vmdk *v, const struct vmdk_pages *pages, uint64_t offset, uint64_t len_bytes,
		     struct mt_block_target *targets, uint32_t max);
int32_t vmdk_commit(struct vmdk *v, const struct vmdk_pages *pages, uint64_t cookie);
void vmdk_abort(struct vmdk *v, const struct vmdk_pages *pages, uint64_t cookie);
/*
 * One whole grain (or what of it the disk has) reads as zero. 1: changed, and *space is what nobody points to any
 * more, len_bytes 0 when it had none; 0: nothing to do; MT_ENOTSUP: zeros have to be written; MT_EAGAIN.
 */
int32_t vmdk_unmap(struct vmdk *v, const struct vmdk_pages *pages, uint64_t offset, int free_data,
		   struct mt_block_space *space);
void vmdk_release(struct vmdk *v, const struct mt_block_space *space);
/* The grain that `offset` lies in, as far as the disk has it: where it begins and how long it is. 0: in no grain. */
uint64_t vmdk_grain_at(const struct vmdk *v, uint64_t offset, uint64_t *begin);

/* check.c: adds what is found in an extent to the report; pages are waited for. 0 or MT_ENOMEM. */

struct vmdk_report {
	uint64_t total, allocated, encoded;
	uint64_t outside, doubled;           /* grains beyond the file's end; two at one place */
	uint64_t differing;                  /* sectors of tables that differ from their copy */
	uint64_t unread;                     /* grains whose entries cannot be read */
};
int vmdk_check(const struct vmdk_extent *x, const struct vmdk_pages *pages, uint64_t file_bytes,
	       struct vmdk_report *out);

/* grain.c: compressed grains */

int32_t grain_decode(const struct mt_block_extent *extent, const void *in, void *out);

/* shared by map.c and write.c */

struct vmdk_extent *vmdk_extent_at(const struct vmdk *v, uint64_t offset);
/* Where the entry of grain `grain` stands in the file, and its copy (0: none). 0: there is no table. */
uint64_t sparse_entry_at(const struct vmdk_sparse *s, uint64_t grain, uint64_t *second);

#endif
