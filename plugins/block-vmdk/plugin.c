/* SPDX-License-Identifier: MIT */
/*
 * block-vmdk: VMware virtual disks. This file opens the descriptor and its extents and attaches the core to the
 * kernel: mapping and writing; image.c has what is done to an image as a whole.
 * Grain tables come through the kernel's cache in pages of one sector, the unit by which everything in a VMDK file is
 * placed: a page never shares its bytes with data.
 */
#define MT_NOTE_NAME     "block-vmdk"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "VMware virtual disk (VMDK)"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.block-node/1 mortise.block-cache/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define VMDK_PROPS(P, c) \
	MT_BLOCK_FILE_PROPS(P, c) \
	MT_BLOCK_BACKING_PROPS(P, c)
#define MT_NOTE_CLASSES(C) \
	C(vmdk, "block-vmdk", MT_KIND_BLOCK, 0, MT_NOTE_SUMMARY, \
	  "mortise.block-format/1 mortise.block-image/1 mortise.block-create/1 mortise.block-probe/1 format/vmdk", \
	  VMDK_PROPS)

#include "node.h"

#include <mortise/draft/block-format.h>
#include <mortise/draft/device.h>
#include <mortise/draft/state.h>
#include <mortise/note-emit.h>
#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/disk-state.h>
#include <util/endian.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/minmax.h>

#define CACHE_BYTES     (4u << 20)       /* of tables, over all extents: 32 GiB of disk with the usual grains */
#define UNMAP_MAX       256u             /* grains that one call of unmap deals with */

/* Life */

static int node_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	n->inst = inst;
	n->props = host->get_interface(host, MT_IFACE_PROPS);
	n->host = host->get_interface(host, MT_IFACE_BLOCK_NODE);
	n->cache = host->get_interface(host, MT_IFACE_BLOCK_CACHE);
	n->vmdk.directory_left = 2 * VMDK_GD_MAX;
	n->codec = grain_codec_new();
	if (!n->codec) {
		free(n);
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	}
	*self = n;
	return 0;
}

static int32_t source_read(void *arg, uint64_t offset, void *buf, uint64_t len_bytes)
{
	const struct child *child = arg;

	return child->node->host->child_read(child->node->inst, child->number, offset, buf, len_bytes);
}

struct mt_source node_source(struct child *child)
{
	struct node *n = child->node;

	return (struct mt_source){ source_read, child, n->host->child_bytes(n->inst, child->number) };
}

/* An extent of `len_bytes` that child `number` has; file_offset is of flat ones. */
static int add_extent(struct node *n, enum vmdk_kind kind, uint32_t number, uint64_t len_bytes, uint64_t file_offset,
		      struct mt_error *err)
{
	struct child *child = &n->children[number];
	struct mt_source source = node_source(child);
	struct vmdk_extent *x;
	int rc = vmdk_add(&n->vmdk, kind, len_bytes, &x);

	if (rc < 0)
		return mt_error_set(err, rc, "file", "the VMDK extents are too many, or too long");
	x->child = number;
	x->file_offset = file_offset;
	if (kind == VMDK_FLAT)
		return mt_range_inside(file_offset, len_bytes, source.len_bytes) ? 0 :
		       mt_error_set(err, MT_EINVAL, "file", "an extent's file is shorter than the descriptor says");
	rc = sparse_load(&x->sparse, &source, &n->vmdk.directory_left, err);
	if (rc == 0 && len_bytes > x->sparse.capacity_bytes)
		rc = mt_error_set(err, MT_EINVAL, "file", "a sparse extent is smaller than the descriptor says");
	return rc;
}

static int text_read(struct node *n, uint64_t offset, uint64_t len_bytes, struct mt_error *err)
{
	struct mt_source source = node_source(&n->children[0]);
	char *text = malloc(len_bytes + 1);
	int rc = text ? mt_source_read(&source, offset, text, len_bytes) : MT_ENOMEM;

	if (rc < 0)
		mt_error_set(err, rc, "file", "cannot read the VMDK descriptor");
	else
		rc = descriptor_parse(&n->text, text, (uint32_t)len_bytes, err);
	n->text_offset = offset;
	free(text);
	return rc;
}

/* One file that has all: header, descriptor, tables, grains. */
static int open_monolithic(struct node *n, struct mt_error *err)
{
	struct vmdk_extent *x;
	int rc = add_extent(n, VMDK_SPARSE, 0, 0, 0, err);

	if (rc < 0)
		return rc;
	x = &n->vmdk.extents[0];
	x->len_bytes = n->vmdk.disk_bytes = x->sparse.capacity_bytes;
	/* an extent of a split disk has no descriptor and can be looked at alone */
	return x->sparse.descriptor_bytes ?
	       text_read(n, x->sparse.descriptor_offset, x->sparse.descriptor_bytes, err) : 0;
}

static int open_line(struct node *n, const struct vmdk_line *line, struct mt_error *err)
{
	struct mt_block_child_info info = { .size = sizeof(info) };
	struct vmdk_extent *x;
	int32_t number;

	n->readonly |= line->readonly;
	if (line->kind == VMDK_ZERO)
		return vmdk_add(&n->vmdk, VMDK_ZERO, line->sectors * VMDK_SECTOR, &x) == 0 ? 0 :
		       mt_error_set(err, MT_ERANGE, "file", "the VMDK extents are too long");
	if (!n->host->child_open_name)
		return mt_error_set(err, MT_ENOTSUP, "file", "this host opens no files that an image names");
	number = n->host->child_open_name(n->inst, line->name, &info, err);
	if (number < 0)
		return number;
	if ((uint32_t)number >= n->child_count)
		return mt_error_set(err, MT_ERANGE, "file", "the VMDK extents are too many");
	n->readonly |= (info.flags & MT_BLOCK_INFO_READONLY) != 0;
	n->children[number].grows = (info.flags & MT_BLOCK_CHILD_GROWS) != 0;
	return add_extent(n, line->kind, (uint32_t)number, line->sectors * VMDK_SECTOR,
			  line->offset_sectors * VMDK_SECTOR, err);
}

static int children_make(struct node *n, uint32_t count)
{
	struct child *children = realloc(n->children, count * sizeof(*children));

	if (!children)
		return MT_ENOMEM;
	n->children = children;
	for (; n->child_count < count; n->child_count++)
		children[n->child_count] = (struct child){ .node = n, .number = n->child_count };
	return 0;
}

static int open_described(struct node *n, struct mt_error *err)
{
	uint64_t len_bytes = n->host->child_bytes(n->inst, 0);
	int rc;

	if (len_bytes > VMDK_TEXT_MAX)
		return mt_error_set(err, MT_EINVAL, "file", "this is no VMDK file: neither an extent nor a descriptor");
	rc = text_read(n, 0, len_bytes, err);
	if (rc == 0 && children_make(n, n->text.line_count + 1) < 0)
		rc = mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	for (uint32_t i = 0; rc == 0 && i < n->text.line_count; i++)
		rc = open_line(n, &n->text.lines[i], err);
	return rc;
}

static int open_disk(struct node *n, struct mt_error *err)
{
	struct mt_source source;
	uint8_t magic[4];
	int rc = children_make(n, 1);

	if (rc < 0)
		return mt_error_set(err, rc, NULL, "out of memory");
	n->children[0].grows = (n->info.flags & MT_BLOCK_CHILD_GROWS) != 0;
	source = node_source(&n->children[0]);
	if (mt_source_read(&source, 0, magic, sizeof(magic)) < 0)
		return mt_error_set(err, MT_EINVAL, "file", "cannot read the VMDK header");
	return mt_get_le32(magic) == VMDK_MAGIC || mt_get_le32(magic) == COWD_MAGIC ?
	       open_monolithic(n, err) : open_described(n, err);
}

static int open_backing(struct node *n, struct mt_error *err)
{
	struct mt_block_child_info info = { .size = sizeof(info) };
	const char *name = n->text.parent_name ? n->text.parent_name : "";
	int rc;

	n->vmdk.parent = n->text.parent_cid != VMDK_NO_PARENT;
	rc = n->host->backing_open(n->inst, n->vmdk.parent ? name : NULL, "vmdk", &info, err);
	if (rc == MT_ENOENT && n->vmdk.parent) {
		mt_error_set(err, MT_ENOENT, "backing", "this is a delta disk, and its parent is not named");
		mt_error_hint(err, "name the parent's section with backing =");
		return MT_ENOENT;
	}
	if (rc == 0 && !n->vmdk.parent)
		return mt_error_set(err, MT_EINVAL, "backing", "this VMDK disk has no parent");
	return rc == 0 ? cid_check_parent(n, err) : rc == MT_ENOENT ? 0 : rc;
}

struct vmdk_sparse *node_stream(const struct node *n)
{
	return n->vmdk.extents[0].sparse.stream ? &n->vmdk.extents[0].sparse : NULL;
}

/* Writes are serialised by unit_bytes from the disk's start, so grains have to lie so. */
static void find_unit(struct node *n)
{
	for (uint32_t i = 0; i < n->vmdk.count; i++) {
		const struct vmdk_extent *x = &n->vmdk.extents[i];

		if (x->kind != VMDK_SPARSE && x->kind != VMDK_COWD)
			continue;
		n->unit_bytes = mt_max_u32(n->unit_bytes, (uint32_t)x->sparse.grain_bytes);
		n->readonly |= !x->sparse.can_write && !x->sparse.stream;
	}
	for (uint32_t i = 0; n->unit_bytes && i < n->vmdk.count; i++)
		n->readonly |= n->vmdk.extents[i].disk_offset % n->unit_bytes != 0;
}

static int open_caches(struct node *n, struct mt_error *err)
{
	uint64_t limit = mt_max_u64(CACHE_BYTES / n->vmdk.count, CACHE_BYTES_MIN);

	for (uint32_t i = 0; i < n->vmdk.count; i++) {
		const struct vmdk_extent *x = &n->vmdk.extents[i];
		struct child *child = &n->children[x->child];

		if ((x->kind != VMDK_SPARSE && x->kind != VMDK_COWD) || child->cache)
			continue;
		child->cache = n->cache->create(n->inst, x->child, VMDK_PAGE, limit, 0, err);
		if (!child->cache)
			return err && err->code ? err->code : MT_ENOMEM;
	}
	return 0;
}

/* It is filled in a file that holds all of the disk and can grow; else it can only be read. */
static void find_stream(struct node *n)
{
	int usable = !n->readonly && n->child_count == 1 && n->children[0].grows;

	for (uint32_t i = 0; i < n->vmdk.count && !usable; i++)
		stream_fini(&n->vmdk.extents[i].sparse);
}

static int node_realize(void *self, struct mt_error *err)
{
	struct node *n = self;
	int rc;

	n->info.size = sizeof(n->info);
	rc = n->host->child_open(n->inst, "file", &n->info, err);
	if (rc < 0)
		return rc;
	n->readonly = (n->info.flags & MT_BLOCK_INFO_READONLY) != 0;
	rc = open_disk(n, err);
	if (rc == 0)
		rc = open_backing(n, err);
	if (rc < 0)
		return rc;
	find_stream(n);
	find_unit(n);
	rc = open_caches(n, err);
	if (rc == 0)
		rc = cid_open(n, err);
	if (rc < 0)
		cid_close(n);
	return rc;
}

static void node_unrealize(void *self)
{
	cid_close(self);
}

static void node_destroy(void *self)
{
	struct node *n = self;

	vmdk_fini(&n->vmdk);
	descriptor_fini(&n->text);
	grain_codec_free(n->codec);
	free(n->children);
	free(n);
}

/* Pages */

static int32_t page_get(void *arg, uint32_t child, uint64_t offset, void **page, uint8_t **data)
{
	struct node *n = arg;
	struct mt_block_page *got;
	int32_t rc = n->cache->get(n->children[child].cache, offset, n->wait ? MT_BLOCK_PAGE_WAIT : 0, &got);

	if (rc < 0)
		return rc;
	*page = got;
	*data = got->data;
	return 0;
}

static void page_put(void *arg, uint32_t child, void *page)
{
	struct node *n = arg;

	n->cache->put(n->children[child].cache, page);
}

static void page_dirty(void *arg, uint32_t child, void *page, uint32_t at)
{
	struct node *n = arg;

	n->cache->dirty(n->children[child].cache, page, at, 4, MT_BLOCK_DIRTY_AFTER_DATA);
}

struct vmdk_pages node_pages(struct node *n)
{
	return (struct vmdk_pages){ page_get, page_put, page_dirty, n };
}

/* Mapping */

static void node_info(void *self, struct mt_block_info *out)
{
	const struct node *n = self;

	out->flags = n->info.flags & (MT_BLOCK_INFO_READONLY | MT_BLOCK_INFO_VOLATILE);
	if (n->readonly)
		out->flags |= MT_BLOCK_INFO_READONLY;
	out->disk_bytes = n->vmdk.disk_bytes;
	out->block_bytes = n->info.block_bytes;
	out->physical_bytes = n->info.physical_bytes;
	out->unit_bytes = n->unit_bytes;
	if (node_stream(n))
		out->flags |= MT_BLOCK_INFO_STREAM;
	else if (!n->readonly)
		out->discard_bytes = n->unit_bytes;
}

static int32_t node_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
			struct mt_block_extent *extents, uint32_t max)
{
	struct node *n = self;
	struct vmdk_pages pages = node_pages(n);

	if (purpose == MT_BLOCK_MAP_WRITE)
		cid_stamp(n);
	return vmdk_map(&n->vmdk, &pages, offset, len_bytes, extents, max);
}

/* The end that the file has goes before something is put in its place: without one it is known to be cut off. */
static int32_t reserve_in_stream(struct node *n, const struct mt_block_want *want, struct mt_block_target *target)
{
	struct vmdk_sparse *s = node_stream(n);
	int32_t rc = stream_reserve(&n->vmdk, want, target), cut = 0;

	if (rc == 1 && s->stream->ended)
		cut = n->host->child_resize(n->inst, 0, target->child_offset);
	if (cut < 0) {
		vmdk_abort(&n->vmdk, NULL, target->cookie);
		return cut;
	}
	if (rc == 1)
		s->stream->ended = 0;
	return rc;
}

static int32_t node_reserve(void *self, const struct mt_block_want *want, struct mt_block_target *targets,
			    uint32_t max)
{
	struct node *n = self;
	struct vmdk_pages pages = node_pages(n);

	if (n->readonly)
		return MT_EPERM;
	if (node_stream(n))
		return reserve_in_stream(n, want, targets);
	if (want->encoded_bytes)
		return MT_ENOTSUP;
	return vmdk_reserve(&n->vmdk, &pages, want->offset, want->len_bytes, targets, max);
}

static int32_t node_commit(void *self, const uint64_t *cookies, uint32_t count)
{
	struct node *n = self;
	struct vmdk_pages pages = node_pages(n);
	int32_t rc = 0;

	for (uint32_t i = 0; i < count; i++)
		rc |= vmdk_commit(&n->vmdk, &pages, cookies[i]);
	return rc < 0 ? MT_EIO : 0;
}

static void node_abort(void *self, const uint64_t *cookies, uint32_t count)
{
	struct node *n = self;
	struct vmdk_pages pages = node_pages(n);

	for (uint32_t i = 0; i < count; i++)
		vmdk_abort(&n->vmdk, &pages, cookies[i]);
}

/* The grain at `offset`: how many bytes of the disk it has, or an error. */
static int64_t unmap_one(struct node *n, uint64_t offset, int free_data)
{
	struct vmdk_pages pages = node_pages(n);
	struct mt_block_space space;
	uint64_t begin, len = vmdk_grain_at(&n->vmdk, offset, &begin);
	int rc = len ? vmdk_unmap(&n->vmdk, &pages, offset, free_data, &space) : MT_ENOTSUP;

	if (rc == 1 && space.len_bytes)
		(void)n->host->retire(n->inst, &space);        /* without memory the grain leaks */
	return rc < 0 ? rc : (int64_t)(begin + len - offset);
}

static int64_t node_unmap(void *self, uint64_t offset, uint64_t len_bytes, uint32_t op, uint32_t flags)
{
	struct node *n = self;
	int free_data = op == MT_BLOCK_DISCARD || flags & MT_BLOCK_MAY_UNMAP;
	uint64_t done = 0;
	int64_t rc = 0;

	if (n->readonly)
		return MT_EPERM;
	if (flags & MT_BLOCK_ALLOCATE)
		return MT_ENOTSUP;
	cid_stamp(n);
	for (uint32_t i = 0; i < UNMAP_MAX && done < len_bytes; i++) {
		rc = unmap_one(n, offset + done, free_data);
		if (rc < 0)
			break;
		done += (uint64_t)rc;
	}
	return done ? (int64_t)mt_min_u64(done, len_bytes) : rc;
}

/* What is written of the last grain may be its first bytes only; other readers want all of it in the file. */
static int32_t make_whole(struct node *n, struct vmdk_extent *x)
{
	struct vmdk_sparse *s = &x->sparse;
	int32_t rc = 0;

	if (x->kind != VMDK_SPARSE || s->end_bytes <= s->whole_bytes || !n->children[x->child].grows)
		return 0;
	if (n->host->child_bytes(n->inst, x->child) < s->end_bytes)
		rc = n->host->child_resize(n->inst, x->child, s->end_bytes);
	if (rc == 0)
		s->whole_bytes = s->end_bytes;
	return rc;
}

static int32_t stream_write(void *arg, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct node *n = arg;

	return n->host->child_write(n->inst, 0, offset, buf, len_bytes);
}

static int32_t stream_resize(void *arg, uint64_t len_bytes)
{
	struct node *n = arg;

	return n->host->child_resize(n->inst, 0, len_bytes);
}

/* Its end is written behind grains that are durable. */
static int32_t flush_stream(struct node *n, struct vmdk_sparse *s)
{
	struct mt_sink sink = { stream_write, stream_resize, n };
	int32_t rc = 0;

	if (s->stream->ended && !s->stream->changed)
		return 0;
	rc = n->host->child_flush(n->inst, 0);
	return rc < 0 ? rc : stream_end(s, &sink);
}

static int32_t node_flush(void *self)
{
	struct node *n = self;
	struct vmdk_sparse *stream = node_stream(n);
	int32_t rc = 0;

	if (stream)
		return flush_stream(n, stream);
	for (uint32_t i = 0; i < n->vmdk.count && rc == 0; i++)
		rc = make_whole(n, &n->vmdk.extents[i]);
	return rc;
}

static int32_t node_retired(void *self, const struct mt_block_space *items, uint32_t count)
{
	struct node *n = self;

	for (uint32_t i = 0; i < count; i++) {
		n->host->child_discard(n->inst, items[i].child, items[i].offset, items[i].len_bytes);
		vmdk_release(&n->vmdk, &items[i]);
	}
	return (int32_t)count;
}

static int32_t node_decode(void *self, const struct mt_block_extent *extent, const void *in, void *out)
{
	(void)self;
	return grain_decode(extent, in, out);
}

static int64_t node_encode(void *self, uint64_t offset, const void *in, uint64_t in_bytes, void *out,
			   uint64_t out_bytes)
{
	struct node *n = self;

	return node_stream(n) ? grain_encode(n->codec, offset, in, in_bytes, out, out_bytes) : MT_ENOTSUP;
}

MT_DISK_STATE(state_class, node_info)

static const struct mt_block_format node_format = {
	.info = node_info,
	.map = node_map,
	.reserve = node_reserve,
	.commit = node_commit,
	.abort = node_abort,
	.unmap = node_unmap,
	.flush = node_flush,
	.retired = node_retired,
	.decode = node_decode,
	.encode = node_encode,
};

static const struct mt_device_class node_device = {
	.create = node_create,
	.realize = node_realize,
	.unrealize = node_unrealize,
	.destroy = node_destroy,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &node_device },
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_BLOCK_FORMAT, &node_format },
		       { MT_IFACE_BLOCK_IMAGE, &image_role },
		       { MT_IFACE_BLOCK_CREATE, &create_role },
		       { MT_IFACE_BLOCK_PROBE, &probe_role })
