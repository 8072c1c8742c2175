/* SPDX-License-Identifier: MIT */
/*
 * Dirty bitmaps on the fake host: random operations against a model, the rules of being in use, and an error at each
 * operation of the host. qemu-img judges the images.
 */
#include <mortise/draft/block-bitmap.h>
#include <util/minmax.h>

#include "test-disk.h"

#define DISK_BYTES ((3u << 20) + 512)
#define MODELS     6u

static const char *const forms[][6] = {
	{ "cluster_size", "512", NULL },
	{ "cluster_size", "4096", "refcount_bits", "1", NULL },
	{ "extended_l2", "true", "cluster_size", "16384", NULL },
	{ "lazy_refcounts", "true", NULL },
};
#define FORMS (sizeof(forms) / sizeof(forms[0]))

struct model {
	char name[40];
	uint32_t flags, bits;
	uint64_t len;
	uint8_t bytes[(DISK_BYTES >> 9) / 8 + 1];
};

static struct model models[MODELS];
static uint32_t model_count;

static const struct mt_block_bitmaps *bitmaps(void)
{
	return fake_role(f, MT_IFACE_BLOCK_BITMAPS);
}

static void fine(int32_t rc, const struct mt_error *err)
{
	ck_assert_msg(rc == 0, "%d: %s", rc, err->message);
	flush();
}

static void model_add(uint64_t r)
{
	struct model *m = &models[model_count];
	uint64_t pieces;

	*m = (struct model){ .bits = 9 + (uint32_t)(r % 12), .flags = r & 4096 ? MT_BLOCK_BITMAP_ENABLED : 0 };
	snprintf(m->name, sizeof(m->name), "bitmap of %.*s %llu", (int)(r % 9), "many words", (unsigned long long)r % 100000);
	pieces = (DISK_BYTES + (1ull << m->bits) - 1) >> m->bits;
	m->len = (pieces + 7) / 8;
}

static int32_t add(const struct model *m, struct mt_error *err)
{
	struct mt_block_bitmap what = { .size = sizeof(what), .flags = m->flags, .granularity_bytes = 1ull << m->bits };

	snprintf(what.name, sizeof(what.name), "%s", m->name);
	return bitmaps()->add(fake_self(f), &what, err);
}

/* Zeros, ones, or anything: runs longer than a cluster of bits too. Behind the last bit there is nothing. */
static void model_draw(struct model *m, uint64_t *random)
{
	uint64_t pieces = (DISK_BYTES + (1ull << m->bits) - 1) >> m->bits;

	for (uint64_t at = 0, n; at < m->len; at += n) {
		uint64_t kind = fake_random(random) % 3;

		n = mt_min_u64(1 + fake_random(random) % 700, m->len - at);
		for (uint64_t i = at; i < at + n; i++)
			m->bytes[i] = kind == 0 ? 0 : kind == 1 ? 0xff : (uint8_t)fake_random(random);
	}
	if (pieces % 8)
		m->bytes[m->len - 1] &= (uint8_t)((1u << pieces % 8) - 1);
}

static void compare(void)
{
	static uint8_t bytes[sizeof(models[0].bytes)];
	struct mt_error err;

	ck_assert_uint_eq(bitmaps()->count(fake_self(f)), model_count);
	for (uint32_t i = 0; i < model_count; i++) {
		struct mt_block_bitmap b = { .size = sizeof(b) };
		const struct model *m = &models[i];

		mt_error_init(&err);
		ck_assert_int_eq(bitmaps()->get(fake_self(f), i, &b), 0);
		ck_assert_str_eq(b.name, m->name);
		ck_assert_uint_eq(b.flags, m->flags);
		ck_assert_uint_eq(b.granularity_bytes, 1ull << m->bits);
		fine(bitmaps()->read(fake_self(f), i, bytes, m->len, &err), &err);
		ck_assert_msg(memcmp(bytes, m->bytes, m->len) == 0, "bitmap %u of %u", i, model_count);
	}
}

static void step(uint64_t *random)
{
	uint64_t r = fake_random(random), which = model_count ? (r >> 16) % model_count : 0;
	struct model *m = &models[which];
	struct mt_error err;

	mt_error_init(&err);
	if (r % 4 == 0 || !model_count) {
		if (model_count == MODELS)
			return;
		model_add(r >> 8);
		fine(add(&models[model_count++], &err), &err);
	} else if (r % 8 == 1) {
		fine(bitmaps()->remove(fake_self(f), (uint32_t)which, &err), &err);
		memmove(m, m + 1, (--model_count - which) * sizeof(*m));
	} else if (r % 8 == 2) {
		m->flags ^= MT_BLOCK_BITMAP_ENABLED;
		fine(bitmaps()->set_flags(fake_self(f), (uint32_t)which, m->flags, &err), &err);
	} else if (r % 8 == 3) {
		memset(m->bytes, 0, sizeof(m->bytes));
		fine(bitmaps()->write(fake_self(f), (uint32_t)which, NULL, m->len, &err), &err);
	} else {
		model_draw(m, random);
		fine(bitmaps()->write(fake_self(f), (uint32_t)which, m->bytes, m->len, &err), &err);
	}
}

/* The disk is closed: qemu-img sees the same list, and finds nothing wrong. */
static void qemu_lists(void)
{
	if (!fake_have("qemu-img"))
		return;
	((const struct mt_device_class *)fake_role(f, MT_IFACE_DEVICE))->unrealize(fake_self(f));
	save();
	ck_assert_int_eq(fake_run("cd %s && qemu-img check -f qcow2 d.qcow2 >log 2>&1 || { cat log; exit 1; }", folder), 0);
	ck_assert_int_eq(fake_run("cd %s && qemu-img info d.qcow2 >log", folder), 0);
	for (uint32_t i = 0; i < model_count; i++)
		ck_assert_int_eq(fake_run("grep -q 'name: %s$' %s/log", models[i].name, folder), 0);
	ck_assert_int_ne(fake_run("grep -q in-use %s/log", folder), 0);
}

START_TEST(scripts)
{
	for (uint32_t form = 0; form < FORMS; form++) {
		uint64_t random = form + 1;

		if (f && fake_self(f))
			start_again();
		make(DISK_BYTES, NULL, forms[form]);
		model_count = 0;
		for (uint32_t i = 0; i < 60; i++) {
			step(&random);
			if (i % 5)
				continue;
			check_clean();
			compare();
			reopen();
			compare();
		}
		qemu_lists();
	}
}
END_TEST

/* One that is disabled does not follow writes: it stays what it was, until the disk has another size. */
START_TEST(disabled)
{
	const struct mt_block_image *image;
	struct mt_block_bitmap b = { .size = sizeof(b) };
	uint8_t sector[512] = { 1 };
	uint64_t random = 5;
	struct mt_error err;

	mt_error_init(&err);
	make(DISK_BYTES, NULL, forms[1]);
	model_add(11);
	model_count = 1;
	ck_assert_uint_eq(models[0].flags, 0);
	model_draw(&models[0], &random);
	fine(add(&models[0], &err), &err);
	fine(bitmaps()->write(fake_self(f), 0, models[0].bytes, models[0].len, &err), &err);
	ck_assert_int_eq(fake_block_write(f, 4096, sector, sizeof(sector)), 0);
	flush();
	compare();
	reopen();
	compare();
	check_clean();
	qemu_lists();
	start_again();
	make(DISK_BYTES, NULL, forms[1]);
	fine(add(&models[0], &err), &err);
	image = fake_role(f, MT_IFACE_BLOCK_IMAGE);
	fine(image->resize(fake_self(f), DISK_BYTES * 2, 0, 0, &err), &err);
	reopen();
	ck_assert_int_eq(bitmaps()->get(fake_self(f), 0, &b), 0);
	ck_assert_uint_eq(b.flags, MT_BLOCK_BITMAP_IN_USE);
	check_clean();
}
END_TEST

/* A write takes a bitmap's worth away, and only a removal is left. */
START_TEST(in_use)
{
	struct mt_block_bitmap b = { .size = sizeof(b) };
	uint8_t sector[512] = { 1 }, bytes[64];
	struct mt_error err;

	mt_error_init(&err);
	make(DISK_BYTES, NULL, forms[1]);
	model_add(4096 + 11);
	fine(add(&models[0], &err), &err);
	model_count = 1;
	reopen();
	compare();
	ck_assert_int_eq(fake_block_write(f, 4096, sector, sizeof(sector)), 0);
	flush();
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_int_eq(bitmaps()->get(fake_self(f), 0, &b), 0);
		ck_assert_uint_eq(b.flags, MT_BLOCK_BITMAP_IN_USE | MT_BLOCK_BITMAP_ENABLED);
		mt_error_init(&err);
		ck_assert_int_eq(bitmaps()->read(fake_self(f), 0, bytes, models[0].len, &err), MT_EINVAL);
		ck_assert_int_eq(bitmaps()->write(fake_self(f), 0, NULL, models[0].len, &err), MT_EINVAL);
		ck_assert_int_eq(bitmaps()->set_flags(fake_self(f), 0, 0, &err), MT_EINVAL);
		reopen();
	}
	mt_error_init(&err);
	fine(bitmaps()->remove(fake_self(f), 0, &err), &err);
	ck_assert_uint_eq(bitmaps()->count(fake_self(f)), 0);
	check_clean();
}
END_TEST

static uint8_t *file_copy(uint64_t *len)
{
	const uint8_t *bytes = fake_block_file(f, "d.qcow2", len);
	uint8_t *copy = malloc(*len);

	memcpy(copy, bytes, *len);
	return copy;
}

static int is_file(const uint8_t *was, uint64_t len)
{
	uint64_t now;
	const uint8_t *bytes = fake_block_file(f, "d.qcow2", &now);

	return now == len && memcmp(was, bytes, len) == 0;
}

/* Nothing is written, be it the same. */
static void closes_at_rest(void)
{
	uint64_t len;
	uint8_t *was;

	flush();
	ck_assert_int_eq(fake_block_rest(f), 0);
	was = file_copy(&len);
	ck_assert_uint_eq(was[79] & 1, 0);             /* lazy counts are right again */
	fake_block_fail_in(f, 1000);
	((const struct mt_device_class *)fake_role(f, MT_IFACE_DEVICE))->unrealize(fake_self(f));
	ck_assert_uint_eq(fake_block_fail_left(f), 1000);
	ck_assert(is_file(was, len));
	free(was);
	fake_block_fail_in(f, 0);
	reopen();
}

/* At rest the file is as a close leaves it, and a write, and nothing else, changes what it says of itself before. */
START_TEST(rests)
{
	uint8_t sector[512] = { 1 }, *was;
	struct mt_error err;
	uint64_t len;

	for (uint32_t form = 0; form < FORMS; form++) {
		if (form)
			start_again();
		make(DISK_BYTES, NULL, forms[form]);
		fake_block_misses(f, 0);
		model_add(4096 + 11);
		mt_error_init(&err);
		fine(add(&models[0], &err), &err);
		ck_assert_int_eq(fake_block_rest(f), 0);
		was = file_copy(&len);
		reopen();                              /* wakes */
		ck_assert(!is_file(was, len));
		for (uint32_t i = 0; i < 2; i++) {
			ck_assert_int_eq(fake_block_rest(f), 0);
			ck_assert(is_file(was, len));
			ck_assert_int_eq(fake_block_read(f, 0, sector, sizeof(sector)), 0);
			ck_assert(is_file(was, len));
			ck_assert_int_eq(fake_block_wake(f), 0);
		}
		free(was);
		for (uint32_t i = 0; i < 3; i++) {
			closes_at_rest();
			ck_assert_int_eq(fake_block_write(f, i << 20, sector, sizeof(sector)), 0);
			check_clean();
		}
	}
}
END_TEST

static void refuse(int32_t code, const char *name, uint64_t granularity)
{
	struct mt_block_bitmap what = { .size = sizeof(what), .granularity_bytes = granularity };
	struct mt_error err;

	mt_error_init(&err);
	snprintf(what.name, sizeof(what.name), "%s", name);
	ck_assert_int_eq(bitmaps()->add(fake_self(f), &what, &err), code);
	ck_assert(*err.message);
}

START_TEST(refusals)
{
	static const char *const old[] = { "compat", "0.10", NULL };
	uint8_t bytes[8192];
	struct mt_error err;

	mt_error_init(&err);
	make(DISK_BYTES, NULL, forms[0]);
	model_add(4096 + 11);
	fine(add(&models[0], &err), &err);
	refuse(MT_EINVAL, models[0].name, 65536);
	refuse(MT_ERANGE, "", 65536);
	refuse(MT_ERANGE, "x", 3 << 16);
	refuse(MT_ERANGE, "x", 256);
	refuse(MT_ERANGE, "x", 1ull << 32);
	ck_assert_int_eq(bitmaps()->read(fake_self(f), 0, bytes, models[0].len + 1, &err), MT_EINVAL);
	ck_assert_int_eq(bitmaps()->remove(fake_self(f), 1, &err), MT_ERANGE);
	ck_assert_int_eq(bitmaps()->read(fake_self(f), 1, bytes, 1, &err), MT_ERANGE);
	check_clean();
	start_again();
	make(DISK_BYTES, NULL, old);
	refuse(MT_ENOTSUP, "x", 65536);
}
END_TEST

/* An error at each k-th operation of the host: a bitmap is as before, as wanted, or marked; the image is sound. */
static void faulty_step(uint32_t which, struct mt_error *err)
{
	static uint8_t bytes[sizeof(models[0].bytes)];

	memset(bytes, which % 2 ? 0xff : 0x5a, sizeof(bytes));
	bytes[models[0].len - 1] = 0;
	switch (which) {
	case 0:
		(void)add(&models[0], err);
		break;
	case 3:
		(void)bitmaps()->set_flags(fake_self(f), 0, 0, err);
		break;
	case 4:
		(void)bitmaps()->remove(fake_self(f), 0, err);
		break;
	default:
		(void)bitmaps()->write(fake_self(f), 0, bytes, models[0].len, err);
	}
}

START_TEST(faults)
{
	struct mt_block_check c;
	struct mt_error err;

	for (uint32_t form = 0; form < FORMS; form++) {
		uint64_t left = 0;

		for (uint64_t k = 1 + form % 2; left == 0; k += getenv("MORTISE_LONG") ? 1 : 2) {
			if (f && fake_self(f))
				start_again();
			make(DISK_BYTES, NULL, forms[form]);
			fake_block_misses(f, 0);
			model_add(4096 + 1);
			fake_block_fail_in(f, k);
			for (uint32_t i = 0; i < 5; i++) {
				mt_error_init(&err);
				faulty_step(i, &err);
			}
			left = fake_block_fail_left(f);
			fake_block_fail_in(f, 0);
			flush();
			c = check(MT_BLOCK_CHECK_LEAKS);
			ck_assert_msg(c.corruptions == 0 && c.errors == 0, "form %u, operation %llu: %s", form,
				      (unsigned long long)k, findings);
			reopen();
			check_clean();
			while (bitmaps()->count(fake_self(f))) {
				mt_error_init(&err);
				fine(bitmaps()->remove(fake_self(f), 0, &err), &err);
			}
			check_clean();
		}
	}
}
END_TEST

int main(void)
{
	CHECK_RUN("block-qcow2 bitmaps", start, stop, scripts, disabled, in_use, rests, refusals, faults);
}
