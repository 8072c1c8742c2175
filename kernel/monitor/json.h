/* SPDX-License-Identifier: MIT */
/*
 * JSON that came from somebody else, as a tree. A parser of our own: the libraries for it load more than
 * the whole command does. Bounded by the length of the text and by JSON_DEPTH and JSON_MEMBERS; any bytes
 * may be given. Any thread, no state.
 */
#ifndef KERNEL_MONITOR_JSON_H
#define KERNEL_MONITOR_JSON_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH 32u
#define JSON_MEMBERS 256u             /* of one object */
#define JSON_ERROR_BYTES 128u

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	bool truth;                /* BOOL */
	char *text;                /* STRING: its value, UTF-8 without 0 bytes; NUMBER: as it was written */
	GPtrArray *names, *items;  /* OBJECT: char *; ARRAY and OBJECT: struct json * */
};

/* One value and nothing behind it but blanks. NULL with `error` filled: what is wrong, and at which byte. */
struct json *json_parse(const char *text, size_t len_bytes, char error[JSON_ERROR_BYTES]);
void json_free(struct json *value);

/* A member of an object, or NULL: no such member, or no object (`object` may be NULL). */
const struct json *json_get(const struct json *object, const char *name);
/* The text of a STRING; NULL for anything else. */
const char *json_text(const struct json *value);
/* A NUMBER that is a whole number from 0 to 2^63-1. */
bool json_uint(const struct json *value, uint64_t *out);

/* Prints the value on one line. */
void json_print(FILE *out, const struct json *value);

#endif
