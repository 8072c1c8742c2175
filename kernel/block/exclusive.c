/* SPDX-License-Identifier: MIT */
/* Exclusive operations on an image: see node.h. Handles are frozen under their fronts' locks. [main] */
#include "kernel/block/node.h"
#include "kernel/block/request.h"
#include "kernel/machine/inst.h"

/* Handles of the node, and those above that read through it. */
static void each_front(struct bnode *node, void (*fn)(struct mt_block *block))
{
	if (node->above)
		each_front(node->above, fn);
	for (struct mt_block *block = node->fronts; block; block = block->next_front) {
		if (block->front_inst)
			inst_enter(block->front_inst);
		fn(block);
		if (block->front_inst)
			inst_leave(block->front_inst);
	}
}

int32_t exclusive_begin(struct bnode *node)
{
	int32_t rc;

	each_front(node, request_freeze);
	rc = node_settle(node);
	if (rc < 0)
		each_front(node, request_thaw);
	else
		node->exclusive = true;
	return rc;
}

int32_t exclusive_end(struct bnode *node, int32_t result)
{
	int32_t rc = node_flush(node);

	node_enter(node);
	node_refresh(node);
	node_leave(node);
	codec_forget_all(node);
	node_invalidate(node, 0, 0);
	node->exclusive = false;
	each_front(node, request_thaw);
	return result < 0 ? result : rc;
}
