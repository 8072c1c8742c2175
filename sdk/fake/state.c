/* SPDX-License-Identifier: MIT */
/*
 * Saved state in memory: a list of fields in the order of writing, each with its whole path ("queue[1]/size";
 * groups are fields too). Slow and plain. Misuse by save ends the test; what load does wrong is its result.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "state.h"

#define PATH_BYTES FAKE_PATH_BYTES

static struct fake_state *of_out(struct mt_state_out *out)
{
	return (struct fake_state *)out;
}

static struct fake_state *of_in(struct mt_state_in *in)
{
	return (struct fake_state *)in;
}

static uint32_t width_of(uint32_t type)
{
	return type <= MT_STATE_U64 ? type : 1;
}

static void join(const struct fake_state *s, char *path, const char *name)
{
	if (snprintf(path, PATH_BYTES, "%s%s", s->prefix, name) >= PATH_BYTES)
		fake_die("state: the path of %s is too long", name);
}

static void join_group(const struct fake_state *s, char *path, const char *name, uint32_t index)
{
	if (snprintf(path, PATH_BYTES, "%s%s[%u]", s->prefix, name, index) >= PATH_BYTES)
		fake_die("state: the path of %s is too long", name);
}

static struct fake_field *lookup(const struct fake_state *s, const char *path)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (!strcmp(s->field[i].path, path))
			return &s->field[i];
	return NULL;
}

/* Writing. */

static struct fake_field *field_add(struct fake_state *s, const char *path)
{
	struct fake_field *field;

	if (lookup(s, path))
		fake_die("state: %s is written twice", path);
	if (s->count == s->capacity) {
		s->capacity = s->capacity ? s->capacity * 2 : 64;
		s->field = realloc(s->field, s->capacity * sizeof(*s->field));
		if (!s->field)
			fake_die("no memory");
	}
	field = &s->field[s->count++];
	memset(field, 0, sizeof(*field));
	snprintf(field->path, PATH_BYTES, "%s", path);
	return field;
}

static void name_check(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");

	if (!len || len > MT_STATE_NAME_MAX || name[len])
		fake_die("state: '%s' is no name of a field", name);
}

static void type_check(const char *name, uint32_t type)
{
	if (type != MT_STATE_U8 && type != MT_STATE_U16 && type != MT_STATE_U32 && type != MT_STATE_U64 &&
	    type != MT_STATE_BYTES && type != MT_STATE_STRING)
		fake_die("state: %s is of unknown type %u", name, type);
}

static void out_put(struct mt_state_out *out, const char *name, uint32_t type, uint32_t flags, const void *data,
		    uint32_t count)
{
	struct fake_state *s = of_out(out);
	struct fake_field *field;
	char path[PATH_BYTES];

	name_check(name);
	type_check(name, type);
	join_group(s, path, name, 0);
	if (lookup(s, path))
		fake_die("state: %s is a field and a group", name);
	join(s, path, name);
	field = field_add(s, path);
	field->type = type;
	field->flags = flags;
	field->count = count;
	field->data = malloc((size_t)count * width_of(type) + 1);
	if (!field->data)
		fake_die("no memory");
	if (count)
		memcpy(field->data, data, (size_t)count * width_of(type));
}

static void enter(struct fake_state *s, const char *path)
{
	if (++s->depth > MT_STATE_DEPTH_MAX)
		fake_die("state: groups too deep at %s", path);
	if (snprintf(s->prefix, PATH_BYTES, "%s/", path) >= PATH_BYTES)
		fake_die("state: the path %s is too long", path);
}

static void leave(struct fake_state *s)
{
	char *slash;

	if (!s->depth--)
		fake_die("state: end without begin");
	s->prefix[strlen(s->prefix) - 1] = 0;
	slash = strrchr(s->prefix, '/');
	s->prefix[slash ? slash - s->prefix + 1 : 0] = 0;
}

static void out_begin(struct mt_state_out *out, const char *name, uint32_t flags)
{
	struct fake_state *s = of_out(out);
	struct fake_field *field;
	char path[PATH_BYTES];
	uint32_t index = 0;

	name_check(name);
	join(s, path, name);
	if (lookup(s, path))
		fake_die("state: %s is a field and a group", name);
	do
		join_group(s, path, name, index++);
	while (lookup(s, path));
	field = field_add(s, path);
	field->type = MT_STATE_GROUP;
	field->flags = flags;
	enter(s, path);
}

static void out_end(struct mt_state_out *out)
{
	leave(of_out(out));
}

const struct mt_state_writer fake_state_writer = { out_put, out_begin, out_end };

/* Reading. */

static int note(struct fake_state *s, const char *path, int code, const char *why)
{
	if (!s->refused[0])
		snprintf(s->refused, sizeof(s->refused), "%s: %s", path, why);
	return code;
}

static int in_find(struct mt_state_in *in, const char *name, uint32_t *type, uint32_t *count)
{
	struct fake_state *s = of_in(in);
	struct fake_field *field;
	char path[PATH_BYTES];
	uint32_t groups = 0;

	join(s, path, name);
	field = lookup(s, path);
	if (field) {
		field->asked = 1;
		*type = field->type;
		*count = field->count;
		return 0;
	}
	for (;; groups++) {
		join_group(s, path, name, groups);
		if (!lookup(s, path))
			break;
	}
	*type = MT_STATE_GROUP;
	*count = groups;
	return groups ? 0 : MT_ENOENT;
}

static int in_get(struct mt_state_in *in, const char *name, uint32_t type, void *data, uint32_t count)
{
	struct fake_state *s = of_in(in);
	struct fake_field *field;
	char path[PATH_BYTES];

	join(s, path, name);
	field = lookup(s, path);
	if (!field)
		return note(s, path, MT_ENOENT, "is missing");
	field->asked = 1;
	if (field->type != type)
		return note(s, path, MT_EINVAL, "is of another type");
	if (type == MT_STATE_STRING ? field->count >= count : field->count != count)
		return note(s, path, MT_ERANGE, "is of another length");
	if (field->count)
		memcpy(data, field->data, (size_t)field->count * width_of(type));
	if (type == MT_STATE_STRING)
		((char *)data)[field->count] = 0;
	return 0;
}

static int in_begin(struct mt_state_in *in, const char *name, uint32_t index)
{
	struct fake_state *s = of_in(in);
	struct fake_field *field;
	char path[PATH_BYTES];

	join_group(s, path, name, index);
	field = lookup(s, path);
	if (!field)
		return note(s, path, MT_ENOENT, "is missing");
	field->asked = 1;
	enter(s, path);
	return 0;
}

static void in_end(struct mt_state_in *in)
{
	leave(of_in(in));
}

static int in_refuse(struct mt_state_in *in, const char *name, const char *why)
{
	char path[PATH_BYTES];

	join(of_in(in), path, name);
	return note(of_in(in), path, MT_EINVAL, why);
}

const struct mt_state_reader fake_state_reader = { in_find, in_get, in_begin, in_end, in_refuse };

/* A state alone. */

struct fake_state *fake_state_new(void)
{
	struct fake_state *s = calloc(1, sizeof(*s));

	if (!s)
		fake_die("no memory");
	return s;
}

void fake_state_free(struct fake_state *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->count; i++)
		free(s->field[i].data);
	free(s->field);
	free(s->lines);
	free(s);
}

struct mt_state_out *fake_state_out(struct fake_state *s)
{
	return (struct mt_state_out *)s;
}

struct mt_state_in *fake_state_in(struct fake_state *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		s->field[i].asked = 0;
	s->depth = 0;
	s->prefix[0] = s->refused[0] = 0;
	return (struct mt_state_in *)s;
}

const char *fake_state_refused(struct fake_state *s)
{
	return s->refused;
}

/* The fields of a group follow it. */
const char *fake_state_left(struct fake_state *s)
{
	const char *passed = NULL;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct fake_field *field = &s->field[i];

		if (field->asked)
			continue;
		if (passed && !strncmp(field->path, passed, strlen(passed)) && field->path[strlen(passed)] == '/')
			continue;
		if (!(field->flags & MT_STATE_IGNORABLE))
			return field->path;
		if (field->type == MT_STATE_GROUP)
			passed = field->path;
	}
	return NULL;
}

uint32_t fake_state_fields(struct fake_state *s)
{
	return s->count;
}

uint32_t fake_state_find(struct fake_state *s, const char *path)
{
	const struct fake_field *field = lookup(s, path);

	return field ? (uint32_t)(field - s->field) : s->count;
}

static struct fake_field *field_at(struct fake_state *s, uint32_t field)
{
	if (field >= s->count)
		fake_die("state: no field %u", field);
	return &s->field[field];
}

uint32_t fake_state_type(struct fake_state *s, uint32_t field)
{
	return field_at(s, field)->type;
}

uint32_t fake_state_count(struct fake_state *s, uint32_t field)
{
	return field_at(s, field)->count;
}

uint64_t fake_state_get(struct fake_state *s, uint32_t field, uint32_t index)
{
	const struct fake_field *at = field_at(s, field);
	uint32_t width = width_of(at->type);
	uint64_t value = 0;

	if (index >= at->count)
		fake_die("state: %s has no element %u", at->path, index);
	memcpy(&value, at->data + (size_t)index * width, width);
	return value;
}

void fake_state_set(struct fake_state *s, uint32_t field, uint32_t index, uint64_t value)
{
	struct fake_field *at = field_at(s, field);
	uint32_t width = width_of(at->type);

	if (index >= at->count)
		fake_die("state: %s has no element %u", at->path, index);
	memcpy(at->data + (size_t)index * width, &value, width);
}

void fake_state_resize(struct fake_state *s, uint32_t field, uint32_t count)
{
	struct fake_field *at = field_at(s, field);
	size_t bytes = (size_t)count * width_of(at->type), old = (size_t)at->count * width_of(at->type);

	if (at->type == MT_STATE_GROUP)
		return;
	at->data = realloc(at->data, bytes + 1);
	if (!at->data)
		fake_die("no memory");
	if (bytes > old)
		memset(at->data + old, 0, bytes - old);
	at->count = count;
}

/* With a group goes what is in it. */
void fake_state_remove(struct fake_state *s, uint32_t field)
{
	char path[PATH_BYTES];
	uint32_t kept = 0;
	size_t len;

	snprintf(path, PATH_BYTES, "%s", field_at(s, field)->path);
	len = strlen(path);
	for (uint32_t i = 0; i < s->count; i++) {
		const char *at = s->field[i].path;

		if (!strncmp(at, path, len) && (at[len] == '/' || !at[len]))
			free(s->field[i].data);
		else
			s->field[kept++] = s->field[i];
	}
	s->count = kept;
}

static int fields_differ(const struct fake_field *x, const struct fake_field *y)
{
	size_t bytes = (size_t)x->count * width_of(x->type);

	return strcmp(x->path, y->path) || x->type != y->type || x->flags != y->flags || x->count != y->count ||
	       (bytes && memcmp(x->data, y->data, bytes) != 0);
}

const char *fake_state_differs(const struct fake_state *a, const struct fake_state *b)
{
	uint32_t count = a->count < b->count ? a->count : b->count;

	for (uint32_t i = 0; i < count; i++)
		if (fields_differ(&a->field[i], &b->field[i]))
			return a->field[i].path;
	if (a->count == b->count)
		return NULL;
	return a->count > count ? a->field[count].path : b->field[count].path;
}
