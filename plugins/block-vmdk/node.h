/* SPDX-License-Identifier: MIT */
/* What the files that attach the core share: the instance. Under its lock, or on [main] with nothing mapped. */
#ifndef BLOCK_VMDK_NODE_H
#define BLOCK_VMDK_NODE_H

#include <mortise/draft/block-cache.h>
#include <mortise/draft/block-create.h>
#include <mortise/draft/block-image.h>
#include <mortise/draft/props.h>

#include "vmdk.h"

#define CACHE_BYTES_MIN (16u * VMDK_PAGE)

struct child {
	struct node *node;
	uint32_t number;
	struct mt_block_cache *cache;        /* of tables; NULL: a flat extent */
	int grows;                           /* a file that can be made longer */
};

struct node {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_block_node *host;
	const struct mt_block_cache_host *cache;
	struct mt_block_child_info info;     /* of the file that the section names */
	struct vmdk vmdk;
	struct vmdk_descriptor text;         /* no lines: the image has none */
	uint64_t text_offset;                /* in child 0 */
	struct child *children;
	uint32_t child_count;
	struct grain_codec *codec;
	uint32_t unit_bytes;                 /* the largest grain; 0: all extents are flat */
	int readonly;
	int wait;                            /* in an exclusive operation: pages are waited for */
	/* where the digits of the CID are: in one page or two, of child 0 */
	struct mt_block_cache *text_cache;
	struct mt_block_page *cid_pages[2];
	int stamped;                         /* has its new CID */
};

struct mt_source node_source(struct child *child);
struct vmdk_pages node_pages(struct node *n);
/* NULL: the disk is none that is being filled. */
struct vmdk_sparse *node_stream(const struct node *n);

/* cid.c */

int cid_open(struct node *n, struct mt_error *err);
void cid_close(struct node *n);
/* A disk that is written to is another than the one that deltas were made of: a new CID, of as many digits. */
void cid_stamp(struct node *n);
/* MT_EINVAL: the disk below is not what this one was made of. */
int cid_check_parent(const struct node *n, struct mt_error *err);
/* Exclusive: what CID the parent has to have; the second one: that which it has now. */
int32_t cid_set_parent(struct node *n, uint32_t cid, struct mt_error *err);
int32_t cid_follow_parent(struct node *n, struct mt_error *err);

extern const struct mt_block_image image_role;
extern const struct mt_block_create create_role;
extern const struct mt_block_probe probe_role;

#endif
