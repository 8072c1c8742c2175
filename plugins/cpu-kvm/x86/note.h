/* SPDX-License-Identifier: MIT */
/* What plugin.c tells of cpu-kvm on x86-64 hosts. */
#ifndef KVM_X86_NOTE_H
#define KVM_X86_NOTE_H

#define KVM_ROLES "arch/x86_64"
/*
 * Stand in for the devices of a PC's interrupt controllers: with irqchip = kernel all of them, with split the local
 * APICs. Properties and roles are the devices' (tests/abi/stand-ins.c holds both against each other).
 */
#define KVM_STAND_INS(C) \
	C(lapic, "dev-lapic", MT_KIND_DEVICE, MT_CLASS_PARALLEL, "KVM's local APICs", \
	  "stands-in/irqchip=kernel|split mortise.msi-target/1 mortise.irq-sink/1 mortise.acpi-node/1", LAPIC_PROPS) \
	C(ioapic, "dev-ioapic", MT_KIND_DEVICE, MT_CLASS_PARALLEL, "KVM's I/O APIC", \
	  "stands-in/irqchip=kernel mortise.irq-sink/1 mortise.acpi-node/1", IOAPIC_PROPS) \
	C(pic, "dev-i8259", MT_KIND_DEVICE, MT_CLASS_PARALLEL, "KVM's pair of 8259A", \
	  "stands-in/irqchip=kernel mortise.irq-sink/1 mortise.vector-source/1 mortise.acpi-node/1", PIC_PROPS) \
	C(pit, "dev-i8254", MT_KIND_DEVICE, 0, "KVM's 8254", "stands-in/irqchip=kernel mortise.acpi-node/1", PIT_PROPS)
#define KVM_PROPS(P, c) \
	P(c, count, "count", MT_PROP_INT, "1", "1..1024", "", 0, "number of vCPUs") \
	P(c, model, "model", MT_PROP_ENUM, "host", "host|base|x86-64-v2|x86-64-v3|x86-64-v4", "", 0, \
	  "what CPU the guest sees: all that the host has, or a level of the x86-64 psABI") \
	P(c, features, "features", MT_PROP_LIST, "", "", "", 0, "features to add to the model") \
	P(c, features_off, "features-off", MT_PROP_LIST, "", "", "", 0, "features to take from the model") \
	P(c, irqchip, "irqchip", MT_PROP_ENUM, "kernel", "off|user|split|kernel", "", 0, \
	  "who serves the interrupt controllers and the timer: KVM, devices of the machine (user), KVM the local APICs " \
	  "and devices the rest (split), or nobody") \
	P(c, tsc_khz, "tsc-khz", MT_PROP_INT, "0", "0..100000000", "kHz", 0, \
	  "rate of the time-stamp counter; 0: the host's") \
	P(c, triple_fault, "triple-fault", MT_PROP_ENUM, "stop", "stop|reset", "", 0, \
	  "what a triple fault does to the machine")

#define LAPIC_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "0xfee00000", "0x100000", "", 0, \
	  "guest-physical address of the registers; messages go to the megabyte from here on") \
	P(c, pic, "pic", MT_PROP_REF, "", "mortise.vector-source/1", "", 0, \
	  "controller behind LINT0, which gives vectors of its own (dev-i8259)")
#define IOAPIC_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "0xfec00000", "0x1000", "", 0, "address of the registers") \
	P(c, id, "id", MT_PROP_INT, "0", "0..15", "", 0, "its number after a reset, which the guest can change") \
	P(c, gsi_base, "gsi-base", MT_PROP_INT, "0", "0..65535", "", 0, \
	  "number of the interrupt at input 0, as ACPI counts them") \
	P(c, isa, "isa", MT_PROP_IRQ, "", "16", "", 0, \
	  "inputs of the 8259A pair, which has the wires of the ISA bus too: 0 follows input 2, the others their own") \
	P(c, msi, "msi", MT_PROP_REF, "", "mortise.msi-target/1", "", MT_PROPF_REQUIRED, \
	  "the local APICs, which take its messages")
#define PIC_PROPS(P, c) \
	P(c, port, "port", MT_PROP_ADDR, "0x20", "0x2", "io", 0, "I/O port of the first controller") \
	P(c, second, "second-port", MT_PROP_ADDR, "0xa0", "0x2", "io", 0, "I/O port of the second controller") \
	P(c, elcr, "elcr", MT_PROP_ADDR, "0x4d0", "0x2", "io", 0, "I/O port of the edge and level registers") \
	P(c, vcpu, "vcpu", MT_PROP_INT, "", "0..1023", "", 0, \
	  "vCPU that is interrupted; without it another controller names this one")
#define PIT_PROPS(P, c) \
	P(c, port, "port", MT_PROP_ADDR, "0x40", "0x4", "io", 0, "I/O port of counter 0") \
	P(c, speaker, "speaker", MT_PROP_ADDR, "0x61", "0x1", "io", 0, "I/O port of the gate and output of counter 2") \
	P(c, irq, "irq", MT_PROP_IRQ, "", "", "", 0, "output of counter 0")

#define KVM_INTERFACES \
	{ MT_IFACE_CPU_REGS, &arch_regs }, \
	{ MT_IFACE_CPU_DEBUG, &arch_debug }, \
	{ MT_IFACE_CPU_STATE, &arch_state }, \
	{ MT_IFACE_CPU_VECTOR, &arch_vector }

#endif
