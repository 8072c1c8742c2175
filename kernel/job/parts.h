/* SPDX-License-Identifier: MIT */
/*
 * What the files of this folder share. Handles of a job are in no list of a node's: nothing of theirs is in flight
 * between two pieces.
 */
#ifndef KERNEL_JOB_PARTS_H
#define KERNEL_JOB_PARTS_H

#include "kernel/block/request.h"
#include "kernel/job/job.h"

#define JOB_PIECE (1u << 20)
#define JOB_LOOKS 256u                   /* extents that are passed over in one piece */

struct job_ops {
	const char *type;                    /* in QMP's words */
	int (*start)(struct job *job, struct mt_error *err);
	/* 0: there is more, 1: all is done, or a negative code */
	int (*step)(struct job *job, struct mt_error *err);
	/* puts things right for the guest, in whatever state the job is; after a failed start too */
	void (*end)(struct job *job);
};

struct job {
	const struct job_ops *ops;
	char *id, *device;
	struct bnode *node;                  /* the disk's image, no filter */
	struct bnode *from, *base;           /* what goes: from `from` (stream: below it) to above `base`; NULL: all */
	uint32_t depth;                      /* of `base`, below `from` */
	char *name;                          /* what the image above is to call `base` */
	struct mt_block *disk, *below;       /* handles, on `from` and `base`; below: commit's */
	bool begun, ready, complete;
	bool reopened;                       /* commit: the base, to be written */
	struct btrack track;                 /* commit: what was written since it was copied */
	uint32_t passes;                     /* commit: how often it was through the disk */
	uint64_t len_bytes, offset;          /* of the disk, and how far it is */
	uint64_t speed, next_ns, copied;     /* copied: bytes of this piece */
	uint8_t *buf;                        /* JOB_PIECE */
};

extern const struct job_ops job_stream_ops, job_commit_ops;

/* chain.c: `from`, `base`, `depth` and `name`, or words for what cannot be. */
int job_chain(struct job *job, const struct job_want *want, struct mt_error *err);
/* The image below `node` is opened again, to be written or not; exclusive by itself. */
int job_reopen_below(struct job *job, struct bnode *node, bool write, struct mt_error *err);
/* `node` names the base from now on, or nothing, and what it had below up to there is closed. */
int job_name_base(struct job *job, struct bnode *node, struct mt_error *err);
/* Nothing of the job is in its way. */
void job_close_handles(struct job *job);

/* Words for a failure that has none. */
int job_fault(struct job *job, int rc, const char *what, struct mt_error *err);

#endif
