/* SPDX-License-Identifier: MIT */
/*
 * Requests of a handle: split by their mapping, started, collected, handed back; see request.h. All under the front's
 * lock but for request_post. Easy to break: a request that waits is in one list only (a node's, or a worker's), and
 * comes back by its `wake`; until then nothing of it is touched.
 */
#include "kernel/block/block.h"
#include "kernel/block/filter.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <util/error.h>

#include "kernel/machine/loop.h"

static void list_init(struct breq_list *list)
{
	*list = (struct breq_list){ .last = &list->first };
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

static void data_go(void *arg);
static void flush_go(struct mt_block *block, struct breq *req);

static struct breq *req_take(struct mt_block *block, struct mt_block_req *pub)
{
	struct breq *req = block->free_requests;

	if (req)
		block->free_requests = req->next;
	else
		req = g_new(struct breq, 1);
	*req = (struct breq){ .pub = pub, .front = pub, .block = block, .node = block->node, .outstanding = 1,
			      .iov_at = pub ? pub->iov_skip_bytes : 0,
			      .wake = { .block = block, .fn = data_go, .arg = req } };
	block->requests++;
	return req;
}

static void req_free(struct mt_block *block, struct breq *req)
{
	req->next = block->free_requests;
	block->free_requests = req;
	block->requests--;
}

static uint64_t now(struct mt_block *block)
{
	if (block->now_ns == 0)
		block->now_ns = loop_now_ns();
	return block->now_ns;
}

static void deliver(struct mt_block *block, struct breq *req)
{
	req->pub->result = req->error;
	if (req->then) {
		req->then(req);
		req_free(block, req);
		return;
	}
	/* not before: until then the data may be on their way, and a reader would miss them */
	if (block->track && !req->invalid && req->pub->op != MT_BLOCK_READ && req->pub->op != MT_BLOCK_FLUSH)
		track_mark(block->track, req->pub->offset, req->pub->len_bytes);
	stats_end(&block->stats, req->pub, now(block) - req->begun_ns, req->error, req->invalid);
	filter_gate_free(req->gate);
	req->pub = req->front;
	req->pub->result = req->error;
	list_put(&block->done, req);
}

/* What filters make of the result. */
static void request_let_out(void *arg)
{
	struct breq *req = arg;

	req->error = req->gate->error;
	deliver(req->block, req);
}

/* One part of the request is over; the last one ends it. */
void request_part_done(struct breq *req, int32_t error)
{
	struct mt_block *block = req->block;

	if (error && !req->error)
		req->error = error;
	if (--req->outstanding)
		return;
	if (req->in_epoch) {
		req->in_epoch = false;
		node_epoch_leave(node_root(block->node), req->epoch);
	}
	if (req->flush_after && !req->error) {
		req->flush_after = false;
		req->outstanding = 1;
		flush_go(block, req);
		return;
	}
	if (req->gate) {
		req->gate->post.fn = request_let_out;
		if (!filter_end(req->gate, req->error))
			return;
	}
	deliver(block, req);
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

	if (place->kind == PLACE_ZERO)
		return op_zero_data(req, place->len_bytes) ? 0 : MT_EINVAL;
	if (place->kind == PLACE_ENCODED)
		return codec_read(block, req, place);
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

static int32_t write_part(struct mt_block *block, struct breq *req, struct bplace *place)
{
	struct bpart *part;

	if (place->kind == PLACE_FILE && __atomic_load_n(&place->file->flush_failed, __ATOMIC_RELAXED))
		return MT_EIO;
	if (place->kind == PLACE_FILE)
		return transfer_part(block, req, place);
	part = part_new(block, req, place, place->len_bytes);
	if (!part_take_data(part)) {
		part_free(part);
		return MT_EINVAL;
	}
	if (req->pub->flags & MT_BLOCK_FUA)
		req->flush_after = true;
	part_start_write(part);
	return 0;
}

int32_t request_find(struct mt_block *block, struct breq *req, uint32_t purpose, struct bplace *place)
{
	const struct mt_block_req *pub = req->pub;
	int32_t rc;

	do {
		rc = place_find(block, req->node, pub->offset + req->done_bytes, pub->len_bytes - req->done_bytes,
				purpose, place);
		if (rc == MT_EAGAIN && node_wait_ready(place->node, &req->wake, place->ready_count))
			return MT_EAGAIN;
	} while (rc == MT_EAGAIN);
	return rc;
}

static int64_t map_part(struct mt_block *block, struct breq *req)
{
	const struct mt_block_req *pub = req->pub;
	struct bplace place;
	int32_t rc;

	if (pub->op == MT_BLOCK_ZERO || pub->op == MT_BLOCK_DISCARD)
		return zero_step(block, req);
	if (block->fetch && pub->op == MT_BLOCK_WRITE)
		return part_fetch(block, req);
	if (codec_wants(req))
		return codec_write(block, req);
	rc = request_find(block, req, pub->op == MT_BLOCK_READ ? MT_BLOCK_MAP_READ : MT_BLOCK_MAP_WRITE, &place);
	if (rc == 0)
		rc = (pub->op == MT_BLOCK_READ ? transfer_part(block, req, &place) : write_part(block, req, &place));
	return rc < 0 ? rc : (int64_t)place.len_bytes;
}

/* Maps and issues what is left of a request; when it waits it keeps its part, and goes on here. */
static void data_go(void *arg)
{
	struct breq *req = arg;
	int64_t n = 0;

	while (n >= 0 && req->done_bytes < req->pub->len_bytes) {
		n = map_part(req->block, req);
		if (n > 0)
			req->done_bytes += (uint64_t)n;
	}
	if (n == MT_EAGAIN)
		return;
	if (req->has_units)
		node_unlock_units(req->units_node, &req->units);
	req->has_units = false;
	request_part_done(req, n < 0 ? (int32_t)n : 0);
}

static void data_start(struct mt_block *block, struct breq *req)
{
	req->epoch = node_epoch_enter(node_root(block->node));
	req->in_epoch = true;
	data_go(req);
}

struct breq *request_own(struct mt_block *block, struct bnode *node, uint64_t offset, void *buf, uint64_t len_bytes,
			 void (*then)(struct breq *req), void *arg)
{
	struct breq *req = req_take(block, NULL);

	req->own_iov = (struct mt_iov){ .hva = buf, .len_bytes = len_bytes };
	req->own = (struct mt_block_req){ .op = MT_BLOCK_READ, .offset = offset, .len_bytes = len_bytes,
					  .iov = &req->own_iov, .iov_count = 1 };
	req->pub = &req->own;
	req->node = node;
	req->then = then;
	req->then_arg = arg;
	data_start(block, req);
	return req;
}

/* Flushes: with metadata to write by a worker, else by the engine. */

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
		part_start(block, req, op);
	}
}

static void flush_done(void *arg)
{
	struct breq *req = arg;

	request_part_done(req, req->own.result);
}

static void flush_job(void *arg)
{
	struct breq *req = arg;

	req->own.result = node_flush(req->block->node);
	req->wake.fn = flush_done;
	request_post(&req->wake);
}

static void flush_go(struct mt_block *block, struct breq *req)
{
	if (block->write && node_needs_pass(block->node)) {
		node_job(block->node, flush_job, req);
		return;
	}
	if (block->write)
		flush_files(block, req, block->node);
	request_part_done(req, 0);
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

static void go(struct mt_block *block, struct breq *req)
{
	if (req->pub->op == MT_BLOCK_FLUSH)
		flush_go(block, req);
	else
		data_start(block, req);
}

/* Filters over the disk */

static void request_let_in(void *arg)
{
	struct breq *req = arg;

	if (req->gate->error)
		request_part_done(req, req->gate->error);
	else
		go(req->block, req);
}

/* What is written is what the filter sees, whatever the guest does with its memory meanwhile. */
static bool data_copied(struct breq *req)
{
	uint8_t *at, *to;
	uint64_t n;

	if (!filter_gate_data(req->gate))
		return false;
	to = req->gate->copy;
	for (uint64_t left = req->pub->len_bytes; left; left -= n, to += n) {
		if (!op_data_next(req, left, &at, &n))
			return false;
		memcpy(to, at, n);
	}
	req->own = *req->pub;
	req->own_iov = (struct mt_iov){ .hva = req->gate->copy, .len_bytes = req->pub->len_bytes };
	req->own.iov = &req->own_iov;
	req->own.iov_count = 1;
	req->own.iov_skip_bytes = 0;
	req->pub = &req->own;
	req->iov_index = 0;
	req->iov_at = 0;
	return true;
}

static void filter_start(struct mt_block *block, struct breq *req)
{
	const struct mt_block_filter_op op = { .op = req->pub->op, .flags = req->pub->flags,
					       .offset = req->pub->offset, .len_bytes = req->pub->len_bytes };

	req->gate = filter_gate(block->node, &op);
	req->gate->post = (struct bpost){ .block = block, .fn = request_let_in, .arg = req };
	if (filter_wants_data(block->node, op.op) && !data_copied(req))
		request_part_done(req, MT_ENOMEM);
	else if (filter_begin(req->gate))
		request_let_in(req);
}

static void start(struct mt_block *block, struct breq *req)
{
	int32_t error;

	if (block->frozen)
		list_put(&block->held, req);
	else if ((req->invalid = !is_legal(block, req->pub, &error)))
		request_part_done(req, error);
	else if (block->node->filter)
		filter_start(block, req);
	else
		go(block, req);
}

void request_op_done(struct mt_block *block, struct bop *op, int32_t error)
{
	struct breq *req = op->parent;
	struct bpart *part = op->part;

	op_free(block, op);
	if (part)
		part_op_done(part, error);
	else
		request_part_done(req, error);
}

void request_finish(struct mt_block *block, struct bop *op)
{
	int32_t error = 0;

	block->ops_in_flight--;
	if (op_ended(block, op, &error) && op_let_out(block, op, &error))
		request_op_done(block, op, error);
}

/* Calls from other threads */

void request_post(struct bpost *post)
{
	struct mt_block *block = post->block;
	bool first;

	post->next = NULL;
	pthread_mutex_lock(&block->post_lock);
	first = !block->posted;
	__atomic_store_n(block->posted_last, post, __ATOMIC_RELEASE);
	block->posted_last = &post->next;
	if (first)                       /* the handle looks after it was told, and takes all that there are */
		eventfd_write(block->engine->event_fd, 1);     /* with the lock: afterwards the handle may be gone */
	pthread_mutex_unlock(&block->post_lock);
}

static bool posted_run(struct mt_block *block)
{
	struct bpost *post, *next;

	if (!__atomic_load_n(&block->posted, __ATOMIC_ACQUIRE))
		return false;
	pthread_mutex_lock(&block->post_lock);
	post = block->posted;
	block->posted = NULL;
	block->posted_last = &block->posted;
	pthread_mutex_unlock(&block->post_lock);
	for (; post; post = next) {
		next = post->next;
		post->fn(post->arg);
	}
	return true;
}

/* Takes what has finished; what goes on (short transfers, second choices, waiting parts) is started again. */
static void collect(struct mt_block *block)
{
	bool moved;
	struct bop *op;

	block->now_ns = 0;
	do {
		moved = posted_run(block);
		while ((op = block->engine->ops->reap(block->engine, false))) {
			request_finish(block, op);
			moved = true;
		}
		if (block->ops_in_flight)
			block->engine->ops->kick(block->engine);
	} while (moved);
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
	block->now_ns = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct breq *req = req_take(block, reqs[i]);

		req->begun_ns = now(block);
		stats_begin(&block->stats);
		start(block, req);
	}
	return started(block);
}

void request_look(struct mt_block *block)
{
	collect(block);
	arm(block);
}

/* What ends while the engine is armed again has been announced to nobody: it is taken too, or it would be forgotten. */
uint32_t request_reap(struct mt_block *block, struct mt_block_req **done, uint32_t max)
{
	uint32_t n = 0;
	struct breq *req;

	do {
		if (block->done.count < max - n && request_in_flight(block))
			collect(block);
		while (n < max && (req = list_take(&block->done))) {
			done[n++] = req->pub;
			req_free(block, req);
		}
		if (n < max)
			arm(block);
	} while (n < max && block->done.count);
	return n;
}

uint32_t request_in_flight(const struct mt_block *block)
{
	return block->requests - block->done.count;
}

/* The descriptor is left readable when it was: a loop that watches it looks once too often, which is harmless. */
void request_wait(struct mt_block *block)
{
	struct pollfd fd = { .fd = block->engine->event_fd, .events = POLLIN };
	eventfd_t count;

	if (!(block->ops_in_flight && block->engine->ops->arm(block->engine)))
		poll(&fd, 1, -1);
	(void)!eventfd_read(block->engine->event_fd, &count);
	block->engine->ops->disarm(block->engine);
	collect(block);
}

void request_join(struct mt_block *block)
{
	block->engine->ops->disarm(block->engine);
	collect(block);
	while (request_in_flight(block) > block->held.count)
		request_wait(block);
}

void request_drain(struct mt_block *block)
{
	filter_hurry(block->node, true);
	request_join(block);
	filter_hurry(block->node, false);
}

int32_t request_do(struct mt_block *block, uint32_t op, uint32_t flags, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct mt_iov iov = { .hva = buf, .len_bytes = len_bytes };
	struct mt_block_req req = { .op = op, .flags = flags, .offset = offset, .len_bytes = len_bytes, .iov = &iov,
				    .iov_count = buf ? 1 : 0 };
	struct mt_block_req *pending = &req, *done = NULL;

	request_submit(block, &pending, 1);
	request_join(block);
	request_reap(block, &done, 1);
	return req.result;
}

void request_freeze(struct mt_block *block)
{
	request_drain(block);
	block->frozen = true;
}

void request_thaw(struct mt_block *block)
{
	struct breq_list held = block->held;

	block->frozen = false;
	if (held.count == 0 && block->done.count == 0)
		return;
	list_init(&block->held);
	for (struct breq *req = held.first, *next; req; req = next) {
		next = req->next;
		start(block, req);
	}
	started(block);
	/* what is done already is to be announced: what was in flight when the freeze began too */
	eventfd_write(block->engine->event_fd, 1);
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

static uint32_t place_shift(uint64_t unit_bytes)
{
	uint32_t shift = 12;

	while (shift < 20 && 1ull << shift < unit_bytes)
		shift++;
	return unit_bytes ? shift : 20;
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
	block->places = g_new0(struct bplace, BLOCK_PLACES);
	block->place_shift = place_shift(node->info.unit_bytes);
	block->posted_last = &block->posted;
	pthread_mutex_init(&block->post_lock, NULL);
	block->errors = g_array_new(FALSE, FALSE, sizeof(struct block_error));
	list_init(&block->done);
	list_init(&block->held);
	return block;
}

void request_move(struct mt_block *block, struct bnode *node)
{
	block->node = node;
	block->place_shift = place_shift(node->info.unit_bytes);
	for (struct breq *req = block->held.first; req; req = req->next)
		req->node = node;
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
	requests_free(block->held.first);
	requests_free(block->free_requests);
	for (struct bop *op = block->free_ops, *next; op; op = next) {
		next = op->next;
		g_free(op->store);
		g_free(op);
	}
	/* a poster may still be on its way out of the lock */
	pthread_mutex_lock(&block->post_lock);
	pthread_mutex_unlock(&block->post_lock);
	pthread_mutex_destroy(&block->post_lock);
	block->engine->ops->destroy(block->engine);
	g_array_unref(block->errors);
	g_free(block->places);
	g_free(block);
}
