/* SPDX-License-Identifier: MIT */
/*
 * What a kernel file is and where it wants to be: an ELF file with a PVH entry, or a Linux bzImage. Files are
 * untrusted: every number in the result has been checked against the file's size. [main], no state.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <lib/boot.h>

#define IMAGE_SEGMENTS_MAX 32u
#define IMAGE_PVH   1u
#define IMAGE_LINUX 2u

struct image_segment {
	uint64_t file_offset, file_bytes;   /* inside the file */
	uint64_t gpa, memory_bytes;         /* >= file_bytes; the rest is zero */
};

struct image {
	uint32_t kind;             /* IMAGE_* */
	uint32_t segment_count;    /* LINUX: 1, the part for protected mode */
	uint64_t entry;            /* physical; PVH: 32-bit, LINUX: 64-bit */
	uint64_t initrd_max;       /* LINUX: the last byte of an initial RAM disk; PVH: below 4 GiB */
	uint32_t append_max;       /* bytes of a command line without the 0 */
	uint8_t setup[512];        /* LINUX: the setup header, at its offset in the file's second sector */
	uint32_t setup_bytes;
	struct image_segment segments[IMAGE_SEGMENTS_MAX];
};

#define IMAGE_SETUP_AT 0x1f1u          /* of the setup header, in the file and in the zero page */

int image_parse(struct image *image, const struct mt_boot_file *file, struct mt_error *err);

#endif
