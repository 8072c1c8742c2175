// SPDX-License-Identifier: MIT
/*
 * References between sections: that the target is there and plays the role, that an interrupt input has one
 * source, that nothing refers to itself in a circle. Part of `check`; called from [main].
 */
#include <mortise/draft/block-format.h>
#include <mortise/draft/char.h>
#include <mortise/draft/net.h>
#include <mortise/draft/virtio.h>
#include <string.h>

#include "kernel/load/check-parts.h"
#include "kernel/load/note-rules.h"

/* One reference: a section, and the key that leads to another. */
struct check_edge {
	const struct config_section *from, *to;
	const struct config_key *key;
};

static void check_tell_target(struct check *c, const struct check_use *use, const char *id, size_t offset)
{
	const char *close = config_suggest_id(c->cfg, id);
	const struct config_section *near = close ? config_section_find(c->cfg, close) : NULL;
	struct value_fault fault = { .at = offset, .len = strlen(id) };
	char *hint = NULL, place[256];

	if (near) {
		check_place(place, &use->key->value_pos, &near->pos);
		hint = g_strdup_printf("did you mean '%s'%s?", close, place);
	}
	g_snprintf(fault.message, sizeof(fault.message), "no section has the id '%.64s'", id);
	key_error(c->d, use->sec, use->key, &fault, hint, NULL);
	g_free(hint);
}

/* The section that a value names, playing `role`; NULL after an error, or when it cannot be known. */
static const struct config_section *check_target(struct check *c, const struct check_use *use, const char *id,
						 size_t offset, const char *role)
{
	const struct config_section *to = config_section_find(c->cfg, id);
	const struct note_class *cls = to ? check_class_of(c, to) : NULL;
	struct value_fault fault = { .at = offset, .len = strlen(id) };

	if (!to) {
		check_tell_target(c, use, id, offset);
		return NULL;
	}
	if (to == use->sec) {
		key_error(c->d, use->sec, use->key, &fault, NULL, "a section cannot refer to itself");
		return NULL;
	}
	if (cls && *role && !value_word_in(cls->roles, role)) {
		g_snprintf(fault.message, sizeof(fault.message), "[%.64s] does not play the role %.64s", to->label,
			   role);
		char *hint = *cls->roles ? g_strdup_printf("it plays %s", cls->roles) : NULL;

		key_error(c->d, use->sec, use->key, &fault, hint, NULL);
		g_free(hint);
		return NULL;
	}
	return to;
}

static void check_edge_add(GArray *edges, const struct check_use *use, const struct config_section *to)
{
	struct check_edge edge = { use->sec, to, use->key };

	if (to)
		g_array_append_val(edges, edge);
}

/* Roles that serve one section: who comes second is told who was first. */
static const char check_single_roles[] = MT_IFACE_CHAR " " MT_IFACE_NET " " MT_IFACE_VIRTIO_BUS " "
	MT_IFACE_BLOCK_FORMAT;

static void check_sharing(struct check *c, const struct check_use *use, const struct config_section *to,
			  GHashTable *taken)
{
	const struct check_use *first;
	struct value_fault fault = { .at = 0, .len = strlen(use->key->value) };
	char place[256];

	if (!to || !*use->prop->range || !value_word_in(check_single_roles, use->prop->range))
		return;
	first = g_hash_table_lookup(taken, to);
	if (!first) {
		g_hash_table_insert(taken, (void *)to, (void *)use);
		return;
	}
	check_place(place, &use->key->value_pos, &first->key->pos);
	g_snprintf(fault.message, sizeof(fault.message), "[%.60s] is taken by [%.60s]%.60s", to->label,
		   first->sec->label, place);
	key_error(c->d, use->sec, use->key, &fault, "each needs its own", NULL);
}

static void check_ref_edges(struct check *c, GArray *edges)
{
	GArray *uses = check_uses_of(c, MT_PROP_REF);
	GHashTable *taken = g_hash_table_new(NULL, NULL);
	const struct config_section *to;

	for (unsigned i = 0; i < uses->len; i++) {
		const struct check_use *use = &g_array_index(uses, struct check_use, i);
		struct value_fault fault;

		/* [machine] name has the spelling of an id and refers to nothing. */
		if ((use->sec->kind == CONFIG_MACHINE && !strcmp(use->key->name, "name")) ||
		    !note_value_check(use->prop, use->key->value, &fault))
			continue;
		to = check_target(c, use, use->key->value, 0, use->prop->range);
		check_edge_add(edges, use, to);
		check_sharing(c, use, to, taken);
	}
	g_hash_table_unref(taken);
	g_array_unref(uses);
}

/* Interrupts */

static void check_irq_source(struct check *c, const struct check_use *use, const struct config_item *item,
			     uint64_t input, const char *id, GHashTable *sources)
{
	char *name = g_strdup_printf("%s:%" G_GUINT64_FORMAT, id, input);
	const struct check_use *other = g_hash_table_lookup(sources, name);
	struct value_fault fault = { .at = item->offset, .len = strlen(item->text) };
	char place[256];

	if (other) {
		check_place(place, &use->key->value_pos, &other->key->pos);
		g_snprintf(fault.message, sizeof(fault.message), "%.80s is taken by [%.64s]%.40s", name,
			   other->sec->label, place);
		key_error(c->d, use->sec, use->key, &fault, NULL, NULL);
		g_free(name);
	} else {
		g_hash_table_insert(sources, name, (void *)use);
	}
}

static void check_irq_count(struct check *c, const struct check_use *use, unsigned count)
{
	uint64_t wanted = 1;
	char message[128];

	value_parse_int(use->prop->range, &wanted, NULL);
	if (count == wanted)
		return;
	g_snprintf(message, sizeof(message), "%u interrupt input%s; %s has %" G_GUINT64_FORMAT, count,
		   count == 1 ? "" : "s", section_get_text(use->sec, "plugin", ""), wanted);
	key_error(c->d, use->sec, use->key, NULL, NULL, message);
}

static void check_irq_key(struct check *c, const struct check_use *use, GHashTable *sources, GArray *edges)
{
	GPtrArray *items = section_get_list(use->sec, use->prop->name);
	struct value_fault fault;
	uint64_t input;
	char id[64];

	for (unsigned i = 0; i < items->len; i++) {
		const struct config_item *item = items->pdata[i];

		if (item->key != use->key || !value_parse_irq(item->text, id, &input, &fault))
			continue;
		const struct config_section *to = check_target(c, use, id, item->offset, CHECK_ROLE_IRQ);

		check_edge_add(edges, use, to);
		if (to)
			check_irq_source(c, use, item, input, id, sources);
	}
	/* Numbered keys are counted once, at the last of them. */
	if (items->len && ((struct config_item *)items->pdata[items->len - 1])->key == use->key)
		check_irq_count(c, use, items->len);
	g_ptr_array_unref(items);
}

/* Circles */

struct check_walk {
	struct check *c;
	const GArray *edges;
	GHashTable *state;             /* section -> 1 on the way, 2 done */
	GPtrArray *way;                /* struct check_edge *: how we came here */
};

static void check_tell_circle(struct check_walk *w, const struct check_edge *closing)
{
	GString *text = g_string_new("references go round:");
	char place[256];
	unsigned start = w->way->len;

	while (start > 0 && ((struct check_edge *)w->way->pdata[start - 1])->to != closing->to)
		start--;
	for (unsigned i = start; i <= w->way->len; i++) {
		const struct check_edge *edge = i < w->way->len ? w->way->pdata[i] : closing;

		check_place(place, &closing->key->pos, &edge->key->pos);
		g_string_append_printf(text, "%s %s.%s = %s%s", i > start ? "," : "", edge->from->id,
				       edge->key->name, edge->to->id, place);
	}
	diag_add(w->c->d, DIAG_ERROR, &closing->key->value_pos, (int)strlen(closing->key->value),
		 closing->from->label, NULL, "%s", text->str);
	g_string_free(text, TRUE);
}

/* Depth is bounded by the number of sections of files of 1 MiB; way below what a stack holds. */
static void check_walk_from(struct check_walk *w, const struct config_section *sec)
{
	g_hash_table_insert(w->state, (void *)sec, GINT_TO_POINTER(1));
	for (unsigned i = 0; i < w->edges->len; i++) {
		const struct check_edge *edge = &g_array_index(w->edges, struct check_edge, i);
		int state = GPOINTER_TO_INT(g_hash_table_lookup(w->state, edge->to));

		if (edge->from != sec)
			continue;
		if (state == 1)
			check_tell_circle(w, edge);
		if (state)
			continue;
		g_ptr_array_add(w->way, (void *)edge);
		check_walk_from(w, edge->to);
		g_ptr_array_remove_index(w->way, w->way->len - 1);
	}
	g_hash_table_insert(w->state, (void *)sec, GINT_TO_POINTER(2));
}

static void check_circles(struct check *c, const GArray *edges)
{
	struct check_walk w = { c, edges, g_hash_table_new(NULL, NULL), g_ptr_array_new() };

	for (unsigned i = 0; i < edges->len; i++) {
		const struct check_edge *edge = &g_array_index(edges, struct check_edge, i);

		if (!g_hash_table_lookup(w.state, edge->from))
			check_walk_from(&w, edge->from);
	}
	g_ptr_array_unref(w.way);
	g_hash_table_unref(w.state);
}

void check_refs(struct check *c)
{
	GArray *edges = g_array_new(FALSE, FALSE, sizeof(struct check_edge));
	GArray *irqs = check_uses_of(c, MT_PROP_IRQ);
	GHashTable *sources = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	check_ref_edges(c, edges);
	for (unsigned i = 0; i < irqs->len; i++)
		check_irq_key(c, &g_array_index(irqs, struct check_use, i), sources, edges);
	check_circles(c, edges);
	g_hash_table_unref(sources);
	g_array_unref(irqs);
	g_array_unref(edges);
}
