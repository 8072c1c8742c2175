/* SPDX-License-Identifier: MIT */
/*
 * The disk below a differencing image: opened, and known by an identifier that the image has of it. Formats tell theirs
 * as a fact (block-image.h). [main] in realize.
 */
#ifndef MORTISE_UTIL_BLOCK_PARENT_H
#define MORTISE_UTIL_BLOCK_PARENT_H

#include <mortise/draft/block-node.h>

#include "error.h"

struct mt_block_parent {
	const char *what;              /* "VHD", in messages */
	int differencing;              /* it has a parent */
	const char *name;              /* as the image has it; NULL or "": it has none */
	const char *format;            /* the parent's */
	const char *fact;              /* what the parent tells of itself, */
	const char *wanted[2];         /* and which that may be; NULL or "": not said */
};

/* A parent that does not tell the fact, because its format has no such thing, is taken for the right one. */
static inline int mt_block_parent_check(const struct mt_block_node *host, struct mt_inst *inst,
					const struct mt_block_parent *parent, struct mt_error *err)
{
	const char *first = parent->wanted[0] && parent->wanted[0][0] ? parent->wanted[0] : "not said";
	char is[64];

	if (host->backing_fact(inst, parent->fact, is, sizeof(is)) < 0)
		return 0;
	for (uint32_t i = 0; i < 2; i++) {
		if (parent->wanted[i] && strcmp(parent->wanted[i], is) == 0)
			return 0;
	}
	return mt_error_set(err, MT_EINVAL, "backing", "the disk below is another one than this image was made of, or has "
			    "changed since: its %s is %s, and the wanted one is %s", parent->fact, is, first);
}

/* A parent that is missing or another one, or is given to an image that has none, is an error. 0 or MT_E*. */
static inline int mt_block_parent_open(const struct mt_block_node *host, struct mt_inst *inst,
				       const struct mt_block_parent *parent, struct mt_error *err)
{
	const char *name = !parent->differencing ? NULL : parent->name ? parent->name : "";
	struct mt_block_child_info info;
	int rc;

	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
	rc = host->backing_open(inst, name, parent->format, &info, err);
	if (rc == MT_ENOENT && parent->differencing) {
		mt_error_set(err, MT_ENOENT, "backing", "this is a differencing image, and its parent is not named");
		mt_error_hint(err, "name the parent's section with backing =; the image has only its identifier");
		return MT_ENOENT;
	}
	if (rc == 0 && !parent->differencing)
		return mt_error_set(err, MT_EINVAL, "backing", "this %s image has no parent", parent->what);
	if (rc < 0)
		return rc == MT_ENOENT ? 0 : rc;
	return mt_block_parent_check(host, inst, parent, err);
}

#endif
