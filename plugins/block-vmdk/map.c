/* SPDX-License-Identifier: MIT */
/* From an offset of the disk to an extent, a grain and its place. Under the owner's lock. */
#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/minmax.h>

#include "vmdk.h"

#define PAGES_MAX 64u                    /* of tables looked at in one call: then the caller asks again */

int vmdk_add(struct vmdk *v, enum vmdk_kind kind, uint64_t len_bytes, struct vmdk_extent **out)
{
	struct vmdk_extent *extents;
	uint64_t end;

	if (v->count == VMDK_EXTENTS_MAX || !mt_add_u64(v->disk_bytes, len_bytes, &end) || end > INT64_MAX)
		return MT_ERANGE;
	extents = realloc(v->extents, (v->count + 1) * sizeof(*extents));
	if (!extents)
		return MT_ENOMEM;
	v->extents = extents;
	*out = &extents[v->count++];
	**out = (struct vmdk_extent){ .kind = kind, .disk_offset = v->disk_bytes, .len_bytes = len_bytes };
	v->disk_bytes = end;
	return 0;
}

void vmdk_fini(struct vmdk *v)
{
	for (uint32_t i = 0; i < v->count; i++)
		sparse_fini(&v->extents[i].sparse);
	free(v->extents);
	free(v->pending);
	*v = (struct vmdk){ .directory_left = 2 * VMDK_GD_MAX };
}

struct vmdk_extent *vmdk_extent_at(const struct vmdk *v, uint64_t offset)
{
	uint32_t low = 0, high = v->count;

	while (high - low > 1) {
		uint32_t middle = (low + high) / 2;

		if (v->extents[middle].disk_offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return &v->extents[low];
}

uint64_t vmdk_grain_at(const struct vmdk *v, uint64_t offset, uint64_t *begin)
{
	const struct vmdk_extent *e = vmdk_extent_at(v, offset);
	uint64_t inside = offset - e->disk_offset, at;

	if (e->kind != VMDK_SPARSE && e->kind != VMDK_COWD)
		return 0;
	at = inside / e->sparse.grain_bytes * e->sparse.grain_bytes;
	*begin = e->disk_offset + at;
	return mt_min_u64(e->sparse.grain_bytes, e->len_bytes - at);
}

/* What one call of map builds up. */
struct walk {
	struct vmdk *v;
	const struct vmdk_pages *pages;
	struct mt_block_extent *out;
	uint32_t count, max;
	uint64_t offset, end;                /* of the disk: so far, and where it may stop */
};

/* Adds to the list, or to its last member where that goes on; 0: the list is full. */
static int put(struct walk *w, const struct mt_block_extent *e)
{
	struct mt_block_extent *last = w->count ? &w->out[w->count - 1] : NULL;
	int goes_on = last && last->kind == e->kind && last->kind != MT_BLOCK_EXT_ENCODED &&
		      last->child == e->child && last->flags == e->flags &&
		      (e->kind != MT_BLOCK_EXT_DATA || last->child_offset + last->len_bytes == e->child_offset);

	if (goes_on)
		last->len_bytes += e->len_bytes;
	else if (w->count < w->max)
		w->out[w->count++] = *e;
	else
		return 0;
	w->offset += e->len_bytes;
	return 1;
}

/* Room for one grain in its worst coding: stored blocks of deflate, its frame, the marker. */
static uint32_t encoded_bytes(const struct vmdk_sparse *s)
{
	return (uint32_t)(s->grain_bytes + s->grain_bytes / 1000 + 64 + VMDK_MARKER);
}

/* 0, or MT_EIO. `skip` is where `offset` lies in its grain. */
static int grain_extent(const struct walk *w, const struct vmdk_extent *x, uint64_t grain, uint32_t entry,
			uint64_t skip, struct mt_block_extent *out)
{
	const struct vmdk_sparse *s = &x->sparse;
	uint64_t begin = grain * s->grain_bytes;

	*out = (struct mt_block_extent){
		.len_bytes = mt_min_u64(s->grain_bytes, x->len_bytes - begin) - skip,
		.kind = w->v->parent ? MT_BLOCK_EXT_BACKING : MT_BLOCK_EXT_ZERO,
		.child = x->child,
	};
	if (entry == 0)
		return 0;
	if (entry == VMDK_GTE_ZERO && s->zero_grains) {
		out->kind = MT_BLOCK_EXT_ZERO;
		return 0;
	}
	out->child_offset = (uint64_t)entry * VMDK_SECTOR;
	out->flags = MT_BLOCK_EXT_ALLOCATED;
	if (!s->compressed) {
		out->kind = MT_BLOCK_EXT_DATA;
		out->child_offset += skip;
		if (s->can_write)
			out->flags |= MT_BLOCK_EXT_WRITABLE;
		return 0;
	}
	out->kind = MT_BLOCK_EXT_ENCODED;
	out->encoded_bytes = encoded_bytes(s);
	out->unit_bytes = (uint32_t)s->grain_bytes;
	out->skip_bytes = (uint32_t)skip;
	/* for decode: the grain's sector, which its marker repeats, and whether there is one */
	out->cookie = begin / VMDK_SECTOR << 1 | (uint64_t)s->markers;
	return 0;
}

/* Grains whose entries stand in one page; *more 0: the list is full or the end is reached. */
static int32_t walk_page(struct walk *w, const struct vmdk_extent *x, int *more)
{
	const struct vmdk_sparse *s = &x->sparse;
	uint64_t inside = w->offset - x->disk_offset, grain = inside / s->grain_bytes, second;
	uint64_t at = sparse_entry_at(s, grain, &second);
	uint32_t in_page = (uint32_t)(at % VMDK_PAGE), left = (VMDK_PAGE - in_page) / 4;
	struct mt_block_extent e;
	uint8_t *data = NULL;
	void *page = NULL;
	int32_t rc;

	if (!at)
		left = (uint32_t)mt_min_u64(s->table_entries - grain % s->table_entries, 128);
	rc = at ? w->pages->get(w->pages->arg, x->child, at - in_page, &page, &data) : 0;
	if (rc < 0)
		return rc;
	for (; left && *more; left--, grain++, in_page += 4) {
		uint32_t entry = at ? mt_get_le32(data + in_page) : stream_entry(s, grain);

		rc = grain_extent(w, x, grain, entry, inside % s->grain_bytes, &e);
		if (rc < 0 || !put(w, &e))
			*more = 0;
		inside = w->offset - x->disk_offset;
		if (inside >= x->len_bytes)
			break;
		if (w->offset >= w->end)
			*more = 0;
	}
	if (at)
		w->pages->put(w->pages->arg, x->child, page);
	return rc;
}

static int put_flat(struct walk *w, const struct vmdk_extent *x)
{
	uint64_t inside = w->offset - x->disk_offset;
	struct mt_block_extent e = { .len_bytes = x->len_bytes - inside, .kind = MT_BLOCK_EXT_ZERO };

	if (x->kind == VMDK_FLAT) {
		e.kind = MT_BLOCK_EXT_DATA;
		e.child = x->child;
		e.child_offset = x->file_offset + inside;
		e.flags = MT_BLOCK_EXT_WRITABLE | MT_BLOCK_EXT_ALLOCATED;
	}
	return put(w, &e);
}

int32_t vmdk_map(struct vmdk *v, const struct vmdk_pages *pages, uint64_t offset, uint64_t len_bytes,
		 struct mt_block_extent *out, uint32_t max)
{
	struct walk w = { .v = v, .pages = pages, .out = out, .max = max, .offset = offset };
	int32_t rc = 0;
	int more = 1;

	if (offset >= v->disk_bytes || !max)
		return MT_ERANGE;
	w.end = offset + mt_min_u64(len_bytes ? len_bytes : 1, v->disk_bytes - offset);
	for (uint32_t i = 0; i < PAGES_MAX && rc == 0 && more && w.offset < w.end; i++) {
		const struct vmdk_extent *x = vmdk_extent_at(v, w.offset);

		if (x->kind == VMDK_FLAT || x->kind == VMDK_ZERO)
			more = put_flat(&w, x);
		else
			rc = walk_page(&w, x, &more);
	}
	return w.count ? (int32_t)w.count : rc < 0 ? rc : MT_EIO;
}
