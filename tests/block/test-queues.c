/* SPDX-License-Identifier: MIT */
/*
 * Eight queues of a guest, each with 32 requests under way, on one disk: writes, zeroes, discards, flushes and reads
 * that are verified, while snapshots of it are taken and removed, overlays are made, and jobs stream and commit.
 * Clusters are small, so that tables and counts of references grow, and are shared by the queues. Each request slot has
 * stripes of the disk for itself and remembers what they held, so that a snapshot which is taken meanwhile is known to
 * be of its moment.
 */
#include "kernel/job/job.h"
#include "tests/block/job-disk.h"

#define QUEUES  8u
#define DEPTH   32u
#define STRIPE  6144u
#define STRIPES (QUEUES * DEPTH * 2)
#define KEPT    48u                      /* versions of a stripe: more than go by in a moment of a busy host */
#define MOMENTS 4u

struct version {
	uint64_t begun, over;            /* ticks: a snapshot between the two may have it */
	bool unknown;                    /* discarded, and not read yet */
	uint8_t data[STRIPE];
};

static struct stripe {
	struct version v[KEPT];
	uint32_t count;
} stripes[STRIPES];

struct slot {
	struct mt_block_req req;
	struct mt_iov iov;
	uint32_t stripe;
	bool discarded;                  /* the stripe is to be read next, whatever is there */
	uint8_t data[STRIPE];
};

static struct queue {
	struct note_class cls;
	struct mt_inst inst;
	struct mt_block *block;
	pthread_t thread;
	pthread_mutex_t lock;            /* of its stripes' versions */
	uint64_t state;
	struct slot slots[DEPTH];
} queues[QUEUES];

static struct moment {
	bool taken;
	GPtrArray *may[STRIPES];         /* bytes that the stripe may have; NULL: any */
} moments[MOMENTS];

static struct mt_error err = { .size = sizeof(err) };
static uint32_t stopping, done_count;    /* atomic */
static uint64_t ticks;                   /* atomic */

static bool is_long(void)
{
	return getenv("MORTISE_LONG") != NULL;
}

static uint64_t tick(void)
{
	return __atomic_add_fetch(&ticks, 1, __ATOMIC_SEQ_CST);
}

/* Stripes */

static struct version *now(struct stripe *s)
{
	return &s->v[(s->count - 1) % KEPT];
}

/* The next version, before the request that makes it is given away. */
static void version_next(struct queue *q, struct stripe *s, uint32_t at, const uint8_t *data, uint32_t len,
			 bool unknown)
{
	struct version *old = now(s), *v = &s->v[s->count % KEPT];

	pthread_mutex_lock(&q->lock);
	memcpy(v->data, old->data, STRIPE);
	memcpy(v->data + at, data, len);
	v->begun = tick();
	v->over = UINT64_MAX;
	v->unknown = unknown;
	s->count++;
	pthread_mutex_unlock(&q->lock);
}

static void version_done(struct queue *q, struct stripe *s)
{
	pthread_mutex_lock(&q->lock);
	s->v[(s->count - 2) % KEPT].over = tick();
	pthread_mutex_unlock(&q->lock);
}

static void stripes_from(const uint8_t *bytes)
{
	for (uint32_t i = 0; i < STRIPES; i++) {
		stripes[i].count = 1;
		stripes[i].v[0] = (struct version){ .begun = tick(), .over = UINT64_MAX };
		memcpy(stripes[i].v[0].data, bytes + (size_t)i * STRIPE, STRIPE);
	}
}

/* Of a moment between two ticks. */
static void moment_take(struct moment *m, uint64_t from, uint64_t to)
{
	m->taken = true;
	for (uint32_t i = 0; i < STRIPES; i++) {
		struct queue *q = &queues[i % QUEUES];
		struct stripe *s = &stripes[i];
		bool all = true;

		pthread_mutex_lock(&q->lock);
		m->may[i] = g_ptr_array_new_with_free_func(g_free);
		for (uint32_t k = s->count > KEPT ? s->count - KEPT : 0; k < s->count; k++) {
			struct version *v = &s->v[k % KEPT];

			/* an older one is forgotten, which may be the one */
			if (k + KEPT == s->count && v->begun > from)
				all = false;
			if (v->begun > to || v->over < from)
				continue;
			all = all && !v->unknown;
			g_ptr_array_add(m->may[i], g_memdup2(v->data, STRIPE));
		}
		pthread_mutex_unlock(&q->lock);
		if (!all)
			g_clear_pointer(&m->may[i], g_ptr_array_unref);
	}
}

static void moment_forget(struct moment *m)
{
	for (uint32_t i = 0; i < STRIPES; i++)
		g_clear_pointer(&m->may[i], g_ptr_array_unref);
	m->taken = false;
}

static void moment_holds(const struct moment *m, const uint8_t *bytes, const char *what)
{
	uint32_t known = 0;

	for (uint32_t i = 0; i < STRIPES; i++) {
		const GPtrArray *may = m->may[i];
		bool found = !may;

		for (guint k = 0; may && k < may->len && !found; k++)
			found = !memcmp(g_ptr_array_index(may, k), bytes + (size_t)i * STRIPE, STRIPE);
		ck_assert_msg(found, "%s: stripe %u is none of the %u that it may be", what, i, may ? may->len : 0);
		known += may != NULL;
	}
	ck_assert_uint_gt(known, STRIPES / 2);
}

/* Queues */

static void slot_begin(struct queue *q, struct slot *s)
{
	uint32_t dice = random_next(&q->state) % 16, at = 0, len = STRIPE;

	s->req = (struct mt_block_req){ .op = MT_BLOCK_READ, .iov = &s->iov, .iov_count = 1 };
	if (!s->discarded && dice == 15) {
		s->req = (struct mt_block_req){ .op = MT_BLOCK_FLUSH };
		return;
	}
	if (!s->discarded)
		s->stripe = (uint32_t)(s - q->slots) * QUEUES + (uint32_t)(q - queues) + random_next(&q->state) % 2 * QUEUES * DEPTH;
	if (!s->discarded && dice < 11) {
		at = (uint32_t)(random_next(&q->state) % (STRIPE / 512)) * 512;
		len = (uint32_t)(1 + random_next(&q->state) % ((STRIPE - at) / 512)) * 512;
		at += dice == 10 ? 7 : 0;
		len -= dice == 10 ? 9 : 0;
		s->req.op = dice < 6 || dice == 10 ? MT_BLOCK_WRITE : dice < 8 ? MT_BLOCK_ZERO : MT_BLOCK_DISCARD;
		s->req.flags = dice == 0 ? MT_BLOCK_FUA : dice == 6 ? MT_BLOCK_MAY_UNMAP : 0;
		if (s->req.op == MT_BLOCK_WRITE)
			data_make(s->data, len, &q->state);
		else
			memset(s->data, 0, len);
		version_next(q, &stripes[s->stripe], at, s->data, len, s->req.op == MT_BLOCK_DISCARD);
	}
	s->iov = (struct mt_iov){ .hva = s->data, .len_bytes = len };
	s->req.iov_count = s->req.op <= MT_BLOCK_WRITE ? 1 : 0;
	s->req.offset = (uint64_t)s->stripe * STRIPE + at;
	s->req.len_bytes = len;
}

static void slot_end(struct queue *q, struct slot *s)
{
	struct stripe *stripe = &stripes[s->stripe];

	ck_assert_msg(s->req.result == 0, "operation %u: %d", s->req.op, s->req.result);
	__atomic_add_fetch(&done_count, 1, __ATOMIC_SEQ_CST);
	if (s->req.op == MT_BLOCK_READ && s->discarded) {
		pthread_mutex_lock(&q->lock);
		memcpy(now(stripe)->data, s->data, STRIPE);
		now(stripe)->unknown = false;
		pthread_mutex_unlock(&q->lock);
		s->discarded = false;
	} else if (s->req.op == MT_BLOCK_READ) {
		ck_assert_msg(!memcmp(now(stripe)->data, s->data, STRIPE), "stripe %u reads as something else", s->stripe);
	} else if (s->req.op != MT_BLOCK_FLUSH) {
		version_done(q, stripe);
		s->discarded = s->req.op == MT_BLOCK_DISCARD;
	}
}

static struct slot *slot_of(struct queue *q, const struct mt_block_req *req)
{
	return &q->slots[((const uint8_t *)req - (const uint8_t *)&q->slots[0].req) / sizeof(struct slot)];
}

/* All slots are under way; what is done is verified and begun anew, until all are to stop. */
static void *queue_main(void *arg)
{
	struct queue *q = arg;
	struct pollfd fd = { .fd = q->block->engine->event_fd, .events = POLLIN };
	struct mt_block_req *list[DEPTH], *done[DEPTH];
	uint32_t ready = DEPTH, under_way = 0;
	eventfd_t count;

	for (uint32_t i = 0; i < DEPTH; i++) {
		slot_begin(q, &q->slots[i]);
		list[i] = &q->slots[i].req;
	}
	while (ready || under_way) {
		uint32_t got;

		inst_enter(&q->inst);
		if (ready)
			request_submit(q->block, list, ready);
		under_way += ready;
		while ((got = request_reap(q->block, done, DEPTH)) == 0) {
			inst_leave(&q->inst);
			poll(&fd, 1, -1);
			inst_enter(&q->inst);
			(void)!eventfd_read(q->block->engine->event_fd, &count);
			q->block->engine->ops->disarm(q->block->engine);
			request_look(q->block);
		}
		inst_leave(&q->inst);
		under_way -= got;
		ready = 0;
		for (uint32_t i = 0; i < got; i++) {
			struct slot *s = slot_of(q, done[i]);

			slot_end(q, s);
			if (s->discarded || !__atomic_load_n(&stopping, __ATOMIC_SEQ_CST)) {
				slot_begin(q, s);
				list[ready++] = &s->req;
			}
		}
	}
	return NULL;
}

static void queues_open(uint64_t seed)
{
	for (uint32_t i = 0; i < QUEUES; i++) {
		struct queue *q = &queues[i];

		*q = (struct queue){ .state = seed * QUEUES + i };
		pthread_mutex_init(&q->lock, NULL);
		q->inst = (struct mt_inst){ .id = "queue", .cls = &q->cls, .machine = top->inst->machine, .rank = 1000 };
		g_rec_mutex_init(&q->inst.lock);
		q->block = image_handle(top->node, true, &err);
		ck_assert_msg(q->block != NULL, "%s", err.message);
		q->block->front_inst = &q->inst;
	}
}

static void queues_close(void)
{
	for (uint32_t i = 0; i < QUEUES; i++) {
		image_handle_close(queues[i].block);
		g_rec_mutex_clear(&queues[i].inst.lock);
		pthread_mutex_destroy(&queues[i].lock);
	}
}

static void queues_start(void)
{
	__atomic_store_n(&stopping, 0, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < QUEUES; i++)
		ck_assert_int_eq(pthread_create(&queues[i].thread, NULL, queue_main, &queues[i]), 0);
}

/* Nothing is under way, and the model has what the disk must. */
static void queues_stop(void)
{
	__atomic_store_n(&stopping, 1, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < QUEUES; i++)
		pthread_join(queues[i].thread, NULL);
	for (uint32_t i = 0; i < STRIPES; i++)
		memcpy(model + (size_t)i * STRIPE, now(&stripes[i])->data, STRIPE);
}

static void queues_go_on(uint32_t requests)
{
	uint32_t from = __atomic_load_n(&done_count, __ATOMIC_SEQ_CST);

	while (__atomic_load_n(&done_count, __ATOMIC_SEQ_CST) - from < requests)
		g_usleep(100);
}

/* What happens to the disk meanwhile */

static char *moment_name(uint32_t i)
{
	return g_strdup_printf("moment%u", i);
}

static void snapshot_take(uint32_t i)
{
	char *name = moment_name(i);
	struct snap s = { .inst = top->inst, .device = "disk", .name = name };
	uint64_t from = tick();

	err.message[0] = 0;
	ck_assert_msg(snap_take(&s, 1, &err) == 0, "%s", err.message);
	moment_take(&moments[i], from, tick());
	g_free(name);
}

static void snapshot_remove(uint32_t i)
{
	char *name = moment_name(i);
	struct mt_block_snapshot gone;

	ck_assert_msg(snap_remove(top->inst, "disk", NULL, name, &gone, &err) == 0, "%s", err.message);
	moment_forget(&moments[i]);
	g_free(name);
}

/* Back to a snapshot, as a guest that is held goes back. */
static void snapshot_apply(uint32_t i)
{
	struct image now = *top;
	char *name = moment_name(i);

	queues_stop();
	disk_holds();
	/* the image that the disk has now */
	now.node = top->block->node;
	now.inst = now.node->inst;
	ck_assert_msg(image_snapshot(&now, IMAGE_SNAPSHOT_APPLY, name, &err) == 0, "%s", err.message);
	ck_assert_int_eq(request_do(top->block, MT_BLOCK_READ, 0, 0, scratch, disk_bytes), 0);
	moment_holds(&moments[i], scratch, name);
	stripes_from(scratch);
	queues_start();
	g_free(name);
}

static void snapshots(uint64_t *dice, uint32_t most)
{
	uint32_t i = random_next(dice) % most;

	if (!moments[i].taken)
		snapshot_take(i);
	else if (random_next(dice) % 2)
		snapshot_apply(i);
	else
		snapshot_remove(i);
	queues_go_on(QUEUES * DEPTH / 2);
}

static void job_runs(enum job_kind kind)
{
	struct job_want want = { .kind = kind, .id = "job", .device = "disk", .inst = top->inst, .depth = 1 };
	struct job *job = job_create(&want, &err);
	enum job_result result;

	ck_assert_msg(job != NULL, "%s", err.message);
	job_complete(job);
	do {
		queues_go_on(16);
		result = job_step(job, &err);
	} while (result == JOB_GOES_ON);
	ck_assert_msg(result == JOB_DONE, "%s", err.message);
	job_free(job);
	look_again();
	queues_go_on(QUEUES * DEPTH);
}

/* What was below an overlay stays as it was then. */
static void overlay_make(int i, struct moment *m)
{
	char *path = over_path(i);
	uint64_t from = tick();

	ck_assert_msg(overlay(path, &err) == 0, "%s", err.message);
	moment_take(m, from, tick());
	queues_go_on(QUEUES * DEPTH);
	g_free(path);
}

/* Judges */

static bool have_qemu(void)
{
	static int have = -1;

	if (have < 0)
		have = system("command -v qemu-img >/dev/null") == 0;
	if (!have)
		printf("qemu-img is not there: it is not asked\n");
	return have;
}

__attribute__((format(printf, 1, 2)))
static void qemu_agrees(const char *fmt, ...)
{
	va_list ap;
	char *command;

	va_start(ap, fmt);
	command = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	ck_assert_msg(system(command) == 0, "%s", command);
	g_free(command);
}

/* The image is sound and reads so, by itself and by another program. */
static void image_is(const char *path, const char *snapshot, const struct moment *m)
{
	struct image_options options = { .format = "qcow2", .write = !snapshot, .allow_own = true };
	struct image *image = image_open(tool, path, &options, &err);
	char *raw = over_path(OVERLAYS);
	struct mt_block_check found;
	gsize len;
	char *bytes;

	ck_assert_msg(image != NULL, "%s", err.message);
	if (snapshot)
		ck_assert_msg(image_snapshot(image, IMAGE_SNAPSHOT_SHOW, snapshot, &err) == 0, "%s", err.message);
	else
		ck_assert_int_eq(image_check(image, 0, &found, NULL, NULL, &err), 0);
	ck_assert_msg(snapshot || (found.corruptions == 0 && found.leaks == 0), "%s: %u corruptions, %u leaks", path,
		      snapshot ? 0 : (unsigned)found.corruptions, snapshot ? 0 : (unsigned)found.leaks);
	ck_assert_int_eq(request_do(image->block, MT_BLOCK_READ, 0, 0, scratch, disk_bytes), 0);
	if (m)
		moment_holds(m, scratch, path);
	else
		ck_assert_msg(!memcmp(scratch, model, disk_bytes), "%s does not hold what was written", path);
	ck_assert_int_eq(image_close(image), 0);
	if (!have_qemu()) {
		g_free(raw);
		return;
	}
	if (!snapshot)
		qemu_agrees("qemu-img check -q -f qcow2 '%s'", path);
	qemu_agrees("qemu-img convert -f qcow2 %s%s -O raw '%s' '%s'", snapshot ? "-l " : "", snapshot ? snapshot : "",
		    path, raw);
	ck_assert(g_file_get_contents(raw, &bytes, &len, NULL) && len == disk_bytes);
	ck_assert_msg(!memcmp(bytes, scratch, disk_bytes), "%s: qemu-img reads something else", path);
	g_free(bytes);
	g_unlink(raw);
	g_free(raw);
}

/* Tests */

static const struct form {
	const char *unit;
	struct mt_block_value more[2];
	uint32_t more_count, most;       /* snapshots at a time */
} forms[] = {
	{ "512", { { "refcount_bits", "64" } }, 1, 4 },
	{ "512", { { "refcount_bits", "2" } }, 1, 2 },
	{ "1024", { { "refcount_bits", "4" }, { "lazy_refcounts", "on" } }, 2, 4 },
	{ "4096", { { "refcount_bits", "8" } }, 1, 4 },
	{ "512", { { "compat", "0.10" } }, 1, 4 },
	{ "16384", { { "extended_l2", "on" }, { "refcount_bits", "32" } }, 2, 4 },
	{ "65536", { { NULL, NULL } }, 0, 4 },
	{ "2048", { { "compression_type", "zstd" } }, 1, 4 },
};

static void disk_make(const struct form *form, uint64_t seed)
{
	uint64_t bytes = (uint64_t)STRIPES * STRIPE;

	memcpy(layer_more, form->more, sizeof(layer_more));
	layer_more_count = form->more_count;
	engine = seed % 2 ? FILE_ENGINE_THREADS : FILE_ENGINE_AUTO;
	chain_make(bytes / 2, bytes, bytes, form->unit, seed);
	top = layer_open(TOP, false, seed % 3 ? FILE_UNSAFE : FILE_WRITEBACK);
	disk_holds();
	stripes_from(model);
	queues_open(seed);
}

static void moments_end(void)
{
	for (uint32_t i = 0; i < MOMENTS; i++)
		moment_forget(&moments[i]);
}

START_TEST(internal_snapshots)
{
	const struct form *form = &forms[(uint32_t)_i % G_N_ELEMENTS(forms)];
	uint64_t dice = 100 + (uint64_t)_i;
	char *path = path_of(TOP);

	disk_make(form, (uint64_t)_i);
	queues_start();
	for (int i = 0; i < (is_long() ? 60 : 5); i++)
		snapshots(&dice, form->most);
	queues_stop();
	disk_holds();
	queues_close();
	ck_assert_int_eq(image_close(top), 0);
	image_is(path, NULL, NULL);
	for (uint32_t i = 0; i < MOMENTS; i++) {
		char *name = moment_name(i);

		if (moments[i].taken)
			image_is(path, name, &moments[i]);
		g_free(name);
	}
	moments_end();
	g_free(path);
}
END_TEST

START_TEST(chains)
{
	static struct moment below[OVERLAYS];
	const struct form *form = &forms[(uint32_t)_i % G_N_ELEMENTS(forms)];
	uint64_t dice = 300 + (uint64_t)_i;
	char *path;

	disk_make(form, 50 + (uint64_t)_i);
	queues_start();
	job_runs(JOB_COMMIT);
	ck_assert_ptr_nonnull(strstr(block_file(top->inst), layer_names[MID]));
	overlay_make(0, &below[0]);
	snapshots(&dice, form->most);
	overlay_make(1, &below[1]);
	job_runs(JOB_COMMIT);                    /* into the first overlay, which is the guest's again */
	snapshots(&dice, form->most);
	overlay_make(2, &below[2]);
	job_runs(JOB_STREAM);
	queues_stop();
	disk_holds();
	ck_assert_ptr_null(top->node->backing);
	queues_close();
	ck_assert_int_eq(image_close(top), 0);
	path = over_path(2);
	image_is(path, NULL, NULL);
	g_free(path);
	path = over_path(0);
	image_is(path, NULL, &below[2]);
	g_free(path);
	path = path_of(MID);
	image_is(path, NULL, &below[0]);
	g_free(path);
	for (int i = 0; i < OVERLAYS; i++)
		moment_forget(&below[i]);
	moments_end();
}
END_TEST

/* Cases by name, for CK_RUN_CASE. */
static void add(Suite *suite, const char *name, const TTest *test, int rounds)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 300);
	tcase_add_checked_fixture(tc, tool_open, tool_close);
	tcase_add_loop_test(tc, test, 0, rounds);
	suite_add_tcase(suite, tc);
}

/* The long counts take some four minutes of a quiet machine with two processors. */
int main(void)
{
	Suite *suite = suite_create("queues");
	int rounds = (int)G_N_ELEMENTS(forms), failed;
	SRunner *runner;

	add(suite, "snapshots", internal_snapshots, is_long() ? 2 * rounds : rounds);
	add(suite, "chains", chains, is_long() ? 2 * rounds : 2);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
