/* SPDX-License-Identifier: MIT */
/* See aml.h. Section numbers are those of ACPI 6.3. [any] on storage that nobody else uses. */
#include "aml.h"

#include <string.h>

enum {
	ZERO_OP = 0x00, ONE_OP = 0x01, NAME_OP = 0x08, BYTE_PREFIX = 0x0a, WORD_PREFIX = 0x0b, DWORD_PREFIX = 0x0c,
	STRING_PREFIX = 0x0d, QWORD_PREFIX = 0x0e, SCOPE_OP = 0x10, BUFFER_OP = 0x11, PACKAGE_OP = 0x12,
	METHOD_OP = 0x14, EXT_PREFIX = 0x5b, DEVICE_OP = 0x82,
};

void aml_init(struct aml *a, uint8_t *data, uint32_t max)
{
	memset(a, 0, sizeof(*a));
	a->data = data;
	a->max = max;
}

void aml_bytes(struct aml *a, const void *bytes, uint32_t len)
{
	if (len > a->max - a->len) {
		a->failed = 1;
		return;
	}
	memcpy(a->data + a->len, bytes, len);
	a->len += len;
}

void aml_raw(struct aml *a, uint64_t value, uint32_t width)
{
	uint8_t bytes[8];

	for (uint32_t i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
	aml_bytes(a, bytes, width);
}

/* 20.2.4: how many of the following bytes belong to it, itself included; in as few bytes as it takes. */
static uint32_t package_length(uint32_t contents, uint8_t out[3])
{
	uint32_t bytes = contents + 1 <= 0x3f ? 1 : contents + 2 <= 0xfff ? 2 : 3, total = contents + bytes;

	out[0] = (uint8_t)(bytes == 1 ? total : (bytes - 1) << 6 | (total & 0x0f));
	out[1] = (uint8_t)(total >> 4);
	out[2] = (uint8_t)(total >> 12);
	return bytes;
}

static void begin(struct aml *a)
{
	if (a->depth == AML_DEPTH) {
		a->failed = 1;
		return;
	}
	a->open[a->depth++] = a->len;
}

void aml_end(struct aml *a)
{
	uint32_t at = a->depth ? a->open[--a->depth] : a->len, contents = a->len - at, bytes;
	uint8_t length[3];

	bytes = package_length(contents, length);
	if (bytes > a->max - a->len) {
		a->failed = 1;
		return;
	}
	memmove(a->data + at + bytes, a->data + at, contents);
	memcpy(a->data + at, length, bytes);
	a->len += bytes;
}

/* 20.2.2: four characters, the last ones underscores */
static void segment(struct aml *a, const char *seg)
{
	char name[4] = { '_', '_', '_', '_' };

	memcpy(name, seg, strnlen(seg, sizeof(name)));
	aml_bytes(a, name, sizeof(name));
}

void aml_scope(struct aml *a, const char *path)
{
	aml_raw(a, SCOPE_OP, 1);
	begin(a);
	if (*path == '\\')
		aml_bytes(a, path++, 1);
	segment(a, path);
}

void aml_device(struct aml *a, const char *seg)
{
	aml_raw(a, EXT_PREFIX | DEVICE_OP << 8, 2);
	begin(a);
	segment(a, seg);
}

void aml_method(struct aml *a, const char *seg, uint32_t flags)
{
	aml_raw(a, METHOD_OP, 1);
	begin(a);
	segment(a, seg);
	aml_raw(a, flags, 1);
}

void aml_package(struct aml *a, uint32_t elements)
{
	aml_raw(a, PACKAGE_OP, 1);
	begin(a);
	aml_raw(a, elements, 1);
}

void aml_name(struct aml *a, const char *seg)
{
	aml_raw(a, NAME_OP, 1);
	segment(a, seg);
}

void aml_integer(struct aml *a, uint64_t value)
{
	uint32_t width = value <= 0xff ? 1 : value <= 0xffff ? 2 : value <= 0xffffffff ? 4 : 8;

	if (value <= 1) {
		aml_raw(a, value ? ONE_OP : ZERO_OP, 1);
		return;
	}
	aml_raw(a, width == 1 ? BYTE_PREFIX : width == 2 ? WORD_PREFIX : width == 4 ? DWORD_PREFIX : QWORD_PREFIX, 1);
	aml_raw(a, value, width);
}

static int hex_digit(char c)
{
	const char *digits = "0123456789ABCDEF", *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* 19.3.4, EISAID: three letters of five bits, four digits, high bytes first; -1: it is none */
static int64_t eisa_id(const char *id)
{
	uint32_t value = 0;

	if (strlen(id) != 7)
		return -1;
	for (uint32_t i = 0; i < 7; i++) {
		int digit = hex_digit(id[i]);

		if (i < 3 ? id[i] < 'A' || id[i] > 'Z' : digit < 0)
			return -1;
		value = i < 3 ? value << 5 | (uint32_t)(id[i] - '@') : value << 4 | (uint32_t)digit;
	}
	return (int64_t)__builtin_bswap32(value);
}

void aml_id(struct aml *a, const char *id)
{
	int64_t value = eisa_id(id);

	if (value >= 0) {
		aml_integer(a, (uint64_t)value);
		return;
	}
	aml_raw(a, STRING_PREFIX, 1);
	aml_bytes(a, id, (uint32_t)strlen(id) + 1);
}

void aml_buffer(struct aml *a, const struct aml *contents)
{
	aml_raw(a, BUFFER_OP, 1);
	begin(a);
	aml_integer(a, contents->len);
	aml_bytes(a, contents->data, contents->len);
	aml_end(a);
	a->failed |= contents->failed;
}

/* 6.4.2.5: all 16 bits are decoded */
void aml_ports(struct aml *a, uint32_t base, uint32_t len)
{
	aml_raw(a, 0x0147, 2);
	aml_raw(a, base, 2);
	aml_raw(a, base, 2);
	aml_raw(a, 1, 1);
	aml_raw(a, len, 1);
}

/* 6.4.2.1: edge, active high */
void aml_isa_irq(struct aml *a, uint32_t irq)
{
	aml_raw(a, 0x22, 1);
	aml_raw(a, 1u << (irq & 15), 2);
}

/* 6.4.3.6 */
void aml_interrupt(struct aml *a, uint32_t gsi)
{
	aml_raw(a, 0x89 | 6u << 8, 3);
	aml_raw(a, 0x01, 1);
	aml_raw(a, 1, 1);
	aml_raw(a, gsi, 4);
}

/* An address space descriptor, 6.4.3.5, of `width` bytes a number. `flags`: general, then those of the type. */
static void address_space(struct aml *a, uint32_t tag, uint32_t width, uint32_t type, uint32_t flags, uint64_t first,
			  uint64_t len)
{
	aml_raw(a, tag, 1);
	aml_raw(a, 3 + 5 * width, 2);
	aml_raw(a, type, 1);
	aml_raw(a, flags, 2);
	aml_raw(a, 0, width);
	aml_raw(a, first, width);
	aml_raw(a, first + len - 1, width);
	aml_raw(a, 0, width);
	aml_raw(a, len, width);
}

#define FIXED    0x0cu          /* neither end moves */
#define CONSUMER 0x01u
#define WRITABLE 0x0100u        /* memory, not cached */

static void memory_space(struct aml *a, uint32_t flags, uint64_t base, uint64_t len)
{
	if (base + len <= 1ull << 32 && len < 1ull << 32)
		address_space(a, 0x87, 4, 0, flags | WRITABLE, base, len);
	else
		address_space(a, 0x8a, 8, 0, flags | WRITABLE, base, len);
}

void aml_fixed_memory(struct aml *a, uint64_t base, uint64_t len)
{
	memory_space(a, FIXED | CONSUMER, base, len);
}

void aml_window(struct aml *a, uint64_t base, uint64_t len)
{
	memory_space(a, FIXED, base, len);
}

void aml_buses(struct aml *a, uint32_t first, uint32_t count)
{
	address_space(a, 0x88, 2, 2, FIXED, first, count);
}

/* 6.4.2.9: a sum of 0 means that there is none */
void aml_end_tag(struct aml *a)
{
	aml_raw(a, 0x79, 2);
}
