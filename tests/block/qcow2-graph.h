/* SPDX-License-Identifier: MIT */
/*
 * A qcow2 image under the kernel's own block graph: node, cache, engines and workers are the kernel's, the format is
 * the plugin's core, and no machine is needed. One image at a time.
 */
#ifndef TESTS_BLOCK_QCOW2_GRAPH_H
#define TESTS_BLOCK_QCOW2_GRAPH_H

#include <check.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/block/request.h"
#include "kernel/machine/loop.h"
#include "plugins/block-qcow2/create.h"
#include "plugins/block-qcow2/qcow2.h"

static struct bnode node;
static struct qcow2 q;
static struct mt_block *block;
static struct workers *workers;
static bool as_device;                   /* the file cannot grow */

/* The host's interfaces, over the one node. */

static int32_t host_read(struct mt_inst *inst, uint32_t child, uint64_t offset, void *buf, uint64_t len)
{
	(void)inst;
	return file_read(node.children[child].file, offset, buf, len);
}

static int32_t host_write(struct mt_inst *inst, uint32_t child, uint64_t offset, const void *buf, uint64_t len)
{
	(void)inst;
	return file_write(node.children[child].file, offset, buf, len);
}

static int32_t host_sync(struct mt_inst *inst, uint32_t child)
{
	(void)inst;
	return file_flush(node.children[child].file);
}

static int32_t host_resize(struct mt_inst *inst, uint32_t child, uint64_t len)
{
	(void)inst;
	return file_resize(node.children[child].file, len);
}

static int32_t host_allocate(struct mt_inst *inst, uint32_t child, uint64_t offset, uint64_t len, uint32_t mode)
{
	(void)inst;
	return file_allocate(node.children[child].file, offset, len, mode == MT_BLOCK_PREALLOC_FULL);
}

static uint64_t host_bytes(struct mt_inst *inst, uint32_t child)
{
	(void)inst;
	return file_bytes(node.children[child].file);
}

static void host_discard(struct mt_inst *inst, uint32_t child, uint64_t offset, uint64_t len)
{
	(void)inst;
	file_punch(node.children[child].file, offset, len);
}

static int32_t host_retire(struct mt_inst *inst, const struct mt_block_space *space)
{
	(void)inst;
	return node_retire(&node, space);
}

static void host_invalidate(struct mt_inst *inst, uint64_t offset, uint64_t len)
{
	(void)inst;
	node_invalidate(&node, offset, len);
}

static const struct mt_block_node node_host = {
	.child_read = host_read, .child_write = host_write, .child_flush = host_sync, .child_resize = host_resize,
	.child_allocate = host_allocate, .child_bytes = host_bytes, .child_discard = host_discard, .retire = host_retire,
	.invalidate = host_invalidate,
};

static struct mt_block_cache *host_cache(struct mt_inst *inst, uint32_t child, uint32_t page_bytes,
					 uint64_t limit_bytes, uint32_t rank, struct mt_error *err)
{
	(void)inst;
	return cache_create(&node, child, page_bytes, limit_bytes, rank, err);
}

static int32_t host_flush(struct mt_inst *inst)
{
	(void)inst;
	return node_flush(&node);
}

/* The format's interface */

static void disk_info(void *self, struct mt_block_info *out)
{
	const struct qcow2 *image = self;

	out->disk_bytes = image->disk_bytes;
	out->unit_bytes = (uint32_t)image->cluster_bytes;
	out->discard_bytes = out->unit_bytes;
}

static int32_t disk_map(void *self, uint64_t offset, uint64_t len, uint32_t purpose, struct mt_block_extent *x,
			uint32_t max)
{
	return qcow2_map(self, offset, len, purpose, x, max);
}

static int32_t disk_reserve(void *self, const struct mt_block_want *want, struct mt_block_target *t, uint32_t max)
{
	return qcow2_reserve(self, want, t, max);
}

static int32_t disk_commit(void *self, const uint64_t *cookies, uint32_t count)
{
	int32_t rc = 0;

	for (uint32_t i = 0; i < count; i++)
		rc |= qcow2_commit(self, cookies[i]);
	return rc;
}

static void disk_abort(void *self, const uint64_t *cookies, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		qcow2_abort(self, cookies[i]);
}

static int64_t disk_unmap(void *self, uint64_t offset, uint64_t len, uint32_t op, uint32_t flags)
{
	return qcow2_unmap(self, offset, len, op, flags);
}

static int32_t disk_retired(void *self, const struct mt_block_space *items, uint32_t count)
{
	return space_retired(self, items, count);
}

static int32_t disk_decode(void *self, const struct mt_block_extent *x, const void *in, void *out)
{
	return codec_decode(((struct qcow2 *)self)->codec, in, x->encoded_bytes, out, x->unit_bytes);
}

static int64_t disk_encode(void *self, uint64_t offset, const void *in, uint64_t in_bytes, void *out,
			   uint64_t out_bytes)
{
	(void)offset;
	return codec_encode(((struct qcow2 *)self)->codec, in, in_bytes, out, out_bytes);
}

static inline int32_t disk_wake(void *self)
{
	return qcow2_wake(self);
}

static const struct mt_block_format disk_format = {
	.info = disk_info, .map = disk_map, .reserve = disk_reserve, .commit = disk_commit, .abort = disk_abort,
	.unmap = disk_unmap, .retired = disk_retired, .decode = disk_decode, .encode = disk_encode,
	.wake = disk_wake,
};

/* Life */

static inline int32_t maker_write(void *arg, uint64_t offset, const void *buf, uint64_t len)
{
	return pwrite(*(int *)arg, buf, len, (off_t)offset) == (ssize_t)len ? 0 : MT_EIO;
}

static inline int32_t maker_resize(void *arg, uint64_t len)
{
	return ftruncate(*(int *)arg, (off_t)len) == 0 ? 0 : MT_EIO;
}

static inline void image_make(const char *path, const struct create_options *o)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct mt_sink sink = { maker_write, maker_resize, &fd };
	struct create_layout l;

	ck_assert_int_eq(create_legal(o, NULL), 0);
	ck_assert_int_eq(create_layout(o, &l), 0);
	ck_assert_int_eq(create_image(o, &l, &sink), 0);
	close(fd);
}

static inline void image_open(const char *path)
{
	static struct mt_block_cache_host cache_host;
	static struct bchild child;
	struct file_options options = { .discard = true };
	struct mt_error err = { .size = sizeof(err) };

	workers = workers_create(3);
	memset(&node, 0, sizeof(node));
	child = (struct bchild){ 0 };
	node = (struct bnode){ .format = &disk_format, .self = &q, .children = &child, .child_count = 1,
			       .workers = workers, .exclusive = true, .alone = true };
	node_init(&node);
	node.children[0].file = file_open(path, &options, &err);
	ck_assert_msg(node.children[0].file != NULL, "%s", err.message);
	cache_host = block_cache_host;
	cache_host.create = host_cache;
	cache_host.flush = host_flush;
	q = (struct qcow2){ .host = &node_host, .cache = &cache_host, .can_grow = !as_device };
	node_enter(&node);
	ck_assert_msg(qcow2_open(&q, &err) == 0, "%s: %s", path, err.message);
	node_leave(&node);
	disk_info(&q, &node.info);
	node.exclusive = node.alone = false;
	node.asleep = true;
	block = request_open(&node, true, &err);
	ck_assert_msg(block != NULL, "%s", err.message);
	node.fronts = block;
}

static inline void image_close(void)
{
	request_drain(block);
	request_close(block);
	ck_assert_int_eq(node_settle(&node), 0);
	node_alone(&node);
	node_enter(&node);
	qcow2_close(&q);
	node_leave(&node);
	node_fini(&node);
	qcow2_fini(&q);
	file_close(node.children[0].file);
	workers_drain(workers);
	workers_destroy(workers);
}

/* Before and after what needs the image for itself. */
static inline void alone_begin(void)
{
	ck_assert_int_eq(exclusive_begin(&node), 0);
	node_enter(&node);
	q.wait = 1;
}

static inline void alone_end(void)
{
	ck_assert_int_eq(space_release(&q), 0);
	q.wait = 0;
	node_leave(&node);
	ck_assert_int_eq(exclusive_end(&node, 0), 0);
}

static inline uint32_t wait_done(struct mt_block_req **done, uint32_t max)
{
	uint32_t n = request_reap(block, done, max);

	while (n == 0) {
		request_wait(block);
		n = request_reap(block, done, max);
	}
	return n;
}

static inline int32_t transfer(uint32_t op, uint32_t flags, uint64_t offset, void *buf, uint64_t len)
{
	struct mt_iov iov = { buf, len, NULL, 0 };
	struct mt_block_req req = { .op = op, .flags = flags, .offset = offset, .len_bytes = len, .iov = &iov,
				    .iov_count = 1 }, *r = &req, *done;

	request_submit(block, &r, 1);
	ck_assert_uint_eq(wait_done(&done, 1), 1);
	return req.result;
}

__attribute__((format(printf, 1, 2)))
static inline int run(const char *fmt, ...)
{
	char command[2048];
	va_list ap;
	int rc;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	rc = system(command);
	return rc < 0 ? rc : rc >> 8;
}

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

#endif
