/* SPDX-License-Identifier: MIT */
/*
 * Registers for debuggers, boot loaders and the monitor. Numbers are those of GDB's riscv targets: 0..31
 * x, 32 pc, 33..64 f, 65 + n CSR n, 4161 the privilege level. On the main thread, while the vCPU does not
 * run.
 */
#include <stdio.h>
#include <string.h>

#include "csr.h"
#include "decode.h"

#define REG_PC   32u
#define REG_F0   33u
#define REG_CSR0 65u
#define REG_PRIV 4161u

static void describe(struct mt_reg_desc *out, uint32_t number, const char *name, const char *group,
		     uint32_t flags)
{
	uint32_t size = out->size;
	struct mt_reg_desc d = { .size = sizeof(d), .number = number, .width_bytes = 8, .flags = flags };

	snprintf(d.name, sizeof(d.name), "%s", name);
	snprintf(d.group, sizeof(d.group), "%s", group);
	if (!size || size > sizeof(d))
		size = sizeof(d);
	d.size = size;
	memcpy(out, &d, size);
}

/* Visits the machine's CSRs in order; stops at the n-th. Returns how many there are, or n. */
static uint32_t csr_visit(const struct tcg_front_config *config, uint32_t n, struct mt_reg_desc *out)
{
	const struct rv_csr *table;
	uint32_t count = rv_csr_table(&table), seen = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t rows = table[i].count ? table[i].count : 1;
		if (!(config->exts >> table[i].ext & 1))
			continue;
		if (out && n - seen < rows) {
			char name[sizeof(out->name)];
			uint32_t number = table[i].number + (n - seen);
			/* a row is named from its first number's place in its family: pmpaddr0, mhpmcounter3 */
			uint32_t suffix = (table[i].number == CSR_PMPADDR0 ? 0 : 3) + (n - seen);
			if (rows > 1)
				snprintf(name, sizeof(name), "%.11s%u", table[i].name, suffix & 63);
			else
				snprintf(name, sizeof(name), "%s", table[i].name);
			describe(out, REG_CSR0 + number, name, "csr", number >> 10 == 3 || table[i].access ? MT_REG_READONLY : 0);
			return n;
		}
		seen += rows;
	}
	return seen;
}

static uint32_t float_count(const struct tcg_front_config *config)
{
	return config->exts & RV_BIT(F) ? 32 : 0;
}

uint32_t rv_reg_count(struct tcg_front_config *config)
{
	return 33 + float_count(config) + csr_visit(config, 0, NULL) + 1;
}

int rv_reg_describe(struct tcg_front_config *config, uint32_t index, struct mt_reg_desc *out)
{
	uint32_t floats = float_count(config), count = rv_reg_count(config);

	if (index >= count)
		return MT_ENOENT;
	if (index < 32)
		describe(out, index, rv_xreg_names[index], "general", index == 0 ? MT_REG_READONLY : 0);
	else if (index == REG_PC)
		describe(out, REG_PC, "pc", "general", 0);
	else if (index < 33 + floats)
		describe(out, index, rv_freg_names[index - REG_F0], "float", 0);
	else if (index == count - 1)
		describe(out, REG_PRIV, "priv", "csr", 0);
	else
		csr_visit(config, index - 33 - floats, out);
	return 0;
}

int rv_reg_read(struct tcg_env *env, uint32_t number, uint64_t *value)
{
	struct rv_state *s = rv_state(env);

	if (number < 32)
		*value = s->x[number];
	else if (number == REG_PC)
		*value = env->pc;
	else if (number < REG_CSR0 && rv_has(s, RV_EXT_F))
		*value = s->f[number - REG_F0];
	else if (number == REG_PRIV)
		*value = s->priv;
	else if (number < REG_CSR0 || number >= REG_CSR0 + 4096 || !rv_csr_peek(env, number - REG_CSR0, value))
		return MT_ENOENT;
	return 0;
}

int rv_reg_write(struct tcg_env *env, uint32_t number, uint64_t value)
{
	struct rv_state *s = rv_state(env);

	if (number == 0)
		return MT_EPERM;
	if (number < 32)
		s->x[number] = value;
	else if (number == REG_PC)
		env->pc = value & ~UINT64_C(1);
	else if (number < REG_CSR0 && rv_has(s, RV_EXT_F))
		s->f[number - REG_F0] = value;
	else if (number == REG_PRIV && (value == RV_U || value == RV_S || value == RV_M))
		s->priv = (uint32_t)value;
	else if (number < REG_CSR0 || number >= REG_CSR0 + 4096 || !rv_csr_poke(env, number - REG_CSR0, value))
		return MT_ENOENT;
	rv_update_context(env);
	return 0;
}
