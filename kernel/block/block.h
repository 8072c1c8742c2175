/* SPDX-License-Identifier: MIT */
/* Block in the kernel: the services of <mortise/draft/block.h> and block-format.h, for host.c. */
#ifndef KERNEL_BLOCK_BLOCK_H
#define KERNEL_BLOCK_BLOCK_H

#include <mortise/draft/block-format.h>

extern const struct mt_block_host block_host;          /* MT_IFACE_BLOCK */
extern const struct mt_block_node block_node_host;     /* MT_IFACE_BLOCK_NODE */

#endif
