// SPDX-License-Identifier: MIT
/*
 * ${dir} and -D NAME=VALUE. What a value becomes depends on the machine file and the command line alone:
 * never on the environment, never on a command. A -D that nothing uses is an error, as any unknown name is.
 * Called from [main].
 */
#include <string.h>

#include "kernel/config/layers.h"
#include "kernel/config/suggest.h"

struct layers_define {
	char *name;
	const char *value;
	bool used;
	struct diag_pos pos;
};

static void layers_define_free(void *data)
{
	struct layers_define *def = data;

	g_free(def->name);
	g_free(def);
}

static struct layers_define *layers_define_find(const struct layers *l, const char *name, size_t len)
{
	for (unsigned i = 0; i < l->defines->len; i++) {
		struct layers_define *def = l->defines->pdata[i];

		if (strlen(def->name) == len && !memcmp(def->name, name, len))
			return def;
	}
	return NULL;
}

static const char *layers_define_fault(const struct layers *l, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;

	if (!equals)
		return "-D takes NAME=VALUE";
	if (!len || strspn(text, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_") != len || g_ascii_isdigit(*text))
		return "a name of -D is a letter, then letters, digits and '_'";
	if (len == 3 && !memcmp(text, "dir", 3))
		return "'dir' is the folder of each file and cannot be set";
	if (layers_define_find(l, text, len))
		return "this name is set twice";
	return ini_text_fault(equals + 1);
}

void layers_init_defines(struct layers *l)
{
	l->defines = g_ptr_array_new_with_free_func(layers_define_free);
	for (int i = 0; l->options->defines && l->options->defines[i]; i++) {
		const char *text = l->options->defines[i], *fault = layers_define_fault(l, text);
		struct diag_pos pos = { "-D", i + 1, 1, text };

		if (fault) {
			diag_add(l->d, DIAG_ERROR, &pos, (int)strcspn(text, "="), NULL, NULL, "%s", fault);
			continue;
		}
		struct layers_define *def = g_new0(struct layers_define, 1);
		const char *equals = strchr(text, '=');

		def->name = g_strndup(text, (size_t)(equals - text));
		def->value = equals + 1;
		def->pos = pos;
		g_ptr_array_add(l->defines, def);
	}
}

void layers_fini_defines(struct layers *l)
{
	g_ptr_array_unref(l->defines);
}

void layers_check_defines(struct layers *l)
{
	for (unsigned i = 0; i < l->defines->len; i++) {
		const struct layers_define *def = l->defines->pdata[i];

		if (!def->used)
			diag_add(l->d, DIAG_ERROR, &def->pos, (int)strlen(def->name), NULL, NULL,
				 "the machine has no ${%s}", def->name);
	}
}

static void layers_tell_unknown(struct layers *l, const struct diag_pos *pos, size_t at, const char *section,
				const char *name)
{
	struct diag_pos here = *pos;
	struct suggest s;
	char close[160], *hint;

	suggest_init(&s, name);
	suggest_add(&s, "dir");
	for (unsigned i = 0; i < l->defines->len; i++)
		suggest_add(&s, ((struct layers_define *)l->defines->pdata[i])->name);
	hint = suggest_hint(&s, close) ? g_strdup(close) : g_strdup_printf("set it with -D %s=VALUE", name);
	here.column += (int)at;
	diag_add(l->d, DIAG_ERROR, &here, (int)strlen(name) + 3, section, hint, "${%s} is not set", name);
	g_free(hint);
}

/* Appends what stands for ${name}; false when there is no such thing. */
static bool layers_expand(struct layers *l, GString *out, const char *name, size_t len, const char *dir)
{
	struct layers_define *def = layers_define_find(l, name, len);

	if (dir && len == 3 && !memcmp(name, "dir", 3)) {
		g_string_append(out, dir);
		return true;
	}
	if (!def)
		return false;
	def->used = true;
	g_string_append(out, def->value);
	return true;
}

static bool layers_tell_open(struct layers *l, const char *p, const char *value, const struct diag_pos *pos,
			     const char *section)
{
	struct diag_pos here = *pos;

	if (p[0] != '$' || p[1] != '{')
		return false;
	here.column += (int)(p - value);
	diag_add(l->d, DIAG_ERROR, &here, 2, section, NULL, "'${' without '}'");
	return true;
}

char *layers_substitute(struct layers *l, const char *value, const char *dir, const struct diag_pos *pos,
			const char *section)
{
	GString *out = g_string_new(NULL);
	bool failed = false;

	for (const char *p = value; *p; p++) {
		const char *close = p[0] == '$' && p[1] == '{' ? strchr(p, '}') : NULL;

		if (!close) {
			failed |= layers_tell_open(l, p, value, pos, section);
			g_string_append_c(out, *p);
			continue;
		}
		size_t len = (size_t)(close - p - 2);

		if (!layers_expand(l, out, p + 2, len, dir)) {
			char *name = g_strndup(p + 2, len);

			layers_tell_unknown(l, pos, (size_t)(p - value), section, name);
			g_free(name);
			failed = true;
		}
		p = close;
	}
	if (!failed && out->len > INI_LINE_MAX) {
		diag_add(l->d, DIAG_ERROR, pos, 1, section, NULL, "the value has %zu bytes with ${} put in; at most %d",
			 out->len, INI_LINE_MAX);
		failed = true;
	}
	return g_string_free(out, failed);
}
