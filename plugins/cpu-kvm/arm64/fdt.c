/* SPDX-License-Identifier: MIT */
/*
 * The device tree's nodes of CPUs (Linux binding arm/cpus.yaml) and of PSCI (arm/psci.yaml); GIC and timers: chip.c.
 * [main].
 */
#include <stdio.h>
#include <util/error.h>

#include "arm64.h"

#define AFFINITY 0xffffffu         /* of MPIDR; KVM has no Aff3 for as many vCPUs as there can be */

static void describe_cpu(const struct kvm *k, uint32_t index, struct mt_fdt *fdt, const struct mt_fdt_writer *w)
{
	uint32_t phandle = w->vcpu_phandle(fdt, index), affinity = (uint32_t)k->arch->mpidr[index] & AFFINITY;
	char name[32];

	snprintf(name, sizeof(name), "cpu@%x", affinity);
	w->begin(fdt, name, NULL);
	w->u32s(fdt, "phandle", &phandle, 1);
	w->str(fdt, "device_type", "cpu");
	w->u32s(fdt, "reg", &affinity, 1);
	w->str(fdt, "compatible", "arm,armv8");
	w->str(fdt, "enable-method", "psci");
	w->end(fdt);
}

static int cpus_describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	const struct kvm *k = self;

	if (!k->arch || k->arch->vcpus < k->vcpu_count)
		return mt_error_set(err, MT_ENOTSUP, "plugin", "the numbers of the CPUs are KVM's and known when the machine "
				    "runs, and not before");
	for (uint32_t i = 0; i < k->vcpu_count; i++)
		describe_cpu(k, i, fdt, w);
	return 0;
}

const struct mt_fdt_node arch_fdt = { .describe = cpus_describe };

static int system_describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	static const char *const compatible[] = { "arm,psci-1.0", "arm,psci-0.2" };

	(void)self, (void)err;
	w->begin(fdt, "psci", NULL);
	w->strs(fdt, "compatible", compatible, 2);
	w->str(fdt, "method", "hvc");
	w->end(fdt);
	return 0;
}

const struct mt_fdt_node arch_fdt_system = { .describe = system_describe };
