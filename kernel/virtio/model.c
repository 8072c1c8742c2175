/* SPDX-License-Identifier: MIT */
/* Guest memory and a driver for tests of rings; see model.h. */
#include "kernel/virtio/model.h"

#include <stdlib.h>
#include <string.h>

static const struct mt_flat_view *model_get(void *arg)
{
	struct model *m = arg;

	if (m->out_of_reach)
		return NULL;
	m->held++;
	return &m->view;
}

static void model_put(void *arg, const struct mt_flat_view *view)
{
	struct model *m = arg;

	(void)view;
	if (--m->held < 0)
		abort();
}

static struct model *dirty_to;

static void model_dirty(struct mt_ram *ram, uint64_t ram_offset, uint64_t len_bytes)
{
	if (ram_offset > ram->len_bytes || len_bytes > ram->len_bytes - ram_offset || ram->flags)
		abort();
	dirty_to->dirty_bytes += len_bytes;
}

static void range_set(struct model *m, uint32_t i, uint64_t gpa, uint32_t kind, uint8_t *hva)
{
	m->ram[i % 3] = (struct mt_ram){ .size = sizeof(m->ram[0]), .id = i, .hva = hva, .len_bytes = MODEL_BYTES,
					 .flags = kind == MT_FLAT_ROM ? MT_RAM_READONLY : 0 };
	m->ranges[i] = (struct mt_flat_range){ .gpa = gpa, .len_bytes = MODEL_BYTES, .kind = kind,
					       .ram = &m->ram[i], .hva = hva };
}

void model_init(struct model *m, uint32_t size, bool event_idx)
{
	memset(m, 0, sizeof(*m));
	dirty_to = m;
	/* separate allocations, so that a sanitizer sees a step over the end of a block */
	m->block[0] = aligned_alloc(4096, MODEL_BYTES);
	m->block[1] = aligned_alloc(4096, MODEL_BYTES);
	m->rom = aligned_alloc(4096, MODEL_BYTES);
	memset(m->block[0], 0, MODEL_BYTES);
	memset(m->block[1], 0, MODEL_BYTES);
	memset(m->rom, 0, MODEL_BYTES);
	range_set(m, 0, MODEL_BASE, MT_FLAT_RAM, m->block[0]);
	range_set(m, 1, MODEL_SECOND, MT_FLAT_RAM, m->block[1]);
	range_set(m, 2, MODEL_ROM, MT_FLAT_ROM, m->rom);
	m->view = (struct mt_flat_view){ .generation = 1, .count = 3, .stride = sizeof(m->ranges[0]),
					 .ranges = m->ranges };
	m->mem = (struct vmem){ model_get, model_put, model_dirty, m };
	m->size = size;
	m->event_idx = event_idx;
	m->desc = MODEL_BASE;
	m->avail = MODEL_BASE + 0x10000;
	m->used = MODEL_BASE + 0x20000;
}

void model_fini(struct model *m)
{
	free(m->block[0]);
	free(m->block[1]);
	free(m->rom);
}

void *model_at(struct model *m, uint64_t gpa)
{
	if (gpa >= MODEL_BASE && gpa < MODEL_SECOND)
		return m->block[0] + (gpa - MODEL_BASE);
	if (gpa >= MODEL_SECOND && gpa < MODEL_HOLE)
		return m->block[1] + (gpa - MODEL_SECOND);
	abort();
}

void model_remap(struct model *m)
{
	m->view.generation++;
}

struct vring_config model_config(const struct model *m)
{
	return (struct vring_config){ .size = m->size, .desc = m->desc, .driver = m->avail, .device = m->used,
				      .event_idx = m->event_idx, .indirect = true };
}

static void put_desc(uint8_t *at, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	memcpy(at, &gpa, 8);
	memcpy(at + 8, &len, 4);
	memcpy(at + 12, &flags, 2);
	memcpy(at + 14, &next, 2);
}

void model_desc(struct model *m, uint16_t index, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	put_desc(model_at(m, m->desc + 16ull * index), gpa, len, flags, next);
}

void model_chain(struct model *m, uint16_t head, const struct model_buf *bufs, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint16_t flags = (uint16_t)((bufs[i].write ? 2 : 0) | (i + 1 < count ? 1 : 0));

		model_desc(m, (uint16_t)(head + i), bufs[i].gpa, bufs[i].len, flags, (uint16_t)(head + i + 1));
	}
}

void model_indirect(struct model *m, uint16_t head, uint64_t table, const struct model_buf *bufs, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint16_t flags = (uint16_t)((bufs[i].write ? 2 : 0) | (i + 1 < count ? 1 : 0));
		uint8_t desc[16];

		put_desc(desc, bufs[i].gpa, bufs[i].len, flags, (uint16_t)(i + 1));
		for (uint32_t b = 0; b < 16; b++)      /* the table may lie across two blocks */
			*(uint8_t *)model_at(m, table + 16ull * i + b) = desc[b];
	}
	model_desc(m, head, table, 16 * count, 4, 0);
}

static uint16_t *word(struct model *m, uint64_t gpa)
{
	return model_at(m, gpa);
}

void model_offer(struct model *m, uint16_t head)
{
	*word(m, m->avail + 4 + 2ull * (m->next_avail & (m->size - 1))) = head;
	*word(m, m->avail + 2) = ++m->next_avail;
}

bool model_take(struct model *m, uint32_t *head, uint32_t *written)
{
	uint32_t *entry = model_at(m, m->used + 4 + 8ull * (m->seen_used & (m->size - 1)));

	if (*word(m, m->used + 2) == m->seen_used)
		return false;
	m->seen_used++;
	*head = entry[0];
	*written = entry[1];
	return true;
}

uint16_t model_avail_event(struct model *m)
{
	return *word(m, m->used + 4 + 8ull * m->size);
}

void model_set_used_event(struct model *m, uint16_t event)
{
	*word(m, m->avail + 4 + 2ull * m->size) = event;
}

void model_set_no_interrupt(struct model *m, bool no)
{
	*word(m, m->avail) = no;
}

uint64_t model_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}
