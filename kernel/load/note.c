// SPDX-License-Identifier: MIT
/*
 * .note.mortise: bytes of an untrusted file -> struct note. Two stages: the record's shape, where only
 * offsets and lengths matter, and then what it says (note-rules.c). Strings are copied out with the rest,
 * so nothing points into the file afterwards. Any thread.
 */
#include "kernel/load/note.h"

#include <glib.h>
#include <mortise/plugin.h>
#include <string.h>

#include "kernel/load/elf.h"
#include "kernel/machine/fault.h"
#include "kernel/load/note-rules.h"

#define NOTE_CLASSES_MAX 64u
#define NOTE_PROPS_MAX 4096u
#define NOTE_LEN_MAX (1u << 20)
#define NOTE_ENTRY "mortise_plugin_entry"
#define NOTE_STANDS_IN "stands-in/"

struct note_reader {
	char *bytes;                   /* the copy that the strings point into */
	size_t len;
	struct mt_note_record record;
	struct mt_error *err;
};

struct note_owned {
	struct note_class *classes;
	struct note_prop *props;
	char *bytes;
};

static int note_refuse(struct mt_error *err, const char *field, const char *message)
{
	return fault_set(err, MT_EINVAL, field, "the file is damaged, or was not made with <mortise/note-emit.h>",
			 "%s", message);
}

/* Zero-fills `out` and takes the shorter length; false when bytes that this kernel does not know are set. */
static bool note_take(const struct note_reader *r, uint64_t offset, uint64_t offered, void *out,
		      size_t wanted)
{
	size_t common = MIN((size_t)offered, wanted);

	memset(out, 0, wanted);
	memcpy(out, r->bytes + offset, common);
	for (uint64_t i = common; i < offered; i++)
		if (r->bytes[offset + i])
			return false;
	return true;
}

static int note_take_record(struct note_reader *r)
{
	uint32_t head[3];

	if (r->len < sizeof(head))
		return note_refuse(r->err, "size", "truncated: the note has no head");
	memcpy(head, r->bytes, sizeof(head));
	if (head[1] != MT_NOTE_FORMAT)
		return fault_set(r->err, MT_ENOTSUP, "format", "update mortise, or take a build for this one",
				 "wanted note format %u, offered %u", MT_NOTE_FORMAT, head[1]);
	if (head[2] != MT_ABI_MAJOR)
		return fault_set(r->err, MT_ENOTSUP, "abi_major", "take a build of the plugin for this mortise",
				 "wanted plugin ABI %u, offered %u", MT_ABI_MAJOR, head[2]);
	if (head[0] < offsetof(struct mt_note_record, reserved) || head[0] > r->len)
		return fault_set(r->err, MT_EINVAL, "size", "the file is damaged",
				 "wanted a record of %zu bytes within %zu, offered %u", sizeof(r->record), r->len,
				 head[0]);
	if (!note_take(r, 0, head[0], &r->record, sizeof(r->record)))
		return note_refuse(r->err, "size", "the record has fields that this mortise does not know");
	for (size_t i = 0; i < G_N_ELEMENTS(r->record.reserved); i++)
		if (r->record.reserved[i])
			return note_refuse(r->err, "reserved", "wanted 0 in a reserved field");
	return 0;
}

static int note_check_table(const struct note_reader *r, const char *field, uint32_t offset, uint32_t count,
			    uint32_t stride, size_t known, uint32_t most)
{
	if (count > most)
		return fault_set(r->err, MT_ERANGE, field, "the file is damaged", "wanted at most %u, offered %u",
				 most, count);
	if (count && stride < known)
		return fault_set(r->err, MT_EINVAL, field, "the file is damaged",
				 "wanted entries of %zu bytes or more, offered %u", known, stride);
	if (offset > r->len || (uint64_t)count * stride > r->len - offset)
		return note_refuse(r->err, field, "truncated: the table is not within the note");
	return 0;
}

static int note_check_tables(const struct note_reader *r)
{
	const struct mt_note_record *rec = &r->record;
	int code = note_check_table(r, "class_count", rec->class_offset, rec->class_count, rec->class_stride,
				    sizeof(struct mt_note_class), NOTE_CLASSES_MAX);

	if (!code)
		code = note_check_table(r, "prop_count", rec->prop_offset, rec->prop_count, rec->prop_stride,
					sizeof(struct mt_note_prop), NOTE_PROPS_MAX);
	if (!code)
		code = note_check_table(r, "string_bytes", rec->string_offset, 1, rec->string_bytes, 0, 1);
	return code;
}

/* A string of the area, or NULL with the error filled. It may go to a terminal, so it must be plain text. */
static const char *note_string(const struct note_reader *r, const char *field, uint32_t offset)
{
	uint64_t end = (uint64_t)r->record.string_offset + r->record.string_bytes;
	const char *text = r->bytes + offset;

	if (offset < r->record.string_offset || offset >= end || !memchr(text, 0, end - offset)) {
		note_refuse(r->err, field, "the string is not within the note");
		return NULL;
	}
	if (!note_text_is_plain(text)) {
		note_refuse(r->err, field, "the string is not plain UTF-8");
		return NULL;
	}
	return text;
}

struct note_string_of { const char *field; uint32_t offset; const char **out; };

static bool note_strings(const struct note_reader *r, const struct note_string_of *of, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		*of[i].out = note_string(r, of[i].field, of[i].offset);
		if (!*of[i].out)
			return false;
	}
	return true;
}

static bool note_take_class(const struct note_reader *r, uint32_t index, struct note_class *out)
{
	struct mt_note_class raw;
	uint64_t at = r->record.class_offset + (uint64_t)index * r->record.class_stride;
	bool known = note_take(r, at, r->record.class_stride, &raw, sizeof(raw));

	if (!known || raw.reserved[0] || raw.reserved[1] || raw.reserved[2])
		return note_refuse(r->err, "classes", "a class has fields that this mortise does not know") == 0;
	const struct note_string_of strings[] = {
		{ "class name", raw.name, &out->name },
		{ "class summary", raw.summary, &out->summary },
		{ "class roles", raw.roles, &out->roles },
	};

	out->kind = raw.kind;
	out->flags = raw.flags;
	return note_strings(r, strings, G_N_ELEMENTS(strings));
}

static bool note_take_prop(const struct note_reader *r, uint32_t index, struct note_prop *out,
			   uint32_t *owner)
{
	struct mt_note_prop raw;
	uint64_t at = r->record.prop_offset + (uint64_t)index * r->record.prop_stride;

	if (!note_take(r, at, r->record.prop_stride, &raw, sizeof(raw)))
		return note_refuse(r->err, "props", "a property has fields that this mortise does not know") == 0;
	if (raw.class_index >= r->record.class_count)
		return note_refuse(r->err, "class_index", "a property of a class that is not there") == 0;
	const struct note_string_of strings[] = {
		{ "property name", raw.name, &out->name },
		{ "property default", raw.deflt, &out->deflt },
		{ "property range", raw.range, &out->range },
		{ "property unit", raw.unit, &out->unit },
		{ "property help", raw.help, &out->help },
	};

	*owner = raw.class_index;
	out->type = raw.type;
	out->flags = raw.flags;
	return note_strings(r, strings, G_N_ELEMENTS(strings));
}

/* Properties stand in the order of their classes; each class gets its run of them. */
static bool note_take_props(const struct note_reader *r, struct note_owned *owned)
{
	uint32_t last = 0, owner = 0;

	for (uint32_t i = 0; i < r->record.prop_count; i++) {
		if (!note_take_prop(r, i, &owned->props[i], &owner))
			return false;
		if (owner < last)
			return note_refuse(r->err, "class_index", "properties are not in the order of classes") == 0;
		struct note_class *cls = &owned->classes[owner];

		if (!cls->prop_count)
			cls->props = &owned->props[i];
		cls->prop_count++;
		last = owner;
	}
	return true;
}

static bool note_take_all(const struct note_reader *r, struct note *note, struct note_owned *owned)
{
	const struct mt_note_record *rec = &r->record;
	const struct note_string_of strings[] = {
		{ "name", rec->name, &note->name },
		{ "version", rec->version, &note->version },
		{ "vendor", rec->vendor, &note->vendor },
		{ "licence", rec->licence, &note->licence },
		{ "summary", rec->summary, &note->summary },
		{ "requires", rec->requires, &note->requires_ids },
		{ "optional", rec->optional, &note->optional_ids },
	};

	if (!note_strings(r, strings, G_N_ELEMENTS(strings)))
		return false;
	for (uint32_t i = 0; i < rec->class_count; i++)
		if (!note_take_class(r, i, &owned->classes[i]))
			return false;
	return note_take_props(r, owned) && note_rules_check(note, r->err) == 0;
}

struct note *note_parse(const void *desc, size_t len, struct mt_error *err)
{
	struct note_reader r = { .len = len, .err = err };

	if (len > NOTE_LEN_MAX) {
		note_refuse(err, "size", "the note is larger than 1 MiB");
		return NULL;
	}
	r.bytes = g_memdup2(desc, len);
	if (note_take_record(&r) || note_check_tables(&r)) {
		g_free(r.bytes);
		return NULL;
	}
	struct note *note = g_new0(struct note, 1);
	struct note_owned *owned = g_new0(struct note_owned, 1);

	owned->bytes = r.bytes;
	owned->classes = g_new0(struct note_class, r.record.class_count + 1);
	owned->props = g_new0(struct note_prop, r.record.prop_count + 1);
	note->owned = owned;
	note->abi_major = r.record.abi_major;
	note->caps = r.record.caps;
	note->classes = owned->classes;
	note->class_count = r.record.class_count;
	if (!note_take_all(&r, note, owned)) {
		note_free(note);
		return NULL;
	}
	for (size_t i = 0; i < note->class_count; i++)
		owned->classes[i].version = note->version;
	return note;
}

void note_free(struct note *note)
{
	struct note_owned *owned = note ? note->owned : NULL;

	if (!note)
		return;
	g_free(owned->bytes);
	g_free(owned->classes);
	g_free(owned->props);
	g_free(owned);
	g_free(note);
}

/* The file around the note */

static int note_check_binding(const struct elf *elf, struct mt_error *err)
{
	if (!elf->has_dynamic)
		return fault_set(err, MT_EINVAL, "dynamic section", "link it as a shared object",
				 "wanted a dynamic section, offered none");
	if (!(elf->flags & DF_BIND_NOW) && !(elf->flags_1 & DF_1_NOW))
		return fault_set(err, MT_EINVAL, "DF_1_NOW", "link the plugin with -Wl,-z,now",
				 "wanted immediate binding, offered lazy binding");
	if (elf->flags & DF_TEXTREL)
		return fault_set(err, MT_EINVAL, "DT_TEXTREL", "compile the plugin with -fPIC",
				 "wanted no text relocations, offered some");
	if (elf->flags_1 & DF_1_PIE)
		return fault_set(err, MT_EINVAL, "DF_1_PIE", "link it with -shared",
				 "wanted a shared object, offered a program");
	return 0;
}

/* Version nodes of a linker script are absolute symbols; they are no export. */
static bool note_is_export(const Elf64_Sym *sym)
{
	unsigned bind = ELF64_ST_BIND(sym->st_info), sight = ELF64_ST_VISIBILITY(sym->st_other);

	return sym->st_shndx != SHN_UNDEF && sym->st_shndx != SHN_ABS && bind != STB_LOCAL &&
	       sight != STV_HIDDEN && sight != STV_INTERNAL;
}

static int note_check_exports(const struct elf *elf, struct mt_error *err)
{
	bool entry = false;
	Elf64_Sym sym;

	for (uint64_t i = 1; elf_symbol(elf, i, &sym); i++) {
		const char *name = note_is_export(&sym) ? elf_string(elf, sym.st_name) : NULL;

		if (!name)
			continue;
		if (strcmp(name, NOTE_ENTRY))
			return fault_set(err, MT_EINVAL, "exported symbols",
					 "compile with -fvisibility=hidden, or link with a version script",
					 "wanted " NOTE_ENTRY " alone, offered '%.100s' too", name);
		entry = ELF64_ST_TYPE(sym.st_info) == STT_FUNC;
	}
	if (!entry)
		return fault_set(err, MT_EINVAL, "exported symbols", "define and export the entry",
				 "wanted the function " NOTE_ENTRY ", offered none");
	return 0;
}

static struct note *note_from(const struct elf *elf, struct mt_error *err)
{
	struct note *note = NULL;
	size_t len;
	const void *desc = elf_note(elf, MT_NOTE_OWNER, MT_NOTE_TYPE, &len);

	if (!desc)
		fault_set(err, MT_ENOENT, MT_NOTE_SECTION, "a plugin includes <mortise/note-emit.h> in one file",
			  "not a mortise plugin: wanted a note " MT_NOTE_SECTION ", offered none");
	else
		note = note_parse(desc, len, err);
	if (note && (note_check_binding(elf, err) || note_check_exports(elf, err)))
		g_clear_pointer(&note, note_free);
	return note;
}

struct note *note_read(const char *path, struct mt_error *err)
{
	struct elf elf;
	struct note *note;

	if (elf_open(&elf, path, err))
		return NULL;
	note = note_from(&elf, err);
	elf_close(&elf);
	return note;
}

struct note *note_read_bytes(const void *bytes, size_t len, struct mt_error *err)
{
	struct elf elf;

	return elf_attach(&elf, bytes, len, err) ? NULL : note_from(&elf, err);
}

/* Lookup */

const struct note_class *note_class_find(const struct note *note, const char *name)
{
	for (size_t i = 0; i < note->class_count; i++)
		if (!strcmp(note->classes[i].name, name) && !note_stands_in(&note->classes[i], NULL, NULL))
			return &note->classes[i];
	return NULL;
}

bool note_stands_in(const struct note_class *cls, char prop[64], char values[128])
{
	const char *word = strstr(cls->roles, NOTE_STANDS_IN), *equals, *end;

	/* a word of its own */
	if (!word || (word != cls->roles && word[-1] != ' '))
		return false;
	word += strlen(NOTE_STANDS_IN);
	end = word + strcspn(word, " ");
	equals = memchr(word, '=', (size_t)(end - word));
	if (prop)
		g_strlcpy(prop, word, MIN(64, (size_t)((equals ? equals : end) - word) + 1));
	if (values)
		g_strlcpy(values, equals ? equals + 1 : "", equals ? MIN(128, (size_t)(end - equals)) : 1);
	return true;
}

const struct note_prop *note_prop_find(const struct note_class *cls, const char *name)
{
	for (size_t i = 0; i < cls->prop_count; i++)
		if (!strcmp(cls->props[i].name, name))
			return &cls->props[i];
	return NULL;
}

const char *note_kind_name(uint32_t kind)
{
	static const char *const names[] = { "?", "device", "cpu", "block", "boot" };

	return names[kind < G_N_ELEMENTS(names) ? kind : 0];
}

const char *note_type_name(uint32_t prop_type)
{
	static const char *const names[] = {
		"?", "bool", "int", "size", "duration", "enum", "string", "path", "mac", "ref", "irq", "addr", "list",
	};

	return names[prop_type < G_N_ELEMENTS(names) ? prop_type : 0];
}
