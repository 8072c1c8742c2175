/* SPDX-License-Identifier: MIT */
/*
 * What is done to an image as a whole: describe, check, resize, empty, create, probe. [main]; those of an instance run
 * with nothing mapped and its caches written, and write around them.
 */
#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>
#include <util/uuid.h>

static void image_describe(void *self, void (*fact)(void *arg, const char *name, uint32_t type, const char *value),
			   void *arg)
{
	static const char *const types[] = { "dynamic", "static", "undo", "differencing" };
	const struct vdi *v = &((struct node *)self)->vdi;
	char text[MT_UUID_TEXT];

	snprintf(text, sizeof(text), "%u", v->block_bytes);
	fact(arg, MT_BLOCK_FACT_CLUSTER, MT_BLOCK_VALUE_SIZE, text);
	fact(arg, "type", MT_BLOCK_VALUE_STRING, types[v->type - 1]);
	mt_uuid_text(vdi_uuid(v), text);
	fact(arg, "uuid", MT_BLOCK_VALUE_STRING, text);
	mt_uuid_text(vdi_modify_uuid(v), text);
	fact(arg, "modification-uuid", MT_BLOCK_VALUE_STRING, text);
	if (!vdi_has_parent(v))
		return;
	mt_uuid_text(vdi_parent_uuid(v), text);
	fact(arg, "parent-uuid", MT_BLOCK_VALUE_STRING, text);
	mt_uuid_text(vdi_parent_modify_uuid(v), text);
	fact(arg, "parent-modification-uuid", MT_BLOCK_VALUE_STRING, text);
}

/* Exclusive operations */

int node_reload(struct node *n, int failed, struct mt_error *err)
{
	struct mt_error again;

	mt_error_init(&again);
	if (failed < 0 && node_load(n, &again) < 0) {
		n->broken = 1;
		mt_error_hint(err, "the image cannot be opened any more: %.150s", again.message);
	}
	n->gaps = 0;
	n->whole_bytes = 0;                            /* the file may have been cut */
	if (!n->broken && node_pages_open(n) < 0)
		n->broken = 1;
	n->host->node_changed(n->inst);
	return failed;
}

static void report(const struct vdi_report *r, struct mt_block_check *out,
		   void (*finding)(void *arg, const char *line), void *arg)
{
	const struct {
		uint64_t count;
		const char *words;
	} lines[] = {
		{ r->out_of_range, "entries of the map are out of range" },
		{ r->doubled, "blocks belong to more than one entry of the map" },
		{ r->truncated, "blocks end beyond the end of the file" },
		{ r->missing, "blocks in use are not counted in the header" },
		{ r->leaked, "blocks are counted in the header, and no entry of the map has them" },
	};
	char line[128];

	for (uint32_t i = 0; i < MT_COUNT_OF(lines); i++) {
		if (!lines[i].count)
			continue;
		snprintf(line, sizeof(line), "%llu %s", (unsigned long long)lines[i].count, lines[i].words);
		finding(arg, line);
	}
	out->corruptions = r->out_of_range + r->doubled + r->truncated + r->missing;
	out->leaks = r->leaked;
}

/* The count is mended with the leaks: both are in the header. */
static int repair_do(struct node *n, struct mt_block_check *out, const struct vdi_report *r, struct mt_error *err)
{
	struct vdi_io io = node_io(n);
	int rc;

	node_pages_close(n);
	rc = vdi_accept(&n->vdi, err);
	if (rc == 0) {
		rc = vdi_compact(&n->vdi, &io);
		if (rc < 0)
			mt_error_set(err, rc, "file", "the repair failed");
	}
	if (rc == 0) {
		out->leaks_fixed = r->leaked;
		out->corruptions_fixed = r->missing;
	}
	return node_reload(n, rc, err);
}

static int32_t image_check(void *self, uint32_t repair, struct mt_block_check *out,
			   void (*finding)(void *arg, const char *line), void *arg, struct mt_error *err)
{
	struct node *n = self;
	struct vdi_io io = node_io(n);
	struct vdi_report r;
	struct vdi v;
	int rc = vdi_load(&v, &io.source, err);        /* what the file has: opening has mended what is in memory */

	if (rc == 0 && vdi_check(&v, &r) < 0)
		rc = mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	if (rc == 0) {
		report(&r, out, finding, arg);
		out->units_total = v.blocks;
		out->units_allocated = r.allocated;
		out->image_end_bytes = vdi_end(&v);
	}
	vdi_fini(&v);
	if (rc < 0 || !repair || (!r.leaked && !(r.missing && repair & MT_BLOCK_CHECK_ALL)))
		return rc;
	return n->header_page ? repair_do(n, out, &r, err) :
	       mt_error_set(err, MT_EPERM, NULL, "the image is opened for reading only");
}

/*
 * What growing took before it failed is given back: blocks that moved out of the new map's way move down again. Where
 * that fails too, `check` finds leaks.
 */
static void grow_undo(struct node *n)
{
	struct mt_error unused;
	struct vdi_io io;

	mt_error_init(&unused);
	if (node_load(n, &unused) < 0)
		return;
	io = node_io(n);                               /* the file may be longer now */
	(void)vdi_compact(&n->vdi, &io);
}

static int32_t image_resize(void *self, uint64_t disk_bytes, uint32_t flags, uint32_t prealloc, struct mt_error *err)
{
	struct node *n = self;
	struct vdi_io io = node_io(n);
	int rc;

	if (!n->header_page)
		return mt_error_set(err, MT_EPERM, NULL, "the image is opened for reading only");
	if (prealloc != MT_BLOCK_PREALLOC_OFF)
		return mt_error_set(err, MT_ENOTSUP, "preallocation", "a VDI image grows without preallocation only");
	if (disk_bytes < n->vdi.disk_bytes && !(flags & MT_BLOCK_RESIZE_SHRINK))
		return mt_error_set(err, MT_EINVAL, "size", "the disk would become smaller");
	node_pages_close(n);
	if (disk_bytes < n->vdi.disk_bytes)
		return node_reload(n, vdi_shrink(&n->vdi, disk_bytes, &io, err), err);
	rc = vdi_grow(&n->vdi, disk_bytes, &io, err);
	if (rc < 0)
		grow_undo(n);
	return node_reload(n, rc, err);
}

static int32_t image_make_empty(void *self, struct mt_error *err)
{
	struct node *n = self;
	struct vdi_io io = node_io(n);
	int rc;

	if (!n->header_page)
		return mt_error_set(err, MT_EPERM, NULL, "the image is opened for reading only");
	node_pages_close(n);
	parent_follow(n);
	rc = vdi_empty(&n->vdi, &io);
	if (rc < 0)
		mt_error_set(err, rc, "file", "emptying the image failed");
	return node_reload(n, rc, err);
}

const struct mt_block_image image_role = {
	.describe = image_describe,
	.check = image_check,
	.resize = image_resize,
	.make_empty = image_make_empty,
};

/* Making images */

static const struct mt_block_option options[] = {
	{ "static", MT_BLOCK_VALUE_BOOL, MT_BLOCK_OPTION_CREATE, "off", NULL, "all blocks have their place at once" },
	{ "preallocation", MT_BLOCK_VALUE_STRING, MT_BLOCK_OPTION_CREATE, "off", "off|metadata|falloc|full",
	  "metadata: as static; falloc, full: take the space of the host too" },
	{ "block_size", MT_BLOCK_VALUE_SIZE, MT_BLOCK_OPTION_CREATE, "1M", "4K..256M",
	  "other sizes than 1M are not understood by qemu-img" },
	{ NULL, 0, 0, NULL, NULL, NULL },
};

static const struct mt_block_option *create_options(void)
{
	return options;
}

static uint32_t prealloc_of(const char *value)
{
	static const char *const names[] = { "off", "metadata", "falloc", "full" };

	for (uint32_t i = 0; i < MT_COUNT_OF(names); i++) {
		if (strcmp(value, names[i]) == 0)
			return i;
	}
	return MT_BLOCK_PREALLOC_OFF;
}

static struct vdi_options options_of(const struct mt_block_create_want *want, uint32_t *prealloc)
{
	struct vdi_options o = { .disk_bytes = (want->disk_bytes + 511) & ~511ull, .type = VDI_DYNAMIC };

	*prealloc = MT_BLOCK_PREALLOC_OFF;
	for (uint32_t i = 0; i < want->value_count; i++) {
		const struct mt_block_value *value = &want->values[i];

		if (strcmp(value->name, "static") == 0 && strcmp(value->value, "true") == 0)
			o.type = VDI_STATIC;
		else if (strcmp(value->name, "preallocation") == 0)
			*prealloc = prealloc_of(value->value);
		else if (strcmp(value->name, "block_size") == 0)
			o.block_bytes = (uint32_t)strtoul(value->value, NULL, 10);
	}
	if (*prealloc != MT_BLOCK_PREALLOC_OFF)
		o.type = VDI_STATIC;
	if (want->backing)
		o.type = VDI_DIFF;
	return o;
}

struct making {
	const struct mt_block_maker_host *host;
	struct mt_block_maker *maker;
};

static int32_t making_write(void *arg, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct making *m = arg;

	return m->host->write(m->maker, 0, offset, buf, len_bytes);
}

static int32_t making_resize(void *arg, uint64_t len_bytes)
{
	struct making *m = arg;

	return m->host->resize(m->maker, 0, len_bytes);
}

/* A differencing image has its parent's identifiers, and no name. */
static int parent_find(struct making *m, struct vdi_options *o, struct mt_error *err)
{
	uint8_t header[VDI_HEADER_BYTES] = { 0 };

	if (m->host->backing_read(m->maker, 0, header, sizeof(header)) < (int64_t)sizeof(header) ||
	    probe_role.probe(header, sizeof(header), NULL, 0, sizeof(header)) == 0)
		return mt_error_set(err, MT_EINVAL, "backing", "the parent of a VDI image has to be one too");
	memcpy(o->parent_uuid, vdi_uuid_in(header), 16);
	memcpy(o->parent_modify_uuid, vdi_modify_uuid_in(header), 16);
	return 0;
}

/* Version 4, variant 1 of RFC 4122. */
static void uuid_make(struct making *m, uint8_t uuid[16])
{
	m->host->random(m->maker, uuid, 16);
	uuid[7] = (uint8_t)((uuid[7] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

static int32_t create_create(const struct mt_block_maker_host *host, struct mt_block_maker *maker,
			     const struct mt_block_create_want *want, struct mt_error *err)
{
	struct making m = { host, maker };
	struct mt_sink sink = { making_write, making_resize, &m };
	uint64_t required = 0, full = 0;
	uint32_t prealloc;
	struct vdi_options o = options_of(want, &prealloc);
	int rc;

	if (o.type == VDI_DIFF && prealloc != MT_BLOCK_PREALLOC_OFF)
		return mt_error_set(err, MT_EINVAL, "preallocation", "a differencing image is not preallocated");
	uuid_make(&m, o.uuid);
	uuid_make(&m, o.modify_uuid);
	rc = o.type == VDI_DIFF ? parent_find(&m, &o, err) : 0;
	if (rc == 0)
		rc = vdi_create(&o, &sink, err);
	if (rc < 0 || o.type != VDI_STATIC)
		return rc;
	if (prealloc == MT_BLOCK_PREALLOC_OFF)
		prealloc = MT_BLOCK_PREALLOC_METADATA;         /* a block device has anything there */
	rc = vdi_measure(&o, &required, &full);
	if (rc == 0)
		rc = host->allocate(maker, 0, vdi_data_begin(&o), full - vdi_data_begin(&o), prealloc);
	return rc < 0 ? mt_error_set(err, rc, "preallocation", "the space cannot be had") : 0;
}

static int32_t create_measure(const struct mt_block_create_want *want, uint64_t data_bytes, uint64_t *required,
			      uint64_t *full, struct mt_error *err)
{
	uint32_t prealloc;
	struct vdi_options o = options_of(want, &prealloc);
	int rc = vdi_measure(&o, required, full);

	if (rc < 0)
		return mt_error_set(err, rc, "size", "no VDI image can have this size");
	*required = o.type == VDI_STATIC ? *full : mt_min_u64(*required + data_bytes, *full);
	return 0;
}

const struct mt_block_create create_role = {
	.options = create_options,
	.create = create_create,
	.measure = create_measure,
};

static uint32_t probe_probe(const void *head, uint32_t head_bytes, const void *tail, uint32_t tail_bytes,
			    uint64_t file_bytes)
{
	(void)tail, (void)tail_bytes, (void)file_bytes;
	return vdi_probe(head, head_bytes);
}

const struct mt_block_probe probe_role = { .probe = probe_probe };
