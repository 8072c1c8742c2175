/* SPDX-License-Identifier: MIT */
/* A larger, a smaller, an empty disk; clusters taken before they are needed. Exclusive. */
#include "qcow2.h"

#include <stdlib.h>
#include <string.h>
#include <util/error.h>
#include <util/minmax.h>

static uint64_t mapped_clusters(const struct qcow2 *q)
{
	return (uint64_t)q->h.l1_size << q->l2_bits;
}

/* Entries behind the disk's end: the state of a machine, or what a smaller disk has left. */
static int drop_behind(struct qcow2 *q, uint64_t disk_bytes)
{
	uint64_t first = qcow2_clusters(q, disk_bytes), end = mapped_clusters(q);
	int rc = end > first ? unmap_drop(q, first, end - first) : 0;

	q->vm_state_bytes = 0;
	return rc < 0 ? rc : space_release(q);
}

/* What the last cluster has behind the old end becomes part of the disk, and has to read as zero. */
static int clear_tail(struct qcow2 *q, uint64_t from, uint64_t to)
{
	struct mt_block_extent e;
	uint8_t *zeros;
	int rc;

	to = mt_min_u64(to, (from | (q->cluster_bytes - 1)) + 1);
	if (!(from & (q->cluster_bytes - 1)))
		return 0;
	rc = map_range(q, from, to - from, INT64_MAX, MT_BLOCK_MAP_READ, &e, 1);
	if (rc < 0 || e.kind == MT_BLOCK_EXT_ZERO || (e.kind == MT_BLOCK_EXT_BACKING && from >= q->backing_bytes))
		return rc < 0 ? rc : 0;
	if (e.kind == MT_BLOCK_EXT_BACKING)
		return MT_ENOTSUP;
	zeros = calloc(1, to - from);
	rc = zeros ? sync_write(q, from, zeros, to - from) : MT_ENOMEM;
	free(zeros);
	return rc;
}

/* A backing disk that is longer than this one was must not show. */
static int hide_backing(struct qcow2 *q, uint64_t from, uint64_t to)
{
	uint64_t first = (from + q->cluster_bytes - 1) & ~(q->cluster_bytes - 1), end = mt_min_u64(to, q->backing_bytes);

	while (q->has_backing && first < end) {
		int64_t n = qcow2_unmap(q, first, end - first, MT_BLOCK_ZERO, MT_BLOCK_MAY_UNMAP);

		if (n < 0)
			return (int)n;
		first += (uint64_t)n;
	}
	return 0;
}

/* Preallocation */

/* Entries of one slice that have nothing yet. */
static int take_slice(struct qcow2 *q, uint64_t first, uint64_t count, uint32_t *done, uint64_t *cluster)
{
	struct mt_block_page *page;
	uint32_t index, n = 0, i;
	int rc = table_slice_own(q, first, &page, &index);

	if (rc < 0)
		return rc;
	while (n < count && index + n < q->slice_entries && !table_entry(q, page->data, index + n))
		n++;
	*done = n ? n : 1;
	rc = n ? space_take_all(q, n, cluster) : 0;
	for (i = 0; rc == 0 && i < n; i++)
		table_set(q, page, index + i, (*cluster + i) * q->cluster_bytes | ENTRY_COPIED, 0xffffffff, 0);
	q->cache->put(q->l2_cache, page);
	return rc < 0 ? rc : (int)n;
}

static int preallocate(struct qcow2 *q, uint64_t from, uint64_t to, uint32_t mode)
{
	uint64_t first = qcow2_clusters(q, from), end = qcow2_clusters(q, to), cluster = 0;
	uint32_t done = 0;
	int rc = 0;

	while (rc >= 0 && first < end) {
		rc = take_slice(q, first, end - first, &done, &cluster);
		if (rc > 0) {
			int code = q->host->child_allocate(q->inst, 0, cluster * q->cluster_bytes,
							   (uint64_t)rc * q->cluster_bytes, mode);

			rc = code < 0 ? code : rc;
		}
		first += rc < 0 ? 0 : done;
	}
	if (rc >= 0 && q->host->child_bytes(q->inst, 0) < q->end * q->cluster_bytes)
		rc = q->host->child_resize(q->inst, 0, q->end * q->cluster_bytes);
	return rc < 0 ? rc : 0;
}

/* Resizing */

static int snapshots_know_size(const struct qcow2 *q)
{
	for (uint32_t i = 0; i < q->h.snapshot_count; i++) {
		if (q->snapshots[i].extra_bytes < 16)
			return 0;
	}
	return 1;
}

static int grow(struct qcow2 *q, uint64_t disk_bytes, uint32_t prealloc, struct mt_error *err)
{
	uint64_t old = q->h.disk_bytes;
	int rc = drop_behind(q, old);

	if (rc == 0)
		rc = table_l1_grow(q, qcow2_l1_entries(q, disk_bytes));
	if (rc == 0)
		rc = clear_tail(q, old, disk_bytes);
	if (rc == 0)
		rc = hide_backing(q, old, disk_bytes);
	if (rc == MT_ENOTSUP)
		return mt_error_set(err, rc, "file", "the backing disk is longer than the disk was, and would show behind its end");
	if (rc == 0 && prealloc != MT_BLOCK_PREALLOC_OFF)
		rc = preallocate(q, old, disk_bytes, prealloc);
	if (rc == 0) {
		q->h.disk_bytes = disk_bytes;
		rc = header_store(q, err);
	}
	return rc;
}

/* The end of the file that nobody uses. */
static int cut_file(struct qcow2 *q)
{
	uint64_t end = qcow2_clusters(q, q->host->child_bytes(q->inst, 0)), count = 0;
	uint64_t was = end;
	int rc = 0;

	while (rc == 0 && end > 1) {
		rc = refcount_get(q, end - 1, &count);
		if (rc < 0 || count)
			break;
		end--;
	}
	return rc == 0 && q->can_grow && end < was ? q->host->child_resize(q->inst, 0, end * q->cluster_bytes) : rc;
}

static int shrink(struct qcow2 *q, uint64_t disk_bytes, struct mt_error *err)
{
	int rc;

	q->h.disk_bytes = disk_bytes;
	rc = header_store(q, err);
	if (rc == 0)
		rc = drop_behind(q, disk_bytes);
	if (rc == 0)
		rc = q->cache->flush(q->inst);
	return rc < 0 ? rc : cut_file(q);
}

/* The tables behind the disk's end, which have no entry any more. */
static int drop_tables(struct qcow2 *q)
{
	int rc = 0;

	for (uint64_t i = qcow2_l1_entries(q, q->h.disk_bytes); rc == 0 && i < q->h.l1_size; i++)
		rc = table_drop(q, i);
	space_retire_end(q);
	return rc < 0 ? rc : space_release(q);
}

/*
 * Growing failed. What it changed may have no room in the file, so memory goes back to what the file has, as after a
 * kill; then that gives back what it has of the new tables and clusters. Lazy counts may be behind the tables that are
 * written, so those go on. Where this fails too `check` finds leaks; where there is more amiss, nothing is given back.
 */
static void grow_undo(struct qcow2 *q)
{
	struct mt_block_check found = { .size = sizeof(found) }, mended = { .size = sizeof(mended) };

	if (q->corrupt || (!(q->h.compatible & COMPAT_LAZY) && qcow2_revert(q) < 0))
		return;
	if (qcow2_reload(q, NULL) < 0 || drop_behind(q, q->h.disk_bytes) < 0 || drop_tables(q) < 0)
		return;
	if (qcow2_check(q, 0, &found, NULL, NULL, NULL) < 0 || found.corruptions || found.errors)
		return;
	if (found.leaks && qcow2_check(q, MT_BLOCK_CHECK_LEAKS, &mended, NULL, NULL, NULL) < 0)
		return;
	if (q->cache->flush(q->inst) == 0)
		(void)cut_file(q);
}

/* On failure the file is looked at again, so that what is in memory is what it has. */
static int finish(struct qcow2 *q, int rc, const char *what, struct mt_error *err)
{
	int again = qcow2_reload(q, rc == 0 ? err : NULL);

	if (rc == 0)
		rc = again;
	if (rc < 0 && (!err || !err->code))
		mt_error_set(err, rc, "file", "%s failed", what);
	return rc;
}

int qcow2_resize(struct qcow2 *q, uint64_t disk_bytes, uint32_t flags, uint32_t prealloc, struct mt_error *err)
{
	int rc;

	if (q->readonly || q->corrupt)
		return mt_error_set(err, MT_EPERM, "file", "the image can only be read");
	if (disk_bytes % 512 || disk_bytes > INT64_MAX || qcow2_l1_entries(q, disk_bytes) > L1_BYTES_MAX / 8)
		return mt_error_set(err, MT_EINVAL, "size", "a qcow2 image cannot be given this size");
	if (!snapshots_know_size(q))
		return mt_error_set(err, MT_ENOTSUP, "file", "the snapshots of this image do not know their own size");
	if (disk_bytes < q->h.disk_bytes && !(flags & MT_BLOCK_RESIZE_SHRINK))
		return mt_error_set(err, MT_EINVAL, "size", "the disk would become smaller and lose data");
	if (prealloc != MT_BLOCK_PREALLOC_OFF && q->has_backing)
		return mt_error_set(err, MT_ENOTSUP, "preallocation", "what has a backing disk is not allocated in advance");
	if (disk_bytes != q->h.disk_bytes && bitmaps_outdate(q) < 0)
		return mt_error_set(err, MT_EIO, "file", "the bitmaps of the image cannot be marked");
	if (disk_bytes < q->h.disk_bytes)
		return finish(q, shrink(q, disk_bytes, err), "shrinking the image", err);
	rc = grow(q, disk_bytes, prealloc, err);
	if (rc < 0)
		grow_undo(q);
	return finish(q, rc, "growing the image", err);
}

/* The header switches to a table without entries; then the old tree is nobody's. */
int qcow2_make_empty(struct qcow2 *q, struct mt_error *err)
{
	uint64_t *l1 = calloc(q->h.l1_size + 1ull, 8), *old = q->l1, offset, old_offset = q->h.l1_offset;
	uint64_t old_len = table_l1_bytes(q, q->h.l1_size);
	int rc = l1 ? 0 : MT_ENOMEM;

	if (rc == 0)
		rc = qcow2_mark(q, INCOMPAT_DIRTY, 0);
	if (rc == 0)
		rc = table_l1_write(q, l1, q->h.l1_size, &offset);
	if (rc < 0) {
		free(l1);
		return finish(q, rc, "emptying the image", err);
	}
	q->l1 = l1;
	q->h.l1_offset = offset;
	rc = header_store(q, err);
	if (rc == 0)
		rc = walk_change(q, old, q->h.l1_size, -1);
	if (rc == 0)
		rc = refcount_change(q, old_offset, old_len, -1);
	free(old);
	if (rc == 0)
		rc = qcow2_mark(q, 0, INCOMPAT_DIRTY);
	if (rc < 0)
		return repair_after(q, finish(q, rc, "emptying the image", err));
	rc = cut_file(q);
	return finish(q, rc, "emptying the image", err);
}
