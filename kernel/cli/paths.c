// SPDX-License-Identifier: MIT
/*
 * Where plugins and shipped machines are. A program that stands in a build tree (beside .mortise-build-tree)
 * takes them from there, so that nothing needs to be installed to be tried. The environment has no say.
 */
#include <string.h>
#include <unistd.h>

#include "kernel/cli/cli.h"

#ifndef MORTISE_PLUGIN_DIR
#define MORTISE_PLUGIN_DIR "/usr/lib/mortise/1"
#endif
#ifndef MORTISE_MACHINE_DIR
#define MORTISE_MACHINE_DIR "/usr/share/mortise/machines"
#endif

/* The folder of the running program, or NULL. */
static char *paths_program_dir(void)
{
	char *path = g_file_read_link("/proc/self/exe", NULL), *dir;

	if (!path)
		return NULL;
	dir = g_path_get_dirname(path);
	g_free(path);
	if (g_str_has_suffix(dir, "/.libs"))
		dir[strlen(dir) - strlen("/.libs")] = '\0';
	return dir;
}

/* The value of "NAME=" in the marker file, or NULL outside a build tree. */
static char *paths_build_tree(const char *name)
{
	char *dir = paths_program_dir(), *file = dir ? g_build_filename(dir, ".mortise-build-tree", NULL) : NULL;
	char *text = NULL, *value = NULL, **lines;
	size_t len = strlen(name);

	if (file && access(file, R_OK) == 0 && g_file_get_contents(file, &text, NULL, NULL)) {
		lines = g_strsplit(text, "\n", -1);
		for (int i = 0; lines[i] && !value; i++)
			if (!strncmp(lines[i], name, len) && lines[i][len] == '=')
				value = g_strdup(lines[i] + len + 1);
		g_strfreev(lines);
	}
	g_free(text);
	g_free(file);
	g_free(dir);
	return value;
}

static GPtrArray *paths_from_option(const struct cli_args *args, const char *option)
{
	const char *const *values = cli_values(args, option);
	GPtrArray *dirs = g_ptr_array_new();

	for (int i = 0; values[i]; i++)
		g_ptr_array_add(dirs, g_canonicalize_filename(values[i], NULL));
	return dirs;
}

char **cli_plugin_dirs(const struct cli_args *args)
{
	GPtrArray *dirs = paths_from_option(args, "plugin-path");
	char *build = paths_build_tree("builddir");

	if (build) {
		g_ptr_array_add(dirs, g_build_filename(build, "plugins", "*", ".libs", NULL));
	} else {
		g_ptr_array_add(dirs, g_strdup(MORTISE_PLUGIN_DIR));
		if (strcmp(MORTISE_PLUGIN_DIR, "/usr/local/lib/mortise/1"))
			g_ptr_array_add(dirs, g_strdup("/usr/local/lib/mortise/1"));
	}
	g_free(build);
	g_ptr_array_add(dirs, NULL);
	return (char **)g_ptr_array_free(dirs, FALSE);
}

char **cli_machine_dirs(const struct cli_args *args)
{
	GPtrArray *dirs = paths_from_option(args, "machine-path");
	char *source = paths_build_tree("srcdir");

	if (source) {
		g_ptr_array_add(dirs, g_build_filename(source, "conf", NULL));
	} else {
		g_ptr_array_add(dirs, g_strdup("/etc/mortise/machines"));
		g_ptr_array_add(dirs, g_strdup(MORTISE_MACHINE_DIR));
	}
	g_free(source);
	g_ptr_array_add(dirs, NULL);
	return (char **)g_ptr_array_free(dirs, FALSE);
}
