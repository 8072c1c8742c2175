// SPDX-License-Identifier: MIT
/* mortise run: checks a machine file, then hands it to the machine core. */
#include <stdio.h>

#include "kernel/cli/cli.h"
#include "kernel/load/check.h"
#include "kernel/machine/machine.h"
#include "kernel/monitor/monitor.h"

static int run_verb(const struct cli_args *args)
{
	struct run_options options = {
		.name = cli_operand(args, 0), .quiet = cli_flag(args, "quiet"), .attach = monitor_attach,
		.gdb = cli_value(args, "gdb"), .wait = cli_flag(args, "wait"),
	};
	struct diag *d = diag_create();
	struct cli_machine m = { 0 };
	int code;

	if (cli_machine_load(&m, args, d))
		check_run(m.config, m.registry, d);
	diag_print_text(d, stderr);
	code = diag_exit_code(d);
	diag_destroy(d);
	if (!code)
		code = machine_main_run(m.config, m.registry, &options);
	cli_machine_fini(&m);
	return code;
}

static const struct cli_option run_options[] = {
	{ 'q', "quiet", NULL, "say nothing that is not an error" },
	{ 0, "gdb", "unix:PATH|tcp:HOST:PORT", "listen there for a debugger" },
	{ 0, "wait", NULL, "do not start before the debugger says so" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const run_tables[] = {
	cli_options_machine, run_options, cli_options_plugins, cli_options_common, NULL,
};

const struct cli_verb cli_verb_run = {
	.name = "run",
	.operands = "FILE|NAME",
	.summary = "run a machine file, or a shipped machine",
	.operands_min = 1,
	.operands_max = 1,
	.options = run_tables,
	.run = run_verb,
};
