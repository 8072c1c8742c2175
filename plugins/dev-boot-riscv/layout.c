/* SPDX-License-Identifier: MIT */
/* Placement in RAM; see layout.h. Pure functions. The lengths come from files: no sum without a check. */
#include "layout.h"

#include <string.h>
#include <util/checked.h>
#include <util/error.h>
#include <util/minmax.h>

#define FOUR_GIB 0x100000000ull
#define HEADER_PAGE_MAX 0x10000u   /* the largest page that a linker aligns to */

typedef unsigned long long ull;

void layout_init(struct layout *l, uint64_t ram_gpa, uint64_t ram_bytes)
{
	memset(l, 0, sizeof(*l));
	l->ram_gpa = ram_gpa;
	l->ram_bytes = ram_bytes;
	l->firmware_end = ram_gpa;
}

static int claim(struct layout *l, const char *key, const char *path, uint64_t gpa, uint64_t len_bytes,
		 struct mt_error *err)
{
	if (gpa < l->ram_gpa || !mt_range_inside(gpa - l->ram_gpa, len_bytes, l->ram_bytes)) {
		mt_error_set(err, MT_ENOSPC, key, "%s: %llu bytes at 0x%llx do not fit into RAM, 0x%llx to 0x%llx", path,
			     (ull)len_bytes, (ull)gpa, (ull)l->ram_gpa, (ull)(l->ram_gpa + l->ram_bytes - 1));
		mt_error_hint(err, "give the first [memory] section more RAM or another address");
		return MT_ENOSPC;
	}
	for (uint32_t i = 0; i < l->claim_count; i++) {
		const struct layout_claim *c = &l->claims[i];

		if (!mt_ranges_overlap(c->gpa, c->len_bytes, gpa, len_bytes))
			continue;
		mt_error_set(err, MT_ENOSPC, key, "%s: %llu bytes at 0x%llx overlap the %s, %llu bytes at 0x%llx", path,
			     (ull)len_bytes, (ull)gpa, c->key, (ull)c->len_bytes, (ull)c->gpa);
		mt_error_hint(err, "give the first [memory] section more RAM, or use a smaller file");
		return MT_ENOSPC;
	}
	if (l->claim_count == LAYOUT_CLAIMS_MAX)
		return mt_error_set(err, MT_ENOSPC, key, "%s: too many parts to load", path);
	l->claims[l->claim_count++] = (struct layout_claim){ key, gpa, len_bytes };
	return 0;
}

void layout_cut_headers(const struct layout *l, struct image *image)
{
	for (uint32_t i = 0; i < image->segment_count; i++) {
		struct image_segment *s = &image->segments[i];
		uint64_t below = l->ram_gpa - s->gpa;

		if (s->file_offset || s->gpa >= l->ram_gpa || below > HEADER_PAGE_MAX || below >= s->file_bytes ||
		    (image->entry >= s->gpa && image->entry < l->ram_gpa))
			continue;
		*s = (struct image_segment){ below, s->file_bytes - below, l->ram_gpa, s->memory_bytes - below };
	}
}

static int claim_segments(struct layout *l, const struct image *image, const char *key, const char *path,
			  struct mt_error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < image->segment_count && !rc; i++)
		rc = claim(l, key, path, image->segments[i].gpa, image->segments[i].memory_bytes, err);
	return rc;
}

int layout_firmware(struct layout *l, const struct image *image, const char *key, const char *path, uint64_t *gpa,
		    uint64_t *entry, struct mt_error *err)
{
	int rc;

	*gpa = *entry = l->ram_gpa;
	if (image->kind != IMAGE_ELF) {
		rc = claim(l, key, path, *gpa, image->memory_bytes, err);
		l->firmware_end = rc ? l->ram_gpa : *gpa + image->memory_bytes;
		return rc;
	}
	*entry = image->entry;
	rc = claim_segments(l, image, key, path, err);
	for (uint32_t i = 0; i < image->segment_count && !rc; i++)
		l->firmware_end = mt_max_u64(l->firmware_end, image->segments[i].gpa + image->segments[i].memory_bytes);
	return rc;
}

/* Firmware keeps data behind its file: an Image never starts in the first 2 MiB. */
static uint64_t linux_gpa(const struct layout *l, uint64_t text_offset)
{
	uint64_t lowest = l->ram_gpa + LAYOUT_ALIGN;
	uint64_t above = (l->firmware_end + LAYOUT_ALIGN - 1) & ~(uint64_t)(LAYOUT_ALIGN - 1);

	return mt_max_u64(mt_max_u64(lowest, above), l->ram_gpa + text_offset);
}

int layout_kernel(struct layout *l, const struct image *image, const char *path, uint64_t *gpa, uint64_t *entry,
		  struct mt_error *err)
{
	if (image->kind == IMAGE_FLAT) {
		mt_error_set(err, MT_EINVAL, "kernel", "%s: neither a RISC-V Linux Image nor an ELF file", path);
		mt_error_hint(err, "an Image has the letters RSC at offset 56; is it built for riscv64?");
		return MT_EINVAL;
	}
	if (image->kind == IMAGE_ELF) {
		*gpa = 0;
		*entry = image->entry;
		return claim_segments(l, image, "kernel", path, err);
	}
	*gpa = *entry = linux_gpa(l, image->text_offset);
	return claim(l, "kernel", path, *gpa, image->memory_bytes, err);
}

static uint64_t top(const struct layout *l)
{
	uint64_t end = l->ram_gpa + l->ram_bytes;

	return l->ram_gpa < FOUR_GIB ? mt_min_u64(end, FOUR_GIB) : end;
}

int layout_slot(struct layout *l, struct mt_error *err)
{
	uint64_t bytes = l->ram_bytes >= 32u << 20 ? 2u << 20 : l->ram_bytes >= 1u << 20 ? 256u << 10 : 64u << 10;

	l->slot_bytes = bytes;
	if (l->ram_bytes < bytes)
		return mt_error_set(err, MT_ENOSPC, "dtb", "%llu bytes of RAM have no room for the device tree",
				    (ull)l->ram_bytes);
	l->slot_gpa = mt_align_down_u64(top(l) - bytes, bytes);
	return claim(l, "dtb", "the device tree", l->slot_gpa, bytes, err);
}

uint64_t layout_tree_gpa(const struct layout *l)
{
	return l->slot_gpa + LAYOUT_INFO_BYTES;
}

/* Firmware adds nodes to the tree where it stands: a quarter of the slot is left for that. */
uint64_t layout_tree_room(const struct layout *l)
{
	return l->slot_bytes - l->slot_bytes / 4 - LAYOUT_INFO_BYTES;
}

int layout_initrd(struct layout *l, uint64_t len_bytes, const char *path, uint64_t *gpa, struct mt_error *err)
{
	if (len_bytes > l->slot_gpa - l->ram_gpa)
		return claim(l, "initrd", path, l->ram_gpa, len_bytes, err);
	*gpa = mt_align_down_u64(l->slot_gpa - len_bytes, 4096);
	return claim(l, "initrd", path, *gpa, len_bytes, err);
}
