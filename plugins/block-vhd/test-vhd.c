/* SPDX-License-Identifier: MIT */
/* The core of VHD: images of qemu-img, differencing disks by hand, hostile headers. */
#include <fake/check-run.h>
#include <fake/image.h>
#include <util/endian.h>
#include <util/error.h>

#include "vhd.h"

static struct fake_image image;
static struct vhd v;
static char folder[256];

static void start(void)
{
	fake_image_init(&image);
	memset(&v, 0, sizeof(v));
	fake_folder_make(folder);
}

static void stop(void)
{
	vhd_fini(&v);
	fake_image_fini(&image);
	fake_folder_remove(folder);
}

static int32_t page_get(void *arg, uint64_t offset, void **page, const uint8_t **data)
{
	(void)arg;
	if (offset + VHD_PAGE > image.len_bytes)
		return MT_EIO;
	*page = image.bytes + offset;
	*data = image.bytes + offset;
	return 0;
}

static void page_put(void *arg, void *page)
{
	(void)arg, (void)page;
}

static const struct mt_source_pages pages = { page_get, page_put, NULL };

/* Backing reads as 0xbb. */
static void disk_read(uint64_t offset, uint8_t *out, uint64_t len)
{
	struct mt_block_extent e[3];

	while (len) {
		int32_t n = vhd_map(&v, &pages, offset, len, e, 3);

		ck_assert_int_ge(n, 1);
		for (int32_t i = 0; i < n && len; i++) {
			uint64_t part = mt_min_u64(e[i].len_bytes, len);

			ck_assert_uint_gt(part, 0);
			memset(out, e[i].kind == MT_BLOCK_EXT_BACKING ? 0xbb : 0, part);
			if (e[i].kind == MT_BLOCK_EXT_DATA)
				memcpy(out, image.bytes + e[i].child_offset, part);
			out += part;
			offset += part;
			len -= part;
		}
	}
}

static int load(struct mt_error *err)
{
	struct mt_source source = fake_image_source(&image);

	vhd_fini(&v);
	mt_error_init(err);
	return vhd_load(&v, &source, err);
}

static void from_qemu(const char *options)
{
	uint8_t *all, *model;
	struct mt_error err;
	char path[300];
	FILE *f;

	if (!fake_have("qemu-img") || !fake_have("qemu-io"))
		return;
	ck_assert_int_eq(fake_run("truncate -s 5M %s/src && qemu-io -f raw -c 'write -P 7 3M 300k' -c 'write -P 9 100k 64k' "
				  "%s/src >/dev/null", folder, folder), 0);
	ck_assert_int_eq(fake_run("qemu-img convert -q -f raw -O vpc -o %s %s/src %s/q.vhd && "
				  "qemu-img convert -q -f vpc -O raw %s/q.vhd %s/back", options, folder, folder, folder, folder), 0);
	snprintf(path, sizeof(path), "%s/q.vhd", folder);
	fake_image_load(&image, path);
	ck_assert_msg(load(&err) == 0, "%s", err.message);
	all = malloc(v.disk_bytes);
	model = calloc(1, v.disk_bytes + 1);
	disk_read(0, all, v.disk_bytes);
	snprintf(path, sizeof(path), "%s/back", folder);
	f = fopen(path, "rb");
	ck_assert_uint_eq(fread(model, 1, v.disk_bytes + 1, f), v.disk_bytes);
	fclose(f);
	ck_assert_uint_eq(model[3 << 20], 7);
	ck_assert_mem_eq(all, model, v.disk_bytes);
	free(all);
	free(model);
}

START_TEST(qemu_dynamic)
{
	from_qemu("subformat=dynamic");
}
END_TEST

START_TEST(qemu_dynamic_exact)
{
	from_qemu("subformat=dynamic,force_size=on");
}
END_TEST

START_TEST(qemu_fixed)
{
	from_qemu("subformat=fixed");
}
END_TEST

static void sum_put(uint8_t *bytes, uint32_t len, uint32_t at)
{
	uint32_t sum = 0;

	mt_put_be32(bytes + at, 0);
	for (uint32_t i = 0; i < len; i++)
		sum += bytes[i];
	mt_put_be32(bytes + at, ~sum);
}

/* Two blocks of 4 KiB, the first one there with sectors 1 and 2, footer at both ends. */
static void by_hand(uint32_t type)
{
	uint8_t *f, *h;

	fake_image_resize(&image, 512 + 1024 + 512 + 512 + 4096 + 512);
	f = image.bytes;
	memcpy(f, "conectix", 8);
	mt_put_be32(f + 12, 0x10000);
	mt_put_be64(f + 16, 512);
	memcpy(f + 28, "win ", 4);
	mt_put_be64(f + 48, 8192);
	mt_put_be32(f + 60, type);
	sum_put(f, 512, 64);
	h = f + 512;
	memcpy(h, "cxsparse", 8);
	mt_put_be64(h + 16, 1536);
	mt_put_be32(h + 24, 0x10000);
	mt_put_be32(h + 28, 2);
	mt_put_be32(h + 32, 4096);
	memcpy(h + 64, "\0p\0\\\0q\xd8\x3d\xde\x00", 10);
	sum_put(h, 1024, 36);
	mt_put_be32(f + 1536, 4);
	mt_put_be32(f + 1540, 0xffffffff);
	f[2048] = 0x60;
	memset(f + 2560, 0xaa, 4096);
	memcpy(f + image.len_bytes - 512, f, 512);
}

static void expect(uint64_t offset, uint8_t byte)
{
	uint8_t sector[512];

	disk_read(offset, sector, sizeof(sector));
	for (uint32_t i = 0; i < sizeof(sector); i++)
		ck_assert_uint_eq(sector[i], byte);
}

START_TEST(bitmap_decides)
{
	struct mt_error err;

	by_hand(VHD_DYNAMIC);
	ck_assert_msg(load(&err) == 0, "%s", err.message);
	expect(0, 0);
	expect(512, 0xaa);
	expect(1024, 0xaa);
	expect(1536, 0);
	expect(4096, 0);
	ck_assert_int_eq(vhd_map(&v, &pages, 8192, 1, &(struct mt_block_extent){ 0 }, 1), MT_ERANGE);
}
END_TEST

START_TEST(differencing)
{
	struct mt_error err;
	uint8_t *locator;

	by_hand(VHD_DIFF);
	ck_assert_msg(load(&err) == 0, "%s", err.message);
	expect(0, 0xbb);
	expect(512, 0xaa);
	expect(4096, 0xbb);
	ck_assert_str_eq(v.parent_name, "p/q\xf0\x9f\x98\x80");
	/* a relative name goes before it */
	locator = image.bytes + 512 + 576 + 24;
	mt_put_be32(locator, 0x57327275);
	mt_put_be32(locator + 8, 10);
	mt_put_be64(locator + 16, 2600);
	memcpy(image.bytes + 2600, ".\0\\\0r\0.\0v\0", 10);
	sum_put(image.bytes + 512, 1024, 36);
	ck_assert_msg(load(&err) == 0, "%s", err.message);
	ck_assert_str_eq(v.parent_name, "r.v");
}
END_TEST

START_TEST(footer_copy_serves)
{
	struct mt_error err;

	by_hand(VHD_DYNAMIC);
	image.bytes[image.len_bytes - 512] ^= 1;
	ck_assert_int_eq(load(&err), 0);
	image.bytes[0] ^= 1;
	ck_assert_int_eq(load(&err), MT_EINVAL);
}
END_TEST

static void refuse(uint32_t at, uint32_t value, const char *words)
{
	uint32_t was = mt_get_be32(image.bytes + at);
	struct mt_error err;

	mt_put_be32(image.bytes + at, value);
	sum_put(image.bytes, 512, 64);
	sum_put(image.bytes + 512, 1024, 36);
	image.bytes[image.len_bytes - 512] = 0;
	ck_assert_int_lt(load(&err), 0);
	ck_assert_msg(strstr(err.message, words) != NULL, "'%s' does not say '%s'", err.message, words);
	mt_put_be32(image.bytes + at, was);
}

START_TEST(hostile_headers)
{
	struct mt_error err;

	by_hand(VHD_DIFF);
	refuse(0, 0, "no footer");
	refuse(12, 0x20000, "version");
	refuse(16, 0xffffffff, "cannot be read");
	refuse(48, 0xffffffff, "its size");
	refuse(52, 0xfffffe00, "too short for");
	refuse(60, 9, "type 9");
	refuse(60, VHD_FIXED + 7, "type 9");
	refuse(512, 0, "damaged");
	refuse(512 + 20, 0xffffffff, "outside");
	refuse(512 + 28, 0xffffffff, "at most");
	refuse(512 + 32, 0, "blocks of 0");
	refuse(512 + 64, 0xdc00dc00, "illegal");
	image.len_bytes = 100;
	ck_assert_int_lt(load(&err), 0);
}
END_TEST

int main(void)
{
	CHECK_RUN("vhd", start, stop, qemu_dynamic, qemu_dynamic_exact, qemu_fixed, bitmap_decides, differencing,
		  footer_copy_serves, hostile_headers);
}
