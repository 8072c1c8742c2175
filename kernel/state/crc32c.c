/* SPDX-License-Identifier: MIT */
/* CRC-32C by the instruction of SSE 4.2 where there is one (RAM is summed, and large), else from a table. [any] */
#include "kernel/state/crc32c.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

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

uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t len_bytes)
{
	const uint8_t *at = data;

	pthread_once(&table_once, table_make);
	crc = ~crc;
	for (size_t i = 0; i < len_bytes; i++)
		crc = table[(crc ^ at[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2")))
static uint32_t by_instruction(uint32_t crc, const uint8_t *at, size_t len_bytes)
{
	uint64_t sum = ~crc, word;

	for (; len_bytes >= sizeof(word); at += sizeof(word), len_bytes -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum = __builtin_ia32_crc32di(sum, word);
	}
	for (; len_bytes; at++, len_bytes--)
		sum = __builtin_ia32_crc32qi((uint32_t)sum, *at);
	return ~(uint32_t)sum;
}

static bool has_instruction;
static pthread_once_t has_once = PTHREAD_ONCE_INIT;

/* Not by __builtin_cpu_supports: that asks for all that there is, at every start; in a virtual machine an exit each. */
static void has_look(void)
{
	unsigned eax, ebx, ecx = 0, edx;

	has_instruction = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bit_SSE4_2;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len_bytes)
{
	pthread_once(&has_once, has_look);
	return has_instruction ? by_instruction(crc, data, len_bytes) :
	       crc32c_by_table(crc, data, len_bytes);
}
#else
uint32_t crc32c(uint32_t crc, const void *data, size_t len_bytes)
{
	return crc32c_by_table(crc, data, len_bytes);
}
#endif
