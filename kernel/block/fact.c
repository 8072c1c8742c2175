/* SPDX-License-Identifier: MIT */
/* Facts of the disk below, by which a format knows whether it is the one that the image was made of. [main] */
#include <mortise/draft/block-image.h>
#include <string.h>

#include "kernel/block/filter.h"
#include "kernel/block/open.h"
#include "kernel/machine/inst.h"

struct wanted {
	const char *name;
	char *out;
	uint32_t out_bytes;
	bool found;
};

static void look(void *arg, const char *name, uint32_t type, const char *value)
{
	struct wanted *wanted = arg;

	(void)type;
	if (strcmp(name, wanted->name))
		return;
	g_strlcpy(wanted->out, value, wanted->out_bytes);
	wanted->found = true;
}

int32_t node_backing_fact(const struct bnode *node, const char *name, char *out, uint32_t out_bytes)
{
	struct wanted wanted = { .name = name, .out = out, .out_bytes = out_bytes };
	struct bnode *below = node->origin->below_any ? NULL : node->backing, *disk;
	const struct mt_block_image *role;

	while (below && (disk = filter_disk(below)))
		below = disk;
	role = below && below->inst ? inst_role(below->inst, MT_IFACE_BLOCK_IMAGE) : NULL;
	if (!role || !role->describe)
		return MT_ENOENT;
	node_enter(below);
	role->describe(below->inst->self, look, &wanted);
	node_leave(below);
	return wanted.found ? 0 : MT_ENOENT;
}
