/* SPDX-License-Identifier: MIT */
/*
 * QEMU's copy-on-write disks. The core: it knows the host's two interfaces for formats (block-node.h, block-cache.h)
 * and nothing else, so that a test or a fuzzer can be that host. Every function is called under one lock, but for the
 * codec. L1 table and refcount table are in memory as a whole, L2 tables and refcount blocks come in slices through
 * caches. In exclusive operations `wait` is set, and no function returns MT_EAGAIN.
 * Easy to break: what returns MT_EAGAIN has changed nothing that the caller would do again; and references are
 * taken before they are used, and given up (retire) only after what used them is changed.
 */
#ifndef BLOCK_QCOW2_QCOW2_H
#define BLOCK_QCOW2_QCOW2_H

#include <mortise/draft/block-bitmap.h>
#include <mortise/draft/block-cache.h>
#include <mortise/draft/block-format.h>
#include <mortise/draft/block-image.h>
#include <mortise/error.h>
#include <stddef.h>

#include "layout.h"

/* Ranks of the caches: each is durable before the next is written. With lazy refcounts blocks come with the L2s. */
#define RANK_BLOCKS   0u
#define RANK_REFTABLE 1u
#define RANK_HEADER   2u
#define RANK_L2       3u
#define RANK_L1       4u

#define QCOW2_SLICES    16u              /* of a table, at most */
#define QCOW2_L2_CACHE  (32u << 20)      /* how much of the L2 tables is kept, at most */

struct codec;

/* A header extension, as it is. */
struct qcow2_ext {
	uint32_t type, len;
	uint8_t *data;
};

/* The header, decoded. */
struct qcow2_header {
	uint32_t version, cluster_bits, l1_size, reftable_clusters, snapshot_count, refcount_order, header_bytes;
	uint32_t compression;                /* 0 zlib, 1 zstd */
	uint64_t disk_bytes, l1_offset, reftable_offset, snapshot_offset;
	uint64_t incompatible, compatible, autoclear;
	uint8_t *more;                       /* bytes of the header that we do not know, from HDR_OUR_BYTES on */
	struct qcow2_ext *exts;
	uint32_t ext_count;
	char *backing, *backing_format;      /* NULL: none */
};

struct qcow2_snapshot {
	uint64_t l1_offset;
	uint32_t l1_size;
	uint32_t date_sec, date_nsec;
	uint64_t clock_ns, vm_state_bytes, disk_bytes, icount;
	uint32_t extra_bytes;                /* of the table entry: what it has beyond what we know is kept */
	uint8_t *extra;
	char *id, *name;
};

/* Numbers of clusters, with a kind each: where the metadata are. */
enum meta_kind { META_NONE, META_HEADER, META_L1, META_L2, META_REFTABLE, META_BLOCK, META_SNAPSHOT, META_MIXED };
struct meta {
	uint64_t *slots;                     /* cluster << 3 | kind; 0: empty */
	uint64_t room, used;
};

struct run {
	uint64_t cluster, count;
};

/* A reservation. `page` and `blocks` are kept so that commit and abort need not wait. */
enum pending_kind { PENDING_FREE, PENDING_NEW, PENDING_REUSE, PENDING_ENCODED };
struct pending {
	enum pending_kind kind;
	struct mt_block_page *page;          /* of the L2 slice */
	uint32_t index, count;               /* entries in it */
	uint64_t first;                      /* guest cluster of the first */
	uint64_t host;                       /* offset in the file */
	uint64_t from, to;                   /* guest bytes that are written, fill included */
	uint32_t encoded_bytes;
	struct mt_block_page *blocks[2];     /* of the refcounts; NULL: none */
};

/* The directory of bitmaps. */
struct bitmaps {
	uint8_t *dir;                        /* NULL: there are none */
	uint64_t offset, len;
	uint32_t count;
};

struct qcow2 {
	struct mt_inst *inst;
	const struct mt_block_node *host;
	const struct mt_block_cache_host *cache;
	struct mt_block_cache *header_cache, *l1_cache, *l2_cache, *block_cache, *reftable_cache;
	struct mt_block_page *header_page;   /* first sector; NULL: nothing can be written */
	struct codec *codec;

	struct qcow2_header h;
	struct qcow2_snapshot *snapshots;    /* h.snapshot_count of them */
	uint64_t snapshot_table_bytes;
	struct bitmaps bitmaps;              /* as the file will have it after a close without a write */
	uint64_t cluster_bytes;
	uint32_t l2_bits, entry_bytes, slice_bytes, slice_entries, block_bits;
	uint64_t *l1, *reftable;             /* as in the file, in the order of the host */
	uint64_t reftable_entries;
	uint64_t disk_bytes;                 /* that of a shown snapshot */
	uint64_t vm_state_bytes;             /* written for the next snapshot, or brought by one */
	int has_backing;
	uint64_t backing_bytes;
	int readonly, corrupt, wait, can_grow, grown;
	int slow_end;                        /* writes that make the file longer are slow */
	int awake;                           /* the file says that it may change */
	int written;                         /* the disk may have been: bitmaps are not up to date */
	int lazy_marked;                     /* the header says dirty, for as long as the disk is written */

	/* allocation */
	struct run *spare;                   /* free clusters below scan_at */
	uint32_t spare_count, spare_room;
	uint64_t scan_at;                    /* what lies before it and is free is in `spare` */
	uint64_t end;                        /* clusters from here on were never used */
	uint64_t limit;                      /* the file ends here: HOST_OFFSET_MAX, or a device's length */
	uint64_t fresh;                      /* the file had no bytes from here on when it was opened */
	uint64_t ahead;                      /* offset: the file was made longer up to here; 0: it was not */
	uint64_t packed;                     /* offset of the room behind the last encoded unit; 0: none */
	uint64_t epoch;                      /* of retired space: older is accounted for already */
	struct mt_block_space retiring;      /* grows by neighbours */
	struct mt_block_space *held;         /* given up in an exclusive operation */
	uint32_t held_count, held_room;
	struct meta meta;
	struct pending *pending;
	uint32_t pending_room, pending_free;
};

/* qcow2.c: opening and closing */

/* Header, L1, refcount table, snapshots; caches. `file_bytes`: of child 0. `q` has its host set, and readonly. */
int qcow2_open(struct qcow2 *q, struct mt_error *err);
/* Loads header and tables anew, after an exclusive operation; what is retired meanwhile is accounted for. */
int qcow2_reload(struct qcow2 *q, struct mt_error *err);
/*
 * Drops what is not written, before qcow2_reload: memory is what the file has, as after a kill. Exclusive, where all
 * was written before, and without lazy counts.
 */
int qcow2_revert(struct qcow2 *q);
/* Before what is in the caches is written: the file is as long as it will say. */
void qcow2_flush(struct qcow2 *q);
/* The first write is to come: the caches are written, and stay so. */
int qcow2_wake(struct qcow2 *q);
/* The image is as its close leaves it, up to the next wake. Exclusive. */
int qcow2_rest(struct qcow2 *q);
/* Puts pages back. */
void qcow2_close(struct qcow2 *q);
void qcow2_fini(struct qcow2 *q);
/* Metadata would be written over: no more writes, and the header says so. Returns MT_EIO. */
int qcow2_corrupt(struct qcow2 *q);
/* Sets or clears bits of the incompatible features, durable. Exclusive. */
int qcow2_mark(struct qcow2 *q, uint64_t set, uint64_t clear);
void qcow2_geometry(struct qcow2 *q);
uint64_t qcow2_clusters(const struct qcow2 *q, uint64_t bytes);
/* Entries of an L1 table for so many bytes. */
uint64_t qcow2_l1_entries(const struct qcow2 *q, uint64_t bytes);

static inline int32_t qcow2_page(struct qcow2 *q, struct mt_block_cache *cache, uint64_t offset, uint32_t flags,
				 struct mt_block_page **page)
{
	return q->cache->get(cache, offset, flags | (q->wait ? MT_BLOCK_PAGE_WAIT : 0), page);
}

/* header.c */

/* From the first `len` bytes of a file (a cluster, or the file). To be given to header_fini also when it fails. */
int header_parse(struct qcow2_header *h, const uint8_t *bytes, uint64_t len, struct mt_error *err);
void header_fini(struct qcow2_header *h);
/* The whole first cluster. MT_ERANGE: it does not fit. */
int header_build(const struct qcow2_header *h, uint8_t *out, uint64_t len);
/* What lies in the first sector and changes often. */
void header_put(const struct qcow2_header *h, uint8_t *sector);
/* Adds, replaces or (data NULL) removes an extension. */
int header_ext_set(struct qcow2_header *h, uint32_t type, const void *data, uint32_t len);
const struct qcow2_ext *header_ext(const struct qcow2_header *h, uint32_t type);
/* Our table of feature names becomes an extension, if there is none. */
int header_add_features(struct qcow2_header *h);
/* Builds and writes header and extensions, durable. Exclusive. */
int header_store(struct qcow2 *q, struct mt_error *err);
/* The same; where there is no room the names of features go, which nobody needs. */
int header_store_tight(struct qcow2 *q, struct mt_error *err);

/* meta.c */

int meta_add(struct meta *m, uint64_t cluster, uint64_t count, enum meta_kind kind);
void meta_remove(struct meta *m, uint64_t cluster);
enum meta_kind meta_at(const struct meta *m, uint64_t cluster);
void meta_fini(struct meta *m);

/* refcount.c */

uint64_t refcount_max(uint32_t order);
uint64_t refcount_read(const uint8_t *slice, uint32_t order, uint32_t index);
void refcount_write(uint8_t *slice, uint32_t order, uint32_t index, uint64_t value);
/* How many refcounts lie in a slice. */
uint64_t refcount_slice(const struct qcow2 *q);
/* The slice with a cluster's refcount. MT_ENOENT: there is no block, the count is 0. */
int refcount_page(struct qcow2 *q, uint64_t cluster, struct mt_block_page **page);
uint64_t refcount_in(const struct qcow2 *q, const struct mt_block_page *page, uint64_t cluster);
void refcount_put(struct qcow2 *q, struct mt_block_page *page, uint64_t cluster, uint64_t count);
int refcount_get(struct qcow2 *q, uint64_t cluster, uint64_t *count);
/*
 * Adds to (or takes from) the counts of what lies in so many bytes; what reaches 0 becomes free. `by` 0: sees whether
 * one more can be counted. MT_ERANGE: it cannot. Exclusive.
 */
int refcount_change(struct qcow2 *q, uint64_t offset, uint64_t len, int by);
/* The same as refcount_page, where a block (and a longer table) is made if there is none. */
int refcount_page_make(struct qcow2 *q, uint64_t cluster, struct mt_block_page **page);

/* space.c: free clusters */

/*
 * Takes 1 to `want` clusters that follow each other; their count becomes 1. *page is the slice of all of them, got.
 * *fresh: they read as zero.
 */
int space_take(struct qcow2 *q, uint64_t want, uint64_t *cluster, uint64_t *count, struct mt_block_page **page,
	       int *fresh);
/* The same for exactly `count`, at the end of the file. Exclusive. */
int space_take_all(struct qcow2 *q, uint64_t count, uint64_t *cluster);
/* If the file was made longer ahead, it ends with the last cluster. Before exclusive operations, and at the close. */
void space_cut(struct qcow2 *q);
/* Bytes for an encoded unit, behind the last one if there is room. */
int space_pack(struct qcow2 *q, uint32_t bytes, uint64_t *offset, struct mt_block_page *pages[2]);
/* One reference less, the page is got already. Free when it was the last. */
void space_drop(struct qcow2 *q, struct mt_block_page *page, uint64_t cluster);
/* A cluster has become free. */
void space_free(struct qcow2 *q, uint64_t cluster);
/* References are given up: first noted, then handed to the host. */
void space_retire(struct qcow2 *q, uint64_t offset, uint64_t len);
void space_retire_end(struct qcow2 *q);
/* What was given up in this exclusive operation becomes free: the caches are flushed first. */
int space_release(struct qcow2 *q);
int32_t space_retired(struct qcow2 *q, const struct mt_block_space *items, uint32_t count);
void space_forget(struct qcow2 *q, uint64_t offset, uint64_t len);
void space_reset(struct qcow2 *q);

/* table.c: L1 and L2 */

/* Where a compressed entry's bytes are: from, and how many sectors' bytes to read. */
void table_encoded(const struct qcow2 *q, uint64_t entry, uint64_t *offset, uint64_t *len);
uint64_t table_entry(const struct qcow2 *q, const uint8_t *slice, uint32_t index);
uint64_t table_bitmap(const struct qcow2 *q, const uint8_t *slice, uint32_t index);
void table_set(struct qcow2 *q, struct mt_block_page *page, uint32_t index, uint64_t entry, uint64_t bitmap,
	       uint32_t flags);
/* The slice for a guest cluster, to look at. MT_ENOENT: there is no table. */
int table_slice(struct qcow2 *q, uint64_t cluster, struct mt_block_page **page, uint32_t *index);
/* The same to change: a table is made, or copied if it is shared. */
int table_slice_own(struct qcow2 *q, uint64_t cluster, struct mt_block_page **page, uint32_t *index);
/* The table of an L1 entry, which leads to nothing, is retired: space_retire_end ends that. Exclusive. */
int table_drop(struct qcow2 *q, uint64_t index);
/* L1 has at least so many entries. Exclusive; durable. */
int table_l1_grow(struct qcow2 *q, uint64_t entries);
/* Writes an L1 table of `size` entries, or that of a bitmap, to fresh clusters; *offset is where. Exclusive. */
int table_l1_write(struct qcow2 *q, const uint64_t *l1, uint32_t size, uint64_t *offset);
/* What it takes of the file: nothing, for none. */
uint64_t table_l1_bytes(const struct qcow2 *q, uint32_t size);
/* Reads a table of big-endian words; NULL: no memory, or *rc. */
uint64_t *table_load(struct qcow2 *q, uint64_t offset, uint64_t entries, int *rc);

/* map.c */

int32_t qcow2_map(struct qcow2 *q, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		  struct mt_block_extent *out, uint32_t max);
/* The same for guest offsets up to `limit`, beyond the disk's end too: the state of the machine is there. */
int32_t map_range(struct qcow2 *q, uint64_t offset, uint64_t len_bytes, uint64_t limit, uint32_t purpose,
		  struct mt_block_extent *out, uint32_t max);

/* write.c */

int32_t qcow2_reserve(struct qcow2 *q, const struct mt_block_want *want, struct mt_block_target *targets,
		      uint32_t max);
int qcow2_commit(struct qcow2 *q, uint64_t cookie);
void qcow2_abort(struct qcow2 *q, uint64_t cookie);

/* unmap.c */

int64_t qcow2_unmap(struct qcow2 *q, uint64_t offset, uint64_t len_bytes, uint32_t op, uint32_t flags);
/* Entries of whole clusters become unallocated, their space is retired. Exclusive. */
int unmap_drop(struct qcow2 *q, uint64_t first, uint64_t count);

/* codec.c */

struct codec *codec_new(uint32_t compression);
void codec_free(struct codec *codec);
int32_t codec_decode(struct codec *codec, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes);
int64_t codec_encode(struct codec *codec, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes);

/* walk.c: references of whole tables. Exclusive. */

/* Adds `by` to the counts of all that an L1 table leads to (not of the table itself). */
int walk_change(struct qcow2 *q, const uint64_t *l1, uint32_t size, int by);
/* The flags of the active tables tell again whether a count is 1. */
int walk_copied(struct qcow2 *q);

/* snapshot.c */

int snapshots_load(struct qcow2 *q, struct mt_error *err);
void snapshots_fini(struct qcow2 *q);
int snapshot_create(struct qcow2 *q, const struct mt_block_snapshot *what, struct mt_error *err);
int snapshot_apply(struct qcow2 *q, uint32_t index, struct mt_error *err);
int snapshot_remove(struct qcow2 *q, uint32_t index, struct mt_error *err);
int snapshot_show(struct qcow2 *q, uint32_t index, struct mt_error *err);
/* Writes the table of snapshots anew; the header's switch to it is durable. */
int snapshots_store(struct qcow2 *q);

/* sync.c: data, one after the other, by the core's own I/O. Exclusive. */

int sync_write(struct qcow2 *q, uint64_t offset, const void *buf, uint64_t len);
int sync_read(struct qcow2 *q, uint64_t offset, void *buf, uint64_t len);

/* bitmap.c. Exclusive. */

/* 0; MT_EINVAL: the directory is none, and `b` says where; or another error. bitmaps_fini */
int bitmaps_load(struct qcow2 *q, struct bitmaps *b);
void bitmaps_fini(struct bitmaps *b);
/* An entry of the directory, and what it has; NULL: there are not so many. */
uint8_t *bitmaps_at(const struct bitmaps *b, uint32_t index);
uint64_t bitmap_entry_bytes(const uint8_t *entry);
const char *bitmap_name(const uint8_t *entry, uint32_t *len);
/* 1: to be looked into, 0: not, or an error that ends it */
typedef int bitmap_extent_fn(void *arg, uint64_t offset, uint64_t len);
/* The table and each cluster of bits of one; and of all, with the directory. */
int bitmap_each(struct qcow2 *q, const uint8_t *entry, bitmap_extent_fn *fn, void *arg);
int bitmaps_each(struct qcow2 *q, const struct bitmaps *b, bitmap_extent_fn *fn, void *arg);
/* Loads them and says in the file that they are in use; a directory that is none loses the header's bit in memory. */
int bitmaps_disown(struct qcow2 *q);
/* Those that have to follow writes. */
void bitmaps_mark(uint8_t *dir, uint64_t len);
int bitmap_in_use(const struct qcow2 *q, const uint8_t *entry);
/* All are worth nothing from now on, in the file too: the disk becomes one of another size. */
int bitmaps_outdate(struct qcow2 *q);
/* Takes that back: the disk was not written. */
int bitmaps_restore(struct qcow2 *q);
/* 0 where it can be read and changed. */
int bitmap_usable(const struct qcow2 *q, const uint8_t *entry, struct mt_error *err);
/* Bytes of bits for the disk; `bits` of the granularity. */
uint64_t bitmap_len(const struct qcow2 *q, uint32_t bits);
int bitmap_read(struct qcow2 *q, uint32_t index, uint8_t *out, uint64_t len, struct mt_error *err);

/* bitstore.c. Exclusive. */

int bitmap_add(struct qcow2 *q, const struct mt_block_bitmap *what, struct mt_error *err);
int bitmap_remove(struct qcow2 *q, uint32_t index, struct mt_error *err);
int bitmap_set_flags(struct qcow2 *q, uint32_t index, uint32_t flags, struct mt_error *err);
int bitmap_write(struct qcow2 *q, uint32_t index, const uint8_t *in, uint64_t len, struct mt_error *err);
/* Takes back the references, once the header does not have them any more. */
int bitmaps_free(struct qcow2 *q, const struct bitmaps *b);

/* check.c, repair.c. Exclusive. */

typedef void finding_fn(void *arg, const char *line);
int qcow2_check(struct qcow2 *q, uint32_t repair, struct mt_block_check *out, finding_fn *finding, void *arg,
		struct mt_error *err);
/* Writes new refcounts for what `counts` says, in blocks of another order if wanted, and switches to them. */
int repair_rebuild(struct qcow2 *q, const uint16_t *counts, uint64_t clusters, uint32_t order);
/* Everything that the tables refer to, counted, but the refcounts' own clusters; NULL with an error. */
uint16_t *check_count(struct qcow2 *q, uint64_t *clusters, int *rc);
/* Counts become what is in use, in place where that can be. `counts` has the refcounts' own clusters too. */
int repair_counts(struct qcow2 *q, uint32_t repair, const uint16_t *counts, uint64_t clusters, int flags);
/* After a failed exclusive operation: everything is put right again as far as possible. Returns `rc`. */
int repair_after(struct qcow2 *q, int rc);

/* resize.c, amend.c. Exclusive. */

int qcow2_resize(struct qcow2 *q, uint64_t disk_bytes, uint32_t flags, uint32_t prealloc, struct mt_error *err);
int qcow2_make_empty(struct qcow2 *q, struct mt_error *err);
int qcow2_amend(struct qcow2 *q, const struct mt_block_value *values, uint32_t count, struct mt_error *err);
int qcow2_backing_set(struct qcow2 *q, const char *name, const char *format, struct mt_error *err);

#endif
