/* SPDX-License-Identifier: MIT */
/*
 * The core of VMDK against a model of the disk, and against qemu-img, 7-Zip and libvmdk where they are there. A disk
 * here is a folder of files in memory; pages go straight into their bytes.
 */
#include <fake/check-run.h>
#include <fake/image.h>
#include <util/endian.h>
#include <util/error.h>
#include <zlib.h>

#include "create.h"
#include "vmdk.h"

#define FILES 4u

static struct fake_image files[FILES];
static struct vmdk v;
static uint8_t *model, *parent;
static uint64_t seed;
static char folder[256];
static uint32_t pages_out, again;        /* got and not put; calls of get that are to fail first */

static void start(void)
{
	for (uint32_t i = 0; i < FILES; i++)
		fake_image_init(&files[i]);
	memset(&v, 0, sizeof(v));
	v.directory_left = 2 * VMDK_GD_MAX;
	model = parent = NULL;
	pages_out = again = 0;
	seed = 88172645463325252u;
	fake_folder_make(folder);
}

static void stop(void)
{
	ck_assert_uint_eq(pages_out, 0);
	vmdk_fini(&v);
	for (uint32_t i = 0; i < FILES; i++)
		fake_image_fini(&files[i]);
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

static int32_t page_get(void *arg, uint32_t child, uint64_t offset, void **page, uint8_t **data)
{
	(void)arg;
	ck_assert_uint_eq(offset % VMDK_PAGE, 0);
	if (again && random_u64() % 2) {
		again--;
		return MT_EAGAIN;
	}
	if (offset + VMDK_PAGE > files[child].len_bytes)
		return MT_EIO;
	/* of its own, so that the file may move: written back when put */
	*data = malloc(VMDK_PAGE + sizeof(offset));
	memcpy(*data, files[child].bytes + offset, VMDK_PAGE);
	memcpy(*data + VMDK_PAGE, &offset, sizeof(offset));
	*page = *data;
	pages_out++;
	return 0;
}

static void page_dirty(void *arg, uint32_t child, void *page, uint32_t at)
{
	uint64_t offset;

	(void)arg;
	memcpy(&offset, (uint8_t *)page + VMDK_PAGE, sizeof(offset));
	memcpy(files[child].bytes + offset + at, (uint8_t *)page + at, 4);
}

static void page_put(void *arg, uint32_t child, void *page)
{
	(void)arg, (void)child;
	free(page);
	pages_out--;
}

static const struct vmdk_pages pages = { page_get, page_put, page_dirty, NULL };

static void open_sparse(uint32_t file)
{
	struct mt_source source = fake_image_source(&files[file]);
	struct vmdk_extent *x;
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_int_eq(vmdk_add(&v, VMDK_SPARSE, 0, &x), 0);
	x->child = file;
	ck_assert_msg(sparse_load(&x->sparse, &source, &v.directory_left, &err) == 0, "%s", err.message);
	x->len_bytes = x->sparse.capacity_bytes;
	v.disk_bytes += x->len_bytes;
}

static void make_sparse(uint64_t disk_bytes, int zero_grains)
{
	struct vmdk_options o = { .disk_bytes = disk_bytes, .cid = 0x12345678, .parent_cid = VMDK_NO_PARENT,
				  .name = "a.vmdk", .adapter = "ide", .hardware = "4", .zero_grains = zero_grains };
	struct mt_sink sink = fake_image_sink(&files[0]);
	char text[VMDK_TEXT_ROOM];
	int64_t len = create_text(&o, text, sizeof(text));

	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(create_sparse(disk_bytes, zero_grains, text, (uint32_t)len, &sink), 0);
	open_sparse(0);
	model = calloc(1, disk_bytes);
}

/* What a kernel does. */

static void read_extent(const struct mt_block_extent *e, uint64_t offset, uint8_t *out, uint64_t len)
{
	const struct fake_image *f = &files[e->child];
	uint8_t *in, *unit;

	memset(out, 0, len);
	if (e->kind == MT_BLOCK_EXT_BACKING && parent)
		memcpy(out, parent + offset, len);
	if (e->kind == MT_BLOCK_EXT_DATA && e->child_offset < f->len_bytes)
		memcpy(out, f->bytes + e->child_offset, mt_min_u64(len, f->len_bytes - e->child_offset));
	if (e->kind != MT_BLOCK_EXT_ENCODED)
		return;
	in = calloc(1, e->encoded_bytes);
	unit = malloc(e->unit_bytes);
	ck_assert_uint_lt(e->child_offset, f->len_bytes);
	memcpy(in, f->bytes + e->child_offset, mt_min_u64(e->encoded_bytes, f->len_bytes - e->child_offset));
	ck_assert_int_eq(grain_decode(e, in, unit), 0);
	memcpy(out, unit + e->skip_bytes, len);
	free(in);
	free(unit);
}

static int32_t map_all(uint64_t offset, uint64_t len, struct mt_block_extent *e, uint32_t max)
{
	int32_t n;

	while ((n = vmdk_map(&v, &pages, offset, len, e, max)) == MT_EAGAIN)
		;
	ck_assert_int_ge(n, 1);
	return n;
}

static void disk_read(uint64_t offset, uint8_t *out, uint64_t len)
{
	struct mt_block_extent e[3];

	while (len) {
		int32_t n = map_all(offset, len, e, 3);

		for (int32_t i = 0; i < n && len; i++) {
			uint64_t part = mt_min_u64(e[i].len_bytes, len);

			read_extent(&e[i], offset, out, part);
			out += part;
			offset += part;
			len -= part;
		}
	}
}

static void write_target(const struct mt_block_target *t, const uint8_t *data)
{
	uint64_t len = t->fill_head_bytes + t->len_bytes + t->fill_tail_bytes, begin = t->offset - t->fill_head_bytes;
	uint64_t at = t->child_offset - t->fill_head_bytes;
	struct fake_image *f = &files[t->child];
	uint8_t *unit = calloc(1, len);

	disk_read(begin, unit, mt_min_u64(len, v.disk_bytes - begin));
	memcpy(unit + t->fill_head_bytes, data, t->len_bytes);
	for (uint64_t i = at; t->flags & MT_BLOCK_TARGET_ZEROED && i < at + len && i < f->len_bytes; i++)
		ck_assert_uint_eq(f->bytes[i], 0);
	ck_assert_int_eq(fake_image_write(f, at, unit, len), 0);
	free(unit);
}

static uint64_t write_part(uint64_t offset, const uint8_t *data, uint64_t len)
{
	struct mt_block_extent e;
	struct mt_block_target t;
	int32_t n;

	map_all(offset, len, &e, 1);
	if (e.flags & MT_BLOCK_EXT_WRITABLE) {
		len = mt_min_u64(len, e.len_bytes);
		fake_image_write(&files[e.child], e.child_offset, data, len);
		return len;
	}
	while ((n = vmdk_reserve(&v, &pages, offset, len, &t, 1)) == MT_EAGAIN)
		;
	ck_assert_int_eq(n, 1);
	ck_assert_uint_eq(t.offset, offset);
	if (random_u64() % 8 == 0) {
		vmdk_abort(&v, &pages, t.cookie);
		ck_assert_int_eq(vmdk_commit(&v, &pages, t.cookie), MT_EINVAL);
		return 0;
	}
	write_target(&t, data);
	ck_assert_int_eq(vmdk_commit(&v, &pages, t.cookie), 0);
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

static void random_writes(uint32_t count, uint64_t max_bytes)
{
	uint8_t *data = malloc(max_bytes);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t offset = random_u64() % (v.disk_bytes / 512) * 512;
		uint64_t len = mt_min_u64((1 + random_u64() % (max_bytes / 512)) * 512, v.disk_bytes - offset);

		for (uint64_t k = 0; k < len; k++)
			data[k] = (uint8_t)(random_u64() | 1);
		disk_write(offset, data, len);
	}
	free(data);
}

static void compare_model(void)
{
	uint8_t *all = malloc(v.disk_bytes);

	disk_read(0, all, v.disk_bytes);
	ck_assert_mem_eq(all, model, v.disk_bytes);
	free(all);
}

static void save_model(void)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/model", folder);
	f = fopen(path, "wb");
	ck_assert_uint_eq(fwrite(model, 1, v.disk_bytes, f), v.disk_bytes);
	fclose(f);
}

static void save_file(uint32_t file, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fake_image_save(&files[file], path);
}

static void load_file(uint32_t file, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fake_image_load(&files[file], path);
}

static void compare_others(const char *name)
{
	save_model();
	if (!fake_have("qemu-img")) {
		printf("skipped: no qemu-img\n");
		return;
	}
	ck_assert_int_eq(fake_run("qemu-img check -q -f vmdk %s/%s", folder, name), 0);
	ck_assert_int_eq(fake_run("qemu-img compare -q -f vmdk -F raw %s/%s %s/model", folder, name, folder), 0);
	if (fake_have("vmdkinfo"))
		ck_assert_int_eq(fake_run("vmdkinfo %s/%s >/dev/null", folder, name), 0);
}

START_TEST(sparse_is_what_was_written)
{
	make_sparse((70 << 20) + 512, 0);
	compare_model();
	random_writes(60, 200000);
	again = 100;
	compare_model();
	random_writes(30, 200000);
	again = 0;
	vmdk_fini(&v);
	open_sparse(0);
	compare_model();
	save_file(0, "a.vmdk");
	compare_others("a.vmdk");
	if (fake_have("7zz"))
		ck_assert_int_eq(fake_run("7zz x -so %s/a.vmdk 2>/dev/null | cmp - %s/model", folder, folder), 0);
}
END_TEST

/* The copy of each table is what the table is. */
START_TEST(second_tables_follow)
{
	const struct vmdk_sparse *s;

	make_sparse(70 << 20, 0);
	random_writes(60, 200000);
	s = &v.extents[0].sparse;
	ck_assert_uint_eq(s->directory_entries, 3);
	for (uint32_t i = 0; i < s->directory_entries; i++)
		ck_assert_mem_eq(files[0].bytes + s->directory[i] * 512ull, files[0].bytes + s->second[i] * 512ull, 2048);
}
END_TEST

START_TEST(zeroed_and_discarded_grains)
{
	struct mt_block_space space;
	uint64_t before;

	for (int zero_grains = 0; zero_grains < 2; zero_grains++) {
		make_sparse(4 << 20, zero_grains);
		random_writes(30, 100000);
		before = v.extents[0].sparse.end_bytes;
		for (uint64_t at = 0; at < v.disk_bytes; at += 3 * 65536) {
			struct mt_block_extent e;
			int has_data;

			map_all(at, 512, &e, 1);
			has_data = e.kind == MT_BLOCK_EXT_DATA;
			ck_assert_int_eq(vmdk_unmap(&v, &pages, at, 0, &space), has_data ? MT_ENOTSUP : 0);
			ck_assert_int_eq(vmdk_unmap(&v, &pages, at, 1, &space), has_data);
			ck_assert_uint_eq(space.len_bytes, has_data ? 65536 : 0);
			memset(model + at, 0, 65536);
			if (has_data)
				vmdk_release(&v, &space);
		}
		compare_model();
		random_writes(2, 65536);
		ck_assert_uint_ge(before + 65536, v.extents[0].sparse.end_bytes);
		compare_model();
		save_file(0, "a.vmdk");
		compare_others("a.vmdk");
		vmdk_fini(&v);
		fake_image_fini(&files[0]);
		free(model);
		model = NULL;
	}
}
END_TEST

START_TEST(delta)
{
	struct mt_block_space space;

	make_sparse(2 << 20, 1);
	v.parent = 1;
	parent = malloc(2 << 20);
	for (uint32_t i = 0; i < 2 << 20; i++)
		parent[i] = model[i] = (uint8_t)(i * 7 + 1);
	compare_model();
	random_writes(5, 90000);
	compare_model();
	ck_assert_int_eq(vmdk_unmap(&v, &pages, 1 << 20, 1, &space), 1);
	memset(model + (1 << 20), 0, 65536);
	compare_model();
	v.extents[0].sparse.zero_grains = 0;
	ck_assert_int_eq(vmdk_unmap(&v, &pages, (1 << 20) + 131072, 1, &space), MT_ENOTSUP);
	v.extents[0].sparse.zero_grains = 1;
}
END_TEST

/* What qemu-img makes, in each of its forms. */
static void from_qemu(const char *form, const char *const *names)
{
	if (!fake_have("qemu-img") || !fake_have("qemu-io"))
		return;
	model = calloc(1, 6 << 20);
	ck_assert_int_eq(fake_run("truncate -s 6M %s/src && qemu-io -f raw -c 'write -P 7 5M 300k' -c 'write -P 9 100k 64k' "
				  "%s/src >/dev/null", folder, folder), 0);
	memset(model + (5 << 20), 7, 300 << 10);
	memset(model + (100 << 10), 9, 64 << 10);
	ck_assert_int_eq(fake_run("qemu-img convert -q -f raw -O vmdk -o subformat=%s %s/src %s/q.vmdk", form, folder,
				  folder), 0);
	for (uint32_t i = 0; names[i]; i++)
		load_file(i, names[i]);
}

START_TEST(qemu_monolithic_sparse)
{
	struct vmdk_descriptor d;
	const struct vmdk_sparse *s;

	from_qemu("monolithicSparse", (const char *const[]){ "q.vmdk", NULL });
	if (!files[0].len_bytes)
		return;
	open_sparse(0);
	compare_model();
	s = &v.extents[0].sparse;
	ck_assert_int_eq(descriptor_parse(&d, (char *)files[0].bytes + s->descriptor_offset,
					  (uint32_t)s->descriptor_bytes, NULL), 0);
	ck_assert_str_eq(d.create_type, "monolithicSparse");
	ck_assert_uint_eq(d.line_count, 1);
	ck_assert_uint_eq(d.lines[0].sectors, 6 << 11);
	ck_assert_str_eq(d.lines[0].name, "q.vmdk");
	ck_assert_uint_eq(d.parent_cid, VMDK_NO_PARENT);
	descriptor_fini(&d);
	random_writes(20, 100000);
	compare_model();
	save_file(0, "q.vmdk");
	compare_others("q.vmdk");
}
END_TEST

START_TEST(qemu_stream)
{
	from_qemu("streamOptimized", (const char *const[]){ "q.vmdk", NULL });
	if (!files[0].len_bytes)
		return;
	open_sparse(0);
	ck_assert_int_eq(v.extents[0].sparse.compressed, 1);
	compare_model();
}
END_TEST

START_TEST(qemu_split_sparse)
{
	struct vmdk_descriptor d;

	from_qemu("twoGbMaxExtentSparse", (const char *const[]){ "q.vmdk", "q-s001.vmdk", NULL });
	if (!files[0].len_bytes)
		return;
	ck_assert_int_eq(descriptor_parse(&d, (char *)files[0].bytes, (uint32_t)files[0].len_bytes, NULL), 0);
	ck_assert_uint_eq(d.line_count, 1);
	ck_assert_int_eq(d.lines[0].kind, VMDK_SPARSE);
	ck_assert_str_eq(d.lines[0].name, "q-s001.vmdk");
	ck_assert_uint_ne(d.cid_digits, 0);
	descriptor_fini(&d);
	open_sparse(1);
	compare_model();
	random_writes(20, 100000);
	save_file(1, "q-s001.vmdk");
	compare_others("q.vmdk");
}
END_TEST

START_TEST(flat_and_mixed_extents)
{
	struct vmdk_extent *x;
	struct mt_block_extent e[8];

	ck_assert_int_eq(vmdk_add(&v, VMDK_FLAT, 1 << 20, &x), 0);
	x->child = 1;
	x->file_offset = 4096;
	ck_assert_int_eq(vmdk_add(&v, VMDK_ZERO, 512, &x), 0);
	fake_image_resize(&files[1], (1 << 20) + 4096);
	model = NULL;
	{
		struct mt_sink sink = fake_image_sink(&files[0]);

		ck_assert_int_eq(create_sparse(1 << 20, 0, NULL, 0, &sink), 0);
	}
	open_sparse(0);
	model = calloc(1, v.disk_bytes);
	ck_assert_uint_eq(v.disk_bytes, (2 << 20) + 512);
	ck_assert_int_eq(map_all(0, v.disk_bytes, e, 8), 2);
	ck_assert_uint_eq(e[0].kind, MT_BLOCK_EXT_DATA);
	ck_assert_uint_eq(e[0].child_offset, 4096);
	ck_assert_uint_eq(e[1].len_bytes, (1 << 20) + 512);    /* zeros of both */
	disk_write(4096, (const uint8_t *)"flat", 4);
	disk_write((1 << 20) + 512 + 70000, (const uint8_t *)"sparse", 6);
	compare_model();
	ck_assert_int_eq(vmdk_reserve(&v, &pages, 1 << 20, 512, &(struct mt_block_target){ 0 }, 1), MT_ENOTSUP);
}
END_TEST

/* Only ESX writes these: by hand. */
START_TEST(cowd)
{
	uint8_t *h;

	fake_image_resize(&files[0], 64 << 10);
	h = files[0].bytes;
	memcpy(h, "COWD", 4);
	mt_put_le32(h + 4, 1);
	mt_put_le32(h + 8, 3);
	mt_put_le32(h + 12, 4096 * 3);         /* sectors: three tables, the middle one not there */
	mt_put_le32(h + 16, 1);
	mt_put_le32(h + 20, 4);
	mt_put_le32(h + 24, 3);
	mt_put_le32(h + 4 * 512, 8);
	mt_put_le32(h + 4 * 512 + 8, 40);
	mt_put_le32(h + 8 * 512 + 4, 100);
	memset(h + 100 * 512, 5, 512);
	mt_put_le32(h + 40 * 512 + 4 * 4095, 101);
	memset(h + 101 * 512, 6, 512);
	open_sparse(0);
	model = calloc(1, v.disk_bytes);
	memset(model + 512, 5, 512);
	memset(model + v.disk_bytes - 512, 6, 512);
	compare_model();
	ck_assert_int_eq(v.extents[0].sparse.can_write, 0);
}
END_TEST

/* A stream as VMware writes it: markers, tables behind their grains, the directory named by a footer. */
START_TEST(stream_with_footer)
{
	uint8_t plain[65536], *h, *f;
	uLongf len = 60000;

	fake_image_resize(&files[0], 128 << 10);
	h = files[0].bytes;
	memcpy(h, "KDMV", 4);
	mt_put_le32(h + 4, 3);
	mt_put_le32(h + 8, 0x30001);
	mt_put_le64(h + 12, 200);              /* sectors: two grains, the second one short */
	mt_put_le64(h + 20, 128);
	mt_put_le32(h + 44, 512);
	mt_put_le64(h + 56, UINT64_MAX);
	memcpy(h + 73, "\n \r\n", 4);
	mt_put_le16(h + 77, 1);
	for (uint32_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i / 100);
	mt_put_le64(h + 128 * 512, 128);
	ck_assert_int_eq(compress(h + 128 * 512 + 12, &len, plain, 72 * 512), Z_OK);
	mt_put_le32(h + 128 * 512 + 8, (uint32_t)len);
	mt_put_le32(h + 201 * 512 + 4, 128);   /* the table */
	mt_put_le32(h + 206 * 512, 201);       /* the directory */
	f = h + files[0].len_bytes - 1024;
	memcpy(f, h, 512);
	mt_put_le64(f + 56, 206);
	open_sparse(0);
	model = calloc(1, v.disk_bytes);
	memcpy(model + 65536, plain, 72 * 512);
	compare_model();
	/* what a wrong marker, and a damaged stream, lead to */
	{
		struct mt_block_extent e;
		uint8_t unit[65536], *in = calloc(1, 70000);

		map_all(65536, 512, &e, 1);
		memcpy(in, h + 128 * 512, len + 12);
		ck_assert_int_eq(grain_decode(&e, in, unit), 0);
		in[30] ^= 0x55;
		ck_assert_int_eq(grain_decode(&e, in, unit), MT_EIO);
		in[30] ^= 0x55;
		in[0] ^= 1;
		ck_assert_int_eq(grain_decode(&e, in, unit), MT_EIO);
		in[0] ^= 1;
		mt_put_le32(in + 8, 0xffffffff);
		ck_assert_int_eq(grain_decode(&e, in, unit), MT_EIO);
		free(in);
	}
}
END_TEST

static void refuse(uint32_t at, uint32_t value, const char *words)
{
	struct mt_source source = fake_image_source(&files[0]);
	uint32_t was = mt_get_le32(files[0].bytes + at), left = VMDK_GD_MAX;
	struct vmdk_sparse s;
	struct mt_error err;

	mt_error_init(&err);
	mt_put_le32(files[0].bytes + at, value);
	ck_assert_int_lt(sparse_load(&s, &source, &left, &err), 0);
	ck_assert_msg(strstr(err.message, words) != NULL, "'%s' does not say '%s'", err.message, words);
	sparse_fini(&s);
	mt_put_le32(files[0].bytes + at, was);
}

START_TEST(hostile_headers)
{
	make_sparse(70 << 20, 0);
	refuse(0, 0, "signature");
	refuse(4, 9, "version 9");
	refuse(8, 0x10001, "compression 0");
	refuse(12, 0, "capacity");
	refuse(16, 0xffffffff, "capacity");
	refuse(16, 0xffff, "more than");
	refuse(20, 3, "grains of 3");
	refuse(20, 0x10000, "grains of 65536");
	refuse(44, 0, "tables of 0");
	refuse(44, 0x80000000, "tables of");
	refuse(48, 0x7fffffff, "outside");
	refuse(56, 0x7fffffff, "outside");
	refuse(73, 0x20202020, "line ends");
	mt_put_le32(files[0].bytes + 60, 0xffffffff);
	refuse(56, 0xffffffff, "cut off");
	files[0].len_bytes = 100;
	refuse(0, VMDK_MAGIC, "cannot read");
}
END_TEST

/* A descriptor and extents as mortise makes them, read by the others. */
static void make_form(enum vmdk_form form)
{
	struct vmdk_options o = { .disk_bytes = 3 << 20, .form = form, .cid = 0xfffffffe, .parent_cid = VMDK_NO_PARENT,
				  .name = "m.vmdk", .adapter = "lsilogic", .hardware = "8" };
	struct mt_sink sink = fake_image_sink(&files[1]);
	char text[VMDK_TEXT_ROOM], name[300];
	int64_t len = create_text(&o, text, sizeof(text));

	ck_assert_int_gt(len, 0);
	ck_assert_uint_eq(create_extents(&o), 1);
	fake_image_write(&files[0], 0, text, (uint64_t)len);
	ck_assert_int_eq(create_extent_name(&o, 0, name, sizeof(name)), 0);
	if (form == VMDK_SPLIT_SPARSE) {
		ck_assert_int_eq(create_sparse(3 << 20, 0, NULL, 0, &sink), 0);
		open_sparse(1);
	} else {
		struct vmdk_extent *x;

		fake_image_resize(&files[1], 3 << 20);
		ck_assert_int_eq(vmdk_add(&v, VMDK_FLAT, 3 << 20, &x), 0);
		x->child = 1;
	}
	model = calloc(1, 3 << 20);
	random_writes(10, 100000);
	save_file(0, "m.vmdk");
	save_file(1, name);
	compare_others("m.vmdk");
}

START_TEST(made_flat)
{
	make_form(VMDK_MONOLITHIC_FLAT);
}
END_TEST

START_TEST(made_split_flat)
{
	make_form(VMDK_SPLIT_FLAT);
}
END_TEST

START_TEST(made_split_sparse)
{
	make_form(VMDK_SPLIT_SPARSE);
}
END_TEST

START_TEST(check_finds_damage)
{
	struct vmdk_report r = { 0 };
	const struct vmdk_sparse *s;
	uint8_t *table;

	make_sparse(70 << 20, 0);
	random_writes(40, 200000);
	s = &v.extents[0].sparse;
	ck_assert_int_eq(vmdk_check(&v.extents[0], &pages, files[0].len_bytes, &r), 0);
	ck_assert_uint_eq(r.total, (70 << 20) / 65536);
	ck_assert_uint_gt(r.allocated, 40);
	ck_assert_uint_eq(r.outside + r.doubled + r.differing + r.unread, 0);
	table = files[0].bytes + s->directory[0] * 512ull;
	mt_put_le32(table, 0x7fffff00);
	mt_put_le32(table + 4, (uint32_t)(s->end_bytes / 512 - 128));
	mt_put_le32(table + 1024, (uint32_t)(s->end_bytes / 512 - 128));
	r = (struct vmdk_report){ 0 };
	ck_assert_int_eq(vmdk_check(&v.extents[0], &pages, files[0].len_bytes, &r), 0);
	ck_assert_uint_eq(r.outside, 1);
	ck_assert_uint_ge(r.doubled, 1);
	ck_assert_uint_eq(r.differing, 2);
}
END_TEST

START_TEST(extents_of_a_large_disk)
{
	struct vmdk_options o = { .disk_bytes = 5000ull << 20, .form = VMDK_SPLIT_SPARSE, .name = "big.vmdk" };
	char name[64];

	ck_assert_uint_eq(create_extents(&o), 3);
	ck_assert_uint_eq(create_extent_bytes(&o, 1), VMDK_SPLIT_BYTES);
	ck_assert_uint_eq(create_extent_bytes(&o, 2), 906ull << 20);
	ck_assert_int_eq(create_extent_name(&o, 2, name, sizeof(name)), 0);
	ck_assert_str_eq(name, "big-s003.vmdk");
	o.name = "a\"b";
	ck_assert_int_eq(create_extent_name(&o, 2, name, sizeof(name)), MT_EINVAL);
}
END_TEST

int main(void)
{
	CHECK_RUN("vmdk", start, stop, sparse_is_what_was_written, second_tables_follow, zeroed_and_discarded_grains, delta,
		  qemu_monolithic_sparse, qemu_stream, qemu_split_sparse, flat_and_mixed_extents, cowd,
		  stream_with_footer, hostile_headers, made_flat,
		  made_split_flat, made_split_sparse, check_finds_damage, extents_of_a_large_disk);
}
