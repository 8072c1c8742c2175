/* SPDX-License-Identifier: MIT */
/* CRC-32C (Castagnoli, the polynomial 0x82f63b78 when reflected), by a table of what half a byte does. Any thread. */
#include "vhdx.h"

static const uint32_t table[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
	0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
	0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
	0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t crc32c_hole(const uint8_t *bytes, uint32_t len, uint32_t hole)
{
	uint32_t crc = 0xffffffff;

	for (uint32_t i = 0; i < len; i++) {
		crc ^= i - hole < 4 ? 0 : bytes[i];
		crc = table[crc & 15] ^ crc >> 4;
		crc = table[crc & 15] ^ crc >> 4;
	}
	return ~crc;
}
