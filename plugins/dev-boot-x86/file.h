/* SPDX-License-Identifier: MIT */
/*
 * Files that are booted from: their size, parts of them, and their way into guest RAM without a copy between. [main].
 * A file may change or shrink while it is read: that is an error, and never a wait. Errors name file and property.
 */
#ifndef BOOT_FILE_H
#define BOOT_FILE_H

#include <mortise/draft/dma.h>
#include <mortise/error.h>
#include <stdint.h>

struct boot_file {
	int fd;                    /* < 0: not given */
	const char *key, *path;
	uint64_t len_bytes;
};

/* Learns the size. */
int file_measure(struct boot_file *file, struct mt_error *err);
int file_read(const struct boot_file *file, void *buf, uint64_t len_bytes, uint64_t offset, struct mt_error *err);
/* `len_bytes` from `offset` of the file to `gpa`. */
int file_load(const struct boot_file *file, const struct mt_dma_host *host, struct mt_dma *dma, uint64_t offset,
	      uint64_t gpa, uint64_t len_bytes, struct mt_error *err);
/* "PATH: WHY"; returns MT_EINVAL */
int file_refuse(const struct boot_file *file, struct mt_error *err, const char *why, const char *hint);

#endif
