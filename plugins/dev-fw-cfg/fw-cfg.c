/* SPDX-License-Identifier: MIT */
/*
 * Registers; see fw-cfg.h. As QEMU's docs/specs/fw_cfg describes the interface: the selector takes 16 bits, the data
 * port gives bytes, and the address of a DMA request is big-endian, its lower half starting the transfer. Nothing is
 * writable: writes of data are ignored, and fail by DMA.
 */
#include "fw-cfg.h"

#include <util/endian.h>
#include <util/minmax.h>

#define SELECTOR     0u
#define DATA         1u
#define ADDRESS_HIGH 4u
#define ADDRESS_LOW  8u

#define DMA_ERROR    0x01u
#define DMA_READ     0x02u
#define DMA_SKIP     0x04u
#define DMA_SELECT   0x08u
#define DMA_WRITE    0x10u
#define REQUEST_BYTES 16u
/* Behind an item come zeros. Nobody needs many, and they are written while the vCPU waits. */
#define ZEROS_MAX    (16u << 20)

static const uint8_t signature[8] = "QEMU CFG";

void fw_cfg_reset(struct fw_cfg *f)
{
	f->key = 0;
	f->offset = f->address_high = 0;
}

static void select_item(struct fw_cfg *f, uint16_t key)
{
	f->key = key;
	f->offset = 0;
}

static void skip(struct fw_cfg *f, uint32_t len_bytes)
{
	f->offset = (uint32_t)mt_min_u64((uint64_t)f->offset + len_bytes, UINT32_MAX);
}

static uint8_t data_read(struct fw_cfg *f)
{
	const struct item *item = items_find(f->items, f->key);
	uint8_t byte = item && f->offset < item->len_bytes ? item->data[f->offset] : 0;

	skip(f, 1);
	return byte;
}

/* DMA */

static uint32_t item_move(struct fw_cfg *f, uint64_t gpa, uint32_t len_bytes)
{
	const struct item *item = items_find(f->items, f->key);
	uint32_t left = item && f->offset < item->len_bytes ? item->len_bytes - f->offset : 0;
	uint32_t now = (uint32_t)mt_min_u64(left, len_bytes);

	if (len_bytes - now > ZEROS_MAX)
		return DMA_ERROR;
	if (now && f->dma_host->write(f->dma, gpa, item->data + f->offset, now) != MT_BUS_OK)
		return DMA_ERROR;
	if (len_bytes > now && f->dma_host->fill(f->dma, gpa + now, 0, len_bytes - now) != MT_BUS_OK)
		return DMA_ERROR;
	skip(f, len_bytes);
	return 0;
}

/* A request: control and length, 32 bits each, and an address of 64 bits. Its control says afterwards how it went. */
static void request_run(struct fw_cfg *f, uint64_t gpa)
{
	uint8_t request[REQUEST_BYTES], answer[4];
	uint32_t control, len_bytes, result = 0;

	if (f->dma_host->read(f->dma, gpa, request, sizeof(request)) != MT_BUS_OK)
		return;
	control = mt_get_be32(request);
	len_bytes = mt_get_be32(request + 4);
	if (control & DMA_SELECT)
		select_item(f, (uint16_t)(control >> 16));
	if (control & DMA_READ)
		result = item_move(f, mt_get_be64(request + 8), len_bytes);
	else if (control & DMA_WRITE)
		result = DMA_ERROR;
	else if (control & DMA_SKIP)
		skip(f, len_bytes);
	mt_put_be32(answer, result);
	f->dma_host->write(f->dma, gpa, answer, sizeof(answer));
}

static void address_write(struct fw_cfg *f, uint64_t offset, uint64_t value)
{
	uint32_t half = __builtin_bswap32((uint32_t)value);
	uint64_t gpa = (uint64_t)f->address_high << 32 | half;

	if (offset == ADDRESS_HIGH) {
		f->address_high = half;
		return;
	}
	f->address_high = 0;
	request_run(f, gpa);
}

/* Ports */

uint64_t fw_cfg_read(struct fw_cfg *f, uint64_t offset, uint32_t width)
{
	uint64_t value = 0;

	if (offset == DATA && width == 1)
		return data_read(f);
	if (offset < ADDRESS_HIGH || offset + width > FW_CFG_BYTES)
		return 0;
	for (uint32_t i = 0; i < width; i++)
		value |= (uint64_t)signature[offset - ADDRESS_HIGH + i] << 8 * i;
	return value;
}

void fw_cfg_write(struct fw_cfg *f, uint64_t offset, uint32_t width, uint64_t value)
{
	if (offset == SELECTOR && width == 2)
		select_item(f, (uint16_t)value);
	else if ((offset == ADDRESS_HIGH || offset == ADDRESS_LOW) && width == 4)
		address_write(f, offset, value);
}
