// SPDX-License-Identifier: MIT
/*
 * The plugins of the search path, by class name. Start-up time is the reason for its shape: a machine that
 * names plugins whose files are called as their classes costs one open a plugin, and no directory is read.
 * The first directory that has a file of the name decides, even when that file is bad: falling back to
 * another version in silence would be worse. Called from [main].
 */
#include "kernel/load/registry.h"

#include <string.h>
#include <sys/stat.h>

#include "kernel/machine/fault.h"
#include "kernel/config/ini.h"
#include "kernel/config/suggest.h"

struct registry {
	char **dirs;
	GHashTable *by_path;           /* path -> struct registry_entry */
	GHashTable *by_class;          /* class name -> struct registry_class */
	GHashTable *stand_ins;         /* struct note_class of those in use -> struct registry_class */
	/* The whole path, as far as it has been read: folders that are left, files of the one that is open, entries */
	GQueue folders, files;
	GPtrArray *seen;
	bool listed;
	GPtrArray *all;                /* entries by file name, once everything has been read */
};

static void registry_entry_free(void *data)
{
	struct registry_entry *entry = data;

	g_free(entry->path);
	note_free(entry->note);
	g_free(entry);
}

struct registry *registry_create(const char *const *dirs)
{
	struct registry *reg = g_new0(struct registry, 1);

	reg->dirs = g_strdupv((char **)dirs);
	reg->by_path = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, registry_entry_free);
	reg->by_class = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	reg->stand_ins = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	reg->seen = g_ptr_array_new();
	return reg;
}

void registry_destroy(struct registry *reg)
{
	if (!reg)
		return;
	if (reg->all)
		g_ptr_array_unref(reg->all);
	g_ptr_array_unref(reg->seen);
	g_queue_clear_full(&reg->folders, g_free);
	g_queue_clear_full(&reg->files, g_free);
	g_hash_table_unref(reg->stand_ins);
	g_hash_table_unref(reg->by_class);
	g_hash_table_unref(reg->by_path);
	g_strfreev(reg->dirs);
	g_free(reg);
}

const char *const *registry_dirs(const struct registry *reg)
{
	return (const char *const *)reg->dirs;
}

int registry_blame(struct mt_error *err, const char *path)
{
	char *text;

	if (!err)
		return MT_EINVAL;
	text = *err->culprit ? g_strdup_printf("%s: %s: %s", path, err->culprit, err->message)
			     : g_strdup_printf("%s: %s", path, err->message);
	g_strlcpy(err->message, text, sizeof(err->message));
	g_free(text);
	return err->code;
}

/* The entry of a file, read at the first call. Takes `path`. */
static struct registry_entry *registry_open(struct registry *reg, char *path)
{
	struct registry_entry *entry = g_hash_table_lookup(reg->by_path, path);

	if (entry) {
		g_free(path);
		return entry;
	}
	entry = g_new0(struct registry_entry, 1);
	entry->path = path;
	entry->fault.size = sizeof(entry->fault);
	entry->note = note_read(path, &entry->fault);
	g_hash_table_insert(reg->by_path, entry->path, entry);
	return entry;
}

static const struct registry_class *registry_add_class(struct registry *reg,
						       const struct registry_entry *entry,
						       const struct note_class *cls)
{
	struct registry_class *found = g_hash_table_lookup(reg->by_class, cls->name);

	if (found)
		return found;
	found = g_new0(struct registry_class, 1);
	found->entry = entry;
	found->cls = cls;
	g_hash_table_insert(reg->by_class, (char *)cls->name, found);
	return found;
}

/* DIR/NAME.so, where a "*" of DIR stands for NAME. NULL when there is no such file. */
static char *registry_direct_path(const char *dir, const char *name)
{
	GString *path = g_string_new(dir);
	struct stat st;

	g_string_replace(path, "*", name, 1);
	g_string_append_printf(path, "/%s.so", name);
	bool found = stat(path->str, &st) == 0;

	return g_string_free(path, !found);
}

static const struct registry_class *registry_find_direct(struct registry *reg, const char *name,
							 struct mt_error *err)
{
	for (int i = 0; reg->dirs[i]; i++) {
		char *path = registry_direct_path(reg->dirs[i], name);
		const struct registry_entry *entry = path ? registry_open(reg, path) : NULL;

		if (!entry)
			continue;
		if (!entry->note) {
			*err = entry->fault;
			registry_blame(err, entry->path);
			return NULL;
		}
		const struct note_class *cls = note_class_find(entry->note, name);

		if (cls)
			return registry_add_class(reg, entry, cls);
	}
	return NULL;
}

/* The whole path */

static int registry_compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a folder, sorted, so that the outcome does not depend on the file system's order. */
static GPtrArray *registry_list(const char *dir, const char *suffix)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	GDir *handle = g_dir_open(dir, 0, NULL);
	const char *name;

	while (handle && (name = g_dir_read_name(handle)))
		if (g_str_has_suffix(name, suffix))
			g_ptr_array_add(names, g_strdup(name));
	if (handle)
		g_dir_close(handle);
	g_ptr_array_sort(names, registry_compare_strings);
	return names;
}

/* The folders that a directory of the path stands for */
static void registry_list_glob(struct registry *reg, const char *dir)
{
	const char *star = strchr(dir, '*');

	if (!star) {
		g_queue_push_tail(&reg->folders, g_strdup(dir));
		return;
	}
	char *above = g_strndup(dir, (size_t)(star - dir));
	GPtrArray *names = registry_list(above, "");

	for (unsigned i = 0; i < names->len; i++)
		g_queue_push_tail(&reg->folders, g_strconcat(above, names->pdata[i], star + 1, NULL));
	g_ptr_array_unref(names);
	g_free(above);
}

static void registry_list_files(struct registry *reg, char *folder)
{
	GPtrArray *names = registry_list(folder, ".so");

	for (unsigned i = 0; i < names->len; i++)
		g_queue_push_tail(&reg->files, g_build_filename(folder, names->pdata[i], NULL));
	g_ptr_array_unref(names);
	g_free(folder);
}

/* False: there is no further file. */
static bool registry_read_next(struct registry *reg)
{
	struct registry_entry *entry;

	for (int i = 0; !reg->listed && reg->dirs[i]; i++)
		registry_list_glob(reg, reg->dirs[i]);
	reg->listed = true;
	while (g_queue_is_empty(&reg->files)) {
		if (g_queue_is_empty(&reg->folders))
			return false;
		registry_list_files(reg, g_queue_pop_head(&reg->folders));
	}
	entry = registry_open(reg, g_queue_pop_head(&reg->files));
	g_ptr_array_add(reg->seen, entry);
	for (size_t k = 0; entry->note && k < entry->note->class_count; k++)
		if (!note_stands_in(&entry->note->classes[k], NULL, NULL))
			registry_add_class(reg, entry, &entry->note->classes[k]);
	return true;
}

const struct registry_entry *registry_nth(struct registry *reg, unsigned index)
{
	while (index >= reg->seen->len)
		if (!registry_read_next(reg))
			return NULL;
	return reg->seen->pdata[index];
}

static int registry_compare_entries(const void *pa, const void *pb)
{
	const struct registry_entry *a = *(const void *const *)pa, *b = *(const void *const *)pb;
	int order = strcmp(strrchr(a->path, '/') + 1, strrchr(b->path, '/') + 1);

	return order ? order : strcmp(a->path, b->path);
}

const GPtrArray *registry_all(struct registry *reg)
{
	if (reg->all)
		return reg->all;
	while (registry_read_next(reg))
		;
	reg->all = g_ptr_array_copy(reg->seen, NULL, NULL);
	g_ptr_array_sort(reg->all, registry_compare_entries);
	return reg->all;
}

const char *registry_suggest(struct registry *reg, const char *class_name, uint32_t kind)
{
	const GPtrArray *all = registry_all(reg);
	struct suggest s;

	suggest_init(&s, class_name);
	for (unsigned i = 0; i < all->len; i++) {
		const struct registry_entry *entry = all->pdata[i];

		for (size_t k = 0; entry->note && k < entry->note->class_count; k++)
			if (!kind || entry->note->classes[k].kind == kind)
				suggest_add(&s, entry->note->classes[k].name);
	}
	return s.best;
}

static void registry_not_found(struct registry *reg, const char *name, struct mt_error *err)
{
	char *dirs = g_strjoinv(", ", reg->dirs);
	const char *close = registry_suggest(reg, name, 0);
	char hint[sizeof(err->hint)];

	if (close)
		g_snprintf(hint, sizeof(hint), "did you mean '%s'?", close);
	else
		g_snprintf(hint, sizeof(hint), "the package mortise-plugin-%.64s may have it", name);
	fault_set(err, MT_ENOENT, "plugin", hint, "plugin '%.64s' is not in %u director%s: %s", name,
		  g_strv_length(reg->dirs), g_strv_length(reg->dirs) == 1 ? "y" : "ies", dirs);
	g_free(dirs);
}

const struct registry_class *registry_find(struct registry *reg, const char *class_name, struct mt_error *err)
{
	const struct registry_class *found = g_hash_table_lookup(reg->by_class, class_name);
	struct mt_error local = { .size = sizeof(local) };

	if (!err)
		err = &local;
	err->code = 0;
	if (!found && ini_key_is_legal(class_name))
		found = registry_find_direct(reg, class_name, err);
	if (found || err->code)
		return found;
	registry_all(reg);
	found = g_hash_table_lookup(reg->by_class, class_name);
	if (!found)
		registry_not_found(reg, class_name, err);
	return found;
}

/* Classes that stand in for others */

static bool registry_stands_in(const struct note_class *cls, const char *name, const struct config_section *cpu,
			       const struct note_class *cpu_class)
{
	char prop[64], values[128];
	const struct note_prop *of;

	if (strcmp(cls->name, name) || !note_stands_in(cls, prop, values))
		return false;
	of = note_prop_find(cpu_class, prop);
	return of && value_enum_index(values, section_get_text(cpu, prop, of->deflt)) >= 0;
}

static const struct registry_class *registry_stand_in(struct registry *reg, const struct config *cfg, const char *name)
{
	const struct config_section *cpu = config_section_next(cfg, CONFIG_CPU, NULL);
	const struct config_key *key = cpu ? section_get(cpu, "plugin") : NULL;
	const struct registry_class *of = key ? registry_find(reg, key->value, NULL) : NULL;
	struct registry_class *found;

	for (size_t i = 0; of && i < of->entry->note->class_count; i++) {
		const struct note_class *cls = &of->entry->note->classes[i];

		if (!registry_stands_in(cls, name, cpu, of->cls))
			continue;
		found = g_hash_table_lookup(reg->stand_ins, cls);
		if (!found) {
			found = g_new0(struct registry_class, 1);
			*found = (struct registry_class){ of->entry, cls };
			g_hash_table_insert(reg->stand_ins, (void *)cls, found);
		}
		return found;
	}
	return NULL;
}

const struct registry_class *registry_find_for(struct registry *reg, const struct config *cfg, const char *class_name,
					       struct mt_error *err)
{
	const struct registry_class *found = registry_stand_in(reg, cfg, class_name);

	return found ? found : registry_find(reg, class_name, err);
}
