// SPDX-License-Identifier: MIT
/* mortise img: finds the command and gives it a tool. */
#include <config.h>

#include "kernel/img/img.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernel/config/suggest.h"
#include "kernel/machine/fault.h"

static const struct img_command *const commands[] = {
	&img_create, &img_convert, &img_info, &img_check, &img_compare, &img_map, &img_snapshot, &img_resize,
	&img_rebase, &img_commit, &img_measure, &img_dd, &img_amend, &img_bitmap, &img_bench, NULL,
};

const struct cli_option img_options_format[] = {
	{ 'f', "format", "FORMAT", "format of the image" },
	{ 0, NULL, NULL, NULL },
};

const struct cli_option img_options_open[] = {
	{ 'U', "force-share", NULL, "open it though another program writes it" },
	{ 0, "allow-backing", "DIR|none", "images may name files beneath DIR; none: nor in their own folder" },
	{ 0, "through", "FILTER,KEY=VALUE", "put a filter between the image and its file (repeatable)" },
	{ 0, NULL, NULL, NULL },
};

const struct cli_option img_options_output[] = {
	{ 0, "output", "human|json", "how to print" },
	{ 0, NULL, NULL, NULL },
};

const struct cli_option img_options_quiet[] = {
	{ 'q', "quiet", NULL, "say nothing that is not an error" },
	{ 0, NULL, NULL, NULL },
};

const struct cli_option img_options_progress[] = {
	{ 'p', "progress", NULL, "show how far it is" },
	{ 0, NULL, NULL, NULL },
};

int img_fault(struct img *img)
{
	fprintf(stderr, "mortise: error: %s\n", img->err.message[0] ? img->err.message : "it failed");
	if (img->err.hint[0])
		fprintf(stderr, "mortise: hint: %s\n", img->err.hint);
	return 1;
}

static void say(FILE *out, const char *prefix, const char *format, va_list args)
{
	fputs(prefix, out);
	vfprintf(out, format, args);
	putc('\n', out);
}

int img_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(stderr, "mortise: error: ", format, args);
	va_end(args);
	return 1;
}

void img_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(stderr, "mortise: warning: ", format, args);
	va_end(args);
}

void img_say(const struct img *img, const char *format, ...)
{
	va_list args;

	if (cli_flag(img->args, "quiet"))
		return;
	va_start(args, format);
	say(stdout, "", format, args);
	va_end(args);
}

bool img_output(const struct img *img, bool *json)
{
	const char *word = cli_value(img->args, "output");

	*json = !g_strcmp0(word, "json");
	if (!word || *json || !strcmp(word, "human"))
		return true;
	img_fail("'%s' is no way to print; there are human and json", word);
	return false;
}

/* Signals: asked for, not obeyed at once, so that half images are taken away. */

static volatile sig_atomic_t cancelled;

static void on_signal(int signal)
{
	(void)signal;
	cancelled = 1;
}

bool img_cancelled(void)
{
	return cancelled;
}

void img_signals_catch(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, old;

	for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
	}
}

/* Running */

/* Words of qemu-img's that name a block graph of its own: what says the same here. */
static bool is_foreign(int argc, char **argv)
{
	static const struct { const char *word, *instead; } foreign[] = {
		{ "--image-opts", "name the image by its path or URI and its format with -f; --through puts filters under it" },
		{ "--target-image-opts", "name the output by its path or URI, and its format with -O" },
		{ "--object", "encrypted images are not read; the keys of an NBD server are named where it is" },
	};

	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		for (size_t k = 0; k < G_N_ELEMENTS(foreign); k++) {
			size_t n = strlen(foreign[k].word);

			if (!strncmp(argv[i], foreign[k].word, n) && (!argv[i][n] || argv[i][n] == '=')) {
				img_fail("there is no option %s: %s", foreign[k].word, foreign[k].instead);
				return true;
			}
		}
	}
	return false;
}

int img_run(const struct img_command *command, int argc, char **argv)
{
	struct img img = { .err = { .size = sizeof(img.err) } };
	struct cli_args *args;
	int code = 1;

	if (is_foreign(argc, argv))
		return command->usage_code ? command->usage_code : 1;
	if (command->last_is_size && argc > 1 && argv[argc - 1][0] == '-' && g_ascii_isdigit(argv[argc - 1][1]))
		img.size = argv[--argc];
	args = cli_args_parse(&command->verb, argc, argv, &code);
	if (!args)
		return code == CLI_OK ? code : command->usage_code ? command->usage_code : 1;
	img.args = args;
	img.plugin_dirs = cli_plugin_dirs(args);
	img.registry = registry_create((const char *const *)img.plugin_dirs);
	img.tool = tool_create(img.registry, &img.err);
	code = img.tool ? command->run(&img) : img_fault(&img);
	if (img.tool)
		tool_destroy(img.tool);
	registry_destroy(img.registry);
	g_strfreev(img.plugin_dirs);
	cli_args_free(args);
	return code;
}

static void help(void)
{
	puts("usage: mortise img COMMAND [OPTIONS] ...\n\nmake, look at and change disk images\n");
	for (int i = 0; commands[i]; i++)
		printf("  %-10s %s\n", commands[i]->verb.name + strlen("img "), commands[i]->verb.summary);
	puts("\n  mortise img COMMAND --help tells the options of a command; mortise-img(1) is the manual.\n");
	for (const struct cli_option *o = cli_options_common; o->name; o++)
		printf("  -%c, --%-22s %s\n", o->letter, o->name, o->help);
}

static int unknown(const char *word)
{
	struct suggest s;

	suggest_init(&s, word);
	for (int i = 0; commands[i]; i++)
		suggest_add(&s, commands[i]->verb.name + strlen("img "));
	if (s.best)
		return img_fail("there is no command 'img %s'; did you mean '%s'?", word, s.best);
	return img_fail("there is no command 'img %s'; see: mortise img --help", word);
}

static int run_raw(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (word && (!strcmp(word, "--help") || !strcmp(word, "-h"))) {
		help();
		return CLI_OK;
	}
	if (word && (!strcmp(word, "--version") || !strcmp(word, "-V"))) {
		puts("mortise img " PACKAGE_VERSION);
		return CLI_OK;
	}
	for (int i = 0; word && commands[i]; i++) {
		if (!strcmp(word, commands[i]->verb.name + strlen("img ")))
			return img_run(commands[i], argc - 1, argv + 1);
	}
	return word ? unknown(word) : img_fail("wanted: mortise img COMMAND ...; see: mortise img --help");
}

static const struct cli_option *const tables[] = { cli_options_common, NULL };

const struct cli_verb cli_verb_img = {
	.name = "img",
	.operands = "COMMAND ...",
	.summary = "make, look at and change disk images",
	.operands_min = 1,
	.operands_max = -1,
	.options = tables,
	.run_raw = run_raw,
};
