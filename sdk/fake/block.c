/* SPDX-License-Identifier: MIT */
/* Files, children and the cache of metadata for block formats; see block.h. One thread. */
#include "block-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/error.h"
#include "../util/minmax.h"

#define FILE_MAX (1ull << 30)

struct fake_blocks *fake_blocks(struct fake *f)
{
	if (!f->blocks) {
		f->blocks = calloc(1, sizeof(*f->blocks));
		if (!f->blocks)
			fake_die("no memory");
		f->blocks->random = 88172645463325252u;
	}
	return f->blocks;
}

/* Files */

static void bytes_resize(struct fake_bytes *b, uint64_t len_bytes)
{
	if (len_bytes > FILE_MAX)
		fake_die("a file of %llu bytes", (unsigned long long)len_bytes);
	if (len_bytes > b->room) {
		uint64_t room = mt_min_u64(mt_max_u64(len_bytes * 2, 65536), FILE_MAX);

		b->bytes = realloc(b->bytes, room);
		if (!b->bytes)
			fake_die("no memory");
		memset(b->bytes + b->room, 0, room - b->room);
		b->room = room;
	}
	if (len_bytes < b->len)
		memset(b->bytes + len_bytes, 0, b->len - len_bytes);
	b->len = len_bytes;
}

static void bytes_write(struct fake_bytes *b, uint64_t offset, const void *data, uint64_t len_bytes)
{
	if (offset > FILE_MAX)
		fake_die("a write at %llu", (unsigned long long)offset);
	if (offset + len_bytes > b->len)
		bytes_resize(b, offset + len_bytes);
	if (len_bytes)
		memcpy(b->bytes + offset, data, len_bytes);
}

struct fake_file *fake_file_find(struct fake *f, const char *name, int make)
{
	struct fake_blocks *b = fake_blocks(f);

	for (uint32_t i = 0; i < b->file_count; i++) {
		if (strcmp(b->files[i].name, name) == 0)
			return &b->files[i];
	}
	if (!make)
		return NULL;
	if (b->file_count == FAKE_FILES)
		fake_die("too many files");
	snprintf(b->files[b->file_count].name, sizeof(b->files[0].name), "%s", name);
	return &b->files[b->file_count++];
}

/* Goes to the page cache, so to say: what the host does with it before a flush is open. */
void fake_file_write(struct fake_file *file, uint64_t offset, const void *data, uint64_t len_bytes)
{
	struct fake_pending *p = calloc(1, sizeof(*p) + len_bytes);

	if (!p)
		fake_die("no memory");
	p->offset = offset;
	p->len = len_bytes;
	memcpy(p->data, data, len_bytes);
	*(file->pending ? &file->last->next : &file->pending) = p;
	file->last = p;
	bytes_write(&file->now, offset, data, len_bytes);
}

void fake_file_flush(struct fake_file *file)
{
	struct fake_pending *p;

	while ((p = file->pending)) {
		file->pending = p->next;
		bytes_write(&file->durable, p->offset, p->data, p->len);
		free(p);
	}
	bytes_resize(&file->durable, file->now.len);
}

void fake_file_resize(struct fake_file *file, uint64_t len_bytes)
{
	fake_file_flush(file);
	bytes_resize(&file->now, len_bytes);
	bytes_resize(&file->durable, len_bytes);
}

/* Beyond the end there are zeros. */
void fake_file_read(struct fake_file *file, uint64_t offset, void *buf, uint64_t len_bytes)
{
	uint64_t there = offset < file->now.len ? mt_min_u64(len_bytes, file->now.len - offset) : 0;

	memset(buf, 0, len_bytes);
	if (there)
		memcpy(buf, file->now.bytes + offset, there);
}

/* Each sector of each write that was not flushed is there or not. */
static void file_cut(struct fake_file *file, uint64_t *seed)
{
	struct fake_pending *p;

	while ((p = file->pending)) {
		file->pending = p->next;
		for (uint64_t at = 0; at < p->len; at += 512) {
			if (fake_random(seed) & 1)
				bytes_write(&file->durable, p->offset + at, p->data + at, mt_min_u64(512, p->len - at));
		}
		free(p);
	}
	bytes_resize(&file->now, file->durable.len);
	if (file->durable.len)
		memcpy(file->now.bytes, file->durable.bytes, file->durable.len);
}

uint8_t *fake_block_file(struct fake *f, const char *name, uint64_t *len_bytes)
{
	struct fake_file *file = fake_file_find(f, name, 1);

	if (len_bytes)
		*len_bytes = file->now.len;
	return file->now.bytes;
}

void fake_block_file_set(struct fake *f, const char *name, const void *bytes, uint64_t len_bytes)
{
	struct fake_file *file = fake_file_find(f, name, 1);

	fake_file_resize(file, 0);
	fake_file_write(file, 0, bytes, len_bytes);
	fake_file_flush(file);
}

void fake_block_file_load(struct fake *f, const char *name, const char *path)
{
	FILE *in = fopen(path, "rb");
	uint8_t *bytes = malloc(FILE_MAX);
	size_t n;

	if (!in || !bytes)
		fake_die("cannot read %s", path);
	n = fread(bytes, 1, FILE_MAX, in);
	fclose(in);
	fake_block_file_set(f, name, bytes, n);
	free(bytes);
}

void fake_block_file_save(struct fake *f, const char *name, const char *path)
{
	struct fake_file *file = fake_file_find(f, name, 1);
	FILE *out = fopen(path, "wb");

	if (!out || fwrite(file->now.bytes, 1, file->now.len, out) != file->now.len || fclose(out) != 0)
		fake_die("cannot write %s", path);
}

void fake_block_move(struct fake *to, struct fake *from)
{
	struct fake_blocks *a = fake_blocks(to), *b = fake_blocks(from);

	for (uint32_t i = 0; i < b->file_count; i++)
		fake_file_flush(&b->files[i]);
	memcpy(a->files, b->files, sizeof(a->files));
	a->file_count = b->file_count;
	b->file_count = 0;
}

void fake_block_backing(struct fake *f, const void *bytes, uint64_t len_bytes)
{
	fake_blocks(f)->backing = bytes;
	fake_blocks(f)->backing_bytes = len_bytes;
}

const char *fake_block_backing_name(struct fake *f)
{
	return fake_blocks(f)->backing_name[0] ? fake_blocks(f)->backing_name : NULL;
}

void fake_block_misses(struct fake *f, uint32_t one_in)
{
	fake_blocks(f)->misses = one_in;
}

void fake_block_fail_in(struct fake *f, uint64_t operations)
{
	fake_blocks(f)->fail_in = operations;
}

uint64_t fake_block_fail_left(struct fake *f)
{
	return fake_blocks(f)->fail_in;
}

int fake_block_fails(struct fake_blocks *b)
{
	return b->fail_in && --b->fail_in == 0;
}

void fake_block_end(struct fake *f)
{
	struct fake_blocks *b = f->blocks;

	if (!b)
		return;
	for (uint32_t i = 0; i < b->page_count; i++) {
		if (b->pages[i]->gets)
			fake_die("a page of metadata at %llu was not put", (unsigned long long)b->pages[i]->pub.offset);
		free(b->pages[i]->pub.data);
		free(b->pages[i]);
	}
	for (uint32_t i = 0; i < b->file_count; i++) {
		fake_file_flush(&b->files[i]);
		free(b->files[i].now.bytes);
		free(b->files[i].durable.bytes);
	}
	free(b->pages);
	free(b->spaces);
	free(b);
}

/* mt_block_node */

static struct fake_file *child_of(struct mt_inst *inst, uint32_t child)
{
	struct fake_blocks *b = fake_blocks(inst->fake);

	if (child >= b->child_count)
		fake_die("child %u was not opened", child);
	return &b->files[b->children[child]];
}

static int32_t open_file(struct mt_inst *inst, const char *name, struct mt_block_child_info *out, struct mt_error *err)
{
	struct fake_blocks *b = fake_blocks(inst->fake);
	struct fake_file *file = fake_file_find(inst->fake, name, 0);
	const char *readonly = fake_note_has(inst->fake, "readonly") ? fake_prop_text(inst->fake, "readonly") : NULL;

	if (!file)
		return mt_error_set(err, MT_ENOENT, "file", "there is no file '%s'", name);
	if (b->child_count == FAKE_FILES)
		return mt_error_set(err, MT_ERANGE, "file", "too many children");
	out->flags = MT_BLOCK_CHILD_GROWS | MT_BLOCK_CHILD_SLOW_END | MT_BLOCK_INFO_VOLATILE;
	if (readonly && strcmp(readonly, "on") == 0)
		out->flags |= MT_BLOCK_INFO_READONLY;
	out->child_bytes = file->now.len;
	out->block_bytes = out->physical_bytes = 512;
	b->children[b->child_count] = (uint32_t)(file - b->files);
	return (int32_t)b->child_count++;
}

static int32_t child_open(struct mt_inst *inst, const char *prop, struct mt_block_child_info *out,
			  struct mt_error *err)
{
	const char *name = fake_prop_text(inst->fake, prop);

	return name ? open_file(inst, name, out, err) : MT_ENOENT;
}

static int32_t backing_open(struct mt_inst *inst, const char *name, const char *format,
			    struct mt_block_child_info *out, struct mt_error *err)
{
	struct fake_blocks *b = fake_blocks(inst->fake);

	(void)format, (void)err;
	snprintf(b->backing_name, sizeof(b->backing_name), "%s", name ? name : "");
	if (!b->backing)
		return MT_ENOENT;
	out->child_bytes = b->backing_bytes;
	out->block_bytes = out->physical_bytes = 512;
	return 0;
}

static int32_t child_read(struct mt_inst *inst, uint32_t child, uint64_t offset, void *buf, uint64_t len_bytes)
{
	if (fake_block_fails(fake_blocks(inst->fake)))
		return MT_EIO;
	fake_file_read(child_of(inst, child), offset, buf, len_bytes);
	return 0;
}

static int32_t child_write(struct mt_inst *inst, uint32_t child, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	if (fake_blocks(inst->fake)->cut || fake_block_fails(fake_blocks(inst->fake)))
		return MT_EIO;
	fake_file_write(child_of(inst, child), offset, buf, len_bytes);
	return 0;
}

static int32_t child_flush(struct mt_inst *inst, uint32_t child)
{
	if (fake_blocks(inst->fake)->cut || fake_block_fails(fake_blocks(inst->fake)))
		return MT_EIO;
	fake_file_flush(child_of(inst, child));
	return 0;
}

static int32_t child_resize(struct mt_inst *inst, uint32_t child, uint64_t len_bytes)
{
	if (fake_blocks(inst->fake)->cut || fake_block_fails(fake_blocks(inst->fake)))
		return MT_EIO;
	fake_file_resize(child_of(inst, child), len_bytes);
	return 0;
}

static int32_t child_allocate(struct mt_inst *inst, uint32_t child, uint64_t offset, uint64_t len_bytes, uint32_t mode)
{
	(void)inst, (void)child, (void)offset, (void)len_bytes, (void)mode;
	return 0;
}

static uint64_t child_bytes(struct mt_inst *inst, uint32_t child)
{
	return child_of(inst, child)->now.len;
}

static void invalidate(struct mt_inst *inst, uint64_t offset, uint64_t len_bytes)
{
	(void)inst, (void)offset, (void)len_bytes;     /* nothing is remembered here */
}

static int32_t retire(struct mt_inst *inst, const struct mt_block_space *space)
{
	struct fake_blocks *b = fake_blocks(inst->fake);

	b->spaces = realloc(b->spaces, (b->space_count + 1) * sizeof(*b->spaces));
	if (!b->spaces)
		fake_die("no memory");
	b->spaces[b->space_count++] = *space;
	return 0;
}

/* What a host leaves there is open: something that is not zero. */
static void child_discard(struct mt_inst *inst, uint32_t child, uint64_t offset, uint64_t len_bytes)
{
	uint8_t rubbish[512];

	memset(rubbish, 0xdd, sizeof(rubbish));
	for (uint64_t at = 0; at < len_bytes && offset + at < child_of(inst, child)->now.len; at += sizeof(rubbish))
		fake_file_write(child_of(inst, child), offset + at, rubbish, mt_min_u64(sizeof(rubbish), len_bytes - at));
}

static int32_t backing_fact(struct mt_inst *inst, const char *name, char *out, uint32_t out_bytes)
{
	struct fake_blocks *b = fake_blocks(inst->fake);

	if (!b->fact_name || strcmp(name, b->fact_name) != 0)
		return MT_ENOENT;
	snprintf(out, out_bytes, "%s", b->fact_value);
	return 0;
}

void fake_block_backing_fact(struct fake *f, const char *name, const char *value)
{
	struct fake_blocks *b = fake_blocks(f);

	b->fact_name = name;
	b->fact_value = value;
}

static void nothing(struct mt_inst *inst)
{
	(void)inst;
}

const struct mt_block_node fake_block_node = {
	.child_open = child_open,
	.child_open_name = open_file,
	.backing_open = backing_open,
	.child_read = child_read,
	.child_write = child_write,
	.child_flush = child_flush,
	.child_resize = child_resize,
	.child_allocate = child_allocate,
	.child_bytes = child_bytes,
	.invalidate = invalidate,
	.retire = retire,
	.child_discard = child_discard,
	.map_ready = nothing,
	.node_changed = nothing,
	.backing_fact = backing_fact,
};

/* mt_block_cache_host */

static struct mt_block_cache *cache_create(struct mt_inst *inst, uint32_t child, uint32_t page_bytes,
					   uint64_t limit_bytes, uint32_t rank, struct mt_error *err)
{
	struct fake_blocks *b = fake_blocks(inst->fake);
	struct mt_block_cache *cache;

	if (page_bytes < 512 || page_bytes & (page_bytes - 1) || limit_bytes < 16ull * page_bytes ||
	    rank >= MT_BLOCK_RANKS)
		fake_die("cache of pages of %u bytes, %llu in all, rank %u", page_bytes,
			 (unsigned long long)limit_bytes, rank);
	if (b->cache_count == FAKE_CACHES) {
		mt_error_set(err, MT_ENOMEM, NULL, "too many caches");
		return NULL;
	}
	cache = &b->caches[b->cache_count++];
	*cache = (struct mt_block_cache){ inst, child, page_bytes, rank };
	return cache;
}

static struct fake_page *page_find(struct fake_blocks *b, const struct mt_block_cache *cache, uint64_t offset)
{
	for (uint32_t i = 0; i < b->page_count; i++) {
		if (b->pages[i]->cache == cache && b->pages[i]->pub.offset == offset)
			return b->pages[i];
	}
	return NULL;
}

static struct fake_page *page_make(struct fake_blocks *b, struct mt_block_cache *cache, uint64_t offset)
{
	struct fake_page *page = calloc(1, sizeof(*page));

	if (page)
		page->pub = (struct mt_block_page){ calloc(1, cache->page_bytes), offset };
	b->pages = realloc(b->pages, (b->page_count + 1) * sizeof(struct fake_page *));
	if (!page || !page->pub.data || !b->pages)
		fake_die("no memory");
	page->cache = cache;
	b->pages[b->page_count++] = page;
	return page;
}

static int32_t cache_get(struct mt_block_cache *cache, uint64_t offset, uint32_t flags, struct mt_block_page **out)
{
	struct fake_blocks *b = fake_blocks(cache->inst->fake);
	struct fake_page *page = page_find(b, cache, offset);

	if (offset % cache->page_bytes)
		fake_die("page at %llu", (unsigned long long)offset);
	if (!page || (!page->gets && !page->dirty)) {
		if (b->misses && !(flags & (MT_BLOCK_PAGE_NEW | MT_BLOCK_PAGE_WAIT)) &&
		    fake_random(&b->random) % b->misses == 0)
			return MT_EAGAIN;
		if (!page) {
			if (!(flags & MT_BLOCK_PAGE_NEW) && fake_block_fails(b))
				return MT_EIO;
			page = page_make(b, cache, offset);
			if (!(flags & MT_BLOCK_PAGE_NEW))
				fake_file_read(child_of(cache->inst, cache->child), offset, page->pub.data, cache->page_bytes);
		}
	}
	page->gets++;
	*out = &page->pub;
	return 0;
}

static void cache_hold(struct mt_block_cache *cache, struct mt_block_page *page)
{
	(void)cache;
	((struct fake_page *)page)->gets++;
}

static void page_drop(struct fake_blocks *b, struct fake_page *page)
{
	for (uint32_t i = 0; i < b->page_count; i++) {
		if (b->pages[i] == page)
			b->pages[i] = b->pages[--b->page_count];
	}
	free(page->pub.data);
	free(page);
}

static void cache_put(struct mt_block_cache *cache, struct mt_block_page *pub)
{
	struct fake_page *page = (struct fake_page *)pub;

	if (!page->gets)
		fake_die("a page was put too often");
	if (!--page->gets && page->forgotten)
		page_drop(fake_blocks(cache->inst->fake), page);
}

static void cache_dirty(struct mt_block_cache *cache, struct mt_block_page *pub, uint32_t from_byte, uint32_t len_bytes,
			uint32_t flags)
{
	struct fake_page *page = (struct fake_page *)pub;

	if (!page->gets || from_byte > cache->page_bytes || len_bytes > cache->page_bytes - from_byte)
		fake_die("dirty: a page that one has not got, or beyond its end");
	page->dirty = 1;
	page->after_data |= flags & MT_BLOCK_DIRTY_AFTER_DATA;
}

static void cache_forget(struct mt_block_cache *cache, uint64_t offset, uint64_t len_bytes)
{
	struct fake_blocks *b = fake_blocks(cache->inst->fake);

	for (uint32_t i = b->page_count; i-- > 0;) {
		struct fake_page *page = b->pages[i];

		if (page->cache != cache || page->pub.offset < offset ||
		    page->pub.offset - offset > len_bytes - cache->page_bytes)
			continue;
		page->dirty = 0;
		page->forgotten = 1;
		if (!page->gets)
			page_drop(b, page);
	}
}

static void flush_all(struct fake_blocks *b)
{
	for (uint32_t i = 0; i < b->file_count; i++)
		fake_file_flush(&b->files[i]);
}

static int32_t write_rank(struct fake_blocks *b, uint32_t rank)
{
	for (uint32_t i = 0; i < b->page_count; i++) {
		struct fake_page *page = b->pages[i];

		if (!page->dirty || page->cache->rank != rank)
			continue;
		if (fake_block_fails(b))
			return MT_EIO;
		fake_file_write(child_of(page->cache->inst, page->cache->child), page->pub.offset, page->pub.data,
				page->cache->page_bytes);
		page->dirty = page->after_data = 0;
	}
	return 0;
}

/* Data, then the pages rank by rank, each durable before the next. Clean pages are dropped, to be read again. */
int32_t fake_cache_flush(struct mt_inst *inst)
{
	struct fake_blocks *b = fake_blocks(inst->fake);

	if (b->cut || fake_block_fails(b))
		return MT_EIO;
	flush_all(b);
	for (uint32_t rank = 0; rank < MT_BLOCK_RANKS; rank++) {
		if (write_rank(b, rank) < 0)
			return MT_EIO;
		flush_all(b);
	}
	for (uint32_t i = b->page_count; i-- > 0;) {
		if (!b->pages[i]->gets)
			page_drop(b, b->pages[i]);
	}
	return 0;
}

/* The power may go while the caches are being written: some ranks are durable, one is on its way. */
void fake_block_power_cut(struct fake *f, uint64_t seed)
{
	struct fake_blocks *b = fake_blocks(f);
	uint32_t rank = 0, last = fake_random(&seed) % 4;

	if (last) {
		for (flush_all(b); rank + 1 < last; rank++) {
			write_rank(b, rank);
			flush_all(b);
		}
		write_rank(b, rank);
	}
	for (uint32_t i = 0; i < b->file_count; i++)
		file_cut(&b->files[i], &seed);
	b->cut = 1;
}

const struct mt_block_cache_host fake_block_cache = {
	.create = cache_create,
	.get = cache_get,
	.hold = cache_hold,
	.put = cache_put,
	.dirty = cache_dirty,
	.forget = cache_forget,
	.flush = fake_cache_flush,
};
