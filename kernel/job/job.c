/* SPDX-License-Identifier: MIT */
/* What jobs have in common: making, one piece after the other at the speed that was asked for, ending. [main] */
#include <util/error.h>

#include "kernel/block/filter.h"
#include "kernel/job/parts.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/inst.h"
#include "kernel/machine/loop.h"

int job_fault(struct job *job, int rc, const char *what, struct mt_error *err)
{
	if (*err->message)
		return rc;
	return fault_set(err, rc, NULL, NULL, "%s: %s%s", job->device, what,
			 rc == MT_ENOSPC ? ": no space is left" : rc == MT_ENOMEM ? ": out of memory" : "");
}

static int usable(const struct job *job, struct mt_error *err)
{
	const struct bnode *node = job->node;

	if (node->busy)
		return fault_set(err, MT_EBUSY, NULL, NULL, "%s: another job works on this disk", job->device);
	if (node->info.flags & MT_BLOCK_INFO_READONLY || !node->writers)
		return fault_set(err, MT_EPERM, NULL, NULL, "%s is only read", job->device);
	return 0;
}

static int begin(struct job *job, const struct job_want *want, struct mt_error *err)
{
	int rc = usable(job, err);

	if (rc == 0)
		rc = job_chain(job, want, err);
	if (rc < 0)
		return rc;
	job->len_bytes = job->from->info.disk_bytes;
	job->buf = g_try_malloc(JOB_PIECE);
	job->disk = request_open(job->from, job->from == job->node, err);
	if (!job->buf || !job->disk)
		return job_fault(job, MT_ENOMEM, "the job cannot begin", err);
	rc = job->ops->start(job, err);
	job->begun = job->node->busy = true;     /* `end` follows from here on */
	return rc;
}

struct job *job_create(const struct job_want *want, struct mt_error *err)
{
	struct job *job = g_new0(struct job, 1);

	job->ops = want->kind == JOB_STREAM ? &job_stream_ops : &job_commit_ops;
	job->id = g_strdup(want->id);
	job->device = g_strdup(want->device);
	job->node = filter_image(graph_node(want->inst));
	job->speed = want->speed;
	err->message[0] = 0;
	if (begin(job, want, err) == 0)
		return job;
	job_free(job);
	return NULL;
}

static void pace(struct job *job)
{
	uint64_t now = loop_now_ns();

	if (job->speed == 0 || job->copied == 0)
		return;
	job->next_ns = MAX(job->next_ns, now) + (uint64_t)((double)job->copied / (double)job->speed * 1e9);
}

enum job_result job_step(struct job *job, struct mt_error *err)
{
	int rc;

	err->message[0] = err->hint[0] = 0;
	job->copied = 0;
	rc = job->ops->step(job, err);
	pace(job);
	if (rc < 0)
		job_fault(job, rc, "the disk cannot be copied", err);
	return rc < 0 ? JOB_FAILED : rc ? JOB_DONE : JOB_GOES_ON;
}

void job_speed_set(struct job *job, uint64_t speed)
{
	job->speed = speed;
	job->next_ns = 0;
}

uint64_t job_wait_ns(const struct job *job)
{
	uint64_t now = loop_now_ns();

	return job->next_ns > now ? job->next_ns - now : 0;
}

void job_status(const struct job *job, struct job_status *out)
{
	*out = (struct job_status){ .id = job->id, .device = job->device, .type = job->ops->type,
				    .offset = job->passes ? job->len_bytes : job->offset, .len_bytes = job->len_bytes,
				    .speed = job->speed, .ready = job->ready };
}

void job_complete(struct job *job)
{
	job->complete = true;
	job->next_ns = 0;
}

void job_close_handles(struct job *job)
{
	if (job->below)
		request_close(job->below);
	if (job->disk)
		request_close(job->disk);
	job->below = job->disk = NULL;
}

void job_free(struct job *job)
{
	if (job->begun) {
		job->ops->end(job);
		job->node->busy = false;
	}
	job_close_handles(job);
	g_free(job->name);
	g_free(job->buf);
	g_free(job->id);
	g_free(job->device);
	g_free(job);
}
