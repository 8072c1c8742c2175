/* SPDX-License-Identifier: MIT */
/*
 * Disks that become longer or shorter under a machine. Requests wait meanwhile, fronts hear of it on their loops.
 * [main], whether the machine runs or not.
 */
#include <util/error.h>

#include "kernel/block/block.h"
#include "kernel/block/filter.h"
#include "kernel/block/node.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/inst.h"

#include <mortise/draft/block-image.h>

/* What a longer disk shows of the disk below it would be no zeros: those have to be written first. */
static bool shows_more(const struct bnode *node, uint64_t disk_bytes)
{
	return disk_bytes > node->info.disk_bytes && node->backing && node->backing->info.disk_bytes > node->info.disk_bytes;
}

static int resizable(const struct bnode *node, const struct mt_block_image *role, uint64_t disk_bytes,
		     struct mt_error *err)
{
	const char *id = disk_of(node)->id;

	if (!role || !role->resize)
		return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: an image of this format keeps its size", id);
	if (node->info.flags & MT_BLOCK_INFO_READONLY || !node->writers)
		return fault_set(err, MT_EPERM, NULL, NULL, "%s is only read", id);
	if (node->busy)
		return fault_set(err, MT_EBUSY, NULL, "cancel it, or wait for it", "%s: a job works on it", id);
	if (shows_more(node, disk_bytes))
		return fault_set(err, MT_ENOTSUP, NULL, "when the machine is off, mortise img resize can",
				 "%s: the disk below it is longer, and would be seen behind the old end", id);
	return 0;
}

int block_resize(struct mt_inst *inst, uint64_t disk_bytes, uint32_t flags, struct mt_error *err)
{
	struct bnode *node = filter_image(graph_node(inst));
	const struct mt_block_image *role = inst_role(node->inst, MT_IFACE_BLOCK_IMAGE);
	int rc = resizable(node, role, disk_bytes, err);

	if (rc < 0)
		return rc;
	rc = exclusive_begin(node);
	if (rc < 0)
		return fault_set(err, rc, NULL, NULL, "%s: what was written before cannot be stored", disk_of(node)->id);
	refusal_clear(&node->refusal);
	node_enter(node);
	rc = role->resize(node->self, disk_bytes, flags, MT_BLOCK_PREALLOC_OFF, err);
	node_leave(node);
	refusal_tell(&node->refusal, rc, err);
	rc = exclusive_end(node, rc);
	if (rc < 0 && !*err->message)
		fault_set(err, rc, NULL, NULL, "%s cannot be resized (%d)", disk_of(node)->id, rc);
	return rc;
}
