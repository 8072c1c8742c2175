/* SPDX-License-Identifier: MIT */
/* What is done to an image as a whole, and its snapshots: the core's exclusive operations, with pages waited for. */
#include "node.h"

#include <stdio.h>
#include <string.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

typedef void fact_fn(void *arg, const char *name, uint32_t type, const char *value);

static void number(fact_fn *fact, void *arg, const char *name, uint32_t type, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	fact(arg, name, type, text);
}

static void truth(fact_fn *fact, void *arg, const char *name, int value)
{
	fact(arg, name, MT_BLOCK_VALUE_BOOL, value ? "true" : "false");
}

static void image_describe(void *self, fact_fn *fact, void *arg)
{
	const struct qcow2 *q = &((struct node *)self)->qcow2;
	const struct qcow2_header *h = &q->h;

	number(fact, arg, MT_BLOCK_FACT_CLUSTER, MT_BLOCK_VALUE_SIZE, q->cluster_bytes);
	truth(fact, arg, MT_BLOCK_FACT_DIRTY, (h->incompatible & INCOMPAT_DIRTY) != 0);
	if (h->backing)
		fact(arg, MT_BLOCK_FACT_BACKING, MT_BLOCK_VALUE_STRING, h->backing);
	if (h->backing_format)
		fact(arg, MT_BLOCK_FACT_BACKING_FMT, MT_BLOCK_VALUE_STRING, h->backing_format);
	fact(arg, "compat", MT_BLOCK_VALUE_STRING, h->version < 3 ? "0.10" : "1.1");
	fact(arg, "compression-type", MT_BLOCK_VALUE_STRING, h->compression ? "zstd" : "zlib");
	number(fact, arg, "refcount-bits", MT_BLOCK_VALUE_INT, 1ull << h->refcount_order);
	if (h->version < 3)
		return;
	truth(fact, arg, "lazy-refcounts", (h->compatible & COMPAT_LAZY) != 0);
	truth(fact, arg, "corrupt", (h->incompatible & INCOMPAT_CORRUPT) != 0);
	truth(fact, arg, "extended-l2", q->entry_bytes == 16);
}

/* An exclusive operation begins and ends. */

static struct qcow2 *look(void *self)
{
	struct qcow2 *q = &((struct node *)self)->qcow2;

	space_cut(q);                          /* first: tables are made anew at the end that the file has */
	q->wait = 1;
	return q;
}

/* One after which the disk may be another than bitmaps say. */
static struct qcow2 *enter(void *self)
{
	struct qcow2 *q = look(self);

	q->written = 1;
	return q;
}

static int32_t leave(struct qcow2 *q, int rc)
{
	if (rc == 0)
		rc = space_release(q);         /* what was written on the way has given up space */
	q->wait = 0;
	q->host->invalidate(q->inst, 0, 0);
	q->host->node_changed(q->inst);
	return rc;
}

static int32_t image_check(void *self, uint32_t repair, struct mt_block_check *out, finding_fn *finding, void *arg,
			   struct mt_error *err)
{
	struct qcow2 *q = repair ? enter(self) : look(self);

	return leave(q, qcow2_check(q, repair, out, finding, arg, err));
}

static int32_t image_resize(void *self, uint64_t disk_bytes, uint32_t flags, uint32_t prealloc, struct mt_error *err)
{
	struct qcow2 *q = enter(self);

	return leave(q, qcow2_resize(q, disk_bytes, flags, prealloc, err));
}

static int32_t image_amend(void *self, const struct mt_block_value *values, uint32_t count, struct mt_error *err)
{
	struct qcow2 *q = enter(self);

	return leave(q, qcow2_amend(q, values, count, err));
}

static int32_t image_backing_set(void *self, const char *name, const char *format, struct mt_error *err)
{
	struct qcow2 *q = enter(self);

	if (q->readonly || q->corrupt)
		return leave(q, mt_error_set(err, MT_EPERM, "file", "the image can only be read"));
	return leave(q, qcow2_backing_set(q, name, format, err));
}

static int32_t image_make_empty(void *self, struct mt_error *err)
{
	struct qcow2 *q = enter(self);

	if (q->readonly || q->corrupt)
		return leave(q, mt_error_set(err, MT_EPERM, "file", "the image can only be read"));
	return leave(q, qcow2_make_empty(q, err));
}

const struct mt_block_image image_role = {
	.describe = image_describe,
	.check = image_check,
	.resize = image_resize,
	.amend = image_amend,
	.backing_set = image_backing_set,
	.make_empty = image_make_empty,
};

/* Snapshots */

static uint32_t snapshots_count(void *self)
{
	return ((struct node *)self)->qcow2.h.snapshot_count;
}

static int32_t snapshots_get(void *self, uint32_t index, struct mt_block_snapshot *out)
{
	const struct qcow2 *q = &((struct node *)self)->qcow2;
	struct mt_block_snapshot all = { .size = sizeof(all) };
	const struct qcow2_snapshot *s;

	if (index >= q->h.snapshot_count)
		return MT_ERANGE;
	s = &q->snapshots[index];
	all.disk_bytes = s->disk_bytes;
	all.vm_state_bytes = s->vm_state_bytes;
	all.date_sec = s->date_sec;
	all.date_nsec = s->date_nsec;
	all.vm_clock_ns = s->clock_ns;
	all.icount = s->icount;
	snprintf(all.id, sizeof(all.id), "%s", s->id);
	snprintf(all.name, sizeof(all.name), "%s", s->name);
	all.size = mt_min_u32(out->size, all.size);
	memcpy(out, &all, all.size);
	return 0;
}

static int32_t snapshots_create(void *self, const struct mt_block_snapshot *what, struct mt_error *err)
{
	struct qcow2 *q = enter(self);

	return leave(q, snapshot_create(q, what, err));
}

static int with_index(void *self, uint32_t index, int (*fn)(struct qcow2 *q, uint32_t index, struct mt_error *err),
		      struct mt_error *err)
{
	struct qcow2 *q = enter(self);

	if (index >= q->h.snapshot_count)
		return leave(q, mt_error_set(err, MT_ERANGE, "snapshot", "there is no snapshot of this number"));
	return leave(q, fn(q, index, err));
}

static int32_t snapshots_apply(void *self, uint32_t index, struct mt_error *err)
{
	return with_index(self, index, snapshot_apply, err);
}

static int32_t snapshots_remove(void *self, uint32_t index, struct mt_error *err)
{
	return with_index(self, index, snapshot_remove, err);
}

static int32_t snapshots_show(void *self, uint32_t index, struct mt_error *err)
{
	return with_index(self, index, snapshot_show, err);
}

/* The state of the machine lies behind what the L1 table has for the disk. */

static uint64_t vm_state_at(const struct qcow2 *q, uint64_t offset)
{
	return (qcow2_l1_entries(q, q->h.disk_bytes) << q->l2_bits << q->h.cluster_bits) + offset;
}

static int32_t vm_state_write(void *self, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct qcow2 *q = enter(self);
	int rc = q->readonly || q->corrupt ? MT_EPERM : 0;

	if (offset > INT64_MAX / 4 || len_bytes > INT64_MAX / 4 || vm_state_at(q, offset + len_bytes) > INT64_MAX / 2)
		rc = MT_ERANGE;
	if (rc == 0)
		rc = table_l1_grow(q, qcow2_l1_entries(q, vm_state_at(q, offset + len_bytes)));
	if (rc == 0)
		rc = sync_write(q, vm_state_at(q, offset), buf, len_bytes);
	if (rc == 0)
		q->vm_state_bytes = mt_max_u64(q->vm_state_bytes, offset + len_bytes);
	return leave(q, rc);
}

static int32_t vm_state_read(void *self, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct qcow2 *q = look(self);
	int rc = offset > q->vm_state_bytes || len_bytes > q->vm_state_bytes - offset ? MT_ERANGE : 0;

	return leave(q, rc == 0 ? sync_read(q, vm_state_at(q, offset), buf, len_bytes) : rc);
}

const struct mt_block_snapshots snapshots_role = {
	.count = snapshots_count,
	.get = snapshots_get,
	.create = snapshots_create,
	.apply = snapshots_apply,
	.remove = snapshots_remove,
	.show = snapshots_show,
	.vm_state_write = vm_state_write,
	.vm_state_read = vm_state_read,
};

/* Bitmaps */

static uint32_t bitmaps_count(void *self)
{
	return ((struct node *)self)->qcow2.bitmaps.count;
}

static int32_t bitmaps_get(void *self, uint32_t index, struct mt_block_bitmap *out)
{
	const struct qcow2 *q = &((struct node *)self)->qcow2;
	const uint8_t *entry = bitmaps_at(&q->bitmaps, index);
	struct mt_block_bitmap all = { .size = sizeof(all) };
	const char *name;
	uint32_t len, flags;

	if (!entry)
		return MT_ERANGE;
	name = bitmap_name(entry, &len);
	flags = mt_get_be32(entry + BITMAP_FLAGS);
	all.flags = (bitmap_in_use(q, entry) ? MT_BLOCK_BITMAP_IN_USE : 0) |
		    (flags & BITMAP_AUTO ? MT_BLOCK_BITMAP_ENABLED : 0);
	all.granularity_bytes = 1ull << (entry[BITMAP_BITS] & 63);
	memcpy(all.name, name, mt_min_u32(len, sizeof(all.name) - 1));
	all.size = mt_min_u32(out->size, all.size);
	memcpy(out, &all, all.size);
	return 0;
}

static int32_t bitmaps_add(void *self, const struct mt_block_bitmap *what, struct mt_error *err)
{
	struct qcow2 *q = look(self);

	return leave(q, bitmap_add(q, what, err));
}

static int32_t bitmaps_remove(void *self, uint32_t index, struct mt_error *err)
{
	struct qcow2 *q = look(self);

	return leave(q, bitmap_remove(q, index, err));
}

static int32_t bitmaps_set_flags(void *self, uint32_t index, uint32_t flags, struct mt_error *err)
{
	struct qcow2 *q = look(self);

	return leave(q, bitmap_set_flags(q, index, flags, err));
}

static int32_t bitmaps_read(void *self, uint32_t index, uint8_t *bits, uint64_t len_bytes, struct mt_error *err)
{
	struct qcow2 *q = look(self);

	return leave(q, bitmap_read(q, index, bits, len_bytes, err));
}

static int32_t bitmaps_write(void *self, uint32_t index, const uint8_t *bits, uint64_t len_bytes, struct mt_error *err)
{
	struct qcow2 *q = look(self);

	return leave(q, bitmap_write(q, index, bits, len_bytes, err));
}

const struct mt_block_bitmaps bitmaps_role = {
	.count = bitmaps_count,
	.get = bitmaps_get,
	.add = bitmaps_add,
	.remove = bitmaps_remove,
	.set_flags = bitmaps_set_flags,
	.read = bitmaps_read,
	.write = bitmaps_write,
};
