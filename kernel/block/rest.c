/* SPDX-License-Identifier: MIT */
/*
 * Formats that rest: their files are as a close leaves them until a write comes, which waits for the format to say in
 * the file that it may change. A machine that is saved rests, so that its end finds nothing to write.
 */
#include "kernel/block/block.h"
#include "kernel/block/node.h"
#include "kernel/block/request.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/inst.h"
#include "kernel/machine/machine.h"

int32_t node_wake(struct bnode *node)
{
	int32_t rc = 0;

	node_enter(node);
	if (__atomic_load_n(&node->asleep, __ATOMIC_SEQ_CST))
		rc = node->format->wake(node->self);
	if (rc == 0)
		__atomic_store_n(&node->asleep, false, __ATOMIC_SEQ_CST);
	node_leave(node);
	return rc;
}

static void wake_job(void *arg)
{
	struct bnode *node = arg;

	__atomic_store_n(&node->wake_failed, node_wake(node), __ATOMIC_SEQ_CST);
	__atomic_store_n(&node->waking, false, __ATOMIC_SEQ_CST);
	node_ready(node);
}

int32_t node_wake_soon(struct bnode *node)
{
	int32_t rc;

	if (!__atomic_load_n(&node->asleep, __ATOMIC_SEQ_CST))
		return 0;
	rc = __atomic_exchange_n(&node->wake_failed, 0, __ATOMIC_SEQ_CST);
	if (rc == 0 && !__atomic_exchange_n(&node->waking, true, __ATOMIC_SEQ_CST))
		node_job(node, wake_job, node);
	return rc < 0 ? rc : MT_EAGAIN;
}

/* With what the format frees behind a flush. Leases end, so that the next write asks where it may go. */
static int32_t rest(struct bnode *node)
{
	int32_t rc = node_settle(node);

	for (uint32_t i = 0; i < node->child_count && rc == 0; i++)
		rc = node->children[i].node ? rest(node->children[i].node) : 0;
	if (rc < 0 || !node->format->rest || __atomic_load_n(&node->asleep, __ATOMIC_SEQ_CST))
		return rc;
	node_jobs_wait(node);
	node->alone = true;
	node_enter(node);
	rc = node->format->rest(node->self);
	__atomic_store_n(&node->asleep, rc == 0 && node->format->wake, __ATOMIC_SEQ_CST);
	node_leave(node);
	node_invalidate(node, 0, 0);
	node->alone = false;
	return rc;
}

/* What is reaped here was submitted here. */
static int front_flush(struct mt_block *block)
{
	struct mt_block_req req = { .op = MT_BLOCK_FLUSH }, *reqs[] = { &req }, *done;

	inst_enter(block->front_inst);
	request_submit(block, reqs, 1);
	request_drain(block);
	while (request_reap(block, &done, 1) && done != &req)
		;
	inst_leave(block->front_inst);
	return req.result;
}

int block_rest_all(struct machine *m, struct mt_error *err)
{
	for (unsigned i = 0; i < m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(m->insts, i);
		struct bnode *node = graph_node(inst);

		for (struct mt_block *block = node ? node->fronts : NULL; block; block = block->next_front) {
			int code = block->write ? front_flush(block) : 0;

			if (code == 0 && block->write)
				code = rest(node);
			if (code < 0)
				return fault_set(err, code, inst->id, "see whether the host's disk is full or broken",
						 "disk %s cannot be flushed (%d)", inst->id, code);
		}
	}
	return 0;
}
