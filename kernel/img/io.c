// SPDX-License-Identifier: MIT
/* mortise io: takes command lines apart and runs them; the commands are in io-run.c. */
#include "kernel/img/io.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernel/config/suggest.h"

void io_fail(struct io *io, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	io->failures++;
}

int io_open(struct io *io, bool readonly)
{
	struct img *img = io->img;
	struct image_options options = img_open_options(img);
	const char *cache = cli_value(img->args, "cache");
	const char *path = cli_operand(img->args, 0), *format = cli_value(img->args, "format");

	if (cli_flag(img->args, "nocache"))
		options.cache = FILE_DIRECT;
	if ((cache && !img_cache(cache, &options.cache)) || !img_engine(cli_value(img->args, "engine"), &options.engine))
		return 1;
	io->image = readonly ? img_open_read(img, path, format, &options) : img_open_write(img, path, format, &options);
	return io->image ? 0 : img_fault(img);
}

static const struct io_command *command_find(const char *name)
{
	for (const struct io_command *c = io_commands; c->name; c++) {
		if (!strcmp(c->name, name) || (c->alias && !strcmp(c->alias, name)))
			return c;
	}
	return NULL;
}

static void command_unknown(struct io *io, const char *name)
{
	struct suggest s;

	suggest_init(&s, name);
	for (const struct io_command *c = io_commands; c->name; c++)
		suggest_add(&s, c->name);
	if (s.best)
		io_fail(io, "there is no command '%s'; did you mean '%s'?", name, s.best);
	else
		io_fail(io, "there is no command '%s'; help lists them", name);
}

static bool flag_take(struct io *io, const struct io_command *command, struct io_args *args, char **words, int *i)
{
	for (const char *at = words[*i] + 1; *at; at++) {
		const char *known = *at == ':' ? NULL : strchr(command->flags, *at);

		if (!known || *at >= 127) {
			io_fail(io, "%s has no flag -%c", command->name, *at);
			return false;
		}
		args->flag[(int)*at] = true;
		if (known[1] != ':')
			continue;
		args->value[(int)*at] = at[1] ? at + 1 : words[*i + 1] ? words[++*i] : NULL;
		if (args->value[(int)*at])
			return true;
		io_fail(io, "%s: -%c needs a value", command->name, *at);
		return false;
	}
	return true;
}

static bool args_read(struct io *io, const struct io_command *command, char **words, struct io_args *args)
{
	int i = 1;

	for (; words[i] && words[i][0] == '-' && words[i][1]; i++) {
		if (!flag_take(io, command, args, words, &i))
			return false;
	}
	args->words = words + i;
	args->count = (int)g_strv_length(args->words);
	if (args->count >= command->args_min && (command->args_max < 0 || args->count <= command->args_max))
		return true;
	io_fail(io, "wanted: %s %s", command->name, command->operands);
	return false;
}

static void line_run(struct io *io, const char *line)
{
	struct io_args args = { 0 };
	const struct io_command *command;
	char **words = NULL;
	GError *error = NULL;

	if (!g_shell_parse_argv(line, NULL, &words, &error)) {
		if (!g_error_matches(error, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING))
			io_fail(io, "%s", error->message);
		g_error_free(error);
		return;
	}
	command = command_find(words[0]);
	if (!command)
		command_unknown(io, words[0]);
	else if (args_read(io, command, words, &args) && command->run(io, &args) && !io->quit)
		io->failures += !io->failures;
	fflush(stdout);
	g_strfreev(words);
}

static void lines_run(struct io *io)
{
	const char *const *lines = cli_values(io->img->args, "cmd");
	char *line = NULL;
	size_t size = 0;

	for (int i = 0; lines[i] && !io->quit; i++)
		line_run(io, lines[i]);
	while (!lines[0] && !io->quit && getline(&line, &size, stdin) > 0)
		line_run(io, line);
	free(line);
}

static int run(struct img *img)
{
	struct io io = { .img = img, .quiet = cli_flag(img->args, "quiet") };

	if (io_open(&io, cli_flag(img->args, "read-only")))
		return 1;
	lines_run(&io);
	io_wait(&io);
	if (io.image && image_close(io.image) < 0)
		io_fail(&io, "the last changes could not be written");
	return io.failures ? 1 : 0;
}

static const struct cli_option options[] = {
	{ 'c', "cmd", "COMMAND", "run it (repeatable); without, commands are read from standard input" },
	{ 'r', "read-only", NULL, "open the image for reading" },
	{ 'n', "nocache", NULL, "the same as --cache none" },
	{ 't', "cache", "MODE", "cache mode: writeback (default), none, unsafe" },
	{ 'i', "engine", "io_uring|threads", "how the host does the I/O" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	img_options_format, options, img_options_quiet, img_options_open, cli_options_plugins, cli_options_common, NULL,
};

static const struct img_command io_command = {
	.verb = { .name = "io", .operands = "FILE", .summary = "read and write an image by commands",
		  .operands_min = 1, .operands_max = 1, .options = tables },
	.run = run,
};

static int run_raw(int argc, char **argv)
{
	return img_run(&io_command, argc, argv);
}

const struct cli_verb cli_verb_io = {
	.name = "io",
	.operands = "FILE",
	.summary = "read and write an image by commands",
	.operands_min = 1,
	.operands_max = 1,
	.options = tables,
	.run_raw = run_raw,
};
