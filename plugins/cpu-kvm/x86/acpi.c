/* SPDX-License-Identifier: MIT */
/*
 * What the accelerator tells of itself in ACPI tables: its CPUs, whose APIC ids are their numbers, and with
 * irqchip = kernel KVM's I/O APIC and 8259A. [main]
 */
#include "x86.h"

#define IOAPIC_AT 0xfec00000u          /* KVM has it fixed */

static int describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	const struct kvm *k = self;

	(void)err;
	for (uint32_t i = 0; i < k->vcpu_count; i++)
		w->cpu(acpi, i, i);
	if (k->irqchip) {
		w->ioapic(acpi, 0, IOAPIC_AT, 0);
		w->pic(acpi);
	}
	return 0;
}

const struct mt_acpi_node arch_acpi = { .describe = describe };
