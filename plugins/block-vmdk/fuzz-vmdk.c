/* SPDX-License-Identifier: MIT */
/* Fuzz target: a hostile VMDK file is read as a descriptor and as a sparse extent, mapped, decoded and written to. */
#include <fake/replay.h>
#include <stdlib.h>
#include <util/minmax.h>

#include "vmdk.h"

struct bytes {
	uint8_t *data;
	size_t size;
};

static int32_t page_get(void *arg, uint32_t child, uint64_t offset, void **page, uint8_t **data)
{
	const struct bytes *b = arg;

	(void)child;
	if (offset % VMDK_PAGE || offset > b->size || b->size - offset < VMDK_PAGE)
		return MT_EIO;
	*data = *page = b->data + offset;
	return 0;
}

static void page_dirty(void *arg, uint32_t child, void *page, uint32_t at)
{
	(void)arg, (void)child, (void)page;
	if (at > VMDK_PAGE - 4)
		abort();
}

static void page_put(void *arg, uint32_t child, void *page)
{
	(void)arg, (void)child, (void)page;
}

/* One decoded grain an input is enough: what is slow is zlib's. */
static void decode(const struct bytes *b, const struct mt_block_extent *e)
{
	uint8_t *in = calloc(1, e->encoded_bytes), *out = malloc(e->unit_bytes);

	if (e->skip_bytes >= e->unit_bytes || e->encoded_bytes > 2 * VMDK_GRAIN_MAX)
		abort();
	if (in && out && e->child_offset < b->size) {
		memcpy(in, b->data + e->child_offset, mt_min_u64(e->encoded_bytes, b->size - e->child_offset));
		(void)grain_decode(e, in, out);
	}
	free(in);
	free(out);
}

static void use_extents(struct vmdk *v, const struct vmdk_pages *pages)
{
	struct mt_block_extent extents[4];
	uint32_t decodes = 0;
	uint64_t at = 0;

	for (uint32_t i = 0; i < 500 && at < v->disk_bytes; i++) {
		int32_t n = vmdk_map(v, pages, at, 1 << 20, extents, 4);

		if (n < 1) {
			at += v->extents[0].sparse.grain_bytes;
			continue;
		}
		for (int32_t k = 0; k < n; k++) {
			if (!extents[k].len_bytes || extents[k].len_bytes > v->disk_bytes - at)
				abort();
			if (extents[k].kind == MT_BLOCK_EXT_ENCODED && decodes++ < 2)
				decode(pages->arg, &extents[k]);
			at += extents[k].len_bytes;
		}
	}
}

static void use_writes(struct vmdk *v, const struct vmdk_pages *pages)
{
	uint64_t step = v->extents[0].sparse.grain_bytes;
	struct mt_block_target targets[4];
	struct mt_block_space space;

	for (uint64_t at = 0; at < v->disk_bytes && at < 64 * step; at += step) {
		int32_t n = vmdk_reserve(v, pages, at, 512, targets, 4);

		for (int32_t i = 0; i < n; i++) {
			if (at / step % 3 == 0)
				vmdk_abort(v, pages, targets[i].cookie);
			else if (vmdk_commit(v, pages, targets[i].cookie) < 0)
				abort();
		}
		if (at / step % 5 == 0 && vmdk_unmap(v, pages, at, 1, &space) == 1 && space.len_bytes)
			vmdk_release(v, &space);
	}
}

static int32_t sink_write(void *arg, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	uint64_t *end = arg;

	(void)buf;
	if (offset < *end || offset % VMDK_SECTOR || len_bytes % VMDK_SECTOR)
		abort();
	*end = offset + len_bytes;
	return 0;
}

static int32_t sink_resize(void *arg, uint64_t len_bytes)
{
	if (len_bytes != *(uint64_t *)arg)
		abort();
	return 0;
}

/* An empty stream is filled: grains from its end on, then a new end. */
static void use_stream(struct vmdk *v)
{
	struct vmdk_sparse *s = &v->extents[0].sparse;
	struct mt_block_want want = { .len_bytes = s->grain_bytes, .encoded_bytes = 2 * VMDK_SECTOR };
	struct mt_block_target target;
	uint64_t end = s->end_bytes;
	struct mt_sink sink = { sink_write, sink_resize, &end };

	for (uint32_t i = 0; i < 40 && want.offset < v->disk_bytes; i++, want.offset += (1 + i % 3) * s->grain_bytes) {
		if (stream_reserve(v, &want, &target) != 1)
			break;
		if (i % 7 == 3)
			vmdk_abort(v, NULL, target.cookie);
		else if (vmdk_commit(v, NULL, target.cookie) < 0)
			abort();
	}
	end = s->end_bytes;
	if (v->disk_bytes < 1ull << 40 && stream_end(s, &sink) < 0)
		abort();
}

static void use_sparse(struct bytes *b)
{
	struct mt_source source = mt_source_memory(b->data, b->size);
	struct vmdk_pages pages = { page_get, page_put, page_dirty, b };
	struct vmdk v = { .directory_left = 2 * VMDK_GD_MAX };
	struct vmdk_extent *x;

	if (vmdk_add(&v, VMDK_SPARSE, 0, &x) == 0 && sparse_load(&x->sparse, &source, &v.directory_left, NULL) == 0) {
		x->len_bytes = v.disk_bytes = x->sparse.capacity_bytes;
		(void)vmdk_check(x, &pages, b->size, &(struct vmdk_report){ 0 });
		use_extents(&v, &pages);
		use_writes(&v, &pages);
		if (x->sparse.stream)
			use_stream(&v);
		v.parent = 1;
		use_extents(&v, &pages);
	}
	vmdk_fini(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = { malloc(size + 1), size };
	struct vmdk_descriptor d;

	if (!b.data)
		return 0;
	memcpy(b.data, data, size);
	(void)descriptor_parse(&d, (const char *)data, (uint32_t)mt_min_u64(size, UINT32_MAX), NULL);
	descriptor_fini(&d);
	use_sparse(&b);
	free(b.data);
	return 0;
}

FUZZ_REPLAY("plugins/block-vmdk/corpus", 2000)
