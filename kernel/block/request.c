/* SPDX-License-Identifier: MIT */
/*
 * Requests of one front: split by the mapping into operations, started in one batch, counted back. Everything is
 * under the front's lock; nothing is allocated once the pools are warm.
 */
#include "kernel/block/request.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/uio.h>
#include <util/error.h>

static void list_init(struct breq_list *list)
{
	list->first = NULL;
	list->last = &list->first;
	list->count = 0;
}

static void list_put(struct breq_list *list, struct breq *req)
{
	req->next = NULL;
	*list->last = req;
	list->last = &req->next;
	list->count++;
}

static struct breq *list_take(struct breq_list *list)
{
	struct breq *req = list->first;

	if (!req)
		return NULL;
	if (!(list->first = req->next))
		list->last = &list->first;
	list->count--;
	return req;
}

static struct breq *req_take(struct mt_block *block, struct mt_block_req *pub)
{
	struct breq *req = block->free_requests;

	if (req)
		block->free_requests = req->next;
	else
		req = g_new(struct breq, 1);
	*req = (struct breq){ .pub = pub, .outstanding = 1, .iov_at = pub->iov_skip_bytes };
	block->requests++;
	return req;
}

/* One part of the request is over; the last one ends it. */
static void part_done(struct mt_block *block, struct breq *req, int32_t error)
{
	if (error && !req->error)
		req->error = error;
	if (--req->outstanding)
		return;
	req->pub->result = req->error;
	list_put(&block->done, req);
}

static void part_start(struct mt_block *block, struct breq *req, struct bop *op)
{
	req->outstanding++;
	op_issue(block, op);
}

/* Data. Each returns 0 or an error of the whole request. */

static int durable_flags(const struct breq *req, const struct file *file)
{
	return req->pub->flags & MT_BLOCK_FUA && file->options.cache != FILE_UNSAFE ? RWF_DSYNC : 0;
}

static int32_t transfer_part(struct mt_block *block, struct breq *req, const struct bplace *place)
{
	struct bop *op;

	if (!place->file)
		return op_zero_data(req, place->len_bytes) ? 0 : MT_EINVAL;
	op = op_take(block, req, place->file);
	op->kind = req->pub->op == MT_BLOCK_READ ? BOP_READ : BOP_WRITE;
	op->offset = place->file_offset;
	if (op->kind == BOP_WRITE)
		op->rw_flags = durable_flags(req, place->file);
	if (!op_set_data(op, req, place->len_bytes)) {
		op_free(block, op);
		return MT_EINVAL;
	}
	part_start(block, req, op);
	return 0;
}

static int32_t fallocate_part(struct mt_block *block, struct breq *req, const struct bplace *place)
{
	struct bop *op = op_take(block, req, place->file);

	op->offset = place->file_offset;
	op->len_bytes = place->len_bytes;
	op->rw_flags = durable_flags(req, place->file);
	if (op_set_fallocate(op, req->pub->op, req->pub->flags))
		part_start(block, req, op);
	else
		op_free(block, op);
	return 0;
}

static int32_t map_part(struct mt_block *block, struct breq *req)
{
	const struct mt_block_req *pub = req->pub;
	uint32_t purpose = pub->op == MT_BLOCK_READ ? MT_BLOCK_MAP_READ : MT_BLOCK_MAP_WRITE;
	struct bplace place;
	int32_t rc;

	rc = place_find(block, pub->offset + req->done_bytes, pub->len_bytes - req->done_bytes, purpose, &place);
	if (rc < 0)
		return rc;
	if (pub->op == MT_BLOCK_READ) {
		rc = transfer_part(block, req, &place);
	} else if (!place.writable) {
		return MT_ENOTSUP;             /* allocation is not served yet */
	} else if (__atomic_load_n(&place.file->flush_failed, __ATOMIC_RELAXED)) {
		return MT_EIO;
	} else {
		rc = (pub->op == MT_BLOCK_WRITE ? transfer_part : fallocate_part)(block, req, &place);
	}
	req->done_bytes += place.len_bytes;
	return rc;
}

/* Maps and issues what is left of a request; it waits when a mapping does. */
static void data_go(struct mt_block *block, struct breq *req)
{
	int32_t rc = 0;

	while (rc == 0 && req->done_bytes < req->pub->len_bytes)
		rc = map_part(block, req);
	if (rc == MT_EAGAIN)
		list_put(&block->waiting, req);        /* keeps its part: it goes on in request_retry */
	else
		part_done(block, req, rc);
}

static void flush_files(struct mt_block *block, struct breq *req, struct bnode *node)
{
	for (uint32_t i = 0; i < node->child_count; i++) {
		struct file *file = node->children[i].file;
		struct bop *op;

		if (node->children[i].node)
			flush_files(block, req, node->children[i].node);
		if (!file || file->options.readonly || file->options.cache == FILE_UNSAFE)
			continue;
		if (__atomic_load_n(&file->flush_failed, __ATOMIC_RELAXED) && !req->error)
			req->error = MT_EIO;
		op = op_take(block, req, file);
		op->kind = BOP_SYNC;
		op->offset = op->len_bytes = 0;
		part_start(block, req, op);
	}
}

static bool is_legal(const struct mt_block *block, const struct mt_block_req *pub, int32_t *error)
{
	uint64_t disk = block->node->info.disk_bytes;

	*error = MT_ENOTSUP;
	if (pub->op < MT_BLOCK_READ || pub->op > MT_BLOCK_ZERO)
		return false;
	*error = MT_ERANGE;
	if (pub->op != MT_BLOCK_FLUSH && (pub->offset > disk || pub->len_bytes > disk - pub->offset))
		return false;
	*error = MT_EPERM;
	return pub->op == MT_BLOCK_READ || pub->op == MT_BLOCK_FLUSH || block->write;
}

static void start(struct mt_block *block, struct mt_block_req *pub)
{
	struct breq *req = req_take(block, pub);
	int32_t error;

	if (!is_legal(block, pub, &error)) {
		part_done(block, req, error);
	} else if (pub->op == MT_BLOCK_FLUSH) {
		if (block->write)
			flush_files(block, req, block->node);
		part_done(block, req, 0);
	} else {
		data_go(block, req);
	}
}

static void finish(struct mt_block *block, struct bop *op)
{
	struct breq *req = op->parent;
	int32_t error = 0;

	block->ops_in_flight--;
	if (!op_ended(block, op, &error))
		return;
	op_free(block, op);
	part_done(block, req, error);
}

/* Takes what has finished; what goes on (short transfers, second choices) is started again. */
static void collect(struct mt_block *block)
{
	uint32_t before;
	struct bop *op;

	do {
		before = block->ops_in_flight;
		while ((op = block->engine->ops->reap(block->engine, false)))
			finish(block, op);
		if (before)
			block->engine->ops->kick(block->engine);
	} while (block->ops_in_flight && block->ops_in_flight < before);
}

/* From here on the loop is told, unless something waits for the front already. */
static void arm(struct mt_block *block)
{
	while (block->done.count == 0 && block->ops_in_flight && block->engine->ops->arm(block->engine)) {
		block->engine->ops->disarm(block->engine);
		collect(block);
	}
}

static uint32_t started(struct mt_block *block)
{
	block->engine->ops->kick(block->engine);
	collect(block);
	arm(block);
	return block->done.count;
}

uint32_t request_submit(struct mt_block *block, struct mt_block_req *const *reqs, uint32_t count)
{
	block->engine->ops->disarm(block->engine);
	for (uint32_t i = 0; i < count; i++)
		start(block, reqs[i]);
	return started(block);
}

uint32_t request_retry(struct mt_block *block)
{
	struct breq *first = block->waiting.first;

	list_init(&block->waiting);
	block->engine->ops->disarm(block->engine);
	for (struct breq *req = first, *next; req; req = next) {
		next = req->next;
		data_go(block, req);
	}
	return started(block);
}

void request_look(struct mt_block *block)
{
	collect(block);
	arm(block);
}

uint32_t request_reap(struct mt_block *block, struct mt_block_req **done, uint32_t max)
{
	uint32_t n = 0;
	struct breq *req;

	if (block->done.count < max && block->ops_in_flight)
		collect(block);
	while (n < max && (req = list_take(&block->done))) {
		done[n++] = req->pub;
		req->next = block->free_requests;
		block->free_requests = req;
		block->requests--;
	}
	if (n < max)
		arm(block);
	return n;
}

void request_drain(struct mt_block *block)
{
	struct breq *req;
	struct bop *op;

	block->engine->ops->disarm(block->engine);
	while ((req = list_take(&block->waiting)))
		part_done(block, req, MT_EGONE);
	while (block->ops_in_flight && (op = block->engine->ops->reap(block->engine, true))) {
		finish(block, op);
		block->engine->ops->kick(block->engine);
	}
}

static struct bengine *engine_create(enum file_engine wanted, struct mt_error *err)
{
	struct bengine *engine = NULL;

	if (wanted != FILE_ENGINE_THREADS)
		engine = uring_create();
	if (!engine && wanted == FILE_ENGINE_URING) {
		mt_error_set(err, MT_EHOST, "engine", "io_uring is not to be had: %s", g_strerror(errno));
		mt_error_hint(err, "choose engine = auto or engine = threads");
		return NULL;
	}
	if (!engine)
		engine = threads_create();
	if (!engine)
		mt_error_set(err, MT_EHOST, "engine", "no descriptor for I/O: %s", g_strerror(errno));
	return engine;
}

struct mt_block *request_open(struct bnode *node, bool write, struct mt_error *err)
{
	struct bengine *engine = engine_create(node->engine, err);
	struct mt_block *block;

	if (!engine)
		return NULL;
	block = g_new0(struct mt_block, 1);
	block->node = node;
	block->write = write;
	block->engine = engine;
	list_init(&block->done);
	list_init(&block->waiting);
	return block;
}

static void requests_free(struct breq *req)
{
	for (struct breq *next; req; req = next) {
		next = req->next;
		g_free(req);
	}
}

void request_close(struct mt_block *block)
{
	request_drain(block);
	requests_free(block->done.first);
	requests_free(block->free_requests);
	for (struct bop *op = block->free_ops, *next; op; op = next) {
		next = op->next;
		g_free(op->store);
		g_free(op);
	}
	block->engine->ops->destroy(block->engine);
	g_free(block);
}
