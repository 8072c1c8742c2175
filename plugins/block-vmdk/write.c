/* SPDX-License-Identifier: MIT */
/*
 * Adding grains to sparse extents, and taking them away. A new grain is put at the end of the file, or where one was
 * given up; its entry and the copy of that are set when the data are written. A crash between leaves a grain that
 * nothing points to. Under the owner's lock.
 */
#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/minmax.h>

#include "vmdk.h"

int64_t vmdk_slot_take(struct vmdk *v)
{
	struct vmdk_pending *pending;
	uint32_t room = v->pending_room ? v->pending_room * 2 : 16;

	for (uint32_t i = 0; i < v->pending_room; i++) {
		if (!v->pending[i].extent)
			return i;
	}
	pending = realloc(v->pending, room * sizeof(*pending));
	if (!pending)
		return MT_ENOMEM;
	memset(pending + v->pending_room, 0, (room - v->pending_room) * sizeof(*pending));
	v->pending = pending;
	v->pending_room = room;
	return room / 2 < 16 ? 0 : room / 2;
}

/* A place of a grain's length, as a sector. *fresh: it was never written. */
static int64_t place_take(struct vmdk_sparse *s, int *fresh)
{
	uint64_t sector = s->end_bytes / VMDK_SECTOR;

	*fresh = !s->spare_count;
	if (s->spare_count)
		return s->spare[--s->spare_count];
	if (sector + s->grain_bytes / VMDK_SECTOR > UINT32_MAX)
		return MT_ENOSPC;
	s->end_bytes += s->grain_bytes;
	return (int64_t)sector;
}

static void place_give(struct vmdk_sparse *s, uint32_t sector)
{
	if (s->spare_count == s->spare_room) {
		uint32_t room = s->spare_room ? s->spare_room * 2 : 16;
		uint32_t *spare = realloc(s->spare, room * sizeof(*spare));

		if (!spare)
			return;                /* the grain leaks */
		s->spare = spare;
		s->spare_room = room;
	}
	s->spare[s->spare_count++] = sector;
}

static int page_of(const struct vmdk_pages *pages, uint32_t child, uint64_t at, uint32_t *in_page, void **page,
		   uint8_t **data)
{
	*in_page = (uint32_t)(at % VMDK_PAGE);
	return pages->get(pages->arg, child, at - *in_page, page, data);
}

/* Gets both pages of an entry, or none. */
static int pages_get(const struct vmdk_pages *pages, struct vmdk_pending *p)
{
	uint64_t second, at = sparse_entry_at(&p->extent->sparse, p->grain, &second);
	uint32_t child = p->extent->child;
	int rc = at ? page_of(pages, child, at, &p->at, &p->page, &p->data) : MT_EIO;

	p->second_page = NULL;
	if (rc < 0 || !second)
		return rc;
	rc = page_of(pages, child, second, &p->second_at, &p->second_page, &p->second_data);
	if (rc < 0)
		pages->put(pages->arg, child, p->page);
	return rc;
}

static void pages_put(const struct vmdk_pages *pages, const struct vmdk_pending *p)
{
	pages->put(pages->arg, p->extent->child, p->page);
	if (p->second_page)
		pages->put(pages->arg, p->extent->child, p->second_page);
}

static void entry_set(const struct vmdk_pages *pages, const struct vmdk_pending *p, uint32_t entry)
{
	mt_put_le32(p->data + p->at, entry);
	pages->dirty(pages->arg, p->extent->child, p->page, p->at);
	if (!p->second_page)
		return;
	mt_put_le32(p->second_data + p->second_at, entry);
	pages->dirty(pages->arg, p->extent->child, p->second_page, p->second_at);
}

static int is_grain(const struct vmdk_sparse *s, uint32_t entry)
{
	return entry > VMDK_GTE_ZERO || (entry && !s->zero_grains);
}

/* One grain's part of a write. Nothing has changed when it fails. */
static int reserve_one(struct vmdk *v, const struct vmdk_pages *pages, struct vmdk_extent *x, uint64_t offset,
		       uint64_t end, struct mt_block_target *target)
{
	struct vmdk_sparse *s = &x->sparse;
	uint64_t inside = offset - x->disk_offset, skip = inside % s->grain_bytes;
	uint64_t len = mt_min_u64(mt_min_u64(s->grain_bytes - skip, x->len_bytes - inside), end - offset);
	struct vmdk_pending p = { .extent = x, .grain = inside / s->grain_bytes };
	int64_t slot = vmdk_slot_take(v), sector;
	int fresh, rc = slot < 0 ? (int)slot : pages_get(pages, &p);

	if (rc < 0)
		return rc;
	sector = is_grain(s, mt_get_le32(p.data + p.at)) ? MT_EINVAL : place_take(s, &fresh);
	if (sector < 0) {
		pages_put(pages, &p);
		return (int)sector;
	}
	p.sector = (uint32_t)sector;
	v->pending[slot] = p;
	*target = (struct mt_block_target){
		.offset = offset,
		.len_bytes = len,
		.child_offset = (uint64_t)sector * VMDK_SECTOR + skip,
		.fill_head_bytes = skip,
		.fill_tail_bytes = s->grain_bytes - skip - len,
		.cookie = (uint64_t)slot,
		.child = x->child,
		.flags = fresh ? MT_BLOCK_TARGET_ZEROED : 0,
	};
	return 0;
}

int32_t vmdk_reserve(struct vmdk *v, const struct vmdk_pages *pages, uint64_t offset, uint64_t len_bytes,
		     struct mt_block_target *targets, uint32_t max)
{
	uint64_t end;
	uint32_t n = 0;
	int rc = 0;

	if (!max || !len_bytes || !mt_range_inside(offset, len_bytes, v->disk_bytes))
		return MT_ERANGE;
	for (end = offset + len_bytes; rc == 0 && n < max && offset < end;) {
		struct vmdk_extent *x = vmdk_extent_at(v, offset);

		rc = x->kind == VMDK_SPARSE && x->sparse.can_write ?
		     reserve_one(v, pages, x, offset, end, &targets[n]) : MT_ENOTSUP;
		if (rc == 0)
			offset += targets[n++].len_bytes;
	}
	return n ? (int32_t)n : rc;
}

static struct vmdk_pending *pending_of(struct vmdk *v, uint64_t cookie)
{
	return cookie < v->pending_room && v->pending[cookie].extent ? &v->pending[cookie] : NULL;
}

int32_t vmdk_commit(struct vmdk *v, const struct vmdk_pages *pages, uint64_t cookie)
{
	struct vmdk_pending *p = pending_of(v, cookie);

	if (!p)
		return MT_EINVAL;
	if (p->extent->sparse.stream) {
		stream_commit(p);
	} else {
		entry_set(pages, p, p->sector);
		pages_put(pages, p);
	}
	p->extent = NULL;
	return 0;
}

void vmdk_abort(struct vmdk *v, const struct vmdk_pages *pages, uint64_t cookie)
{
	struct vmdk_pending *p = pending_of(v, cookie);

	if (!p)
		return;
	if (p->extent->sparse.stream) {
		stream_abort(p);
	} else {
		place_give(&p->extent->sparse, p->sector);
		pages_put(pages, p);
	}
	p->extent = NULL;
}

/* What an entry has to be for the grain to read as zero; MT_ENOTSUP: there is no such value. */
static int64_t zero_entry(const struct vmdk *v, const struct vmdk_sparse *s)
{
	if (s->zero_grains)
		return VMDK_GTE_ZERO;
	return v->parent ? MT_ENOTSUP : 0;
}

/* What nobody points to any more when the entry is another one. */
static void space_of(const struct vmdk_extent *x, uint32_t entry, struct mt_block_space *space)
{
	if (is_grain(&x->sparse, entry))
		*space = (struct mt_block_space){ .offset = (uint64_t)entry * VMDK_SECTOR,
						  .len_bytes = x->sparse.grain_bytes, .child = x->child };
}

int32_t vmdk_unmap(struct vmdk *v, const struct vmdk_pages *pages, uint64_t offset, int free_data,
		   struct mt_block_space *space)
{
	struct vmdk_extent *x = vmdk_extent_at(v, offset);
	struct vmdk_sparse *s = &x->sparse;
	struct vmdk_pending p = { .extent = x };
	uint32_t old;
	int64_t zero;
	int rc;

	space->len_bytes = 0;
	if (x->kind == VMDK_ZERO)
		return 0;
	if (s->stream && !v->parent && !stream_entry(s, (offset - x->disk_offset) / s->grain_bytes))
		return 0;
	if (x->kind != VMDK_SPARSE || !s->can_write)
		return MT_ENOTSUP;
	p.grain = (offset - x->disk_offset) / s->grain_bytes;
	rc = pages_get(pages, &p);
	if (rc < 0)
		return rc;
	old = mt_get_le32(p.data + p.at);
	zero = zero_entry(v, s);
	if ((old == 0 && !v->parent) || (old == VMDK_GTE_ZERO && s->zero_grains)) {
		rc = 0;
	} else if (zero < 0 || (is_grain(s, old) && !free_data)) {
		rc = MT_ENOTSUP;
	} else {
		entry_set(pages, &p, (uint32_t)zero);
		space_of(x, old, space);
		rc = 1;
	}
	pages_put(pages, &p);
	return rc;
}

int32_t vmdk_forget(struct vmdk *v, const struct vmdk_pages *pages, uint64_t offset, struct mt_block_space *space)
{
	struct vmdk_extent *x = vmdk_extent_at(v, offset);
	struct vmdk_pending p = { .extent = x, .grain = (offset - x->disk_offset) / x->sparse.grain_bytes };
	int rc = pages_get(pages, &p);
	uint32_t old;

	space->len_bytes = 0;
	if (rc < 0)
		return rc;
	old = mt_get_le32(p.data + p.at);
	if (old) {
		entry_set(pages, &p, 0);
		space_of(x, old, space);
	}
	pages_put(pages, &p);
	return old != 0;
}

void vmdk_release(struct vmdk *v, const struct mt_block_space *space)
{
	for (uint32_t i = 0; i < v->count; i++) {
		struct vmdk_extent *x = &v->extents[i];

		if (x->kind == VMDK_SPARSE && x->child == space->child)
			return place_give(&x->sparse, (uint32_t)(space->offset / VMDK_SECTOR));
	}
}
