/* SPDX-License-Identifier: MIT */
/*
 * Internal snapshots. Each operation writes what is new beside what is there, switches over with the header's first
 * sector, and gives up the old then. While counts and flags are on their way the image is marked dirty (version 3):
 * who opens it after a crash repairs it. Exclusive.
 */
#include "qcow2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#define EXTRA_SIZES  16u                 /* size of the machine's state, size of the disk */
#define EXTRA_ICOUNT 24u

/* The table */

static void snapshot_fini(struct qcow2_snapshot *s)
{
	free(s->extra);
	free(s->id);
	free(s->name);
}

void snapshots_fini(struct qcow2 *q)
{
	for (uint32_t i = 0; q->snapshots && i < q->h.snapshot_count; i++)
		snapshot_fini(&q->snapshots[i]);
	free(q->snapshots);
	q->snapshots = NULL;
	q->snapshot_table_bytes = 0;
}

static char *text_of(const uint8_t *bytes, uint32_t len)
{
	char *text = malloc(len + 1);

	if (!text)
		return NULL;
	memcpy(text, bytes, len);
	text[len] = 0;
	return text;
}

static int parse_rest(struct qcow2 *q, struct qcow2_snapshot *s, const uint8_t *b, uint32_t id, uint32_t name)
{
	s->extra = malloc(s->extra_bytes + 1ull);
	s->id = text_of(b + SNAPSHOT_HEAD + s->extra_bytes, id);
	s->name = text_of(b + SNAPSHOT_HEAD + s->extra_bytes + id, name);
	if (!s->extra || !s->id || !s->name)
		return MT_ENOMEM;
	memcpy(s->extra, b + SNAPSHOT_HEAD, s->extra_bytes);
	s->disk_bytes = q->h.disk_bytes;
	s->icount = UINT64_MAX;
	if (s->extra_bytes >= 8)
		s->vm_state_bytes = mt_get_be64(s->extra);
	if (s->extra_bytes >= EXTRA_SIZES)
		s->disk_bytes = mt_get_be64(s->extra + 8);
	if (s->extra_bytes >= EXTRA_ICOUNT)
		s->icount = mt_get_be64(s->extra + 16);
	return 0;
}

static int parse_one(struct qcow2 *q, struct qcow2_snapshot *s, const uint8_t *b, uint64_t len, uint64_t *used)
{
	uint64_t end = qcow2_clusters(q, q->host->child_bytes(q->inst, 0)) * q->cluster_bytes;
	uint32_t id, name;

	if (len < SNAPSHOT_HEAD)
		return MT_EINVAL;
	s->l1_offset = mt_get_be64(b);
	s->l1_size = mt_get_be32(b + 8);
	id = mt_get_be16(b + 12);
	name = mt_get_be16(b + 14);
	s->date_sec = mt_get_be32(b + 16);
	s->date_nsec = mt_get_be32(b + 20);
	s->clock_ns = mt_get_be64(b + 24);
	s->vm_state_bytes = mt_get_be32(b + 32);
	s->extra_bytes = mt_get_be32(b + 36);
	*used = SNAPSHOT_HEAD + (uint64_t)s->extra_bytes + id + name;
	if (s->extra_bytes > SNAPSHOT_EXTRA_MAX || *used > len)
		return MT_EINVAL;
	if (s->l1_size > L1_BYTES_MAX / 8 || s->l1_offset % q->cluster_bytes ||
	    !mt_range_inside(s->l1_offset, 8ull * s->l1_size, end))
		return MT_EINVAL;
	return parse_rest(q, s, b, id, name);
}

/* The table has no length: it is read on as far as entries go. */
static int load_all(struct qcow2 *q, const uint8_t *bytes, uint64_t len)
{
	uint64_t at = 0, used = 0;

	for (uint32_t i = 0; i < q->h.snapshot_count; i++) {
		int rc = at > len ? MT_EINVAL : parse_one(q, &q->snapshots[i], bytes + at, len - at, &used);

		if (rc < 0)
			return rc;
		q->snapshot_table_bytes = at + used;
		at += (used + 7) / 8 * 8;
	}
	return 0;
}

int snapshots_load(struct qcow2 *q, struct mt_error *err)
{
	uint64_t file = q->host->child_bytes(q->inst, 0), at = q->h.snapshot_offset, len;
	uint8_t *bytes = NULL;
	int rc = 0;

	if (!q->h.snapshot_count)
		return 0;
	if (q->h.snapshot_count > SNAPSHOTS_MAX || at % q->cluster_bytes || at >= file) {
		q->h.snapshot_count = 0;
		return mt_error_set(err, MT_EINVAL, "file", "the table of snapshots does not lie in the file, or is too long");
	}
	len = mt_min_u64(mt_min_u64(file - at, SNAPSHOT_TABLE_MAX), q->h.snapshot_count * (SNAPSHOT_HEAD + 1024 + 131072ull));
	q->snapshots = calloc(q->h.snapshot_count, sizeof(*q->snapshots));
	bytes = malloc(len);
	if (!q->snapshots || !bytes)
		rc = MT_ENOMEM;
	if (rc == 0)
		rc = q->host->child_read(q->inst, 0, at, bytes, len);
	if (rc == 0)
		rc = load_all(q, bytes, len);
	free(bytes);
	return rc < 0 ? mt_error_set(err, rc, "file", "the table of snapshots cannot be read") : 0;
}

static uint64_t entry_bytes(const struct qcow2_snapshot *s)
{
	uint64_t n = SNAPSHOT_HEAD + mt_max_u64(s->extra_bytes, EXTRA_SIZES) + strlen(s->id) + strlen(s->name);

	return (n + 7) / 8 * 8;
}

static void entry_put(uint8_t *b, const struct qcow2_snapshot *s)
{
	uint32_t extra = mt_max_u32(s->extra_bytes, EXTRA_SIZES);

	mt_put_be64(b, s->l1_offset);
	mt_put_be32(b + 8, s->l1_size);
	mt_put_be16(b + 12, (uint16_t)strlen(s->id));
	mt_put_be16(b + 14, (uint16_t)strlen(s->name));
	mt_put_be32(b + 16, s->date_sec);
	mt_put_be32(b + 20, s->date_nsec);
	mt_put_be64(b + 24, s->clock_ns);
	mt_put_be32(b + 32, s->vm_state_bytes > UINT32_MAX ? 0 : (uint32_t)s->vm_state_bytes);
	mt_put_be32(b + 36, extra);
	b += SNAPSHOT_HEAD;
	if (s->extra_bytes)
		memcpy(b, s->extra, s->extra_bytes);
	mt_put_be64(b, s->vm_state_bytes);
	mt_put_be64(b + 8, s->disk_bytes);
	if (extra >= EXTRA_ICOUNT)
		mt_put_be64(b + 16, s->icount);
	memcpy(b + extra, s->id, strlen(s->id));
	memcpy(b + extra + strlen(s->id), s->name, strlen(s->name));
}

static int table_write(struct qcow2 *q, uint64_t len, uint64_t *offset)
{
	uint64_t clusters = qcow2_clusters(q, len), cluster = 0, at = 0;
	uint8_t *bytes = calloc(clusters, q->cluster_bytes);
	int rc = bytes ? space_take_all(q, clusters, &cluster) : MT_ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < q->h.snapshot_count; i++) {
		entry_put(bytes + at, &q->snapshots[i]);
		at += entry_bytes(&q->snapshots[i]);
	}
	*offset = cluster * q->cluster_bytes;
	if (rc == 0)
		rc = q->host->child_write(q->inst, 0, *offset, bytes, clusters * q->cluster_bytes);
	free(bytes);
	return rc;
}

int snapshots_store(struct qcow2 *q)
{
	uint64_t old = q->h.snapshot_offset, old_len = q->snapshot_table_bytes, len = 0, offset = 0;
	int rc = 0;

	for (uint32_t i = 0; i < q->h.snapshot_count; i++)
		len += entry_bytes(&q->snapshots[i]);
	if (len > SNAPSHOT_TABLE_MAX)
		return MT_ERANGE;
	if (len)
		rc = table_write(q, len, &offset);
	if (rc < 0)
		return rc;
	q->h.snapshot_offset = offset;
	q->snapshot_table_bytes = len;
	rc = header_store(q, NULL);              /* flushes what is written first */
	if (rc == 0 && old_len)
		rc = refcount_change(q, old, old_len, -1);
	return rc;
}

/* The operations */

static int begin(struct qcow2 *q, struct mt_error *err)
{
	if (q->readonly || q->corrupt)
		return mt_error_set(err, MT_EPERM, "file", "the image can only be read");
	return qcow2_mark(q, INCOMPAT_DIRTY, 0) < 0 ? mt_error_set(err, MT_EIO, "file", "the header cannot be written") : 0;
}

/* So few references that snapshots may use them up: in version 3 only, where the image is marked dirty meanwhile. */
static int is_narrow(const struct qcow2 *q)
{
	return q->h.refcount_order < 4;
}

static int too_narrow(const struct qcow2 *q, const char *what, struct mt_error *err)
{
	mt_error_set(err, MT_ERANGE, "file", "%s failed: reference counts of %u bits let snapshots and the disk share a "
		     "cluster %llu times at most", what, 1u << q->h.refcount_order,
		     (unsigned long long)refcount_max(q->h.refcount_order));
	mt_error_hint(err, "remove a snapshot, or make them wider with mortise img amend -o refcount_bits=16");
	return MT_ERANGE;
}

/* Flags tell the counts again, nothing of the old is left, and what is in memory is what the file has. */
static int end(struct qcow2 *q, int rc, const char *what, struct mt_error *err)
{
	if (rc == 0)
		rc = walk_copied(q);
	if (rc == 0)
		rc = space_release(q);
	if (rc == 0)
		rc = qcow2_mark(q, 0, INCOMPAT_DIRTY);
	if (rc == 0)
		rc = qcow2_reload(q, err);
	else
		rc = repair_after(q, rc);
	if (rc == MT_ERANGE && is_narrow(q) && err && !err->code)
		too_narrow(q, what, err);
	else if (rc < 0 && (!err || !err->code))
		mt_error_set(err, rc, "file", rc == MT_ERANGE ? "%s failed: the table of snapshots is too long" : "%s failed", what);
	return rc;
}

static int id_taken(const struct qcow2 *q, const char *id)
{
	for (uint32_t i = 0; i < q->h.snapshot_count; i++) {
		if (strcmp(q->snapshots[i].id, id) == 0)
			return 1;
	}
	return 0;
}

/* One more than the highest number. */
static void id_choose(const struct qcow2 *q, char id[24])
{
	uint64_t highest = 0;

	for (uint32_t i = 0; i < q->h.snapshot_count; i++)
		highest = mt_max_u64(highest, strtoull(q->snapshots[i].id, NULL, 10));
	snprintf(id, 24, "%llu", (unsigned long long)(highest < UINT64_MAX ? highest + 1 : highest));
}

static int snapshot_fill(struct qcow2 *q, struct qcow2_snapshot *s, const struct mt_block_snapshot *what)
{
	char number[24];

	id_choose(q, number);
	*s = (struct qcow2_snapshot){
		.l1_size = q->h.l1_size, .date_sec = (uint32_t)what->date_sec, .date_nsec = (uint32_t)what->date_nsec,
		.clock_ns = what->vm_clock_ns, .vm_state_bytes = q->vm_state_bytes, .disk_bytes = q->h.disk_bytes,
		.icount = what->icount, .extra_bytes = EXTRA_ICOUNT,
		.extra = calloc(1, EXTRA_ICOUNT), .id = strdup(*what->id ? what->id : number), .name = strdup(what->name),
	};
	return s->extra && s->id && s->name ? 0 : MT_ENOMEM;
}

static int list_add(struct qcow2 *q, const struct qcow2_snapshot *s)
{
	struct qcow2_snapshot *list = realloc(q->snapshots, (q->h.snapshot_count + 1) * sizeof(*list));

	if (!list)
		return MT_ENOMEM;
	q->snapshots = list;
	q->snapshots[q->h.snapshot_count++] = *s;
	return 0;
}

/* The state of the machine, which the snapshot has now, is not the disk's. */
static int drop_vm_state(struct qcow2 *q)
{
	uint64_t first = qcow2_l1_entries(q, q->h.disk_bytes) << q->l2_bits;
	uint64_t end_cluster = (uint64_t)q->h.l1_size << q->l2_bits;

	q->vm_state_bytes = 0;
	return end_cluster > first ? unmap_drop(q, first, end_cluster - first) : 0;
}

int snapshot_create(struct qcow2 *q, const struct mt_block_snapshot *what, struct mt_error *err)
{
	struct qcow2_snapshot s = { 0 };
	int rc, vm_state = q->vm_state_bytes != 0;

	if (*what->id && id_taken(q, what->id))
		return mt_error_set(err, MT_EINVAL, "id", "there is a snapshot '%s' already", what->id);
	if (q->h.snapshot_count == SNAPSHOTS_MAX)
		return mt_error_set(err, MT_ERANGE, "file", "there are %u snapshots already", SNAPSHOTS_MAX);
	if (q->h.refcount_order == 0)
		return mt_error_set(err, MT_ENOTSUP, "file", "reference counts of one bit leave no room for snapshots");
	if (is_narrow(q) && walk_change(q, q->l1, q->h.l1_size, 0) == MT_ERANGE)
		return too_narrow(q, "making the snapshot", err);
	rc = begin(q, err);
	if (rc < 0)
		return rc;
	rc = vm_state ? 0 : drop_vm_state(q);    /* of another snapshot */
	if (rc == 0)
		rc = snapshot_fill(q, &s, what);
	if (rc == 0)
		rc = table_l1_write(q, q->l1, q->h.l1_size, &s.l1_offset);
	if (rc == 0)
		rc = walk_change(q, q->l1, q->h.l1_size, 1);
	if (rc == 0)
		rc = walk_copied(q);
	if (rc == 0)
		rc = list_add(q, &s);
	if (rc < 0)
		snapshot_fini(&s);
	else
		rc = snapshots_store(q);
	if (rc == 0 && vm_state)
		rc = drop_vm_state(q);
	return end(q, rc, "making the snapshot", err);
}

/* The snapshot's tables, as those of the disk. */
static uint64_t *active_make(struct qcow2 *q, const struct qcow2_snapshot *s, uint32_t *size, int *rc)
{
	uint64_t need = qcow2_l1_entries(q, s->disk_bytes), *l1, *all;

	*rc = need > L1_BYTES_MAX / 8 || s->disk_bytes > INT64_MAX ? MT_EINVAL : 0;
	l1 = *rc == 0 ? table_load(q, s->l1_offset, s->l1_size, rc) : NULL;
	if (!l1)
		return NULL;
	*size = (uint32_t)mt_max_u64(need, s->l1_size);
	all = calloc(*size + 1ull, 8);
	if (all)
		memcpy(all, l1, 8ull * s->l1_size);
	else
		*rc = MT_ENOMEM;
	free(l1);
	return all;
}

/*
 * What the disk and the snapshot share is counted once more first, so that a crash leaves leaks only. With narrow
 * counts there may be no room for that: then what the disk has goes first, and the image is repaired after a crash or
 * an error.
 */
int snapshot_apply(struct qcow2 *q, uint32_t index, struct mt_error *err)
{
	const struct qcow2_snapshot *s = &q->snapshots[index];
	uint64_t *l1, *old = q->l1, offset, old_offset = q->h.l1_offset, vm_state = s->vm_state_bytes;
	uint32_t size, old_size = q->h.l1_size;
	int rc = begin(q, err);

	if (rc < 0)
		return rc;
	l1 = active_make(q, s, &size, &rc);
	if (rc == 0 && is_narrow(q))
		rc = walk_change(q, old, old_size, -1);
	if (rc == 0)
		rc = walk_change(q, l1, size, 1);
	if (rc == 0 && s->disk_bytes != q->h.disk_bytes)
		rc = bitmaps_outdate(q);
	if (rc == 0)
		rc = table_l1_write(q, l1, size, &offset);
	if (rc < 0) {
		free(l1);
		return end(q, rc, "going back to the snapshot", err);
	}
	q->l1 = l1;
	q->h.l1_size = size;
	q->h.l1_offset = offset;
	q->h.disk_bytes = s->disk_bytes;
	rc = header_store(q, NULL);
	if (rc == 0 && !is_narrow(q))
		rc = walk_change(q, old, old_size, -1);
	if (rc == 0)
		rc = refcount_change(q, old_offset, table_l1_bytes(q, old_size), -1);
	free(old);
	rc = end(q, rc, "going back to the snapshot", err);
	q->vm_state_bytes = rc == 0 ? vm_state : 0;
	return rc;
}

int snapshot_remove(struct qcow2 *q, uint32_t index, struct mt_error *err)
{
	struct qcow2_snapshot s = q->snapshots[index];
	uint64_t *l1 = NULL;
	int rc = begin(q, err);

	if (rc < 0)
		return rc;
	l1 = table_load(q, s.l1_offset, s.l1_size, &rc);
	if (rc == 0) {
		memmove(&q->snapshots[index], &q->snapshots[index + 1], (--q->h.snapshot_count - index) * sizeof(s));
		rc = snapshots_store(q);
		snapshot_fini(&s);
	}
	if (rc == 0)
		rc = walk_change(q, l1, s.l1_size, -1);
	if (rc == 0 && s.l1_size)
		rc = refcount_change(q, s.l1_offset, table_l1_bytes(q, s.l1_size), -1);
	free(l1);
	return end(q, rc, "deleting the snapshot", err);
}

int snapshot_show(struct qcow2 *q, uint32_t index, struct mt_error *err)
{
	const struct qcow2_snapshot *s = &q->snapshots[index];
	uint32_t size;
	uint64_t *l1;
	int rc;

	if (!q->readonly)
		return mt_error_set(err, MT_EPERM, "readonly", "a snapshot is shown by a read-only disk only");
	l1 = active_make(q, s, &size, &rc);
	if (rc < 0)
		return mt_error_set(err, rc, "file", "the tables of the snapshot cannot be read");
	free(q->l1);
	q->l1 = l1;
	q->h.l1_size = size;
	q->disk_bytes = q->h.disk_bytes = s->disk_bytes;
	q->vm_state_bytes = s->vm_state_bytes;
	return 0;
}
