/* SPDX-License-Identifier: MIT */
/*
 * Writes that need space. A part has its units for itself, asks the format for targets, reads what must be kept
 * around the data from the mapping that still holds, writes all of a target with one operation, and commits when
 * everything is written. Under the front's lock; it waits by its `post`.
 */
#include <string.h>
#include <sys/uio.h>

#include "kernel/block/request.h"

#define TARGETS 8u
#define FILL_MOST (8u << 20)

static void write_go(void *arg);

struct bpart *part_new(struct mt_block *block, struct breq *req, const struct bplace *place, uint64_t len_bytes)
{
	struct bpart *part = g_new0(struct bpart, 1);
	uint64_t unit = MAX(place->node->info.unit_bytes, 1);

	*part = (struct bpart){ .req = req, .block = block, .node = place->node, .offset = place->node_offset,
				.len_bytes = len_bytes, .iov = part->few };
	part->post = (struct bpost){ .block = block, .fn = write_go, .arg = part };
	part->units.offset = part->offset / unit * unit;
	part->units.len_bytes = (part->offset + len_bytes + unit - 1) / unit * unit - part->units.offset;
	req->outstanding++;
	return part;
}

/* Of a part that never began. */
void part_free(struct bpart *part)
{
	part->req->outstanding--;
	if (part->iov != part->few)
		g_free(part->iov);
	g_free(part->plain);
	g_free(part->encoded);
	g_free(part);
}

static void part_end(struct bpart *part)
{
	struct breq *req = part->req;
	int32_t error = part->error;

	if (part->locked)
		node_unlock_units(part->node, &part->units);
	if (part->cookies)
		g_array_unref(part->cookies);
	part_free(part);
	req->outstanding++;              /* part_free took it back; now it ends */
	request_part_done(req, error);
}

static void iov_put(struct bpart *part, void *at, uint64_t len_bytes)
{
	if (part->iov_count == G_N_ELEMENTS(part->few) && part->iov == part->few) {
		part->iov = g_new(struct iovec, 64);
		memcpy(part->iov, part->few, sizeof(part->few));
	} else if (part->iov != part->few && part->iov_count >= 64 && (part->iov_count & (part->iov_count - 1)) == 0) {
		part->iov = g_renew(struct iovec, part->iov, part->iov_count * 2);
	}
	part->iov[part->iov_count++] = (struct iovec){ at, len_bytes };
}

bool part_take_data(struct bpart *part)
{
	uint8_t *at;
	uint64_t n;

	for (uint64_t left = part->len_bytes; left; left -= n) {
		if (!op_data_next(part->req, left, &at, &n))
			return false;
		iov_put(part, at, n);
	}
	return true;
}

void part_take_zeros(struct bpart *part)
{
	for (uint64_t left = part->len_bytes, n; left; left -= n) {
		const uint8_t *at;

		n = left;
		at = op_zeros(&n);       /* it shortens n: not in the call that takes n */
		iov_put(part, (void *)(uintptr_t)at, n);
	}
}

/* The next `len_bytes` of the part's data become data of the operation. */
static bool give_data(struct bpart *part, struct bop *op, uint64_t len_bytes)
{
	while (len_bytes) {
		struct iovec *piece = &part->iov[part->iov_index];
		uint64_t n = MIN(piece->iov_len - part->iov_at, len_bytes);

		if (!op_add(op, (uint8_t *)piece->iov_base + part->iov_at, n))
			return false;
		part->iov_at += n;
		len_bytes -= n;
		if (part->iov_at == piece->iov_len) {
			part->iov_index++;
			part->iov_at = 0;
		}
	}
	return true;
}

/* Filling */

/* One write, held back until what goes around its data has been read. */
struct fill {
	struct bpart *part;
	struct bop *op;
	uint32_t reads;
	int32_t error;
	uint8_t *buf;
};

static void fill_end(struct fill *fill)
{
	struct bpart *part = fill->part;
	int32_t error = fill->error;

	if (error) {
		op_free(part->block, fill->op);
		g_free(fill->buf);
		g_free(fill);
		part_op_done(part, error);
		return;
	}
	fill->op->owned = fill->buf;
	op_issue(part->block, fill->op);
	g_free(fill);
}

static void fill_read(struct breq *req)
{
	struct fill *fill = req->then_arg;

	if (req->error && !fill->error)
		fill->error = req->error;
	if (--fill->reads == 0)
		fill_end(fill);
}

/* Whether a range of the node's disk is known to read as zero without I/O. */
static bool reads_zero(struct bpart *part, uint64_t offset, uint64_t len_bytes)
{
	struct bplace place;

	for (uint64_t n; len_bytes && offset < part->node->info.disk_bytes; offset += n, len_bytes -= n) {
		if (place_find(part->block, part->node, offset, MIN(len_bytes, part->node->info.disk_bytes - offset),
			       MT_BLOCK_MAP_READ, &place) < 0 || place.kind != PLACE_ZERO)
			return false;
		n = place.len_bytes;
	}
	return true;
}

/* Fill on one side: nothing to write, zeros, or a read into `buf`. */
static bool fill_side(struct fill *fill, uint64_t offset, uint64_t len_bytes, bool zeroed, uint8_t **buf,
		      struct brange *read)
{
	bool zero = len_bytes == 0 || reads_zero(fill->part, offset, len_bytes);

	*read = (struct brange){ 0 };
	if (len_bytes == 0 || (zero && zeroed))
		return true;
	if (zero)
		return op_add_zeros(fill->op, len_bytes);
	*read = (struct brange){ offset, len_bytes };
	return op_add(fill->op, *buf, len_bytes) && (*buf += len_bytes);
}

static void fill_begin(struct fill *fill, const struct brange *range, uint8_t *buf)
{
	uint64_t disk = fill->part->node->info.disk_bytes, n = range->len_bytes;

	if (n == 0)
		return;
	if (range->offset + n > disk) {
		uint64_t there = disk > range->offset ? disk - range->offset : 0;

		memset(buf + there, 0, n - there);
		n = there;
	}
	fill->reads++;
	request_own(fill->part->block, fill->part->node, range->offset, buf, n, fill_read, fill);
}

static bool fill_make(struct fill *fill, const struct mt_block_target *t, struct brange range[2])
{
	struct bpart *part = fill->part;
	bool zeroed = t->flags & MT_BLOCK_TARGET_ZEROED;
	uint64_t head = t->fill_head_bytes, tail = t->fill_tail_bytes;
	uint8_t *buf;

	if (head + tail) {
		fill->buf = head > FILL_MOST || tail > FILL_MOST ? NULL : g_try_malloc(head + tail);
		if (!fill->buf)
			return false;
	}
	buf = fill->buf;
	if (!fill_side(fill, t->offset - head, head, zeroed, &buf, &range[0]))
		return false;
	fill->op->offset = t->child_offset - (fill->op->iov_count ? head : 0);
	fill->op->len_bytes = fill->op->iov_count ? head : 0;
	if (part->encoded_bytes) {
		if (!op_add(fill->op, part->encoded, part->encoded_bytes))
			return false;
		fill->op->len_bytes += part->encoded_bytes;
	} else {
		if (!give_data(part, fill->op, t->len_bytes))
			return false;
		fill->op->len_bytes += t->len_bytes;
	}
	if (!fill_side(fill, t->offset + t->len_bytes, tail, zeroed, &buf, &range[1]))
		return false;
	fill->op->len_bytes = 0;
	for (uint32_t i = 0; i < fill->op->iov_count; i++)
		fill->op->len_bytes += fill->op->iov[i].iov_len;
	return true;
}

static int32_t target_write(struct bpart *part, const struct mt_block_target *t)
{
	struct file *file = t->child < part->node->child_count ? part->node->children[t->child].file : NULL;
	struct brange range[2] = { { 0 } };
	struct fill *fill;
	uint8_t *buf;

	if (!file || t->fill_head_bytes > t->offset || t->fill_head_bytes > t->child_offset)
		return MT_EIO;
	fill = g_new0(struct fill, 1);
	fill->part = part;
	fill->op = op_take(part->block, part->req, file);
	fill->op->kind = BOP_WRITE;
	fill->op->part = part;
	if (!fill_make(fill, t, range)) {
		op_free(part->block, fill->op);
		g_free(fill->buf);
		g_free(fill);
		return MT_ENOMEM;
	}
	part->outstanding++;
	fill->reads = 1;                 /* a read may be over at once */
	buf = fill->buf;
	fill_begin(fill, &range[0], buf);
	fill_begin(fill, &range[1], buf + range[0].len_bytes);
	if (--fill->reads == 0)
		fill_end(fill);
	return 0;
}

/* Writing */

static int32_t in_place(struct bpart *part, const struct bplace *place)
{
	struct bop *op;

	if (__atomic_load_n(&place->file->flush_failed, __ATOMIC_RELAXED))
		return MT_EIO;
	op = op_take(part->block, part->req, place->file);
	op->kind = BOP_WRITE;
	op->part = part;
	op->offset = place->file_offset;
	op->len_bytes = place->len_bytes;
	if (!give_data(part, op, place->len_bytes)) {
		op_free(part->block, op);
		return MT_ENOMEM;
	}
	part->outstanding++;
	part->at_bytes += place->len_bytes;
	op_issue(part->block, op);
	return 0;
}

static int32_t targets_take(struct bpart *part, const struct mt_block_target *targets, uint32_t count)
{
	int32_t rc = 0;

	for (uint32_t i = 0; i < count && rc == 0; i++) {
		const struct mt_block_target *t = &targets[i];

		g_array_append_val(part->cookies, t->cookie);
		if (t->offset != part->offset + part->at_bytes || t->len_bytes == 0 ||
		    t->len_bytes > part->len_bytes - part->at_bytes) {
			rc = MT_EIO;
			continue;
		}
		part->want_sync |= (t->flags & MT_BLOCK_TARGET_DURABLE) != 0;
		rc = target_write(part, t);
		part->at_bytes += t->len_bytes;
	}
	return rc;
}

static int32_t reserve(struct bpart *part, uint64_t len_bytes)
{
	struct mt_block_target targets[TARGETS];
	struct bnode *node = part->node;
	uint64_t ready;
	struct mt_block_want want = { .offset = part->offset + part->at_bytes, .len_bytes = len_bytes,
				      .encoded_bytes = part->encoded_bytes };
	int32_t n;

	if (!node->format->reserve)
		return MT_ENOTSUP;
	do {
		ready = node_ready_count(node);
		memset(targets, 0, sizeof(targets));
		n = node_wake_soon(node);
		if (n == 0) {
			node_enter(node);
			n = node->format->reserve(node->self, &want, targets, TARGETS);
			node_leave(node);
		}
		if (n == MT_EAGAIN && node_wait_ready(node, &part->post, ready))
			return MT_EAGAIN;
	} while (n == MT_EAGAIN);
	if (n == 0 || n > (int32_t)TARGETS)
		return MT_EIO;
	return n < 0 ? n : targets_take(part, targets, (uint32_t)n);
}

/* Cuts *left to where the node has nothing itself, or 0: what it has is passed over. */
static int32_t fetch_left(struct bpart *part, uint64_t at, uint64_t *left)
{
	struct bplace place;
	bool own;
	int32_t rc;

	do {
		rc = place_own(part->node, at, *left, &place, &own);
		if (rc == MT_EAGAIN && node_wait_ready(place.node, &part->post, place.ready_count))
			return MT_EAGAIN;
	} while (rc == MT_EAGAIN);
	if (rc < 0)
		return rc;
	*left = own ? 0 : place.len_bytes;
	if (own) {
		part->iov_at += place.len_bytes;
		part->at_bytes += place.len_bytes;
	}
	return 0;
}

static int32_t write_step(struct bpart *part)
{
	uint64_t at = part->offset + part->at_bytes, left = part->len_bytes - part->at_bytes;
	struct bplace place;
	uint32_t depth;
	int32_t rc;

	if (part->encoded_bytes)
		return reserve(part, left);
	if (part->fetch) {
		rc = fetch_left(part, at, &left);
		if (rc < 0 || left == 0)
			return rc;
	}
	do {
		rc = place_resolve(part->node, at, left, MT_BLOCK_MAP_WRITE, &place, &depth);
		if (rc == MT_EAGAIN && node_wait_ready(place.node, &part->post, place.ready_count))
			return MT_EAGAIN;
	} while (rc == MT_EAGAIN);
	if (rc < 0)
		return rc;
	place.len_bytes = MIN(place.len_bytes, left);
	if (place.kind == PLACE_FILE)
		return in_place(part, &place);
	return place.node == part->node ? reserve(part, place.len_bytes) : MT_ENOTSUP;
}

/* What is committed is seen by passes and by other handles' look at once. */
static void commit(struct bpart *part)
{
	struct bnode *node = part->node;
	const uint64_t *cookies = (const uint64_t *)(void *)part->cookies->data;
	int32_t rc = 0;

	if (part->cookies->len == 0)
		return;
	node_enter(node);
	if (part->error)
		node->format->abort(node->self, cookies, part->cookies->len);
	else
		rc = node->format->commit(node->self, cookies, part->cookies->len);
	node_invalidate(node, part->units.offset, part->units.len_bytes);      /* the fill has moved too */
	node_leave(node);
	if (rc < 0)
		part->error = rc;
}

static bool sync_first(struct bpart *part)
{
	if (!part->want_sync || part->error)
		return false;
	part->want_sync = false;
	for (uint32_t i = 0; i < part->node->child_count; i++) {
		struct bop *op;

		if (!part->node->children[i].file)
			continue;
		op = op_take(part->block, part->req, part->node->children[i].file);
		op->kind = BOP_SYNC;
		op->part = part;
		part->outstanding++;
		op_issue(part->block, op);
	}
	return part->outstanding > 0;
}

static void write_over(struct bpart *part)
{
	if (part->outstanding || !part->mapped || sync_first(part))
		return;
	commit(part);
	part_end(part);
}

static void fetch_read(struct breq *own)
{
	struct bpart *part = own->then_arg;

	part->error = own->error;
	part->fetched = true;
	write_go(part);
}

static void write_go(void *arg)
{
	struct bpart *part = arg;
	int32_t rc = 0;

	/* before the units: who has them goes on in its turn only */
	if (part->turn.number && !node_turn_wait(part->node, &part->turn))
		return;
	if (!part->locked && !node_lock_units(part->node, &part->units, &part->post))
		return;
	part->locked = true;
	if (part->fetch && !part->fetched) {
		request_own(part->block, part->node, part->offset, part->iov[0].iov_base, part->len_bytes, fetch_read, part);
		return;
	}
	while (rc == 0 && !part->error && part->at_bytes < part->len_bytes)
		rc = write_step(part);
	if (rc == MT_EAGAIN)
		return;
	if (part->turn.number)
		node_turn_end(part->node, &part->turn);
	if (rc < 0 && !part->error)
		part->error = rc;
	part->mapped = true;
	write_over(part);
}

void part_start_write(struct bpart *part)
{
	part->cookies = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	part->post.fn = write_go;
	write_go(part);
}

/*
 * Nobody writes to units that are locked, where the node has nothing itself; what it has is not looked at. So what is
 * read under the lock is what has to be written, and a front's write comes before or after it.
 */
int64_t part_fetch(struct mt_block *block, struct breq *req)
{
	uint64_t left = req->pub->len_bytes - req->done_bytes;
	struct bplace place = { .node = req->node, .node_offset = req->pub->offset + req->done_bytes };
	struct bpart *part = part_new(block, req, &place, left);

	part->fetch = true;
	if (!part_take_data(part) || part->iov_count != 1) {
		part_free(part);
		return MT_EINVAL;
	}
	part_start_write(part);
	return (int64_t)left;
}

void part_op_done(struct bpart *part, int32_t error)
{
	if (error && !part->error)
		part->error = error;
	part->outstanding--;
	write_over(part);
}
