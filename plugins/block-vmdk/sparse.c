/* SPDX-License-Identifier: MIT */
/*
 * Headers of sparse extents: hosted ("KDMV", versions 1 to 3; a stream has its true header in a footer at the end) and
 * ESX ("COWD"). After VMware's "Virtual Disk Format 5.0". All numbers are little-endian, places are sectors.
 */
#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>

#include "vmdk.h"

#define HEADER_BYTES 512u
#define FOOTER_BACK  1024u               /* the footer's header from the end of the file; an end marker follows */
#define GD_AT_END    UINT64_MAX

#define FLAG_NEWLINES   1u
#define FLAG_SECOND     2u
#define FLAG_ZERO_GTE   4u
#define FLAG_COMPRESSED 0x10000u
#define FLAG_MARKERS    0x20000u

#define AT_VERSION     4
#define AT_FLAGS       8
#define AT_CAPACITY    12
#define AT_GRAIN       20
#define AT_DESCRIPTOR  28
#define AT_DESCRIPTOR_SECTORS 36
#define AT_ENTRIES     44
#define AT_SECOND      48
#define AT_DIRECTORY   56
#define AT_OVERHEAD    64
#define AT_NEWLINES    73
#define AT_COMPRESSION 77

#define COWD_AT_SECTORS   12
#define COWD_AT_GRAIN     16
#define COWD_AT_DIRECTORY 20
#define COWD_AT_ENTRIES   24
#define COWD_TABLE        4096u

static int bad(struct mt_error *err, const char *words)
{
	return mt_error_set(err, MT_EINVAL, "file", "the VMDK extent is corrupt: %s", words);
}

/* Places in sectors become bytes only below this, so that nothing overflows. */
static int sector_ok(uint64_t sector)
{
	return sector <= UINT64_MAX >> 12;
}

static int check_sizes(struct vmdk_sparse *s, uint64_t sectors, uint64_t grain_sectors, struct mt_error *err)
{
	uint64_t grains;

	if (!sectors || !sector_ok(sectors))
		return bad(err, "its capacity");
	if (grain_sectors < 1 || grain_sectors > VMDK_GRAIN_MAX / VMDK_SECTOR || grain_sectors & (grain_sectors - 1))
		return mt_error_set(err, MT_ENOTSUP, "file", "VMDK grains of %llu sectors are not supported",
				    (unsigned long long)grain_sectors);
	if (s->table_entries < 128 || s->table_entries > 4096 || s->table_entries & (s->table_entries - 1))
		return mt_error_set(err, MT_ENOTSUP, "file", "VMDK tables of %u entries are not supported",
				    s->table_entries);
	s->capacity_bytes = sectors * VMDK_SECTOR;
	s->grain_bytes = grain_sectors * VMDK_SECTOR;
	grains = (sectors + grain_sectors - 1) / grain_sectors;
	grains = (grains + s->table_entries - 1) / s->table_entries;
	if (grains > VMDK_GD_MAX)
		return mt_error_set(err, MT_ERANGE, "file", "the VMDK extent has more than %u grain tables",
				    VMDK_GD_MAX);
	s->directory_entries = (uint32_t)grains;
	return 0;
}

static int load_directory(const struct vmdk_sparse *s, const struct mt_source *source, uint64_t sector, uint32_t **out,
			  uint32_t *left, struct mt_error *err)
{
	int rc;

	if (s->directory_entries > *left)
		return mt_error_set(err, MT_ERANGE, "file", "the VMDK disk has more than %u grain tables", VMDK_GD_MAX);
	if (!sector_ok(sector) || !mt_range_inside(sector * VMDK_SECTOR, 4ull * s->directory_entries,
						   source->len_bytes))
		return bad(err, "the grain directory lies outside of the file");
	*left -= s->directory_entries;
	*out = malloc(4ull * s->directory_entries);
	if (!*out)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory for %u grain tables", s->directory_entries);
	rc = mt_source_read(source, sector * VMDK_SECTOR, *out, 4ull * s->directory_entries);
	return rc < 0 ? mt_error_set(err, rc, "file", "cannot read the grain directory") : 0;
}

/* Tables inside the file, and all there: then grains can be added. */
static int tables_there(const struct vmdk_sparse *s, const uint32_t *directory, uint64_t file_bytes)
{
	for (uint32_t i = 0; i < s->directory_entries; i++) {
		if (!directory[i] || !mt_range_inside((uint64_t)directory[i] * VMDK_SECTOR, 4ull * s->table_entries,
						      file_bytes))
			return 0;
	}
	return 1;
}

static int check_version(const uint8_t *h, struct mt_error *err)
{
	uint32_t version = mt_get_le32(h + AT_VERSION);
	static const uint8_t newlines[4] = { '\n', ' ', '\r', '\n' };

	if (version < 1 || version > 3)
		return mt_error_set(err, MT_ENOTSUP, "file", "VMDK version %u is not supported", version);
	if (mt_get_le32(h + AT_FLAGS) & FLAG_NEWLINES && memcmp(h + AT_NEWLINES, newlines, 4) != 0)
		return bad(err, "its line ends were converted, as by a transfer of text");
	return 0;
}

/* Only the footer of a stream knows where the directory is. */
static int find_header(struct vmdk_sparse *s, uint8_t *h, const struct mt_source *source, struct mt_error *err)
{
	if (mt_get_le64(h + AT_DIRECTORY) != GD_AT_END)
		return 0;
	s->footer = 1;
	if (source->len_bytes < HEADER_BYTES + FOOTER_BACK ||
	    mt_source_read(source, source->len_bytes - FOOTER_BACK, h, HEADER_BYTES) < 0 ||
	    mt_get_le32(h) != VMDK_MAGIC || mt_get_le64(h + AT_DIRECTORY) == GD_AT_END)
		return bad(err, "the stream has no footer: it was cut off");
	return check_version(h, err);
}

/* Then it can be filled. */
static int stream_is_empty(const struct vmdk_sparse *s, uint32_t flags, uint64_t begin, uint64_t file_bytes)
{
	if (!s->compressed || !s->markers || !s->footer || flags & FLAG_SECOND || !sector_ok(begin) || begin == 0 ||
	    begin * VMDK_SECTOR < s->descriptor_offset + s->descriptor_bytes || begin * VMDK_SECTOR > file_bytes)
		return 0;
	for (uint32_t i = 0; i < s->directory_entries; i++) {
		if (s->directory[i])
			return 0;
	}
	return 1;
}

static int load_hosted(struct vmdk_sparse *s, uint8_t *h, const struct mt_source *source, uint32_t *left,
		       struct mt_error *err)
{
	uint64_t place = mt_get_le64(h + AT_DESCRIPTOR), sectors = mt_get_le64(h + AT_DESCRIPTOR_SECTORS);
	uint64_t begin = mt_get_le64(h + AT_OVERHEAD);
	uint32_t flags;
	int rc = find_header(s, h, source, err);

	if (rc < 0)
		return rc;
	if (place && sectors && sector_ok(place) && sectors <= VMDK_TEXT_MAX / VMDK_SECTOR) {
		s->descriptor_offset = place * VMDK_SECTOR;
		s->descriptor_bytes = sectors * VMDK_SECTOR;
	}
	flags = mt_get_le32(h + AT_FLAGS);
	s->zero_grains = (flags & FLAG_ZERO_GTE) != 0;
	s->compressed = (flags & FLAG_COMPRESSED) != 0;
	s->markers = (flags & FLAG_MARKERS) != 0;
	if (s->compressed && mt_get_le16(h + AT_COMPRESSION) != 1)
		return mt_error_set(err, MT_ENOTSUP, "file", "VMDK compression %u is not known",
				    mt_get_le16(h + AT_COMPRESSION));
	s->table_entries = mt_get_le32(h + AT_ENTRIES);
	rc = check_sizes(s, mt_get_le64(h + AT_CAPACITY), mt_get_le64(h + AT_GRAIN), err);
	if (rc == 0)
		rc = load_directory(s, source, mt_get_le64(h + AT_DIRECTORY), &s->directory, left, err);
	if (rc == 0 && flags & FLAG_SECOND && !s->compressed)
		rc = load_directory(s, source, mt_get_le64(h + AT_SECOND), &s->second, left, err);
	if (rc < 0)
		return rc;
	if (stream_is_empty(s, flags, begin, source->len_bytes))
		return stream_open(s, h, begin * VMDK_SECTOR);
	s->can_write = !s->compressed && s->grain_bytes >= 4096 && tables_there(s, s->directory, source->len_bytes) &&
		       (!s->second || tables_there(s, s->second, source->len_bytes));
	return 0;
}

static int load_cowd(struct vmdk_sparse *s, const uint8_t *h, const struct mt_source *source, uint32_t *left,
		     struct mt_error *err)
{
	int rc;

	s->table_entries = COWD_TABLE;
	rc = check_sizes(s, mt_get_le32(h + COWD_AT_SECTORS), mt_get_le32(h + COWD_AT_GRAIN), err);
	if (rc < 0)
		return rc;
	if (mt_get_le32(h + COWD_AT_ENTRIES) < s->directory_entries)
		return bad(err, "its directory is too short");
	return load_directory(s, source, mt_get_le32(h + COWD_AT_DIRECTORY), &s->directory, left, err);
}

int sparse_load(struct vmdk_sparse *s, const struct mt_source *source, uint32_t *left, struct mt_error *err)
{
	uint8_t h[HEADER_BYTES];
	int rc;

	memset(s, 0, sizeof(*s));
	rc = mt_source_read(source, 0, h, sizeof(h));
	if (rc < 0)
		return mt_error_set(err, rc == MT_ERANGE ? MT_EINVAL : rc, "file", "cannot read the VMDK header");
	if (mt_get_le32(h) == COWD_MAGIC)
		rc = load_cowd(s, h, source, left, err);
	else if (mt_get_le32(h) == VMDK_MAGIC)
		rc = check_version(h, err) < 0 ? MT_EINVAL : load_hosted(s, h, source, left, err);
	else
		return mt_error_set(err, MT_EINVAL, "file", "this is no sparse VMDK extent: the signature is missing");
	if (rc == 0 && !s->stream && !mt_align_up_u64(source->len_bytes, s->grain_bytes, &s->end_bytes))
		return bad(err, "its length");
	s->whole_bytes = s->end_bytes;
	return rc;
}

void sparse_fini(struct vmdk_sparse *s)
{
	stream_fini(s);
	free(s->directory);
	free(s->second);
	free(s->spare);
	memset(s, 0, sizeof(*s));
}

uint64_t sparse_entry_at(const struct vmdk_sparse *s, uint64_t grain, uint64_t *second)
{
	uint64_t table = grain / s->table_entries, entry = grain % s->table_entries * 4;

	*second = s->second && s->second[table] ? (uint64_t)s->second[table] * VMDK_SECTOR + entry : 0;
	return s->directory[table] ? (uint64_t)s->directory[table] * VMDK_SECTOR + entry : 0;
}
