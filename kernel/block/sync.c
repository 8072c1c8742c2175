/* SPDX-License-Identifier: MIT */
/*
 * Flushes all disks of a machine, for a snapshot: [main], the machine paused and its fronts quiesced, so that nothing
 * is in flight and what is reaped here was submitted here. Formats are flushed as a guest's own flush does it.
 */
#include "kernel/block/block.h"
#include "kernel/block/request.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/inst.h"
#include "kernel/machine/machine.h"

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

int block_flush_all(struct machine *m, struct mt_error *err)
{
	for (unsigned i = 0; i < m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(m->insts, i);
		struct bnode *node = graph_node(inst);

		for (struct mt_block *block = node ? node->fronts : NULL; block; block = block->next_front) {
			int code = block->write ? front_flush(block) : 0;

			/* what the format frees behind a flush, too: the end of the process shall find nothing to write */
			if (code == 0 && block->write)
				code = node_settle(node);
			if (code < 0)
				return fault_set(err, code, inst->id, "see whether the host's disk is full or broken",
						 "disk %s cannot be flushed (%d)", inst->id, code);
		}
	}
	return 0;
}
