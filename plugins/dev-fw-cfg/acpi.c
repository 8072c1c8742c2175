/* SPDX-License-Identifier: MIT */
/*
 * The tables' files; see acpi.h. Offsets in tables are those of ACPI 6.3, 5.2; commands of the linker/loader have 128
 * bytes, as SeaBIOS and OVMF execute them: 1 allocates a file, 2 adds a file's address to
 * a pointer in another one, 3 makes a sum. Sums are 0 before, since firmware differs in whether it counts the old one.
 */
#include "acpi.h"

#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>

#define TABLES "etc/acpi/tables"
#define RSDP   "etc/acpi/rsdp"
#define LOADER "etc/table-loader"

#define RSDP_BYTES 36u
#define RSDP_XSDT  24u
#define RSDP_SUM   32u
#define HEADER     36u
#define TABLE_SUM  9u
#define FADT_BYTES 148u                /* as far as X_DSDT */
#define FILE_ALIGN 64u                 /* of a FACS */

#define COMMAND_BYTES 128u
#define COMMANDS_MAX  64u
#define NAME_BYTES    56u
#define ALLOCATE      1u
#define ADD_POINTER   2u
#define ADD_SUM       3u
#define ZONE_HIGH     1u
#define ZONE_FSEG     2u               /* below 1 MiB, where an RSDP is looked for */

struct split {
	uint8_t *tables;               /* a copy, which is changed */
	uint64_t len_bytes;
	uint8_t rsdp[RSDP_BYTES];
	uint8_t commands[COMMANDS_MAX * COMMAND_BYTES];
	uint32_t count;
	struct mt_error *err;
};

static int refuse(struct split *s, const char *why)
{
	return mt_error_set(s->err, MT_EINVAL, NULL, "the ACPI tables %s", why);
}

/* The next command, zero but for its number and its first file; NULL: no room. */
static uint8_t *command(struct split *s, uint32_t number, const char *file)
{
	uint8_t *at = s->commands + s->count * COMMAND_BYTES;

	if (s->count == COMMANDS_MAX)
		return NULL;
	s->count++;
	memset(at, 0, COMMAND_BYTES);
	mt_put_le32(at, number);
	memcpy(at + 4, file, strlen(file));
	return at + 4 + NAME_BYTES;
}

static int allocate(struct split *s, const char *file, uint32_t align, uint8_t zone)
{
	uint8_t *at = command(s, ALLOCATE, file);

	if (!at)
		return refuse(s, "are too many");
	mt_put_le32(at, align);
	at[4] = zone;
	return 0;
}

/* `width` bytes at `offset` of `file` are an address in the tables. */
static int point(struct split *s, const char *file, uint64_t offset, uint8_t width)
{
	uint8_t *at = command(s, ADD_POINTER, file);

	if (!at)
		return refuse(s, "are too many");
	memcpy(at, TABLES, sizeof(TABLES));
	mt_put_le32(at + NAME_BYTES, (uint32_t)offset);
	at[NAME_BYTES + 4] = width;
	return 0;
}

static int sum(struct split *s, const char *file, uint8_t *bytes, uint64_t start, uint32_t len_bytes, uint32_t sum_at)
{
	uint8_t *at = command(s, ADD_SUM, file);

	if (!at)
		return refuse(s, "are too many");
	bytes[start + sum_at] = 0;
	mt_put_le32(at, (uint32_t)start + sum_at);
	mt_put_le32(at + 4, (uint32_t)start);
	mt_put_le32(at + 8, len_bytes);
	return 0;
}

/* A table with all of its bytes inside, `len_min` or more; its length, or 0. */
static uint32_t table_at(const struct split *s, uint64_t at, uint32_t len_min)
{
	uint32_t len;

	if (!mt_range_inside(at, HEADER, s->len_bytes))
		return 0;
	len = mt_get_le32(s->tables + at + 4);
	return len >= len_min && mt_range_inside(at, len, s->len_bytes) ? len : 0;
}

/* The FACS and the DSDT, each with an address of 32 and of 64 bits, of which one may be 0. */
static int fadt_split(struct split *s, uint64_t fadt)
{
	static const struct {
		uint8_t at, width;
	} pointers[] = { { 36, 4 }, { 40, 4 }, { 132, 8 }, { 140, 8 } };
	uint32_t len = table_at(s, fadt, FADT_BYTES);
	int rc = len ? 0 : refuse(s, "have an FADT that is cut short");

	for (uint32_t i = 0; rc == 0 && i < sizeof(pointers) / sizeof(pointers[0]); i++) {
		const uint8_t *pointer = s->tables + fadt + pointers[i].at;

		if (pointers[i].width == 4 ? mt_get_le32(pointer) != 0 : mt_get_le64(pointer) != 0)
			rc = point(s, TABLES, fadt + pointers[i].at, pointers[i].width);
	}
	return rc ? rc : sum(s, TABLES, s->tables, fadt, len, TABLE_SUM);
}

static int xsdt_split(struct split *s, uint64_t xsdt)
{
	uint32_t len = table_at(s, xsdt, HEADER);
	int rc = len ? 0 : refuse(s, "have no XSDT");

	for (uint64_t at = HEADER; rc == 0 && at + 8 <= len; at += 8) {
		uint64_t table = mt_get_le64(s->tables + xsdt + at);

		if (!table_at(s, table, HEADER))
			return refuse(s, "list one that is not there");
		rc = point(s, TABLES, xsdt + at, 8);
		if (rc == 0 && !memcmp(s->tables + table, "FACP", 4))
			rc = fadt_split(s, table);
	}
	return rc ? rc : sum(s, TABLES, s->tables, xsdt, len, TABLE_SUM);
}

/* Its 32-bit RSDT is not there, so the first sum stays right. Where the copy lies would be found as a second one. */
static int rsdp_split(struct split *s)
{
	if (s->len_bytes < RSDP_BYTES || memcmp(s->tables, "RSD PTR ", 8))
		return refuse(s, "do not begin with an RSDP");
	memcpy(s->rsdp, s->tables, RSDP_BYTES);
	memset(s->tables, 0, RSDP_BYTES);
	return point(s, RSDP, RSDP_XSDT, 8);
}

static int split(struct split *s)
{
	int rc = allocate(s, RSDP, 16, ZONE_FSEG);

	if (rc == 0)
		rc = allocate(s, TABLES, FILE_ALIGN, ZONE_HIGH);
	if (rc == 0)
		rc = rsdp_split(s);
	if (rc == 0)
		rc = xsdt_split(s, mt_get_le64(s->rsdp + RSDP_XSDT));
	return rc ? rc : sum(s, RSDP, s->rsdp, 0, RSDP_BYTES, RSDP_SUM);
}

static int file_put(struct items *items, const char *name, const void *data, uint32_t len_bytes, struct mt_error *err)
{
	struct item *item = items_named(items, name);

	return item ? item_set(item, data, len_bytes, err) : items_file(items, name, data, len_bytes, err);
}

int acpi_files(struct items *items, const uint8_t *tables, uint64_t len_bytes, struct mt_error *err)
{
	struct split *s = calloc(1, sizeof(*s));
	int rc;

	if (s && len_bytes && len_bytes <= ACPI_BYTES_MAX)
		s->tables = malloc(len_bytes);
	if (!s || !s->tables) {
		free(s);
		return mt_error_set(err, MT_ENOMEM, NULL, "no memory for %llu bytes of ACPI tables",
				    (unsigned long long)len_bytes);
	}
	s->len_bytes = len_bytes;
	s->err = err;
	memcpy(s->tables, tables, len_bytes);
	rc = split(s);
	if (rc == 0)
		rc = file_put(items, TABLES, s->tables, (uint32_t)len_bytes, err);
	if (rc == 0)
		rc = file_put(items, RSDP, s->rsdp, RSDP_BYTES, err);
	if (rc == 0)
		rc = file_put(items, LOADER, s->commands, s->count * COMMAND_BYTES, err);
	free(s->tables);
	free(s);
	return rc;
}
