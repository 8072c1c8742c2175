// SPDX-License-Identifier: MIT
/* mortise new: prints a shipped machine, as a file to start from; or lists what is shipped. */
#include <stdio.h>
#include <string.h>

#include "kernel/cli/cli.h"
#include "kernel/config/ini.h"
#include "kernel/config/json.h"
#include "kernel/config/suggest.h"

struct new_machine { char *name, *path, *title; };

static void new_machine_free(void *data)
{
	struct new_machine *m = data;

	g_free(m->name);
	g_free(m->path);
	g_free(m->title);
	g_free(m);
}

/* [machine] title of a file; "" when it has none. */
static char *new_title(const char *path)
{
	struct diag *d = diag_create();
	char *text = NULL, *title = NULL;
	size_t len;

	if (g_file_get_contents(path, &text, &len, NULL)) {
		struct ini_file *file = ini_scan(path, text, len, d);

		for (unsigned i = 0; i < file->sections->len; i++) {
			const struct ini_section *sec = file->sections->pdata[i];

			for (unsigned k = 0; !strcmp(sec->kind, "machine") && k < sec->keys->len; k++) {
				const struct ini_key *key = sec->keys->pdata[k];

				if (!strcmp(key->name, "title") && !title)
					title = g_strdup(key->value);
			}
		}
		ini_free(file);
	}
	g_free(text);
	diag_destroy(d);
	return title ? title : g_strdup("");
}

static int new_compare(const void *pa, const void *pb)
{
	const struct new_machine *a = *(const void *const *)pa, *b = *(const void *const *)pb;

	return strcmp(a->name, b->name);
}

static const struct new_machine *new_find(const GPtrArray *machines, const char *name)
{
	for (unsigned i = 0; i < machines->len; i++)
		if (!strcmp(((struct new_machine *)machines->pdata[i])->name, name))
			return machines->pdata[i];
	return NULL;
}

/* Every shipped machine; the first directory that has a name decides. */
static GPtrArray *new_machines(const struct cli_args *args)
{
	GPtrArray *machines = g_ptr_array_new_with_free_func(new_machine_free);
	char **dirs = cli_machine_dirs(args);

	for (int i = 0; dirs[i]; i++) {
		GDir *dir = g_dir_open(dirs[i], 0, NULL);
		const char *file;

		while (dir && (file = g_dir_read_name(dir))) {
			char *name = g_str_has_suffix(file, ".ini") ? g_strndup(file, strlen(file) - 4) : NULL;

			if (name && !new_find(machines, name)) {
				struct new_machine *m = g_new0(struct new_machine, 1);

				m->name = g_strdup(name);
				m->path = g_build_filename(dirs[i], file, NULL);
				m->title = new_title(m->path);
				g_ptr_array_add(machines, m);
			}
			g_free(name);
		}
		if (dir)
			g_dir_close(dir);
	}
	g_strfreev(dirs);
	g_ptr_array_sort(machines, new_compare);
	return machines;
}

static void new_list(const GPtrArray *machines, bool json)
{
	fputs(json ? "[" : "", stdout);
	for (unsigned i = 0; i < machines->len; i++) {
		const struct new_machine *m = machines->pdata[i];

		if (!json) {
			printf("%-24s %s\n", m->name, m->title);
			continue;
		}
		fputs(i ? ",\n {\"name\": " : "\n {\"name\": ", stdout);
		json_print_string(stdout, m->name);
		fputs(", \"title\": ", stdout);
		json_print_string(stdout, m->title);
		fputs(", \"path\": ", stdout);
		json_print_string(stdout, m->path);
		putchar('}');
	}
	fputs(json ? "\n]\n" : "", stdout);
}

static void new_text(const struct new_machine *m, const char *text, bool json)
{
	if (!json) {
		fputs(text, stdout);
		return;
	}
	fputs("{\"name\": ", stdout);
	json_print_string(stdout, m->name);
	fputs(", \"title\": ", stdout);
	json_print_string(stdout, m->title);
	fputs(", \"path\": ", stdout);
	json_print_string(stdout, m->path);
	fputs(", \"text\": ", stdout);
	json_print_string(stdout, text);
	puts("}");
}

static int new_print(const GPtrArray *machines, const char *name, bool json)
{
	const struct new_machine *m = new_find(machines, name);
	char *text = NULL;
	struct suggest s;

	if (m && g_file_get_contents(m->path, &text, NULL, NULL)) {
		new_text(m, text, json);
		g_free(text);
		return CLI_OK;
	}
	suggest_init(&s, name);
	for (unsigned i = 0; i < machines->len; i++)
		suggest_add(&s, ((struct new_machine *)machines->pdata[i])->name);
	if (s.best)
		return cli_fail("no shipped machine is called '%s'; did you mean '%s'?", name, s.best);
	return cli_fail("no shipped machine is called '%s'; see: mortise new --list", name);
}

static int new_verb(const struct cli_args *args)
{
	GPtrArray *machines;
	int code = CLI_OK;
	bool json;

	if (!cli_format(args, &json, &code))
		return code;
	machines = new_machines(args);
	if (cli_flag(args, "list"))
		new_list(machines, json);
	else
		code = new_print(machines, cli_operand(args, 0), json);
	g_ptr_array_unref(machines);
	return code;
}

static const struct cli_option new_options[] = {
	{ 'l', "list", NULL, "list the shipped machines" },
	{ 0, "machine-path", "DIR", "look for shipped machines in DIR first (repeatable)" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const new_tables[] = {
	new_options, cli_options_format, cli_options_common, NULL,
};

const struct cli_verb cli_verb_new = {
	.name = "new",
	.operands = "NAME",
	.summary = "print a shipped machine, as a file to start from",
	.operands_min = 1,
	.operands_max = 1,
	.options = new_tables,
	.run = new_verb,
};
