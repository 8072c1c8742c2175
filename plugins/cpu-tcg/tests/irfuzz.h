/* SPDX-License-Identifier: MIT */
/*
 * The parts of the IR fuzzer: a generator of random well-formed blocks (irgen.c) and a small machine to run
 * them on (irmachine.c): memory behind a TLB, helpers of every kind, and a log of what slow paths and helpers
 * saw.
 */
#ifndef TCG_IRFUZZ_H
#define TCG_IRFUZZ_H

#include "engine/host.h"

/* The fake guest: globals and a scratch area that ldenv and stenv use. */
#define FUZZ_GPRS 24u
#define FUZZ_FPRS 20u
#define FUZZ_GLOBALS (FUZZ_GPRS + FUZZ_FPRS)
#define FUZZ_SCRATCH 64u
struct fuzz_guest {
	uint64_t regs[FUZZ_GLOBALS];
	uint64_t scratch[FUZZ_SCRATCH / 8];
};

/* Guest memory: pages from FUZZ_BASE on, each with its own habits. */
#define FUZZ_PAGES 6u
#define FUZZ_BASE  0x7fffc000ull        /* straddles a change of the upper half */
enum fuzz_page {
	PAGE_RW,        /* in both TLBs */
	PAGE_RW2,
	PAGE_FILLED,    /* gets into the TLBs at the first slow access */
	PAGE_RO,        /* loads only; stores go the slow way */
	PAGE_DEVICE,    /* always slow; asks to leave */
	PAGE_NONE,      /* faults */
};

struct fuzz_machine {
	struct tcg_env *env;
	uint8_t *ram;                   /* FUZZ_PAGES pages */
	uint64_t log;                   /* hash of everything that slow paths and helpers saw */
	uint32_t exit;
};

struct fuzz_rng {
	uint64_t state;
};
uint64_t fuzz_random(struct fuzz_rng *rng);
uint32_t fuzz_below(struct fuzz_rng *rng, uint32_t n);

extern struct ir_global fuzz_globals[FUZZ_GLOBALS];
extern const struct ir_helper fuzz_helpers[];
extern const uint32_t fuzz_helper_count;

int fuzz_machine_new(struct fuzz_machine *m);
void fuzz_machine_free(struct fuzz_machine *m);
/* The same start for the same seed. */
void fuzz_machine_reset(struct fuzz_machine *m, uint64_t seed);
void fuzz_machine_run(struct fuzz_machine *m, const struct tcg_host *host, struct tcg_host_state *state,
		      const uint8_t *code);
/* NULL when both ended in the same state, else what differs, in a static buffer. */
const char *fuzz_machine_compare(const struct fuzz_machine *a, const struct fuzz_machine *b);

void fuzz_globals_init(void);
void fuzz_generate(struct ir_block *b, struct fuzz_rng *rng, uint32_t ops);

#endif
