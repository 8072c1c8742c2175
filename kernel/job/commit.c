/* SPDX-License-Identifier: MIT */
/*
 * Committing. Of the image that the guest writes to: what it and those between have goes into the base, once through
 * the disk and then again what the guest wrote meanwhile, until little is left. When its end is asked for, that is
 * copied with the guest held, the base is made durable, the image emptied, and the guest goes over to the base. The
 * image hides what is below until then, so a crash at any time leaves a disk that reads the same; afterwards it hides
 * nothing.
 * Of images between: they are copied once; then the image above names the base, and they are no longer of the chain.
 */
#include <util/error.h>

#include "kernel/block/open.h"
#include "kernel/job/parts.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/inst.h"
#include "kernel/machine/loop.h"

/* What may be left to be copied with the guest held: twice as much after each pass, so that there is an end. */
#define HELD_BYTES   (1ull << 20)
#define HELD_DOUBLED 5u
#define IDLE_NS      100000000u          /* between two looks at what was written, when it is ready */

/* Starting */

static const struct mt_block_image *image_of(const struct bnode *node)
{
	return inst_role(node->inst, MT_IFACE_BLOCK_IMAGE);
}

/* The base, open to be written. */
static int open_base(struct job *job, struct mt_error *err)
{
	struct bnode *above = job->base->above;
	int rc;

	if (!(job->base->info.flags & MT_BLOCK_INFO_READONLY))
		return 0;
	if (!above->origin->below_name)
		return fault_set(err, MT_EPERM, NULL, NULL, "%s: the disk below, %s, is only read", job->device,
				 node_name(job->base));
	rc = job_reopen_below(job, above, true, err);
	job->base = above->backing;
	if (rc < 0)
		return rc;
	job->reopened = true;
	return job->base->info.flags & MT_BLOCK_INFO_READONLY ?
	       fault_set(err, MT_EPERM, NULL, NULL, "%s: the disk below cannot be written", job->device) : 0;
}

static int grow_base(struct job *job, struct mt_error *err)
{
	struct bnode *below = job->base;
	const struct mt_block_image *role = image_of(below);
	int rc;

	if (below->info.disk_bytes == job->len_bytes || (below->info.disk_bytes > job->len_bytes && !below->origin->opened))
		return 0;
	if (below->info.disk_bytes > job->len_bytes)
		return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: the disk below is longer, and its end would be seen", job->device);
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

/* The guest writes to what is committed. */
static bool is_active(const struct job *job)
{
	return job->from == job->node;
}

static int able(const struct job *job, struct mt_error *err)
{
	const struct bnode *above = is_active(job) ? job->node : job->from->above;
	const struct mt_block_image *role = image_of(above);

	if (is_active(job) && (!role || !role->make_empty))
		return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: an image of this format cannot be emptied", job->device);
	if (job->name && (!role || !role->backing_set))
		return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: an image of this format keeps the disk below it", job->device);
	return 0;
}

static int start(struct job *job, struct mt_error *err)
{
	int rc = able(job, err);

	if (rc == 0)
		rc = open_base(job, err);
	if (rc == 0 && job->base->info.flags & MT_BLOCK_INFO_STREAM)
		rc = fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: the disk below can only be filled once", job->device);
	if (rc == 0)
		rc = grow_base(job, err);
	if (rc < 0)
		return rc;
	job->below = request_open(job->base, true, err);
	if (!job->below || !track_init(&job->track, job->len_bytes, MAX(job->from->info.unit_bytes, 1)))
		return job_fault(job, MT_ENOMEM, "the job cannot begin", err);
	if (is_active(job))
		node_each_front(job->node, track_set, &job->track);
	return 0;
}

/* Copying */

/* An image between says what it is, be it by ending before: then it is not the base's. */
static bool is_above_base(const struct job *job, const struct block_status *s)
{
	return s->depth < job->depth;
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
	int32_t rc = status_get(job->from, offset, end - offset, &s);

	if (rc == 0 && is_above_base(job, &s)) {
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
	return rc < 0 ? rc : node_settle(job->base);
}

/*
 * With the guest held, and what the image had durable in the base: nothing between may be seen when the image is empty,
 * so it names the base first. It shows what the base does from then on, and so does a start with it.
 */
static int empty(struct job *job, struct mt_error *err)
{
	const struct mt_block_image *role = image_of(job->node);
	char *format = open_format_name(job->base->inst->cls);
	int rc = 0;

	node_enter(job->node);
	if (job->name)
		rc = role->backing_set(job->node->self, job->name, format, err);
	if (rc == 0)
		rc = role->make_empty(job->node->self, err);
	node_leave(job->node);
	g_free(format);
	return rc;
}

/* The disk below is the guest's now; that of another section stays that section's. */
static int go_over(struct job *job)
{
	int rc = node_flush(job->node);

	if (rc < 0 || !job->base->origin->opened)
		return exclusive_end(job->node, rc);
	job_close_handles(job);
	newest_unmark(job->base);
	node_each_front(job->node, track_set, NULL);
	disk_move(job->node, job->base);
	job->node = job->from = job->base;
	return exclusive_end(job->node, 0);
}

static int finish_active(struct job *job, struct mt_error *err)
{
	int rc = exclusive_begin(job->node);

	if (rc < 0)
		return job_fault(job, rc, "what was written before cannot be stored", err);
	rc = (int)copy_rest(job);
	if (rc == 0)
		rc = empty(job, err);
	rc = rc < 0 ? exclusive_end(job->node, rc) : go_over(job);
	return rc < 0 ? job_fault(job, rc, "the image cannot be committed", err) : 1;
}

/* Nobody writes to what is committed: the image above it names the base, and what is between is dropped. */
static int finish_between(struct job *job, struct mt_error *err)
{
	struct bnode *above = job->from->above, *over = above == job->node ? NULL : above->above;
	int rc = node_settle(job->base);

	if (rc < 0)
		return job_fault(job, rc, "the disk below cannot be stored", err);
	if (over) {
		char *base = g_strdup(disk_path(job->base));

		job_close_handles(job);
		rc = job_reopen_below(job, over, true, err);
		above = over->backing;
		for (job->base = above; job->base && !disk_path_is(job->base, base); job->base = job->base->backing)
			;
		g_free(base);
	}
	if (rc == 0)
		rc = job->base ? job_name_base(job, above, err) : MT_EIO;
	if (rc == 0 && over)
		rc = job_reopen_below(job, over, false, err);
	return rc < 0 ? job_fault(job, rc, "the images between cannot be dropped", err) : 1;
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

static bool is_little(const struct job *job)
{
	return track_bytes(&job->track) <= HELD_BYTES << MIN(job->passes - 1, HELD_DOUBLED);
}

static int again(struct job *job, struct mt_error *err)
{
	bool found = true;
	int64_t rc = 0;

	if (job->offset == job->len_bytes && is_little(job)) {
		job->ready = true;
		job->next_ns = loop_now_ns() + IDLE_NS;
		return job->complete ? finish_active(job, err) : 0;
	}
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
	if (!job->passes)
		return first_time(job);
	return is_active(job) ? again(job, err) : finish_between(job, err);
}

/* The base of a job that did not come to its end is only read again. */
static void end(struct job *job)
{
	struct mt_error ignored = { .size = sizeof(ignored) };

	if (is_active(job))
		node_each_front(job->node, track_set, NULL);
	track_fini(&job->track);
	if (!job->below)
		return;
	(void)node_settle(job->base);
	job_close_handles(job);
	if (job->reopened)
		(void)job_reopen_below(job, job->base->above, false, &ignored);
}

const struct job_ops job_commit_ops = { .type = "commit", .start = start, .step = step, .end = end };
