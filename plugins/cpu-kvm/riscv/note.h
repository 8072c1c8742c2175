/* SPDX-License-Identifier: MIT */
/* What plugin.c tells of cpu-kvm on riscv64 hosts. */
#ifndef KVM_RISCV_NOTE_H
#define KVM_RISCV_NOTE_H

#define KVM_ROLES "arch/riscv64"
#define KVM_STAND_INS(C)               /* interrupt controllers are devices */
#define KVM_PROPS(P, c) \
	P(c, count, "count", MT_PROP_INT, "1", "1..1024", "", 0, "number of vCPUs")

#define KVM_INTERFACES \
	{ MT_IFACE_CPU_PINS, &arch_pins }, \
	{ MT_IFACE_CPU_REGS, &arch_regs }, \
	{ MT_IFACE_CPU_STATE, &arch_state }, \
	{ MT_IFACE_FDT_NODE, &arch_fdt }

#endif
