/* SPDX-License-Identifier: MIT */
/*
 * What is done to an image as a whole, on the fake host: snapshots against copies of the model, other sizes, other
 * versions and widths, damage and its repair. qemu-img judges, and takes turns.
 */
#include "test-disk.h"

#include <util/endian.h>
#include <util/minmax.h>

#define KEPT 4u

static const char *const forms[][8] = {
	{ "cluster_size", "512", NULL },
	{ "cluster_size", "4096", "refcount_bits", "8", NULL },
	{ "compat", "0.10", "cluster_size", "1024", NULL },
	{ "extended_l2", "true", "cluster_size", "16384", NULL },
	{ "lazy_refcounts", "true", NULL },
	{ "cluster_size", "1024", "refcount_bits", "2", NULL },
};
#define FORMS (sizeof(forms) / sizeof(forms[0]))

static struct fake_script s;
static uint8_t *kept[KEPT];
static uint64_t kept_bytes[KEPT];
static uint32_t kept_count;

static const struct mt_block_snapshots *snapshots(void)
{
	return fake_role(f, MT_IFACE_BLOCK_SNAPSHOTS);
}

static const struct mt_block_image *image(void)
{
	return fake_role(f, MT_IFACE_BLOCK_IMAGE);
}

static void fine(int32_t rc, const struct mt_error *err)
{
	ck_assert_msg(rc == 0, "%d: %s", rc, err->message);
	flush();
}

static uint8_t *copy_of(const uint8_t *bytes, uint64_t len)
{
	uint8_t *copy = malloc(len);

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, bytes, len);
	return copy;
}

static void take(void)
{
	struct mt_block_snapshot what = { .size = sizeof(what), .date_sec = 1700000000, .icount = UINT64_MAX };
	struct mt_error err;

	mt_error_init(&err);
	snprintf(what.name, sizeof(what.name), "snapshot of seed %llu", (unsigned long long)s.seed);
	fine(snapshots()->create(fake_self(f), &what, &err), &err);
	kept[kept_count] = copy_of(s.model, s.disk_bytes);
	kept_bytes[kept_count++] = s.disk_bytes;
	ck_assert_uint_eq(snapshots()->count(fake_self(f)), kept_count);
}

/* The script goes on with another disk. */
static void model_set(const uint8_t *bytes, uint64_t len)
{
	uint64_t seed = s.seed;

	fake_script_end(&s);
	fake_script_begin(&s, f, seed);
	ck_assert_uint_eq(s.disk_bytes, len);
	ck_assert_msg(memcmp(s.model, bytes, len) == 0, "the disk is not what it should be");
}

static void go_back(uint32_t index)
{
	struct mt_error err;

	mt_error_init(&err);
	fine(snapshots()->apply(fake_self(f), index, &err), &err);
	model_set(kept[index], kept_bytes[index]);
}

static void forget(uint32_t index)
{
	free(kept[index]);
	memmove(&kept[index], &kept[index + 1], (kept_count - index - 1) * sizeof(kept[0]));
	memmove(&kept_bytes[index], &kept_bytes[index + 1], (kept_count - index - 1) * sizeof(kept_bytes[0]));
	kept_count--;
}

static void drop(uint32_t index)
{
	struct mt_error err;

	mt_error_init(&err);
	fine(snapshots()->remove(fake_self(f), index, &err), &err);
	forget(index);
}

static void resize(uint64_t bytes)
{
	uint8_t *now = calloc(1, mt_max_u64(bytes, s.disk_bytes));
	struct mt_error err;

	mt_error_init(&err);
	memcpy(now, s.model, mt_min_u64(bytes, s.disk_bytes));
	fine(image()->resize(fake_self(f), bytes, MT_BLOCK_RESIZE_SHRINK, MT_BLOCK_PREALLOC_OFF, &err), &err);
	model_set(now, bytes);
	free(now);
}

static void step(uint32_t form, uint64_t r)
{
	if (form == 5)                                 /* what was given up is counted until it is given back */
		flush();
	if (r % 5 == 0 && kept_count < (form == 5 ? 2 : KEPT))
		take();
	else if (r % 5 == 1 && kept_count)
		go_back((uint32_t)(r >> 8) % kept_count);
	else if (r % 5 == 2 && kept_count)
		drop((uint32_t)(r >> 8) % kept_count);
	else if (r % 5 == 3)
		resize(((r >> 8) % 3000 + 500) * 512);
	else
		fake_script_run(&s, f, 15, 100000);
}

static void finish(void)
{
	while (kept_count)
		forget(0);
	fake_script_end(&s);
}

static void begin(uint32_t form, uint64_t bytes, uint64_t seed)
{
	kept_count = 0;
	if (f && fake_self(f))
		start_again();
	make(bytes, NULL, forms[form]);
	fake_script_begin(&s, f, seed);
}

START_TEST(snapshot_scripts)
{
	uint32_t steps = getenv("MORTISE_LONG") ? 60 : 10;

	for (uint32_t form = 0; form < FORMS; form++) {
		uint64_t random = form + 77;

		begin(form, 1 << 20, form + 5);
		for (uint32_t i = 0; i < steps; i++) {
			fake_script_run(&s, f, 6, 50000);
			step(form, fake_random(&random));
			fake_script_compare(&s, f);
			flush();
			check_clean();
			if (i % 5 == 0) {
				reopen();
				fake_script_compare(&s, f);
			}
		}
		qemu_agrees(s.model, s.disk_bytes);
		finish();
	}
}
END_TEST

/* Counts of two bits: two snapshots beside the disk, in any order; a third is refused, and nothing is changed. */
START_TEST(narrow_counts)
{
	struct mt_block_snapshot what = { .size = sizeof(what), .name = "third", .icount = UINT64_MAX };
	struct mt_error err;

	begin(5, 1 << 20, 4);
	for (uint32_t i = 0; i < 2; i++) {
		fake_script_run(&s, f, 30, 60000);
		take();
	}
	for (uint32_t i = 0; i < 5; i++) {
		uint64_t len;
		const uint8_t *now = fake_block_file(f, "d.qcow2", &len);
		uint8_t *was = copy_of(now, len);

		mt_error_init(&err);
		ck_assert_int_eq(snapshots()->create(fake_self(f), &what, &err), MT_ERANGE);
		ck_assert_msg(strstr(err.message, "counts of 2 bits") != NULL, "%s", err.message);
		ck_assert(strstr(err.hint, "refcount_bits=16") != NULL);
		ck_assert_mem_eq(fake_block_file(f, "d.qcow2", NULL), was, len);
		free(was);
		go_back(i % 2);
		check_clean();
	}
	finish();
}
END_TEST

/* Images and snapshots go from hand to hand. */
START_TEST(turns_with_qemu)
{
	if (!fake_have("qemu-img"))
		return;
	for (uint32_t form = 0; form + 1 < FORMS; form++) {
		begin(form, 1 << 20, form + 50);
		fake_script_run(&s, f, 20, 50000);
		take();
		fake_script_run(&s, f, 20, 50000);
		flush();
		reopen();
		save();
		ck_assert_int_eq(fake_run("cd %s && qemu-img snapshot -c theirs d.qcow2 && qemu-img snapshot -a 1 d.qcow2",
					  folder), 0);
		load();
		kept[1] = copy_of(s.model, s.disk_bytes);
		kept_bytes[1] = s.disk_bytes;
		kept_count = 2;
		model_set(kept[0], kept_bytes[0]);
		check_clean();
		go_back(1);
		fake_script_run(&s, f, 20, 50000);
		flush();
		check_clean();
		drop(0);
		qemu_agrees(s.model, s.disk_bytes);
		ck_assert_int_eq(fake_run("cd %s && qemu-img snapshot -l d.qcow2 | grep -q theirs && "
					  "qemu-img snapshot -d theirs d.qcow2 && qemu-img check -q d.qcow2", folder), 0);
		finish();
	}
}
END_TEST

/* The state of a machine goes with a snapshot, and does not stay on the disk. */
START_TEST(vm_state)
{
	struct mt_block_snapshot got = { .size = sizeof(got) };
	uint8_t state[5000], back[5000];
	struct mt_error err;

	mt_error_init(&err);
	begin(1, (1 << 20) + 512, 9);
	memset(state, 0x5a, sizeof(state));
	fake_script_run(&s, f, 10, 50000);
	ck_assert_int_eq(snapshots()->vm_state_write(fake_self(f), 3 << 20, state, sizeof(state)), 0);
	ck_assert_int_eq(snapshots()->vm_state_write(fake_self(f), 100, state, sizeof(state)), 0);
	take();
	flush();
	check_clean();
	fake_script_run(&s, f, 10, 50000);
	take();
	ck_assert_int_eq(snapshots()->get(fake_self(f), 0, &got), 0);
	ck_assert_uint_eq(got.vm_state_bytes, (3 << 20) + sizeof(state));
	ck_assert_uint_eq(got.disk_bytes, (1 << 20) + 512);
	ck_assert_str_eq(got.id, "1");
	ck_assert_int_eq(snapshots()->get(fake_self(f), 1, &got), 0);
	ck_assert_uint_eq(got.vm_state_bytes, 0);
	ck_assert_int_lt(snapshots()->vm_state_read(fake_self(f), 0, back, 10), 0);
	go_back(0);
	ck_assert_int_eq(snapshots()->vm_state_read(fake_self(f), 3 << 20, back, sizeof(back)), 0);
	ck_assert_mem_eq(back, state, sizeof(back));
	ck_assert_int_eq(snapshots()->vm_state_read(fake_self(f), 100, back, sizeof(back)), 0);
	ck_assert_mem_eq(back, state, sizeof(back));
	fake_script_run(&s, f, 10, 50000);
	resize(2 << 20);
	fake_script_compare(&s, f);
	flush();
	check_clean();
	qemu_agrees(s.model, s.disk_bytes);
	finish();
}
END_TEST

static void amend(const char *name, const char *value, int works)
{
	struct mt_block_value v = { name, value };
	struct mt_error err;
	int32_t rc;

	mt_error_init(&err);
	rc = image()->amend(fake_self(f), &v, 1, &err);
	ck_assert_msg((rc == 0) == works, "%s = %s: %d %s", name, value, rc, err.message);
	flush();
	check_clean();
	fake_script_compare(&s, f);
	fake_script_run(&s, f, 10, 50000);
	flush();
	fake_script_compare(&s, f);
	check_clean();
}

START_TEST(amending)
{
	struct mt_error err;

	mt_error_init(&err);
	begin(2, 1 << 20, 3);
	fake_script_run(&s, f, 20, 50000);
	amend("refcount_bits", "8", 0);
	amend("compat", "1.1", 1);
	for (uint32_t bits = 1; bits <= 64; bits *= 2) {
		char text[8];

		snprintf(text, sizeof(text), "%u", bits);
		amend("refcount_bits", text, 1);
		reopen();
	}
	amend("compat", "0.10", 0);
	amend("refcount_bits", "24", 0);
	amend("refcount_bits", "16", 1);
	amend("lazy_refcounts", "true", 1);
	reopen();
	amend("lazy_refcounts", "false", 1);
	amend("cluster_size", "4096", 0);
	qemu_agrees(s.model, s.disk_bytes);
	load();
	amend("compat", "0.10", 1);
	fine(image()->backing_set(fake_self(f), NULL, NULL, &err), &err);
	qemu_agrees(s.model, s.disk_bytes);
	load();
	fine(image()->make_empty(fake_self(f), &err), &err);
	check_clean();
	memset(s.model, 0, s.disk_bytes);
	fake_script_compare(&s, f);
	finish();
}
END_TEST

/* Damage to counts and flags is found and mended; what the disk reads as stays. */
START_TEST(repair)
{
	for (uint32_t i = 0; i < 12; i++) {
		struct mt_block_check c;
		uint64_t random = i + 1, len, table, block;
		uint8_t *bytes, *damaged;

		begin(i % FORMS == 5 ? 1 : i % FORMS, 1 << 20, i);
		fake_script_run(&s, f, 20, 50000);
		if (i & 1)
			take();
		fake_script_run(&s, f, 10, 50000);
		flush();
		reopen();
		bytes = fake_block_file(f, "d.qcow2", &len);
		table = mt_get_be64(bytes + 48);
		block = mt_get_be64(bytes + table);
		if (i % 4 == 3)
			mt_put_be64(bytes + table, i % 8 == 3 ? 0 : block + 512);
		for (uint32_t k = 0; i % 4 < 3 && k < 40; k++)
			bytes[block + fake_random(&random) % 512] = (uint8_t)(fake_random(&random) % 3);
		damaged = copy_of(bytes, len);
		fake_block_file_set(f, "d.qcow2", damaged, len);
		free(damaged);
		save();
		fake_free(f);
		f = fake_new("block-qcow2");
		{
			char path[300];

			snprintf(path, sizeof(path), "%s/d.qcow2", folder);
			fake_block_file_load(f, "d.qcow2", path);
		}
		open_disk();
		c = check(MT_BLOCK_CHECK_ALL | MT_BLOCK_CHECK_LEAKS);
		ck_assert_uint_gt(c.corruptions + c.leaks, 0);
		ck_assert_msg(c.corruptions == c.corruptions_fixed, "round %u: %s", i, findings);
		flush();
		check_clean();
		fake_script_compare(&s, f);
		fake_script_run(&s, f, 10, 50000);
		flush();
		check_clean();
		qemu_agrees(s.model, s.disk_bytes);
		finish();
	}
}
END_TEST

/* Faults */

struct faulty {
	uint8_t model[1 << 20];
	uint8_t unknown[2048];               /* sectors that a failed write may have changed */
	uint8_t kept[1 << 20], kept_unknown[2048];      /* those of the snapshot */
};

static void faulty_write(struct faulty *t, uint64_t *random)
{
	uint64_t at = fake_random(random) % 2000 * 512, len = (1 + fake_random(random) % 48) * 512;
	uint32_t op = (uint32_t)(fake_random(random) % 4);
	uint8_t value = op ? (uint8_t)fake_random(random) : 0;
	int rc;

	memset(t->model + at, value, len);
	rc = op ? fake_block_write(f, at, t->model + at, len) : fake_block_zero(f, at, len, MT_BLOCK_ZERO, MT_BLOCK_MAY_UNMAP);
	memset(t->unknown + at / 512, rc < 0, len / 512);
	ck_assert(rc == 0 || rc == MT_EIO);
}

/* Snapshots, one way or the other: done, or not done and an error. */
static void faulty_snapshot(struct faulty *t, uint32_t which)
{
	struct mt_block_snapshot what = { .size = sizeof(what), .name = "s", .icount = UINT64_MAX };
	struct mt_error err;
	int32_t rc;

	mt_error_init(&err);
	if (fake_block_flush(f) < 0)             /* then the kernel begins no such operation */
		return;
	if (which == 0) {
		rc = snapshots()->create(fake_self(f), &what, &err);
		memcpy(t->kept, t->model, sizeof(t->kept));
		memcpy(t->kept_unknown, t->unknown, sizeof(t->kept_unknown));
	} else if (snapshots()->count(fake_self(f)) == 0) {
		return;
	} else if (which == 1) {
		rc = snapshots()->apply(fake_self(f), 0, &err);
		memcpy(t->model, t->kept, sizeof(t->model));
		memcpy(t->unknown, t->kept_unknown, sizeof(t->unknown));
		if (rc < 0)
			memset(t->unknown, 1, sizeof(t->unknown));     /* it may have been done */
	} else {
		rc = snapshots()->remove(fake_self(f), 0, &err);
	}
	ck_assert_msg(rc == 0 || *err.message, "%d of %u without words", rc, which);
}

static void faulty_compare(const struct faulty *t)
{
	static uint8_t all[1 << 20];

	ck_assert_int_eq(fake_block_read(f, 0, all, sizeof(all)), 0);
	/* an assertion writes to a file even where it holds */
	for (uint32_t i = 0; i < sizeof(all); i++) {
		if (!t->unknown[i / 512] && all[i] != t->model[i])
			ck_abort_msg("byte %u is %02x, not %02x", i, all[i], t->model[i]);
	}
}

static void faulty_script(struct faulty *t, uint64_t random)
{
	for (uint32_t i = 0; i < 16; i++)
		faulty_write(t, &random);
	(void)fake_block_flush(f);
	faulty_snapshot(t, 0);
	for (uint32_t i = 0; i < 10; i++)
		faulty_write(t, &random);
	(void)fake_block_flush(f);
	faulty_snapshot(t, 1);
	for (uint32_t i = 0; i < 6; i++)
		faulty_write(t, &random);
	faulty_snapshot(t, 2);
	(void)fake_block_flush(f);
	(void)fake_block_flush(f);
}

/* An error at each k-th operation of the host: somebody hears of it, nothing is damaged, and the disk goes on. */
START_TEST(faults)
{
	static struct faulty t;
	uint32_t step = getenv("MORTISE_LONG") ? 1 : 7;

	for (uint32_t form = 0; form < FORMS; form++) {
		uint64_t left = 0;

		for (uint64_t k = 1 + form; left == 0; k += step) {
			struct mt_block_check c;
			uint64_t random = k + 1000;

			memset(&t, 0, sizeof(t));
			kept_count = 0;
			if (f && fake_self(f))
				start_again();
			make(1 << 20, NULL, forms[form]);
			fake_block_misses(f, 0);
			fake_block_fail_in(f, k);
			faulty_script(&t, form + 7);
			left = fake_block_fail_left(f);
			fake_block_fail_in(f, 0);
			flush();
			faulty_compare(&t);
			c = check(MT_BLOCK_CHECK_LEAKS);
			ck_assert_msg(c.corruptions == 0 && c.errors == 0, "form %u, operation %llu: %s", form,
				      (unsigned long long)k, findings);
			faulty_write(&t, &random);
			flush();
			reopen();
			faulty_compare(&t);
			check_clean();
		}
	}
}
END_TEST

/* To 3 MiB, with tables and clusters for what is added; the k-th operation of the host fails. 0: there is none. */
static int grow_fails(struct faulty *t, uint32_t form, uint64_t k)
{
	uint64_t random = k, left;
	struct mt_block_check c;
	struct mt_error err;
	int rc;

	mt_error_init(&err);
	memset(t, 0, sizeof(*t));
	if (f && fake_self(f))
		start_again();
	make(1 << 20, NULL, forms[form]);
	for (uint32_t i = 0; i < 8; i++)
		faulty_write(t, &random);
	flush();
	if (form & 1)
		faulty_snapshot(t, 0);
	fake_block_fail_in(f, k);
	rc = image()->resize(fake_self(f), 3 << 20, 0, MT_BLOCK_PREALLOC_METADATA, &err);
	left = fake_block_fail_left(f);
	fake_block_fail_in(f, 0);
	ck_assert_msg(rc == 0 || *err.message, "%d without words", rc);
	flush();
	faulty_compare(t);
	c = check(rc == 0 ? MT_BLOCK_CHECK_LEAKS : 0);        /* what has grown may have lost what it gave up */
	ck_assert_msg(c.corruptions + c.errors + (rc < 0 ? c.leaks : 0) == 0, "form %u, operation %llu: %s", form,
		      (unsigned long long)k, findings);
	faulty_write(t, &random);
	flush();
	reopen();
	faulty_compare(t);
	check_clean();
	return left == 0;
}

/* An error at each k-th operation while the disk grows: what was taken for that is given back. */
START_TEST(growing_fails)
{
	static struct faulty t;
	uint32_t step = getenv("MORTISE_LONG") ? 1 : 3;

	kept_count = 0;
	for (uint32_t form = 0; form < FORMS; form++) {
		for (uint64_t k = 1 + form % step; grow_fails(&t, form, k); k += step)
			;
	}
}
END_TEST

int main(void)
{
	CHECK_RUN("block-qcow2 image", start, stop, snapshot_scripts, narrow_counts, turns_with_qemu, vm_state, amending,
		  repair, faults, growing_fails);
}
