/* SPDX-License-Identifier: MIT */
/*
 * A session's parts: requests and their slots. A slot is free, takes a payload, is in the block layer, or waits in the
 * queue of answers; it is in one list at a time. All on the connection's thread.
 */
#ifndef KERNEL_NBD_SESSION_H
#define KERNEL_NBD_SESSION_H

#include <mortise/draft/block.h>

#include "kernel/nbd/nbd.h"
#include "kernel/nbd/proto.h"

#define SESSION_SLOTS 128u               /* requests under way */
#define SESSION_BYTES NBD_PAYLOAD_MAX    /* and their data, unless it is one request alone */
#define SLOT_KEPT     65536u             /* a free slot keeps a buffer up to this */
#define STATUS_MAX    2048u              /* extents of an answer */

struct nbd_session;

struct nbd_slot {
	struct nbd_session *session;
	struct mt_block_req req;
	struct mt_iov iov;
	uint32_t type, flags, len;       /* as the client sent them */
	uint64_t offset;
	uint8_t cookie[8];
	uint32_t error;                  /* NBD_E*: known before the block layer is asked */
	uint32_t got;                    /* of the payload */
	uint32_t taken;                  /* counts in session.bytes */
	uint8_t *buf;
	uint32_t capacity;
	uint64_t cached;                 /* CACHE: read so far */
	bool sync_after;                 /* a flush is to follow */
	/* the answer */
	uint8_t head[32];
	struct iovec few[2], *out;
	uint32_t out_count;
	void *more;                      /* owned: where `few` and `head` do not suffice */
	struct nbd_slot *next;
};

struct nbd_session {
	struct nbd_stream *stream;
	const struct nbd_export *export;
	const struct nbd_agreed *agreed;
	struct mt_block *block;
	struct nbd_slot *slots, *free;
	struct nbd_slot *payload;        /* is being received */
	struct nbd_slot *out, **out_last;
	struct mt_block_req *begun[SESSION_SLOTS];   /* to be submitted together */
	uint32_t begun_count;
	uint32_t busy;                   /* slots that are not free */
	uint64_t bytes;                  /* of their data */
	uint32_t skip;                   /* of a payload that there is no memory for */
	bool freed;                      /* a slot became free since requests were looked for */
	bool ending;                     /* nothing more is read */
	bool broken;                     /* nor written */
};

/* command.c */
/* The slot has type, flags, offset, length and cookie; false: such a client is not served any further. */
bool command_begin(struct nbd_slot *slot);
/* Its payload is there. */
void command_go(struct nbd_slot *slot);
/* The block layer is through with it. */
void command_done(struct nbd_slot *slot);
/* Memory that it needs while it is under way. */
uint32_t command_bytes(const struct nbd_slot *slot);

/* reply.c: the answer goes into the queue. */
void reply_simple(struct nbd_slot *slot, uint32_t error);
/* Data in slot.buf */
void reply_read(struct nbd_slot *slot);
/* Whole chunks, in memory that the slot owns from now on. */
void reply_chunks(struct nbd_slot *slot, void *chunks, uint32_t len);
/* The head of a chunk with `len` bytes behind it; returns where those begin. */
uint8_t *reply_chunk_head(const struct nbd_slot *slot, uint8_t *at, uint32_t flags, uint32_t type, uint32_t len);
/* NBD_E* of MT_E* */
uint32_t reply_code(int32_t code);

/* extents.c: answers BLOCK_STATUS; may wait for metadata. */
void extents_answer(struct nbd_slot *slot);

/* session.c: slot.out is complete. */
void session_queue(struct nbd_slot *slot);

#endif
