// SPDX-License-Identifier: MIT
/*
 * mortise: finds the verb and runs it. A new verb is a file with a table, and one line in cli_verbs.
 */
#include <config.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernel/block/engine.h"
#include "kernel/cli/cli.h"
#include "kernel/config/suggest.h"

const struct cli_verb *const cli_verbs[] = {
	&cli_verb_run,
	&cli_verb_check,
	&cli_verb_plugins,
	&cli_verb_describe,
	&cli_verb_new,
	&cli_verb_ctl,
	&cli_verb_img,
	&cli_verb_io,
	&cli_verb_nbd,
	NULL,
};

static void help_option(const struct cli_option *option)
{
	const char *arg = option->arg ? option->arg : "";
	char *text = g_strdup_printf("--%s%s%s", option->name, *arg ? " " : "", arg);

	if (option->letter)
		printf("  -%c, %-24s %s\n", option->letter, text, option->help);
	else
		printf("      %-24s %s\n", text, option->help);
	g_free(text);
}

void cli_help_verb(const struct cli_verb *verb)
{
	printf("usage: mortise %s [OPTIONS]%s%s\n\n%s\n\n", verb->name, *verb->operands ? " " : "", verb->operands,
	       verb->summary);
	for (int t = 0; verb->options && verb->options[t]; t++)
		for (const struct cli_option *o = verb->options[t]; o->name; o++)
			help_option(o);
}

static void help_all(FILE *out)
{
	fputs("usage: mortise VERB [OPTIONS] ...\n\n", out);
	for (int i = 0; cli_verbs[i]; i++)
		fprintf(out, "  %-10s %s\n", cli_verbs[i]->name, cli_verbs[i]->summary);
	fputs("\n  mortise VERB --help tells the options of a verb; mortise --version the version.\n"
	      "  mortise(1) and mortise.ini(5) are the manual.\n", out);
}

static const struct cli_verb *verb_find(const char *name)
{
	for (int i = 0; cli_verbs[i]; i++)
		if (!strcmp(cli_verbs[i]->name, name))
			return cli_verbs[i];
	return NULL;
}

static int verb_unknown(const char *name)
{
	struct suggest s;

	suggest_init(&s, name);
	for (int i = 0; cli_verbs[i]; i++)
		suggest_add(&s, cli_verbs[i]->name);
	if (s.best)
		return cli_fail("there is no verb '%s'; did you mean '%s'?", name, s.best);
	return cli_fail("there is no verb '%s'; see: mortise --help", name);
}

static int verb_run(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_args *args;
	int code;

	if (verb->run_raw)
		return verb->run_raw(argc, argv);
	args = cli_args_parse(verb, argc, argv, &code);
	if (!args)
		return code;
	code = verb->run(args);
	cli_args_free(args);
	return code;
}

static int help_verb(int argc, char **argv)
{
	const struct cli_verb *verb = argc > 2 ? verb_find(argv[2]) : NULL;

	if (argc > 2 && !verb)
		return verb_unknown(argv[2]);
	if (verb)
		cli_help_verb(verb);
	else
		help_all(stdout);
	return CLI_OK;
}

/* Output that could not be written (a full disk behind a redirection) is a failure like any other. */
static int main_finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	cli_fail("standard output cannot be written");
	return code ? code : CLI_RUNTIME;
}

/*
 * A closed standard descriptor would be given to the next file that is opened: the guest's console would write into a
 * disk image. /dev/null takes its place; opened for reading, so that writing to a closed output stays an error.
 */
static void standard_fill(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;
	const struct cli_verb *verb = word ? verb_find(word) : NULL;

	standard_fill();
	uring_prepare();
	if (!word) {
		help_all(stderr);
		return CLI_CONFIG;
	}
	if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
		puts("mortise " PACKAGE_VERSION);
		return main_finish(CLI_OK);
	}
	if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help"))
		return main_finish(help_verb(argc, argv));
	if (!verb)
		return verb_unknown(word);
	return main_finish(verb_run(verb, argc - 1, argv + 1));
}
