/* SPDX-License-Identifier: MIT */
/*
 * What a boot loader plugin (kind MT_KIND_BOOT) uses beside DMA: memory layout, device tree, vCPU registers. Devices
 * that tell firmware of the machine ask for RAM blocks and the number of vCPUs too.
 */
#ifndef MORTISE_BOOT_H
#define MORTISE_BOOT_H

#include "../plugin.h"

#define MT_IFACE_BOOT "mortise.boot/1"

struct mt_boot_host {
	/* [main] RAM block `index` of the system space in the order of the machine file; 0, or MT_ENOENT */
	int (*ram_block)(struct mt_inst *inst, uint32_t index, uint64_t *gpa, uint64_t *len_bytes);
	/*
	 * [main] in reset: the finished device tree, with /chosen bootargs (may be NULL) and the initial RAM
	 * disk (len 0: none). The blob belongs to the kernel and lives until the next call.
	 */
	int (*fdt_build)(struct mt_inst *inst, const char *bootargs, uint64_t initrd_gpa, uint64_t initrd_bytes,
			 const void **blob, uint64_t *len_bytes, struct mt_error *err);
	/* [main] */
	uint32_t (*vcpu_count)(struct mt_inst *inst);
	/* [main] in MT_RESET_EXIT: a register by the accelerator's name for it ("pc", "a0"); MT_ENOENT: no such */
	int (*vcpu_set)(struct mt_inst *inst, uint32_t vcpu, const char *reg, uint64_t value);
	/* [main] in MT_RESET_HOLD and later: what a register has after the reset; MT_ENOENT: no such */
	int (*vcpu_get)(struct mt_inst *inst, uint32_t vcpu, const char *reg, uint64_t *value);
};

#endif
