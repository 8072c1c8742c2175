/* SPDX-License-Identifier: MIT */
/* Block in the kernel: the services of <mortise/draft/block.h> and block-format.h, for host.c. */
#ifndef KERNEL_BLOCK_BLOCK_H
#define KERNEL_BLOCK_BLOCK_H

#include <mortise/draft/block-cache.h>
#include <mortise/draft/block-format.h>

struct machine;

/* [main] paused, fronts quiesced: everything written is durable. 0, or a negative code with `err`. */
int block_flush_all(struct machine *m, struct mt_error *err);

extern const struct mt_block_host block_host;          /* MT_IFACE_BLOCK */
extern const struct mt_block_node block_node_host;     /* MT_IFACE_BLOCK_NODE */
extern const struct mt_block_cache_host block_cache_host;   /* MT_IFACE_BLOCK_CACHE */

#endif
