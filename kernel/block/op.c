/* SPDX-License-Identifier: MIT */
/*
 * Host operations of requests: their memory, which descriptor and which call, and what a result means (short
 * transfers, what the file system cannot do, failed flushes). Under the front's lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/uio.h>

#include "kernel/block/filter.h"
#include "kernel/block/served.h"

#define IOV_FIRST 16u
#define ZERO_BYTES 65536u
#define ZERO_PIECES 32u

static const uint8_t zeros[ZERO_BYTES] __attribute__((aligned(4096)));

struct bop *op_take(struct mt_block *block, struct breq *req, struct file *file)
{
	struct bop *op = block->free_ops;

	if (op)
		block->free_ops = op->next;
	else
		op = g_new0(struct bop, 1);
	op->parent = req;
	op->file = file;
	op->part = NULL;
	op->gate = NULL;
	op->rw_flags = op->mode = 0;
	op->offset = op->len_bytes = 0;
	op->iov = op->store;
	op->iov_count = 0;
	op->next = NULL;
	return op;
}

void op_free(struct mt_block *block, struct bop *op)
{
	g_free(op->owned);
	op->owned = NULL;
	filter_gate_free(op->gate);
	op->next = block->free_ops;
	block->free_ops = op;
}

bool op_add(struct bop *op, void *at, uint64_t len_bytes)
{
	if (op->iov_count == op->capacity) {
		uint32_t capacity = op->capacity ? op->capacity * 2 : IOV_FIRST;
		struct iovec *store = capacity > IOV_MAX * 2 ? NULL : g_try_renew(struct iovec, op->store, capacity);

		if (!store)
			return false;
		op->store = op->iov = store;
		op->capacity = capacity;
	}
	op->store[op->iov_count++] = (struct iovec){ at, len_bytes };
	return true;
}

bool op_data_next(struct breq *req, uint64_t len_bytes, uint8_t **at, uint64_t *n)
{
	const struct mt_block_req *pub = req->pub;

	while (req->iov_index < pub->iov_count) {
		const struct mt_iov *piece = &pub->iov[req->iov_index];

		if (req->iov_at < piece->len_bytes) {
			*at = piece->hva + req->iov_at;
			*n = MIN(piece->len_bytes - req->iov_at, len_bytes);
			req->iov_at += *n;
			return true;
		}
		req->iov_at -= piece->len_bytes;
		req->iov_index++;
	}
	return false;
}

bool op_set_data(struct bop *op, struct breq *req, uint64_t len_bytes)
{
	uint8_t *at;
	uint64_t n;

	op->len_bytes = len_bytes;
	for (; len_bytes; len_bytes -= n) {
		if (!op_data_next(req, len_bytes, &at, &n) || !op_add(op, at, n))
			return false;
	}
	return op->iov_count <= IOV_MAX;
}

bool op_add_zeros(struct bop *op, uint64_t len_bytes)
{
	for (uint64_t n; len_bytes; len_bytes -= n) {
		n = MIN(len_bytes, ZERO_BYTES);
		if (!op_add(op, (void *)(uintptr_t)zeros, n))
			return false;
	}
	return true;
}

const uint8_t *op_zeros(uint64_t *len_bytes)
{
	*len_bytes = MIN(*len_bytes, ZERO_BYTES);
	return zeros;
}

bool op_zero_data(struct breq *req, uint64_t len_bytes)
{
	uint8_t *at;
	uint64_t n;

	for (; len_bytes; len_bytes -= n) {
		if (!op_data_next(req, len_bytes, &at, &n))
			return false;
		memset(at, 0, n);
	}
	return true;
}

/* Direct I/O has rules for offset, length and memory; what breaks them goes through the page cache. */
static int fd_for(const struct bop *op)
{
	uint64_t mask = op->file->align_bytes - 1, bits = op->offset | op->len_bytes;

	if (mask == 0 || (op->kind != BOP_READ && op->kind != BOP_WRITE))
		return op->file->plain_fd;
	for (uint32_t i = 0; i < op->iov_count; i++)
		bits |= (uintptr_t)op->iov[i].iov_base | op->iov[i].iov_len;
	return bits & mask ? op->file->plain_fd : op->file->fd;
}

static uint32_t filter_op_of(const struct bop *op)
{
	if (op->kind == BOP_SYNC)
		return MT_BLOCK_FLUSH;
	if (op->kind == BOP_FALLOCATE || op->mode)         /* or zeros that are written in place of that */
		return op->parent->pub->op == MT_BLOCK_DISCARD ? MT_BLOCK_DISCARD : MT_BLOCK_ZERO;
	return op->kind == BOP_READ ? MT_BLOCK_READ : MT_BLOCK_WRITE;
}

static void queue(struct mt_block *block, struct bop *op)
{
	if (op->file->served) {
		served_queue(block, op, filter_op_of(op));
		return;
	}
	op->fd = fd_for(op);
	block->engine->ops->queue(block->engine, op);
}

/* Filters before the file. An operation that goes on (a short transfer, a second choice) is not a new one. */

static void let_in(void *arg)
{
	struct bop *op = arg;
	struct mt_block *block = op->gate->post.block;
	int32_t error = op->gate->error;

	if (!error) {
		queue(block, op);
		return;
	}
	block->ops_in_flight--;
	if (op->kind == BOP_SYNC)
		__atomic_store_n(&op->file->flush_failed, 1, __ATOMIC_RELAXED);
	if (op_let_out(block, op, &error))
		request_op_done(block, op, error);
}

static void let_out(void *arg)
{
	struct bop *op = arg;
	struct mt_block *block = op->gate->post.block;

	block->ops_in_flight--;
	request_op_done(block, op, op->gate->error);
}

static bool data_copied(struct bop *op)
{
	uint8_t *to;

	if (!filter_gate_data(op->gate))
		return false;
	to = op->gate->copy;
	for (uint32_t i = 0; i < op->iov_count; i++) {
		memcpy(to, op->iov[i].iov_base, op->iov[i].iov_len);
		to += op->iov[i].iov_len;
	}
	op->iov[0] = (struct iovec){ op->gate->copy, op->len_bytes };
	op->iov_count = 1;
	return true;
}

/* Never at once: whoever issues an operation does not expect its end. */
static void filter_issue(struct mt_block *block, struct bop *op)
{
	struct mt_block_filter_op what = { .op = filter_op_of(op), .offset = op->offset, .len_bytes = op->len_bytes };

	what.flags = op->rw_flags & RWF_DSYNC ? MT_BLOCK_FUA : 0;
	op->gate = filter_gate(op->file->through, &what);
	op->gate->post = (struct bpost){ .block = block, .fn = let_in, .arg = op };
	if (filter_wants_data(op->file->through, what.op) && !data_copied(op))
		op->gate->error = MT_ENOMEM;
	if (op->gate->error == 0 && !filter_begin(op->gate))
		return;
	if (op->gate->error)
		request_post(&op->gate->post);
	else
		queue(block, op);
}

bool op_let_out(struct mt_block *block, struct bop *op, int32_t *error)
{
	if (!op->gate)
		return true;
	op->gate->post.fn = let_out;
	block->ops_in_flight++;
	if (!filter_end(op->gate, *error))
		return false;
	block->ops_in_flight--;
	return true;
}

void op_issue(struct mt_block *block, struct bop *op)
{
	block->ops_in_flight++;
	if (op->file->through && !op->gate)
		filter_issue(block, op);
	else
		queue(block, op);
}

static void iov_advance(struct bop *op, uint64_t len_bytes)
{
	op->offset += len_bytes;
	op->len_bytes -= len_bytes;
	while (op->iov_count && len_bytes >= op->iov->iov_len) {
		len_bytes -= op->iov->iov_len;
		op->iov++;
		op->iov_count--;
	}
	if (op->iov_count) {
		op->iov->iov_base = (uint8_t *)op->iov->iov_base + len_bytes;
		op->iov->iov_len -= len_bytes;
	}
}

/* Zeros that have to be written: `len_bytes` stays what is left, the iov covers the next part of it. */
static bool zeros_next(struct bop *op)
{
	uint64_t left = op->len_bytes;

	op->kind = BOP_WRITE;
	op->iov = op->store;
	op->iov_count = 0;
	for (uint32_t i = 0; i < ZERO_PIECES && left; i++) {
		uint64_t n = MIN(left, ZERO_BYTES);

		if (!op_add(op, (void *)(uintptr_t)zeros, n))
			return false;
		left -= n;
	}
	return true;
}

bool op_set_fallocate(struct bop *op, uint32_t req_op, uint32_t flags)
{
	bool punch = op->file->options.discard && !__atomic_load_n(&op->file->no_punch, __ATOMIC_RELAXED);

	op->kind = BOP_FALLOCATE;
	op->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	if (req_op == MT_BLOCK_DISCARD)
		return punch;
	if (punch && flags & MT_BLOCK_MAY_UNMAP)
		return true;
	op->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	if (__atomic_load_n(&op->file->no_zero_range, __ATOMIC_RELAXED))
		zeros_next(op);
	return true;
}

static bool cannot(int32_t result)
{
	return result == -EOPNOTSUPP || result == -ENOSYS || result == -EINVAL || result == -ENODEV;
}

/* From hole to zero range to written zeros; a discard that cannot be done is done. */
static bool fallocate_refused(struct mt_block *block, struct bop *op, int32_t *error)
{
	bool punch = op->mode & FALLOC_FL_PUNCH_HOLE;

	*error = 0;
	if (op->result != -EINVAL)             /* that one may be the range's fault */
		__atomic_store_n(punch ? &op->file->no_punch : &op->file->no_zero_range, 1, __ATOMIC_RELAXED);
	if (op->parent->pub->op == MT_BLOCK_DISCARD)
		return true;
	if (punch) {
		op->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	} else if (op->parent->pub->flags & MT_BLOCK_FAST) {
		*error = MT_ENOTSUP;
		return true;
	} else if (!zeros_next(op)) {
		*error = MT_ENOMEM;
		return true;
	}
	op_issue(block, op);
	return false;
}

static bool fallocate_ended(struct mt_block *block, struct bop *op, int32_t *error)
{
	if (cannot(op->result))
		return fallocate_refused(block, op, error);
	*error = file_refused(op->file, -op->result);
	if (*error || op->rw_flags == 0 || op->parent->pub->op != MT_BLOCK_ZERO)
		return true;
	op->kind = BOP_SYNC;
	op_issue(block, op);
	return false;
}

/* After a failed flush the page cache has dropped what it could not write: nothing here is durable any more. */
static bool sync_ended(struct bop *op, int32_t *error)
{
	*error = file_code(-op->result);
	if (*error)
		__atomic_store_n(&op->file->flush_failed, 1, __ATOMIC_RELAXED);
	return true;
}

static bool read_past_end(struct bop *op)
{
	for (uint32_t i = 0; i < op->iov_count; i++)
		memset(op->iov[i].iov_base, 0, op->iov[i].iov_len);
	return true;
}

static bool transfer_ended(struct mt_block *block, struct bop *op, int32_t *error)
{
	*error = 0;
	if (op->result < 0) {
		*error = file_refused(op->file, -op->result);
		return true;
	}
	if (op->result == 0 && op->kind == BOP_READ)
		return read_past_end(op);
	if (op->result == 0) {
		*error = MT_ENOSPC;
		return true;
	}
	if ((uint64_t)op->result == op->len_bytes)
		return true;
	iov_advance(op, (uint64_t)op->result);
	if (op->iov_count == 0 && !zeros_next(op)) {
		*error = MT_ENOMEM;
		return true;
	}
	op_issue(block, op);
	return false;
}

bool op_ended(struct mt_block *block, struct bop *op, int32_t *error)
{
	if (op->result == -EINTR || op->result == -EAGAIN) {
		op_issue(block, op);
		return false;
	}
	switch (op->kind) {
	case BOP_SYNC: return sync_ended(op, error);
	case BOP_FALLOCATE: return fallocate_ended(block, op, error);
	default: return transfer_ended(block, op, error);
	}
}
