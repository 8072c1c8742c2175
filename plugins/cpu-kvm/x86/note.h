/* SPDX-License-Identifier: MIT */
/* What plugin.c tells of cpu-kvm on x86-64 hosts. */
#ifndef KVM_X86_NOTE_H
#define KVM_X86_NOTE_H

/* against a host without /dev/kvm */
#define KVM_REMEDY \
	"enable virtualization in the firmware, and load the module of this host's CPU (modprobe kvm_intel, or kvm_amd)"
#define KVM_ROLES "arch/x86_64 mortise.irq-sink/1 mortise.msi-target/1"
#define KVM_PROPS(P, c) \
	P(c, count, "count", MT_PROP_INT, "1", "1..1024", "", 0, "number of vCPUs") \
	P(c, model, "model", MT_PROP_ENUM, "host", "host|base|x86-64-v2|x86-64-v3|x86-64-v4", "", 0, \
	  "what CPU the guest sees: all that the host has, or a level of the x86-64 psABI") \
	P(c, features, "features", MT_PROP_LIST, "", "", "", 0, "features to add to the model") \
	P(c, features_off, "features-off", MT_PROP_LIST, "", "", "", 0, "features to take from the model") \
	P(c, irqchip, "irqchip", MT_PROP_ENUM, "kernel", "off|user|split|kernel", "", 0, \
	  "who serves the interrupt controllers and the timer: KVM, devices of the machine (user), KVM the local APICs " \
	  "and devices the rest (split), or nobody") \
	P(c, lapic_at, "lapic-at", MT_PROP_ADDR, "0xfee00000", "0x100000", "", 0, \
	  "where messages of devices go to; CPUs have it fixed") \
	P(c, tsc_khz, "tsc-khz", MT_PROP_INT, "0", "0..100000000", "kHz", 0, \
	  "rate of the time-stamp counter; 0: the host's") \
	P(c, triple_fault, "triple-fault", MT_PROP_ENUM, "stop", "stop|reset", "", 0, \
	  "what a triple fault does to the machine")

#define KVM_INTERFACES \
	{ MT_IFACE_CPU_REGS, &arch_regs }, \
	{ MT_IFACE_CPU_DEBUG, &arch_debug }, \
	{ MT_IFACE_CPU_STATE, &arch_state }, \
	{ MT_IFACE_CPU_VECTOR, &arch_vector }, \
	{ MT_IFACE_ACPI_NODE, &arch_acpi }, \
	{ MT_IFACE_IRQ_SINK, &arch_irq_sink }, \
	{ MT_IFACE_MSI_TARGET, &arch_msi_target }

#endif
