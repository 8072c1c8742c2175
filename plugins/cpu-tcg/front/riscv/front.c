/* SPDX-License-Identifier: MIT */
/*
 * The RISC-V front end: configuration, life of a hart, its context, and the table that the engine calls.
 */
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "csr.h"
#include "decode.h"
#include "pmp.h"
#include "trans.h"

/*
 * The registers, x0..x31 then f0..f31, with how much each is wanted in a host register (1 = most), by how
 * often compiled code names it.
 */
#define X(n, name, priority) { name, ENV_GUEST_OFFSET + offsetof(struct rv_state, x[n]), 0, priority }
#define F(n, name, priority) { name, ENV_GUEST_OFFSET + offsetof(struct rv_state, f[n]), 1, priority }
static const struct ir_global globals[RV_GLOBALS] = {
	X(0, "zero", 0), X(1, "ra", 9), X(2, "sp", 3), X(3, "gp", 28), X(4, "tp", 20), X(5, "t0", 21),
	X(6, "t1", 14), X(7, "t2", 22), X(8, "s0", 5), X(9, "s1", 8), X(10, "a0", 1), X(11, "a1", 6),
	X(12, "a2", 7), X(13, "a3", 10), X(14, "a4", 4), X(15, "a5", 2), X(16, "a6", 12), X(17, "a7", 13),
	X(18, "s2", 11), X(19, "s3", 15), X(20, "s4", 17), X(21, "s5", 18), X(22, "s6", 19), X(23, "s7", 23),
	X(24, "s8", 24), X(25, "s9", 25), X(26, "s10", 26), X(27, "s11", 27), X(28, "t3", 16), X(29, "t4", 29),
	X(30, "t5", 30), X(31, "t6", 31),
	F(0, "ft0", 9), F(1, "ft1", 10), F(2, "ft2", 13), F(3, "ft3", 14), F(4, "ft4", 17), F(5, "ft5", 18),
	F(6, "ft6", 21), F(7, "ft7", 22), F(8, "fs0", 11), F(9, "fs1", 12), F(10, "fa0", 1), F(11, "fa1", 4),
	F(12, "fa2", 5), F(13, "fa3", 6), F(14, "fa4", 3), F(15, "fa5", 2), F(16, "fa6", 7), F(17, "fa7", 8),
	F(18, "fs2", 15), F(19, "fs3", 16), F(20, "fs4", 19), F(21, "fs5", 20), F(22, "fs6", 23), F(23, "fs7", 24),
	F(24, "fs8", 25), F(25, "fs9", 26), F(26, "fs10", 27), F(27, "fs11", 28), F(28, "ft8", 29), F(29, "ft9", 30),
	F(30, "ft10", 31), F(31, "ft11", 32),
};
#undef X
#undef F

/* --- Context --- */

static uint32_t data_regime(const struct rv_state *s)
{
	uint32_t priv = s->priv;

	/* Privileged ISA, "Memory Privilege in mstatus Register" */
	if (priv == RV_M && (s->mstatus & MSTATUS_MPRV))
		priv = (uint32_t)(s->mstatus >> MSTATUS_MPP_SHIFT) & 3;
	switch (priv) {
	case RV_U: return RV_MMU_U;
	case RV_S: return s->mstatus & MSTATUS_SUM ? RV_MMU_S_SUM : RV_MMU_S;
	default:   return RV_MMU_M;
	}
}

static uint32_t fp_flags(const struct tcg_env *env, const struct rv_state *s)
{
	uint32_t flags = 0;

	if (!(s->mstatus & MSTATUS_FS))
		return 0;
	flags |= RV_FLAG_FS_ON | ((s->mstatus & MSTATUS_FS) == MSTATUS_FS ? RV_FLAG_FS_DIRTY : 0);
	if (env->frm == IR_RM_RMM)
		flags |= RV_FLAG_FRM_RMM;
	else if (env->frm > IR_RM_RMM)
		flags |= RV_FLAG_FRM_BAD;
	return flags;
}

/* "Environment Configuration Registers": U-mode needs the supervisor's leave as well. */
static uint32_t cbo_flags(const struct rv_state *s)
{
	uint64_t allowed = ~UINT64_C(0);

	if (s->priv < RV_M)
		allowed = s->menvcfg & (s->priv == RV_U ? s->senvcfg : ~UINT64_C(0));
	/* the two bits of CBIE are a number: not 0 is yes */
	bool inval = s->priv == RV_M || ((s->menvcfg & MENVCFG_CBIE) &&
					 (s->priv == RV_S || (s->senvcfg & MENVCFG_CBIE)));
	return (inval ? RV_FLAG_CBO_INVAL : 0) | (allowed & MENVCFG_CBCFE ? RV_FLAG_CBO_CLEAN : 0) |
	       (allowed & MENVCFG_CBZE ? RV_FLAG_CBO_ZERO : 0);
}

/* The address space is named by satp in every mode, so that a call into M-mode and back keeps
 * translations. */
void rv_update_context(struct tcg_env *env)
{
	const struct rv_state *s = rv_state(env);
	uint32_t mmu = data_regime(s);

	tcg_set_context(env, s->priv | fp_flags(env, s) | cbo_flags(s) | mmu << RV_FLAG_MMU_SHIFT, mmu,
			s->satp);
}

/* --- Life --- */

/* The property `mmu`: each mode brings the smaller ones. */
static uint32_t satp_mode(const char *mmu)
{
	if (mmu && !strcmp(mmu, "sv39"))
		return SATP_SV39;
	return mmu && !strcmp(mmu, "sv57") ? SATP_SV57 : SATP_SV48;
}

static int rv_create(const struct tcg_services *services, uint32_t vcpu_count, struct tcg_front_config **out,
		     struct mt_error *err)
{
	struct tcg_front_config *config = calloc(1, sizeof(*config));
	const char *isa = services->props->get_str(services->inst, "isa");

	if (!config)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	config->services = *services;
	config->vcpu_count = vcpu_count;
	int rc = rv_isa_parse(isa ? isa : RV_ISA_DEFAULT, &config->exts, err);
	uint32_t off = rc < 0 ? 0 : services->props->count(services->inst, "ext-off");
	for (uint32_t i = 0; i < off && rc == 0; i++)
		rc = rv_isa_remove(services->props->get_element(services->inst, "ext-off", i), &config->exts, err);
	if (rc == 0 && off)
		rc = rv_isa_check(config->exts, err);
	if (rc < 0) {
		free(config);
		return rc;
	}
	config->satp_mode = satp_mode(services->props->get_str(services->inst, "mmu"));
	config->owned = calloc(vcpu_count, sizeof(*config->owned));
	if (!config->owned) {
		free(config);
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	}
	config->misa = rv_isa_misa(config->exts);
	rv_isa_text(config->exts, config->isa_text, sizeof(config->isa_text));
	rv_decode_init();
	rv_csr_init();
	*out = config;
	return 0;
}

static void rv_destroy(struct tcg_front_config *config)
{
	free(config->owned);
	free(config);
}

/* Privileged ISA, "Reset"; what it leaves open starts as 0, the pins keep their levels. */
void rv_reset(struct tcg_env *env, uint32_t kind)
{
	struct rv_state *s = rv_state(env);
	struct tcg_front_config *config = s->config;
	uint32_t hart = s->hart;

	(void)kind;
	/* all but the atomic word: a pin may change at this moment */
	memset(s, 0, offsetof(struct rv_state, pins));
	memset((char *)s + offsetof(struct rv_state, reservation_version), 0,
	       sizeof(*s) - offsetof(struct rv_state, reservation_version));
	s->config = config;
	s->hart = hart;
	s->priv = RV_M;
	s->mstatus = MSTATUS_UXL | MSTATUS_SXL;
	s->stimecmp = UINT64_MAX;
	/* with Svadu alone A and D are updated from the start, with Svade as well when asked to (binding of svadu) */
	s->menvcfg = rv_has(s, RV_EXT_SVADU) && !rv_has(s, RV_EXT_SVADE) ? MENVCFG_ADUE : 0;
	rv_pmp_update(&s->pmp);
	env->pc = 0;
	env->frm = 0;
	env->fflags = 0;
	env->reservation = UINT64_MAX;
	rv_update_context(env);
}

static int rv_vcpu_init(struct tcg_env *env, struct tcg_front_config *config, uint32_t index,
			struct mt_error *err)
{
	struct rv_state *s = rv_state(env);

	(void)err;
	s->config = config;
	s->hart = index;
	rv_reset(env, 0);
	return 0;
}

static void rv_vcpu_fini(struct tcg_env *env)
{
	(void)env;
}

static uint32_t rv_privilege(const struct tcg_env *env)
{
	return ((const struct rv_state *)env->guest)->priv;
}

const struct tcg_front front_riscv = {
	.arch = "riscv64",
	.globals = globals,
	.global_count = RV_GLOBALS,
	.helpers = rv_helpers,
	.helper_count = RVH_COUNT,
	.state_bytes = sizeof(struct rv_state),
	.create = rv_create,
	.destroy = rv_destroy,
	.vcpu_init = rv_vcpu_init,
	.vcpu_fini = rv_vcpu_fini,
	.reset = rv_reset,
	.translate = rv_translate,
	.walk = rv_walk,
	.look = rv_look,
	.bus_fault = rv_bus_fault,
	.misaligned = rv_misaligned,
	.take_exception = rv_take_exception,
	.take_interrupt = rv_take_interrupt,
	.wakeup_pending = rv_wakeup_pending,
	.stalled = rv_stalled,
	.next_wakeup_ns = rv_next_wakeup_ns,
	.privilege = rv_privilege,
	.pin_find = rv_pin_find,
	.pin_set = rv_pin_set,
	.sysreg_bind = rv_sysreg_bind,
	.sysreg_unbind = rv_sysreg_unbind,
	.reg_count = rv_reg_count,
	.reg_describe = rv_reg_describe,
	.reg_read = rv_reg_read,
	.reg_write = rv_reg_write,
	.save = rv_save,
	.load = rv_load,
	.gdb_xml = rv_gdb_xml,
	.fdt = rv_fdt,
};
