/* SPDX-License-Identifier: MIT */
/*
 * Reading, checking and allocating. The layout is that of VirtualBox's VDICore.h; offsets below are of the file.
 * Under the owner's lock.
 */
#include "vdi.h"

#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#include "layout.h"

#define SPARE_AT_OPEN 1024u              /* gaps that are used again; further ones stay leaked */
#define MERGE_BYTES   (64u << 20)        /* how far an extent is followed beyond what was asked for */

uint64_t vdi_total_bytes(const struct vdi *v)
{
	return (uint64_t)v->block_bytes + v->extra_bytes;
}

uint64_t vdi_end(const struct vdi *v)
{
	return v->data_offset + v->allocated * vdi_total_bytes(v);
}

/* Where block number `number` has its data. Numbers are below VDI_BLOCKS_MAX, so nothing overflows. */
static uint64_t data_at(const struct vdi *v, uint32_t number)
{
	return v->data_offset + number * vdi_total_bytes(v) + v->extra_bytes;
}

/* Opening */

static int check_magic(const uint8_t *h, struct mt_error *err)
{
	uint32_t version = mt_get_le32(h + AT_VERSION);

	if (mt_get_le32(h + AT_SIGNATURE) != VDI_SIGNATURE)
		return mt_error_set(err, MT_EINVAL, "file", "this is no VDI image: the signature is missing");
	if (version >> 16 != 1)
		return mt_error_set(err, MT_ENOTSUP, "file", "VDI version %u.%u is not supported, only 1.x",
				    version >> 16, version & 0xffff);
	if (mt_get_le32(h + AT_HEADER_BYTES) < HEADER_BYTES_MIN)
		return mt_error_set(err, MT_EINVAL, "file", "the VDI header is too short");
	return 0;
}

static void decode_header(struct vdi *v)
{
	const uint8_t *h = v->header;

	v->type = mt_get_le32(h + AT_TYPE);
	v->map_offset = mt_get_le32(h + AT_MAP_OFFSET);
	v->data_offset = mt_get_le32(h + AT_DATA_OFFSET);
	v->disk_bytes = mt_get_le64(h + AT_DISK_BYTES);
	v->block_bytes = mt_get_le32(h + AT_BLOCK_BYTES);
	v->extra_bytes = mt_get_le32(h + AT_EXTRA_BYTES);
	v->blocks = mt_get_le32(h + AT_BLOCKS);
	v->allocated = mt_get_le32(h + AT_ALLOCATED);
}

static int check_fields(struct vdi *v, struct mt_error *err)
{
	uint32_t sector = mt_get_le32(v->header + AT_SECTOR_BYTES);

	if (v->type < VDI_DYNAMIC || v->type > VDI_DIFF)
		return mt_error_set(err, MT_ENOTSUP, "file", "VDI image type %u is not known", v->type);
	if (sector != 512 && sector != 0)
		return mt_error_set(err, MT_ENOTSUP, "file", "VDI sectors of %u bytes are not supported", sector);
	if (v->block_bytes < 4096 || v->block_bytes > VDI_BLOCK_MAX || v->block_bytes & (v->block_bytes - 1))
		return mt_error_set(err, MT_ENOTSUP, "file", "VDI blocks of %u bytes are not supported",
				    v->block_bytes);
	if (v->extra_bytes % 512 || v->extra_bytes > v->block_bytes)
		return mt_error_set(err, MT_EINVAL, "file", "%u extra bytes a block cannot be right", v->extra_bytes);
	if (v->blocks > VDI_BLOCKS_MAX)
		return mt_error_set(err, MT_ERANGE, "file", "the map has %u blocks, at most %u are supported",
				    v->blocks, VDI_BLOCKS_MAX);
	if (v->disk_bytes > (uint64_t)v->blocks * v->block_bytes)
		return mt_error_set(err, MT_EINVAL, "file", "the map is too short for the disk's size");
	v->disk_bytes = (v->disk_bytes + 511) & ~511ull;
	return 0;
}

static int check_places(const struct vdi *v, struct mt_error *err)
{
	uint64_t map_bytes = 4ull * v->blocks;

	if (v->map_offset % 512 || v->data_offset % 512 || v->map_offset < VDI_HEADER_BYTES)
		return mt_error_set(err, MT_EINVAL, "file", "map or data of the VDI image lie at no sector");
	if (!mt_range_inside(v->map_offset, map_bytes, v->file_bytes))
		return mt_error_set(err, MT_EINVAL, "file", "the file ends inside of the map");
	if (v->data_offset < v->map_offset + map_bytes)
		return mt_error_set(err, MT_EINVAL, "file", "the data begin inside of the map");
	return 0;
}

static int load_map(struct vdi *v, const struct mt_source *source, struct mt_error *err)
{
	int rc;

	v->map = malloc(4ull * v->blocks + 4);
	if (!v->map)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory for a map of %u blocks", v->blocks);
	rc = mt_source_read(source, v->map_offset, v->map, 4ull * v->blocks);
	if (rc < 0)
		return mt_error_set(err, rc, "file", "cannot read the map");
	return 0;                      /* hosts are little-endian: nothing to convert */
}

/* Numbers that may be: growing that was interrupted leaves larger ones than there are entries, inside of the file. */
static uint32_t numbers_end(const struct vdi *v)
{
	uint64_t there = v->file_bytes > v->data_offset ? (v->file_bytes - v->data_offset) / vdi_total_bytes(v) : 0;

	return (uint32_t)mt_max_u64(v->blocks, mt_min_u64(there, 2 * VDI_BLOCKS_MAX));
}

int vdi_load(struct vdi *v, const struct mt_source *source, struct mt_error *err)
{
	int rc;

	memset(v, 0, sizeof(*v));
	v->file_bytes = source->len_bytes;
	rc = mt_source_read(source, 0, v->header, sizeof(v->header));
	if (rc < 0)
		return mt_error_set(err, rc == MT_ERANGE ? MT_EINVAL : rc, "file", "cannot read the VDI header");
	rc = check_magic(v->header, err);
	if (rc == 0) {
		decode_header(v);
		rc = check_fields(v, err);
	}
	if (rc == 0)
		rc = check_places(v, err);
	if (rc < 0)
		return rc;
	v->numbers = numbers_end(v);
	return load_map(v, source, err);
}

void vdi_fini(struct vdi *v)
{
	free(v->map);
	free(v->spare);
	v->map = v->spare = NULL;
}

uint32_t vdi_probe(const uint8_t *head, uint32_t head_bytes)
{
	return head_bytes >= VDI_HEADER_BYTES && mt_get_le32(head + AT_SIGNATURE) == VDI_SIGNATURE ? 100 : 0;
}

const uint8_t *vdi_uuid_in(const uint8_t *header)
{
	return header + AT_UUID;
}

const uint8_t *vdi_modify_uuid_in(const uint8_t *header)
{
	return header + AT_MODIFY_UUID;
}

void vdi_set_modify_uuid(struct vdi *v, const uint8_t uuid[16])
{
	memcpy(v->header + AT_MODIFY_UUID, uuid, 16);
}

void vdi_set_parent_modify_uuid(struct vdi *v, const uint8_t uuid[16])
{
	memcpy(v->header + AT_PARENT_MODIFY_UUID, uuid, 16);
}

const uint8_t *vdi_uuid(const struct vdi *v)
{
	return vdi_uuid_in(v->header);
}

const uint8_t *vdi_modify_uuid(const struct vdi *v)
{
	return vdi_modify_uuid_in(v->header);
}

const uint8_t *vdi_parent_uuid(const struct vdi *v)
{
	return v->header + AT_PARENT_UUID;
}

const uint8_t *vdi_parent_modify_uuid(const struct vdi *v)
{
	return v->header + AT_PARENT_MODIFY_UUID;
}

/* Checking */

/* A bit for every number that an entry has. NULL: out of memory. */
static uint8_t *numbers_used(const struct vdi *v, struct vdi_report *out, uint32_t *end)
{
	uint8_t *used = calloc(1, v->numbers / 8 + 1);

	*end = 0;
	for (uint32_t i = 0; used && i < v->blocks; i++) {
		uint32_t number = v->map[i];

		if (number >= VDI_ZERO)
			continue;
		out->allocated++;
		if (number >= v->numbers) {
			out->out_of_range++;
			continue;
		}
		out->doubled += used[number / 8] >> number % 8 & 1;
		used[number / 8] |= (uint8_t)(1u << number % 8);
		out->truncated += data_at(v, number) + v->block_bytes > v->file_bytes;
		*end = mt_max_u32(*end, number + 1);
	}
	return used;
}

int vdi_check(const struct vdi *v, struct vdi_report *out)
{
	uint32_t end, counted = mt_min_u32(v->allocated, v->numbers);
	uint8_t *used;

	memset(out, 0, sizeof(*out));
	used = numbers_used(v, out, &end);
	if (!used)
		return MT_ENOMEM;
	for (uint32_t i = 0; i < v->numbers; i++) {
		uint32_t is_used = used[i / 8] >> i % 8 & 1;

		out->leaked += i < counted && !is_used;
		out->missing += i >= counted && is_used;
	}
	out->leaked += v->allocated - counted;
	free(used);
	return 0;
}

static int spare_add(struct vdi *v, uint32_t number)
{
	if (v->spare_count == v->spare_room) {
		uint32_t room = v->spare_room ? v->spare_room * 2 : 16;
		uint32_t *spare = realloc(v->spare, room * sizeof(*spare));

		if (!spare)
			return MT_ENOMEM;
		v->spare = spare;
		v->spare_room = room;
	}
	v->spare[v->spare_count++] = number;
	return 0;
}

int vdi_accept(struct vdi *v, struct mt_error *err)
{
	struct vdi_report report = { 0 };
	uint32_t end;
	uint8_t *used = numbers_used(v, &report, &end);

	if (!used)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	v->allocated = v->handed = end;
	for (uint32_t i = end; i-- > 0 && v->spare_count < SPARE_AT_OPEN;) {
		if (!(used[i / 8] >> i % 8 & 1) && spare_add(v, i) < 0)
			break;
	}
	free(used);
	if (report.out_of_range || report.doubled) {
		mt_error_set(err, MT_EINVAL, "file", "the VDI map is corrupt: %llu entries are out of range, "
			     "%llu share a block with another", (unsigned long long)report.out_of_range,
			     (unsigned long long)report.doubled);
		mt_error_hint(err, "look at it with `mortise img check`; restore the image from a backup");
		return MT_EINVAL;
	}
	return 0;
}

/* Mapping */

static uint32_t kind_of(const struct vdi *v, uint32_t entry)
{
	if (entry < VDI_ZERO)
		return MT_BLOCK_EXT_DATA;
	return entry == VDI_FREE && vdi_has_parent(v) ? MT_BLOCK_EXT_BACKING : MT_BLOCK_EXT_ZERO;
}

/* Whether block `index` goes on where the block before it ends. */
static int goes_on(const struct vdi *v, uint32_t index, uint32_t kind)
{
	if (kind_of(v, v->map[index]) != kind)
		return 0;
	return kind != MT_BLOCK_EXT_DATA ||
	       (!v->extra_bytes && v->map[index] == v->map[index - 1] + 1 && v->map[index] < v->numbers);
}

static struct mt_block_extent extent_at(const struct vdi *v, uint64_t offset, uint64_t limit)
{
	uint32_t index = (uint32_t)(offset / v->block_bytes), end = index + 1;
	uint32_t kind = kind_of(v, v->map[index]);
	struct mt_block_extent extent = { .kind = kind };

	while (end < v->blocks && (uint64_t)end * v->block_bytes < limit && goes_on(v, end, kind))
		end++;
	extent.len_bytes = mt_min_u64((uint64_t)end * v->block_bytes, v->disk_bytes) - offset;
	if (kind == MT_BLOCK_EXT_DATA) {
		extent.child_offset = data_at(v, v->map[index]) + offset % v->block_bytes;
		extent.flags = MT_BLOCK_EXT_WRITABLE | MT_BLOCK_EXT_ALLOCATED;
	}
	return extent;
}

int32_t vdi_map(const struct vdi *v, uint64_t offset, uint64_t len_bytes, struct mt_block_extent *extents,
		uint32_t max)
{
	uint64_t end, limit;
	uint32_t n = 0;

	if (offset >= v->disk_bytes || !max)
		return MT_ERANGE;
	end = offset + mt_min_u64(len_bytes ? len_bytes : 1, v->disk_bytes - offset);
	limit = end + mt_min_u64(MERGE_BYTES, v->disk_bytes - end);
	while (n < max && offset < end) {
		uint32_t entry = v->map[offset / v->block_bytes];

		if (entry < VDI_ZERO && entry >= v->numbers)
			return n ? (int32_t)n : MT_EIO;
		extents[n] = extent_at(v, offset, limit);
		offset += extents[n++].len_bytes;
	}
	return (int32_t)n;
}

/* Allocation */

/*
 * While blocks that were given up wait for their release, there may be more numbers than blocks of the disk; closing
 * brings them back below.
 */
static int64_t number_take(struct vdi *v, int *fresh)
{
	*fresh = 0;
	if (v->spare_count)
		return v->spare[--v->spare_count];
	if (v->allocated == 2 * VDI_BLOCKS_MAX)
		return MT_ENOSPC;
	*fresh = v->allocated >= v->handed;
	v->handed = mt_max_u32(v->handed, v->allocated + 1);
	v->numbers = mt_max_u32(v->numbers, v->allocated + 1);
	return v->allocated++;
}

void vdi_release(struct vdi *v, uint32_t number)
{
	if (number + 1 == v->allocated)
		v->allocated--;
	else
		(void)spare_add(v, number);    /* if that fails it is leaked until the image is opened again */
}

struct mt_block_space vdi_space(const struct vdi *v, uint32_t number)
{
	return (struct mt_block_space){
		.offset = data_at(v, number) - v->extra_bytes,
		.len_bytes = vdi_total_bytes(v),
		.cookie = number,
	};
}

/* The part of one block that the write covers. The last block ends with the disk, its data do not. */
static int32_t reserve_one(struct vdi *v, uint64_t offset, uint64_t len_bytes, struct mt_block_target *target)
{
	uint64_t index = offset / v->block_bytes, head = offset % v->block_bytes;
	int fresh;
	int64_t number = number_take(v, &fresh);

	if (number < 0)
		return (int32_t)number;
	*target = (struct mt_block_target){
		.offset = offset,
		.len_bytes = len_bytes,
		.child_offset = data_at(v, (uint32_t)number) + head,
		.fill_head_bytes = head,
		.fill_tail_bytes = v->block_bytes - head - len_bytes,
		.cookie = index << 32 | (uint64_t)number,
		.flags = fresh && data_at(v, (uint32_t)number) >= v->file_bytes ? MT_BLOCK_TARGET_ZEROED : 0,
	};
	return 0;
}

int32_t vdi_reserve(struct vdi *v, uint64_t offset, uint64_t len_bytes, struct mt_block_target *targets, uint32_t max)
{
	uint64_t end;
	uint32_t n = 0;

	if (!max || !len_bytes || !mt_range_inside(offset, len_bytes, v->disk_bytes))
		return MT_ERANGE;
	for (end = offset + len_bytes; n < max && offset < end;) {
		uint64_t len = mt_min_u64(v->block_bytes - offset % v->block_bytes, end - offset);
		int32_t rc = 0;

		if (v->map[offset / v->block_bytes] < VDI_ZERO)
			break;                 /* has a block already: not to be reserved */
		rc = reserve_one(v, offset, len, &targets[n]);
		if (rc < 0)
			return n ? (int32_t)n : rc;
		offset += len;
		n++;
	}
	return n ? (int32_t)n : MT_EINVAL;
}

int64_t vdi_commit(struct vdi *v, uint64_t cookie)
{
	uint32_t index = (uint32_t)(cookie >> 32), number = (uint32_t)cookie;

	if (index >= v->blocks || number >= v->allocated || v->map[index] < VDI_ZERO)
		return MT_EINVAL;
	v->map[index] = number;
	return index;
}

void vdi_abort(struct vdi *v, uint64_t cookie)
{
	if ((uint32_t)cookie < v->allocated)
		vdi_release(v, (uint32_t)cookie);
}

int32_t vdi_unmap(struct vdi *v, uint32_t index, int free_data, uint32_t *number)
{
	uint32_t entry = v->map[index];

	*number = VDI_FREE;
	if (entry == VDI_ZERO || (entry == VDI_FREE && !vdi_has_parent(v)))
		return 0;
	if (entry < VDI_ZERO && !free_data)
		return MT_ENOTSUP;
	if (entry < VDI_ZERO)
		*number = entry;
	v->map[index] = VDI_ZERO;
	return 1;
}

/* What is to be written */

void vdi_encode_header(const struct vdi *v, uint8_t out[VDI_HEADER_BYTES])
{
	memcpy(out, v->header, VDI_HEADER_BYTES);
	mt_put_le32(out + AT_MAP_OFFSET, (uint32_t)v->map_offset);
	mt_put_le32(out + AT_DATA_OFFSET, (uint32_t)v->data_offset);
	mt_put_le64(out + AT_DISK_BYTES, v->disk_bytes);
	mt_put_le32(out + AT_BLOCKS, v->blocks);
	mt_put_le32(out + AT_ALLOCATED, v->allocated);
}

void vdi_encode_map(const struct vdi *v, uint32_t first, uint32_t count, uint8_t *out)
{
	memcpy(out, v->map + first, 4ull * count);
}
