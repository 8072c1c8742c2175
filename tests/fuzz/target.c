/* SPDX-License-Identifier: MIT */
/* Machines for the fuzzers: one machine file in a process, its plugins loaded once. [main]. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/load/loader.h"

static struct {
	struct config *config;
	struct registry *registry;
	struct loader *loader;
	struct machine_source files;
} target;

static const struct mt_plugin *files_find(struct machine_source *source, const char *class_name,
					  const struct note_class **cls, struct mt_error *err)
{
	const struct registry_class *found = registry_find_for(target.registry, target.config, class_name, err);

	(void)source;
	if (!found)
		return NULL;
	*cls = found->cls;
	return loader_load(target.loader, found->entry, err);
}

bool target_open(const char *path, const char *tmp)
{
	char *define = g_strdup_printf("tmp=%s", tmp), *text = NULL;
	const char *defines[] = { define, NULL };
	static const char *const no_machines[] = { NULL };
	const char *plugins[] = { TEST_BUILDDIR "/plugins/*/.libs", NULL };
	struct config_options options = { .machine_dirs = no_machines, .defines = defines };
	struct diag *d = diag_create();
	bool good;

	/* what nobody uses is an error */
	if (g_file_get_contents(path, &text, NULL, NULL) && !strstr(text, "${tmp}"))
		defines[0] = NULL;
	g_free(text);
	target.config = config_load(path, &options, d);
	good = target.config && !diag_errors(d);
	if (!good)
		diag_print_text(d, stderr);
	diag_destroy(d);
	g_free(define);
	target.registry = registry_create(plugins);
	target.loader = loader_create(host_get());
	loader_set_interfaces(target.loader, host_interface_ids);
	target.files.find = files_find;
	return good;
}

void target_close(void)
{
	loader_destroy(target.loader);
	registry_destroy(target.registry);
	config_destroy(target.config);
}

static _Noreturn void die(const char *what, const struct mt_error *err)
{
	fprintf(stderr, "fuzz: %s: %s\n", what, err->message);
	abort();
}

struct machine *target_try(struct mt_error *err)
{
	struct machine *m = machine_create_from(target.config, ends_source(&target.files), err);

	loader_rest(target.loader);
	if (!m)
		return NULL;
	m->log.level = 0;
	if (machine_realize(m, err) == 0)
		return m;
	machine_destroy(m);
	return NULL;
}

struct machine *target_realize(void)
{
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m = target_try(&err);

	if (!m)
		die("realize", &err);
	return m;
}

struct machine *target_run(void)
{
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m = target_realize();

	if (machine_reset(m, MT_RESET_COLD, &err) < 0)
		die("reset", &err);
	machine_start(m);
	return m;
}
