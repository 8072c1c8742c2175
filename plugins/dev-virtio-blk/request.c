/* SPDX-License-Identifier: MIT */
/* What a request of a virtio disk means; see request.h. */
#include "request.h"

#include <string.h>

#define HEADER_BYTES 16u
#define SEGMENT_BYTES 16u
#define SEGMENT_UNMAP 1u

enum {
	T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13,
};

struct header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct segment {
	uint64_t sector;
	uint32_t sectors, flags;
};

static enum blk_verdict answer(uint8_t *status, uint8_t what)
{
	*status = what;
	return BLK_ANSWER;
}

static int range_legal(const struct blk_disk *disk, uint64_t sector, uint64_t len_bytes)
{
	uint64_t sectors = disk->bytes / BLK_SECTOR_BYTES;

	return len_bytes % BLK_SECTOR_BYTES == 0 && sector <= sectors &&
	       len_bytes / BLK_SECTOR_BYTES <= sectors - sector;
}

static enum blk_verdict parse_read(const struct blk_disk *disk, const struct mt_vq_elem *elem, uint64_t sector,
				   struct mt_block_req *io, uint8_t *status)
{
	uint64_t len = elem->in_bytes - 1;

	if (!range_legal(disk, sector, len))
		return answer(status, BLK_S_IOERR);
	if (len == 0)
		return answer(status, BLK_S_OK);
	io->op = MT_BLOCK_READ;
	io->offset = sector * BLK_SECTOR_BYTES;
	io->len_bytes = len;                   /* the status byte behind it is not touched */
	io->iov = elem->in;
	io->iov_count = elem->in_count;
	return BLK_SUBMIT;
}

static enum blk_verdict parse_write(const struct blk_disk *disk, const struct mt_vq_elem *elem, uint64_t sector,
				    struct mt_block_req *io, uint8_t *status)
{
	uint64_t len = elem->out_bytes - HEADER_BYTES;

	if (disk->readonly || !range_legal(disk, sector, len))
		return answer(status, BLK_S_IOERR);
	if (len == 0)
		return answer(status, BLK_S_OK);
	io->op = MT_BLOCK_WRITE;
	io->flags = disk->writethrough ? MT_BLOCK_FUA : 0;
	io->offset = sector * BLK_SECTOR_BYTES;
	io->len_bytes = len;
	io->iov = elem->out;
	io->iov_count = elem->out_count;
	io->iov_skip_bytes = HEADER_BYTES;
	return BLK_SUBMIT;
}

/* Section 5.2.6.2: for a discard the unmap flag is reserved. */
static enum blk_verdict parse_segment(const struct blk_disk *disk, const struct mt_virtqueue_host *vq,
				      const struct mt_vq_elem *elem, uint32_t type, struct mt_block_req *io,
				      uint8_t *status)
{
	struct segment seg;
	uint64_t len;

	if (disk->readonly || elem->out_bytes != HEADER_BYTES + SEGMENT_BYTES)
		return answer(status, disk->readonly ? BLK_S_IOERR : BLK_S_UNSUPP);
	vq->copy_out(elem, HEADER_BYTES, &seg, sizeof(seg));
	if (seg.flags & ~SEGMENT_UNMAP || (type == T_DISCARD && seg.flags))
		return answer(status, BLK_S_UNSUPP);
	len = (uint64_t)seg.sectors * BLK_SECTOR_BYTES;
	if (seg.sectors > BLK_ZERO_SECTORS_MAX || !range_legal(disk, seg.sector, len))
		return answer(status, BLK_S_IOERR);
	if (len == 0 || (type == T_DISCARD && !disk->discard))
		return answer(status, BLK_S_OK);
	io->op = type == T_DISCARD ? MT_BLOCK_DISCARD : MT_BLOCK_ZERO;
	io->flags = (seg.flags & SEGMENT_UNMAP ? MT_BLOCK_MAY_UNMAP : 0) |
		    (disk->writethrough && type != T_DISCARD ? MT_BLOCK_FUA : 0);
	io->offset = seg.sector * BLK_SECTOR_BYTES;
	io->len_bytes = len;
	return BLK_SUBMIT;
}

static enum blk_verdict get_id(const struct blk_disk *disk, const struct mt_virtqueue_host *vq,
			       const struct mt_vq_elem *elem, uint8_t *status)
{
	uint64_t room = elem->in_bytes - 1;

	vq->copy_in(elem, 0, disk->serial, room < BLK_ID_BYTES ? room : BLK_ID_BYTES);
	return answer(status, BLK_S_OK);
}

enum blk_verdict blk_request_parse(const struct blk_disk *disk, const struct mt_virtqueue_host *vq,
				   const struct mt_vq_elem *elem, struct mt_block_req *io, uint8_t *status)
{
	struct header header;

	memset(io, 0, sizeof(*io));
	if (elem->in_bytes < 1 || elem->out_bytes < HEADER_BYTES)
		return BLK_MALFORMED;
	vq->copy_out(elem, 0, &header, sizeof(header));
	switch (header.type) {
	case T_IN:
		return parse_read(disk, elem, header.sector, io, status);
	case T_OUT:
		return parse_write(disk, elem, header.sector, io, status);
	case T_FLUSH:
		io->op = MT_BLOCK_FLUSH;
		return BLK_SUBMIT;
	case T_GET_ID:
		return get_id(disk, vq, elem, status);
	case T_DISCARD: case T_WRITE_ZEROES:
		return parse_segment(disk, vq, elem, header.type, io, status);
	}
	return answer(status, BLK_S_UNSUPP);
}
