// SPDX-License-Identifier: MIT
/*
 * The rules that tables of a note obey, and values of properties with them. A plugin whose own tables break
 * them is refused as a whole: its author sees it at the first load. Pure functions, any thread.
 */
#include "kernel/load/note-rules.h"

#include <glib.h>
#include <string.h>

#include "kernel/machine/fault.h"
#include "kernel/config/ini.h"

#define NOTE_NAME_MAX 63
#define NOTE_CLASS_FLAGS (MT_CLASS_PARALLEL | MT_CLASS_NO_STATE | MT_CLASS_NONDET)
#define NOTE_PROP_FLAGS (MT_PROPF_REQUIRED | MT_PROPF_RUNTIME | MT_PROPF_DEPRECATED | MT_PROPF_WRITE)
#define NOTE_CAPS (MT_CAP_NETWORK | MT_CAP_FILES | MT_CAP_THREADS | MT_CAP_JIT)

bool note_text_is_plain(const char *text)
{
	return ini_text_fault(text) == NULL;
}

static bool note_name_is_legal(const char *name)
{
	return ini_key_is_legal(name) && strlen(name) <= NOTE_NAME_MAX;
}

/* Values */

G_GNUC_PRINTF(3, 4)
static bool note_value_refuse(struct value_fault *fault, const char *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fault->at = 0;
	fault->len = MAX(strlen(text), 1);
	g_vsnprintf(fault->message, sizeof(fault->message), format, args);
	va_end(args);
	return false;
}

static bool note_check_number(const struct note_prop *prop, const char *text, struct value_fault *fault)
{
	bool sizes = prop->type == MT_PROP_SIZE;
	uint64_t value, min, max;

	if (!(sizes ? value_parse_size(text, &value, fault) : value_parse_int(text, &value, fault)))
		return false;
	if (*prop->range && value_parse_range(prop->range, sizes, &min, &max) && (value < min || value > max))
		return note_value_refuse(fault, text, "'%.64s' is not in %.64s", text, prop->range);
	return true;
}

static bool note_check_enum(const struct note_prop *prop, const char *text, struct value_fault *fault)
{
	return value_enum_index(prop->range, text) >= 0 ||
	       note_value_refuse(fault, text, "'%.64s' is none of %.100s", text, prop->range);
}

static bool note_check_text(const char *text, struct value_fault *fault)
{
	return *text || note_value_refuse(fault, text, "an empty element");
}

bool note_value_check(const struct note_prop *prop, const char *text, struct value_fault *fault)
{
	uint64_t number;
	uint8_t mac[6];
	bool truth;
	char id[64];

	switch (prop->type) {
	case MT_PROP_BOOL: return value_parse_bool(text, &truth, fault);
	case MT_PROP_INT:
	case MT_PROP_SIZE: return note_check_number(prop, text, fault);
	case MT_PROP_ADDR: return value_parse_int(text, &number, fault);
	case MT_PROP_DURATION: return value_parse_duration(text, &number, fault);
	case MT_PROP_ENUM: return note_check_enum(prop, text, fault);
	case MT_PROP_MAC: return value_parse_mac(text, mac, fault);
	case MT_PROP_IRQ: return value_parse_irq(text, id, &number, fault);
	case MT_PROP_REF: return ini_id_is_legal(text) ||
				 note_value_refuse(fault, text, "'%.64s' cannot be an id", text);
	default: return note_check_text(text, fault);
	}
}

uint64_t note_region_bytes(const struct note_prop *prop)
{
	uint64_t len;

	return value_parse_size(prop->range, &len, NULL) ? len : 0;
}

/* Tables */

static int note_rule(struct mt_error *err, const struct note_class *cls, const char *field,
		     const char *wanted, const char *offered)
{
	return fault_set(err, MT_EINVAL, field, "the plugin's author mends it in its property table",
			 "class '%.63s': wanted %s, offered '%.100s'", cls->name, wanted, offered);
}

static const char *note_range_rule(const struct note_prop *prop)
{
	uint64_t a, b;

	switch (prop->type) {
	case MT_PROP_INT:
	case MT_PROP_SIZE:
		return !*prop->range || value_parse_range(prop->range, prop->type == MT_PROP_SIZE, &a, &b)
			? NULL : "a range MIN..MAX";
	case MT_PROP_ENUM:
		return *prop->range && value_enum_index(prop->range, "") < 0 ? NULL : "words between '|'";
	case MT_PROP_ADDR:
		return !*prop->range || value_parse_size(prop->range, &a, NULL) ? NULL : "the length of the region";
	case MT_PROP_IRQ:
		return !*prop->range || value_parse_int(prop->range, &a, NULL) ? NULL : "a number of elements";
	default:
		return NULL;
	}
}

static int note_check_prop(const struct note_class *cls, const struct note_prop *prop, struct mt_error *err)
{
	struct value_fault fault;
	char number[16];

	if (!ini_id_is_legal(prop->name) || strlen(prop->name) > NOTE_NAME_MAX ||
	    !strcmp(prop->name, "plugin") || g_str_has_prefix(prop->name, "x-"))
		return note_rule(err, cls, "property name", "a key that is not the kernel's", prop->name);
	g_snprintf(number, sizeof(number), "%u", prop->type);
	if (prop->type < MT_PROP_BOOL || prop->type > MT_PROP_LIST)
		return note_rule(err, cls, prop->name, "a property type of this ABI", number);
	g_snprintf(number, sizeof(number), "0x%x", prop->flags);
	if (prop->flags & ~NOTE_PROP_FLAGS)
		return note_rule(err, cls, prop->name, "known property flags", number);
	const char *rule = note_range_rule(prop);

	if (rule)
		return note_rule(err, cls, prop->name, rule, prop->range);
	/* IRQ and LIST defaults hold several elements; nothing uses them yet, so they are text. */
	if (*prop->deflt && prop->type != MT_PROP_IRQ && prop->type != MT_PROP_LIST &&
	    !note_value_check(prop, prop->deflt, &fault))
		return note_rule(err, cls, prop->name, "a default that the property accepts", prop->deflt);
	return 0;
}

static int note_check_class(const struct note_class *cls, struct mt_error *err)
{
	char number[16];

	if (!note_name_is_legal(cls->name))
		return note_rule(err, cls, "class name", "a letter, then a-z 0-9 . _ -", cls->name);
	g_snprintf(number, sizeof(number), "%u", cls->kind);
	if (cls->kind < MT_KIND_DEVICE || cls->kind > MT_KIND_BOOT)
		return note_rule(err, cls, "kind", "a kind of this ABI", number);
	g_snprintf(number, sizeof(number), "0x%x", cls->flags);
	if (cls->flags & ~NOTE_CLASS_FLAGS)
		return note_rule(err, cls, "class flags", "known class flags", number);
	for (size_t i = 0; i < cls->prop_count; i++) {
		int code = note_check_prop(cls, &cls->props[i], err);

		if (code)
			return code;
		if (note_prop_find(cls, cls->props[i].name) != &cls->props[i])
			return note_rule(err, cls, "property name", "each property once", cls->props[i].name);
	}
	return 0;
}

/* The condition is on a property of the accelerator, which is of this file. */
static bool note_condition_is_right(const struct note *note, const struct note_class *cls)
{
	char name[64], values[128];
	const struct note_prop *prop = NULL;
	char **words;
	bool right;

	if (!note_stands_in(cls, name, values))
		return true;
	for (size_t i = 0; i < note->class_count && !prop; i++)
		if (note->classes[i].kind == MT_KIND_CPU)
			prop = note_prop_find(&note->classes[i], name);
	words = g_strsplit(values, "|", -1);
	right = prop && prop->type == MT_PROP_ENUM && words[0];
	for (int i = 0; right && words[i]; i++)
		right = value_enum_index(prop->range, words[i]) >= 0;
	g_strfreev(words);
	return right;
}

static bool note_name_is_new(const struct note *note, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (!strcmp(note->classes[i].name, note->classes[index].name))
			return false;
	return true;
}

int note_rules_check(const struct note *note, struct mt_error *err)
{
	if (!note_name_is_legal(note->name))
		return fault_set(err, MT_EINVAL, "name", NULL, "wanted a letter, then a-z 0-9 . _ -, offered '%.64s'",
				 note->name);
	if (note->caps & ~NOTE_CAPS)
		return fault_set(err, MT_ENOTSUP, "caps", "update mortise",
				 "wanted known capabilities, offered bits 0x%x", note->caps & ~NOTE_CAPS);
	for (size_t i = 0; i < note->class_count; i++) {
		int code = note_check_class(&note->classes[i], err);

		if (code)
			return code;
		if (!note_name_is_new(note, i))
			return note_rule(err, &note->classes[i], "class name", "each class once",
					 note->classes[i].name);
		if (!note_condition_is_right(note, &note->classes[i]))
			return note_rule(err, &note->classes[i], "class roles",
					 "stands-in/PROPERTY=VALUE|VALUE of an accelerator of this file",
					 note->classes[i].roles);
	}
	return 0;
}
