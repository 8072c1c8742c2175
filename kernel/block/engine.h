/* SPDX-License-Identifier: MIT */
/*
 * Engines: how host operations are done. An engine belongs to one front's handle and is called under that
 * front's lock only, so it needs none of its own; finished operations are announced by an eventfd that the
 * front's loop watches. While `disarm`ed it announces nothing: the caller looks by itself.
 */
#ifndef KERNEL_BLOCK_ENGINE_H
#define KERNEL_BLOCK_ENGINE_H

#include <mortise/draft/block.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "kernel/block/file.h"

struct bop;
struct bgate;

enum bop_kind { BOP_READ, BOP_WRITE, BOP_SYNC, BOP_FALLOCATE };

/* One operation on one file. Zero-copy: `iov` points into guest memory. */
struct bop {
	struct breq *parent;
	struct bpart *part;                  /* that it belongs to, or NULL */
	struct bgate *gate;                  /* its way through filters, or NULL */
	void *owned;                         /* memory that goes with it */
	struct file *file;
	enum bop_kind kind;
	int fd, rw_flags, mode;              /* RWF_*, FALLOC_FL_* */
	uint64_t offset, len_bytes;          /* what is left */
	struct iovec *iov;                   /* what is left; inside `store` */
	uint32_t iov_count;
	int32_t result;                      /* bytes or -errno, of the last try */
	struct iovec *store;
	uint32_t capacity;
	struct bop *next;
};

struct bengine {
	const struct bengine_ops *ops;
	int event_fd;
};

struct bengine_ops {
	const char *name;
	void (*destroy)(struct bengine *engine);
	/* takes an operation; it may begin before `kick` */
	void (*queue)(struct bengine *engine, struct bop *op);
	void (*kick)(struct bengine *engine);
	/* a finished operation, or NULL; `wait`: waits for one (there must be one under way) */
	struct bop *(*reap)(struct bengine *engine, bool wait);
	void (*disarm)(struct bengine *engine);
	/* announces from now on; true: something finished meanwhile, look again */
	bool (*arm)(struct bengine *engine);
};

/* NULL: this host does not offer it (the reason in errno). */
struct bengine *uring_create(void);
/*
 * For the start of a process, while it has one thread: what uring_create() asks the kernel for is at once then, and
 * takes 10 to 30 ms when there are others (membarrier(2) waits until all processors have been seen).
 */
void uring_prepare(void);
struct bengine *threads_create(void);
/* [any] does an operation in this thread; bytes or -errno */
int32_t engine_do(const struct bop *op);

#endif
