/* SPDX-License-Identifier: MIT */
/*
 * mortise.props/1: an instance reads its own section; what the section does not set comes from the note's
 * default. [main], except `id`. Values were checked before: what does not parse here reads as 0.
 * Easy to break: strings handed out live in inst->strings, never in a buffer that a second call reuses.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/services.h"

static const struct note_prop *prop_of(const struct mt_inst *inst, const char *name)
{
	return note_prop_find(inst->cls, name);
}

/* The value as it stands in the file, or the default; NULL when absent. Numbered keys are not looked at. */
static const char *value_of(const struct mt_inst *inst, const char *name)
{
	const struct config_key *key = section_get(inst->section, name);
	const struct note_prop *prop;

	if (key)
		return key->value;
	prop = prop_of(inst, name);
	return prop && prop->deflt[0] ? prop->deflt : NULL;
}

/* The elements of a list in the file; NULL when the file has none. */
static GPtrArray *items_of(const struct mt_inst *inst, const char *name)
{
	GPtrArray *items = section_get_list(inst->section, name);

	if (items->len)
		return items;
	g_ptr_array_unref(items);
	return NULL;
}

static const char *keep(struct mt_inst *inst, const char *text)
{
	return g_string_chunk_insert_const(inst->strings, text);
}

static uint32_t props_present(struct mt_inst *inst, const char *name)
{
	GPtrArray *items;

	if (value_of(inst, name))
		return 1;
	items = items_of(inst, name);
	if (!items)
		return 0;
	g_ptr_array_unref(items);
	return 1;
}

static uint64_t number_of(const struct note_prop *prop, const char *text)
{
	uint64_t value = 0;
	bool on = false;

	switch (prop ? prop->type : MT_PROP_INT) {
	case MT_PROP_BOOL:
		return value_parse_bool(text, &on, NULL) && on;
	case MT_PROP_SIZE:
		return value_parse_size(text, &value, NULL) ? value : 0;
	case MT_PROP_DURATION:
		return value_parse_duration(text, &value, NULL) ? value : 0;
	case MT_PROP_ENUM: {
		int index = value_enum_index(prop->range, text);

		return index > 0 ? (uint64_t)index : 0;
	}
	default:
		return value_parse_int(text, &value, NULL) ? value : 0;
	}
}

static uint64_t props_get_u64(struct mt_inst *inst, const char *name)
{
	const char *text = value_of(inst, name);

	return text ? number_of(prop_of(inst, name), text) : 0;
}

/* Numbered keys, joined with commas. */
static const char *list_text(struct mt_inst *inst, const char *name)
{
	GPtrArray *items = items_of(inst, name);
	const char *result;
	GString *text;

	if (!items)
		return NULL;
	text = g_string_new(NULL);
	for (unsigned i = 0; i < items->len; i++) {
		const struct config_item *item = g_ptr_array_index(items, i);

		g_string_append_printf(text, "%s%s", i ? "," : "", item->text);
	}
	result = keep(inst, text->str);
	g_string_free(text, TRUE);
	g_ptr_array_unref(items);
	return result;
}

static const char *path_text(struct mt_inst *inst, const struct config_key *key)
{
	char *path = key_path(key);
	const char *result = keep(inst, path);

	g_free(path);
	return result;
}

static const char *props_get_str(struct mt_inst *inst, const char *name)
{
	const struct config_key *key = section_get(inst->section, name);
	const struct note_prop *prop = prop_of(inst, name);
	const char *text = key ? NULL : list_text(inst, name);

	if (text)
		return text;
	text = value_of(inst, name);
	if (!text)
		return NULL;
	if (key && prop && prop->type == MT_PROP_PATH)
		return path_text(inst, key);
	return keep(inst, text);
}

static uint32_t props_count(struct mt_inst *inst, const char *name)
{
	GPtrArray *items = items_of(inst, name);
	const char *text;
	uint32_t count;

	if (items) {
		count = items->len;
		g_ptr_array_unref(items);
		return count;
	}
	text = value_of(inst, name);
	if (!text)
		return 0;
	for (count = 1; (text = strchr(text, ',')); text++)
		count++;
	return count;
}

static const char *props_get_element(struct mt_inst *inst, const char *name, uint32_t index)
{
	GPtrArray *items = items_of(inst, name);
	const struct config_item *item;
	const char *result = NULL, *text;
	char **parts;

	if (items) {
		item = index < items->len ? g_ptr_array_index(items, index) : NULL;
		result = item ? keep(inst, item->text) : NULL;
		g_ptr_array_unref(items);
		return result;
	}
	text = value_of(inst, name);
	if (!text)
		return NULL;
	parts = g_strsplit(text, ",", -1);
	if (index < g_strv_length(parts))
		result = keep(inst, g_strstrip(parts[index]));
	g_strfreev(parts);
	return result;
}

static int open_flags(uint32_t mode)
{
	switch (mode) {
	case MT_OPEN_READ:
		return O_RDONLY;
	case MT_OPEN_WRITE:
		return O_RDWR;
	case MT_OPEN_CREATE:
		return O_WRONLY | O_CREAT | O_TRUNC;
	default:
		return -1;
	}
}

static int open_code(int number)
{
	switch (number) {
	case ENOENT: case ENOTDIR: case ELOOP:
		return MT_ENOENT;
	case EACCES: case EPERM: case EROFS:
		return MT_EPERM;
	case ENOMEM: case EMFILE: case ENFILE:
		return MT_ENOMEM;
	case EBUSY: case ETXTBSY:
		return MT_EBUSY;
	case ENOSPC: case EDQUOT:
		return MT_ENOSPC;
	default:
		return MT_EIO;
	}
}

static int props_open_path(struct mt_inst *inst, const char *name, uint32_t mode, struct mt_error *err)
{
	const char *path = props_get_str(inst, name);
	int flags = open_flags(mode), fd, number;

	if (!path)
		return fault_set(err, MT_ENOENT, name, NULL, "'%s' is not set", name);
	if (flags < 0)
		return fault_set(err, MT_EINVAL, name, NULL, "mode %u of open_path is not known", mode);
	do {
		fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
	} while (fd < 0 && errno == EINTR);
	if (fd >= 0)
		return fd;
	number = errno;
	return fault_set(err, open_code(number), name,
			 number == EACCES && mode == MT_OPEN_WRITE ? "it is opened for writing too" : NULL,
			 "cannot open '%s': %s", path, g_strerror(number));
}

static const char *props_id(struct mt_inst *inst)
{
	return inst->id;
}

const struct mt_props_host props_host = {
	.present = props_present,
	.get_u64 = props_get_u64,
	.get_str = props_get_str,
	.count = props_count,
	.get_element = props_get_element,
	.open_path = props_open_path,
	.id = props_id,
};
