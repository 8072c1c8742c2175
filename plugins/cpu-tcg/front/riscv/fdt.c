/* SPDX-License-Identifier: MIT */
/* The cpu nodes of the device tree, and the rate of their counter. The kernel has opened /cpus. */
#include <util/riscv-cpu.h>

#include "state.h"

int rv_fdt(struct tcg_front_config *config, uint32_t vcpu_count, struct mt_fdt *fdt,
	   const struct mt_fdt_writer *w,
	   struct mt_error *err)
{
	static const char *const modes[] = { "riscv,sv39", "riscv,sv48", "riscv,sv57" };
	const char *names[RV_EXTS];
	struct mt_riscv_cpu cpu = {
		.isa = config->isa_text, .extensions = names, .mmu = modes[config->satp_mode - SATP_SV39],
		.cbom_bytes = config->exts & RV_BIT(ZICBOM) ? CACHE_BLOCK_BYTES : 0,
		.cbop_bytes = config->exts & RV_BIT(ZICBOP) ? CACHE_BLOCK_BYTES : 0,
		.cboz_bytes = config->exts & RV_BIT(ZICBOZ) ? CACHE_BLOCK_BYTES : 0,
	};

	(void)err;
	for (uint32_t ext = 0; ext < RV_EXTS; ext++)
		if (config->exts >> ext & 1)
			names[cpu.extension_count++] = rv_isa_name((enum rv_ext)ext);
	mt_riscv_timebase_write(fdt, w, config->services.clock->timebase_hz(config->services.inst));
	for (uint32_t hart = 0; hart < vcpu_count; hart++)
		mt_riscv_cpu_write(fdt, w, hart, &cpu);
	return 0;
}
