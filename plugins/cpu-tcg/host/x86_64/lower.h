/* SPDX-License-Identifier: MIT */
/*
 * What the files of the x86-64 back end share: the register plan, the state of a code space and the state of
 * one lowering. Mapped globals are in their host registers at every block boundary and at every op of a
 * block; their copies in the environment are stale but in calls (see stubs.c for who saves what).
 *
 * rbp: environment (biased, see ENV_BIAS)   rsp: frame, see FRAME_*
 * rax rcx rdx, xmm0 xmm1: scratch of one op; r15, xmm2-xmm4: temporaries; the others: globals by priority
 */
#ifndef TCG_X86_LOWER_H
#define TCG_X86_LOWER_H

#include "engine/host.h"
#include "host/x86_64/enc.h"

#define X86_AVX    1u
#define X86_FMA    2u
#define X86_BMI1   4u
#define X86_BMI2   8u
#define X86_LZCNT  16u
#define X86_POPCNT 32u
#define X86_SSE41  64u

/* How many registers serve what; tests take fewer, and fewer features. */
struct x86_config {
	uint32_t features;
	uint8_t mapped_gprs, mapped_xmms;
	uint8_t temp_gprs, temp_xmms;
};
#define X86_MAPPED_GPRS 10u
#define X86_MAPPED_XMMS 11u
#define X86_TEMP_GPRS 1u
#define X86_TEMP_XMMS 3u
#define X86_TEMP_XMM_FIRST 2u

/* rbp points here, so that the first 32 guest registers have one-byte displacements. */
#define ENV_BIAS ((int32_t)ENV_GUEST_OFFSET + 128)
#define ENV_DISP(member) ((int32_t)offsetof(struct tcg_env, member) - ENV_BIAS)
#define ENV_TLB(mmu, store) (ENV_DISP(tlb) + (int32_t)sizeof(struct tlb_entry) * (int32_t)TLB_SIZE * \
			     (int32_t)(2u * (mmu) + (store)))
#define R_ENV RBP

/* The frame, off rsp in translated code (aligned to 16). */
#define FRAME_EXIT  0           /* uint32_t: exit of a slow path */
#define FRAME_CSR   4           /* MXCSR of the guest during a slow path */
#define FRAME_HOST_CSR 8        /* MXCSR of the caller of run() */
#define FRAME_TMP   12          /* uint32_t */
#define FRAME_ARG   16          /* uint64_t: one more argument of a stub */
#define FRAME_XMM   32          /* the temporaries' xmm registers, by number, over a call */
#define FRAME_SLOTS 160         /* spilled temporaries, by number */
#define FRAME_BYTES (FRAME_SLOTS + 8 * (int32_t)IR_MAX_TEMPS + 8)

/* Where a value is. */
enum x86_val_kind { V_NONE, V_GPR, V_XMM, V_MEM, V_IMM };
struct x86_val {
	uint8_t kind;
	uint8_t reg;            /* V_GPR, V_XMM; V_MEM: the base */
	uint8_t low32;          /* V_XMM: the upper half counts as zero, whatever the register holds */
	uint8_t ones;           /* V_XMM with low32: bits 32-63 of the register are ones */
	int32_t disp;           /* V_MEM */
	int64_t imm;            /* V_IMM */
};

struct x86_temp {
	struct x86_val at;
	uint32_t last_use;      /* op index */
	uint16_t segment;       /* labels behind it at its last use */
	uint8_t crossing;       /* lives over a label: in memory always */
	uint8_t owned;          /* its register is its own */
};

/* Code out of the way: what it is for decides which members count. */
enum x86_far_kind {
	FAR_LOAD, FAR_STORE, FAR_POLL, FAR_LINK, FAR_DIVS, FAR_DIVU, FAR_CLEAR_FLAGS, FAR_QUIET,
	FAR_NAN, FAR_FMA_NAN, FAR_UNBOX, FAR_MINMAX, FAR_TO_INT, FAR_TO_UNSIGNED, FAR_TO_U64_BIG,
	FAR_FROM_U64, FAR_ZERO, FAR_AMO, FAR_CAS, FAR_LINE,
};
struct x86_far {
	uint8_t kind;
	uint8_t mem;
	uint8_t reg, reg2;
	uint8_t dbl, flag;      /* FP: ones as in struct x86_val, or which operation; division: 64 bits */
	uint16_t xmm_live;      /* temporaries to keep over a call */
	uint32_t site;          /* displacement of the branch that comes here */
	uint32_t back;          /* where to go on */
	uint64_t pc;
	struct x86_val a, b, d;
	int64_t imm;
	struct tcg_link *link;
};
#define X86_FIND_BYTES 15u              /* room for: mov rcx, pc; jmp find */
#define X86_FARS (2u * IR_MAX_OPS + 8u)

/* The common code at the start of a space, as offsets. */
struct x86_stubs {
	uint32_t enter;                         /* run(): env, code */
	uint32_t leave;                         /* eax = enum tcg_exit, globals in registers */
	uint32_t leave_saved;                   /* the same, globals in the environment */
	uint32_t leave_reason;                  /* leave_saved with env->exit_reason */
	uint32_t exit_link;                     /* rcx = pc, rdx = link */
	uint32_t exit_poll;                     /* rcx = pc */
	uint32_t find;                          /* rcx = pc: probe, else find_miss */
	uint32_t find_miss;                     /* rcx = pc */
	uint32_t save_all, save_volatile;       /* rax rcx rdx kept */
	uint32_t load_all, load_volatile;
	uint32_t fp_out, fp_in; /* guest MXCSR to env->fflags and host's loaded; back. Frame as in code */
	uint32_t fp_clear;                      /* MXCSR without flags; uses rax rcx */
	uint32_t csr_out, csr_in;               /* only swap MXCSR */
	uint32_t rm_set[4], rm_restore;         /* static rounding mode; back to the old one, flags kept */
	uint32_t load[TLB_MODES][16];           /* rax = address, rcx = pc; result in rax */
	uint32_t store[TLB_MODES][16];          /* rdx = value */
	uint32_t zero;                          /* rax = address, rcx = pc */
	uint32_t amo, cas;                      /* env->pc set; rax = address, rcx, rdx; FRAME_TMP = mem */
	uint32_t softfp; /* rax rcx rdx = operands, FRAME_TMP = descriptor; result in rax */
	uint32_t popcnt;                        /* rax = popcount(rax), rcx rdx lost */
	uint32_t fma_check[2];                  /* rax, rcx = factors: raise invalid when inf * 0; rdx lost */
	uint32_t consts;
};
/* Constants: 16 bytes each, then tables. */
enum x86_const {
	K_NAN_S,
	K_NAN_S_BOXED,
	K_NAN_D,
	K_BOX,
	K_SIGN_D,
	K_ABS_D,
	K_SIGN_S,
	K_ABS_S,
	K_2P63_S,
	K_2P63_D,
	K_HALF_S,
	K_HALF_D,
	K_ONES,
	K_SNAN_D,
	K_COUNT,
};
#define K_CSR (K_COUNT * 16u)                   /* uint32_t[8]: MXCSR by guest rounding mode */
#define K_FLAGS (K_CSR + 32u)                   /* uint8_t[256]: guest flags by MXCSR's low byte */
#define K_BYTES (K_FLAGS + 256u)

/*
 * Accesses off one base whose page was checked once: r15 holds the page's addend, or 0 after a slow path,
 * which may have changed the TLB. Lasts to the op `last`; none between writes the base, places a label or
 * calls.
 */
struct x86_group {
	bool on;
	bool store;                             /* checked for stores; else for loads only */
	ir_val base;
	uint32_t last;
	int64_t low, high;                      /* displacements checked: low <= byte < high */
};
#define R_ADDEND R15

struct x86_lower {
	struct x86_enc e;
	struct tcg_host_state *s;
	const struct ir_block *b;
	struct tcg_block *block;
	uint32_t features;
	uint32_t at;                            /* index of the current op */
	uint32_t code;                          /* offset of the block's first byte */
	uint64_t pc;                            /* of the current guest instruction */
	uint32_t links;
	bool sign_extend;                       /* the 32-bit result goes into an ext32s */
	bool box;                               /* the FP result goes into an fbox */
	bool failed;
	uint32_t gpr_free, xmm_free;            /* registers for temporaries, by mask */
	uint32_t far_count;
	struct x86_group group;
	uint32_t flags_kept;                    /* stflags op that has nothing to do; UINT32_MAX: none */
	uint64_t boxed[4];                      /* FP globals known to hold a boxed single */
	uint32_t label_at[IR_MAX_LABELS];       /* head of the list of sites, linked through the code */
	struct x86_temp temps[IR_MAX_TEMPS];
	uint8_t dead[IR_MAX_OPS];
	struct x86_far fars[X86_FARS];
};

struct tcg_host_state {
	struct x86_config config;
	const uint8_t *rx;                      /* start of the code space, executable view */
	const struct ir_global *globals;
	uint32_t global_count;
	struct x86_stubs stubs;
	struct x86_val at[256];                 /* of globals, by ir_val */
	uint8_t mapped[32];                     /* global of register: 0-15 general, 16-31 xmm; 0xff none */
	uint8_t reads[IR_OPCODES];              /* operands by opcode: READ_* */
	struct tcg_host_stats stats;
	struct x86_lower lower;
};
#define READ_A 1u
#define READ_B 2u
#define READ_C 4u
#define READ_D 8u
#define READ_B_OR_IMM 16u
#define WRITE_D 32u

/* host.c */
int x86_state_new(struct tcg_host_state **state, const struct x86_config *config,
		  const struct ir_global *globals, uint32_t global_count, const struct tcg_code_space *space,
		  size_t *used);
void x86_config_detect(struct x86_config *config);
/* stubs.c */
bool x86_stubs_emit(struct tcg_host_state *s, struct x86_enc *e, size_t room);
/* softcall.c: FP by integer code. descriptor = opcode | rm << 8 | aux << 16 */
uint64_t x86_softfp(struct tcg_env *env, uint32_t descriptor, uint64_t a, uint64_t b, uint64_t c);
/* lower.c */
size_t x86_lower(struct tcg_host_state *s, const struct ir_block *b, struct tcg_block *block,
		 const struct tcg_code_space *space);
/* far.c */
struct x86_far *x86_far_new(struct x86_lower *l, enum x86_far_kind kind, uint32_t site);
void x86_far_emit(struct x86_lower *l, const struct x86_far *f);
/* atomic.c */
void x86_far_atomic(struct x86_lower *l, const struct x86_far *f);
void x86_far_line(struct x86_lower *l);
/* fpfar.c */
void x86_far_fp(struct x86_lower *l, const struct x86_far *f);

/* value.c */
struct x86_val x86_val_of(struct x86_lower *l, ir_val v);
struct x86_val x86_val_b(struct x86_lower *l, const struct ir_op *op);
/* In a general register: its own or, loaded, `scratch`. */
uint8_t x86_in_gpr(struct x86_lower *l, struct x86_val v, uint8_t scratch);
void x86_to_gpr(struct x86_lower *l, uint8_t reg, struct x86_val v);
/*
 * As r/m operand of a 64- or 32-bit integer op; loaded to `scratch` where it is neither register nor memory.
 */
struct x86_rm x86_as_rm(struct x86_lower *l, struct x86_val v, uint8_t scratch);
/* op reg, rm on xmm registers, by VEX where there is AVX */
void x86_xop(struct x86_lower *l, uint32_t op, uint8_t reg, struct x86_rm rm);
uint8_t x86_in_xmm(struct x86_lower *l, struct x86_val v, uint8_t scratch);
void x86_to_xmm(struct x86_lower *l, uint8_t xmm, struct x86_val v);
/*
 * An operand of an FP op: a double must be whole, so a single's register that is not is copied to `scratch`.
 */
struct x86_val x86_fp_val(struct x86_lower *l, ir_val v, bool dbl, uint8_t scratch);
struct x86_rm x86_as_xmm_rm(struct x86_lower *l, struct x86_val v, uint8_t scratch);
/*
 * The register to compute op's result in, after all its operands were looked at (their registers may be
 * reused): the destination's own, else `scratch`. finish puts it in its place.
 */
uint8_t x86_dst(struct x86_lower *l, const struct ir_op *op, uint8_t scratch);
void x86_finish(struct x86_lower *l, const struct ir_op *op, uint8_t reg);
uint8_t x86_dst_xmm(struct x86_lower *l, const struct ir_op *op, uint8_t scratch);
/* low32/ones: what the register's bits 32-63 are, see struct x86_val */
void x86_finish_xmm(struct x86_lower *l, const struct ir_op *op, uint8_t xmm, bool low32, bool ones);
void x86_set_imm(struct x86_lower *l, const struct ir_op *op, int64_t imm);
void x86_free_dead(struct x86_lower *l, const struct ir_op *op);
struct x86_rm x86_const(const struct x86_lower *l, uint32_t k);
bool x86_val_is(struct x86_val a, struct x86_val b);
void x86_mov_xmm(struct x86_lower *l, uint8_t d, uint8_t s);
void x86_set_boxed(struct x86_lower *l, ir_val v, bool boxed);
bool x86_is_boxed(const struct x86_lower *l, ir_val v);
uint16_t x86_xmm_live(const struct x86_lower *l);
/* Saves or loads the temporaries' xmm registers of the mask around a call. */
void x86_xmm_temps(struct x86_lower *l, uint16_t mask, bool save);

/* alu.c, mem.c, control.c, fp.c, fpconv.c: one function for each opcode or family */
typedef void x86_lower_fn(struct x86_lower *l, const struct ir_op *op);
x86_lower_fn x86_mov, x86_movi, x86_alu, x86_andn, x86_orn, x86_xnor, x86_shift, x86_addshl, x86_mul,
	x86_mulh, x86_mulhsu, x86_div, x86_ext, x86_count, x86_popcnt, x86_bswap, x86_orcb, x86_minmax,
	x86_setc, x86_movc;
x86_lower_fn x86_ldenv, x86_stenv, x86_ld, x86_st, x86_zero, x86_amo, x86_cas, x86_fence;
/* mem.c, for atomic.c */
struct x86_address {
	uint8_t base;
	int32_t disp;
};
/* The address as base + disp; rax when it has to be computed. */
struct x86_address x86_address_of(struct x86_lower *l, struct x86_val a, int64_t disp);
/* Leaves the addend in rcx; uses rdx. Returns the site of the branch to the slow path. */
uint32_t x86_check(struct x86_lower *l, struct x86_address at, uint8_t mem, bool store);
struct x86_far *x86_slow(struct x86_lower *l, enum x86_far_kind kind, uint32_t site, struct x86_address at,
			 uint8_t mem);
void x86_group_end(struct x86_lower *l);
x86_lower_fn x86_label, x86_br, x86_brc, x86_poll, x86_exit_pc, x86_exit_reg, x86_exit_ctx, x86_exit_env,
	     x86_call_helper;
x86_lower_fn x86_fp_arith, x86_fp_sqrt, x86_fp_fma, x86_fp_minmax, x86_fp_cmp, x86_fp_to_int, x86_fp_from_int,
	     x86_fp_widen, x86_fbox, x86_funbox, x86_ldflags, x86_stflags;
/* d = a op b on xmm registers, bits 32 and up from a; may use xmm1 when d is b */
void x86_xop3(struct x86_lower *l, uint32_t op, uint8_t d, uint8_t a, struct x86_rm b);
/* The op by the integer code; for rounding modes and operands that the instructions do not do. */
void x86_fp_soft(struct x86_lower *l, const struct ir_op *op);
/* Around an instruction with a static rounding mode; use rcx and rdx. */
void x86_rounding_begin(struct x86_lower *l, uint8_t rm);
void x86_rounding_end(struct x86_lower *l, uint8_t rm);
/* Puts the canonical NaN where xmm holds a NaN. */
void x86_nan_check(struct x86_lower *l, uint8_t xmm, bool dbl, bool ones);
/* finish_xmm of a result of the class, boxing it where an fbox was joined. */
void x86_finish_fp(struct x86_lower *l, const struct ir_op *op, uint8_t xmm, bool dbl, bool ones);
/* Emits cmp/test for a cond B and returns the condition to test. */
enum x86_cc x86_compare(struct x86_lower *l, const struct ir_op *op);

/* Leaves a linkable jump (cc: CC_* or -1 for always). Returns false when pc cannot be linked from here. */
bool x86_link_jump(struct x86_lower *l, int cc, uint64_t pc);
bool x86_linkable(const struct x86_lower *l, uint64_t pc);

#endif
