/* SPDX-License-Identifier: MIT */
/*
 * Keys and values are UTF-16 and come from an image: they are only converted here; whether such a file may be opened is
 * the kernel's affair.
 */
#include "name.h"

#include <mortise/error.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/uuid.h>

#define AT_COUNT   18
#define AT_ENTRIES 20
#define ENTRY_BYTES 12u

static int put(char *out, uint32_t room, uint32_t *len, uint32_t c)
{
	uint32_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	if (*len + n >= room)
		return 0;
	for (uint32_t i = n - 1; i > 0; i--, c >>= 6)
		out[*len + i] = (char)(0x80 | (c & 0x3f));
	out[*len] = (char)(first[n] | c);
	*len += n;
	return 1;
}

/* 0, or MT_EINVAL: no legal text, or too long. */
static int convert(const uint8_t *in, uint32_t bytes, char *out, uint32_t room)
{
	uint32_t len = 0;

	for (uint32_t i = 0; i + 2 <= bytes; i += 2) {
		uint32_t c = mt_get_le16(in + i);

		if (c >= 0xd800 && c < 0xe000) {
			uint32_t low = c < 0xdc00 && i + 4 <= bytes ? mt_get_le16(in + i + 2) : 0;

			if (low < 0xdc00 || low >= 0xe000)
				return MT_EINVAL;
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			i += 2;
		}
		if (c == 0 || !put(out, room, &len, c == '\\' ? '/' : c))
			return MT_EINVAL;
	}
	out[len] = 0;
	if (strncmp(out, "./", 2) == 0)
		memmove(out, out + 2, len - 1);
	return 0;
}

static int key_is(const uint8_t *key, uint32_t bytes, const char *name)
{
	uint32_t n = (uint32_t)strlen(name);

	if (bytes != 2 * n)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		if (mt_get_le16(key + 2 * i) != (uint8_t)name[i])
			return 0;
	}
	return 1;
}

/* The text of `name`: 1, 0 where there is no such key, or MT_EINVAL. */
static int value_of(const uint8_t *locator, uint32_t bytes, const char *name, char *out, uint32_t room)
{
	uint32_t count = bytes >= AT_ENTRIES ? mt_get_le16(locator + AT_COUNT) : 0;

	if (bytes < AT_ENTRIES || count > (bytes - AT_ENTRIES) / ENTRY_BYTES)
		return MT_EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *e = locator + AT_ENTRIES + i * ENTRY_BYTES;
		uint32_t key = mt_get_le32(e), value = mt_get_le32(e + 4);
		uint32_t key_bytes = mt_get_le16(e + 8), value_bytes = mt_get_le16(e + 10);

		if (!mt_range_inside(key, key_bytes, bytes) || !mt_range_inside(value, value_bytes, bytes))
			return MT_EINVAL;
		if (key_is(locator + key, key_bytes, name))
			return convert(locator + value, value_bytes, out, room) < 0 ? MT_EINVAL : 1;
	}
	return 0;
}

int name_find(const uint8_t *locator, uint32_t bytes, char *out, uint32_t room)
{
	int rc = value_of(locator, bytes, "relative_path", out, room);

	if (rc == 0)
		rc = value_of(locator, bytes, "absolute_win32_path", out, room);
	return rc < 0 ? rc : 0;
}

int name_linkage(const uint8_t *locator, uint32_t bytes, char out[2][40])
{
	static const char *const names[] = { "parent_linkage", "parent_linkage2" };
	uint8_t uuid[MT_UUID_BYTES];

	for (uint32_t i = 0; i < 2; i++) {
		char text[40];
		int rc = value_of(locator, bytes, names[i], text, sizeof(text));
		size_t len = rc == 1 ? strlen(text) : 0;

		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		if (len < 2 || text[0] != '{' || text[len - 1] != '}')
			return MT_EINVAL;
		text[len - 1] = 0;
		if (!mt_uuid_parse(text + 1, uuid))
			return MT_EINVAL;
		mt_uuid_text(uuid, out[i]);
	}
	return 0;
}
