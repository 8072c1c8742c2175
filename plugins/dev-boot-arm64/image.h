/* SPDX-License-Identifier: MIT */
/*
 * The header of an arm64 Linux Image, and where in RAM the parts go. Files are untrusted: every number is checked. Pure
 * functions; nothing is loaded here.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <lib/boot-place.h>

#define IMAGE_HEAD_BYTES 64u

struct image {
	uint64_t text_offset;      /* from a multiple of 2 MiB */
	uint64_t memory_bytes;     /* with its bss; at least the file's */
};

/* `head`: the first min(file->len_bytes, IMAGE_HEAD_BYTES) bytes of the measured file. MT_EINVAL: no such Image. */
int image_parse(struct image *image, const struct mt_boot_file *file, const uint8_t *head, struct mt_error *err);

struct layout {
	struct mt_boot_plan plan;
	uint64_t kernel_gpa;
	uint64_t tree_gpa, tree_bytes;
	uint64_t initrd_gpa;       /* 0: none */
};

/* Kernel at the bottom, device tree at the top, initial RAM disk (measured; NULL: none) below that. */
int layout_make(struct layout *l, uint64_t ram_gpa, uint64_t ram_bytes, const struct image *image,
		const char *kernel_path, const struct mt_boot_file *initrd, struct mt_error *err);

#endif
