/* SPDX-License-Identifier: MIT */
/* The part of a disk's chain that a job is about, and what becomes of it. [main] */
#include <stdlib.h>
#include <string.h>

#include "kernel/block/open.h"
#include "kernel/job/parts.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/inst.h"

static struct bnode *find(struct bnode *node, const char *path)
{
	while (node && !disk_path_is(node, path))
		node = node->backing;
	return node;
}

static int unknown(const struct job *job, const char *what, const char *path, struct mt_error *err)
{
	return fault_set(err, MT_EINVAL, what, "query-block lists the images of a disk",
			 "%s: '%s' is not the file of an image %s", job->device, path, strcmp(what, "top") ? "below" : "of it");
}

static int base_find(struct job *job, const struct job_want *want, struct mt_error *err)
{
	struct bnode *n = job->from->backing;

	if (want->base)
		n = find(n, want->base);
	for (uint32_t i = 1; !want->base && want->kind == JOB_COMMIT && n->backing && (i < want->depth || !want->depth); i++)
		n = n->backing;
	if (!n)
		return unknown(job, "base", want->base, err);
	if (want->kind == JOB_COMMIT || want->base)
		job->base = n;
	return 0;
}

/* What is between lies in files, and is the chain's own. */
static int part_check(struct job *job, struct mt_error *err)
{
	job->depth = 0;
	for (struct bnode *n = job->from; n && n != job->base; n = n->backing, job->depth++) {
		for (uint32_t i = 0; (job->base || n == job->from) && i < n->child_count; i++) {
			if (!n->children[i].file)
				return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: the image lies in another image", job->device);
		}
		if (n->backing && n->backing->filter)
			return fault_set(err, MT_EINVAL, NULL, NULL, "%s: no image lies below this one", job->device);
		if (job->base && n->backing && !n->backing->origin->opened &&
		    (n->backing != job->base || n != job->node || job->ops != &job_commit_ops))
			return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: the section %s lies between", job->device,
					 n->backing->inst->id);
	}
	return 0;
}

static int name_make(struct job *job, const struct job_want *want, struct bnode *above, struct mt_error *err)
{
	char *path = realpath(disk_path(job->base), NULL);
	struct name_found found;
	int rc;

	job->name = want->backing_name ? g_strdup(want->backing_name) : path ? disk_name_from(disk_path(above), path) : NULL;
	if (!job->name)
		rc = fault_set(err, MT_ENOENT, NULL, NULL, "%s: the file %s is no longer there", job->device, disk_path(job->base));
	else
		rc = names_find(above, job->name, NAME_BACKING, &found, err);
	if (rc == 0 && !disk_path_is(job->base, found.path))
		rc = unknown(job, "backing-file", job->name, err);
	if (rc == 0)
		names_found_fini(&found);
	free(path);
	return rc;
}

int job_chain(struct job *job, const struct job_want *want, struct mt_error *err)
{
	struct bnode *above;
	int rc;

	job->from = want->top ? find(job->node, want->top) : job->node;
	if (!job->from)
		return unknown(job, "top", want->top, err);
	if (!job->from->backing)
		return fault_set(err, MT_EINVAL, NULL, NULL, "%s: no image lies below this one", job->device);
	rc = base_find(job, want, err);
	if (rc == 0)
		rc = part_check(job, err);
	above = want->kind == JOB_STREAM || job->from == job->node ? job->node : job->from->above;
	if (rc == 0 && job->base && (want->kind == JOB_STREAM || job->from != job->node || job->depth > 1))
		rc = name_make(job, want, above, err);
	return rc;
}

static void forget(struct bnode *node)
{
	for (; node; node = node->above)
		node_invalidate(node, 0, 0);
}

int job_reopen_below(struct job *job, struct bnode *node, bool write, struct mt_error *err)
{
	int rc = exclusive_begin(node);

	if (rc < 0)
		return job_fault(job, rc, "what was written before cannot be stored", err);
	rc = node_backing_change(node, node->origin->below_name, node->origin->below_format, write, err);
	forget(node);
	rc = exclusive_end(node, rc);
	return rc < 0 ? job_fault(job, rc, "the image below cannot be opened again", err) : 0;
}

/* Places behind the disk are other files' from now on: no handle may remember them. */
int job_name_base(struct job *job, struct bnode *node, struct mt_error *err)
{
	const struct mt_block_image *role = inst_role(node->inst, MT_IFACE_BLOCK_IMAGE);
	char *format = job->base ? open_format_name(job->base->inst->cls) : NULL;
	int rc = exclusive_begin(node);

	if (rc < 0) {
		g_free(format);
		return job_fault(job, rc, "what was written before cannot be stored", err);
	}
	node_enter(node);
	rc = role->backing_set(node->self, job->name, format, err);
	node_leave(node);
	if (rc == 0 && job->name) {
		job_close_handles(job);
		newest_mark(job->base, disk_path(node));
		job->base = NULL;
		rc = node_backing_change(node, job->name, format, false, err);
	} else if (rc == 0) {
		node_backing_close(node);
	}
	forget(node);
	rc = exclusive_end(node, rc);
	g_free(format);
	return rc < 0 ? job_fault(job, rc, "the name of the disk below cannot be changed in the image", err) : 0;
}
