/* SPDX-License-Identifier: MIT */
/*
 * VMDK disks: a list of extents, each flat, zero or sparse. A sparse extent has a directory, in memory, of tables
 * with four bytes a grain, which come in pages of a sector from whoever calls. The core knows no bus, thread or
 * kernel. Every function is called under one lock, but those of grain.c.
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

/* A stream that was empty when it was opened, and is filled: stream.c. */
struct vmdk_stream {
	uint8_t header[VMDK_SECTOR];
	uint32_t **tables;                   /* sectors of grains; NULL, and what is NULL in it: none was written there */
	uint64_t next_grain;                 /* those before it cannot be written any more */
	int ended;                           /* the file has an end, at end_bytes */
	int changed;                         /* which the tables have outgrown */
	int torn;                            /* a grain was not written, and others behind it were */
};

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
	struct vmdk_stream *stream;          /* NULL: it is no stream, or has something in it */
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
	uint32_t encoded_bytes;              /* of a stream's grain */
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
/* The grain of a sparse extent at `offset` becomes the parent's: 1, *space as above; 0: it was. Or an error. */
int32_t vmdk_forget(struct vmdk *v, const struct vmdk_pages *pages, uint64_t offset, struct mt_block_space *space);
void vmdk_release(struct vmdk *v, const struct mt_block_space *space);
/* The grain that `offset` lies in, as far as the disk has it: where it begins and how long it is. 0: in no grain. */
uint64_t vmdk_grain_at(const struct vmdk *v, uint64_t offset, uint64_t *begin);

/* A free slot of `pending`, or MT_ENOMEM. */
int64_t vmdk_slot_take(struct vmdk *v);

/* stream.c */

/* The extent is an empty stream: grains are to be put at `begin_bytes`. 0 or MT_ENOMEM. */
int stream_open(struct vmdk_sparse *s, const uint8_t *header, uint64_t begin_bytes);
void stream_fini(struct vmdk_sparse *s);
/* Sector of a grain, 0: it was not written. */
uint32_t stream_entry(const struct vmdk_sparse *s, uint64_t grain);
/* For an encoded grain of extent 0; 1. MT_EPERM: it, or one behind it, was written; MT_ENOTSUP: not whole. */
int32_t stream_reserve(struct vmdk *v, const struct mt_block_want *want, struct mt_block_target *target);
void stream_commit(const struct vmdk_pending *p);
void stream_abort(const struct vmdk_pending *p);
/* Writes tables, directory and footer behind the last grain, and makes the file end there. */
int stream_end(struct vmdk_sparse *s, const struct mt_sink *sink);

/* check.c: adds what is found in an extent to the report; pages are waited for. 0 or MT_ENOMEM. */

struct vmdk_report {
	uint64_t total, allocated, encoded;
	uint64_t outside, doubled;           /* grains beyond the file's end; two at one place */
	uint64_t differing;                  /* sectors of tables that differ from their copy */
	uint64_t unread;                     /* grains whose entries cannot be read */
};
int vmdk_check(const struct vmdk_extent *x, const struct vmdk_pages *pages, uint64_t file_bytes,
	       struct vmdk_report *out);

/* grain.c: compressed grains. Any thread. */

struct grain_codec;                      /* what compressing needs, for whoever comes next */

struct grain_codec *grain_codec_new(void);
void grain_codec_free(struct grain_codec *c);
/* The marker, and the stream, and zeros up to a sector: how many bytes; MT_ENOSPC, MT_ENOMEM. */
int64_t grain_encode(struct grain_codec *c, uint64_t offset, const void *in, uint64_t in_bytes, void *out,
		     uint64_t out_bytes);
int32_t grain_decode(const struct mt_block_extent *extent, const void *in, void *out);

/* shared by map.c and write.c */

struct vmdk_extent *vmdk_extent_at(const struct vmdk *v, uint64_t offset);
/* Where the entry of grain `grain` stands in the file, and its copy (0: none). 0: there is no table. */
uint64_t sparse_entry_at(const struct vmdk_sparse *s, uint64_t grain, uint64_t *second);

#endif
