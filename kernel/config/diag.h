/* SPDX-License-Identifier: MIT */
/*
 * Diagnostics: collects every message of a run, then prints them as a compiler does:
 *
 *   board.ini:31:1: error: [device eth0]: dev-virtio-net has no property 'mcc'
 *      31 | mcc = 52:54:00:12:34:56
 *         | ^~~ did you mean 'mac'?
 *
 * Each call copies what it is given, so that a list outlives the configuration it speaks of.
 * Called from [main] only. A message is lower case and has no final dot.
 */
#ifndef KERNEL_CONFIG_DIAG_H
#define KERNEL_CONFIG_DIAG_H

#include <stdbool.h>
#include <stdio.h>

/* A place in a machine file, or in an argument of -s (file "-s", line = which one). */
struct diag_pos {
	const char *file;      /* as the user wrote it; NULL: nowhere */
	int line, column;      /* from 1; columns count bytes */
	const char *text;      /* the whole source line, for the caret; may be NULL */
};

enum diag_level {
	DIAG_ERROR,            /* the machine cannot be used: exit code 2 */
	DIAG_HOST,             /* an error too, but the host lacks something: exit code 3 */
	DIAG_WARNING,
};

struct diag;

struct diag *diag_create(void);
void diag_destroy(struct diag *d);

/*
 * Adds a message. `width` is how many bytes the caret line marks (at least 1); `section` is "device eth0",
 * without brackets, or NULL; `hint` is the text after the caret, or NULL.
 */
void diag_add(struct diag *d, enum diag_level level, const struct diag_pos *pos, int width,
	      const char *section, const char *hint, const char *format, ...)
	__attribute__((format(printf, 7, 8)));

/* Errors so far (DIAG_ERROR and DIAG_HOST). */
unsigned diag_errors(const struct diag *d);
/* 0 without errors, 3 when the host lacks something and nothing else is wrong, 2 otherwise. */
int diag_exit_code(const struct diag *d);

/* Orders by file of first mention, line, column. The printers call it. */
void diag_sort(struct diag *d);
void diag_print_text(struct diag *d, FILE *out);
/* An array of {"file","line","column","level","section","message","hint"}. */
void diag_print_json(struct diag *d, FILE *out);

#endif
