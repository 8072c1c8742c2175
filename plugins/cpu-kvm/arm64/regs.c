/* SPDX-License-Identifier: MIT */
/*
 * Registers of an arm64 vCPU by name: the schema of the ISA, whose numbers are those of GDB's aarch64 targets up to 33
 * (x0 to x30, sp, pc, cpsr); system registers are 1024 and up, in this order. [main], while it does not run.
 */
#include <stdio.h>
#include <string.h>
#include <util/error.h>

#include "arm64.h"

#define NUMBER_SP     31u
#define NUMBER_SYSTEM 1024u

static const struct sysreg {
	const char *name;
	uint64_t id;
} sysregs[] = {
	{ "sp_el0", ARM_SP }, { "elr_el1", ARM_CORE(elr_el1) }, { "spsr_el1", ARM_CORE(spsr[KVM_SPSR_EL1]) },
	{ "mpidr_el1", ARM_MPIDR }, { "sctlr_el1", ARM64_SYS_REG(3, 0, 1, 0, 0) },
	{ "cpacr_el1", ARM64_SYS_REG(3, 0, 1, 0, 2) }, { "ttbr0_el1", ARM64_SYS_REG(3, 0, 2, 0, 0) },
	{ "ttbr1_el1", ARM64_SYS_REG(3, 0, 2, 0, 1) }, { "tcr_el1", ARM64_SYS_REG(3, 0, 2, 0, 2) },
	{ "esr_el1", ARM_ESR_EL1 }, { "far_el1", ARM_FAR_EL1 }, { "mair_el1", ARM64_SYS_REG(3, 0, 10, 2, 0) },
	{ "vbar_el1", ARM64_SYS_REG(3, 0, 12, 0, 0) }, { "contextidr_el1", ARM64_SYS_REG(3, 0, 13, 0, 1) },
	{ "tpidr_el1", ARM64_SYS_REG(3, 0, 13, 0, 4) }, { "tpidr_el0", ARM64_SYS_REG(3, 3, 13, 0, 2) },
	{ "cntv_ctl_el0", KVM_REG_ARM_TIMER_CTL }, { "cntv_cval_el0", KVM_REG_ARM_TIMER_CVAL },
	{ "cntvct_el0", KVM_REG_ARM_TIMER_CNT },
};

#define SYSREGS (sizeof(sysregs) / sizeof(sysregs[0]))

static uint32_t regs_count(void *self)
{
	(void)self;
	return NUMBER_SP + 3 + SYSREGS;
}

static int regs_describe(void *self, uint32_t index, struct mt_reg_desc *out)
{
	static const char *const others[] = { "sp", "pc", "cpsr" };
	struct mt_reg_desc d = { .size = sizeof(d), .number = index, .width_bytes = 8 };
	uint32_t size = out->size && out->size < sizeof(d) ? out->size : (uint32_t)sizeof(d);

	if (index >= regs_count(self))
		return MT_ENOENT;
	snprintf(d.group, sizeof(d.group), "%s", index < NUMBER_SP + 3 ? "general" : "system");
	if (index < NUMBER_SP) {
		snprintf(d.name, sizeof(d.name), "x%u", index);
	} else if (index < NUMBER_SP + 3) {
		snprintf(d.name, sizeof(d.name), "%s", others[index - NUMBER_SP]);
	} else {
		d.number = NUMBER_SYSTEM + index - NUMBER_SP - 3;
		snprintf(d.name, sizeof(d.name), "%s", sysregs[index - NUMBER_SP - 3].name);
	}
	d.size = size;
	memcpy(out, &d, size);
	return 0;
}

/* PSTATE: M[3:2] is the exception level, M[0] whether SP is that of the level (Arm ARM C5.2, "SPSel"). */
static uint64_t sp_of(const struct kvm_vcpu *v)
{
	uint64_t pstate = 0;

	one_reg_get(v, ARM_PSTATE, &pstate);
	return pstate >> 2 & 3 && pstate & 1 ? ARM_SP_EL1 : ARM_SP;
}

/* KVM's number, or 0. */
static uint64_t id_of(const struct kvm_vcpu *v, uint32_t number)
{
	if (number < NUMBER_SP)
		return ARM_X(number);
	if (number < NUMBER_SP + 3)
		return number == NUMBER_SP ? sp_of(v) : number == NUMBER_SP + 1 ? ARM_PC : ARM_PSTATE;
	if (number >= NUMBER_SYSTEM && number < NUMBER_SYSTEM + SYSREGS)
		return sysregs[number - NUMBER_SYSTEM].id;
	return 0;
}

static int regs_read(void *vcpu, uint32_t number, uint64_t *value)
{
	uint64_t id = id_of(vcpu, number);

	return id && one_reg_get(vcpu, id, value) == 0 ? 0 : MT_ENOENT;
}

static int regs_write(void *vcpu, uint32_t number, uint64_t value)
{
	uint64_t id = id_of(vcpu, number);

	return id && one_reg_set(vcpu, id, value) == 0 ? 0 : MT_ENOENT;
}

const struct mt_cpu_regs arch_regs = {
	.count = regs_count, .describe = regs_describe, .read = regs_read, .write = regs_write,
};
