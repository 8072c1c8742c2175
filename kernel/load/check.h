/* SPDX-License-Identifier: MIT */
/*
 * Holds a merged machine file against the notes of its plugins: everything that can be said before any plugin
 * code runs and any guest memory is allocated. Called from [main].
 */
#ifndef KERNEL_LOAD_CHECK_H
#define KERNEL_LOAD_CHECK_H

#include <stdio.h>

#include "kernel/config/config.h"
#include "kernel/load/loader.h"
#include "kernel/load/registry.h"

/* Adds all faults to `d`. True when it added no error. */
bool check_run(const struct config *cfg, struct registry *reg, struct diag *d);

/* Holds the files of the plugins that the machine names against the gate (loader_examine). */
bool check_gate(const struct config *cfg, struct registry *reg, struct loader *loader, struct diag *d);

/* The property of a class that a key of the file sets ("hostfwd.1" sets the list "hostfwd"), or NULL. */
const struct note_prop *check_prop_of_key(const struct note_class *cls, const char *key);

/* The address and interrupt map that the file gives, as a table. */
void check_print_map(const struct config *cfg, struct registry *reg, FILE *out);
/* The same as an object {"regions": [...], "interrupts": [...]}. */
void check_print_map_json(const struct config *cfg, struct registry *reg, FILE *out);

#endif
