/* SPDX-License-Identifier: MIT */
/*
 * Control and status registers: access by instructions and by debuggers. On the vCPU's thread, or on main
 * while it does not run.
 */
#ifndef RV_CSR_H
#define RV_CSR_H

#include "state.h"

enum rv_csr_number {
	CSR_FFLAGS = 0x001, CSR_FRM = 0x002, CSR_FCSR = 0x003,
	CSR_CYCLE = 0xc00, CSR_TIME = 0xc01, CSR_INSTRET = 0xc02, CSR_HPMCOUNTER3 = 0xc03,
	CSR_SSTATUS = 0x100, CSR_SIE = 0x104, CSR_STVEC = 0x105, CSR_SCOUNTEREN = 0x106, CSR_SENVCFG = 0x10a,
	CSR_SSCRATCH = 0x140, CSR_SEPC = 0x141, CSR_SCAUSE = 0x142, CSR_STVAL = 0x143, CSR_SIP = 0x144,
	CSR_SISELECT = 0x150, CSR_SIREG = 0x151, CSR_STOPEI = 0x15c, CSR_STOPI = 0xdb0,
	CSR_MVIEN = 0x308, CSR_MVIP = 0x309, CSR_MISELECT = 0x350, CSR_MIREG = 0x351, CSR_MTOPEI = 0x35c, CSR_MTOPI = 0xfb0,
	CSR_STIMECMP = 0x14d, CSR_SATP = 0x180,
	CSR_MSTATUS = 0x300, CSR_MISA = 0x301, CSR_MEDELEG = 0x302, CSR_MIDELEG = 0x303, CSR_MIE = 0x304,
	CSR_MTVEC = 0x305, CSR_MCOUNTEREN = 0x306, CSR_MENVCFG = 0x30a, CSR_MCOUNTINHIBIT = 0x320,
	CSR_MHPMEVENT3 = 0x323, CSR_MSCRATCH = 0x340, CSR_MEPC = 0x341, CSR_MCAUSE = 0x342, CSR_MTVAL = 0x343,
	CSR_MIP = 0x344, CSR_PMPCFG0 = 0x3a0, CSR_PMPADDR0 = 0x3b0,
	CSR_MCYCLE = 0xb00, CSR_MINSTRET = 0xb02, CSR_MHPMCOUNTER3 = 0xb03,
	CSR_MVENDORID = 0xf11, CSR_MARCHID = 0xf12, CSR_MIMPID = 0xf13, CSR_MHARTID = 0xf14, CSR_MCONFIGPTR = 0xf15,
};

enum rv_csr_op { RV_CSR_WRITE, RV_CSR_SET, RV_CSR_CLEAR };

/* What a write does beyond the register. */
#define RV_CSR_PLAIN 1u         /* nothing that a translated block depends on, and no interrupt comes of it */
#define RV_CSR_FP    2u         /* needs mstatus.FS, reads or writes what translated FP code keeps */

/* An access to `number`: without `write` a read; else the register becomes (old & keep) | bits. */
struct rv_csr_write {
	uint32_t number;
	bool write;
	uint64_t keep, bits;
};

struct rv_csr {
	uint16_t number;
	uint16_t count;                 /* so many registers in a row (0: one) */
	uint8_t flags;
	uint8_t ext;                    /* illegal without this extension */
	const char *name;               /* of the first; a row's others have the number appended */
	/* a plain field of the state; with write NULL: (old & ~mask) | (new & mask) */
	uint32_t offset;
	uint64_t mask;
	uint64_t (*read)(struct tcg_env *env, uint32_t number);
	/* legalises (WARL) and takes effect */
	void (*write)(struct tcg_env *env, uint32_t number, uint64_t value);
	/*
	 * In place of read and write, for registers that a device serves: reading and writing are one step. False: there
	 * is none now.
	 */
	bool (*access)(struct tcg_env *env, const struct rv_csr_write *w, uint64_t *old);
	/* NULL: no gate beyond privilege; false: illegal in the current mode */
	bool (*allowed)(struct tcg_env *env, uint32_t number, bool write);
};

const struct rv_csr *rv_csr_find(uint32_t number);
uint32_t rv_csr_table(const struct rv_csr **table);
void rv_csr_init(void);
/* An instruction's access: all checks; false: illegal instruction, nothing done. *old gets the value
 * before. */
bool rv_csr_access(struct tcg_env *env, uint32_t number, enum rv_csr_op op, bool write, uint64_t operand,
		   uint64_t *old);
/* Without privilege checks; false: there is no such register in this machine. */
bool rv_csr_peek(struct tcg_env *env, uint32_t number, uint64_t *value);
bool rv_csr_poke(struct tcg_env *env, uint32_t number, uint64_t value);

/* csr_fn.c: registers with rules or effects of their own */
#define RV_CSR_FN(name) \
	uint64_t rv_read_##name(struct tcg_env *env, uint32_t number); \
	void rv_write_##name(struct tcg_env *env, uint32_t number, uint64_t value)
RV_CSR_FN(fflags); RV_CSR_FN(frm); RV_CSR_FN(fcsr);
RV_CSR_FN(counter); RV_CSR_FN(time); RV_CSR_FN(zero); RV_CSR_FN(id);
RV_CSR_FN(mstatus); RV_CSR_FN(sstatus); RV_CSR_FN(misa); RV_CSR_FN(mie); RV_CSR_FN(sie);
RV_CSR_FN(mip); RV_CSR_FN(sip); RV_CSR_FN(mtvec); RV_CSR_FN(stvec); RV_CSR_FN(mepc); RV_CSR_FN(sepc);
RV_CSR_FN(satp); RV_CSR_FN(stimecmp); RV_CSR_FN(menvcfg); RV_CSR_FN(mcountinhibit);
RV_CSR_FN(pmpcfg); RV_CSR_FN(pmpaddr); RV_CSR_FN(mideleg);
RV_CSR_FN(mcounteren); RV_CSR_FN(scounteren); RV_CSR_FN(senvcfg);
RV_CSR_FN(mtopi); RV_CSR_FN(stopi); RV_CSR_FN(mvien); RV_CSR_FN(mvip);
#undef RV_CSR_FN

/* The bits of mip, sip or mvip that a set or clear works on: those that software has written. */
uint64_t rv_soft_pending(const struct rv_state *s, uint32_t number);

/* aia.c: registers behind the windows of the Advanced Interrupt Architecture, and the top external interrupt */
bool rv_access_ireg(struct tcg_env *env, const struct rv_csr_write *w, uint64_t *old);
bool rv_access_topei(struct tcg_env *env, const struct rv_csr_write *w, uint64_t *old);
bool rv_imsic_allowed(struct tcg_env *env, uint32_t number, bool write);

#endif
