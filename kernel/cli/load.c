// SPDX-License-Identifier: MIT
/* The first step of `run` and `check`: the machine file and the registry of plugins, by a verb's options. */
#include "kernel/cli/cli.h"

bool cli_machine_load(struct cli_machine *m, const struct cli_args *args, struct diag *d)
{
	return cli_machine_load_file(m, cli_operand(args, 0), args, d);
}

bool cli_machine_load_file(struct cli_machine *m, const char *file, const struct cli_args *args, struct diag *d)
{
	struct config_options options = {
		.settings = cli_values(args, "set"),
		.defines = cli_values(args, "define"),
	};

	m->plugin_dirs = cli_plugin_dirs(args);
	m->machine_dirs = cli_machine_dirs(args);
	options.machine_dirs = (const char *const *)m->machine_dirs;
	m->registry = registry_create((const char *const *)m->plugin_dirs);
	m->config = config_load(file, &options, d);
	return m->config != NULL;
}

void cli_machine_fini(struct cli_machine *m)
{
	config_destroy(m->config);
	registry_destroy(m->registry);
	g_strfreev(m->plugin_dirs);
	g_strfreev(m->machine_dirs);
}
