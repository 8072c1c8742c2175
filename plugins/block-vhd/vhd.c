/* SPDX-License-Identifier: MIT */
/* Footer, header, table, bitmaps. Under the owner's lock. */
#include "vhd.h"

#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#include "name.h"

#define FOOTER_BYTES 512u
#define HEADER_BYTES 1024u
#define UNUSED       0xffffffffu

#define AT_VERSION   12
#define AT_HEADER    16
#define AT_CREATOR   28
#define AT_SIZE      48
#define AT_CYLINDERS 56
#define AT_HEADS     58
#define AT_SECTORS   59
#define AT_TYPE      60
#define AT_SUM       64
#define AT_UUID      68

#define HEADER_AT_TABLE   16
#define HEADER_AT_VERSION 24
#define HEADER_AT_ENTRIES 28
#define HEADER_AT_BLOCK   32
#define HEADER_AT_SUM     36
#define HEADER_AT_PARENT  40

static int corrupt(struct mt_error *err, const char *words)
{
	return mt_error_set(err, MT_EINVAL, "file", "the VHD image is corrupt: %s", words);
}

/* The complement of the sum of all bytes but those of the sum. */
static int sum_ok(const uint8_t *bytes, uint32_t len, uint32_t sum_at)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i++) {
		if (i < sum_at || i >= sum_at + 4)
			sum += bytes[i];
	}
	return mt_get_be32(bytes + sum_at) == ~sum;
}

int vhd_is_footer(const uint8_t *sector)
{
	return memcmp(sector, "conectix", 8) == 0 && sum_ok(sector, FOOTER_BYTES, AT_SUM);
}

/* At the end; older programs wrote 511 bytes; dynamic disks have a copy at the start. */
static int find_footer(const struct mt_source *source, uint8_t *f, struct mt_error *err)
{
	const uint64_t back[] = { FOOTER_BYTES, FOOTER_BYTES - 1, source->len_bytes };

	for (uint32_t i = 0; i < MT_COUNT_OF(back); i++) {
		memset(f, 0, FOOTER_BYTES);
		if (back[i] <= source->len_bytes && back[i] >= FOOTER_BYTES - 1 &&
		    mt_source_read(source, source->len_bytes - back[i], f, mt_min_u64(back[i], FOOTER_BYTES)) == 0 &&
		    vhd_is_footer(f))
			return 0;
	}
	return mt_error_set(err, MT_EINVAL, "file", "this is no VHD image: it has no footer");
}

/* Virtual PC and older QEMU meant the geometry, unless it is the largest that there is; all others the size. */
static uint64_t size_of(const uint8_t *f)
{
	uint64_t cylinders = mt_get_be16(f + AT_CYLINDERS), heads = f[AT_HEADS], sectors = f[AT_SECTORS];
	int by_geometry = memcmp(f + AT_CREATOR, "vpc ", 4) == 0 || memcmp(f + AT_CREATOR, "vs  ", 4) == 0 ||
			  memcmp(f + AT_CREATOR, "qemu", 4) == 0;

	if (!by_geometry || (cylinders == 65535 && heads == 16 && sectors == 255))
		return mt_get_be64(f + AT_SIZE);
	return cylinders * heads * sectors * 512;
}

static int take_footer(struct vhd *v, const uint8_t *f, const struct mt_source *source, struct mt_error *err)
{
	if (mt_get_be32(f + AT_VERSION) >> 16 != 1)
		return mt_error_set(err, MT_ENOTSUP, "file", "VHD version %x is not supported",
				    mt_get_be32(f + AT_VERSION));
	v->type = mt_get_be32(f + AT_TYPE);
	if (v->type < VHD_FIXED || v->type > VHD_DIFF)
		return mt_error_set(err, MT_ENOTSUP, "file", "VHD disks of type %u are not supported", v->type);
	v->disk_bytes = size_of(f);
	if (v->disk_bytes > INT64_MAX || v->disk_bytes % 512)
		return corrupt(err, "its size");
	if (v->type == VHD_FIXED && v->disk_bytes > source->len_bytes - mt_min_u64(source->len_bytes, 511))
		return corrupt(err, "the file is shorter than the disk");
	memcpy(v->uuid, f + AT_UUID, 16);
	memcpy(v->creator, f + AT_CREATOR, 4);
	for (uint32_t i = 0; i < 4; i++)
		v->creator[i] = v->creator[i] < ' ' || v->creator[i] > '~' ? 0 : v->creator[i];
	return 0;
}

static int take_header(struct vhd *v, const uint8_t *h, struct mt_error *err)
{
	if (memcmp(h, "cxsparse", 8) != 0 || !sum_ok(h, HEADER_BYTES, HEADER_AT_SUM))
		return corrupt(err, "the header of a dynamic disk is damaged");
	if (mt_get_be32(h + HEADER_AT_VERSION) >> 16 != 1)
		return mt_error_set(err, MT_ENOTSUP, "file", "VHD header version %x is not supported",
				    mt_get_be32(h + HEADER_AT_VERSION));
	v->block_bytes = mt_get_be32(h + HEADER_AT_BLOCK);
	v->entries = mt_get_be32(h + HEADER_AT_ENTRIES);
	if (v->block_bytes < 4096 || v->block_bytes > 1u << 30 || v->block_bytes & (v->block_bytes - 1))
		return mt_error_set(err, MT_ENOTSUP, "file", "VHD blocks of %u bytes are not supported",
				    v->block_bytes);
	if (v->entries > VHD_ENTRIES_MAX)
		return mt_error_set(err, MT_ERANGE, "file", "the VHD table has %u entries, at most %u are supported",
				    v->entries, VHD_ENTRIES_MAX);
	if (v->disk_bytes > (uint64_t)v->entries * v->block_bytes)
		return corrupt(err, "the table is too short for the disk's size");
	v->bitmap_bytes = (v->block_bytes / 512 / 8 + 511) & ~511u;
	memcpy(v->parent_uuid, h + HEADER_AT_PARENT, 16);
	return 0;
}

static int load_table(struct vhd *v, uint64_t offset, const struct mt_source *source, struct mt_error *err)
{
	uint64_t bytes = 4ull * v->entries;
	int rc;

	if (!mt_range_inside(offset, bytes, source->len_bytes))
		return corrupt(err, "the table lies outside of the file");
	v->table = malloc(bytes + 4);
	if (!v->table)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory for a table of %u entries", v->entries);
	rc = mt_source_read(source, offset, v->table, bytes);
	return rc < 0 ? mt_error_set(err, rc, "file", "cannot read the table") : 0;
}

int vhd_load(struct vhd *v, const struct mt_source *source, struct mt_error *err)
{
	uint8_t footer[FOOTER_BYTES], header[HEADER_BYTES];
	int rc;

	memset(v, 0, sizeof(*v));
	rc = find_footer(source, footer, err);
	if (rc == 0)
		rc = take_footer(v, footer, source, err);
	if (rc < 0 || v->type == VHD_FIXED)
		return rc;
	if (mt_source_read(source, mt_get_be64(footer + AT_HEADER), header, sizeof(header)) < 0)
		return corrupt(err, "the header of a dynamic disk cannot be read");
	rc = take_header(v, header, err);
	if (rc == 0)
		rc = load_table(v, mt_get_be64(header + HEADER_AT_TABLE), source, err);
	if (rc == 0 && v->type == VHD_DIFF)
		rc = name_find(header, source, v->parent_name, sizeof(v->parent_name), err);
	return rc;
}

void vhd_fini(struct vhd *v)
{
	free(v->table);
	v->table = NULL;
}

/* Mapping */

struct walk {
	const struct vhd *v;
	struct mt_block_extent *out;
	uint32_t count, max;
	uint64_t offset, end;
};

/* 0: the list is full. `sector` is where the data of `offset` would be in the file. */
static int put(struct walk *w, uint32_t kind, uint64_t len_bytes, uint64_t child_offset)
{
	struct mt_block_extent *last = w->count ? &w->out[w->count - 1] : NULL;

	len_bytes = mt_min_u64(len_bytes, w->v->disk_bytes - w->offset);
	if (last && last->kind == kind &&
	    (kind != MT_BLOCK_EXT_DATA || last->child_offset + last->len_bytes == child_offset)) {
		last->len_bytes += len_bytes;
	} else if (w->count < w->max) {
		w->out[w->count++] = (struct mt_block_extent){
			.len_bytes = len_bytes,
			.kind = kind,
			.child_offset = kind == MT_BLOCK_EXT_DATA ? child_offset : 0,
			.flags = kind == MT_BLOCK_EXT_DATA ? MT_BLOCK_EXT_ALLOCATED : 0,
		};
	} else {
		return 0;
	}
	w->offset += len_bytes;
	return 1;
}

static uint32_t absent(const struct vhd *v)
{
	return v->type == VHD_DIFF ? MT_BLOCK_EXT_BACKING : MT_BLOCK_EXT_ZERO;
}

/* Sectors whose bits stand in one page; the most significant bit of a byte is the first. */
static int32_t walk_bits(struct walk *w, const struct mt_source_pages *pages, uint64_t block_at, int *more)
{
	const struct vhd *v = w->v;
	uint32_t sector = (uint32_t)(w->offset % v->block_bytes / 512), sectors = v->block_bytes / 512;
	uint32_t page_end = mt_min_u32((sector / (VHD_PAGE * 8) + 1) * VHD_PAGE * 8, sectors);
	const uint8_t *bits;
	void *page;
	int32_t rc = pages->get(pages->arg, block_at + sector / 8 / VHD_PAGE * VHD_PAGE, &page, &bits);

	if (rc < 0)
		return rc;
	while (sector < page_end && w->offset < w->end && *more) {
		uint32_t at = sector % (VHD_PAGE * 8), here = bits[at / 8] >> (7 - at % 8) & 1, next = sector + 1;

		while (next < page_end && (bits[next % (VHD_PAGE * 8) / 8] >> (7 - next % 8) & 1) == here)
			next++;
		*more = put(w, here ? MT_BLOCK_EXT_DATA : absent(v), (uint64_t)(next - sector) * 512,
			    block_at + v->bitmap_bytes + sector * 512ull);
		sector = next;
	}
	pages->put(pages->arg, page);
	return 0;
}

int32_t vhd_map(const struct vhd *v, const struct mt_source_pages *pages, uint64_t offset, uint64_t len_bytes,
		struct mt_block_extent *out, uint32_t max)
{
	struct walk w = { .v = v, .out = out, .max = max, .offset = offset };
	int32_t rc = 0;
	int more = 1;

	if (offset >= v->disk_bytes || !max)
		return MT_ERANGE;
	w.end = offset + mt_min_u64(len_bytes ? len_bytes : 1, v->disk_bytes - offset);
	if (v->type == VHD_FIXED)
		return put(&w, MT_BLOCK_EXT_DATA, v->disk_bytes - offset, offset);
	while (rc == 0 && more && w.offset < w.end) {
		/* sector numbers of 32 bits: nothing overflows */
		uint32_t entry = mt_get_be32(&v->table[w.offset / v->block_bytes]);

		if (entry == UNUSED)
			more = put(&w, absent(v), v->block_bytes - w.offset % v->block_bytes, 0);
		else
			rc = walk_bits(&w, pages, entry * 512ull, &more);
	}
	return w.count ? (int32_t)w.count : rc;
}
