/* SPDX-License-Identifier: MIT */
/*
 * Committing: what the image has itself goes into the disk below, once through the disk and then again what the guest
 * wrote meanwhile, until little is left; that is copied with the guest held, the disk below is made durable, and the
 * image emptied. The image hides what is below until then, so a crash at any time leaves a disk that reads the same.
 * The guest stays on the image, for that is what the machine's file names.
 */
#include <util/error.h>

#include "kernel/job/parts.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/inst.h"

/* What may be left to be copied with the guest held: twice as much after each pass, so that there is an end. */
#define HELD_BYTES   (1ull << 20)
#define HELD_DOUBLED 5u

/* Starting */

static const struct mt_block_image *image_of(const struct bnode *node)
{
	return inst_role(node->inst, MT_IFACE_BLOCK_IMAGE);
}

/* The disk below, open to be written. */
static int open_below(struct job *job, struct mt_error *err)
{
	struct bnode *node = job->node;
	int rc;

	if (!(node->backing->info.flags & MT_BLOCK_INFO_READONLY))
		return 0;
	if (!node->origin->below_name)
		return fault_set(err, MT_EPERM, NULL, NULL, "%s: the disk below, %s, is only read", job->device,
				 node_name(node->backing));
	rc = exclusive_begin(node);
	if (rc < 0)
		return job_fault(job, rc, "what was written before cannot be stored", err);
	rc = node_backing_reopen(node, true, err);
	for (struct bnode *above = node; above; above = above->above)
		node_invalidate(above, 0, 0);
	rc = exclusive_end(node, rc);
	if (rc < 0)
		return job_fault(job, rc, "the disk below cannot be opened to be written", err);
	return node->backing->info.flags & MT_BLOCK_INFO_READONLY ?
	       fault_set(err, MT_EPERM, NULL, NULL, "%s: the disk below cannot be written", job->device) : 0;
}

static int grow_below(struct job *job, struct mt_error *err)
{
	struct bnode *below = job->node->backing;
	const struct mt_block_image *role = image_of(below);
	int rc;

	if (below->info.disk_bytes >= job->len_bytes)
		return 0;
	if (!role || !role->resize)
		return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: the disk below is shorter, and keeps its size", job->device);
	if (below->backing && below->backing->info.disk_bytes > below->info.disk_bytes)
		return fault_set(err, MT_ENOTSUP, NULL, "when the machine is off, mortise img commit can",
				 "%s: the disk below is shorter than the one below it, whose end would be seen", job->device);
	rc = exclusive_begin(below);
	if (rc < 0)
		return job_fault(job, rc, "the disk below cannot be stored", err);
	node_enter(below);
	rc = role->resize(below->self, job->len_bytes, 0, MT_BLOCK_PREALLOC_OFF, err);
	node_leave(below);
	rc = exclusive_end(below, rc);
	return rc < 0 ? job_fault(job, rc, "the disk below cannot be made as long as this one", err) : 0;
}

static void track_set(struct mt_block *block, void *arg)
{
	block->track = arg;
}

static int start(struct job *job, struct mt_error *err)
{
	const struct mt_block_image *role = image_of(job->node);
	int rc;

	if (!role || !role->make_empty)
		return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: an image of this format cannot be emptied", job->device);
	rc = open_below(job, err);
	if (rc == 0)
		rc = grow_below(job, err);
	if (rc < 0)
		return rc;
	job->below = request_open(job->node->backing, true, err);
	if (!job->below || !track_init(&job->track, job->len_bytes, MAX(job->node->info.unit_bytes, 1)))
		return job_fault(job, MT_ENOMEM, "the job cannot begin", err);
	node_each_front(job->node, track_set, &job->track);
	return 0;
}

/* Copying */

static bool is_own(const struct block_status *s)
{
	return s->depth == 0 && s->flags & BLOCK_STATUS_PRESENT;
}

/* Nobody writes to the disk below but us: what the guest writes to the image later is copied again. */
static int32_t copy(struct job *job, uint64_t offset, struct block_status *s)
{
	int32_t rc;

	if (s->flags & BLOCK_STATUS_ZERO)
		return request_do(job->below, MT_BLOCK_ZERO, MT_BLOCK_MAY_UNMAP, offset, NULL, s->len_bytes);
	rc = request_do(job->disk, MT_BLOCK_READ, 0, offset, job->buf, s->len_bytes);
	return rc < 0 ? rc : request_do(job->below, MT_BLOCK_WRITE, 0, offset, job->buf, s->len_bytes);
}

/* At most a piece of [offset, end); the bytes that are dealt with, or an error. */
static int64_t copy_next(struct job *job, uint64_t offset, uint64_t end)
{
	struct block_status s;
	int32_t rc = status_get(job->node, offset, end - offset, &s);

	if (rc == 0 && is_own(&s)) {
		s.len_bytes = MIN(s.len_bytes, JOB_PIECE);
		job->copied += s.len_bytes;
		rc = copy(job, offset, &s);
	}
	return rc < 0 ? rc : (int64_t)s.len_bytes;
}

static int64_t copy_all(struct job *job, uint64_t offset, uint64_t end)
{
	int64_t n = 0;

	for (; n >= 0 && offset < end; offset += (uint64_t)n) {
		n = copy_next(job, offset, end);
		if (n < 0)
			return n;
	}
	return 0;
}

/* The next piece that was written, from job->offset on: the mark goes first, so that a later write sets it again. */
static int64_t copy_marked(struct job *job, bool *found)
{
	uint64_t at, bytes = 1ull << job->track.shift;

	*found = track_next(&job->track, job->offset, &at) && at < job->len_bytes;
	if (!*found)
		return 0;
	track_clear(&job->track, at, bytes);
	job->offset = MIN(at + bytes, job->len_bytes);
	return copy_all(job, at, job->offset);
}

/* With the guest held. */
static int64_t copy_rest(struct job *job)
{
	bool found = true;
	int64_t rc = 0;

	job->offset = 0;
	while (rc >= 0 && found)
		rc = copy_marked(job, &found);
	job->offset = job->len_bytes;
	return rc < 0 ? rc : node_settle(job->node->backing);
}

/* The image is emptied when what it had is durable below. */
static int finish(struct job *job, struct mt_error *err)
{
	const struct mt_block_image *role = image_of(job->node);
	int rc = exclusive_begin(job->node);

	if (rc < 0)
		return job_fault(job, rc, "what was written before cannot be stored", err);
	rc = (int)copy_rest(job);
	if (rc == 0) {
		node_enter(job->node);
		rc = role->make_empty(job->node->self, err);
		node_leave(job->node);
	}
	rc = exclusive_end(job->node, rc);
	return rc < 0 ? job_fault(job, rc, "the image cannot be committed", err) : 1;
}

static int first_time(struct job *job)
{
	int64_t n = 0;

	for (uint32_t looks = 0; looks < JOB_LOOKS && job->offset < job->len_bytes && !job->copied; looks++) {
		n = copy_next(job, job->offset, job->len_bytes);
		if (n < 0)
			return (int)n;
		job->offset += (uint64_t)n;
	}
	job->passes = job->offset == job->len_bytes;
	return 0;
}

static int again(struct job *job, struct mt_error *err)
{
	bool found = true;
	int64_t rc = 0;

	if (job->offset == job->len_bytes && track_bytes(&job->track) <= HELD_BYTES << MIN(job->passes - 1, HELD_DOUBLED))
		return finish(job, err);
	if (job->offset == job->len_bytes) {
		job->offset = 0;
		job->passes++;
	}
	while (rc >= 0 && found && job->copied < JOB_PIECE)
		rc = copy_marked(job, &found);
	if (!found)
		job->offset = job->len_bytes;
	return (int)rc;
}

static int step(struct job *job, struct mt_error *err)
{
	return job->passes ? again(job, err) : first_time(job);
}

static void end(struct job *job)
{
	node_each_front(job->node, track_set, NULL);
	track_fini(&job->track);
	if (job->below)
		(void)node_settle(job->node->backing);
}

const struct job_ops job_commit_ops = { .type = "commit", .start = start, .step = step, .end = end };
