/* SPDX-License-Identifier: MIT */
/*
 * Writes that need space, against an array of bytes: a small format of its own with a table in cached pages, units
 * that are copied on write from a disk below, an encoding, zeroing, and space that comes back. After each script the
 * disk is opened anew and read once more. Faults are damage in the file and a lack of space.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/block/request.h"
#include "kernel/machine/loop.h"

#define UNIT 4096u
#define UNITS 256u
#define DISK (UNIT * UNITS - 512u)       /* the last unit is short */
#define SLOTS 16384u                     /* places behind the table that there can be; toy.slots: that there are */
#define SLOTS_FEW 1024u
#define TABLE_BYTES (UNITS * 8u)
#define REQS 12u

#define ENTRY_ZERO    1u                 /* in the low bits of an entry; the rest is the place, 0: none */
#define ENTRY_ENCODED 2u

/* The format. Entries lie in pages of 512 bytes; which slots are free is found out at opening. */
struct toy {
	struct bnode *node;
	struct mt_block_cache *cache;
	uint8_t used[SLOTS];
	uint32_t slots;
	bool has_backing;
	uint32_t reserved_now;
};

static int32_t entry_page(struct toy *t, uint64_t unit, struct mt_block_page **page)
{
	return block_cache_host.get(t->cache, unit * 8 / 512 * 512, 0, page);
}

static uint64_t *entry_at(struct mt_block_page *page, uint64_t unit)
{
	return (uint64_t *)(void *)(page->data + unit * 8 % 512);
}

static void toy_info(void *self, struct mt_block_info *out)
{
	(void)self;
	out->disk_bytes = DISK;
	out->unit_bytes = UNIT;
}

static int32_t toy_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		       struct mt_block_extent *x, uint32_t max)
{
	struct toy *t = self;
	struct mt_block_page *page;
	uint64_t unit = offset / UNIT, skip = offset % UNIT, entry;
	int32_t rc = entry_page(t, unit, &page);

	(void)len_bytes, (void)purpose, (void)max;
	if (rc < 0)
		return rc;
	entry = *entry_at(page, unit);
	block_cache_host.put(t->cache, page);
	*x = (struct mt_block_extent){ .len_bytes = UNIT - skip, .child_offset = (entry & ~511ull) + skip };
	if (entry & ENTRY_ZERO) {
		x->kind = MT_BLOCK_EXT_ZERO;
	} else if (entry & ENTRY_ENCODED) {
		x->kind = MT_BLOCK_EXT_ENCODED;
		x->child_offset = entry & ~511ull;
		x->encoded_bytes = 2;
		x->unit_bytes = UNIT;
		x->skip_bytes = (uint32_t)skip;
	} else {
		x->kind = entry ? MT_BLOCK_EXT_DATA : t->has_backing ? MT_BLOCK_EXT_BACKING : MT_BLOCK_EXT_ZERO;
		x->flags = entry ? MT_BLOCK_EXT_WRITABLE : 0;
	}
	return 1;
}

static uint32_t slot_take(struct toy *t)
{
	for (uint32_t i = 1; i < t->slots; i++) {
		if (!t->used[i]) {
			t->used[i] = 1;
			return i;
		}
	}
	return 0;
}

/* The cookie: unit, slot, and whether it is encoded. One target a call, so that the kernel has to come again. */
static int32_t toy_reserve(void *self, const struct mt_block_want *want, struct mt_block_target *target, uint32_t max)
{
	struct toy *t = self;
	uint64_t unit = want->offset / UNIT, skip = want->offset % UNIT, n = MIN(UNIT - skip, want->len_bytes);
	struct mt_block_page *page;
	uint32_t slot;
	int32_t rc = entry_page(t, unit, &page);

	(void)max;
	if (rc < 0)
		return rc;
	slot = slot_take(t);
	if (!slot) {
		block_cache_host.put(t->cache, page);
		return MT_ENOSPC;
	}
	t->reserved_now++;                   /* and the page is kept until commit or abort */
	*target = (struct mt_block_target){ .offset = want->offset, .len_bytes = n,
		.child_offset = TABLE_BYTES + (uint64_t)slot * UNIT + (want->encoded_bytes ? 0 : skip),
		.cookie = unit << 32 | slot << 1 | (want->encoded_bytes != 0) };
	if (!want->encoded_bytes) {
		target->fill_head_bytes = skip;
		target->fill_tail_bytes = UNIT - skip - n;
	}
	return 1;
}

static void slot_give(struct toy *t, uint64_t entry)
{
	struct mt_block_space space = { .offset = entry & ~511ull, .len_bytes = UNIT };

	if (space.offset)
		ck_assert_int_eq(node_retire(t->node, &space), 0);
}

static void entry_set(struct toy *t, struct mt_block_page *page, uint64_t unit, uint64_t value)
{
	slot_give(t, *entry_at(page, unit));
	*entry_at(page, unit) = value;
	block_cache_host.dirty(t->cache, page, (uint32_t)(unit * 8 % 512), 8, MT_BLOCK_DIRTY_AFTER_DATA);
}

static int32_t toy_commit(void *self, const uint64_t *cookies, uint32_t count)
{
	struct toy *t = self;
	struct mt_block_page *page;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t unit = cookies[i] >> 32, slot = (cookies[i] & 0xffffffff) >> 1;

		ck_assert_int_eq(entry_page(t, unit, &page), 0);
		entry_set(t, page, unit, (TABLE_BYTES + slot * UNIT) | (cookies[i] & 1 ? ENTRY_ENCODED : 0));
		block_cache_host.put(t->cache, page);
		block_cache_host.put(t->cache, page);      /* reserve's */
		t->reserved_now--;
	}
	return 0;
}

static void toy_abort(void *self, const uint64_t *cookies, uint32_t count)
{
	struct toy *t = self;
	struct mt_block_page *page;

	for (uint32_t i = 0; i < count; i++) {
		ck_assert_int_eq(entry_page(t, cookies[i] >> 32, &page), 0);
		block_cache_host.put(t->cache, page);
		block_cache_host.put(t->cache, page);
		t->used[(cookies[i] & 0xffffffff) >> 1] = 0;
		t->reserved_now--;
	}
}

static int64_t toy_unmap(void *self, uint64_t offset, uint64_t len_bytes, uint32_t op, uint32_t flags)
{
	struct toy *t = self;
	struct mt_block_page *page;
	int32_t rc = entry_page(t, offset / UNIT, &page);

	(void)op, (void)flags;
	ck_assert_uint_eq(offset % UNIT, 0);
	if (rc < 0)
		return rc;
	entry_set(t, page, offset / UNIT, ENTRY_ZERO);
	block_cache_host.put(t->cache, page);
	return (int64_t)MIN(len_bytes, UNIT);
}

static int32_t toy_retired(void *self, const struct mt_block_space *items, uint32_t count)
{
	struct toy *t = self;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t slot = (items[i].offset - TABLE_BYTES) / UNIT;

		ck_assert_uint_eq(t->used[slot], 1);       /* given back once */
		t->used[slot] = 0;
	}
	return (int32_t)count;
}

/* The encoding of a unit of one and the same byte: that byte and its complement. */
static int64_t toy_encode(void *self, uint64_t offset, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	const uint8_t *b = in;

	(void)self, (void)out_bytes;
	ck_assert(offset % UNIT == 0 && offset < DISK);
	for (uint64_t i = 1; i < in_bytes; i++) {
		if (b[i] != b[0])
			return MT_ENOSPC;
	}
	((uint8_t *)out)[0] = b[0];
	((uint8_t *)out)[1] = (uint8_t)~b[0];
	return 2;
}

static int32_t toy_decode(void *self, const struct mt_block_extent *extent, const void *in, void *out)
{
	const uint8_t *b = in;

	(void)self;
	if ((b[0] ^ b[1]) != 0xff)
		return MT_EIO;
	memset(out, b[0], extent->unit_bytes);
	return 0;
}

static const struct mt_block_format toy_ops = {
	.info = toy_info, .map = toy_map, .reserve = toy_reserve, .commit = toy_commit, .abort = toy_abort,
	.unmap = toy_unmap, .retired = toy_retired, .encode = toy_encode, .decode = toy_decode,
};

/* The disk */

static char path[64], below_path[64];
static struct toy toy;
static struct bnode node, below;
static struct bchild toy_child, below_child;
static struct mt_block *block;
static struct workers *workers;
static uint8_t model[DISK], memory[REQS][24 * UNIT];
static uint64_t random_state;

static uint64_t rnd(uint64_t limit)
{
	uint64_t x = random_state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (x ^ x >> 31) % limit;
}

/* A disk below that covers half of ours, of the same bytes everywhere. */
static int32_t below_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
			 struct mt_block_extent *x, uint32_t max)
{
	(void)self, (void)len_bytes, (void)purpose, (void)max;
	*x = (struct mt_block_extent){ .len_bytes = DISK / 2 - offset, .child_offset = offset,
				       .kind = MT_BLOCK_EXT_DATA };
	return 1;
}

static const struct mt_block_format below_ops = { .info = toy_info, .map = below_map };

static struct file *file_new(char *name, uint64_t bytes, uint8_t fill, bool readonly)
{
	struct file_options options = { .discard = true, .readonly = readonly };
	int fd = mkstemp(strcpy(name, "test-alloc-XXXXXX"));

	uint8_t *data = g_malloc(bytes + 1);

	memset(data, fill, bytes);
	ck_assert_int_eq(write(fd, data, bytes), (ssize_t)bytes);
	g_free(data);
	close(fd);
	return file_open(name, &options, NULL);
}

static void used_find(void)
{
	uint64_t table[UNITS];

	ck_assert_int_eq(file_read(node.children[0].file, 0, table, sizeof(table)), 0);
	memset(toy.used, 0, sizeof(toy.used));
	for (uint32_t i = 0; i < UNITS; i++) {
		uint64_t slot = table[i] & ~511ull ? ((table[i] & ~511ull) - TABLE_BYTES) / UNIT : 0;

		ck_assert_uint_lt(slot, SLOTS);
		if (slot)
			ck_assert_uint_eq(toy.used[slot]++, 0);    /* one owner each */
	}
}

/* Nothing is in flight: a place is used by an entry, or free. */
static void no_place_is_lost(void)
{
	uint8_t used[SLOTS];

	ck_assert_int_eq(node_settle(&node), 0);
	memcpy(used, toy.used, sizeof(used));
	used_find();
	ck_assert_int_eq(memcmp(used, toy.used, sizeof(used)), 0);
}

static void open_again(struct file *file, bool backing)
{
	struct mt_error err = { .size = sizeof(err) };

	memset(&node, 0, sizeof(node));
	node = (struct bnode){ .format = &toy_ops, .self = &toy, .children = &toy_child, .child_count = 1,
			       .workers = workers };
	node_init(&node);
	node.children[0].file = file;
	node.backing = backing ? &below : NULL;
	toy = (struct toy){ .node = &node, .has_backing = backing, .slots = SLOTS_FEW };
	toy.cache = cache_create(&node, 0, 512, 0, 1, &err);
	ck_assert_msg(toy.cache != NULL, "%s", err.message);
	toy_info(&toy, &node.info);
	used_find();
	block = request_open(&node, true, &err);
	ck_assert_msg(block != NULL, "%s", err.message);
}

static void open_disk(bool backing, bool with_workers)
{
	static struct toy nothing;

	workers = with_workers ? workers_create(3) : NULL;
	memset(model, 0, sizeof(model));
	if (backing) {
		below = (struct bnode){ .format = &below_ops, .self = &nothing, .children = &below_child,
					  .child_count = 1 };
		node_init(&below);
		below.children[0].file = file_new(below_path, DISK / 2, 0xbb, true);
		below.info.disk_bytes = DISK / 2;
		memset(model, 0xbb, DISK / 2);
	}
	open_again(file_new(path, 0, 0, false), backing);
}

static void close_node(void)
{
	request_drain(block);
	ck_assert_uint_eq(block->requests, block->done.count);
	ck_assert_uint_eq(toy.reserved_now, 0);
	request_close(block);
	ck_assert_int_eq(node_settle(&node), 0);
	ck_assert_ptr_null(node.units);
	node_fini(&node);
}

static void close_disk(bool backing)
{
	close_node();
	file_close(node.children[0].file);
	unlink(path);
	if (backing) {
		node_fini(&below);
		file_close(below.children[0].file);
		unlink(below_path);
	}
	if (workers) {
		workers_drain(workers);
		workers_destroy(workers);
	}
}

static uint32_t wait_done(struct mt_block_req **done, uint32_t max)
{
	uint32_t n = request_reap(block, done, max);

	while (n == 0) {
		request_wait(block);
		n = request_reap(block, done, max);
	}
	return n;
}

static int32_t transfer(uint32_t op, uint32_t flags, uint64_t offset, void *buf, uint64_t len)
{
	struct mt_iov iov = { buf, len, NULL, 0 };
	struct mt_block_req req = { .op = op, .flags = flags, .offset = offset, .len_bytes = len, .iov = &iov,
				    .iov_count = 1 }, *r = &req, *done;

	request_submit(block, &r, 1);
	ck_assert_uint_eq(wait_done(&done, 1), 1);
	return req.result;
}

static void check_whole(void)
{
	static uint8_t all[DISK];

	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, 0, all, sizeof(all)), 0);
	for (uint32_t i = 0; i < DISK; i++) {
		if (all[i] != model[i])
			ck_abort_msg("byte %u (unit %u) is %02x, not %02x", i, i / UNIT, all[i], model[i]);
	}
}

/* A batch of requests on ranges that share no bytes, but units where they meet. */
struct slot {
	struct mt_block_req req;
	struct mt_iov iov[2];
};

static void slot_make(struct slot *s, uint32_t index, uint64_t align)
{
	static const uint32_t ops[] = { MT_BLOCK_READ, MT_BLOCK_READ, MT_BLOCK_WRITE, MT_BLOCK_WRITE, MT_BLOCK_WRITE,
					MT_BLOCK_ZERO, MT_BLOCK_FLUSH };
	uint64_t span = DISK / REQS, base = span * index, cut;

	memset(s, 0, sizeof(*s));
	s->req.op = ops[rnd(G_N_ELEMENTS(ops))];
	s->req.flags = (uint32_t)rnd(16) & ~(uint32_t)(rnd(4) ? MT_BLOCK_FUA : 0);
	if (s->req.flags & MT_BLOCK_MAY_UNMAP)
		s->req.flags &= ~MT_BLOCK_ALLOCATE;
	if (s->req.op == MT_BLOCK_FLUSH)
		return;
	s->req.offset = base + rnd(span);
	if (s->req.flags & MT_BLOCK_ENCODE)
		s->req.offset = (s->req.offset + UNIT - 1) / UNIT * UNIT;
	else
		s->req.offset = s->req.offset / align * align;
	if (s->req.offset < base || s->req.offset >= base + span)
		s->req.offset = base;
	s->req.len_bytes = rnd(base + span - s->req.offset) + 1;
	memset(memory[index], (int)rnd(256), s->req.len_bytes);
	if (rnd(2))
		memory[index][rnd(s->req.len_bytes)] ^= 0x55;
	cut = rnd(s->req.len_bytes + 1);
	s->iov[0] = (struct mt_iov){ memory[index], cut, NULL, 0 };
	s->iov[1] = (struct mt_iov){ memory[index] + cut, s->req.len_bytes - cut, NULL, 0 };
	s->req.iov = s->iov;
	s->req.iov_count = 2;
}

static void slot_check(const struct slot *s, uint32_t index)
{
	uint8_t *at = model + s->req.offset;

	ck_assert_int_eq(s->req.result, 0);
	if (s->req.op == MT_BLOCK_WRITE)
		memcpy(at, memory[index], s->req.len_bytes);
	if (s->req.op == MT_BLOCK_ZERO)
		memset(at, 0, s->req.len_bytes);
	if (s->req.op == MT_BLOCK_READ && memcmp(at, memory[index], s->req.len_bytes))
		ck_abort_msg("a read of %llu bytes at %llu differs", (unsigned long long)s->req.len_bytes,
			     (unsigned long long)s->req.offset);
}

static void script(uint32_t rounds, uint64_t align)
{
	static struct slot slots[REQS];
	struct mt_block_req *reqs[REQS], *done[REQS];

	for (uint32_t round = 0; round < rounds; round++) {
		uint32_t count = 1 + (uint32_t)rnd(REQS), got = 0;

		for (uint32_t i = 0; i < count; i++) {
			slot_make(&slots[i], i, align);
			reqs[i] = &slots[i].req;
		}
		request_submit(block, reqs, count);
		while (got < count)
			got += wait_done(done, REQS);
		for (uint32_t i = 0; i < count; i++)
			slot_check(&slots[i], i);
	}
}

START_TEST(scripts)
{
	uint32_t rounds = getenv("MORTISE_LONG") ? 2000 : 60;
	bool backing = _i & 1;
	struct file *file;

	random_state = 100 + (uint64_t)_i;
	open_disk(backing, _i & 2);
	file = node.children[0].file;
	for (uint32_t life = 0; life < 3; life++) {
		script(rounds, _i & 4 ? 512 : 1);
		check_whole();
		no_place_is_lost();
		close_node();
		open_again(file, backing);
		check_whole();
	}
	close_disk(backing);
}
END_TEST

/* Fetches, over and over, of pieces that begin and end anywhere. */
static uint32_t fetching;

static void fetch_pass(struct mt_block *fetches, uint64_t piece)
{
	static uint8_t buf[DISK];

	for (uint64_t at = 0; at < DISK; at += piece) {
		struct mt_iov iov = { buf, MIN(piece, DISK - at), NULL, 0 };
		struct mt_block_req req = { .op = MT_BLOCK_WRITE, .offset = at, .len_bytes = iov.len_bytes, .iov = &iov,
					    .iov_count = 1 }, *r = &req, *done;

		request_submit(fetches, &r, 1);
		request_join(fetches);
		ck_assert_uint_eq(request_reap(fetches, &done, 1), 1);
		ck_assert_int_eq(req.result, 0);
	}
}

static void *fetch_main(void *arg)
{
	for (uint64_t piece = 512; __atomic_load_n(&fetching, __ATOMIC_SEQ_CST); piece = piece % 50000 + 777)
		fetch_pass(arg, piece);
	return NULL;
}

/* Beside a writer: what it writes stays, and in the end nothing is left to be had from below. */
START_TEST(fetches)
{
	uint32_t rounds = getenv("MORTISE_LONG") ? 2000 : 100;
	struct mt_block *own;
	struct bplace place;
	pthread_t thread;
	bool is_own;
	int32_t rc;

	random_state = 300 + (uint64_t)_i;
	open_disk(true, _i & 1);
	own = request_open(&node, true, NULL);
	ck_assert_ptr_nonnull(own);
	own->fetch = true;
	toy.slots = SLOTS;                       /* what is freed waits for a fetch that has lost its processor */
	fetching = 1;
	ck_assert_int_eq(pthread_create(&thread, NULL, fetch_main, own), 0);
	script(rounds, _i & 2 ? 512 : 1);
	__atomic_store_n(&fetching, 0, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	fetch_pass(own, 3 * UNIT);
	request_close(own);
	for (uint64_t at = 0; at < DISK; at += UNIT) {
		while ((rc = place_own(&node, at, 1, &place, &is_own)) == MT_EAGAIN)
			node_sleep_ready(&node, place.ready_count);
		ck_assert(rc == 0 && is_own);
	}
	node.backing = NULL;
	toy.has_backing = false;
	check_whole();
	no_place_is_lost();
	close_disk(true);
}
END_TEST

START_TEST(tracks)
{
	struct btrack track;
	uint64_t at;

	ck_assert(track_init(&track, 100 << 20, 512));
	ck_assert(!track_next(&track, 0, &at));
	track_mark(&track, 65535, 2);
	track_mark(&track, 9 << 20, 0);
	track_mark(&track, (100 << 20) - 1, 1);
	track_mark(&track, 200 << 20, 512);      /* nowhere */
	ck_assert(track_next(&track, 0, &at) && at == 0);
	ck_assert(track_next(&track, 1 << 16, &at) && at == 1 << 16);
	ck_assert(track_next(&track, 2 << 16, &at) && at == (100 << 20) - (1 << 16));
	ck_assert_uint_eq(track_bytes(&track), 3 << 16);
	track_clear(&track, 1, 2 << 16);         /* the second piece only is whole in it */
	ck_assert(track_next(&track, 1 << 16, &at) && at > 2 << 16);
	ck_assert_uint_eq(track_bytes(&track), 2 << 16);
	track_fini(&track);
}
END_TEST

START_TEST(space_comes_back)
{
	static uint8_t buf[DISK];
	uint32_t used = 0;

	open_disk(false, true);
	for (uint32_t i = 0; i < 20; i++) {            /* 20 x 256 units over 1023 slots */
		memset(buf, (int)i + 1, sizeof(buf));
		ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 0, buf, sizeof(buf)), 0);
		ck_assert_int_eq(transfer(MT_BLOCK_ZERO, MT_BLOCK_MAY_UNMAP, 0, NULL, DISK), 0);
		ck_assert_int_eq(node_settle(&node), 0);
	}
	for (uint32_t i = 0; i < SLOTS; i++)
		used += toy.used[i];
	ck_assert_uint_eq(used, 0);
	check_whole();
	close_disk(false);
}
END_TEST

START_TEST(out_of_space)
{
	uint8_t buf[UNIT] = "x";

	open_disk(true, true);
	memset(toy.used, 1, sizeof(toy.used));
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 100, buf, 100), MT_ENOSPC);
	check_whole();
	toy.used[7] = 0;
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 100, buf, 100), 0);
	memcpy(model + 100, buf, 100);
	check_whole();
	close_disk(true);
}
END_TEST

/* What is not flushed is not in the table; a flush brings it there, and only then gives old space free. */
START_TEST(order)
{
	uint8_t buf[UNIT] = "x";
	uint64_t table[UNITS];

	open_disk(false, true);
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 0, buf, UNIT), 0);
	ck_assert_int_eq(file_read(node.children[0].file, 0, table, sizeof(table)), 0);
	ck_assert_uint_eq(table[0], 0);
	ck_assert_int_eq(transfer(MT_BLOCK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(file_read(node.children[0].file, 0, table, sizeof(table)), 0);
	ck_assert_uint_ne(table[0], 0);
	ck_assert_int_eq(transfer(MT_BLOCK_ZERO, 0, 0, NULL, UNIT), 0);
	ck_assert_uint_eq(toy.used[1], 1);
	ck_assert_int_eq(node_settle(&node), 0);
	ck_assert_uint_eq(toy.used[1], 0);
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, MT_BLOCK_FUA, UNIT, buf, UNIT), 0);
	ck_assert_int_eq(file_read(node.children[0].file, 0, table, sizeof(table)), 0);
	ck_assert_uint_ne(table[1], 0);                /* FUA has brought its metadata too */
	close_disk(false);
}
END_TEST

/* A damaged encoding is an error of those who read it, and of nobody else. */
START_TEST(damaged_unit)
{
	static uint8_t buf[2 * UNIT];

	open_disk(false, true);
	memset(buf, 7, sizeof(buf));
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, MT_BLOCK_ENCODE, 0, buf, sizeof(buf)), 0);
	ck_assert_int_eq(file_write(node.children[0].file, TABLE_BYTES + UNIT, "ab", 2), 0);
	ck_assert_int_eq(file_write(node.children[0].file, TABLE_BYTES + 2 * UNIT, "ab", 2), 0);
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, 10, buf, 10), MT_EIO);
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, 2 * UNIT, buf, 10), 0);
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 10, buf, 10), MT_EIO);        /* it cannot fill */
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 0, buf, UNIT), 0);
	close_disk(false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("alloc");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, getenv("MORTISE_LONG") ? 3600 : 120);
	tcase_add_loop_test(tc, scripts, 0, 8);
	tcase_add_loop_test(tc, fetches, 0, 4);
	tcase_add_test(tc, tracks);
	tcase_add_test(tc, space_comes_back);
	tcase_add_test(tc, out_of_space);
	tcase_add_test(tc, order);
	tcase_add_test(tc, damaged_unit);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
