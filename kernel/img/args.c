// SPDX-License-Identifier: MIT
/* Reading what commands of `mortise img` are given: sizes, cache modes, options of formats. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/config/suggest.h"
#include "kernel/img/img.h"
#include "kernel/machine/fault.h"

static int exponent_of(char suffix)
{
	static const char suffixes[] = "bkmgtpe";
	const char *at = suffix ? strchr(suffixes, g_ascii_tolower(suffix)) : suffixes;

	return at ? (int)(at - suffixes) : -1;
}

/* Whole numbers are read as such: a double has too few digits for all of them. */
bool img_size(const char *text, uint64_t *bytes)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X'), fraction = !hex && strchr(text, '.') != NULL;
	char *end = NULL;
	double number = 0;
	uint64_t whole = 0;
	int power;

	if (!g_ascii_isdigit(*text))
		return false;
	if (fraction)
		number = g_ascii_strtod(text, &end);
	else
		whole = g_ascii_strtoull(text, &end, hex ? 16 : 10);
	power = exponent_of(*end);
	if (power < 0 || (*end && end[1]))
		return false;
	if (fraction) {
		number = ldexp(number, 10 * power);
		whole = number >= 0 && number < 9e18 ? (uint64_t)number : UINT64_MAX;
	} else if (whole > (uint64_t)INT64_MAX >> (10 * power)) {
		return false;
	} else {
		whole <<= 10 * power;
	}
	*bytes = whole;
	return whole <= INT64_MAX;
}

bool img_number(const struct img *img, const char *option, uint64_t deflt, uint64_t max, uint64_t *out)
{
	const char *text = cli_value(img->args, option);

	*out = deflt;
	if (!text || (img_size(text, out) && *out <= max))
		return true;
	img_fail("--%s: '%s' is no number up to %" PRIu64, option, text, max);
	return false;
}

bool img_cache(const char *word, enum file_cache *cache)
{
	if (!strcmp(word, "writeback") || !strcmp(word, "writethrough"))
		*cache = FILE_WRITEBACK;
	else if (!strcmp(word, "none") || !strcmp(word, "directsync"))
		*cache = FILE_DIRECT;
	else if (!strcmp(word, "unsafe"))
		*cache = FILE_UNSAFE;
	else
		return img_fail("'%s' is no cache mode; there are none, writeback, writethrough, directsync and unsafe",
				word) == 0;
	return true;
}

bool img_engine(const char *word, enum file_engine *engine)
{
	*engine = !word ? FILE_ENGINE_AUTO : !strcmp(word, "threads") ? FILE_ENGINE_THREADS : FILE_ENGINE_URING;
	if (*engine != FILE_ENGINE_URING || !strcmp(word, "io_uring"))
		return true;
	return img_fail("'%s' is no engine; there are io_uring and threads", word) == 0;
}

bool img_prealloc(const char *word, uint32_t *prealloc)
{
	static const char *const words[] = { "off", "metadata", "falloc", "full" };

	*prealloc = MT_BLOCK_PREALLOC_OFF;
	for (uint32_t i = 0; i < G_N_ELEMENTS(words); i++) {
		if (!word || !strcmp(word, words[i])) {
			*prealloc = i;
			return true;
		}
	}
	return img_fail("'%s' is no preallocation; there are off, metadata, falloc and full", word) == 0;
}

/* Options of formats */

static const struct mt_block_option *table_of(struct img *img, const char *format)
{
	const struct mt_block_create *role = tool_role(img->tool, format, MT_IFACE_BLOCK_CREATE, &img->err);

	if (!role && !img->err.code)
		fault_set(&img->err, MT_ENOTSUP, "format", NULL, "images of the format %s cannot be made", format);
	return role && role->options ? role->options() : NULL;
}

static const struct mt_block_option *option_find(const struct mt_block_option *table, const char *name, uint32_t flag)
{
	for (; table->name; table++) {
		if (table->flags & flag && !strcmp(table->name, name))
			return table;
	}
	return NULL;
}

static int option_unknown(struct img *img, const struct mt_block_option *table, const char *format, const char *name,
			  uint32_t flag)
{
	struct suggest s;
	char *hint;

	suggest_init(&s, name);
	for (; table->name; table++) {
		if (table->flags & flag)
			suggest_add(&s, table->name);
	}
	hint = s.best ? g_strdup_printf("did you mean '%s'?", s.best) : g_strdup("-o help lists the options");
	fault_set(&img->err, MT_EINVAL, "options", hint, "the format %s has no option '%.64s'%s", format, name,
		  flag == MT_BLOCK_OPTION_AMEND ? " that can be amended" : "");
	g_free(hint);
	return MT_EINVAL;
}

static bool number_is_legal(const struct mt_block_option *option, uint64_t number)
{
	uint64_t min = 0, max = UINT64_MAX;

	return !option->range || !value_parse_range(option->range, option->type == MT_BLOCK_VALUE_SIZE, &min, &max) ||
	       (number >= min && number <= max);
}

static bool bool_is_legal(const char **value)
{
	static const char *const on[] = { "on", "yes", "true", "y" }, *const off[] = { "off", "no", "false", "n" };

	for (size_t i = 0; i < G_N_ELEMENTS(on); i++) {
		if (!strcmp(*value, on[i]) || !strcmp(*value, off[i])) {
			*value = !strcmp(*value, on[i]) ? "true" : "false";
			return true;
		}
	}
	return false;
}

/* The value as formats want it: sizes in bytes, switches as true and false. NULL: it is not legal. g_free. */
static char *value_read(const struct mt_block_option *option, const char *value)
{
	uint64_t number;

	switch (option->type) {
	case MT_BLOCK_VALUE_BOOL:
		return bool_is_legal(&value) ? g_strdup(value) : NULL;
	case MT_BLOCK_VALUE_INT:
	case MT_BLOCK_VALUE_SIZE:
		return img_size(value, &number) && number_is_legal(option, number) ?
		       g_strdup_printf("%" PRIu64, number) : NULL;
	default:
		return !option->range || value_enum_index(option->range, value) >= 0 ? g_strdup(value) : NULL;
	}
}

void img_value_take(GArray *values, const char *name)
{
	for (unsigned i = values->len; i-- > 0;) {
		struct mt_block_value *v = &g_array_index(values, struct mt_block_value, i);

		if (!strcmp(v->name, name)) {
			g_free((char *)v->name);
			g_free((char *)v->value);
			g_array_remove_index(values, i);
		}
	}
}

void img_value_set(GArray *values, const char *name, const char *value)
{
	struct mt_block_value v = { g_strdup(name), g_strdup(value) };

	img_value_take(values, name);
	g_array_append_val(values, v);
}

const char *img_value_find(const GArray *values, const char *name)
{
	for (unsigned i = 0; i < values->len; i++) {
		const struct mt_block_value *v = &g_array_index(values, struct mt_block_value, i);

		if (!strcmp(v->name, name))
			return v->value;
	}
	return NULL;
}

/* What qemu-img takes as -o though the command line has a word for it: see img_general_take. */
static bool is_general(const char *name)
{
	return !strcmp(name, "size") || !strcmp(name, "backing_file") || !strcmp(name, "backing_fmt");
}

char *img_general_take(GArray *values, const char *name, const char *word)
{
	char *value = g_strdup(word ? word : img_value_find(values, name));

	img_value_take(values, name);
	return value;
}

static int value_take(struct img *img, GArray *values, const struct mt_block_option *table, const char *format,
		      char *text, uint32_t flag)
{
	char *equals = strchr(text, '='), *value;
	const struct mt_block_option *option;

	if (equals)
		*equals = '\0';
	option = option_find(table, text, flag);
	if (!option && equals && is_general(text) && flag == MT_BLOCK_OPTION_CREATE) {
		img_value_set(values, text, equals + 1);
		return 0;
	}
	if (!option)
		return option_unknown(img, table, format, text, flag);
	value = value_read(option, equals ? equals + 1 : "on");
	if (!value)
		return fault_set(&img->err, MT_EINVAL, option->name, option->range ? option->range : NULL,
				 "'%.100s' is no value for %s", equals ? equals + 1 : "on", option->name);
	img_value_set(values, text, value);
	g_free(value);
	return 0;
}

void img_values_free(GArray *values)
{
	while (values && values->len)
		img_value_take(values, g_array_index(values, struct mt_block_value, 0).name);
	if (values)
		g_array_unref(values);
}

GArray *img_values(struct img *img, const char *format, const char *const *texts, uint32_t flag)
{
	const struct mt_block_option *table = table_of(img, format);
	GArray *values = g_array_new(FALSE, FALSE, sizeof(struct mt_block_value));
	int rc = table ? 0 : MT_ENOTSUP;

	for (int i = 0; rc == 0 && texts[i]; i++) {
		GPtrArray *parts = img_split(texts[i]);

		for (unsigned k = 0; rc == 0 && k < parts->len; k++)
			rc = value_take(img, values, table, format, g_ptr_array_index(parts, k), flag);
		g_ptr_array_unref(parts);
	}
	if (rc == 0)
		return values;
	img_values_free(values);
	return NULL;
}

bool img_help_wanted(const char *const *texts)
{
	for (int i = 0; texts[i]; i++) {
		if (!strcmp(texts[i], "help") || !strcmp(texts[i], "?"))
			return true;
	}
	return false;
}

int img_help_print(struct img *img, const char *format, uint32_t flag)
{
	static const char *const types[] = { "", "str", "bool", "int", "size" };
	const struct mt_block_option *table = table_of(img, format);

	if (!table)
		return img_fault(img);
	puts("Supported options:");
	for (; table->name; table++) {
		char *name;

		if (!(table->flags & flag))
			continue;
		name = g_strdup_printf("%s=<%s>", table->name, types[MIN(table->type, 4)]);
		printf("  %-22s - %s%s%s%s%s\n", name, table->help, table->range ? " (" : "",
		       table->range ? table->range : "", table->range ? ")" : "", "");
		g_free(name);
	}
	return 0;
}
