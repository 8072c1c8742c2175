/* SPDX-License-Identifier: MIT */
/*
 * What a format that is only read, and that wants its metadata in pages, is to the kernel beside its core: the image's
 * file, pages by the kernel's cache. Of the disk below: block-parent.h.
 *
 *   struct node { struct mt_block_reader reader; struct adf adf; };
 *
 * The reader is the first member. Calls are [main], of create and realize in the order below; pages are got and put
 * under the instance lock.
 */
#ifndef MORTISE_UTIL_BLOCK_READER_H
#define MORTISE_UTIL_BLOCK_READER_H

#include <mortise/draft/block-cache.h>
#include <mortise/draft/block-node.h>
#include <stdlib.h>

#include "error.h"
#include "source.h"

#define MT_BLOCK_READER_CACHE (1u << 20)     /* bytes of clean metadata to keep */

struct mt_block_reader {
	struct mt_inst *inst;
	const struct mt_block_node *host;
	const struct mt_block_cache_host *cache_host;
	struct mt_block_child_info child;
	struct mt_block_cache *cache;
};

/* An instance of `bytes`, zeroed, with a reader as its first member; freed by free(). For mt_device_class.create. */
static inline int mt_block_reader_create(const struct mt_host *host, struct mt_inst *inst, size_t bytes, void **self,
					 struct mt_error *err)
{
	struct mt_block_reader *r = (struct mt_block_reader *)calloc(1, bytes);

	if (!r)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	r->inst = inst;
	r->host = (const struct mt_block_node *)host->get_interface(host, MT_IFACE_BLOCK_NODE);
	r->cache_host = (const struct mt_block_cache_host *)host->get_interface(host, MT_IFACE_BLOCK_CACHE);
	*self = r;
	return 0;
}

static inline int32_t mt_block_reader_read(void *arg, uint64_t offset, void *buf, uint64_t len_bytes)
{
	const struct mt_block_reader *r = (const struct mt_block_reader *)arg;

	return r->host->child_read(r->inst, 0, offset, buf, len_bytes);
}

/* Opens the file of MT_BLOCK_FILE_PROPS; `source` reads it as long as the reader lives. */
static inline int mt_block_reader_open(struct mt_block_reader *r, struct mt_source *source, struct mt_error *err)
{
	int rc;

	r->child.size = sizeof(r->child);
	rc = r->host->child_open(r->inst, "file", &r->child, err);
	source->read = mt_block_reader_read;
	source->arg = r;
	source->len_bytes = r->child.child_bytes;
	return rc < 0 ? rc : 0;
}

/* Pages of `page_bytes` from now on. */
static inline int mt_block_reader_cache(struct mt_block_reader *r, uint32_t page_bytes, struct mt_error *err)
{
	r->cache = r->cache_host->create(r->inst, 0, page_bytes, MT_BLOCK_READER_CACHE, 0, err);
	return r->cache ? 0 : err && err->code ? err->code : MT_ENOMEM;
}

static inline int32_t mt_block_reader_get(void *arg, uint64_t offset, void **page, const uint8_t **data)
{
	const struct mt_block_reader *r = (const struct mt_block_reader *)arg;
	struct mt_block_page *got;
	int32_t rc = r->cache_host->get(r->cache, offset, 0, &got);

	if (rc < 0)
		return rc;
	*page = got;
	*data = got->data;
	return 0;
}

static inline void mt_block_reader_put(void *arg, void *page)
{
	const struct mt_block_reader *r = (const struct mt_block_reader *)arg;

	r->cache_host->put(r->cache, (struct mt_block_page *)page);
}

static inline struct mt_source_pages mt_block_reader_pages(struct mt_block_reader *r)
{
	struct mt_source_pages pages = { mt_block_reader_get, mt_block_reader_put, r };

	return pages;
}

/* What the file says of the disk, for mt_block_format.info; its length and unit are the core's. */
static inline void mt_block_reader_info(const struct mt_block_reader *r, struct mt_block_info *out)
{
	out->flags = (r->child.flags & MT_BLOCK_INFO_VOLATILE) | MT_BLOCK_INFO_READONLY;
	out->block_bytes = r->child.block_bytes;
	out->physical_bytes = r->child.physical_bytes;
}

#endif
