/* SPDX-License-Identifier: MIT */
/*
 * What boot loaders have in common: files that are booted from, with their way into guest RAM without a copy between,
 * and the first values of registers. All [main]. A file may change or shrink while it is read: that is an error, and
 * never a wait. Errors name file and property; all functions return 0 or MT_E*.
 */
#ifndef MTSDK_BOOT_H
#define MTSDK_BOOT_H

#include <mortise/draft/boot.h>
#include <mortise/draft/dma.h>
#include <mortise/draft/props.h>
#include <mortise/error.h>
#include <stdint.h>

struct mt_boot_file {
	int fd;                    /* < 0: not given */
	const char *key, *path;
	uint64_t len_bytes;        /* by mt_boot_file_measure */
};

/* The file of a property, which may be absent. */
int mt_boot_file_open(struct mt_boot_file *file, const struct mt_props_host *props, struct mt_inst *inst,
		      const char *key, struct mt_error *err);
/* Also of one that is not open. */
void mt_boot_file_close(struct mt_boot_file *file);
/* Learns the size; refuses what is not a regular file. */
int mt_boot_file_measure(struct mt_boot_file *file, struct mt_error *err);
int mt_boot_file_read(const struct mt_boot_file *file, void *buf, uint64_t len_bytes, uint64_t offset,
		      struct mt_error *err);
/* `len_bytes` from `offset` of the file to `gpa`. MT_EINVAL: no memory is there. */
int mt_boot_file_load(const struct mt_boot_file *file, const struct mt_dma_host *host, struct mt_dma *dma,
		      uint64_t offset, uint64_t gpa, uint64_t len_bytes, struct mt_error *err);

struct mt_boot_reg {
	const char *name;          /* as the schema of the guest's architecture has it */
	uint64_t value;
};

/* Registers of a vCPU. `arch` is for the message: "x86-64". */
int mt_boot_regs_set(const struct mt_boot_host *host, struct mt_inst *inst, uint32_t vcpu,
		     const struct mt_boot_reg *regs, uint32_t count, const char *arch, struct mt_error *err);

#endif
