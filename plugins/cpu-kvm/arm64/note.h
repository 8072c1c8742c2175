/* SPDX-License-Identifier: MIT */
/* What plugin.c tells of cpu-kvm on arm64 hosts. */
#ifndef KVM_ARM64_NOTE_H
#define KVM_ARM64_NOTE_H

#define KVM_ROLES "arch/aarch64"
#define KVM_STAND_INS(C) \
	C(gic, "dev-arm-gicv3", MT_KIND_DEVICE, MT_CLASS_PARALLEL, "KVM's GICv3", \
	  "stands-in/irqchip=kernel mortise.irq-sink/1 mortise.fdt-node/1", GIC_PROPS)
#define KVM_PROPS(P, c) \
	P(c, count, "count", MT_PROP_INT, "1", "1..512", "", 0, "number of vCPUs") \
	P(c, irqchip, "irqchip", MT_PROP_ENUM, "kernel", "kernel", "", 0, "who serves the interrupt controller: KVM") \
	P(c, sve, "sve", MT_PROP_BOOL, "off", "", "", 0, "the guest has the host's scalable vectors")

#define GIC_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "0x08000000", "0x10000", "", 0, "address of the distributor") \
	P(c, redist_at, "redist-at", MT_PROP_ADDR, "0x0a000000", "0x4000000", "", 0, \
	  "address of the redistributors, one for each vCPU, 128 KiB apart") \
	P(c, spis, "spis", MT_PROP_INT, "224", "32..960", "", 0, \
	  "shared interrupts, which are its inputs: a multiple of 32")

#define KVM_INTERFACES \
	{ MT_IFACE_CPU_REGS, &arch_regs }, \
	{ MT_IFACE_CPU_STATE, &arch_state }, \
	{ MT_IFACE_FDT_NODE, &arch_fdt }, \
	{ MT_IFACE_FDT_SYSTEM, &arch_fdt_system }

#endif
