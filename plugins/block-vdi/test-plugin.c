/* SPDX-License-Identifier: MIT */
/* The plugin on the fake host: making, random scripts, power cuts, resizing, checks; qemu-img looks at what is left. */
#include <fake/block.h>
#include <fake/check-run.h>
#include <fake/image.h>
#include <fake/state.h>
#include <mortise/draft/block-image.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/uuid.h>

static struct fake *f;
static char folder[256];
static uint8_t *parent;

static void start(void)
{
	f = fake_new("block-vdi");
	fake_folder_make(folder);
	parent = NULL;
}

static void stop(void)
{
	fake_free(f);
	free(parent);
	fake_folder_remove(folder);
}

static void open_disk(void)
{
	fake_prop(f, "file", "d.vdi");
	if (parent)
		fake_block_backing(f, parent, 8 << 20);
	fake_start(f);
}

static void make(uint64_t disk_bytes, const char *const *values)
{
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_msg(fake_block_make(f, "d.vdi", disk_bytes, NULL, values, &err) == 0, "%s", err.message);
	open_disk();
}

static void reopen(void)
{
	struct fake *next = fake_new("block-vdi");
	struct mt_error err;

	/* closing may move blocks and cut the file: so first that, with the files still there */
	mt_error_init(&err);
	((const struct mt_device_class *)fake_role(f, MT_IFACE_DEVICE))->unrealize(fake_self(f));
	fake_block_move(next, f);
	fake_free(f);
	f = next;
	open_disk();
}

static void close_clean(void)
{
	ck_assert_int_eq(fake_block_flush(f), 0);
	reopen();
}

/* The numbers that a discard has left free are closed when the disk is to rest, and unrealize writes nothing then. */
START_TEST(rests)
{
	uint8_t sector[512] = { 7 }, read[512];
	uint64_t before, len;

	make(16 << 20, NULL);
	for (uint64_t i = 0; i < 4; i++)
		ck_assert_int_eq(fake_block_write(f, i << 20, sector, sizeof(sector)), 0);
	ck_assert_int_eq(fake_block_zero(f, 1 << 20, 1 << 20, MT_BLOCK_DISCARD, 0), 0);
	ck_assert_int_eq(fake_block_flush(f), 0);
	fake_block_file(f, "d.vdi", &before);
	ck_assert_int_eq(fake_block_rest(f), 0);
	fake_block_file(f, "d.vdi", &len);
	ck_assert_uint_eq(len, before - (1 << 20));
	fake_block_fail_in(f, 1000);
	((const struct mt_device_class *)fake_role(f, MT_IFACE_DEVICE))->unrealize(fake_self(f));
	ck_assert_uint_eq(fake_block_fail_left(f), 1000);
	fake_block_fail_in(f, 0);
	reopen();
	ck_assert_int_eq(fake_block_write(f, 9 << 20, sector, sizeof(sector)), 0);
	close_clean();
	for (uint64_t i = 0; i < 10; i++) {
		ck_assert_int_eq(fake_block_read(f, i << 20, read, sizeof(read)), 0);
		ck_assert_uint_eq(read[0], i == 0 || i == 2 || i == 3 || i == 9 ? 7 : 0);
	}
}
END_TEST

static void line(void *arg, const char *text)
{
	(void)arg;
	ck_assert_uint_gt(strlen(text), 10);
}

static struct mt_block_check check(uint32_t repair)
{
	const struct mt_block_image *image = fake_role(f, MT_IFACE_BLOCK_IMAGE);
	struct mt_block_check out = { .size = sizeof(out) };
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_int_eq(fake_block_flush(f), 0);
	ck_assert_msg(image->check(fake_self(f), repair, &out, line, NULL, &err) == 0, "%s", err.message);
	ck_assert_uint_eq(out.corruptions, 0);
	return out;
}

static void qemu_agrees(const struct fake_script *s)
{
	char path[300];
	FILE *out;

	if (!fake_have("qemu-img"))
		return;
	snprintf(path, sizeof(path), "%s/d.vdi", folder);
	fake_block_file_save(f, "d.vdi", path);
	snprintf(path, sizeof(path), "%s/model", folder);
	out = fopen(path, "wb");
	ck_assert_uint_eq(fwrite(s->model, 1, s->disk_bytes, out), s->disk_bytes);
	fclose(out);
	ck_assert_int_eq(fake_run("qemu-img check -q -f vdi %s/d.vdi", folder), 0);
	ck_assert_int_eq(fake_run("qemu-img compare -q -f vdi -F raw %s/d.vdi %s/model", folder, folder), 0);
}

START_TEST(scripts)
{
	static const char *const forms[][4] = { { NULL }, { "static", "true", NULL }, { "preallocation", "full", NULL } };
	struct fake_script s;

	for (uint32_t i = 0; i < 6; i++) {
		make(12 << 20, forms[i % 3]);
		fake_script_begin(&s, f, 1 + i);
		for (uint32_t k = 0; k < 3; k++) {
			fake_script_run(&s, f, 30, 600000);
			fake_script_compare(&s, f);
			close_clean();
			fake_script_compare(&s, f);
			ck_assert_uint_eq(check(0).leaks, 0);
		}
		qemu_agrees(&s);
		fake_script_end(&s);
		fake_free(f);
		f = fake_new("block-vdi");
	}
}
END_TEST

START_TEST(power_cuts)
{
	struct fake_script s;

	make(2 << 20, (const char *const[]){ "block_size", "16384", NULL });
	fake_script_begin(&s, f, 7);
	for (uint32_t i = 0; i < (getenv("MORTISE_LONG") ? 5000u : 200u); i++) {
		struct fake *next;

		fake_script_run(&s, f, 1 + i % 13, 40000);
		fake_block_power_cut(f, i + 1);
		next = fake_new("block-vdi");
		((const struct mt_device_class *)fake_role(f, MT_IFACE_DEVICE))->unrealize(fake_self(f));
		fake_block_move(next, f);
		fake_free(f);
		f = next;
		open_disk();
		fake_script_recover(&s, f);
		check(MT_BLOCK_CHECK_LEAKS);
		ck_assert_uint_eq(check(0).leaks, 0);
		fake_script_compare(&s, f);
	}
	fake_script_end(&s);
}
END_TEST

START_TEST(differencing)
{
	struct fake_script s;
	struct mt_error err;

	/* the parent is a VDI image too; what it has as a disk the test makes up */
	mt_error_init(&err);
	ck_assert_int_eq(fake_block_make(f, "backing", 8 << 20, NULL, NULL, &err), 0);
	ck_assert_int_eq(fake_block_make(f, "d.vdi", 8 << 20, "p.vdi", NULL, &err), 0);
	fake_prop(f, "file", "d.vdi");
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_eq(fake_realize(f, &err), MT_ENOENT);
	ck_assert_str_eq(err.culprit, "backing");
	{
		struct fake *next = fake_new("block-vdi");

		fake_block_move(next, f);
		fake_free(f);
		f = next;
	}
	parent = malloc(8 << 20);
	for (uint32_t i = 0; i < 8 << 20; i++)
		parent[i] = (uint8_t)(i % 251);
	open_disk();
	fake_script_begin(&s, f, 3);
	ck_assert_mem_eq(s.model, parent, 8 << 20);
	for (uint32_t k = 0; k < 4; k++) {
		fake_script_run(&s, f, 30, 300000);
		fake_script_compare(&s, f);
		close_clean();
		fake_script_compare(&s, f);
	}
	fake_script_end(&s);
}
END_TEST

/* Opens the differencing image over a disk that tells one fact. */
static int open_over(const char *fact, const char *value, struct mt_error *err)
{
	struct fake *next = fake_new("block-vdi");

	fake_block_move(next, f);
	fake_free(f);
	f = next;
	mt_error_init(err);
	fake_prop(f, "file", "d.vdi");
	fake_block_backing(f, parent, 4 << 20);
	fake_block_backing_fact(f, fact, value);
	ck_assert_int_eq(fake_create(f, err), 0);
	return fake_realize(f, err);
}

/* Another disk below is refused; one that was written to is told of, until the image shows nothing of its own. */
START_TEST(parent_is_known)
{
	static const char other[] = "01020304-0506-0708-090a-0b0c0d0e0f10";
	const struct mt_block_image *image;
	char uuid[MT_UUID_TEXT], modified[MT_UUID_TEXT];
	uint8_t sector[512] = { 1 };
	struct mt_error err;

	mt_error_init(&err);
	parent = calloc(1, 4 << 20);
	ck_assert_int_eq(fake_block_make(f, "backing", 4 << 20, NULL, NULL, &err), 0);
	ck_assert_int_eq(fake_block_make(f, "d.vdi", 4 << 20, "p.vdi", NULL, &err), 0);
	mt_uuid_text(fake_block_file(f, "backing", NULL) + 0x188, uuid);
	mt_uuid_text(fake_block_file(f, "backing", NULL) + 0x198, modified);
	ck_assert_int_eq(open_over("uuid", other, &err), MT_EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, other));
	ck_assert_ptr_nonnull(strstr(err.message, uuid));
	ck_assert_int_eq(open_over("uuid", uuid, &err), 0);
	ck_assert_int_eq(open_over("modification-uuid", modified, &err), 0);
	ck_assert_uint_eq(fake_log_count(f, MT_LOG_WARN), 0);
	ck_assert_int_eq(open_over("modification-uuid", other, &err), 0);
	ck_assert_uint_eq(fake_log_count(f, MT_LOG_WARN), 1);
	ck_assert_ptr_nonnull(strstr(fake_log_last(f), modified));
	image = fake_role(f, MT_IFACE_BLOCK_IMAGE);
	ck_assert_int_eq(fake_block_write(f, 0, sector, 512), 0);
	ck_assert_int_eq(image->make_empty(fake_self(f), &err), 0);
	ck_assert_int_eq(fake_block_flush(f), 0);
	ck_assert_int_eq(open_over("modification-uuid", other, &err), 0);
	ck_assert_uint_eq(fake_log_count(f, MT_LOG_WARN), 0);
	ck_assert_int_eq(open_over("uuid", uuid, &err), 0);
}
END_TEST

START_TEST(resizing)
{
	const struct mt_block_image *image = fake_role(f, MT_IFACE_BLOCK_IMAGE);
	struct fake_script s;
	struct mt_block_info info;
	struct mt_error err;

	make(5 << 20, NULL);
	fake_script_begin(&s, f, 5);
	fake_script_run(&s, f, 20, 600000);
	ck_assert_int_eq(fake_block_flush(f), 0);
	mt_error_init(&err);
	ck_assert_int_eq(image->resize(fake_self(f), 3 << 20, 0, 0, &err), MT_EINVAL);
	ck_assert_int_eq(image->resize(fake_self(f), 3 << 20, MT_BLOCK_RESIZE_SHRINK, 0, &err), 0);
	s.disk_bytes = 3 << 20;
	fake_script_compare(&s, f);
	ck_assert_int_eq(image->resize(fake_self(f), 5 << 20, 0, 0, &err), 0);
	fake_block_info(f, &info);
	ck_assert_uint_eq(info.disk_bytes, 5 << 20);
	memset(s.model + (3 << 20), 0, 2 << 20);
	s.disk_bytes = 5 << 20;
	fake_script_compare(&s, f);
	fake_script_run(&s, f, 20, 600000);
	close_clean();
	fake_script_compare(&s, f);
	qemu_agrees(&s);
	ck_assert_int_eq(image->make_empty(fake_self(f), &err), 0);
	memset(s.model, 0, 5 << 20);
	fake_script_compare(&s, f);
	check(0);
	fake_script_end(&s);
}
END_TEST

START_TEST(corrupt_is_readonly_at_most)
{
	uint8_t *bytes;
	struct mt_error err;
	uint8_t sector[512] = { 1 };

	make(4 << 20, NULL);
	ck_assert_int_eq(fake_block_write(f, 0, sector, 512), 0);
	ck_assert_int_eq(fake_block_flush(f), 0);
	bytes = fake_block_file(f, "d.vdi", NULL);
	mt_put_le32(bytes + (1 << 20) + 4, 77);
	for (int readonly = 0; readonly < 2; readonly++) {
		struct fake *next = fake_new("block-vdi");

		fake_block_move(next, f);
		fake_free(f);
		f = next;
		mt_error_init(&err);
		fake_prop(f, "file", "d.vdi");
		if (readonly)
			fake_prop(f, "readonly", "on");
		ck_assert_int_eq(fake_create(f, &err), 0);
		ck_assert_int_eq(fake_realize(f, &err), readonly ? 0 : MT_EINVAL);
	}
	ck_assert_int_eq(fake_block_read(f, 0, sector, 512), 0);
	ck_assert_int_eq(fake_block_read(f, 1 << 20, sector, 512), MT_EIO);
}
END_TEST

/* A first write gives a new modification identifier, reading does not. */
START_TEST(modification_uuid)
{
	uint8_t before[16], sector[512] = { 1 };

	make(4 << 20, NULL);
	memcpy(before, fake_block_file(f, "d.vdi", NULL) + 0x198, 16);
	ck_assert_int_eq(fake_block_read(f, 0, sector, 512), 0);
	ck_assert_int_eq(fake_block_flush(f), 0);
	ck_assert_mem_eq(fake_block_file(f, "d.vdi", NULL) + 0x198, before, 16);
	ck_assert_int_eq(fake_block_write(f, 0, sector, 512), 0);
	ck_assert_int_eq(fake_block_flush(f), 0);
	ck_assert_mem_ne(fake_block_file(f, "d.vdi", NULL) + 0x198, before, 16);
	ck_assert_mem_eq(fake_block_file(f, "d.vdi", NULL) + 0x188, fake_block_file(f, "d.vdi", NULL) + 0x188, 16);
}
END_TEST

int main(void)
{
	CHECK_RUN("block-vdi", start, stop, scripts, power_cuts, differencing, parent_is_known, resizing,
		  corrupt_is_readonly_at_most, modification_uuid, rests);
}
