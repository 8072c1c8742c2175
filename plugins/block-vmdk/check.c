/* SPDX-License-Identifier: MIT */
/* Looking over the tables of an extent: entries inside of the file, no two alike, table and copy the same. [main]. */
#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/minmax.h>

#include "vmdk.h"

struct look {
	const struct vmdk_extent *x;
	const struct vmdk_pages *pages;
	struct vmdk_report *out;
	uint64_t file_bytes;
	uint8_t *used;                       /* a bit for each grain's length of the file */
};

static void look_at_grain(struct look *l, uint32_t entry)
{
	const struct vmdk_sparse *s = &l->x->sparse;
	uint64_t at = (uint64_t)entry * VMDK_SECTOR, slot = at / s->grain_bytes;

	l->out->total++;
	if (!entry || (entry == VMDK_GTE_ZERO && s->zero_grains))
		return;
	l->out->allocated++;
	l->out->encoded += s->compressed;
	if (at >= l->file_bytes) {
		l->out->outside++;
		return;
	}
	if (s->compressed || at % s->grain_bytes)
		return;                        /* packed: the bitmap would not tell */
	l->out->doubled += l->used[slot / 8] >> slot % 8 & 1;
	l->used[slot / 8] |= (uint8_t)(1u << slot % 8);
}

/* The entries of one page, and their copies. How many grains it was. */
static uint64_t look_at_page(struct look *l, uint64_t grain, uint64_t left)
{
	uint64_t second, at = sparse_entry_at(&l->x->sparse, grain, &second), from = at % VMDK_PAGE;
	uint64_t n = mt_min_u64(left, (VMDK_PAGE - from) / 4), table = l->x->sparse.table_entries;
	uint8_t *data, *copy;
	void *page, *copy_page;

	if (!at) {
		n = mt_min_u64(left, table - grain % table);
		l->out->total += n;
		return n;
	}
	if (l->pages->get(l->pages->arg, l->x->child, at - from, &page, &data) < 0) {
		l->out->unread += n;
		return n;
	}
	for (uint64_t i = 0; i < n; i++)
		look_at_grain(l, mt_get_le32(data + from + 4 * i));
	if (second && second % VMDK_PAGE == from &&
	    l->pages->get(l->pages->arg, l->x->child, second - from, &copy_page, &copy) == 0) {
		l->out->differing += memcmp(data + from, copy + from, 4 * n) != 0;
		l->pages->put(l->pages->arg, l->x->child, copy_page);
	}
	l->pages->put(l->pages->arg, l->x->child, page);
	return n;
}

int vmdk_check(const struct vmdk_extent *x, const struct vmdk_pages *pages, uint64_t file_bytes,
	       struct vmdk_report *out)
{
	struct look l = { .x = x, .pages = pages, .out = out, .file_bytes = file_bytes };
	uint64_t grains;

	if (x->kind != VMDK_SPARSE && x->kind != VMDK_COWD)
		return 0;
	/* entries have 32 bits of sectors; what a file has beyond them no entry reaches */
	l.used = calloc(1, mt_min_u64(file_bytes, (uint64_t)UINT32_MAX * VMDK_SECTOR) / x->sparse.grain_bytes / 8 + 1);
	if (!l.used)
		return MT_ENOMEM;
	grains = (x->len_bytes + x->sparse.grain_bytes - 1) / x->sparse.grain_bytes;
	for (uint64_t grain = 0; grain < grains;)
		grain += look_at_page(&l, grain, grains - grain);
	free(l.used);
	return 0;
}
