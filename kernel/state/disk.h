/* SPDX-License-Identifier: MIT */
/*
 * The disks of a snapshot. Their contents are not in it; what is noted is which files they were and when these were
 * last written, so that a restore onto a file that was written since is refused. [main].
 */
#ifndef KERNEL_STATE_DISK_H
#define KERNEL_STATE_DISK_H

#include "kernel/machine/machine.h"
#include "kernel/state/manifest.h"

/* Notes the files of all block sections. Paused and flushed. */
void disks_note(const struct machine *m, struct manifest *man);
/* Before anything is opened: refuses files that changed, and warns of others whose contents nobody can tell. */
int disks_check(struct machine *m, const struct manifest *man, struct mt_error *err);
/* One that still is the file it was must not have been written since. *other: it is another file, or none. */
int disk_unchanged(const struct manifest_disk *disk, const char *path, bool *other, struct mt_error *err);

#endif
