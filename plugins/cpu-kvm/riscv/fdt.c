/* SPDX-License-Identifier: MIT */
/* The cpu nodes of the device tree: Linux binding riscv/cpus.yaml. The kernel has opened /cpus. [main]. */
#include <stdio.h>
#include <util/error.h>

#include "riscv.h"

#define ISA_BYTES 1024u

static void write_isa(const struct isa *isa, struct mt_fdt *fdt, const struct mt_fdt_writer *w)
{
	const char *names[ISA_MAX];
	char text[ISA_BYTES];
	uint32_t count = 0;

	for (uint32_t i = 0; i < ISA_MAX; i++)
		if (isa->has[i])
			names[count++] = isa_name(i);
	isa_text(isa, text, sizeof(text));
	w->str(fdt, "riscv,isa", text);
	w->str(fdt, "riscv,isa-base", "rv64i");
	w->strs(fdt, "riscv,isa-extensions", names, count);
}

/* satp's modes (privileged specification, "Supervisor Address Translation and Protection Register"). */
static const char *mmu_of(uint64_t satp_mode)
{
	return satp_mode == 8 ? "riscv,sv39" : satp_mode == 9 ? "riscv,sv48" : satp_mode == 10 ? "riscv,sv57" : NULL;
}

static void write_block(struct mt_fdt *fdt, const struct mt_fdt_writer *w, const char *name, uint64_t bytes)
{
	uint32_t cell = (uint32_t)bytes;

	if (cell)
		w->u32s(fdt, name, &cell, 1);
}

static void write_cpu(const struct isa *isa, uint32_t hart, struct mt_fdt *fdt, const struct mt_fdt_writer *w)
{
	uint32_t phandle = w->vcpu_phandle(fdt, hart), one = 1;
	const char *mmu = mmu_of(isa->satp_mode);
	char name[32];

	snprintf(name, sizeof(name), "cpu@%x", hart);
	w->begin(fdt, name, NULL);
	w->u32s(fdt, "phandle", &phandle, 1);
	w->str(fdt, "device_type", "cpu");
	w->u32s(fdt, "reg", &hart, 1);
	w->str(fdt, "status", "okay");
	w->str(fdt, "compatible", "riscv");
	write_isa(isa, fdt, w);
	if (mmu)
		w->str(fdt, "mmu-type", mmu);
	write_block(fdt, w, "riscv,cbom-block-size", isa->cbom_bytes);
	write_block(fdt, w, "riscv,cboz-block-size", isa->cboz_bytes);
	w->begin(fdt, "interrupt-controller", NULL);
	phandle = w->vcpu_intc_phandle(fdt, hart);
	w->u32s(fdt, "#interrupt-cells", &one, 1);
	w->empty(fdt, "interrupt-controller");
	w->str(fdt, "compatible", "riscv,cpu-intc");
	w->u32s(fdt, "phandle", &phandle, 1);
	w->end(fdt);
	w->end(fdt);
}

static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	const struct kvm *k = self;

	if (!k->arch || !k->arch->known)
		return mt_error_set(err, MT_ENOTSUP, "plugin", "what the host's CPU gives a guest is known when the machine "
				    "runs, and not before");
	for (uint32_t hart = 0; hart < k->vcpu_count; hart++)
		write_cpu(&k->arch->isa, hart, fdt, w);
	return 0;
}

const struct mt_fdt_node arch_fdt = { .describe = describe };
