/* SPDX-License-Identifier: MIT */
/* What is done to an image as a whole: describe, check, create, probe. [main]. */
#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#include "create.h"

/* As qemu-img tells of extents: one that is the image itself has no word. */
static void describe_extent(const struct node *n, uint32_t i,
			    void (*fact)(void *arg, const char *name, uint32_t type, const char *value), void *arg)
{
	const struct vmdk_extent *x = &n->vmdk.extents[i];
	const struct vmdk_line *line = x->child || x->kind == VMDK_ZERO ? &n->text.lines[i] : NULL;
	char name[48], text[24];

	snprintf(name, sizeof(name), "extents/%u/virtual-size", i);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)x->len_bytes);
	fact(arg, name, MT_BLOCK_VALUE_SIZE, text);
	if (x->kind != VMDK_ZERO) {
		snprintf(name, sizeof(name), "extents/%u/filename", i);
		fact(arg, name, MT_BLOCK_VALUE_STRING, line ? line->name : "");
	}
	if (x->sparse.grain_bytes) {
		snprintf(name, sizeof(name), "extents/%u/cluster-size", i);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)x->sparse.grain_bytes);
		fact(arg, name, MT_BLOCK_VALUE_SIZE, text);
	}
	if (x->sparse.compressed) {
		snprintf(name, sizeof(name), "extents/%u/compressed", i);
		fact(arg, name, MT_BLOCK_VALUE_BOOL, "true");
	}
	snprintf(name, sizeof(name), "extents/%u/format", i);
	fact(arg, name, MT_BLOCK_VALUE_STRING, line ? line->word : "");
}

static void image_describe(void *self, void (*fact)(void *arg, const char *name, uint32_t type, const char *value),
			   void *arg)
{
	const struct node *n = self;
	const struct vmdk_sparse *first = &n->vmdk.extents[0].sparse;
	char text[24];

	if (n->unit_bytes) {
		snprintf(text, sizeof(text), "%u", n->unit_bytes);
		fact(arg, MT_BLOCK_FACT_CLUSTER, MT_BLOCK_VALUE_SIZE, text);
	}
	if (first->compressed)
		fact(arg, MT_BLOCK_FACT_COMPRESSED, MT_BLOCK_VALUE_BOOL, "true");
	if (!n->text.line_count)
		return;
	fact(arg, "create-type", MT_BLOCK_VALUE_STRING, n->text.create_type);
	snprintf(text, sizeof(text), "%u", n->text.cid);
	fact(arg, "cid", MT_BLOCK_VALUE_INT, text);
	snprintf(text, sizeof(text), "%u", n->text.parent_cid);
	fact(arg, "parent-cid", MT_BLOCK_VALUE_INT, text);
	for (uint32_t i = 0; i < n->vmdk.count; i++)
		describe_extent(n, i, fact, arg);
	if (!n->vmdk.parent || !n->text.parent_name)
		return;
	fact(arg, MT_BLOCK_FACT_BACKING, MT_BLOCK_VALUE_STRING, n->text.parent_name);
	fact(arg, MT_BLOCK_FACT_BACKING_FMT, MT_BLOCK_VALUE_STRING, "vmdk");
}

static int32_t image_check(void *self, uint32_t repair, struct mt_block_check *out,
			   void (*finding)(void *arg, const char *line), void *arg, struct mt_error *err)
{
	struct node *n = self;
	struct vmdk_pages pages = node_pages(n);
	struct vmdk_report r = { 0 };
	char line[128];
	int rc = 0;

	(void)repair;                          /* what can be wrong cannot be mended: what the entry was is not known */
	n->wait = 1;
	for (uint32_t i = 0; rc == 0 && i < n->vmdk.count; i++) {
		const struct vmdk_extent *x = &n->vmdk.extents[i];

		rc = vmdk_check(x, &pages, n->host->child_bytes(n->inst, x->child), &r);
	}
	n->wait = 0;
	if (rc < 0)
		return mt_error_set(err, rc, "file", "the grain tables cannot be read");
	out->units_total = r.total;
	out->units_allocated = r.allocated;
	out->units_encoded = r.encoded;
	out->corruptions = r.outside + r.doubled + r.differing;
	out->errors = r.unread;
	snprintf(line, sizeof(line), "%llu grains lie outside of the file, %llu share their place with another, "
		 "%llu differ from the table's copy", (unsigned long long)r.outside, (unsigned long long)r.doubled,
		 (unsigned long long)r.differing);
	if (out->corruptions)
		finding(arg, line);
	return 0;
}

static int32_t image_amend(void *self, const struct mt_block_value *values, uint32_t count, struct mt_error *err)
{
	int32_t rc = 0;

	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		uint32_t cid;

		if (strcmp(values[i].name, "parent_cid") == 0)
			rc = descriptor_cid(values[i].value, &cid) ? cid_set_parent(self, cid, err) :
			     mt_error_set(err, MT_EINVAL, "parent_cid", "wanted are up to 8 hexadecimal digits");
	}
	return rc;
}

static int32_t empty_all(struct node *n)
{
	struct vmdk_pages pages = node_pages(n);
	struct mt_block_space space;
	uint64_t begin, len;
	int32_t rc = 0;

	for (uint64_t at = 0; rc >= 0 && at < n->vmdk.disk_bytes; at = begin + len) {
		len = vmdk_grain_at(&n->vmdk, at, &begin);
		rc = len ? vmdk_forget(&n->vmdk, &pages, begin, &space) : MT_ENOTSUP;
		if (rc == 1 && space.len_bytes)
			(void)n->host->retire(n->inst, &space);        /* without memory the grain leaks */
	}
	return rc < 0 ? rc : 0;
}

/* The parent has what this one had, and its CID is another since it was written. */
static int32_t image_make_empty(void *self, struct mt_error *err)
{
	struct node *n = self;
	int32_t rc = 0;

	if (n->readonly || node_stream(n))
		return mt_error_set(err, MT_EPERM, NULL, "the image can only be read");
	for (uint32_t i = 0; i < n->vmdk.count; i++) {
		if (n->vmdk.extents[i].kind != VMDK_SPARSE)
			return mt_error_set(err, MT_ENOTSUP, "file", "only sparse extents can be emptied");
	}
	n->wait = 1;
	rc = empty_all(n);
	n->wait = 0;
	return rc < 0 ? mt_error_set(err, rc, "file", "the grain tables cannot be changed") : cid_follow_parent(n, err);
}

const struct mt_block_image image_role = {
	.describe = image_describe,
	.check = image_check,
	.amend = image_amend,
	.make_empty = image_make_empty,
};

/* Making images */

static const struct mt_block_option options[] = {
	{ "subformat", MT_BLOCK_VALUE_STRING, MT_BLOCK_OPTION_CREATE, "monolithicSparse",
	  "monolithicSparse|monolithicFlat|twoGbMaxExtentSparse|twoGbMaxExtentFlat|streamOptimized",
	  "how the disk is kept in files" },
	{ "adapter_type", MT_BLOCK_VALUE_STRING, MT_BLOCK_OPTION_CREATE, "ide", "ide|lsilogic|buslogic|legacyESX",
	  "the controller that VMware attaches the disk to" },
	{ "hwversion", MT_BLOCK_VALUE_INT, MT_BLOCK_OPTION_CREATE, "4", "3..99", "VMware's virtual hardware version" },
	{ "compat6", MT_BLOCK_VALUE_BOOL, MT_BLOCK_OPTION_CREATE, "off", NULL, "virtual hardware version 6" },
	{ "zeroed_grain", MT_BLOCK_VALUE_BOOL, MT_BLOCK_OPTION_CREATE, "off", NULL,
	  "note grains of zeros in the table (sparse forms)" },
	{ "parent_cid", MT_BLOCK_VALUE_STRING, MT_BLOCK_OPTION_AMEND, NULL, NULL,
	  "what CID the disk below has to have (hexadecimal)" },
	{ NULL, 0, 0, NULL, NULL, NULL },
};

static const struct mt_block_option *create_options(void)
{
	return options;
}

static void option_take(struct vmdk_options *o, const struct mt_block_value *value)
{
	int on = strcmp(value->value, "true") == 0;

	if (strcmp(value->name, "adapter_type") == 0) {
		o->adapter = value->value;
	} else if (strcmp(value->name, "hwversion") == 0) {
		o->hardware = value->value;
	} else if (strcmp(value->name, "compat6") == 0 && on) {
		o->hardware = "6";
	} else if (strcmp(value->name, "zeroed_grain") == 0) {
		o->zero_grains = on;
	} else if (strcmp(value->name, "subformat") == 0) {
		for (uint32_t i = 0; i < VMDK_FORMS; i++) {
			if (strcmp(value->value, vmdk_form_names[i]) == 0)
				o->form = (enum vmdk_form)i;
		}
	}
}

static struct vmdk_options options_of(const struct mt_block_create_want *want)
{
	struct vmdk_options o = {
		.disk_bytes = (want->disk_bytes + 511) & ~511ull, .parent_cid = VMDK_NO_PARENT,
		.parent_name = want->backing, .adapter = "ide", .hardware = "4",
	};

	for (uint32_t i = 0; i < want->value_count; i++)
		option_take(&o, &want->values[i]);
	o.device = (want->flags & MT_BLOCK_CREATE_DEVICE) != 0;
	return o;
}

struct making {
	const struct mt_block_maker_host *host;
	struct mt_block_maker *maker;
	uint32_t file;
};

static int32_t making_write(void *arg, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct making *m = arg;

	return m->host->write(m->maker, m->file, offset, buf, len_bytes);
}

static int32_t making_resize(void *arg, uint64_t len_bytes)
{
	struct making *m = arg;

	return m->host->resize(m->maker, m->file, len_bytes);
}

/* The text of the parent, at the start of its file or where the header says. NULL: it is none of ours. */
static char *parent_text(struct making *m, int64_t *len)
{
	uint8_t head[512] = { 0 };
	uint64_t at = 0;
	char *text;

	if (m->host->backing_read(m->maker, 0, head, sizeof(head)) < 0)
		return NULL;
	if (mt_get_le32(head) == VMDK_MAGIC)
		at = mt_get_le64(head + 28) * VMDK_SECTOR;
	text = malloc(VMDK_TEXT_ROOM + 1);
	*len = text ? m->host->backing_read(m->maker, at, text, VMDK_TEXT_ROOM) : -1;
	if (*len < 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int parent_find(struct making *m, struct vmdk_options *o, struct mt_error *err)
{
	struct vmdk_descriptor d = { 0 };
	int64_t len;
	char *text = parent_text(m, &len);
	int rc = text ? descriptor_parse(&d, text, (uint32_t)len, NULL) : MT_EINVAL;

	o->parent_cid = d.cid;
	descriptor_fini(&d);
	free(text);
	return rc < 0 ? mt_error_set(err, rc, "backing", "the parent of a VMDK disk has to be one too") : 0;
}

/* Extents of their own files. */
static int make_extents(struct making *m, const struct vmdk_options *o, struct mt_error *err)
{
	struct mt_sink sink = { making_write, making_resize, m };
	char name[VMDK_NAME_MAX];
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < create_extents(o); i++) {
		uint64_t bytes = create_extent_bytes(o, i);
		int32_t file;

		if (create_extent_name(o, i, name, sizeof(name)) < 0)
			return mt_error_set(err, MT_EINVAL, "file", "a VMDK disk cannot have this file name");
		file = m->host->file_add(m->maker, name, err);
		if (file < 0)
			return file;
		m->file = (uint32_t)file;
		rc = o->form == VMDK_SPLIT_SPARSE ? create_sparse(bytes, o->zero_grains, NULL, 0, &sink) :
		     making_resize(m, bytes);
	}
	m->file = 0;
	return rc < 0 ? mt_error_set(err, rc, "file", "cannot write the extents") : 0;
}

static int check_form(const struct vmdk_options *o, struct mt_error *err)
{
	int flat = o->form == VMDK_MONOLITHIC_FLAT || o->form == VMDK_SPLIT_FLAT, stream = o->form == VMDK_STREAM;

	if (!o->disk_bytes)
		return mt_error_set(err, MT_EINVAL, "size", "a VMDK disk cannot be empty");
	if ((flat || stream) && (o->parent_name || o->zero_grains))
		return mt_error_set(err, MT_EINVAL, o->parent_name ? "backing" : "zeroed_grain",
				    "a %s VMDK disk has all of its data itself", flat ? "flat" : "streamOptimized");
	if (!flat && create_extent_bytes(o, 0) > VMDK_SPARSE_MAX)
		return mt_error_set(err, MT_ERANGE, "size", "a sparse VMDK disk has at most %llu TiB",
				    VMDK_SPARSE_MAX >> 40);
	if (o->device)
		return mt_error_set(err, MT_ENOTSUP, "file", "a VMDK disk cannot be made on a block device: what it gets is "
				    "put at the end of its file");
	if (create_extents(o) > VMDK_EXTENTS_MAX)
		return mt_error_set(err, MT_ERANGE, "size", "the disk would have more than %u extents", VMDK_EXTENTS_MAX);
	return 0;
}

static int32_t create_create(const struct mt_block_maker_host *host, struct mt_block_maker *maker,
			     const struct mt_block_create_want *want, struct mt_error *err)
{
	struct making m = { host, maker, 0 };
	struct mt_sink sink = { making_write, making_resize, &m };
	struct vmdk_options o = options_of(want);
	uint32_t room = create_is_one_file(&o) ? VMDK_TEXT_ROOM : VMDK_TEXT_MAX;
	char *text;
	int64_t len;
	int rc = check_form(&o, err);

	if (rc == 0 && o.parent_name)
		rc = parent_find(&m, &o, err);
	if (rc < 0)
		return rc;
	host->random(maker, &o.cid, sizeof(o.cid));
	o.cid &= 0x7fffffff;                   /* never what says that there is no parent */
	o.name = host->name(maker, 0);
	text = malloc(room);
	len = text ? create_text(&o, text, room) : MT_ENOMEM;
	if (len < 0)
		rc = mt_error_set(err, (int)len, "file", "the VMDK descriptor cannot be made: a name is too long or illegal");
	else if (!create_is_one_file(&o))
		rc = make_extents(&m, &o, err);
	if (rc == 0) {
		rc = o.form == VMDK_STREAM ? create_stream(o.disk_bytes, text, (uint32_t)len, &sink) :
		     o.form == VMDK_MONOLITHIC_SPARSE ?
		     create_sparse(o.disk_bytes, o.zero_grains, text, (uint32_t)len, &sink) :
		     making_write(&m, 0, text, (uint64_t)len);
		if (rc < 0)
			mt_error_set(err, rc, "file", "cannot write the fresh image");
	}
	free(text);
	return rc;
}

static int32_t create_measure(const struct mt_block_create_want *want, uint64_t data_bytes, uint64_t *required,
			      uint64_t *full, struct mt_error *err)
{
	struct vmdk_options o = options_of(want);
	int rc = check_form(&o, err);

	*required = *full = 0;
	if (rc == 0 && o.form == VMDK_STREAM) {
		uint64_t all = (o.disk_bytes + VMDK_GRAIN_DEFAULT - 1) / VMDK_GRAIN_DEFAULT;

		*full = create_stream_bytes(o.disk_bytes, all);
		*required = create_stream_bytes(o.disk_bytes, mt_min_u64(all, data_bytes / VMDK_GRAIN_DEFAULT + 1));
		return 0;
	}
	for (uint32_t i = 0; rc == 0 && i < create_extents(&o); i++) {
		uint64_t bytes = create_extent_bytes(&o, i), grains = (bytes + VMDK_GRAIN_DEFAULT - 1) / VMDK_GRAIN_DEFAULT;

		if (o.form == VMDK_MONOLITHIC_FLAT || o.form == VMDK_SPLIT_FLAT) {
			*required += bytes;
			*full += bytes;
		} else {
			*required += create_overhead(bytes, o.form == VMDK_MONOLITHIC_SPARSE);
			*full += create_overhead(bytes, o.form == VMDK_MONOLITHIC_SPARSE) + grains * VMDK_GRAIN_DEFAULT;
		}
	}
	*required = mt_min_u64(*required + data_bytes, *full);
	return rc;
}

const struct mt_block_create create_role = {
	.options = create_options,
	.create = create_create,
	.measure = create_measure,
};

static uint32_t probe_probe(const void *head, uint32_t head_bytes, const void *tail, uint32_t tail_bytes,
			    uint64_t file_bytes)
{
	uint32_t magic = head_bytes >= 4 ? mt_get_le32(head) : 0;

	(void)tail, (void)tail_bytes, (void)file_bytes;
	if (magic == VMDK_MAGIC)
		return 100;
	return magic == COWD_MAGIC ? 70 : descriptor_looks_so(head, head_bytes) ? 90 : 0;
}

const struct mt_block_probe probe_role = { .probe = probe_probe };
