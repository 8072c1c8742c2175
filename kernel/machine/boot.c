/* SPDX-License-Identifier: MIT */
/* mortise.boot/1: what a boot loader asks of the machine. [main], inside reset. */
#include "kernel/machine/fault.h"
#include "kernel/machine/services.h"
#include "kernel/machine/vcpu.h"

static int boot_ram_block(struct mt_inst *inst, uint32_t index, uint64_t *gpa, uint64_t *len_bytes)
{
	const GArray *all = inst->machine->memory;

	for (unsigned i = 0; i < all->len; i++) {
		const struct machine_memory *memory = &g_array_index(all, struct machine_memory, i);

		if (memory->rom || index-- > 0)
			continue;
		*gpa = memory->gpa;
		*len_bytes = memory->len_bytes;
		return 0;
	}
	return MT_ENOENT;
}

static int boot_fdt_build(struct mt_inst *inst, const char *bootargs, uint64_t initrd_gpa,
			  uint64_t initrd_bytes, const void **blob, uint64_t *len_bytes, struct mt_error *err)
{
	struct fdt_request request = { bootargs, initrd_gpa, initrd_bytes, true };

	return fdt_build(inst->machine, &request, blob, len_bytes, err);
}

static uint32_t boot_vcpu_count(struct mt_inst *inst)
{
	return inst->machine->vcpu_count;
}

static int boot_vcpu_set(struct mt_inst *inst, uint32_t vcpu, const char *reg, uint64_t value)
{
	return inst->machine->vcpus ? vcpus_reg_set(inst->machine->vcpus, vcpu, reg, value) : MT_ENOENT;
}

static int boot_vcpu_get(struct mt_inst *inst, uint32_t vcpu, const char *reg, uint64_t *value)
{
	return inst->machine->vcpus ? vcpus_reg_get(inst->machine->vcpus, vcpu, reg, value) : MT_ENOENT;
}

const struct mt_boot_host boot_host = {
	.ram_block = boot_ram_block,
	.fdt_build = boot_fdt_build,
	.vcpu_count = boot_vcpu_count,
	.vcpu_set = boot_vcpu_set,
	.vcpu_get = boot_vcpu_get,
};
