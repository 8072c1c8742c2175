/* SPDX-License-Identifier: MIT */
/* The cpu nodes of the device tree: Linux binding riscv/cpus.yaml. The kernel has opened /cpus. */
#include <stdio.h>

#include "state.h"

/* Both spellings: the string of old, and the list that Linux prefers since 6.7. */
static void write_isa(const struct tcg_front_config *c, struct mt_fdt *fdt, const struct mt_fdt_writer *w)
{
	const char *names[RV_EXTS];
	uint32_t count = 0;

	for (uint32_t ext = 0; ext < RV_EXTS; ext++)
		if (c->exts >> ext & 1)
			names[count++] = rv_isa_name((enum rv_ext)ext);
	w->str(fdt, "riscv,isa", c->isa_text);
	w->str(fdt, "riscv,isa-base", "rv64i");
	w->strs(fdt, "riscv,isa-extensions", names, count);
}

static void write_cpu(struct tcg_front_config *c, uint32_t hart, struct mt_fdt *fdt,
		      const struct mt_fdt_writer *w)
{
	static const char *const modes[] = { "riscv,sv39", "riscv,sv48", "riscv,sv57" };
	char name[32];
	uint32_t phandle = w->vcpu_phandle(fdt, hart), one = 1, block = CACHE_BLOCK_BYTES;
	snprintf(name, sizeof(name), "cpu@%x", hart);
	w->begin(fdt, name, NULL);
	w->u32s(fdt, "phandle", &phandle, 1);
	w->str(fdt, "device_type", "cpu");
	w->u32s(fdt, "reg", &hart, 1);
	w->str(fdt, "status", "okay");
	w->str(fdt, "compatible", "riscv");
	write_isa(c, fdt, w);
	w->str(fdt, "mmu-type", modes[c->satp_mode - SATP_SV39]);
	if (c->exts & RV_BIT(ZICBOM))
		w->u32s(fdt, "riscv,cbom-block-size", &block, 1);
	if (c->exts & RV_BIT(ZICBOP))
		w->u32s(fdt, "riscv,cbop-block-size", &block, 1);
	if (c->exts & RV_BIT(ZICBOZ))
		w->u32s(fdt, "riscv,cboz-block-size", &block, 1);
	w->begin(fdt, "interrupt-controller", NULL);
	phandle = w->vcpu_intc_phandle(fdt, hart);
	w->u32s(fdt, "#interrupt-cells", &one, 1);
	w->empty(fdt, "interrupt-controller");
	w->str(fdt, "compatible", "riscv,cpu-intc");
	w->u32s(fdt, "phandle", &phandle, 1);
	w->end(fdt);
	w->end(fdt);
}

int rv_fdt(struct tcg_front_config *config, uint32_t vcpu_count, struct mt_fdt *fdt,
	   const struct mt_fdt_writer *w,
	   struct mt_error *err)
{
	(void)err;
	for (uint32_t hart = 0; hart < vcpu_count; hart++)
		write_cpu(config, hart, fdt, w);
	return 0;
}
