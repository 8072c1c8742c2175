/* SPDX-License-Identifier: MIT */
/*
 * The common code at the start of a code space: entry and exit, saving and loading of the mapped globals, the
 * way into the engine's slow paths. Offsets are as seen by the code that calls: inside a stub that was
 * called, the frame lies 8 bytes higher (16 when the stub aligned the stack).
 *
 * MXCSR: translated code runs with the guest's rounding mode and collects the guest's flags in the sticky
 * bits. Code that may do floating point of its own (slow paths reach devices; helpers that may exit) runs
 * with the MXCSR of run's caller; helpers with IRH_FP_FLAGS likewise, with the flags merged to env->fflags
 * before. Pure helpers and tcg_find_code must not do floating point.
 */
#include <string.h>

#include "host/x86_64/lower.h"

static bool is_volatile(uint32_t reg)
{
	return reg >= 16 || reg == RSI || reg == RDI || (reg >= R8 && reg <= R11);
}

static struct x86_rm home(const struct tcg_host_state *s, uint32_t reg)
{
	return x86_mem(R_ENV, (int32_t)s->globals[s->mapped[reg]].env_offset - ENV_BIAS);
}

static void move_mapped(struct tcg_host_state *s, struct x86_enc *e, bool save, bool all)
{
	for (uint32_t reg = 0; reg < 32; reg++) {
		if (s->mapped[reg] == REG_NONE || !(all || is_volatile(reg)))
			continue;
		if (reg < 16)
			x86_op(e, (save ? OP_MOV_ST : OP_MOV) | X86_W, (uint8_t)reg, home(s, reg));
		else
			x86_op(e, save ? OP_MOVSD_ST : OP_MOVSD, (uint8_t)(reg - 16), home(s, reg));
	}
}

static uint32_t mover(struct tcg_host_state *s, struct x86_enc *e, bool save, bool all)
{
	uint32_t at = x86_at(e);

	move_mapped(s, e, save, all);
	x86_ret(e);
	return at;
}

static struct x86_rm frame(int32_t at, int32_t depth)
{
	return x86_mem(RSP, at + depth);
}

static struct x86_rm env(int32_t disp)
{
	return x86_mem(R_ENV, disp);
}

static void csr(struct x86_enc *e, bool load, struct x86_rm rm)
{
	x86_op(e, OP_LDMXCSR, load ? 2 : 3, rm);
}

/* env->fflags |= flags of the MXCSR word at rm; uses reg and reg2 */
static void merge_flags(struct tcg_host_state *s, struct x86_enc *e, struct x86_rm rm, uint8_t reg,
			uint8_t reg2)
{
	csr(e, false, rm);
	x86_op(e, OP_MOVZX8, reg, rm);
	x86_op(e, OP_LEA | X86_W, reg2, x86_rip(s->stubs.consts + K_FLAGS));
	x86_op(e, OP_MOVZX8, reg, x86_mem_index(reg2, reg, 0, 0));
	x86_op(e, OP_OR - OP_TO_RM, reg, env(ENV_DISP(fflags)));
}

static void load_guest_csr(struct tcg_host_state *s, struct x86_enc *e, uint8_t reg, uint8_t reg2)
{
	x86_op(e, OP_MOV, reg, env(ENV_DISP(frm)));
	x86_alu_imm(e, OP_AND, x86_reg(reg), 7);
	x86_op(e, OP_LEA | X86_W, reg2, x86_rip(s->stubs.consts + K_CSR));
	csr(e, true, x86_mem_index(reg2, reg, 2, 0));
}

static const uint8_t callee_saved[] = { RBX, RBP, R12, R13, R14, R15 };

static void emit_enter(struct tcg_host_state *s, struct x86_enc *e)
{
	s->stubs.enter = x86_at(e);
	for (uint32_t i = 0; i < sizeof(callee_saved); i++)
		x86_push(e, callee_saved[i]);
	x86_alu_imm(e, OP_SUB | X86_W, x86_reg(RSP), FRAME_BYTES);
	csr(e, false, frame(FRAME_HOST_CSR, 0));
	x86_op(e, OP_LEA | X86_W, R_ENV, x86_mem(RDI, ENV_BIAS));
	x86_mov_rr(e, RAX, RSI);
	load_guest_csr(s, e, RCX, RDX);
	move_mapped(s, e, false, true);
	x86_op(e, OP_GRP5, 4, x86_reg(RAX));
}

static void emit_leave(struct tcg_host_state *s, struct x86_enc *e)
{
	s->stubs.leave = x86_at(e);
	move_mapped(s, e, true, true);
	s->stubs.leave_saved = x86_at(e);
	merge_flags(s, e, frame(FRAME_CSR, 0), RCX, RDX);
	csr(e, true, frame(FRAME_HOST_CSR, 0));
	x86_alu_imm(e, OP_ADD | X86_W, x86_reg(RSP), FRAME_BYTES);
	for (uint32_t i = sizeof(callee_saved); i-- > 0;)
		x86_pop(e, callee_saved[i]);
	x86_ret(e);
	s->stubs.leave_reason = x86_at(e);
	x86_op(e, OP_MOV, RAX, env(ENV_DISP(exit_reason)));
	x86_jmp(e, s->stubs.leave_saved);
}

/* C's address may be anywhere. */
static void call_c(struct x86_enc *e, uintptr_t fn)
{
	x86_mov_imm(e, RAX, (int64_t)fn);
	x86_op(e, OP_GRP5, 2, x86_reg(RAX));
}

static void emit_exits(struct tcg_host_state *s, struct x86_enc *e)
{
	s->stubs.exit_link = x86_at(e);
	x86_op(e, OP_MOV_ST | X86_W, RCX, env(ENV_DISP(pc)));
	x86_op(e, OP_MOV_ST | X86_W, RDX, env(ENV_DISP(link_patch)));
	x86_mov_imm(e, RAX, TCG_EXIT_LOOKUP);
	x86_jmp(e, s->stubs.leave);

	s->stubs.exit_poll = x86_at(e);
	x86_op(e, OP_MOV_ST | X86_W, RCX, env(ENV_DISP(pc)));
	x86_mov_imm(e, RAX, TCG_EXIT_POLL);
	x86_jmp(e, s->stubs.leave);

	s->stubs.find = x86_at(e);
	struct x86_rm slot = x86_mem_index(R_ENV, RDX, 0, ENV_DISP(jump_cache));
	x86_op(e, OP_LEA, RDX, x86_mem_index(REG_NONE, RCX, 3, 0));
	x86_alu_imm(e, OP_AND, x86_reg(RDX), (JC_SIZE - 1) << 4);
	x86_op(e, OP_MOV | X86_W, RAX, env(ENV_DISP(context)));
	x86_op(e, OP_XOR | X86_W, RAX, x86_reg(RCX));
	x86_op(e, OP_CMP | X86_W, RAX, slot);
	uint32_t miss = x86_jcc(e, CC_NE, 0);
	slot.disp += 8;
	x86_op(e, OP_GRP5, 4, slot);
	x86_bind(e, miss, x86_at(e));

	s->stubs.find_miss = x86_at(e);
	x86_op(e, OP_MOV_ST | X86_W, RCX, env(ENV_DISP(pc)));
	move_mapped(s, e, true, true);
	x86_op(e, OP_LEA | X86_W, RDI, env(-ENV_BIAS));
	x86_mov_rr(e, RSI, RCX);
	call_c(e, (uintptr_t)tcg_find_code);
	x86_op(e, OP_TEST | X86_W, RAX, x86_reg(RAX));
	x86_jcc(e, CC_E, s->stubs.leave_reason);
	move_mapped(s, e, false, false);
	x86_op(e, OP_GRP5, 4, x86_reg(RAX));
}

static void emit_fp(struct tcg_host_state *s, struct x86_enc *e)
{
	s->stubs.fp_out = x86_at(e);
	merge_flags(s, e, frame(FRAME_CSR, 8), RSI, RDI);
	csr(e, true, frame(FRAME_HOST_CSR, 8));
	x86_ret(e);
	s->stubs.fp_in = x86_at(e);
	load_guest_csr(s, e, RSI, RDI);
	x86_ret(e);
	s->stubs.fp_clear = x86_at(e);
	load_guest_csr(s, e, RAX, RCX);
	x86_ret(e);
	s->stubs.csr_out = x86_at(e);
	csr(e, false, frame(FRAME_CSR, 8));
	csr(e, true, frame(FRAME_HOST_CSR, 8));
	x86_ret(e);
	s->stubs.csr_in = x86_at(e);
	csr(e, true, frame(FRAME_CSR, 8));
	x86_ret(e);
}

/* Uses rdx (and rcx to restore); the old mode waits in FRAME_CSR. */
static void emit_rounding(struct tcg_host_state *s, struct x86_enc *e)
{
	static const uint8_t rc[4] = { 0, 3, 1, 2 };

	for (uint32_t rm = 0; rm < 4; rm++) {
		s->stubs.rm_set[rm] = x86_at(e);
		csr(e, false, frame(FRAME_CSR, 8));
		x86_op(e, OP_MOV, RDX, frame(FRAME_CSR, 8));
		x86_alu_imm(e, OP_AND, x86_reg(RDX), ~0x6000);
		x86_alu_imm(e, OP_OR, x86_reg(RDX), rc[rm] << 13);
		x86_op(e, OP_MOV_ST, RDX, frame(FRAME_TMP, 8));
		csr(e, true, frame(FRAME_TMP, 8));
		x86_ret(e);
	}
	s->stubs.rm_restore = x86_at(e);
	csr(e, false, frame(FRAME_TMP, 8));
	x86_op(e, OP_MOV, RDX, frame(FRAME_TMP, 8));
	x86_alu_imm(e, OP_AND, x86_reg(RDX), ~0x6000);
	x86_op(e, OP_MOV, RCX, frame(FRAME_CSR, 8));
	x86_alu_imm(e, OP_AND, x86_reg(RCX), 0x6000);
	x86_op(e, OP_OR, RDX, x86_reg(RCX));
	x86_op(e, OP_MOV_ST, RDX, frame(FRAME_TMP, 8));
	csr(e, true, frame(FRAME_TMP, 8));
	x86_ret(e);
}

/* --- slow paths of memory --- */

static void extend(struct x86_enc *e, uint32_t mem)
{
	static const uint32_t code[8] = {
		OP_MOVZX8, OP_MOVZX16, OP_MOV, 0, OP_MOVSX8 | X86_W, OP_MOVSX16 | X86_W, OP_MOVSXD | X86_W, 0,
	};

	if (code[mem & 7u])
		x86_op(e, code[mem & 7u], RAX, x86_reg(RAX));
}

/* The access itself, at rm. */
static void access_rm(struct x86_enc *e, uint32_t mem, bool store, struct x86_rm rm)
{
	static const uint32_t loads[8] = {
		OP_MOVZX8, OP_MOVZX16, OP_MOV, OP_MOV | X86_W,
		OP_MOVSX8 | X86_W, OP_MOVSX16 | X86_W, OP_MOVSXD | X86_W, OP_MOV | X86_W,
	};
	static const uint32_t stores[4] = { OP_MOV8_ST, OP_MOV16_ST, OP_MOV_ST, OP_MOV_ST | X86_W };

	if (store)
		x86_op(e, stores[mem & 3u], RDX, rm);
	else
		x86_op(e, loads[mem & 7u], RAX, rm);
}

/*
 * Accesses that the inline check did not serve though their page is in the TLB: misaligned ones, and those of
 * a group that lies on two pages or met a slow path. rax = address, rdx = value, kept when it has to go on to
 * the slow path; rsi rdi are saved here.
 */
static void probe_again(struct x86_enc *e, uint32_t mmu, uint32_t mem, bool store)
{
	int32_t tlb = ENV_TLB(mmu, store);
	uint32_t miss;

	x86_push(e, RSI);
	x86_push(e, RDI);
	/* the page of the last byte must be the one that the index of the first finds */
	x86_op(e, OP_LEA | X86_W, RDI, x86_mem(RAX, (1 << IRM_SIZE(mem)) - 1));
	x86_alu_imm(e, OP_AND | X86_W, x86_reg(RDI), (int32_t)TCG_PAGE_MASK);
	x86_op(e, OP_MOV, RSI, x86_reg(RAX));
	x86_shift_imm(e, 0, EXT_SHR, x86_reg(RSI), TCG_PAGE_BITS - 4);
	x86_alu_imm(e, OP_AND, x86_reg(RSI), (TLB_SIZE - 1) << 4);
	x86_op(e, OP_CMP | X86_W, RDI, x86_mem_index(R_ENV, RSI, 0, tlb));
	miss = x86_jcc(e, CC_NE, 0);
	x86_op(e, OP_MOV | X86_W, RSI, x86_mem_index(R_ENV, RSI, 0, tlb + 8));
	access_rm(e, mem, store, x86_mem_index(RAX, RSI, 0, 0));
	x86_pop(e, RDI);
	x86_pop(e, RSI);
	x86_ret(e);
	x86_bind(e, miss, x86_at(e));
	x86_pop(e, RDI);
	x86_pop(e, RSI);
}

/*
 * Saves everything and aligns the stack by `pad`: 8 after one call, 0 after two. The frame is then 16 bytes
 * up.
 */
static void slow_begin(struct tcg_host_state *s, struct x86_enc *e, int32_t pad)
{
	if (pad)
		x86_alu_imm(e, OP_SUB | X86_W, x86_reg(RSP), pad);
	x86_call(e, s->stubs.save_all);
	csr(e, false, frame(FRAME_CSR, 16));
	csr(e, true, frame(FRAME_HOST_CSR, 16));
	x86_op(e, OP_LEA | X86_W, RDI, env(-ENV_BIAS));
	x86_mov_rr(e, RSI, RAX);
}

/*
 * `exit` holds the reason: NONE goes on; LEAVE too, since the access is done and env->poll is set; others
 * leave. The result in rax lives through.
 */
static void slow_end(struct tcg_host_state *s, struct x86_enc *e, uint8_t exit, int32_t pad)
{
	uint32_t go_on, go_on_too;

	csr(e, true, frame(FRAME_CSR, 16));
	x86_op(e, OP_TEST, exit, x86_reg(exit));
	go_on = x86_jcc(e, CC_E, 0);
	x86_alu_imm(e, OP_CMP, x86_reg(exit), TCG_EXIT_LEAVE);
	go_on_too = x86_jcc(e, CC_E, 0);
	x86_op(e, OP_MOV, RAX, x86_reg(exit));
	x86_alu_imm(e, OP_ADD | X86_W, x86_reg(RSP), 16);
	x86_jmp(e, s->stubs.leave_saved);
	x86_bind(e, go_on, x86_at(e));
	x86_bind(e, go_on_too, x86_at(e));
	x86_call(e, s->stubs.load_volatile);
	if (pad)
		x86_alu_imm(e, OP_ADD | X86_W, x86_reg(RSP), pad);
	x86_ret(e);
}

static void exit_slot_clear(struct x86_enc *e)
{
	x86_op_i32(e, X86_OP(0xc7, 0, 0), 0, frame(FRAME_EXIT, 16), TCG_EXIT_NONE);
}

/* The tails: edx (load) or ecx (store) = mem. */
static uint32_t emit_load_tail(struct tcg_host_state *s, struct x86_enc *e)
{
	uint32_t at = x86_at(e);

	slow_begin(s, e, 0);
	exit_slot_clear(e);
	x86_op(e, OP_LEA | X86_W, RCX, frame(FRAME_EXIT, 16));
	call_c(e, (uintptr_t)tcg_slow_load);
	x86_op(e, OP_MOV, RCX, frame(FRAME_EXIT, 16));
	slow_end(s, e, RCX, 0);
	return at;
}

static uint32_t emit_store_tail(struct tcg_host_state *s, struct x86_enc *e)
{
	uint32_t at = x86_at(e);

	slow_begin(s, e, 8);
	call_c(e, (uintptr_t)tcg_slow_store);
	x86_op(e, OP_MOV, RCX, x86_reg(RAX));
	slow_end(s, e, RCX, 8);
	return at;
}

static void emit_zero(struct tcg_host_state *s, struct x86_enc *e)
{
	s->stubs.zero = x86_at(e);
	x86_op(e, OP_MOV_ST | X86_W, RCX, env(ENV_DISP(pc)));
	slow_begin(s, e, 8);
	call_c(e, (uintptr_t)tcg_slow_zero);
	x86_op(e, OP_MOV, RCX, x86_reg(RAX));
	slow_end(s, e, RCX, 8);
}

static void emit_load(struct tcg_host_state *s, struct x86_enc *e, uint32_t mmu, uint32_t mem, uint32_t tail)
{
	s->stubs.load[mmu][mem] = x86_at(e);
	if (!(mem & IRM_ALIGN))
		probe_again(e, mmu, mem, false);
	x86_op(e, OP_MOV_ST | X86_W, RCX, env(ENV_DISP(pc)));
	x86_mov_imm(e, RDX, (int64_t)mem);
	x86_call(e, tail);
	extend(e, mem);
	x86_ret(e);
}

static void emit_store(struct tcg_host_state *s, struct x86_enc *e, uint32_t mmu, uint32_t mem, uint32_t tail)
{
	s->stubs.store[mmu][mem] = x86_at(e);
	if (!(mem & IRM_ALIGN))
		probe_again(e, mmu, mem, true);
	x86_op(e, OP_MOV_ST | X86_W, RCX, env(ENV_DISP(pc)));
	x86_mov_imm(e, RCX, (int64_t)mem);
	x86_jmp(e, tail);
}

static void emit_memory(struct tcg_host_state *s, struct x86_enc *e)
{
	uint32_t load = emit_load_tail(s, e), store = emit_store_tail(s, e);

	for (uint32_t mmu = 0; mmu < TLB_MODES; mmu++)
		for (uint32_t mem = 0; mem < 16; mem++) {
			emit_load(s, e, mmu, mem, load);
			if (!(mem & IRM_SIGN))
				emit_store(s, e, mmu, mem, store);
			else
				s->stubs.store[mmu][mem] = s->stubs.store[mmu][mem & ~IRM_SIGN];
		}
}

/* rax = address, rcx rdx = values; FRAME_TMP = mem */
static void emit_atomics(struct tcg_host_state *s, struct x86_enc *e)
{
	s->stubs.amo = x86_at(e);
	slow_begin(s, e, 8);
	exit_slot_clear(e);
	x86_op(e, OP_MOV, RCX, frame(FRAME_TMP, 16));
	x86_op(e, OP_LEA | X86_W, R8, frame(FRAME_EXIT, 16));
	call_c(e, (uintptr_t)tcg_slow_amo);
	x86_op(e, OP_MOV, RCX, frame(FRAME_EXIT, 16));
	slow_end(s, e, RCX, 8);

	s->stubs.cas = x86_at(e);
	slow_begin(s, e, 8);
	exit_slot_clear(e);
	x86_op(e, OP_MOV, R8, frame(FRAME_TMP, 16));
	x86_mov_rr(e, R9, RCX);                 /* swap rcx and rdx: expected goes third */
	x86_mov_rr(e, RCX, RDX);
	x86_mov_rr(e, RDX, R9);
	x86_op(e, OP_LEA | X86_W, R9, frame(FRAME_EXIT, 16));
	call_c(e, (uintptr_t)tcg_slow_cas);
	x86_op(e, OP_MOV, RCX, frame(FRAME_EXIT, 16));
	slow_end(s, e, RCX, 8);
}

/* --- arithmetic --- */

static void emit_softfp(struct tcg_host_state *s, struct x86_enc *e)
{
	s->stubs.softfp = x86_at(e);
	x86_alu_imm(e, OP_SUB | X86_W, x86_reg(RSP), 8);
	x86_call(e, s->stubs.save_volatile);
	x86_mov_rr(e, R8, RDX);
	x86_mov_rr(e, RDX, RAX);
	x86_op(e, OP_MOV, RSI, frame(FRAME_TMP, 16));
	x86_op(e, OP_LEA | X86_W, RDI, env(-ENV_BIAS));
	call_c(e, (uintptr_t)x86_softfp);
	x86_call(e, s->stubs.load_volatile);
	x86_alu_imm(e, OP_ADD | X86_W, x86_reg(RSP), 8);
	x86_ret(e);
}

/* Sums of neighbours of 1, 2 and 4 bits, then of the bytes by a multiplication. */
static void emit_popcnt(struct tcg_host_state *s, struct x86_enc *e)
{
	static const int64_t mask[3] = { 0x5555555555555555, 0x3333333333333333, 0x0f0f0f0f0f0f0f0f };

	s->stubs.popcnt = x86_at(e);
	for (uint32_t i = 0; i < 3; i++) {
		x86_mov_rr(e, RCX, RAX);
		x86_shift_imm(e, X86_W, EXT_SHR, x86_reg(RCX), (uint8_t)(1u << i));
		x86_mov_imm(e, RDX, mask[i]);
		x86_op(e, OP_AND | X86_W, RCX, x86_reg(RDX));
		x86_op(e, OP_AND | X86_W, RAX, x86_reg(RDX));
		x86_op(e, OP_ADD | X86_W, RAX, x86_reg(RCX));
	}
	x86_mov_imm(e, RDX, 0x0101010101010101);
	x86_op(e, OP_IMUL | X86_W, RAX, x86_reg(RDX));
	x86_shift_imm(e, X86_W, EXT_SHR, x86_reg(RAX), 56);
	x86_ret(e);
}

/* Raises invalid when one factor is infinite and the other zero, whatever the addend was. */
static void emit_fma_check(struct tcg_host_state *s, struct x86_enc *e, uint32_t dbl)
{
	uint32_t w = dbl ? X86_W : 0, out[2];

	s->stubs.fma_check[dbl] = x86_at(e);
	x86_op(e, OP_ADD | w, RAX, x86_reg(RAX)); /* without the signs: one is 0, the sum that of infinity */
	x86_op(e, OP_ADD | w, RCX, x86_reg(RCX));
	x86_mov_imm(e, RDX, dbl ? (int64_t)0xffe0000000000000ull : 0xff000000ll);
	x86_op(e, OP_XOR | w, RDX, x86_reg(RAX));
	x86_op(e, OP_XOR | w, RDX, x86_reg(RCX));
	out[0] = x86_jcc(e, CC_NE, 0);
	x86_op(e, OP_TEST | w, RAX, x86_reg(RCX));
	out[1] = x86_jcc(e, CC_NE, 0);
	/* a xor b is infinity's pattern without common bits; both must be 0 or the pattern */
	x86_op(e, OP_TEST | w, RAX, x86_reg(RAX));
	uint32_t zero = x86_jcc(e, CC_E, 0);
	x86_op(e, OP_TEST | w, RCX, x86_reg(RCX));
	uint32_t no = x86_jcc(e, CC_NE, 0);
	x86_bind(e, zero, x86_at(e));
	x86_op(e, OP_UCOMI(1), 0, x86_rip(s->stubs.consts + K_SNAN_D * 16u));
	x86_bind(e, no, x86_at(e));
	x86_bind(e, out[0], x86_at(e));
	x86_bind(e, out[1], x86_at(e));
	x86_ret(e);
}

static void emit_consts(struct tcg_host_state *s, struct x86_enc *e)
{
	static const uint64_t value[K_COUNT] = {
		[K_NAN_S] = 0x7fc00000, [K_NAN_S_BOXED] = 0xffffffff7fc00000, [K_NAN_D] = 0x7ff8000000000000,
		[K_BOX] = 0xffffffff00000000, [K_SIGN_D] = 0x8000000000000000, [K_ABS_D] = 0x7fffffffffffffff,
		[K_SIGN_S] = 0x80000000, [K_ABS_S] = 0xffffffff7fffffff, [K_2P63_S] = 0x5f000000,
		[K_2P63_D] = 0x43e0000000000000, [K_ONES] = ~(uint64_t)0, [K_SNAN_D] = 0x7ff0000000000001,
		[K_HALF_S] = 0x3f000000, [K_HALF_D] = 0x3fe0000000000000,
	};
	/* MXCSR.RC: 0 nearest, 1 down, 2 up, 3 to zero; all exceptions masked */
	static const uint32_t mode[8] = { 0x1f80, 0x7f80, 0x3f80, 0x5f80, 0x1f80, 0x1f80, 0x1f80, 0x1f80 };

	s->stubs.consts = x86_at(e);
	for (uint32_t i = 0; i < K_COUNT; i++) {
		uint64_t pair[2] = { value[i], i == K_ONES ? ~(uint64_t)0 : 0 };
		x86_bytes(e, pair, sizeof(pair));
	}
	x86_bytes(e, mode, sizeof(mode));
	for (uint32_t i = 0; i < 256; i++) {
		/* IE DE ZE OE UE PE to NX UF OF DZ NV, denormal left out */
		uint8_t flags = (uint8_t)((i & 1u) << 4 | (i >> 2 & 1u) << 3 | (i >> 3 & 1u) << 2 |
					  (i >> 4 & 1u) << 1 | (i >> 5 & 1u));
		x86_bytes(e, &flags, 1);
	}
}

#define STUBS_ROOM 32768u

/* The space begins with the constants, which are aligned like it. */
bool x86_stubs_emit(struct tcg_host_state *s, struct x86_enc *e, size_t room)
{
	if (room < STUBS_ROOM)
		return false;
	emit_consts(s, e);
	s->stubs.save_all = mover(s, e, true, true);
	s->stubs.save_volatile = mover(s, e, true, false);
	s->stubs.load_all = mover(s, e, false, true);
	s->stubs.load_volatile = mover(s, e, false, false);
	emit_enter(s, e);
	emit_leave(s, e);
	emit_exits(s, e);
	emit_fp(s, e);
	emit_rounding(s, e);
	emit_memory(s, e);
	emit_zero(s, e);
	emit_atomics(s, e);
	emit_softfp(s, e);
	emit_popcnt(s, e);
	emit_fma_check(s, e, 0);
	emit_fma_check(s, e, 1);
	return true;
}
