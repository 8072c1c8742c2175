/* SPDX-License-Identifier: MIT */
/*
 * Identifiers of 16 bytes as disk images have them, the first three fields little-endian, and as text:
 * "83ed0ec3-24c8-49a6-a959-5e4bf1288bfb" (RFC 4122). Pure functions; any thread.
 */
#ifndef MORTISE_UTIL_UUID_H
#define MORTISE_UTIL_UUID_H

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>

#include "endian.h"

#define MT_UUID_BYTES 16u
#define MT_UUID_TEXT  37u      /* with the NUL */

static inline void mt_uuid_text(const uint8_t *uuid, char *text)
{
	snprintf(text, MT_UUID_TEXT, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", (unsigned)mt_get_le32(uuid),
		 (unsigned)mt_get_le16(uuid + 4), (unsigned)mt_get_le16(uuid + 6), uuid[8], uuid[9], uuid[10], uuid[11], uuid[12],
		 uuid[13], uuid[14], uuid[15]);
}

/* The inverse; capital digits too. 0: it is none, and `uuid` has anything. */
static inline int mt_uuid_parse(const char *text, uint8_t *uuid)
{
	static const uint8_t order[MT_UUID_BYTES] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

	for (uint32_t i = 0; i < MT_UUID_BYTES; i++) {
		unsigned byte = 0;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return 0;
		for (uint32_t k = 0; k < 2; k++, text++) {
			if (!isxdigit((unsigned char)*text))
				return 0;
			byte = byte * 16 + (unsigned)(isdigit((unsigned char)*text) ? *text - '0' :
						      tolower((unsigned char)*text) - 'a' + 10);
		}
		uuid[order[i]] = (uint8_t)byte;
	}
	return !*text;
}

#endif
