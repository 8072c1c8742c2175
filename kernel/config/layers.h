/* SPDX-License-Identifier: MIT */
/*
 * Which files make up a machine, and in which order: `base` and `include.N` stand before the file that names
 * them, the files of FILE.d after it. Also -D and ${...}, because the names of included files may hold them.
 */
#ifndef KERNEL_CONFIG_LAYERS_H
#define KERNEL_CONFIG_LAYERS_H

#include "kernel/config/config.h"
#include "kernel/config/ini.h"

#define LAYERS_DEPTH_MAX 8
#define LAYERS_FILE_MAX (1u << 20)

struct layer {
	struct ini_file *file;
	char *path, *dir;              /* absolute */
	bool done;                     /* false while its own base and includes are being read */
	const struct layer *parent;    /* who named it, and where */
	struct diag_pos parent_pos;
};

struct layers {
	const struct config_options *options;
	struct diag *d;
	GPtrArray *files;              /* struct layer *, each file once */
	GPtrArray *order;              /* struct layer *, weakest first; a file may stand in it twice */
	GPtrArray *defines;            /* struct layers_define * */
};

struct layers *layers_load(const char *name, const struct config_options *options, struct diag *d);
void layers_free(struct layers *l);
/* The machine file itself; NULL when it could not be read. */
const struct layer *layers_main(const struct layers *l);

/* substitute.c */
void layers_init_defines(struct layers *l);
void layers_fini_defines(struct layers *l);

/*
 * `value` with ${dir} and ${NAME} put in; NULL after an error. Free with g_free. `section` for messages,
 * `dir` NULL: ${dir} has no meaning here.
 */
char *layers_substitute(struct layers *l, const char *value, const char *dir, const struct diag_pos *pos,
			const char *section);
/* Complains about -D that nothing used. */
void layers_check_defines(struct layers *l);

/* Whether [machine] KEY says which files to read, and is gone after that. */
bool layers_owns_key(const char *key);

#endif
