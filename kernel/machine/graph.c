/* SPDX-License-Identifier: MIT */
/*
 * The order of sections, by depth-first search over what REF and IRQ properties name. [main], no state.
 * Easy to break: the order in which things come to life and the rank of their locks differ for a `bus`: it is
 * realized before its devices, but calls into them while it holds its own lock.
 */
#include "kernel/machine/graph.h"

#include <string.h>

#include "kernel/machine/fault.h"

enum { MARK_NONE, MARK_OPEN, MARK_DONE };

static struct graph_node *node_find(const struct graph *g, const char *id)
{
	for (unsigned i = 0; i < g->nodes->len; i++) {
		struct graph_node *node = g_ptr_array_index(g->nodes, i);

		if (!strcmp(node->section->id, id))
			return node;
	}
	return NULL;
}

static void node_free(void *data)
{
	struct graph_node *node = data;

	g_array_unref(node->edges);
	g_free(node);
}

static void node_add(struct graph *g, const struct config_section *section, const struct note_class *cls)
{
	struct graph_node *node = g_new0(struct graph_node, 1);

	node->section = section;
	node->cls = cls;
	node->edges = g_array_new(FALSE, FALSE, sizeof(struct graph_edge));
	g_ptr_array_add(g->nodes, node);
}

static void edge_add(struct graph *g, struct graph_node *node, const char *id, const struct config_key *key,
		     const struct note_prop *prop)
{
	bool ref = prop->type == MT_PROP_REF;
	struct graph_edge edge = { node_find(g, id), key, ref, ref && !strcmp(prop->name, "bus") };

	if (edge.to)
		g_array_append_val(node->edges, edge);
}

static void edges_of_irq(struct graph *g, struct graph_node *node, const struct note_prop *prop)
{
	GPtrArray *items = section_get_list(node->section, prop->name);

	for (unsigned i = 0; i < items->len; i++) {
		const struct config_item *item = g_ptr_array_index(items, i);
		uint64_t input;
		char id[64];

		if (value_parse_irq(item->text, id, &input, NULL))
			edge_add(g, node, id, item->key, prop);
	}
	g_ptr_array_unref(items);
}

static void edges_read(struct graph *g, struct graph_node *node)
{
	for (size_t i = 0; i < node->cls->prop_count; i++) {
		const struct note_prop *prop = &node->cls->props[i];
		const struct config_key *key = section_get(node->section, prop->name);

		if (prop->type == MT_PROP_REF && key)
			edge_add(g, node, key->value, key, prop);
		else if (prop->type == MT_PROP_IRQ)
			edges_of_irq(g, node, prop);
	}
}

struct graph *graph_create(const struct config *cfg, graph_class_fn class_of, void *arg)
{
	struct graph *g = g_new0(struct graph, 1);

	g->nodes = g_ptr_array_new_with_free_func(node_free);
	g->order = g_ptr_array_new();
	for (size_t i = 0; i < config_section_count(cfg); i++) {
		const struct config_section *section = config_section_at(cfg, i);
		const struct note_class *cls = class_of(arg, section);

		if (cls)
			node_add(g, section, cls);
	}
	for (unsigned i = 0; i < g->nodes->len; i++)
		edges_read(g, g_ptr_array_index(g->nodes, i));
	return g;
}

void graph_destroy(struct graph *g)
{
	if (!g)
		return;
	g_ptr_array_unref(g->order);
	g_ptr_array_unref(g->nodes);
	g_free(g);
}

/* The first edge of the circle: from the named node to the next on the walk's path. */
static const struct graph_edge *circle_first(const GPtrArray *path, const struct graph_edge *closing)
{
	for (unsigned i = 0; i + 1 < path->len; i++) {
		const struct graph_node *node = g_ptr_array_index(path, i);

		for (unsigned e = 0; node == closing->to && e < node->edges->len; e++) {
			const struct graph_edge *edge = &g_array_index(node->edges, struct graph_edge, e);

			if (edge->to == g_ptr_array_index(path, i + 1))
				return edge;
		}
	}
	return closing;
}

static void circle_report(const GPtrArray *path, const struct graph_edge *closing, struct mt_error *err)
{
	const struct graph_node *last = g_ptr_array_index(path, path->len - 1);
	const struct graph_edge *first = circle_first(path, closing);
	const struct diag_pos *pos = &closing->key->pos, *other = &first->key->pos;

	if (!err || err->code)
		return;
	fault_set(err, MT_EINVAL, closing->key->name, NULL,
		  "%s:%d:%d: error: [%s]: '%s' closes a circle with '%s' of [%s] (%s:%d): none can come first",
		  pos->file ? pos->file : "?", pos->line, pos->column, last->section->label, closing->key->name,
		  first->key->name, closing->to->section->label, other->file ? other->file : "?", other->line);
}

/* Depth is bounded by the number of sections, and that by the size of a file (see check.c). */
static bool visit(struct graph *g, struct graph_node *node, GPtrArray *path, struct mt_error *err)
{
	bool fine = true;

	node->mark = MARK_OPEN;
	g_ptr_array_add(path, node);
	for (unsigned i = 0; i < node->edges->len; i++) {
		const struct graph_edge *edge = &g_array_index(node->edges, struct graph_edge, i);

		if (edge->to->mark == MARK_OPEN) {
			circle_report(path, edge, err);
			fine = false;
		} else if (edge->to->mark == MARK_NONE) {
			fine &= visit(g, edge->to, path, err);
		}
	}
	g_ptr_array_set_size(path, path->len - 1);
	node->mark = MARK_DONE;
	g_ptr_array_add(g->order, node);
	return fine;
}

static bool visit_kinds(struct graph *g, GPtrArray *path, bool (*wanted)(uint32_t kind), struct mt_error *err)
{
	bool fine = true;

	for (unsigned i = 0; i < g->nodes->len; i++) {
		struct graph_node *node = g_ptr_array_index(g->nodes, i);

		if (node->mark == MARK_NONE && wanted(node->cls->kind))
			fine &= visit(g, node, path, err);
	}
	return fine;
}

static bool is_cpu(uint32_t kind) { return kind == MT_KIND_CPU; }
static bool is_middle(uint32_t kind) { return kind != MT_KIND_CPU && kind != MT_KIND_BOOT; }
static bool is_boot(uint32_t kind) { return kind == MT_KIND_BOOT; }

/* What a node that holds its lock may call: what it names, or, for a bus, the devices that name it. */
static void rank_visit(struct graph *g, struct graph_node *node, unsigned *next)
{
	node->mark = MARK_OPEN;
	for (unsigned i = 0; i < node->edges->len; i++) {
		const struct graph_edge *edge = &g_array_index(node->edges, struct graph_edge, i);

		if (!edge->bus && edge->to->mark == MARK_NONE)
			rank_visit(g, edge->to, next);
	}
	for (unsigned n = 0; n < g->nodes->len; n++) {
		struct graph_node *other = g_ptr_array_index(g->nodes, n);

		for (unsigned i = 0; i < other->edges->len && other->mark == MARK_NONE; i++) {
			const struct graph_edge *edge = &g_array_index(other->edges, struct graph_edge, i);

			if (edge->bus && edge->to == node)
				rank_visit(g, other, next);
		}
	}
	node->mark = MARK_DONE;
	node->rank = (*next)++;
}

static void rank_all(struct graph *g)
{
	unsigned next = 0;

	for (unsigned i = 0; i < g->nodes->len; i++)
		((struct graph_node *)g_ptr_array_index(g->nodes, i))->mark = MARK_NONE;
	for (unsigned i = 0; i < g->order->len; i++) {
		struct graph_node *node = g_ptr_array_index(g->order, i);

		if (node->mark == MARK_NONE)
			rank_visit(g, node, &next);
	}
}

bool graph_sort(struct graph *g, struct mt_error *err)
{
	GPtrArray *path = g_ptr_array_new();
	bool fine;

	if (err)
		err->code = 0;
	g_ptr_array_set_size(g->order, 0);
	for (unsigned i = 0; i < g->nodes->len; i++)
		((struct graph_node *)g_ptr_array_index(g->nodes, i))->mark = MARK_NONE;
	fine = visit_kinds(g, path, is_cpu, err);
	fine &= visit_kinds(g, path, is_middle, err);
	fine &= visit_kinds(g, path, is_boot, err);
	g_ptr_array_unref(path);
	rank_all(g);
	return fine;
}
