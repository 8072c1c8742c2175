/* SPDX-License-Identifier: MIT */
/*
 * Emits .note.mortise from the X-macros described in note.h. Include it in exactly one file of a plugin.
 * The static object is called mt_note: the code may read its own tables from it.
 */
#ifndef MORTISE_NOTE_EMIT_H
#define MORTISE_NOTE_EMIT_H

#include <stddef.h>

#include "note.h"
#include "plugin.h"

#define MT_NOTE_STR_CLASS(id, name, kind, flags, summary, roles, props) \
	char id##_class_name[sizeof(name)]; char id##_class_summary[sizeof(summary)]; \
	char id##_class_roles[sizeof(roles)]; props(MT_NOTE_STR_PROP, id)
#define MT_NOTE_STR_PROP(c, id, name, type, deflt, range, unit, flags, help) \
	char c##_##id##_name[sizeof(name)]; char c##_##id##_deflt[sizeof(deflt)]; \
	char c##_##id##_range[sizeof(range)]; char c##_##id##_unit[sizeof(unit)]; \
	char c##_##id##_help[sizeof(help)];

struct mt_note_strings {
	char name[sizeof(MT_NOTE_NAME)];
	char version[sizeof(MT_NOTE_VERSION)];
	char vendor[sizeof(MT_NOTE_VENDOR)];
	char licence[sizeof(MT_NOTE_LICENCE)];
	char summary[sizeof(MT_NOTE_SUMMARY)];
	char requires_ids[sizeof(MT_NOTE_REQUIRES)];
	char optional_ids[sizeof(MT_NOTE_OPTIONAL)];
	MT_NOTE_CLASSES(MT_NOTE_STR_CLASS)
};

/* Indices of classes, and of properties counted over all classes. */
#define MT_NOTE_ENUM_CLASS(id, name, kind, flags, summary, roles, props) MT_NOTE_CLASS_##id,
enum { MT_NOTE_CLASSES(MT_NOTE_ENUM_CLASS) MT_NOTE_CLASS_COUNT };
#define MT_NOTE_ENUM_PROP(c, id, name, type, deflt, range, unit, flags, help) MT_NOTE_PROP_##c##_##id,
#define MT_NOTE_ENUM_PROPS(id, name, kind, flags, summary, roles, props) props(MT_NOTE_ENUM_PROP, id)
enum { MT_NOTE_CLASSES(MT_NOTE_ENUM_PROPS) MT_NOTE_PROP_COUNT };

struct mt_note_body {
	struct mt_note_record record;
	struct mt_note_class classes[MT_NOTE_CLASS_COUNT];
	struct mt_note_prop props[MT_NOTE_PROP_COUNT + 1];     /* one more: an array may not be empty */
	struct mt_note_strings strings;
};

/* Elf64_Nhdr, owner padded to 4 bytes, descriptor. */
struct mt_note_object {
	uint32_t name_bytes, desc_bytes, type;
	char owner[8];
	struct mt_note_body body;
};

#define MT_NOTE_OFF(field) ((uint32_t)offsetof(struct mt_note_body, strings.field))
#define MT_NOTE_INIT_CLASS(id, cname, ckind, cflags, csummary, croles, props) \
	{ MT_NOTE_OFF(id##_class_name), MT_NOTE_OFF(id##_class_summary), MT_NOTE_OFF(id##_class_roles), \
	  ckind, cflags, { 0, 0, 0 } },
#define MT_NOTE_INIT_PROP(c, id, pname, ptype, pdeflt, prange, punit, pflags, phelp) \
	{ MT_NOTE_OFF(c##_##id##_name), MT_NOTE_OFF(c##_##id##_deflt), MT_NOTE_OFF(c##_##id##_range), \
	  MT_NOTE_OFF(c##_##id##_unit), MT_NOTE_OFF(c##_##id##_help), ptype, pflags, MT_NOTE_CLASS_##c },
#define MT_NOTE_INIT_PROPS(id, cname, ckind, cflags, csummary, croles, props) props(MT_NOTE_INIT_PROP, id)
#define MT_NOTE_TEXT_PROP(c, id, pname, ptype, pdeflt, prange, punit, pflags, phelp) \
	pname, pdeflt, prange, punit, phelp,
#define MT_NOTE_TEXT_CLASS(id, cname, ckind, cflags, csummary, croles, props) \
	cname, csummary, croles, props(MT_NOTE_TEXT_PROP, id)

/* clang's address sanitizer would put a red zone behind the object, which ends the note */
#if defined(__clang__)
#define MT_NOTE_PLAIN no_sanitize("address"),
#else
#define MT_NOTE_PLAIN
#endif

__attribute__((section(MT_NOTE_SECTION), MT_NOTE_PLAIN used, aligned(4)))
static const struct mt_note_object mt_note = {
	sizeof(MT_NOTE_OWNER), sizeof(struct mt_note_body), MT_NOTE_TYPE, MT_NOTE_OWNER,
	{
		{
			sizeof(struct mt_note_record), MT_NOTE_FORMAT, MT_ABI_MAJOR, MT_NOTE_CAPS,
			MT_NOTE_OFF(name), MT_NOTE_OFF(version), MT_NOTE_OFF(vendor), MT_NOTE_OFF(licence),
			MT_NOTE_OFF(summary), MT_NOTE_OFF(requires_ids), MT_NOTE_OFF(optional_ids),
			(uint32_t)offsetof(struct mt_note_body, classes), MT_NOTE_CLASS_COUNT,
			sizeof(struct mt_note_class),
			(uint32_t)offsetof(struct mt_note_body, props), MT_NOTE_PROP_COUNT,
			sizeof(struct mt_note_prop),
			(uint32_t)offsetof(struct mt_note_body, strings), sizeof(struct mt_note_strings),
			{ 0, 0, 0 },
		},
		{ MT_NOTE_CLASSES(MT_NOTE_INIT_CLASS) },
		{ MT_NOTE_CLASSES(MT_NOTE_INIT_PROPS) { 0, 0, 0, 0, 0, 0, 0, 0 } },
		{
			MT_NOTE_NAME, MT_NOTE_VERSION, MT_NOTE_VENDOR, MT_NOTE_LICENCE, MT_NOTE_SUMMARY,
			MT_NOTE_REQUIRES, MT_NOTE_OPTIONAL,
			MT_NOTE_CLASSES(MT_NOTE_TEXT_CLASS)
		},
	},
};

#endif
