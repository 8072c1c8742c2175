/* SPDX-License-Identifier: MIT */
/* Making images, for commands and for overlays under running machines. [main] */
#ifndef KERNEL_BLOCK_MAKER_H
#define KERNEL_BLOCK_MAKER_H

#include <mortise/draft/block-create.h>
#include <stdbool.h>

struct machine;

struct image_want {
	const char *path, *format;
	struct mt_block_create_want create;
	bool (*cancelled)(void);         /* asked while much is written; NULL: never */
	const char *backing_path;        /* the backing file itself, for formats that link to it by its contents; NULL */
};

/*
 * An empty image in a new folder beside its place. Nothing of an older image at `path` is touched before
 * maker_finish; a block device is written at once. NULL with `err`.
 */
struct mt_block_maker *maker_begin(struct machine *m, const struct image_want *want, struct mt_error *err);
/* Where file 0 is now, and the folders to open it with. */
const char *maker_path(const struct mt_block_maker *maker);
/* It is a block device, which has its old contents yet. */
bool maker_in_place(const struct mt_block_maker *maker);
void maker_folders(const struct mt_block_maker *maker, const char **parts, const char **names);
/* Puts the files into place, over older ones; on an error nothing has changed. Frees `maker` in any case. */
int maker_finish(struct mt_block_maker *maker, struct mt_error *err);
void maker_abort(struct mt_block_maker *maker);

#endif
