/* SPDX-License-Identifier: MIT */
/* Fuzz target: a hostile VHDX image, with its checksums put right where headers are, is opened and mapped. */
#include <fake/replay.h>
#include <stdlib.h>
#include <util/endian.h>
#include <util/minmax.h>

#include "vhdx.h"

#define ROOM ((3u << 20) + 65536)

struct bytes {
	uint8_t *data;
	size_t size;
};

static int32_t page_get(void *arg, uint64_t offset, void **page, const uint8_t **data)
{
	const struct bytes *b = arg;

	if (offset % VHDX_PAGE || offset > b->size || b->size - offset < VHDX_PAGE)
		return MT_EIO;
	*page = b->data + offset;
	*data = b->data + offset;
	return 0;
}

static void page_put(void *arg, void *page)
{
	(void)arg, (void)page;
}

static void sum_put(const struct bytes *b, uint64_t at, uint32_t len)
{
	if (at <= b->size && b->size - at >= len)
		mt_put_le32(b->data + at + 4, crc32c_hole(b->data + at, len, 4));
}

/* The corpus has the parts of an image without what lies between them: identifier, header, region table, log, metadata
 * and table. */
static size_t spread(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
	static const struct {
		size_t at, len;
	} parts[] = { { 0, 512 }, { 65536, 512 }, { 3 * 65536, 512 }, { 1 << 20, 12288 },
		{ 2 << 20, 8192 }, { 3 << 20, 65536 } };
	size_t end = 0;

	/* what the input before it, and the checksums, left there */
	memset(out, 0, 4096);
	memset(out + 65536, 0, 4096);
	memset(out + 3 * 65536, 0, 4096);
	memset(out + (1 << 20), 0, 32768);
	memset(out + (2 << 20), 0, 8192);
	memset(out + (3 << 20), 0, 65536);
	for (uint32_t i = 0; i < MT_COUNT_OF(parts) && size; i++) {
		size_t n = size < parts[i].len ? size : parts[i].len;

		memcpy(out + parts[i].at, data, n);
		data += n;
		size -= n;
		end = parts[i].at + parts[i].len;
	}
	return end < room ? end : room;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t room[ROOM];
	struct bytes b = { room, 0 };
	struct mt_source_pages pages = { page_get, page_put, &b };
	struct mt_source source;
	struct mt_block_extent extents[4];
	struct vhdx v;
	uint64_t at = 0;

	b.size = spread(data, size, b.data, ROOM);
	source = mt_source_memory(b.data, b.size);
	sum_put(&b, 65536, 4096);
	sum_put(&b, 3 * 65536, 65536);
	for (uint64_t at = 1 << 20; at + 4096 <= b.size && at < (1 << 20) + 32768; at += 4096) {
		uint32_t len = mt_get_le32(b.data + at + 8);

		if (memcmp(b.data + at, "loge", 4) == 0 && len <= 32768)
			sum_put(&b, at, len);
	}
	if (vhdx_load(&v, &source, NULL) == 0) {
		for (uint32_t i = 0; i < 2000 && at < v.disk_bytes; i++) {
			int32_t n = vhdx_map(&v, &pages, at, 1 << 20, extents, 4);

			if (n == MT_EIO)
				at += v.block_bytes;
			else if (n < 1)
				abort();
			for (int32_t k = 0; k < n; k++) {
				if (!extents[k].len_bytes || extents[k].len_bytes > v.disk_bytes - at)
					abort();
				at += extents[k].len_bytes;
			}
		}
	}
	vhdx_fini(&v);
	return 0;
}

FUZZ_REPLAY("plugins/block-vhdx/corpus", 300)
