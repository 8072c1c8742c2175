/* SPDX-License-Identifier: MIT */
/* What a boot loader asks of the fake host: the RAM block, a tree of a given size, and registers it sets. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/endian.h"

static int ram_block(struct mt_inst *inst, uint32_t index, uint64_t *gpa, uint64_t *len_bytes)
{
	if (index)
		return MT_ENOENT;
	*gpa = inst->fake->ram_gpa;
	*len_bytes = inst->fake->ram.len_bytes;
	return 0;
}

/* Magic and size are those of a tree; the rest is zero. */
static int fdt_build(struct mt_inst *inst, const char *bootargs, uint64_t initrd_gpa, uint64_t initrd_bytes,
		     const void **blob, uint64_t *len_bytes, struct mt_error *err)
{
	struct fake *f = inst->fake;

	(void)err;
	free(f->boot_tree);
	free(f->boot_args);
	f->boot_args = bootargs ? strdup(bootargs) : NULL;
	f->boot_initrd_gpa = initrd_gpa;
	f->boot_initrd_bytes = initrd_bytes;
	f->boot_tree = calloc(1, f->boot_tree_bytes < 8 ? 8 : f->boot_tree_bytes);
	if (!f->boot_tree)
		fake_die("no memory");
	mt_put_be32(f->boot_tree, 0xd00dfeed);
	mt_put_be32(f->boot_tree + 4, (uint32_t)f->boot_tree_bytes);
	*blob = f->boot_tree;
	*len_bytes = f->boot_tree_bytes;
	return 0;
}

static uint32_t vcpu_count(struct mt_inst *inst)
{
	return inst->fake->vcpu_count;
}

int fake_boot_reg_set(struct fake *f, uint32_t vcpu, const char *reg, uint64_t value)
{
	uint32_t i = 0;

	if (vcpu >= f->vcpu_count)
		return MT_ENOENT;
	while (i < f->reg_count && (f->regs[i].vcpu != vcpu || strcmp(f->regs[i].name, reg)))
		i++;
	if (i == FAKE_REGS)
		fake_die("too many registers");
	if (i == f->reg_count)
		f->reg_count++;
	f->regs[i].vcpu = vcpu;
	f->regs[i].value = value;
	snprintf(f->regs[i].name, sizeof(f->regs[i].name), "%s", reg);
	return 0;
}

static int vcpu_set(struct mt_inst *inst, uint32_t vcpu, const char *reg, uint64_t value)
{
	return fake_boot_reg_set(inst->fake, vcpu, reg, value);
}

static int vcpu_get(struct mt_inst *inst, uint32_t vcpu, const char *reg, uint64_t *value)
{
	return fake_boot_reg(inst->fake, vcpu, reg, value) ? 0 : MT_ENOENT;
}

const struct mt_boot_host fake_boot_host = {
	.ram_block = ram_block,
	.fdt_build = fdt_build,
	.vcpu_count = vcpu_count,
	.vcpu_set = vcpu_set,
	.vcpu_get = vcpu_get,
};

void fake_boot_fdt_bytes(struct fake *f, uint64_t bytes)
{
	f->boot_tree_bytes = bytes;
}

const char *fake_boot_args(struct fake *f)
{
	return f->boot_args;
}

void fake_boot_initrd(struct fake *f, uint64_t *gpa, uint64_t *len_bytes)
{
	*gpa = f->boot_initrd_gpa;
	*len_bytes = f->boot_initrd_bytes;
}

int fake_boot_reg(struct fake *f, uint32_t vcpu, const char *reg, uint64_t *value)
{
	for (uint32_t i = 0; i < f->reg_count; i++) {
		if (f->regs[i].vcpu != vcpu || strcmp(f->regs[i].name, reg))
			continue;
		*value = f->regs[i].value;
		return 1;
	}
	return 0;
}
