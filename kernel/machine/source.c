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

static const struct mt_plugin *source_find_for(struct machine_source *base, const struct config *config,
					       const char *class_name, const struct note_class **cls,
					       struct mt_error *err)
{
	struct file_source *source = (struct file_source *)base;
	const struct registry_class *found = registry_find_for(source->registry, config, class_name, err);

	if (!found)
		return NULL;
	*cls = found->cls;
	return loader_load(source->loader, found->entry, err);
}

static const struct note_class *source_find_role(struct machine_source *base, const char *role, uint32_t index)
{
	struct registry *registry = ((struct file_source *)base)->registry;
	const struct registry_entry *entry;

	for (unsigned i = 0; (entry = registry_nth(registry, i)); i++)
		for (size_t k = 0; entry->note && k < entry->note->class_count; k++)
			if (value_word_in(entry->note->classes[k].roles, role) &&
			    !note_stands_in(&entry->note->classes[k], NULL, NULL) && index-- == 0)
				return &entry->note->classes[k];
	return NULL;
}

static void source_rest(struct machine_source *base)
{
	loader_rest(((struct file_source *)base)->loader);
}

static void source_destroy(struct machine_source *base)
{
	struct file_source *source = (struct file_source *)base;

	loader_destroy(source->loader);
	g_free(source);
}

struct machine_source *machine_source_create(struct registry *registry)
{
	struct file_source *source = g_new0(struct file_source, 1);

	source->base.find = source_find;
	source->base.find_for = source_find_for;
	source->base.find_role = source_find_role;
	source->base.rest = source_rest;
	source->base.destroy = source_destroy;
	source->registry = registry;
	source->loader = loader_create(host_get());
	loader_set_interfaces(source->loader, host_interface_ids);
	return &source->base;
}

struct machine *machine_create(struct config *config, struct registry *registry, struct mt_error *err)
{
	struct machine_source *source = machine_source_create(registry);
	struct machine *m = machine_create_from(config, source, err);

	/* else it has gone with the machine */
	if (m)
		source_rest(source);
	return m;
}
