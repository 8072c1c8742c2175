/* SPDX-License-Identifier: MIT */
/*
 * The chip of an APLIC, RISC-V Advanced Interrupt Architecture 1.0, chapter "Advanced Platform-Level
 * Interrupt Controller": wires, a root domain at machine level and, if wanted, one child at supervisor level;
 * each delivers either directly to harts or by messages, which is fixed when it is made. Knows no bus and no
 * lock: the caller serialises all calls on one aplic, and gets outputs and messages by its callbacks, inside
 * the call that made them. Every offset and value is a guest's choice.
 */
#ifndef APLIC_H
#define APLIC_H

#include <mortise/draft/state.h>
#include <stdint.h>

#define APLIC_REGION_BYTES 0x8000u
#define APLIC_SOURCES_MAX  1023u
#define APLIC_WORDS        ((APLIC_SOURCES_MAX + 1) / 32)
#define APLIC_HARTS_MAX    512u          /* that the region has room for */

#define APLIC_ROOT    0u
#define APLIC_CHILD   1u
#define APLIC_DOMAINS 2u

/* Interrupt delivery control of one hart, direct delivery only. */
struct aplic_idc {
	uint8_t delivery, force, threshold;
	uint8_t level;                       /* of the output */
};

struct aplic_domain {
	uint32_t msi;                        /* domaincfg.DM, constant */
	uint32_t on;                         /* domaincfg.IE */
	uint32_t genmsi;
	uint16_t source[APLIC_SOURCES_MAX + 1];
	uint32_t target[APLIC_SOURCES_MAX + 1];
	uint32_t pending[APLIC_WORDS], enabled[APLIC_WORDS];
	struct aplic_idc *idc;               /* of each hart */
};

struct aplic {
	uint32_t sources;                    /* legal numbers are 1 .. sources */
	uint32_t words;                      /* of each bitmap that are in use */
	uint32_t harts;
	uint32_t domain_count;               /* 1: no child */
	uint32_t wire[APLIC_WORDS];
	struct aplic_domain domain[APLIC_DOMAINS];
	void (*output)(void *arg, uint32_t domain, uint32_t hart, uint32_t level);
	void (*message)(void *arg, uint32_t domain, uint32_t hart, uint32_t identity);
	void *arg;
};

/* 0, or -1 without memory; `domain_count` 1 or 2, `msi[i]` for each domain. */
int aplic_init(struct aplic *a, uint32_t sources, uint32_t harts, uint32_t domain_count, const uint32_t *msi);
void aplic_fini(struct aplic *a);
/* Registers as after power-on; the wires keep their levels. */
void aplic_reset(struct aplic *a);
/* 0 and sources above the highest are ignored. */
void aplic_input(struct aplic *a, uint32_t source, uint32_t level);
/* 32-bit registers; `offset` is a multiple of 4 below APLIC_REGION_BYTES. */
uint32_t aplic_read(struct aplic *a, uint32_t domain, uint32_t offset);
void aplic_write(struct aplic *a, uint32_t domain, uint32_t offset, uint32_t value);

/*
 * The level-sensitive source whose service this access ends; 0: none. Of a write before it is done: software
 * asks for the wire to be looked at again. Of a read afterwards, with the value that it gave: a claim.
 */
uint32_t aplic_write_ends(const struct aplic *a, uint32_t domain, uint32_t offset, uint32_t value);
uint32_t aplic_read_ends(const struct aplic *a, uint32_t domain, uint32_t offset, uint32_t value);

/* Drives all outputs again. */
void aplic_redrive(struct aplic *a);
/* aplic_state.c: saved state of an APLIC of the same shape. A refused load changes nothing; none drives or sends. */
void aplic_save(const struct aplic *a, struct mt_state_out *out, const struct mt_state_writer *w);
int aplic_load(struct aplic *a, struct mt_state_in *in, const struct mt_state_reader *r);

#endif
