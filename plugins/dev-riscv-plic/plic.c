/* SPDX-License-Identifier: MIT */
/*
 * The PLIC's chip; see plic.h. Section numbers are of the RISC-V Platform-Level Interrupt Controller
 * specification 1.0.0. The rule that is easy to break: bit 0 of every bitmap, and bits above the last source,
 * stay 0 whatever the guest writes.
 */
#include "plic.h"

#include <stdlib.h>
#include <string.h>
#include <util/bits.h>

/* The register map, section 3. */
#define PENDING_OFFSET 0x1000u
#define ENABLE_OFFSET  0x2000u
#define ENABLE_STRIDE  0x80u
#define CONTEXT_OFFSET 0x200000u
#define CONTEXT_STRIDE 0x1000u
#define CONTEXT_THRESHOLD 0u
#define CONTEXT_CLAIM     4u

int plic_init(struct plic *p, uint32_t sources, uint32_t contexts)
{
	memset(p, 0, sizeof(*p));
	p->sources = sources;
	p->words = sources / 32 + 1;
	p->context_count = contexts;
	p->contexts = calloc(contexts ? contexts : 1, sizeof(*p->contexts));
	return p->contexts ? 0 : -1;
}

void plic_fini(struct plic *p)
{
	free(p->contexts);
	p->contexts = NULL;
}

uint32_t plic_word_mask(const struct plic *p, uint32_t word)
{
	uint32_t bits = p->sources + 1 - word * 32;

	return (uint32_t)mt_mask(bits < 32 ? bits : 32) & (word ? UINT32_MAX : ~1u);
}

/*
 * The pending and enabled source of the highest priority above `floor`; 0: none. Ties go to the lowest number,
 * section 7.
 */
static uint32_t best_source(const struct plic *p, const struct plic_context *c, uint32_t floor)
{
	uint32_t best = 0;

	for (uint32_t w = 0; w < p->words; w++) {
		for (uint32_t ready = p->pending[w] & c->enable[w]; ready; ready &= ready - 1) {
			uint32_t source = w * 32 + mt_ctz64(ready);

			if (p->priority[source] > floor) {
				best = source;
				floor = p->priority[source];
			}
		}
	}
	return best;
}

static void context_update(struct plic *p, uint32_t index)
{
	struct plic_context *c = &p->contexts[index];
	uint32_t level = best_source(p, c, c->threshold) != 0;

	if (level == c->level)
		return;
	c->level = level;
	if (p->output)
		p->output(p->arg, index, level);
}

void plic_redrive(struct plic *p)
{
	for (uint32_t i = 0; i < p->context_count; i++) {
		struct plic_context *c = &p->contexts[i];

		c->level = best_source(p, c, c->threshold) != 0;
		if (p->output)
			p->output(p->arg, i, c->level);
	}
}

/* After a change of `source`: only contexts that enable it can change. */
static void source_update(struct plic *p, uint32_t source)
{
	for (uint32_t i = 0; i < p->context_count; i++)
		if (mt_bitmap_test(p->contexts[i].enable, source))
			context_update(p, i);
}

/* A level gateway, section 4: forwards one request, then waits for its completion. A request once forwarded
 * stays pending when the level falls. */
static void gateway_update(struct plic *p, uint32_t source)
{
	if (!mt_bitmap_test(p->level, source) || mt_bitmap_test(p->in_service, source) ||
	    mt_bitmap_test(p->pending, source))
		return;
	mt_bitmap_assign(p->pending, source, 1);
	source_update(p, source);
}

void plic_input(struct plic *p, uint32_t source, uint32_t level)
{
	if (!source || source > p->sources)
		return;
	mt_bitmap_assign(p->level, source, level != 0);
	gateway_update(p, source);
}

void plic_reset(struct plic *p)
{
	memset(p->priority, 0, sizeof(p->priority));
	memset(p->pending, 0, sizeof(p->pending));
	memset(p->in_service, 0, sizeof(p->in_service));
	for (uint32_t i = 0; i < p->context_count; i++) {
		memset(p->contexts[i].enable, 0, sizeof(p->contexts[i].enable));
		p->contexts[i].threshold = 0;
		context_update(p, i);
	}
	for (uint32_t source = 1; source <= p->sources; source++)
		gateway_update(p, source);
}

/* Section 8: not affected by the threshold; 0 when there is nothing to claim. */
static uint32_t claim(struct plic *p, uint32_t context)
{
	uint32_t source = best_source(p, &p->contexts[context], 0);

	if (!source)
		return 0;
	mt_bitmap_assign(p->pending, source, 0);
	mt_bitmap_assign(p->in_service, source, 1);
	source_update(p, source);
	return source;
}

/* Section 9: ignored unless the source is enabled for the context. Who claimed it does not matter. */
static uint32_t may_complete(const struct plic *p, uint32_t context, uint32_t source)
{
	return source && source <= p->sources && mt_bitmap_test(p->contexts[context].enable, source) &&
	       mt_bitmap_test(p->in_service, source);
}

static void complete(struct plic *p, uint32_t context, uint32_t source)
{
	if (!may_complete(p, context, source))
		return;
	mt_bitmap_assign(p->in_service, source, 0);
	gateway_update(p, source);
}

uint32_t plic_completes(const struct plic *p, uint32_t offset, uint32_t value)
{
	uint32_t context = (offset - CONTEXT_OFFSET) / CONTEXT_STRIDE;

	if (offset < CONTEXT_OFFSET || offset % CONTEXT_STRIDE != CONTEXT_CLAIM || context >= p->context_count)
		return 0;
	return may_complete(p, context, value) ? value : 0;
}

static uint32_t context_read(struct plic *p, uint32_t offset)
{
	uint32_t context = offset / CONTEXT_STRIDE;

	if (context >= p->context_count)
		return 0;
	switch (offset % CONTEXT_STRIDE) {
	case CONTEXT_THRESHOLD:
		return p->contexts[context].threshold;
	case CONTEXT_CLAIM:
		return claim(p, context);
	default:
		return 0;
	}
}

uint32_t plic_read(struct plic *p, uint32_t offset)
{
	uint32_t word, context;

	if (offset < PENDING_OFFSET)
		return offset / 4 <= p->sources ? p->priority[offset / 4] : 0;
	if (offset < ENABLE_OFFSET) {
		word = (offset - PENDING_OFFSET) / 4;
		return word < p->words ? p->pending[word] : 0;
	}
	if (offset >= CONTEXT_OFFSET)
		return context_read(p, offset - CONTEXT_OFFSET);
	context = (offset - ENABLE_OFFSET) / ENABLE_STRIDE;
	word = (offset - ENABLE_OFFSET) % ENABLE_STRIDE / 4;
	return context < p->context_count && word < p->words ? p->contexts[context].enable[word] : 0;
}

static void priority_write(struct plic *p, uint32_t source, uint32_t value)
{
	if (!source || source > p->sources)
		return;
	p->priority[source] = value & PLIC_PRIORITY_MAX;
	source_update(p, source);
}

static void enable_write(struct plic *p, uint32_t offset, uint32_t value)
{
	uint32_t context = offset / ENABLE_STRIDE, word = offset % ENABLE_STRIDE / 4;

	if (context >= p->context_count || word >= p->words)
		return;
	p->contexts[context].enable[word] = value & plic_word_mask(p, word);
	context_update(p, context);
}

static void context_write(struct plic *p, uint32_t offset, uint32_t value)
{
	uint32_t context = offset / CONTEXT_STRIDE;

	if (context >= p->context_count)
		return;
	switch (offset % CONTEXT_STRIDE) {
	case CONTEXT_THRESHOLD:
		p->contexts[context].threshold = value & PLIC_PRIORITY_MAX;
		context_update(p, context);
		break;
	case CONTEXT_CLAIM:
		complete(p, context, value);
		break;
	}
}

void plic_write(struct plic *p, uint32_t offset, uint32_t value)
{
	if (offset < PENDING_OFFSET)
		priority_write(p, offset / 4, value);
	else if (offset >= CONTEXT_OFFSET)
		context_write(p, offset - CONTEXT_OFFSET, value);
	else if (offset >= ENABLE_OFFSET)
		enable_write(p, offset - ENABLE_OFFSET, value);
	/* the pending bits are read-only, section 5 */
}
