/* SPDX-License-Identifier: MIT */
/*
 * Zeroes and discards. Whole units are a change of mapping where the format knows one; the rest of a zero is written,
 * unless it reads as zero already, and the rest of a discard is let be. Where all is in place, the host's file system
 * does both. Under the front's lock.
 */
#include <sys/uio.h>

#include "kernel/block/request.h"

#define WRITE_MOST (2u << 20)

static bool is_discard(const struct breq *req)
{
	return req->pub->op == MT_BLOCK_DISCARD;
}

/* By the host's file system, in place. */
static int64_t by_file(struct mt_block *block, struct breq *req, const struct bplace *place)
{
	struct bop *op;

	if (__atomic_load_n(&place->file->flush_failed, __ATOMIC_RELAXED))
		return MT_EIO;
	op = op_take(block, req, place->file);
	op->offset = place->file_offset;
	op->len_bytes = place->len_bytes;
	if (req->pub->flags & MT_BLOCK_FUA && place->file->options.cache != FILE_UNSAFE)
		op->rw_flags = RWF_DSYNC;
	if (op_set_fallocate(op, req->pub->op, req->pub->flags)) {
		if (op->kind == BOP_WRITE && req->pub->flags & MT_BLOCK_FAST) {
			op_free(block, op);
			return MT_ENOTSUP;
		}
		req->outstanding++;
		op_issue(block, op);
	} else {
		op_free(block, op);
	}
	return (int64_t)place->len_bytes;
}

/* As data that happen to be zero. */
static int64_t by_write(struct mt_block *block, struct breq *req, struct bplace *place, uint64_t len_bytes)
{
	struct bplace now;
	struct bpart *part;
	int32_t rc;

	if (is_discard(req))
		return (int64_t)len_bytes;
	rc = request_find(block, req, MT_BLOCK_MAP_READ, &now);
	if (rc < 0)
		return rc;
	if (now.kind == PLACE_ZERO && !(req->pub->flags & MT_BLOCK_ALLOCATE))
		return (int64_t)MIN(now.len_bytes, len_bytes);
	if (req->pub->flags & MT_BLOCK_FAST && place->kind != PLACE_FILE && len_bytes >= MAX(place->node->info.unit_bytes, 1))
		return MT_ENOTSUP;
	len_bytes = MIN(len_bytes, MIN(place->len_bytes, WRITE_MOST));
	place->len_bytes = len_bytes;
	if (place->kind == PLACE_FILE)
		return by_file(block, req, place);
	part = part_new(block, req, place, len_bytes);
	part_take_zeros(part);
	req->flush_after |= (req->pub->flags & MT_BLOCK_FUA) != 0;
	part_start_write(part);
	return (int64_t)len_bytes;
}

/* The units that lie whole in what is left of the request; in the end of the disk the last one may be short. */
static struct brange whole_units(const struct breq *req, const struct bplace *place, uint64_t *partial)
{
	const struct mt_block_info *info = &place->node->info;
	uint64_t left = req->pub->len_bytes - req->done_bytes, unit = MAX(info->unit_bytes, 1);
	uint64_t start = place->node_offset, end, head;

	if (place->node != req->node)
		left = MIN(left, place->len_bytes);
	end = start + left;
	head = (unit - start % unit) % unit;
	if (end < info->disk_bytes)
		end = end / unit * unit;
	*partial = MIN(left, head ? head : unit);
	if (head || end <= start)
		return (struct brange){ start, 0 };
	return (struct brange){ start, end - start };
}

static int64_t by_format(struct breq *req, struct bnode *node, const struct brange *range)
{
	uint64_t ready;
	int64_t n;

	do {
		ready = node_ready_count(node);
		node_enter(node);
		n = node->format->unmap(node->self, range->offset, range->len_bytes, req->pub->op, req->pub->flags);
		if (n != MT_EAGAIN && n != MT_ENOTSUP)
			node_invalidate(node, range->offset, range->len_bytes);
		node_leave(node);
		if (n == MT_EAGAIN && node_wait_ready(node, &req->wake, ready))
			return MT_EAGAIN;
	} while (n == MT_EAGAIN);
	return n > (int64_t)range->len_bytes || n == 0 ? MT_EIO : n;
}

/* With its units: taken at the first try, kept while it waits for metadata, given back when it is over. */
static int64_t unmap(struct breq *req, struct bnode *node, const struct brange *range)
{
	uint64_t unit = MAX(node->info.unit_bytes, 1);
	int64_t n;

	if (!req->has_units) {
		req->units.offset = range->offset;
		req->units.len_bytes = (range->len_bytes + unit - 1) / unit * unit;
		if (!node_lock_units(node, &req->units, &req->wake))
			return MT_EAGAIN;
		req->units_node = node;
		req->has_units = true;
	}
	n = by_format(req, node, range);
	if (n == MT_EAGAIN)
		return n;
	node_unlock_units(node, &req->units);
	req->has_units = false;
	return n;
}

int64_t zero_step(struct mt_block *block, struct breq *req)
{
	struct bplace place;
	struct brange range;
	uint64_t partial;
	int64_t n;

	n = request_find(block, req, MT_BLOCK_MAP_WRITE, &place);
	if (n < 0)
		return n;
	if (!place.node->format->unmap && place.kind == PLACE_FILE)
		return by_file(block, req, &place);
	if (!place.node->format->unmap || req->no_unmap || req->pub->flags & MT_BLOCK_ALLOCATE)
		return by_write(block, req, &place, place.len_bytes);
	range = whole_units(req, &place, &partial);
	if (range.len_bytes == 0)
		return by_write(block, req, &place, partial);
	n = unmap(req, place.node, &range);
	if (n == MT_ENOTSUP) {
		req->no_unmap = true;
		return by_write(block, req, &place, place.len_bytes);
	}
	if (n > 0)
		req->flush_after |= (req->pub->flags & MT_BLOCK_FUA) != 0;
	return n;
}
