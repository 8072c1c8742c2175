/* SPDX-License-Identifier: MIT */
/* What accelerators of RISC-V write into the device tree's /cpus: Linux binding riscv/cpus.yaml. */
#ifndef MTSDK_RISCV_CPU_H
#define MTSDK_RISCV_CPU_H

#include <mortise/draft/fdt.h>
#include <stdio.h>

struct mt_riscv_cpu {
	const char *isa;                   /* "rv64imafdc_zicsr" */
	const char *const *extensions;     /* the same by name: "i", "zicsr" */
	uint32_t extension_count;
	const char *mmu;                   /* "riscv,sv48"; NULL: not told */
	uint32_t cbom_bytes, cbop_bytes, cboz_bytes;   /* cache blocks; 0: no such instructions */
};

static inline void mt_riscv_block_write(struct mt_fdt *fdt, const struct mt_fdt_writer *w, const char *name,
					uint32_t bytes)
{
	if (bytes)
		w->u32s(fdt, name, &bytes, 1);
}

/*
 * [main] in describe, before the harts: the rate of `time`, for all of them. Linux for RISC-V reads it in /cpus and
 * nowhere else (riscv/cpus.yaml). The kernel does not write it: other CPUs have a register that says it.
 */
static inline void mt_riscv_timebase_write(struct mt_fdt *fdt, const struct mt_fdt_writer *w, uint64_t timebase_hz)
{
	uint32_t hz = (uint32_t)timebase_hz;

	w->u32s(fdt, "timebase-frequency", &hz, 1);
}

/* [main] in describe. Both spellings of the instruction set: the string of old, and the list since Linux 6.7. */
static inline void mt_riscv_cpu_write(struct mt_fdt *fdt, const struct mt_fdt_writer *w, uint32_t hart,
				      const struct mt_riscv_cpu *cpu)
{
	uint32_t phandle = w->vcpu_phandle(fdt, hart), one = 1;
	char name[32];

	snprintf(name, sizeof(name), "cpu@%x", hart);
	w->begin(fdt, name, NULL);
	w->u32s(fdt, "phandle", &phandle, 1);
	w->str(fdt, "device_type", "cpu");
	w->u32s(fdt, "reg", &hart, 1);
	w->str(fdt, "status", "okay");
	w->str(fdt, "compatible", "riscv");
	w->str(fdt, "riscv,isa", cpu->isa);
	w->str(fdt, "riscv,isa-base", "rv64i");
	w->strs(fdt, "riscv,isa-extensions", cpu->extensions, cpu->extension_count);
	if (cpu->mmu)
		w->str(fdt, "mmu-type", cpu->mmu);
	mt_riscv_block_write(fdt, w, "riscv,cbom-block-size", cpu->cbom_bytes);
	mt_riscv_block_write(fdt, w, "riscv,cbop-block-size", cpu->cbop_bytes);
	mt_riscv_block_write(fdt, w, "riscv,cboz-block-size", cpu->cboz_bytes);
	w->begin(fdt, "interrupt-controller", NULL);
	phandle = w->vcpu_intc_phandle(fdt, hart);
	w->u32s(fdt, "#interrupt-cells", &one, 1);
	w->empty(fdt, "interrupt-controller");
	w->str(fdt, "compatible", "riscv,cpu-intc");
	w->u32s(fdt, "phandle", &phandle, 1);
	w->end(fdt);
	w->end(fdt);
}

#endif
