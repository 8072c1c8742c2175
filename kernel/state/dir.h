/* SPDX-License-Identifier: MIT */
/*
 * The folder of a snapshot on the disk. It is written under another name beside its place and renamed when all of it
 * is durable, so that a folder of the right name is always whole. [main].
 */
#ifndef KERNEL_STATE_DIR_H
#define KERNEL_STATE_DIR_H

#include <glib.h>
#include <mortise/error.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/state/manifest.h"

struct mt_ram;

/* Writing. NULL with `err`: `path` exists, or its folder cannot be written. */
struct state_dir *state_dir_create(const char *path, struct mt_error *err);
/* Adds a file; fills `file` with its length and sum. */
int state_dir_write(struct state_dir *dir, const char *name, const void *bytes, size_t len_bytes,
		    struct manifest_file *file, struct mt_error *err);
/* Adds the contents of RAM, with holes where it is zero. */
int state_dir_write_ram(struct state_dir *dir, const char *name, const struct mt_ram *ram, struct mt_error *err);
/*
 * Writes the pages of RAM that dirty[client] shows to such a file again, and adds their number to *pages. Nobody writes
 * them any more.
 */
int state_dir_update_ram(struct state_dir *dir, const char *name, const struct mt_ram *ram, uint32_t client,
			 uint64_t *pages, struct mt_error *err);
/* To read from what was added; the folder's. */
int state_dir_fd(const struct state_dir *dir);
/* All of it durable under its own name. */
int state_dir_commit(struct state_dir *dir, struct mt_error *err);
/* Removes what was not committed. */
void state_dir_destroy(struct state_dir *dir);

/* Reading: the folder, or a negative code with `err`. */
int state_dir_open(const char *path, struct mt_error *err);
/* A file of it, at most `max` bytes; NULL with `err`. g_byte_array_unref. */
GByteArray *state_dir_read(int dir_fd, const char *name, uint64_t max, struct mt_error *err);
/* The same, held against length and sum. */
GByteArray *state_dir_read_checked(int dir_fd, const char *name, const struct manifest_file *file,
				   struct mt_error *err);
/* Opens the contents of RAM of `len_bytes`; the descriptor, or a negative code with `err`. */
int state_dir_open_ram(int dir_fd, const char *name, uint64_t len_bytes, struct mt_error *err);

#endif
