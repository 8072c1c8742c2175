/* SPDX-License-Identifier: MIT */
/*
 * Names are UTF-16 and Windows paths. They come from an image: they are only converted here; whether such a file may
 * be opened is the kernel's affair.
 */
#include "name.h"

#include <string.h>
#include <util/endian.h>
#include <util/error.h>

#define AT_NAME     64                   /* 256 units, big-endian */
#define NAME_BYTES  512u
#define AT_LOCATORS 576
#define LOCATORS    8u
#define LOCATOR_BYTES 24u
#define RELATIVE_UNICODE 0x57327275u     /* W2ru: little-endian units */

static uint32_t unit_at(const uint8_t *p, int big)
{
	return big ? mt_get_be16(p) : mt_get_le16(p);
}

/* Adds one character; 0: no room. */
static int put(char *out, uint32_t room, uint32_t *len, uint32_t c)
{
	uint8_t bytes[4];
	uint32_t n;

	if (c < 0x80) {
		bytes[0] = (uint8_t)(c == '\\' ? '/' : c);
		n = 1;
	} else if (c < 0x800) {
		bytes[0] = (uint8_t)(0xc0 | c >> 6);
		n = 2;
	} else if (c < 0x10000) {
		bytes[0] = (uint8_t)(0xe0 | c >> 12);
		n = 3;
	} else {
		bytes[0] = (uint8_t)(0xf0 | c >> 18);
		n = 4;
	}
	for (uint32_t i = 1; i < n; i++)
		bytes[i] = (uint8_t)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
	if (*len + n >= room)
		return 0;
	memcpy(out + *len, bytes, n);
	*len += n;
	return 1;
}

/* 0, or MT_EINVAL: no legal text. */
static int convert(const uint8_t *in, uint32_t bytes, int big, char *out, uint32_t room)
{
	uint32_t len = 0;

	for (uint32_t i = 0; i + 2 <= bytes; i += 2) {
		uint32_t c = unit_at(in + i, big);

		if (c == 0)
			break;
		if (c >= 0xd800 && c < 0xe000) {
			uint32_t low = c < 0xdc00 && i + 4 <= bytes ? unit_at(in + i + 2, big) : 0;

			if (low < 0xdc00 || low >= 0xe000)
				return MT_EINVAL;
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			i += 2;
		}
		if (!put(out, room, &len, c))
			return MT_EINVAL;
	}
	out[len] = 0;
	if (strncmp(out, "./", 2) == 0)
		memmove(out, out + 2, len - 1);
	return 0;
}

int name_find(const uint8_t *header, const struct mt_source *source, char *out, uint32_t room, struct mt_error *err)
{
	uint8_t text[NAME_BYTES];
	int rc = MT_ENOENT;

	for (uint32_t i = 0; i < LOCATORS && rc < 0; i++) {
		const uint8_t *locator = header + AT_LOCATORS + i * LOCATOR_BYTES;
		uint32_t bytes = mt_get_be32(locator + 8);

		if (mt_get_be32(locator) != RELATIVE_UNICODE || bytes > sizeof(text))
			continue;
		if (mt_source_read(source, mt_get_be64(locator + 16), text, bytes) == 0)
			rc = convert(text, bytes, 0, out, room);
	}
	if (rc < 0)
		rc = convert(header + AT_NAME, NAME_BYTES, 1, out, room);
	return rc < 0 ? mt_error_set(err, MT_EINVAL, "file", "the name of the VHD image's parent is illegal") : 0;
}
