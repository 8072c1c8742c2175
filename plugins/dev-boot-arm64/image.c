/* SPDX-License-Identifier: MIT */
/* See image.h. Rules: the kernel's Documentation/arch/arm64/booting.rst. Pure functions. */
#include "image.h"

#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

/* Offsets in the header. */
#define TEXT_OFFSET 8u
#define IMAGE_SIZE  16u
#define FLAGS       24u
#define MAGIC       56u
#define MAGIC_VALUE 0x644d5241u    /* "ARM" 0x64 */
#define BIG_ENDIAN_FLAG 1u

#define KERNEL_ALIGN 0x200000u
#define PAGE         4096u
#define BEYOND       ((uint64_t)1 << 40)
/* The initial RAM disk is within this many bytes of a multiple of 1 GiB at or below the kernel. */
#define WINDOW       ((uint64_t)32 << 30)
#define WINDOW_ALIGN ((uint64_t)1 << 30)

static int refuse(const struct mt_boot_file *file, const char *why, const char *hint, struct mt_error *err)
{
	mt_error_set(err, MT_EINVAL, file->key, "%s: %s", file->path, why);
	if (hint)
		mt_error_hint(err, "%s", hint);
	return MT_EINVAL;
}

int image_parse(struct image *image, const struct mt_boot_file *file, const uint8_t *head, struct mt_error *err)
{
	uint64_t size;
	const char *packed;

	if (!file->len_bytes)
		return refuse(file, "the file is empty", NULL, err);
	packed = mt_boot_packed(head, mt_min_u64(file->len_bytes, IMAGE_HEAD_BYTES));
	if (packed)
		return refuse(file, packed, "unpack it, and name the unpacked Image", err);
	if (file->len_bytes < IMAGE_HEAD_BYTES || mt_get_le32(head + MAGIC) != MAGIC_VALUE)
		return refuse(file, "no arm64 Linux Image", "an Image has the letters ARMd at offset 56; is it built for arm64?",
			      err);
	size = mt_get_le64(head + IMAGE_SIZE);
	if (!size)
		return refuse(file, "the Image does not tell how much memory it needs", "use Linux 3.17 or later", err);
	if (mt_get_le64(head + FLAGS) & BIG_ENDIAN_FLAG)
		return refuse(file, "a big-endian kernel", NULL, err);
	image->text_offset = mt_get_le64(head + TEXT_OFFSET);
	image->memory_bytes = mt_max_u64(size, file->len_bytes);
	if (image->text_offset >= BEYOND || image->memory_bytes >= BEYOND)
		return refuse(file, "the Image header is damaged: text offset or size beyond all memory", NULL, err);
	return 0;
}

int layout_make(struct layout *l, uint64_t ram_gpa, uint64_t ram_bytes, const struct image *image,
		const char *kernel_path, const struct mt_boot_file *initrd, struct mt_error *err)
{
	uint64_t base, top;
	int rc;

	memset(l, 0, sizeof(*l));
	mt_boot_plan_init(&l->plan, ram_gpa, ram_bytes);
	if (!mt_align_up_u64(ram_gpa, KERNEL_ALIGN, &base) || !mt_add_u64(base, image->text_offset, &l->kernel_gpa))
		return mt_error_set(err, MT_ENOSPC, "kernel", "%s: the RAM begins too high for it", kernel_path);
	rc = mt_boot_claim(&l->plan, "kernel", kernel_path, l->kernel_gpa, image->memory_bytes, err);
	if (rc)
		return rc;
	/* the kernel is inside, so neither of these overflows before the end of RAM does */
	top = mt_align_down_u64(l->kernel_gpa, WINDOW_ALIGN);
	top = ram_gpa + ram_bytes - top > WINDOW ? top + WINDOW : ram_gpa + ram_bytes;
	rc = mt_boot_claim_tree(&l->plan, top, &l->tree_gpa, &l->tree_bytes, err);
	if (rc || !initrd)
		return rc;
	return mt_boot_claim_below(&l->plan, "initrd", initrd->path, l->tree_gpa, initrd->len_bytes, PAGE, &l->initrd_gpa,
				   err);
}
