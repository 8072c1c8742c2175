// SPDX-License-Identifier: MIT
/*
 * Loads a machine: reads the layers, merges them, has iniparser read the result. What the sections mean is
 * check.c's. A configuration with faults is still handed out, so that one run finds the faults of all stages.
 * Called from [main].
 */
#include <string.h>

#include "kernel/config/json.h"
#include "kernel/config/merge.h"
#include "kernel/config/suggest.h"

const char *config_file(const struct config *cfg)
{
	return layers_main(cfg->layers)->file->name;
}

size_t config_section_count(const struct config *cfg)
{
	return cfg->sections->len;
}

const struct config_section *config_section_at(const struct config *cfg, size_t index)
{
	struct merge_section *sec = cfg->sections->pdata[index];

	return &sec->pub;
}

const struct config_section *config_section_find(const struct config *cfg, const char *id)
{
	struct merge_section *sec = merge_section_find(cfg, id);

	return sec ? &sec->pub : NULL;
}

const struct config_section *config_section_next(const struct config *cfg, enum config_kind kind,
						 const struct config_section *after)
{
	bool passed = !after;

	for (unsigned i = 0; i < cfg->sections->len; i++) {
		const struct config_section *sec = config_section_at(cfg, i);

		if (passed && sec->kind == kind)
			return sec;
		passed |= sec == after;
	}
	return NULL;
}

const char *config_suggest_id(const struct config *cfg, const char *wanted)
{
	struct suggest s;

	suggest_init(&s, wanted);
	for (unsigned i = 0; i < cfg->sections->len; i++)
		suggest_add(&s, config_section_at(cfg, i)->id);
	return s.best;
}

static void config_drop_gone(struct config *cfg)
{
	for (unsigned i = cfg->sections->len; i-- > 0; )
		if (((struct merge_section *)cfg->sections->pdata[i])->gone)
			g_ptr_array_remove_index(cfg->sections, i);
}

struct config *config_load(const char *name, const struct config_options *options, struct diag *d)
{
	struct config *cfg = g_new0(struct config, 1);

	cfg->d = d;
	cfg->sections = g_ptr_array_new_with_free_func(merge_section_free);
	cfg->strings = g_ptr_array_new_with_free_func(g_free);
	cfg->layers = layers_load(name, options, d);
	if (!layers_main(cfg->layers)) {
		config_destroy(cfg);
		return NULL;
	}
	for (unsigned i = 0; i < cfg->layers->order->len; i++)
		merge_layer(cfg, cfg->layers->order->pdata[i]);
	settings_apply(cfg, options->settings);
	layers_check_defines(cfg->layers);
	config_drop_gone(cfg);
	values_read(cfg);
	cfg->d = NULL;
	return cfg;
}

void config_destroy(struct config *cfg)
{
	if (!cfg)
		return;
	g_ptr_array_unref(cfg->sections);
	g_ptr_array_unref(cfg->strings);
	layers_free(cfg->layers);
	g_free(cfg);
}

static void config_print_key(const struct config_key *key, bool origins, FILE *out)
{
	char *form = ini_quote(key->value);
	int len = fprintf(out, "%s = %s", key->name, form ? form : "");

	if (origins)
		fprintf(out, "%*s; from %s:%d", len < 40 ? 40 - len : 1, "", key->pos.file, key->pos.line);
	putc('\n', out);
	g_free(form);
}

void config_print(const struct config *cfg, bool origins, FILE *out)
{
	for (unsigned i = 0; i < cfg->sections->len; i++) {
		const struct config_section *sec = config_section_at(cfg, i);

		fprintf(out, "%s[%s]\n", i ? "\n" : "", sec->label);
		for (unsigned k = 0; k < sec->keys->len; k++)
			config_print_key(sec->keys->pdata[k], origins, out);
	}
}

static void config_json_key(const struct config_key *key, FILE *out)
{
	fputs("{\"name\": ", out);
	json_print_string(out, key->name);
	fputs(", \"value\": ", out);
	json_print_string(out, key->value);
	fputs(", \"file\": ", out);
	json_print_string(out, key->pos.file);
	fprintf(out, ", \"line\": %d, \"column\": %d}", key->pos.line, key->pos.column);
}

void config_print_json(const struct config *cfg, FILE *out)
{
	putc('[', out);
	for (unsigned i = 0; i < cfg->sections->len; i++) {
		const struct config_section *sec = config_section_at(cfg, i);

		fputs(i ? ",\n  {\"section\": " : "\n  {\"section\": ", out);
		json_print_string(out, sec->label);
		fputs(", \"keys\": [", out);
		for (unsigned k = 0; k < sec->keys->len; k++) {
			fputs(k ? ",\n    " : "\n    ", out);
			config_json_key(sec->keys->pdata[k], out);
		}
		fputs("]}", out);
	}
	putc(']', out);
}
