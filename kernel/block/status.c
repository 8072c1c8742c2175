/* SPDX-License-Identifier: MIT */
/* Block status: what a range holds, from the mapping and, below it, from the file's holes. [any]; may wait. */
#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include "kernel/block/request.h"
#include "kernel/block/served.h"

/* Cuts `place` where data and holes of the file change; true: it is a hole. */
static bool file_hole(struct bplace *place)
{
	off_t at = (off_t)place->file_offset, edge;
	bool hole = false;

	if (place->file->served)
		return served_hole(place->file, place->file_offset, &place->len_bytes);
	/* the descriptor without direct I/O: its position is used by nothing else */
	edge = lseek(place->file->plain_fd, at, SEEK_DATA);
	if (edge < 0 && errno == ENXIO)
		return true;                   /* no data from here to the end */
	if (edge < 0)
		return false;                  /* not known: data */
	if (edge > at) {
		hole = true;
	} else {
		edge = lseek(place->file->plain_fd, at, SEEK_HOLE);
		if (edge <= at)
			return false;
	}
	place->len_bytes = MIN(place->len_bytes, (uint64_t)(edge - at));
	return hole;
}

static int32_t resolve(struct bnode *node, uint64_t offset, uint64_t len_bytes, struct bplace *place, uint32_t *depth)
{
	int32_t rc;

	for (;;) {
		rc = place_resolve(node, offset, len_bytes, MT_BLOCK_MAP_READ, place, depth);
		if (rc != MT_EAGAIN)
			return rc;
		node_sleep_ready(place->node, place->ready_count);
	}
}

int32_t status_get(struct bnode *node, uint64_t offset, uint64_t len_bytes, struct block_status *out)
{
	struct bplace place;
	int32_t rc;

	*out = (struct block_status){ 0 };
	if (offset >= node->info.disk_bytes)
		return MT_ERANGE;
	len_bytes = MIN(len_bytes, node->info.disk_bytes - offset);
	rc = resolve(node, offset, len_bytes, &place, &out->depth);
	if (rc < 0)
		return rc;
	place.len_bytes = MIN(place.len_bytes, len_bytes);
	if (place.kind == PLACE_ENCODED)
		out->flags |= BLOCK_STATUS_DATA | BLOCK_STATUS_ENCODED;
	else if (place.kind == PLACE_ZERO || file_hole(&place))
		out->flags |= BLOCK_STATUS_ZERO;
	else
		out->flags |= BLOCK_STATUS_DATA;
	if (place.kind == PLACE_FILE)
		out->flags |= BLOCK_STATUS_OFFSET;
	if (place.present)
		out->flags |= BLOCK_STATUS_PRESENT;
	if (place.allocated && out->depth == 0)
		out->flags |= BLOCK_STATUS_ALLOCATED;
	out->node = place.allocated ? place.node : NULL;
	out->file_offset = place.kind == PLACE_FILE ? place.file_offset : 0;
	out->len_bytes = place.len_bytes;
	return 0;
}
