/* SPDX-License-Identifier: MIT */
/*
 * The runtime of the bare-metal programs: harts, console, finisher, expected traps, code written at run time,
 * page tables. A program defines `run`, which hart 0 executes in machine mode; the others wait for hart_start.
 */
#ifndef RT_H
#define RT_H

#define HART_BYTES 256
#define HART_SP 0
#define HART_T0 8
#define HART_GUEST_SP 16
#define HART_A0 24
#define HART_A1 32
#define HART_CAUSE 40
#define HART_EPC 48
#define HART_TVAL 56
#define HART_STATUS 64
#define STACK_BITS 14
#define HARTS 4

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hart {
	uint64_t sp, t0, guest_sp;
	uint64_t a0, a1, cause, epc, tval, status;      /* of the last trap in call_in */
	void (*volatile work)(uint64_t hart, uint64_t arg);
	volatile uint64_t arg;
	volatile uint64_t idle;
	char rest[HART_BYTES - 12 * 8];
};
extern struct hart harts[HARTS];

enum { MODE_U, MODE_S, MODE_M = 3 };
enum { CAUSE_FETCH_MISALIGNED, CAUSE_FETCH, CAUSE_ILLEGAL, CAUSE_BREAK, CAUSE_LOAD_MISALIGNED, CAUSE_LOAD,
       CAUSE_STORE_MISALIGNED, CAUSE_STORE, CAUSE_ECALL_U, CAUSE_ECALL_S, CAUSE_ECALL_M = 11, CAUSE_FETCH_PAGE,
       CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE = 15 };

#define csr_read(name) ({ uint64_t v_; __asm__ volatile("csrr %0, " #name : "=r"(v_) :: "memory"); v_; })
#define csr_write(name, v) __asm__ volatile("csrw " #name ", %0" :: "rK"((uint64_t)(v)) : "memory")
#define csr_set(name, v) __asm__ volatile("csrs " #name ", %0" :: "rK"((uint64_t)(v)) : "memory")
#define csr_clear(name, v) __asm__ volatile("csrc " #name ", %0" :: "rK"((uint64_t)(v)) : "memory")

static inline void fence(void) { __asm__ volatile("fence" ::: "memory"); }
static inline void fence_i(void) { __asm__ volatile("fence.i" ::: "memory"); }
static inline void sfence_all(void) { __asm__ volatile("sfence.vma" ::: "memory"); }
static inline void sfence_page(uint64_t va) { __asm__ volatile("sfence.vma %0, zero" :: "r"(va) : "memory"); }
static inline void sfence_page_asid(uint64_t va, uint64_t asid)
{
	__asm__ volatile("sfence.vma %0, %1" :: "r"(va), "r"(asid) : "memory");
}

/* rt.c */
void run(void);
void say(const char *format, ...);      /* %s %d %u %x (64 bits) %c */
void finish(uint32_t failures);
void check(bool right, const char *name, uint64_t got, uint64_t wanted);
#define CHECK(name, got, wanted) do { uint64_t g_ = (uint64_t)(got), w_ = (uint64_t)(wanted); \
	check(g_ == w_, name, g_, w_); } while (0)
extern uint32_t failures;
/* A name with its result, for checks that are done many times: said once. */
void verdict(const char *name, uint64_t bad, uint64_t first);
void hart_start(uint64_t hart, void (*work)(uint64_t, uint64_t), uint64_t arg);
void hart_wait(uint64_t hart);
uint64_t hart_count(void);
void ipi(uint64_t hart, bool on);
uint64_t now(void);                     /* mtime: 10 MHz */
void set_mtimecmp(uint64_t hart, uint64_t at);
uint64_t rng(uint64_t *state);

/* start.S */
uint64_t call_in(uint64_t mode, uint64_t pc, uint64_t a0, uint64_t a1);
extern char done[], probes[], trap[];
typedef void probe(void);
probe p_lb, p_lh, p_lw, p_ld, p_sb, p_sh, p_sw, p_sd, p_amo, p_amow, p_lr, p_sc, p_fld, p_fsd, p_jump, p_ecall,
	p_ebreak, p_illegal, p_sret, p_mret, p_wfi, p_sfence, p_cycle, p_time, p_instret, p_fencei, p_strap, p_vector;
#define PC(fn) ((uint64_t)(uintptr_t)(fn))
static inline struct hart *me(void) { return (struct hart *)(uintptr_t)csr_read(mscratch); }

/* instruction words */
#define I_LI(rd, imm) (0x13u | (uint32_t)(rd) << 7 | ((uint32_t)(imm) & 0xfff) << 20)
#define I_ADDI(rd, rs, imm) (0x13u | (uint32_t)(rd) << 7 | (uint32_t)(rs) << 15 | ((uint32_t)(imm) & 0xfff) << 20)
#define I_RET 0x00008067u
#define I_NOP 0x00000013u
#define I_ECALL 0x00000073u
#define A0 10u
#define A1 11u
static inline void put32(void *at, uint32_t word)       /* by halves: any even address */
{
	((volatile uint16_t *)at)[0] = (uint16_t)word;
	((volatile uint16_t *)at)[1] = (uint16_t)(word >> 16);
}
typedef uint64_t code_fn(uint64_t a0, uint64_t a1);

/* page tables: gigapages that map devices and RAM as they are; 4 KiB pages elsewhere */
#define PTE_V 1u
#define PTE_R 2u
#define PTE_W 4u
#define PTE_X 8u
#define PTE_U 16u
#define PTE_G 32u
#define PTE_A 64u
#define PTE_D 128u
#define PTE_AD (PTE_A | PTE_D)
#define PTE_RWX (PTE_R | PTE_W | PTE_X)
#define PTE(pa, bits) ((uint64_t)(pa) >> 12 << 10 | (bits))
uint64_t *table_new(void);
/* A new root with the identity gigapages (rights of S), and its satp value. */
uint64_t *space_new(uint32_t asid, uint64_t *satp);
/* The entry of va at a level (0: 4 KiB), tables made on the way; levels = 3 for Sv39, 4 for Sv48. */
uint64_t *space_entry(uint64_t *root, uint32_t levels, uint64_t va, uint32_t level);
void space_map(uint64_t *root, uint64_t va, uint64_t pa, uint64_t bits);
void tables_reset(void);

#ifndef COUNT
#define COUNT(n) ((n) / 10)             /* reduced; -DLONG: all */
#endif
#ifdef LONG
#undef COUNT
#define COUNT(n) (n)
#endif
#endif
#endif
