/* SPDX-License-Identifier: MIT */
/* The core of VHDX: images of qemu-img, logs and differencing disks by hand on top of them, hostile headers. */
#include <fake/check-run.h>
#include <fake/image.h>
#include <util/endian.h>
#include <util/error.h>

#include "vhdx.h"

#define KIB 1024ull
#define MIB (1024 * KIB)

static struct fake_image image;
static struct vhdx v;
static char folder[256];

static void start(void)
{
	fake_image_init(&image);
	memset(&v, 0, sizeof(v));
	fake_folder_make(folder);
}

static void stop(void)
{
	vhdx_fini(&v);
	fake_image_fini(&image);
	fake_folder_remove(folder);
}

static int32_t page_get(void *arg, uint64_t offset, void **page, const uint8_t **data)
{
	(void)arg;
	if (offset + VHDX_PAGE > image.len_bytes)
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
		int32_t n = vhdx_map(&v, &pages, offset, len, e, 3);

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

	vhdx_fini(&v);
	mt_error_init(err);
	return vhdx_load(&v, &source, err);
}

/* 20 MiB with something at 9 MiB and at 100 KiB; 0: there is no qemu-img. */
static int make(const char *options)
{
	char path[300];

	if (!fake_have("qemu-img") || !fake_have("qemu-io")) {
		printf("skipped: no qemu-img\n");
		return 0;
	}
	ck_assert_int_eq(fake_run("truncate -s 20M %s/src && qemu-io -f raw -c 'write -P 7 9M 300k' -c 'write -P 9 100k 64k' "
				  "%s/src >/dev/null", folder, folder), 0);
	ck_assert_int_eq(fake_run("qemu-img convert -q -f raw -O vhdx -o %s %s/src %s/q.vhdx", options, folder, folder), 0);
	snprintf(path, sizeof(path), "%s/q.vhdx", folder);
	fake_image_load(&image, path);
	return 1;
}

static void expect(uint64_t offset, uint8_t byte)
{
	uint8_t sector[512];

	disk_read(offset, sector, sizeof(sector));
	for (uint32_t i = 0; i < sizeof(sector); i++)
		ck_assert_msg(sector[i] == byte, "at %llu: %u", (unsigned long long)offset, sector[i]);
}

static void expect_all(void)
{
	uint8_t *all = malloc(20 * MIB), *model = calloc(1, 20 * MIB);

	memset(model + 9 * MIB, 7, 300 * KIB);
	memset(model + 100 * KIB, 9, 64 * KIB);
	disk_read(0, all, 20 * MIB);
	ck_assert_mem_eq(all, model, 20 * MIB);
	free(all);
	free(model);
}

START_TEST(qemu_dynamic)
{
	struct mt_error err;

	if (!make("subformat=dynamic,block_size=1M"))
		return;
	ck_assert_msg(load(&err) == 0, "%s", err.message);
	ck_assert_uint_eq(v.disk_bytes, 20 * MIB);
	expect_all();
}
END_TEST

START_TEST(qemu_fixed)
{
	struct mt_error err;

	if (!make("subformat=fixed,block_size=16M"))
		return;
	ck_assert_msg(load(&err) == 0, "%s", err.message);
	ck_assert_int_eq(v.fixed, 1);
	expect_all();
}
END_TEST

/* The active header, and where the log and the table are. */
static uint8_t *header(void)
{
	uint8_t *a = image.bytes + 64 * KIB, *b = image.bytes + 128 * KIB;

	return mt_get_le64(a + 8) > mt_get_le64(b + 8) ? a : b;
}

static void header_sum(uint8_t *h)
{
	mt_put_le32(h + 4, crc32c_hole(h, 4096, 4));
}

static uint64_t region_at(uint8_t first_byte)
{
	const uint8_t *r = image.bytes + 192 * KIB + 16;

	return mt_get_le64(r[0] == first_byte ? r + 16 : r + 32 + 16);
}

#define TABLE_AT    region_at(0x66)
#define METADATA_AT region_at(0x06)

/* An entry of one data sector (with `offset` of the file) or, without `data`, of 4 KiB of zeros. */
static void log_entry(uint32_t sector, uint32_t tail, uint64_t sequence, uint64_t offset, const uint8_t *data)
{
	uint8_t *h = header(), *e;
	uint64_t log_at = mt_get_le64(h + 72);
	uint32_t sectors = mt_get_le32(h + 68) / 4096, len = data ? 8192 : 4096;
	uint8_t entry[8192] = { 0 };

	e = entry;
	memcpy(e, "loge", 4);
	mt_put_le32(e + 8, len);
	mt_put_le32(e + 12, tail * 4096);
	mt_put_le64(e + 16, sequence);
	mt_put_le32(e + 24, 1);
	memset(e + 32, 0x11, 16);
	memcpy(e + 64, data ? "desc" : "zero", 4);
	if (data) {
		memcpy(e + 68, data + 4092, 4);
		memcpy(e + 72, data, 8);
		memcpy(e + 4096, "data", 4);
		mt_put_le32(e + 4100, (uint32_t)(sequence >> 32));
		memcpy(e + 4104, data + 8, 4084);
		mt_put_le32(e + 8188, (uint32_t)sequence);
	} else {
		mt_put_le64(e + 72, 4096);
	}
	mt_put_le64(e + 80, offset);
	mt_put_le64(e + 88, sequence);
	mt_put_le32(e + 4, crc32c_hole(e, len, 4));
	for (uint32_t i = 0; i < len / 4096; i++)
		memcpy(image.bytes + log_at + (sector + i) % sectors * 4096, e + i * 4096, 4096);
	memset(h + 48, 0x11, 16);
	header_sum(h);
}

/* The table as it was goes into the log, newest last and around the ring's end; in the file there is rubbish. */
START_TEST(log_is_replayed)
{
	uint8_t table[4096], wrong[4096];
	uint32_t sectors;
	struct mt_error err;

	if (!make("subformat=dynamic,block_size=1M"))
		return;
	ck_assert_msg(load(&err) == 0, "%s", err.message);
	memcpy(table, image.bytes + TABLE_AT, sizeof(table));
	memset(wrong, 0x77, sizeof(wrong));
	memcpy(image.bytes + TABLE_AT, wrong, sizeof(wrong));
	sectors = mt_get_le32(header() + 68) / 4096;
	log_entry(20, 20, 99, TABLE_AT, wrong);        /* an older sequence */
	log_entry(sectors - 3, sectors - 3, 200, TABLE_AT, wrong);
	log_entry(sectors - 1, sectors - 3, 201, TABLE_AT, table);
	log_entry(1, sectors - 3, 202, METADATA_AT + 512 * KIB, NULL);
	ck_assert_msg(load(&err) == 0, "%s", err.message);
	ck_assert_int_eq(v.log_replayed, 1);
	expect_all();
	/* a damaged newest entry leaves the one before it as the head */
	image.bytes[mt_get_le64(header() + 72) + 4096 + 100] ^= 1;
	ck_assert_msg(load(&err) == 0, "%s", err.message);
	expect_all();
}
END_TEST

START_TEST(log_that_is_refused)
{
	uint8_t wrong[4096];
	struct mt_error err;

	if (!make("subformat=dynamic,block_size=1M"))
		return;
	memset(wrong, 0x77, sizeof(wrong));
	memset(header() + 48, 0x11, 16);
	header_sum(header());
	ck_assert_int_lt(load(&err), 0);
	ck_assert_ptr_nonnull(strstr(err.message, "no entries"));
	log_entry(0, 0, 5, image.len_bytes - 4096, wrong);
	ck_assert_int_eq(load(&err), MT_ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.message, "more than its tables"));
	log_entry(0, 0, 5, TABLE_AT + 8, wrong);
	ck_assert_int_lt(load(&err), 0);
	ck_assert_ptr_nonnull(strstr(err.message, "cannot be right"));
	/* every sector the start of an entry as long as the log */
	for (uint32_t i = 0; i < 256; i++)
		log_entry(i, 0, 5 + i, TABLE_AT, NULL);
	for (uint32_t i = 0; i < 256; i++)
		mt_put_le32(image.bytes + mt_get_le64(header() + 72) + i * 4096 + 8, MIB);
	ck_assert_int_lt(load(&err), 0);
	ck_assert_ptr_nonnull(strstr(err.message, "reasonable time"));
}
END_TEST

/* File parameters say that there is a parent; the bitmap of the first chunk stands behind everything. */
START_TEST(differencing)
{
	uint8_t *m, *bits;
	uint64_t bitmap_at, *table;
	struct mt_error err;

	if (!make("subformat=dynamic,block_size=1M"))
		return;
	m = image.bytes + METADATA_AT;
	for (uint32_t i = 0; i < mt_get_le16(m + 10); i++) {
		uint8_t *e = m + 32 + 32 * i;

		if (e[0] == 0x37)
			mt_put_le32(m + mt_get_le32(e + 16) + 4, 2);
	}
	bitmap_at = (image.len_bytes + MIB - 1) / MIB * MIB;
	fake_image_resize(&image, bitmap_at + MIB);
	table = (uint64_t *)(image.bytes + TABLE_AT);
	table[4096] = bitmap_at | 6;
	table[9] = (table[9] & ~7ull) | 7;
	table[2] = 0;
	table[3] = 2;
	bits = image.bytes + bitmap_at;
	bits[9 * 256] = 0xfd;                  /* sector 1 is the parent's */
	ck_assert_msg(load(&err) == 0, "%s", err.message);
	expect(9 * MIB, 7);
	expect(9 * MIB + 512, 0xbb);
	expect(9 * MIB + 1024, 7);
	expect(9 * MIB + 4096, 0xbb);
	expect(2 * MIB, 0xbb);
	expect(3 * MIB, 0);
	expect(100 * KIB, 9);
	/* without its bitmap, and with a state that is not known */
	((uint64_t *)(image.bytes + TABLE_AT))[4096] = 0;
	ck_assert_int_eq(load(&err), 0);
	ck_assert_int_eq(vhdx_map(&v, &pages, 9 * MIB, 512, &(struct mt_block_extent){ 0 }, 1), MT_EIO);
	((uint64_t *)(image.bytes + TABLE_AT))[9] |= 5;
	((uint64_t *)(image.bytes + TABLE_AT))[9] &= ~2ull;
	ck_assert_int_eq(load(&err), 0);
	ck_assert_int_eq(vhdx_map(&v, &pages, 9 * MIB, 512, &(struct mt_block_extent){ 0 }, 1), MT_EIO);
}
END_TEST

static void refused(const char *words)
{
	struct mt_error err;

	ck_assert_int_lt(load(&err), 0);
	ck_assert_msg(strstr(err.message, words) != NULL, "'%s' does not say '%s'", err.message, words);
}

START_TEST(older_header_serves)
{
	struct mt_error err;

	if (!make("subformat=dynamic,block_size=1M"))
		return;
	header()[200] ^= 1;
	ck_assert_msg(load(&err) == 0, "%s", err.message);
	expect_all();
	image.bytes[64 * KIB + 200] = image.bytes[128 * KIB + 200] = 9;
	refused("neither header");
}
END_TEST

static void metadata_refused(uint8_t item, uint32_t at, uint32_t value, const char *words)
{
	uint8_t *m = image.bytes + METADATA_AT, *e = m + 32, *field;
	uint32_t was;

	while (e[0] != item)
		e += 32;
	field = m + mt_get_le32(e + 16) + at;
	was = mt_get_le32(field);
	mt_put_le32(field, value);
	refused(words);
	mt_put_le32(field, was);
}

START_TEST(hostile_headers)
{
	uint8_t *h;
	uint32_t was;

	if (!make("subformat=dynamic,block_size=1M"))
		return;
	h = header();
	mt_put_le16(h + 66, 9);
	header_sum(h);
	refused("version 9");
	mt_put_le16(h + 66, 1);
	memset(h + 48, 0x11, 16);
	was = mt_get_le32(h + 68);
	mt_put_le32(h + 68, 0xfffff000);
	header_sum(h);
	refused("log of");
	mt_put_le32(h + 68, was);
	memset(h + 48, 0, 16);
	header_sum(h);
	metadata_refused(0x37, 0, 12345, "block size");
	metadata_refused(0x37, 0, 512u << 20, "block size");
	metadata_refused(0x24, 4, 0x80000000, "its size");
	metadata_refused(0x24, 4, 0x100, "too short for");
	metadata_refused(0x1d, 0, 1024, "sector size");
	was = mt_get_le32(image.bytes + METADATA_AT + 32 + 16);
	mt_put_le32(image.bytes + METADATA_AT + 32 + 16, 0xfffffff0);
	refused("outside of their region");
	mt_put_le32(image.bytes + METADATA_AT + 32 + 16, was);
	image.bytes[METADATA_AT] = 0;
	refused("metadata table");
	image.bytes[192 * KIB] = image.bytes[256 * KIB] = 0;
	refused("region table");
	image.bytes[0] = 0;
	refused("signature");
	image.len_bytes = 4;
	refused("neither header");
}
END_TEST

START_TEST(checksum_is_castagnoli)
{
	/* RFC 3720 B.4: 32 bytes of zeros, and of ones */
	uint8_t bytes[32] = { 0 };

	ck_assert_uint_eq(crc32c_hole(bytes, 32, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	ck_assert_uint_eq(crc32c_hole(bytes, 32, 32), 0x62a8ab43);
}
END_TEST

int main(void)
{
	CHECK_RUN("vhdx", start, stop, checksum_is_castagnoli, qemu_dynamic, qemu_fixed, log_is_replayed,
		  log_that_is_refused, differencing, older_header_serves, hostile_headers);
}
