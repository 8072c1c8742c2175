/* SPDX-License-Identifier: MIT */
/*
 * Images without a machine: what `mortise img` and `mortise io` stand on. A tool has the plugins and the threads; an
 * image is a format node with what lies below it, and a handle for requests. The formats, the kernel's engines and
 * caches, locks and rules for names are those that a machine uses. All [main] but where it says otherwise.
 */
#ifndef KERNEL_IMG_TOOL_H
#define KERNEL_IMG_TOOL_H

#include <glib.h>
#include <mortise/draft/block-bitmap.h>
#include <mortise/draft/block-create.h>
#include <mortise/draft/block-image.h>
#include <stdbool.h>

#include "kernel/block/file.h"
#include "kernel/block/maker.h"
#include "kernel/load/registry.h"

struct tool;
struct bnode;
struct mt_block;

/* NULL with `err`. The registry outlives it. */
struct tool *tool_create(struct registry *registry, struct mt_error *err);
void tool_destroy(struct tool *tool);

struct image_options {
	const char *format;              /* NULL: by its looks; never raw */
	bool write;
	bool share;                      /* no locks: others may write the image meanwhile */
	bool backing_off;                /* leave the backing disk closed */
	bool backing_write;              /* open the whole chain for writing */
	bool no_discard;
	bool repair;                     /* with write: also what is only read until it is repaired; `block` only reads */
	bool below_any, deeper_any;      /* not for data: see open.h */
	bool facts;                      /* for questions about the image: no data are read, and `block` is NULL */
	enum file_cache cache;
	enum file_engine engine;
	const char *const *allow;        /* folders that names in images may reach */
	bool allow_own;                  /* the image's own folder, for plain names */
	int fd;                          /* not 0: an open file in place of the path */
	const char *parts_folder, *names_folder;   /* see open.h */
	const char *const *through;      /* filters before its files, the first next to it: "PLUGIN,KEY=VALUE" */
};

struct image {
	struct tool *tool;
	struct mt_inst *inst;
	struct bnode *node;
	struct mt_block *block;          /* NULL: opened for its facts */
	char *path, *format;
	bool write;
	GPtrArray *filters;              /* struct mt_inst, the one next to the file first */
};

/* NULL with `err`. */
struct image *image_open(struct tool *tool, const char *path, const struct image_options *options,
			 struct mt_error *err);
/* What was written is in the file, and durable where the cache mode says so: 0 or MT_E*. NULL is fine. */
int32_t image_close(struct image *image);

uint64_t image_bytes(const struct image *image);
const struct mt_block_info *image_info(const struct image *image);
/* A role of the image's class, or NULL. */
const void *image_role(const struct image *image, const char *iface_id);

/* A further handle, for another thread; [any] from then on, one thread at a time. NULL with `err`. */
struct mt_block *image_handle(struct bnode *node, bool write, struct mt_error *err);
void image_handle_close(struct mt_block *block);

/* Exclusive operations. They fill `err`, MT_ENOTSUP where the format has no such thing. */
int image_check(struct image *image, uint32_t repair, struct mt_block_check *out,
		void (*finding)(void *arg, const char *line), void *arg, struct mt_error *err);
int image_resize(struct image *image, uint64_t disk_bytes, uint32_t flags, uint32_t prealloc, struct mt_error *err);
int image_amend(struct image *image, const struct mt_block_value *values, uint32_t count, struct mt_error *err);
int image_backing_set(struct image *image, const char *name, const char *format, struct mt_error *err);
int image_make_empty(struct image *image, struct mt_error *err);

enum image_snapshot_op { IMAGE_SNAPSHOT_CREATE, IMAGE_SNAPSHOT_APPLY, IMAGE_SNAPSHOT_REMOVE, IMAGE_SNAPSHOT_SHOW };
uint32_t image_snapshot_count(const struct image *image);
int image_snapshot_get(const struct image *image, uint32_t index, struct mt_block_snapshot *out);
/* `which`: its name or its id; for create the name. */
int image_snapshot(struct image *image, enum image_snapshot_op op, const char *which, struct mt_error *err);

/* Dirty bitmaps; NULL or 0 where the format has none. */
uint32_t image_bitmap_count(const struct bnode *node);
bool image_has_bitmaps(const struct image *image);       /* its format can have them */
bool image_bitmap_get(const struct bnode *node, uint32_t index, struct mt_block_bitmap *out);
/* The number of the bitmap of that name, or MT_ENOENT with `err`. */
int image_bitmap_find(const struct image *image, const char *name, struct mt_error *err);
int image_bitmap_add(struct image *image, const struct mt_block_bitmap *what, struct mt_error *err);
int image_bitmap_remove(struct image *image, uint32_t index, struct mt_error *err);
int image_bitmap_flags(struct image *image, uint32_t index, uint32_t flags, struct mt_error *err);
int image_bitmap_read(struct image *image, uint32_t index, uint8_t *bits, uint64_t len_bytes, struct mt_error *err);
/* `bits` NULL: none is set */
int image_bitmap_write(struct image *image, uint32_t index, const uint8_t *bits, uint64_t len_bytes,
		       struct mt_error *err);

/* A role of a format. NULL with `err`: there is no such format; without: it has no such role. */
const void *tool_role(struct tool *tool, const char *format, const char *iface_id, struct mt_error *err);
/* The format that a file looks like, g_free; NULL with `err`: it looks like none. */
char *tool_probe(struct tool *tool, const char *path, struct mt_error *err);

struct machine *tool_machine(struct tool *tool);

#endif
