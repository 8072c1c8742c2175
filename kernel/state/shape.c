/* SPDX-License-Identifier: MIT */
/* The machine file of a snapshot; see shape.h. Types of properties come from the notes of the machine's classes. */
#include "kernel/state/shape.h"

#include <string.h>

#include "kernel/block/block.h"
#include "kernel/config/ini.h"
#include "kernel/machine/fault.h"

static struct mt_inst *inst_of(const struct machine *m, const struct config_section *section)
{
	for (unsigned i = 0; i < m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(m->insts, i);

		if (inst->section == section)
			return inst;
	}
	return NULL;
}

/* Of the property that a key sets; "hostfwd.1" is one of "hostfwd". 0: none. */
static uint32_t type_of(const struct mt_inst *inst, const char *key)
{
	char *name = g_strndup(key, strcspn(key, "."));
	const struct note_prop *prop = inst ? note_prop_find(inst->cls, name) : NULL;

	g_free(name);
	return prop ? prop->type : 0;
}

/* The value with the path in it as it is from any folder; NULL: there is none in it. */
static char *whole_path(const struct config_section *section, const struct mt_inst *inst, const struct config_key *key)
{
	static const char local[] = "unix:";
	char *path, *whole;

	if (section->kind != CONFIG_MONITOR)
		return type_of(inst, key->name) == MT_PROP_PATH ? key_path(key) : NULL;
	if (!strcmp(key->name, "viewer") || (!strcmp(key->name, "socket") && strcmp(key->value, "off")))
		return key_path(key);
	if (strcmp(key->name, "gdb") || !g_str_has_prefix(key->value, local))
		return NULL;
	path = g_canonicalize_filename(key->value + strlen(local), key->dir);
	whole = g_strconcat(local, path, NULL);
	g_free(path);
	return whole;
}

static void key_print(const struct config_section *section, const struct mt_inst *inst, const struct config_key *key,
		      FILE *out)
{
	char *path = whole_path(section, inst, key), *form = ini_quote(path ? path : key->value);

	fprintf(out, "%s = %s\n", key->name, form ? form : "");
	g_free(form);
	g_free(path);
}

/* A later plugin may have other defaults. Classes cannot tell a default from the same value in the file. */
static void defaults_print(const struct note_class *cls, const struct config_section *section, FILE *out)
{
	for (size_t i = 0; i < cls->prop_count; i++) {
		const struct note_prop *prop = &cls->props[i];
		char *form = ini_quote(prop->deflt);

		if (*prop->deflt && form && prop->type != MT_PROP_LIST && !section_get(section, prop->name))
			fprintf(out, "%s = %s\n", prop->name, form);
		g_free(form);
	}
}

static void value_print(const char *name, const char *value, FILE *out)
{
	char *form = ini_quote(value);

	fprintf(out, "%s = %s\n", name, form ? form : "");
	g_free(form);
}

void shape_print_disk(struct mt_inst *inst, FILE *out)
{
	GPtrArray *folders = block_folders(inst);
	char name[32];

	value_print("plugin", block_image(inst)->cls->name, out);
	value_print("file", block_file(inst), out);
	for (unsigned i = 0; note_prop_find(block_image(inst)->cls, "allow") && i < folders->len; i++) {
		g_snprintf(name, sizeof(name), "allow.%u", i + 1);
		value_print(name, g_ptr_array_index(folders, i), out);
	}
	g_ptr_array_unref(folders);
}

/* A disk with another image than its section says: what else the section sets holds for that one too. */
static void moved_print(struct mt_inst *inst, FILE *out)
{
	const struct mt_inst *image = block_image(inst);
	static const char *const said[] = { "plugin", "file", "allow", "backing", NULL };

	shape_print_disk(inst, out);
	for (unsigned k = 0; k < inst->section->keys->len; k++) {
		const struct config_key *key = g_ptr_array_index(inst->section->keys, k);
		char *name = g_strndup(key->name, strcspn(key->name, "."));

		if (!g_strv_contains(said, name) && (type_of(image, name) || !strncmp(name, "x-", 2)))
			key_print(inst->section, image, key, out);
		g_free(name);
	}
	defaults_print(image->cls, inst->section, out);
}

static void section_print(const struct config_section *section, struct mt_inst *inst, FILE *out)
{
	for (unsigned k = 0; k < section->keys->len; k++)
		key_print(section, inst, g_ptr_array_index(section->keys, k), out);
	if (inst)
		defaults_print(inst->cls, section, out);
}

void shape_print(const struct machine *m, FILE *out)
{
	for (size_t i = 0; i < config_section_count(m->config); i++) {
		const struct config_section *section = config_section_at(m->config, i);
		struct mt_inst *inst = inst_of(m, section);

		fprintf(out, "%s[%s]\n", i ? "\n" : "", section->label);
		if (inst && block_image(inst) != inst)
			moved_print(inst, out);
		else
			section_print(section, inst, out);
	}
}

/* Whether the guest has seen it: then it stays. */
static bool key_is_fixed(const struct config_section *section, const struct mt_inst *inst, const char *key)
{
	uint32_t type = type_of(inst, key);

	if (section->kind == CONFIG_MACHINE)
		return strcmp(key, "name") && strncmp(key, "x-", 2);
	return !strcmp(key, "plugin") || type == MT_PROP_ADDR || type == MT_PROP_IRQ || type == MT_PROP_REF;
}

static int key_refuse(const struct config_section *section, const char *key, struct mt_error *err)
{
	return fault_set(err, MT_EINVAL, key, "set files, terminals and other things of the host only",
			 "[%s] %s is not what it is in the snapshot, and the guest knows it", section->label, key);
}

static int section_check(const struct machine *m, const struct config_section *section,
			 const struct config_section *saved, struct mt_error *err)
{
	const struct mt_inst *inst = inst_of(m, section);

	for (unsigned k = 0; k < section->keys->len; k++) {
		const struct config_key *key = g_ptr_array_index(section->keys, k);

		if (key_is_fixed(section, inst, key->name) &&
		    strcmp(section_get_text(saved, key->name, ""), key->value))
			return key_refuse(section, key->name, err);
	}
	for (unsigned k = 0; k < saved->keys->len; k++) {
		const struct config_key *key = g_ptr_array_index(saved->keys, k);

		if (key_is_fixed(section, inst, key->name) && !section_get(section, key->name))
			return key_refuse(section, key->name, err);
	}
	return 0;
}

int shape_check(const struct machine *m, const struct config *saved, struct mt_error *err)
{
	int code = 0;

	for (size_t i = 0; code == 0 && i < config_section_count(m->config); i++) {
		const struct config_section *section = config_section_at(m->config, i);
		const struct config_section *before = config_section_find(saved, section->id);

		if (!before)
			return fault_set(err, MT_EINVAL, section->id, NULL, "[%s] is not in the snapshot", section->label);
		code = section_check(m, section, before, err);
	}
	return code;
}
