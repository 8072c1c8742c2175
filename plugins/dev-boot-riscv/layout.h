/* SPDX-License-Identifier: MIT */
/*
 * Where in RAM everything goes. From the bottom: firmware at the first byte, kernel at the next 2 MiB that the
 * Image header allows, the rest free for the guest; from the top (below 4 GiB, for 32-bit DMA): a slot for the
 * device tree, the initial RAM disk under it. Pure functions; nothing is loaded here.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include <lib/boot-place.h>

#include "image.h"

#define LAYOUT_ALIGN      0x200000u   /* of a kernel: a second-level page of the guest */
#define LAYOUT_INFO_BYTES 0x1000u     /* at the start of the slot: what the firmware gets in a2 */

struct layout {
	struct mt_boot_plan plan;
	uint64_t firmware_end;
	uint64_t slot_gpa, slot_bytes;
};

void layout_init(struct layout *l, uint64_t ram_gpa, uint64_t ram_bytes);
/*
 * Programs linked to start exactly at RAM have the ELF header in a page below it, where linkers put it to be
 * mapped with the text: cuts that part off, for nothing runs there.
 */
void layout_cut_headers(const struct layout *l, struct image *image);
/* `*gpa` becomes the address of a flat file or Image, `*entry` where to jump. `key` is static. */
int layout_firmware(struct layout *l, const struct image *image, const char *key, const char *path, uint64_t *gpa,
		    uint64_t *entry, struct mt_error *err);
int layout_kernel(struct layout *l, const struct image *image, const char *path, uint64_t *gpa, uint64_t *entry,
		  struct mt_error *err);
/* Sets slot_gpa and slot_bytes. The tree stands behind the info page and has layout_tree_room bytes. */
int layout_slot(struct layout *l, struct mt_error *err);
uint64_t layout_tree_gpa(const struct layout *l);
uint64_t layout_tree_room(const struct layout *l);
/* After layout_slot. */
int layout_initrd(struct layout *l, uint64_t len_bytes, const char *path, uint64_t *gpa, struct mt_error *err);

#endif
