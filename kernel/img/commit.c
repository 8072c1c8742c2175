// SPDX-License-Identifier: MIT
/* mortise img commit: what an image has itself goes into the disk below it, and out of the image. */
#include <inttypes.h>
#include <string.h>

#include "kernel/block/node.h"
#include "kernel/img/img.h"
#include "kernel/machine/fault.h"

/* The node that is committed to, and how many layers are between it and the top. */
static struct bnode *base_find(struct img *img, const struct image *image, uint32_t *depth)
{
	const char *name = cli_value(img->args, "base");
	struct bnode *node = image->node->backing;

	*depth = 0;
	if (!node)
		fault_set(&img->err, MT_EINVAL, NULL, NULL, "%s has no disk below it", image->path);
	for (; name && node; node = node->backing, ++*depth) {
		if (img_same_file(name, node->origin->path))
			return node;
	}
	if (name && image->node->backing)
		fault_set(&img->err, MT_EINVAL, "base", NULL, "%s is not below %s", name, image->path);
	return node;
}

/* What would fail at the end fails now. */
static int able(struct img *img, const struct image *image, const struct bnode *base, bool empty)
{
	const struct mt_block_image *role = image_role(image, MT_IFACE_BLOCK_IMAGE);

	if (base->info.flags & MT_BLOCK_INFO_READONLY)
		return fault_set(&img->err, MT_EPERM, NULL, NULL, "%s can only be read", base->origin->path);
	if (base->info.flags & MT_BLOCK_INFO_STREAM)
		return fault_set(&img->err, MT_ENOTSUP, NULL, NULL, "%s can only be filled once, by mortise img convert",
				 base->origin->path);
	if (empty && (!role || !role->make_empty))
		return fault_set(&img->err, MT_ENOTSUP, "format", "--drop leaves it as it is", "%s: %s images cannot be emptied",
				 image->path, image->format);
	return 0;
}

static int base_grow(struct img *img, struct image *image, struct bnode *base)
{
	struct image below = { .tool = image->tool, .inst = base->inst, .node = base, .path = base->origin->path,
			       .format = image->format, .write = true };
	uint64_t end = base->info.disk_bytes;
	int rc;

	if (end >= image_bytes(image))
		return 0;
	below.block = image_handle(base, true, &img->err);
	if (!below.block)
		return MT_EIO;
	rc = image_resize(&below, image_bytes(image), 0, MT_BLOCK_PREALLOC_OFF, &img->err);
	if (rc == 0 && img_hide_backing(&below, end, image_bytes(image)) < 0)
		rc = fault_set(&img->err, MT_EIO, NULL, NULL, "%s: what is added could not be made zero", below.path);
	image_handle_close(below.block);
	return rc;
}

static int commit_copy(struct img *img, struct image *image, struct bnode *base, uint32_t depth)
{
	struct copy_part part = { .image = image };
	struct copy copy = { .parts = &part, .part_count = 1, .target = base, .target_name = node_name(base),
			     .total_bytes = image_bytes(image), .top_only = true, .depth_max = depth, .sparse_bytes = 4096, .threads = 4 };
	int rc;

	if (!img_number(img, "rate-limit", 0, INT64_MAX, &copy.rate_bytes))
		return fault_set(&img->err, MT_EINVAL, NULL, NULL, "choose another rate");
	copy.progress = progress_start(cli_flag(img->args, "progress"), copy.total_bytes);
	rc = copy_run(&copy, &img->err);
	progress_end(copy.progress, rc == 0);
	if (rc == 0 && node_settle(base) < 0)
		rc = fault_set(&img->err, MT_EIO, NULL, NULL, "%s could not be written", base->origin->path);
	return rc;
}

/* The image is emptied only when what it had is durable below, and nothing else lies between. */
static int commit(struct img *img, struct image *image)
{
	uint32_t depth;
	struct bnode *base = base_find(img, image, &depth);
	bool empty = depth == 0 && !cli_flag(img->args, "drop");
	int rc;

	if (!base)
		return MT_EINVAL;
	rc = able(img, image, base, empty);
	if (rc == 0)
		rc = base_grow(img, image, base);
	if (rc == 0)
		rc = commit_copy(img, image, base, depth);
	if (rc == 0 && empty)
		rc = image_make_empty(image, &img->err);
	return rc;
}

static int run(struct img *img)
{
	struct image_options options = img_open_options(img);
	const char *cache = cli_value(img->args, "cache");
	struct image *image;
	int code = 0;

	options.backing_write = true;
	if (cache && !img_cache(cache, &options.cache))
		return 1;
	image = img_open_write(img, cli_operand(img->args, 0), cli_value(img->args, "format"), &options);
	if (!image)
		return img_fault(img);
	img_signals_catch();
	if (commit(img, image) < 0)
		code = img_fault(img);
	else
		img_say(img, "Image committed.");
	if (image_close(image) < 0)
		code = img_fail("the changes could not be written");
	return code;
}

static const struct cli_option options[] = {
	{ 'b', "base", "FILE", "commit to that disk, through those between; the image is not emptied then" },
	{ 'd', "drop", NULL, "leave the image as it is: it is thrown away afterwards" },
	{ 't', "cache", "MODE", "cache mode: writeback (default), none, unsafe" },
	{ 'r', "rate-limit", "BYTES", "copy no more than that in a second" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	img_options_format, options, img_options_progress, img_options_quiet, img_options_open, cli_options_plugins,
	cli_options_common, NULL,
};

const struct img_command img_commit = {
	.verb = { .name = "img commit", .operands = "FILE", .summary = "put what an image has into the disk below it",
		  .operands_min = 1, .operands_max = 1, .options = tables },
	.run = run,
};
