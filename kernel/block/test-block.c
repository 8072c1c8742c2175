/* SPDX-License-Identifier: MIT */
/*
 * The request path against an array of bytes, with both engines and with an engine that fails; files and block
 * status. Nodes are made by hand: no machine, no plugin.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/block/request.h"

#define DISK_BYTES (1u << 20)
#define REQS 16u
#define PIECES 5u

/* A format: raw, cut into extents of `grain` (0: one), of which some are zero or in the backing disk. */
struct fake_format {
	uint64_t grain, bytes;
	const uint8_t *kinds;                /* MT_BLOCK_EXT_* by extent; NULL: all data */
	uint32_t maps, again;                /* counted; how many calls are to say MT_EAGAIN */
	uint64_t asked_bytes;                /* in the last call */
};

static void fake_info(void *self, struct mt_block_info *out)
{
	struct fake_format *f = self;

	out->disk_bytes = f->bytes;
}

static int32_t fake_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
			struct mt_block_extent *extents, uint32_t max)
{
	struct fake_format *f = self;
	uint64_t grain = f->grain ? f->grain : f->bytes;

	(void)purpose, (void)max;
	f->maps++;
	f->asked_bytes = len_bytes;
	if (f->again) {
		f->again--;
		return MT_EAGAIN;
	}
	extents[0] = (struct mt_block_extent){ .len_bytes = grain - offset % grain, .child_offset = offset,
		.kind = f->kinds ? f->kinds[offset / grain] : MT_BLOCK_EXT_DATA, .flags = MT_BLOCK_EXT_WRITABLE };
	return 1;
}

static const struct mt_block_format fake_ops = { .info = fake_info, .map = fake_map };

static char path[64];
static struct file_options options;
static struct fake_format format;
static struct bnode node;
static struct mt_block *block;
static uint8_t model[DISK_BYTES];
static uint8_t memory[REQS][PIECES][65536];
static struct mt_ram ram;

static void fake_node(struct bnode *n, struct fake_format *f, struct file *file)
{
	*n = (struct bnode){ .format = &fake_ops, .self = f, .engine = options.engine,
			     .children = g_new0(struct bchild, 1), .child_count = 1 };
	node_init(n);
	n->children[0].file = file;
	n->info.disk_bytes = f->bytes;
}

static void open_disk(enum file_engine engine, enum file_cache cache, uint64_t file_bytes)
{
	struct mt_error err = { .size = sizeof(err) };
	struct file *file;
	int fd;

	strcpy(path, "test-block-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)file_bytes), 0);
	close(fd);
	options = (struct file_options){ .discard = true, .locking = true, .engine = engine, .cache = cache };
	file = file_open(path, &options, &err);
	ck_assert_msg(file != NULL, "%s", err.message);
	format = (struct fake_format){ .bytes = DISK_BYTES };
	fake_node(&node, &format, file);
	block = request_open(&node, true, &err);
	ck_assert_msg(block != NULL, "%s", err.message);
	memset(model, 0, sizeof(model));
}

static void close_disk(void)
{
	request_close(block);
	node_fini(&node);
	file_close(node.children[0].file);
	g_free(node.children);
	unlink(path);
}

static uint64_t random_state;
static int discards_leave_data;      /* 1: what was discarded is undefined, so there are no discards */

static uint64_t rnd(uint64_t below)
{
	uint64_t x = random_state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (x ^ x >> 31) % below;
}

/* Waits for completions as a loop would: by the eventfd, when submit said that nothing is there yet. */
static uint32_t wait_done(struct mt_block_req **done, uint32_t max)
{
	uint32_t n;

	for (int i = 0; i < 10000; i++) {
		n = request_reap(block, done, max);
		if (n)
			return n;
		usleep(200);
		request_look(block);
	}
	ck_abort_msg("a request did not come back");
	return 0;
}

static int32_t run_one(struct mt_block_req *req)
{
	struct mt_block_req *done[1];

	request_submit(block, &req, 1);
	ck_assert_uint_eq(wait_done(done, 1), 1);
	ck_assert_ptr_eq(done[0], req);
	return req->result;
}

static int32_t transfer(uint32_t op, uint32_t flags, uint64_t offset, void *buf, uint64_t len)
{
	struct mt_iov iov = { buf, len, &ram, 0 };
	struct mt_block_req req = { .op = op, .flags = flags, .offset = offset, .len_bytes = len, .iov = &iov,
				    .iov_count = 1 };

	return run_one(&req);
}

/* One random request on the slot's own range of the disk, so that order does not matter in a batch. */
struct slot {
	struct mt_block_req req;
	struct mt_iov iov[PIECES];
	uint64_t skip;
};

static void slot_pieces(struct slot *s, uint32_t index, uint64_t bytes, bool fill)
{
	uint64_t left = bytes + s->skip;

	s->req.iov = s->iov;
	for (s->req.iov_count = 0; s->req.iov_count < PIECES; s->req.iov_count++) {
		uint32_t i = s->req.iov_count;
		uint64_t n = i == PIECES - 1 ? left : rnd(left + 1);

		s->iov[i] = (struct mt_iov){ memory[index][i], n, &ram, 0 };
		for (uint64_t k = 0; k < n; k++)
			memory[index][i][k] = (uint8_t)(fill ? rnd(256) : 0xee);
		left -= n;
	}
}

static uint8_t slot_byte(const struct slot *s, uint64_t at)
{
	uint32_t i = 0;

	for (at += s->skip; at >= s->iov[i].len_bytes; i++)
		at -= s->iov[i].len_bytes;
	return s->iov[i].hva[at];
}

static void slot_make(struct slot *s, uint32_t index, uint64_t align)
{
	static const uint32_t ops[] = { MT_BLOCK_READ, MT_BLOCK_READ, MT_BLOCK_WRITE, MT_BLOCK_WRITE, MT_BLOCK_ZERO,
					MT_BLOCK_FLUSH, MT_BLOCK_DISCARD };
	uint64_t base = (uint64_t)index * (DISK_BYTES / REQS), span = DISK_BYTES / REQS;

	memset(s, 0, sizeof(*s));
	s->req.op = ops[rnd(G_N_ELEMENTS(ops) - discards_leave_data)];
	s->req.flags = (uint32_t)rnd(4);
	if (s->req.op == MT_BLOCK_FLUSH)
		return;
	s->req.offset = base + rnd(span) / align * align;
	s->req.len_bytes = (rnd(base + span - s->req.offset) + 1) / align * align;
	if (s->req.op == MT_BLOCK_READ || s->req.op == MT_BLOCK_WRITE) {
		s->skip = s->req.iov_skip_bytes = (uint32_t)rnd(3) * 8;
		slot_pieces(s, index, s->req.len_bytes, s->req.op == MT_BLOCK_WRITE);
	}
}

static void slot_check(const struct slot *s)
{
	const struct mt_block_req *req = &s->req;
	uint64_t n = req->len_bytes;

	ck_assert_int_eq(req->result, 0);
	if (req->op == MT_BLOCK_ZERO || req->op == MT_BLOCK_DISCARD)
		memset(model + req->offset, 0, n);
	for (uint64_t i = 0; i < n && req->op == MT_BLOCK_WRITE; i++)
		model[req->offset + i] = slot_byte(s, i);
	for (uint64_t i = 0; i < n && req->op == MT_BLOCK_READ; i++) {
		if (slot_byte(s, i) != model[req->offset + i])
			ck_abort_msg("byte %llu differs", (unsigned long long)(req->offset + i));
	}
}

static void check_whole(void)
{
	static uint8_t all[DISK_BYTES];

	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, 0, all, sizeof(all)), 0);
	ck_assert_int_eq(memcmp(all, model, sizeof(all)), 0);
}

static void round_trip(uint32_t rounds, uint64_t align)
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
			got += wait_done(done, 1 + (uint32_t)rnd(REQS));
		for (uint32_t i = 0; i < count; i++)
			slot_check(&slots[i]);
	}
	check_whole();
	ck_assert_uint_eq(block->requests, 0);
}

static const struct {
	enum file_engine engine;
	enum file_cache cache;
	uint64_t align, file_bytes, grain;
} variants[] = {
	{ FILE_ENGINE_URING, FILE_WRITEBACK, 512, DISK_BYTES, 0 },
	{ FILE_ENGINE_URING, FILE_WRITEBACK, 1, DISK_BYTES, 0 },
	{ FILE_ENGINE_URING, FILE_DIRECT, 1, DISK_BYTES, 0 },            /* misaligned: around direct I/O */
	{ FILE_ENGINE_URING, FILE_WRITEBACK, 512, 1000, 0 },             /* a file that grows */
	{ FILE_ENGINE_URING, FILE_WRITEBACK, 512, DISK_BYTES, 4096 },    /* many operations a request */
	{ FILE_ENGINE_THREADS, FILE_WRITEBACK, 512, DISK_BYTES, 0 },
	{ FILE_ENGINE_THREADS, FILE_UNSAFE, 1, 1000, 4096 },
	{ FILE_ENGINE_THREADS, FILE_DIRECT, 512, DISK_BYTES, 0 },
};

START_TEST(round_trips)
{
	uint32_t rounds = getenv("MORTISE_LONG") ? 3000 : 150;

	random_state = 77 + (uint64_t)_i;
	open_disk(variants[_i].engine, variants[_i].cache, variants[_i].file_bytes);
	format.grain = variants[_i].grain;
	round_trip(rounds, variants[_i].align);
	close_disk();
}
END_TEST

START_TEST(mapped_once)
{
	uint8_t buf[512];

	open_disk(FILE_ENGINE_AUTO, FILE_WRITEBACK, DISK_BYTES);
	for (uint64_t i = 0; i < 100; i++)
		ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, 512 * i, buf, 512), 0);
	ck_assert_uint_eq(format.maps, 1);
	node_invalidate(&node, 0, 4096);               /* the format says so */
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, 0, buf, 512), 0);
	ck_assert_uint_eq(format.maps, 2);
	close_disk();
}
END_TEST

START_TEST(asked_ahead_in_order)
{
	static const struct { uint64_t offset, asked_bytes; } reads[] = {
		{ 0, 512 }, { 4096, 64 * 4096 }, { 100 * 4096, 512 }, { 8192, 512 }, { DISK_BYTES - 8192, 512 },
		{ DISK_BYTES - 4096, 4096 },
	};
	uint8_t buf[512];

	open_disk(FILE_ENGINE_AUTO, FILE_WRITEBACK, DISK_BYTES);
	format.grain = node.info.unit_bytes = 4096;
	for (size_t i = 0; i < G_N_ELEMENTS(reads); i++) {
		ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, reads[i].offset, buf, 512), 0);
		ck_assert_uint_eq(format.asked_bytes, reads[i].asked_bytes);
	}
	close_disk();
}
END_TEST

START_TEST(waits_for_a_mapping)
{
	struct mt_block_req *done[1];
	uint8_t buf[512];
	struct mt_iov iov = { buf, 512, &ram, 0 };
	struct mt_block_req req = { .op = MT_BLOCK_READ, .len_bytes = 512, .iov = &iov, .iov_count = 1 }, *r = &req;

	open_disk(FILE_ENGINE_AUTO, FILE_WRITEBACK, DISK_BYTES);
	format.again = 2;
	ck_assert_uint_eq(request_submit(block, &r, 1), 0);
	ck_assert_uint_eq(request_reap(block, done, 1), 0);
	node_ready(&node);                             /* again too early */
	ck_assert_uint_eq(request_reap(block, done, 1), 0);
	node_ready(&node);
	ck_assert_uint_eq(wait_done(done, 1), 1);
	ck_assert_int_eq(req.result, 0);
	close_disk();
}
END_TEST

/* What a freeze has waited for is announced by the thaw: nobody else tells the front of it. */
START_TEST(freeze_and_thaw)
{
	struct mt_block_req *done[1];
	uint8_t buf[512];
	struct mt_iov iov = { buf, 512, &ram, 0 };
	struct mt_block_req req = { .op = MT_BLOCK_READ, .len_bytes = 512, .iov = &iov, .iov_count = 1 }, *r = &req;
	struct pollfd fd;
	eventfd_t count;

	open_disk(FILE_ENGINE_AUTO, FILE_WRITEBACK, DISK_BYTES);
	fd = (struct pollfd){ .fd = block->engine->event_fd, .events = POLLIN };
	request_submit(block, &r, 1);
	request_freeze(block);
	while (poll(&fd, 1, 0) == 1)
		ck_assert_int_eq(eventfd_read(fd.fd, &count), 0);
	request_thaw(block);
	ck_assert_int_eq(poll(&fd, 1, 0), 1);
	ck_assert_uint_eq(request_reap(block, done, 1), 1);
	ck_assert_int_eq(req.result, 0);
	close_disk();
}
END_TEST

START_TEST(limits)
{
	uint8_t buf[1024];
	struct mt_iov iov = { buf, 100, &ram, 0 };
	struct mt_block_req req = { .op = MT_BLOCK_READ, .len_bytes = 512, .iov = &iov, .iov_count = 1 };

	open_disk(FILE_ENGINE_AUTO, FILE_WRITEBACK, DISK_BYTES);
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, DISK_BYTES - 512, buf, 1024), MT_ERANGE);
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, UINT64_MAX - 100, buf, 1024), MT_ERANGE);
	ck_assert_int_eq(transfer(99, 0, 0, buf, 512), MT_ENOTSUP);
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, DISK_BYTES, buf, 0), 0);
	ck_assert_int_eq(run_one(&req), MT_EINVAL);    /* fewer bytes of memory than of disk */
	block->write = false;
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 0, buf, 512), MT_EPERM);
	ck_assert_int_eq(transfer(MT_BLOCK_ZERO, 0, 0, buf, 512), MT_EPERM);
	ck_assert_int_eq(transfer(MT_BLOCK_FLUSH, 0, 0, buf, 0), 0);
	close_disk();
}
END_TEST

/* A chain: the top has extents of all kinds, the disk below is shorter. */
START_TEST(backing_chain)
{
	static const uint8_t kinds[4] = { MT_BLOCK_EXT_DATA, MT_BLOCK_EXT_BACKING, MT_BLOCK_EXT_ZERO,
					  MT_BLOCK_EXT_BACKING };
	struct fake_format below_format = { .bytes = DISK_BYTES / 2 + 512 + DISK_BYTES / 4 };
	static uint8_t buf[DISK_BYTES];
	struct block_status status;
	struct bnode below;
	char below_path[] = "test-below-XXXXXX";
	struct file *file;
	int fd = mkstemp(below_path);

	memset(buf, 0xbb, sizeof(buf));
	ck_assert_int_eq(write(fd, buf, sizeof(buf)), (ssize_t)sizeof(buf));
	close(fd);
	open_disk(FILE_ENGINE_AUTO, FILE_WRITEBACK, DISK_BYTES);
	memset(buf, 0xaa, sizeof(buf));
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 0, buf, sizeof(buf)), 0);
	options.readonly = true;
	file = file_open(below_path, &options, NULL);
	fake_node(&below, &below_format, file);
	node.backing = &below;
	format.grain = DISK_BYTES / 4;
	format.kinds = kinds;
	node_invalidate(&node, 0, 0);
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, 0, buf, sizeof(buf)), 0);
	for (uint32_t i = 0; i < DISK_BYTES; i++) {
		uint32_t part = i / (DISK_BYTES / 4);
		uint8_t want = part == 0 ? 0xaa : part == 2 ? 0 : i < below_format.bytes ? 0xbb : 0;

		if (buf[i] != want)
			ck_abort_msg("byte %u is %u, not %u", i, buf[i], want);
	}
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, DISK_BYTES / 4, buf, 512), MT_ENOTSUP);
	ck_assert_int_eq(status_get(&node, DISK_BYTES / 4, DISK_BYTES, &status), 0);
	ck_assert_uint_eq(status.depth, 1);
	ck_assert_uint_eq(status.len_bytes, DISK_BYTES / 4);
	ck_assert_int_eq(status_get(&node, DISK_BYTES / 2, DISK_BYTES, &status), 0);
	ck_assert_uint_eq(status.flags, BLOCK_STATUS_ZERO | BLOCK_STATUS_PRESENT);
	close_disk();
	node_fini(&below);
	g_free(below.children);
	file_close(file);
	unlink(below_path);
}
END_TEST

/* Faults: an engine that makes every n-th result bad before the request path sees it. */
static struct bengine *real;
static struct bengine_ops fault_ops;
static struct bengine fault;
static uint32_t fault_every, fault_count;
static int fault_kind;               /* 0: short, 1: -EAGAIN, 2: -EIO, 3: -EOPNOTSUPP of fallocate */

static struct bop *fault_reap(struct bengine *engine, bool wait)
{
	struct bop *op = real->ops->reap(real, wait);

	(void)engine;
	if (!op || ++fault_count % fault_every)
		return op;
	if (fault_kind == 0 && op->result > 1 && op->kind <= BOP_WRITE)
		op->result = 1 + (int32_t)rnd((uint64_t)op->result);
	else if (fault_kind == 1)
		op->result = -EAGAIN;
	else if (fault_kind == 2)
		op->result = -EIO;
	else if (fault_kind == 3 && op->kind == BOP_FALLOCATE)
		op->result = -EOPNOTSUPP;
	return op;
}

static void fault_queue(struct bengine *engine, struct bop *op) { (void)engine; real->ops->queue(real, op); }
static void fault_kick(struct bengine *engine) { (void)engine; real->ops->kick(real); }
static void fault_disarm(struct bengine *engine) { (void)engine; real->ops->disarm(real); }
static bool fault_arm(struct bengine *engine) { (void)engine; return real->ops->arm(real); }
static void fault_destroy(struct bengine *engine) { (void)engine; real->ops->destroy(real); }

static void fault_inject(int kind, uint32_t every)
{
	fault_ops = (struct bengine_ops){ .name = "fault", .destroy = fault_destroy, .queue = fault_queue,
		.kick = fault_kick, .reap = fault_reap, .disarm = fault_disarm, .arm = fault_arm };
	real = block->engine;
	fault = (struct bengine){ &fault_ops, real->event_fd };
	block->engine = &fault;
	fault_kind = kind;
	fault_every = every;
	fault_count = 0;
}

START_TEST(survives_short_and_again)
{
	random_state = 5;
	open_disk(_i & 1 ? FILE_ENGINE_THREADS : FILE_ENGINE_URING, FILE_WRITEBACK, DISK_BYTES);
	fault_inject(_i / 2 == 2 ? 3 : _i / 2, 2);
	discards_leave_data = fault_kind == 3;
	round_trip(60, 512);
	ck_assert_uint_gt(fault_count, 50);
	close_disk();
}
END_TEST

START_TEST(reports_errors)
{
	uint8_t buf[512] = "x";

	open_disk(FILE_ENGINE_AUTO, FILE_WRITEBACK, DISK_BYTES);
	fault_inject(2, 1);
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, 0, buf, 512), MT_EIO);
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 0, buf, 512), MT_EIO);
	ck_assert_int_eq(transfer(MT_BLOCK_ZERO, 0, 0, buf, 512), MT_EIO);
	ck_assert_int_eq(transfer(MT_BLOCK_FLUSH, 0, 0, buf, 0), MT_EIO);
	fault_every = UINT32_MAX;
	/* the flush failed: no write and no flush is promised any more, reads go on */
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 0, buf, 512), MT_EIO);
	ck_assert_int_eq(transfer(MT_BLOCK_FLUSH, 0, 0, buf, 0), MT_EIO);
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, 0, buf, 512), 0);
	close_disk();
}
END_TEST

START_TEST(no_space)
{
	struct rlimit limit = { 4096, 4096 };
	uint8_t buf[8192] = "x";

	open_disk(_i ? FILE_ENGINE_THREADS : FILE_ENGINE_URING, FILE_WRITEBACK, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 0, buf, 4096), 0);
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 4096, buf, 4096), MT_ENOSPC);
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 0, buf, 8192), MT_ENOSPC);    /* after a short write */
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, 4096, buf, 4096), 0);
	close_disk();
}
END_TEST

START_TEST(holes)
{
	struct block_status status;
	uint8_t buf[65536];

	open_disk(FILE_ENGINE_AUTO, FILE_WRITEBACK, DISK_BYTES);
	memset(buf, 1, sizeof(buf));
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 65536, buf, 65536), 0);
	ck_assert_int_eq(status_get(&node, 0, DISK_BYTES, &status), 0);
	if (status.flags & BLOCK_STATUS_ZERO) {          /* a file system that knows holes */
		ck_assert_uint_eq(status.len_bytes, 65536);
		ck_assert_int_eq(status_get(&node, 65536, DISK_BYTES, &status), 0);
		ck_assert(status.flags & BLOCK_STATUS_DATA);
		ck_assert_uint_eq(status.len_bytes, 65536);
		ck_assert_uint_eq(status.file_offset, 65536);
		ck_assert_int_eq(transfer(MT_BLOCK_DISCARD, 0, 65536, buf, 65536), 0);
		ck_assert_int_eq(status_get(&node, 65536, DISK_BYTES, &status), 0);
		ck_assert(status.flags & BLOCK_STATUS_ZERO);
	}
	ck_assert_int_eq(status_get(&node, DISK_BYTES, 1, &status), MT_ERANGE);
	close_disk();
}
END_TEST

START_TEST(odd_files)
{
	struct file_options reader = { .readonly = true };
	struct mt_error err = { .size = sizeof(err) };

	ck_assert_ptr_null(file_open("/nonexistent/x", &reader, &err));
	ck_assert_int_eq(err.code, MT_ENOENT);
	ck_assert_ptr_null(file_open("/dev/null", &reader, &err));
	ck_assert_int_eq(err.code, MT_EINVAL);
	ck_assert_ptr_null(file_open("/", &reader, &err));
	ck_assert_int_eq(mkfifo("test-block-fifo", 0600), 0);
	ck_assert_ptr_null(file_open("test-block-fifo", &reader, &err));   /* and does not wait */
	unlink("test-block-fifo");
}
END_TEST

START_TEST(announced_by_eventfd)
{
	struct mt_block_req *done[1];
	struct mt_block_req req = { .op = MT_BLOCK_FLUSH }, *r = &req;
	uint64_t count = 0;
	int i;

	open_disk(_i ? FILE_ENGINE_THREADS : FILE_ENGINE_URING, FILE_WRITEBACK, DISK_BYTES);
	if (request_submit(block, &r, 1) == 0) {
		for (i = 0; i < 5000 && read(block->engine->event_fd, &count, 8) != 8; i++)
			usleep(1000);
		ck_assert_int_lt(i, 5000);
		request_look(block);
	}
	ck_assert_uint_eq(request_reap(block, done, 1), 1);
	close_disk();
}
END_TEST

/* An engine whose operations end between the last look and the announcing, as they may at any time. */
static struct {
	const struct bengine_ops *real;
	struct bengine_ops ops;
	bool held, hidden;
} late;

static struct bop *late_reap(struct bengine *engine, bool wait)
{
	return late.hidden ? NULL : late.real->reap(engine, wait);
}

static bool late_arm(struct bengine *engine)
{
	if (late.held)
		return false;
	while (late.hidden && !late.real->arm(engine))
		usleep(100);
	late.hidden = false;
	return late.real->arm(engine);
}

START_TEST(ends_while_arming)
{
	struct mt_block_req *done[2];
	struct mt_block_req req = { .op = MT_BLOCK_FLUSH }, *r = &req;

	open_disk(_i ? FILE_ENGINE_THREADS : FILE_ENGINE_URING, FILE_WRITEBACK, DISK_BYTES);
	late.real = block->engine->ops;
	late.ops = *late.real;
	late.ops.reap = late_reap;
	late.ops.arm = late_arm;
	late.held = late.hidden = true;
	block->engine->ops = &late.ops;
	ck_assert_uint_eq(request_submit(block, &r, 1), 0);
	late.held = false;
	ck_assert_uint_eq(request_reap(block, done, 2), 1);
	ck_assert_ptr_eq(done[0], r);
	block->engine->ops = late.real;
	close_disk();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, getenv("MORTISE_LONG") ? 3600 : 60);
	tcase_add_loop_test(tc, round_trips, 0, (int)G_N_ELEMENTS(variants));
	tcase_add_test(tc, mapped_once);
	tcase_add_test(tc, asked_ahead_in_order);
	tcase_add_test(tc, waits_for_a_mapping);
	tcase_add_test(tc, freeze_and_thaw);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, backing_chain);
	tcase_add_loop_test(tc, survives_short_and_again, 0, 6);
	tcase_add_test(tc, reports_errors);
	tcase_add_loop_test(tc, no_space, 0, 2);
	tcase_add_test(tc, holes);
	tcase_add_test(tc, odd_files);
	tcase_add_loop_test(tc, announced_by_eventfd, 0, 2);
	tcase_add_loop_test(tc, ends_while_arming, 0, 2);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
