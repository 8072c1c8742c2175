/* SPDX-License-Identifier: MIT */
/*
 * System registers of a vCPU that a device owns: the CPU side of an interrupt controller (IMSIC, GIC, local
 * APIC). The device binds its handlers in realize by "mortise.sysreg-host/1"; the kernel hands them to the
 * accelerator by its role "mortise.cpu.sysreg/1", and the accelerator calls them straight from its run loop.
 *
 * Registers are numbered by the ISA. RISC-V: a CSR has its own number; a register behind an indirect CSR has
 * (number of that CSR << 32) + selector, so that (0x151 << 32) + 0x70 is what sireg is when siselect is 0x70.
 *
 * The accelerator has made the ISA's own checks (privilege, enables) before it calls a handler, and knows
 * which registers of its ISA a device may own. A handler runs on the vCPU's thread without any lock, beside
 * messages and lines that reach the same device from other threads: only MT_CLASS_PARALLEL classes may bind.
 * It calls irq, pin and timer services only.
 */
#ifndef MORTISE_CPU_SYSREG_H
#define MORTISE_CPU_SYSREG_H

#include "../plugin.h"

#define MT_IFACE_CPU_SYSREG  "mortise.cpu.sysreg/1"
#define MT_IFACE_SYSREG_HOST "mortise.sysreg-host/1"

/* Results of an access. */
#define MT_SYSREG_OK      0u
#define MT_SYSREG_ILLEGAL 1u       /* nothing was done: the exception that the ISA has for no such register */
#define MT_SYSREG_RESULT  0xffu
#define MT_SYSREG_LEAVE   0x100u   /* or-ed: the vCPU must leave `run` after this instruction */

/* One access. Hot: no size, frozen with the interface. */
struct mt_sysreg_access {
	uint64_t number;
	uint32_t vcpu;         /* index */
	uint32_t privilege;    /* ISA's own number */
};

struct mt_sysreg_ops {
	/* [vcpu] A read that writes nothing. */
	uint32_t (*read)(void *arg, const struct mt_sysreg_access *access, uint64_t *value);
	/* [vcpu] A write whose instruction does not ask for the value before. */
	uint32_t (*write)(void *arg, const struct mt_sysreg_access *access, uint64_t value);
	/*
	 * [vcpu] One instruction that does both, as one step: `*old` gets the value before, the register
	 * becomes (old & keep) | bits.
	 */
	uint32_t (*modify)(void *arg, const struct mt_sysreg_access *access, uint64_t keep, uint64_t bits,
			   uint64_t *old);
};

struct mt_sysreg_range {
	uint32_t size;
	uint32_t flags;                    /* none yet: 0 */
	uint64_t first, last;              /* numbers, both included */
	const struct mt_sysreg_ops *ops;   /* stays valid until unrealize */
	void *arg;                         /* handed to the operations: a device may have one for each vCPU */
};

/* Host service, for devices. */
struct mt_sysreg_host {
	/*
	 * [main] in realize: the instance serves these registers of vCPU `vcpu` until it is unrealized. The
	 * struct is copied. MT_ENOENT: no such vCPU; MT_ENOTSUP: the accelerator or its ISA has no such
	 * registers for devices; MT_EBUSY: another instance owns one of them; `err` says why and what to do.
	 */
	int (*bind)(struct mt_inst *inst, uint32_t vcpu, const struct mt_sysreg_range *range, struct mt_error *err);
};

/* Role of an accelerator. */
struct mt_cpu_sysreg {
	/*
	 * [main] while the vCPU does not run; the kernel has checked the range's form. MT_ENOTSUP, MT_EBUSY
	 * as above.
	 */
	int (*bind)(void *vcpu, const struct mt_sysreg_range *range, struct mt_error *err);
	/* [main] while the vCPU does not run: a range that was bound, as it was given. */
	void (*unbind)(void *vcpu, const struct mt_sysreg_range *range);
};

#endif
