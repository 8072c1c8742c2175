/* SPDX-License-Identifier: MIT */
/* What is in files that are booted from, and its way into guest RAM. [main]. Errors name the file and its property. */
#ifndef BOOT_FILE_H
#define BOOT_FILE_H

#include <lib/boot.h>

#include "image.h"

int file_parse(struct mt_boot_file *file, struct image *image, struct mt_error *err);
/* Everything of the image that has bytes or zeros; `gpa` for a flat file or Linux Image. */
int file_load_image(const struct mt_boot_file *file, const struct mt_dma_host *host, struct mt_dma *dma,
		    const struct image *image, uint64_t gpa, struct mt_error *err);

#endif
