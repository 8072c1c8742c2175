/* SPDX-License-Identifier: MIT */
/*
 * Codecs: encoded units are read and decoded, or encoded, by workers; what was decoded is kept for a while, because
 * readers come back for the rest of a unit. The codec sees copies that no guest can change.
 * A node's decoded units are covered by node.mutex; a part under the front's lock. Easy to break: a unit is known by
 * where it lies, so all are forgotten before space is used again (flush.c).
 */
#include <string.h>
#include <sys/uio.h>

#include "kernel/block/request.h"

#define KEEP_BYTES (8u << 20)
#define KEEP_MIN   4u
#define ENCODED_SPARE 64u

struct unit {
	struct mt_block_extent extent;
	struct bnode *node;
	uint8_t *data;
	int32_t error;
	bool ready, listed;
	uint32_t refs;                   /* parts, and one while it is listed */
	struct bpost *waiters;
	GList link;                      /* in bdecoded.units, last used last */
};

struct bdecoded {
	GQueue units;
	uint64_t bytes;
};

static void unit_unref(struct unit *unit)
{
	if (--unit->refs)
		return;
	g_free(unit->data);
	g_free(unit);
}

static void unit_unlist(struct unit *unit)
{
	struct bdecoded *all = unit->node->decoded;

	unit->listed = false;
	g_queue_unlink(&all->units, &unit->link);
	all->bytes -= unit->extent.unit_bytes;
	unit_unref(unit);
}

void codec_forget_all(struct bnode *node)
{
	pthread_mutex_lock(&node->mutex);
	while (node->decoded && node->decoded->units.head)
		unit_unlist(node->decoded->units.head->data);
	g_clear_pointer(&node->decoded, g_free);
	pthread_mutex_unlock(&node->mutex);
}

/* With the mutex. */
static void make_room(struct bdecoded *all)
{
	GList *link = all->units.head, *next;

	for (; link && all->bytes > KEEP_BYTES && all->units.length > KEEP_MIN; link = next) {
		struct unit *unit = link->data;

		next = link->next;
		if (unit->ready)
			unit_unlist(unit);
	}
}

static struct unit *unit_find(struct bdecoded *all, const struct mt_block_extent *extent)
{
	for (GList *link = all->units.tail; link; link = link->prev) {
		struct unit *unit = link->data;

		if (unit->extent.child_offset == extent->child_offset && unit->extent.child == extent->child &&
		    unit->extent.encoded_bytes == extent->encoded_bytes && unit->extent.cookie == extent->cookie &&
		    unit->extent.unit_bytes == extent->unit_bytes)
			return unit;
	}
	return NULL;
}

/* Reading */

static int32_t unit_load(struct unit *unit)
{
	const struct mt_block_extent *e = &unit->extent;
	uint8_t *encoded = g_try_malloc(e->encoded_bytes);
	int32_t rc = MT_ENOMEM;

	unit->data = g_try_malloc(e->unit_bytes);
	if (encoded && unit->data)
		rc = file_read(unit->node->children[e->child].file, e->child_offset, encoded, e->encoded_bytes);
	if (rc == 0)
		rc = unit->node->format->decode(unit->node->self, e, encoded, unit->data);
	g_free(encoded);
	return rc;
}

static void load_job(void *arg)
{
	struct unit *unit = arg;
	struct bnode *node = unit->node;
	int32_t rc = unit_load(unit);
	struct bpost *waiters, *next;

	pthread_mutex_lock(&node->mutex);
	unit->error = rc;
	unit->ready = true;
	waiters = unit->waiters;
	unit->waiters = NULL;
	if (rc && unit->listed)
		unit_unlist(unit);
	pthread_mutex_unlock(&node->mutex);
	for (; waiters; waiters = next) {
		next = waiters->next;
		request_post(waiters);
	}
}

static void copy_out(struct bpart *part, const uint8_t *from)
{
	for (uint32_t i = 0; i < part->iov_count; i++) {
		memcpy(part->iov[i].iov_base, from, part->iov[i].iov_len);
		from += part->iov[i].iov_len;
	}
}

/* On the handle: the unit is there, or never will be. */
static void read_over(void *arg)
{
	struct bpart *part = arg;
	struct unit *unit = (struct unit *)part->unit;
	struct breq *req = part->req;
	int32_t error = unit->error;

	if (error == 0)
		copy_out(part, unit->data + part->extent.skip_bytes);
	pthread_mutex_lock(&part->node->mutex);
	unit_unref(unit);
	pthread_mutex_unlock(&part->node->mutex);
	req->outstanding++;
	part_free(part);
	request_part_done(req, error);
}

/* With the mutex: the unit of the part; *start: it is to be loaded. */
static struct unit *unit_get(struct bpart *part, bool *start)
{
	struct bnode *node = part->node;
	struct unit *unit;

	if (!node->decoded)
		node->decoded = g_new0(struct bdecoded, 1);
	unit = unit_find(node->decoded, &part->extent);
	*start = !unit;
	if (unit) {
		g_queue_unlink(&node->decoded->units, &unit->link);
	} else {
		unit = g_new0(struct unit, 1);
		*unit = (struct unit){ .extent = part->extent, .node = node, .refs = 1, .listed = true };
		unit->link.data = unit;
		node->decoded->bytes += unit->extent.unit_bytes;
	}
	g_queue_push_tail_link(&node->decoded->units, &unit->link);
	make_room(node->decoded);
	unit->refs++;
	return unit;
}

int32_t codec_read(struct mt_block *block, struct breq *req, const struct bplace *place)
{
	struct bpart *part = part_new(block, req, place, place->len_bytes);
	struct bnode *node = part->node;
	struct unit *unit;
	bool start, ready;

	part->extent = place->extent;
	if (!part_take_data(part)) {
		part_free(part);
		return MT_EINVAL;
	}
	part->post.fn = read_over;
	pthread_mutex_lock(&node->mutex);
	unit = unit_get(part, &start);
	part->unit = (struct bdecoded *)unit;
	ready = unit->ready;
	if (!ready) {
		part->post.next = unit->waiters;
		unit->waiters = &part->post;
	}
	pthread_mutex_unlock(&node->mutex);
	if (ready)
		read_over(part);
	else if (start)
		node_job(node, load_job, unit);
	return 0;
}

/* Writing */

static uint64_t unit_len(const struct breq *req)
{
	const struct mt_block_info *info = &req->node->info;
	uint64_t at = req->pub->offset + req->done_bytes;

	return MIN(info->unit_bytes, info->disk_bytes - at);
}

static bool is_stream(const struct bnode *node)
{
	return node->info.flags & MT_BLOCK_INFO_STREAM;
}

bool codec_wants(const struct breq *req)
{
	uint64_t at = req->pub->offset + req->done_bytes, unit = req->node->info.unit_bytes;

	return req->pub->op == MT_BLOCK_WRITE && (req->pub->flags & MT_BLOCK_ENCODE || is_stream(req->node)) &&
	       req->node->format->encode && unit && at % unit == 0 && req->pub->len_bytes - req->done_bytes >= unit_len(req);
}

static void write_over(void *arg)
{
	struct bpart *part = arg;

	part_start_write(part);
}

/* The unit's rest behind the end of the disk is encoded as zeros. A stream has nothing that is not encoded. */
static void encode_job(void *arg)
{
	struct bpart *part = arg;
	struct bnode *node = part->node;
	uint64_t unit = node->info.unit_bytes, room = is_stream(node) ? unit + MAX(unit / 8, 4096) : unit;
	int64_t n = MT_ENOMEM;

	part->encoded = g_try_malloc(room + ENCODED_SPARE);
	if (part->encoded)
		n = node->format->encode(node->self, part->offset, part->iov->iov_base, unit, part->encoded, room);
	part->encoded_bytes = n > 0 && n < (int64_t)room ? (uint32_t)n : 0;
	if (is_stream(node) && !part->encoded_bytes)
		part->error = n == MT_ENOMEM ? MT_ENOMEM : MT_EIO;
	request_post(&part->post);
}

/* A copy of the part's data, and zeros behind the end of the disk. */
static bool copy_in(struct bpart *part, uint64_t unit)
{
	uint64_t at = 0;

	part->plain = g_try_malloc(unit);
	if (!part->plain)
		return false;
	for (uint32_t i = 0; i < part->iov_count; at += part->iov[i++].iov_len)
		memcpy(part->plain + at, part->iov[i].iov_base, part->iov[i].iov_len);
	memset(part->plain + at, 0, unit - at);
	part->iov[0] = (struct iovec){ part->plain, part->len_bytes };
	part->iov_count = 1;
	return true;
}

int64_t codec_write(struct mt_block *block, struct breq *req)
{
	uint64_t len = unit_len(req), unit = req->node->info.unit_bytes;
	struct bplace place = { .node = req->node, .node_offset = req->pub->offset + req->done_bytes };
	struct bpart *part = part_new(block, req, &place, len);
	bool taken = part_take_data(part);
	bool as_it_is = taken && block->constant && part->iov_count == 1 && len == unit;

	if (!taken || (!as_it_is && !copy_in(part, unit))) {
		part_free(part);
		return taken ? MT_ENOMEM : MT_EINVAL;
	}
	part->post.fn = write_over;
	if (is_stream(req->node))
		node_turn_take(req->node, &part->turn, &part->post);
	req->flush_after |= (req->pub->flags & MT_BLOCK_FUA) != 0;
	node_job(req->node, encode_job, part);
	return (int64_t)len;
}
