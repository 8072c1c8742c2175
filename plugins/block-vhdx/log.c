/* SPDX-License-Identifier: MIT */
/*
 * The log ([MS-VHDX] 2.3): a ring of sectors of 4 KiB with entries. The active sequence is the newest one whose entries
 * follow each other from the tail that the last one names. Work and memory are bounded, because a hostile log can make
 * every sector look like the start of a long entry.
 */
#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#include "vhdx.h"

#define SECTOR      4096u
#define LOG_MAX     (16u << 20)
#define PIECES_MAX  65536u
#define CRC_MAX     (32u << 20)          /* bytes that checksums may be taken of: a sound log needs its length once */

#define AT_SUM      4
#define AT_LENGTH   8
#define AT_TAIL     12
#define AT_SEQUENCE 16
#define AT_COUNT    24
#define AT_GUID     32
#define AT_FLUSHED  48
#define HEADER_BYTES 64u
#define DESCRIPTOR_BYTES 32u

/* What is known of the entry that begins at a sector. */
struct entry {
	uint64_t sequence;                   /* 0: there is none */
	uint32_t sectors, tail;              /* tail: a sector */
};

struct ring {
	uint8_t *bytes;
	uint32_t sectors;
	struct entry *entries;
	uint64_t crc_left;
};

static int corrupt(struct mt_error *err, const char *words)
{
	return mt_error_set(err, MT_EINVAL, "file", "the log of the VHDX image is corrupt: %s", words);
}

/* An entry's bytes in one piece: those that wrap around are put together in `room`. */
static const uint8_t *entry_bytes(const struct ring *r, uint32_t sector, uint32_t sectors, uint8_t *room)
{
	uint32_t first = mt_min_u32(sectors, r->sectors - sector);

	if (first == sectors)
		return r->bytes + (uint64_t)sector * SECTOR;
	memcpy(room, r->bytes + (uint64_t)sector * SECTOR, (uint64_t)first * SECTOR);
	memcpy(room + (uint64_t)first * SECTOR, r->bytes, (uint64_t)(sectors - first) * SECTOR);
	return room;
}

static uint32_t header_sectors(uint32_t descriptors)
{
	return (uint32_t)((HEADER_BYTES + (uint64_t)descriptors * DESCRIPTOR_BYTES + SECTOR - 1) / SECTOR);
}

/* 0 or MT_ERANGE: too much work. */
static int look(struct ring *r, uint32_t sector, const uint8_t guid[16], uint8_t *room)
{
	const uint8_t *h = r->bytes + (uint64_t)sector * SECTOR;
	uint32_t len = mt_get_le32(h + AT_LENGTH), tail = mt_get_le32(h + AT_TAIL), count = mt_get_le32(h + AT_COUNT);

	if (memcmp(h, "loge", 4) != 0 || memcmp(h + AT_GUID, guid, 16) != 0)
		return 0;
	if (!len || len % SECTOR || len / SECTOR > r->sectors || tail % SECTOR || tail / SECTOR >= r->sectors ||
	    header_sectors(count) > len / SECTOR || !mt_get_le64(h + AT_SEQUENCE))
		return 0;
	if (len > r->crc_left)
		return MT_ERANGE;
	r->crc_left -= len;
	h = entry_bytes(r, sector, len / SECTOR, room);
	if (crc32c_hole(h, len, AT_SUM) == mt_get_le32(h + AT_SUM))
		r->entries[sector] = (struct entry){ mt_get_le64(h + AT_SEQUENCE), len / SECTOR, tail / SECTOR };
	return 0;
}

static uint32_t next_of(const struct ring *r, uint32_t sector)
{
	return (sector + r->entries[sector].sectors) % r->sectors;
}

/* Whether the entries from `head`'s tail on lead to `head` without a gap. */
static int leads_to(const struct ring *r, uint32_t head)
{
	uint32_t at = r->entries[head].tail;

	for (uint32_t i = 0; i < r->sectors && r->entries[at].sequence; i++) {
		uint32_t next = next_of(r, at);

		if (at == head)
			return 1;
		if (r->entries[next].sequence != r->entries[at].sequence + 1)
			return 0;
		at = next;
	}
	return 0;
}

/* The last entry of the active sequence, or -1. */
static int64_t head_find(const struct ring *r)
{
	int64_t best = -1;

	for (uint32_t i = 0; i < r->sectors; i++) {
		if (r->entries[i].sequence && (best < 0 || r->entries[i].sequence > r->entries[best].sequence) &&
		    leads_to(r, i))
			best = i;
	}
	return best;
}

static int piece_add(struct vhdx_log *log, uint64_t offset, uint64_t len_bytes, uint8_t *data)
{
	if (log->count == log->room) {
		uint32_t room = log->room ? log->room * 2 : 64;
		struct vhdx_piece *pieces = room > PIECES_MAX ? NULL : realloc(log->pieces, room * sizeof(*pieces));

		if (!pieces) {
			free(data);
			return MT_ENOMEM;
		}
		log->pieces = pieces;
		log->room = room;
	}
	log->pieces[log->count++] = (struct vhdx_piece){ offset, len_bytes, data };
	return 0;
}

/* The first 8 and the last 4 bytes of a sector are kept in its descriptor. */
static int data_add(struct vhdx_log *log, const uint8_t *descriptor, const uint8_t *sector, uint64_t sequence)
{
	uint8_t *data;

	if (memcmp(sector, "data", 4) != 0 || mt_get_le32(sector + 4) != sequence >> 32 ||
	    mt_get_le32(sector + SECTOR - 4) != (uint32_t)sequence)
		return MT_EINVAL;
	data = malloc(SECTOR);
	if (!data)
		return MT_ENOMEM;
	memcpy(data, descriptor + 8, 8);
	memcpy(data + 8, sector + 8, SECTOR - 12);
	memcpy(data + SECTOR - 4, descriptor + 4, 4);
	return piece_add(log, mt_get_le64(descriptor + 16), SECTOR, data);
}

static int descriptors_take(struct vhdx_log *log, const uint8_t *h, const struct entry *entry)
{
	uint32_t count = mt_get_le32(h + AT_COUNT), sector = header_sectors(count);
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		const uint8_t *d = h + HEADER_BYTES + i * DESCRIPTOR_BYTES;

		if (mt_get_le64(d + 24) != entry->sequence || mt_get_le64(d + 16) % SECTOR)
			return MT_EINVAL;
		if (memcmp(d, "zero", 4) == 0 && mt_get_le64(d + 8) % SECTOR == 0)
			rc = piece_add(log, mt_get_le64(d + 16), mt_get_le64(d + 8), NULL);
		else if (memcmp(d, "desc", 4) == 0 && sector < entry->sectors)
			rc = data_add(log, d, h + (uint64_t)sector++ * SECTOR, entry->sequence);
		else
			return MT_EINVAL;
	}
	return rc;
}

static int replay(struct vhdx_log *log, const struct ring *r, uint32_t head, uint8_t *room, uint64_t file_bytes,
		  struct mt_error *err)
{
	const uint8_t *h = r->bytes + (uint64_t)head * SECTOR;
	int rc = 0;

	if (mt_get_le64(h + AT_FLUSHED) > file_bytes)
		return corrupt(err, "the file is shorter than it says");
	for (uint32_t at = r->entries[head].tail; rc == 0; at = next_of(r, at)) {
		const struct entry *entry = &r->entries[at];

		rc = descriptors_take(log, entry_bytes(r, at, entry->sectors, room), entry);
		if (at == head)
			break;
	}
	return rc == MT_EINVAL ? corrupt(err, "an entry cannot be right") :
	       rc < 0 ? mt_error_set(err, rc, "file", "the log of the VHDX image is too long") : 0;
}

static int ring_look(struct vhdx_log *log, struct ring *r, const uint8_t guid[16], uint64_t file_bytes,
		     struct mt_error *err)
{
	uint8_t *room = malloc((uint64_t)r->sectors * SECTOR);
	int64_t head;
	int rc = room ? 0 : MT_ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < r->sectors; i++)
		rc = look(r, i, guid, room);
	if (rc < 0) {
		mt_error_set(err, rc, "file", "the log of the VHDX image cannot be looked at in reasonable time");
	} else {
		head = head_find(r);
		/* the identifier says that something is to be replayed */
		rc = head < 0 ? corrupt(err, "it has no entries") : replay(log, r, (uint32_t)head, room, file_bytes, err);
	}
	free(room);
	return rc;
}

int log_load(struct vhdx_log *log, const struct mt_source *source, const uint8_t guid[16], uint64_t offset,
	     uint64_t len_bytes, struct mt_error *err)
{
	struct ring r = { .sectors = (uint32_t)(len_bytes / SECTOR), .crc_left = CRC_MAX };
	int rc;

	*log = (struct vhdx_log){ 0 };
	if (!len_bytes || len_bytes % SECTOR || len_bytes > LOG_MAX)
		return mt_error_set(err, MT_ENOTSUP, "file", "a VHDX log of %llu bytes is not supported",
				    (unsigned long long)len_bytes);
	r.bytes = malloc(len_bytes);
	r.entries = calloc(r.sectors, sizeof(*r.entries));
	rc = r.bytes && r.entries ? mt_source_read(source, offset, r.bytes, len_bytes) : MT_ENOMEM;
	rc = rc < 0 ? mt_error_set(err, rc, "file", "the log of the VHDX image cannot be read") :
	     ring_look(log, &r, guid, source->len_bytes, err);
	free(r.bytes);
	free(r.entries);
	return rc;
}

void log_fini(struct vhdx_log *log)
{
	for (uint32_t i = 0; i < log->count; i++)
		free(log->pieces[i].data);
	free(log->pieces);
	*log = (struct vhdx_log){ 0 };
}

void log_apply(const struct vhdx_log *log, uint64_t offset, uint8_t *buf, uint64_t len_bytes)
{
	for (uint32_t i = 0; i < log->count; i++) {
		const struct vhdx_piece *p = &log->pieces[i];
		uint64_t from, to;

		if (!mt_ranges_overlap(offset, len_bytes, p->offset, p->len_bytes))
			continue;
		from = mt_max_u64(offset, p->offset);
		to = mt_min_u64(offset + len_bytes, p->offset + mt_min_u64(p->len_bytes, UINT64_MAX - p->offset));
		if (p->data)
			memcpy(buf + (from - offset), p->data + (from - p->offset), to - from);
		else
			memset(buf + (from - offset), 0, to - from);
	}
}
