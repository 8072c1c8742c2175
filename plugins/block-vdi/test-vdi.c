/* SPDX-License-Identifier: MIT */
/*
 * The core of VDI against a model of the disk, and against qemu-img where that is there: each reads what the other
 * has written.
 */
#include <fake/check-run.h>
#include <fake/image.h>
#include <util/endian.h>
#include <util/error.h>

#include "vdi.h"

static struct fake_image image;
static struct vdi v;
static uint8_t *model, *parent;
static uint64_t seed;
static char folder[256];

static void start(void)
{
	fake_image_init(&image);
	memset(&v, 0, sizeof(v));
	model = parent = NULL;
	seed = 88172645463325252u;
	fake_folder_make(folder);
}

static void stop(void)
{
	vdi_fini(&v);
	fake_image_fini(&image);
	free(model);
	free(parent);
	fake_folder_remove(folder);
}

static uint64_t random_u64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void fill(uint8_t *to, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		to[i] = (uint8_t)(random_u64() | 1);
}

static void open_image(void)
{
	struct mt_source source = fake_image_source(&image);
	struct mt_error err;

	vdi_fini(&v);
	mt_error_init(&err);
	ck_assert_msg(vdi_load(&v, &source, &err) == 0 && vdi_accept(&v, &err) == 0, "%s", err.message);
}

static void create(uint32_t type, uint64_t disk_bytes, uint32_t block_bytes)
{
	struct vdi_options o = { .disk_bytes = disk_bytes, .block_bytes = block_bytes, .type = type, .uuid = "one" };
	struct mt_sink sink = fake_image_sink(&image);

	ck_assert_int_eq(vdi_create(&o, &sink, NULL), 0);
	open_image();
	model = calloc(1, disk_bytes + VDI_BLOCK_DEFAULT);
	ck_assert_ptr_nonnull(model);
}

static struct vdi_io io_now(void)
{
	return (struct vdi_io){ fake_image_source(&image), fake_image_sink(&image), fake_image_flush };
}

/* What a kernel does: reads through extents, writes in place or reserves, fills and commits. */

static void disk_read(uint64_t offset, uint8_t *out, uint64_t len)
{
	struct mt_block_extent e[3];

	while (len) {
		int32_t n = vdi_map(&v, offset, len, e, 3);

		ck_assert_int_ge(n, 1);
		for (int32_t i = 0; i < n && len; i++) {
			uint64_t part = mt_min_u64(e[i].len_bytes, len), there;

			memset(out, 0, part);
			if (e[i].kind == MT_BLOCK_EXT_BACKING && parent)
				memcpy(out, parent + offset, part);
			there = e[i].child_offset < image.len_bytes ? image.len_bytes - e[i].child_offset : 0;
			if (e[i].kind == MT_BLOCK_EXT_DATA)
				memcpy(out, image.bytes + e[i].child_offset, mt_min_u64(part, there));
			out += part;
			offset += part;
			len -= part;
		}
	}
}

static void write_target(const struct mt_block_target *t, const uint8_t *data)
{
	uint64_t len = t->fill_head_bytes + t->len_bytes + t->fill_tail_bytes, start_at = t->offset - t->fill_head_bytes;
	uint8_t *unit = calloc(1, len);

	disk_read(start_at, unit, mt_min_u64(len, v.disk_bytes - start_at));
	memcpy(unit + t->fill_head_bytes, data, t->len_bytes);
	if (t->flags & MT_BLOCK_TARGET_ZEROED)
		ck_assert_uint_ge(t->child_offset - t->fill_head_bytes, v.file_bytes);
	ck_assert_int_eq(fake_image_write(&image, t->child_offset - t->fill_head_bytes, unit, len), 0);
	free(unit);
}

static void save_metadata(int64_t entry)
{
	uint8_t bytes[VDI_HEADER_BYTES];

	vdi_encode_header(&v, bytes);
	fake_image_write(&image, 0, bytes, sizeof(bytes));
	vdi_encode_map(&v, (uint32_t)entry, 1, bytes);
	fake_image_write(&image, v.map_offset + 4 * (uint64_t)entry, bytes, 4);
}

static uint64_t write_part(uint64_t offset, const uint8_t *data, uint64_t len)
{
	struct mt_block_extent e;
	struct mt_block_target t;
	int64_t entry;

	ck_assert_int_eq(vdi_map(&v, offset, len, &e, 1), 1);
	if (e.kind == MT_BLOCK_EXT_DATA) {
		len = mt_min_u64(len, e.len_bytes);
		fake_image_write(&image, e.child_offset, data, len);
		return len;
	}
	ck_assert_int_eq(vdi_reserve(&v, offset, len, &t, 1), 1);
	ck_assert_uint_eq(t.offset, offset);
	write_target(&t, data);
	entry = vdi_commit(&v, t.cookie);
	ck_assert_int_ge(entry, 0);
	save_metadata(entry);
	return t.len_bytes;
}

static void disk_write(uint64_t offset, const uint8_t *data, uint64_t len)
{
	memcpy(model + offset, data, len);
	while (len) {
		uint64_t n = write_part(offset, data, len);

		offset += n;
		data += n;
		len -= n;
	}
}

static void compare_model(void)
{
	uint8_t *all = malloc(v.disk_bytes);

	disk_read(0, all, v.disk_bytes);
	ck_assert_mem_eq(all, model, v.disk_bytes);
	free(all);
}

static void random_writes(uint32_t count, uint64_t max_bytes)
{
	uint8_t *data = malloc(max_bytes);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t offset = random_u64() % (v.disk_bytes / 512) * 512;
		uint64_t len = mt_min_u64((1 + random_u64() % (max_bytes / 512)) * 512, v.disk_bytes - offset);

		fill(data, len);
		disk_write(offset, data, len);
	}
	free(data);
}

static struct vdi_report check(void)
{
	struct vdi_report report;
	struct mt_source source = fake_image_source(&image);

	vdi_fini(&v);
	ck_assert_int_eq(vdi_load(&v, &source, NULL), 0);
	ck_assert_int_eq(vdi_check(&v, &report), 0);
	ck_assert_int_eq(vdi_accept(&v, NULL), 0);
	ck_assert_uint_eq(report.out_of_range + report.doubled + report.truncated, 0);
	return report;
}

static void compare_qemu(void)
{
	char path[300];
	FILE *f;

	if (!fake_have("qemu-img")) {
		printf("skipped: no qemu-img\n");
		return;
	}
	snprintf(path, sizeof(path), "%s/a.vdi", folder);
	fake_image_save(&image, path);
	snprintf(path, sizeof(path), "%s/a.raw", folder);
	f = fopen(path, "wb");
	ck_assert_uint_eq(fwrite(model, 1, v.disk_bytes, f), v.disk_bytes);
	fclose(f);
	ck_assert_int_eq(fake_run("qemu-img check -q -f vdi %s/a.vdi", folder), 0);
	ck_assert_int_eq(fake_run("qemu-img compare -q -f vdi -F raw %s/a.vdi %s/a.raw", folder, folder), 0);
	if (fake_have("7zz"))
		ck_assert_int_eq(fake_run("7zz x -so %s/a.vdi 2>/dev/null | cmp - %s/a.raw", folder, folder), 0);
}

START_TEST(dynamic_is_what_was_written)
{
	struct vdi_report report;

	create(VDI_DYNAMIC, (17 << 20) + 512, 0);
	compare_model();
	random_writes(40, 300000);
	compare_model();
	report = check();
	ck_assert_uint_eq(report.leaked + report.missing, 0);
	compare_model();
	compare_qemu();
}
END_TEST

START_TEST(small_blocks)
{
	create(VDI_DYNAMIC, 3 << 20, 4096);
	random_writes(300, 20000);
	check();
	compare_model();
}
END_TEST

START_TEST(static_needs_no_allocation)
{
	struct mt_block_extent e;

	create(VDI_STATIC, 5 << 20, 0);
	ck_assert_int_eq(vdi_map(&v, 512, 1, &e, 1), 1);
	ck_assert_uint_eq(e.kind, MT_BLOCK_EXT_DATA);
	ck_assert_uint_eq(e.len_bytes, (5 << 20) - 512);
	random_writes(20, 300000);
	compare_model();
	compare_qemu();
}
END_TEST

START_TEST(qemu_writes_we_read)
{
	char path[300];

	if (!fake_have("qemu-img") || !fake_have("qemu-io"))
		return;
	snprintf(path, sizeof(path), "%s/q.vdi", folder);
	ck_assert_int_eq(fake_run("qemu-img create -q -f vdi %s 9M", path), 0);
	ck_assert_int_eq(fake_run("qemu-io -f vdi -c 'write -P 7 5M 1M' -c 'write -P 9 100k 64k' %s >/dev/null", path), 0);
	fake_image_load(&image, path);
	open_image();
	model = calloc(1, v.disk_bytes);
	memset(model + (5 << 20), 7, 1 << 20);
	memset(model + 102400, 9, 65536);
	compare_model();
	random_writes(10, 100000);
	check();
	compare_model();
	compare_qemu();
}
END_TEST

START_TEST(differencing)
{
	uint32_t number;

	create(VDI_DIFF, 8 << 20, 0);
	parent = malloc(8 << 20);
	fill(parent, 8 << 20);
	memcpy(model, parent, 8 << 20);
	compare_model();
	random_writes(5, 50000);
	compare_model();
	/* zero a block that is not here: the parent no longer shows through */
	for (uint32_t i = 0; i < v.blocks; i++) {
		if (v.map[i] != VDI_FREE)
			continue;
		ck_assert_int_eq(vdi_unmap(&v, i, 0, &number), 1);
		ck_assert_uint_eq(number, VDI_FREE);
		ck_assert_int_eq(vdi_unmap(&v, i, 0, &number), 0);
		memset(model + ((uint64_t)i << 20), 0, 1 << 20);
		save_metadata(i);
		break;
	}
	check();
	compare_model();
}
END_TEST

/* Blocks that were discarded are used again; what is left of them is closed by moving, and the file is cut. */
START_TEST(discarded_blocks)
{
	uint32_t number, freed = 0;
	struct vdi_report report;
	uint64_t before;
	struct vdi_io io;

	create(VDI_DYNAMIC, 64 << 10, 4096);
	random_writes(20, 30000);
	before = v.allocated;
	for (uint32_t i = 1; i < v.blocks; i += 2) {
		uint32_t had_data = v.map[i] < VDI_ZERO;

		ck_assert_int_eq(vdi_unmap(&v, i, 0, &number), had_data ? MT_ENOTSUP : 0);
		ck_assert_int_eq(vdi_unmap(&v, i, 1, &number), (int)had_data);
		if (!had_data)
			continue;
		save_metadata(i);
		memset(model + i * 4096, 0, 4096);
		vdi_release(&v, number);
		freed++;
	}
	ck_assert_uint_ge(freed, 3);
	compare_model();
	random_writes(1, 4096);
	compare_model();
	report = check();
	ck_assert_uint_gt(report.leaked, 0);
	io = io_now();
	ck_assert_int_eq(vdi_compact(&v, &io), 0);
	report = check();
	ck_assert_uint_eq(report.leaked + report.missing, 0);
	ck_assert_uint_eq(report.allocated, v.allocated);
	ck_assert_uint_lt(v.allocated, before);
	ck_assert_uint_eq(image.len_bytes, v.data_offset + v.allocated * 4096ull);
	compare_model();
}
END_TEST

START_TEST(compaction_survives_failure)
{
	uint32_t number;

	create(VDI_DYNAMIC, 1 << 20, 4096);
	random_writes(60, 30000);
	for (uint32_t i = 0; i < v.blocks; i += 2) {
		if (vdi_unmap(&v, i, 1, &number) == 1)
			save_metadata(i);
		memset(model + i * 4096, 0, 4096);
	}
	for (int64_t k = 0;; k++) {
		struct vdi_io io = io_now();
		int rc;

		image.writes_left = k;
		rc = vdi_compact(&v, &io);
		image.writes_left = -1;
		open_image();
		compare_model();
		if (rc == 0)
			break;
		ck_assert_int_lt(k, 1000);
	}
	ck_assert_uint_eq(check().leaked, 0);
}
END_TEST

START_TEST(shrinking)
{
	struct vdi_io io;

	create(VDI_DYNAMIC, 8 << 20, 0);
	random_writes(30, 300000);
	io = io_now();
	ck_assert_int_eq(vdi_shrink(&v, 9 << 20, &io, NULL), MT_EINVAL);
	ck_assert_int_eq(vdi_shrink(&v, (3 << 20) + 512, &io, NULL), 0);
	ck_assert_uint_eq(check().leaked, 0);
	ck_assert_uint_eq(v.disk_bytes, (3 << 20) + 512);
	ck_assert_uint_le(v.allocated, 4);
	compare_model();
	compare_qemu();
	/* what the last block had beyond the end does not come back */
	memset(model + v.disk_bytes, 0, (4 << 20) - v.disk_bytes);
	io = io_now();
	ck_assert_int_eq(vdi_grow(&v, 4 << 20, &io, NULL), 0);
	check();
	compare_model();
	io = io_now();
	ck_assert_int_eq(vdi_empty(&v, &io), 0);
	memset(model, 0, 4 << 20);
	check();
	compare_model();
}
END_TEST

START_TEST(abort_gives_the_number_back)
{
	struct mt_block_target t[3];

	create(VDI_DYNAMIC, 4 << 20, 0);
	ck_assert_int_eq(vdi_reserve(&v, 0, 3 << 20, t, 3), 3);
	vdi_abort(&v, t[1].cookie);
	ck_assert_int_ge(vdi_commit(&v, t[0].cookie), 0);
	ck_assert_int_ge(vdi_commit(&v, t[2].cookie), 0);
	ck_assert_int_eq(vdi_commit(&v, t[2].cookie), MT_EINVAL);
	ck_assert_int_eq(vdi_reserve(&v, 1 << 20, 512, t, 1), 1);
	ck_assert_uint_eq(t[0].cookie, (1ull << 32) | 1);
	ck_assert_uint_eq(t[0].flags, 0);              /* something may have been written there */
	ck_assert_int_ge(vdi_commit(&v, t[0].cookie), 0);
	ck_assert_uint_eq(v.allocated, 3);
}
END_TEST

/* The count that a crash left too large, or too small, is mended by opening. */
START_TEST(count_is_corrected)
{
	uint8_t byte[512] = { 1 };
	struct vdi_report report;

	create(VDI_DYNAMIC, 8 << 20, 0);
	disk_write(0, byte, sizeof(byte));
	disk_write(3 << 20, byte, sizeof(byte));
	mt_put_le32(image.bytes + 0x184, 5);
	report = check();
	ck_assert_uint_eq(report.leaked, 3);
	ck_assert_uint_eq(v.allocated, 2);
	mt_put_le32(image.bytes + 0x184, 1);
	report = check();
	ck_assert_uint_eq(report.missing, 1);
	ck_assert_uint_eq(v.allocated, 2);
	disk_write(5 << 20, byte, sizeof(byte));
	compare_model();
	compare_qemu();
}
END_TEST

static void grow_to(uint64_t disk_bytes, int expect)
{
	struct vdi_io io = io_now();

	ck_assert_int_eq(vdi_grow(&v, disk_bytes, &io, NULL), expect);
}

/* An image whose map has no room behind it, as qemu-img makes them, with blocks so small that several move. */
static void create_tight(uint64_t disk_bytes)
{
	create(VDI_DYNAMIC, disk_bytes, 4096);
	mt_put_le32(image.bytes + 0x158, (uint32_t)(v.map_offset + (4ull * v.blocks + 511) / 512 * 512));
	open_image();
	free(model);
	model = calloc(1, 8 * disk_bytes);
	ck_assert_ptr_nonnull(model);
}

START_TEST(growing_moves_blocks)
{
	create_tight(3 << 20);
	random_writes(100, 30000);
	grow_to(24 << 20, 0);
	ck_assert_uint_eq(v.disk_bytes, 24 << 20);
	ck_assert_uint_eq(check().leaked, 0);
	random_writes(20, 30000);
	check();
	compare_model();
}
END_TEST

START_TEST(growing_an_image_of_qemu)
{
	char path[300];

	if (!fake_have("qemu-img") || !fake_have("qemu-io"))
		return;
	snprintf(path, sizeof(path), "%s/q.vdi", folder);
	ck_assert_int_eq(fake_run("qemu-img create -q -f vdi -o static=on %s 5000k", path), 0);
	ck_assert_int_eq(fake_run("qemu-io -f vdi -c 'write -P 7 4M 800k' -c 'write -P 9 0 64k' %s >/dev/null", path), 0);
	fake_image_load(&image, path);
	open_image();
	model = calloc(1, 300 << 20);
	memset(model + (4 << 20), 7, 800 << 10);
	memset(model, 9, 65536);
	compare_model();
	grow_to(300 << 20, 0);
	check();
	compare_model();
	compare_qemu();
}
END_TEST

/* Whatever write fails, the disk still has its data and the image is sound. */
START_TEST(growing_survives_failure)
{
	create_tight(1 << 20);
	random_writes(30, 30000);
	for (int64_t k = 0;; k++) {
		struct vdi_io io = io_now();
		int rc;

		image.writes_left = k;
		rc = vdi_grow(&v, 8 << 20, &io, NULL);
		image.writes_left = -1;
		open_image();
		if (rc == 0)
			break;
		ck_assert_int_lt(k, 1000);
		ck_assert_uint_eq(v.disk_bytes, 1 << 20);
		compare_model();
	}
	ck_assert_uint_eq(v.disk_bytes, 8 << 20);
	compare_model();
	check();
}
END_TEST

static void refuse(uint32_t at, uint32_t value, const char *words)
{
	struct mt_source source = fake_image_source(&image);
	uint32_t was = mt_get_le32(image.bytes + at);
	struct mt_error err;
	int rc;

	mt_put_le32(image.bytes + at, value);
	vdi_fini(&v);
	mt_error_init(&err);
	rc = vdi_load(&v, &source, &err);
	if (rc == 0)
		rc = vdi_accept(&v, &err);
	ck_assert_int_lt(rc, 0);
	ck_assert_msg(strstr(err.message, words) != NULL, "'%s' does not say '%s'", err.message, words);
	mt_put_le32(image.bytes + at, was);
}

START_TEST(hostile_headers)
{
	uint8_t byte[512] = { 1 };

	create(VDI_DYNAMIC, 8 << 20, 0);
	disk_write(0, byte, sizeof(byte));
	disk_write(1 << 20, byte, sizeof(byte));
	refuse(0x40, 0, "signature");
	refuse(0x44, 0x00000001, "version");
	refuse(0x48, 16, "too short");
	refuse(0x4c, 9, "type 9");
	refuse(0x154, 0, "no sector");
	refuse(0x154, 0xfffffe00, "ends inside of the map");
	refuse(0x158, 0x100000, "begin inside");
	refuse(0x168, 4096, "sectors of 4096");
	refuse(0x174, 1, "too short for the disk");
	refuse(0x178, 0, "blocks of 0");
	refuse(0x178, 0x300000, "blocks of 3145728");
	refuse(0x17c, 1, "extra bytes");
	refuse(0x180, 0xffffffff, "at most");
	refuse(0x100000, 77, "out of range");
	refuse(0x100004, 0, "share");
	image.len_bytes = 100;
	refuse(0x40, VDI_FREE, "cannot read");
}
END_TEST

int main(void)
{
	CHECK_RUN("vdi", start, stop, dynamic_is_what_was_written, small_blocks, static_needs_no_allocation,
		  qemu_writes_we_read, differencing, discarded_blocks, compaction_survives_failure, shrinking,
		  abort_gives_the_number_back,
		  count_is_corrected, growing_moves_blocks, growing_an_image_of_qemu, growing_survives_failure,
		  hostile_headers);
}
