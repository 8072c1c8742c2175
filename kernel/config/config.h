/* SPDX-License-Identifier: MIT */
/*
 * A machine file after its layers were merged: sections in file order, keys with values and positions.
 *
 * Layers, weakest first: `base`, `include.N`, the file, the files of FILE.d/, -s. Later layers win key by
 * key, an empty value unsets; a section whose `plugin` was unset is gone. What is here is scanned and merged
 * but not yet checked against plugins: check.h does that. After check_run() found no error, values parse.
 * Read-only once loaded; belongs to one machine; everything it hands out lives as long as it does.
 */
#ifndef KERNEL_CONFIG_CONFIG_H
#define KERNEL_CONFIG_CONFIG_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernel/config/diag.h"
#include "kernel/config/value.h"

enum config_kind {
	CONFIG_MACHINE, CONFIG_CPU, CONFIG_MEMORY, CONFIG_BOOT, CONFIG_DEVICE, CONFIG_BLOCK, CONFIG_MONITOR,
	CONFIG_SANDBOX, CONFIG_KINDS
};

struct config_key {
	const char *name;           /* "at", "hostfwd.1" */
	const char *value;          /* without quotes, substituted; never NULL, never empty */
	const char *dir;            /* relative paths start here */
	struct diag_pos pos;        /* of the name */
	struct diag_pos value_pos;  /* of the first byte of the value, inside the quotes */
	bool verbatim;              /* the value stands so in the file: columns inside it are right */
};

struct config_section {
	enum config_kind kind;
	const char *id;             /* the kind's name where the header has no id */
	const char *label;          /* "device eth0", "machine": for messages */
	struct diag_pos pos;        /* of the first header that named it */
	GPtrArray *keys;            /* struct config_key *, in order of first mention */
	GPtrArray *unset;           /* struct config_key *: named with an empty value, for `check` only */
	bool damaged;               /* a line of it was refused: what seems to be missing may stand there */
};

struct config;

struct config_options {
	const char *const *machine_dirs;   /* where shipped machines are; NULL-terminated */
	const char *const *settings;       /* -s arguments; NULL-terminated, may be NULL */
	const char *const *defines;        /* -D arguments; NULL-terminated, may be NULL */
};

/*
 * Reads a file, or a shipped machine when `name` has no slash and no such file exists (virt-riscv64 or
 * virt-riscv64.ini). Every fault goes to `d`; a configuration comes back even so, for further checks, unless
 * nothing could be read at all (NULL).
 */
struct config *config_load(const char *name, const struct config_options *options, struct diag *d);
void config_destroy(struct config *cfg);

const char *config_file(const struct config *cfg);         /* the file that was read */
const char *config_kind_name(enum config_kind kind);
/* The merged file as text that loads again; with `origins`, each key says where it comes from. */
void config_print(const struct config *cfg, bool origins, FILE *out);
/* The same as an array of {"section", "keys": [{"name", "value", "file", "line", "column"}]}. */
void config_print_json(const struct config *cfg, FILE *out);

size_t config_section_count(const struct config *cfg);
const struct config_section *config_section_at(const struct config *cfg, size_t index);
/* By id; a section without id is found by its kind ("cpu", "boot"). NULL: not there. */
const struct config_section *config_section_find(const struct config *cfg, const char *id);
/* The first section of a kind after `after` (NULL: from the start). */
const struct config_section *config_section_next(const struct config *cfg, enum config_kind kind,
						 const struct config_section *after);
/* The closest id that satisfies `wanted`, for "did you mean", or NULL. */
const char *config_suggest_id(const struct config *cfg, const char *wanted);

/* section.c */
const struct config_key *section_get(const struct config_section *sec, const char *key);
const char *section_get_text(const struct config_section *sec, const char *key, const char *deflt);

/* One element of a list value. */
struct config_item {
	char *text;
	const struct config_key *key;
	size_t offset;              /* of the text in key->value */
};

/*
 * A list: the comma-separated parts of `key`, or key.1, key.2, ... in number order (each one element,
 * not split). Never NULL; empty when the key is not set. Free with g_ptr_array_unref; elements are
 * struct config_item.
 */
GPtrArray *section_get_list(const struct config_section *sec, const char *key);

/* The place of byte `offset` of a key's value (the start of the value when substitution moved it). */
struct diag_pos key_pos_at(const struct config_key *key, size_t offset);
/* Adds an error at a key's value; `fault` may be NULL (then the whole value is marked). */
void key_error(struct diag *d, const struct config_section *sec, const struct config_key *key,
	       const struct value_fault *fault, const char *hint, const char *message);
/* The file a PATH value means; free with g_free. */
char *key_path(const struct config_key *key);

/*
 * Typed reads: true when the key is set and parses; false leaves `out` alone, and adds to `d` (which may be
 * NULL) when the value is set but wrong. So: fill `out` with the default first.
 */
bool section_get_bool(const struct config_section *sec, const char *key, bool *out, struct diag *d);
bool section_get_int(const struct config_section *sec, const char *key, uint64_t *out, struct diag *d);
bool section_get_size(const struct config_section *sec, const char *key, uint64_t *out, struct diag *d);
bool section_get_duration(const struct config_section *sec, const char *key, uint64_t *out_ns,
			  struct diag *d);
bool section_get_mac(const struct config_section *sec, const char *key, uint8_t out[6], struct diag *d);

#endif
