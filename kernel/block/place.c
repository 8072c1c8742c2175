/* SPDX-License-Identifier: MIT */
/*
 * From an offset of the disk to a place in a file: through formats, their children and the backing chain. What was
 * found is remembered in the handle until its range is invalidated, so that a read of mapped data runs no plugin
 * code. Long places are few and looked through; the others lie in a table by their offset.
 */
#include <string.h>

#include "kernel/block/request.h"

#define LONG_BYTES  (1u << 20)
#define AHEAD_BYTES (4u << 20)           /* who reads or writes in order is told of so much at once, */
#define AHEAD_UNITS 64u                  /* but of no more units */

/* Generations of all nodes below `node`: each counts up only, so the sum of a changed chain differs. */
static uint64_t generation_below(const struct bnode *node)
{
	uint64_t sum = 0;

	for (uint32_t depth = 0; depth < BNODE_DEPTH_MAX; depth++) {
		for (uint32_t i = 0; i < node->child_count; i++) {
			const struct bnode *child = node->children[i].node;

			if (child)
				sum += __atomic_load_n(&child->generation, __ATOMIC_ACQUIRE) + generation_below(child);
		}
		node = node->backing;
		if (!node)
			break;
		sum += __atomic_load_n(&node->generation, __ATOMIC_ACQUIRE);
	}
	return sum;
}

static int32_t map_one(struct bnode *node, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		       struct mt_block_extent *extent, struct bplace *place)
{
	int32_t n;

	place->node = node;
	place->node_offset = offset;
	place->ready_count = node_ready_count(node);
	memset(extent, 0, sizeof(*extent));
	n = purpose == MT_BLOCK_MAP_WRITE ? node_wake_soon(node) : 0;
	if (n < 0)
		return n;
	node_enter(node);
	n = node->format->map(node->self, offset, len_bytes, purpose, extent, 1);
	node_leave(node);
	if (n == 0 || (n > 0 && extent->len_bytes == 0))
		return MT_EIO;                 /* a format that makes no progress would make us go round for ever */
	return n < 0 ? n : 0;
}

/* For a write that finds no place of its own the walk ends: the node is to reserve one. */
static int32_t stop(struct bplace *place, uint32_t purpose, enum place_kind kind)
{
	place->kind = purpose == MT_BLOCK_MAP_WRITE ? PLACE_RESERVE : kind;
	return 1;
}

static int32_t step_encoded(struct bnode *node, const struct mt_block_extent *extent, struct bplace *place,
			    uint32_t purpose)
{
	if (extent->child >= node->child_count || !node->children[extent->child].file || !node->format->decode ||
	    extent->unit_bytes > 2u << 20 || extent->encoded_bytes > 4u << 20 || extent->unit_bytes == 0 ||
	    extent->encoded_bytes == 0 || extent->skip_bytes > extent->unit_bytes ||
	    extent->len_bytes > extent->unit_bytes - extent->skip_bytes)
		return MT_EIO;
	place->extent = *extent;
	place->allocated = true;
	place->file = node->children[extent->child].file;
	place->file_offset = extent->child_offset;
	return stop(place, purpose, PLACE_ENCODED);
}

static int32_t step_backing(struct bnode **node, uint64_t offset, struct bplace *place, uint32_t purpose)
{
	struct bnode *below = (*node)->backing;

	if (purpose == MT_BLOCK_MAP_WRITE)
		return stop(place, purpose, PLACE_ZERO);
	if (!below && (*node)->backing_closed)
		return MT_EPERM;
	if (!below || offset >= below->info.disk_bytes)
		return stop(place, purpose, PLACE_ZERO);       /* a short backing disk reads as zero beyond its end */
	place->len_bytes = MIN(place->len_bytes, below->info.disk_bytes - offset);
	place->writable = false;
	*node = below;
	return 0;
}

int32_t place_own(struct bnode *node, uint64_t offset, uint64_t len_bytes, struct bplace *place, bool *own)
{
	struct mt_block_extent extent;
	int32_t rc;

	*place = (struct bplace){ .offset = offset };
	rc = map_one(node, offset, len_bytes, MT_BLOCK_MAP_READ, &extent, place);
	*own = extent.kind != MT_BLOCK_EXT_BACKING;
	place->len_bytes = MIN(extent.len_bytes, len_bytes);
	return rc;
}

/* In a disk with nothing below, formats say of what they have not that it is zero. */
static bool is_present(const struct bnode *node, const struct mt_block_extent *extent)
{
	if (extent->kind == MT_BLOCK_EXT_ZERO)
		return extent->flags & MT_BLOCK_EXT_ALLOCATED || node->backing || node->backing_closed;
	return extent->kind != MT_BLOCK_EXT_BACKING;
}

/* One step down. Returns 0 with *node moved, 1 at the end (place filled), or an error. */
static int32_t step(struct bnode **node, uint64_t *offset, const struct mt_block_extent *extent, struct bplace *place,
		    uint32_t purpose)
{
	const struct bchild *child = &(*node)->children[extent->child];

	place->len_bytes = MIN(place->len_bytes, extent->len_bytes);
	place->present = is_present(*node, extent);
	switch (extent->kind) {
	case MT_BLOCK_EXT_ZERO:
		place->allocated = extent->flags & MT_BLOCK_EXT_ALLOCATED;
		return stop(place, purpose, PLACE_ZERO);
	case MT_BLOCK_EXT_BACKING:
		return step_backing(node, *offset, place, purpose);
	case MT_BLOCK_EXT_ENCODED:
		return step_encoded(*node, extent, place, purpose);
	case MT_BLOCK_EXT_DATA:
		if (extent->child >= (*node)->child_count)
			return MT_EIO;
		if (purpose == MT_BLOCK_MAP_WRITE && !(extent->flags & MT_BLOCK_EXT_WRITABLE))
			return stop(place, purpose, PLACE_FILE);
		*offset = extent->child_offset;
		if (child->file) {
			place->kind = PLACE_FILE;
			place->allocated = true;
			place->file = child->file;
			place->file_offset = *offset;
			return 1;
		}
		*node = child->node;
		return 0;
	}
	return MT_ENOTSUP;
}

int32_t place_resolve(struct bnode *node, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		      struct bplace *place, uint32_t *depth)
{
	struct mt_block_extent extent;
	uint64_t at = offset;
	int32_t rc = 0;

	*place = (struct bplace){ .offset = offset, .len_bytes = UINT64_MAX, .writable = true };
	for (*depth = 0; rc == 0; ++*depth) {
		if (*depth == BNODE_DEPTH_MAX)
			return MT_EIO;
		rc = map_one(node, at, MIN(len_bytes, place->len_bytes), purpose, &extent, place);
		if (rc == 0)
			rc = step(&node, &at, &extent, place, purpose);
	}
	if (rc < 0)
		return rc;
	if (place->kind != PLACE_FILE || purpose != MT_BLOCK_MAP_WRITE)
		place->writable = false;
	if (place->kind == PLACE_ZERO)
		place->file = NULL;
	--*depth;
	return 0;
}

/* Memory of a handle */

static struct bplace *slot_of(struct mt_block *block, uint64_t offset)
{
	return &block->places[(offset >> block->place_shift) % BLOCK_PLACES];
}

static bool serves(const struct bplace *place, uint64_t offset, bool writable)
{
	return offset >= place->offset && offset - place->offset < place->len_bytes && (place->writable || !writable);
}

static const struct bplace *remembered(struct mt_block *block, uint64_t offset, bool writable)
{
	const struct bplace *place = block->last_place;

	if (place && serves(place, offset, writable))
		return place;
	place = slot_of(block, offset);
	if (serves(place, offset, writable))
		return place;
	for (uint32_t i = 0; i < BLOCK_PLACES_LONG; i++) {
		if (serves(&block->places_long[i], offset, writable))
			return &block->places_long[i];
	}
	return NULL;
}

static void remember(struct mt_block *block, const struct bplace *place)
{
	struct bplace *slot = place->len_bytes >= LONG_BYTES ?
			      &block->places_long[block->next_place++ % BLOCK_PLACES_LONG] :
			      slot_of(block, place->offset);

	*slot = *place;
	block->last_place = slot;
}

/* How much to ask for: more than is wanted now where the last place that was found goes on. */
static uint64_t ask_bytes(const struct mt_block *block, uint64_t offset, uint64_t len_bytes)
{
	const struct bplace *last = block->last_place;
	uint64_t ahead = MIN((uint64_t)block->node->info.unit_bytes * AHEAD_UNITS, AHEAD_BYTES);

	if (!last || offset != last->offset + last->len_bytes)
		return len_bytes;
	return MAX(len_bytes, MIN(ahead, block->node->info.disk_bytes - offset));
}

static void forget_all(struct mt_block *block)
{
	memset(block->places_long, 0, sizeof(block->places_long));
	memset(block->places, 0, BLOCK_PLACES * sizeof(*block->places));
}

static void forget_in(struct bplace *places, uint32_t count, const struct brange *range)
{
	for (uint32_t i = 0; i < count; i++) {
		struct bplace *place = &places[i];

		if (place->len_bytes && place->offset < range->offset + range->len_bytes &&
		    range->offset < place->offset + place->len_bytes)
			place->len_bytes = 0;
	}
}

/* A place lies in the slot of its first byte, so it may reach into the range from one slot before. */
static void forget_range(struct mt_block *block, const struct brange *range)
{
	uint64_t step = 1ull << block->place_shift;
	uint64_t first = range->offset < LONG_BYTES ? 0 : range->offset - LONG_BYTES;

	forget_in(block->places_long, BLOCK_PLACES_LONG, range);
	if (range->len_bytes / step + LONG_BYTES / step + 2 >= BLOCK_PLACES) {
		forget_in(block->places, BLOCK_PLACES, range);
		return;
	}
	for (uint64_t at = first & ~(step - 1); at < range->offset + range->len_bytes; at += step)
		forget_in(slot_of(block, at), 1, range);
}

/* What was invalidated since the last look. */
static void catch_up(struct mt_block *block)
{
	struct bnode *node = block->node;
	uint64_t below = node->backing || node->child_count ? generation_below(node) : 0;
	uint64_t now = __atomic_load_n(&node->generation, __ATOMIC_SEQ_CST);

	if (below == block->seen_below && now == block->seen_generation)
		return;
	if (below != block->seen_below || now - block->seen_generation > BNODE_RECENT) {
		forget_all(block);
	} else {
		pthread_mutex_lock(&node->mutex);
		now = node->generation;
		if (now - block->seen_generation > BNODE_RECENT)
			forget_all(block);
		for (uint64_t i = block->seen_generation; now - i <= BNODE_RECENT && i != now; i++)
			forget_range(block, &node->recent[i % BNODE_RECENT]);
		pthread_mutex_unlock(&node->mutex);
	}
	block->seen_generation = now;
	block->seen_below = below;
}

void place_forget(struct mt_block *block)
{
	const struct bnode *node = block->node;

	forget_all(block);
	block->seen_generation = __atomic_load_n(&node->generation, __ATOMIC_SEQ_CST);
	block->seen_below = generation_below(node);
}

int32_t place_find(struct mt_block *block, struct bnode *node, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		   struct bplace *place)
{
	const struct bplace *known = NULL;
	bool memory = node == block->node;
	uint32_t depth;
	uint64_t skip;
	int32_t rc;

	if (memory) {
		catch_up(block);
		known = remembered(block, offset, purpose == MT_BLOCK_MAP_WRITE);
	}
	if (known) {
		*place = *known;
	} else {
		rc = place_resolve(node, offset, memory ? ask_bytes(block, offset, len_bytes) : len_bytes, purpose, place,
				   &depth);
		if (rc < 0)
			return rc;
		if (memory && place->kind != PLACE_RESERVE)
			remember(block, place);
	}
	skip = offset - place->offset;
	place->offset = offset;
	place->node_offset += skip;
	if (place->kind == PLACE_ENCODED)
		place->extent.skip_bytes += (uint32_t)skip;
	else
		place->file_offset += skip;
	place->len_bytes = MIN(place->len_bytes - skip, len_bytes);
	return 0;
}
