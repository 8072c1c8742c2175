/* SPDX-License-Identifier: MIT */
/* One operation of the client: begun as commands of libnbd, over when all of them are. On the client's thread. */
#ifndef BLOCK_NBD_OP_H
#define BLOCK_NBD_OP_H

#include <libnbd.h>

#include "client.h"

#define OP_STATUS 100u                       /* beside MT_BLOCK_*: the client's own */

struct op {
	struct mt_block_io *io;
	struct op *next;
	uint32_t commands;                   /* under way, and one while it is being begun */
	int error;                           /* of the host's numbers; 0: none */
	bool lost;                           /* with the connection: do it again */
	bool synced;                         /* the flush in place of FUA has begun */
	uint8_t *bounce;                     /* its data in one piece; NULL: they are */
	/* OP_STATUS */
	uint64_t status_bytes;
	uint32_t status_flags;
};

/* What a server can. */
struct op_limits {
	uint32_t max_bytes;
	bool fua, flush, trim, zero, fast_zero, status;
};

/* NULL: no memory */
struct op *op_new(struct mt_block_io *io);
void op_free(struct op *op);
/* Hands its commands to `nbd`. They, and it, may be over already. */
void op_begin(struct op *op, struct nbd_handle *nbd, const struct op_limits *limits);
bool op_is_over(const struct op *op);
/* All commands have ended well, but a flush must follow: it has begun now. */
bool op_goes_on(struct op *op, struct nbd_handle *nbd, const struct op_limits *limits);
/* MT_E* of what it came to; data are where they belong. */
int32_t op_result(struct op *op);

#endif
