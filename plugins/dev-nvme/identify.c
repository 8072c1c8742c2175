/* SPDX-License-Identifier: MIT */
/* What the controller and its namespace say of themselves, NVMe 1.4 section 5.15.2. */
#include "nvme.h"

#include <stdio.h>
#include <string.h>

#define MODEL    "mortise NVMe"
#define MODEL_BYTES 40u

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value);
	put16(at + 2, value >> 16);
}

static void put64(uint8_t *at, uint64_t value)
{
	put32(at, (uint32_t)value);
	put32(at + 4, (uint32_t)(value >> 32));
}

void nvme_put_text(uint8_t *at, const char *text, size_t bytes)
{
	size_t len = strnlen(text, bytes);

	memset(at, ' ', bytes);
	memcpy(at, text, len);
}

/* Of a controller that has no name of its own: vendor, serial and model (NVMe over Fabrics 1.1, 7.9). */
static void put_subsystem(const struct nvme *n, uint8_t *at)
{
	char name[224];

	snprintf(name, sizeof(name), "nqn.2014.08.org.nvmexpress:%04x%04x%-20.20s%-40.40s", n->vendor_id,
		 n->vendor_id, n->serial, MODEL);
	memcpy(at, name, strlen(name));
}

void nvme_identify_controller(const struct nvme *n, uint8_t *page)
{
	put16(page, n->vendor_id);
	put16(page + 2, n->vendor_id);         /* of the subsystem */
	nvme_put_text(page + 4, n->serial, NVME_SERIAL_BYTES);
	nvme_put_text(page + 24, MODEL, MODEL_BYTES);
	nvme_put_text(page + 64, MORTISE_VERSION, 8);
	page[72] = 6;                          /* recommended arbitration burst: 64 */
	page[77] = NVME_MDTS;
	put32(page + 80, 0x00010400);
	put32(page + 92, 1u << 8);             /* notices of a changed namespace */
	page[111] = 1;                         /* an I/O controller */
	page[258] = 3;                         /* abort limit, from 0 */
	page[259] = NVME_EVENTS_MAX - 1;
	page[260] = 0x03;                      /* one firmware slot, read-only */
	page[261] = 0x04;                      /* log pages by 32 bits of length and an offset */
	put16(page + 266, 343);                /* warning and critical temperature, in kelvin */
	put16(page + 268, 373);
	page[512] = 0x66;                      /* entries of 64 bytes */
	page[513] = 0x44;                      /* and of 16 */
	put32(page + 516, 1);
	put16(page + 520, 0x000c);             /* deallocation, write zeroes */
	page[525] = n->info.flags & MT_BLOCK_INFO_VOLATILE ? 1 : 0;
	put_subsystem(n, page + 768);
	put16(page + 2048, 2500);              /* power state 0: 25 W */
}

void nvme_identify_namespace(const struct nvme *n, uint8_t *page)
{
	uint64_t blocks = n->info.disk_bytes / n->info.block_bytes;
	uint32_t physical = n->info.physical_bytes / n->info.block_bytes;
	uint32_t optimal = n->info.optimal_bytes / n->info.block_bytes, shift = 0;

	put64(page, blocks);
	put64(page + 8, blocks);
	put64(page + 16, blocks);
	page[24] = n->info.discard_bytes ? 1u << 4 | 1u : 1u << 4;     /* optimal sizes are told; thin */
	page[99] = n->info.flags & MT_BLOCK_INFO_READONLY ? 1 : 0;
	put16(page + 64, physical ? physical - 1 : 0);                 /* preferred write granularity, from 0 */
	put16(page + 66, physical ? physical - 1 : 0);
	if (n->info.discard_bytes)
		put16(page + 68, n->info.discard_bytes / n->info.block_bytes - 1);
	put16(page + 72, optimal ? optimal - 1 : 0);
	while (1u << shift < n->info.block_bytes)
		shift++;
	page[128 + 2] = (uint8_t)shift;        /* the one format */
}
