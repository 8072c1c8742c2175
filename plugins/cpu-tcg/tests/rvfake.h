/* SPDX-License-Identifier: MIT */
/*
 * One hart of the RISC-V front end on a fake engine: flat RAM, no cache of anything, blocks run by the IR
 * interpreter after the verifier and the optimiser. One at a time in a process (the engine's functions get an
 * environment only). What cannot be right ends the test.
 */
#ifndef TESTS_RVFAKE_H
#define TESTS_RVFAKE_H

#include "front/riscv/csr.h"
#include "front/riscv/decode.h"
#include "front/riscv/state.h"

#define FAKE_RAM   UINT64_C(0x80000000)
#define FAKE_BYTES (1u << 20)

struct rv_fake {
	struct tcg_env *env;
	struct rv_state *s;
	struct tcg_front_config *config;
	uint8_t *ram;
	uint64_t ticks;                 /* what `time` shows; guest ns = ticks * 100 */
	uint32_t flushes, page_flushes, polls, contexts, fences, leaves;
	uint64_t flushed_page;
	uint32_t line_version;
	uint64_t break_at;              /* where a breakpoint is; 0: none */
	bool cas_loses;                 /* the next compare-and-swap of a table entry finds it changed */
};

/* The property `mmu` of those made from now on; NULL: absent. */
extern const char *rv_fake_mmu;
struct rv_fake *rv_fake_new(const char *isa);
void rv_fake_free(struct rv_fake *f);
/* Little-endian words in RAM; addresses are physical. */
void rv_fake_put(struct rv_fake *f, uint64_t phys, uint64_t value, uint32_t bytes);
uint64_t rv_fake_get(struct rv_fake *f, uint64_t phys, uint32_t bytes);
/* Runs one block of at most max_insns at env->pc; an exception is left in env->exception, not taken. */
enum tcg_exit rv_fake_run(struct rv_fake *f, uint32_t max_insns);
/* Puts an instruction at the pc and runs it. */
enum tcg_exit rv_fake_insn(struct rv_fake *f, uint32_t word);
/* Sets the mode, with all of memory open to S and U by PMP, and the pc to the start of RAM. */
void rv_fake_enter(struct rv_fake *f, uint32_t priv);
uint64_t rv_fake_random(uint64_t *state);

#endif
