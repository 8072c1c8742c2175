/* SPDX-License-Identifier: MIT */
/*
 * What a plugin file says of itself, read from .note.mortise without running any of its code.
 * A note owns a copy of everything, so the file may be closed, or replaced on disk, at once. Plugin files are
 * untrusted here: every offset is checked against the bytes that are there. Any thread, no shared state.
 */
#ifndef KERNEL_LOAD_NOTE_H
#define KERNEL_LOAD_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mortise/error.h>
#include <mortise/note.h>

struct note_prop {
	const char *name, *deflt, *range, *unit, *help;   /* "" = none, never NULL */
	uint32_t type, flags;                              /* MT_PROP_*, MT_PROPF_* */
};

struct note_class {
	const char *name, *summary, *roles;
	uint32_t kind, flags;                              /* MT_KIND_*, MT_CLASS_* */
	const struct note_prop *props;
	size_t prop_count;
	const char *version;                               /* of the plugin; NULL: not known */
};

struct note {
	const char *name, *version, *vendor, *licence, *summary, *requires_ids, *optional_ids;
	uint32_t abi_major, caps;                          /* MT_CAP_* */
	const struct note_class *classes;
	size_t class_count;
	void *owned;                                       /* note.c's */
};

/*
 * Reads the note of a plugin file and holds the file against the rules that need no library: ELF class and
 * machine, shared object, note and ABI major, immediate binding, no text relocation, one exported symbol.
 * NULL with `err` filled (culprit = the field; message: wanted and offered; hint: remedy).
 */
struct note *note_read(const char *path, struct mt_error *err);
/* The same on a file that is in memory. */
struct note *note_read_bytes(const void *bytes, size_t len, struct mt_error *err);
void note_free(struct note *note);

/* Not those that stand in for another file's. */
const struct note_class *note_class_find(const struct note *note, const char *name);
/*
 * A class that stands in for the one of its name in another file, on a machine whose accelerator is of its own file, as
 * long as the property `prop` of [cpu] has one of `values` ("a|b"). False: it is a class as any.
 */
bool note_stands_in(const struct note_class *cls, char prop[64], char values[128]);
const struct note_prop *note_prop_find(const struct note_class *cls, const char *name);

/* Parses a descriptor (the bytes after the note's owner name). For note_read and the fuzzers. */
struct note *note_parse(const void *desc, size_t len, struct mt_error *err);

const char *note_kind_name(uint32_t kind);          /* "device" */
const char *note_type_name(uint32_t prop_type);     /* "size" */

#endif
