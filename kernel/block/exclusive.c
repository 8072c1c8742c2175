/* SPDX-License-Identifier: MIT */
/* Exclusive operations on an image: see node.h. Handles are frozen under their fronts' locks. [main] */
#include "kernel/block/node.h"
#include "kernel/block/request.h"
#include "kernel/machine/inst.h"

void node_each_front(struct bnode *node, void (*fn)(struct mt_block *block, void *arg), void *arg)
{
	if (node->above)
		node_each_front(node->above, fn, arg);
	for (struct mt_block *block = node->fronts; block; block = block->next_front) {
		if (block->front_inst)
			inst_enter(block->front_inst);
		fn(block, arg);
		if (block->front_inst)
			inst_leave(block->front_inst);
	}
}

static void freeze(struct mt_block *block, void *arg)
{
	(void)arg;
	request_freeze(block);
}

static void thaw(struct mt_block *block, void *arg)
{
	(void)arg;
	request_thaw(block);
}

void node_alone(struct bnode *node)
{
	node_jobs_wait(node);
	__atomic_store_n(&node->exclusive, true, __ATOMIC_SEQ_CST);
	node->alone = true;
}

/*
 * A pass that was asked for before would wait for the instance's lock, and the operation's own flush for that pass; so
 * would one of a node above that comes down to this one.
 */
int32_t exclusive_begin(struct bnode *node)
{
	int32_t rc;

	node_each_front(node, freeze, NULL);
	rc = node_settle(node);
	if (rc < 0) {
		node_each_front(node, thaw, NULL);
		return rc;
	}
	__atomic_store_n(&node->exclusive, true, __ATOMIC_SEQ_CST);
	for (struct bnode *n = node; n; n = n->above)
		node_jobs_wait(n);
	node->alone = true;
	rc = node_wake(node);
	return rc < 0 ? exclusive_end(node, rc) : 0;
}

int32_t exclusive_end(struct bnode *node, int32_t result)
{
	int32_t rc = node_flush(node);

	node_enter(node);
	node_refresh(node);
	node_leave(node);
	codec_forget_all(node);
	node_invalidate(node, 0, 0);
	node->alone = false;
	__atomic_store_n(&node->exclusive, false, __ATOMIC_SEQ_CST);
	node_each_front(node, thaw, NULL);
	return result < 0 ? result : rc;
}
