/* SPDX-License-Identifier: MIT */
/*
 * The APLIC's sources: wires, delegation, pending bits, delivery; see aplic.h, and aplic_regs.c for the
 * register map. Section names are of the Advanced Interrupt Architecture 1.0, chapter "Advanced PLIC". The
 * rule that is easy to break: a source has state in the one domain where it is active, and reads as zero in
 * the other; whatever makes it inactive clears its pending and enable bits and its target there.
 */
#include "aplic_source.h"

#include <stdlib.h>
#include <string.h>

int aplic_init(struct aplic *a, uint32_t sources, uint32_t harts, uint32_t domain_count, const uint32_t *msi)
{
	memset(a, 0, sizeof(*a));
	a->sources = sources;
	a->words = sources / 32 + 1;
	a->harts = harts;
	a->domain_count = domain_count;
	for (uint32_t i = 0; i < domain_count; i++) {
		a->domain[i].msi = msi[i] != 0;
		a->domain[i].idc = calloc(harts ? harts : 1, sizeof(*a->domain[i].idc));
		if (!a->domain[i].idc) {
			aplic_fini(a);
			return -1;
		}
	}
	return 0;
}

void aplic_fini(struct aplic *a)
{
	for (uint32_t i = 0; i < APLIC_DOMAINS; i++) {
		free(a->domain[i].idc);
		a->domain[i].idc = NULL;
	}
}

/* --- What a source is in a domain --- */

uint32_t has_source(const struct aplic *a, uint32_t domain, uint32_t source)
{
	if (!source || source > a->sources)
		return 0;
	return domain == APLIC_ROOT || (a->domain[APLIC_ROOT].source[source] & SOURCECFG_D);
}

/* Delegated away, or Inactive: no bits, no target. */
uint32_t source_active(const struct aplic_domain *d, uint32_t source)
{
	return !(d->source[source] & SOURCECFG_D) && (d->source[source] & SOURCECFG_SM);
}

uint32_t source_is_level(const struct aplic_domain *d, uint32_t source)
{
	return source_active(d, source) && (d->source[source] & SOURCECFG_SM) >= SM_LEVEL1;
}

static uint32_t source_is_edge(const struct aplic_domain *d, uint32_t source)
{
	uint32_t mode = d->source[source] & SOURCECFG_SM;

	return source_active(d, source) && (mode == SM_EDGE1 || mode == SM_EDGE0);
}

/* "Source configurations": the rectified input value; modes 5 and 7 are inverted. */
uint32_t source_rectified(const struct aplic *a, const struct aplic_domain *d, uint32_t source)
{
	if (!source_is_level(d, source) && !source_is_edge(d, source))
		return 0;
	return mt_bitmap_test(a->wire, source) ^ (d->source[source] & 1u);
}

/* --- Delivery --- */

/* "Top interrupt (topi)": the lowest priority number, then the lowest source; as topi shows it. */
uint32_t aplic_top(const struct aplic *a, const struct aplic_domain *d, uint32_t hart)
{
	uint32_t floor = d->idc[hart].threshold ? d->idc[hart].threshold : 256, best = 0;

	for (uint32_t w = 0; w < a->words; w++) {
		for (uint32_t ready = d->pending[w] & d->enabled[w]; ready; ready &= ready - 1) {
			uint32_t source = w * 32 + mt_ctz64(ready), priority = d->target[source] & TARGET_IPRIO;

			if (d->target[source] >> TARGET_HART_SHIFT == hart && priority < floor) {
				floor = priority;
				best = source << 16 | priority;
			}
		}
	}
	return best;
}

static uint32_t output_level(const struct aplic *a, const struct aplic_domain *d, uint32_t hart)
{
	const struct aplic_idc *idc = &d->idc[hart];

	return d->on && idc->delivery && (idc->force || aplic_top(a, d, hart));
}

void aplic_redrive(struct aplic *a)
{
	for (uint32_t i = 0; i < a->domain_count; i++) {
		struct aplic_domain *d = &a->domain[i];

		for (uint32_t hart = 0; !d->msi && hart < a->harts; hart++) {
			d->idc[hart].level = (uint8_t)output_level(a, d, hart);
			if (a->output)
				a->output(a->arg, i, hart, d->idc[hart].level);
		}
	}
}

void aplic_update_hart(struct aplic *a, struct aplic_domain *d, uint32_t hart)
{
	uint32_t level;

	if (d->msi || hart >= a->harts)
		return;
	level = output_level(a, d, hart);
	if (level == d->idc[hart].level)
		return;
	d->idc[hart].level = (uint8_t)level;
	if (a->output)
		a->output(a->arg, (uint32_t)(d - a->domain), hart, level);
}

/* "Interrupt forwarding by MSIs": sent once, which clears the pending bit. */
static void forward(struct aplic *a, struct aplic_domain *d, uint32_t source)
{
	if (!d->on || !mt_bitmap_test(d->pending, source) || !mt_bitmap_test(d->enabled, source))
		return;
	mt_bitmap_assign(d->pending, source, 0);
	aplic_send(a, d, d->target[source]);
}

void aplic_send(struct aplic *a, const struct aplic_domain *d, uint32_t target)
{
	uint32_t hart = target >> TARGET_HART_SHIFT;

	if (hart < a->harts && a->message)
		a->message(a->arg, (uint32_t)(d - a->domain), hart, target & TARGET_EIID);
}

void source_update(struct aplic *a, struct aplic_domain *d, uint32_t source)
{
	if (d->msi)
		forward(a, d, source);
	else
		aplic_update_hart(a, d, d->target[source] >> TARGET_HART_SHIFT);
}

/* --- Pending bits, "Precise effects on interrupt-pending bits" --- */

void source_pend(struct aplic *a, struct aplic_domain *d, uint32_t source)
{
	if (!source_active(d, source))
		return;
	/* a level cannot be set while it is low; in direct delivery the bit is the level itself */
	if (source_is_level(d, source) && (!d->msi || !source_rectified(a, d, source)))
		return;
	mt_bitmap_assign(d->pending, source, 1);
	source_update(a, d, source);
}

void source_unpend(struct aplic *a, struct aplic_domain *d, uint32_t source)
{
	if (!source_active(d, source) || (source_is_level(d, source) && !d->msi))
		return;
	mt_bitmap_assign(d->pending, source, 0);
	source_update(a, d, source);
}

/* The wire or the mode changed. `before`: the rectified value that was. */
static void source_sense(struct aplic *a, struct aplic_domain *d, uint32_t source, uint32_t before)
{
	uint32_t now = source_rectified(a, d, source);

	if (source_is_level(d, source) && (!d->msi || !now))
		mt_bitmap_assign(d->pending, source, now);
	else if (now && !before)
		mt_bitmap_assign(d->pending, source, 1);
	source_update(a, d, source);
}

void aplic_input(struct aplic *a, uint32_t source, uint32_t level)
{
	uint32_t before[APLIC_DOMAINS];

	if (!source || source > a->sources)
		return;
	for (uint32_t i = 0; i < a->domain_count; i++)
		before[i] = source_rectified(a, &a->domain[i], source);
	mt_bitmap_assign(a->wire, source, level != 0);
	for (uint32_t i = 0; i < a->domain_count; i++)
		if (source_active(&a->domain[i], source))
			source_sense(a, &a->domain[i], source, before[i]);
}

/* --- Source configuration --- */

static void source_clear(struct aplic *a, struct aplic_domain *d, uint32_t source)
{
	uint32_t hart = d->target[source] >> TARGET_HART_SHIFT;

	mt_bitmap_assign(d->pending, source, 0);
	mt_bitmap_assign(d->enabled, source, 0);
	d->target[source] = 0;
	aplic_update_hart(a, d, hart);
}

/* WARL for the mode, WLRL for the child's index, of which there is one. */
uint16_t source_legal(const struct aplic *a, uint32_t domain, uint32_t value)
{
	uint32_t mode = value & SOURCECFG_SM;

	if (value & SOURCECFG_D)
		return domain == APLIC_ROOT && a->domain_count > 1 ? SOURCECFG_D : 0;
	return mode == 2 || mode == 3 ? 0 : (uint16_t)mode;
}

void source_configure(struct aplic *a, uint32_t domain, uint32_t source, uint32_t value)
{
	struct aplic_domain *d = &a->domain[domain], *child = &a->domain[APLIC_CHILD];
	uint32_t was_active = source_active(d, source), rectified = source_rectified(a, d, source);
	uint32_t was_level = source_is_level(d, source);

	d->source[source] = source_legal(a, domain, value);
	if (domain == APLIC_ROOT && a->domain_count > 1 && !(d->source[source] & SOURCECFG_D)) {
		child->source[source] = 0;
		source_clear(a, child, source);
	}
	if (!source_active(d, source)) {
		source_clear(a, d, source);
		return;
	}
	if (!was_active && !d->msi)
		d->target[source] = 1;   /* priority 0 is not allowed */
	/* a level that is high already counts as having risen, so that it is not lost; an edge has passed */
	if (source_is_level(d, source) && !was_level)
		rectified = 0;
	else if (source_is_edge(d, source))
		rectified = 1;
	source_sense(a, d, source, rectified);
}

void aplic_reset(struct aplic *a)
{
	for (uint32_t i = a->domain_count; i-- > 0;) {
		struct aplic_domain *d = &a->domain[i];

		d->on = d->genmsi = 0;
		memset(d->source, 0, sizeof(d->source));
		memset(d->target, 0, sizeof(d->target));
		memset(d->pending, 0, sizeof(d->pending));
		memset(d->enabled, 0, sizeof(d->enabled));
		for (uint32_t hart = 0; hart < a->harts; hart++) {
			d->idc[hart].delivery = d->idc[hart].force = d->idc[hart].threshold = 0;
			aplic_update_hart(a, d, hart);
		}
	}
}
