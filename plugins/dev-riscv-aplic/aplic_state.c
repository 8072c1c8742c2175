/* SPDX-License-Identifier: MIT */
/*
 * Saved state of an APLIC: schema "riscv-aplic". Arrays have as many elements as there are sources (with 0) or harts;
 * the outputs follow from the rest. What is loaded must be what registers and wires can have come to: a source has bits
 * and a target in the domain where it is active, and nowhere else. Called under the chip's lock.
 */
#include <stdlib.h>
#include <string.h>
#include <util/state.h>

#include "aplic_source.h"

static const struct mt_state_field domain_fields[] = {
	MT_STATE_VAR(struct aplic_domain, msi, 1),
	MT_STATE_VAR(struct aplic_domain, on, 1),
	MT_STATE_VAR(struct aplic_domain, genmsi, UINT32_MAX),
};
static const struct mt_state_table domain_table = MT_STATE_TABLE(struct aplic_domain, domain_fields);

static const struct mt_state_field idc_fields[] = {
	MT_STATE_VAR(struct aplic_idc, delivery, 1),
	MT_STATE_VAR(struct aplic_idc, force, 1),
	MT_STATE_VAR(struct aplic_idc, threshold, UINT8_MAX),
};
static const struct mt_state_table idc_table = MT_STATE_TABLE(struct aplic_idc, idc_fields);

/* --- save --- */

static void domain_save(const struct aplic *a, const struct aplic_domain *d, struct mt_state_out *out,
			const struct mt_state_writer *w)
{
	mt_state_save(out, w, &domain_table, d);
	w->put(out, "source", MT_STATE_U16, 0, d->source, a->sources + 1);
	w->put(out, "target", MT_STATE_U32, 0, d->target, a->sources + 1);
	w->put(out, "pending", MT_STATE_U32, 0, d->pending, a->words);
	w->put(out, "enabled", MT_STATE_U32, 0, d->enabled, a->words);
	for (uint32_t hart = 0; !d->msi && hart < a->harts; hart++) {
		w->begin(out, "idc", 0);
		mt_state_save(out, w, &idc_table, &d->idc[hart]);
		w->end(out);
	}
}

void aplic_save(const struct aplic *a, struct mt_state_out *out, const struct mt_state_writer *w)
{
	w->put(out, "wire", MT_STATE_U32, 0, a->wire, a->words);
	for (uint32_t i = 0; i < a->domain_count; i++) {
		w->begin(out, "domain", 0);
		domain_save(a, &a->domain[i], out, w);
		w->end(out);
	}
}

/* --- load --- */

static int groups_want(const char *name, uint32_t wanted, struct mt_state_in *in, const struct mt_state_reader *r)
{
	uint32_t type = 0, count = 0;

	r->find(in, name, &type, &count);
	return count == wanted ? 0 : r->refuse(in, name, "is there in another number than the machine has");
}

static int bitmap_load(const struct aplic *a, const char *name, uint32_t *bitmap, struct mt_state_in *in,
		       const struct mt_state_reader *r)
{
	int code = r->get(in, name, MT_STATE_U32, bitmap, a->words);
	uint32_t last = a->sources % 32;

	if (code)
		return code;
	if ((bitmap[0] & 1) || (last < 31 && bitmap[a->words - 1] >> (last + 1)))
		return r->refuse(in, name, "has bits of sources that are not there");
	return 0;
}

/* The mode, the target and the bits of one source of a domain. NULL, or which field cannot be. */
static const char *source_wrong(const struct aplic *a, uint32_t domain, uint32_t source)
{
	const struct aplic_domain *d = &a->domain[domain];
	uint32_t low = d->target[source] & ((1u << TARGET_HART_SHIFT) - 1), value = d->source[source];

	if (value != source_legal(a, domain, value) || (value && !has_source(a, domain, source)))
		return "source";
	if (!source_active(d, source)) {
		if (mt_bitmap_test(d->pending, source))
			return "pending";
		if (mt_bitmap_test(d->enabled, source))
			return "enabled";
		return d->target[source] ? "target" : NULL;
	}
	if (d->msi ? low & ~TARGET_EIID : !low || low & ~TARGET_IPRIO)
		return "target";
	if (!source_is_level(d, source))
		return NULL;
	/* a level's bit is the level itself, or, where it goes away with the message, at most that */
	if (mt_bitmap_test(d->pending, source) > source_rectified(a, d, source) ||
	    (!d->msi && mt_bitmap_test(d->pending, source) < source_rectified(a, d, source)))
		return "pending";
	return NULL;
}

static int idc_load(const struct aplic *a, struct aplic_domain *d, struct mt_state_in *in,
		    const struct mt_state_reader *r)
{
	uint32_t count = d->msi ? 0 : a->harts;
	int code = groups_want("idc", count, in, r);

	for (uint32_t hart = 0; !code && hart < count; hart++) {
		code = r->begin(in, "idc", hart);
		if (code)
			return code;
		code = mt_state_load(in, r, &idc_table, 1, &d->idc[hart]);
		r->end(in);
	}
	return code;
}

static int domain_load(struct aplic *a, uint32_t domain, struct mt_state_in *in, const struct mt_state_reader *r)
{
	struct aplic_domain *d = &a->domain[domain];
	uint32_t msi = d->msi;
	int code = mt_state_load(in, r, &domain_table, 1, d);

	if (!code && d->msi != msi)
		return r->refuse(in, "msi", "is another way of delivery than this machine has");
	if (!code && (d->genmsi & (msi ? ~genmsi_legal(d->genmsi) : UINT32_MAX)))
		return r->refuse(in, "genmsi", "has bits that the register does not have");
	if (!code)
		code = r->get(in, "source", MT_STATE_U16, d->source, a->sources + 1);
	if (!code)
		code = r->get(in, "target", MT_STATE_U32, d->target, a->sources + 1);
	if (!code)
		code = bitmap_load(a, "pending", d->pending, in, r);
	if (!code)
		code = bitmap_load(a, "enabled", d->enabled, in, r);
	if (!code && (d->source[0] || d->target[0]))
		return r->refuse(in, "source", "has a source 0");
	for (uint32_t source = 1; !code && source <= a->sources; source++) {
		const char *wrong = source_wrong(a, domain, source);

		if (wrong)
			return r->refuse(in, wrong, "has a source in a state that it cannot come to");
	}
	return code ? code : idc_load(a, d, in, r);
}

static int domains_load(struct aplic *a, struct mt_state_in *in, const struct mt_state_reader *r)
{
	int code = bitmap_load(a, "wire", a->wire, in, r);

	if (!code)
		code = groups_want("domain", a->domain_count, in, r);
	for (uint32_t i = 0; !code && i < a->domain_count; i++) {
		code = r->begin(in, "domain", i);
		if (code)
			return code;
		code = domain_load(a, i, in, r);
		r->end(in);
	}
	return code;
}

int aplic_load(struct aplic *a, struct mt_state_in *in, const struct mt_state_reader *r)
{
	struct aplic *loaded = malloc(sizeof(*loaded));
	struct aplic_idc *idc = calloc((size_t)APLIC_DOMAINS * a->harts + 1, sizeof(*idc));
	int code = loaded && idc ? 0 : MT_ENOMEM;

	if (!code) {
		*loaded = *a;
		for (uint32_t i = 0; i < a->domain_count; i++)
			loaded->domain[i].idc = &idc[i * a->harts];
		code = domains_load(loaded, in, r);
	}
	if (!code) {
		for (uint32_t i = 0; i < a->domain_count; i++) {
			memcpy(a->domain[i].idc, loaded->domain[i].idc, a->harts * sizeof(*idc));
			loaded->domain[i].idc = a->domain[i].idc;
		}
		*a = *loaded;
	}
	free(idc);
	free(loaded);
	return code;
}
