/* SPDX-License-Identifier: MIT */
/* From an offset of the disk to a block's state, or to the bits of its sectors. Under the owner's lock. */
#include <util/endian.h>
#include <util/minmax.h>

#include "vhdx.h"

#define NOT_PRESENT 0u
#define UNDEFINED   1u
#define ZERO        2u
#define UNMAPPED    3u
#define PRESENT     6u
#define PARTIAL     7u

#define PAGES_MAX 64u

struct walk {
	const struct vhdx *v;
	struct mt_block_extent *out;
	uint32_t count, max;
	uint64_t offset, end;
};

/* 0: the list is full. */
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

static uint64_t place_of(uint64_t entry)
{
	return entry >> 20 << 20;
}

/* Sectors whose bits stand in one page; the least significant bit of a byte is the first. */
static int32_t walk_bits(struct walk *w, const struct mt_source_pages *pages, uint32_t block, uint64_t data_at,
			 int *more)
{
	const struct vhdx *v = w->v;
	uint32_t in_block = v->block_bytes / v->sector_bytes, first = block % v->chunk_ratio * in_block;
	uint32_t sector = (uint32_t)(w->offset % v->block_bytes / v->sector_bytes), page_bits = VHDX_PAGE * 8;
	uint32_t bit = first + sector, end = mt_min_u32((bit / page_bits + 1) * page_bits, first + in_block);
	const uint8_t *bits;
	uint64_t bitmap;
	void *page;
	int32_t rc;

	if (!v->parent)                  /* no bitmaps: the table need not reach as far as the last one's entry */
		return MT_EIO;
	bitmap = v->table[(block / v->chunk_ratio + 1) * (v->chunk_ratio + 1) - 1];
	if ((bitmap & 7) != PRESENT)
		return MT_EIO;
	rc = pages->get(pages->arg, place_of(bitmap) + bit / page_bits * VHDX_PAGE, &page, &bits);
	if (rc < 0)
		return rc;
	while (bit < end && w->offset < w->end && *more) {
		uint64_t skip = w->offset % v->sector_bytes;           /* whoever asks may know smaller sectors */
		uint32_t here = bits[bit % page_bits / 8] >> bit % 8 & 1, next = bit + 1;

		while (next < end && (uint32_t)(bits[next % page_bits / 8] >> next % 8 & 1) == here)
			next++;
		*more = put(w, here ? MT_BLOCK_EXT_DATA : MT_BLOCK_EXT_BACKING, (uint64_t)(next - bit) * v->sector_bytes - skip,
			    data_at + (uint64_t)(bit - first) * v->sector_bytes + skip);
		bit = next;
	}
	pages->put(pages->arg, page);
	return 0;
}

static int32_t walk_block(struct walk *w, const struct mt_source_pages *pages, int *more)
{
	const struct vhdx *v = w->v;
	uint32_t block = (uint32_t)(w->offset / v->block_bytes);
	uint64_t inside = w->offset % v->block_bytes, left = v->block_bytes - inside;
	uint64_t entry = v->table[block + block / v->chunk_ratio];

	switch (entry & 7) {
	case NOT_PRESENT:
		*more = put(w, v->parent ? MT_BLOCK_EXT_BACKING : MT_BLOCK_EXT_ZERO, left, 0);
		return 0;
	case UNDEFINED:
	case ZERO:
	case UNMAPPED:
		*more = put(w, MT_BLOCK_EXT_ZERO, left, 0);
		return 0;
	case PRESENT:
		*more = put(w, MT_BLOCK_EXT_DATA, left, place_of(entry) + inside);
		return 0;
	case PARTIAL:
		return walk_bits(w, pages, block, place_of(entry), more);
	}
	return MT_EIO;
}

int32_t vhdx_map(const struct vhdx *v, const struct mt_source_pages *pages, uint64_t offset, uint64_t len_bytes,
		 struct mt_block_extent *out, uint32_t max)
{
	struct walk w = { .v = v, .out = out, .max = max, .offset = offset };
	int32_t rc = 0;
	int more = 1;

	if (offset >= v->disk_bytes || !max)
		return MT_ERANGE;
	w.end = offset + mt_min_u64(len_bytes ? len_bytes : 1, v->disk_bytes - offset);
	for (uint32_t i = 0; i < PAGES_MAX && rc == 0 && more && w.offset < w.end; i++)
		rc = walk_block(&w, pages, &more);
	return w.count ? (int32_t)w.count : rc;
}
