/* SPDX-License-Identifier: MIT */
/* A driver of a packed ring for tests; see model-packed.h. */
#include "kernel/virtio/model-packed.h"

#include <string.h>

#define F_NEXT 1u
#define F_WRITE 2u
#define F_INDIRECT 4u
#define F_AVAIL 0x80u
#define F_USED 0x8000u

void packed_init(struct packed_model *p, struct model *m, uint32_t size, bool event_idx)
{
	*p = (struct packed_model){ .m = m, .size = size, .event_idx = event_idx, .avail_wrap = true,
				    .used_wrap = true, .free_slots = size };
	memset(model_at(m, m->desc), 0, (size_t)size * VRING_DESC_BYTES);
	memset(model_at(m, m->avail), 0, 4);
	memset(model_at(m, m->used), 0, 4);
}

struct vring_config packed_config(const struct packed_model *p)
{
	return (struct vring_config){ .size = p->size, .desc = p->m->desc, .driver = p->m->avail,
				      .device = p->m->used, .event_idx = p->event_idx, .indirect = true,
				      .packed = true };
}

static void put_desc(uint8_t *at, uint64_t gpa, uint32_t len, uint16_t id, uint16_t flags)
{
	memcpy(at, &gpa, 8);
	memcpy(at + 8, &len, 4);
	memcpy(at + 12, &id, 2);
	memcpy(at + 14, &flags, 2);
}

void packed_desc(struct packed_model *p, uint32_t index, uint64_t gpa, uint32_t len, uint16_t id, uint16_t flags)
{
	put_desc(model_at(p->m, p->m->desc + (uint64_t)index * VRING_DESC_BYTES), gpa, len, id, flags);
}

static uint16_t bits(bool wrap, bool used)
{
	return (uint16_t)((wrap ? F_AVAIL : 0) | (wrap == used ? F_USED : 0));
}

uint16_t packed_avail_bits(const struct packed_model *p)
{
	return bits(p->avail_wrap, false);
}

static void step(const struct packed_model *p, uint32_t *index, bool *wrap, uint32_t count)
{
	*index += count;
	if (*index >= p->size) {
		*index -= p->size;
		*wrap = !*wrap;
	}
}

static void put_table(struct packed_model *p, uint64_t table, const struct model_buf *bufs, uint32_t count)
{
	uint8_t desc[VRING_DESC_BYTES];

	for (uint32_t i = 0; i < count; i++) {
		/* next, id and the ring's bits mean nothing here */
		put_desc(desc, bufs[i].gpa, bufs[i].len, (uint16_t)(i * 77), bufs[i].write ? F_WRITE : 0);
		for (uint32_t b = 0; b < sizeof(desc); b++)
			*(uint8_t *)model_at(p->m, table + VRING_DESC_BYTES * (uint64_t)i + b) = desc[b];
	}
}

bool packed_offer(struct packed_model *p, uint16_t id, const struct model_buf *bufs, uint32_t count, uint64_t table)
{
	const struct model_buf indirect = { table, VRING_DESC_BYTES * count, false };

	if (p->slots[id] || (table ? 1 : count) > p->free_slots)
		return false;
	if (table) {
		put_table(p, table, bufs, count);
		bufs = &indirect;
		count = 1;
	}
	p->slots[id] = count;
	p->free_slots -= count;
	p->added += count;
	for (uint32_t i = 0; i < count; i++) {
		uint16_t flags = (uint16_t)(bits(p->avail_wrap, false) | (bufs[i].write ? F_WRITE : 0) |
					    (i + 1 < count ? F_NEXT : 0) | (table ? F_INDIRECT : 0));

		/* the id counts in the last descriptor only */
		packed_desc(p, p->next_avail, bufs[i].gpa, bufs[i].len, i + 1 < count ? 0xdead : id, flags);
		step(p, &p->next_avail, &p->avail_wrap, 1);
	}
	return true;
}

bool packed_kick(struct packed_model *p)
{
	const uint16_t *event = model_at(p->m, p->m->used);
	uint32_t added = p->added;
	int64_t place = event[0] & 0x7fff;

	p->added = 0;
	if (!added || event[1] != 2)
		return added && event[1] == 0;
	if ((event[0] >> 15) != p->avail_wrap)
		place -= p->size;
	return place < p->next_avail && place >= (int64_t)p->next_avail - added;
}

bool packed_take(struct packed_model *p, uint32_t *id, uint32_t *written)
{
	const uint8_t *at = model_at(p->m, p->m->desc + (uint64_t)p->next_used * VRING_DESC_BYTES);
	uint16_t flags, id16;

	memcpy(&flags, at + 14, 2);
	if ((flags & (F_AVAIL | F_USED)) != bits(p->used_wrap, true))
		return false;
	memcpy(&id16, at + 12, 2);
	memcpy(written, at + 8, 4);
	*written = flags & F_WRITE ? *written : 0;
	*id = id16;
	if (id16 >= MODEL_RING_MAX || !p->slots[id16])
		return false;
	step(p, &p->next_used, &p->used_wrap, p->slots[id16]);
	p->free_slots += p->slots[id16];
	p->slots[id16] = 0;
	return true;
}

void packed_event(struct packed_model *p, uint32_t place, bool wrap, uint32_t flags)
{
	uint16_t event[2] = { (uint16_t)(place | (wrap ? 0x8000u : 0)), (uint16_t)flags };

	memcpy(model_at(p->m, p->m->avail), event, sizeof(event));
}

void packed_silence(struct packed_model *p)
{
	packed_event(p, 0, false, 1);
}

bool packed_listen(struct packed_model *p)
{
	const uint16_t *flags = model_at(p->m, p->m->desc + (uint64_t)p->next_used * VRING_DESC_BYTES + 14);

	packed_event(p, p->next_used, p->used_wrap, p->event_idx ? 2 : 0);
	return (*flags & (F_AVAIL | F_USED)) == bits(p->used_wrap, true);
}
