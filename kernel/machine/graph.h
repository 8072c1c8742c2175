/* SPDX-License-Identifier: MIT */
/*
 * The order in which the sections of a machine come to life: whatever a REF or IRQ property names comes
 * before the section that names it (a back end before its front, a bus before its device). Works on notes
 * alone. `check` has told of circles already, with the whole way round; here one is refused. [main].
 */
#ifndef KERNEL_MACHINE_GRAPH_H
#define KERNEL_MACHINE_GRAPH_H

#include <mortise/error.h>

#include "kernel/config/config.h"
#include "kernel/load/note.h"

struct graph_node;

struct graph_edge {
	struct graph_node *to;              /* what is named */
	const struct config_key *key;       /* by this key */
	bool ref, bus;                      /* a REF property; the one called "bus" */
};

struct graph_node {
	const struct config_section *section;
	const struct note_class *cls;
	GArray *edges;                      /* of struct graph_edge, in the note's order */
	unsigned rank;                      /* of its lock: above what it may call while it holds it */
	unsigned mark;                      /* graph.c's */
};

struct graph {
	GPtrArray *nodes;                   /* of struct graph_node, in file order */
	GPtrArray *order;                   /* the same, what is needed first; set by graph_sort */
};

/* The class of a section; NULL: the section has none (it is left out), or it was already refused. */
typedef const struct note_class *(*graph_class_fn)(void *arg, const struct config_section *section);

/* Reads the edges. Names of sections that are not there, or have no class, are left to `check`. */
struct graph *graph_create(const struct config *cfg, graph_class_fn class_of, void *arg);
void graph_destroy(struct graph *g);
/*
 * Fills `order` and ranks: cpu sections first, boot sections last, else file order where nothing forbids it.
 * False when there is a circle, with the first one's two lines in `err`.
 */
bool graph_sort(struct graph *g, struct mt_error *err);

#endif
