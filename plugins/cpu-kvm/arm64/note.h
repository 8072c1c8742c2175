/* SPDX-License-Identifier: MIT */
/* What plugin.c tells of cpu-kvm on arm64 hosts. */
#ifndef KVM_ARM64_NOTE_H
#define KVM_ARM64_NOTE_H

/* against a host without /dev/kvm */
#define KVM_REMEDY "the host's kernel must have been started in EL2 by its firmware, and have KVM"
#define KVM_ROLES "arch/arm64 mortise.irq-sink/1"
#define KVM_STAND_INS(C)
#define KVM_PROPS(P, c) \
	P(c, count, "count", MT_PROP_INT, "1", "1..512", "", 0, "number of vCPUs") \
	P(c, sve, "sve", MT_PROP_BOOL, "off", "", "", 0, "the guest has the host's scalable vectors") \
	P(c, spis, "spis", MT_PROP_INT, "224", "32..960", "", 0, \
	  "shared interrupts, the inputs of the GICv3 that KVM serves: a multiple of 32") \
	P(c, gicd_at, "gicd-at", MT_PROP_ADDR, "0x08000000", "0x10000", "", 0, "address of the GIC's distributor") \
	P(c, gicr_at, "gicr-at", MT_PROP_ADDR, "0x0a000000", "0x4000000", "", 0, \
	  "address of the GIC's redistributors, one behind the other")

#define KVM_INTERFACES \
	{ MT_IFACE_CPU_REGS, &arch_regs }, \
	{ MT_IFACE_CPU_STATE, &arch_state }, \
	{ MT_IFACE_IRQ_SINK, &arch_irq_sink }

#endif
