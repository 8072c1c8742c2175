/* SPDX-License-Identifier: MIT */
/* Operations as commands of libnbd; see op.h. */
#include "op.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <util/minmax.h>

#define RANGE_MAX (1u << 30)                 /* of one command without data; a multiple of any block */

struct op *op_new(struct mt_block_io *io)
{
	struct op *op = calloc(1, sizeof(*op));

	if (op)
		op->io = io;
	return op;
}

void op_free(struct op *op)
{
	free(op->bounce);
	free(op);
}

bool op_is_over(const struct op *op)
{
	return op->commands == 0;
}

static bool is_loss(int error)
{
	return error == ENOTCONN || error == ESHUTDOWN || error == ECONNRESET || error == EPIPE;
}

/* With the handle locked: marks only. */
static int command_over(void *arg, int *error)
{
	struct op *op = arg;

	op->commands--;
	if (is_loss(*error))
		op->lost = true;
	else if (*error && !op->error)
		op->error = *error;
	return 1;
}

static int extents_came(void *arg, const char *context, uint64_t offset, uint32_t *entries, size_t count, int *error)
{
	struct op *op = arg;

	(void)context, (void)offset, (void)error;
	for (size_t i = 0; i + 1 < count; i += 2) {
		uint32_t flags = entries[i + 1] & LIBNBD_STATE_ZERO ? MT_BLOCK_SERVED_ZERO : 0;

		if (op->status_bytes && flags != op->status_flags)
			break;
		op->status_flags = flags;
		op->status_bytes += entries[i];
	}
	return 0;
}

static uint32_t command_flags(const struct mt_block_io *io, const struct op_limits *limits)
{
	uint32_t flags = 0;

	if (io->flags & MT_BLOCK_FUA && limits->fua)
		flags |= LIBNBD_CMD_FLAG_FUA;
	if (io->op == MT_BLOCK_ZERO && !(io->flags & MT_BLOCK_MAY_UNMAP))
		flags |= LIBNBD_CMD_FLAG_NO_HOLE;
	if (io->flags & MT_BLOCK_FAST)
		flags |= LIBNBD_CMD_FLAG_FAST_ZERO;
	return flags;
}

/* One command on [at, at + n) of it. */
static int64_t command(struct op *op, struct nbd_handle *nbd, uint8_t *data, uint64_t at, uint64_t n, uint32_t flags)
{
	nbd_completion_callback over = { .callback = command_over, .user_data = op };
	nbd_extent_callback extents = { .callback = extents_came, .user_data = op };

	switch (op->io->op) {
	case MT_BLOCK_READ: return nbd_aio_pread(nbd, data, n, at, over, flags);
	case MT_BLOCK_WRITE: return nbd_aio_pwrite(nbd, data, n, at, over, flags);
	case MT_BLOCK_FLUSH: return nbd_aio_flush(nbd, over, 0);
	case MT_BLOCK_DISCARD: return nbd_aio_trim(nbd, n, at, over, 0);
	case MT_BLOCK_ZERO: return nbd_aio_zero(nbd, n, at, over, flags);
	}
	return nbd_aio_block_status(nbd, n, at, extents, over, 0);
}

static void command_begin(struct op *op, struct nbd_handle *nbd, uint8_t *data, uint64_t at, uint64_t n, uint32_t flags)
{
	op->commands++;
	if (command(op, nbd, data, at, n, flags) >= 0)
		return;
	op->commands--;
	if (nbd_aio_is_dead(nbd) || nbd_aio_is_closed(nbd))
		op->lost = true;
	else
		op->error = op->error ? op->error : nbd_get_errno() ? nbd_get_errno() : EIO;
}

static bool data_gather(struct op *op)
{
	const struct mt_block_io *io = op->io;
	uint8_t *to;

	if (io->iov_count == 1)
		return true;
	if (!op->bounce)
		op->bounce = malloc(io->len_bytes);
	to = op->bounce;
	for (uint32_t i = 0; to && io->op == MT_BLOCK_WRITE && i < io->iov_count; i++) {
		memcpy(to, io->iov[i].hva, io->iov[i].len_bytes);
		to += io->iov[i].len_bytes;
	}
	return op->bounce != NULL;
}

static void data_scatter(struct op *op)
{
	const struct mt_block_io *io = op->io;
	const uint8_t *from = op->bounce;

	for (uint32_t i = 0; from && io->op == MT_BLOCK_READ && i < io->iov_count; i++) {
		memcpy(io->iov[i].hva, from, io->iov[i].len_bytes);
		from += io->iov[i].len_bytes;
	}
}

/* Nothing is to be sent for it; *error: because it cannot be done. */
static bool is_moot(const struct op *op, const struct op_limits *limits, int *error)
{
	switch (op->io->op) {
	case MT_BLOCK_FLUSH:
		return !limits->flush;
	case MT_BLOCK_DISCARD:
		return !limits->trim;
	case MT_BLOCK_ZERO:
		*error = !limits->zero || (op->io->flags & MT_BLOCK_FAST && !limits->fast_zero) ? EOPNOTSUPP : 0;
		return *error != 0;
	case OP_STATUS:
		*error = limits->status ? 0 : EOPNOTSUPP;
		return *error != 0;
	}
	return false;
}

void op_begin(struct op *op, struct nbd_handle *nbd, const struct op_limits *limits)
{
	const struct mt_block_io *io = op->io;
	bool has_data = io->op == MT_BLOCK_READ || io->op == MT_BLOCK_WRITE;
	uint64_t at = 0, most = has_data ? limits->max_bytes : RANGE_MAX;
	uint32_t flags = command_flags(io, limits);
	uint8_t *data = NULL;

	op->commands = 1;
	op->error = 0;
	op->lost = op->synced = false;
	op->status_bytes = 0;
	if (has_data && !data_gather(op))
		op->error = ENOMEM;
	else if (has_data)
		data = op->bounce ? op->bounce : io->iov[0].hva;
	if (!op->error && !is_moot(op, limits, &op->error)) {
		do {
			uint64_t n = mt_min_u64(io->len_bytes - at, most);

			command_begin(op, nbd, data ? data + at : NULL, io->offset + at, n, flags);
			at += n;
		} while (at < io->len_bytes && !op->lost && !op->error);
	}
	op->commands--;
}

bool op_goes_on(struct op *op, struct nbd_handle *nbd, const struct op_limits *limits)
{
	nbd_completion_callback over = { .callback = command_over, .user_data = op };

	if (op->error || op->lost || op->synced || !(op->io->flags & MT_BLOCK_FUA) || limits->fua || !limits->flush)
		return false;
	op->synced = true;
	op->commands = 1;
	if (nbd_aio_flush(nbd, over, 0) >= 0)
		return true;
	op->commands = 0;
	op->lost = true;
	return false;
}

int32_t op_result(struct op *op)
{
	switch (op->error) {
	case 0:
		data_scatter(op);
		return 0;
	case ENOSPC: return MT_ENOSPC;
	case ENOMEM: return MT_ENOMEM;
	case EPERM: case EROFS: return MT_EPERM;
	case EOPNOTSUPP: return MT_ENOTSUP;
	case EINVAL: return MT_EINVAL;
	}
	return MT_EIO;
}
