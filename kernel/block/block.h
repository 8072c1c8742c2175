/* SPDX-License-Identifier: MIT */
/* Block in the kernel: the services of <mortise/draft/block.h> and block-format.h, for host.c. */
#ifndef KERNEL_BLOCK_BLOCK_H
#define KERNEL_BLOCK_BLOCK_H

#include <glib.h>
#include <mortise/draft/block-cache.h>
#include <mortise/draft/block-format.h>
#include <mortise/draft/block-protocol.h>

#include <stdbool.h>

struct machine;

/*
 * [main] paused, fronts quiesced: everything written is durable, and the files are as their close would leave them, up
 * to the next write. 0, or a negative code with `err`.
 */
int block_rest_all(struct machine *m, struct mt_error *err);

/* An error of a disk, as the user is told of it. The names live as long as the machine. */
struct block_error {
	const char *front, *node;
	uint32_t op, action;             /* MT_BLOCK_*, MT_BLOCK_FAILED_* */
	int32_t result;
};
/* [main] policy.c, after MACHINE_EVENT_DISK: calls `fn` for those that nobody was told of. */
void block_errors_tell(struct machine *m, void (*fn)(void *arg, const struct block_error *error), void *arg);

struct mt_inst;
struct block_stats;

/* [main] What a node says of itself, filters too. False: `inst` is none, or is not open. */
bool block_info(struct mt_inst *inst, struct mt_block_info *out);
/*
 * [main] The instance that has the image of the disk `inst`: it itself, or what came to lie over or below the image
 * that its section names. Anything that is no disk is itself.
 */
struct mt_inst *block_image(struct mt_inst *inst);
/* [main] The disk whose image `inst` has, or that below its filters. */
struct mt_inst *block_disk(struct mt_inst *inst);
/* [main] The file of the disk's image; NULL: none, or not one. And those of the images below it, g_ptr_array_unref. */
const char *block_file(struct mt_inst *inst);
GPtrArray *block_files_below(struct mt_inst *inst);
/* [main] The folders that names in its images reach; g_ptr_array_unref. */
GPtrArray *block_folders(struct mt_inst *inst);
/*
 * [main] Gives the disk of the node `inst`, or that below its filters, another size, of whole sectors. `flags`:
 * MT_BLOCK_RESIZE_*. 0, or a negative code with `err`, and the disk is as it was.
 */
int block_resize(struct mt_inst *inst, uint64_t disk_bytes, uint32_t flags, struct mt_error *err);
/* [main] Adds up what the front `front` did with the node `inst`. False: it has no handle on it. */
bool block_stats(struct mt_inst *inst, const struct mt_inst *front, struct block_stats *out);

extern const struct mt_block_host block_host;          /* MT_IFACE_BLOCK */
extern const struct mt_block_node block_node_host;     /* MT_IFACE_BLOCK_NODE */
extern const struct mt_block_served_host block_served_host;   /* MT_IFACE_BLOCK_SERVED */
extern const struct mt_block_cache_host block_cache_host;   /* MT_IFACE_BLOCK_CACHE */

#endif
