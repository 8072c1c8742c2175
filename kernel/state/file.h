/* SPDX-License-Identifier: MIT */
/*
 * The file of one component's state, and the writer and reader of <mortise/draft/state.h> on it. Little-endian.
 *
 *   header   "MTSTATE\n", format 1 (u32), CRC-32C of these 12 bytes (u32)
 *   records  length of the whole record (u32), type (u8), flags (u8), bytes of the name (u16), count (u32),
 *            name, `count` elements of the type, zeros up to a multiple of 4, CRC-32C of all before it (u32)
 *
 * The first record is SCHEMA (name of the schema; its version as count), the last is LAST (count: records before
 * it); GROUP and END enclose the fields of a group. One fields list has one file: there is no freedom in padding
 * or order. The reader believes nothing: it looks at the whole file before it gives out the first field.
 */
#ifndef KERNEL_STATE_FILE_H
#define KERNEL_STATE_FILE_H

#include <glib.h>
#include <mortise/draft/state.h>
#include <stdbool.h>

#define STATE_MAGIC        "MTSTATE\n"
#define STATE_FORMAT       1u
#define STATE_HEADER_BYTES 16u
#define STATE_RECORD_BYTES 12u         /* before the name */
#define STATE_FILE_MAX     (1u << 30)  /* bytes; contents of memories belong into RAM files */

#define STATE_END    64u
#define STATE_SCHEMA 65u
#define STATE_LAST   66u

/* Bytes of an element of a type; 0: no type of a field. */
uint32_t state_type_bytes(uint32_t type);
/* "u32[4]", for messages; the result is the caller's buffer. */
const char *state_type_text(uint32_t type, uint32_t count, char *text, size_t len_bytes);
bool state_name_legal(const char *name, size_t len_bytes);

/* [main] Writing. `component` names it in messages and must outlive the writer. */
struct mt_state_out *state_out_create(const char *component, const char *schema, uint32_t version);
/* The file's bytes, the caller's (g_byte_array_unref); NULL with `err` when a call before could not be served. */
GByteArray *state_out_finish(struct mt_state_out *out, struct mt_error *err);
void state_out_destroy(struct mt_state_out *out);
extern const struct mt_state_writer state_writer;

/* [main] Reading. NULL with `err`; `bytes` must outlive the reader. */
struct mt_state_in *state_in_open(const char *component, const void *bytes, size_t len_bytes,
				  struct mt_error *err);
void state_in_close(struct mt_state_in *in);
const char *state_in_schema(const struct mt_state_in *in);
uint32_t state_in_version(const struct mt_state_in *in);
/*
 * After load returned `code`: 0 when that is 0 and nothing was left unasked; else `err` is filled, with the words
 * that load gave or those that the reader noted.
 */
int state_in_verdict(struct mt_state_in *in, int code, struct mt_error *err);
extern const struct mt_state_reader state_reader;

#endif
