/* SPDX-License-Identifier: MIT */
/*
 * Checksums of the contents of RAM, one a chunk, in a file of their own. They are made from the file while the machine
 * runs again, and looked at on demand: a restore maps RAM and reads none of it. [main].
 */
#ifndef KERNEL_STATE_SUMS_H
#define KERNEL_STATE_SUMS_H

#include "kernel/state/dir.h"
#include "kernel/state/manifest.h"

/* Adds the file for a memory that has been written; fills its entry. */
int sums_write(struct state_dir *dir, struct manifest_memory *memory, struct mt_error *err);
/* Reads all of a memory. 0, or a negative code with the place of the damage in `err`. */
int sums_check(int dir_fd, const struct manifest_memory *memory, struct mt_error *err);

#endif
