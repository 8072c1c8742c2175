/* SPDX-License-Identifier: MIT */
/* Counting, and adding up; see stats.h. */
#include "kernel/block/stats.h"

#include "kernel/block/block.h"
#include "kernel/block/filter.h"

static void count(uint64_t *at, uint64_t n)
{
	__atomic_store_n(at, *at + n, __ATOMIC_RELAXED);
}

static enum stats_kind kind_of(uint32_t op)
{
	switch (op) {
	case MT_BLOCK_READ: return STATS_READ;
	case MT_BLOCK_FLUSH: return STATS_FLUSH;
	case MT_BLOCK_DISCARD: return STATS_UNMAP;
	}
	return STATS_WRITE;
}

static uint32_t bin_of(uint64_t ns)
{
	uint64_t us = ns / 1000;
	uint32_t bits = us ? 64 - (uint32_t)__builtin_clzll(us) : 0;

	return bits < STATS_BINS ? bits : STATS_BINS - 1;
}

void stats_begin(struct block_stats *stats)
{
	count(&stats->begun, 1);
}

void stats_end(struct block_stats *stats, const struct mt_block_req *req, uint64_t ns, int32_t error, uint32_t invalid)
{
	struct stats_of *of = &stats->of[kind_of(req->op)];

	count(&stats->ended, 1);
	if (invalid) {
		count(&of->invalid, 1);
		return;
	}
	count(&of->total_ns, ns);
	count(&of->bins[bin_of(ns)], 1);
	if (error) {
		count(&of->failed, 1);
		return;
	}
	count(&of->operations, 1);
	count(&of->bytes, req->op == MT_BLOCK_FLUSH ? 0 : req->len_bytes);
}

void stats_add(struct block_stats *to, const struct block_stats *from)
{
	const uint64_t *numbers = (const uint64_t *)from;
	uint64_t *sums = (uint64_t *)to;

	_Static_assert(sizeof(struct block_stats) % sizeof(uint64_t) == 0, "numbers and nothing else");
	for (size_t i = 0; i < sizeof(*from) / sizeof(*numbers); i++)
		sums[i] += __atomic_load_n(&numbers[i], __ATOMIC_RELAXED);
}

bool block_info(struct mt_inst *inst, struct mt_block_info *out)
{
	struct bnode *node = graph_node(inst);

	if (!node || filter_is_loose(node))
		return false;
	*out = (struct mt_block_info){ .size = sizeof(*out) };
	node_enter(node);
	node->format->info(node->self, out);
	node_leave(node);
	return true;
}

bool block_stats(struct mt_inst *inst, const struct mt_inst *front, struct block_stats *out)
{
	const struct bnode *node = graph_node(inst);
	bool found = false;

	for (const struct mt_block *block = node ? node->fronts : NULL; block; block = block->next_front) {
		if (block->front_inst != front)
			continue;
		stats_add(out, &block->stats);
		found = true;
	}
	return found;
}
