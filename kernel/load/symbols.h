/* SPDX-License-Identifier: MIT */
/*
 * Whether a plugin's undefined symbols can be bound, before the dynamic linker tries: libltdl often says no
 * more than "file not found" where a symbol, a library or a version of one is missing. Any thread.
 */
#ifndef KERNEL_LOAD_SYMBOLS_H
#define KERNEL_LOAD_SYMBOLS_H

#include <mortise/error.h>

/* What was read of libraries that the process has, for one plugin after the other. */
struct symbols;
struct symbols *symbols_create(void);
void symbols_destroy(struct symbols *symbols);

/* 0, or MT_EHOST (a library or version that the host lacks), MT_EINVAL (a symbol that belongs to nothing). */
int symbols_check(struct symbols *symbols, const char *path, struct mt_error *err);

#endif
