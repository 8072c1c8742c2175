/* SPDX-License-Identifier: MIT */
/*
 * A chain of qcow2 images as `mortise img` opens it, what it holds as an array of bytes, a front that is a guest's, and
 * a filter on the files that fails one operation. One chain at a time; [main] but for what the guest's thread calls.
 */
#ifndef TESTS_BLOCK_JOB_DISK_H
#define TESTS_BLOCK_JOB_DISK_H

#include <check.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/block/block.h"
#include "kernel/block/filter.h"
#include "kernel/block/open.h"
#include "kernel/block/snap.h"
#include "kernel/img/tool.h"
#include "kernel/machine/loop.h"

#define DISK_MOST  ((12u << 20) + 1536u)
#define WRITE_MOST (192u << 10)
#define OVERLAYS   4

enum { LOW, MID, TOP, LAYERS };
static const char *const layer_names[LAYERS] = { "low.qcow2", "mid.qcow2", "top.qcow2" };

static struct registry *registry;
static struct tool *tool;
static char *folder;
static struct image *top;
static uint64_t layer_bytes[LAYERS], disk_bytes;
static uint8_t model[DISK_MOST], scratch[DISK_MOST];
static enum file_engine engine;
static struct mt_block_value layer_more[2];          /* how layers are made, beside their clusters */
static uint32_t layer_more_count;

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static inline char *path_of(int layer)
{
	return g_build_filename(folder, layer_names[layer], NULL);
}

static inline char *over_path(int i)
{
	char *name = g_strdup_printf("over%d.qcow2", i), *path = g_build_filename(folder, name, NULL);

	g_free(name);
	return path;
}

static inline void tool_open(void)
{
	static const char *const plugins[] = { TEST_BUILDDIR "/plugins/*/.libs", NULL };
	struct mt_error err = { .size = sizeof(err) };

	folder = g_dir_make_tmp("mortise-jobs-XXXXXX", NULL);
	ck_assert_ptr_nonnull(folder);
	registry = registry_create(plugins);
	tool = tool_create(registry, &err);
	ck_assert_msg(tool != NULL, "%s", err.message);
}

static inline void tool_close(void)
{
	tool_destroy(tool);
	registry_destroy(registry);
	for (int i = 0; i < LAYERS; i++) {
		char *path = path_of(i);

		g_unlink(path);
		g_free(path);
	}
	for (int i = 0; i <= OVERLAYS; i++) {
		char *path = over_path(i);

		g_unlink(path);
		g_free(path);
	}
	g_rmdir(folder);
	g_free(folder);
}

/* Images */

static inline struct image *layer_open(int layer, bool chain_write, enum file_cache cache)
{
	struct image_options options = { .format = "qcow2", .write = true, .backing_write = chain_write,
					 .allow_own = true, .cache = cache, .engine = engine };
	struct mt_error err = { .size = sizeof(err) };
	char *path = path_of(layer);
	struct image *image = image_open(tool, path, &options, &err);

	ck_assert_msg(image != NULL, "%s", err.message);
	g_free(path);
	image->node->writers = 1;              /* as a front of a machine counts */
	return image;
}

static inline void layer_make(int layer, const char *unit)
{
	struct mt_block_value values[3] = { { "cluster_size", unit }, layer_more[0], layer_more[1] };
	char *path = path_of(layer);
	struct image_want want = {
		.path = path, .format = "qcow2",
		.create = { .size = sizeof(want.create), .disk_bytes = layer_bytes[layer], .value_count = 1 + layer_more_count,
			    .values = values, .backing = layer > LOW ? layer_names[layer - 1] : NULL,
			    .backing_format = layer > LOW ? "qcow2" : NULL },
	};
	struct mt_error err = { .size = sizeof(err) };
	struct mt_block_maker *maker = maker_begin(tool_machine(tool), &want, &err);

	ck_assert_msg(maker != NULL && maker_finish(maker, &err) == 0, "%s", err.message);
	g_free(path);
}

static inline void data_make(uint8_t *buf, uint64_t len, uint64_t *state)
{
	uint64_t word = random_next(state);

	for (uint64_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(word >> i % 8 * 8) ^ (uint8_t)(i >> 9);
}

/* Data and zeros here and there, in the image and in the model. */
static inline void layer_fill(int layer, uint64_t *state)
{
	struct image *image = layer_open(layer, false, FILE_UNSAFE);
	uint64_t end = layer_bytes[layer], at, len;

	memset(model + MIN(end, disk_bytes), 0, sizeof(model) - MIN(end, disk_bytes));
	for (int i = 0; i < 12; i++) {
		at = random_next(state) % end;
		len = 1 + random_next(state) % (end / 12);
		len = MIN(len, end - at);
		if (i % 4 == 3) {
			memset(scratch, 0, len);
			ck_assert_int_eq(request_do(image->block, MT_BLOCK_ZERO, MT_BLOCK_MAY_UNMAP, at, NULL, len), 0);
		} else {
			data_make(scratch, len, state);
			ck_assert_int_eq(request_do(image->block, MT_BLOCK_WRITE, 0, at, scratch, len), 0);
		}
		if (at < disk_bytes)
			memcpy(model + at, scratch, MIN(len, disk_bytes - at));
	}
	ck_assert_int_eq(image_close(image), 0);
}

/* `bytes` of the disk, and of what lies below it. */
static inline void chain_make(uint64_t low, uint64_t mid, uint64_t bytes, const char *unit, uint64_t seed)
{
	memcpy(layer_bytes, (uint64_t[]){ low, mid, bytes }, sizeof(layer_bytes));
	disk_bytes = bytes;
	memset(model, 0, sizeof(model));
	for (int i = 0; i < LAYERS; i++) {
		layer_make(i, unit);
		layer_fill(i, &seed);
	}
}

static inline void disk_holds(void)
{
	ck_assert_int_eq(request_do(top->block, MT_BLOCK_READ, 0, 0, scratch, disk_bytes), 0);
	for (uint64_t i = 0; i < disk_bytes; i++)
		if (scratch[i] != model[i])
			ck_abort_msg("byte %#llx is %02x, not %02x", (unsigned long long)i, scratch[i], model[i]);
}

/* The image that the disk has now is another node's. */
static inline void look_again(void)
{
	top->node = graph_node(top->inst);
}

static inline int overlay(const char *path, struct mt_error *err)
{
	struct snap s = { .inst = top->inst, .device = "disk", .path = path, .format = "qcow2" };
	int rc;

	err->message[0] = 0;
	rc = snap_take(&s, 1, err);
	look_again();
	return rc;
}

/* Closed, all images are sound, and the disk is opened again with what it had. */
static inline void images_are_sound(void)
{
	for (int i = LOW; i < LAYERS; i++) {
		struct image *image = layer_open(i, false, FILE_UNSAFE);
		struct mt_error err = { .size = sizeof(err) };
		struct mt_block_check found;

		ck_assert_msg(image_check(image, 0, &found, NULL, NULL, &err) == 0, "%s", err.message);
		ck_assert_msg(found.corruptions == 0, "%s has %u corruptions", layer_names[i], (unsigned)found.corruptions);
		ck_assert_int_eq(image_close(image), 0);
	}
}

/* The guest's front: a handle under the lock of an instance that no machine has. */

struct guest {
	struct note_class cls;
	struct mt_inst inst;
	struct mt_block *block;
	pthread_t thread;
	uint64_t state;
	uint32_t stop, steps;            /* atomic */
};

static inline void guest_open(struct guest *g, uint64_t seed)
{
	struct mt_error err = { .size = sizeof(err) };

	*g = (struct guest){ .state = seed };
	g->inst = (struct mt_inst){ .id = "guest", .cls = &g->cls, .machine = top->inst->machine, .rank = 1000 };
	g_rec_mutex_init(&g->inst.lock);
	g->block = image_handle(top->node, true, &err);
	ck_assert_msg(g->block != NULL, "%s", err.message);
	g->block->front_inst = &g->inst;
}

static inline void guest_close(struct guest *g)
{
	image_handle_close(g->block);
	g_rec_mutex_clear(&g->inst.lock);
}

/* The lock is not held while it waits: [main] wants it to hold the guest, and to let it go on. */
static inline int32_t guest_do(struct guest *g, uint32_t op, uint32_t flags, uint64_t offset, void *buf, uint64_t len)
{
	struct mt_iov iov = { .hva = buf, .len_bytes = len };
	struct mt_block_req req = { .op = op, .flags = flags, .offset = offset, .len_bytes = len, .iov = &iov,
				    .iov_count = buf ? 1 : 0 }, *pending = &req, *done;
	struct pollfd fd = { .fd = g->block->engine->event_fd, .events = POLLIN };
	eventfd_t count;

	inst_enter(&g->inst);
	request_submit(g->block, &pending, 1);
	while (!request_reap(g->block, &done, 1)) {
		inst_leave(&g->inst);
		poll(&fd, 1, -1);
		inst_enter(&g->inst);
		(void)!eventfd_read(g->block->engine->event_fd, &count);
		g->block->engine->ops->disarm(g->block->engine);
		request_look(g->block);
	}
	inst_leave(&g->inst);
	return req.result;
}

/* One operation; the model is the thread's that runs the guest. */
static inline void guest_step(struct guest *g)
{
	static uint8_t buf[WRITE_MOST];
	uint64_t unit = random_next(&g->state) % 4 ? 512 : 1;
	uint64_t at = random_next(&g->state) % disk_bytes / unit * unit;
	uint64_t want = (1 + random_next(&g->state) % WRITE_MOST) / unit * unit, len = MIN(disk_bytes - at, MAX(want, 512));
	uint32_t what = random_next(&g->state) % 10, flags = random_next(&g->state) % 8 ? 0 : MT_BLOCK_FUA;

	if (what < 4) {
		data_make(buf, len, &g->state);
		memcpy(model + at, buf, len);
		ck_assert_int_eq(guest_do(g, MT_BLOCK_WRITE, flags, at, buf, len), 0);
	} else if (what < 6) {
		memset(model + at, 0, len);
		ck_assert_int_eq(guest_do(g, MT_BLOCK_ZERO, what == 4 ? MT_BLOCK_MAY_UNMAP : 0, at, NULL, len), 0);
	} else if (what < 9) {
		ck_assert_int_eq(guest_do(g, MT_BLOCK_READ, 0, at, buf, len), 0);
		ck_assert_msg(!memcmp(buf, model + at, len), "the guest reads something else at %#llx", (unsigned long long)at);
	} else {
		ck_assert_int_eq(guest_do(g, MT_BLOCK_FLUSH, 0, 0, NULL, 0), 0);
	}
	__atomic_fetch_add(&g->steps, 1, __ATOMIC_SEQ_CST);
}

static inline void *guest_main(void *arg)
{
	struct guest *g = arg;

	while (!__atomic_load_n(&g->stop, __ATOMIC_SEQ_CST))
		guest_step(g);
	return NULL;
}

static inline void guest_start(struct guest *g)
{
	__atomic_store_n(&g->stop, 0, __ATOMIC_SEQ_CST);
	ck_assert_int_eq(pthread_create(&g->thread, NULL, guest_main, g), 0);
}

static inline void guest_stop(struct guest *g)
{
	__atomic_store_n(&g->stop, 1, __ATOMIC_SEQ_CST);
	pthread_join(g->thread, NULL);
}

/* It does so many operations more. */
static inline void guest_goes_on(struct guest *g, uint32_t steps)
{
	uint32_t from = __atomic_load_n(&g->steps, __ATOMIC_SEQ_CST);

	while (__atomic_load_n(&g->steps, __ATOMIC_SEQ_CST) - from < steps)
		g_usleep(50);
}

/* As a pause of the machine: nothing of the guest's is under way, and nothing comes. */
static inline void guest_hold(struct guest *g)
{
	inst_enter(&g->inst);
	request_drain(g->block);
}

static inline void guest_let_go(struct guest *g)
{
	eventfd_write(g->block->engine->event_fd, 1);      /* the drain has taken what was done, and its announcement */
	inst_leave(&g->inst);
}

/* The filter before the files of the disk and of the image below it. */

static struct bnode faults;
static uint32_t fault_at, fault_count;   /* atomic; at 0: none */

static inline int32_t fault_begin(void *self, const struct mt_block_filter_op *op, uint64_t *delay_ns)
{
	(void)self, (void)op, (void)delay_ns;
	return __atomic_add_fetch(&fault_count, 1, __ATOMIC_SEQ_CST) == __atomic_load_n(&fault_at, __ATOMIC_SEQ_CST) ?
	       MT_EIO : 0;
}

static const struct mt_block_filter fault_filter = { .ops = MT_BLOCK_FILTER_ALL, .begin = fault_begin };

static inline void faults_over(struct bnode *node)
{
	for (; node; node = node->backing) {
		node->through = &faults;
		node->children[0].file->through = &faults;
	}
}

static inline void faults_open(void)
{
	faults = (struct bnode){ .format = &filter_format, .self = &faults, .filter = &fault_filter,
				 .workers = loop_workers(top->inst->machine->loop) };
	node_init(&faults);
	faults.delays = filter_delays_create(&faults, top->inst->machine->loop);
	faults_over(top->node);
}

static inline void faults_close(void)
{
	filter_delays_destroy(faults.delays);
	node_fini(&faults);
}

static inline void faults_arm(uint32_t at)
{
	__atomic_store_n(&fault_count, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&fault_at, at, __ATOMIC_SEQ_CST);
}

#endif
