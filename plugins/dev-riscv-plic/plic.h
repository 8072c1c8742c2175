/* SPDX-License-Identifier: MIT */
/*
 * The chip of a RISC-V platform-level interrupt controller, specification 1.0.0: gateways, priorities,
 * contexts. Knows no bus and no lock: the caller serialises all calls on one plic, and gets changes of the
 * outputs by `output`, inside the call that made them.
 * Every offset, width and value is a guest's choice.
 */
#ifndef PLIC_H
#define PLIC_H

#include <mortise/draft/state.h>
#include <stdint.h>

#define PLIC_REGION_BYTES 0x4000000u
#define PLIC_SOURCES_MAX  1023u
#define PLIC_CONTEXTS_MAX 15872u   /* that the register map has room for */
#define PLIC_PRIORITY_MAX 7u
#define PLIC_WORDS        ((PLIC_SOURCES_MAX + 32) / 32)

struct plic_context {
	uint32_t enable[PLIC_WORDS];
	uint32_t threshold;
	uint32_t level;            /* of the output */
};

struct plic {
	uint32_t sources;          /* legal numbers are 1 .. sources */
	uint32_t words;            /* of each bitmap that are in use */
	uint32_t context_count;
	struct plic_context *contexts;
	uint8_t priority[PLIC_SOURCES_MAX + 1];
	uint32_t level[PLIC_WORDS];      /* of the inputs */
	uint32_t pending[PLIC_WORDS];
	uint32_t in_service[PLIC_WORDS]; /* gateway closed: claimed, not completed */
	void (*output)(void *arg, uint32_t context, uint32_t level);
	void *arg;
};

/* 0, or -1 without memory. `sources` <= PLIC_SOURCES_MAX, `contexts` <= PLIC_CONTEXTS_MAX. */
int plic_init(struct plic *p, uint32_t sources, uint32_t contexts);
void plic_fini(struct plic *p);
/* Registers and gateways as after power-on; the input levels stay, and pass the gateways again. */
void plic_reset(struct plic *p);
/* Drives all outputs again. */
void plic_redrive(struct plic *p);
/* state.c: saved state of a PLIC with as many sources and contexts. A refused load changes nothing. */
void plic_save(const struct plic *p, struct mt_state_out *out, const struct mt_state_writer *w);
int plic_load(struct plic *p, struct mt_state_in *in, const struct mt_state_reader *r);
/* The bits of a word of a bitmap that belong to sources. */
uint32_t plic_word_mask(const struct plic *p, uint32_t word);
/* 0 and sources above the highest are ignored. */
void plic_input(struct plic *p, uint32_t source, uint32_t level);
/* 32-bit registers; `offset` is a multiple of 4. */
uint32_t plic_read(struct plic *p, uint32_t offset);
void plic_write(struct plic *p, uint32_t offset, uint32_t value);

/* The source whose service a write of `value` at `offset` would end; 0: none. Changes nothing. */
uint32_t plic_completes(const struct plic *p, uint32_t offset, uint32_t value);

#endif
