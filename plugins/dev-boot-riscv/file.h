/* SPDX-License-Identifier: MIT */
/*
 * Files that are booted from: size, header, and their way into guest RAM without a copy between. [main].
 * Errors name the file and its property.
 */
#ifndef BOOT_FILE_H
#define BOOT_FILE_H

#include <mortise/draft/dma.h>
#include <mortise/error.h>
#include <stdint.h>

#include "image.h"

struct boot_file {
	int fd;                    /* < 0: not given */
	const char *key, *path;
};

int file_size(const struct boot_file *file, uint64_t *len_bytes, struct mt_error *err);
int file_parse(const struct boot_file *file, struct image *image, struct mt_error *err);
/* `len_bytes` from `offset` of the file to `gpa`. */
int file_load(const struct boot_file *file, const struct mt_dma_host *host, struct mt_dma *dma, uint64_t offset,
	      uint64_t gpa, uint64_t len_bytes, struct mt_error *err);
/* Everything of the image that has bytes or zeros; `gpa` for a flat file or Linux Image. */
int file_load_image(const struct boot_file *file, const struct mt_dma_host *host, struct mt_dma *dma,
		    const struct image *image, uint64_t gpa, struct mt_error *err);
/* The header of a flattened device tree of at most `len_bytes`. */
int file_check_tree(const struct boot_file *file, uint64_t len_bytes, struct mt_error *err);

#endif
