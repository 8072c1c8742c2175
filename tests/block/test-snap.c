/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of disks on real images beside a guest that writes all the time: overlays and internal ones, several as
 * one, with an error at each operation on the files. The disk reads at all times as the guest left it, and what was
 * below an overlay, or is kept in a snapshot, as it was at that moment.
 */
#include "kernel/block/block.h"
#include "kernel/block/snap.h"
#include "tests/block/job-disk.h"

static struct mt_error err = { .size = sizeof(err) };
static uint8_t kept[OVERLAYS + 1][DISK_MOST];        /* what the disk was at each snapshot */

static int internal(const char *name)
{
	struct snap s = { .inst = top->inst, .device = "disk", .name = name };

	err.message[0] = 0;
	return snap_take(&s, 1, &err);
}

static void disk_make(uint64_t seed)
{
	static const char *const units[] = { "4096", "65536", "512" };
	uint64_t bytes = seed % 2 ? DISK_MOST : 3 << 20;

	engine = seed % 2 ? FILE_ENGINE_THREADS : FILE_ENGINE_AUTO;
	chain_make(bytes / 2 / 512 * 512, bytes, bytes, units[seed % 3], seed);
	top = layer_open(TOP, false, FILE_UNSAFE);
	disk_holds();
}

/* An image by itself is sound and reads so. */
static void image_holds(const char *path, const char *snapshot, const uint8_t *wanted)
{
	struct image_options options = { .format = "qcow2", .write = snapshot == NULL, .allow_own = true };
	struct image *image = image_open(tool, path, &options, &err);
	struct mt_block_check found;

	ck_assert_msg(image != NULL, "%s", err.message);
	if (snapshot)
		ck_assert_msg(image_snapshot(image, IMAGE_SNAPSHOT_SHOW, snapshot, &err) == 0, "%s", err.message);
	else
		ck_assert_int_eq(image_check(image, 0, &found, NULL, NULL, &err), 0);
	if (!snapshot)
		ck_assert_uint_eq(found.corruptions, 0);
	ck_assert_int_eq(request_do(image->block, MT_BLOCK_READ, 0, 0, scratch, disk_bytes), 0);
	ck_assert_msg(!memcmp(scratch, wanted, disk_bytes), "%s does not hold what it did", path);
	ck_assert_int_eq(image_close(image), 0);
}

/*
 * The guest's thread is the model's, so it is held where the moment is to be known; while it runs freely the snapshot
 * is taken all the same, and only the disk is looked at.
 */
START_TEST(overlays)
{
	uint64_t dice = 300 + (uint64_t)_i;
	struct guest g;
	char *path;

	disk_make((uint64_t)_i);
	guest_open(&g, dice);
	guest_start(&g);
	for (int i = 0; i < OVERLAYS; i++) {
		bool hold = (i + _i) % 2;

		guest_goes_on(&g, 1 + random_next(&dice) % 12);
		path = over_path(i);
		if (hold) {
			guest_stop(&g);
			memcpy(kept[i], model, sizeof(model));
		}
		ck_assert_msg(overlay(path, &err) == 0, "%s", err.message);
		ck_assert_str_eq(block_file(top->inst), path);
		ck_assert_uint_eq(block_files_below(top->inst)->len, (guint)i + 3);
		ck_assert(top->node->backing->info.flags & MT_BLOCK_INFO_READONLY);
		if (hold)
			guest_start(&g);
		g_free(path);
	}
	guest_goes_on(&g, 24);
	guest_stop(&g);
	disk_holds();
	guest_close(&g);
	ck_assert_int_eq(image_close(top), 0);
	images_are_sound();
	for (int i = 0; i < OVERLAYS; i++) {
		path = i ? over_path(i - 1) : path_of(TOP);
		if ((i + _i) % 2)
			image_holds(path, NULL, kept[i]);
		g_free(path);
	}
	path = over_path(OVERLAYS - 1);
	image_holds(path, NULL, model);
	g_free(path);
}
END_TEST

START_TEST(internals)
{
	static const char *const names[] = { "one", "two", "three" };
	struct mt_block_snapshot gone;
	char *path = path_of(TOP);
	struct guest g;

	disk_make((uint64_t)_i);
	guest_open(&g, 77 + (uint64_t)_i);
	guest_start(&g);
	for (int i = 0; i < 3; i++) {
		guest_goes_on(&g, 10);
		guest_stop(&g);
		memcpy(kept[i], model, sizeof(model));
		guest_start(&g);
		guest_goes_on(&g, 3);
		guest_stop(&g);
		memcpy(kept[i], model, sizeof(model));
		ck_assert_msg(internal(names[i]) == 0, "%s", err.message);
		guest_start(&g);
		ck_assert_int_lt(internal(names[i]), 0);
		ck_assert_msg(strstr(err.message, "already"), "%s", err.message);
	}
	guest_goes_on(&g, 8);
	ck_assert_int_eq(snap_remove(top->inst, "disk", NULL, "two", &gone, &err), 0);
	ck_assert_str_eq(gone.id, "2");
	ck_assert_int_lt(snap_remove(top->inst, "disk", "2", NULL, &gone, &err), 0);
	guest_goes_on(&g, 8);
	guest_stop(&g);
	disk_holds();
	guest_close(&g);
	ck_assert_int_eq(image_close(top), 0);
	image_holds(path, NULL, model);
	image_holds(path, "one", kept[0]);
	image_holds(path, "three", kept[2]);
	g_free(path);
}
END_TEST

/* Freely: the moment is not known, but what the disk is then stays. */
START_TEST(torrent)
{
	struct guest g;

	disk_make((uint64_t)_i);
	guest_open(&g, 900 + (uint64_t)_i);
	guest_start(&g);
	for (int i = 0; i < 12; i++) {
		char *name = g_strdup_printf("s%d", i);
		struct mt_block_snapshot gone;

		guest_goes_on(&g, 2);
		ck_assert_msg(internal(name) == 0, "%s", err.message);
		g_free(name);
		if (i % 3 == 2)
			ck_assert_int_eq(snap_remove(top->inst, "disk", NULL, i % 2 ? "s1" : "s0", &gone, &err), i < 6 ? 0 : MT_EINVAL);
	}
	guest_goes_on(&g, 8);
	guest_stop(&g);
	disk_holds();
	guest_close(&g);
	ck_assert_int_eq(image_close(top), 0);
	images_are_sound();
}
END_TEST

static void refused(const char *path, const char *why)
{
	ck_assert_int_lt(overlay(path, &err), 0);
	ck_assert_msg(strstr(err.message, why), "'%s' does not say '%s'", err.message, why);
}

START_TEST(refusals)
{
	char *path = over_path(0), *other = path_of(LOW);
	struct snap twice[2] = { { .inst = NULL, .device = "disk", .path = path, .format = "qcow2" },
				 { .inst = NULL, .device = "disk", .name = "n" } };
	struct snap existing = { .device = "disk", .path = other, .format = "qcow2", .existing = true };

	disk_make(1);
	twice[0].inst = twice[1].inst = existing.inst = top->inst;
	ck_assert_int_lt(snap_take(twice, 2, &err), 0);
	ck_assert_msg(strstr(err.message, "twice"), "%s", err.message);
	ck_assert(!g_file_test(path, G_FILE_TEST_EXISTS));
	ck_assert_int_lt(snap_take(&existing, 1, &err), 0);
	ck_assert_msg(strstr(err.message, "in use") || strstr(err.message, "below"), "%s", err.message);
	refused(other, "is there already");
	refused("/nowhere/at/all.qcow2", "nothing can be made");
	top->node->busy = true;
	refused(path, "a job");
	top->node->busy = false;
	top->node->writers = 0;
	refused(path, "only read");
	top->node->writers = 1;
	ck_assert(!g_file_test(path, G_FILE_TEST_EXISTS));
	disk_holds();
	ck_assert_int_eq(request_do(top->block, MT_BLOCK_WRITE, 0, 0, model, 4096), 0);
	ck_assert_int_eq(overlay(path, &err), 0);
	disk_holds();
	ck_assert_int_eq(image_close(top), 0);
	g_free(path);
	g_free(other);
}
END_TEST

/* A second disk, of 1 MiB. */

static void extra_make(const char *path)
{
	struct mt_block_value values[] = { { "cluster_size", "4096" } };
	struct image_want want = { .path = path, .format = "qcow2",
				   .create = { .size = sizeof(want.create), .disk_bytes = 1 << 20, .value_count = 1, .values = values } };
	struct mt_block_maker *maker = maker_begin(tool_machine(tool), &want, &err);

	ck_assert(maker && maker_finish(maker, &err) == 0);
}

static struct image *extra_open(const char *path, enum file_cache cache)
{
	struct image_options options = { .format = "qcow2", .write = true, .allow_own = true, .cache = cache };
	struct image *extra = image_open(tool, path, &options, &err);

	ck_assert_msg(extra != NULL, "%s", err.message);
	extra->node->writers = 1;
	return extra;
}

/* Two disks; the second cannot, so the first is as it was, and no other program may write it. */
START_TEST(all_or_none)
{
	struct image_options more = { .format = "qcow2", .write = true, .allow_own = true };
	char *path = over_path(0), *extra_path = over_path(1), *low = path_of(LOW);
	struct image *extra, *second;
	struct snap snaps[2];
	uint8_t block[4096];

	extra_make(extra_path);
	extra = extra_open(extra_path, FILE_WRITEBACK);
	disk_make(2);
	for (int round = 0; round < 3; round++) {
		snaps[0] = (struct snap){ .inst = top->inst, .device = "disk", .path = path, .format = "qcow2" };
		if (round == 1)
			snaps[0] = (struct snap){ .inst = top->inst, .device = "disk", .name = "moment" };
		snaps[1] = (struct snap){ .inst = extra->inst, .device = "extra", .path = low, .format = "qcow2", .existing = true };
		if (round == 2)
			snaps[1] = (struct snap){ .inst = extra->inst, .device = "extra", .name = "moment" };
		ck_assert_int_eq(snap_take(snaps, 2, &err) == 0, round == 2);
		look_again();
		ck_assert_int_eq(g_file_test(path, G_FILE_TEST_EXISTS), round == 2);
		if (round < 2)
			ck_assert_uint_eq(image_snapshot_count(top), 0);
		memset(block, 'a' + round, sizeof(block));
		memcpy(model, block, sizeof(block));
		ck_assert_int_eq(request_do(top->block, MT_BLOCK_WRITE, 0, 0, block, sizeof(block)), 0);
		disk_holds();
		if (round < 2) {
			char *own = path_of(TOP);

			second = image_open(tool, own, &more, &err);
			ck_assert_msg(!second && strstr(err.message, "in use"), "a second writer gets in: %s", err.message);
			g_free(own);
		}
	}
	ck_assert_uint_eq(image_snapshot_count(extra), 1);
	ck_assert_int_eq(image_close(extra), 0);
	ck_assert_int_eq(image_close(top), 0);
	images_are_sound();
	image_holds(path, NULL, model);
	g_free(path);
	g_free(extra_path);
	g_free(low);
}
END_TEST

/* The k-th operation on the files fails: true when it came. */
static bool failed_at(bool is_overlay, uint32_t k)
{
	char *path = over_path(0);
	uint64_t state = k;
	bool came;
	int rc;

	top = layer_open(TOP, false, FILE_WRITEBACK);
	faults_open();
	faults_arm(k);
	data_make(scratch, 8192, &state);
	if (request_do(top->block, MT_BLOCK_WRITE, 0, 12288, scratch, 8192) == 0)
		memcpy(model + 12288, scratch, 8192);
	else
		ck_assert_int_eq(request_do(top->block, MT_BLOCK_READ, 0, 12288, model + 12288, 8192), 0);
	rc = is_overlay ? overlay(path, &err) : internal("moment");
	came = fault_count >= k;
	ck_assert_msg(rc == 0 || (came && *err.message), "it fails without an error, or without a word, at %u", k);
	faults_arm(0);
	disk_holds();
	ck_assert_int_eq(g_file_test(path, G_FILE_TEST_EXISTS), is_overlay && rc == 0);
	(void)image_close(top);
	faults_close();
	images_are_sound();
	if (is_overlay && rc == 0) {
		image_holds(path, NULL, model);
		g_unlink(path);
	}
	top = layer_open(TOP, false, FILE_UNSAFE);
	disk_holds();
	/* where the error was the last operation's, what was stored before it may be there; it is whole then */
	if (image_snapshot_count(top))
		ck_assert_int_eq(image_snapshot(top, IMAGE_SNAPSHOT_REMOVE, "moment", &err), 0);
	else
		ck_assert(is_overlay || rc < 0);
	ck_assert_int_eq(image_close(top), 0);
	g_free(path);
	return came;
}

START_TEST(faulty)
{
	uint32_t k = 1;

	chain_make(1 << 20, 1 << 20, 1 << 20, "8192", 40);
	while (failed_at(_i == 0, k))
		k++;
	ck_assert_uint_gt(k, 3);
}
END_TEST

/*
 * Two disks in one transaction, of overlays or internal snapshots, and the k-th operation on the files of either fails:
 * both are on the same side of it, and it says why it failed. Only a disk whose file cannot be synced any more, and so
 * not be written, may keep a snapshot that it was given before.
 */
static uint8_t extra_model[1 << 20];

static void both_write(struct image *const images[2], uint8_t *const models[2], uint64_t state)
{
	for (int i = 0; i < 2; i++) {
		data_make(scratch, 8192, &state);
		if (request_do(images[i]->block, MT_BLOCK_WRITE, 0, 12288, scratch, 8192) == 0)
			memcpy(models[i] + 12288, scratch, 8192);
		else
			ck_assert_int_eq(request_do(images[i]->block, MT_BLOCK_READ, 0, 12288, models[i] + 12288, 8192), 0);
	}
}

static bool is_taken(struct image *image, const char *over)
{
	return over ? !strcmp(block_file(image->inst), over) : image_snapshot_count(image) == 1;
}

/* `stored`: a snapshot that was taken is in the file; else it may be. */
static void both_end(const char *path, const char *over, const uint8_t *wanted, bool taken, bool stored)
{
	struct image *image;

	if (over)
		image_holds(taken ? over : path, NULL, wanted);
	if (over && taken)
		g_unlink(over);
	if (over || !taken)
		return;
	image = extra_open(path, FILE_UNSAFE);
	taken = image_snapshot_count(image) == 1;
	ck_assert_int_eq(image_close(image), 0);
	ck_assert(taken || !stored);
	if (!taken)
		return;
	image_holds(path, "moment", wanted);
	image = extra_open(path, FILE_UNSAFE);
	ck_assert_int_eq(image_snapshot(image, IMAGE_SNAPSHOT_REMOVE, "moment", &err), 0);
	ck_assert_int_eq(image_close(image), 0);
	image_holds(path, NULL, wanted);
}

static bool both_failed_at(int kinds, uint32_t k)
{
	char *paths[2] = { path_of(TOP), over_path(1) }, *made[2] = { over_path(0), over_path(2) };
	const char *overs[2] = { kinds & 1 ? made[0] : NULL, kinds & 2 ? made[1] : NULL };
	struct image *extra = extra_open(paths[1], FILE_WRITEBACK), *images[2];
	uint8_t *models[2] = { model, extra_model };
	struct snap snaps[2];
	bool came, taken[2];
	int rc;

	top = images[0] = layer_open(TOP, false, FILE_WRITEBACK);
	images[1] = extra;
	for (int i = 0; i < 2; i++)
		snaps[i] = (struct snap){ .inst = images[i]->inst, .device = i ? "extra" : "disk", .path = overs[i],
					  .format = "qcow2", .name = overs[i] ? NULL : "moment" };
	faults_open();
	faults_over(extra->node);
	faults_arm(k);
	both_write(images, models, k);
	err.message[0] = 0;
	rc = snap_take(snaps, 2, &err);
	came = fault_count >= k;
	ck_assert_msg(rc == 0 || (came && *err.message), "it fails without an error, or without a word, at %u", k);
	faults_arm(0);
	for (int i = 0; i < 2; i++) {
		bool broken = !overs[i] && images[i]->node->children[0].file->flush_failed;

		taken[i] = is_taken(images[i], overs[i]);
		ck_assert_msg(taken[i] == (rc == 0) || broken, "operation %u: disk %d is on the other side", k, i);
		ck_assert_int_eq(g_file_test(made[i], G_FILE_TEST_EXISTS), overs[i] && rc == 0);
		ck_assert_int_eq(request_do(images[i]->block, MT_BLOCK_READ, 0, 0, scratch, disk_bytes), 0);
		ck_assert_msg(!memcmp(scratch, models[i], disk_bytes), "disk %d is another, at %u", i, k);
	}
	(void)image_close(extra);
	(void)image_close(top);
	faults_close();
	images_are_sound();
	for (int i = 0; i < 2; i++) {
		both_end(paths[i], overs[i], models[i], taken[i], rc == 0);
		g_free(paths[i]);
		g_free(made[i]);
	}
	return came;
}

START_TEST(faulty_transaction)
{
	char *path = over_path(1);
	uint32_t k = 1;

	chain_make(1 << 20, 1 << 20, 1 << 20, "8192", 50);
	memset(extra_model, 0, sizeof(extra_model));
	extra_make(path);
	while (both_failed_at(_i, k))
		k++;
	ck_assert_uint_gt(k, 10);
	g_free(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snap");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_checked_fixture(tc, tool_open, tool_close);
	tcase_add_loop_test(tc, overlays, 0, 6);
	tcase_add_loop_test(tc, internals, 0, 3);
	tcase_add_loop_test(tc, torrent, 0, 3);
	tcase_add_test(tc, refusals);
	tcase_add_test(tc, all_or_none);
	tcase_add_loop_test(tc, faulty, 0, 2);
	tcase_add_loop_test(tc, faulty_transaction, 0, 4);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
