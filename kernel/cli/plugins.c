// SPDX-License-Identifier: MIT
/*
 * mortise plugins: every file of the search path, what is in it, and why a bad one is refused. No plugin code
 * runs: all is read from the notes, and the gate is asked as a machine would ask it.
 */
#include <stdio.h>
#include <string.h>

#include "kernel/cli/cli.h"
#include "kernel/config/json.h"
#include "kernel/load/loader.h"
#include "kernel/machine/machine.h"

struct plugins_list {
	const GPtrArray *entries;
	struct loader *loader;
	bool json, details;
};

static const char *plugins_file_name(const struct registry_entry *entry)
{
	return strrchr(entry->path, '/') + 1;
}

/* 0 when the file can be loaded. */
static int plugins_examine(const struct plugins_list *list, const struct registry_entry *entry,
			   struct mt_error *err)
{
	*err = (struct mt_error) { .size = sizeof(*err) };
	return loader_examine(list->loader, entry, err);
}

static const char *plugins_caps(uint32_t caps, char buf[64])
{
	static const char *const names[] = { "network", "files", "threads", "jit" };

	*buf = '\0';
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!(caps >> i & 1))
			continue;
		g_strlcat(buf, *buf ? " " : "", 64);
		g_strlcat(buf, names[i], 64);
	}
	return *buf ? buf : "none";
}

/* Text */

static void plugins_print_details(const struct registry_entry *entry)
{
	const struct note *note = entry->note;
	char caps[64];

	printf("    file       %s\n", entry->path);
	printf("    package    mortise-plugin-%s\n", note->name);
	printf("    vendor     %s, %s\n", note->vendor, note->licence);
	printf("    abi        %u\n", note->abi_major);
	printf("    requires   %s\n", *note->requires_ids ? note->requires_ids : "none");
	printf("    optional   %s\n", *note->optional_ids ? note->optional_ids : "none");
	printf("    asks for   %s\n", plugins_caps(note->caps, caps));
}

static void plugins_print_entry(const struct plugins_list *list, const struct registry_entry *entry)
{
	struct mt_error err;
	int code = plugins_examine(list, entry, &err);

	for (size_t i = 0; entry->note && i < entry->note->class_count; i++) {
		const struct note_class *cls = &entry->note->classes[i];

		printf("%-24s %-7s %-8s %s%s%s\n", cls->name, note_kind_name(cls->kind), entry->note->version,
		       code ? "cannot be loaded:" : cls->summary,
		       note_stands_in(cls, NULL, NULL) ? ", with " : "",
		       note_stands_in(cls, NULL, NULL) ? entry->note->name : "");
	}
	if (entry->note && list->details)
		plugins_print_details(entry);
	if (!code)
		return;
	if (!entry->note)
		printf("%-24s %-7s %-8s cannot be loaded:\n", plugins_file_name(entry), "?", "?");
	printf("    %s\n", err.message);
	if (*err.hint)
		printf("    %s\n", err.hint);
}

static int plugins_print(const struct plugins_list *list)
{
	if (list->entries->len)
		printf("%-24s %-7s %-8s %s\n", "NAME", "KIND", "VERSION", "SUMMARY");
	for (unsigned i = 0; i < list->entries->len; i++)
		plugins_print_entry(list, list->entries->pdata[i]);
	return CLI_OK;
}

/* JSON */

static void plugins_json_pair(const char *name, const char *value, const char *end)
{
	printf("\"%s\": ", name);
	json_print_string(stdout, value);
	fputs(end, stdout);
}

static void plugins_json_classes(const struct note *note)
{
	fputs(", \"classes\": [", stdout);
	for (size_t i = 0; i < note->class_count; i++) {
		const struct note_class *cls = &note->classes[i];

		fputs(i ? ", {" : "{", stdout);
		plugins_json_pair("name", cls->name, ", ");
		plugins_json_pair("kind", note_kind_name(cls->kind), ", ");
		plugins_json_pair("summary", cls->summary, ", ");
		plugins_json_pair("roles", cls->roles, "}");
	}
	putchar(']');
}

static void plugins_json_entry(const struct plugins_list *list, const struct registry_entry *entry)
{
	const struct note *note = entry->note;
	struct mt_error err;
	int code = plugins_examine(list, entry, &err);
	char caps[64];

	plugins_json_pair("file", entry->path, ", ");
	if (note) {
		plugins_json_pair("name", note->name, ", ");
		plugins_json_pair("version", note->version, ", ");
		plugins_json_pair("vendor", note->vendor, ", ");
		plugins_json_pair("licence", note->licence, ", ");
		plugins_json_pair("summary", note->summary, ", ");
		printf("\"abi\": %u, ", note->abi_major);
		plugins_json_pair("requires", note->requires_ids, ", ");
		plugins_json_pair("optional", note->optional_ids, ", ");
		plugins_json_pair("asks_for", plugins_caps(note->caps, caps), ", ");
	}
	printf("\"loads\": %s", code ? "false, " : "true");
	if (code) {
		plugins_json_pair("field", err.culprit, ", ");
		plugins_json_pair("why_not", err.message, ", ");
		plugins_json_pair("remedy", err.hint, "");
	}
	if (note)
		plugins_json_classes(note);
}

static int plugins_print_json(const struct plugins_list *list)
{
	putchar('[');
	for (unsigned i = 0; i < list->entries->len; i++) {
		fputs(i ? ",\n {" : "\n {", stdout);
		plugins_json_entry(list, list->entries->pdata[i]);
		putchar('}');
	}
	fputs("\n]\n", stdout);
	return CLI_OK;
}

/* One plugin */

/* By class name, plugin name or file name. */
static const struct registry_entry *plugins_find(const struct plugins_list *list, const char *name)
{
	for (unsigned i = 0; i < list->entries->len; i++) {
		const struct registry_entry *entry = list->entries->pdata[i];
		const char *file = plugins_file_name(entry);
		bool named = g_str_has_prefix(file, name) && (!strcmp(file + strlen(name), ".so") ||
							      !file[strlen(name)]);

		if (named || (entry->note && (!strcmp(entry->note->name, name) ||
					      note_class_find(entry->note, name))))
			return entry;
	}
	return NULL;
}

/* `err` is NULL for a plugin that can be loaded. */
static void plugins_why_json(const char *name, const struct registry_entry *entry, const struct mt_error *err)
{
	fputs("{\"name\": ", stdout);
	json_print_string(stdout, name);
	fputs(", \"path\": ", stdout);
	json_print_string(stdout, entry ? entry->path : NULL);
	printf(", \"loadable\": %s, \"reason\": ", err ? "false" : "true");
	json_print_string(stdout, err ? err->message : NULL);
	fputs(", \"hint\": ", stdout);
	json_print_string(stdout, err && *err->hint ? err->hint : NULL);
	puts("}");
}

static int plugins_why(const struct plugins_list *list, struct registry *reg, const char *name)
{
	const struct registry_entry *entry = plugins_find(list, name);
	struct mt_error err = { .size = sizeof(err) };

	int code = CLI_HOST;

	if (!entry)
		registry_find(reg, name, &err);
	else if (!plugins_examine(list, entry, &err))
		code = CLI_OK;
	if (list->json)
		plugins_why_json(name, entry, code == CLI_OK ? NULL : &err);
	else if (code == CLI_OK)
		printf("%s: %s: can be loaded\n", name, entry->path);
	else
		printf("%s: %s%s%s\n", name, err.message, *err.hint ? "\n    " : "", err.hint);
	return code;
}

static int plugins_verb(const struct cli_args *args)
{
	struct plugins_list list = { .details = cli_flag(args, "long") };
	int code = CLI_OK;

	if (!cli_format(args, &list.json, &code))
		return code;
	char **dirs = cli_plugin_dirs(args);
	struct registry *reg = registry_create((const char *const *)dirs);

	list.loader = loader_create(NULL);
	loader_set_interfaces(list.loader, host_interface_ids);
	list.entries = registry_all(reg);
	if (cli_value(args, "why"))
		code = plugins_why(&list, reg, cli_value(args, "why"));
	else
		code = list.json ? plugins_print_json(&list) : plugins_print(&list);
	loader_destroy(list.loader);
	registry_destroy(reg);
	g_strfreev(dirs);
	return code;
}

static const struct cli_option plugins_options[] = {
	{ 'l', "long", NULL, "tell all about each file" },
	{ 0, "why", "NAME", "tell whether this plugin can be loaded, and why not" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const plugins_tables[] = {
	plugins_options, cli_options_format, cli_options_plugins, cli_options_common, NULL,
};

const struct cli_verb cli_verb_plugins = {
	.name = "plugins",
	.operands = "",
	.summary = "list the plugins that are there",
	.options = plugins_tables,
	.run = plugins_verb,
};
