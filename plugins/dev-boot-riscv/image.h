/* SPDX-License-Identifier: MIT */
/*
 * What a file to boot from is, and where it wants to be: RISC-V Linux Image headers and ELF64 program headers.
 * Files are untrusted: `image_parse` looks only at bytes that it was given, and every number in the result is
 * checked against the file's size. Pure functions.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <mortise/error.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_HEAD_BYTES   65536u   /* of the file that image_parse wants to see, or all of a shorter one */
#define IMAGE_SEGMENTS_MAX 32u

#define IMAGE_FLAT  0u   /* neither of the others */
#define IMAGE_LINUX 1u
#define IMAGE_ELF   2u

struct image_segment {
	uint64_t file_offset, file_bytes;   /* inside the file */
	uint64_t gpa, memory_bytes;         /* >= file_bytes; the rest is zero */
};

struct image {
	uint32_t kind;             /* IMAGE_* */
	uint32_t segment_count;    /* ELF */
	uint64_t file_bytes;
	uint64_t memory_bytes;     /* LINUX: with its bss; FLAT: the file */
	uint64_t text_offset;      /* LINUX: from a multiple of 2 MiB */
	uint64_t entry;            /* ELF: physical */
	struct image_segment segments[IMAGE_SEGMENTS_MAX];
};

/*
 * `head`: the first bytes of the file, min(file_bytes, IMAGE_HEAD_BYTES) of them. `key` and `path` name it in
 * errors. Refused: compressed kernels, damaged headers, ELF files for another machine.
 */
int image_parse(struct image *image, const uint8_t *head, uint64_t file_bytes, const char *key, const char *path,
		struct mt_error *err);

#endif
