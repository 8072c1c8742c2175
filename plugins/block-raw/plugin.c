/* SPDX-License-Identifier: MIT */
/*
 * block-raw: a disk whose bytes lie in a file or block device as they are, or in a window of it.
 * One extent covers the disk, so that the kernel asks once and then does the I/O by itself. A file whose length is
 * no multiple of the block is rounded up: what lies beyond its end reads as zero and comes to be by writing.
 */
#define MT_NOTE_NAME     "block-raw"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "raw disk image, or a window of one"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.block-node/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define RAW_PROPS(P, c) \
	MT_BLOCK_FILE_PROPS(P, c) \
	P(c, offset, "offset", MT_PROP_SIZE, "0", "", "bytes", 0, "where the disk begins in the file") \
	P(c, size, "size", MT_PROP_SIZE, "", "", "bytes", 0, "length of the disk; default: up to the end of the file")
#define MT_NOTE_CLASSES(C) \
	C(raw, "block-raw", MT_KIND_BLOCK, MT_CLASS_PARALLEL, \
	  MT_NOTE_SUMMARY, "mortise.block-format/1 mortise.block-image/1 mortise.block-create/1 format/raw", RAW_PROPS)

#include <mortise/draft/block-create.h>
#include <mortise/draft/block-format.h>
#include <mortise/draft/device.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <mortise/note-emit.h>
#include <stdlib.h>
#include <string.h>
#include <util/disk-state.h>
#include <util/entry.h>
#include <util/error.h>

#define SECTOR_BYTES 512u

/* Constant but for resize, which is exclusive; hence parallel without a lock. */
struct raw {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_block_node *node;
	uint64_t window_offset, window_bytes;
	struct mt_block_child_info child;
};

static int raw_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct raw *r = calloc(1, sizeof(*r));

	if (!r)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	r->inst = inst;
	r->props = host->get_interface(host, MT_IFACE_PROPS);
	r->node = host->get_interface(host, MT_IFACE_BLOCK_NODE);
	*self = r;
	return 0;
}

static int raw_window(struct raw *r, struct mt_error *err)
{
	uint64_t offset = r->props->get_u64(r->inst, "offset"), end = r->child.child_bytes, size;

	end = end > UINT64_MAX - SECTOR_BYTES ? end : (end + SECTOR_BYTES - 1) & ~(uint64_t)(SECTOR_BYTES - 1);
	if (offset % r->child.block_bytes)
		return mt_error_set(err, MT_EINVAL, "offset", "the offset is no multiple of %u", r->child.block_bytes);
	if (offset > end)
		return mt_error_set(err, MT_ERANGE, "offset", "the offset lies beyond the end of the file");
	size = r->props->present(r->inst, "size") ? r->props->get_u64(r->inst, "size") : end - offset;
	if (size % SECTOR_BYTES)
		return mt_error_set(err, MT_EINVAL, "size", "the size is no multiple of %u", SECTOR_BYTES);
	if (size > end - offset)
		return mt_error_set(err, MT_ERANGE, "size", "the window reaches beyond the end of the file");
	r->window_offset = offset;
	r->window_bytes = size;
	return 0;
}

static int raw_realize(void *self, struct mt_error *err)
{
	struct raw *r = self;
	int32_t child;

	r->child.size = sizeof(r->child);
	child = r->node->child_open(r->inst, "file", &r->child, err);
	return child < 0 ? child : raw_window(r, err);
}

static void raw_destroy(void *self)
{
	free(self);
}

static void raw_info(void *self, struct mt_block_info *out)
{
	const struct raw *r = self;

	out->flags = r->child.flags;
	out->disk_bytes = r->window_bytes;
	out->block_bytes = r->child.block_bytes;
	out->physical_bytes = r->child.physical_bytes;
	if (!(r->child.flags & MT_BLOCK_INFO_READONLY) && r->props->get_u64(r->inst, "discard"))
		out->discard_bytes = r->child.physical_bytes;
}

static int32_t raw_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		       struct mt_block_extent *extents, uint32_t max)
{
	const struct raw *r = self;

	(void)len_bytes, (void)purpose, (void)max;
	if (offset >= r->window_bytes)
		return MT_ERANGE;
	extents[0] = (struct mt_block_extent){
		.len_bytes = r->window_bytes - offset,
		.child_offset = r->window_offset + offset,
		.kind = MT_BLOCK_EXT_DATA,
		.flags = MT_BLOCK_EXT_WRITABLE | MT_BLOCK_EXT_ALLOCATED,
	};
	return 1;
}

static const struct mt_block_format raw_format = {
	.info = raw_info,
	.map = raw_map,
};

/* The image as a whole */

/* Bytes that are added read as zero; the host has the space for them now or when they are written. */
static int raw_grow(struct raw *r, uint64_t from, uint64_t to, uint32_t prealloc, struct mt_error *err)
{
	uint64_t before = r->node->child_bytes(r->inst, 0);
	int32_t rc = r->node->child_resize(r->inst, 0, to);

	if (rc == 0 && prealloc != MT_BLOCK_PREALLOC_OFF && to > from) {
		rc = r->node->child_allocate(r->inst, 0, from, to - from, prealloc);
		if (rc < 0)
			(void)r->node->child_resize(r->inst, 0, before);
	}
	return rc < 0 ? mt_error_set(err, rc, "file", "the file cannot be made that long") : 0;
}

static int raw_resize(void *self, uint64_t disk_bytes, uint32_t flags, uint32_t prealloc, struct mt_error *err)
{
	struct raw *r = self;
	int rc;

	if (r->window_offset || r->props->present(r->inst, "size"))
		return mt_error_set(err, MT_ENOTSUP, "size", "a window of a file has the size that its section gives");
	if (disk_bytes % SECTOR_BYTES)
		return mt_error_set(err, MT_EINVAL, "size", "the size is no multiple of %u", SECTOR_BYTES);
	if (disk_bytes < r->window_bytes && !(flags & MT_BLOCK_RESIZE_SHRINK))
		return mt_error_set(err, MT_EINVAL, "size", "data beyond the new end would be lost");
	if (prealloc == MT_BLOCK_PREALLOC_METADATA)
		return mt_error_set(err, MT_ENOTSUP, "preallocation", "a raw image has no metadata");
	rc = raw_grow(r, r->window_bytes, disk_bytes, prealloc, err);
	if (rc < 0)
		return rc;
	r->window_bytes = disk_bytes;
	r->child.child_bytes = disk_bytes;
	return 0;
}

static const struct mt_block_image raw_image = {
	.resize = raw_resize,
};

/* Making one */

static const struct mt_block_option *raw_options(void)
{
	static const struct mt_block_option options[] = {
		{ "preallocation", MT_BLOCK_VALUE_STRING, MT_BLOCK_OPTION_CREATE, "off", "off|falloc|full",
		  "take the space now: as the file system does it, or by writing zeros" },
		{ 0 },
	};

	return options;
}

static int raw_make(const struct mt_block_maker_host *host, struct mt_block_maker *maker,
		    const struct mt_block_create_want *want, struct mt_error *err)
{
	uint32_t prealloc = MT_BLOCK_PREALLOC_OFF;
	int32_t rc;

	if (want->backing)
		return mt_error_set(err, MT_ENOTSUP, "backing", "a raw image has no backing file");
	for (uint32_t i = 0; i < want->value_count; i++) {
		if (strcmp(want->values[i].value, "off") != 0)
			prealloc = strcmp(want->values[i].value, "full") == 0 ? MT_BLOCK_PREALLOC_FULL :
				   MT_BLOCK_PREALLOC_FALLOC;
	}
	rc = host->resize(maker, 0, want->disk_bytes);
	if (rc == 0 && prealloc != MT_BLOCK_PREALLOC_OFF && want->disk_bytes)
		rc = host->allocate(maker, 0, 0, want->disk_bytes, prealloc);
	return rc < 0 ? mt_error_set(err, rc, "size", "the file cannot be made that long") : 0;
}

static int raw_measure(const struct mt_block_create_want *want, uint64_t data_bytes, uint64_t *required,
		       uint64_t *full, struct mt_error *err)
{
	(void)data_bytes, (void)err;
	*required = *full = want->disk_bytes;
	return 0;
}

static const struct mt_block_create raw_create_role = {
	.options = raw_options, .create = raw_make, .measure = raw_measure,
};

static const struct mt_device_class raw_device = {
	.create = raw_create,
	.realize = raw_realize,
	.destroy = raw_destroy,
};

MT_DISK_STATE(state_class, raw_info)

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &raw_device },
		       { MT_IFACE_BLOCK_FORMAT, &raw_format },
		       { MT_IFACE_BLOCK_IMAGE, &raw_image },
		       { MT_IFACE_BLOCK_CREATE, &raw_create_role },
		       { MT_IFACE_STATE, &state_class })
