/* SPDX-License-Identifier: MIT */
/*
 * Opening: file identifier, the newer header, the log, the region table, metadata, the table of blocks ([MS-VHDX]
 * 2.2 and 2.4 to 2.6). Everything after the headers is read as the log will have it.
 */
#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#include "name.h"
#include "vhdx.h"

#define MIB          (1ull << 20)
#define HEADER_BYTES 4096u
#define REGION_BYTES 65536u
#define ITEMS_MAX    2047u
#define DISK_MAX     (64ull << 40)

struct load {
	struct vhdx *v;
	const struct mt_source *source;
	struct mt_error *err;
	struct vhdx_log log;
	uint64_t table_at, metadata_at;
	uint32_t table_bytes, metadata_bytes;
	uint32_t flags;                      /* of the file parameters */
};

#define FLAG_FIXED  1u
#define FLAG_PARENT 2u

/* As in the file: the first three fields of a GUID are little-endian. */
static const uint8_t region_table[16] = "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08";
static const uint8_t region_metadata[16] = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
static const uint8_t item_parameters[16] = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b";
static const uint8_t item_size[16] = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8";
static const uint8_t item_sector[16] = "\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f";
static const uint8_t item_physical[16] = "\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56";
static const uint8_t item_id[16] = "\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46";
static const uint8_t item_parent[16] = "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c";

static int corrupt(struct load *l, const char *words)
{
	return mt_error_set(l->err, MT_EINVAL, "file", "the VHDX image is corrupt: %s", words);
}

/* As the log will have it. */
static int read_at(struct load *l, uint64_t offset, void *buf, uint64_t len_bytes)
{
	int rc = mt_source_read(l->source, offset, buf, len_bytes);

	if (rc == 0)
		log_apply(&l->log, offset, buf, len_bytes);
	return rc;
}

/* Headers */

static int header_ok(const uint8_t *h)
{
	return memcmp(h, "head", 4) == 0 && crc32c_hole(h, HEADER_BYTES, 4) == mt_get_le32(h + 4);
}

static int take_log(struct load *l, const uint8_t *h)
{
	static const uint8_t none[16];

	if (mt_get_le16(h + 66) != 1)
		return mt_error_set(l->err, MT_ENOTSUP, "file", "VHDX version %u is not supported", mt_get_le16(h + 66));
	if (memcmp(h + 48, none, 16) == 0)
		return 0;
	if (mt_get_le16(h + 64) != 0)
		return mt_error_set(l->err, MT_ENOTSUP, "file", "VHDX log version %u is not supported",
				    mt_get_le16(h + 64));
	l->v->log_replayed = 1;
	return log_load(&l->log, l->source, h + 48, mt_get_le64(h + 72), mt_get_le32(h + 68), l->err);
}

static int load_headers(struct load *l)
{
	uint8_t *h = malloc(2 * HEADER_BYTES), id[8];
	int ok[2], rc = h ? 0 : MT_ENOMEM, newer;

	if (rc == 0 && mt_source_read(l->source, 0, id, sizeof(id)) == 0 && vhdx_probe(id, sizeof(id)) == 0)
		rc = mt_error_set(l->err, MT_EINVAL, "file", "this is no VHDX image: the signature is missing");
	for (uint32_t i = 0; rc == 0 && i < 2; i++)
		ok[i] = mt_source_read(l->source, (i + 1) * 65536, h + i * HEADER_BYTES, HEADER_BYTES) == 0 &&
			header_ok(h + i * HEADER_BYTES);
	if (rc == 0 && !ok[0] && !ok[1])
		rc = corrupt(l, "neither header is sound");
	if (rc == 0) {
		newer = !ok[0] || (ok[1] && mt_get_le64(h + HEADER_BYTES + 8) > mt_get_le64(h + 8));
		memcpy(l->v->data_write_guid, h + newer * HEADER_BYTES + 32, 16);
		rc = take_log(l, h + newer * HEADER_BYTES);
	}
	free(h);
	return rc;
}

/* Regions */

static int take_region(struct load *l, const uint8_t *entry)
{
	uint64_t at = mt_get_le64(entry + 16);
	uint32_t bytes = mt_get_le32(entry + 24);
	int is_table = memcmp(entry, region_table, 16) == 0;

	if (!is_table && memcmp(entry, region_metadata, 16) != 0)
		return mt_get_le32(entry + 28) & 1 ?
		       mt_error_set(l->err, MT_ENOTSUP, "file", "the VHDX image needs a region that is not known") : 0;
	if (at % MIB || at < MIB || bytes % MIB || !bytes)
		return corrupt(l, "a region lies at no place for it");
	*(is_table ? &l->table_at : &l->metadata_at) = at;
	*(is_table ? &l->table_bytes : &l->metadata_bytes) = bytes;
	return 0;
}

static int load_regions(struct load *l)
{
	uint8_t *r = malloc(REGION_BYTES);
	uint32_t count;
	int rc = r ? MT_EINVAL : MT_ENOMEM;

	for (uint64_t at = 3 * 65536; rc == MT_EINVAL && at <= 4 * 65536; at += 65536) {
		if (read_at(l, at, r, REGION_BYTES) == 0 && memcmp(r, "regi", 4) == 0 &&
		    crc32c_hole(r, REGION_BYTES, 4) == mt_get_le32(r + 4))
			rc = 0;
	}
	count = rc == 0 ? mt_get_le32(r + 8) : 0;
	if (rc < 0 || count > ITEMS_MAX)
		rc = corrupt(l, "neither region table is sound");
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = take_region(l, r + 16 + 32 * i);
	free(r);
	return rc == 0 && (!l->table_at || !l->metadata_at) ? corrupt(l, "a region is missing") : rc;
}

/* Metadata */

static int take_parent(struct load *l, uint64_t offset, uint32_t bytes)
{
	uint8_t *item = bytes <= REGION_BYTES ? malloc(bytes + 1) : NULL;
	int rc = item && read_at(l, offset, item, bytes) == 0 ?
		 name_find(item, bytes, l->v->parent_name, sizeof(l->v->parent_name)) : MT_EINVAL;

	if (rc == 0)
		rc = name_linkage(item, bytes, l->v->linkage);
	free(item);
	return rc < 0 ? corrupt(l, "what it says of its parent") : 0;
}

static int take_item(struct load *l, const uint8_t *entry)
{
	uint32_t at = mt_get_le32(entry + 16), bytes = mt_get_le32(entry + 20);
	struct vhdx *v = l->v;
	uint8_t value[8] = { 0 };

	if (!mt_range_inside(at, bytes, l->metadata_bytes))
		return corrupt(l, "metadata lie outside of their region");
	if (memcmp(entry, item_parent, 16) == 0)
		return take_parent(l, l->metadata_at + at, bytes);
	if (read_at(l, l->metadata_at + at, value, mt_min_u32(bytes, sizeof(value))) < 0)
		return corrupt(l, "metadata cannot be read");
	if (memcmp(entry, item_parameters, 16) == 0) {
		v->block_bytes = mt_get_le32(value);
		l->flags = mt_get_le32(value + 4);
	} else if (memcmp(entry, item_size, 16) == 0) {
		v->disk_bytes = mt_get_le64(value);
	} else if (memcmp(entry, item_sector, 16) == 0) {
		v->sector_bytes = mt_get_le32(value);
	} else if (memcmp(entry, item_physical, 16) == 0) {
		v->physical_bytes = mt_get_le32(value);
	} else if (memcmp(entry, item_id, 16) != 0 && mt_get_le32(entry + 24) & 4) {
		return mt_error_set(l->err, MT_ENOTSUP, "file", "the VHDX image needs metadata that are not known");
	}
	return 0;
}

static int load_metadata(struct load *l)
{
	uint8_t *m = malloc(REGION_BYTES);
	uint32_t count = 0;
	int rc = m ? read_at(l, l->metadata_at, m, REGION_BYTES) : MT_ENOMEM;

	if (rc == 0)
		count = mt_get_le16(m + 10);
	if (rc < 0 || memcmp(m, "metadata", 8) != 0 || count > ITEMS_MAX)
		rc = corrupt(l, "the metadata table is damaged");
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = take_item(l, m + 32 + 32 * i);
	free(m);
	return rc;
}

static int is_power(uint64_t n)
{
	return n && !(n & (n - 1));
}

static int check_sizes(struct load *l)
{
	struct vhdx *v = l->v;

	if (!is_power(v->block_bytes) || v->block_bytes < MIB || v->block_bytes > 256 * MIB)
		return corrupt(l, "its block size");
	if (v->sector_bytes != 512 && v->sector_bytes != 4096)
		return corrupt(l, "its sector size");
	if (v->physical_bytes != 512 && v->physical_bytes != 4096)
		v->physical_bytes = v->sector_bytes;
	if (!v->disk_bytes || v->disk_bytes > DISK_MAX || v->disk_bytes % v->sector_bytes)
		return corrupt(l, "its size");
	v->parent = (l->flags & FLAG_PARENT) != 0;
	v->fixed = (l->flags & FLAG_FIXED) != 0;
	v->chunk_ratio = (uint32_t)((1ull << 23) * v->sector_bytes / v->block_bytes);
	v->blocks = (uint32_t)((v->disk_bytes + v->block_bytes - 1) / v->block_bytes);
	if (v->parent && v->log_replayed) {
		mt_error_set(l->err, MT_ENOTSUP, "file", "a differencing VHDX image with an open log is not supported");
		mt_error_hint(l->err, "let the program that wrote it close it");
		return MT_ENOTSUP;
	}
	return 0;
}

/* The table of blocks */

static int load_table(struct load *l)
{
	struct vhdx *v = l->v;
	uint32_t chunks = (v->blocks + v->chunk_ratio - 1) / v->chunk_ratio;
	uint64_t entries = v->parent ? (uint64_t)chunks * (v->chunk_ratio + 1) :
			   (uint64_t)v->blocks + (v->blocks - 1) / v->chunk_ratio;

	if (entries * 8 > VHDX_TABLE_MAX)
		return mt_error_set(l->err, MT_ERANGE, "file", "the VHDX image has more than %u blocks",
				    VHDX_TABLE_MAX / 8);
	if (entries * 8 > l->table_bytes)
		return corrupt(l, "the table is too short for the disk's size");
	v->table_entries = (uint32_t)entries;
	v->table = malloc(entries * 8);
	if (!v->table)
		return mt_error_set(l->err, MT_ENOMEM, NULL, "out of memory for %u blocks", v->blocks);
	return read_at(l, l->table_at, v->table, entries * 8) < 0 ? corrupt(l, "the file ends inside of the table") : 0;
}

static int is_inside(const struct vhdx_piece *p, uint64_t offset, uint64_t len_bytes)
{
	return p->offset >= offset && mt_range_inside(p->offset - offset, p->len_bytes, len_bytes);
}

/* A log that brings more than tables would have to be written to the file before data are read from it. */
static int check_log(struct load *l)
{
	for (uint32_t i = 0; i < l->log.count; i++) {
		const struct vhdx_piece *p = &l->log.pieces[i];

		if (!is_inside(p, 0, MIB) && !is_inside(p, l->table_at, l->table_bytes) &&
		    !is_inside(p, l->metadata_at, l->metadata_bytes)) {
			mt_error_set(l->err, MT_ENOTSUP, "file", "the log of the VHDX image changes more than its tables");
			mt_error_hint(l->err, "let the program that wrote it close it");
			return MT_ENOTSUP;
		}
	}
	return 0;
}

int vhdx_load(struct vhdx *v, const struct mt_source *source, struct mt_error *err)
{
	struct load l = { .v = v, .source = source, .err = err };
	int rc;

	memset(v, 0, sizeof(*v));
	rc = load_headers(&l);
	if (rc == 0)
		rc = load_regions(&l);
	if (rc == 0)
		rc = load_metadata(&l);
	if (rc == 0)
		rc = check_sizes(&l);
	if (rc == 0)
		rc = load_table(&l);
	if (rc == 0)
		rc = check_log(&l);
	log_fini(&l.log);
	return rc;
}

void vhdx_fini(struct vhdx *v)
{
	free(v->table);
	v->table = NULL;
}

uint32_t vhdx_probe(const uint8_t *head, uint32_t head_bytes)
{
	return head_bytes >= 8 && memcmp(head, "vhdxfile", 8) == 0 ? 100 : 0;
}
