/* SPDX-License-Identifier: MIT */
/* Saved state of a ring of bytes: what is in it, from the head on, as one field of bytes. Under the owner's lock. */
#ifndef MTSDK_FIFO_STATE_H
#define MTSDK_FIFO_STATE_H

#include <lib/fifo.h>
#include <mortise/draft/state.h>

/* Puts the contents to the start of the storage, which changes nothing that anybody sees. */
static inline void mt_fifo_straighten(struct mt_fifo *f)
{
	uint8_t byte;

	while (f->head) {
		/* one step round the ring: the free bytes go along */
		byte = f->data[0];
		for (uint32_t i = 1; i < f->size_bytes; i++)
			f->data[i - 1] = f->data[i];
		f->data[f->size_bytes - 1] = byte;
		f->head--;
	}
}

static inline void mt_fifo_save(struct mt_state_out *out, const struct mt_state_writer *w, const char *name,
				struct mt_fifo *f)
{
	mt_fifo_straighten(f);
	w->put(out, name, MT_STATE_BYTES, 0, f->data, f->count);
}

/* Refuses more than fits. */
static inline int mt_fifo_load(struct mt_state_in *in, const struct mt_state_reader *r, const char *name,
			       struct mt_fifo *f)
{
	uint32_t type = 0, count = 0;
	int code;

	if (r->find(in, name, &type, &count) == 0 && count > f->size_bytes)
		return r->refuse(in, name, "has more bytes than the FIFO");
	code = r->get(in, name, MT_STATE_BYTES, f->data, count);
	if (code)
		return code;
	f->head = 0;
	f->count = count;
	return 0;
}

#endif
