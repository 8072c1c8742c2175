/* SPDX-License-Identifier: MIT */
/* Fuzz target: a hostile VHD image, with its checksums put right, is opened and mapped. */
#include <fake/replay.h>
#include <stdlib.h>
#include <util/endian.h>

#include "vhd.h"

struct bytes {
	uint8_t *data;
	size_t size;
};

static int32_t page_get(void *arg, uint64_t offset, void **page, const uint8_t **data)
{
	const struct bytes *b = arg;

	if (offset % VHD_PAGE || offset > b->size || b->size - offset < VHD_PAGE)
		return MT_EIO;
	*page = b->data + offset;
	*data = b->data + offset;
	return 0;
}

static void page_put(void *arg, void *page)
{
	(void)arg, (void)page;
}

static void sum_put(const struct bytes *b, uint64_t at, uint32_t len, uint32_t sum_at)
{
	uint32_t sum = 0;

	if (at > b->size || b->size - at < len)
		return;
	mt_put_be32(b->data + at + sum_at, 0);
	for (uint32_t i = 0; i < len; i++)
		sum += b->data[at + i];
	mt_put_be32(b->data + at + sum_at, ~sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = { malloc(size + 1), size };
	struct mt_source_pages pages = { page_get, page_put, &b };
	struct mt_source source = mt_source_memory(b.data, size);
	struct mt_block_extent extents[4];
	struct vhd v;
	uint64_t at = 0;

	if (!b.data)
		return 0;
	memcpy(b.data, data, size);
	sum_put(&b, 0, 512, 64);
	if (size >= 512)
		sum_put(&b, mt_get_be64(b.data + 16), 1024, 36);
	if (vhd_load(&v, &source, NULL) == 0) {
		for (uint32_t i = 0; i < 2000 && at < v.disk_bytes; i++) {
			int32_t n = vhd_map(&v, &pages, at, 1 << 20, extents, 4);

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
	vhd_fini(&v);
	free(b.data);
	return 0;
}

FUZZ_REPLAY("plugins/block-vhd/corpus", 4000)
