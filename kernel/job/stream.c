/* SPDX-License-Identifier: MIT */
/*
 * Streaming: what the disks below, down to the base, have and the image has not becomes the image's own; then the
 * image names the base, or nothing, as the disk below, and what was between goes out of the graph. A crash before that
 * leaves an image that has more of its own than before and reads the same. The guest's writes are kept apart from the
 * copy by the units (part.c).
 */
#include <util/error.h>

#include "kernel/job/parts.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/inst.h"

static int start(struct job *job, struct mt_error *err)
{
	const struct mt_block_image *role = inst_role(job->node->inst, MT_IFACE_BLOCK_IMAGE);

	if (!role || !role->backing_set || !job->node->format->reserve)
		return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: an image of this format keeps the disk below it", job->device);
	job->disk->fetch = true;
	return 0;
}

/* Zeros that hide data of the base are the image's own when what has them now is gone. */
static bool wanted(struct job *job, const struct block_status *s, uint64_t *len, int32_t *rc)
{
	struct block_status below;
	bool data = s->flags & BLOCK_STATUS_DATA;

	*len = s->len_bytes;
	if (s->flags & BLOCK_STATUS_PRESENT && s->depth == 0)
		return false;
	if (job->base && s->depth >= job->depth)
		return false;
	if (job->base && !data && job->offset < job->base->info.disk_bytes) {
		*rc = status_get(job->base, job->offset, *len, &below);
		*len = MIN(*len, below.len_bytes);
		data = *rc == 0 && below.flags & BLOCK_STATUS_DATA;
	}
	if (data)
		*len = MIN(*len, JOB_PIECE);
	return data;
}

/* What lies below as zeros needs no copy where nothing is left below: so the image reads then. */
static int step(struct job *job, struct mt_error *err)
{
	struct block_status s;
	uint64_t len = 0;
	int32_t rc = 0;

	for (uint32_t looks = 0; looks < JOB_LOOKS && job->offset < job->len_bytes && !job->copied; looks++) {
		rc = status_get(job->node, job->offset, job->len_bytes - job->offset, &s);
		if (rc == 0 && wanted(job, &s, &len, &rc)) {
			job->copied = len;
			rc = request_do(job->disk, MT_BLOCK_WRITE, 0, job->offset, job->buf, len);
		}
		if (rc < 0)
			return job_fault(job, rc, "the disk below cannot be copied into the image", err);
		job->offset += len;
	}
	if (job->offset < job->len_bytes)
		return 0;
	rc = job_name_base(job, job->node, err);
	return rc < 0 ? rc : 1;
}

static void end(struct job *job)
{
	(void)job;
}

const struct job_ops job_stream_ops = { .type = "stream", .start = start, .step = step, .end = end };
