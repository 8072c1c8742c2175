// SPDX-License-Identifier: MIT
/* BLOCK_STATUS: what the disk holds, by the contexts agreed on. The connection's thread waits for metadata here. */
#include <glib.h>
#include <util/endian.h>

#include "kernel/block/request.h"
#include "kernel/nbd/session.h"

#define LOOKS_MAX 4096u                  /* at the mapping, for one answer */
#define CONTEXTS  2u

struct extents {
	uint32_t count, limit;
	bool full;                       /* one did not fit: later ones would leave a gap */
	uint32_t len[STATUS_MAX], flags[STATUS_MAX];
};

static uint32_t allocation_of(const struct block_status *s)
{
	if (s->flags & BLOCK_STATUS_DATA)
		return 0;
	/* zeros that take space in the image are no hole; those of a file that has none there are */
	return NBD_STATE_ZERO |
	       (s->flags & BLOCK_STATUS_ALLOCATED && !(s->flags & BLOCK_STATUS_OFFSET) ? 0 : NBD_STATE_HOLE);
}

/* 0: nobody says anything of it; else how many layers down the one is that does. */
static uint32_t depth_of(const struct block_status *s)
{
	return s->flags & BLOCK_STATUS_PRESENT ? s->depth + 1 : 0;
}

static void extent_add(struct extents *e, uint32_t len, uint32_t flags)
{
	if (e->full)
		return;
	if (e->count && e->flags[e->count - 1] == flags) {
		e->len[e->count - 1] += len;
		return;
	}
	e->full = e->count == e->limit;
	if (e->full)
		return;
	e->len[e->count] = len;
	e->flags[e->count++] = flags;
}

static int32_t extents_find(const struct nbd_slot *slot, struct extents *const *by_context)
{
	const struct nbd_export *e = slot->session->export;
	uint64_t at = e->offset + slot->offset, end = at + slot->len;
	struct block_status status;
	bool room = true;

	for (uint32_t i = 0; at < end && i < LOOKS_MAX && room; i++, at += status.len_bytes) {
		int32_t rc = status_get(e->node, at, end - at, &status);

		if (rc < 0)
			return rc;
		room = false;
		for (uint32_t c = 0; c < CONTEXTS; c++) {
			if (!by_context[c])
				continue;
			extent_add(by_context[c], (uint32_t)status.len_bytes,
				   c ? depth_of(&status) : allocation_of(&status));
			room |= !by_context[c]->full;
		}
	}
	return 0;
}

/* One chunk a context, each with as many extents as it got. */
static void extents_send(struct nbd_slot *slot, struct extents *const *by_context)
{
	uint32_t len = 0, last = by_context[1] ? 1 : 0;
	uint8_t *chunks, *at;

	for (uint32_t c = 0; c < CONTEXTS; c++)
		len += by_context[c] ? NBD_STRUCTURED_BYTES + 4 + 8 * by_context[c]->count : 0;
	chunks = at = g_malloc(len);
	for (uint32_t c = 0; c < CONTEXTS; c++) {
		const struct extents *e = by_context[c];

		if (!e)
			continue;
		at = reply_chunk_head(slot, at, c == last ? NBD_REPLY_FLAG_DONE : 0, NBD_REPLY_TYPE_BLOCK_STATUS,
				      4 + 8 * e->count);
		mt_put_be32(at, c ? NBD_CONTEXT_DEPTH : NBD_CONTEXT_ALLOCATION);
		at += 4;
		for (uint32_t i = 0; i < e->count; i++, at += 8) {
			mt_put_be32(at, e->len[i]);
			mt_put_be32(at + 4, e->flags[i]);
		}
	}
	reply_chunks(slot, chunks, len);
}

void extents_answer(struct nbd_slot *slot)
{
	static const uint32_t bits[CONTEXTS] = { NBD_CONTEXT_ALLOCATION, NBD_CONTEXT_DEPTH };
	struct extents *by_context[CONTEXTS] = { NULL };
	int32_t rc;

	for (uint32_t c = 0; c < CONTEXTS; c++) {
		if (!(slot->session->agreed->contexts & bits[c]))
			continue;
		by_context[c] = g_new(struct extents, 1);
		by_context[c]->count = by_context[c]->full = 0;
		by_context[c]->limit = slot->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : STATUS_MAX;
	}
	rc = extents_find(slot, by_context);
	if (rc < 0)
		reply_simple(slot, reply_code(rc));
	else
		extents_send(slot, by_context);
	for (uint32_t c = 0; c < CONTEXTS; c++)
		g_free(by_context[c]);
}
