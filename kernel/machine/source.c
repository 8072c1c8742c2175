/* SPDX-License-Identifier: MIT */
/* Classes from plugin files: the registry finds the file, the loader opens it. [main]. */
#include "kernel/machine/fault.h"
#include "kernel/load/loader.h"
#include "kernel/machine/machine.h"

struct file_source {
	struct machine_source base;
	struct registry *registry;
	struct loader *loader;
};

static const struct mt_plugin *source_find(struct machine_source *base, const char *class_name,
					   const struct note_class **cls, struct mt_error *err)
{
	struct file_source *source = (struct file_source *)base;
	const struct registry_class *found = registry_find(source->registry, class_name, err);

	if (!found)
		return NULL;
	*cls = found->cls;
	return loader_load(source->loader, found->entry, err);
}

static void source_destroy(struct machine_source *base)
{
	struct file_source *source = (struct file_source *)base;

	loader_destroy(source->loader);
	g_free(source);
}

struct machine *machine_create(struct config *config, struct registry *registry, struct mt_error *err)
{
	struct file_source *source = g_new0(struct file_source, 1);
	struct machine *m;

	source->base.find = source_find;
	source->base.destroy = source_destroy;
	source->registry = registry;
	source->loader = loader_create(host_get());
	loader_set_interfaces(source->loader, host_interface_ids);
	m = machine_create_from(config, &source->base, err);
	/* else it has gone with the machine */
	if (m)
		loader_rest(source->loader);
	return m;
}
