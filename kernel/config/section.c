// SPDX-License-Identifier: MIT
/*
 * Reading one section of a loaded configuration: lookup, lists, typed values, and where in the file a value
 * stands. Nothing here changes the configuration. Called from [main].
 */
#include <string.h>

#include "kernel/config/config.h"

const struct config_key *section_get(const struct config_section *sec, const char *key)
{
	for (unsigned i = 0; sec && i < sec->keys->len; i++) {
		const struct config_key *k = sec->keys->pdata[i];

		if (!strcmp(k->name, key))
			return k;
	}
	return NULL;
}

const char *section_get_text(const struct config_section *sec, const char *key, const char *deflt)
{
	const struct config_key *k = section_get(sec, key);

	return k ? k->value : deflt;
}

static void section_item_free(void *data)
{
	struct config_item *item = data;

	g_free(item->text);
	g_free(item);
}

static void section_item_add(GPtrArray *list, const struct config_key *key, const char *start,
			     const char *end)
{
	struct config_item *item = g_new0(struct config_item, 1);

	while (start < end && g_ascii_isspace(*start))
		start++;
	while (end > start && g_ascii_isspace(end[-1]))
		end--;
	item->text = g_strndup(start, (size_t)(end - start));
	item->key = key;
	item->offset = (size_t)(start - key->value);
	g_ptr_array_add(list, item);
}

static void section_split(GPtrArray *list, const struct config_key *key)
{
	const char *p = key->value;

	for (;;) {
		const char *end = strchrnul(p, ',');

		section_item_add(list, key, p, end);
		if (!*end)
			return;
		p = end + 1;
	}
}

/* The number of "name.N", or 0. */
static uint64_t section_key_number(const struct config_key *key, const char *name)
{
	size_t len = strlen(name);
	uint64_t number = 0;

	if (strncmp(key->name, name, len) || key->name[len] != '.')
		return 0;
	return value_parse_int(key->name + len + 1, &number, NULL) ? number : 0;
}

static int section_item_compare(const void *pa, const void *pb)
{
	const struct config_item *a = *(const void *const *)pa, *b = *(const void *const *)pb;
	uint64_t na = 0, nb = 0;

	value_parse_int(strrchr(a->key->name, '.') + 1, &na, NULL);
	value_parse_int(strrchr(b->key->name, '.') + 1, &nb, NULL);
	return (na > nb) - (na < nb);
}

GPtrArray *section_get_list(const struct config_section *sec, const char *key)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(section_item_free);
	const struct config_key *plain = section_get(sec, key);

	if (plain) {
		section_split(list, plain);
		return list;
	}
	for (unsigned i = 0; sec && i < sec->keys->len; i++) {
		const struct config_key *k = sec->keys->pdata[i];

		if (section_key_number(k, key))
			section_item_add(list, k, k->value, k->value + strlen(k->value));
	}
	g_ptr_array_sort(list, section_item_compare);
	return list;
}

struct diag_pos key_pos_at(const struct config_key *key, size_t offset)
{
	struct diag_pos pos = key->value_pos;

	if (key->verbatim)
		pos.column += (int)offset;
	return pos;
}

void key_error(struct diag *d, const struct config_section *sec, const struct config_key *key,
	       const struct value_fault *fault, const char *hint, const char *message)
{
	struct diag_pos pos = key_pos_at(key, fault ? fault->at : 0);
	size_t len = fault ? fault->len : strlen(key->value);

	diag_add(d, DIAG_ERROR, &pos, key->verbatim ? (int)len : 1, sec->label, hint, "%s: %s", key->name,
		 message ? message : fault->message);
}

char *key_path(const struct config_key *key)
{
	return g_canonicalize_filename(key->value, key->dir);
}

#define SECTION_GETTER(type, c_type) \
bool section_get_##type(const struct config_section *sec, const char *name, c_type, struct diag *d) \
{ \
	const struct config_key *key = section_get(sec, name); \
	struct value_fault fault; \
	\
	if (!key) \
		return false; \
	if (value_parse_##type(key->value, out, &fault)) \
		return true; \
	if (d) \
		key_error(d, sec, key, &fault, NULL, NULL); \
	return false; \
}

SECTION_GETTER(bool, bool *out)
SECTION_GETTER(int, uint64_t *out)
SECTION_GETTER(size, uint64_t *out)
SECTION_GETTER(duration, uint64_t *out)
SECTION_GETTER(mac, uint8_t out[6])
