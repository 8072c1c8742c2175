/* SPDX-License-Identifier: MIT */
/*
 * The chip of an IMSIC: one interrupt file, RISC-V Advanced Interrupt Architecture 1.0, chapter "Incoming MSI
 * Controller". Knows no bus, no CSR number and no lock: the caller serialises all calls on one file, and gets
 * changes of the output by `output`, inside the call that made them. Registers are those of 64-bit harts.
 * Every selector, identity and value is a guest's choice.
 */
#ifndef IMSIC_H
#define IMSIC_H

#include <mortise/draft/state.h>
#include <stdint.h>

#define IMSIC_PAGE_BYTES     0x1000u
#define IMSIC_IDENTITIES_MAX 2047u
#define IMSIC_WORDS          ((IMSIC_IDENTITIES_MAX + 1) / 64)

/* What *iselect selects. */
#define IMSIC_SELECT_FIRST 0x70u
#define IMSIC_SELECT_LAST  0xffu

struct imsic_file {
	uint32_t identities;       /* 1 .. identities are implemented; one less than a multiple of 64 */
	uint32_t delivery;         /* eidelivery: 0 or 1 */
	uint32_t threshold;        /* eithreshold */
	uint32_t level;            /* of the output */
	uint32_t ready;            /* bit w: word w has a pending and enabled identity */
	uint64_t pending[IMSIC_WORDS];
	uint64_t enabled[IMSIC_WORDS];
	void (*output)(void *arg, uint32_t level);
	void *arg;
};

/* `identities`: 63 .. IMSIC_IDENTITIES_MAX, one less than a multiple of 64. The output is low. */
void imsic_init(struct imsic_file *f, uint32_t identities);
/* As after power-on: nothing pending, nothing enabled, delivery off. */
void imsic_reset(struct imsic_file *f);
/*
 * A message with this data arrived; what is no implemented identity is ignored. An output that is high already falls
 * and rises for one that is enabled.
 */
void imsic_message(struct imsic_file *f, uint32_t identity);

/* *topei: the value, and the value with the claim of what it reports. */
uint32_t imsic_top(const struct imsic_file *f);
uint32_t imsic_claim(struct imsic_file *f);

/* The register behind *iselect; false: there is none, and nothing was done. */
int imsic_read(const struct imsic_file *f, uint32_t select, uint64_t *value);
/* The register becomes (old & keep) | bits, as far as it can; `*old` gets the value before. */
int imsic_modify(struct imsic_file *f, uint32_t select, uint64_t keep, uint64_t bits, uint64_t *old);

/* Drives the output again. */
void imsic_redrive(struct imsic_file *f);

/* state.c: saved state of a file with as many identities. A refused load changes nothing and drives nothing. */
void imsic_save(const struct imsic_file *f, struct mt_state_out *out, const struct mt_state_writer *w);
int imsic_load(struct imsic_file *f, struct mt_state_in *in, const struct mt_state_reader *r);
/* The bits of a word that belong to identities; the largest threshold; what follows from the arrays, but the output. */
uint64_t imsic_word_mask(const struct imsic_file *f, uint32_t word);
uint32_t imsic_threshold_max(const struct imsic_file *f);
void imsic_settle_all(struct imsic_file *f);

#endif
