/* SPDX-License-Identifier: MIT */
/*
 * block-vhdx: Virtual Hard Disk images of version 2, for reading. This file attaches the core to the kernel.
 * Bitmaps of differencing disks come through the kernel's cache.
 */
#define MT_NOTE_NAME     "block-vhdx"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "Virtual Hard Disk 2 image (VHDX), read only"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.block-node/1 mortise.block-cache/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define VHDX_PROPS(P, c) \
	MT_BLOCK_FILE_PROPS(P, c) \
	MT_BLOCK_BACKING_PROPS(P, c)
#define MT_NOTE_CLASSES(C) \
	C(vhdx, "block-vhdx", MT_KIND_BLOCK, 0, MT_NOTE_SUMMARY, \
	  "mortise.block-format/1 mortise.block-image/1 mortise.block-probe/1 format/vhdx", VHDX_PROPS)

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
#include <util/block-parent.h>
#include <util/block-reader.h>
#include <util/disk-state.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/minmax.h>
#include <util/uuid.h>

#include "vhdx.h"

struct node {
	struct mt_block_reader reader;
	struct vhdx vhdx;
};

static int node_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	return mt_block_reader_create(host, inst, sizeof(struct node), self, err);
}

/* Whoever writes data gives the image another DataWriteGuid; [MS-VHDX] 2.6.2.6.3 wants the parent's compared. */
static int open_parent(struct node *n, struct mt_error *err)
{
	const struct mt_block_parent parent = {
		.what = "VHDX", .differencing = n->vhdx.parent, .name = n->vhdx.parent_name, .format = "vhdx",
		.fact = "data-write-guid", .wanted = { n->vhdx.linkage[0], n->vhdx.linkage[1] },
	};

	return mt_block_parent_open(n->reader.host, n->reader.inst, &parent, err);
}

static int node_realize(void *self, struct mt_error *err)
{
	struct node *n = self;
	struct mt_source source;
	int rc = mt_block_reader_open(&n->reader, &source, err);

	if (rc == 0)
		rc = vhdx_load(&n->vhdx, &source, err);
	if (rc == 0)
		rc = open_parent(n, err);
	if (rc == 0 && n->vhdx.parent)
		rc = mt_block_reader_cache(&n->reader, VHDX_PAGE, err);
	return rc;
}

static void node_destroy(void *self)
{
	struct node *n = self;

	vhdx_fini(&n->vhdx);
	free(n);
}

static void node_info(void *self, struct mt_block_info *out)
{
	const struct node *n = self;

	mt_block_reader_info(&n->reader, out);
	out->disk_bytes = n->vhdx.disk_bytes;
	out->block_bytes = mt_max_u32(out->block_bytes, n->vhdx.sector_bytes);
	out->physical_bytes = mt_max_u32(out->physical_bytes, n->vhdx.physical_bytes);
	out->unit_bytes = n->vhdx.block_bytes;
}

static int32_t node_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
			struct mt_block_extent *extents, uint32_t max)
{
	struct node *n = self;
	struct mt_source_pages pages = mt_block_reader_pages(&n->reader);

	(void)purpose;
	return vhdx_map(&n->vhdx, &pages, offset, len_bytes, extents, max);
}

static void image_describe(void *self, void (*fact)(void *arg, const char *name, uint32_t type, const char *value),
			   void *arg)
{
	const struct vhdx *v = &((struct node *)self)->vhdx;
	char text[MT_UUID_TEXT];

	fact(arg, "type", MT_BLOCK_VALUE_STRING, v->parent ? "differencing" : v->fixed ? "fixed" : "dynamic");
	snprintf(text, sizeof(text), "%u", v->block_bytes);
	fact(arg, MT_BLOCK_FACT_CLUSTER, MT_BLOCK_VALUE_SIZE, text);
	snprintf(text, sizeof(text), "%u", v->sector_bytes);
	fact(arg, "logical-sector-size", MT_BLOCK_VALUE_SIZE, text);
	fact(arg, MT_BLOCK_FACT_DIRTY, MT_BLOCK_VALUE_BOOL, v->log_replayed ? "true" : "false");
	mt_uuid_text(v->data_write_guid, text);
	fact(arg, "data-write-guid", MT_BLOCK_VALUE_STRING, text);
	if (!v->parent)
		return;
	fact(arg, "parent-linkage", MT_BLOCK_VALUE_STRING, v->linkage[0]);
	if (!v->parent_name[0])
		return;
	fact(arg, MT_BLOCK_FACT_BACKING, MT_BLOCK_VALUE_STRING, v->parent_name);
	fact(arg, MT_BLOCK_FACT_BACKING_FMT, MT_BLOCK_VALUE_STRING, "vhdx");
}

static uint32_t probe_probe(const void *head, uint32_t head_bytes, const void *tail, uint32_t tail_bytes,
			    uint64_t file_bytes)
{
	(void)tail, (void)tail_bytes, (void)file_bytes;
	return vhdx_probe(head, head_bytes);
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
