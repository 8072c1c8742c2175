/* SPDX-License-Identifier: MIT */
/* Guest memory as a virtqueue sees it; see mem.h. */
#include "kernel/virtio/mem.h"

#include <glib.h>

struct vmem_hold *vmem_hold_create(const struct vmem *mem, const struct mt_flat_view *view)
{
	struct vmem_hold *hold = g_try_new0(struct vmem_hold, 1);

	if (!hold) {
		mem->put(mem->arg, view);
		return NULL;
	}
	hold->view = view;
	hold->refs = 1;
	return hold;
}

void vmem_hold_put(const struct vmem *mem, struct vmem_hold *hold)
{
	if (!hold || --hold->refs > 0)
		return;
	mem->put(mem->arg, hold->view);
	g_free(hold);
}

static const struct mt_flat_range *range_at(const struct mt_flat_view *view, uint32_t index)
{
	return (const struct mt_flat_range *)((const uint8_t *)view->ranges + (size_t)index * view->stride);
}

static inline bool range_has(const struct mt_flat_range *range, uint64_t gpa)
{
	return gpa >= range->gpa && gpa - range->gpa < range->len_bytes;
}

static const struct mt_flat_range *range_find(struct vmem_hold *hold, uint64_t gpa)
{
	uint32_t low = 0, high = hold->view->count;

	if (hold->last && range_has(hold->last, gpa))
		return hold->last;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct mt_flat_range *range = range_at(hold->view, mid);

		if (range_has(range, gpa))
			return hold->last = range;
		if (gpa < range->gpa)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

uint64_t vmem_piece(struct vmem_hold *hold, uint64_t gpa, uint64_t len_bytes, bool write, struct mt_iov *piece)
{
	const struct mt_flat_range *range = range_find(hold, gpa);
	uint64_t at;

	if (!range || range->kind == MT_FLAT_IO || (write && range->kind != MT_FLAT_RAM))
		return 0;
	at = gpa - range->gpa;
	if (len_bytes > range->len_bytes - at)
		len_bytes = range->len_bytes - at;
	*piece = (struct mt_iov){ .hva = range->hva + at, .len_bytes = len_bytes, .ram = range->ram,
				  .ram_offset = range->ram_offset + at };
	return len_bytes;
}

uint64_t vmem_gpa(const struct vmem_hold *hold, const struct mt_iov *piece)
{
	for (uint32_t i = 0; i < hold->view->count; i++) {
		const struct mt_flat_range *range = range_at(hold->view, i);

		if (range->kind != MT_FLAT_IO && range->ram == piece->ram && piece->ram_offset >= range->ram_offset &&
		    piece->ram_offset - range->ram_offset < range->len_bytes)
			return range->gpa + (piece->ram_offset - range->ram_offset);
	}
	return UINT64_MAX;             /* cannot be: pieces come from ranges of the view */
}
