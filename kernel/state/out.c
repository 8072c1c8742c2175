/* SPDX-License-Identifier: MIT */
/*
 * Writing the state of one component into memory. [main]. What a class does wrong (a name twice, groups that do not
 * match) is remembered and fails the snapshot at the end: no call has a result that a plugin would have to look at.
 */
#include <stdio.h>
#include <string.h>

#include "kernel/machine/fault.h"
#include "kernel/state/crc32c.h"
#include "kernel/state/file.h"

struct mt_state_out {
	const char *component;
	GByteArray *bytes;
	uint32_t records, depth;
	GHashTable *names[MT_STATE_DEPTH_MAX + 1];     /* of the open groups; the value is the type */
	struct mt_error fault;
};

uint32_t state_type_bytes(uint32_t type)
{
	switch (type) {
	case MT_STATE_U8: case MT_STATE_U16: case MT_STATE_U32: case MT_STATE_U64:
		return type;
	case MT_STATE_BYTES: case MT_STATE_STRING:
		return 1;
	default:
		return 0;
	}
}

const char *state_type_text(uint32_t type, uint32_t count, char *text, size_t len_bytes)
{
	if (type == MT_STATE_BYTES || type == MT_STATE_STRING)
		snprintf(text, len_bytes, "%s[%u]", type == MT_STATE_BYTES ? "bytes" : "string", count);
	else if (type == MT_STATE_GROUP)
		snprintf(text, len_bytes, "%u group(s)", count);
	else
		snprintf(text, len_bytes, count == 1 ? "u%u" : "u%u[%u]", type * 8, count);
	return text;
}

bool state_name_legal(const char *name, size_t len_bytes)
{
	if (len_bytes == 0 || len_bytes > MT_STATE_NAME_MAX)
		return false;
	for (size_t i = 0; i < len_bytes; i++)
		if (!g_ascii_islower(name[i]) && !g_ascii_isdigit(name[i]) && !memchr("._-", name[i], 3))
			return false;
	return true;
}

static void out_fail(struct mt_state_out *out, const char *name, const char *why)
{
	if (!out->fault.code)
		fault_set(&out->fault, MT_EINVAL, name, "this is a fault of the plugin; tell its maker",
			  "the state of %s cannot be written: '%s' %s", out->component, name, why);
}

static void put_u32(GByteArray *bytes, uint32_t value)
{
	uint32_t le = GUINT32_TO_LE(value);

	g_byte_array_append(bytes, (const guint8 *)&le, sizeof(le));
}

static void record_put(struct mt_state_out *out, const char *name, uint32_t type, uint32_t flags, const void *data,
		       uint32_t count, uint32_t data_bytes)
{
	static const guint8 zeros[4];
	uint32_t name_bytes = (uint32_t)strlen(name), body = STATE_RECORD_BYTES + name_bytes + data_bytes;
	uint32_t pad = -body & 3, start = out->bytes->len;
	guint8 head[4] = { (guint8)type, (guint8)flags, (guint8)name_bytes, (guint8)(name_bytes >> 8) };

	put_u32(out->bytes, body + pad + 4);
	g_byte_array_append(out->bytes, head, sizeof(head));
	put_u32(out->bytes, count);
	g_byte_array_append(out->bytes, (const guint8 *)name, name_bytes);
	if (data_bytes)
		g_byte_array_append(out->bytes, data, data_bytes);
	g_byte_array_append(out->bytes, zeros, pad);
	put_u32(out->bytes, crc32c(0, out->bytes->data + start, body + pad));
	out->records++;
}

/* Groups may share a name, nothing else may. */
static bool name_take(struct mt_state_out *out, const char *name, uint32_t type)
{
	GHashTable *names = out->names[out->depth];
	uint32_t before;

	if (!state_name_legal(name, strlen(name))) {
		out_fail(out, name, "is no name");
		return false;
	}
	before = GPOINTER_TO_UINT(g_hash_table_lookup(names, name));
	if (before && (before != MT_STATE_GROUP || type != MT_STATE_GROUP)) {
		out_fail(out, name, "is written twice");
		return false;
	}
	g_hash_table_insert(names, g_strdup(name), GUINT_TO_POINTER(type));
	return true;
}

static void out_put(struct mt_state_out *out, const char *name, uint32_t type, uint32_t flags, const void *data,
		    uint32_t count)
{
	uint64_t data_bytes = (uint64_t)count * state_type_bytes(type);

	if (out->fault.code || !name_take(out, name, type))
		return;
	if (!state_type_bytes(type) || flags & ~MT_STATE_IGNORABLE)
		out_fail(out, name, "has an unknown type or flag");
	else if (data_bytes + out->bytes->len > STATE_FILE_MAX / 2)
		out_fail(out, name, "is too long");
	else if (type == MT_STATE_STRING && (memchr(data, 0, count) || !g_utf8_validate(data, count, NULL)))
		out_fail(out, name, "is no UTF-8");
	else
		record_put(out, name, type, flags, data, count, (uint32_t)data_bytes);
}

static void out_begin(struct mt_state_out *out, const char *name, uint32_t flags)
{
	if (out->fault.code || !name_take(out, name, MT_STATE_GROUP))
		return;
	if (out->depth == MT_STATE_DEPTH_MAX || flags & ~MT_STATE_IGNORABLE) {
		out_fail(out, name, "has an unknown flag, or lies in too many groups");
		return;
	}
	record_put(out, name, MT_STATE_GROUP, flags, NULL, 1, 0);
	out->names[++out->depth] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void out_end(struct mt_state_out *out)
{
	if (out->fault.code)
		return;
	if (out->depth == 0) {
		out_fail(out, "end", "has no begin");
		return;
	}
	g_hash_table_unref(out->names[out->depth]);
	out->names[out->depth--] = NULL;
	record_put(out, "", STATE_END, 0, NULL, 0, 0);
}

const struct mt_state_writer state_writer = {
	.put = out_put,
	.begin = out_begin,
	.end = out_end,
};

struct mt_state_out *state_out_create(const char *component, const char *schema, uint32_t version)
{
	struct mt_state_out *out = g_new0(struct mt_state_out, 1);

	out->component = component;
	out->fault.size = sizeof(out->fault);
	out->bytes = g_byte_array_new();
	out->names[0] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_byte_array_append(out->bytes, (const guint8 *)STATE_MAGIC, 8);
	put_u32(out->bytes, STATE_FORMAT);
	put_u32(out->bytes, crc32c(0, out->bytes->data, out->bytes->len));
	if (state_name_legal(schema, strlen(schema)) && version)
		record_put(out, schema, STATE_SCHEMA, 0, NULL, version, 0);
	else
		out_fail(out, schema, "is no schema, or of version 0");
	return out;
}

GByteArray *state_out_finish(struct mt_state_out *out, struct mt_error *err)
{
	if (out->depth)
		out_fail(out, "begin", "has no end");
	if (out->fault.code) {
		*err = out->fault;
		return NULL;
	}
	record_put(out, "", STATE_LAST, 0, NULL, out->records, 0);
	return g_byte_array_ref(out->bytes);
}

void state_out_destroy(struct mt_state_out *out)
{
	for (uint32_t i = 0; i <= out->depth; i++)
		g_hash_table_unref(out->names[i]);
	g_byte_array_unref(out->bytes);
	g_free(out);
}
