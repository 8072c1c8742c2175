/* SPDX-License-Identifier: MIT */
/*
 * Reading the state of one component. [main]. The file is untrusted: state_in_open looks at every record, so that
 * the reader proper works on a list of fields whose names, types and lengths are sound. The list points into the
 * file's bytes.
 */
#include <stdio.h>
#include <string.h>

#include "kernel/machine/fault.h"
#include "kernel/state/crc32c.h"
#include "kernel/state/file.h"

#define PATH_BYTES 256

/* A group is followed by its fields, up to `next`. */
struct field {
	const char *name;              /* not terminated */
	const uint8_t *data;           /* not aligned */
	uint32_t name_bytes, type, flags, count;
	uint32_t next;                 /* index of what follows after it and its fields */
	bool asked;
};

struct mt_state_in {
	const char *component;
	char schema[MT_STATE_NAME_MAX + 1];
	uint32_t version;
	GArray *fields;                /* of struct field; [0] is the whole */
	uint32_t group[MT_STATE_DEPTH_MAX + 1], index[MT_STATE_DEPTH_MAX + 1], depth;
	int code;                      /* of what was noted first */
	char noted[512];
};

static struct field *field_at(const struct mt_state_in *in, uint32_t i)
{
	return &g_array_index(in->fields, struct field, i);
}

/* Looking at the file. */

struct scan {
	const uint8_t *bytes;
	size_t len, at;
	uint32_t records, depth;
	GHashTable *names[MT_STATE_DEPTH_MAX + 1];
	uint32_t open[MT_STATE_DEPTH_MAX + 1];
	const char *why;
};

static uint32_t get_u32(const uint8_t *at)
{
	uint32_t le;

	memcpy(&le, at, sizeof(le));
	return GUINT32_FROM_LE(le);
}

static bool scan_fail(struct scan *s, const char *why)
{
	s->why = why;
	return false;
}

static bool scan_header(struct scan *s)
{
	if (s->len < STATE_HEADER_BYTES || memcmp(s->bytes, STATE_MAGIC, 8))
		return scan_fail(s, "this is no state file");
	if (get_u32(s->bytes + 8) != STATE_FORMAT)
		return scan_fail(s, "the format is of a later mortise");
	if (get_u32(s->bytes + 12) != crc32c(0, s->bytes, 12))
		return scan_fail(s, "the header is damaged");
	s->at = STATE_HEADER_BYTES;
	return true;
}

/* The shape of the record at s->at, with its name and data in place; *len_bytes: of all of it. */
static bool scan_record(struct scan *s, struct field *field, uint32_t *len_bytes)
{
	const uint8_t *at = s->bytes + s->at;
	uint64_t data_bytes, body;
	size_t left = s->len - s->at;

	if (left < STATE_RECORD_BYTES + 4)
		return scan_fail(s, "it ends in the middle");
	*len_bytes = get_u32(at);
	if (*len_bytes < STATE_RECORD_BYTES + 4 || *len_bytes > left || *len_bytes & 3)
		return scan_fail(s, "it ends in the middle, or a length is damaged");
	if (get_u32(at + *len_bytes - 4) != crc32c(0, at, *len_bytes - 4))
		return scan_fail(s, "a checksum does not match");
	*field = (struct field){ .type = at[4], .flags = at[5], .name_bytes = at[6] | (uint32_t)at[7] << 8,
				 .count = get_u32(at + 8), .name = (const char *)at + STATE_RECORD_BYTES };
	data_bytes = (uint64_t)field->count * state_type_bytes(field->type);
	body = STATE_RECORD_BYTES + field->name_bytes + data_bytes;
	if (body > *len_bytes - 4 || *len_bytes - 4 - body > 3)
		return scan_fail(s, "the length of a field is not that of its type");
	for (uint64_t i = body; i < *len_bytes - 4; i++)
		if (at[i])
			return scan_fail(s, "padding is not zero");
	field->data = at + STATE_RECORD_BYTES + field->name_bytes;
	return true;
}

static bool scan_name(struct scan *s, const struct field *field)
{
	uint32_t before;
	char *name;

	if (!state_name_legal(field->name, field->name_bytes))
		return scan_fail(s, "a field has an illegal name");
	name = g_strndup(field->name, field->name_bytes);
	before = GPOINTER_TO_UINT(g_hash_table_lookup(s->names[s->depth], name));
	g_hash_table_insert(s->names[s->depth], name, GUINT_TO_POINTER(field->type));
	if (before && (before != MT_STATE_GROUP || field->type != MT_STATE_GROUP))
		return scan_fail(s, "a name is there twice");
	return true;
}

static bool scan_push(struct scan *s, uint32_t index)
{
	if (s->depth == MT_STATE_DEPTH_MAX)
		return scan_fail(s, "groups lie too deep");
	s->open[++s->depth] = index;
	s->names[s->depth] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return true;
}

static void scan_pop(struct scan *s)
{
	g_hash_table_unref(s->names[s->depth]);
	s->names[s->depth--] = NULL;
}

static bool scan_field(struct scan *s, struct mt_state_in *in, struct field *field)
{
	if (field->flags & ~MT_STATE_IGNORABLE)
		return scan_fail(s, "a field has unknown flags");
	if (field->type != MT_STATE_GROUP && !state_type_bytes(field->type))
		return scan_fail(s, "a field is of an unknown type");
	if (field->type == MT_STATE_GROUP && field->count != 1)
		return scan_fail(s, "a group has an illegal count");
	if (field->type == MT_STATE_STRING &&
	    (memchr(field->data, 0, field->count) ||
	     !g_utf8_validate((const char *)field->data, field->count, NULL)))
		return scan_fail(s, "a string is no UTF-8");
	if (!scan_name(s, field))
		return false;
	field->next = in->fields->len + 1;
	g_array_append_vals(in->fields, field, 1);
	return field->type != MT_STATE_GROUP || scan_push(s, in->fields->len - 1);
}

static bool scan_schema(struct scan *s, struct mt_state_in *in, const struct field *field)
{
	if (s->records || field->flags || !field->count || !state_name_legal(field->name, field->name_bytes))
		return scan_fail(s, "the schema is damaged");
	memcpy(in->schema, field->name, field->name_bytes);
	in->version = field->count;
	return true;
}

static bool scan_end(struct scan *s, struct mt_state_in *in, const struct field *field)
{
	if (s->depth == 0 || field->flags || field->count || field->name_bytes)
		return scan_fail(s, "groups do not match");
	field_at(in, s->open[s->depth])->next = in->fields->len;
	scan_pop(s);
	return true;
}

/* One record. *last: it was the last, and all is well. */
static bool scan_step(struct scan *s, struct mt_state_in *in, bool *last)
{
	struct field field;
	uint32_t len_bytes;
	bool fine;

	if (!scan_record(s, &field, &len_bytes))
		return false;
	s->at += len_bytes;
	if (!s->records && field.type != STATE_SCHEMA)
		return scan_fail(s, "it has no schema");
	if (field.type == STATE_SCHEMA) {
		fine = scan_schema(s, in, &field);
	} else if (field.type == STATE_END) {
		fine = scan_end(s, in, &field);
	} else if (field.type == STATE_LAST) {
		*last = true;
		fine = s->depth == 0 && field.count == s->records && !field.flags && !field.name_bytes &&
		       s->at == s->len;
		s->why = fine ? NULL : "the end is not where it should be";
	} else {
		fine = scan_field(s, in, &field);
	}
	s->records++;
	return fine;
}

static bool scan_all(struct scan *s, struct mt_state_in *in)
{
	bool last = false, fine = scan_header(s);

	s->names[0] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	while (fine && !last)
		fine = scan_step(s, in, &last);
	while (s->depth)
		scan_pop(s);
	g_hash_table_unref(s->names[0]);
	field_at(in, 0)->next = in->fields->len;
	return fine;
}

struct mt_state_in *state_in_open(const char *component, const void *bytes, size_t len_bytes,
				  struct mt_error *err)
{
	struct mt_state_in *in = g_new0(struct mt_state_in, 1);
	struct field whole = { .type = MT_STATE_GROUP, .count = 1, .asked = true };
	struct scan s = { .bytes = bytes, .len = len_bytes };

	in->component = component;
	in->fields = g_array_new(FALSE, FALSE, sizeof(struct field));
	g_array_append_val(in->fields, whole);
	if (scan_all(&s, in))
		return in;
	fault_set(err, MT_EINVAL, component, "the snapshot is damaged: take it again, or copy it again",
		  "the state of %s cannot be read: %s", component, s.why);
	state_in_close(in);
	return NULL;
}

void state_in_close(struct mt_state_in *in)
{
	g_array_unref(in->fields);
	g_free(in);
}

const char *state_in_schema(const struct mt_state_in *in)
{
	return in->schema;
}

uint32_t state_in_version(const struct mt_state_in *in)
{
	return in->version;
}

/* Finding. */

static bool field_is(const struct field *field, const char *name)
{
	return strlen(name) == field->name_bytes && !memcmp(field->name, name, field->name_bytes);
}

/* Field `index` of this name in the open group; NULL: none. `*count`: how many there are before it. */
static struct field *field_find(const struct mt_state_in *in, const char *name, uint32_t index, uint32_t *count)
{
	uint32_t group = in->group[in->depth], seen = 0;

	for (uint32_t i = group + 1; i < field_at(in, group)->next; i = field_at(in, i)->next) {
		if (!field_is(field_at(in, i), name))
			continue;
		if (seen == index)
			return field_at(in, i);
		seen++;
	}
	*count = seen;
	return NULL;
}

/* "queue[1]/", of the groups that are open. */
static void path_of(const struct mt_state_in *in, char *path)
{
	size_t len = 0;

	path[0] = 0;
	for (uint32_t d = 1; d <= in->depth && len < PATH_BYTES; d++) {
		const struct field *field = field_at(in, in->group[d]);

		len += (size_t)snprintf(path + len, PATH_BYTES - len, "%.*s[%u]/", (int)field->name_bytes,
					field->name, in->index[d]);
	}
}

static int note(struct mt_state_in *in, const char *name, int code, const char *why)
{
	char path[PATH_BYTES];

	if (in->code)
		return code;
	in->code = code;
	path_of(in, path);
	snprintf(in->noted, sizeof(in->noted), "%s%s %s", path, name, why);
	return code;
}

static int note_type(struct mt_state_in *in, const char *name, int code, const struct field *field, uint32_t type,
		     uint32_t count)
{
	char have[32], want[32], why[96];

	snprintf(why, sizeof(why), "is %s where %s is wanted",
		 state_type_text(field->type, field->count, have, sizeof(have)),
		 state_type_text(type, count, want, sizeof(want)));
	return note(in, name, code, why);
}

/* The reader. */

static int in_find(struct mt_state_in *in, const char *name, uint32_t *type, uint32_t *count)
{
	struct field *field = field_find(in, name, 0, count);

	if (!field)
		return MT_ENOENT;
	*type = field->type;
	if (field->type == MT_STATE_GROUP) {
		field_find(in, name, UINT32_MAX, count);
	} else {
		field->asked = true;
		*count = field->count;
	}
	return 0;
}

static int in_get(struct mt_state_in *in, const char *name, uint32_t type, void *data, uint32_t count)
{
	uint32_t seen;
	struct field *field = field_find(in, name, 0, &seen);

	if (!field)
		return note(in, name, MT_ENOENT, "is missing");
	if (field->type != type)
		return note_type(in, name, MT_EINVAL, field, type, count);
	if (type == MT_STATE_STRING ? field->count >= count : field->count != count)
		return note_type(in, name, MT_ERANGE, field, type, count);
	field->asked = true;
	if (field->count)
		memcpy(data, field->data, (size_t)field->count * state_type_bytes(type));
	if (type == MT_STATE_STRING)
		((char *)data)[field->count] = 0;
	return 0;
}

static int in_begin(struct mt_state_in *in, const char *name, uint32_t index)
{
	uint32_t seen;
	struct field *field = field_find(in, name, index, &seen);

	if (!field)
		return note(in, name, MT_ENOENT, "is missing");
	if (field->type != MT_STATE_GROUP)
		return note_type(in, name, MT_EINVAL, field, MT_STATE_GROUP, index + 1);
	field->asked = true;
	/* the file has no groups deeper than this */
	in->index[++in->depth] = index;
	in->group[in->depth] = (uint32_t)(field - field_at(in, 0));
	return 0;
}

static void in_end(struct mt_state_in *in)
{
	if (in->depth)
		in->depth--;
}

static int in_refuse(struct mt_state_in *in, const char *name, const char *why)
{
	return note(in, name, MT_EINVAL, why);
}

const struct mt_state_reader state_reader = {
	.find = in_find,
	.get = in_get,
	.begin = in_begin,
	.end = in_end,
	.refuse = in_refuse,
};

/* The first field that nobody has asked for and that must be known; a group stands for what is in it. */
static const struct field *field_left(const struct mt_state_in *in)
{
	for (uint32_t i = 1; i < in->fields->len;) {
		const struct field *field = field_at(in, i);

		if (field->asked) {
			i++;
			continue;
		}
		if (!(field->flags & MT_STATE_IGNORABLE))
			return field;
		i = field->next;
	}
	return NULL;
}

int state_in_verdict(struct mt_state_in *in, int code, struct mt_error *err)
{
	const struct field *left = code < 0 ? NULL : field_left(in);

	if (code >= 0 && !left)
		return 0;
	if (left)
		return fault_set(err, MT_EINVAL, in->component, "a later plugin may know it",
				 "the state of %s (%s/%u) has a field that is not known: %.*s", in->component,
				 in->schema, in->version, (int)left->name_bytes, left->name);
	if (!err->message[0])
		fault_set(err, code, in->component, NULL, "the state of %s (%s/%u) is refused: %s", in->component,
			  in->schema, in->version, in->code ? in->noted : "no reason is given");
	return code;
}
