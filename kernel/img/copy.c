// SPDX-License-Identifier: MIT
/*
 * Copying disks: several threads, each with handles of its own, take pieces of the whole in order and do read, look for
 * zeros and write by themselves; so reading, the search, compression and writing go on at the same time.
 * Holes are found where pieces are given out, so that a disk of a terabyte with little in it takes little time. Easy
 * to break: whoever gives up sets `result` once, and the others end with their piece.
 */
#include <malloc.h>
#include <pthread.h>
#include <string.h>

#include "kernel/block/request.h"
#include "kernel/img/img.h"
#include "kernel/machine/fault.h"

#define PIECE_BYTES (1u << 20)
#define ZERO_GRAIN  4096u
#define THREADS_MAX 64u
#define KEEP_BYTES  (64 << 20)
#define SLEEP_US    1e5

struct piece {
	const struct copy_part *part;
	uint64_t at, len_bytes;          /* of the whole */
	uint64_t number;                 /* from 0 */
	bool zero;                       /* known without reading; to be written as zeros */
};

struct crew {
	struct copy *copy;
	uint64_t grain_bytes, piece_bytes;
	pthread_mutex_t lock;            /* of what follows */
	uint64_t next, pieces;
	uint64_t moved_bytes;            /* without what needs neither reading nor writing */
	uint64_t written;                /* with in_order: pieces whose writes have begun, which is their order */
	pthread_cond_t turn;
	int result;
	bool in_read;                    /* what `result` is about */
	uint64_t fault_at;
	int64_t start_us;
};

struct write {
	struct mt_block_req req;
	struct mt_iov iov;
};

struct hand {
	struct crew *crew;
	pthread_t thread;
	struct mt_block *write, **read;  /* a handle a source */
	uint8_t *buf;
	struct write *writes;            /* with in_order: under way */
	uint32_t write_count;
};

bool copy_is_zero(const void *buf, size_t len_bytes)
{
	const uint8_t *at = buf;
	uint64_t word, any = 0;

	/* a look at the first bytes ends most searches */
	for (size_t i = 0; i < len_bytes && i < 16; i++)
		any |= at[i];
	if (any)
		return false;
	while (len_bytes >= 64) {
		for (int i = 0; i < 8; i++) {
			memcpy(&word, at + 8 * i, 8);
			any |= word;
		}
		if (any)
			return false;
		at += 64, len_bytes -= 64;
	}
	while (len_bytes--)
		any |= *at++;
	return !any;
}

/* Giving out pieces, with the lock held. */

static const struct copy_part *part_at(const struct copy *copy, uint64_t at)
{
	uint32_t i = copy->part_count;

	while (i > 1 && copy->parts[i - 1].at > at)
		i--;
	return &copy->parts[i - 1];
}

static uint64_t part_end(const struct copy *copy, const struct copy_part *part)
{
	const struct copy_part *next = part + 1;

	return next < copy->parts + copy->part_count ? MIN(next->at, copy->total_bytes) : copy->total_bytes;
}

/*
 * How far from `at` on nothing is to be read: *zero says whether zeros are to be written there. Where it is 0, no piece
 * is to reach beyond *limit bytes.
 */
static int64_t known(const struct crew *crew, const struct copy_part *part, uint64_t at, uint64_t end, bool *zero,
		     uint64_t *limit)
{
	const struct copy *copy = crew->copy;
	uint64_t from = at - part->at + copy->source_skip, disk = image_bytes(part->image), len;
	struct block_status status;
	int32_t rc;

	*zero = true;
	if (from >= disk)
		return (int64_t)(end - at);
	rc = status_get(part->image->node, from, MIN(end - at, disk - from), &status);
	if (rc < 0)
		return copy->salvage ? 0 : rc;
	len = MIN(status.len_bytes, end - at);
	if (copy->top_only)
		*limit = len;
	if (copy->top_only && status.depth > copy->depth_max) {
		*zero = false;
		return (int64_t)len;
	}
	return status.flags & BLOCK_STATUS_ZERO && copy->sparse_bytes ? (int64_t)len : 0;
}

/* 1: `piece` is to be done; 0: all are given out; or an error. */
static int piece_next(struct crew *crew, struct piece *piece)
{
	const struct copy *copy = crew->copy;

	while (crew->next < copy->total_bytes) {
		const struct copy_part *part = part_at(copy, crew->next);
		uint64_t end = part_end(copy, part), at = crew->next, len, limit = UINT64_MAX;
		bool zero;
		int64_t skip = known(crew, part, at, end, &zero, &limit);

		if (skip < 0)
			return (int)skip;
		/* what ends inside of a grain is found there by reading */
		if (!copy->top_only && (uint64_t)skip < end - at)
			skip -= (int64_t)((at + (uint64_t)skip) % crew->grain_bytes);
		len = skip > 0 ? (uint64_t)skip : MIN(MIN(crew->piece_bytes - at % crew->piece_bytes, limit), end - at);
		crew->next += len;
		*piece = (struct piece){ part, at, len, crew->pieces, skip > 0 };
		if (skip <= 0 || (zero && !copy->target_zero)) {
			crew->pieces++;
			return 1;
		}
		progress_add(copy->progress, len);
	}
	return 0;
}

/* Doing them */

static int fail(struct crew *crew, int rc, bool in_read, uint64_t at)
{
	pthread_mutex_lock(&crew->lock);
	if (!crew->result) {
		crew->result = rc;
		crew->in_read = in_read;
		crew->fault_at = at;
	}
	pthread_cond_broadcast(&crew->turn);
	pthread_mutex_unlock(&crew->lock);
	return rc;
}

/* Zeros where a sector cannot be read, and a word about it. */
static int salvage(struct hand *hand, const struct piece *piece, uint64_t from)
{
	struct mt_block *read = hand->read[piece->part - hand->crew->copy->parts];

	for (uint64_t at = 0; at < piece->len_bytes; at += 512) {
		uint64_t n = MIN(512, piece->len_bytes - at);

		if (request_do(read, MT_BLOCK_READ, 0, from + at, hand->buf + at, n) == 0)
			continue;
		memset(hand->buf + at, 0, n);
		img_warn("%s: byte %llu cannot be read", piece->part->image->path, (unsigned long long)(from + at));
	}
	return 0;
}

static int piece_read(struct hand *hand, const struct piece *piece)
{
	const struct copy *copy = hand->crew->copy;
	uint64_t from = piece->at - piece->part->at + copy->source_skip, disk = image_bytes(piece->part->image);
	uint64_t len = from < disk ? MIN(piece->len_bytes, disk - from) : 0;
	struct piece there = { .part = piece->part, .at = piece->at, .len_bytes = len };
	int rc;

	memset(hand->buf + len, 0, piece->len_bytes - len);
	if (!len)
		return 0;
	rc = request_do(hand->read[piece->part - copy->parts], MT_BLOCK_READ, 0, from, hand->buf, len);
	return rc < 0 && copy->salvage ? salvage(hand, &there, from) : rc;
}

static int write_zeros(struct hand *hand, uint64_t at, uint64_t len)
{
	uint32_t flags = hand->crew->copy->sparse_bytes ? MT_BLOCK_MAY_UNMAP : MT_BLOCK_ALLOCATE;

	return request_do(hand->write, MT_BLOCK_ZERO, flags, at, NULL, len);
}

/* In order only the beginning of a write is: many are under way, and their units are compressed by all processors. */
static int write_begin(struct hand *hand, uint64_t at, uint8_t *buf, uint64_t len)
{
	struct write *w = &hand->writes[hand->write_count++];
	struct mt_block_req *req = &w->req;

	w->iov = (struct mt_iov){ .hva = buf, .len_bytes = len };
	*req = (struct mt_block_req){ .op = MT_BLOCK_WRITE, .flags = MT_BLOCK_ENCODE, .offset = at, .len_bytes = len,
				      .iov = &w->iov, .iov_count = 1 };
	request_submit(hand->write, &req, 1);
	return 0;
}

static int writes_join(struct hand *hand)
{
	struct mt_block_req *done[16];
	uint32_t n;
	int rc = 0;

	request_join(hand->write);
	while ((n = request_reap(hand->write, done, G_N_ELEMENTS(done))) > 0) {
		for (uint32_t i = 0; i < n && rc == 0; i++)
			rc = done[i]->result;
	}
	hand->write_count = 0;
	return rc;
}

static int write_run(struct hand *hand, const struct piece *piece, uint64_t from, uint64_t to, bool zero)
{
	const struct copy *copy = hand->crew->copy;

	if (zero)
		return copy->target_zero ? 0 : write_zeros(hand, piece->at + from, to - from);
	if (copy->in_order)
		return write_begin(hand, piece->at + from, hand->buf + from, to - from);
	return request_do(hand->write, MT_BLOCK_WRITE, copy->compress ? MT_BLOCK_ENCODE : 0, piece->at + from,
			hand->buf + from, to - from);
}

/* Where the grain at `from` ends. */
static uint64_t grain_end(const struct crew *crew, const struct piece *piece, uint64_t from)
{
	uint64_t grain = crew->grain_bytes;

	return MIN(piece->len_bytes, (piece->at + from) / grain * grain + grain - piece->at);
}

static int piece_write(struct hand *hand, const struct piece *piece)
{
	const struct crew *crew = hand->crew;
	uint64_t from = 0, to;
	int rc = 0;

	if (!crew->copy->sparse_bytes)
		return write_run(hand, piece, 0, piece->len_bytes, false);
	while (rc == 0 && from < piece->len_bytes) {
		bool zero, next;

		to = grain_end(crew, piece, from);
		zero = next = copy_is_zero(hand->buf + from, to - from);
		while (to < piece->len_bytes && next == zero) {
			uint64_t end = grain_end(crew, piece, to);

			next = copy_is_zero(hand->buf + to, end - to);
			if (next == zero)
				to = end;
		}
		rc = write_run(hand, piece, from, to, zero);
		from = to;
	}
	return rc;
}

/* The pieces before this one have begun. Whoever fails ends the waiting of all. */
static bool turn_wait(struct crew *crew, const struct piece *piece)
{
	bool goes_on;

	pthread_mutex_lock(&crew->lock);
	while (!crew->result && crew->written != piece->number)
		pthread_cond_wait(&crew->turn, &crew->lock);
	goes_on = !crew->result;
	pthread_mutex_unlock(&crew->lock);
	return goes_on;
}

static void turn_end(struct crew *crew)
{
	pthread_mutex_lock(&crew->lock);
	crew->written++;
	pthread_cond_broadcast(&crew->turn);
	pthread_mutex_unlock(&crew->lock);
}

static int write_in_order(struct hand *hand, const struct piece *piece)
{
	int rc, end;

	if (!turn_wait(hand->crew, piece))
		return 0;
	rc = piece->zero ? write_zeros(hand, piece->at, piece->len_bytes) : piece_write(hand, piece);
	turn_end(hand->crew);
	end = writes_join(hand);
	return rc < 0 ? rc : end;
}

static int piece_do(struct hand *hand, const struct piece *piece)
{
	int rc = piece->zero ? 0 : piece_read(hand, piece);

	if (rc < 0)
		return fail(hand->crew, rc, true, piece->at);
	if (hand->crew->copy->in_order)
		rc = write_in_order(hand, piece);
	else
		rc = piece->zero ? write_zeros(hand, piece->at, piece->len_bytes) : piece_write(hand, piece);
	return rc < 0 ? fail(hand->crew, rc, false, piece->at) : 0;
}

/* With a limit, whoever is ahead of it sleeps; not so long that one who wants to stop would have to wait. */
static void keep_rate(const struct crew *crew, uint64_t moved_bytes)
{
	double due_us = (double)moved_bytes / (double)MAX(crew->copy->rate_bytes, 1) * 1e6, left_us;

	while (crew->copy->rate_bytes && !img_cancelled()) {
		left_us = due_us - (double)(g_get_monotonic_time() - crew->start_us);
		if (left_us <= 0)
			return;
		g_usleep((gulong)MIN(left_us, SLEEP_US));
	}
}

static void *hand_run(void *arg)
{
	struct hand *hand = arg;
	struct crew *crew = hand->crew;
	struct piece piece;
	uint64_t moved_bytes;
	int rc;

	for (;;) {
		pthread_mutex_lock(&crew->lock);
		if (!crew->result && img_cancelled())
			crew->result = MT_EGONE;
		rc = crew->result ? 0 : piece_next(crew, &piece);
		if (rc < 0) {
			crew->result = rc;
			crew->in_read = true;
			crew->fault_at = crew->next;
		}
		moved_bytes = crew->moved_bytes;
		if (rc > 0 && !piece.zero)
			crew->moved_bytes += piece.len_bytes;
		if (crew->result)
			pthread_cond_broadcast(&crew->turn);
		pthread_mutex_unlock(&crew->lock);
		if (rc <= 0)
			return NULL;
		keep_rate(crew, moved_bytes);
		if (piece_do(hand, &piece) < 0)
			return NULL;
		progress_add(crew->copy->progress, piece.len_bytes);
	}
}

/* The crew */

static void hand_fini(struct hand *hand)
{
	const struct copy *copy = hand->crew->copy;

	for (uint32_t i = 0; hand->read && i < copy->part_count; i++) {
		if (hand->read[i])
			image_handle_close(hand->read[i]);
	}
	if (hand->write)
		image_handle_close(hand->write);
	g_free(hand->read);
	g_free(hand->writes);
	free(hand->buf);
}

static int hand_init(struct hand *hand, struct crew *crew, struct mt_error *err)
{
	const struct copy *copy = crew->copy;

	hand->crew = crew;
	hand->read = g_new0(struct mt_block *, copy->part_count);
	if (posix_memalign((void **)&hand->buf, 4096, crew->piece_bytes))
		return fault_set(err, MT_ENOMEM, NULL, NULL, "out of memory");
	hand->write = image_handle(copy->target, true, err);
	if (!hand->write)
		return err->code;
	hand->write->constant = true;
	hand->writes = g_new(struct write, copy->in_order ? crew->piece_bytes / crew->grain_bytes : 1);
	for (uint32_t i = 0; i < copy->part_count; i++) {
		hand->read[i] = image_handle(copy->parts[i].image->node, false, err);
		if (!hand->read[i])
			return err->code;
	}
	return 0;
}

/* Requests have a code only; of the reasons for one to have no room the file knows the host's own. */
static const char *no_room(const struct bnode *node)
{
	for (uint32_t i = 0; i < node->child_count; i++) {
		struct file *file = node->children[i].file;
		int host_errno = file ? __atomic_load_n(&file->full_errno, __ATOMIC_RELAXED) : 0;

		if (host_errno)
			return g_strerror(host_errno);
	}
	return "no space is left";
}

static const char *reason(const struct bnode *node, int rc)
{
	return rc == MT_ENOSPC ? no_room(node) : rc == MT_EPERM ? "it is not permitted" :
	       rc == MT_ENOMEM ? "out of memory" : "input or output failed";
}

static int crew_result(const struct crew *crew, struct mt_error *err)
{
	const struct copy *copy = crew->copy;

	if (crew->result == MT_EGONE)
		return fault_set(err, MT_EGONE, NULL, NULL, "stopped as you wished");
	if (crew->result < 0)
		return fault_set(err, crew->result, NULL, NULL, "%s: byte %llu cannot be %s: %s",
				 crew->in_read ? part_at(copy, crew->fault_at)->image->path : copy->target_name,
				 (unsigned long long)crew->fault_at, crew->in_read ? "read" : "written",
				 reason(copy->target, crew->result));
	return 0;
}

/* This thread is a hand, and the first one; where no more threads are to be had it works alone. */
static int crew_work(struct crew *crew, struct hand *hands, uint32_t count, struct mt_error *err)
{
	uint32_t ready = 0, started = 1;
	int rc = 0;

	while (rc == 0 && ready < count)
		rc = hand_init(&hands[ready++], crew, err);
	if (rc == 0) {
		while (started < count && pthread_create(&hands[started].thread, NULL, hand_run, &hands[started]) == 0)
			started++;
		hand_run(&hands[0]);
		for (uint32_t i = 1; i < started; i++)
			pthread_join(hands[i].thread, NULL);
		rc = crew_result(crew, err);
	}
	for (uint32_t i = 0; i < ready; i++)
		hand_fini(&hands[i]);
	return rc;
}

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

/* Buffers of a unit come and go: what one was in is for the next one, and need not be got from the system again. */
static void keep_memory(void)
{
	mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	mallopt(M_TOP_PAD, PIECE_BYTES);
	mallopt(M_MMAP_THRESHOLD, 4 * PIECE_BYTES);
}

int copy_run(struct copy *copy, struct mt_error *err)
{
	uint64_t grain = MAX(ZERO_GRAIN, copy->sparse_bytes);
	uint32_t count = CLAMP(copy->threads, 1, THREADS_MAX);
	struct crew crew = { .copy = copy, .start_us = g_get_monotonic_time() };
	struct hand hands[THREADS_MAX] = { 0 };
	int rc;

	if (copy->compress && copy->target->info.unit_bytes)
		grain = copy->target->info.unit_bytes;
	crew.grain_bytes = grain;
	crew.piece_bytes = round_up(PIECE_BYTES, grain);
	count = (uint32_t)MIN(count, copy->total_bytes / crew.piece_bytes + 1);
	keep_memory();
	pthread_mutex_init(&crew.lock, NULL);
	pthread_cond_init(&crew.turn, NULL);
	rc = crew_work(&crew, hands, count, err);
	pthread_cond_destroy(&crew.turn);
	pthread_mutex_destroy(&crew.lock);
	return rc;
}
