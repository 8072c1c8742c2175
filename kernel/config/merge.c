// SPDX-License-Identifier: MIT
/*
 * Lays one file over what the weaker ones said: key by key, an empty value unsets, unsetting `plugin` takes
 * the section away. A list set whole replaces numbered keys of weaker layers, and the other way round; in one
 * layer both together are an error. Called from [main].
 */
#include "kernel/config/merge.h"

#include <string.h>

#include "kernel/config/suggest.h"

/* Whether headers of a kind carry an id. */
static const struct merge_kind {
	const char *name;
	bool may_have_id, must_have_id;
} merge_kinds[CONFIG_KINDS] = {
	[CONFIG_MACHINE] = { "machine", false, false },
	[CONFIG_CPU] = { "cpu", true, false },
	[CONFIG_MEMORY] = { "memory", true, true },
	[CONFIG_BOOT] = { "boot", false, false },
	[CONFIG_DEVICE] = { "device", true, true },
	[CONFIG_BLOCK] = { "block", true, true },
	[CONFIG_MONITOR] = { "monitor", false, false },
	[CONFIG_SANDBOX] = { "sandbox", false, false },
};

const char *config_kind_name(enum config_kind kind)
{
	return merge_kinds[kind].name;
}

static int merge_kind_find(const char *name)
{
	for (int i = 0; i < CONFIG_KINDS; i++)
		if (!strcmp(merge_kinds[i].name, name))
			return i;
	return -1;
}

/* Sections */

static void merge_key_free(void *data)
{
	struct merge_key *key = data;

	g_free(key->owned_name);
	g_free(key->owned_value);
	g_free(key->owned_dir);
	g_free(key);
}

void merge_section_free(void *data)
{
	struct merge_section *sec = data;

	g_ptr_array_unref(sec->pub.keys);
	g_ptr_array_unref(sec->pub.unset);
	g_free(sec->owned_id);
	g_free(sec->owned_label);
	g_free(sec);
}

struct merge_section *merge_section_find(const struct config *cfg, const char *id)
{
	for (unsigned i = 0; i < cfg->sections->len; i++) {
		struct merge_section *sec = cfg->sections->pdata[i];

		if (!strcmp(sec->pub.id, id))
			return sec;
	}
	return NULL;
}

struct merge_section *merge_section_add(struct config *cfg, enum config_kind kind, const char *id,
					const struct diag_pos *pos)
{
	struct merge_section *sec = g_new0(struct merge_section, 1);
	const char *kind_name = merge_kinds[kind].name;

	sec->owned_id = g_strdup(id ? id : kind_name);
	sec->owned_label = id ? g_strconcat(kind_name, " ", id, NULL) : g_strdup(kind_name);
	sec->pub.kind = kind;
	sec->pub.id = sec->owned_id;
	sec->pub.label = sec->owned_label;
	sec->pub.pos = *pos;
	sec->pub.keys = g_ptr_array_new_with_free_func(merge_key_free);
	sec->pub.unset = g_ptr_array_new_with_free_func(merge_key_free);
	g_ptr_array_add(cfg->sections, sec);
	return sec;
}

static void merge_tell_kind(struct config *cfg, const struct ini_section *from)
{
	struct diag_pos pos = from->pos;
	struct suggest s;
	char hint[160];

	suggest_init(&s, from->kind);
	for (int i = 0; i < CONFIG_KINDS; i++)
		suggest_add(&s, merge_kinds[i].name);
	pos.column++;
	diag_add(cfg->d, DIAG_ERROR, &pos, (int)strlen(from->kind), NULL, suggest_hint(&s, hint),
		 "there is no section kind '%s'", from->kind);
}

static bool merge_check_id(struct config *cfg, const struct ini_section *from, const struct merge_kind *kind)
{
	struct diag_pos pos = from->pos;
	const char *id = from->id;
	char *hint = NULL;

	pos.column += id ? (int)strlen(kind->name) + 2 : 1;
	if (!id && kind->must_have_id) {
		hint = g_strdup_printf("write [%s NAME]", kind->name);
		diag_add(cfg->d, DIAG_ERROR, &pos, (int)strlen(kind->name), NULL, hint, "[%s] needs an id",
			 kind->name);
		g_free(hint);
		return false;
	}
	if (id && !kind->may_have_id)
		diag_add(cfg->d, DIAG_ERROR, &pos, (int)strlen(id), NULL, NULL, "[%s] stands once and has no id",
			 kind->name);
	else if (id && merge_kind_find(id) >= 0)
		diag_add(cfg->d, DIAG_ERROR, &pos, (int)strlen(id), NULL, "choose another id",
			 "'%s' is the name of a section kind", id);
	else if (id && strlen(id) > 63)
		diag_add(cfg->d, DIAG_ERROR, &pos, (int)strlen(id), NULL, NULL, "an id has 63 letters at most");
	else
		return true;
	return false;
}

/* The section that a header means, made where there is none; NULL after an error. */
static struct merge_section *merge_section_open(struct config *cfg, const struct ini_section *from)
{
	int kind = merge_kind_find(from->kind);

	if (kind < 0) {
		merge_tell_kind(cfg, from);
		return NULL;
	}
	if (!merge_check_id(cfg, from, &merge_kinds[kind]))
		return NULL;
	struct merge_section *sec = merge_section_find(cfg, from->id ? from->id : from->kind);

	if (!sec)
		return merge_section_add(cfg, (enum config_kind)kind, from->id, &from->pos);
	if (sec->pub.kind == (enum config_kind)kind)
		return sec;
	struct diag_pos pos = from->pos;

	pos.column += (int)strlen(from->kind) + 2;
	diag_add(cfg->d, DIAG_ERROR, &pos, (int)strlen(from->id), NULL, "ids are unique over all kinds",
		 "'%s' is already [%s] (%s:%d)", from->id, sec->pub.label, sec->pub.pos.file, sec->pub.pos.line);
	return NULL;
}

/* Keys */

/* Length of "name" in "name.3", or 0. */
static size_t merge_list_stem(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot[1] && strspn(dot + 1, "0123456789") == strlen(dot + 1) ? (size_t)(dot - name) : 0;
}

/* Whether two keys are a list in its two spellings: name and name.N. */
static bool merge_is_other_spelling(const char *a, const char *b)
{
	size_t stem_a = merge_list_stem(a), stem_b = merge_list_stem(b);

	if (stem_a && !stem_b)
		return strlen(b) == stem_a && !strncmp(a, b, stem_a);
	if (stem_b && !stem_a)
		return strlen(a) == stem_b && !strncmp(a, b, stem_b);
	return false;
}

static void merge_remove_other_spelling(struct config *cfg, struct merge_section *sec,
					const struct merge_item *item)
{
	GPtrArray *keys = sec->pub.keys;
	bool told = false;

	for (unsigned i = keys->len; i-- > 0; ) {
		struct merge_key *key = keys->pdata[i];

		if (!merge_is_other_spelling(key->pub.name, item->name))
			continue;
		if (key->layer == cfg->layer && *item->value && !told)
			diag_add(cfg->d, DIAG_ERROR, &item->pos, (int)strlen(item->name), sec->pub.label,
				 "a list is one key with commas, or numbered keys", "'%s' stands beside '%s' in line %d",
				 item->name, key->pub.name, key->pub.pos.line);
		told = true;
		g_ptr_array_remove_index(keys, i);
	}
}

static struct merge_key *merge_key_find(const struct merge_section *sec, const char *name, unsigned *index)
{
	for (unsigned i = 0; i < sec->pub.keys->len; i++) {
		struct merge_key *key = sec->pub.keys->pdata[i];

		*index = i;
		if (!strcmp(key->pub.name, name))
			return key;
	}
	return NULL;
}

static struct merge_key *merge_key_new(const struct config *cfg, const struct merge_item *item, char *value)
{
	struct merge_key *key = g_new0(struct merge_key, 1);

	key->owned_name = g_strdup(item->name);
	key->owned_value = value;
	key->owned_dir = g_strdup(item->dir);
	key->layer = cfg->layer;
	key->pub = (struct config_key) {
		.name = key->owned_name, .value = value, .dir = key->owned_dir, .pos = item->pos,
		.value_pos = item->value_pos, .verbatim = !strcmp(value, item->value),
	};
	return key;
}

static void merge_unset(struct config *cfg, struct merge_section *sec, const struct merge_item *item)
{
	unsigned index;
	struct merge_key *key = merge_key_find(sec, item->name, &index);

	if (key && !strcmp(item->name, "plugin")) {
		sec->gone = true;
		g_ptr_array_set_size(sec->pub.keys, 0);
		g_ptr_array_set_size(sec->pub.unset, 0);
		return;
	}
	if (key)
		g_ptr_array_remove_index(sec->pub.keys, index);
	merge_remove_other_spelling(cfg, sec, item);
	g_ptr_array_add(sec->pub.unset, merge_key_new(cfg, item, g_strdup("")));
}

/* Substitution and -s can make values that no line of a machine file could hold. */
static bool merge_is_writable(struct config *cfg, const struct merge_section *sec,
			      const struct merge_item *item, const char *value)
{
	char *form = ini_quote(value);

	if (!form)
		diag_add(cfg->d, DIAG_ERROR, &item->value_pos, (int)strlen(item->value), sec->pub.label, NULL,
			 "no line of a machine file can hold this value: both kinds of quotes, or a backslash, "
			 "beside ';', '#' or blanks at an end");
	g_free(form);
	return form != NULL;
}

void merge_item(struct config *cfg, struct merge_section *sec, const struct merge_item *item)
{
	char *value = layers_substitute(cfg->layers, item->value, item->dir, &item->value_pos, sec->pub.label);
	unsigned index;

	if (!value || !merge_is_writable(cfg, sec, item, value)) {
		g_free(value);
		return;
	}
	if (!*value) {
		merge_unset(cfg, sec, item);
		g_free(value);
		return;
	}
	merge_remove_other_spelling(cfg, sec, item);
	if (!strcmp(item->name, "plugin"))
		sec->gone = false;
	struct merge_key *fresh = merge_key_new(cfg, item, value), *old = merge_key_find(sec, item->name, &index);

	if (old) {
		sec->pub.keys->pdata[index] = fresh;
		merge_key_free(old);
	} else {
		g_ptr_array_add(sec->pub.keys, fresh);
	}
}

void merge_layer(struct config *cfg, const struct layer *layer)
{
	cfg->layer++;
	for (unsigned i = 0; i < layer->file->sections->len; i++) {
		const struct ini_section *from = layer->file->sections->pdata[i];
		struct merge_section *sec = from->bad ? NULL : merge_section_open(cfg, from);

		if (sec)
			sec->pub.damaged |= from->damaged;
		for (unsigned k = 0; sec && k < from->keys->len; k++) {
			const struct ini_key *key = from->keys->pdata[k];
			struct merge_item item = { key->name, key->value, layer->dir, key->pos, key->value_pos };

			if (sec->pub.kind != CONFIG_MACHINE || !layers_owns_key(key->name))
				merge_item(cfg, sec, &item);
		}
	}
}
