/* SPDX-License-Identifier: MIT */
/*
 * Jobs: long work on a disk while its guest runs. A job is done in pieces on [main]: between two of them the monitor
 * is served, and everything else that happens on [main] finds no I/O of a job under way. Guests wait for a piece at
 * most where it works, and as a whole for the last pieces of a commit. One job a disk.
 */
#ifndef KERNEL_JOB_JOB_H
#define KERNEL_JOB_JOB_H

#include <mortise/error.h>
#include <stdbool.h>
#include <stdint.h>

struct mt_inst;
struct job;

enum job_kind {
	JOB_STREAM,                          /* what lies below, down to the base, becomes the image's own, and goes */
	JOB_COMMIT,                          /* what images have goes into one below them, which takes their place */
};

struct job_want {
	enum job_kind kind;
	const char *id, *device;             /* device: what messages call the disk */
	struct mt_inst *inst;                /* a node: of the disk, or of a filter over it */
	uint64_t speed;
	/*
	 * Files of images in the disk's chain. base: that stays below; NULL: none for a stream, for a commit the lowest
	 * one, or the one `depth` images below `top`. top: of a commit, the highest that goes; NULL: the disk's own image.
	 */
	const char *base, *top;
	uint32_t depth;
	const char *backing_name;            /* what the image above is to call the base; NULL: its path */
};

struct job_status {
	const char *id, *device, *type;
	uint64_t offset, len_bytes, speed;   /* done and to be done; bytes a second, 0: no limit */
	bool ready;                          /* it waits for job_complete */
};

enum job_result { JOB_GOES_ON, JOB_DONE, JOB_FAILED };

/* NULL with `err`, and nothing has changed. */
struct job *job_create(const struct job_want *want, struct mt_error *err);
/* The next piece. After JOB_DONE and JOB_FAILED (with `err`) only job_free is left. */
enum job_result job_step(struct job *job, struct mt_error *err);
/*
 * A commit of what the guest writes to does not end by itself: it is ready when little is left, and then copies what
 * is written, until this: the guest goes over to the base. May be said before.
 */
void job_complete(struct job *job);
/* How long the next piece has to wait for the limit of speed. */
uint64_t job_wait_ns(const struct job *job);
/* Another limit from now on; 0: none. */
void job_speed_set(struct job *job, uint64_t speed);
void job_status(const struct job *job, struct job_status *out);
/* Also ends one that goes on: the disk is as its guest sees it, and can be used by another job. */
void job_free(struct job *job);

#endif
