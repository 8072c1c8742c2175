/* SPDX-License-Identifier: MIT */
/* What the files that attach the core share: the instance. Under its lock, or on [main] with nothing mapped. */
#ifndef BLOCK_QCOW2_NODE_H
#define BLOCK_QCOW2_NODE_H

#include <mortise/draft/block-create.h>
#include <mortise/draft/block-image.h>
#include <mortise/draft/props.h>

#include "qcow2.h"

struct node {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	struct mt_block_child_info info;     /* of the file */
	struct qcow2 qcow2;
};

extern const struct mt_block_image image_role;
extern const struct mt_block_snapshots snapshots_role;
extern const struct mt_block_bitmaps bitmaps_role;
extern const struct mt_block_create create_role;
extern const struct mt_block_probe probe_role;

#endif
