/* SPDX-License-Identifier: MIT */
/*
 * Children that an instance serves itself (mortise.block-protocol/1): a struct file without descriptor, whose
 * operations go to the plugin. Easy to break: the plugin may answer from any thread and at once, so an operation always
 * comes back by request_post.
 */
#ifndef KERNEL_BLOCK_SERVED_H
#define KERNEL_BLOCK_SERVED_H

#include "kernel/block/request.h"

/* Hands an operation on; it ends by request_finish. `op` is MT_BLOCK_*. */
void served_queue(struct mt_block *block, struct bop *op, uint32_t kind);
/* [any] One operation that waits. 0 or MT_E*. */
int32_t served_do(struct file *file, uint32_t kind, uint64_t offset, void *buf, uint64_t len_bytes);
/* [any] may wait: cuts *len_bytes to where data and zeros change; true: zeros */
bool served_hole(struct file *file, uint64_t offset, uint64_t *len_bytes);

#endif
