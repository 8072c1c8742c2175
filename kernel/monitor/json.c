// SPDX-License-Identifier: MIT
/*
 * The grammar of RFC 8259 by recursive descent. Stricter in one thing: a name twice in an object is
 * refused, for readers differ in which one they take. A text without 0 bytes is asked for, so \u0000 is
 * refused too.
 */
#include "kernel/monitor/json.h"

#include <string.h>

#include "kernel/config/json.h"

struct reader {
	const char *start, *at, *end;
	unsigned depth;
	char *error;
};

static struct json *parse_value(struct reader *r);

static void *fail(struct reader *r, const char *what)
{
	if (!r->error[0])
		g_snprintf(r->error, JSON_ERROR_BYTES, "%s at byte %zu", what, (size_t)(r->at - r->start));
	return NULL;
}

static void blanks(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

static bool take(struct reader *r, char c)
{
	blanks(r);
	if (r->at >= r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static struct json *value_new(enum json_type type)
{
	struct json *v = g_new0(struct json, 1);

	v->type = type;
	if (type >= JSON_ARRAY)
		v->items = g_ptr_array_new_with_free_func((GDestroyNotify)json_free);
	if (type == JSON_OBJECT)
		v->names = g_ptr_array_new_with_free_func(g_free);
	return v;
}

void json_free(struct json *value)
{
	if (!value)
		return;
	if (value->items)
		g_ptr_array_unref(value->items);
	if (value->names)
		g_ptr_array_unref(value->names);
	g_free(value->text);
	g_free(value);
}

/* Strings */

static bool hex4(struct reader *r, uint32_t *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++, r->at++) {
		if (r->at >= r->end || !g_ascii_isxdigit(*r->at))
			return false;
		*out = *out << 4 | (uint32_t)g_ascii_xdigit_value(*r->at);
	}
	return true;
}

/* Behind "\u". A pair of surrogates is one character; half a pair is none. */
static bool escape_unicode(struct reader *r, GString *text)
{
	uint32_t c, low;

	if (!hex4(r, &c))
		return false;
	if (c >= 0xd800 && c < 0xdc00) {
		if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
			return false;
		r->at += 2;
		if (!hex4(r, &low) || low < 0xdc00 || low >= 0xe000)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	if (c == 0 || (c >= 0xdc00 && c < 0xe000))
		return false;
	g_string_append_unichar(text, c);
	return true;
}

/* Behind the backslash. */
static bool escape(struct reader *r, GString *text)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;
	char c;

	if (r->at >= r->end)
		return false;
	c = *r->at++;
	if (c == 'u')
		return escape_unicode(r, text);
	found = c ? strchr(from, c) : NULL;
	if (!found)
		return false;
	g_string_append_c(text, to[found - from]);
	return true;
}

/* Behind the first quote; free with g_free. */
static char *parse_string(struct reader *r)
{
	GString *text = g_string_new(NULL);

	while (r->at < r->end && *r->at != '"') {
		unsigned char c = (unsigned char)*r->at;

		if (c < 0x20) {
			fail(r, "a control character in a string");
			break;
		}
		r->at++;
		if (c != '\\')
			g_string_append_c(text, (char)c);
		else if (!escape(r, text)) {
			fail(r, "a bad escape in a string");
			break;
		}
	}
	if (!r->error[0] && r->at >= r->end)
		fail(r, "a string without its end");
	if (!r->error[0] && !g_utf8_validate(text->str, (gssize)text->len, NULL))
		fail(r, "a string that is not UTF-8");
	if (!r->error[0])
		r->at++;
	return g_string_free(text, r->error[0] != 0);
}

/* Numbers and words */

static void digits(struct reader *r)
{
	if (r->at >= r->end || !g_ascii_isdigit(*r->at))
		fail(r, "a digit is missing");
	while (r->at < r->end && g_ascii_isdigit(*r->at))
		r->at++;
}

static struct json *parse_number(struct reader *r)
{
	const char *start = r->at;
	struct json *v;

	if (*r->at == '-')
		r->at++;
	if (r->at < r->end && *r->at == '0')
		r->at++;
	else
		digits(r);
	if (r->at < r->end && *r->at == '.') {
		r->at++;
		digits(r);
	}
	if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
		r->at++;
		if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
			r->at++;
		digits(r);
	}
	if (r->error[0])
		return NULL;
	v = value_new(JSON_NUMBER);
	v->text = g_strndup(start, (size_t)(r->at - start));
	return v;
}

static struct json *parse_word(struct reader *r)
{
	static const struct { const char *word; enum json_type type; bool truth; } words[] = {
		{ "null", JSON_NULL, false }, { "true", JSON_BOOL, true }, { "false", JSON_BOOL, false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		size_t len = strlen(words[i].word);

		if ((size_t)(r->end - r->at) >= len && !memcmp(r->at, words[i].word, len)) {
			struct json *v = value_new(words[i].type);

			v->truth = words[i].truth;
			r->at += len;
			return v;
		}
	}
	return fail(r, "something that is no value");
}

/* Arrays and objects, behind the first bracket. */

static bool parse_items(struct reader *r, struct json *v)
{
	if (take(r, ']'))
		return true;
	do {
		struct json *item = parse_value(r);

		if (!item)
			return false;
		g_ptr_array_add(v->items, item);
	} while (take(r, ','));
	return take(r, ']') || fail(r, "',' or ']' is missing");
}

static bool parse_member(struct reader *r, struct json *v)
{
	char *name = take(r, '"') ? parse_string(r) : fail(r, "a name in quotes is missing");
	struct json *item;

	if (!name)
		return false;
	if (v->items->len == JSON_MEMBERS)
		fail(r, "too many members in an object");
	else if (json_get(v, name))
		fail(r, "a name that was there before");
	if (!take(r, ':'))
		fail(r, "':' is missing");
	item = r->error[0] ? NULL : parse_value(r);
	if (!item) {
		g_free(name);
		return false;
	}
	g_ptr_array_add(v->names, name);
	g_ptr_array_add(v->items, item);
	return true;
}

static bool parse_members(struct reader *r, struct json *v)
{
	if (take(r, '}'))
		return true;
	do {
		if (!parse_member(r, v))
			return false;
	} while (take(r, ','));
	return take(r, '}') || fail(r, "',' or '}' is missing");
}

static struct json *parse_nested(struct reader *r, enum json_type type)
{
	struct json *v;

	if (r->depth == JSON_DEPTH)
		return fail(r, "values nested too deeply");
	r->at++;
	r->depth++;
	v = value_new(type);
	if (!(type == JSON_ARRAY ? parse_items(r, v) : parse_members(r, v))) {
		json_free(v);
		v = NULL;
	}
	r->depth--;
	return v;
}

static struct json *parse_text(struct reader *r)
{
	struct json *v;
	char *text;

	r->at++;
	text = parse_string(r);
	if (!text)
		return NULL;
	v = value_new(JSON_STRING);
	v->text = text;
	return v;
}

static struct json *parse_value(struct reader *r)
{
	blanks(r);
	if (r->at >= r->end)
		return fail(r, "a value is missing");
	switch (*r->at) {
	case '{': return parse_nested(r, JSON_OBJECT);
	case '[': return parse_nested(r, JSON_ARRAY);
	case '"': return parse_text(r);
	default:  return *r->at == '-' || g_ascii_isdigit(*r->at) ? parse_number(r) : parse_word(r);
	}
}

struct json *json_parse(const char *text, size_t len_bytes, char error[JSON_ERROR_BYTES])
{
	struct reader r = { text, text, text + len_bytes, 0, error };
	struct json *v;

	error[0] = 0;
	v = parse_value(&r);
	blanks(&r);
	if (v && r.at < r.end) {
		fail(&r, "something behind the value");
		json_free(v);
		v = NULL;
	}
	return v;
}

/* Looking at it */

const struct json *json_get(const struct json *object, const char *name)
{
	if (!object || object->type != JSON_OBJECT)
		return NULL;
	for (unsigned i = 0; i < object->items->len; i++)
		if (!strcmp(g_ptr_array_index(object->names, i), name))
			return g_ptr_array_index(object->items, i);
	return NULL;
}

const char *json_text(const struct json *value)
{
	return value && value->type == JSON_STRING ? value->text : NULL;
}

bool json_uint(const struct json *value, uint64_t *out)
{
	guint64 number;

	if (!value || value->type != JSON_NUMBER ||
	    !g_ascii_string_to_unsigned(value->text, 10, 0, G_MAXINT64, &number, NULL))
		return false;
	*out = number;
	return true;
}

static void print_nested(FILE *out, const struct json *v)
{
	bool object = v->type == JSON_OBJECT;

	putc(object ? '{' : '[', out);
	for (unsigned i = 0; i < v->items->len; i++) {
		fputs(i ? ", " : "", out);
		if (object) {
			json_print_string(out, g_ptr_array_index(v->names, i));
			fputs(": ", out);
		}
		json_print(out, g_ptr_array_index(v->items, i));
	}
	putc(object ? '}' : ']', out);
}

void json_print(FILE *out, const struct json *value)
{
	switch (value->type) {
	case JSON_NULL:   fputs("null", out); break;
	case JSON_BOOL:   fputs(value->truth ? "true" : "false", out); break;
	case JSON_NUMBER: fputs(value->text, out); break;
	case JSON_STRING: json_print_string(out, value->text); break;
	default:          print_nested(out, value);
	}
}
