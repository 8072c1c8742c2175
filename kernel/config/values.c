// SPDX-License-Identifier: MIT
/*
 * The values of the merged text, as iniparser reads them. It loads by file name only, so the text goes
 * through a memfd. A value that comes back different from what the scanner saw is an error of ours, told and not
 * hidden. iniparser's error callback is one for the process: it is set here and nowhere else. [main] only.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if __has_include(<iniparser/iniparser.h>)
#include <iniparser/iniparser.h>
#else
#include <iniparser.h>
#endif

#include "kernel/config/merge.h"

/* Every fault has been told with its place already. */
static int values_be_quiet(const char *format, ...)
{
	(void)format;
	return 0;
}

static void values_print_value(const char *value, GString *out)
{
	char *form = ini_quote(value);

	g_string_append(out, form ? form : "");
	g_free(form);
}

static GString *values_text(const struct config *cfg)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < cfg->sections->len; i++) {
		const struct merge_section *sec = cfg->sections->pdata[i];

		g_string_append_printf(text, "[%s]\n", sec->pub.label);
		for (unsigned k = 0; k < sec->pub.keys->len; k++) {
			const struct config_key *key = sec->pub.keys->pdata[k];

			g_string_append_printf(text, "%s = ", key->name);
			values_print_value(key->value, text);
			g_string_append_c(text, '\n');
		}
	}
	return text;
}

static dictionary *values_load(const GString *text)
{
	int fd = memfd_create("mortise-machine", MFD_CLOEXEC);
	dictionary *dict = NULL;
	char path[64];

	if (fd < 0)
		return NULL;
	if (write(fd, text->str, text->len) == (ssize_t)text->len) {
		g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		iniparser_set_error_callback(values_be_quiet);
		dict = iniparser_load(path);
	}
	close(fd);
	return dict;
}

static void values_take(struct config *cfg, const struct merge_section *sec, struct merge_key *key,
			dictionary *dict)
{
	char *name = g_strconcat(sec->pub.label, ":", key->pub.name, NULL);
	const char *value = iniparser_getstring(dict, name, NULL);

	if (!value || strcmp(value, key->pub.value)) {
		diag_add(cfg->d, DIAG_ERROR, &key->pub.value_pos, 1, sec->pub.label, "please report this",
			 "iniparser reads '%s' here, the scanner '%s'", value ? value : "", key->pub.value);
	} else {
		g_free(key->owned_value);
		key->owned_value = g_strdup(value);
		key->pub.value = key->owned_value;
	}
	g_free(name);
}

void values_read(struct config *cfg)
{
	GString *text = values_text(cfg);
	dictionary *dict = values_load(text);

	if (!dict)
		diag_add(cfg->d, DIAG_HOST, NULL, 1, NULL, "mortise needs memfd_create and /proc",
			 "cannot hand the machine to iniparser: %s", g_strerror(errno));
	for (unsigned i = 0; dict && i < cfg->sections->len; i++) {
		const struct merge_section *sec = cfg->sections->pdata[i];

		for (unsigned k = 0; k < sec->pub.keys->len; k++)
			values_take(cfg, sec, sec->pub.keys->pdata[k], dict);
	}
	if (dict)
		iniparser_freedict(dict);
	g_string_free(text, TRUE);
}
