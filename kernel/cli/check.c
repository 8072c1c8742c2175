// SPDX-License-Identifier: MIT
/*
 * mortise check: all that can be found wrong with a machine without running plugin code or allocating its
 * memory; and what the file comes to: merged text, address map, device tree. Only --dts runs plugin code.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kernel/cli/cli.h"
#include "kernel/load/check.h"
#include "kernel/config/json.h"
#include "kernel/load/loader.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/machine.h"
#include "kernel/state/state.h"

static void check_machine(const struct cli_machine *m, struct diag *d)
{
	struct loader *loader = loader_create(NULL);

	loader_set_interfaces(loader, host_interface_ids);
	if (check_run(m->config, m->registry, d))
		check_gate(m->config, m->registry, loader, d);
	loader_destroy(loader);
}

/* What was asked for beside the verdict. */
static int check_print(const struct cli_args *args, const struct cli_machine *m)
{
	if (cli_flag(args, "effective"))
		config_print(m->config, true, stdout);
	if (cli_flag(args, "map"))
		check_print_map(m->config, m->registry, stdout);
	if (cli_flag(args, "dts"))
		return machine_main_dts(m->config, m->registry, stdout);
	return CLI_OK;
}

/* A part of the JSON object after its first. */
static void check_json_name(const char *name)
{
	printf(",\n\"%s\": ", name);
}

static int check_json_dts(const struct cli_machine *m)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int code = out ? machine_main_dts(m->config, m->registry, out) : CLI_RUNTIME;

	if (out)
		fclose(out);
	check_json_name("dts");
	json_print_string(stdout, code ? NULL : text);
	free(text);
	return code;
}

/* One object: the messages, then what was asked for beside them, as far as the file allows. */
static int check_json(const struct cli_args *args, const struct cli_machine *m, struct diag *d)
{
	int code = diag_exit_code(d);

	fputs("{\"messages\": ", stdout);
	diag_print_json(d, stdout);
	if (m->config && cli_flag(args, "effective")) {
		check_json_name("effective");
		config_print_json(m->config, stdout);
	}
	if (!code && cli_flag(args, "map")) {
		check_json_name("map");
		check_print_map_json(m->config, m->registry, stdout);
	}
	if (!code && cli_flag(args, "dts"))
		code = check_json_dts(m);
	puts("}");
	return code;
}

static bool check_wants_listing(const struct cli_args *args)
{
	return cli_flag(args, "effective") || cli_flag(args, "map") || cli_flag(args, "dts");
}

/* What is named: the file, or the folder of the snapshot. */
static const char *check_name(const struct cli_args *args)
{
	const char *dir = cli_value(args, "restore");

	return dir ? dir : cli_operand(args, 0);
}

static void check_report(const struct cli_args *args, struct diag *d, bool json)
{
	if (json)
		diag_print_json(d, stdout);
	else
		diag_print_text(d, stderr);
	if (!json && !check_wants_listing(args) && !diag_errors(d))
		printf("%s: no errors\n", check_name(args));
}

static int check_text(const struct cli_args *args, const struct cli_machine *m, struct diag *d, bool json)
{
	int code = diag_exit_code(d);

	check_report(args, d, json);
	if (!code)
		return check_print(args, m);
	if (!json && m->config && cli_flag(args, "effective"))
		config_print(m->config, true, stdout);
	return code;
}

/* The machine file of the operand, or of a snapshot after all of that has been read. */
static bool check_load(const struct cli_args *args, struct snapshot *snap, struct cli_machine *m, struct diag *d)
{
	return snap ? cli_machine_load_file(m, snapshot_machine_file(snap), args, d) : cli_machine_load(m, args, d);
}

static int check_file(const struct cli_args *args, struct snapshot *snap)
{
	struct diag *d = diag_create();
	struct cli_machine m = { 0 };
	int code = CLI_OK;
	bool json;

	if (cli_format(args, &json, &code)) {
		if (check_load(args, snap, &m, d))
			check_machine(&m, d);
		code = json && check_wants_listing(args) ? check_json(args, &m, d) : check_text(args, &m, d, json);
		cli_machine_fini(&m);
	}
	diag_destroy(d);
	return code;
}

static int check_snapshot(const struct cli_args *args, const char *dir)
{
	struct mt_error err = { .size = sizeof(err) };
	struct snapshot *snap = snapshot_open(dir, &err);
	int code;

	if (snap && snapshot_verify(snap, &err) == 0) {
		code = check_file(args, snap);
	} else {
		fault_print(&err);
		code = fault_exit_code(&err);
	}
	snapshot_close(snap);
	return code;
}

static int check_verb(const struct cli_args *args)
{
	const char *dir = cli_value(args, "restore");

	if (!dir == !cli_operand(args, 0))
		return cli_fail("wanted: mortise check FILE|NAME, or check --restore DIR");
	return dir ? check_snapshot(args, dir) : check_file(args, NULL);
}

static const struct cli_option check_options[] = {
	{ 0, "restore", "DIR", "check a whole snapshot instead of a FILE" },
	{ 0, "effective", NULL, "print the merged file, with the place each key comes from" },
	{ 0, "map", NULL, "print the address and interrupt map" },
	{ 0, "dts", NULL, "print the device tree (this loads the plugins)" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const check_tables[] = {
	check_options, cli_options_machine, cli_options_format, cli_options_plugins, cli_options_common, NULL,
};

const struct cli_verb cli_verb_check = {
	.name = "check",
	.operands = "[FILE|NAME]",
	.summary = "find what is wrong with a machine file or a snapshot",
	.operands_min = 0,
	.operands_max = 1,
	.options = check_tables,
	.run = check_verb,
};
