/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of disks while their guests use them. An overlay: a new image over the present one, which is only read from
 * then on. An internal snapshot: the image keeps what the disk is now. Several are of one moment, and all or none.
 * [main], whether the machine runs or not.
 */
#ifndef KERNEL_BLOCK_SNAP_H
#define KERNEL_BLOCK_SNAP_H

#include <mortise/draft/block-image.h>
#include <stdbool.h>

struct bnode;
struct mt_inst;

struct snap {
	struct mt_inst *inst;            /* of the disk, or of a filter over it */
	const char *device;              /* what messages call it */
	const char *path, *format;       /* an overlay: absolute */
	const char *name;                /* an internal snapshot: not NULL */
	bool existing;                   /* the overlay is there, and names the image as the one below it */
	/* snap.c's */
	struct bnode *node, *over;
	bool made, begun, kept;          /* the file; the exclusive operation; an internal snapshot, perhaps */
};

/* 0, or a negative code with `err`, and all disks are as they were. */
int snap_take(struct snap *snaps, unsigned count, struct mt_error *err);
/* Removes an internal snapshot; `id` or `name` may be NULL, both count where both are given. *out is what it was. */
int snap_remove(struct mt_inst *inst, const char *device, const char *id, const char *name,
		struct mt_block_snapshot *out, struct mt_error *err);

#endif
