/* SPDX-License-Identifier: MIT */
/*
 * Inside of a configuration, for the files that make one: config.c, merge.c, settings.c, values.c.
 * Everyone else reads it through config.h.
 */
#ifndef KERNEL_CONFIG_MERGE_H
#define KERNEL_CONFIG_MERGE_H

#include "kernel/config/config.h"
#include "kernel/config/layers.h"

struct config {
	struct layers *layers;         /* owns the lines that positions point into */
	GPtrArray *sections;           /* struct merge_section * */
	GPtrArray *strings;            /* what else positions point into */
	struct diag *d;                /* while loading only */
	unsigned layer;                /* the layer being merged, from 1 */
};

struct merge_section {
	struct config_section pub;
	char *owned_id, *owned_label;
	bool gone;                     /* its plugin was unset */
};

struct merge_key {
	struct config_key pub;
	char *owned_name, *owned_value, *owned_dir;
	unsigned layer;                /* which layer set it */
};

/* A key of one layer on its way in. */
struct merge_item {
	const char *name, *value, *dir;
	struct diag_pos pos, value_pos;
};

/* merge.c: adds one layer over what is there. */
void merge_layer(struct config *cfg, const struct layer *layer);
struct merge_section *merge_section_add(struct config *cfg, enum config_kind kind, const char *id,
					const struct diag_pos *pos);
void merge_item(struct config *cfg, struct merge_section *sec, const struct merge_item *item);
struct merge_section *merge_section_find(const struct config *cfg, const char *id);
void merge_section_free(void *sec);

/* settings.c: -s ID.KEY=VALUE, the last layer. */
void settings_apply(struct config *cfg, const char *const *settings);

/* values.c: the values as iniparser gives them. */
void values_read(struct config *cfg);

#endif
