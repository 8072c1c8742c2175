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
	JOB_STREAM,                          /* what lies below becomes the disk's own, and the disk below goes */
	JOB_COMMIT,                          /* what the disk has itself goes into the one below, and the disk is empty */
};

struct job_status {
	const char *id, *device, *type;
	uint64_t offset, len_bytes, speed;   /* done and to be done; bytes a second, 0: no limit */
};

enum job_result { JOB_GOES_ON, JOB_DONE, JOB_FAILED };

/*
 * The disk of the node `inst`, or that below its filters; `device` is what messages call it. NULL with `err`, and
 * nothing has changed.
 */
struct job *job_create(enum job_kind kind, const char *id, const char *device, struct mt_inst *inst, uint64_t speed,
		       struct mt_error *err);
/* The next piece. After JOB_DONE and JOB_FAILED (with `err`) only job_free is left. */
enum job_result job_step(struct job *job, struct mt_error *err);
/* How long the next piece has to wait for the limit of speed. */
uint64_t job_wait_ns(const struct job *job);
/* Another limit from now on; 0: none. */
void job_speed_set(struct job *job, uint64_t speed);
void job_status(const struct job *job, struct job_status *out);
/* Also ends one that goes on: the disk is as its guest sees it, and can be used by another job. */
void job_free(struct job *job);

#endif
