/* SPDX-License-Identifier: MIT */
/*
 * What the accelerator tells of itself in ACPI tables, as far as KVM serves it: local APICs, whose ids are the vCPUs'
 * numbers, the I/O APIC and the 8259A. Devices that serve them tell of themselves. [main]
 */
#include "x86.h"

#define IOAPIC_AT 0xfec00000u          /* KVM has it fixed */

static int describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	const struct kvm *k = self;

	(void)err;
	for (uint32_t i = 0; k->lapics && i < k->vcpu_count; i++)
		w->cpu(acpi, i, i);
	if (k->irqchip) {
		w->ioapic(acpi, 0, IOAPIC_AT, 0);
		w->pic(acpi);
	}
	return 0;
}

const struct mt_acpi_node arch_acpi = { .describe = describe };
