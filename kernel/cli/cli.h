/* SPDX-License-Identifier: MIT */
/*
 * The command: verbs and their options, as tables. The tables serve the parser, --help and the suggestions;
 * a test holds man pages and completions against them. A verb is one file with one table at its end, and one
 * line in main.c.
 */
#ifndef KERNEL_CLI_CLI_H
#define KERNEL_CLI_CLI_H

#include <glib.h>
#include <stdbool.h>

#include "kernel/config/config.h"
#include "kernel/load/registry.h"

#define CLI_OK      0
#define CLI_RUNTIME 1
#define CLI_CONFIG  2      /* the command line or a file is wrong */
#define CLI_HOST    3      /* the host lacks something */

struct cli_option {
	char letter;           /* 0: none */
	const char *name;      /* without dashes */
	const char *arg;       /* NULL: a flag */
	const char *help;
};

struct cli_args;

struct cli_verb {
	const char *name, *operands, *summary;
	int operands_min, operands_max;            /* max -1: any number */
	const struct cli_option *const *options;   /* tables, NULL-terminated; each ends with an empty entry */
	int (*run)(const struct cli_args *args);
	/* Instead of `run`: a verb that reads its arguments by itself (argv[0] is the verb). */
	int (*run_raw)(int argc, char **argv);
};

/* options.c */
struct cli_args *cli_args_parse(const struct cli_verb *verb, int argc, char **argv, int *exit_code);
void cli_args_free(struct cli_args *args);
bool cli_flag(const struct cli_args *args, const char *option);
/* The last value of an option, or NULL; all of them, NULL-terminated. */
const char *cli_value(const struct cli_args *args, const char *option);
const char *const *cli_values(const struct cli_args *args, const char *option);
/* All options in the order of the command line, where that matters. */
struct cli_given {
	const char *option, *value;            /* "" for a flag */
};
const struct cli_given *cli_given(const struct cli_args *args, unsigned *count);
/* Operand `index`, or NULL. */
const char *cli_operand(const struct cli_args *args, int index);
/* --json or --format json. False with *exit_code set when the format is none of ours. */
bool cli_format(const struct cli_args *args, bool *json, int *exit_code);

/* Prints "mortise: error: ..." and returns CLI_CONFIG. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

extern const struct cli_option cli_options_common[];    /* --help */
extern const struct cli_option cli_options_plugins[];   /* --plugin-path */
extern const struct cli_option cli_options_machine[];   /* -s, -D, --machine-path */
extern const struct cli_option cli_options_format[];    /* --json, --format */

/* main.c */
extern const struct cli_verb *const cli_verbs[];
void cli_help_verb(const struct cli_verb *verb);

/* paths.c: where plugins and shipped machines are; NULL-terminated, free with g_strfreev. */
char **cli_plugin_dirs(const struct cli_args *args);
char **cli_machine_dirs(const struct cli_args *args);

/*
 * load.c: the machine that a verb's first operand names, with the registry of its plugins. What is wrong goes
 * to `d`. False when no configuration came out of it.
 */
struct cli_machine {
	struct registry *registry;
	struct config *config;
	char **plugin_dirs, **machine_dirs;
};
bool cli_machine_load(struct cli_machine *m, const struct cli_args *args, struct diag *d);
bool cli_machine_load_file(struct cli_machine *m, const char *file, const struct cli_args *args, struct diag *d);
void cli_machine_fini(struct cli_machine *m);

extern const struct cli_verb cli_verb_run, cli_verb_check, cli_verb_plugins, cli_verb_describe, cli_verb_new,
	cli_verb_ctl, cli_verb_img, cli_verb_io, cli_verb_nbd;

#endif
