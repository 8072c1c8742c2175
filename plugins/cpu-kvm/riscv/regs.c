/* SPDX-License-Identifier: MIT */
/*
 * Registers of a RISC-V vCPU by name, as far as KVM has them: the schema of the ISA, whose numbers are those of GDB's
 * riscv targets: 0..31 x, 32 pc, 33..64 f, 65 + n CSR n, 4161 the privilege level. [main], while it does not run.
 */
#include <stdio.h>
#include <string.h>
#include <util/error.h>

#include "riscv.h"

#define NUMBER_PC   32u
#define NUMBER_F    33u
#define NUMBER_CSR  65u
#define NUMBER_PRIV 4161u

static const char *const x_names[32] = {
	"zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
	"a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};
static const char *const f_names[32] = {
	"ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5",
	"fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
};

static const struct csr {
	const char *name;
	uint32_t number, flags;
	uint64_t id;
} csrs[] = {
	{ "fcsr", 0x003, 0, RV_FCSR }, { "sstatus", 0x100, 0, RV_CSR(0) }, { "sie", 0x104, 0, RV_CSR(1) },
	{ "stvec", 0x105, 0, RV_STVEC }, { "scounteren", 0x106, 0, RV_CSR(9) }, { "senvcfg", 0x10a, 0, RV_CSR(10) },
	{ "sscratch", 0x140, 0, RV_CSR(3) }, { "sepc", 0x141, 0, RV_SEPC }, { "scause", 0x142, 0, RV_SCAUSE },
	{ "stval", 0x143, 0, RV_STVAL }, { "sip", 0x144, 0, RV_CSR(7) }, { "stimecmp", 0x14d, 0, RV_COMPARE },
	{ "satp", 0x180, 0, RV_SATP }, { "time", 0xc01, MT_REG_READONLY, RV_TIME },
};

#define CSRS (sizeof(csrs) / sizeof(csrs[0]))

static uint32_t regs_count(void *self)
{
	(void)self;
	return NUMBER_F + 32 + CSRS + 1;
}

static void describe(struct mt_reg_desc *out, uint32_t number, const char *name, const char *group, uint32_t flags)
{
	struct mt_reg_desc d = { .size = sizeof(d), .number = number, .width_bytes = 8, .flags = flags };
	uint32_t size = out->size && out->size < sizeof(d) ? out->size : (uint32_t)sizeof(d);

	snprintf(d.name, sizeof(d.name), "%s", name);
	snprintf(d.group, sizeof(d.group), "%s", group);
	d.size = size;
	memcpy(out, &d, size);
}

static int regs_describe(void *self, uint32_t index, struct mt_reg_desc *out)
{
	const struct csr *c;

	if (index >= regs_count(self))
		return MT_ENOENT;
	if (index < 32) {
		describe(out, index, x_names[index], "general", index == 0 ? MT_REG_READONLY : 0);
	} else if (index == NUMBER_PC) {
		describe(out, NUMBER_PC, "pc", "general", 0);
	} else if (index < NUMBER_F + 32) {
		describe(out, index, f_names[index - NUMBER_F], "float", 0);
	} else if (index < NUMBER_F + 32 + CSRS) {
		c = &csrs[index - NUMBER_F - 32];
		describe(out, NUMBER_CSR + c->number, c->name, "csr", c->flags);
	} else {
		describe(out, NUMBER_PRIV, "priv", "csr", 0);
	}
	return 0;
}

/* KVM's number, or 0; x0 has none. */
static uint64_t id_of(uint32_t number, uint32_t *flags)
{
	*flags = 0;
	if (number && number < 32)
		return RV_X(number);
	if (number == NUMBER_PC)
		return RV_PC;
	if (number >= NUMBER_F && number < NUMBER_F + 32)
		return RV_D(number - NUMBER_F);
	if (number == NUMBER_PRIV)
		return RV_MODE;
	for (uint32_t i = 0; i < CSRS; i++) {
		if (NUMBER_CSR + csrs[i].number != number)
			continue;
		*flags = csrs[i].flags;
		return csrs[i].id;
	}
	return 0;
}

static int regs_read(void *vcpu, uint32_t number, uint64_t *value)
{
	uint32_t flags;
	uint64_t id = id_of(number, &flags);

	if (number == 0) {
		*value = 0;
		return 0;
	}
	return id && one_reg_get(vcpu, id, value) == 0 ? 0 : MT_ENOENT;
}

static int regs_write(void *vcpu, uint32_t number, uint64_t value)
{
	uint32_t flags;
	uint64_t id = id_of(number, &flags);

	if (number == 0 || flags & MT_REG_READONLY)
		return MT_EPERM;
	if (number == NUMBER_PRIV && value > 1)
		return MT_ENOENT;
	if (number == NUMBER_PC)
		value &= ~UINT64_C(1);
	return id && one_reg_set(vcpu, id, value) == 0 ? 0 : MT_ENOENT;
}

const struct mt_cpu_regs arch_regs = {
	.count = regs_count, .describe = regs_describe, .read = regs_read, .write = regs_write,
};
