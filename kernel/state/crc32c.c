/* SPDX-License-Identifier: MIT */
/* CRC-32C a byte at a time from a table: state files are small, RAM is not summed. [any] */
#include "kernel/state/crc32c.h"

#include <pthread.h>

#define POLYNOMIAL 0x82f63b78u         /* reflected */

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_make(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
		table[i] = crc;
	}
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len_bytes)
{
	const uint8_t *at = data;

	pthread_once(&table_once, table_make);
	crc = ~crc;
	for (size_t i = 0; i < len_bytes; i++)
		crc = table[(crc ^ at[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}
