/* SPDX-License-Identifier: MIT */
/* The list of an image's snapshots, as info and snapshot print it. Text from images never reaches a terminal raw. */
#ifndef KERNEL_IMG_TABLE_H
#define KERNEL_IMG_TABLE_H

#include <mortise/draft/block-image.h>
#include <stdbool.h>

struct bnode;

uint32_t table_snapshot_count(const struct bnode *node);
bool table_snapshot_get(const struct bnode *node, uint32_t index, struct mt_block_snapshot *out);
void table_snapshots(const struct bnode *node);
void table_print_text(const char *text);

#endif
