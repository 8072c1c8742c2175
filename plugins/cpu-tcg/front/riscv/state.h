/* SPDX-License-Identifier: MIT */
/*
 * The state of one hart, in env->guest, and the constants of the privileged architecture. Only the hart's own
 * thread touches it, but for `pins`, an atomic word that any thread may change. What translated code depends
 * on beyond registers is summed up in env->flags by rv_update_context: call it after changing priv, mstatus,
 * satp, frm, menvcfg or senvcfg.
 */
#ifndef RV_STATE_H
#define RV_STATE_H

#include "engine/env.h"
#include "engine/front.h"
#include "isa.h"

enum rv_priv { RV_U = 0, RV_S = 1, RV_M = 3 };

/* Exceptions: mcause without the interrupt bit (Privileged ISA, "Machine Cause Register"). */
enum rv_cause {
	RV_INSN_MISALIGNED = 0, RV_INSN_ACCESS = 1, RV_ILLEGAL = 2, RV_BREAKPOINT = 3, RV_LOAD_MISALIGNED = 4,
	RV_LOAD_ACCESS = 5, RV_STORE_MISALIGNED = 6, RV_STORE_ACCESS = 7, RV_ECALL_U = 8, RV_INSN_PAGE = 12,
	RV_LOAD_PAGE = 13, RV_STORE_PAGE = 15,
};
#define RV_CAUSE_INTERRUPT (UINT64_C(1) << 63)

/* Interrupts: bits of mip and mie, and the numbers of the pins. */
enum rv_irq { RV_SSI = 1, RV_MSI = 3, RV_STI = 5, RV_MTI = 7, RV_SEI = 9, RV_MEI = 11 };
#define RV_IRQ_BIT(n) (UINT64_C(1) << (n))
#define RV_IRQS_S (RV_IRQ_BIT(RV_SSI) | RV_IRQ_BIT(RV_STI) | RV_IRQ_BIT(RV_SEI))
#define RV_IRQS_M (RV_IRQ_BIT(RV_MSI) | RV_IRQ_BIT(RV_MTI) | RV_IRQ_BIT(RV_MEI))

/* mstatus */
#define MSTATUS_SIE  (UINT64_C(1) << 1)
#define MSTATUS_MIE  (UINT64_C(1) << 3)
#define MSTATUS_SPIE (UINT64_C(1) << 5)
#define MSTATUS_MPIE (UINT64_C(1) << 7)
#define MSTATUS_SPP  (UINT64_C(1) << 8)
#define MSTATUS_MPP_SHIFT 11
#define MSTATUS_MPP  (UINT64_C(3) << MSTATUS_MPP_SHIFT)
#define MSTATUS_FS_SHIFT 13
#define MSTATUS_FS   (UINT64_C(3) << MSTATUS_FS_SHIFT)
#define MSTATUS_MPRV (UINT64_C(1) << 17)
#define MSTATUS_SUM  (UINT64_C(1) << 18)
#define MSTATUS_MXR  (UINT64_C(1) << 19)
#define MSTATUS_TVM  (UINT64_C(1) << 20)
#define MSTATUS_TW   (UINT64_C(1) << 21)
#define MSTATUS_TSR  (UINT64_C(1) << 22)
#define MSTATUS_UXL  (UINT64_C(2) << 32)       /* 64 bits, read-only */
#define MSTATUS_SXL  (UINT64_C(2) << 34)
#define MSTATUS_SD   (UINT64_C(1) << 63)

/* menvcfg; FIOM and the CB fields in senvcfg too */
#define MENVCFG_FIOM (UINT64_C(1) << 0)
#define MENVCFG_CBIE_SHIFT 4
#define MENVCFG_CBIE (UINT64_C(3) << MENVCFG_CBIE_SHIFT)
#define MENVCFG_CBCFE (UINT64_C(1) << 6)
#define MENVCFG_CBZE (UINT64_C(1) << 7)
#define MENVCFG_PBMTE (UINT64_C(1) << 62)
#define MENVCFG_ADUE (UINT64_C(1) << 61)
#define MENVCFG_STCE (UINT64_C(1) << 63)

/* mcounteren, scounteren, mcountinhibit */
#define COUNTER_CY 1u
#define COUNTER_TM 2u
#define COUNTER_IR 4u
#define COUNTER_HPM UINT64_C(0xfffffff8)

/* of cbo.*, Zic64b */
#define CACHE_BLOCK_BYTES 64u

/* satp */
#define SATP_MODE(satp) ((uint32_t)((satp) >> 60))
#define SATP_ASID(satp) ((uint32_t)((satp) >> 44) & 0xffffu)
#define SATP_PPN(satp)  ((satp) & ((UINT64_C(1) << 44) - 1))
#define SATP_BARE 0u
#define SATP_SV39 8u
#define SATP_SV48 9u
#define SATP_SV57 10u

/* Regimes of loads and stores: env->mmu. */
enum rv_mmu { RV_MMU_U, RV_MMU_S, RV_MMU_S_SUM, RV_MMU_M };

/* env->flags */
#define RV_FLAG_PRIV      3u            /* enum rv_priv */
#define RV_FLAG_FS_ON     4u
#define RV_FLAG_FS_DIRTY  8u
#define RV_FLAG_FRM_RMM   16u           /* frm is "nearest, ties to max magnitude" */
#define RV_FLAG_FRM_BAD   32u           /* frm holds a reserved mode: dynamic rounding is illegal */
#define RV_FLAG_MMU_SHIFT 6             /* enum rv_mmu, 2 bits */
#define RV_FLAG_CBO_INVAL 256u          /* menvcfg and senvcfg let this mode execute it */
#define RV_FLAG_CBO_CLEAN 512u          /* and cbo.flush */
#define RV_FLAG_CBO_ZERO  1024u

#define RV_PMP_ENTRIES 16u
#define PMP_R 1u
#define PMP_W 2u
#define PMP_X 4u
#define PMP_A 0x18u
#define PMP_A_OFF   0x00u
#define PMP_A_TOR   0x08u
#define PMP_A_NA4   0x10u
#define PMP_A_NAPOT 0x18u
#define PMP_L 0x80u

struct rv_pmp {
	uint8_t cfg[RV_PMP_ENTRIES];
	uint64_t addr[RV_PMP_ENTRIES];          /* pmpaddr: bits 55..2 of the address */
	/* derived: bytes first .. last; an empty range has first > last */
	uint64_t first[RV_PMP_ENTRIES], last[RV_PMP_ENTRIES];
	uint32_t used;                          /* entries beyond this one are off */
};

/* A counter that shows guest time in ns plus an offset, or stands still. */
struct rv_counter {
	uint64_t value;         /* offset when it runs, the value when inhibited */
	bool stopped;
};

/* What a device may serve of a hart (Advanced Interrupt Architecture, "IMSIC"); ops NULL: nobody does. */
enum rv_owned { RV_OWNED_MTOPEI, RV_OWNED_MIREG, RV_OWNED_STOPEI, RV_OWNED_SIREG, RV_OWNED };

struct rv_hart_owned {
	struct mt_sysreg_range range[RV_OWNED];
};

/* Instance-wide: constant after create. */
struct tcg_front_config {
	struct tcg_services services;
	uint32_t vcpu_count;
	uint64_t exts;          /* set of enum rv_ext */
	uint64_t misa;
	uint32_t satp_mode;     /* the largest that there is */
	char isa_text[RV_ISA_TEXT_BYTES];
	struct rv_hart_owned *owned;            /* of each hart; constant while it runs */
};

struct rv_state {
	uint64_t x[32];         /* x[0] stays 0 */
	uint64_t f[32];         /* single precision is NaN-boxed */
	struct tcg_front_config *config;
	uint32_t hart;
	uint32_t priv;
	uint32_t pins;          /* atomic: levels of the interrupt pins, at their bits of mip */
	uint32_t reservation_version;
	uint32_t reservation_bytes;
	uint32_t wfi_awake;     /* WFIs since the last trap, halt or pin that rose that found an interrupt pending */
	uint32_t wfi_roused;    /* the engine's count at the last WFI */
	uint64_t mstatus, mip, mie, mideleg, medeleg, mtvec, mepc, mcause, mtval, mscratch;
	uint64_t mcounteren, mcountinhibit, menvcfg;
	/* Advanced Interrupt Architecture; sie_own: bits of sie that are no aliases of mie, mvip_own: of mvip and mip */
	uint64_t miselect, siselect, mvien, mvip_own, sie_own;
	uint64_t stvec, sepc, scause, stval, sscratch, scounteren, satp, senvcfg, stimecmp;
	struct rv_counter cycle, instret;
	struct rv_pmp pmp;
};

static inline struct rv_state *rv_state(struct tcg_env *env)
{
	return (struct rv_state *)env->guest;
}

static inline bool rv_has(const struct rv_state *s, enum rv_ext ext)
{
	return s->config->exts >> ext & 1;
}

/* front.c */
void rv_update_context(struct tcg_env *env);
void rv_reset(struct tcg_env *env, uint32_t kind);

/* trap.c */
void rv_take_exception(struct tcg_env *env);
bool rv_take_interrupt(struct tcg_env *env);
bool rv_wakeup_pending(struct tcg_env *env);
bool rv_stalled(struct tcg_env *env);           /* helpers.c: wrs.nto has nothing to go on for */
uint64_t rv_next_wakeup_ns(struct tcg_env *env);
uint64_t rv_mip(struct tcg_env *env);           /* as a read of mip sees it */
uint64_t rv_sip(struct tcg_env *env, uint64_t mip);     /* as a read of sip sees it */
uint64_t rv_sie(const struct rv_state *s);
uint64_t rv_top_m(struct tcg_env *env);         /* the number of the first pending and enabled interrupt, or 0 */
uint64_t rv_top_s(struct tcg_env *env);
/* after enables changed: asks for a poll when one is to be taken */
void rv_poll_if_pending(struct tcg_env *env);
int32_t rv_pin_find(const char *name);
void rv_pin_set(struct tcg_env *env, uint32_t pin, uint32_t level);
void rv_bus_fault(struct tcg_env *env, uint64_t vaddr, enum tcg_access access);
void rv_misaligned(struct tcg_env *env, uint64_t vaddr, enum tcg_access access);
bool rv_mret(struct tcg_env *env);              /* false: illegal here */
bool rv_sret(struct tcg_env *env);

/* aia.c */
int rv_sysreg_bind(struct tcg_env *env, const struct mt_sysreg_range *range, struct mt_error *err);
void rv_sysreg_unbind(struct tcg_env *env, const struct mt_sysreg_range *range);

/* mmu.c */
bool rv_walk(struct tcg_env *env, uint64_t vaddr, enum tcg_access access, uint32_t mmu, uint32_t width,
	     struct tcg_walk *out);
bool rv_look(struct tcg_env *env, uint64_t vaddr, struct tcg_walk *out);

/* regs.c */
uint32_t rv_reg_count(struct tcg_front_config *config);
int rv_reg_describe(struct tcg_front_config *config, uint32_t index, struct mt_reg_desc *out);
int rv_reg_read(struct tcg_env *env, uint32_t number, uint64_t *value);
int rv_reg_write(struct tcg_env *env, uint32_t number, uint64_t value);

/* save.c */
int rv_save(struct tcg_env *env, struct mt_state_out *out, const struct mt_state_writer *w);
int rv_load(struct tcg_env *env, struct mt_state_in *in, const struct mt_state_reader *r);

/* gdb.c */
uint64_t rv_gdb_xml(struct tcg_front_config *config, char *text, uint64_t text_bytes);

/* fdt.c */
int rv_fdt(struct tcg_front_config *config, uint32_t vcpu_count, struct mt_fdt *fdt,
	   const struct mt_fdt_writer *w,
	   struct mt_error *err);

/* trans.c */
bool rv_translate(struct tcg_env *env, struct ir_block *b);

/* helpers.c */
extern const struct ir_helper rv_helpers[];
extern const uint32_t rv_helper_count;

#endif
