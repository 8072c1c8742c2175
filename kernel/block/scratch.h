/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_BLOCK_SCRATCH_H
#define KERNEL_BLOCK_SCRATCH_H

/*
 * A new folder in `parent` for what is to become `name` there, and its descriptor, which keeps it from those who come
 * after; *path is yours to free. Folders for the same name that killed programs left are removed. A negative errno.
 */
int scratch_make(const char *parent, const char *name, char **path);

#endif
