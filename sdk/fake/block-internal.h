/* SPDX-License-Identifier: MIT */
/* What the files of the fake host's block part share. One thread; goes with struct fake. */
#ifndef MTSDK_FAKE_BLOCK_INTERNAL_H
#define MTSDK_FAKE_BLOCK_INTERNAL_H

#include <mortise/draft/block-cache.h>
#include <mortise/draft/block-protocol.h>

#include "block.h"
#include "internal.h"

#define FAKE_FILES  16
#define FAKE_CACHES 32

struct fake_bytes {
	uint8_t *bytes;
	uint64_t len, room;
};

/* A write that no flush has followed yet. */
struct fake_pending {
	struct fake_pending *next;
	uint64_t offset, len;
	uint8_t data[];
};

struct fake_file {
	char name[128];
	struct fake_bytes now, durable;
	struct fake_pending *pending, *last;
};

struct mt_block_cache {
	struct mt_inst *inst;
	uint32_t child, page_bytes, rank;
};

struct fake_page {
	struct mt_block_page pub;  /* first */
	struct mt_block_cache *cache;
	uint32_t gets, dirty, after_data, forgotten;
};

struct fake_blocks {
	struct fake_file files[FAKE_FILES];
	uint32_t file_count;
	uint32_t children[FAKE_FILES];     /* numbers of files */
	uint32_t child_count;
	const uint8_t *backing;
	uint64_t backing_bytes;
	const char *fact_name, *fact_value;  /* of the backing disk */
	char backing_name[1024];
	struct mt_block_cache caches[FAKE_CACHES];
	uint32_t cache_count;
	struct fake_page **pages;
	uint32_t page_count;
	struct mt_block_space *spaces;     /* retired */
	uint32_t space_count;
	uint32_t misses, cut, abort_next;
	uint64_t fail_in;                  /* host operations until one fails; 0: none will */
	uint64_t random;
	struct mt_block_child_info served;
	uint32_t is_serving;
	int is_awake;
};

struct fake_blocks *fake_blocks(struct fake *f);
struct fake_file *fake_file_find(struct fake *f, const char *name, int make);
void fake_file_write(struct fake_file *file, uint64_t offset, const void *data, uint64_t len_bytes);
void fake_file_read(struct fake_file *file, uint64_t offset, void *buf, uint64_t len_bytes);
void fake_file_resize(struct fake_file *file, uint64_t len_bytes);
void fake_file_flush(struct fake_file *file);
int fake_block_fails(struct fake_blocks *b);
int32_t fake_cache_flush(struct mt_inst *inst);
void fake_block_end(struct fake *f);

extern const struct mt_block_node fake_block_node;
extern const struct mt_block_served_host fake_block_served;
extern const struct mt_block_cache_host fake_block_cache;

#endif
