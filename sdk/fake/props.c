/* SPDX-License-Identifier: MIT */
/*
 * Properties of the fake host: what the test set, else the default of the plugin's note. The note is found as a
 * loader of the running program finds it: in its PT_NOTE segments.
 */
#include "internal.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/error.h"

struct search {
	const char *class_name;
	const struct mt_note_record *record;
	uint32_t class_index;
};

static const char *note_string(const struct mt_note_record *r, uint32_t offset)
{
	return (const char *)r + offset;
}

static const struct mt_note_class *note_class(const struct mt_note_record *r, uint32_t i)
{
	return (const void *)((const char *)r + r->class_offset + i * r->class_stride);
}

static int note_visit(struct search *s, const struct mt_note_record *r)
{
	for (uint32_t i = 0; i < r->class_count; i++) {
		if (strcmp(note_string(r, note_class(r, i)->name), s->class_name))
			continue;
		s->record = r;
		s->class_index = i;
		return 1;
	}
	return 0;
}

static int segment_visit(struct search *s, const char *p, size_t len)
{
	while (len >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *n = (const void *)p;
		size_t name = (n->n_namesz + 3) & ~(size_t)3, desc = (n->n_descsz + 3) & ~(size_t)3;

		if (len < sizeof(*n) + name + desc)
			return 0;
		if (n->n_type == MT_NOTE_TYPE && n->n_namesz == sizeof(MT_NOTE_OWNER) &&
		    !memcmp(n + 1, MT_NOTE_OWNER, sizeof(MT_NOTE_OWNER)) &&
		    note_visit(s, (const void *)((const char *)(n + 1) + name)))
			return 1;
		p += sizeof(*n) + name + desc;
		len -= sizeof(*n) + name + desc;
	}
	return 0;
}

static int object_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_NOTE &&
		    segment_visit(arg, (const char *)(info->dlpi_addr + ph->p_vaddr), ph->p_memsz))
			return 1;
	}
	return 0;
}

static struct search note_find(struct fake *f)
{
	struct search s = { .class_name = f->class_name };

	if (!dl_iterate_phdr(object_visit, &s))
		fake_die("no note describes the class %s", f->class_name);
	return s;
}

static const struct mt_note_prop *prop_find(struct fake *f, const char *name, const char **strings)
{
	struct search s = note_find(f);

	for (uint32_t i = 0; i < s.record->prop_count; i++) {
		const struct mt_note_prop *p = (const void *)((const char *)s.record + s.record->prop_offset +
							      i * s.record->prop_stride);

		if (p->class_index != s.class_index || strcmp(note_string(s.record, p->name), name))
			continue;
		*strings = (const char *)s.record;
		return p;
	}
	return NULL;
}

int fake_note_has(struct fake *f, const char *name)
{
	const char *strings;

	return prop_find(f, name, &strings) != NULL;
}

const struct mt_note_prop *fake_note_prop(struct fake *f, const char *name, const char **strings)
{
	const struct mt_note_prop *prop = prop_find(f, name, strings);

	if (!prop)
		fake_die("%s has no property '%s'", f->class_name, name);
	return prop;
}

uint32_t fake_class_flags(struct fake *f)
{
	struct search s = note_find(f);

	return note_class(s.record, s.class_index)->flags;
}

void fake_prop(struct fake *f, const char *name, const char *value)
{
	const char *strings;
	struct fake_prop *p = f->props;

	fake_note_prop(f, name, &strings);
	while (p < f->props + f->prop_count && strcmp(p->name, name))
		p++;
	if (p == f->props + FAKE_PROPS)
		fake_die("too many properties");
	if (p == f->props + f->prop_count)
		f->prop_count++;
	snprintf(p->name, sizeof(p->name), "%s", name);
	free(p->text);
	p->text = strdup(value);
}

/* The text of a property, or NULL when absent. */
const char *fake_prop_text(struct fake *f, const char *name)
{
	const char *strings;
	const struct mt_note_prop *note = fake_note_prop(f, name, &strings);

	for (uint32_t i = 0; i < f->prop_count; i++)
		if (!strcmp(f->props[i].name, name))
			return *f->props[i].text ? f->props[i].text : NULL;
	return strings[note->deflt] ? strings + note->deflt : NULL;
}

const char *fake_prop_range(struct fake *f, const char *name)
{
	const char *strings;
	const struct mt_note_prop *note = fake_note_prop(f, name, &strings);

	return strings + note->range;
}

static uint32_t present(struct mt_inst *inst, const char *name)
{
	return fake_prop_text(inst->fake, name) != NULL;
}

static uint64_t number(const char *text)
{
	static const struct { const char *unit; uint64_t scale; } units[] = {
		{ "K", 1ull << 10 }, { "M", 1ull << 20 }, { "G", 1ull << 30 }, { "T", 1ull << 40 },
		{ "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 }, { "", 1 },
	};
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (!strcmp(text, "on") || !strcmp(text, "off"))
		return text[1] == 'n';
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(end, units[i].unit))
			return value * units[i].scale;
	fake_die("'%s' is no number", text);
}

static uint64_t get_u64(struct mt_inst *inst, const char *name)
{
	const char *text = fake_prop_text(inst->fake, name);

	return text ? number(text) : 0;
}

static const char *get_str(struct mt_inst *inst, const char *name)
{
	return fake_prop_text(inst->fake, name);
}

static uint32_t count(struct mt_inst *inst, const char *name)
{
	const char *text = fake_prop_text(inst->fake, name);
	uint32_t n = text != NULL;

	for (; text && *text; text++)
		n += *text == ',';
	return n;
}

static const char *get_element(struct mt_inst *inst, const char *name, uint32_t index)
{
	static _Thread_local char element[256];
	const char *text = fake_prop_text(inst->fake, name);

	for (; text && index; index--) {
		text = strchr(text, ',');
		text = text ? text + 1 : NULL;
	}
	if (!text)
		return NULL;
	text += strspn(text, " ");
	snprintf(element, sizeof(element), "%.*s", (int)strcspn(text, ","), text);
	return element;
}

static int open_path(struct mt_inst *inst, const char *name, uint32_t mode, struct mt_error *err)
{
	static const int flags[] = { O_RDONLY, O_RDWR, O_WRONLY | O_CREAT | O_TRUNC };
	const char *path = fake_prop_text(inst->fake, name);
	int fd;

	if (!path || mode > MT_OPEN_CREATE)
		return mt_error_set(err, MT_EINVAL, name, "'%s' has no value", name);
	fd = open(path, flags[mode] | O_CLOEXEC, 0666);
	if (fd < 0)
		return mt_error_set(err, errno == ENOENT ? MT_ENOENT : MT_EIO, name, "%s: %s", path, strerror(errno));
	return fd;
}

static const char *id(struct mt_inst *inst)
{
	return inst->fake->id;
}

const struct mt_props_host fake_props_host = {
	.present = present,
	.get_u64 = get_u64,
	.get_str = get_str,
	.count = count,
	.get_element = get_element,
	.open_path = open_path,
	.id = id,
};
