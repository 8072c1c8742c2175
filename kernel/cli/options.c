// SPDX-License-Identifier: MIT
/*
 * Parsing a verb's arguments by its tables. Options and operands may be mixed; "--" ends options. Values are
 * pointers into argv. Own parser instead of getopt: it has no suggestions and keeps its state in globals.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernel/cli/cli.h"
#include "kernel/config/suggest.h"

struct cli_args {
	const struct cli_verb *verb;
	GPtrArray *operands;
	GHashTable *values;            /* option name -> GPtrArray of char * with a NULL at the end */
	GArray *given;                 /* struct cli_given, in the order of the command line */
};

const struct cli_option cli_options_common[] = {
	{ 'h', "help", NULL, "print this text" },
	{ 0, NULL, NULL, NULL },
};

const struct cli_option cli_options_plugins[] = {
	{ 0, "plugin-path", "DIR", "look for plugins in DIR first (repeatable)" },
	{ 0, NULL, NULL, NULL },
};

const struct cli_option cli_options_machine[] = {
	{ 's', "set", "ID.KEY=VALUE", "set a key of a section (repeatable)" },
	{ 'D', "define", "NAME=VALUE", "put VALUE where the file says ${NAME} (repeatable)" },
	{ 0, "machine-path", "DIR", "look for shipped machines in DIR first (repeatable)" },
	{ 0, NULL, NULL, NULL },
};

const struct cli_option cli_options_format[] = {
	{ 0, "json", NULL, "the same as --format json" },
	{ 0, "format", "text|json", "how to print" },
	{ 0, NULL, NULL, NULL },
};

int cli_fail(const char *format, ...)
{
	va_list args;

	fputs("mortise: error: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	putc('\n', stderr);
	return CLI_CONFIG;
}

/* The option with this name (`len` bytes) or, with len 0, this letter. */
static const struct cli_option *cli_option_find(const struct cli_verb *verb, const char *name, size_t len,
						char letter)
{
	for (int t = 0; verb->options[t]; t++)
		for (const struct cli_option *o = verb->options[t]; o->name; o++)
			if (len ? strlen(o->name) == len && !memcmp(o->name, name, len) : o->letter == letter)
				return o;
	return NULL;
}

static bool cli_tell_option(const struct cli_verb *verb, const char *name, const char *shown)
{
	struct suggest s;

	suggest_init(&s, name);
	for (int t = 0; verb->options[t]; t++)
		for (const struct cli_option *o = verb->options[t]; o->name; o++)
			suggest_add(&s, o->name);
	if (s.best)
		cli_fail("'%s' is no option of mortise %s; did you mean '--%s'?", shown, verb->name, s.best);
	else
		cli_fail("'%s' is no option of mortise %s; see: mortise %s --help", shown, verb->name, verb->name);
	return false;
}

static void cli_args_add(struct cli_args *args, const struct cli_option *option, const char *value)
{
	GPtrArray *list = g_hash_table_lookup(args->values, option->name);
	struct cli_given given = { option->name, value };

	g_array_append_val(args->given, given);
	if (!list) {
		list = g_ptr_array_new();
		g_ptr_array_add(list, NULL);
		g_hash_table_insert(args->values, (char *)option->name, list);
	}
	list->pdata[list->len - 1] = (char *)value;
	g_ptr_array_add(list, NULL);
}

/* `value`: what stands behind the option in its word, or NULL: then it may be the next word, and *i moves to that. */
static bool cli_args_value(struct cli_args *args, const struct cli_option *option, const char *value, int argc,
			   char **argv, int *i)
{
	if (!option->arg && value) {
		cli_fail("'--%s' takes no value", option->name);
		return false;
	}
	if (option->arg && !value && ++*i < argc)
		value = argv[*i];
	if (option->arg && !value) {
		cli_fail("'--%s' needs a value (%s)", option->name, option->arg);
		return false;
	}
	cli_args_add(args, option, value ? value : "");
	return true;
}

static bool cli_args_take_long(struct cli_args *args, int argc, char **argv, int *i)
{
	const char *word = argv[*i];
	size_t len = strcspn(word + 2, "=");
	const struct cli_option *option = len ? cli_option_find(args->verb, word + 2, len, 0) : NULL;
	char *name;
	bool ok;

	if (option)
		return cli_args_value(args, option, word[2 + len] ? word + 3 + len : NULL, argc, argv, i);
	name = g_strndup(word + 2, len);
	ok = cli_tell_option(args->verb, name, word);
	g_free(name);
	return ok;
}

/* "-p", "-fraw", "-pf raw": several letters, of which the last may have a value. */
static bool cli_args_take_letters(struct cli_args *args, int argc, char **argv, int *i)
{
	const char *word = argv[*i];

	for (const char *at = word + 1; *at; at++) {
		const struct cli_option *option = cli_option_find(args->verb, NULL, 0, *at);

		if (!option)
			return cli_tell_option(args->verb, word + 1, word);
		if (option->arg)
			return cli_args_value(args, option, at[1] ? at + 1 : NULL, argc, argv, i);
		cli_args_add(args, option, "");
	}
	return true;
}

static bool cli_args_count(const struct cli_args *args)
{
	const struct cli_verb *verb = args->verb;
	int count = (int)args->operands->len;

	if (count < verb->operands_min)
		cli_fail("wanted: mortise %s %s", verb->name, verb->operands);
	else if (verb->operands_max >= 0 && count > verb->operands_max)
		cli_fail("'%s' is one word too many; wanted: mortise %s %s",
			 (char *)args->operands->pdata[verb->operands_max], verb->name, verb->operands);
	else
		return true;
	return false;
}

struct cli_args *cli_args_parse(const struct cli_verb *verb, int argc, char **argv, int *exit_code)
{
	struct cli_args *args = g_new0(struct cli_args, 1);
	bool ok = true, options = true;

	args->verb = verb;
	args->operands = g_ptr_array_new();
	args->given = g_array_new(FALSE, FALSE, sizeof(struct cli_given));
	args->values = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
	for (int i = 1; i < argc && ok; i++) {
		if (options && !strcmp(argv[i], "--"))
			options = false;
		else if (options && argv[i][0] == '-' && argv[i][1] == '-')
			ok = cli_args_take_long(args, argc, argv, &i);
		else if (options && argv[i][0] == '-' && argv[i][1])
			ok = cli_args_take_letters(args, argc, argv, &i);
		else
			g_ptr_array_add(args->operands, argv[i]);
	}
	*exit_code = CLI_CONFIG;
	if (ok && cli_flag(args, "help")) {
		cli_help_verb(verb);
		*exit_code = CLI_OK;
		ok = false;
	}
	/* Verbs that list something take --list instead of an operand. */
	if (ok && (cli_flag(args, "list") || cli_args_count(args)))
		return args;
	cli_args_free(args);
	return NULL;
}

void cli_args_free(struct cli_args *args)
{
	if (!args)
		return;
	g_ptr_array_unref(args->operands);
	g_hash_table_unref(args->values);
	g_array_unref(args->given);
	g_free(args);
}

const char *const *cli_values(const struct cli_args *args, const char *option)
{
	static const char *const none[] = { NULL };
	GPtrArray *list = g_hash_table_lookup(args->values, option);

	return list ? (const char *const *)list->pdata : none;
}

const char *cli_value(const struct cli_args *args, const char *option)
{
	GPtrArray *list = g_hash_table_lookup(args->values, option);

	return list ? list->pdata[list->len - 2] : NULL;
}

bool cli_flag(const struct cli_args *args, const char *option)
{
	return g_hash_table_contains(args->values, option);
}

const struct cli_given *cli_given(const struct cli_args *args, unsigned *count)
{
	*count = args->given->len;
	return (const struct cli_given *)args->given->data;
}

const char *cli_operand(const struct cli_args *args, int index)
{
	return index < (int)args->operands->len ? args->operands->pdata[index] : NULL;
}

bool cli_format(const struct cli_args *args, bool *json, int *exit_code)
{
	const char *format = cli_value(args, "format");

	*json = cli_flag(args, "json") || !g_strcmp0(format, "json");
	if (!format || !strcmp(format, "json") || !strcmp(format, "text"))
		return true;
	*exit_code = cli_fail("'%s' is no format; there are text and json", format);
	return false;
}
