/* SPDX-License-Identifier: MIT */
/*
 * The scanner of machine files: text -> headers, keys and values with positions, and a complaint about
 * everything that iniparser would swallow. It knows the grammar only; which sections and keys exist is
 * known elsewhere. All faults of a text are found in one pass; any bytes are legal input.
 */
#ifndef KERNEL_CONFIG_INI_H
#define KERNEL_CONFIG_INI_H

#include <glib.h>
#include <stdbool.h>

#include "kernel/config/diag.h"

/* iniparser gives up on the whole file at 1024 bytes a line; the merged text adds a few to each. */
#define INI_LINE_MAX 1000

struct ini_key {
	char *name, *value;            /* value without its quotes; "" unsets */
	struct diag_pos pos, value_pos;
};

struct ini_section {
	char *kind, *id;               /* id NULL: header of one word */
	struct diag_pos pos;
	GPtrArray *keys;               /* struct ini_key * */
	bool bad;                      /* the header had a fault: its keys are scanned for grammar only */
	bool damaged;                  /* a line in it had a fault */
};

struct ini_file {
	char *name;                    /* as shown in messages */
	GPtrArray *lines;              /* char *; positions point into them */
	GPtrArray *sections;           /* struct ini_section * */
};

/* Never NULL; sections and keys that had a fault are left out. */
struct ini_file *ini_scan(const char *name, const char *text, size_t len, struct diag *d);
void ini_free(struct ini_file *file);

/*
 * A value in the form that every iniparser reads back as the same text: bare, in double or in single quotes.
 * NULL when there is no such form (it holds both kinds of quotes and a comment mark, say). Free with g_free.
 */
char *ini_quote(const char *value);

/* Why a text from the command line cannot be a value, or NULL. */
const char *ini_text_fault(const char *value);

/* Whether a name may be a key: [a-z][a-z0-9._-]*. */
bool ini_key_is_legal(const char *name);
/* Whether a name may be an id: [a-z][a-z0-9_-]*. */
bool ini_id_is_legal(const char *name);

#endif
