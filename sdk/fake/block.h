/* SPDX-License-Identifier: MIT */
/*
 * The fake host's part for block formats: files and a backing disk in memory, the cache of metadata, and what a kernel
 * does with a disk: it reads through extents, writes in place or by reserve and commit, zeroes and discards, flushes
 * in the order of the ranks. A power cut leaves each file with what was flushed and any of the sectors written since.
 */
#ifndef MTSDK_FAKE_BLOCK_H
#define MTSDK_FAKE_BLOCK_H

#include <mortise/draft/block-create.h>
#include <mortise/draft/block-format.h>

#include "fake.h"

/*
 * A file, made when it is asked for first; PATH properties and names in images name it. Contents may be set before
 * realize and looked at any time; they are the host's, so a second instance gets them by fake_block_move.
 */
uint8_t *fake_block_file(struct fake *f, const char *name, uint64_t *len_bytes);
void fake_block_file_set(struct fake *f, const char *name, const void *bytes, uint64_t len_bytes);
void fake_block_file_load(struct fake *f, const char *name, const char *path);
void fake_block_file_save(struct fake *f, const char *name, const char *path);
void fake_block_move(struct fake *to, struct fake *from);    /* all files; `from` has none then */

/* The disk below; `bytes` are the test's. Without, backing_open says MT_ENOENT. */
void fake_block_backing(struct fake *f, const void *bytes, uint64_t len_bytes);
/* The one fact that it has; the strings are the test's, NULL: none. */
void fake_block_backing_fact(struct fake *f, const char *name, const char *value);
const char *fake_block_backing_name(struct fake *f);         /* what the image asked for; NULL: nothing */
/* Gets of pages say MT_EAGAIN at first, one in `one_in`; 0: never. */
void fake_block_misses(struct fake *f, uint32_t one_in);

/* The role's create into file `name`. `values` pairs of name and value, NULL at the end. */
int fake_block_make(struct fake *f, const char *name, uint64_t disk_bytes, const char *backing,
		    const char *const *values, struct mt_error *err);

/* The disk. 0, or what the format returned. */
void fake_block_info(struct fake *f, struct mt_block_info *out);
int fake_block_read(struct fake *f, uint64_t offset, void *buf, uint64_t len_bytes);
int fake_block_write(struct fake *f, uint64_t offset, const void *buf, uint64_t len_bytes);
int fake_block_zero(struct fake *f, uint64_t offset, uint64_t len_bytes, uint32_t op, uint32_t flags);
int fake_block_flush(struct fake *f);
/* As before a write, which does so itself, or an exclusive operation; and as when a machine is saved, after a flush. */
int fake_block_wake(struct fake *f);
int fake_block_rest(struct fake *f);
/* The next reservation is aborted. */
void fake_block_abort_next(struct fake *f);
/* The n-th operation of the host from now on fails, once: a read or write of data or metadata, a sync. 0: none. */
void fake_block_fail_in(struct fake *f, uint64_t operations);
/* How many of them are left; 0: it has failed. */
uint64_t fake_block_fail_left(struct fake *f);
/*
 * The host stops now. The files are what they may be after it; the instance is not to be used any more (its
 * unrealize may still be called: it writes into the void).
 */
void fake_block_power_cut(struct fake *f, uint64_t seed);

/*
 * A disk that the plugin serves itself (MT_IFACE_BLOCK_PROTOCOL): what it said of it in realize, or NULL, and
 * operations as a kernel submits them, from the test's thread: one that waits, or begun and waited for, whose
 * buffer is cut into pieces. Results are the plugin's.
 */
#define FAKE_IO_PIECES 8
struct fake_io;
const struct mt_block_child_info *fake_served(struct fake *f);
int32_t fake_served_io(struct fake *f, uint32_t op, uint32_t flags, uint64_t offset, void *buf, uint64_t len_bytes);
struct fake_io *fake_served_begin(struct fake *f, uint32_t op, uint32_t flags, uint64_t offset, void *buf,
				  uint64_t len_bytes, uint32_t pieces);
int32_t fake_served_end(struct fake_io *io);
int32_t fake_served_status(struct fake *f, uint64_t offset, uint64_t *len_bytes, uint32_t *flags);

/*
 * Random operations on a realized disk, held against `model` (of the disk's bytes). `durable` is what the disk had
 * at the last flush; `touched` has a byte for each sector, not 0 where something was written since. After a power cut
 * and reopening, fake_block_script_check: what was not touched is as it was.
 */
struct fake_script {
	uint64_t seed, disk_bytes;
	uint8_t *model, *durable, *touched;
};
void fake_script_begin(struct fake_script *s, struct fake *f, uint64_t seed);
void fake_script_run(struct fake_script *s, struct fake *f, uint32_t operations, uint64_t max_bytes);
void fake_script_compare(const struct fake_script *s, struct fake *f);
/* After a power cut: takes over what the disk has now. */
void fake_script_recover(struct fake_script *s, struct fake *f);
void fake_script_end(struct fake_script *s);

#endif
