/* SPDX-License-Identifier: MIT */
/*
 * block-vdi: VirtualBox disk images. This file attaches the core to the kernel: life, mapping and writing; image.c has
 * what is done to an image as a whole, parent.c the disk below.
 * The map is in memory whole, so nothing here waits. What is to be written goes through the kernel's cache in pages of
 * a sector that are filled from memory: the header with rank 0 and the map with rank 1, because the count of blocks
 * must not be behind the map.
 */
#define MT_NOTE_NAME     "block-vdi"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "VirtualBox disk image (VDI)"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.block-node/1 mortise.block-cache/1"
#define MT_NOTE_OPTIONAL "mortise.log/1"
#define MT_NOTE_CAPS     0
#define VDI_PROPS(P, c) \
	MT_BLOCK_FILE_PROPS(P, c) \
	MT_BLOCK_BACKING_PROPS(P, c)
#define MT_NOTE_CLASSES(C) \
	C(vdi, "block-vdi", MT_KIND_BLOCK, 0, MT_NOTE_SUMMARY, \
	  "mortise.block-format/1 mortise.block-image/1 mortise.block-create/1 mortise.block-probe/1 format/vdi", \
	  VDI_PROPS)

#include "node.h"

#include <mortise/draft/block-format.h>
#include <mortise/draft/device.h>
#include <mortise/draft/state.h>
#include <mortise/note-emit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <util/disk-state.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/minmax.h>

#define PAGE_BYTES  512u
#define CACHE_BYTES (1u << 20)
#define UNMAP_MAX   1024u                /* blocks that one call of unmap deals with */

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
	n->log = host->get_interface(host, MT_IFACE_LOG);
	*self = n;
	return 0;
}

static int32_t source_read(void *arg, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct node *n = arg;

	return n->host->child_read(n->inst, 0, offset, buf, len_bytes);
}

static int32_t sink_write(void *arg, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct node *n = arg;

	return n->host->child_write(n->inst, 0, offset, buf, len_bytes);
}

static int32_t sink_resize(void *arg, uint64_t len_bytes)
{
	struct node *n = arg;

	return n->child.flags & MT_BLOCK_CHILD_GROWS ? n->host->child_resize(n->inst, 0, len_bytes) : 0;
}

static int32_t sink_flush(void *arg)
{
	struct node *n = arg;

	return n->host->child_flush(n->inst, 0);
}

struct vdi_io node_io(struct node *n)
{
	struct vdi_io io = { { source_read, n, n->host->child_bytes(n->inst, 0) }, { sink_write, sink_resize, n },
			     sink_flush };

	return io;
}

/* A corrupt map can be looked at, where nothing is written. */
int node_load(struct node *n, struct mt_error *err)
{
	struct vdi_io io = node_io(n);
	int rc;

	vdi_fini(&n->vdi);
	rc = vdi_load(&n->vdi, &io.source, err);
	if (rc == 0 && !n->readonly)
		rc = vdi_accept(&n->vdi, err);
	n->whole_bytes = rc == 0 ? vdi_end(&n->vdi) : 0;
	return rc;
}

/* Pages are filled from memory, so they are never read. The header's page is held for good. */
int node_pages_open(struct node *n)
{
	int rc = n->cache->get(n->header_cache, 0, MT_BLOCK_PAGE_NEW, &n->header_page);

	if (rc == 0)
		vdi_encode_header(&n->vdi, n->header_page->data);
	return rc;
}

void node_pages_close(struct node *n)
{
	if (n->header_page)
		n->cache->put(n->header_cache, n->header_page);
	n->header_page = NULL;
	n->cache->forget(n->header_cache, 0, PAGE_BYTES);
	n->cache->forget(n->map_cache, n->vdi.map_offset, (4ull * n->vdi.blocks + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES);
}

static int open_caches(struct node *n, struct mt_error *err)
{
	n->header_cache = n->cache->create(n->inst, 0, PAGE_BYTES, 16 * PAGE_BYTES, 0, err);
	if (!n->header_cache)
		return err && err->code ? err->code : MT_ENOMEM;
	n->map_cache = n->cache->create(n->inst, 0, PAGE_BYTES, CACHE_BYTES, 1, err);
	if (!n->map_cache)
		return err && err->code ? err->code : MT_ENOMEM;
	return node_pages_open(n) < 0 ? mt_error_set(err, MT_ENOMEM, NULL, "out of memory") : 0;
}

static int node_realize(void *self, struct mt_error *err)
{
	struct node *n = self;
	int rc;

	n->child.size = sizeof(n->child);
	rc = n->host->child_open(n->inst, "file", &n->child, err);
	if (rc < 0)
		return rc;
	n->readonly = (n->child.flags & MT_BLOCK_INFO_READONLY) != 0;
	rc = node_load(n, err);
	if (rc == 0)
		rc = parent_open(n, err);
	if (rc == 0 && !n->readonly)
		rc = open_caches(n, err);
	return rc;
}

/* Other programs take the gaps that discards have left for damage. */
static int32_t node_rest(void *self)
{
	struct node *n = self;
	struct vdi_io io = node_io(n);
	int rc;

	if (!n->gaps || n->broken || !n->header_page)
		return 0;
	rc = n->cache->flush(n->inst);
	if (rc < 0)
		return rc;
	node_pages_close(n);
	rc = vdi_compact(&n->vdi, &io);
	return node_reload(n, rc, NULL);
}

/* Where this fails `check` finds leaks. */
static void node_unrealize(void *self)
{
	(void)node_rest(self);
	if (((struct node *)self)->header_page)
		node_pages_close(self);
}

static void node_destroy(void *self)
{
	struct node *n = self;

	vdi_fini(&n->vdi);
	free(n);
}

/* Metadata */

static void header_changed(struct node *n)
{
	vdi_encode_header(&n->vdi, n->header_page->data);
	n->cache->dirty(n->header_cache, n->header_page, 0, PAGE_BYTES, 0);
}

/* The page with entry `index`, with what the map says now. Behind the map's end it has what the file should: zeros. */
static int map_page_get(struct node *n, uint32_t index, struct mt_block_page **page)
{
	uint32_t first = index & ~(PAGE_BYTES / 4 - 1);
	int rc = n->cache->get(n->map_cache, n->vdi.map_offset + 4ull * first, MT_BLOCK_PAGE_NEW, page);

	if (rc == 0)
		vdi_encode_map(&n->vdi, first, mt_min_u32(PAGE_BYTES / 4, n->vdi.blocks - first), (*page)->data);
	return rc;
}

static void map_page_changed(struct node *n, uint32_t index, struct mt_block_page *page)
{
	vdi_encode_map(&n->vdi, index, 1, page->data + index * 4 % PAGE_BYTES);
	n->cache->dirty(n->map_cache, page, index * 4 % PAGE_BYTES, 4, MT_BLOCK_DIRTY_AFTER_DATA);
}

/* An image that is written to is another than the one that differencing images were made of. */
static void stamp(struct node *n)
{
	uint8_t uuid[16];

	if (n->stamped || getrandom(uuid, sizeof(uuid), 0) != sizeof(uuid))
		return;
	n->stamped = 1;
	vdi_set_modify_uuid(&n->vdi, uuid);
	header_changed(n);
}

/* Mapping */

static void node_info(void *self, struct mt_block_info *out)
{
	const struct node *n = self;

	out->flags = n->child.flags & (MT_BLOCK_INFO_READONLY | MT_BLOCK_INFO_VOLATILE);
	out->disk_bytes = n->vdi.disk_bytes;
	out->block_bytes = n->child.block_bytes;
	out->physical_bytes = n->child.physical_bytes;
	out->unit_bytes = n->vdi.block_bytes;
	if (!n->readonly)
		out->discard_bytes = n->vdi.block_bytes;
}

static int32_t node_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
			struct mt_block_extent *extents, uint32_t max)
{
	struct node *n = self;

	if (n->broken)
		return MT_EIO;
	if (purpose == MT_BLOCK_MAP_WRITE && n->header_page)
		stamp(n);
	return vdi_map(&n->vdi, offset, len_bytes, extents, max);
}

/* The pages that commit needs are got now and put then. */
static int32_t node_reserve(void *self, const struct mt_block_want *want, struct mt_block_target *targets,
			    uint32_t max)
{
	struct node *n = self;
	struct mt_block_page *page;
	int32_t count, held = 0;

	if (n->broken || !n->header_page)
		return MT_EIO;
	if (want->encoded_bytes)
		return MT_ENOTSUP;
	count = vdi_reserve(&n->vdi, want->offset, want->len_bytes, targets, max);
	while (held < count && map_page_get(n, (uint32_t)(targets[held].cookie >> 32), &page) == 0)
		held++;
	for (int32_t i = count; i-- > held;)
		vdi_abort(&n->vdi, targets[i].cookie);
	return count < 0 ? count : held ? held : MT_ENOMEM;
}

static int32_t node_commit(void *self, const uint64_t *cookies, uint32_t count)
{
	struct node *n = self;
	struct mt_block_page *page;
	int32_t rc = 0;

	for (uint32_t i = 0; i < count; i++) {
		int64_t index = vdi_commit(&n->vdi, cookies[i]);

		if (index < 0 || map_page_get(n, (uint32_t)index, &page) < 0) {
			rc = MT_EIO;
			continue;
		}
		map_page_changed(n, (uint32_t)index, page);
		n->cache->put(n->map_cache, page);
		n->cache->put(n->map_cache, page);     /* the reservation's */
	}
	header_changed(n);
	return rc;
}

static void node_abort(void *self, const uint64_t *cookies, uint32_t count)
{
	struct node *n = self;
	struct mt_block_page *page;

	for (uint32_t i = 0; i < count; i++) {
		vdi_abort(&n->vdi, cookies[i]);
		if (map_page_get(n, (uint32_t)(cookies[i] >> 32), &page) < 0)
			continue;
		n->cache->put(n->map_cache, page);
		n->cache->put(n->map_cache, page);
	}
}

/* One block. 0; MT_ENOTSUP: has data that stay; MT_ENOMEM. */
static int unmap_one(struct node *n, uint32_t index, int free_data)
{
	struct mt_block_space space;
	struct mt_block_page *page;
	uint32_t number;
	int rc = map_page_get(n, index, &page);

	if (rc < 0)
		return rc;
	rc = vdi_unmap(&n->vdi, index, free_data, &number);
	if (rc == 1)
		map_page_changed(n, index, page);
	n->cache->put(n->map_cache, page);
	if (rc == 1 && number != VDI_FREE) {
		space = vdi_space(&n->vdi, number);
		(void)n->host->retire(n->inst, &space);        /* without memory the block leaks */
		n->gaps = 1;
	}
	return rc < 0 ? rc : 0;
}

static int64_t node_unmap(void *self, uint64_t offset, uint64_t len_bytes, uint32_t op, uint32_t flags)
{
	struct node *n = self;
	int free_data = n->vdi.type != VDI_STATIC && (op == MT_BLOCK_DISCARD || flags & MT_BLOCK_MAY_UNMAP);
	uint64_t done = 0;
	int rc = 0;

	if (n->broken || !n->header_page)
		return MT_EIO;
	if (flags & MT_BLOCK_ALLOCATE)
		return MT_ENOTSUP;
	stamp(n);
	for (uint32_t i = 0; i < UNMAP_MAX && done < len_bytes; i++) {
		rc = unmap_one(n, (uint32_t)((offset + done) / n->vdi.block_bytes), free_data);
		if (rc < 0)
			break;
		done += n->vdi.block_bytes;
	}
	return done ? (int64_t)mt_min_u64(done, len_bytes) : rc;
}

/* What is written of the last block may be its first bytes only; other readers want all of it in the file. */
static int32_t node_flush(void *self)
{
	struct node *n = self;
	uint64_t end = vdi_end(&n->vdi);
	int32_t rc = 0;

	if (!n->header_page || end <= n->whole_bytes || !(n->child.flags & MT_BLOCK_CHILD_GROWS))
		return 0;
	if (n->host->child_bytes(n->inst, 0) < end)
		rc = n->host->child_resize(n->inst, 0, end);
	if (rc == 0)
		n->whole_bytes = end;
	return rc;
}

static int32_t node_retired(void *self, const struct mt_block_space *items, uint32_t count)
{
	struct node *n = self;

	for (uint32_t i = 0; i < count; i++) {
		n->host->child_discard(n->inst, items[i].child, items[i].offset, items[i].len_bytes);
		vdi_release(&n->vdi, (uint32_t)items[i].cookie);
	}
	if (count && n->header_page)
		header_changed(n);
	return (int32_t)count;
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
		       { MT_IFACE_BLOCK_CREATE, &create_role },
		       { MT_IFACE_BLOCK_PROBE, &probe_role })
