/* SPDX-License-Identifier: MIT */
/*
 * block-qcow2: QEMU's copy-on-write disks. This file opens the image and attaches the core to the kernel: mapping and
 * writing; image.c has what is done to an image as a whole, make.c how one is made.
 */
#define MT_NOTE_NAME     "block-qcow2"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "QEMU copy-on-write disk (qcow2)"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.block-node/1 mortise.block-cache/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define QCOW2_PROPS(P, c) \
	MT_BLOCK_FILE_PROPS(P, c) \
	MT_BLOCK_BACKING_PROPS(P, c)
#define MT_NOTE_CLASSES(C) \
	C(qcow2, "block-qcow2", MT_KIND_BLOCK, 0, MT_NOTE_SUMMARY, \
	  "mortise.block-format/1 mortise.block-image/1 mortise.block-snapshots/1 mortise.block-bitmaps/1 " \
	  "mortise.block-create/1 mortise.block-probe/1 format/qcow2", \
	  QCOW2_PROPS)

#include "node.h"

#include <mortise/draft/device.h>
#include <mortise/draft/state.h>
#include <mortise/note-emit.h>
#include <stdlib.h>
#include <string.h>
#include <util/disk-state.h>
#include <util/entry.h>
#include <util/error.h>

/* Life */

static int node_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	n->inst = n->qcow2.inst = inst;
	n->props = host->get_interface(host, MT_IFACE_PROPS);
	n->qcow2.host = host->get_interface(host, MT_IFACE_BLOCK_NODE);
	n->qcow2.cache = host->get_interface(host, MT_IFACE_BLOCK_CACHE);
	*self = n;
	return 0;
}

static int open_backing(struct node *n, struct mt_error *err)
{
	struct mt_block_child_info info = { .size = sizeof(info) };
	struct qcow2 *q = &n->qcow2;
	int rc = q->host->backing_open(n->inst, q->h.backing, q->h.backing_format, &info, err);

	if (rc == MT_ENOENT && q->h.backing) {
		mt_error_set(err, MT_ENOENT, "backing", "the image has a backing file ('%.200s'), which is not named",
			     q->h.backing);
		mt_error_hint(err, "name its section with backing =, or its folder with allow =");
		return MT_ENOENT;
	}
	if (rc < 0)
		return rc == MT_ENOENT ? 0 : rc;
	q->has_backing = 1;
	q->backing_bytes = info.flags & MT_BLOCK_CHILD_CLOSED ? INT64_MAX : info.child_bytes;
	return 0;
}

static int node_realize(void *self, struct mt_error *err)
{
	struct node *n = self;
	struct qcow2 *q = &n->qcow2;
	int rc;

	n->info.size = sizeof(n->info);
	rc = q->host->child_open(n->inst, "file", &n->info, err);
	if (rc < 0)
		return rc;
	q->readonly = (n->info.flags & MT_BLOCK_INFO_READONLY) != 0;
	q->can_grow = (n->info.flags & MT_BLOCK_CHILD_GROWS) != 0;
	q->slow_end = (n->info.flags & MT_BLOCK_CHILD_SLOW_END) != 0;
	rc = qcow2_open(q, err);
	if (rc == 0)
		rc = open_backing(n, err);
	if (rc < 0)
		qcow2_close(q);
	return rc;
}

static void node_unrealize(void *self)
{
	qcow2_close(&((struct node *)self)->qcow2);
}

static void node_destroy(void *self)
{
	struct node *n = self;

	qcow2_fini(&n->qcow2);
	free(n);
}

/* Mapping */

static void node_info(void *self, struct mt_block_info *out)
{
	const struct node *n = self;

	out->flags = n->info.flags & (MT_BLOCK_INFO_READONLY | MT_BLOCK_INFO_VOLATILE);
	if (n->qcow2.corrupt)
		out->flags |= MT_BLOCK_INFO_READONLY;  /* until it is repaired */
	out->disk_bytes = n->qcow2.disk_bytes;
	out->block_bytes = n->info.block_bytes;
	out->physical_bytes = n->info.physical_bytes;
	out->unit_bytes = (uint32_t)n->qcow2.cluster_bytes;
	if (!(out->flags & MT_BLOCK_INFO_READONLY))
		out->discard_bytes = out->unit_bytes;
}

static int32_t node_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
			struct mt_block_extent *extents, uint32_t max)
{
	return qcow2_map(&((struct node *)self)->qcow2, offset, len_bytes, purpose, extents, max);
}

static int32_t node_reserve(void *self, const struct mt_block_want *want, struct mt_block_target *targets,
			    uint32_t max)
{
	struct qcow2 *q = &((struct node *)self)->qcow2;

	return q->readonly ? MT_EPERM : qcow2_reserve(q, want, targets, max);
}

static int32_t node_commit(void *self, const uint64_t *cookies, uint32_t count)
{
	int32_t rc = 0;

	for (uint32_t i = 0; i < count; i++) {
		int32_t one = qcow2_commit(&((struct node *)self)->qcow2, cookies[i]);

		rc = rc < 0 ? rc : one;
	}
	return rc;
}

static void node_abort(void *self, const uint64_t *cookies, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		qcow2_abort(&((struct node *)self)->qcow2, cookies[i]);
}

static int64_t node_unmap(void *self, uint64_t offset, uint64_t len_bytes, uint32_t op, uint32_t flags)
{
	struct qcow2 *q = &((struct node *)self)->qcow2;

	return q->readonly ? MT_EPERM : qcow2_unmap(q, offset, len_bytes, op, flags);
}

static int32_t node_flush(void *self)
{
	qcow2_flush(&((struct node *)self)->qcow2);
	return 0;
}

static int32_t node_retired(void *self, const struct mt_block_space *items, uint32_t count)
{
	return space_retired(&((struct node *)self)->qcow2, items, count);
}

static int32_t node_decode(void *self, const struct mt_block_extent *extent, const void *in, void *out)
{
	return codec_decode(((struct node *)self)->qcow2.codec, in, extent->encoded_bytes, out, extent->unit_bytes);
}

static int64_t node_encode(void *self, uint64_t offset, const void *in, uint64_t in_bytes, void *out,
			   uint64_t out_bytes)
{
	(void)offset;
	return codec_encode(((struct node *)self)->qcow2.codec, in, in_bytes, out, out_bytes);
}

static int32_t node_wake(void *self)
{
	return qcow2_wake(&((struct node *)self)->qcow2);
}

static int32_t node_rest(void *self)
{
	return qcow2_rest(&((struct node *)self)->qcow2);
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
	.wake = node_wake,
	.rest = node_rest,
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
		       { MT_IFACE_BLOCK_SNAPSHOTS, &snapshots_role },
		       { MT_IFACE_BLOCK_BITMAPS, &bitmaps_role },
		       { MT_IFACE_BLOCK_CREATE, &create_role },
		       { MT_IFACE_BLOCK_PROBE, &probe_role })
