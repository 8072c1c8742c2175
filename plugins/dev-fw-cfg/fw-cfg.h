/* SPDX-License-Identifier: MIT */
/*
 * The interface's registers: a selector of items, a port from which the selected item comes byte by byte, and an
 * address register whose write moves bytes by DMA. Knows the items and a way to memory, and no bus. Called [vcpu]
 * under the instance lock. Easy to break: everything behind the address is the guest's, and may lie across the end of
 * memory.
 */
#ifndef FW_CFG_H
#define FW_CFG_H

#include <mortise/draft/dma.h>

#include "items.h"

#define FW_CFG_BYTES 12u               /* of registers */

struct fw_cfg {
	const struct items *items;
	const struct mt_dma_host *dma_host;
	struct mt_dma *dma;
	uint16_t key;
	uint32_t offset;               /* in the item; may be behind its end */
	uint32_t address_high;         /* of what is to be moved */
};

void fw_cfg_reset(struct fw_cfg *f);
uint64_t fw_cfg_read(struct fw_cfg *f, uint64_t offset, uint32_t width);
void fw_cfg_write(struct fw_cfg *f, uint64_t offset, uint32_t width, uint64_t value);

#endif
