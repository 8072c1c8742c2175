// SPDX-License-Identifier: MIT
/*
 * mortise describe: what a plugin's note says, as text, as JSON, or as a manual page. The three print the
 * same facts; whatever is added to one belongs in all.
 */
#include <stdio.h>
#include <string.h>

#include "kernel/cli/cli.h"
#include "kernel/config/json.h"
#include "kernel/load/note-rules.h"

struct describe {
	const struct note *note;
	const struct note_class *cls;
};

/* "size, 4K..1T, default 1M", as one line. Free with g_free. */
static char *describe_prop(const struct note_prop *prop)
{
	GString *text = g_string_new(note_type_name(prop->type));

	if (prop->type == MT_PROP_REF && *prop->range)
		g_string_append_printf(text, " to a section with the role %s", prop->range);
	else if (prop->type == MT_PROP_ADDR && *prop->range)
		g_string_append_printf(text, " of %s bytes", prop->range);
	else if (prop->type == MT_PROP_IRQ && *prop->range)
		g_string_append_printf(text, ", %s inputs", prop->range);
	else if (*prop->range)
		g_string_append_printf(text, " %s", prop->range);
	if (*prop->unit)
		g_string_append_printf(text, prop->type == MT_PROP_ADDR ? " in %s" : " %s", prop->unit);
	if (*prop->deflt)
		g_string_append_printf(text, ", default %s", prop->deflt);
	if (prop->flags & MT_PROPF_REQUIRED)
		g_string_append(text, ", required");
	if (prop->flags & MT_PROPF_RUNTIME)
		g_string_append(text, ", may change at run time");
	if (prop->flags & MT_PROPF_DEPRECATED)
		g_string_append(text, ", deprecated");
	return g_string_free(text, FALSE);
}

/* A value that a reader can start from. */
static const char *describe_sample(const struct note_prop *prop)
{
	if (*prop->deflt)
		return prop->deflt;
	switch (prop->type) {
	case MT_PROP_BOOL: return "on";
	case MT_PROP_SIZE: return "1M";
	case MT_PROP_DURATION: return "10ms";
	case MT_PROP_MAC: return "52:54:00:12:34:56";
	case MT_PROP_REF: return "ID";
	case MT_PROP_IRQ: return "ID:1";
	case MT_PROP_ADDR: return "0x10000000";
	case MT_PROP_PATH: return "FILE";
	case MT_PROP_INT: return "1";
	default: return "TEXT";
	}
}

static char *describe_example(const struct note_class *cls)
{
	GString *text = g_string_new(NULL);
	bool has_id = cls->kind == MT_KIND_DEVICE || cls->kind == MT_KIND_BLOCK;

	g_string_append_printf(text, "[%s%s]\nplugin = %s\n", note_kind_name(cls->kind), has_id ? " NAME" : "",
			       cls->name);
	for (size_t i = 0; i < cls->prop_count; i++) {
		const struct note_prop *prop = &cls->props[i];

		if (prop->flags & MT_PROPF_REQUIRED)
			g_string_append_printf(text, "%s = %s\n", prop->name, describe_sample(prop));
	}
	return g_string_free(text, FALSE);
}

static const char *describe_flags(uint32_t flags)
{
	static const char *const texts[] = {
		"none", "parallel", "no state: a machine with it cannot be saved",
		"parallel; no state: a machine with it cannot be saved", "not deterministic",
		"parallel; not deterministic", "no state: a machine with it cannot be saved; not deterministic",
		"parallel; no state: a machine with it cannot be saved; not deterministic",
	};

	return texts[flags & 7];
}

static const char *describe_or(const char *text, const char *other)
{
	return *text ? text : other;
}

/* What an accelerator brings in place of other plugins: "dev-lapic (irqchip = kernel|split), ...", or "". */
static char *describe_stand_ins(const struct describe *what)
{
	GString *text = g_string_new(NULL);
	char prop[64], values[128];

	for (size_t i = 0; what->cls->kind == MT_KIND_CPU && i < what->note->class_count; i++)
		if (note_stands_in(&what->note->classes[i], prop, values))
			g_string_append_printf(text, "%s%s (%s = %s)", text->len ? ", " : "", what->note->classes[i].name, prop,
					       values);
	return g_string_free(text, FALSE);
}

/* Text */

static int describe_print(const struct describe *what)
{
	const struct note_class *cls = what->cls;
	char *example = describe_example(cls), *stand_ins = describe_stand_ins(what);

	printf("%s - %s\n", cls->name, cls->summary);
	printf("%s plugin, version %s, %s, %s\n", note_kind_name(cls->kind), what->note->version,
	       what->note->vendor, what->note->licence);
	printf("roles: %s\nrequires: %s\noptional: %s\nremarks: %s\n", describe_or(cls->roles, "none"),
	       describe_or(what->note->requires_ids, "none"), describe_or(what->note->optional_ids, "none"),
	       describe_flags(cls->flags));
	if (*stand_ins)
		printf("stands in for: %s\n", stand_ins);
	g_free(stand_ins);
	printf(cls->prop_count ? "\nproperties:\n" : "\nno properties\n");
	for (size_t i = 0; i < cls->prop_count; i++) {
		char *text = describe_prop(&cls->props[i]);

		printf("  %-16s %s\n  %-16s %s\n", cls->props[i].name, cls->props[i].help, "", text);
		g_free(text);
	}
	printf("\nexample:\n%s", example);
	g_free(example);
	return CLI_OK;
}

/* JSON */

static void describe_json_pair(const char *name, const char *value)
{
	printf("\"%s\": ", name);
	json_print_string(stdout, value);
	fputs(", ", stdout);
}

static void describe_json_prop(const struct note_prop *prop)
{
	describe_json_pair("name", prop->name);
	describe_json_pair("type", note_type_name(prop->type));
	describe_json_pair("default", *prop->deflt ? prop->deflt : NULL);
	describe_json_pair("range", prop->range);
	describe_json_pair("unit", prop->unit);
	describe_json_pair("help", prop->help);
	printf("\"required\": %s, \"runtime\": %s, \"deprecated\": %s",
	       prop->flags & MT_PROPF_REQUIRED ? "true" : "false", prop->flags & MT_PROPF_RUNTIME ? "true" : "false",
	       prop->flags & MT_PROPF_DEPRECATED ? "true" : "false");
}

static int describe_print_json(const struct describe *what)
{
	const struct note_class *cls = what->cls;
	char *example = describe_example(cls), *stand_ins = describe_stand_ins(what);

	putchar('{');
	describe_json_pair("name", cls->name);
	describe_json_pair("kind", note_kind_name(cls->kind));
	describe_json_pair("summary", cls->summary);
	describe_json_pair("version", what->note->version);
	describe_json_pair("vendor", what->note->vendor);
	describe_json_pair("licence", what->note->licence);
	describe_json_pair("roles", cls->roles);
	describe_json_pair("requires", what->note->requires_ids);
	describe_json_pair("optional", what->note->optional_ids);
	describe_json_pair("remarks", describe_flags(cls->flags));
	describe_json_pair("stands_in_for", stand_ins);
	g_free(stand_ins);
	describe_json_pair("example", example);
	fputs("\"properties\": [", stdout);
	for (size_t i = 0; i < cls->prop_count; i++) {
		fputs(i ? ",\n {" : "\n {", stdout);
		describe_json_prop(&cls->props[i]);
		putchar('}');
	}
	fputs("]}\n", stdout);
	g_free(example);
	return CLI_OK;
}

/* Manual page */

/* Text of a note in roff: no escapes, no requests, and a hyphen that can be copied. */
static void describe_roff(const char *text)
{
	bool start = true;

	for (; *text; text++) {
		if (start && (*text == '.' || *text == '\''))
			fputs("\\&", stdout);
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else
			putchar(*text);
		start = *text == '\n';
	}
}

static void describe_man_upper(const char *name)
{
	char *upper = g_ascii_strup(name, -1);

	fputs(upper, stdout);
	g_free(upper);
}

static void describe_man_prop(const struct note_prop *prop)
{
	char *text = describe_prop(prop);

	fputs(".TP\n.B ", stdout);
	describe_roff(prop->name);
	fputs("\n", stdout);
	describe_roff(prop->help);
	fputs("\n.br\n(", stdout);
	describe_roff(text);
	fputs(")\n", stdout);
	g_free(text);
}

static int describe_print_man(const struct describe *what)
{
	const struct note_class *cls = what->cls;
	char *example = describe_example(cls), *stand_ins = describe_stand_ins(what);

	fputs(".TH MORTISE-", stdout);
	describe_man_upper(cls->name);
	printf(" 7 \"\" \"mortise\"\n.SH NAME\nmortise\\-");
	describe_roff(cls->name);
	fputs(" \\- ", stdout);
	describe_roff(cls->summary);
	fputs("\n.SH SYNOPSIS\n.nf\n", stdout);
	describe_roff(example);
	printf(".fi\n.SH DESCRIPTION\nA %s plugin, version ", note_kind_name(cls->kind));
	describe_roff(what->note->version);
	fputs(", by ", stdout);
	describe_roff(what->note->vendor);
	fputs(".\nRoles: ", stdout);
	describe_roff(describe_or(cls->roles, "none"));
	fputs(".\nRequired interfaces: ", stdout);
	describe_roff(describe_or(what->note->requires_ids, "none"));
	fputs(".\nRemarks: ", stdout);
	describe_roff(describe_flags(cls->flags));
	fputs(".\n", stdout);
	if (*stand_ins)
		fputs("Stands in for: ", stdout), describe_roff(stand_ins), fputs(".\n", stdout);
	g_free(stand_ins);
	if (cls->prop_count)
		fputs(".SH PROPERTIES\n", stdout);
	for (size_t i = 0; i < cls->prop_count; i++)
		describe_man_prop(&cls->props[i]);
	fputs(".SH LICENCE\n", stdout);
	describe_roff(what->note->licence);
	fputs("\n.SH SEE ALSO\n.BR mortise (1),\n.BR mortise.ini (5)\n", stdout);
	g_free(example);
	return CLI_OK;
}

static int describe_class(const struct cli_args *args, const struct describe *what)
{
	bool json;
	int code;

	if (!cli_format(args, &json, &code))
		return code;
	if (cli_flag(args, "man") && json)
		return cli_fail("--man prints a manual page; it cannot be JSON");
	if (cli_flag(args, "man"))
		return describe_print_man(what);
	return json ? describe_print_json(what) : describe_print(what);
}

static int describe_fail(const struct mt_error *err)
{
	bool unknown = err->code == MT_ENOENT && g_str_has_prefix(err->hint, "did you mean");

	cli_fail("%s%s%s", err->message, *err->hint ? "; " : "", err->hint);
	return unknown ? CLI_CONFIG : CLI_HOST;
}

/* A plugin file that is in no search path: all its classes; as JSON, an array. */
static int describe_file(const struct cli_args *args, const char *path)
{
	struct mt_error err = { .size = sizeof(err) };
	int code = CLI_OK;
	bool json;

	if (!cli_format(args, &json, &code))
		return code;
	struct note *note = note_read(path, &err);


	if (!note) {
		registry_blame(&err, path);
		return describe_fail(&err);
	}
	if (!note->class_count)
		code = cli_fail("%s: no class in it", path);
	for (size_t i = 0; i < note->class_count && !code; i++) {
		if (json)
			fputs(i ? "," : "[", stdout);
		code = describe_class(args, &(struct describe) { note, &note->classes[i] });
	}
	if (json && !code)
		puts("]");
	note_free(note);
	return code;
}

static int describe_verb(const struct cli_args *args)
{
	const char *name = cli_operand(args, 0);
	struct mt_error err = { .size = sizeof(err) };
	char **dirs;
	int code;

	if (strchr(name, '/'))
		return describe_file(args, name);
	dirs = cli_plugin_dirs(args);
	struct registry *reg = registry_create((const char *const *)dirs);
	const struct registry_class *found = registry_find(reg, name, &err);

	code = found ? describe_class(args, &(struct describe) { found->entry->note, found->cls })
		     : describe_fail(&err);
	registry_destroy(reg);
	g_strfreev(dirs);
	return code;
}

static const struct cli_option describe_options[] = {
	{ 0, "man", NULL, "print a manual page" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const describe_tables[] = {
	describe_options, cli_options_format, cli_options_plugins, cli_options_common, NULL,
};

const struct cli_verb cli_verb_describe = {
	.name = "describe",
	.operands = "PLUGIN|FILE.so",
	.summary = "tell what a plugin is and which properties it has",
	.operands_min = 1,
	.operands_max = 1,
	.options = describe_tables,
	.run = describe_verb,
};
