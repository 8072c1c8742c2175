/* SPDX-License-Identifier: MIT */
/*
 * Saved state of a PLIC: schema "riscv-plic". Bitmaps have the words that their sources need; the outputs follow from
 * the rest. Called under the chip's lock.
 */
#include <mortise/error.h>
#include <stdlib.h>
#include <string.h>

#include "plic.h"

void plic_save(const struct plic *p, struct mt_state_out *out, const struct mt_state_writer *w)
{
	w->put(out, "priority", MT_STATE_U8, 0, p->priority, p->sources + 1);
	w->put(out, "level", MT_STATE_U32, 0, p->level, p->words);
	w->put(out, "pending", MT_STATE_U32, 0, p->pending, p->words);
	w->put(out, "in-service", MT_STATE_U32, 0, p->in_service, p->words);
	for (uint32_t i = 0; i < p->context_count; i++) {
		w->begin(out, "context", 0);
		w->put(out, "enable", MT_STATE_U32, 0, p->contexts[i].enable, p->words);
		w->put(out, "threshold", MT_STATE_U32, 0, &p->contexts[i].threshold, 1);
		w->end(out);
	}
}

static int bitmap_load(const struct plic *p, const char *name, uint32_t *bitmap, struct mt_state_in *in,
		       const struct mt_state_reader *r)
{
	int code = r->get(in, name, MT_STATE_U32, bitmap, p->words);

	for (uint32_t i = 0; !code && i < p->words; i++)
		if (bitmap[i] & ~plic_word_mask(p, i))
			return r->refuse(in, name, "has bits of sources that are not there");
	return code;
}

static int sources_load(struct plic *p, struct mt_state_in *in, const struct mt_state_reader *r)
{
	int code = r->get(in, "priority", MT_STATE_U8, p->priority, p->sources + 1);

	for (uint32_t i = 0; !code && i <= p->sources; i++)
		if (p->priority[i] > (i ? PLIC_PRIORITY_MAX : 0))
			return r->refuse(in, "priority", "is higher than the highest");
	if (!code)
		code = bitmap_load(p, "level", p->level, in, r);
	if (!code)
		code = bitmap_load(p, "pending", p->pending, in, r);
	return code ? code : bitmap_load(p, "in-service", p->in_service, in, r);
}

static int context_load(const struct plic *p, struct plic_context *c, struct mt_state_in *in,
			const struct mt_state_reader *r)
{
	int code = bitmap_load(p, "enable", c->enable, in, r);

	if (!code)
		code = r->get(in, "threshold", MT_STATE_U32, &c->threshold, 1);
	return code || c->threshold <= PLIC_PRIORITY_MAX ? code :
	       r->refuse(in, "threshold", "is higher than the highest priority");
}

static int contexts_load(struct plic *p, struct mt_state_in *in, const struct mt_state_reader *r)
{
	uint32_t type = 0, count = 0;
	int code = 0;

	r->find(in, "context", &type, &count);
	if (count != p->context_count)
		return r->refuse(in, "context", "is there in another number than the machine has");
	for (uint32_t i = 0; !code && i < count; i++) {
		code = r->begin(in, "context", i);
		if (code)
			return code;
		code = context_load(p, &p->contexts[i], in, r);
		r->end(in);
	}
	return code;
}

int plic_load(struct plic *p, struct mt_state_in *in, const struct mt_state_reader *r)
{
	struct plic loaded = *p;
	int code;

	loaded.contexts = calloc(p->context_count + 1, sizeof(*loaded.contexts));
	if (!loaded.contexts)
		return MT_ENOMEM;
	code = sources_load(&loaded, in, r);
	if (!code)
		code = contexts_load(&loaded, in, r);
	if (!code) {
		memcpy(p->contexts, loaded.contexts, p->context_count * sizeof(*p->contexts));
		free(loaded.contexts);
		loaded.contexts = p->contexts;
		*p = loaded;
		return 0;
	}
	free(loaded.contexts);
	return code;
}
