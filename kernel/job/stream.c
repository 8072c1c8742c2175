/* SPDX-License-Identifier: MIT */
/*
 * Streaming: what the disks below have and the image has not becomes the image's own; then the name of the disk below
 * goes out of the image, and the disk below out of the graph. A crash before that leaves an image that has more of
 * its own than before and reads the same. The guest's writes are kept apart from the copy by the units (part.c).
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

/* Places behind the disk are other files' from now on: no handle may remember them. */
static int forget_below(struct job *job, struct mt_error *err)
{
	const struct mt_block_image *role = inst_role(job->node->inst, MT_IFACE_BLOCK_IMAGE);
	int rc = exclusive_begin(job->node);

	if (rc < 0)
		return job_fault(job, rc, "what was written before cannot be stored", err);
	node_enter(job->node);
	rc = role->backing_set(job->node->self, NULL, NULL, err);
	node_leave(job->node);
	if (rc == 0)
		node_backing_close(job->node);
	for (struct bnode *node = job->node; node; node = node->above)
		node_invalidate(node, 0, 0);
	rc = exclusive_end(job->node, rc);
	return rc < 0 ? job_fault(job, rc, "the name of the disk below cannot be taken out of the image", err) : 1;
}

/* What lies below as zeros needs no copy: so the image reads when nothing is below it. */
static int step(struct job *job, struct mt_error *err)
{
	struct block_status s;
	int32_t rc = 0;

	for (uint32_t looks = 0; looks < JOB_LOOKS && job->offset < job->len_bytes && !job->copied; looks++) {
		rc = status_get(job->node, job->offset, job->len_bytes - job->offset, &s);
		if (rc < 0)
			return job_fault(job, rc, "the image cannot be read", err);
		if (s.depth && s.flags & BLOCK_STATUS_DATA) {
			s.len_bytes = job->copied = MIN(s.len_bytes, JOB_PIECE);
			rc = request_do(job->disk, MT_BLOCK_WRITE, 0, job->offset, job->buf, s.len_bytes);
		}
		if (rc < 0)
			return job_fault(job, rc, "the disk below cannot be copied into the image", err);
		job->offset += s.len_bytes;
	}
	return job->offset < job->len_bytes ? 0 : forget_below(job, err);
}

static void end(struct job *job)
{
	(void)job;
}

const struct job_ops job_stream_ops = { .type = "stream", .start = start, .step = step, .end = end };
