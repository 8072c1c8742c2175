// SPDX-License-Identifier: MIT
/*
 * Loads plugin files. What is here for the process and not for a machine: the table of loaded files (they
 * stay resident, and an entry is called once). The guard catches what a constructor does; after a crash inside
 * the dynamic linker its state is unknown, so nothing is loaded any more. Called from [main].
 */
#include "kernel/load/loader.h"

#include <ltdl.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/machine/fault.h"
#include "kernel/load/guard.h"
#include "kernel/load/symbols.h"

#define LOADER_ENTRY "mortise_plugin_entry"

struct loader {
	const struct mt_host *host;
	const char *const *interfaces;
	struct symbols *symbols;       /* NULL: at rest */
};

/* path -> const struct mt_plugin *; and the file that broke the process for all others */
static GHashTable *loader_files;
static char *loader_broken_by;

struct loader *loader_create(const struct mt_host *host)
{
	struct loader *loader = g_new0(struct loader, 1);

	loader->host = host;
	return loader;
}

void loader_rest(struct loader *loader)
{
	symbols_destroy(loader->symbols);
	loader->symbols = NULL;
	guard_release();
}

void loader_destroy(struct loader *loader)
{
	loader_rest(loader);
	g_free(loader);
}

void loader_set_interfaces(struct loader *loader, const char *const *ids)
{
	loader->interfaces = ids;
}

/* Interfaces */

static bool loader_offers(const struct loader *loader, const char *id)
{
	return loader->interfaces && g_strv_contains(loader->interfaces, id);
}

/* Another version of an interface that is offered: the reader wants to know which side is the older. */
static const char *loader_other_version(const struct loader *loader, const char *id)
{
	const char *slash = strrchr(id, '/');
	size_t stem = slash ? (size_t)(slash - id + 1) : strlen(id);

	for (int i = 0; loader->interfaces && loader->interfaces[i]; i++)
		if (!strncmp(loader->interfaces[i], id, stem))
			return loader->interfaces[i];
	return "none";
}

static int loader_check_interfaces(const struct loader *loader, const struct note *note, struct mt_error *err)
{
	char **ids = g_strsplit(note->requires_ids, " ", -1);
	int code = 0;

	for (int i = 0; ids[i] && !code; i++)
		if (*ids[i] && !loader_offers(loader, ids[i]))
			code = fault_set(err, MT_ENOTSUP, "required interfaces", "update mortise",
					 "wanted '%.100s', offered %.100s", ids[i],
					 loader_other_version(loader, ids[i]));
	g_strfreev(ids);
	return code;
}

int loader_examine(struct loader *loader, const struct registry_entry *entry, struct mt_error *err)
{
	struct mt_error local = { .size = sizeof(local) };
	int code;

	if (!err)
		err = &local;
	if (!entry->note) {
		*err = entry->fault;
		return registry_blame(err, entry->path);
	}
	code = loader_check_interfaces(loader, entry->note, err);
	if (!loader->symbols)
		loader->symbols = symbols_create();
	if (!code)
		code = symbols_check(loader->symbols, entry->path, err);
	return code ? registry_blame(err, entry->path) : 0;
}

/* Loading */

struct loader_job {
	const struct loader *loader;
	const char *path;
	const struct mt_plugin *plugin;
	struct mt_error *err;
	int code;
};

static lt_dlhandle loader_open(const char *path, struct mt_error *err)
{
	lt_dladvise advise;
	lt_dlhandle handle = NULL;

	if (lt_dlinit() || lt_dladvise_init(&advise)) {
		fault_set(err, MT_ENOMEM, "libltdl", NULL, "cannot be started");
		return NULL;
	}
	if (!lt_dladvise_local(&advise) && !lt_dladvise_resident(&advise))
		handle = lt_dlopenadvise(path, advise);
	if (!handle)
		fault_set(err, MT_EINVAL, "file", "try: LD_DEBUG=all mortise ...",
			  "the dynamic linker refuses it: %.300s", lt_dlerror());
	lt_dladvise_destroy(&advise);
	return handle;
}

static int loader_check_plugin(const struct mt_plugin *plugin, struct mt_error *err)
{
	const char *hint = "the plugin's author mends its entry";

	if (plugin->size < sizeof(*plugin))
		return fault_set(err, MT_EINVAL, "mt_plugin.size", hint, "wanted %zu, offered %u", sizeof(*plugin),
				 plugin->size);
	if (plugin->abi_major != MT_ABI_MAJOR)
		return fault_set(err, MT_ENOTSUP, "mt_plugin.abi_major", hint, "wanted %u, offered %u",
				 MT_ABI_MAJOR, plugin->abi_major);
	if (!plugin->get_class)
		return fault_set(err, MT_EINVAL, "mt_plugin.get_class", hint, "wanted a function, offered none");
	return 0;
}

/* What a plugin put into an error is not to be trusted further than any of its data. */
static int loader_refused_itself(struct mt_error *err)
{
	err->culprit[sizeof(err->culprit) - 1] = '\0';
	err->message[sizeof(err->message) - 1] = '\0';
	err->hint[sizeof(err->hint) - 1] = '\0';
	if (!*err->message)
		g_strlcpy(err->message, "the plugin does not want to be used, and gives no reason",
			  sizeof(err->message));
	if (err->code >= 0)
		err->code = MT_ENOTSUP;
	return err->code;
}

/* Plugin code runs from here: constructors in loader_open, then the entry. */
static void loader_run(void *data)
{
	struct loader_job *job = data;
	lt_dlhandle handle = loader_open(job->path, job->err);
	const struct mt_plugin *(*entry)(const struct mt_host *, struct mt_error *);

	job->code = job->err->code;
	if (!handle)
		return;
	*(void **)&entry = lt_dlsym(handle, LOADER_ENTRY);
	if (!entry) {
		job->code = fault_set(job->err, MT_EINVAL, "entry", NULL, "wanted " LOADER_ENTRY ", offered none");
		return;
	}
	job->plugin = entry(job->loader->host, job->err);
	job->code = job->plugin ? loader_check_plugin(job->plugin, job->err) : loader_refused_itself(job->err);
}

static int loader_load_file(const struct loader *loader, const char *path, const struct mt_plugin **plugin,
			    struct mt_error *err)
{
	struct loader_job job = { .loader = loader, .path = path, .err = err };
	int signal;

	guard_hold();
	signal = guard_run(path, loader_run, &job);
	if (signal) {
		loader_broken_by = g_strdup(path);
		return fault_set(err, MT_EINVAL, "constructor", "report it to the plugin's author; nothing was started",
				 "wanted a plugin that loads, offered one that died with signal %d (%s)", signal,
				 strsignal(signal));
	}
	*plugin = job.plugin;
	return job.code;
}

const struct mt_plugin *loader_load(struct loader *loader, const struct registry_entry *entry,
				    struct mt_error *err)
{
	struct mt_error local = { .size = sizeof(local) };
	const struct mt_plugin *plugin = NULL;
	int code;

	if (!err)
		err = &local;
	if (!loader_files)
		loader_files = g_hash_table_new(g_str_hash, g_str_equal);
	plugin = g_hash_table_lookup(loader_files, entry->path);
	if (plugin)
		return plugin;
	if (loader_broken_by) {
		fault_set(err, MT_EINVAL, "process", "remove that plugin", "'%s' crashed while it was loaded; "
			  "no further plugin is loaded", loader_broken_by);
		return NULL;
	}
	if (loader_examine(loader, entry, err))
		return NULL;
	code = loader_load_file(loader, entry->path, &plugin, err);
	if (code) {
		registry_blame(err, entry->path);
		return NULL;
	}
	g_hash_table_insert(loader_files, g_strdup(entry->path), (void *)plugin);
	return plugin;
}
