/* SPDX-License-Identifier: MIT */
/* Plugin files made in a test, from a few lines of C and the options that make them good or bad. */
#ifndef KERNEL_CONFIG_TEST_BUILD_H
#define KERNEL_CONFIG_TEST_BUILD_H

#include <stddef.h>

/* One plugin to build: a good one, but for what is said. */
struct build_plugin {
	const char *name;      /* NAME.so, class NAME */
	const char *requires;  /* interface ids */
	const char *code;      /* further C, before the entry; may define ENTRY_BODY to replace the entry's */
	const char *flags;     /* further options of the compiler, after the usual ones */
	int abi_major;         /* 0: of the headers */
	int no_note;
};

/* A scratch folder for the process, removed at exit. */
const char *build_dir(void);
/* Builds the file; returns its path, which the caller frees with g_free. Fails the test when cc fails. */
char *build_plugin(const struct build_plugin *plugin);
/* Builds SOURCE_DIR/tests/ini/plugins/NAME.c. */
void build_corpus_plugin(const char *name);
/* A file with these bytes. */
char *build_file(const char *name, const void *bytes, size_t len);

#endif
