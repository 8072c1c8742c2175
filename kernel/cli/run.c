// SPDX-License-Identifier: MIT
/* mortise run: checks a machine file, then hands it to the machine core. */
#include <stdio.h>

#include "kernel/cli/cli.h"
#include "kernel/load/check.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/machine.h"
#include "kernel/monitor/monitor.h"
#include "kernel/state/state.h"

/* `name` is what users know the machine by. */
static int run_file(const struct cli_args *args, const char *file, const char *name, struct snapshot *restore)
{
	struct run_options options = {
		.name = name, .restore = restore, .quiet = cli_flag(args, "quiet"), .attach = monitor_attach,
		.gdb = cli_value(args, "gdb"), .wait = cli_flag(args, "wait"), .verbose = cli_flag(args, "verbose"),
	};
	struct diag *d = diag_create();
	struct cli_machine m = { 0 };
	int code;

	if (cli_machine_load_file(&m, file, args, d))
		check_run(m.config, m.registry, d);
	diag_print_text(d, stderr);
	code = diag_exit_code(d);
	diag_destroy(d);
	if (!code)
		code = machine_main_run(m.config, m.registry, &options);
	cli_machine_fini(&m);
	return code;
}

static int run_restore(const struct cli_args *args, const char *dir)
{
	struct mt_error err = { .size = sizeof(err) };
	struct snapshot *snap;
	int code;

	if (cli_operand(args, 0))
		return cli_fail("--restore takes the machine from the snapshot: leave '%s' out", cli_operand(args, 0));
	snap = snapshot_open(dir, &err);
	if (!snap) {
		fault_print(&err);
		return fault_exit_code(&err);
	}
	code = run_file(args, snapshot_machine_file(snap), dir, snap);
	snapshot_close(snap);
	return code;
}

static int run_verb(const struct cli_args *args)
{
	const char *dir = cli_value(args, "restore");

	if (dir)
		return run_restore(args, dir);
	if (!cli_operand(args, 0))
		return cli_fail("wanted: mortise run FILE|NAME, or run --restore DIR");
	return run_file(args, cli_operand(args, 0), cli_operand(args, 0), NULL);
}

static const struct cli_option run_options[] = {
	{ 0, "restore", "DIR", "go on from a snapshot, instead of a FILE" },
	{ 'q', "quiet", NULL, "say nothing that is not an error" },
	{ 0, "verbose", NULL, "say also what only matters when something is slow or wrong" },
	{ 0, "gdb", "unix:PATH|tcp:HOST:PORT", "listen there for a debugger" },
	{ 0, "wait", NULL, "do not start before the debugger says so" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const run_tables[] = {
	cli_options_machine, run_options, cli_options_plugins, cli_options_common, NULL,
};

const struct cli_verb cli_verb_run = {
	.name = "run",
	.operands = "[FILE|NAME]",
	.summary = "run a machine file, or a shipped machine",
	.operands_min = 0,
	.operands_max = 1,
	.options = run_tables,
	.run = run_verb,
};
