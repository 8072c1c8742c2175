/* SPDX-License-Identifier: MIT */
/*
 * From an offset of the disk to a place in a file: through formats, their children and the backing chain. What was
 * found is remembered in the handle for as long as no node of the chain has invalidated anything, so that a read
 * of mapped data runs no plugin code.
 */
#include <glib.h>
#include <string.h>

#include "kernel/block/request.h"

/* Sums over the chain: each counts up only, so the sum of a changed chain differs. */
static uint64_t chain_generation(const struct bnode *node)
{
	uint64_t sum = 0;

	for (uint32_t depth = 0; node && depth < BNODE_DEPTH_MAX; depth++) {
		sum += __atomic_load_n(&node->generation, __ATOMIC_ACQUIRE);
		for (uint32_t i = 0; i < node->child_count; i++) {
			if (node->children[i].node)
				sum += chain_generation(node->children[i].node);
		}
		node = node->backing;
	}
	return sum;
}

static int32_t map_one(struct bnode *node, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		       struct mt_block_extent *extent)
{
	int32_t n;

	if (node->inst)
		node->enter(node->inst);
	n = node->format->map(node->self, offset, len_bytes, purpose, extent, 1);
	if (node->inst)
		node->leave(node->inst);
	if (n == 0 || (n > 0 && extent->len_bytes == 0))
		return MT_EIO;                 /* a format that makes no progress would make us go round for ever */
	return n < 0 ? n : 0;
}

/* One step down. Returns 0 with *node moved, 1 at the end (place filled), or an error. */
static int32_t step(struct bnode **node, uint64_t *offset, const struct mt_block_extent *extent, struct bplace *place,
		    uint32_t purpose)
{
	const struct bchild *child = &(*node)->children[extent->child];

	place->len_bytes = MIN(place->len_bytes, extent->len_bytes);
	switch (extent->kind) {
	case MT_BLOCK_EXT_ZERO:
		return 1;
	case MT_BLOCK_EXT_BACKING:
		*node = (*node)->backing;
		if (!*node || *offset >= (*node)->info.disk_bytes)
			return 1;              /* a short backing disk reads as zero beyond its end */
		place->len_bytes = MIN(place->len_bytes, (*node)->info.disk_bytes - *offset);
		place->writable = false;
		return 0;
	case MT_BLOCK_EXT_DATA:
		if (extent->child >= (*node)->child_count)
			return MT_EIO;
		if (purpose == MT_BLOCK_MAP_WRITE && !(extent->flags & MT_BLOCK_EXT_WRITABLE))
			place->writable = false;
		*offset = extent->child_offset;
		*node = child->node;
		place->file = child->file;
		place->file_offset = *offset;
		return child->file ? 1 : 0;
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
		memset(&extent, 0, sizeof(extent));
		rc = map_one(node, at, MIN(len_bytes, place->len_bytes), purpose, &extent);
		if (rc == 0)
			rc = step(&node, &at, &extent, place, purpose);
	}
	if (rc < 0)
		return rc;
	if (!place->file || purpose != MT_BLOCK_MAP_WRITE)
		place->writable = false;
	--*depth;
	return 0;
}

static struct bplace *remembered(struct mt_block *block, uint64_t offset, bool writable)
{
	for (uint32_t i = 0; i < BLOCK_PLACES; i++) {
		struct bplace *place = &block->places[i];

		if (offset >= place->offset && offset - place->offset < place->len_bytes &&
		    (place->writable || !writable))
			return place;
	}
	return NULL;
}

static void remember(struct mt_block *block, const struct bplace *place)
{
	block->places[block->next_place++ % BLOCK_PLACES] = *place;
}

int32_t place_find(struct mt_block *block, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		   struct bplace *place)
{
	uint64_t generation = chain_generation(block->node), skip;
	const struct bplace *known;
	uint32_t depth;
	int32_t rc;

	if (generation != block->places_generation) {
		memset(block->places, 0, sizeof(block->places));
		block->places_generation = generation;
	}
	known = remembered(block, offset, purpose == MT_BLOCK_MAP_WRITE);
	if (!known) {
		rc = place_resolve(block->node, offset, len_bytes, purpose, place, &depth);
		if (rc < 0)
			return rc;
		remember(block, place);
	} else {
		*place = *known;
	}
	skip = offset - place->offset;
	place->offset = offset;
	place->file_offset += skip;
	place->len_bytes = MIN(place->len_bytes - skip, len_bytes);
	return 0;
}
