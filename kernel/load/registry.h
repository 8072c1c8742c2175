/* SPDX-License-Identifier: MIT */
/*
 * From class name to plugin file, without running code. NAME.so is tried first in each directory, so that a
 * machine opens only the files that it names; the whole path is read only for listings, for suggestions, and
 * for classes that live in a file of another name. Called from [main]. Entries live as long as the registry.
 */
#ifndef KERNEL_LOAD_REGISTRY_H
#define KERNEL_LOAD_REGISTRY_H

#include <glib.h>

#include "kernel/config/config.h"
#include "kernel/load/note.h"

struct registry_entry {
	char *path;
	struct note *note;            /* NULL: refused, see fault */
	struct mt_error fault;
};

struct registry_class {
	const struct registry_entry *entry;
	const struct note_class *cls;
};

struct registry;

/*
 * Directories in order, NULL-terminated. One "*" component stands for a folder of each plugin, as in a build
 * tree: its folders are called as the plugins are.
 */
struct registry *registry_create(const char *const *dirs);
void registry_destroy(struct registry *reg);

/* The class, or NULL with `err` filled: not found (MT_ENOENT), or a bad file of that name. */
const struct registry_class *registry_find(struct registry *reg, const char *class_name,
					   struct mt_error *err);

/*
 * The class that `plugin = class_name` means in this machine: one of the accelerator's file that stands in for it, else
 * as registry_find.
 */
const struct registry_class *registry_find_for(struct registry *reg, const struct config *cfg, const char *class_name,
					       struct mt_error *err);

/*
 * Says which file an error of a plugin file is about: "FILE: FIELD: message". Returns err->code.
 */
int registry_blame(struct mt_error *err, const char *path);

/*
 * File by file, bad ones too: by directory, and by name within one. Reads no more of them than the index asks for.
 * NULL behind the last.
 */
const struct registry_entry *registry_nth(struct registry *reg, unsigned index);
/* Everything on the path, bad files too: struct registry_entry *, sorted by file name. Reads all files. */
const GPtrArray *registry_all(struct registry *reg);
/* Closest class name of a kind (0 = any), or NULL. Reads all files. */
const char *registry_suggest(struct registry *reg, const char *class_name, uint32_t kind);

/* The directories, for messages. */
const char *const *registry_dirs(const struct registry *reg);

#endif
