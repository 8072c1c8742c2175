/* SPDX-License-Identifier: MIT */
/* A qcow2 disk on the fake host, as the tests of this folder want it: made, opened again, looked over, judged. */
#ifndef BLOCK_QCOW2_TEST_DISK_H
#define BLOCK_QCOW2_TEST_DISK_H

#include <fake/block.h>
#include <fake/check-run.h>
#include <fake/image.h>
#include <mortise/draft/block-image.h>
#include <util/error.h>

static struct fake *f;
static char folder[256];
static uint8_t *parent;
static uint64_t parent_bytes;

static void start(void)
{
	f = fake_new("block-qcow2");
	fake_folder_make(folder);
	parent = NULL;
}

static void stop(void)
{
	fake_free(f);
	free(parent);
	fake_folder_remove(folder);
}

/* Another disk, in the same folder: to take one away is the dearest part of many a test. */
static inline void start_again(void)
{
	fake_free(f);
	free(parent);
	f = fake_new("block-qcow2");
	parent = NULL;
}

static void open_disk(void)
{
	fake_prop(f, "file", "d.qcow2");
	fake_block_misses(f, 3);
	if (parent)
		fake_block_backing(f, parent, parent_bytes);
	fake_start(f);
	ck_assert_int_eq(fake_block_wake(f), 0);       /* before exclusive operations too */
}

static void make(uint64_t disk_bytes, const char *backing, const char *const *values)
{
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_msg(fake_block_make(f, "d.qcow2", disk_bytes, backing, values, &err) == 0, "%s", err.message);
	open_disk();
}

static void reopen(void)
{
	struct fake *next = fake_new("block-qcow2");

	((const struct mt_device_class *)fake_role(f, MT_IFACE_DEVICE))->unrealize(fake_self(f));
	fake_block_move(next, f);
	fake_free(f);
	f = next;
	open_disk();
}

static char findings[65536];

static inline void finding(void *arg, const char *text)
{
	size_t used = strlen(findings);

	(void)arg;
	snprintf(findings + used, sizeof(findings) - used, "%s\n", text);
}

static inline struct mt_block_check check(uint32_t repair)
{
	const struct mt_block_image *image = fake_role(f, MT_IFACE_BLOCK_IMAGE);
	struct mt_block_check out = { .size = sizeof(out) };
	struct mt_error err;

	mt_error_init(&err);
	findings[0] = 0;
	ck_assert_msg(image->check(fake_self(f), repair, &out, finding, NULL, &err) == 0, "%s", err.message);
	return out;
}

/* Nothing is wrong, and nothing leaked. */
static inline void check_clean(void)
{
	struct mt_block_check c = check(0);

	ck_assert_msg(c.corruptions == 0 && c.leaks == 0 && c.errors == 0, "%llu wrong, %llu leaked, %llu errors:\n%s",
		      (unsigned long long)c.corruptions, (unsigned long long)c.leaks, (unsigned long long)c.errors, findings);
}

static inline void flush(void)
{
	ck_assert_int_eq(fake_block_flush(f), 0);
	ck_assert_int_eq(fake_block_flush(f), 0);      /* what the first gave back */
}

static inline void save(void)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/d.qcow2", folder);
	fake_block_file_save(f, "d.qcow2", path);
}

static inline void load(void)
{
	char path[300];

	fake_free(f);
	f = fake_new("block-qcow2");
	snprintf(path, sizeof(path), "%s/d.qcow2", folder);
	fake_block_file_load(f, "d.qcow2", path);
	open_disk();
}

static inline void write_file(const char *name, const void *bytes, uint64_t len)
{
	char path[300];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	out = fopen(path, "wb");
	ck_assert(out && fwrite(bytes, 1, len, out) == len && fclose(out) == 0);
}

/* qemu-img finds nothing wrong with the image, and reads the same from it. */
static inline void qemu_agrees(const uint8_t *model, uint64_t bytes)
{
	if (!fake_have("qemu-img"))
		return;
	save();
	write_file("model", model, bytes);
	if (parent)
		write_file("parent", parent, parent_bytes);
	ck_assert_int_eq(fake_run("cd %s && qemu-img check -f qcow2 d.qcow2 >log 2>&1 || { cat log; exit 1; }", folder), 0);
	ck_assert_int_eq(fake_run("cd %s && qemu-img compare -q -f qcow2 -F raw d.qcow2 model", folder), 0);
}

#endif
