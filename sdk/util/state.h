/* SPDX-License-Identifier: MIT */
/*
 * Saved state from a table: one line a field serves save and load, with the range that load accepts.
 *
 *   static const struct mt_state_field adc_fields[] = {
 *           MT_STATE_VAR(struct adc, control, 0xff),
 *           MT_STATE_ARRAY(struct adc, sample, 4095),
 *           MT_STATE_DATA(struct adc, buffer),
 *   };
 *   static const struct mt_state_table adc_table = MT_STATE_TABLE(struct adc, adc_fields);
 *
 *   save: mt_state_save(out, w, &adc_table, adc); return 0;
 *   load: return mt_state_load(in, r, &adc_table, version, adc);
 *
 * The name of a field is the member's ("rx.head" of a nested struct), so that renaming a member changes the schema.
 * mt_state_load takes all or nothing. Rules that join fields: load into a copy of the struct, look, then assign.
 */
#ifndef MORTISE_UTIL_STATE_H
#define MORTISE_UTIL_STATE_H

#include <inttypes.h>
#include <mortise/draft/state.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mt_state_table;

struct mt_state_field {
	const char *name;
	uint32_t type;                 /* MT_STATE_*, not STRING */
	uint32_t count;                /* elements; of GROUP: structs */
	uint32_t offset_bytes;         /* in the struct */
	uint32_t since;                /* version of the schema that brought it; in older states it is 0 */
	uint64_t min, max;             /* of each number; inclusive */
	const struct mt_state_table *group;
};

struct mt_state_table {
	const struct mt_state_field *fields;
	uint32_t field_count;
	uint32_t size_bytes;           /* of the struct */
};

#define MT_STATE_OF(T, member) (((T *)0)->member)
#define MT_STATE_COUNT(T, member) (uint32_t)(sizeof(MT_STATE_OF(T, member)) / sizeof(MT_STATE_OF(T, member)[0]))

/* A number; numbers of an array; a number that version `since` brought; bytes; a struct, or array of them. */
#define MT_STATE_RANGE(T, member, min, max) \
	{ #member, (uint32_t)sizeof(MT_STATE_OF(T, member)), 1, (uint32_t)offsetof(T, member), 0, min, max, NULL }
#define MT_STATE_VAR(T, member, max) MT_STATE_RANGE(T, member, 0, max)
#define MT_STATE_ARRAY(T, member, max) \
	{ #member, (uint32_t)sizeof(MT_STATE_OF(T, member)[0]), MT_STATE_COUNT(T, member), \
	  (uint32_t)offsetof(T, member), 0, 0, max, NULL }
#define MT_STATE_SINCE(T, member, since, max) \
	{ #member, (uint32_t)sizeof(MT_STATE_OF(T, member)), 1, (uint32_t)offsetof(T, member), since, 0, max, NULL }
#define MT_STATE_DATA(T, member) \
	{ #member, MT_STATE_BYTES, (uint32_t)sizeof(MT_STATE_OF(T, member)), (uint32_t)offsetof(T, member), 0, 0, 0, \
	  NULL }
#define MT_STATE_STRUCT(T, member, table) \
	{ #member, MT_STATE_GROUP, 1, (uint32_t)offsetof(T, member), 0, 0, 0, table }
#define MT_STATE_STRUCTS(T, member, table) \
	{ #member, MT_STATE_GROUP, MT_STATE_COUNT(T, member), (uint32_t)offsetof(T, member), 0, 0, 0, table }

#define MT_STATE_TABLE(T, fields) { fields, (uint32_t)(sizeof(fields) / sizeof((fields)[0])), (uint32_t)sizeof(T) }

static inline uint32_t mt_state_bytes(const struct mt_state_field *f)
{
	if (f->type == MT_STATE_GROUP)
		return f->count * f->group->size_bytes;
	return f->type == MT_STATE_BYTES ? f->count : f->count * f->type;
}

static inline void mt_state_save(struct mt_state_out *out, const struct mt_state_writer *w,
				 const struct mt_state_table *table, const void *base)
{
	for (uint32_t i = 0; i < table->field_count; i++) {
		const struct mt_state_field *f = &table->fields[i];
		const uint8_t *at = (const uint8_t *)base + f->offset_bytes;

		if (f->type != MT_STATE_GROUP) {
			w->put(out, f->name, f->type, 0, at, f->count);
			continue;
		}
		for (uint32_t n = 0; n < f->count; n++) {
			w->begin(out, f->name, 0);
			mt_state_save(out, w, f->group, at + n * f->group->size_bytes);
			w->end(out);
		}
	}
}

static inline int mt_state_in_range(struct mt_state_in *in, const struct mt_state_reader *r,
				    const struct mt_state_field *f, const uint8_t *at)
{
	char why[96];

	for (uint32_t i = 0; f->type <= MT_STATE_U64 && i < f->count; i++) {
		uint64_t value = 0;

		memcpy(&value, at + i * f->type, f->type);   /* little-endian hosts */
		if (value >= f->min && value <= f->max)
			continue;
		snprintf(why, sizeof(why), "is 0x%" PRIx64 ", outside of 0x%" PRIx64 "..0x%" PRIx64, value, f->min,
			 f->max);
		return r->refuse(in, f->name, why);
	}
	return 0;
}

static inline int mt_state_read(struct mt_state_in *in, const struct mt_state_reader *r,
				const struct mt_state_table *table, uint32_t version, uint8_t *base);

static inline int mt_state_read_groups(struct mt_state_in *in, const struct mt_state_reader *r,
				       const struct mt_state_field *f, uint32_t version, uint8_t *at)
{
	uint32_t type = 0, count = 0;
	int code = 0;

	if (r->find(in, f->name, &type, &count) == 0 && type == MT_STATE_GROUP && count != f->count)
		return r->refuse(in, f->name, "is there in another number");
	for (uint32_t n = 0; !code && n < f->count; n++) {
		code = r->begin(in, f->name, n);
		if (code)
			return code;
		code = mt_state_read(in, r, f->group, version, at + n * f->group->size_bytes);
		r->end(in);
	}
	return code;
}

/* Reads and checks into `base`, up to the first that is refused. */
static inline int mt_state_read(struct mt_state_in *in, const struct mt_state_reader *r,
				const struct mt_state_table *table, uint32_t version, uint8_t *base)
{
	int code = 0;

	for (uint32_t i = 0; !code && i < table->field_count; i++) {
		const struct mt_state_field *f = &table->fields[i];
		uint8_t *at = base + f->offset_bytes;

		if (f->since > version) {
			memset(at, 0, mt_state_bytes(f));
		} else if (f->type == MT_STATE_GROUP) {
			code = mt_state_read_groups(in, r, f, version, at);
		} else {
			code = r->get(in, f->name, f->type, at, f->count);
			if (!code)
				code = mt_state_in_range(in, r, f, at);
		}
	}
	return code;
}

/* The table's fields from `from`; what is not in the table stays. */
static inline void mt_state_take(const struct mt_state_table *table, uint8_t *base, const uint8_t *from)
{
	for (uint32_t i = 0; i < table->field_count; i++) {
		const struct mt_state_field *f = &table->fields[i];

		if (f->type != MT_STATE_GROUP) {
			memcpy(base + f->offset_bytes, from + f->offset_bytes, mt_state_bytes(f));
			continue;
		}
		for (uint32_t n = 0; n < f->count; n++) {
			uint32_t at = f->offset_bytes + n * f->group->size_bytes;

			mt_state_take(f->group, base + at, from + at);
		}
	}
}

/* A number that says what the instance is made of: the saved one must be the same. */
static inline int mt_state_expect(struct mt_state_in *in, const struct mt_state_reader *r, const char *name,
				  uint64_t value)
{
	uint64_t saved = 0;
	char why[96];
	int code = r->get(in, name, MT_STATE_U64, &saved, 1);

	if (code || saved == value)
		return code;
	snprintf(why, sizeof(why), "is %" PRIu64 ", and %" PRIu64 " here", saved, value);
	return r->refuse(in, name, why);
}

/* The save and load of a class that has no state that it would miss. */
static inline int mt_state_save_nothing(void *self, struct mt_state_out *out, const struct mt_state_writer *w,
					struct mt_error *err)
{
	(void)self, (void)out, (void)w, (void)err;
	return 0;
}

static inline int mt_state_load_nothing(void *self, struct mt_state_in *in, const struct mt_state_reader *r,
					uint32_t version, struct mt_error *err)
{
	(void)self, (void)in, (void)r, (void)version, (void)err;
	return 0;
}

/* 0, or a negative code and nothing is changed. */
static inline int mt_state_load(struct mt_state_in *in, const struct mt_state_reader *r,
				const struct mt_state_table *table, uint32_t version, void *base)
{
	uint8_t *copy = (uint8_t *)malloc(table->size_bytes);
	int code;

	if (!copy)
		return MT_ENOMEM;
	code = mt_state_read(in, r, table, version, copy);
	if (!code)
		mt_state_take(table, (uint8_t *)base, copy);
	free(copy);
	return code;
}

/* A state class `name` that is one table over `base`, an expression of the instance's `self`. */
#define MT_STATE_CLASS_OF(name, schema_name, version_now, oldest, table, base) \
static int name##_save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err) \
{ \
	(void)err; \
	mt_state_save(out, w, &(table), base); \
	return 0; \
} \
static int name##_load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version, \
		       struct mt_error *err) \
{ \
	(void)err; \
	return mt_state_load(in, r, &(table), version, base); \
} \
static const struct mt_state_class name = { \
	.schema = schema_name, .version = version_now, .version_min = oldest, .save = name##_save, .load = name##_load, \
};

#endif
