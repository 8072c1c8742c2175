/* SPDX-License-Identifier: MIT */
/* What the files that attach the core share: the instance. Under its lock, or on [main] with nothing mapped. */
#ifndef BLOCK_VDI_NODE_H
#define BLOCK_VDI_NODE_H

#include <mortise/draft/block-cache.h>
#include <mortise/draft/block-create.h>
#include <mortise/draft/block-image.h>
#include <mortise/draft/log.h>
#include <mortise/draft/props.h>

#include "vdi.h"

struct node {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_block_node *host;
	const struct mt_block_cache_host *cache;
	const struct mt_log_host *log;       /* or NULL */
	struct mt_block_child_info child;
	struct mt_block_cache *header_cache, *map_cache;
	struct mt_block_page *header_page;   /* NULL: nothing can be written */
	struct vdi vdi;
	uint64_t whole_bytes;                /* the file was made so long, so that no block ends behind its end */
	int readonly;
	int broken;                          /* an exclusive operation failed, and the image could not be loaded again */
	int stamped;                         /* has its new modification UUID */
	int gaps;                            /* blocks were given up */
};

struct vdi_io node_io(struct node *n);
int node_load(struct node *n, struct mt_error *err);
/* After an exclusive operation, which failed or not: what the file has now. Returns `failed`. */
int node_reload(struct node *n, int failed, struct mt_error *err);
int node_pages_open(struct node *n);
void node_pages_close(struct node *n);
/* parent.c: the disk below is there, and the right one */
int parent_open(struct node *n, struct mt_error *err);
/* The image shows what its parent does: whatever was written to that, it is the one that it was made of. */
void parent_follow(struct node *n);

extern const struct mt_block_image image_role;
extern const struct mt_block_create create_role;
extern const struct mt_block_probe probe_role;

#endif
