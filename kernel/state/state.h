/* SPDX-License-Identifier: MIT */
/*
 * Snapshots: a machine written into a folder, and a machine that goes on from one. [main].
 *
 * A snapshot holds the effective machine file, RAM, guest time, the kernel's and every instance's state; not the
 * contents of disks, which are flushed and must not change until it is restored. What is loaded is untrusted: it is
 * refused, or the machine is sound.
 */
#ifndef KERNEL_STATE_STATE_H
#define KERNEL_STATE_STATE_H

#include "kernel/machine/machine.h"

/*
 * Saves a machine into the new folder `dir`; it was started, or at least reset or loaded. A running one is paused
 * meanwhile and goes on, whatever comes of it; others stay as they are. On failure nothing is left of `dir`.
 */
int machine_snapshot(struct machine *m, const char *dir, struct mt_error *err);

/* NULL with `err`: no snapshot, or a damaged one. */
struct snapshot *snapshot_open(const char *dir, struct mt_error *err);
void snapshot_close(struct snapshot *snap);
/* The machine file in it: a path for config_load that is good while the snapshot is open. */
const char *snapshot_machine_file(const struct snapshot *snap);
/* Reads all of it: checksums of every file and of RAM, and whether disks are still what they were. */
int snapshot_verify(const struct snapshot *snap, struct mt_error *err);
/*
 * Before realize: holds the machine against the snapshot, and lets it take its RAM from there. The machine must go
 * before the snapshot is closed.
 */
int snapshot_bind(struct snapshot *snap, struct machine *m, struct mt_error *err);
/* After realize, in place of the first reset. On failure only machine_destroy is left. */
int snapshot_load(struct snapshot *snap, struct machine *m, struct mt_error *err);

#endif
