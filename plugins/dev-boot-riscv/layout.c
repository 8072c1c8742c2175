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
	mt_boot_plan_init(&l->plan, ram_gpa, ram_bytes);
	l->firmware_end = ram_gpa;
}

void layout_cut_headers(const struct layout *l, struct image *image)
{
	for (uint32_t i = 0; i < image->segment_count; i++) {
		struct image_segment *s = &image->segments[i];
		uint64_t below = l->plan.ram_gpa - s->gpa;

		if (s->file_offset || s->gpa >= l->plan.ram_gpa || below > HEADER_PAGE_MAX || below >= s->file_bytes ||
		    (image->entry >= s->gpa && image->entry < l->plan.ram_gpa))
			continue;
		*s = (struct image_segment){ below, s->file_bytes - below, l->plan.ram_gpa, s->memory_bytes - below };
	}
}

static int claim_segments(struct layout *l, const struct image *image, const char *key, const char *path,
			  struct mt_error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < image->segment_count && !rc; i++)
		rc = mt_boot_claim(&l->plan, key, path, image->segments[i].gpa, image->segments[i].memory_bytes, err);
	return rc;
}

int layout_firmware(struct layout *l, const struct image *image, const char *key, const char *path, uint64_t *gpa,
		    uint64_t *entry, struct mt_error *err)
{
	int rc;

	*gpa = *entry = l->plan.ram_gpa;
	if (image->kind != IMAGE_ELF) {
		rc = mt_boot_claim(&l->plan, key, path, *gpa, image->memory_bytes, err);
		l->firmware_end = rc ? l->plan.ram_gpa : *gpa + image->memory_bytes;
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
	uint64_t lowest = l->plan.ram_gpa + LAYOUT_ALIGN;
	uint64_t above = (l->firmware_end + LAYOUT_ALIGN - 1) & ~(uint64_t)(LAYOUT_ALIGN - 1);

	return mt_max_u64(mt_max_u64(lowest, above), l->plan.ram_gpa + text_offset);
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
	return mt_boot_claim(&l->plan, "kernel", path, *gpa, image->memory_bytes, err);
}

static uint64_t top(const struct layout *l)
{
	uint64_t end = l->plan.ram_gpa + l->plan.ram_bytes;

	return l->plan.ram_gpa < FOUR_GIB ? mt_min_u64(end, FOUR_GIB) : end;
}

int layout_slot(struct layout *l, struct mt_error *err)
{
	return mt_boot_claim_tree(&l->plan, top(l), &l->slot_gpa, &l->slot_bytes, err);
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
	return mt_boot_claim_below(&l->plan, "initrd", path, l->slot_gpa, len_bytes, 4096, gpa, err);
}
