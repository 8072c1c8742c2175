/* SPDX-License-Identifier: MIT */
/*
 * The gate: the only place where plugin code enters the process. Before the file is opened for running, its
 * note, its interfaces and its undefined symbols have been checked; while it loads, fatal signals are caught
 * and blamed on it by name. What is loaded stays resident, and is loaded once in a process, whatever the
 * number of machines. Called from [main].
 */
#ifndef KERNEL_LOAD_LOADER_H
#define KERNEL_LOAD_LOADER_H

#include <mortise/plugin.h>
#include "kernel/load/registry.h"

struct loader;

/* `host` lives as long as the process. */
struct loader *loader_create(const struct mt_host *host);
void loader_destroy(struct loader *loader);
/* The ids that `host` offers, NULL-terminated; kept by reference. Without it nothing is offered. */
void loader_set_interfaces(struct loader *loader, const char *const *ids);

/*
 * The gate without running code: interfaces and symbols. 0, or a negative code with `err` filled. `check`
 * and `plugins` call it; loader_load does by itself.
 */
int loader_examine(struct loader *loader, const struct registry_entry *entry, struct mt_error *err);

/* Loads the file. NULL with `err` filled: file, field, wanted, offered, and the remedy as hint. */
const struct mt_plugin *loader_load(struct loader *loader, const struct registry_entry *entry,
				    struct mt_error *err);
/* All that a machine needs is loaded: gives back what is kept from one file to the next. */
void loader_rest(struct loader *loader);

#endif
