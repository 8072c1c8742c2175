// SPDX-License-Identifier: MIT
/*
 * Answers: simple ones, and chunks where those were agreed on ("Structured reply chunk message"). Data go out of the
 * buffer that they were read into; runs of zeros go as holes. On the connection's thread.
 */
#include <glib.h>
#include <mortise/error.h>
#include <string.h>
#include <util/endian.h>

#include "kernel/nbd/session.h"

#define HOLE_BYTES 32768u                /* a shorter run of zeros is worth no chunk, unless it is all */

uint32_t reply_code(int32_t code)
{
	switch (code) {
	case 0: return 0;
	case MT_EPERM: return NBD_EPERM;
	case MT_ENOMEM: return NBD_ENOMEM;
	case MT_ENOSPC: return NBD_ENOSPC;
	case MT_ENOTSUP: return NBD_ENOTSUP;
	case MT_EINVAL: case MT_ERANGE: return NBD_EINVAL;
	case MT_EGONE: return NBD_ESHUTDOWN;
	}
	return NBD_EIO;
}

uint8_t *reply_chunk_head(const struct nbd_slot *slot, uint8_t *at, uint32_t flags, uint32_t type, uint32_t len)
{
	mt_put_be32(at, NBD_STRUCTURED_MAGIC);
	mt_put_be16(at + 4, (uint16_t)flags);
	mt_put_be16(at + 6, (uint16_t)type);
	memcpy(at + 8, slot->cookie, 8);
	mt_put_be32(at + 16, len);
	return at + NBD_STRUCTURED_BYTES;
}

/* The first `head_bytes` of slot.head, then `len` of its buffer. */
static void send_head(struct nbd_slot *slot, uint32_t head_bytes, uint32_t len)
{
	slot->few[0] = (struct iovec){ slot->head, head_bytes };
	slot->few[1] = (struct iovec){ slot->buf, len };
	slot->out = slot->few;
	slot->out_count = len ? 2 : 1;
	session_queue(slot);
}

static void reply_error_chunk(struct nbd_slot *slot, uint32_t error)
{
	uint8_t *at = reply_chunk_head(slot, slot->head, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_ERROR, 6);

	mt_put_be32(at, error);
	mt_put_be16(at + 4, 0);
	send_head(slot, NBD_STRUCTURED_BYTES + 6, 0);
}

static uint32_t simple_head(struct nbd_slot *slot, uint32_t error)
{
	mt_put_be32(slot->head, NBD_SIMPLE_MAGIC);
	mt_put_be32(slot->head + 4, error);
	memcpy(slot->head + 8, slot->cookie, 8);
	return NBD_SIMPLE_BYTES;
}

/* To READ only chunks may answer, once they were agreed on. */
void reply_simple(struct nbd_slot *slot, uint32_t error)
{
	if (slot->session->agreed->structured && error) {
		reply_error_chunk(slot, error);
	} else if (slot->session->agreed->structured && slot->type == NBD_CMD_READ) {
		reply_chunk_head(slot, slot->head, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_NONE, 0);
		send_head(slot, NBD_STRUCTURED_BYTES, 0);
	} else {
		send_head(slot, simple_head(slot, error), 0);
	}
}

void reply_chunks(struct nbd_slot *slot, void *chunks, uint32_t len)
{
	slot->more = chunks;
	slot->few[0] = (struct iovec){ chunks, len };
	slot->out = slot->few;
	slot->out_count = 1;
	session_queue(slot);
}

/* Data */

static bool is_zero(const uint8_t *buf, uint32_t len)
{
	return !buf[0] && !memcmp(buf, buf + 1, len - 1);
}

/* How far from `from` on the data are alike: zeros, or not. */
static uint32_t run_bytes(const uint8_t *buf, uint32_t from, uint32_t len, bool *zero)
{
	uint32_t at = from;

	do {
		uint32_t n = MIN(HOLE_BYTES, len - at);
		bool now = is_zero(buf + at, n);

		if (at == from)
			*zero = now;
		else if (*zero != now)
			break;
		at += n;
	} while (at < len);
	return at - from;
}

/* The head of data or of a hole; returns its length. */
static uint32_t run_head(const struct nbd_slot *slot, uint8_t *head, uint32_t from, uint32_t len, bool zero)
{
	uint32_t flags = from + len == slot->len ? NBD_REPLY_FLAG_DONE : 0;
	uint8_t *at;

	at = zero ? reply_chunk_head(slot, head, flags, NBD_REPLY_TYPE_OFFSET_HOLE, 12) :
		    reply_chunk_head(slot, head, flags, NBD_REPLY_TYPE_OFFSET_DATA, 8 + len);
	mt_put_be64(at, slot->offset + from);
	if (zero)
		mt_put_be32(at + 8, len);
	return NBD_STRUCTURED_BYTES + (zero ? 12 : 8);
}

/* All at once, as data or as a hole. */
static void reply_whole(struct nbd_slot *slot, bool zero)
{
	send_head(slot, run_head(slot, slot->head, 0, slot->len, zero), zero ? 0 : slot->len);
}

/* Memory for the heads and the list of a reply in pieces. */
struct pieces {
	struct iovec iov[2 * (NBD_PAYLOAD_MAX / HOLE_BYTES)];
	uint8_t heads[NBD_PAYLOAD_MAX / HOLE_BYTES][32];
};

static void reply_runs(struct nbd_slot *slot, struct pieces *pieces)
{
	uint32_t at = 0, count = 0, n;
	bool zero;

	for (uint32_t i = 0; at < slot->len; at += n, i++) {
		n = run_bytes(slot->buf, at, slot->len, &zero);
		pieces->iov[count++] = (struct iovec){ pieces->heads[i],
						       run_head(slot, pieces->heads[i], at, n, zero) };
		if (!zero)
			pieces->iov[count++] = (struct iovec){ slot->buf + at, n };
	}
	slot->more = pieces;
	slot->out = pieces->iov;
	slot->out_count = count;
	session_queue(slot);
}

void reply_read(struct nbd_slot *slot)
{
	struct pieces *pieces = NULL;
	bool zero;

	if (!slot->session->agreed->structured)
		send_head(slot, simple_head(slot, 0), slot->len);
	else if (run_bytes(slot->buf, 0, slot->len, &zero) == slot->len)
		reply_whole(slot, zero);
	else if (slot->flags & NBD_CMD_FLAG_DF || !(pieces = g_try_new(struct pieces, 1)))
		reply_whole(slot, false);
	else
		reply_runs(slot, pieces);
}
