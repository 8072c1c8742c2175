/* SPDX-License-Identifier: MIT */
/*
 * The machine file of a snapshot: what the machine was made from, with paths that mean the same from every folder, and
 * what of it may be set anew at a restore. [main].
 */
#ifndef KERNEL_STATE_SHAPE_H
#define KERNEL_STATE_SHAPE_H

#include <stdio.h>

#include "kernel/machine/machine.h"

/* Prints the machine file; it loads again. */
void shape_print(const struct machine *m, FILE *out);
/*
 * Refuses a machine whose file differs from the saved one in what its guest has seen: sections, [machine] but for its
 * name, and properties that are addresses, interrupts or references. `saved` is the saved file without settings.
 */
int shape_check(const struct machine *m, const struct config *saved, struct mt_error *err);

/* What the section of a disk has to say for the images that it has now: plugin, file, folders. */
void shape_print_disk(struct mt_inst *inst, FILE *out);

#endif
