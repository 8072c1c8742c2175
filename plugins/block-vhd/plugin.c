/* SPDX-License-Identifier: MIT */
/*
 * block-vhd: Virtual Hard Disk images, for reading. This file attaches the core to the kernel.
 * Bitmaps of blocks come through the kernel's cache, in pages of a sector.
 */
#define MT_NOTE_NAME     "block-vhd"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "Virtual Hard Disk image (VHD), read only"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.block-node/1 mortise.block-cache/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define VHD_PROPS(P, c) \
	MT_BLOCK_FILE_PROPS(P, c) \
	MT_BLOCK_BACKING_PROPS(P, c)
#define MT_NOTE_CLASSES(C) \
	C(vhd, "block-vhd", MT_KIND_BLOCK, 0, MT_NOTE_SUMMARY, \
	  "mortise.block-format/1 mortise.block-image/1 mortise.block-probe/1 format/vpc format/vhd", VHD_PROPS)

#include <mortise/draft/block-cache.h>
#include <mortise/draft/block-create.h>
#include <mortise/draft/block-format.h>
#include <mortise/draft/block-image.h>
#include <mortise/draft/device.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <mortise/note-emit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/disk-state.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/minmax.h>

#include "vhd.h"

#define CACHE_BYTES (1u << 20)

struct node {
	struct mt_inst *inst;
	const struct mt_block_node *host;
	const struct mt_block_cache_host *cache;
	struct mt_block_child_info child;
	struct mt_block_cache *bitmaps;
	struct vhd vhd;
};

static int node_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	n->inst = inst;
	n->host = host->get_interface(host, MT_IFACE_BLOCK_NODE);
	n->cache = host->get_interface(host, MT_IFACE_BLOCK_CACHE);
	*self = n;
	return 0;
}

static int32_t source_read(void *arg, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct node *n = arg;

	return n->host->child_read(n->inst, 0, offset, buf, len_bytes);
}

static int open_backing(struct node *n, struct mt_error *err)
{
	struct mt_block_child_info info = { .size = sizeof(info) };
	int diff = n->vhd.type == VHD_DIFF;
	int rc = n->host->backing_open(n->inst, diff && n->vhd.parent_name[0] ? n->vhd.parent_name : NULL, "vpc", &info,
				       err);

	if (rc == MT_ENOENT && diff) {
		mt_error_set(err, MT_ENOENT, "backing", "this is a differencing image, and its parent is not named");
		mt_error_hint(err, "name the parent's section with backing =");
		return MT_ENOENT;
	}
	if (rc == 0 && !diff)
		return mt_error_set(err, MT_EINVAL, "backing", "this VHD image has no parent");
	return rc == MT_ENOENT ? 0 : rc;
}

static int node_realize(void *self, struct mt_error *err)
{
	struct node *n = self;
	struct mt_source source = { source_read, n, 0 };
	int rc;

	n->child.size = sizeof(n->child);
	rc = n->host->child_open(n->inst, "file", &n->child, err);
	if (rc < 0)
		return rc;
	source.len_bytes = n->child.child_bytes;
	rc = vhd_load(&n->vhd, &source, err);
	if (rc == 0)
		rc = open_backing(n, err);
	if (rc < 0 || n->vhd.type == VHD_FIXED)
		return rc;
	n->bitmaps = n->cache->create(n->inst, 0, VHD_PAGE, CACHE_BYTES, 0, err);
	return n->bitmaps ? 0 : err && err->code ? err->code : MT_ENOMEM;
}

static void node_destroy(void *self)
{
	struct node *n = self;

	vhd_fini(&n->vhd);
	free(n);
}

static void node_info(void *self, struct mt_block_info *out)
{
	const struct node *n = self;

	out->flags = (n->child.flags & MT_BLOCK_INFO_VOLATILE) | MT_BLOCK_INFO_READONLY;
	out->disk_bytes = n->vhd.disk_bytes;
	out->block_bytes = n->child.block_bytes;
	out->physical_bytes = n->child.physical_bytes;
	out->unit_bytes = n->vhd.block_bytes;
}

static int32_t page_get(void *arg, uint64_t offset, void **page, const uint8_t **data)
{
	struct node *n = arg;
	struct mt_block_page *got;
	int32_t rc = n->cache->get(n->bitmaps, offset, 0, &got);

	if (rc < 0)
		return rc;
	*page = got;
	*data = got->data;
	return 0;
}

static void page_put(void *arg, void *page)
{
	struct node *n = arg;

	n->cache->put(n->bitmaps, page);
}

static int32_t node_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
			struct mt_block_extent *extents, uint32_t max)
{
	struct node *n = self;
	struct vhd_pages pages = { page_get, page_put, n };

	(void)purpose;
	return vhd_map(&n->vhd, &pages, offset, len_bytes, extents, max);
}

static void image_describe(void *self, void (*fact)(void *arg, const char *name, uint32_t type, const char *value),
			   void *arg)
{
	static const char *const types[] = { "fixed", "dynamic", "differencing" };
	const struct vhd *v = &((struct node *)self)->vhd;
	char text[16];

	fact(arg, "type", MT_BLOCK_VALUE_STRING, types[v->type - VHD_FIXED]);
	fact(arg, "creator", MT_BLOCK_VALUE_STRING, v->creator);
	if (v->type == VHD_FIXED)
		return;
	snprintf(text, sizeof(text), "%u", v->block_bytes);
	fact(arg, MT_BLOCK_FACT_CLUSTER, MT_BLOCK_VALUE_SIZE, text);
	if (v->type != VHD_DIFF)
		return;
	fact(arg, MT_BLOCK_FACT_BACKING, MT_BLOCK_VALUE_STRING, v->parent_name);
	fact(arg, MT_BLOCK_FACT_BACKING_FMT, MT_BLOCK_VALUE_STRING, "vpc");
}

/* The copy at the start of a dynamic disk is certain; the footer of a fixed one could be a guest's file. */
static uint32_t probe_probe(const void *head, uint32_t head_bytes, const void *tail, uint32_t tail_bytes,
			    uint64_t file_bytes)
{
	(void)file_bytes;
	if (head_bytes >= 512 && vhd_is_footer(head))
		return 100;
	return tail_bytes == 512 && vhd_is_footer(tail) ? 60 : 0;
}

static const struct mt_block_image image_role = { .describe = image_describe };
static const struct mt_block_probe probe_role = { .probe = probe_probe };

MT_DISK_STATE(state_class, node_info)

static const struct mt_block_format node_format = {
	.info = node_info,
	.map = node_map,
};

static const struct mt_device_class node_device = {
	.create = node_create,
	.realize = node_realize,
	.destroy = node_destroy,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &node_device },
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_BLOCK_FORMAT, &node_format },
		       { MT_IFACE_BLOCK_IMAGE, &image_role },
		       { MT_IFACE_BLOCK_PROBE, &probe_role })
