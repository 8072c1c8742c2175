// SPDX-License-Identifier: MIT
/* From a client's command to the block layer and back ("Transmission phase"). On the connection's thread. */
#include <glib.h>
#include <stdlib.h>

#include "kernel/nbd/session.h"

#define CACHE_BYTES  (256u << 10)        /* of one read of CACHE */
#define BUFFER_ALIGN 4096u               /* for direct I/O */

/* The table of commands: flags that each may have, and what becomes of it. */
static const struct command {
	uint32_t flags, op;
	bool changes, ranged;
} commands[] = {
	[NBD_CMD_READ] = { NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_DF, MT_BLOCK_READ, false, true },
	[NBD_CMD_WRITE] = { NBD_CMD_FLAG_FUA, MT_BLOCK_WRITE, true, true },
	[NBD_CMD_FLUSH] = { NBD_CMD_FLAG_FUA, MT_BLOCK_FLUSH, false, false },
	[NBD_CMD_TRIM] = { NBD_CMD_FLAG_FUA, MT_BLOCK_DISCARD, true, true },
	[NBD_CMD_CACHE] = { NBD_CMD_FLAG_FUA, MT_BLOCK_READ, false, true },
	[NBD_CMD_WRITE_ZEROES] = { NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO, MT_BLOCK_ZERO,
				   true, true },
	[NBD_CMD_BLOCK_STATUS] = { NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_REQ_ONE, 0, false, true },
};

static const struct command *command_of(const struct nbd_slot *slot)
{
	return slot->type < G_N_ELEMENTS(commands) && commands[slot->type].flags ? &commands[slot->type] : NULL;
}

/* NBD_E* of what is wrong with it, or 0. */
static uint32_t fault_of(const struct nbd_slot *slot)
{
	const struct nbd_export *e = slot->session->export;
	const struct command *command = command_of(slot);

	if (!command || slot->flags & ~command->flags)
		return NBD_EINVAL;
	if (command->changes && e->readonly)
		return NBD_EPERM;
	if (command->ranged && (slot->offset > e->len_bytes || slot->len > e->len_bytes - slot->offset))
		return slot->type == NBD_CMD_WRITE || slot->type == NBD_CMD_WRITE_ZEROES ? NBD_ENOSPC : NBD_EINVAL;
	if ((slot->type == NBD_CMD_READ || slot->type == NBD_CMD_CACHE) && slot->len > NBD_PAYLOAD_MAX)
		return NBD_EINVAL;
	if (slot->type == NBD_CMD_READ && slot->flags & NBD_CMD_FLAG_DF && !slot->session->agreed->structured)
		return NBD_EINVAL;
	if (slot->type == NBD_CMD_BLOCK_STATUS && (!slot->session->agreed->contexts || !slot->len))
		return NBD_EINVAL;
	return 0;
}

uint32_t command_bytes(const struct nbd_slot *slot)
{
	switch (slot->type) {
	case NBD_CMD_READ: case NBD_CMD_WRITE: return MIN(slot->len, NBD_PAYLOAD_MAX);
	case NBD_CMD_CACHE: return MIN(slot->len, CACHE_BYTES);
	}
	return 0;
}

static bool buffer_make(struct nbd_slot *slot)
{
	uint32_t need = command_bytes(slot);
	void *buf = NULL;

	if (need <= slot->capacity)
		return true;
	free(slot->buf);
	slot->buf = NULL;
	slot->capacity = 0;
	if (posix_memalign(&buf, BUFFER_ALIGN, MAX(need, BUFFER_ALIGN)))
		return false;
	slot->buf = buf;
	slot->capacity = MAX(need, BUFFER_ALIGN);
	return true;
}

/* A payload that cannot be kept is read to nowhere: what follows it is the next request. */
static bool payload_begin(struct nbd_slot *slot)
{
	struct nbd_session *s = slot->session;

	if (slot->len > NBD_PAYLOAD_MAX)
		return false;
	s->payload = slot;
	s->skip = slot->error ? slot->len : 0;
	return true;
}

bool command_begin(struct nbd_slot *slot)
{
	slot->error = fault_of(slot);
	if (!slot->error && !buffer_make(slot))
		slot->error = NBD_ENOMEM;
	if (slot->type == NBD_CMD_WRITE)
		return payload_begin(slot);
	if (slot->type == NBD_CMD_DISC)
		return false;
	command_go(slot);
	return true;
}

static void submit(struct nbd_slot *slot)
{
	struct nbd_session *s = slot->session;

	s->begun[s->begun_count++] = &slot->req;
}

/* The next read of CACHE; what was read is of no interest. */
static void cache_go(struct nbd_slot *slot)
{
	slot->req.offset = slot->session->export->offset + slot->offset + slot->cached;
	slot->req.len_bytes = slot->iov.len_bytes = MIN(slot->len - slot->cached, CACHE_BYTES);
	slot->cached += slot->req.len_bytes;
	submit(slot);
}

static bool is_durable(const struct nbd_slot *slot)
{
	return slot->flags & NBD_CMD_FLAG_FUA || slot->session->export->sync;
}

static uint32_t block_flags(const struct nbd_slot *slot)
{
	uint32_t flags = 0;

	if (is_durable(slot) && (slot->type == NBD_CMD_WRITE || slot->type == NBD_CMD_WRITE_ZEROES))
		flags |= MT_BLOCK_FUA;
	if (slot->type == NBD_CMD_WRITE_ZEROES && !(slot->flags & NBD_CMD_FLAG_NO_HOLE))
		flags |= MT_BLOCK_MAY_UNMAP;
	if (slot->flags & NBD_CMD_FLAG_FAST_ZERO)
		flags |= MT_BLOCK_FAST;
	return flags;
}

void command_go(struct nbd_slot *slot)
{
	if (slot->error) {
		reply_simple(slot, slot->error);
	} else if (slot->type == NBD_CMD_BLOCK_STATUS) {
		extents_answer(slot);
	} else if (!slot->len && slot->type != NBD_CMD_FLUSH) {
		reply_simple(slot, 0);
	} else {
		slot->iov = (struct mt_iov){ .hva = slot->buf, .len_bytes = slot->len };
		slot->req = (struct mt_block_req){
			.op = commands[slot->type].op, .flags = block_flags(slot), .user = slot, .iov = &slot->iov,
			.iov_count = command_bytes(slot) ? 1 : 0,
		};
		slot->sync_after = slot->type == NBD_CMD_TRIM && is_durable(slot);
		if (slot->type == NBD_CMD_CACHE) {
			cache_go(slot);
			return;
		}
		if (slot->type != NBD_CMD_FLUSH) {
			slot->req.offset = slot->session->export->offset + slot->offset;
			slot->req.len_bytes = slot->len;
		}
		submit(slot);
	}
}

void command_done(struct nbd_slot *slot)
{
	if (slot->req.result < 0) {
		reply_simple(slot, reply_code(slot->req.result));
	} else if (slot->type == NBD_CMD_CACHE && slot->cached < slot->len) {
		cache_go(slot);
	} else if (slot->sync_after) {
		slot->sync_after = false;
		slot->req = (struct mt_block_req){ .op = MT_BLOCK_FLUSH, .user = slot };
		submit(slot);
	} else if (slot->type == NBD_CMD_READ) {
		reply_read(slot);
	} else {
		reply_simple(slot, 0);
	}
}
