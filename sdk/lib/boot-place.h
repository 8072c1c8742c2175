/* SPDX-License-Identifier: MIT */
/*
 * What boot loaders of machines with a device tree have in common: a plan of the RAM block that they load into, in
 * which every part is checked against the block and all earlier parts, and the tree's way there. All [main]. Lengths
 * come from files: no sum without a check. Errors name file and property; results are 0 or MT_E*.
 */
#ifndef MTSDK_BOOT_PLACE_H
#define MTSDK_BOOT_PLACE_H

#include <lib/boot.h>

#define MT_BOOT_CLAIMS_MAX 72u

struct mt_boot_claim {
	const char *key;           /* property that it is for; static */
	uint64_t gpa, len_bytes;
};

struct mt_boot_plan {
	uint64_t ram_gpa, ram_bytes;
	uint32_t claim_count;
	struct mt_boot_claim claims[MT_BOOT_CLAIMS_MAX];
};

void mt_boot_plan_init(struct mt_boot_plan *plan, uint64_t ram_gpa, uint64_t ram_bytes);
/* MT_ENOSPC: it is not inside, or overlaps an earlier one. */
int mt_boot_claim(struct mt_boot_plan *plan, const char *key, const char *path, uint64_t gpa, uint64_t len_bytes,
		  struct mt_error *err);
/* The highest multiple of `align` (a power of two) that has the bytes between it and `end`. */
int mt_boot_claim_below(struct mt_boot_plan *plan, const char *key, const char *path, uint64_t end, uint64_t len_bytes,
			uint64_t align, uint64_t *gpa, struct mt_error *err);
/* A slot at the end that is as large as the block allows, 64 KiB to 2 MiB, aligned to its size. */
int mt_boot_claim_tree(struct mt_boot_plan *plan, uint64_t end, uint64_t *gpa, uint64_t *len_bytes,
		       struct mt_error *err);

/* How a file is compressed ("compressed with gzip"), by its first bytes, or NULL. */
const char *mt_boot_packed(const uint8_t *head, uint64_t head_bytes);

struct mt_boot_tree {
	struct mt_inst *inst;
	const struct mt_boot_host *host;
	const struct mt_props_host *props;
	const struct mt_dma_host *dma_host;
	struct mt_dma *dma;
	struct mt_boot_file *dtb;          /* the machine's own tree when it is not open */
	uint64_t gpa, room_bytes;
	uint64_t initrd_gpa, initrd_bytes; /* 0 bytes: none */
};

/* Refuses a tree of the user's beside what would have to be written into it: properties "append" and "initrd". */
int mt_boot_tree_check(const struct mt_boot_file *dtb, const struct mt_boot_file *initrd,
		       const struct mt_props_host *props, struct mt_inst *inst, struct mt_error *err);
/* In MT_RESET_HOLD: puts the user's tree there, or the machine's with the property "append". */
int mt_boot_tree_load(const struct mt_boot_tree *tree, struct mt_error *err);

#endif
