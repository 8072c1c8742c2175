// SPDX-License-Identifier: MIT
/*
 * -s ID.KEY=VALUE: the strongest layer. The id ends at the first dot, the key at the first '='; the value is
 * taken as it is, because the shell has seen its quotes already. A later -s wins. Called from [main].
 */
#include <string.h>

#include "kernel/config/merge.h"

struct setting {
	const char *text;      /* owned by the config: positions point into it */
	int number;
	char *id, *key;
	const char *value;
};

static struct diag_pos setting_pos(const struct setting *s, size_t at)
{
	return (struct diag_pos) { "-s", s->number, (int)at + 1, s->text };
}

static void setting_error(struct config *cfg, const struct setting *s, size_t at, size_t width,
			  const char *hint, const char *message)
{
	struct diag_pos pos = setting_pos(s, at);

	diag_add(cfg->d, DIAG_ERROR, &pos, (int)width, NULL, hint, "%s", message);
}

/* Splits the text; false after an error. */
static bool setting_split(struct config *cfg, struct setting *s)
{
	const char *equals = strchr(s->text, '='), *dot = strchr(s->text, '.'), *fault;

	if (!equals || !dot || dot > equals || dot == s->text || dot + 1 == equals) {
		setting_error(cfg, s, 0, strlen(s->text), "for example: -s cpu.count=4", "-s takes ID.KEY=VALUE");
		return false;
	}
	s->value = equals + 1;
	s->id = g_strndup(s->text, (size_t)(dot - s->text));
	s->key = g_strndup(dot + 1, (size_t)(equals - dot - 1));
	size_t key_at = (size_t)(dot + 1 - s->text), value_at = (size_t)(s->value - s->text);

	if (!ini_id_is_legal(s->id)) {
		setting_error(cfg, s, 0, strlen(s->id), NULL, "this cannot be an id");
	} else if (!ini_key_is_legal(s->key)) {
		setting_error(cfg, s, key_at, strlen(s->key), NULL, "this cannot be a key");
	} else if ((fault = ini_text_fault(s->value))) {
		setting_error(cfg, s, value_at, strlen(s->value), NULL, fault);
	} else if (strlen(s->text) > INI_LINE_MAX) {
		setting_error(cfg, s, 0, 1, NULL, "the setting is too long");
	} else if (!strcmp(s->id, "machine") && layers_owns_key(s->key)) {
		setting_error(cfg, s, key_at, strlen(s->key), "name it in the file",
			      "files cannot be added on the command line");
	} else {
		return true;
	}
	return false;
}

static void setting_tell_id(struct config *cfg, const struct setting *s)
{
	const char *close = config_suggest_id(cfg, s->id);
	char *hint = close ? g_strdup_printf("did you mean '%s'?", close) : NULL;
	struct diag_pos pos = setting_pos(s, 0);

	diag_add(cfg->d, DIAG_ERROR, &pos, (int)strlen(s->id), NULL, hint, "no section has the id '%s'", s->id);
	g_free(hint);
}

/* A section that is known by its kind may be made by -s, unless there are others of its kind. */
static struct merge_section *setting_section(struct config *cfg, const struct setting *s)
{
	static const enum config_kind bare[] = {
		CONFIG_MACHINE, CONFIG_CPU, CONFIG_BOOT, CONFIG_MONITOR, CONFIG_SANDBOX,
	};
	struct merge_section *sec = merge_section_find(cfg, s->id);
	struct diag_pos pos = setting_pos(s, 0);

	if (sec)
		return sec;
	for (size_t i = 0; i < G_N_ELEMENTS(bare); i++)
		if (!strcmp(config_kind_name(bare[i]), s->id) && !config_section_next(cfg, bare[i], NULL))
			return merge_section_add(cfg, bare[i], NULL, &pos);
	setting_tell_id(cfg, s);
	return NULL;
}

static void setting_apply(struct config *cfg, struct setting *s, const char *dir)
{
	struct merge_section *sec = setting_split(cfg, s) ? setting_section(cfg, s) : NULL;

	if (!sec)
		return;
	struct merge_item item = {
		s->key, s->value, dir, setting_pos(s, strlen(s->id) + 1),
		setting_pos(s, (size_t)(s->value - s->text)),
	};

	merge_item(cfg, sec, &item);
}

void settings_apply(struct config *cfg, const char *const *settings)
{
	char *dir = g_get_current_dir();

	for (int i = 0; settings && settings[i]; i++) {
		struct setting s = { .text = g_strdup(settings[i]), .number = i + 1 };

		/* Each is a layer of its own, so that name and name.1 on one command line override, not clash. */
		cfg->layer++;
		g_ptr_array_add(cfg->strings, (char *)s.text);
		setting_apply(cfg, &s, dir);
		g_free(s.id);
		g_free(s.key);
	}
	g_free(dir);
}
