/* SPDX-License-Identifier: MIT */
/* The cpu nodes of the device tree, and the rate of their counter. The kernel has opened /cpus. [main]. */
#include <util/error.h>
#include <util/riscv-cpu.h>

#include "riscv.h"

#define ISA_BYTES 1024u

/* satp's modes (privileged specification, "Supervisor Address Translation and Protection Register"). */
static const char *mmu_of(uint64_t satp_mode)
{
	return satp_mode == 8 ? "riscv,sv39" : satp_mode == 9 ? "riscv,sv48" : satp_mode == 10 ? "riscv,sv57" : NULL;
}

static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	const struct kvm *k = self;
	const struct isa *isa;
	const char *names[ISA_MAX];
	char text[ISA_BYTES];
	struct mt_riscv_cpu cpu = { .isa = text, .extensions = names };

	if (!k->arch || !k->arch->known)
		return mt_error_set(err, MT_ENOTSUP, "plugin", "what the host's CPU gives a guest is known when the machine "
				    "runs, and not before");
	isa = &k->arch->isa;
	isa_text(isa, text, sizeof(text));
	for (uint32_t i = 0; i < ISA_MAX; i++)
		if (isa->has[i])
			names[cpu.extension_count++] = isa_name(i);
	cpu.mmu = mmu_of(isa->satp_mode);
	cpu.cbom_bytes = (uint32_t)isa->cbom_bytes;
	cpu.cboz_bytes = (uint32_t)isa->cboz_bytes;
	mt_riscv_timebase_write(fdt, w, k->clock->timebase_hz(k->inst));
	for (uint32_t hart = 0; hart < k->vcpu_count; hart++)
		mt_riscv_cpu_write(fdt, w, hart, &cpu);
	return 0;
}

const struct mt_fdt_node arch_fdt = { .describe = describe };
