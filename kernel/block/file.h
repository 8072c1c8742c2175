/* SPDX-License-Identifier: MIT */
/*
 * The file protocol: an image file or block device of the host, opened and locked. What the host's file system
 * cannot do is found out at the first try and remembered here (atomic words: requests come from several threads).
 */
#ifndef KERNEL_BLOCK_FILE_H
#define KERNEL_BLOCK_FILE_H

#include <mortise/error.h>
#include <stdbool.h>
#include <stdint.h>

enum file_cache { FILE_WRITEBACK, FILE_DIRECT, FILE_UNSAFE };
enum file_engine { FILE_ENGINE_AUTO, FILE_ENGINE_URING, FILE_ENGINE_THREADS };

struct bnode;

struct file_options {
	bool readonly, discard, locking;
	enum file_cache cache;
	enum file_engine engine;
	const char *folder;          /* not NULL: the path lies beneath it; no symbolic link leads there */
	int fd;                      /* not 0: an open descriptor in place of the path; it is duplicated */
};

struct mt_block_protocol;

struct file {
	char *path;
	int fd;                      /* for I/O that is aligned as `align_bytes` says */
	int plain_fd;                /* for the rest; the same when there is no rule */
	struct file_options options;
	bool device;                 /* a block device */
	uint64_t host_device, host_inode;    /* which file it is */
	uint64_t len_bytes;          /* at open */
	uint32_t align_bytes;        /* of offset, length and memory; 1 through the page cache */
	uint32_t block_bytes, physical_bytes, discard_bytes, optimal_bytes;
	uint32_t no_zero_range, no_punch;    /* atomic: the file system does not have it */
	uint32_t flush_failed;               /* atomic: written data may be lost; nothing is durable any more */
	int full_errno;                      /* atomic: why there was no space, the last time; 0: there was */
	struct bnode *through;               /* filter.h: the filter in front of it, or NULL */
	const struct mt_block_protocol *served;      /* served.h: there is no descriptor, it does the I/O; or NULL */
	void *served_self;
};

/* [main] NULL with `err` filled. */
struct file *file_open(const char *path, const struct file_options *options, struct mt_error *err);
void file_close(struct file *file);

/* [any] Whole transfers that may wait, for metadata. Beyond the end reads zeros. 0 or MT_E*. */
int32_t file_read(struct file *file, uint64_t offset, void *buf, uint64_t len_bytes);
/* [any] The same without waiting. False: it is not all in the page cache, or a filter looks on; `buf` is anything. */
bool file_read_now(struct file *file, uint64_t offset, void *buf, uint64_t len_bytes);
int32_t file_write(struct file *file, uint64_t offset, const void *buf, uint64_t len_bytes);
int32_t file_flush(struct file *file);

/* Length now, and changes of it. `zeros`: by writing them. Punching is a wish only. */
uint64_t file_bytes(struct file *file);
int32_t file_resize(struct file *file, uint64_t len_bytes);
int32_t file_allocate(struct file *file, uint64_t offset, uint64_t len_bytes, bool zeros);
void file_punch(struct file *file, uint64_t offset, uint64_t len_bytes);

/* MT_E* of an errno. */
int32_t file_code(int host_errno);
/* [any] The same, of an operation on `file`, which keeps why there is no space. */
int32_t file_refused(struct file *file, int host_errno);

#endif
