/* SPDX-License-Identifier: MIT */
/*
 * Streaming and committing on real images beside a guest that writes all the time, cancelled at each step, with the
 * guest held, and with an error at each operation on the files. A disk reads at all times as the guest left it.
 */
#include "kernel/job/job.h"
#include "tests/block/job-disk.h"

static struct mt_error err = { .size = sizeof(err) };

static bool is_long(void)
{
	return getenv("MORTISE_LONG") != NULL;
}

static struct job *job_on(enum job_kind kind)
{
	struct job_want want = { .kind = kind, .id = "job", .device = "disk", .inst = top->inst, .depth = 1 };
	struct job *job = job_create(&want, &err);

	if (job)
		job_complete(job);
	return job;
}

static void job_end(struct job *job)
{
	job_free(job);
	look_again();
}

static struct job *begin(enum job_kind kind)
{
	struct job *job = job_on(kind);

	ck_assert_msg(job != NULL, "%s", err.message);
	return job;
}

static void to_its_end(struct job *job)
{
	enum job_result result;

	while ((result = job_step(job, &err)) == JOB_GOES_ON)
		;
	ck_assert_msg(result == JOB_DONE, "%s", err.message);
	job_end(job);
}

static void reopen(bool chain_write, enum file_cache cache)
{
	ck_assert_int_eq(image_close(top), 0);
	images_are_sound();
	top = layer_open(TOP, chain_write, cache);
	disk_holds();
}

static bool below_has_all(void)
{
	struct block_status s;

	for (uint64_t at = 0; at < disk_bytes; at += s.len_bytes) {
		ck_assert_int_eq(status_get(top->node, at, disk_bytes - at, &s), 0);
		if (s.depth == 0 && s.flags & BLOCK_STATUS_PRESENT)
			return false;
	}
	return true;
}

/* Beside a guest */

/* Now and then the guest is held for some steps, as a pause of the machine holds it. */
static void beside(struct guest *g, enum job_kind kind, uint64_t *dice)
{
	struct job *job = begin(kind);
	enum job_result result;

	do {
		bool hold = random_next(dice) % 4 == 0;

		if (hold)
			guest_hold(g);
		else
			guest_goes_on(g, 1 + random_next(dice) % 8);
		result = job_step(job, &err);
		if (hold)
			guest_let_go(g);
	} while (result == JOB_GOES_ON);
	ck_assert_msg(result == JOB_DONE, "%s", err.message);
	job_end(job);
	guest_goes_on(g, 16);
}

static void disk_make(uint64_t seed)
{
	static const char *const units[] = { "4096", "65536", "512" };
	uint64_t bytes = seed % 2 ? DISK_MOST : 3 << 20, mid = seed % 3 ? bytes : bytes / 3 * 2 / 512 * 512;

	engine = seed % 2 ? FILE_ENGINE_THREADS : FILE_ENGINE_AUTO;
	chain_make(bytes / 2 / 512 * 512, mid, bytes, units[seed % 3], seed);
	top = layer_open(TOP, false, FILE_UNSAFE);
	disk_holds();
}

START_TEST(live)
{
	uint64_t dice = 700 + (uint64_t)_i;
	struct guest g;

	disk_make((uint64_t)_i);
	for (int round = 0; round < (is_long() ? 20 : 2); round++) {
		guest_open(&g, dice);
		guest_start(&g);
		beside(&g, JOB_COMMIT, &dice);
		if (random_next(&dice) % 2)
			beside(&g, JOB_COMMIT, &dice);
		guest_stop(&g);
		disk_holds();
		guest_close(&g);
		reopen(false, FILE_UNSAFE);
	}
	guest_open(&g, dice);
	guest_start(&g);
	beside(&g, JOB_STREAM, &dice);
	guest_stop(&g);
	guest_close(&g);
	ck_assert_ptr_null(top->node->backing);
	reopen(false, FILE_UNSAFE);
	ck_assert_ptr_null(top->node->backing);
	ck_assert_int_eq(image_close(top), 0);
}
END_TEST

/* A job that ends after so many steps, by a wish or with its machine: the guest sees nothing of it. */
static void ended_after(struct guest *g, enum job_kind kind, uint32_t steps, bool machine_ends)
{
	struct job *job = begin(kind);
	enum job_result result = JOB_GOES_ON;

	for (uint32_t i = 0; i < steps && result == JOB_GOES_ON; i++) {
		guest_goes_on(g, 2);
		result = job_step(job, &err);
	}
	ck_assert_msg(result != JOB_FAILED, "%s", err.message);
	if (machine_ends)
		guest_stop(g);
	job_end(job);
	ck_assert(!top->node->busy);
	if (!machine_ends) {
		guest_goes_on(g, 4);
		guest_stop(g);
	}
	guest_close(g);
}

START_TEST(ended)
{
	enum job_kind kind = _i % 2 ? JOB_STREAM : JOB_COMMIT;
	uint32_t most = 14;
	struct guest g;

	disk_make(5 + (uint64_t)_i);
	for (uint32_t steps = 0; steps < most; steps += 1 + !is_long()) {
		guest_open(&g, steps);
		guest_start(&g);
		ended_after(&g, kind, steps, _i & 2);
		if (!top->node->backing)
			break;
		reopen(false, FILE_UNSAFE);
	}
	ck_assert_int_eq(image_close(top), 0);
}
END_TEST

START_TEST(outcome)
{
	char *path;

	disk_make(1);
	to_its_end(begin(JOB_COMMIT));
	path = path_of(MID);
	ck_assert_str_eq(block_file(top->inst), path);
	g_free(path);
	disk_holds();
	reopen(false, FILE_UNSAFE);
	ck_assert(below_has_all());
	to_its_end(begin(JOB_STREAM));
	ck_assert_ptr_null(top->node->backing);
	disk_holds();
	ck_assert_int_eq(image_close(top), 0);
}
END_TEST

/* A limit holds the next piece back until there is another one. */
START_TEST(speeds)
{
	struct job *job;
	struct job_status status;

	disk_make(1);
	job = begin(JOB_STREAM);
	job_speed_set(job, 1);
	do
		ck_assert_int_eq(job_step(job, &err), JOB_GOES_ON);
	while (!job_wait_ns(job));
	ck_assert_uint_gt(job_wait_ns(job), 60000000000ull);
	job_status(job, &status);
	ck_assert_uint_eq(status.speed, 1);
	job_speed_set(job, 0);
	ck_assert_uint_eq(job_wait_ns(job), 0);
	to_its_end(job);
	disk_holds();
	ck_assert_int_eq(image_close(top), 0);
}
END_TEST

/* What cannot be is refused, and changes nothing. */

static void refused(enum job_kind kind, const char *why)
{
	struct job *job = job_on(kind);

	ck_assert_msg(job == NULL && strstr(err.message, why), "'%s' does not say '%s'", job ? "" : err.message, why);
}

START_TEST(refusals)
{
	struct job *job;

	disk_make(3);
	job = begin(JOB_STREAM);
	refused(JOB_COMMIT, "another job");
	job_end(job);
	top->node->writers = 0;
	refused(JOB_STREAM, "only read");
	top->node->writers = 1;
	to_its_end(begin(JOB_STREAM));
	refused(JOB_COMMIT, "no image lies below");
	disk_holds();
	ck_assert_int_eq(image_close(top), 0);
}
END_TEST

/* The disk below is shorter than ours and than the one below it, whose end would come to be seen. */
START_TEST(longer_below)
{
	chain_make(2 << 20, 1 << 20, 3 << 20, "65536", 77);
	top = layer_open(TOP, false, FILE_UNSAFE);
	disk_holds();
	refused(JOB_COMMIT, "would be seen");
	disk_holds();
	reopen(false, FILE_UNSAFE);
	to_its_end(begin(JOB_STREAM));
	reopen(false, FILE_UNSAFE);
	ck_assert_int_eq(image_close(top), 0);
}
END_TEST

/* Parts of a chain */

static struct job *job_of(enum job_kind kind, const char *base, const char *top_path)
{
	struct job_want want = { .kind = kind, .id = "job", .device = "disk", .inst = top->inst, .base = base,
				 .top = top_path };

	return job_create(&want, &err);
}

static void below_are(int overs, const int *layers, unsigned count)
{
	GPtrArray *files = block_files_below(top->inst);

	ck_assert_uint_eq(files->len, (unsigned)overs + count);
	for (unsigned i = 0; i < files->len; i++) {
		char *path = i < (unsigned)overs ? over_path(overs - 1 - (int)i) : path_of(layers[i - (unsigned)overs]);

		ck_assert_str_eq(g_ptr_array_index(files, i), path);
		g_free(path);
	}
	g_ptr_array_unref(files);
}

static void part_ends(struct job *job)
{
	enum job_result result;

	ck_assert_msg(job != NULL, "%s", err.message);
	job_complete(job);
	while ((result = job_step(job, &err)) == JOB_GOES_ON)
		;
	ck_assert_msg(result == JOB_DONE, "%s", err.message);
	job_end(job);
}

static void over_holds(int i)
{
	struct image_options options = { .format = "qcow2", .write = true, .allow_own = true };
	char *path = over_path(i);
	struct mt_block_check found;

	top = image_open(tool, path, &options, &err);
	ck_assert_msg(top != NULL, "%s", err.message);
	disk_holds();
	ck_assert_int_eq(image_check(top, 0, &found, NULL, NULL, &err), 0);
	ck_assert_uint_eq(found.corruptions, 0);
	ck_assert_int_eq(image_close(top), 0);
	g_free(path);
}

/* Images in the middle are dropped, below one or two that are newer; then what is left becomes one again. */
START_TEST(between)
{
	char *mid = path_of(MID), *old = path_of(TOP), *low = path_of(LOW);
	bool two = _i & 1, deep = _i & 2;
	int overs = 1 + two;
	struct guest g;

	disk_make(11 + (uint64_t)_i);
	guest_open(&g, 5 + (uint64_t)_i);
	guest_start(&g);
	for (int i = 0; i < overs; i++) {
		char *path = over_path(i);

		guest_goes_on(&g, 8);
		ck_assert_msg(overlay(path, &err) == 0, "%s", err.message);
		g_free(path);
	}
	guest_goes_on(&g, 8);
	below_are(overs - 1, (int[]){ TOP, MID, LOW }, 3);
	part_ends(job_of(JOB_COMMIT, deep ? low : mid, old));
	below_are(overs - 1, (int[]){ deep ? LOW : MID, LOW }, deep ? 1 : 2);
	ck_assert(top->node->backing->info.flags & MT_BLOCK_INFO_READONLY);
	guest_goes_on(&g, 8);
	part_ends(job_of(JOB_STREAM, deep ? low : mid, NULL));
	below_are(0, (int[]){ deep ? LOW : MID, LOW }, deep ? 1 : 2);
	guest_goes_on(&g, 8);
	guest_stop(&g);
	disk_holds();
	guest_start(&g);
	part_ends(job_of(JOB_COMMIT, NULL, NULL));
	ck_assert_str_eq(block_file(top->inst), low);
	guest_goes_on(&g, 8);
	guest_stop(&g);
	disk_holds();
	guest_close(&g);
	ck_assert_int_eq(image_close(top), 0);
	top = layer_open(LOW, false, FILE_UNSAFE);
	disk_holds();
	ck_assert_int_eq(image_close(top), 0);
	over_holds(overs - 1);
	g_free(mid);
	g_free(old);
	g_free(low);
}
END_TEST

/* Ready, it waits as long as it has to, and copies what comes; cancelled then, the image has all. */
START_TEST(waits)
{
	struct job_status status;
	struct guest g;
	struct job *job;

	disk_make(4);
	guest_open(&g, 4);
	guest_start(&g);
	job = job_of(JOB_COMMIT, NULL, NULL);
	ck_assert_msg(job != NULL, "%s", err.message);
	for (int i = 0; i < 400; i++) {
		ck_assert_int_eq(job_step(job, &err), JOB_GOES_ON);
		guest_goes_on(&g, 1);
	}
	job_status(job, &status);
	ck_assert(status.ready);
	if (_i) {
		job_end(job);
		ck_assert_ptr_nonnull(top->node->backing);
		ck_assert(top->node->backing->info.flags & MT_BLOCK_INFO_READONLY);
	} else {
		part_ends(job);
		ck_assert_ptr_null(top->node->backing);
	}
	guest_goes_on(&g, 8);
	guest_stop(&g);
	disk_holds();
	guest_close(&g);
	reopen(false, FILE_UNSAFE);
	ck_assert_int_eq(image_close(top), 0);
}
END_TEST

START_TEST(no_such_part)
{
	char *mid = path_of(MID), *old = path_of(TOP), *path = over_path(0);

	disk_make(1);
	ck_assert_ptr_null(job_of(JOB_COMMIT, "/nowhere", NULL));
	ck_assert_msg(strstr(err.message, "/nowhere"), "%s", err.message);
	ck_assert_ptr_null(job_of(JOB_COMMIT, NULL, "/nowhere"));
	ck_assert_ptr_null(job_of(JOB_STREAM, old, NULL));
	ck_assert_ptr_null(job_of(JOB_COMMIT, old, mid));
	ck_assert_int_eq(overlay(path, &err), 0);
	ck_assert_ptr_null(job_of(JOB_COMMIT, path, NULL));
	disk_holds();
	ck_assert_int_eq(image_close(top), 0);
	g_free(mid);
	g_free(old);
	g_free(path);
}
END_TEST

/* Exclusive operations */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };

static void gate_wait(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&gate.lock);
	while (!gate.open)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void *gate_open(void *arg)
{
	(void)arg;
	g_usleep(20000);
	pthread_mutex_lock(&gate.lock);
	gate.open = true;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
	return NULL;
}

/* A node over the disk, which has nothing of its own. */
static void above_make(struct bnode *above, struct workers *workers)
{
	static const struct mt_block_format nothing = { .map = NULL };

	*above = (struct bnode){ .format = &nothing, .workers = workers, .children = g_new0(struct bchild, 1),
				 .child_count = 1 };
	node_init(above);
	above->children[0].node = top->node;
	top->node->above = above;
}

static void above_end(struct bnode *above)
{
	top->node->above = NULL;
	node_fini(above);
	g_free(above->children);
}

/* A pass that was asked for before, of the disk or of one over it, and whose worker comes late, is over by then. */
START_TEST(late_pass)
{
	struct workers *workers;
	struct bnode above, *asked;
	pthread_t opener;

	disk_make(3);
	workers = loop_workers(top->inst->machine->loop);
	above_make(&above, workers);
	asked = _i ? &above : top->node;
	gate.open = false;
	for (int i = 0; i < 256; i++)
		workers_push(workers, gate_wait, NULL);
	node_flush_soon(asked);
	ck_assert_uint_eq(asked->jobs, 1);
	ck_assert_int_eq(pthread_create(&opener, NULL, gate_open, NULL), 0);
	ck_assert_int_eq(exclusive_begin(top->node), 0);
	ck_assert_uint_eq(asked->jobs, 0);
	node_flush_soon(asked);
	ck_assert_uint_eq(asked->jobs, 0);
	ck_assert_int_eq(exclusive_end(top->node, 0), 0);
	pthread_join(opener, NULL);
	above_end(&above);
	ck_assert_int_eq(image_close(top), 0);
}
END_TEST

/* Errors */

struct template {
	char *bytes[LAYERS];
	gsize len[LAYERS];
	uint8_t model[DISK_MOST];
};

static void template_take(struct template *t)
{
	for (int i = 0; i < LAYERS; i++) {
		char *path = path_of(i);

		ck_assert(g_file_get_contents(path, &t->bytes[i], &t->len[i], NULL));
		g_free(path);
	}
	memcpy(t->model, model, sizeof(model));
}

static void template_put(const struct template *t)
{
	for (int i = 0; i < LAYERS; i++) {
		char *path = path_of(i);
		FILE *f = fopen(path, "wb");

		ck_assert(f && fwrite(t->bytes[i], 1, t->len[i], f) == t->len[i]);
		fclose(f);
		g_free(path);
	}
	memcpy(model, t->model, sizeof(model));
}

enum { COMMIT_ALL, STREAM_ALL, COMMIT_BETWEEN, STREAM_TO_BASE, WORKS };

static struct job *work_on(int work)
{
	char *mid = path_of(MID), *low = path_of(LOW);
	struct job *job;

	if (work == COMMIT_BETWEEN)
		job = job_of(JOB_COMMIT, low, mid);
	else if (work == STREAM_TO_BASE)
		job = job_of(JOB_STREAM, low, NULL);
	else
		job = job_on(work == STREAM_ALL ? JOB_STREAM : JOB_COMMIT);
	g_free(mid);
	g_free(low);
	return job;
}

static bool work_is_left(int work)
{
	GPtrArray *files = block_files_below(top->inst);
	bool left = files->len > (work == COMMIT_BETWEEN || work == STREAM_TO_BASE ? 1u : 0u);

	g_ptr_array_unref(files);
	return left;
}

/*
 * The k-th operation fails. A write of the guest between two steps may be lost where the error was a flush's that
 * nobody asked for: then what the disk has is what counts from there on. True: the error came.
 */
static bool failed_at(int work, uint32_t k, uint64_t seed)
{
	struct job *job;
	enum job_result result = JOB_FAILED;
	uint64_t state = seed + k, at;
	bool came, closed, lost = false;

	top = layer_open(TOP, true, FILE_WRITEBACK);
	faults_open();
	faults_arm(k);
	job = work_on(work);
	while (job && (result = job_step(job, &err)) == JOB_GOES_ON) {
		uint32_t count = fault_count;

		fault_at = 0;
		at = random_next(&state) % (disk_bytes / 4096) * 4096;
		data_make(scratch, 4096, &state);
		if (request_do(top->block, MT_BLOCK_WRITE, 0, at, scratch, 4096) < 0)
			lost = true;
		else
			memcpy(model + at, scratch, 4096);
		fault_count = count;
		fault_at = k;
	}
	came = fault_count >= k;
	if (result == JOB_FAILED)
		ck_assert_msg(came && *err.message, "it fails without an error, at %u: %s", k, err.message);
	if (job)
		job_end(job);
	faults_arm(0);
	closed = image_close(top) == 0;
	faults_close();
	images_are_sound();
	top = layer_open(TOP, false, FILE_UNSAFE);
	if (closed && !lost)
		disk_holds();
	ck_assert_int_eq(request_do(top->block, MT_BLOCK_READ, 0, 0, model, disk_bytes), 0);
	if (work_is_left(work)) {
		job = work_on(work);
		ck_assert_msg(job != NULL, "%s", err.message);
		to_its_end(job);
	}
	disk_holds();
	reopen(false, FILE_UNSAFE);
	ck_assert_int_eq(image_close(top), 0);
	return came;
}

START_TEST(faulty)
{
	int work = _i % WORKS;
	struct template *t = g_new0(struct template, 1);
	uint32_t k = 1, step = is_long() ? 1 : 5;

	chain_make(1 << 20, (1 << 20) + 65536, 2 << 20, _i >= WORKS ? "65536" : "8192", 40 + (uint64_t)_i);
	template_take(t);
	while (failed_at(work, k, 90)) {
		k += step;
		template_put(t);
	}
	ck_assert_uint_gt(k, 20);
	for (int i = 0; i < LAYERS; i++)
		g_free(t->bytes[i]);
	g_free(t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("jobs");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, is_long() ? 3600 : 300);
	tcase_add_checked_fixture(tc, tool_open, tool_close);
	tcase_add_loop_test(tc, live, 0, is_long() ? 12 : 6);
	tcase_add_loop_test(tc, ended, 0, 4);
	tcase_add_test(tc, outcome);
	tcase_add_test(tc, speeds);
	tcase_add_test(tc, refusals);
	tcase_add_test(tc, longer_below);
	tcase_add_loop_test(tc, between, 0, 4);
	tcase_add_loop_test(tc, waits, 0, 2);
	tcase_add_test(tc, no_such_part);
	tcase_add_loop_test(tc, late_pass, 0, 2);
	tcase_add_loop_test(tc, faulty, 0, is_long() ? 2 * WORKS : WORKS);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
